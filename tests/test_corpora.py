"""Two-second songs in the layout of each corpus, with planted pitches, hits and stems."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile as sf

from melodylab.errors import InputError
from melodylab.io import corpora

SR = 16000
T_S = np.arange(2 * SR) / SR
VOICE, BAND = 0.3 * np.sin(2 * np.pi * 440 * T_S), 0.2 * np.sin(2 * np.pi * 110 * T_S)
STEMS = {"vocals": VOICE, "bass": BAND, "drums": 0 * BAND, "other": 0.5 * BAND}


def write(path, *channels, sr=SR):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.stack(channels, axis=1), sr, subtype="FLOAT")


def text(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def frames(hop_s, sign=",", hz=440):
    """Rows over 2 s, sung from 1 s on."""
    times_s = np.arange(round(2 / hop_s)) * hop_s
    return [f"{t:.6f}{sign}{hz if t >= 1 else 0:.3f}" for t in times_s]


def sung_from_1_s(song, hop_s):
    melody = song.melody
    np.testing.assert_allclose(np.diff(melody.times_s), hop_s, rtol=1e-3)
    np.testing.assert_array_equal(melody.voiced, melody.times_s >= 1)
    np.testing.assert_allclose(melody.f0_hz[melody.voiced], 440)


def one(corpus, folder, **options):
    """The one song of a corpus."""
    (name,) = corpora.song_names(corpus, folder)
    song = corpora.read_song(corpus, folder, name, **options)
    (again,) = corpora.read_songs(corpus, folder, **options)
    assert again.sha256 == song.sha256 and again.name == song.name == name
    return song


def test_medleydb(tmp_path):
    name = "MusicDelta_Rock"
    write(tmp_path / "Audio" / name / f"{name}_MIX.wav", VOICE + BAND, VOICE + BAND)
    for n, stem in enumerate((VOICE, BAND), 1):
        write(tmp_path / "Audio" / name / f"{name}_STEMS" / f"{name}_STEM_{n:02}.wav", stem, stem)
    notes = tmp_path / "Annotations" / "Melody_Annotations"
    text(notes / "MELODY2" / f"{name}_MELODY2.csv", frames(256 / 44100))
    text(notes / "MELODY1" / f"{name}_MELODY1.csv", frames(256 / 44100, hz=220))
    song = one("medleydb", tmp_path)
    assert song.name == name and list(song.stems) == ["stem_01", "stem_02"]
    np.testing.assert_allclose(sum(song.stems.values()), song.audio, atol=1e-6)
    sung_from_1_s(song, 256 / 44100)
    first = one("medleydb", tmp_path, annotation="melody1", stems=False)
    assert not first.stems and np.nanmax(first.melody.f0_hz) == 220


@pytest.mark.parametrize(
    ("corpus", "hop_s", "first_s"), [("ikala", 0.032, 0.016), ("mir-1k", 0.02, 0.02)]
)
def test_band_left_voice_right(tmp_path, corpus, hop_s, first_s):
    write(tmp_path / "Wavfile" / "10161_chorus.wav", BAND, VOICE)
    times_s = first_s + hop_s * np.arange(round((2 - first_s) / hop_s))
    text(tmp_path / "PitchLabel" / "10161_chorus.pv", [f"{69 * (t >= 1):.4f}" for t in times_s])
    song = one(corpus, tmp_path)
    assert song.channels == 1
    np.testing.assert_allclose(song.audio[0], VOICE + BAND, atol=1e-6)
    np.testing.assert_allclose(song.stems["melody"][0], VOICE, atol=1e-6)
    np.testing.assert_allclose(song.stems["accompaniment"][0], BAND, atol=1e-6)
    np.testing.assert_allclose(song.melody.times_s, times_s)
    sung_from_1_s(song, hop_s)


@pytest.mark.parametrize(
    ("corpus", "name", "hop_s", "below"),
    [("adc2004", "daisy1", 256 / 44100, ""), ("mirex05", "train01", 0.01, "mirex05TrainFiles")],
)
def test_references_beside_the_song(tmp_path, corpus, name, hop_s, below):
    write(tmp_path / below / f"{name}.wav", VOICE)
    text(tmp_path / below / f"{name}REF.txt", frames(hop_s, sign="\t"))
    song = one(corpus, tmp_path)
    assert song.name == name and not song.stems
    sung_from_1_s(song, hop_s)


def checked(song, atol=1e-6):
    """Voice, and everything else together and by name."""
    assert set(song.stems) == {"melody", "accompaniment", "bass", "drums", "other"}
    np.testing.assert_allclose(
        song.stems["melody"] + song.stems["accompaniment"], song.audio, atol=atol
    )
    for name, stem in STEMS.items():
        found = song.stems["melody" if name == "vocals" else name]
        assert abs(np.std(found[0, SR:30000]) - np.std(stem[SR:30000])) < 0.01


def test_dsd100(tmp_path):
    name = "051 - AM Contra - Heart Peripheral"
    write(tmp_path / "Mixtures" / "Dev" / name / "mixture.wav", *[sum(STEMS.values())] * 2)
    for stem, y in STEMS.items():
        write(tmp_path / "Sources" / "Dev" / name / f"{stem}.wav", y, y)
    checked(one("dsd100", tmp_path))


def test_musdb18_as_waves(tmp_path):
    name = "A Classic Education - NightOwl"
    write(tmp_path / "train" / name / "mixture.wav", *[sum(STEMS.values())] * 2)
    for stem, y in STEMS.items():
        write(tmp_path / "train" / name / f"{stem}.wav", y, y)
    checked(one("musdb18", tmp_path))


@pytest.mark.slow
def test_musdb18_as_stem_files(tmp_path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    command = [ffmpeg, "-v", "error"]
    sounds = {"mixture": sum(STEMS.values()), **{n: STEMS[n] for n in ("drums", "bass", "other")}}
    for name, y in {**sounds, "vocals": VOICE}.items():
        write(tmp_path / f"{name}.wav", y, y)
        command += ["-i", str(tmp_path / f"{name}.wav")]
    (tmp_path / "test").mkdir()
    made = tmp_path / "test" / "AM Contra - Heart Peripheral.stem.mp4"
    maps = [word for n in range(5) for word in ("-map", f"{n}:a")]
    subprocess.run([*command, *maps, "-b:a", "256k", str(made)], check=True)
    song = one("musdb18", tmp_path)
    assert song.name == "AM Contra - Heart Peripheral"
    checked(song, atol=0.04)  # AAC


def test_mdb_drums(tmp_path):
    name = "MusicDelta_80sRock"
    write(tmp_path / "audio" / "full_mix" / f"{name}_MIX.wav", VOICE + BAND)
    write(tmp_path / "audio" / "drum_only" / f"{name}_Drum.wav", BAND)
    text(tmp_path / "annotations" / "class" / f"{name}_class.txt", ["0.0136\t\tKD", "0.5\t\tSD"])
    song = one("mdb-drums", tmp_path)
    assert song.onsets.classes == ("KD", "SD") and song.onsets.times_s.tolist() == [0.0136, 0.5]
    np.testing.assert_allclose(song.stems["drums"][0], BAND, atol=1e-6)


@pytest.mark.parametrize("corpus", corpora.CORPORA)
def test_a_folder_of_another_layout_is_refused_with_what_is_missing(tmp_path, corpus):
    with pytest.raises(InputError, match=f"does not look like {corpus}: .* is missing; give"):
        corpora.song_names(corpus, tmp_path)
    with pytest.raises(InputError, match="is not a folder; give your copy"):
        corpora.song_names(corpus, tmp_path / "none")


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="'ikalla'; did you mean 'ikala'"):
        corpora.song_names("ikalla", tmp_path)
    write(tmp_path / "Wavfile" / "10161_chorus.wav", BAND)
    with pytest.raises(InputError, match="no song '10161'; did you mean '10161_chorus'"):
        corpora.read_song("ikala", tmp_path, "10161")
    with pytest.raises(InputError, match="has 1 channel"):
        corpora.read_song("ikala", tmp_path, "10161_chorus")
    write(tmp_path / "Wavfile" / "10161_chorus.wav", BAND, VOICE)
    text(tmp_path / "PitchLabel" / "10161_chorus.pv", ["69", "high"])
    with pytest.raises(InputError, match="cannot read the pitch labels .*10161_chorus.pv"):
        corpora.read_song("ikala", tmp_path, "10161_chorus")

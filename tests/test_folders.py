"""Song folders: which file is read as what, and what becomes of stems that do not quite fit."""

import numpy as np
import pytest
import soundfile as sf

from melodylab.errors import InputError
from melodylab.io import audio, folders

SR = 8000


@pytest.fixture
def song_folder(tmp_path, rng):
    """A second of stereo: mix = melody + rest."""
    folder = tmp_path / "songs" / "one"
    melody, rest = 0.1 * rng.standard_normal((2, 2, SR)).astype(np.float32)
    audio.write(folder / "mix.wav", melody + rest, SR)
    audio.write(folder / "melody.wav", melody, SR)
    return folder


def line(path, f0_hz):
    path.write_text(f"0.0,{f0_hz}\n0.01,{f0_hz}\n")


def test_songs_are_listed_in_order_and_other_folders_left_out(song_folder):
    parent = song_folder.parent
    audio.write(parent / "another" / "Mix.WAV", np.zeros(10), SR)
    (parent / "empty").mkdir()
    (parent / "notes").mkdir()
    (parent / "notes" / "mix.txt").write_text("no audio")
    assert [path.name for path in folders.song_folders(parent)] == ["another", "one"]
    assert folders.song_folders(song_folder) == [song_folder]


def test_a_folder_without_songs_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="holds no song; put each"):
        folders.song_folders(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        folders.song_folders(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no mix"):
        folders.read_song(tmp_path)


def test_stems_have_the_names_of_their_files_and_the_accompaniment_is_the_rest(song_folder):
    audio.write(song_folder / "Bass.wav", np.full((2, SR), 0.25), SR)
    audio.write(song_folder / "._melody.wav", np.ones((2, SR)), SR)
    song = folders.read_song(song_folder)
    assert (song.name, song.sr, song.channels) == ("one", SR, 2)
    assert sorted(song.stems) == ["accompaniment", "bass", "melody"]
    assert np.all(song.stems["bass"] == 0.25)
    np.testing.assert_allclose(
        song.stems["melody"] + song.stems["accompaniment"], song.audio, atol=1e-7
    )
    assert folders.read_song(song_folder, stems=False).stems == {}


def test_an_accompaniment_that_is_there_is_read(song_folder):
    audio.write(song_folder / "accompaniment.wav", np.full((2, SR), 0.5), SR)
    assert np.all(folders.read_song(song_folder).stems["accompaniment"] == 0.5)


def test_the_first_format_of_a_name_wins(song_folder):
    sf.write(song_folder / "mix.ogg", np.zeros((SR, 2)), SR)
    assert np.any(folders.read_song(song_folder).audio)


def test_melody2_wins_over_melody_over_melody1(song_folder):
    assert folders.read_song(song_folder).melody is None
    for name, f0_hz in (("melody1.csv", 110), ("melody.csv", 220), ("melody2.csv", 440)):
        line(song_folder / name, f0_hz)
        assert folders.read_song(song_folder).melody.f0_hz[0] == f0_hz


@pytest.mark.parametrize("extra", [-800, 800])
def test_a_stem_a_little_off_is_cut_or_padded(song_folder, extra):
    audio.write(song_folder / "melody.wav", np.full(SR + extra, 0.5), SR)
    stem = folders.read_song(song_folder).stems["melody"]
    assert stem.shape == (2, SR)  # the mono stem fills both channels
    assert np.all(stem[:, : SR - 800] == 0.5)
    assert np.all(stem[:, SR - 800 :] == (0 if extra < 0 else 0.5))


def test_a_stem_of_another_song_is_refused(song_folder):
    audio.write(song_folder / "drums.wav", np.zeros(3 * SR), SR)
    with pytest.raises(
        InputError, match="drums.wav does not fit: it lasts 3.0 s and the mix 1.0 s"
    ):
        folders.read_song(song_folder)


def test_a_stem_at_another_rate_is_resampled(song_folder):
    t_s = np.arange(2 * SR) / (2 * SR)
    audio.write(song_folder / "bass.wav", np.sin(2 * np.pi * 200 * t_s), 2 * SR)
    stem = folders.read_song(song_folder).stems["bass"]
    expected = np.sin(2 * np.pi * 200 * np.arange(SR) / SR)
    np.testing.assert_allclose(stem[0, 500:-500], expected[500:-500], atol=1e-3)


def test_samples_that_are_no_numbers_do_not_reach_the_stems(song_folder):
    mix, _ = audio.read(song_folder / "mix.wav")
    mix[0, 5] = np.nan
    audio.write(song_folder / "mix.wav", mix, SR)
    audio.write(song_folder / "bass.wav", np.where(np.arange(SR) == 7, np.inf, 0.5), SR)
    with pytest.warns(UserWarning, match="were set to 0"):
        song = folders.read_song(song_folder)
    assert all(np.isfinite(stem).all() for stem in song.stems.values())


def test_onsets_with_a_header_midi_numbers_and_velocities(song_folder):
    (song_folder / "drums.csv").write_text("0.9,KD\n")  # onsets.csv wins
    (song_folder / "onsets.csv").write_text(
        "time_s,class,midi,velocity\n0.5,snare,38,127\n0.25,kick,36,64\n"
    )
    onsets = folders.read_song(song_folder).onsets
    assert onsets.times_s.tolist() == [0.25, 0.5]
    assert onsets.classes == ("kick", "snare")
    np.testing.assert_allclose(onsets.velocity, [64 / 127, 1])


def test_the_development_songs(dev_songs, dev_data):
    paths = folders.song_folders(dev_songs)
    assert len(paths) == 7
    song = folders.read_song(dev_songs / "Rock")
    assert sorted(song.stems) == ["accompaniment", "bass", "drums", "melody"]
    assert song.melody.voiced.any()
    assert not song.melody.voiced.all()
    assert set(song.onsets.classes) == {"KD", "SD", "HH"}

    loops = folders.song_folders(dev_data / "drumloops")
    assert len(loops) == 8
    loop = folders.read_song(loops[0])
    assert sorted(loop.stems) == ["closed_hihat", "kick", "open_hihat", "snare", "toms"]
    np.testing.assert_allclose(sum(loop.stems.values()), loop.audio, atol=1e-3)
    assert set(loop.onsets.classes) == set(loop.stems)
    assert 0 < loop.onsets.velocity.min() < loop.onsets.velocity.max() < 1

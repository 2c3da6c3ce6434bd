"""Other sounds for a loop: the cleanest hit, search, replacement, and hits as files."""

import numpy as np
import pytest
import soundfile as sf
from played_drums import SR, onsets, played

from melodylab import drums, synth
from melodylab.drums import sounds
from melodylab.errors import InputError
from melodylab.io import audio, midi
from melodylab.records import DrumOnsets, OneShot, Song


@pytest.fixture(scope="module")
def loop():
    """Kick and hi-hat in turn, a snare, a tom."""
    hits = [(0.25 * n, "kick" if n % 4 == 0 else "closed_hihat") for n in range(8)]
    return played(sorted([*hits, (0.5, "snare"), (1.5, "snare", 0.6), (1.9, "toms")]))


@pytest.fixture(scope="module")
def parts(loop):
    return drums.separate(loop, loop.onsets)


# --- search and replacement -----------------------------------------------------------------------


def test_the_cleanest_hit_is_the_one_that_is_alone():
    song = played(
        [(0.2, "kick"), (0.2, "snare"), (0.9, "kick"), (1.5, "kick"), (1.5, "toms"), (1.8, "snare")]
    )
    parts = drums.separate(song, song.onsets)
    assert np.argmax(drums.purities(song, parts, "kick")) == 1
    hit = drums.best_hit(song, parts, "kick")
    assert hit.kind == "kick" and hit.name == "kick at 0.90 s" and hit.sr == SR
    with pytest.raises(InputError, match="no open_hihat was hit"):
        drums.best_hit(song, parts, "open_hihat")


@pytest.mark.slow
def test_a_kits_own_sounds_are_among_the_first_five_of_a_hundred():
    """Of 24 kits 81 of 99 layers, hi-hats under loud drums included; here the clean ones."""
    others, ranks = synth.one_shots(94, seed=3), {}
    for seed in range(3, 9):
        song = synth.drum_loop(seed, 6)
        parts = drums.separate(song, song.onsets)
        for name in ("kick", "snare", "toms"):
            if not len(song.onsets.of_class(name)) or drums.purities(song, parts, name).max() < 0.5:
                continue
            kit = [shot for shot in synth.kit_shots(seed) if shot.kind == name]
            library = others[: 100 - len(kit)] + kit
            found = drums.similar(
                drums.best_hit(song, parts, name), library, len(library), any_class=True
            )
            ranks[seed, name] = next(
                n for n, match in enumerate(found, 1) if any(match.shot is shot for shot in kit)
            )
    assert len(ranks) >= 10 and np.mean([rank <= 5 for rank in ranks.values()]) >= 0.9, ranks


def test_a_sound_is_most_like_itself_at_any_level_and_after_a_pause():
    library = synth.one_shots(20, seed=1)
    for shot in library[:5]:
        later = OneShot(
            "later", "", np.concatenate([np.zeros(4000, np.float32), 0.1 * shot.audio]), shot.sr
        )
        (best, second) = drums.similar(later, library, count=2)
        assert best.shot is shot and best.distance < 0.5 * second.distance
        assert best.shares.shape == (len(drums.FEATURES),) and best.shares.sum() == pytest.approx(
            best.distance**2
        )
    told = drums.describe(library[0])
    assert tuple(told) == drums.FEATURES and all(np.isfinite(value) for value in told.values())
    with pytest.raises(InputError, match="nothing to search"):
        drums.similar(library[0], [])


@pytest.mark.slow
def test_a_hit_is_sought_among_its_own_class():
    """The README's snippet with many seeds; before, seed 3 gave a closed hi-hat for a snare."""
    library = synth.one_shots(100)
    for seed in range(3, 9):
        song = synth.drum_loop(seed, 3.0)
        parts = drums.separate(song, song.onsets)
        for name in set(song.onsets.classes):
            near = drums.similar(drums.best_hit(song, parts, name), library)
            assert len(near) == 5 and {match.shot.kind for match in near} == {name}
    hit = OneShot("hit", "snare", library[0].audio, SR)
    assert drums.similar(hit, library, 1, any_class=True)[0].shot is library[0]  # a kick
    own = [OneShot("own", "", shot.audio, SR) for shot in library[:10]]
    assert drums.similar(hit, own, 1)[0].shot is own[0]  # nobody said of what class
    with pytest.raises(InputError, match="holds no snare; add one, or"):
        drums.similar(hit, library[:1])


def test_each_shot_is_described_once(monkeypatch):
    library, seen = synth.one_shots(5, seed=2), []
    measured = sounds._measured
    monkeypatch.setattr(sounds, "_measured", lambda shot: seen.append(shot) or measured(shot))
    first, again = (drums.similar(library[0], library) for _ in range(2))
    assert len(seen) == 5 and [a.distance for a in first] == [b.distance for b in again]


@pytest.mark.slow
def test_the_cleanest_hit_of_opposite_channels_is_heard(loop):
    wide = Song(np.concatenate([loop.audio, -loop.audio]), SR)
    parts = drums.separate(wide, loop.onsets)
    hit = drums.best_hit(wide, parts, "kick")
    assert np.abs(hit.audio).max() > 0.5 * np.abs(parts.stems["kick"]).max()


def test_features_tell_high_from_low_and_long_from_short():
    library = synth.one_shots(5)
    kick, closed, open_hat = (
        next(s for s in library if s.kind == kind)
        for kind in ("kick", "closed_hihat", "open_hihat")
    )
    told = [drums.describe(shot) for shot in (kick, closed, open_hat)]
    assert told[0]["centroid_octaves"] < told[1]["centroid_octaves"] - 2
    assert told[2]["decay_octaves"] > told[1]["decay_octaves"] + 1


def test_a_silent_shot_is_described_too():
    assert np.isfinite(
        list(drums.describe(OneShot("nothing", "", np.zeros(10), SR)).values())
    ).all()


def test_a_folder_of_sounds_among_other_files(tmp_path):
    sf.write(tmp_path / "b.wav", np.ones((100, 2)) * 0.5, 22050)
    (tmp_path / "deeper").mkdir()
    sf.write(tmp_path / "deeper" / "a.flac", np.ones(50) * 0.25, 44100)
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    found = drums.read_library(tmp_path)
    assert [(shot.name, shot.sr, len(shot.audio), shot.kind) for shot in found] == [
        ("b", 22050, 100, ""),
        ("a", 44100, 50, ""),
    ]


@pytest.mark.parametrize("other", [None, "notes.txt", "empty.wav"])
def test_a_folder_without_sound_is_an_input_error(tmp_path, other):
    if other:
        (tmp_path / other).write_text("")
    with pytest.raises(InputError, match="holds no sound that can be read; put"):
        drums.read_library(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        drums.read_library(tmp_path / "nothing")


def test_replaced_hits_keep_time_and_level(loop, parts):
    click = OneShot("click", "", np.r_[1.0, np.zeros(99)].astype(np.float32), SR)
    made = drums.replace(loop, parts, {"kick": click})
    stem = made.stems["kick"][0]
    assert np.flatnonzero(stem).tolist() == [round(t * SR) for t in loop.onsets.of_class("kick")]
    assert np.sum(stem.astype(float) ** 2) == pytest.approx(
        np.sum(parts.stems["kick"].astype(float) ** 2), rel=1e-3
    )
    assert (
        np.array_equal(made.stems["snare"], parts.stems["snare"])
        and made.audio.shape == loop.audio.shape
    )
    assert np.abs(made.audio - sum(made.stems[name] for name in drums.CLASSES)).max() < 1e-6
    with pytest.raises(InputError, match="no drum class 'cymbal'"):
        drums.replace(loop, parts, {"cymbal": click})


def test_a_replaced_open_hihat_is_still_closed(rng):
    song = played([(0.1, "open_hihat"), (0.5, "closed_hihat"), (0.8, "open_hihat")])
    parts = drums.separate(song, song.onsets)
    long = OneShot("long", "", rng.standard_normal(SR).astype(np.float32), SR)
    stem = drums.replace(song, parts, {"open_hihat": long}).stems["open_hihat"][0]
    assert stem[round(0.45 * SR)] != 0 and not stem[round(0.53 * SR) : round(0.79 * SR)].any()


# --- hits as files --------------------------------------------------------------------------------


def test_hits_written_as_midi_come_back_within_a_millisecond(tmp_path, rng):
    import pretty_midi

    times_s = np.sort(rng.uniform(0, 600, 500))
    times_s[11] = times_s[10] + 0.02
    given = DrumOnsets(
        np.sort(times_s), tuple(rng.choice(drums.CLASSES, 500)), rng.uniform(0.01, 1, 500)
    )
    given.to_midi(tmp_path / "hits.mid")
    score = pretty_midi.PrettyMIDI(str(tmp_path / "hits.mid"))
    (track,) = score.instruments
    assert track.is_drum
    for kind in drums.CLASSES:
        notes = sorted(
            (n.start, n.velocity) for n in track.notes if n.pitch == midi.DRUM_NOTES[kind]
        )
        mine = [name == kind for name in given.classes]
        assert np.abs(np.array([start for start, _ in notes]) - given.times_s[mine]).max() < 1e-3
        assert [velocity for _, velocity in notes] == [
            max(1, round(127 * v)) for v in given.velocity[mine]
        ]


def test_hits_without_or_of_an_unknown_class_as_midi(tmp_path):
    import pretty_midi

    onsets().to_midi(tmp_path / "none.mid")
    assert not any(
        track.notes for track in pretty_midi.PrettyMIDI(str(tmp_path / "none.mid")).instruments
    )
    with pytest.raises(InputError, match="no drum note is known for 'CY'"):
        onsets((0.1, "CY")).to_midi(tmp_path / "cymbal.mid")
    assert not (tmp_path / "cymbal.mid").exists()


def test_hits_as_csv_come_back(tmp_path):
    from melodylab.io import csv

    given = onsets((0.1234567, "kick", 0.5), (1.0, "toms", 1.0))
    given.to_csv(tmp_path / "onsets.csv")
    assert (tmp_path / "onsets.csv").read_text().splitlines()[0] == "# time_s,class,velocity"
    back = csv.read_onsets(tmp_path / "onsets.csv")
    assert back.classes == given.classes and back.times_s == pytest.approx(given.times_s, abs=1e-6)
    assert back.velocity == pytest.approx(given.velocity, abs=1e-4)


def test_everything_written_is_audio_of_the_song(tmp_path, loop, parts):
    audio.write(tmp_path / "kick.wav", parts.stems["kick"], loop.sr)
    read, sr = audio.read(tmp_path / "kick.wav")
    assert sr == SR and np.array_equal(read, parts.stems["kick"])

"""Records check themselves, cannot be written into, and melodies survive the way through a file."""

import dataclasses
import warnings

import numpy as np
import pretty_midi
import pytest

from melodylab.errors import InputError
from melodylab.records import DrumOnsets, Features, Mask, Melody, Salience, Song

TIMES = np.arange(6) * 256 / 22050
F0 = np.array([220.0, 221.5, 110.25, np.nan, 440.0, 330.0])
VOICING = np.array([1.0, 0.5, 0.49, 0.0, 0.9, 0.0])


@pytest.fixture
def melody():
    return Melody(TIMES, F0, VOICING)


def test_a_melody_tells_sung_from_guessed(melody):
    assert len(melody) == 6
    np.testing.assert_array_equal(
        melody.voiced, [True, True, False, False, True, False]
    )  # 0.5 is voiced
    np.testing.assert_array_equal(melody.sung_hz, [220, 221.5, np.nan, np.nan, 440, np.nan])
    np.testing.assert_array_equal(melody.signed_hz, [220, 221.5, -110.25, 0, 440, -330])


def test_signs_come_back_as_guesses_and_nan(melody):
    back = Melody.from_signed(TIMES, melody.signed_hz)
    np.testing.assert_array_equal(back.f0_hz, F0)
    np.testing.assert_array_equal(back.voiced, melody.voiced)
    np.testing.assert_array_equal(Melody.from_signed([0, 1], [np.nan, 5.0]).f0_hz, [np.nan, 5])


def test_a_melody_survives_its_file(melody, tmp_path):
    melody.to_csv(tmp_path / "m.csv")
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert (
        lines[:2] == ["# time_s,f0_hz", "0.000000,220.000"] and len(lines) == 7
    )  # every frame has its row
    back = Melody.from_csv(tmp_path / "m.csv")
    np.testing.assert_allclose(back.times_s, TIMES, atol=1e-6)
    np.testing.assert_allclose(back.f0_hz, F0, atol=1e-3)
    np.testing.assert_array_equal(back.voiced, melody.voiced)


@pytest.mark.parametrize(
    ("times_s", "f0_hz", "voicing", "words"),
    [
        ([0, 1], [220], [1, 1], "differ in length"),
        ([0, 0], [220, 220], [1, 1], "must rise"),
        ([0, 1], [220, 0], [1, 0], "must be positive"),
        ([0, 1], [220, -220], [1, 0], "from_csv translates signs"),
        ([0, 1], [220, np.inf], [1, 1], "must be positive"),
        ([0, np.nan], [220, 220], [1, 1], "times_s must be finite"),
        ([0, np.inf], [220, 220], [1, 1], "times_s must be finite"),
        ([0, 1], [220, 220], [1, 1.5], "0..1"),
        ([0, 1], [220, 220], [1, np.nan], "0..1"),
        ([0, 1], [220, np.nan], [1, 1], "a voiced frame needs an f0"),
        ([[0, 1]], [220, 220], [1, 1], "times_s needs 1 dimension"),
    ],
)
def test_an_impossible_melody_is_refused(times_s, f0_hz, voicing, words):
    with pytest.raises(ValueError, match=words):
        Melody(times_s, f0_hz, voicing)


def test_records_cannot_be_written_into_and_do_not_lock_the_callers_array(melody):
    with pytest.raises(ValueError, match="read-only"):
        melody.f0_hz[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        melody.f0_hz = F0
    TIMES[0] += 0  # still the caller's to write


def notes_in(path):
    return [note for track in pretty_midi.PrettyMIDI(str(path)).instruments for note in track.notes]


def test_a_melody_becomes_notes(tmp_path):
    times_s = np.arange(200) * 0.01
    f0_hz = np.where(times_s < 1, 440.0, 523.25)
    voicing = ((times_s < 0.8) | (times_s >= 1)).astype(float)
    Melody(times_s, f0_hz, voicing).to_midi(tmp_path / "m.mid")
    notes = notes_in(tmp_path / "m.mid")
    assert [note.pitch for note in notes] == [69, 72]
    np.testing.assert_allclose([(n.start, n.end) for n in notes], [(0, 0.8), (1, 2)], atol=0.01)
    Melody(times_s, f0_hz, 0 * voicing).to_midi(tmp_path / "silent.mid")
    assert notes_in(tmp_path / "silent.mid") == []


def test_vibrato_stays_one_note_and_a_semitone_step_splits(tmp_path):
    times_s = np.arange(300) * 0.01
    midi = 60 + 0.5 * np.sin(2 * np.pi * 6 * times_s) + (times_s >= 1.5)
    Melody(times_s, 440 * 2 ** ((midi - 69) / 12), np.ones(300)).to_midi(tmp_path / "m.mid")
    assert [note.pitch for note in notes_in(tmp_path / "m.mid")] == [60, 61]


def test_quick_notes_are_kept_and_the_shortest_dropped(tmp_path):
    midi = np.repeat(
        [60, 64, 60, 64, 62], [12, 12, 12, 12, 4]
    )  # eighths at 250 a minute, and a slip of 40 ms
    times_s = np.arange(len(midi)) * 0.01
    Melody(times_s, 440 * 2 ** ((midi - 69) / 12), np.ones(len(midi))).to_midi(tmp_path / "m.mid")
    assert [note.pitch for note in notes_in(tmp_path / "m.mid")] == [60, 64, 60, 64]
    Melody([0.0], [440.0], [1.0]).to_midi(tmp_path / "one.mid")
    assert notes_in(tmp_path / "one.mid") == []  # a single frame is 10 ms


def test_drum_hits():
    hits = DrumOnsets([0.0, 0.5, 0.5], ["kick", "snare", "kick"], [1, 0.5, 0.2])
    np.testing.assert_array_equal(hits.of_class("kick"), [0, 0.5])
    assert hits.of_class("toms").shape == (0,) and hits.classes == ("kick", "snare", "kick")
    assert DrumOnsets([], [], []).of_class("kick").shape == (0,)
    with pytest.raises(ValueError, match="differ in length"):
        DrumOnsets([0.0], ["kick", "snare"], [1])
    with pytest.raises(ValueError, match="order of time"):
        DrumOnsets([1.0, 0.5], ["kick", "snare"], [1, 1])


@pytest.mark.parametrize(
    ("dtype", "full"),
    [(np.int8, 128), (np.int16, 2**15), (np.int32, 2**31), (np.float64, 1), (np.float32, 1)],
)
def test_arrays_become_songs_at_full_scale_1(dtype, full):
    song = Song.from_array(
        np.array([0, full // 2 if full > 1 else 0.5, -full]).astype(dtype), 8000, "x"
    )
    np.testing.assert_array_equal(song.audio, np.array([[0, 0.5, -1]], dtype=np.float32))
    assert (song.audio.dtype, song.channels, song.sr, song.name, song.duration_s) == (
        np.float32,
        1,
        8000,
        "x",
        3 / 8000,
    )


def test_mono_is_the_mean_and_nothing_is_rescaled(rng):
    y = np.array([[5.0], [2.0], [0.0]]) * rng.standard_normal(50)
    song = Song.from_array(y, 44100)
    np.testing.assert_allclose(song.audio, y, rtol=1e-6)
    np.testing.assert_allclose(song.mono, y.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert song.mono.dtype == np.float32 and song.mono.shape == (50,)


def test_broken_samples_become_silence_with_a_warning():
    with pytest.warns(UserWarning, match="demo: 3 NaN or infinite samples were set to 0"):
        song = Song.from_array([0.5, np.nan, np.inf, -np.inf, 0.25], 8000, "demo")
    np.testing.assert_array_equal(song.audio, [[0.5, 0, 0, 0, 0.25]])


@pytest.mark.parametrize(
    ("audio", "sr", "extra", "words"),
    [
        (np.zeros(10), 8000, {}, "from_array takes a plain array"),
        (np.zeros((0, 10)), 8000, {}, "not empty"),
        (np.zeros((1, 0)), 8000, {}, "not empty"),
        (np.zeros((1, 10)), 0, {}, "rate must be positive"),
        (np.zeros((1, 10)), 8000, {"stems": {"bass": np.zeros((2, 10))}}, "stem bass is"),
    ],
)
def test_an_impossible_song_is_refused(audio, sr, extra, words):
    with pytest.raises(ValueError, match=words):
        Song(audio, sr, **extra)


def test_an_excerpt_takes_its_truth_along(rng):
    y = rng.standard_normal((2, 22050)).astype(np.float32)
    times_s = np.arange(100) * 0.01
    melody = Melody(times_s, 220 + times_s, np.ones(100))
    song = Song(
        y,
        22050,
        stems={"voice": y / 2},
        melody=melody,
        onsets=DrumOnsets([0.1, 0.5, 0.9], "abc", [1, 1, 1]),
    )
    part = song.excerpt(0.5, 0.8)
    np.testing.assert_array_equal(part.audio, y[:, 11025:17640])
    np.testing.assert_array_equal(part.stems["voice"], y[:, 11025:17640] / 2)
    np.testing.assert_allclose(part.melody.times_s, np.arange(30) * 0.01, atol=1e-9)
    np.testing.assert_allclose(part.melody.f0_hz, 220.5 + np.arange(30) * 0.01)
    np.testing.assert_allclose(part.onsets.times_s, [0])
    assert part.onsets.classes == ("b",)
    whole = song.excerpt(-1, 99)
    assert (
        whole.audio.shape == y.shape
        and whole.melody.times_s[0] == 0
        and whole.onsets.times_s[0] == 0.1
    )
    with pytest.raises(ValueError, match="the song lasts 1.00 s"):
        song.excerpt(2, 3)


AXES = {"freqs_hz": [100.0, 200.0], "times_s": [0.0, 0.1, 0.2]}


@pytest.mark.parametrize("make", [
    lambda values, **axes: Features(np.asarray(values)[None], kind="cqt", **axes), Salience, Mask,
], ids=["Features", "Salience", "Mask"])  # fmt: skip
def test_pictures_check_their_axes(make):
    record = make(np.full((2, 3), 0.5), **AXES)
    assert record.values.shape[-2:] == (2, 3) and record.values.dtype == np.float32
    with pytest.raises(
        ValueError, match=r"values are \(3, 2\) \(freq, time\) but the axes have 2 and 3"
    ):
        make(np.zeros((3, 2)), **AXES)
    assert np.isnan(make(np.zeros((2, 3)), **{**AXES, "freqs_hz": [np.nan] * 2}).freqs_hz).all()
    for axis, wrong in [
        ("freqs_hz", [200.0, 100.0]),
        ("freqs_hz", [100.0, np.nan]),
        ("times_s", [0.0, 0.1, 0.1]),
    ]:
        with pytest.raises(ValueError, match=f"{axis} must rise"):
            make(np.zeros((2, 3)), **{**AXES, axis: wrong})
    with pytest.raises(ValueError, match="dimension"):
        make(np.zeros(3), **AXES)


@pytest.mark.parametrize("bad", [-0.1, np.nan])
def test_salience_and_masks_check_their_range(bad):
    values = np.full((2, 3), 0.5)
    values[0, 0] = bad
    with pytest.raises(ValueError, match="salience must be finite and not negative"):
        Salience(values, **AXES)
    with pytest.raises(ValueError, match="a mask lies in 0..1"):
        Mask(values, **AXES)
    with pytest.raises(ValueError, match="a mask lies in 0..1"):
        Mask(np.full((2, 3), 1.01), **AXES)
    with pytest.raises(ValueError, match="unvoiced has 2 frames, the salience 3"):
        Salience(np.ones((2, 3)), **AXES, unvoiced=[0, 1])


def test_a_mask_and_its_complement_are_one(rng):
    mask = Mask(rng.random((2, 3)), **AXES)
    np.testing.assert_allclose(mask.values + mask.complement.values, 1)


def test_warnings_point_at_the_caller():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Song.from_array([np.nan], 8000)
        Song(np.array([[np.nan]]), 8000)
    assert len(told) == 2


def test_soundfiles_axes_are_refused_with_the_way_out(rng):
    y = rng.standard_normal((57600, 2))
    for make in (Song, Song.from_array):
        with pytest.raises(InputError, match=r"\(57600, 2\), which looks like .* y.T"):
            make(y, 44100)
    assert Song.from_array(y.T, 44100).channels == 2
    assert Song.from_array(np.zeros((8, 1)), 44100).channels == 8  # a single sample is a song, too


@pytest.mark.parametrize(("dtype", "middle"), [(np.uint8, 128), (np.uint16, 2**15)])
def test_unsigned_samples_lie_around_the_middle(dtype, middle):
    song = Song.from_array(np.array([middle, middle * 3 // 2, 0], dtype), 8000)
    np.testing.assert_array_equal(song.audio, [[0, 0.5, -1]])


@pytest.mark.parametrize("y", [np.array(["a"]), np.array([1j]), np.array([True]), None])
def test_what_is_no_number_is_no_sample(y):
    with pytest.raises(InputError, match="samples must be real numbers"):
        Song.from_array(y, 8000)


def test_a_song_fainter_than_any_recording_is_silence():
    with pytest.warns(UserWarning, match="no sample is above 1e-39 of full scale"):
        song = Song.from_array(np.full(10, 1e-39), 8000, "faint")
    assert not song.audio.any()
    assert Song.from_array(np.full(10, 1e-20), 8000).audio.all()


def test_nobody_can_change_a_record_any_more():
    y, stem, times_s = np.zeros((2, 9), np.float32), np.zeros((2, 9), np.float32), np.arange(2.0)
    f0_hz, level, hit_s = np.full(2, 220.0), np.ones(2), np.zeros(2)
    song = Song(y, 8000, stems={"bass": stem}, melody=Melody(times_s, f0_hz, level))
    hits, seen = DrumOnsets(hit_s, "ab", level), y.view()
    seen.flags.writeable = False  # a lock on a view is no lock: y can still be written
    second = Song(seen, 8000)
    for array in (y, stem, times_s, f0_hz, level, hit_s):
        array[...] = 7
    assert not song.audio.any() and not song.stems["bass"].any() and not second.audio.any()
    assert song.melody.times_s.tolist() == [0, 1] and song.melody.f0_hz.tolist() == [220, 220]
    assert hits.times_s.tolist() == [0, 0] and hits.velocity.tolist() == [1, 1]


def test_what_is_locked_is_not_copied():
    y = np.zeros((2, 9), np.float32)
    y.flags.writeable = False
    song = Song(y, 8000)
    assert np.shares_memory(song.audio, y)
    assert np.shares_memory(song.excerpt(0, 1).audio, y)


def test_the_hash_tells_songs_apart_by_their_sound(rng):
    y = rng.standard_normal((2, 50)).astype(np.float32)
    song = Song(y, 8000, "a")
    assert song.sha256 == Song(y.copy(), 8000, "b").sha256 and len(song.sha256) == 64
    others = [
        Song(y[::-1], 8000),
        Song(y, 8001),
        Song(y.reshape(1, 100), 8000),
        Song(y + 1e-6, 8000),
    ]
    assert len({song.sha256, *(other.sha256 for other in others)}) == 5


@pytest.mark.parametrize(
    ("times_s", "velocity", "words"),
    [
        ([0, np.nan], [1, 1], "times_s must be finite"),
        ([0, 1], [1, 7], "velocity must lie in 0..1"),
        ([0, 1], [1, -0.1], "velocity must lie in 0..1"),
        ([0, 1], [1, np.nan], "velocity must lie in 0..1"),
    ],
)
def test_impossible_hits_are_refused(times_s, velocity, words):
    with pytest.raises(ValueError, match=words):
        DrumOnsets(times_s, "ab", velocity)


def test_an_impossible_salience_is_refused():
    with pytest.raises(ValueError, match="finite and not negative"):
        Salience(np.full((2, 3), np.inf), **AXES)
    with pytest.raises(ValueError, match="unvoiced must be a number in each frame, got NaN"):
        Salience(np.ones((2, 3)), **AXES, unvoiced=[0, np.nan, 1])
    with pytest.raises(ValueError, match="times_s must be finite"):
        Salience(np.ones((1, 1)), [100.0], [np.nan])


def test_a_single_frame_is_voiced_around_itself_only():
    one = Melody([1.0], [220.0], [1.0])
    times_s = [0, 0.98, 0.995, 1.0, 1.005, 1.02, 2]
    assert one.resampled(times_s).voiced.tolist() == [False, False, True, True, True, False, False]


def test_records_are_short_in_print(melody):
    song = Song(np.zeros((2, 80000)), 8000, "a", {"bass": np.zeros((2, 80000))}, melody)
    assert repr(song) == "Song('a', 10.00 s, stereo at 8000 Hz, stems: bass, true melody)"
    assert repr(melody) == "Melody(6 frames, 0.00 to 0.06 s, 50% voiced, 220 to 440 Hz)"
    assert repr(DrumOnsets([0, 1, 2], ["kick", "snare", "kick"], np.ones(3))) == (
        "DrumOnsets(2 kick, 1 snare)"
    )
    for made in (Mask(np.ones((2, 3)), **AXES), Salience(np.ones((2, 3)), **AXES, made_by="x")):
        assert len(repr(made)) < 60

"""Notes from a pitch line: the planted ones come back."""

import numpy as np
import pretty_midi
import pytest

from melodylab import api, synth
from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.io import midi
from melodylab.records import Melody, Song

HOP_S = 0.01


def line(*parts):
    """(times_s, f0_hz, voiced) from (seconds, midi) pairs; midi None is a rest."""
    pitch = np.concatenate(
        [np.full(round(s / HOP_S), np.nan if p is None else p) for s, p in parts]
    )
    return np.arange(len(pitch)) * HOP_S, grids.midi_to_hz(pitch), np.isfinite(pitch)


def test_planted_notes_come_back():
    notes = midi.notes_from_f0(*line((0.5, None), (0.4, 60), (0.1, None), (0.6, 67), (0.2, None)))
    assert [note for *_, note in notes] == [60, 67]
    assert np.allclose([(a, b) for a, b, _ in notes], [(0.5, 0.9), (1.0, 1.6)])


def test_a_note_at_the_end_lasts_through_its_last_frame():
    notes = midi.notes_from_f0(*line((0.2, None), (0.3, 64)))
    assert notes == [(pytest.approx(0.2), pytest.approx(0.5), 64)]


def test_notes_are_named_by_the_nearest_semitone():
    parts = line((0.3, 60.4), (0.1, None), (0.3, 60.6))
    notes = midi.notes_from_f0(*parts, tuning_cents=0)
    assert [note for *_, note in notes] == [60, 61]


HOPS_S = (0.01, 256 / 22050, 512 / 22050, 0.02)


def curve(midi_of_s, hop_s, seconds=4.0):
    """(times_s, f0_hz, voiced) of a pitch that is a function of the time."""
    times_s = np.arange(int(seconds / hop_s)) * hop_s
    return times_s, grids.midi_to_hz(midi_of_s(times_s)), np.ones(len(times_s), bool)


@pytest.mark.parametrize("hop_s", HOPS_S)
@pytest.mark.parametrize("rate_hz", [4.5, 5, 7])
def test_wide_vibrato_is_one_note_at_any_hop(hop_s, rate_hz):
    """Before: 1, 40, 1, 40 notes at 5 Hz."""
    pitch = curve(lambda t: 69 + np.sin(2 * np.pi * rate_hz * t), hop_s)
    ((start_s, end_s, note),) = midi.notes_from_f0(*pitch)
    assert note == 69 and start_s == 0 and end_s == pytest.approx(4, abs=0.03)


@pytest.mark.parametrize("phase", [0.25, 0.75])
def test_a_note_may_begin_at_the_turn_of_its_vibrato(phase):
    pitch = curve(lambda t: 69 + np.sin(2 * np.pi * (5 * t + phase)), HOPS_S[1])
    assert [note for *_, note in midi.notes_from_f0(*pitch)] == [69]


def test_a_slide_over_an_octave_is_the_same_few_notes_at_any_hop():
    """Before: one note of four seconds, or nine."""
    found = [midi.notes_from_f0(*curve(lambda t: 57 + 3 * t, hop_s)) for hop_s in HOPS_S]
    pitches = [[note for *_, note in notes] for notes in found]
    assert all(other == pitches[0] for other in pitches) and 4 <= len(pitches[0]) <= 7
    starts_s = np.array([[start_s for start_s, *_ in notes] for notes in found])
    assert np.ptp(starts_s, axis=0).max() < 0.03
    for start_s, end_s, note in found[0]:
        assert note == pytest.approx(57 + 1.5 * (start_s + end_s), abs=0.6)


@pytest.mark.parametrize("cents", [37, 50, -20, 0])
@pytest.mark.parametrize("hop_s", HOPS_S[:3])
def test_a_tune_between_two_semitones_keeps_its_intervals(cents, hop_s, tmp_path):
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72])
    pitch = curve(lambda t: scale[np.minimum((2 * t).astype(int), 7)] + cents / 100, hop_s)
    notes = np.array([note for *_, note in midi.notes_from_f0(*pitch)])
    told = midi.write_melody(tmp_path / "scale.mid", *pitch)
    assert np.array_equal(np.diff(notes), np.diff(scale))
    assert notes[0] + told / 100 == pytest.approx(60 + cents / 100, abs=0.01)
    (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "scale.mid")).instruments
    assert f"{told:+.0f} cents" in track.name and not track.pitch_bends


def test_wide_vibrato_does_not_move_the_tuning():
    for depth in (0.5, 0.8, 1.0):
        pitch = curve(lambda t, depth=depth: 69.2 + depth * np.sin(10 * np.pi * t), 0.01)
        assert midi.tuning(*pitch) == pytest.approx(20, abs=4)
    assert midi.tuning([], [], []) == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sfnmf", "best"])
def test_a_recorded_vibrato_is_one_note(method):
    """Twelve harmonics, 5 Hz, a semitone to either side. Before: 28 notes by sfnmf, 4 by best."""
    sr = 22050
    phase = 2 * np.pi * np.cumsum(440 * 2 ** (np.sin(2 * np.pi * 5 * np.arange(3 * sr) / sr) / 12))
    tone = sum(np.sin(k * phase / sr) / k for k in range(1, 13))
    fade = np.minimum(1, np.minimum(np.arange(3 * sr), 3 * sr - np.arange(3 * sr)) / (0.05 * sr))
    rest = np.zeros(sr // 3)
    song = Song.from_array(np.concatenate([rest, 0.2 * fade * tone, rest]), sr)
    melody = api.extract_melody(song, method)
    notes = midi.notes_from_f0(melody.times_s, melody.f0_hz, melody.voiced)
    assert [note for *_, note in notes] == [69]


def test_short_gaps_of_the_voicing_end_no_note():
    for hop_s in HOPS_S:
        times_s, f0_hz, voiced = curve(lambda t: 60 + 0 * t, hop_s)
        voiced[round(1 / hop_s)] = False
        assert len(midi.notes_from_f0(times_s, f0_hz, voiced)) == 1
        voiced[round(2 / hop_s) : round(2.1 / hop_s)] = False
        assert len(midi.notes_from_f0(times_s, f0_hz, voiced)) == 2


def test_bends_follow_the_line(tmp_path):
    times_s, f0_hz, voiced = curve(lambda t: 69.3 + 0.8 * np.sin(10 * np.pi * t), 0.01)
    midi.write_melody(tmp_path / "bent.mid", times_s, f0_hz, voiced, bends=True)
    (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "bent.mid")).instruments
    (note,) = track.notes
    moments = np.array([(bend.time, bend.pitch) for bend in track.pitch_bends])
    semitones = np.interp(times_s, moments[:, 0], moments[:, 1]) / 8191 * midi.BEND_SEMITONES
    wanted = grids.hz_to_midi(f0_hz)
    assert np.abs(note.pitch + semitones - wanted)[1:].max() < 0.06
    range_set = [(c.number, c.value) for c in track.control_changes]
    assert range_set == [(101, 0), (100, 0), (6, 12)]


def test_tempo_is_found_or_given_and_moves_no_note(tmp_path):
    parts = line(*[(0.3, 60 + n % 2 * 4) for n in range(20)])  # eighths of 100 beats a minute
    for given, told in ((None, 100), (87.5, 87.5)):
        midi.write_melody(tmp_path / "t.mid", *parts, tempo_bpm=given)
        score = pretty_midi.PrettyMIDI(str(tmp_path / "t.mid"))
        assert score.get_tempo_changes()[1][0] == pytest.approx(told, rel=0.01)
        starts_s = [note.start for note in score.instruments[0].notes]
        assert np.allclose(starts_s, 0.3 * np.arange(20), atol=1e-3)
    with pytest.raises(InputError, match="give 4 to 1000"):
        midi.write_melody(tmp_path / "no.mid", *parts, tempo_bpm=0)
    assert not (tmp_path / "no.mid").exists()


def test_loudness_becomes_velocity(tmp_path):
    parts = line((0.5, 60), (0.5, 64))
    loudness = np.repeat([0.25, 1.0], 50)
    midi.write_melody(tmp_path / "v.mid", *parts, loudness=loudness)
    (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "v.mid")).instruments
    assert [note.velocity for note in track.notes] == [32, 127]
    with pytest.raises(InputError, match="one value a frame"):
        midi.write_melody(tmp_path / "no.mid", *parts, loudness=loudness[:3])


@pytest.mark.parametrize("depth_cents", [30, 50, 80])
def test_vibrato_does_not_split_a_note(depth_cents):
    times_s, f0_hz, voiced = line((2.0, 69))
    f0_hz = f0_hz * 2 ** (depth_cents / 1200 * np.sin(2 * np.pi * 5.5 * times_s))
    assert midi.notes_from_f0(times_s, f0_hz, voiced) == [(0.0, pytest.approx(2.0), 69)]


def test_a_semitone_step_splits():
    notes = midi.notes_from_f0(*line((0.5, 60), (0.5, 61), (0.5, 60)))
    assert notes == [(0.0, pytest.approx(0.5), 60), (pytest.approx(0.5), pytest.approx(1.0), 61),
                     (pytest.approx(1.0), pytest.approx(1.5), 60)]  # fmt: skip


def test_a_slow_slide_is_followed():
    times_s = np.arange(200) * HOP_S
    notes = midi.notes_from_f0(
        times_s, grids.midi_to_hz(60 + times_s), np.ones(200, bool)
    )  # two semitones in two seconds
    assert len(notes) == 1 and notes[0][2] == 61


def test_short_blips_are_dropped():
    parts = line((0.05, 60), (0.2, None), (0.3, 62))
    assert [note for *_, note in midi.notes_from_f0(*parts)] == [62]
    assert [note for *_, note in midi.notes_from_f0(*parts, min_note_s=0.03)] == [60, 62]


def test_unvoiced_guesses_make_no_notes():
    times_s, f0_hz, _ = line((1.0, 60))
    assert midi.notes_from_f0(times_s, f0_hz, np.zeros(100, bool)) == []
    assert midi.notes_from_f0([], [], []) == []
    assert (
        midi.notes_from_f0(times_s, np.full(100, np.nan), np.ones(100, bool)) == []
    )  # voiced without a pitch


def test_written_file_holds_the_notes(tmp_path):
    midi.write_melody(tmp_path / "a.mid", *line((0.5, 60), (0.25, None), (0.5, 64)))
    (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments
    assert [note.pitch for note in track.notes] == [60, 64]
    assert np.allclose(
        [(note.start, note.end) for note in track.notes], [(0, 0.5), (0.75, 1.25)], atol=0.005
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.mid"]  # no temporary file is left


def test_silence_gives_an_empty_but_valid_file(tmp_path):
    Melody(np.arange(3) * HOP_S, np.full(3, np.nan), np.zeros(3)).to_midi(tmp_path / "silence.mid")
    score = pretty_midi.PrettyMIDI(str(tmp_path / "silence.mid"))
    assert sum(len(track.notes) for track in score.instruments) == 0


def test_pitches_beyond_midi_are_clipped(tmp_path):
    midi.write_melody(tmp_path / "high.mid", *line((0.5, 140)))
    (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "high.mid")).instruments
    assert [note.pitch for note in track.notes] == [127]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_notes_of_a_sung_song_are_found(seed):
    """Scoops, vibrato, glides and breaths included."""
    song, score = synth.demo_song(seed, 12), synth.compose(seed, 12)
    found = midi.notes_from_f0(song.melody.times_s, song.melody.f0_hz, song.melody.voiced)
    planted = [note for note in score.melody if note.end_s < 12]
    right = [
        any(abs(a - note.start_s) < 0.12 and p == note.midi for a, _, p in found)
        for note in planted
    ]
    assert len(planted) > 8 and np.mean(right) > 0.8 and len(found) < 1.3 * len(planted)

"""Notes from a pitch line: the planted ones come back."""

import numpy as np
import pretty_midi
import pytest

from melodylab import synth
from melodylab.dsp import grids
from melodylab.io import midi
from melodylab.records import Melody

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
    notes = midi.notes_from_f0(*line((0.3, 60.4), (0.1, None), (0.3, 60.6)))
    assert [note for *_, note in notes] == [60, 61]


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

"""Notes from melodies and hits; pretty_midi lives only here.

Works on plain arrays, so that it can lie beneath `records` and `Melody.to_midi` can be an ordinary method.
"""

import numpy as np

from melodylab import files
from melodylab.dsp import grids
from melodylab.errors import InputError


def notes_from_f0(times_s, f0_hz, voiced, *, min_note_s=0.08, split_semitones=0.7, smooth_s=0.15):
    """Turn a frame-wise pitch line into notes: list of (start_s, end_s, midi_note).

    A note ends where voicing ends or where the pitch, median-filtered over `smooth_s` against vibrato, leaves the note's
    running median by more than `split_semitones`. Shorter notes than `min_note_s` are dropped. Silence in, empty list out.
    times_s, f0_hz, voiced: shape (frames,); f0 in Hz, NaN allowed where not voiced.
    """
    times_s = np.asarray(times_s, dtype=float)
    midi = grids.hz_to_midi(f0_hz)
    voiced = np.asarray(voiced, dtype=bool) & np.isfinite(midi)
    hop_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.01
    edges = np.flatnonzero(np.diff(voiced, prepend=False, append=False))
    notes = []
    for first, end in edges.reshape(-1, 2):  # one stretch of voicing after the other
        smooth = _median_filter(midi[first:end], half_width=int(smooth_s / hop_s / 2))
        start = 0
        for n in range(1, end - first + 1):
            # the median of the last 30 frames follows a slow slide
            if (
                n == end - first
                or abs(smooth[n] - np.median(smooth[max(start, n - 30) : n])) > split_semitones
            ):
                start_s, end_s = times_s[first + start], times_s[first + n - 1] + hop_s
                if end_s - start_s >= min_note_s:
                    notes.append(
                        (
                            float(start_s),
                            float(end_s),
                            int(np.round(np.median(midi[first + start : first + n]))),
                        )
                    )
                start = n
    return notes


def _median_filter(line, half_width):
    """Running median over 2 half_width + 1 frames, held at the ends: mirrored, half a swing of vibrato looks like a step."""
    half_width = min(half_width, (len(line) - 1) // 2)
    inner = np.median(np.lib.stride_tricks.sliding_window_view(line, 2 * half_width + 1), axis=1)
    return np.pad(inner, half_width, mode="edge")[: len(line)]


def write_melody(path, times_s, f0_hz, voiced, **options):
    """Write the notes of a melody as a one-track MIDI file (complete or absent). Options: see `notes_from_f0`."""
    import pretty_midi  # slow to load, and every record stands on this module

    score = pretty_midi.PrettyMIDI()
    track = pretty_midi.Instrument(
        program=65, name="melody"
    )  # alto sax: sustained, so note lengths can be heard
    for start_s, end_s, note in notes_from_f0(times_s, f0_hz, voiced, **options):
        track.notes.append(
            pretty_midi.Note(
                velocity=90, pitch=int(np.clip(note, 0, 127)), start=start_s, end=end_s
            )
        )
    score.instruments.append(track)
    with files.complete_or_absent(path) as temporary:
        score.write(str(temporary))


DRUM_NOTES = {
    "kick": 36,
    "snare": 38,
    "open_hihat": 46,
    "closed_hihat": 42,
    "toms": 45,
}  # of General MIDI's drum channel


_HIT_S = 0.05


def write_hits(path, onsets):
    """Write drum hits (`times_s`, `classes`, `velocity` 0..1 of a `DrumOnsets`) as General MIDI drums on channel 10.

    Times are exact to a third of a millisecond. Two hits of a class within one tick of 0.5 ms are one note.
    Raises InputError for a class that is not in DRUM_NOTES. Complete or absent.
    """
    import pretty_midi

    if unknown := sorted(set(onsets.classes) - set(DRUM_NOTES)):
        raise InputError(
            f"no drum note is known for {unknown[0]!r}; choose classes of {', '.join(DRUM_NOTES)}"
        )
    score = pretty_midi.PrettyMIDI(
        resolution=960
    )  # ticks a quarter note, which lasts half a second
    track = pretty_midi.Instrument(0, is_drum=True, name="drums")
    next_s = {}
    for time_s, kind, velocity in reversed(
        list(zip(onsets.times_s, onsets.classes, onsets.velocity, strict=True))
    ):
        end_s = min(time_s + _HIT_S, next_s.get(kind, np.inf))
        if score.time_to_tick(end_s) > score.time_to_tick(time_s):
            strength = int(np.clip(round(127 * velocity), 1, 127))
            track.notes.append(
                pretty_midi.Note(strength, DRUM_NOTES[kind], float(time_s), float(end_s))
            )
            next_s[kind] = time_s
    score.instruments.append(track)
    with files.complete_or_absent(path) as temporary:
        score.write(str(temporary))


BEND_SEMITONES = 12.0  # as far as a part with bends of its own can go


def write_parts(path, parts, *, tuning=0.0, bends=()):
    """Write parts of (program, is_drum, [(start_s, end_s, midi_note, velocity 0..1)]) as a MIDI file, for a synthesiser.

    tuning: semitones in -2..2 that every pitched part is bent up by. bends: (time_s, semitones in -12..12) of the first part,
    in order of time, instead.
    """
    import pretty_midi

    score = pretty_midi.PrettyMIDI(resolution=960)
    for number, (program, is_drum, notes) in enumerate(parts):
        track = pretty_midi.Instrument(program, is_drum)
        if number == 0 and len(bends):
            setting = (
                (101, 0),
                (100, 0),
                (6, int(BEND_SEMITONES)),
            )  # registered parameter 0: how far a bend goes
            # a tick or two apart, for pretty_midi sorts what is simultaneous by its number
            track.control_changes += [
                pretty_midi.ControlChange(c, value, 1e-3 * i)
                for i, (c, value) in enumerate(setting)
            ]
            values = np.clip(
                np.round(8191 * np.array(bends)[:, 1] / BEND_SEMITONES), -8192, 8191
            ).astype(int)
            track.pitch_bends += [
                pretty_midi.PitchBend(int(v), t) for v, (t, _) in zip(values, bends, strict=True)
            ]
        elif tuning and not is_drum:
            track.pitch_bends.append(pretty_midi.PitchBend(round(8191 * tuning / 2), 0.0))
        for start_s, end_s, note, velocity in notes:
            track.notes.append(
                pretty_midi.Note(
                    round(1 + 126 * velocity),
                    int(np.clip(note, 0, 127)),
                    start_s,
                    max(end_s, start_s + 0.02),
                )
            )
        score.instruments.append(track)
    with files.complete_or_absent(path) as temporary:
        score.write(str(temporary))

"""Notes from melodies and hits; pretty_midi lives only here.

Works on plain arrays, so that it can lie beneath `records` and `Melody.to_midi` can be an ordinary
method.
Whatever is meant in time is in seconds, so the same line gives the same notes at any hop.
"""

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Protocol

import numpy as np

from melodylab import files
from melodylab.dsp import grids, pulse
from melodylab.errors import InputError
from melodylab.io import segments

DRUM_NOTES = {  # of General MIDI's drum channel
    "kick": 36,
    "snare": 38,
    "open_hihat": 46,
    "closed_hihat": 42,
    "toms": 45,
}
MIN_NOTE_S, MIN_GAP_S = 0.08, 0.03

_IN_TUNE = 0.3  # length of the notes' mean arrow on the circle of a semitone
_BEND_CENTS = 2.0  # smaller changes are not written
_DEFAULT_BPM = 120.0

Notes = list[tuple[float, float, int]]


class Hits(Protocol):
    """What `write_hits` asks of hits, and a `DrumOnsets` has."""

    @property
    def times_s(self) -> np.ndarray:
        """(hits,) seconds."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """(hits,) of DRUM_NOTES."""
        ...

    @property
    def velocity(self) -> np.ndarray:
        """(hits,) in 0..1."""
        ...


def notes_from_f0(
    times_s: np.ndarray,
    f0_hz: np.ndarray,
    voiced: np.ndarray,
    *,
    min_note_s: float = MIN_NOTE_S,
    min_gap_s: float = MIN_GAP_S,
    tuning_cents: float | None = None,
) -> Notes:
    """Turn a frame-wise pitch line into notes.

    Of all lines of steps the one is taken that lies nearest to the pitch with few changes; vibrato
    stays one note, and a slow slide becomes a note every two or three semitones.

    Parameters
    ----------
    times_s : numpy.ndarray
        (frames,) evenly spaced, seconds; the hop changes nothing.
    f0_hz : numpy.ndarray
        (frames,) in Hz, NaN allowed where not voiced.
    voiced : numpy.ndarray
        (frames,) bool.
    min_note_s : float
        Shorter notes, in seconds, go to their neighbour, or away where they stand alone.
    min_gap_s : float
        Shorter interruptions of the voicing, in seconds, end no note.
    tuning_cents : float, optional
        How far above equal temperament at 440 Hz the notes lie; found by `tuning` if not given.

    Returns
    -------
    list of (float, float, int)
        Start and end in seconds and MIDI note of each, counted from the tuning, so that intervals
        are kept. Silence gives an empty list.
    """
    if tuning_cents is None:
        tuning_cents = tuning(times_s, f0_hz, voiced, min_gap_s=min_gap_s)
    offset = tuning_cents / 100
    times_s = np.asarray(times_s, dtype=float)
    hop_s = _hop_s(times_s)
    notes = []
    for first, midi in _stretches(times_s, f0_hz, voiced, min_gap_s):
        parts = segments._steps(midi - offset, hop_s, 1.0)
        parts = segments._short_joined(parts, min_note_s / hop_s, 2 * segments._CHANGE / hop_s)
        for a, b in segments._slides_joined(parts, midi - offset):
            if (b - a) * hop_s >= min_note_s - 1e-9:
                note = int(np.floor(np.median(midi[a:b]) - offset + 0.5))
                start_s, end_s = times_s[first + a], times_s[first + b - 1] + hop_s
                notes.append((float(start_s), float(end_s), note))
    return notes


def tuning(
    times_s: np.ndarray,
    f0_hz: np.ndarray,
    voiced: np.ndarray,
    *,
    min_gap_s: float = MIN_GAP_S,
) -> float:
    """How far the notes of a whole tune lie above the nearest ones of equal temperament at 440 Hz.

    Parameters
    ----------
    times_s, f0_hz, voiced, min_gap_s
        As in `notes_from_f0`.

    Returns
    -------
    float
        Cents, -50..50: the mean direction of the notes on a circle of a semitone, long notes weigh
        more. 0 in silence, and where the notes have no tuning in common.
    """
    hop_s, arrow, total = _hop_s(times_s), 0j, 0.0
    for _, midi in _stretches(times_s, f0_hz, voiced, min_gap_s):
        for a, b, _ in segments._steps(midi, hop_s, 0.5):
            arrow += (b - a) * np.exp(2j * np.pi * np.median(midi[a:b]))
            total += b - a
    return float(np.angle(arrow) / (2 * np.pi) * 100) if abs(arrow) > _IN_TUNE * total else 0.0


def _hop_s(times_s):
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.01


def _stretches(times_s, f0_hz, voiced, min_gap_s):
    """(first frame, midi (frames,)) of each stretch of voicing; short gaps are bridged."""
    midi = grids.hz_to_midi(f0_hz)
    voiced = np.asarray(voiced, dtype=bool) & np.isfinite(midi)
    edges = np.flatnonzero(np.diff(voiced, prepend=False, append=False)).reshape(-1, 2)
    if not len(edges):
        return
    gaps = (edges[1:, 0] - edges[:-1, 1]) * _hop_s(times_s) > min_gap_s + 1e-9
    inside = np.flatnonzero(voiced)
    for group in np.split(edges, np.flatnonzero(gaps) + 1):
        first, end = group[0, 0], group[-1, 1]
        yield first, np.interp(np.arange(first, end), inside, midi[inside])


def write_melody(
    path: str | PathLike,
    times_s: np.ndarray,
    f0_hz: np.ndarray,
    voiced: np.ndarray,
    *,
    tempo_bpm: float | None = None,
    bends: bool = False,
    loudness: np.ndarray | None = None,
    min_note_s: float = MIN_NOTE_S,
    min_gap_s: float = MIN_GAP_S,
) -> float:
    """Write the notes of a melody as a one-track MIDI file (complete or absent).

    Parameters
    ----------
    path : str or path-like
        The file; its track's name tells the tuning.
    times_s, f0_hz, voiced
        (frames,) each, as in `notes_from_f0`.
    tempo_bpm : float, optional
        Beats a minute that the file's bars are drawn by, 4..1000; found from the notes if not
        given, 120 where there are few. The notes stay at their seconds.
    bends : bool
        Follow the line inside each note, vibrato, slides and tuning, by pitch bends of up to 12
        semitones. Without them the notes are those of a keyboard in equal temperament.
    loudness : numpy.ndarray, optional
        (frames,) in 0..1; the mean over a note is its velocity. All are 90 of 127 without it.
    min_note_s, min_gap_s : float
        Seconds, as in `notes_from_f0`.

    Returns
    -------
    float
        Cents in -50..50 by which the tune lies above the notes that were written; 0 in silence,
        which gives a file without notes.

    Raises
    ------
    InputError
        For a tempo outside 4..1000, or a loudness of another length.
    """
    import pretty_midi  # slow to load, and every record stands on this module

    if tempo_bpm is not None and not 4 <= tempo_bpm <= 1000:
        raise InputError(f"a tempo of {tempo_bpm} beats a minute cannot be; give 4 to 1000")
    if loudness is not None and np.shape(loudness) != np.shape(times_s):
        raise InputError(
            f"the loudness has the shape {np.shape(loudness)} and the melody {np.shape(times_s)}; "
            "give one value a frame"
        )
    cents = tuning(times_s, f0_hz, voiced, min_gap_s=min_gap_s)
    notes = notes_from_f0(
        times_s,
        f0_hz,
        voiced,
        min_note_s=min_note_s,
        min_gap_s=min_gap_s,
        tuning_cents=cents,
    )
    if tempo_bpm is None:
        tempo_bpm = pulse.tempo_bpm(np.array([start_s for start_s, *_ in notes]))
    score = pretty_midi.PrettyMIDI(initial_tempo=tempo_bpm or _DEFAULT_BPM, resolution=960)
    # alto sax: sustained, so note lengths can be heard
    track = pretty_midi.Instrument(65, name=f"melody, {cents:+.0f} cents from A4 = 440 Hz")
    times_s = np.asarray(times_s, dtype=float)
    for start_s, end_s, note in notes:
        velocity = 90
        if loudness is not None:
            within = (times_s >= start_s) & (times_s < end_s)
            velocity = round(1 + 126 * float(np.clip(np.mean(loudness[within]), 0, 1)))
        track.notes.append(pretty_midi.Note(velocity, int(np.clip(note, 0, 127)), start_s, end_s))
    if bends:
        _bend(track, _bends(notes, times_s, f0_hz, voiced))
    score.instruments.append(track)
    with files.complete_or_absent(path) as temporary:
        score.write(str(temporary))
    return cents


def _bends(notes, times_s, f0_hz, voiced):
    """[(time_s, semitones)] that lead the notes along the line; small changes are left out."""
    midi = grids.hz_to_midi(f0_hz)
    known = np.flatnonzero(np.asarray(voiced, dtype=bool) & np.isfinite(midi))
    moments = []
    for start_s, end_s, note in notes:
        at = np.flatnonzero((times_s >= start_s - 1e-9) & (times_s < end_s - 1e-9))
        line = np.interp(at, known, midi[known]) - int(np.clip(note, 0, 127))
        last = np.inf
        for time_s, semitones in zip(times_s[at].tolist(), line.tolist(), strict=True):
            if abs(semitones - last) >= _BEND_CENTS / 100:
                moments.append((time_s, semitones))
                last = semitones
    return moments


def _bend(track, moments):
    """Bend a track at (time_s, semitones in -12..12), and set that bends may go so far."""
    import pretty_midi

    # registered parameter 0: how far a bend goes; a tick or two apart, for pretty_midi sorts what
    # is simultaneous by its number
    setting = ((101, 0), (100, 0), (6, int(BEND_SEMITONES)))
    track.control_changes += [
        pretty_midi.ControlChange(number, value, 1e-3 * i)
        for i, (number, value) in enumerate(setting)
    ]
    for time_s, semitones in moments:
        value = int(np.clip(np.round(8191 * semitones / BEND_SEMITONES), -8192, 8191))
        track.pitch_bends.append(pretty_midi.PitchBend(value, time_s))


_HIT_S = 0.05


def write_hits(path: str | PathLike, onsets: Hits) -> None:
    """Write drum hits as General MIDI drums on channel 10 (complete or absent).

    Times are exact to a third of a millisecond. Two hits of a class within one tick of 0.5 ms are
    one note.

    Parameters
    ----------
    path : str or path-like
        The file; missing folders are made.
    onsets : DrumOnsets or alike
        Hits of the classes in DRUM_NOTES; none give a file without notes.

    Raises
    ------
    InputError
        For a class that is not in DRUM_NOTES.
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


def write_parts(
    path: str | PathLike,
    parts: Sequence[tuple[int, bool, Iterable[tuple[float, float, int, float]]]],
    *,
    tuning: float = 0.0,
    bends: Sequence[tuple[float, float]] = (),
) -> None:
    """Write parts as a MIDI file for a synthesiser (complete or absent).

    Parameters
    ----------
    path : str or path-like
        The file; missing folders are made.
    parts : sequence of (int, bool, notes)
        General MIDI program, whether it is the drums, and notes of (start_s, end_s, midi note,
        velocity 0..1).
    tuning : float
        Semitones in -2..2 that every pitched part is bent up by.
    bends : sequence of (float, float)
        (time_s, semitones in -12..12) of the first part, in order of time, instead.
    """
    import pretty_midi

    score = pretty_midi.PrettyMIDI(resolution=960)
    for number, (program, is_drum, notes) in enumerate(parts):
        track = pretty_midi.Instrument(program, is_drum)
        if number == 0 and len(bends):
            _bend(track, bends)
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

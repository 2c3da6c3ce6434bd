"""Melodies and drum hits as CSV, both ways, on plain arrays; `records` wraps them.

What is written: remarks (`# method=..., version=...`), a remark with the names of the columns, one
row a frame or a hit. In a melody's file the sign of f0 tells: voiced positive, an unvoiced guess
negative, no guess 0.

What is read: commas, tabs, semicolons (with decimal commas, too) or blanks between columns; a byte
order mark; names of columns in a first line or remark, in any order, with further columns beside
them (pandas' index, labels); without names two columns, or a third one in 0..1 (CREPE's
confidence). What can be read in two ways is refused in a sentence that names line or column.
"""

import math
import os
import re
import statistics
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from melodylab import files
from melodylab.errors import InputError
from melodylab.io import tables


def _words(text: str) -> list[str]:
    return text.split()


_TIMES = _words(
    "time_s times_s time times t t_s time_sec time_seconds seconds sec s timestamp timestamp_s"
)
_PITCHES = _words(
    "f0_hz f0 frequency_hz frequency freq_hz freq frequencies pitch_hz pitch_frequency hz f_hz "
    "melody_hz melody pitch value value_hz"
)
_VOICINGS = _words(
    "voicing voiced voiced_flag confidence conf probability voiced_prob voiced_probs "
    "voicing_prob voiced_probability voicing_probability periodicity"
)
_OF_NOTES = _words(
    "onset offset onset_s offset_s start end start_s end_s start_time end_time duration "
    "duration_s dur"
)
_HIT_TIMES = [*_TIMES, "onset", "onset_s", "onset_time", "start", "start_s"]
_CLASSES = _words("class label drum instrument name event")
_VELOCITIES = _words("velocity vel")

_MELODY, _HITS = "time_s,f0_hz", "time_s,class,velocity"
_SLOWEST_HOP_S = 1.0  # rows further apart are milliseconds, frame numbers or notes


class Frames(NamedTuple):
    """A melody as arrays.

    Attributes
    ----------
    times_s : ndarray of shape (frames,)
        Rising, in seconds.
    f0_hz : ndarray of shape (frames,)
        Above 0, NaN where there is no guess.
    voicing : ndarray of shape (frames,)
        In 0..1, at least 0.5 where voiced.
    """

    times_s: np.ndarray
    f0_hz: np.ndarray
    voicing: np.ndarray


class Hits(NamedTuple):
    """Drum hits as arrays, in order of time.

    Attributes
    ----------
    times_s : ndarray of shape (hits,)
        Seconds from 0.
    classes : tuple of str
        A name for each hit.
    velocity : ndarray of shape (hits,)
        In 0..1.
    """

    times_s: np.ndarray
    classes: tuple[str, ...]
    velocity: np.ndarray


def signs(f0_hz: np.ndarray, voicing: np.ndarray) -> np.ndarray:
    """The files' convention: voiced positive, unvoiced guesses negative, no guess 0.

    Parameters
    ----------
    f0_hz, voicing : ndarray of shape (frames,)
        As in `Frames`.

    Returns
    -------
    ndarray of shape (frames,)
        Signed Hz.
    """
    return np.nan_to_num(np.where(voicing >= 0.5, f0_hz, -f0_hz), nan=0.0)


def write_melody(
    path: str | os.PathLike,
    times_s: np.ndarray,
    f0_hz: np.ndarray,
    voicing: np.ndarray,
    *,
    with_voicing: bool = False,
    header: Mapping[str, object] | None = None,
) -> None:
    """Write one row a frame, complete or absent.

    Parameters
    ----------
    path : str or path
        The file.
    times_s, f0_hz, voicing : ndarray of shape (frames,)
        As in `Frames`.
    with_voicing : bool
        Add the voicing, 0..1, as a third column.
    header : mapping of str to object, optional
        What made the melody, written as a remark `# method=..., version=...` in the first line.

    Raises
    ------
    InputError
        If the place cannot be written.
    """
    signed_hz = signs(f0_hz, voicing)
    rows = (f"{t:.6f},{f:.3f}" for t, f in zip(times_s, signed_hz, strict=True))
    names = _MELODY
    if with_voicing:
        names += ",voicing"
        rows = (f"{row},{v:.6f}" for row, v in zip(rows, voicing, strict=True))
    _write(path, names, rows, header)


def write_onsets(
    path: str | os.PathLike,
    times_s: np.ndarray,
    classes: Sequence[str],
    velocity: np.ndarray,
    *,
    header: Mapping[str, object] | None = None,
) -> None:
    """Write one row a hit, complete or absent.

    Parameters
    ----------
    path : str or path
        The file.
    times_s, classes, velocity : array or sequence of length hits
        As in `Hits`.
    header : mapping of str to object, optional
        What found the hits, written as a remark in the first line.

    Raises
    ------
    InputError
        If the place cannot be written.
    """
    rows = (f"{t:.6f},{c},{v:.4f}" for t, c, v in zip(times_s, classes, velocity, strict=True))
    _write(path, _HITS, rows, header)


def read_melody(path: str | os.PathLike, *, duration_s: float | None = None) -> Frames:
    """Read a melody, ours or that of another program.

    Frames that a file leaves out are taken for unvoiced, with a warning: rows missing inside, and
    where a file has no unvoiced row at all also what lies before its first and behind its last.

    Parameters
    ----------
    path : str or path
        A text file with time and f0 in each row, and maybe a voicing or confidence in 0..1. f0 of 0
        or below, empty or NaN means unvoiced.
    duration_s : float, optional
        How long the song lasts in seconds, if known; only for the frames behind the last row.

    Returns
    -------
    Frames
        Times, f0 and voicing.

    Raises
    ------
    InputError
        Where the file cannot be read or understood: names the file, and the line or column.
    """
    table = tables.read(path, "melody file", _MELODY, are_names=_no_numbers, times=_TIMES)
    if not table.rows:
        raise InputError(f"the melody file {path} has no rows; give a CSV of {_MELODY}")
    columns = _melody_columns(path, table)
    found = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        cells = [row[n] if n < len(row) else None for n in columns]
        values = [None if cell is None else tables.number(cell) for cell in cells]
        if not _fits(*values):
            raise InputError(
                f"{path}, line {number}: expected {_MELODY}{',voicing' * (len(columns) - 2)}, got "
                f"{','.join(row)[:60]!r}; give a number in each column, voicing in 0..1"
            )
        found.append(values)
    times_s, signed_hz, *voicing = np.array(found, dtype=float).T
    wrong = np.flatnonzero(np.diff(times_s) <= 0)
    if len(wrong):
        raise InputError(
            f"the times in {path} do not rise (line {table.numbers[wrong[0] + 1]}); "
            "sort its rows and remove doubles"
        )
    if len(times_s) > 2 and np.median(np.diff(times_s)) >= _SLOWEST_HOP_S:
        raise InputError(
            f"the times in {path} rise by {np.median(np.diff(times_s)):g} from row to row, which "
            "looks like milliseconds, frame numbers or notes; give one row a frame, in seconds"
        )
    signed_hz = np.nan_to_num(signed_hz, nan=0.0)
    f0_hz = np.where(signed_hz == 0, np.nan, np.abs(signed_hz))
    sung = (signed_hz > 0).astype(float)
    if voicing:  # the sign wins over a value that was rounded up
        below = np.nextafter(0.5, 0)
        sung = np.where(sung > 0, voicing[0], np.minimum(np.nan_to_num(voicing[0]), below))
    return _filled(path, Frames(times_s, f0_hz, sung), duration_s)


def read_onsets(path: str | os.PathLike) -> Hits:
    """Read drum hits, ours or those of another program.

    Parameters
    ----------
    path : str or path
        A text file with time, class and maybe velocity (0..1, or 0..127 as in MIDI) in each row;
        without a velocity every hit has 1.

    Returns
    -------
    Hits
        In order of time. A file without rows gives no hits.

    Raises
    ------
    InputError
        Where the file cannot be read or understood: names the file, and the line or column.
    """
    table = tables.read(path, "drum hits", _HITS, are_names=_names_a_time, times=_HIT_TIMES)
    time, kind, velocity = 0, 1, 2
    if table.names:
        time, kind, velocity = (
            tables.first(table.names, known) for known in (_HIT_TIMES, _CLASSES, _VELOCITIES)
        )
        for name, column in (("time_s", time), ("class", kind)):
            if column is None:
                raise InputError(
                    f"the drum hits {path} have no column {name}; give a CSV of {_HITS}"
                )
    hits = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        given = velocity is not None and velocity < len(row)
        level = tables.number(row[velocity]) if given else 1.0
        time_s = tables.number(row[time]) if time < len(row) else None
        name = row[kind] if kind < len(row) else ""
        fits = time_s is not None and level is not None and name
        if not (fits and 0 <= time_s < math.inf and 0 <= level <= 127):
            raise InputError(
                f"{path}, line {number}: expected {_HITS}; give seconds from 0, a name, and 0..1 "
                "or 0..127"
            )
        hits.append((time_s, name, level))
    hits.sort(key=lambda hit: hit[0])
    times_s, classes, levels = zip(*hits, strict=True) if hits else ((), (), ())
    levels = np.array(levels, dtype=float)
    return Hits(np.array(times_s, float), classes, levels / 127 if np.any(levels > 1) else levels)


def _write(
    path: str | os.PathLike,
    names: str,
    rows: Iterable[str],
    header: Mapping[str, object] | None,
) -> None:
    about = ", ".join(
        f"{name}={' '.join(str(value).split())}" for name, value in (header or {}).items()
    )
    remarks = [f"# {about}"] if about else []
    with files.complete_or_absent(path) as temporary:
        text = "\n".join([*remarks, f"# {names}", *rows]) + "\n"
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _no_numbers(row: list[str]) -> bool:
    """Is this first row one of names? pandas may call them 0, 1... behind an empty cell."""
    of_pandas = row[0] == "" and row[1:] == [str(n) for n in range(len(row) - 1)]
    return of_pandas or all(tables.number(cell) is None or not cell for cell in row)


def _names_a_time(row: list[str]) -> bool:
    """Is this first row one of names? Drum hits hold words anyway, so a time must be named."""
    return any(tables.plain(cell) in _HIT_TIMES for cell in row)


def _fits(time_s: float | None, signed_hz: float | None, voicing: float | None = 1.0) -> bool:
    if time_s is None or signed_hz is None or voicing is None:
        return False
    silent = not signed_hz > 0
    graded = 0 <= voicing <= 1 or math.isnan(voicing) and silent
    return math.isfinite(time_s) and not math.isinf(signed_hz) and graded


def _melody_columns(path: str | os.PathLike, table: tables.Table) -> list[int]:
    """The columns of time, f0 and maybe voicing."""
    if any(name and not name.isdigit() for name in table.names):  # pandas calls columns 0, 1...
        return _named_columns(path, table.names)
    width = statistics.mode(map(len, table.rows))
    cells = [
        [tables.number(row[n]) if n < len(row) else None for row in table.rows]
        for n in range(width)
    ]
    empty = [all(value is None or math.isnan(value) for value in column) for column in cells]
    columns = [n for n in range(width) if n == 1 or not empty[n]]  # labels, names of files
    if 1 in columns and empty[1] and len(columns) > 2:
        columns.remove(1)
    if len(columns) > 2 and _counts(cells[columns[0]]) and _rises(cells[columns[1]]):
        del columns[0]  # pandas' index
    if len(columns) <= 2:
        return columns if len(columns) == 2 else [0, 1]
    if len(columns) == 3:
        three = [cells[n] for n in columns]
        if all(_fits(*values) for values in zip(*three, strict=True)) and not _are_notes(*three):
            return columns
        raise InputError(
            f"{path} has three columns without names: notes (start, end, pitch) are no frames; "
            f"give one row a frame and name the columns in a first line, such as {_MELODY},voicing"
        )
    raise InputError(
        f"{path} has {len(columns)} columns without names; name them in a first line, "
        f"such as {_MELODY},voicing"
    )


def _counts(values: list[float | None]) -> bool:
    """Whole numbers one after the other, from 0 or 1?"""
    return values[0] in (0, 1) and values == [values[0] + n for n in range(len(values))]


def _rises(values: list[float | None]) -> bool:
    return None not in values and bool(np.all(np.diff(np.array(values, float)) > 0))


def _are_notes(starts_s: list[float], _: list[float], lasts_s: list[float]) -> bool:
    """Does each row last until the next at most, and do the rows come unevenly?"""
    steps_s = np.diff(starts_s)
    if len(steps_s) == 0 or not np.all(steps_s > 0):
        return False
    uneven = steps_s.max() > 1.5 * steps_s.min() and np.median(steps_s) > 0.05
    return uneven and bool(np.all(np.array(lasts_s)[:-1] <= steps_s + 1e-3))


def _named_columns(path: str | os.PathLike, names: list[str]) -> list[int]:
    known = [tables.first(names, wanted) for wanted in (_TIMES, _PITCHES, _VOICINGS)]
    time, pitch, voicing = known
    notes = [name for name in names if name in _OF_NOTES]
    if notes:
        raise InputError(
            f"{path} holds notes (column {notes[0]}), not frames; give one row a frame: {_MELODY}"
        )
    rest = [n for n in range(len(names)) if n not in known]
    units = [
        name for name in names if re.search(r"(^|_)(ms|msec|milliseconds|midi|note)($|_)", name)
    ]
    if len(names) == 2 and not units:  # two columns can only be these two
        time = rest.pop(0) if time is None and pitch != 0 and rest else time
        pitch = rest.pop(0) if pitch is None and rest else pitch
    for column, wanted, missing in (
        (time, "time_s", "time in seconds"),
        (pitch, "f0_hz", "pitch in Hz"),
    ):
        if column is None:
            listed = ", ".join(name or "(no name)" for name in names)
            raise InputError(
                f"{path} has the columns {listed}: none is a {missing}; name one {wanted}"
            )
    return [time, pitch] + [voicing] * (voicing is not None)


def _filled(path: str | os.PathLike, frames: Frames, duration_s: float | None) -> Frames:
    """With the frames that a file leaves out, unvoiced. See `read_melody`."""
    times_s = frames.times_s
    steps_s = np.diff(times_s)
    if not len(steps_s):
        return frames
    hop_s = np.median(steps_s)
    even = np.mean(np.abs(steps_s - hop_s) < 0.1 * hop_s) > 0.9
    inside = np.flatnonzero(steps_s > (1.5 if even else 5) * hop_s)
    new_s = [
        np.linspace(times_s[n], times_s[n + 1], round(steps_s[n] / hop_s) + 1)[1:-1] for n in inside
    ]
    if np.all(frames.voicing >= 0.5):
        before = int(times_s[0] / hop_s + 1e-3) if times_s[0] > 1.5 * hop_s else 0
        behind = 0 if duration_s is None else int((duration_s - times_s[-1]) / hop_s + 1e-3)
        new_s.append(times_s[0] - hop_s * np.arange(before, 0, -1))
        new_s.append(times_s[-1] + hop_s * np.arange(1, behind + 1))
        if before:
            inside = np.append(-1, inside)
    new_s = np.concatenate(new_s) if new_s else np.zeros(0)
    if not len(new_s):
        return frames
    if len(inside):
        first_s = 0.0 if inside[0] < 0 else times_s[inside[0]]
        warnings.warn(
            f"{path} leaves out frames in {len(inside)} places, first after {first_s:.2f} s; they "
            "are taken for unvoiced",
            stacklevel=4,
        )
    order = np.argsort(np.concatenate([times_s, new_s]), kind="stable")
    added = (new_s, np.full(len(new_s), np.nan), np.zeros(len(new_s)))
    return Frames(*(np.concatenate(pair)[order] for pair in zip(frames, added, strict=True)))

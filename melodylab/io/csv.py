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
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from melodylab import files
from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.io import columns, tables
from melodylab.io.columns import HITS, MELODY

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
    path: str | os.PathLike[str],
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
        The file; missing folders are made.
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
    names = MELODY
    if with_voicing:
        names += ",voicing"
        rows = (f"{row},{v:.6f}" for row, v in zip(rows, voicing, strict=True))
    _write(path, names, rows, header)


def write_onsets(
    path: str | os.PathLike[str],
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
        The file; missing folders are made.
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
    _write(path, HITS, rows, header)


def read_melody(path: str | os.PathLike[str], *, duration_s: float | None = None) -> Frames:
    """Read a melody, ours or that of another program.

    Parameters
    ----------
    path : str or path
        A text file with time and f0 in each row, and maybe a voicing or confidence in 0..1. f0 of 0
        or below, empty or NaN means unvoiced.
    duration_s : float, optional
        How long the song lasts in seconds, if known. Frames that the file leaves out are then added
        as unvoiced, with a warning: those missing inside, and where no row at all is unvoiced also
        those before the first and behind the last.

    Returns
    -------
    Frames
        Times, f0 and voicing.

    Raises
    ------
    InputError
        Where the file cannot be read or understood: names the file, and the line or column.
    """
    table = tables.read(
        path, "melody file", MELODY, are_names=columns.no_numbers, times=columns.TIMES
    )
    if not table.rows:
        raise InputError(f"the melody file {path} has no rows; give a CSV of {MELODY}")
    chosen = columns.melody_columns(path, table)
    found = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        cells = [row[n] if n < len(row) else None for n in chosen]
        values = [None if cell is None else tables.number(cell) for cell in cells]
        if not columns.fits(*values):
            raise InputError(
                f"{path}, line {number}: expected {MELODY}{',voicing' * (len(chosen) - 2)}, got "
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
    frames = Frames(times_s, f0_hz, sung)
    return frames if duration_s is None else _filled(path, frames, duration_s)


def read_onsets(path: str | os.PathLike[str]) -> Hits:
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
    table = tables.read(
        path, "drum hits", HITS, are_names=columns.names_a_time, times=columns.HIT_TIMES
    )
    time, kind, velocity = _hit_columns(path, table.names) if table.names else (0, 1, 2)
    hits = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        cells = [row[n] if n is not None and n < len(row) else None for n in (time, kind, velocity)]
        time_s = tables.number(cells[0] or "")
        level = 1.0 if cells[2] is None else tables.number(cells[2])
        if time_s is None or level is None or not cells[1]:
            time_s = level = math.nan
        if not (0 <= time_s < math.inf and 0 <= level <= 127):
            raise InputError(
                f"{path}, line {number}: expected {HITS}; give seconds from 0, a name, and 0..1 "
                "or 0..127"
            )
        hits.append((time_s, cells[1], level))
    hits.sort(key=lambda hit: hit[0])
    times_s, classes, levels = zip(*hits, strict=True) if hits else ((), (), ())
    levels = np.array(levels, dtype=float)
    return Hits(np.array(times_s, float), classes, levels / 127 if np.any(levels > 1) else levels)


def _hit_columns(path: str | os.PathLike[str], names: list[str]) -> tuple[int, int, int | None]:
    """The columns of time, class and velocity, if there is one."""
    time, kind = tables.first(names, columns.HIT_TIMES), tables.first(names, columns.CLASSES)
    if time is None or kind is None:
        missing = "time_s" if time is None else "class"
        raise InputError(f"the drum hits {path} have no column {missing}; give a CSV of {HITS}")
    return time, kind, tables.first(names, columns.VELOCITIES)


def _write(
    path: str | os.PathLike[str],
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
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _filled(path: str | os.PathLike[str], frames: Frames, duration_s: float) -> Frames:
    """With the frames that a file leaves out, unvoiced. See `read_melody`."""
    times_s = frames.times_s
    steps_s = np.diff(times_s)
    if not len(steps_s):
        return frames
    hop_s = np.median(steps_s)
    even = np.mean(np.abs(steps_s - hop_s) < 0.1 * hop_s) > 0.9
    pauses_left_out = np.all(frames.voicing >= 0.5)
    gaps, new_s = grids.left_out_s(
        times_s, 1.5 if even else 5, duration_s if pauses_left_out else None
    )
    if not len(new_s):
        return frames
    if len(gaps):
        first_s = 0.0 if gaps[0] < 0 else times_s[gaps[0]]
        warnings.warn(
            f"{path} leaves out frames in {len(gaps)} places, first after {first_s:.2f} s; they "
            "are taken for unvoiced",
            stacklevel=4,
        )
    order = np.argsort(np.concatenate([times_s, new_s]), kind="stable")
    added = (new_s, np.full(len(new_s), np.nan), np.zeros(len(new_s)))
    return Frames(*(np.concatenate(pair)[order] for pair in zip(frames, added, strict=True)))

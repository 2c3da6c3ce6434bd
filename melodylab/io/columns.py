"""What the columns of melodies and drum hits are called, and which is which where nobody says."""

import math
import os
import re
import statistics
from collections.abc import Sequence

import numpy as np

from melodylab.errors import InputError
from melodylab.io import tables


def _words(text: str) -> list[str]:
    return text.split()


TIMES = _words(
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
HIT_TIMES = [*TIMES, "onset", "onset_s", "onset_time", "start", "start_s"]
CLASSES = _words("class label drum instrument name event")
VELOCITIES = _words("velocity vel")
MELODY, HITS = "time_s,f0_hz", "time_s,class,velocity"


def no_numbers(row: list[str]) -> bool:
    """Is this first row one of names? pandas may call them 0, 1... behind an empty cell.

    Parameters
    ----------
    row : list of str
        Its cells.

    Returns
    -------
    bool
        True if the row is a header.
    """
    of_pandas = row[0] == "" and row[1:] == [str(n) for n in range(len(row) - 1)]
    return of_pandas or all(tables.number(cell) is None or not cell for cell in row)


def names_a_time(row: list[str]) -> bool:
    """Is this first row one of names? Drum hits hold words anyway, so a time must be named.

    Parameters
    ----------
    row : list of str
        Its cells.

    Returns
    -------
    bool
        True if the row is a header.
    """
    return any(tables.plain(cell) in HIT_TIMES for cell in row)


def fits(time_s: float | None, signed_hz: float | None, voicing: float | None = 1.0) -> bool:
    """Can this be a frame of a melody?

    Parameters
    ----------
    time_s, signed_hz, voicing : float or None
        What the cells say, None for words. Time must be finite, f0 anything but infinite; voicing
        lies in 0..1, or is NaN where f0 is not above 0.

    Returns
    -------
    bool
        True if it can.
    """
    if time_s is None or signed_hz is None or voicing is None:
        return False
    silent = not signed_hz > 0
    graded = 0 <= voicing <= 1 or math.isnan(voicing) and silent
    return math.isfinite(time_s) and not math.isinf(signed_hz) and graded


def melody_columns(path: str | os.PathLike[str], table: tables.Table) -> list[int]:
    """The columns of time, f0 and maybe voicing.

    Parameters
    ----------
    path : str or path
        The file, for the sentence of a refusal.
    table : tables.Table
        Its cells, at least one row.

    Returns
    -------
    list of int
        Two or three columns.

    Raises
    ------
    InputError
        Where the columns are those of notes, lack a name, or have none that is a time or a pitch.
    """
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
        if all(fits(*values) for values in zip(*three, strict=True)) and not _are_notes(*three):
            return columns
        raise InputError(
            f"{path} has three columns without names: notes (start, end, pitch) are no frames; "
            f"give one row a frame and name the columns in a first line, such as {MELODY},voicing"
        )
    raise InputError(
        f"{path} has {len(columns)} columns without names; name them in a first line, "
        f"such as {MELODY},voicing"
    )


# a number of these is neither seconds nor Hz
_OTHER_UNITS = "ms|msec|milliseconds|midi|note|cents?|semitones?|log|log2|period|bins?|samples?"


def _named_columns(path: str | os.PathLike[str], names: list[str]) -> list[int]:
    known = [tables.first(names, wanted) for wanted in (TIMES, _PITCHES, _VOICINGS)]
    time, pitch, voicing = known
    notes = [name for name in names if name in _OF_NOTES]
    if notes:
        raise InputError(
            f"{path} holds notes (column {notes[0]}), not frames; give one row a frame: {MELODY}"
        )
    rest = [n for n in range(len(names)) if n not in known]
    units = [name for name in names if re.search(rf"(^|_)({_OTHER_UNITS})($|_)", name)]
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
    return [n for n in (time, pitch, voicing) if n is not None]


def _counts(values: list[float | None]) -> bool:
    """Whole numbers one after the other, from 0 or 1?"""
    return values[0] in (0, 1) and values == [values[0] + n for n in range(len(values))]


def _rises(values: list[float | None]) -> bool:
    return None not in values and bool(np.all(np.diff(np.array(values, float)) > 0))


def _are_notes(starts_s: Sequence, _: Sequence, lasts_s: Sequence) -> bool:
    """Does each row last until the next at most, and do the rows come unevenly?"""
    steps_s = np.diff(starts_s)
    if len(steps_s) == 0 or not np.all(steps_s > 0):
        return False
    uneven = steps_s.max() > 1.5 * steps_s.min() and np.median(steps_s) > 0.05
    return bool(uneven and np.all(np.array(lasts_s)[:-1] <= steps_s + 1e-3))

"""What the records share: read-only arrays, axes that fit, and how a record shows itself."""

import importlib
from typing import Any

import numpy as np


def array(name: str, value: Any, ndim: int, dtype: Any = np.float64) -> np.ndarray:
    """A read-only view of an array.

    Parameters
    ----------
    name : str
        What it is, for the sentence of a refusal.
    value : array_like
        The values.
    ndim : int
        How many dimensions it must have.
    dtype : dtype
        What it becomes.

    Returns
    -------
    ndarray
        A view where dtypes agree, else a copy.

    Raises
    ------
    ValueError
        Where the dimensions are others.
    """
    value = np.asarray(value, dtype=dtype)
    if value.ndim != ndim:
        raise ValueError(f"{name} needs {ndim} dimension(s), got shape {value.shape}")
    value = value.view()
    value.flags.writeable = False
    return value


def own(name: str, value: Any, ndim: int, dtype: Any = np.float64) -> np.ndarray:
    """An array that nobody can change any more: what the caller might still write into is copied.

    A large array that its maker has locked (`y.flags.writeable = False`) is taken as it is, and so
    is one that is mapped from a file to be read.

    Parameters
    ----------
    name, value, ndim, dtype
        As in `array`.

    Returns
    -------
    ndarray
        Read-only.

    Raises
    ------
    ValueError
        Where the dimensions are others.
    """
    given = np.asarray(value)
    made = np.asarray(given, dtype=dtype)
    if made.ndim != ndim:
        raise ValueError(f"{name} needs {ndim} dimension(s), got shape {made.shape}")
    holder = made if np.may_share_memory(made, given) else None
    while isinstance(holder, np.ndarray) and not holder.flags.writeable:
        mapped = isinstance(holder, np.memmap) and holder.mode == "r"  # on a file of its maker's
        holder = None if mapped else holder.base
    if holder is not None and not _is_fresh(value):
        made = made.copy()
    made.flags.writeable = False
    return made


def _is_fresh(value: Any) -> bool:
    """Was the array made just now, of a list or a number?"""
    return isinstance(value, list | tuple | int | float)


def assign(record: Any, values: dict[str, Any]) -> None:
    """Set fields of a frozen record while it is being made.

    Parameters
    ----------
    record : dataclass instance
        The record.
    values : dict
        New values by name of the field.
    """
    for name, value in values.items():
        object.__setattr__(record, name, value)


def check_axes(record: Any) -> None:
    """Check freqs_hz and times_s of everything that is drawn on (freq, time), and lock them.

    Parameters
    ----------
    record : Features, Salience or Mask
        With `values` already checked.

    Raises
    ------
    ValueError
        Where an axis has another length than the values, does not rise, or has a time that is not
        finite.
    """
    freqs_hz, times_s = array("freqs_hz", record.freqs_hz, 1), array("times_s", record.times_s, 1)
    shape = record.values.shape[-2:]
    if shape != (len(freqs_hz), len(times_s)):
        raise ValueError(
            f"values are {shape} (freq, time) but the axes have {len(freqs_hz)} and "
            f"{len(times_s)} entries"
        )
    for name, axis in (("freqs_hz", freqs_hz), ("times_s", times_s)):
        without = name == "freqs_hz" and np.isnan(axis).all()  # rows that are no pitches
        if not without and not np.all(np.diff(axis) > 0):  # NaN among numbers fails too
            raise ValueError(f"{name} must rise from entry to entry")
    check_finite("times_s", times_s)
    assign(record, {"freqs_hz": freqs_hz, "times_s": times_s})


def check_finite(name: str, values: np.ndarray) -> None:
    """Refuse NaN and infinity.

    Parameters
    ----------
    name : str
        What it is, for the sentence.
    values : ndarray
        Any shape.

    Raises
    ------
    ValueError
        Where a value is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")


def show(record: Any) -> str:
    """A record as HTML, for a notebook: picture and player.

    Parameters
    ----------
    record : Song, Melody or DrumParts
        What stands alone in a cell.

    Returns
    -------
    str
        HTML.
    """
    # Records stand on the ground floor, pictures and players near the roof: looked up by name when
    # a notebook asks, so that nothing above is loaded, or even needs to be there, before.
    cards = importlib.import_module("melodylab.course.cards")
    return cards.html(record)

"""Checks of 06_unet_masking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab import records
from melodylab.course.checks.runner import _exercise, _result
from melodylab.models import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melodylab.models.base import Network
    from melodylab.records import Features, Mask, Melody

# --- 06_unet_masking ------------------------------------------------------------------------------


@_exercise("06_unet_masking")
def check_06_a(sharper: Callable) -> bool | None:
    """A function (mask, p) whose shares stand in the ratio m ** p to (1 - m) ** p.

    Parameters
    ----------
    sharper : callable
        Takes a mask of any shape, shares m in 0..1 with both ends, and p above 0; returns the new
        shares, of that shape. Empty while it returns None or `...`.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    shares = np.array([[0.0, 0.1, 0.4], [0.5, 0.9, 1.0]])

    def right(m, p):
        return m**p / (m**p + (1 - m) ** p)

    found = {p: np.asarray(_result(sharper, shares.copy(), p), dtype=float) for p in (1, 2, 0.5)}
    if any(given.shape != shares.shape for given in found.values()):
        return False, f"a mask in, a mask out, both of shape {shares.shape}."
    if all(np.allclose(given, right(shares, p)) for p, given in found.items()):
        return True, "at p = 1 nothing changes, one half stays, and the two shares still sum to 1."
    if all(np.allclose(given, shares**p) for p, given in found.items()):
        return False, "mask ** p and (1 - mask) ** p no longer sum to 1; divide by the sum of both."
    if not np.all(np.isfinite(np.concatenate(list(found.values())))):
        return False, "somewhere you divide 0 by 0; m ** p + (1 - m) ** p is never 0."
    if np.allclose(found[2], shares > 0.5) or np.allclose(found[2], shares >= 0.5):
        return False, "that is the binary mask for every p; it is what p without end leads to."
    if np.allclose(found[2], right(shares, 0.5)):
        return False, "p = 2 softens your mask; it should sharpen it."
    return (
        False,
        "the melody's part is m ** p, the rest's (1 - m) ** p; a share is one part divided by "
        "both together.",
    )


@_exercise("06_unet_masking")
def check_06_b(factors: Sequence[float]) -> bool | None:
    """(melody's, accompaniment's) factor on the magnitude of a cell whose *power* is shared out
    0.64 to 0.36.

    Parameters
    ----------
    factors : (float, float)
        Each in 0..1, right within 0.005. Empty while one of them is.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    ours, others = (float(factor) for factor in factors)
    if np.allclose([ours, others], [0.8, 0.6], atol=0.005):
        return (
            True,
            "together 1.4 of the magnitude that there was: what is split as power does not add "
            "up as sound.",
        )
    slips = {
        "those are the shares of the power. A magnitude is the root of a power.": (0.64, 0.36),
        "the melody is right. The accompaniment keeps 1 - 0.64 of the power, and its magnitude "
        "is the root of that.": (
            0.8,
            0.2,
        ),
        "the root, not the square: power is magnitude squared.": (0.64**2, 0.36**2),
        "the melody's factor stands first.": (0.6, 0.8),
    }
    fitting = [
        hint for hint, slip in slips.items() if np.allclose([ours, others], slip, atol=0.005)
    ]
    return False, fitting[
        0
    ] if fitting else "what share of the power does each get, and what is the root of it?"


def puzzle_06_c(model: Network, picture: Features, melody: Melody) -> Mask:
    """The `Mask` of a unet that was told the melody (Melody) in another key.

    Parameters
    ----------
    model : Network
        A network that learns masks and can be told a melody, such as unet.
    picture : Features
        (channels, rows, time) as the model's front end makes it of a song.
    melody : Melody
        The true melody of that song, which the puzzle moves.

    Returns
    -------
    Mask
        (freq, time) in 0..1.
    """
    return run.mask(model, picture, _transposed(melody, _KEY_06_C))[0]


_KEY_06_C = -5  # semitones


def _transposed(melody, semitones):
    return records.Melody(melody.times_s, melody.f0_hz * 2 ** (semitones / 12), melody.voicing)


@_exercise("06_unet_masking")
def check_06_c(semitones: float, model: Network, picture: Features, melody: Melody) -> bool | None:
    """By how many semitones the melody was moved in `puzzle_06_c`; below 0 is down.

    Parameters
    ----------
    semitones : float
        In -24..24; 12 are an octave.
    model : Network
        The network that `puzzle_06_c` was given.
    picture : Features
        The input that `puzzle_06_c` was given.
    melody : Melody
        The true melody that `puzzle_06_c` was given.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    semitones = float(semitones)
    if not -24 <= semitones <= 24:
        return False, "semitones from -24 to 24 are asked for; -12 is an octave down."

    def distance(key):
        told = run.mask(model, picture, _transposed(melody, key))[0].values
        return float(np.abs(told - puzzle_06_c(model, picture, melody).values).mean())

    yours = distance(semitones)
    if semitones == _KEY_06_C:
        return True, "told that line, the network draws the same mask, to the last bit."
    if semitones == -_KEY_06_C:
        return (
            False,
            "right distance, wrong way: a factor of 2 ** (n / 12) with n below 0 goes down.",
        )
    if abs(semitones - _KEY_06_C) == 12:
        return (
            False,
            f"that line is {yours:.2g} off on average; it shares partials with the right one, "
            f"an octave away.",
        )
    return (
        False,
        f"told that line, its mask is {yours:.2g} off on average; at the right one it is 0.",
    )

"""Checks of 10_train_your_own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab import synth
from melodylab.course.checks.runner import _exercise, _result
from melodylab.dsp import features, grids

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from melodylab.records import Features

# --- 10_train_your_own ----------------------------------------------------------------------------

_PITCHES_10_A_HZ = np.array(
    [np.nan, 55, 56, 110, 440, 452.5, 453.2, 1760, 1811.2, 1812.8, 53.5, 53.3]
)


@_exercise("10_train_your_own")
def check_10_a(label: Callable) -> bool | None:
    """A function (f0_hz) that returns the class of one pitch.

    0 for none or off the grid, else 1 + semitones above 55 Hz.

    Parameters
    ----------
    label : callable
        Takes a float, Hz or NaN where nothing is sung; returns an int in 0..61. Empty while it
        returns None or `...`.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    right = [int(c) for c in 1 + grids.PitchGrid(55.0, 12, 61).nearest_bin(_PITCHES_10_A_HZ)]
    given = [int(_result(label, float(f0_hz))) for f0_hz in _PITCHES_10_A_HZ]
    if given == right:
        return (
            True,
            "61 semitones from 55 to 1760 Hz, half a semitone of room at both ends, and 0 for "
            "everything else.",
        )
    wrong = next(n for n in range(len(right)) if given[n] != right[n])
    sentence = (
        f"{_PITCHES_10_A_HZ[wrong]:g} Hz became class {given[wrong]} and should be {right[wrong]}. "
    )
    if wrong == 0:
        return False, "NaN means that nothing is sung; that is class 0. np.isnan tells."
    if given[1] == 0:
        return False, sentence + "55 Hz is the first semitone, and class 0 is taken."
    if all(abs(a - b) <= 1 for a, b in zip(given, right, strict=True)):
        return False, sentence + "Does your number go to the nearest semitone, or to the one below?"
    if wrong >= 8:
        return (
            False,
            sentence
            + "What lies more than half a semitone outside of the grid has no class of its own: 0.",
        )
    return False, sentence + "An octave has 12 semitones: 12 log2(f0 / 55), rounded, plus 1."


@_exercise("10_train_your_own")
def check_10_b(losses: ArrayLike, shares: object) -> bool | None:
    """(loss of a network that gives 62 classes the same probability, loss of one that knows only
    their shares).

    Parameters
    ----------
    losses : (float, float)
        Mean cross entropies in nats, in this order, right within 0.02. Empty while one of them is.
    shares : array_like of shape (62,)
        Share of the frames with each class, 0..1, class 0 for "no melody"; they sum to 1.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    shares = np.asarray(shares, dtype=float)
    present = shares[shares > 0]
    blind, counting = (float(loss) for loss in losses)
    right = np.log(62), -np.sum(present * np.log(present))
    if abs(blind - np.log2(62)) < 0.02 or abs(blind - np.log10(62)) < 0.02:
        return False, "cross entropy here takes the natural logarithm, np.log."
    if abs(blind - right[0]) > 0.02:
        return False, "each of 62 classes has probability 1/62, so every frame costs -log(1/62)."
    if abs(counting - right[1]) <= 0.02:
        return (
            True,
            f"it begins near {blind:.2f}, and below {counting:.2f} it must have listened to "
            f"the features.",
        )
    if abs(counting + right[1]) <= 0.02:
        return False, "a loss is never negative here; the logarithm of a share is. Mind the sign."
    if abs(counting + np.log(shares[0])) <= 0.02:
        return (
            False,
            "that is the loss of the frames without melody alone; average over all classes, "
            "each by its share.",
        )
    if abs(counting + np.mean(np.log(present))) <= 0.02:
        return (
            False,
            "frequent classes count more: weigh each -log(share) by its share instead of "
            "taking a plain mean.",
        )
    return (
        False,
        "the first loss is right. For the second: frames of class c cost -log(share[c]); "
        "share[c] of all do.",
    )


_LATE_10_C_FRAMES = 9


def puzzle_10_c() -> tuple[Features, np.ndarray]:
    """A training song's CQT and labels that came too late.

    Returns
    -------
    tuple of (Features, ndarray)
        The CQT (1, rows, time) and the labels (time,) in Hz, NaN where nothing is sung.
    """
    song = synth.training_song(
        21, 12, ingredients=synth.Ingredients(drums=False, distortion=False, processing=False)
    )
    picture = features.cqt(song)
    f0_hz = song.melody.resampled(picture.times_s).sung_hz
    late = np.concatenate([np.full(_LATE_10_C_FRAMES, np.nan), f0_hz[:-_LATE_10_C_FRAMES]])
    return picture, late


@_exercise("10_train_your_own")
def check_10_c(late_frames: float) -> bool | None:
    """By how many frames the labels of `puzzle_10_c` are late.

    Parameters
    ----------
    late_frames : float
        In frames of 256 samples at 22,050 Hz, right within 1; above 0 is late.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    late_frames = float(late_frames)
    if abs(late_frames - _LATE_10_C_FRAMES) <= 1:
        late_ms = 1000 * _LATE_10_C_FRAMES * 256 / 22050
        return (
            True,
            f"{_LATE_10_C_FRAMES} frames, {late_ms:.0f} ms. A network would have learned to "
            f"be late.",
        )
    if abs(late_frames + _LATE_10_C_FRAMES) <= 1:
        return (
            False,
            "right distance, wrong way: count how far the labels must move to earlier frames.",
        )
    if late_frames > 40:
        return False, "that may be milliseconds; frames are asked for, of 256 samples at 22,050 Hz."
    if late_frames == 0:
        return (
            False,
            "0 is how they stand now. Try every shift from -20 to 20 and compare the "
            "brightness under the label.",
        )
    return (
        False,
        "at the right shift the CQT is brightest under the labels, on average over the frames "
        "with a melody.",
    )

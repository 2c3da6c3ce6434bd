"""Checks of 04_multiresolution_cnn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab import explain
from melodylab.course.checks.runner import _exercise
from melodylab.models import run

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from melodylab.models.base import Network
    from melodylab.records import Features, Salience

# --- 04_multiresolution_cnn -----------------------------------------------------------------------


@_exercise("04_multiresolution_cnn")
def check_04_a(kernel: ArrayLike) -> bool | None:
    """960 samples at 16 kHz that answer 440 Hz, and at most a tenth as much at 400 Hz and below,
    480 Hz and above.

    Parameters
    ----------
    kernel : array_like of shape (960,)
        Samples at 16 kHz, on any scale.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    kernel = np.asarray(kernel, dtype=float)
    if kernel.shape != (960,):
        return False, f"960 samples in a row are asked for; yours have the shape {kernel.shape}."
    freqs_hz, level = np.arange(8193) * 16000 / 16384, np.abs(np.fft.rfft(kernel, 16384))
    at_440 = level[np.argmin(np.abs(freqs_hz - 440))]
    if at_440 == 0 or abs(freqs_hz[level.argmax()] - 440) > 10:
        return (
            False,
            f"it answers {freqs_hz[level.argmax()]:.0f} Hz most; a kernel answers the wave "
            f"that it is.",
        )
    outside = level[(freqs_hz <= 400) | (freqs_hz >= 480)].max() / at_440
    if outside <= 0.1:
        return (
            True,
            f"outside it lets through {outside:.1%}: a soft begin and end keep the side "
            f"lobes down.",
        )
    return (
        False,
        f"440 Hz is right, but at 40 Hz from it {outside:.0%} come through. A window that "
        f"begins and ends softly helps.",
    )


@_exercise("04_multiresolution_cnn")
def check_04_b(samples: object) -> bool | None:
    """Samples at 16 kHz whose rectangular window has a main lobe of at most 6.5 Hz.

    Parameters
    ----------
    samples : int
        Length of the window, in samples; the fewest that will do.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    least = 2 * 16000 / (116.5 - 110)
    if samples == int(np.ceil(least)):
        return (
            True,
            "0.3 s: five times the longest kernel here. It has to hear the overtones, which "
            "lie further apart.",
        )
    if abs(samples - least / 2) < 1:
        return False, "the main lobe is 2 sr / L wide, from zero to zero; you have half of it."
    return False, "solve 2 * sr / L <= 6.5 Hz for L, and take the next whole number."


def puzzle_04_c(model: Network, picture: Features) -> Salience:
    """What a multires network says of a picture (Features) when one shape of one block is silent.

    Parameters
    ----------
    model : Network
        A multires network: three blocks of five shapes, eight channels each.
    picture : Features
        (1, samples of a hop, time) as its front end "wave" makes it of a song.

    Returns
    -------
    Salience
        (pitch, time) in 0..1.
    """
    block, shape = _silent_04_c()
    with explain.ablate(model, f"block{block}.branches.{shape}", range(8)):
        return run.salience(model, picture)


def _silent_04_c():
    return 2, "square5"


@_exercise("04_multiresolution_cnn")
def check_04_c(answer: object, model: Network, picture: Features) -> bool | None:
    """(block, shape) that was silent in `puzzle_04_c`.

    Parameters
    ----------
    answer : (int, str)
        The block, 1..3, and the shape of its kernels: "point", "square3", "square5", "tall" or
        "wide". Empty while one of the two is.
    model : Network
        The network that `puzzle_04_c` was given.
    picture : Features
        The input that `puzzle_04_c` was given.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    block, shape = answer
    shapes = ("point", "square3", "square5", "tall", "wide")
    if block not in (1, 2, 3) or shape not in shapes:
        return False, f"a block from 1 to 3 and one of {', '.join(shapes)} are asked for."
    puzzle = puzzle_04_c(model, picture).values
    with explain.ablate(model, f"block{block}.branches.{shape}", range(8)):
        distance = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance == 0:
        return True, "with it silenced the network says the same, to the last bit."
    return (
        False,
        f"without it the salience is {distance:.2g} off on average; at the right one it is 0.",
    )

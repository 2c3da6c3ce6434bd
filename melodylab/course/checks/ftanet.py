"""Checks of 05_ftanet_attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab import explain
from melodylab.course.checks.runner import _exercise, _result
from melodylab.models import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from melodylab.models.base import Network
    from melodylab.records import Features, Salience

# --- 05_ftanet_attention --------------------------------------------------------------------------


@_exercise("05_ftanet_attention")
def check_05_a(attend_over_time: Callable) -> bool | None:
    """A function (x, z) that weighs x (channels, rows, frames) by the softmax of z (channels,
    frames) over the frames.

    Parameters
    ----------
    attend_over_time : callable
        Takes x and z, both of any sign; returns the weighed features, of the shape of x. Empty
        while it returns None or `...`.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    rng = np.random.default_rng(5)
    x, z = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 4))

    def softmax(axis):
        return np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)

    found = np.asarray(_result(attend_over_time, x.copy(), z.copy()), dtype=float)
    if found.shape != x.shape:
        return (
            False,
            f"the weighed features have the shape of x, {x.shape}; yours have {found.shape}.",
        )
    if np.allclose(found, x * softmax(1)[:, None, :]):
        return True, "every row gets the same weights: they say when, not where."
    if np.allclose(found, x * softmax(0)[:, None, :]):
        return (
            False,
            "here the weights of one moment sum to 1 over the channels; each channel shares "
            "out one unit over the frames.",
        )
    if np.allclose(found, x * np.exp(z)[:, None, :]):
        return False, "these weights do not sum to 1; divide by their sum over the frames."
    if np.allclose(found, x * z[:, None, :]):
        return False, "z may be negative; the softmax makes weights of it."
    return (
        False,
        "take exp(z), divide by its sum over the frames, and multiply every row of x by it.",
    )


@_exercise("05_ftanet_attention")
def check_05_b(numbers: int) -> bool | None:
    """Trainable numbers of the attention over time in level 2 of the published FTANet.

    Parameters
    ----------
    numbers : int
        How many its map and the features that it weighs have together, biases included.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    numbers, in_map, in_features = float(numbers), 6_208 + 12_352, 18_496 + 102_464
    if numbers == in_map + in_features:
        return (
            True,
            "most of it is not attention but the 5 x 5 convolution: taking the branch away "
            "takes that, too.",
        )
    slips = {
        "that is the map alone; the features that it weighs are part of the branch.": in_map,
        "those are the features; and the map?": in_features,
        "every convolution has a bias for each channel that it makes.": in_map
        + in_features
        - 4 * 64,
        "both axes have such a branch; one is asked for.": 2 * (in_map + in_features),
    }
    fitting = [hint for hint, slip in slips.items() if numbers == slip]
    general = (
        "a convolution from m to n channels with a window of a x b has n * (m * a * b + 1) numbers."
    )
    return False, fitting[0] if fitting else general


def puzzle_05_c(model: Network, picture: Features) -> Salience:
    """What an FTANet says of a picture (Features) when one of its attention maps is uniform.

    Parameters
    ----------
    model : Network
        An FTANet with maps over both axes in seven levels, such as ftanet-thin.
    picture : Features
        (3, 320, time) as its front end "cfp" makes it of a song.

    Returns
    -------
    Salience
        (pitch, time) in 0..1.
    """
    level, axis = _uniform_05_c()
    with explain.uniform(model, f"level{level}.attend.{axis}_map"):
        return run.salience(model, picture)


def _uniform_05_c():
    """Neither the first nor the last level."""
    return 5, "frequency"


@_exercise("05_ftanet_attention")
def check_05_c(answer: object, model: Network, picture: Features) -> bool | None:
    """(level, axis) of the map that was uniform in `puzzle_05_c`.

    Parameters
    ----------
    answer : (int, str)
        The level, 1..7, and the axis that its map is over, "frequency" or "time". Empty while one
        of the two is.
    model : Network
        The network that `puzzle_05_c` was given.
    picture : Features
        The input that `puzzle_05_c` was given.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    level, axis = answer
    if level not in range(1, 8) or axis not in ("frequency", "time"):
        return (
            False,
            'a level from 1 to 7 and "frequency" or "time" are asked for, such as (4, "time").',
        )
    puzzle = puzzle_05_c(model, picture).values
    with explain.uniform(model, f"level{level}.attend.{axis}_map"):
        distance = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance == 0:
        return True, "with it uniform the network says the same, to the last bit."
    untouched = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    closer = "nearer to" if distance < untouched else "further from"
    return (
        False,
        f"with it uniform you are {closer} the puzzle than with none, {distance:.2g} off on "
        f"average; one has 0.",
    )

"""Checks of 03_crnn."""

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

# --- 03_crnn --------------------------------------------------------------------------------------


@_exercise("03_crnn")
def check_03_a(decide: Callable) -> bool | None:
    """A function (p) that takes the 62 probabilities of a frame to (f0_hz, voiced) as Basaran 2018
    does.

    Parameters
    ----------
    decide : callable
        Takes p (62,), which sums to 1, class 0 for "no melody"; returns the pitch of the best note
        in Hz, also where nothing is sung, and whether it is sung. Empty while it returns None or
        `...`, also for one of the two.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    frames = np.random.default_rng(3).dirichlet(
        np.full(62, 0.5), 40
    )  # in none does the best class reach one half
    frames[:20, 0] += 0.3  # "no melody" wins in half of them
    frames /= frames.sum(axis=1, keepdims=True)
    answers = [_result(decide, p.copy()) for p in frames]
    f0_hz, voiced = (
        np.array([float(f) for f, _ in answers]),
        np.array([bool(v) for _, v in answers]),
    )
    best, wins = frames[:, 1:].argmax(axis=1), frames[:, 1:].max(axis=1) > frames[:, 0]
    off = 12 * np.log2(np.maximum(f0_hz, 1e-9) / (55 * 2 ** (best / 12)))  # semitones
    if np.all(np.abs(off) < 0.01) and np.array_equal(voiced, wins):
        return True, "a guess stands in every frame, so pitch can be scored apart from voicing."
    if np.allclose(off[wins], 1, atol=0.01):
        return False, "all notes are a semitone too high: class 1 is 55 Hz."
    if np.all(np.abs(off[wins]) < 0.01) and np.any(np.abs(off[~wins]) > 0.01):
        return (
            False,
            'where "no melody" wins the pitch is not the best note. Leave class 0 out when you '
            "look for it.",
        )
    if np.all(np.abs(off) < 0.01) and not voiced[wins].any():
        return (
            False,
            "the pitch is right, but nothing is sung. A note need not reach one half, it need "
            "only beat class 0.",
        )
    if np.all(np.abs(off) < 0.01):
        return (
            False,
            "the pitch is right. A frame is voiced where the best note has a larger "
            "probability than class 0.",
        )
    return (
        False,
        "the pitch is that of the largest of p[1:], and class c is 55 * 2 ** ((c - 1) / 12) Hz.",
    )


@_exercise("03_crnn")
def check_03_b(numbers: int) -> bool | None:
    """Trainable numbers of sf-crnn-1 with a GRU of 64 units in each direction.

    Parameters
    ----------
    numbers : int
        How many the whole network has.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    numbers, convolutions = float(numbers), 145_345
    gru, dense = 3 * 64 * (61 + 64 + 1), 62 * (2 * 64 + 1)
    if numbers == convolutions + 2 * gru + dense:
        return (
            True,
            "most of what the GRU had is gone; the convolutions do not know how long the "
            "memory is.",
        )
    slips = {
        "a GRU in each direction: count it twice.": convolutions + gru + dense,
        "one GRU only, and the dense layer hears 2 x 64 units, not 64.": convolutions
        + gru
        + 62 * (64 + 1),
        "the dense layer hears 2 x 64 units, not 64.": convolutions + 2 * gru + 62 * (64 + 1),
        "the dense layer shrinks, too: it hears 2 x 64 units.": convolutions
        + 2 * gru
        + 62 * (2 * 128 + 1),
        "torch's second bias is held at zero here; each gate has one.": convolutions
        + 2 * (gru + 3 * 64)
        + dense,
        "running means and variances are not trained.": convolutions + 2 * gru + dense + 416,
        "and the convolutions? They stay, all 145,345 numbers.": 2 * gru + dense,
        "that is the network with 128 units.": 307_199,
    }
    fitting = [hint for hint, slip in slips.items() if numbers == slip]
    otherwise = (
        "only the GRU, 2 * 3 * n * (61 + n + 1), and the dense layer, 62 * (2 * n + 1), change."
    )
    return False, fitting[0] if fitting else otherwise


def puzzle_03_c(model: Network, picture: Features) -> Salience:
    """What a CRNN says of a picture (Features) when one channel of its layer 4 is silent: Salience.

    Parameters
    ----------
    model : Network
        A CRNN with layers `cnn.layer4` and `cnn.layer5`, such as sf-crnn-1.
    picture : Features
        (channels, rows, time) as the model's front end makes it of a song.

    Returns
    -------
    Salience
        (pitch, time) in 0..1, with the probability of "no melody" (time,) as `unvoiced`.
    """
    with explain.ablate(model, "cnn.layer4", _silent_03_c(model)):
        return run.salience(model, picture)


def _silent_03_c(model):
    """The channel to which layer 5 gives the second largest weight: it counts, and is not the
    first to come to mind.
    """
    weights = model.cnn.layer5.conv.weight.detach().numpy().ravel()
    return int(np.argsort(np.abs(weights))[-2])


@_exercise("03_crnn")
def check_03_c(channel: int, model: Network, picture: Features) -> bool | None:
    """The channel of layer 4 that was silent in `puzzle_03_c`.

    Parameters
    ----------
    channel : int
        Its number, 0..15.
    model : Network
        The network that `puzzle_03_c` was given.
    picture : Features
        The input that `puzzle_03_c` was given.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    if channel not in range(16):
        return False, "layer 4 has channels 0 to 15; a whole number is asked for."
    puzzle = puzzle_03_c(model, picture).values
    with explain.ablate(model, "cnn.layer4", int(channel)):
        distance = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance == 0:
        return (
            True,
            "with it silenced the network says the same, to the last bit: a fault found by "
            "breaking things.",
        )
    untouched = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance > untouched:
        return (
            False,
            f"without channel {channel} you get further from the puzzle than with it; look for "
            f"the smallest distance.",
        )
    return (
        False,
        f"without channel {channel} the salience is still {distance:.2g} off on average; at "
        f"the right one it is 0.",
    )

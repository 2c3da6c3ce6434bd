"""Checks of 07_drums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab import drums, records
from melodylab.course.checks.runner import _exercise, _result

if TYPE_CHECKING:
    from collections.abc import Callable

    from melodylab.records import Song

# --- 07_drums -------------------------------------------------------------------------------------


@_exercise("07_drums")
def check_07_a(masks: Callable) -> bool | None:
    """A function (W, H, owners, power) that returns {class: Wiener mask (freq, time)}.

    Parameters
    ----------
    masks : callable
        Takes W (freq, parts), H (parts, time), owners (parts,), which tells the class of each
        column of W, and the exponent power; returns one mask in 0..1 for each class in owners.
        Empty while it returns None or `...`, also for one class.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    rng, owners, power = np.random.default_rng(7), ("kick", "kick", "snare", "toms"), 2.0
    W, H = rng.uniform(0.1, 1, (6, 4)), rng.uniform(0.1, 1, (4, 5))
    found = dict(_result(masks, W.copy(), H.copy(), owners, power))
    kinds = list(dict.fromkeys(owners))
    if sorted(found) != sorted(kinds):
        return (
            False,
            f"one mask for each class is asked for, {', '.join(kinds)}; yours are for "
            f"{', '.join(map(str, found))}.",
        )
    if any(np.shape(mask) != (6, 5) for mask in found.values()):
        return False, "a mask has the shape of the spectrogram, (freq, time)."
    found = np.array([np.asarray(found[kind], dtype=float) for kind in kinds])
    parts = np.array([np.outer(W[:, k], H[k]) for k in range(4)])
    mine = np.array([[name == kind for name in owners] for kind in kinds], dtype=float)

    def shares(levels):
        return levels / levels.sum(axis=0)

    models = np.einsum("ck,kft->cft", mine, parts)
    if np.allclose(found, shares(models**power)):
        return (
            True,
            "every cell of the loop is shared out, nothing is left over and nothing invented: "
            "the stems sum to the loop.",
        )
    if np.allclose(found, shares(np.einsum("ck,kft->cft", mine, parts**power))):
        return (
            False,
            "a class's parts belong together: add them up first, and take the power of the sum.",
        )
    if np.allclose(found, shares(models)):
        return (
            False,
            "these sum to 1, but where is the power? It gives the stronger class more than "
            "its share.",
        )
    if np.allclose(found, models**power) or np.allclose(found, models):
        return False, "these are levels, not shares: divide by the sum over the classes."
    if not np.allclose(found.sum(axis=0), 1):
        return False, "in each cell the masks of all classes must sum to 1."
    return (
        False,
        "the model of a class is W[:, own] @ H[own]; its power, divided by the sum of all "
        "classes' powers, is the mask.",
    )


@_exercise("07_drums")
def check_07_b(numbers: int) -> bool | None:
    """Trainable numbers of the printed network (R1, 5 classes) if it pools time by 2, not 5, three
    times.

    Parameters
    ----------
    numbers : int
        How many the whole network has, for 344 frames of input.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    numbers, convolutions = float(numbers), 286_400
    right = convolutions + 128 * (32 * 4 * 43 + 1) + 5 * 129
    if numbers == right:
        return (
            True,
            "43 cells of time in place of 2, and a dense layer that alone is bigger than all "
            "the rest was.",
        )
    slips = {
        "that is the printed one, with 2 cells of time left.": 319_941,
        "and the convolutions? They stay, all 286,400 numbers.": right - convolutions,
        "the last layer has a number for each of 128 units, and a bias, per class.": right
        - 5 * 129,
        "each of the 128 units has a bias, too.": right - 128,
        "the flattened features also hold 4 rows of frequency.": convolutions
        + 128 * (32 * 43 + 1)
        + 5 * 129,
        "32 channels come out of the last block: 32 x 4 x 43 features.": convolutions
        + 128 * (4 * 43 + 1)
        + 5 * 129,
    }
    fitting = [hint for hint, slip in slips.items() if numbers == slip]
    general = (
        "344 frames become 172, 86, 43; only the dense layer, 128 * (32 * 4 * cells + 1), changes."
    )
    return False, fitting[0] if fitting else general


def puzzle_07_c(song: Song) -> np.ndarray:
    """The snare's stem of a loop that was taken apart with one stroke of the snare left out.

    Parameters
    ----------
    song : Song
        A drum loop with the true stem of its snare and its true hits.

    Returns
    -------
    ndarray
        (channels, samples) at the song's rate.
    """
    kept = np.abs(song.onsets.times_s - _left_out_07_c(song)) > 1e-9
    kept |= np.array([kind != "snare" for kind in song.onsets.classes])
    kinds = tuple(kind for kind, keep in zip(song.onsets.classes, kept, strict=True) if keep)
    onsets = records.DrumOnsets(song.onsets.times_s[kept], kinds, song.onsets.velocity[kept])
    return drums.separate(song, onsets).stems["snare"]


def _left_out_07_c(song):
    """The time of the loudest stroke of the snare that has 0.2 s for itself."""
    times_s = song.onsets.of_class("snare")
    stem = np.asarray(song.stems["snare"], dtype=float)
    gaps_s = np.minimum(np.diff(times_s, prepend=-1), np.diff(times_s, append=song.duration_s + 1))
    energies = [
        np.sum(np.square(stem[:, round(t * song.sr) :][:, : song.sr // 20])) for t in times_s
    ]
    return float(times_s[np.argmax(np.array(energies) * (gaps_s > min(0.2, gaps_s.max() - 1e-9)))])


@_exercise("07_drums")
def check_07_c(time_s: float, song: Song) -> bool | None:
    """When, in seconds, the stroke sounds that was left out of `puzzle_07_c`.

    Parameters
    ----------
    time_s : float
        Seconds from the loop's start, right within 0.03.
    song : Song
        The loop that `puzzle_07_c` was given.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    time_s, times_s, wanted_s = float(time_s), song.onsets.of_class("snare"), _left_out_07_c(song)
    if abs(time_s - wanted_s) < 0.03:
        return (
            True,
            f"{wanted_s:.2f} s. Its sound went to whoever was playing: a missed hit spoils "
            f"more stems than its own.",
        )
    if abs(1000 * wanted_s - time_s) < 30:
        return False, "that may be milliseconds; seconds are asked for."
    if not 0 <= time_s <= song.duration_s:
        return False, f"the loop lasts from 0 to {song.duration_s:.2f} s."
    if np.min(np.abs(times_s - time_s)) > 0.03:
        return (
            False,
            f"no snare was struck at {time_s:.2f} s; the strokes are in "
            f'song.onsets.of_class("snare").',
        )
    return (
        False,
        f"the stroke at {time_s:.2f} s is still there. After which does the stem lose most "
        f'against song.stems["snare"]?',
    )

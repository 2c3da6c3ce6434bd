"""Scores of drum hits."""

import mir_eval.melody
import mir_eval.onset
import numpy as np
from numpy.typing import ArrayLike

from melodylab.errors import InputError
from melodylab.evaluate.melody import _quiet
from melodylab.records import DrumOnsets


def onset_f_measure(*, reference: ArrayLike, estimate: ArrayLike, window_s: float = 0.05) -> float:
    """F-measure of estimated hit times: each may meet one true one that lies near enough.

    Parameters
    ----------
    reference, estimate : array_like, shape (hits,)
        True times and times found, in seconds, in any order.
    window_s : float
        How far apart a pair may lie, in seconds.

    Returns
    -------
    float
        0..1; 0 where only one of the two lists is empty, NaN where both are, so that an absent
        drum does not enter a mean.
    """
    times = [np.sort(np.asarray(times_s, dtype=float)) for times_s in (reference, estimate)]
    if not len(times[0]) and not len(times[1]):
        return float("nan")
    with _quiet():
        return float(mir_eval.onset.f_measure(*times, window=window_s)[0])


def hit_errors(
    *, reference: DrumOnsets | None, estimate: DrumOnsets, window_s: float = 0.05
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """What became of each hit.

    A found hit is right within `window_s` of a true one of its class, and each is used once.

    Parameters
    ----------
    reference, estimate : DrumOnsets
        The true hits and those found; classes are compared as they are written.
    window_s : float
        How far apart a pair may lie, in seconds.

    Returns
    -------
    times_s : ndarray, shape (hits,)
        Rising. Right and false hits stand at the time claimed, missed ones at the true one.
    classes : tuple of str
        The drum of each.
    labels : tuple of str
        "right", "missed" or "false".

    Raises
    ------
    InputError
        If one of the two is missing, as of a loop whose true hits are not known.
    """
    if reference is None:
        raise InputError("the reference is missing; give DrumOnsets, such as those of read_onsets")
    told = []
    for kind in sorted({*estimate.classes, *reference.classes}):
        found, true = estimate.of_class(kind), reference.of_class(kind)
        pairs = (
            mir_eval.util.match_events(true, found, window_s) if len(found) and len(true) else []
        )
        right, seen = {e for _, e in pairs}, {r for r, _ in pairs}
        told += [(float(t), kind, "right" if n in right else "false") for n, t in enumerate(found)]
        told += [(float(t), kind, "missed") for n, t in enumerate(true) if n not in seen]
    times_s, classes, labels = zip(*sorted(told), strict=True) if told else ((), (), ())
    return np.array(times_s, float), classes, labels

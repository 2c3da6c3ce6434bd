"""Scores of drum hits."""

import mir_eval.melody
import mir_eval.onset
import numpy as np

from melodylab.evaluate.melody import _quiet


def onset_f_measure(reference_s, estimate_s, window_s=0.05):
    """F-measure in 0..1 of estimated hit times (seconds, any order) within `window_s` of true ones, each used once.

    0 where only one of the two lists is empty; NaN where both are, so that an absent drum does not enter a mean.
    """
    reference_s, estimate_s = (
        np.sort(np.asarray(times_s, dtype=float)) for times_s in (reference_s, estimate_s)
    )
    if not len(reference_s) and not len(estimate_s):
        return float("nan")
    with _quiet():
        return float(mir_eval.onset.f_measure(reference_s, estimate_s, window=window_s)[0])


def hit_errors(estimate, reference, window_s=0.05):
    """What became of each hit of two `DrumOnsets`: (times_s, classes, labels), labels "right", "missed" or "false", by time.

    A found hit is right within `window_s` of a true one of its class, and each is used once. Right and false hits stand at the time
    that was claimed, missed ones at the true time.
    """
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

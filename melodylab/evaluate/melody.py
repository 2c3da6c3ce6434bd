"""Scores of a melody."""

import contextlib
import warnings

import mir_eval.melody
import mir_eval.onset
import numpy as np

_FIGURES = {
    "OA": "Overall Accuracy",
    "RPA": "Raw Pitch Accuracy",
    "RCA": "Raw Chroma Accuracy",
    "VR": "Voicing Recall",
    "VFA": "Voicing False Alarm",
}


def score_melody(estimate, reference):
    """Five figures of an estimated Melody against the true one: {"OA", "RPA", "RCA", "VR", "VFA"}, floats in 0..1.

    OA: share of all frames that are right (pitch where voiced, silence where not). RPA, RCA: share of the voiced frames with
    the right pitch, with the right pitch in any octave. VR: share of the voiced frames called voiced. VFA: share of the
    unvoiced frames called voiced (lower is better). NaN where there are no such frames; an empty estimate says "unvoiced".
    """
    if not len(reference):
        return dict.fromkeys(_FIGURES, float("nan"))
    series = _series(estimate, reference)
    with _quiet():
        scores = mir_eval.melody.evaluate(*series)
    undefined = (
        {"RPA", "RCA", "VR"}
        if not reference.voiced.any()
        else {"VFA"}
        if reference.voiced.all()
        else ()
    )
    return {
        short: float("nan") if short in undefined else float(scores[name])
        for short, name in _FIGURES.items()
    }


def frame_errors(estimate, reference):
    """What happened in each frame of the reference: (times_s (frames,), labels (frames,) of str).

    Voiced in both: "right", "octave" (right but for the octave) or "wrong". Voiced in the reference only: "missed"; in the
    estimate only: "false"; in neither: "silence". The share of right and silence together is OA. A reference that starts
    after 0 s gets a frame at 0 s, as in mir_eval.
    """
    if not len(reference):
        return np.zeros(0), np.zeros(0, dtype="U7")
    times_s, truth, voiced, distance, chroma, _ = _compare(_series(estimate, reference), reference)
    cases = {
        "silence": ~truth & ~voiced,
        "false": ~truth,
        "missed": ~voiced,
        "right": distance < 50,
        "octave": chroma < 50,
    }
    return times_s, np.select(list(cases.values()), list(cases), "wrong")


def pitch_errors(estimate, reference):
    """By how much the pitch is off, where the reference is voiced: (times_s (frames,), labels (frames,) of str).

    "right" (less than 50 cents off), "semitone" (less than 150), "tone" (less than 250), "octave" (right but for any number
    of octaves) or "other", no guess included. The kinds add up to the voiced frames; whether the estimate is voiced does
    not count, so that right is RPA, and right with octave RCA.
    """
    if not len(reference):
        return np.zeros(0), np.zeros(0, dtype="U8")
    times_s, truth, _, distance, chroma, guessed = _compare(_series(estimate, reference), reference)
    cases = {
        "other": ~guessed,
        "right": distance < 50,
        "semitone": distance < 150,
        "tone": distance < 250,
        "octave": chroma < 50,
    }
    return times_s[truth], np.select(list(cases.values()), list(cases), "other")[truth]


def _compare(series, reference):
    """Each frame of the reference: time, truly voiced?, called voiced?, cents apart, cents but for octaves, any guess?"""
    with _quiet():
        truth, truth_cents, voiced, cents = mir_eval.melody.to_cent_voicing(*series)
    distance = np.abs(cents - truth_cents)
    chroma = np.abs(distance - 1200 * np.floor(distance / 1200 + 0.5))
    times_s = (
        reference.times_s if reference.times_s[0] <= 0 else np.insert(reference.times_s, 0, 0.0)
    )
    return times_s, truth > 0, voiced > 0, distance, chroma, cents != 0


def other_thresholds(estimate, reference, thresholds):
    """How an estimate with graded voicing would score at other thresholds than 0.5: {"OAs": (thresholds,), "AUC": float}.

    AUC: how often a voiced frame of the reference has more voicing than an unvoiced one, which is the area under voicing
    recall against false alarm; NaN where all frames are of one kind. Decoded once, scored at every threshold at once.
    """
    truth_times_s, truth_hz, times_s, signed_hz = _series(estimate, reference)
    voicing = estimate.voicing.copy() if len(estimate) else np.zeros(1)
    with _quiet():
        truth, truth_cents, _, cents = mir_eval.melody.to_cent_voicing(
            truth_times_s, truth_hz, times_s, signed_hz
        )
        series = (truth_times_s, truth_hz, times_s, np.abs(signed_hz))
        voicing = mir_eval.melody.to_cent_voicing(*series, est_voicing=voicing, kind="zero")[
            2
        ]  # held, as for 0 and 1
    truth, right = truth > 0, np.abs(cents - truth_cents) < 50
    voiced = voicing >= np.asarray(thresholds)[:, None]
    yes, no = voicing[truth], np.sort(voicing[~truth])
    wins = np.searchsorted(no, yes, "left") + np.searchsorted(no, yes, "right")
    with np.errstate(invalid="ignore"):
        area = np.divide(wins.sum() / 2, len(yes) * len(no))
    return {"OAs": np.where(truth, voiced & right, ~voiced).mean(axis=1), "AUC": float(area)}


def _series(estimate, reference):
    """Fresh arrays (reference times, signed Hz, estimate times, signed Hz), for mir_eval may write into what it is given."""
    _warn_of_gaps(estimate.times_s, reference.times_s[-1])
    truth = [reference.times_s.copy(), reference.signed_hz]
    return [
        *truth,
        *(
            [estimate.times_s.copy(), estimate.signed_hz]
            if len(estimate)
            else [np.zeros(1), np.zeros(1)]
        ),
    ]


def _warn_of_gaps(times_s, end_s):
    steps_s = np.diff(times_s)
    gaps = np.flatnonzero(steps_s > 1.5 * np.median(steps_s)) if len(steps_s) else []
    if len(gaps):
        where = f"leaves out frames in {len(gaps)} places, first after {times_s[gaps[0]]:.2f} s, and they count as if sung"
    elif len(times_s) and end_s - times_s[-1] > 0.5:
        where = f"ends at {times_s[-1]:.2f} s, before the reference, and its last frame is held to the end"
    else:
        return
    warnings.warn(f"the estimate {where}; write every frame, unvoiced ones too", stacklevel=4)


@contextlib.contextmanager
def _quiet():
    """For remarks on empty and unvoiced series that a NaN or our own warning already makes."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        yield

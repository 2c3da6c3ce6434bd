"""Scores of a melody."""

import contextlib
import os
import warnings
from collections.abc import Iterator

import mir_eval.melody
import mir_eval.onset
import numpy as np
from numpy.typing import ArrayLike

from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.records import Melody

MelodyOrPath = Melody | str | os.PathLike[str]

_FIGURES = {
    "OA": "Overall Accuracy",
    "RPA": "Raw Pitch Accuracy",
    "RCA": "Raw Chroma Accuracy",
    "VR": "Voicing Recall",
    "VFA": "Voicing False Alarm",
}

_GAP_HOPS = 2.5  # a longer step leaves frames out; a shorter one is a rounded time


def score_melody(estimate: MelodyOrPath, reference: MelodyOrPath | None) -> dict[str, float]:
    """Five figures of an estimated melody against the true one.

    OA: share of all frames that are right (pitch where voiced, silence where not). RPA, RCA: share
    of the voiced frames with the right pitch, with the right pitch in any octave. VR: share of the
    voiced frames called voiced. VFA: share of the unvoiced frames called voiced (lower is better).

    Parameters
    ----------
    estimate : Melody or path of a CSV
        What a method found; every frame, in Hz with a voicing in 0..1. An empty one is unvoiced.
    reference : Melody or path of a CSV
        The truth, whose times rule. Where it leaves out frames (a file without its pauses), they
        count as unvoiced up to the end of the estimate, and a warning says so.

    Returns
    -------
    dict of float
        {"OA", "RPA", "RCA", "VR", "VFA"} in 0..1; NaN where there are no such frames.

    Raises
    ------
    InputError
        If one of the two is missing, as of a song whose true melody is not known.

    Notes
    -----
    Source: Salamon et al. 2014; the figures are mir_eval's.
    """
    estimate, reference = _pair(estimate, reference)
    if not len(reference):
        return dict.fromkeys(_FIGURES, float("nan"))
    series = _series(estimate, reference)
    with _quiet():
        scores = mir_eval.melody.evaluate(*series)
    undefined = (
        {"RPA", "RCA", "VR"}
        if not (series[1] > 0).any()
        else {"VFA"}
        if (series[1] > 0).all()
        else ()
    )
    return {
        short: float("nan") if short in undefined else float(scores[name])
        for short, name in _FIGURES.items()
    }


def frame_errors(
    *, reference: MelodyOrPath | None, estimate: MelodyOrPath
) -> tuple[np.ndarray, np.ndarray]:
    """What happened in each frame of the reference.

    Voiced in both: "right", "octave" (right but for the octave) or "wrong". Voiced in the reference
    only: "missed"; in the estimate only: "false"; in neither: "silence". The share of right and
    silence together is OA.

    Parameters
    ----------
    reference, estimate : Melody or path of a CSV
        The truth and what a method found, as in `score_melody`.

    Returns
    -------
    times_s : ndarray, shape (frames,)
        Times of the reference. One that starts after 0 s gets a frame at 0 s, as in mir_eval.
    labels : ndarray of str, shape (frames,)
        Empty for an empty reference.

    Raises
    ------
    InputError
        If one of the two is missing.
    """
    estimate, reference = _pair(estimate, reference)
    if not len(reference):
        return np.zeros(0), np.zeros(0, dtype="U7")
    times_s, truth, voiced, distance, chroma, _ = _compare(_series(estimate, reference))
    cases = {
        "silence": ~truth & ~voiced,
        "false": ~truth,
        "missed": ~voiced,
        "right": distance < 50,
        "octave": chroma < 50,
    }
    return times_s, np.select(list(cases.values()), list(cases), "wrong")


def pitch_errors(
    *, reference: MelodyOrPath | None, estimate: MelodyOrPath
) -> tuple[np.ndarray, np.ndarray]:
    """By how much the pitch is off, where the reference is voiced.

    "right" (less than 50 cents off), "semitone" (less than 150), "tone" (less than 250), "octave"
    (right but for any number of octaves) or "other", no guess included. Whether the estimate is
    voiced does not count, so that right is RPA, and right with octave RCA.

    Parameters
    ----------
    reference, estimate : Melody or path of a CSV
        The truth and what a method found, as in `score_melody`.

    Returns
    -------
    times_s : ndarray, shape (voiced frames,)
        Times of the reference where it is voiced.
    labels : ndarray of str, shape (voiced frames,)
        Empty for a silent reference.

    Raises
    ------
    InputError
        If one of the two is missing.
    """
    estimate, reference = _pair(estimate, reference)
    if not len(reference):
        return np.zeros(0), np.zeros(0, dtype="U8")
    times_s, truth, _, distance, chroma, guessed = _compare(_series(estimate, reference))
    cases = {
        "other": ~guessed,
        "right": distance < 50,
        "semitone": distance < 150,
        "tone": distance < 250,
        "octave": chroma < 50,
    }
    return times_s[truth], np.select(list(cases.values()), list(cases), "other")[truth]


def _compare(series):
    """Each frame of the reference: time, truly voiced?, called voiced?, cents apart, cents but for
    octaves, any guess?"""
    times_s = series[0] if series[0][0] <= 0 else np.insert(series[0], 0, 0.0)
    with _quiet():
        truth, truth_cents, voiced, cents = mir_eval.melody.to_cent_voicing(*series)
    distance = np.abs(cents - truth_cents)
    chroma = np.abs(distance - 1200 * np.floor(distance / 1200 + 0.5))
    return times_s, truth > 0, voiced > 0, distance, chroma, cents != 0


def other_thresholds(
    *,
    reference: MelodyOrPath | None,
    estimate: MelodyOrPath,
    thresholds: ArrayLike,
) -> dict:
    """How an estimate with graded voicing would score at other thresholds than 0.5.

    Decoded once, scored at every threshold at once.

    Parameters
    ----------
    reference, estimate : Melody or path of a CSV
        The truth and what a method found, as in `score_melody`.
    thresholds : array_like, shape (thresholds,)
        Voicings in 0..1 from which a frame is called voiced.

    Returns
    -------
    dict
        "OAs": ndarray (thresholds,) in 0..1. "AUC": float, how often a voiced frame of the
        reference has more voicing than an unvoiced one, which is the area under voicing recall
        against false alarm; NaN where all frames are of one kind.

    Raises
    ------
    InputError
        If one of the two melodies is missing.
    """
    estimate, reference = _pair(estimate, reference)
    truth_times_s, truth_hz, times_s, signed_hz = _series(estimate, reference)
    voicing = estimate.voicing.copy() if len(estimate) else np.zeros(1)
    with _quiet():
        truth, truth_cents, _, cents = mir_eval.melody.to_cent_voicing(
            truth_times_s, truth_hz, times_s, signed_hz
        )
        series = (truth_times_s, truth_hz, times_s, np.abs(signed_hz))
        # "zero": held, as for 0 and 1
        voicing = mir_eval.melody.to_cent_voicing(*series, est_voicing=voicing, kind="zero")[2]
    truth, right = truth > 0, np.abs(cents - truth_cents) < 50
    voiced = voicing >= np.asarray(thresholds)[:, None]
    yes, no = voicing[truth], np.sort(voicing[~truth])
    wins = np.searchsorted(no, yes, "left") + np.searchsorted(no, yes, "right")
    with np.errstate(invalid="ignore"):
        area = np.divide(wins.sum() / 2, len(yes) * len(no))
    return {"OAs": np.where(truth, voiced & right, ~voiced).mean(axis=1), "AUC": float(area)}


def _pair(estimate, reference) -> tuple[Melody, Melody]:
    """Both as Melody objects, read where they are paths."""
    if reference is None:
        raise InputError(
            "this song has no true melody, so nothing can be scored; "
            "give the truth as reference=, such as Melody.from_csv('melody.csv')"
        )
    pair = []
    for role, melody in (("estimate", estimate), ("reference", reference)):
        if isinstance(melody, str | os.PathLike):
            melody = Melody.from_csv(melody)
        if not isinstance(melody, Melody):
            kind = type(melody).__name__
            raise InputError(f"the {role} is a {kind}; give a Melody or the path of its CSV")
        pair.append(_from_zero(melody))
    return pair[0], pair[1]


def _from_zero(melody):
    """Without frames ahead of the song."""
    inside = melody.times_s >= 0
    if inside.all():
        return melody
    return Melody(melody.times_s[inside], melody.f0_hz[inside], melody.voicing[inside])


def _series(estimate, reference):
    """Fresh arrays (reference times, signed Hz, estimate times, signed Hz), for mir_eval may write
    into what it is given."""
    truth = [reference.times_s.copy(), reference.signed_hz]
    gaps = _gaps(truth[0])
    if len(gaps):
        warnings.warn(
            f"the reference leaves out frames in {len(gaps)} places, first after "
            f"{truth[0][gaps[0]]:.2f} s; they count as unvoiced, "
            "and so does what lies before its first frame and after its last",
            stacklevel=3,
        )
        end_s = estimate.times_s[-1] if len(estimate) else 0.0
        new_s = grids.left_out_s(truth[0], _GAP_HOPS, end_s)[1]
        order = np.argsort(np.concatenate([truth[0], new_s]), kind="stable")
        unvoiced = (new_s, np.zeros(len(new_s)))
        truth = [np.concatenate(pair)[order] for pair in zip(truth, unvoiced)]
    _warn_of_gaps(estimate.times_s, truth[0][-1] if len(reference) else 0.0)
    found = [estimate.times_s.copy(), estimate.signed_hz]
    return [*truth, *(found if len(estimate) else [np.zeros(1), np.zeros(1)])]


def _gaps(times_s):
    """Indices of the frames after which others are left out."""
    return grids.left_out_s(times_s, _GAP_HOPS)[0]


def _warn_of_gaps(times_s, end_s):
    gaps = _gaps(times_s)
    if len(gaps):
        where = (
            f"leaves out frames in {len(gaps)} places, first after {times_s[gaps[0]]:.2f} s, "
            "and they count as if sung"
        )
    elif len(times_s) and end_s - times_s[-1] > 0.5:
        where = (
            f"ends at {times_s[-1]:.2f} s, before the reference, "
            "and its last frame is held to the end"
        )
    else:
        return
    warnings.warn(f"the estimate {where}; write every frame, unvoiced ones too", stacklevel=4)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """For remarks on empty and unvoiced series that a NaN or our own warning already makes."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        yield

"""Checks of 02_source_filter_nmf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab import evaluate, records, sfnmf, synth
from melodylab.course.checks.runner import _exercise, _result
from melodylab.dsp import grids, stft
from melodylab.melody import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from melodylab.records import Melody, Salience

# --- 02_source_filter_nmf -------------------------------------------------------------------------


@_exercise("02_source_filter_nmf")
def check_02_a(update_H_B: Callable) -> bool | None:
    """A function (V, V_hat, W_B, H_B) that returns H_B after one Itakura-Saito update, exponent 1.

    Parameters
    ----------
    update_H_B : callable
        Takes powers V and V_hat (freq, time), spectra W_B (freq, parts) and levels H_B (parts,
        time), all above 0; returns the new levels (parts, time). Empty while it returns None or
        `...`.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    rng = np.random.default_rng(2)
    V, V_hat, W_B, H_B = (rng.uniform(0.5, 2, shape) for shape in ((7, 5), (7, 5), (7, 3), (3, 5)))
    given = _result(update_H_B, V.copy(), V_hat.copy(), W_B.copy(), H_B.copy())
    pull, push = W_B.T @ (V / V_hat**2), W_B.T @ (1 / V_hat)
    if np.shape(given) != H_B.shape:
        return (
            False,
            f"H_B has the shape {H_B.shape} here, your result {np.shape(given)}; where does a "
            f"transpose belong?",
        )
    slips = {
        "what pulls up belongs above the line, what pushes down below it.": H_B * push / pull,
        "that is the Kullback-Leibler update. Take 1 / V_hat in push and V / V_hat**2 in pull.": (
            H_B * (W_B.T @ (V / V_hat)) / W_B.sum(axis=0)[:, None]
        ),
        "that is a step of exponent 1/2; asked for is exponent 1.": H_B * np.sqrt(pull / push),
        "that is the ratio alone; an update multiplies the old H_B by it.": pull / push,
        "that is the gradient; make one factor of its two parts.": push - pull,
    }
    if np.allclose(given, H_B * pull / push, rtol=1e-6):
        return (
            True,
            "V_hat depends on H_B through W_B alone, so the filter drops out and the rest "
            "stays as it was.",
        )
    fitting = [hint for hint, slip in slips.items() if np.allclose(given, slip, rtol=1e-6)]
    return False, fitting[
        0
    ] if fitting else "the numbers differ. Is there a filter in your update? H_B has none."


@_exercise("02_source_filter_nmf")
def check_02_b(accuracy: Mapping[int, float], power: np.ndarray, truth: Melody) -> bool | None:
    """Raw pitch accuracies {parts: RPA} of the brightest row of H_F0, seed 0.

    Parameters
    ----------
    accuracy : mapping of int to float
        Keys 1, 40 and 160, the numbers of accompaniment parts; shares in 0..1, right within 0.03.
        Empty while one of them is.
    power : ndarray
        (freq, time) power spectrogram of the song, with the rate, window and hop of
        `sfnmf.Settings`.
    truth : Melody
        The true melody of that song.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    if set(accuracy) != {1, 40, 160}:
        return (
            False,
            "the answer is a dictionary with the keys 1, 40 and 160, the numbers of parts.",
        )
    scores = {parts: _brightest_comb_scores(power, truth, parts) for parts in accuracy}
    wrong = [parts for parts, score in scores.items() if abs(accuracy[parts] - score["RPA"]) > 0.03]
    if not wrong:
        return True, (
            "flooded, it loses the lead: with 160 free spectra there is one for every note of "
            "the voice too. Starved, it "
            "keeps the lead, but then chords and drums must go into it as well: a good "
            "salience and a bad stem."
        )
    if max(accuracy.values()) - min(accuracy.values()) < 0.01:
        return (
            False,
            "all three are alike. Settings are frozen: replace(settings, ...) returns new "
            "ones; do you use them?",
        )
    if all(abs(accuracy[parts] - score["RCA"]) <= 0.03 for parts, score in scores.items()):
        return False, "these are the RCA, which forgive octaves; asked for is the RPA."
    return (
        False,
        f"with {wrong[0]} parts it should be another number. Seed 0, 40 iterations, brightest "
        f"row of every frame?",
    )


def _brightest_comb_scores(power, truth, n_accompaniment):
    settings = sfnmf.Settings(n_accompaniment=n_accompaniment)
    H_F0 = sfnmf.factorise(power, settings, seed=0).H_F0
    times_s = grids.frame_times_s(H_F0.shape[1], settings.hop_samples, settings.sr)
    return evaluate.score_melody(
        estimate=decode.peak(records.Salience(H_F0, settings.grid.freqs_hz, times_s)),
        reference=truth,
    )


_FMIN_02_C_HZ = 55 * 2 ** (8 / 60)


def puzzle_02_c() -> tuple[Salience, Melody]:
    """An H_F0 whose rows bear the wrong frequencies, and the true Melody: (Salience, Melody).

    Returns
    -------
    tuple of (Salience, Melody)
        The Salience (pitch, time), each frame's sum 1, whose rows say that they begin at 55 Hz; the
        Melody on its frames.
    """
    song = synth.demo_song(seed=1, seconds=6).excerpt(2, 6)
    settings = sfnmf.Settings(fmin_hz=_FMIN_02_C_HZ, fmax_hz=32 * _FMIN_02_C_HZ, iterations=20)
    power = (
        np.abs(stft.stft(song.mono, window=settings.window, hop_samples=settings.hop_samples)) ** 2
    )
    H_F0 = sfnmf.factorise(power, settings).H_F0
    times_s = grids.frame_times_s(power.shape[1], settings.hop_samples, settings.sr)
    labelled_hz = sfnmf.Settings().grid.freqs_hz
    return records.Salience(H_F0 / H_F0.sum(axis=0), labelled_hz, times_s), song.melody.resampled(
        times_s
    )


@_exercise("02_source_filter_nmf")
def check_02_c(fmin_hz: float) -> bool | None:
    """The frequency of the first row of the dictionary behind `puzzle_02_c`.

    Parameters
    ----------
    fmin_hz : float
        The centre of row 0, in Hz, right within 15 cents.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    fmin_hz = float(fmin_hz)
    off_cents = float(grids.offset_cents(fmin_hz, _FMIN_02_C_HZ))
    if abs(off_cents) < 15:
        return (
            True,
            f"{_FMIN_02_C_HZ:.2f} Hz, eight rows above A1. A constant distance means a wrong "
            f"start of the grid.",
        )
    if abs(grids.offset_cents(55**2 / fmin_hz, _FMIN_02_C_HZ)) < 15:
        return (
            False,
            "right distance, wrong way: the labels lie below the truth, so the first row lies "
            "above 55 Hz.",
        )
    if abs(abs(off_cents) - 1200) < 30:
        return (
            False,
            "that is an octave off. A few frames with octave errors pull a mean away; take "
            "the median.",
        )
    if 100 < abs(fmin_hz) < 220:
        return (
            False,
            "that looks like the distance in cents; go up so many cents from 55 Hz: 55 * 2 ** "
            "(cents / 1200).",
        )
    return (
        False,
        "measure offset_cents between truth and brightest row where something is sung, and "
        "take the median.",
    )

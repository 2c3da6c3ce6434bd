"""Ratios in dB between a source and what a separation made of it."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft, linalg

from melodylab.dsp import mixing, stft
from melodylab.errors import InputError
from melodylab.records import Song

SEPARATION_SR, SEPARATION_S = 22050, 20.0

FILTER_TAPS = 512  # BSS Eval 3 forgives an estimate any fixed filter of this length


def si_sdr(*, reference: ArrayLike, estimate: ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio.

    The target is the reference scaled to fit the estimate best, everything else is distortion; the
    mean is not removed.

    Parameters
    ----------
    reference, estimate : array_like, one shape
        The true signal and what was made of it; channels count as one long signal.

    Returns
    -------
    float
        In dB. NaN for a silent reference, -inf for a silent estimate, +inf for a perfect one.

    Raises
    ------
    ValueError
        On NaN, infinity, no samples or different shapes.

    Notes
    -----
    Source: Le Roux et al. 2019.
    """
    r, e = (x.ravel() for x in _signals(reference, estimate))
    return _target_to_rest_db(r, e, lambda r, e: r * (r @ e) / (r @ r))


def bss_eval_sdr(*, reference: ArrayLike, estimate: ArrayLike) -> np.ndarray:
    """Signal-to-distortion ratio of BSS Eval 3, source by source.

    The target is the reference through the 512-tap filter that fits the estimate best; distortion
    is everything else, over the samples and the 511 that the filter rings on. The other sources do
    not enter (they only split the distortion into interference and artefacts, which this does not
    report).

    Parameters
    ----------
    reference, estimate : array_like, shape (sources, samples) or (samples,)
        The true sources and what was made of them, in one order.

    Returns
    -------
    ndarray, shape (sources,)
        In dB. NaN for a silent reference, -inf for a silent estimate.

    Raises
    ------
    ValueError
        On NaN, infinity, no samples, different shapes, or (samples, sources).

    Notes
    -----
    Source: Vincent et al. 2012; equal to mir_eval's.
    """
    references, estimates = (np.atleast_2d(x) for x in _signals(reference, estimate))
    if references.ndim != 2 or references.shape[0] > references.shape[1]:
        raise ValueError(
            f"expected (sources, samples), got {references.shape}; "
            "transpose, or mix each source to mono"
        )
    return np.array(
        [
            _target_to_rest_db(*pair, _best_filtered)
            for pair in zip(references, estimates, strict=True)
        ]
    )


def _best_filtered(reference, estimate):
    """The reference through the least-squares filter to the estimate, FILTER_TAPS - 1 longer."""
    samples = len(reference) + FILTER_TAPS - 1
    size = fft.next_fast_len(samples, real=True)
    spectrum = np.asarray(fft.rfft(reference, size))
    own = np.asarray(fft.irfft(np.abs(spectrum) ** 2, size))[:FILTER_TAPS]  # correlations by lag
    both = spectrum.conj() * np.asarray(fft.rfft(estimate, size))
    cross = np.asarray(fft.irfft(both, size))[:FILTER_TAPS]
    # a dense solve: a Levinson recursion breaks down on a tone that fades (0 dB instead of 34)
    matrix = linalg.toeplitz(own)
    try:
        taps = np.linalg.solve(matrix, cross)
    except np.linalg.LinAlgError:
        taps = np.linalg.lstsq(matrix, cross, rcond=None)[0]
    filtered = spectrum * np.asarray(fft.rfft(taps, size))
    return np.asarray(fft.irfft(filtered, size))[:samples]


def _target_to_rest_db(reference, estimate, fit):
    if not reference.any() or not estimate.any():
        return float("-inf" if reference.any() else "nan")
    reference, estimate = (
        reference / np.abs(reference).max(),
        estimate / np.abs(estimate).max(),
    )  # squares stay in range
    target = fit(reference, estimate)
    rest = np.pad(estimate, (0, len(target) - len(estimate))) - target
    with np.errstate(divide="ignore"):
        return float(10 * (np.log10(target @ target) - np.log10(rest @ rest)))


def _signals(reference, estimate):
    reference, estimate = np.asarray(reference, dtype=float), np.asarray(estimate, dtype=float)
    if reference.shape != estimate.shape or reference.size == 0:
        raise ValueError(
            f"reference {reference.shape} and estimate {estimate.shape} must have one shape "
            "and not be empty"
        )
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        raise ValueError("reference and estimate must be finite; they hold NaN or infinity")
    return reference, estimate


def separation_excerpt(song: Song) -> Song:
    """What separations are judged on: the first 20 s, mono at 22,050 Hz.

    Parameters
    ----------
    song : Song
        One with a stem "melody".

    Returns
    -------
    Song
        Mix, stem "melody" and true melody of the excerpt.

    Raises
    ------
    InputError
        If the song has no stem "melody".
    """
    if "melody" not in song.stems:
        raise InputError(f"{song.name} has no stem melody; add it as melody.wav beside the mix")
    song = song.excerpt(0, min(SEPARATION_S, song.duration_s))
    mix, lead = (
        stft.resample(mixing.mix_down(song.audio, x), song.sr, SEPARATION_SR)[None]
        for x in (song.audio, song.stems["melody"])
    )
    return Song(mix, SEPARATION_SR, song.name, {"melody": lead}, song.melody)

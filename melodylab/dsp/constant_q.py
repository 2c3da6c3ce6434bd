"""Pictures on a pitch axis: constant-Q, harmonic constant-Q, log-frequency magnitudes; decibels."""

from collections.abc import Sequence

import librosa
import numpy as np
from scipy import fft, signal

from melodylab import progress
from melodylab.dsp import grids, levels, stft
from melodylab.dsp.cfp import _frames, _mono_at, _triangles
from melodylab.errors import InputError
from melodylab.records import Features, Song

_BLOCK_FRAMES = 2048  # spectra held at a time; the result does not depend on it


HARMONICS = (0.5, 1, 2, 3, 4, 5)  # the six layers of an HCQT, in this order


def cqt(
    song: Song,
    *,
    sr: int | None = 22050,
    hop_samples: int = 256,
    fmin_hz: float = 55.0,
    bins_per_octave: int = 60,
    n_bins: int = 301,
) -> Features:
    """Magnitude of the constant-Q transform.

    The defaults (55 Hz to 1760 Hz, 20 cents a bin) are the grid of the source-filter NMF.
    Source: Brown 1991; Schoerkhuber & Klapuri 2010 (the octave-wise computation in librosa).

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros.
    sr : int, optional
        Working rate; None is the song's own.
    hop_samples : int
        From frame to frame. A hop with many factors of two is many times faster, because low
        octaves are then computed at lower rates.
    fmin_hz : float
        Row 0; row k lies at fmin_hz * 2 ** (k / bins_per_octave).
    bins_per_octave, n_bins : int
        Rows an octave, and in all.

    Returns
    -------
    Features
        (1, n_bins, time), kind "cqt".

    Raises
    ------
    InputError
        If the top row does not fit under sr / 2.
    """
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    y, sr = _mono_at(song, sr)
    times_s = grids.frame_times_s(stft.n_frames(len(y), hop_samples), hop_samples, sr)
    return Features(
        _constant_q(y, sr, hop_samples, grid)[None],
        grid.freqs_hz,
        times_s,
        "cqt",
        scale="magnitude",
    )


def hcqt(
    song: Song,
    *,
    sr: int | None = 22050,
    hop_samples: int = 256,
    fmin_hz: float = 32.7,
    bins_per_octave: int = 60,
    n_bins: int = 360,
    harmonics: Sequence[float] = HARMONICS,
) -> Features:
    """Harmonic CQT, the input of Deep Salience.

    Layer h is a CQT that starts at h * fmin_hz: row k of every layer belongs to the pitch
    freqs_hz[k], and a note with that pitch is bright in the same row of all layers. Decibels below
    the loudest cell of all layers of the whole song, cut off at 80 dB and scaled: 1 is that cell,
    0 is 80 dB below it or silence. Source: Bittner et al. 2017.

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros.
    sr : int, optional
        Working rate; None is the song's own.
    hop_samples : int
        From frame to frame.
    fmin_hz : float
        Row 0 of the layer of harmonic 1.
    bins_per_octave, n_bins : int
        Rows an octave, and in all.
    harmonics : sequence of float
        One layer each, in this order.

    Returns
    -------
    Features
        (harmonic, n_bins, time) in 0..1, kind "hcqt".

    Raises
    ------
    InputError
        If the top row of a layer does not fit under sr / 2.
    """
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    y, sr = _mono_at(song, sr)
    frames = stft.n_frames(len(y), hop_samples)
    values = np.empty((len(harmonics), n_bins, frames), dtype=np.float32)
    for layer, h in enumerate(harmonics):
        values[layer] = _constant_q(
            y, sr, hop_samples, grids.PitchGrid(h * fmin_hz, bins_per_octave, n_bins)
        )
    return Features(
        decibels(values),
        grid.freqs_hz,
        grids.frame_times_s(frames, hop_samples, sr),
        "hcqt",
        scale="db",
    )


def decibels(values: np.ndarray, peak: float | None = None) -> np.ndarray:
    """Magnitudes in decibels below the loudest, scaled: 1 is the peak, 0 is 80 dB below it or less.

    Parameters
    ----------
    values : numpy.ndarray
        (..., freq, time) float32 magnitudes >= 0; changed in place.
    peak : float, optional
        The magnitude that becomes 1, and so does what is louder. By default the largest one, unless
        its frame stands out of the song as no music does: see `dsp.levels.heard_peak`.

    Returns
    -------
    numpy.ndarray
        `values`, in 0..1; silence stays 0.
    """
    if peak is None:
        peak = levels.heard_peak(values.max(axis=tuple(range(values.ndim - 1)), initial=0))
    if peak > 0:
        values /= peak
        np.clip(values, 1e-4, 1, out=values)  # 1e-4: -80 dB
        np.log10(values, out=values)
        values /= 4  # 20 log10(x) / 80
        values += 1
    return values


def log_magnitudes(
    song: Song,
    *,
    sr: int | None = 22050,
    hop_samples: int = 512,
    fmin_hz: float = 36.7,
    bins_per_octave: int = 36,
    n_bins: int = 312,
    windows_s: Sequence[float] = (0.186, 0.0465),
    scaled: bool = False,
) -> Features:
    """Magnitude spectra on a log-frequency axis, one a window.

    Long windows part the partials, short ones the moments. Row k collects what lies around
    fmin_hz * 2 ** (k / bins_per_octave) in a triangle from row k - 1 to row k + 1, or lies between
    two bins of the spectrum where these are further apart. A steady sine of amplitude a gives about
    a / 2 in its row.

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros, and so do rows above sr / 2.
    sr : int, optional
        Working rate; None is the song's own.
    hop_samples : int
        From frame to frame.
    fmin_hz : float
        Row 0.
    bins_per_octave, n_bins : int
        Rows an octave, and in all.
    windows_s : sequence of float
        Lengths of the windows, in seconds.
    scaled : bool
        In decibels as in `hcqt`, from 0 to 1.

    Returns
    -------
    Features
        (windows, n_bins, time), kind "log_magnitudes".
    """
    y, sr = _mono_at(song, sr)
    frames = stft.n_frames(len(y), hop_samples)
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    values = np.empty((len(windows_s), n_bins, frames), dtype=np.float32)
    n_fft = 2 ** int(np.ceil(np.log2(max(windows_s) * sr)))
    rows = _triangles(grid, np.arange(n_fft // 2 + 1) * sr / n_fft, lambda hz: hz * n_fft / sr)
    for layer, seconds in enumerate(windows_s):
        shape = signal.get_window("hann", round(seconds * sr)).astype(np.float32)
        for first in progress.steps(range(0, frames, _BLOCK_FRAMES), "spectra"):
            count = min(_BLOCK_FRAMES, frames - first)
            cut = _frames(y, shape / shape.sum(), hop_samples, first * hop_samples, count)
            values[layer, :, first : first + count] = rows @ np.abs(
                fft.rfft(cut, n_fft).T, order="C"
            )
    return Features(
        decibels(values) if scaled else values,
        grid.freqs_hz,
        grids.frame_times_s(frames, hop_samples, sr),
        "log_magnitudes",
        scale="db" if scaled else "magnitude",
    )


def _constant_q(y, sr, hop_samples, grid):
    """CQT magnitudes (freq, time) of `1 + len(y) // hop_samples` frames, for any len(y) >= 1."""
    if grid.freqs_hz[-1] * 2 ** (1 / grid.bins_per_octave) > sr / 2:
        raise InputError(
            f"a constant-Q transform up to {grid.freqs_hz[-1]:.0f} Hz needs a working rate "
            f"above twice that, not {sr} Hz; raise sr or take fewer bins"
        )
    # The longest filter lasts Q periods of the lowest bin. Each block sees that much sound, or
    # silence, on either side, and
    # some more for the halving of the rate from octave to octave; so blocks fit together and the
    # shortest song has room.
    longest = sr / grid.fmin_hz / (2 ** (1 / grid.bins_per_octave) - 1)
    context_frames = int(2 ** np.ceil(np.log2(longest)) / 2 // hop_samples) + 32
    context = context_frames * hop_samples
    frames = stft.n_frames(len(y), hop_samples)
    magnitude = np.empty((grid.n_bins, frames), dtype=np.float32)
    for first in progress.steps(range(0, frames, _BLOCK_FRAMES), "constant-Q transform"):
        count = min(_BLOCK_FRAMES, frames - first)
        start, stop = first * hop_samples - context, (first + count) * hop_samples + context
        part = np.pad(y[max(start, 0) : stop], (max(-start, 0), max(stop - len(y), 0)))
        spectra = librosa.cqt(
            part,
            sr=sr,
            hop_length=hop_samples,
            fmin=grid.fmin_hz,
            n_bins=grid.n_bins,
            bins_per_octave=grid.bins_per_octave,
        )
        magnitude[:, first : first + count] = np.abs(
            spectra[:, context_frames : context_frames + count]
        )
    return magnitude

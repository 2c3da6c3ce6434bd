"""Combined frequency and periodicity (CFP): spectrum, GCoS and cepstrum, as FTANet takes them.

Source: Su and Yang 2015; Yu 2021 and its release.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import fft, signal, sparse

from melodylab.dsp import grids, stft
from melodylab.errors import InputError
from melodylab.io.songs import as_song
from melodylab.records import Features, Song

_CFP_BLOCK_FRAMES = 256  # small enough for the processor's cache


def cfp(
    song: Song,
    *,
    sr: int = 8000,
    win_samples: int = 768,
    hop_samples: int = 80,
    fmin_hz: float = 31.0,
    fmax_hz: float = 1250.0,
    bins_per_octave: int = 60,
    resolution_hz: float = 2.0,
    exponents: Sequence[float] = (0.24, 0.6, 1.0),
    fill_gaps: bool = False,
    as_released: bool = False,
) -> Features:
    """Combined frequency and periodicity, the input of FTANet and SegNet.

    Channel 0 is the spectrum S = |X| ** 0.24; its partials lie at f0, 2 f0, 3 f0... Channel 2 is
    the generalised cepstrum, the transform of S: peaks at the period and its multiples, so at f0,
    f0 / 2, f0 / 3... Channel 1 transforms that once more (GCoS). What all three share is f0. Before
    each transform negative values become 0, so do the lags shorter than a period of fmax_hz and the
    frequencies below fmin_hz, and what is left gets the next exponent. Row i collects, in a
    triangle from row i - 1 to row i + 1, what lies around fmin_hz * 2 ** (i / bins_per_octave); at
    last each channel becomes log(1 + x) and is stretched to 0..1 over the whole song.

    The published settings are the defaults and, for 44.1 kHz, win_samples=2049, hop_samples=256
    (the paper says 2048). Row 0 is never filled, nor are rows between two bins: at 8 kHz 29 of the
    spectrum's and 92 of the cepstrum's, whose lags are whole samples.
    Sources: Su & Yang 2015; the release of FTANet (ftanet:cfp.py), whose docstring swaps channels 1
    and 2 (trap T37).

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros.
    sr : int
        Working rate.
    win_samples, hop_samples : int
        Length of the window, and from frame to frame.
    fmin_hz, fmax_hz : float
        Lower and upper end of the rows.
    bins_per_octave : int
        Rows an octave.
    resolution_hz : float
        From bin to bin of the spectrum.
    exponents : sequence of float
        Of spectrum, cepstrum and GCoS, in this order.
    fill_gaps : bool
        True reads rows between two bins between the two nearest ones.
    as_released : bool
        True repeats what the published code does at borders: frames begin at one hop and sit a
        sample early, there is none for the last hop, two taps of the window are lost and the first
        is the last; the axis of its filters ends at half the rate one bin early, which puts a bin
        0.025 % too high at 8 kHz.

    Returns
    -------
    Features
        (3, rows, time) in 0..1, kind "cfp"; 320 rows with the defaults.

    Raises
    ------
    InputError
        If fmax_hz does not fit under sr / 2, and `as_released` for a song shorter than a frame.
    """
    if not (0 < fmin_hz < fmax_hz <= sr / 2):
        raise InputError(
            f"a CFP from {fmin_hz:g} to {fmax_hz:g} Hz needs a rate of twice that and more, "
            f"not {sr} Hz; raise sr"
        )
    y, sr = _mono_at(song, sr)
    n_fft = round(sr / resolution_hz)
    window = signal.get_window("blackmanharris", win_samples, fftbins=False).astype(np.float32)
    frames, first_sample = stft.n_frames(len(y), hop_samples), 0
    if as_released:
        frames, first_sample, y = -(-len(y) // hop_samples) - 1, hop_samples - 1, y[:-1]
        taps = 2 * ((win_samples - 1) // 2) - 1
        window = np.concatenate([window[-1:], window[:taps]])
        if frames < 1:
            raise InputError(
                f"the released CFP has no frame below {hop_samples + 1} samples at {sr} Hz; "
                "leave out as_released"
            )
    norm = np.sqrt(np.sum(window.astype(float) ** 2)).astype(np.float32)
    grid = grids.PitchGrid(
        fmin_hz,
        bins_per_octave,
        int(np.floor(round(bins_per_octave * np.log2(fmax_hz / fmin_hz), 9))),
    )
    n = n_fft // 2
    spectrum_hz = (
        np.arange(round(fmax_hz * n_fft / sr) + 1)
        * sr
        / n_fft
        * (n / (n - 1) if as_released else 1)
    )
    spectral = _triangles(
        grid, spectrum_hz, lambda hz: hz * n_fft / sr, fill_gaps=fill_gaps, single=True
    )
    with np.errstate(divide="ignore"):
        lag_hz = sr / np.arange(round(sr / fmin_hz) + 1)
    cepstral = _triangles(grid, lag_hz, lambda hz: sr / hz, fill_gaps=fill_gaps)
    values = np.empty((3, grid.n_bins, frames), dtype=np.float32)

    def fill(first):
        count = min(_CFP_BLOCK_FRAMES, frames - first)
        at = first_sample + first * hop_samples
        cut = _frames(y, window, hop_samples, at, count)  # (count, taps)
        if as_released:  # at the ends of a song the taps that meet a sample alone count
            cut /= np.sqrt(
                _frames(np.ones_like(y), window**2, hop_samples, at, count).sum(
                    axis=1, keepdims=True
                )
            )
        else:
            cut /= norm
        layers = _cfp_layers(cut, sr, n_fft, fmin_hz, fmax_hz, exponents)
        for layer, (picture, rows) in enumerate(
            zip(layers, (spectral, spectral, cepstral), strict=True)
        ):
            values[layer, :, first : first + count] = rows @ picture.T[: rows.shape[1]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy and SciPy work outside Python's lock
        list(pool.map(fill, range(0, frames, _CFP_BLOCK_FRAMES)))
    np.log1p(values, out=values)
    for layer in values:
        low, high = layer.min(), layer.max()
        layer -= low
        layer /= (high - low) or 1
    times_s = grids.frame_times_s(frames + as_released, hop_samples, sr)[int(as_released) :]
    return Features(values, grid.freqs_hz, times_s, "cfp", scale="share")


def _frames(y, window, hop_samples, first_sample, count):
    """Windowed frames (count, taps) around every hop from first_sample on, silent beyond y."""
    taps = len(window)
    start = first_sample - taps // 2
    stop = start + (count - 1) * hop_samples + taps
    part = np.pad(
        y[max(start, 0) : max(stop, 0)], (max(-start, 0), max(stop - max(len(y), start, 0), 0))
    )
    return np.lib.stride_tricks.sliding_window_view(part, taps)[::hop_samples][:count] * window


def _cfp_layers(cut, sr, n_fft, fmin_hz, fmax_hz, exponents):
    """Spectrum, GCoS (frames, frequency) and cepstrum (frames, lag) of frames (frames, taps)."""
    # All three are even around 0, so half of each is enough and a cosine transform is the real part
    # of the Fourier one.
    shortest, lowest = round(sr / fmax_hz), round(fmin_hz * n_fft / sr)
    spectrum = _power(np.abs(fft.rfft(cut, n_fft)), exponents[0])
    cepstrum = _cosine(spectrum, n_fft)
    cepstrum[:, :shortest] = 0
    cepstrum = _power(cepstrum, exponents[1])
    even = cepstrum.copy()
    even[:, shortest] /= 2  # published: this lag is kept on one side of 0 and lost on the other
    gcos = _cosine(even, n_fft)
    gcos[:, :lowest] = 0
    return spectrum, _power(gcos, exponents[2]), cepstrum


def _cosine(half, n_fft):
    """Fourier transform of even sequences of n_fft, given half of each, over sqrt(n_fft)."""
    made = fft.hfft(half, n_fft)[..., : n_fft // 2 + 1] if n_fft % 2 else fft.dct(half, type=1)
    made /= np.float32(np.sqrt(n_fft))
    return made


def _power(x, exponent):
    """x ** exponent where x is above 0, else 0; in place."""
    np.maximum(x, 0, out=x)
    if exponent != 1:
        with np.errstate(divide="ignore"):
            np.log(x, out=x)
        x *= np.float32(exponent)
        np.exp(x, out=x)
    return x


def _mono_at(song, sr):
    song = as_song(song)
    sr = song.sr if sr is None else int(sr)
    return stft.resample(song.mono, song.sr, sr), sr


def _triangles(grid, axis_hz, position, *, fill_gaps=True, single=False):
    """Sparse (rows, bins): row k weighs the bins between its neighbours' centres.

    position(hz): fractional bin of a frequency.
    fill_gaps: rows narrower than the bins are apart lie between the two nearest ones; else they are
    empty, as row 0 is, or with `single` the bin that both their ends round to.
    """
    edges_hz = grid.bin_hz(np.arange(-1, grid.n_bins + 1))
    with np.errstate(divide="ignore"):
        at = position(edges_hz)
    parts = []  # (row, bins, their weights)
    for row in range(0 if fill_gaps else 1, grid.n_bins):
        (low, centre, high), (first, middle, last) = edges_hz[row : row + 3], at[row : row + 3]
        if fill_gaps and abs(last - first) < 2:
            below = min(int(middle), len(axis_hz) - 2)
            parts.append((row, [below, below + 1], [1 - (middle - below), middle - below]))
        elif single and round(first) == round(last):
            parts.append((row, [round(first)], [1.0]))
        else:
            inside = np.flatnonzero((axis_hz > low) & (axis_hz < high))
            up, down = (
                (axis_hz[inside] - low) / (centre - low),
                (high - axis_hz[inside]) / (high - centre),
            )
            parts.append((row, inside, np.minimum(up, down)))
    rows = np.repeat([row for row, *_ in parts], [len(bins) for _, bins, _ in parts])
    bins, weights = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return sparse.csr_matrix(
        (weights.astype(np.float32), (rows, bins.astype(int))), shape=(grid.n_bins, len(axis_hz))
    )

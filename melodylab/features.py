"""Pictures of a sound: power spectrogram, mel, constant-Q (CQT), harmonic constant-Q (HCQT), by librosa, and the CFP of FTANet.

Conventions: a `Song` of any rate, length and channel count goes in; its mono mix is resampled to the working rate `sr`.
A `Features` record comes out: values float32 (channel, freq, time), centre frequencies in Hz, frame centres in seconds.
Frame n sits at sample `n * hop_samples` of the working rate and there are `1 + samples // hop_samples` frames, so all
pictures of one song with one hop lie exactly on top of each other. Beyond its ends a song is silent.
Silence gives zeros, never NaN. Bins above what the recording holds carry nothing.

Notebook 01_representations explains this module.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
from scipy import fft, signal, sparse

from melodylab import audio, grids
from melodylab.files import InputError
from melodylab.records import Features

HARMONICS = (0.5, 1, 2, 3, 4, 5)  # the six layers of an HCQT, in this order
_BLOCK_FRAMES = 2048  # spectra held at a time; the result does not depend on it
_CFP_BLOCK_FRAMES = 256  # small enough for the processor's cache


def power_spectrogram(song, *, sr=None, win_samples=2048, hop_samples=512, window="hann"):
    """Squared magnitude of the short-time Fourier transform, kind "stft": (1, 1 + win_samples // 2, time), linear in Hz.

    sr: working rate, None keeps the song's own. window: any name that `scipy.signal.get_window` knows.
    Row k lies at k * sr / win_samples Hz. A steady sine of amplitude a gives (a * sum(window) / 2) ** 2 in its row.
    """
    y, sr = _mono_at(song, sr)
    shape = np.asarray(signal.get_window(window, win_samples), dtype=np.float32)
    frames = audio.n_frames(len(y), hop_samples)
    power = np.empty((1, 1 + win_samples // 2, frames), dtype=np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - first)
        spectra = audio.stft(y, window=shape, hop_samples=hop_samples, first_frame=first, frames=count)
        power[0, :, first : first + count] = spectra.real**2 + spectra.imag**2
    freqs_hz = np.arange(1 + win_samples // 2) * sr / win_samples
    return Features(power, freqs_hz, grids.frame_times_s(frames, hop_samples, sr), "stft")


def mel(song, *, sr=22050, n_mels=128, fmin_hz=0.0, fmax_hz=None, win_samples=2048, hop_samples=512):
    """Power summed in `n_mels` overlapping triangles on the mel scale, kind "mel": (1, n_mels, time).

    Linear below 1 kHz, logarithmic above; each triangle has unit area (librosa's default, Slaney's scale).
    fmax_hz: upper end, None for sr / 2. `freqs_hz` are the tips of the triangles.
    """
    fmax_hz = sr / 2 if fmax_hz is None else fmax_hz
    power = power_spectrogram(song, sr=sr, win_samples=win_samples, hop_samples=hop_samples)
    triangles = librosa.filters.mel(sr=sr, n_fft=win_samples, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz)
    tips_hz = librosa.mel_frequencies(n_mels + 2, fmin=fmin_hz, fmax=fmax_hz)[1:-1]
    return Features((triangles @ power.values[0])[None], tips_hz, power.times_s, "mel")


def mel_triangles(sr, n_fft, n_mels):
    """The triangles of `mel` from 0 Hz to sr / 2: (sparse (n_mels, 1 + n_fft // 2), their tips in Hz (n_mels,))."""
    return sparse.csr_array(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)), mel_tips_hz(sr, n_mels)


def mel_tips_hz(sr, n_mels):
    """Where the triangles of `mel` from 0 Hz to sr / 2 are highest, (n_mels,)."""
    return librosa.mel_frequencies(n_mels + 2, fmin=0, fmax=sr / 2)[1:-1]


def stereo_mel(song, *, sr=16000, n_mels=128, win_samples=400, hop_samples=200):
    """Mel power of a left and a right channel, kind "mel": (2, n_mels, time); a mono song has the same twice.

    The axes are torchaudio's usual ones at the rate of Sheehan's report: the scale of the HTK toolkit, triangles of height one.
    A bin of the spectrum is 40 Hz wide then, and the lowest triangles are narrower: those between two bins are empty (trap T49).
    """
    window = signal.get_window("hann", win_samples).astype(np.float32)
    triangles = htk_triangles(sr, n_mels, win_samples)
    channels = song.audio if song.channels == 2 else [song.mono] * 2
    spectra = (audio.stft(audio.resample(y, song.sr, sr), window=window, hop_samples=hop_samples) for y in channels)
    values = np.stack([triangles @ np.abs(spectrum / window.sum()) ** 2 for spectrum in spectra])
    tips_hz = librosa.mel_frequencies(n_mels + 2, fmax=sr / 2, htk=True)[1:-1]
    return Features(values, tips_hz, grids.frame_times_s(values.shape[2], hop_samples, sr), "mel")


def mel_to_magnitudes(values, *, sr=16000, win_samples=400):
    """Magnitudes (..., win_samples // 2 + 1, time) whose mel powers come nearest to `values` (..., n_mels, time) of `stereo_mel`.

    Fewer equations than unknowns: of many answers non-negative least squares gives one.
    """
    triangles = htk_triangles(sr, values.shape[-2], win_samples)
    return np.sqrt(librosa.util.nnls(triangles, np.asarray(values, np.float32)))


def htk_triangles(sr=16000, n_mels=128, win_samples=400):
    """What `stereo_mel` sums the bins of a power spectrum with: (n_mels, win_samples // 2 + 1)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters")
        return librosa.filters.mel(sr=sr, n_fft=win_samples, n_mels=n_mels, htk=True, norm=None)


def cqt(song, *, sr=22050, hop_samples=256, fmin_hz=55.0, bins_per_octave=60, n_bins=301):
    """Magnitude of the constant-Q transform, kind "cqt": (1, n_bins, time), bin k at fmin_hz * 2 ** (k / bins_per_octave).

    The defaults (55 Hz to 1760 Hz, 20 cents a bin) are the grid of the source-filter NMF.
    Raises InputError if the top bin does not fit under sr / 2. A hop with many factors of two is many times faster, because
    low octaves are then computed at lower rates.
    Source: Brown 1991; Schoerkhuber & Klapuri 2010 (the octave-wise computation in librosa).
    """
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    y, sr = _mono_at(song, sr)
    times_s = grids.frame_times_s(audio.n_frames(len(y), hop_samples), hop_samples, sr)
    return Features(_constant_q(y, sr, hop_samples, grid)[None], grid.freqs_hz, times_s, "cqt")


def hcqt(song, *, sr=22050, hop_samples=256, fmin_hz=32.7, bins_per_octave=60, n_bins=360, harmonics=HARMONICS):
    """Harmonic CQT, kind "hcqt": (harmonic, n_bins, time) in 0..1, the input of Deep Salience.

    Layer h is a CQT that starts at h * fmin_hz: row k of every layer belongs to the pitch freqs_hz[k], and a note with that
    pitch is bright in the same row of all layers. Decibels below the loudest cell of all layers of the whole song, cut off
    at 80 dB and scaled: 1 is that cell, 0 is 80 dB below it or silence.
    Source: Bittner et al. 2017.
    """
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    y, sr = _mono_at(song, sr)
    frames = audio.n_frames(len(y), hop_samples)
    values = np.empty((len(harmonics), n_bins, frames), dtype=np.float32)
    for layer, h in enumerate(harmonics):
        values[layer] = _constant_q(y, sr, hop_samples, grids.PitchGrid(h * fmin_hz, bins_per_octave, n_bins))
    return Features(decibels(values), grid.freqs_hz, grids.frame_times_s(frames, hop_samples, sr), "hcqt")


def decibels(values, peak=None):
    """1 for the peak (the largest magnitude), 0 for one 80 dB below it or less; float32 values >= 0 are changed in place."""
    peak = values.max() if peak is None else peak
    if peak > 0:
        values /= peak
        np.maximum(values, 1e-4, out=values)  # -80 dB
        np.log10(values, out=values)
        values /= 4  # 20 log10(x) / 80
        values += 1
    return values


def log_spectra(song, **axes):
    """Magnitude spectra on a log-frequency axis, one a window, kind "log_spectra": (windows, n_bins, time) in 0..1.

    Long windows part the partials, short ones the moments. Row k collects what lies around fmin_hz * 2 ** (k / bins_per_octave) in
    a triangle from row k - 1 to row k + 1, or lies between two bins of the spectrum where these are further apart. Decibels
    below the loudest cell of the song, scaled as in `hcqt`. Rows above sr / 2 and silence are 0. axes: those of `log_magnitudes`.
    """
    made = log_magnitudes(song, **axes)
    return Features(decibels(made.values.copy()), made.freqs_hz, made.times_s, "log_spectra")


def log_magnitudes(song, *, sr=22050, hop_samples=512, fmin_hz=36.7, bins_per_octave=36, n_bins=312, windows_s=(0.186, 0.0465)):
    """What `log_spectra` takes decibels of, kind "log_magnitudes": a steady sine of amplitude a gives about a / 2 in its row."""
    y, sr = _mono_at(song, sr)
    frames = audio.n_frames(len(y), hop_samples)
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    values = np.empty((len(windows_s), n_bins, frames), dtype=np.float32)
    n_fft = 2 ** int(np.ceil(np.log2(max(windows_s) * sr)))
    rows = _triangles(grid, np.arange(n_fft // 2 + 1) * sr / n_fft, lambda hz: hz * n_fft / sr)
    for layer, seconds in enumerate(windows_s):
        shape = signal.get_window("hann", round(seconds * sr)).astype(np.float32)
        for first in range(0, frames, _BLOCK_FRAMES):
            count = min(_BLOCK_FRAMES, frames - first)
            cut = _frames(y, shape / shape.sum(), hop_samples, first * hop_samples, count)
            values[layer, :, first : first + count] = rows @ np.abs(fft.rfft(cut, n_fft).T, order="C")
    return Features(values, grid.freqs_hz, grids.frame_times_s(frames, hop_samples, sr), "log_magnitudes")


def cfp(
    song,
    *,
    sr=8000,
    win_samples=768,
    hop_samples=80,
    fmin_hz=31.0,
    fmax_hz=1250.0,
    bins_per_octave=60,
    resolution_hz=2.0,
    exponents=(0.24, 0.6, 1.0),
    fill_gaps=False,
    as_released=False,
):
    """Combined frequency and periodicity, kind "cfp": (3, 320, time) in 0..1 with the defaults, the input of FTANet and SegNet.

    Channel 0 is the spectrum S = |X| ** 0.24; its partials lie at f0, 2 f0, 3 f0... Channel 2 is the generalised cepstrum, the
    transform of S: peaks at the period and its multiples, so at f0, f0 / 2, f0 / 3... Channel 1 transforms that once more
    (GCoS). What all three share is f0. Before each transform negative values become 0, so do the lags shorter than a period
    of fmax_hz and the frequencies below fmin_hz, and what is left gets the next exponent. Row i collects, in a
    triangle from row i - 1 to row i + 1, what lies around fmin_hz * 2 ** (i / bins_per_octave); at last each channel becomes
    log(1 + x) and is stretched to 0..1 over the whole song. Silence is all zero.

    The published settings are the defaults and, for 44.1 kHz, win_samples=2049, hop_samples=256 (the paper says 2048).
    Row 0 is never filled, nor are rows between two bins: at 8 kHz 29 of the spectrum's and 92 of the cepstrum's, whose lags
    are whole samples. fill_gaps=True reads those between the two nearest bins.
    as_released=True repeats what the published code does at borders: frames begin at one hop and sit a sample early, there is
    none for the last hop, two taps of the window are lost and the first is the last; the axis of its filters ends at half
    the rate one bin early, which puts a bin 0.025 % too high at 8 kHz.
    Sources: Su & Yang 2015; the release of FTANet (ftanet:cfp.py), whose docstring swaps channels 1 and 2 (trap T37).
    """
    if not (0 < fmin_hz < fmax_hz <= sr / 2):
        raise InputError(f"a CFP from {fmin_hz:g} to {fmax_hz:g} Hz needs a rate of twice that and more, not {sr} Hz; raise sr")
    y, sr = _mono_at(song, sr)
    n_fft = round(sr / resolution_hz)
    window = signal.get_window("blackmanharris", win_samples, fftbins=False).astype(np.float32)
    frames, first_sample = audio.n_frames(len(y), hop_samples), 0
    if as_released:
        frames, first_sample, y = -(-len(y) // hop_samples) - 1, hop_samples - 1, y[:-1]
        taps = 2 * ((win_samples - 1) // 2) - 1
        window = np.concatenate([window[-1:], window[:taps]])
        if frames < 1:
            raise InputError(f"the released CFP has no frame below {hop_samples + 1} samples at {sr} Hz; leave out as_released")
    norm = np.sqrt(np.sum(window.astype(float) ** 2)).astype(np.float32)
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, int(np.floor(round(bins_per_octave * np.log2(fmax_hz / fmin_hz), 9))))
    n = n_fft // 2
    spectrum_hz = np.arange(round(fmax_hz * n_fft / sr) + 1) * sr / n_fft * (n / (n - 1) if as_released else 1)
    spectral = _triangles(grid, spectrum_hz, lambda hz: hz * n_fft / sr, fill_gaps=fill_gaps, single=True)
    with np.errstate(divide="ignore"):
        lag_hz = sr / np.arange(round(sr / fmin_hz) + 1)
    cepstral = _triangles(grid, lag_hz, lambda hz: sr / hz, fill_gaps=fill_gaps)
    values = np.empty((3, grid.n_bins, frames), dtype=np.float32)

    def fill(first):
        count = min(_CFP_BLOCK_FRAMES, frames - first)
        at = first_sample + first * hop_samples
        cut = _frames(y, window, hop_samples, at, count)  # (count, taps)
        if as_released:  # at the ends of a song the taps that meet a sample alone count
            cut /= np.sqrt(_frames(np.ones_like(y), window**2, hop_samples, at, count).sum(axis=1, keepdims=True))
        else:
            cut /= norm
        layers = _cfp_layers(cut, sr, n_fft, fmin_hz, fmax_hz, exponents)
        for layer, (picture, rows) in enumerate(zip(layers, (spectral, spectral, cepstral), strict=True)):
            values[layer, :, first : first + count] = rows @ picture.T[: rows.shape[1]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy and SciPy work outside Python's lock
        list(pool.map(fill, range(0, frames, _CFP_BLOCK_FRAMES)))
    np.log1p(values, out=values)
    for layer in values:
        low, high = layer.min(), layer.max()
        layer -= low
        layer /= (high - low) or 1
    times_s = grids.frame_times_s(frames + as_released, hop_samples, sr)[int(as_released) :]
    return Features(values, grid.freqs_hz, times_s, "cfp")


def _frames(y, window, hop_samples, first_sample, count):
    """Windowed frames (count, taps) around every hop from first_sample on; beyond the ends of y it is silent."""
    taps = len(window)
    start = first_sample - taps // 2
    stop = start + (count - 1) * hop_samples + taps
    part = np.pad(y[max(start, 0) : max(stop, 0)], (max(-start, 0), max(stop - max(len(y), start, 0), 0)))
    return np.lib.stride_tricks.sliding_window_view(part, taps)[::hop_samples][:count] * window


def _cfp_layers(cut, sr, n_fft, fmin_hz, fmax_hz, exponents):
    """Spectrum, GCoS (both (frames, frequency)) and cepstrum (frames, lag) of windowed frames (frames, taps)."""
    # All three are even around 0, so half of each is enough and a cosine transform is the real part of the Fourier one.
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
    """Real part of the Fourier transform of even sequences of length n_fft, given half of each, over sqrt(n_fft)."""
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


def _triangles(grid, axis_hz, position, *, fill_gaps=True, single=False):
    """Sparse (rows, bins): row k weighs the bins between its neighbours' centres. position(hz): fractional bin of a frequency.

    fill_gaps: rows narrower than the bins are apart lie between the two nearest ones; else they are empty, as row 0 is, or
    with `single` the bin that both their ends round to.
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
            up, down = (axis_hz[inside] - low) / (centre - low), (high - axis_hz[inside]) / (high - centre)
            parts.append((row, inside, np.minimum(up, down)))
    rows = np.repeat([row for row, *_ in parts], [len(bins) for _, bins, _ in parts])
    bins, weights = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return sparse.csr_matrix((weights.astype(np.float32), (rows, bins.astype(int))), shape=(grid.n_bins, len(axis_hz)))


def _mono_at(song, sr):
    sr = song.sr if sr is None else int(sr)
    return audio.resample(song.mono, song.sr, sr), sr


def _constant_q(y, sr, hop_samples, grid):
    """CQT magnitudes (freq, time) of `1 + len(y) // hop_samples` frames, for any len(y) >= 1."""
    if grid.freqs_hz[-1] * 2 ** (1 / grid.bins_per_octave) > sr / 2:
        raise InputError(
            f"a constant-Q transform up to {grid.freqs_hz[-1]:.0f} Hz needs a working rate above twice that, not {sr} Hz; "
            "raise sr or take fewer bins"
        )
    # The longest filter lasts Q periods of the lowest bin. Each block sees that much sound, or silence, on either side, and
    # some more for the halving of the rate from octave to octave; so blocks fit together and the shortest song has room.
    longest = sr / grid.fmin_hz / (2 ** (1 / grid.bins_per_octave) - 1)
    context_frames = int(2 ** np.ceil(np.log2(longest)) / 2 // hop_samples) + 32
    context = context_frames * hop_samples
    frames = audio.n_frames(len(y), hop_samples)
    magnitude = np.empty((grid.n_bins, frames), dtype=np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
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
        magnitude[:, first : first + count] = np.abs(spectra[:, context_frames : context_frames + count])
    return magnitude

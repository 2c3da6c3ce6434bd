"""Pictures of a sound: power spectrogram, mel, constant-Q (CQT), harmonic constant-Q (HCQT), by librosa, and the CFP of FTANet.

Conventions: a `Song` of any rate, length and channel count goes in; its mono mix is resampled to the working rate `sr`.
A `Features` record comes out: values float32 (channel, freq, time), centre frequencies in Hz, frame centres in seconds.
Frame n sits at sample `n * hop_samples` of the working rate and there are `1 + samples // hop_samples` frames, so all
pictures of one song with one hop lie exactly on top of each other. Beyond its ends a song is silent.
Silence gives zeros, never NaN. Bins above what the recording holds carry nothing.

Notebook 01_representations explains this module.
"""

import warnings

import librosa
import numpy as np
from scipy import fft, signal, sparse

from melodylab import progress
from melodylab.dsp import grids, levels, stft
from melodylab.dsp.cfp import _frames, _mono_at, _triangles, cfp
from melodylab.errors import InputError
from melodylab.io.songs import as_song
from melodylab.records import Features, Song

__all__ = [  # `cfp` stands in a file of its own
    "HARMONICS",
    "cfp",
    "cqt",
    "decibels",
    "hcqt",
    "htk_triangles",
    "log_magnitudes",
    "log_spectra",
    "mel",
    "mel_tips_hz",
    "mel_to_magnitudes",
    "mel_triangles",
    "power_spectrogram",
    "stereo_mel",
]
HARMONICS = (0.5, 1, 2, 3, 4, 5)  # the six layers of an HCQT, in this order


_BLOCK_FRAMES = 2048  # spectra held at a time; the result does not depend on it


def power_spectrogram(
    song: Song,
    *,
    sr: int | None = None,
    win_samples: int = 2048,
    hop_samples: int = 512,
    window: str = "hann",
) -> Features:
    """Squared magnitude of the short-time Fourier transform, linear in Hz.

    Row k lies at k * sr / win_samples Hz. A steady sine of amplitude a gives
    (a * sum(window) / 2) ** 2 in its row.

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros.
    sr : int, optional
        Working rate; the song's own by default.
    win_samples, hop_samples : int
        Length of the window, and from frame to frame.
    window : str
        Any name that `scipy.signal.get_window` knows.

    Returns
    -------
    Features
        (1, 1 + win_samples // 2, time), kind "stft".
    """
    y, sr = _mono_at(song, sr)
    shape = np.asarray(signal.get_window(window, win_samples), dtype=np.float32)
    frames = stft.n_frames(len(y), hop_samples)
    power = np.empty((1, 1 + win_samples // 2, frames), dtype=np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - first)
        spectra = stft.stft(
            y, window=shape, hop_samples=hop_samples, first_frame=first, frames=count
        )
        power[0, :, first : first + count] = spectra.real**2 + spectra.imag**2
    freqs_hz = np.arange(1 + win_samples // 2) * sr / win_samples
    return Features(
        power, freqs_hz, grids.frame_times_s(frames, hop_samples, sr), "stft", scale="power"
    )


def mel(
    song: Song,
    *,
    sr: int = 22050,
    n_mels: int = 128,
    fmin_hz: float = 0.0,
    fmax_hz: float | None = None,
    win_samples: int = 2048,
    hop_samples: int = 512,
) -> Features:
    """Power summed in overlapping triangles on the mel scale.

    Linear below 1 kHz, logarithmic above; each triangle has unit area (librosa's default, Slaney's
    scale). `freqs_hz` are the tips of the triangles.

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros.
    sr : int
        Working rate.
    n_mels : int
        How many triangles.
    fmin_hz, fmax_hz : float
        Lower and upper end; None is sr / 2.
    win_samples, hop_samples : int
        Length of the window, and from frame to frame.

    Returns
    -------
    Features
        (1, n_mels, time), kind "mel".
    """
    fmax_hz = sr / 2 if fmax_hz is None else fmax_hz
    power = power_spectrogram(song, sr=sr, win_samples=win_samples, hop_samples=hop_samples)
    triangles = librosa.filters.mel(
        sr=sr, n_fft=win_samples, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz
    )
    tips_hz = librosa.mel_frequencies(n_mels + 2, fmin=fmin_hz, fmax=fmax_hz)[1:-1]
    return Features(
        (triangles @ power.values[0])[None], tips_hz, power.times_s, "mel", scale="power"
    )


def mel_triangles(sr, n_fft, n_mels):
    """The triangles of `mel` from 0 Hz to sr / 2: (sparse (n_mels, 1 + n_fft // 2), their tips in Hz (n_mels,))."""
    return sparse.csr_array(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)), mel_tips_hz(
        sr, n_mels
    )


def mel_tips_hz(sr, n_mels):
    """Where the triangles of `mel` from 0 Hz to sr / 2 are highest, (n_mels,)."""
    return librosa.mel_frequencies(n_mels + 2, fmin=0, fmax=sr / 2)[1:-1]


def stereo_mel(song, *, sr=16000, n_mels=128, win_samples=400, hop_samples=200):
    """Mel power of a left and a right channel, kind "mel": (2, n_mels, time); a mono song has the same twice.

    The axes are torchaudio's usual ones at the rate of Sheehan's report: the scale of the HTK toolkit, triangles of height one.
    A bin of the spectrum is 40 Hz wide then, and the lowest triangles are narrower: those between two bins are empty (trap T49).
    """
    song = as_song(song)
    window = signal.get_window("hann", win_samples).astype(np.float32)
    triangles = htk_triangles(sr, n_mels, win_samples)
    channels = song.audio if song.channels == 2 else [song.mono] * 2
    spectra = (
        stft.stft(stft.resample(y, song.sr, sr), window=window, hop_samples=hop_samples)
        for y in channels
    )
    values = np.stack([triangles @ np.abs(spectrum / window.sum()) ** 2 for spectrum in spectra])
    tips_hz = librosa.mel_frequencies(n_mels + 2, fmax=sr / 2, htk=True)[1:-1]
    return Features(
        values, tips_hz, grids.frame_times_s(values.shape[2], hop_samples, sr), "mel", scale="power"
    )


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
    times_s = grids.frame_times_s(stft.n_frames(len(y), hop_samples), hop_samples, sr)
    return Features(
        _constant_q(y, sr, hop_samples, grid)[None],
        grid.freqs_hz,
        times_s,
        "cqt",
        scale="magnitude",
    )


def hcqt(
    song,
    *,
    sr=22050,
    hop_samples=256,
    fmin_hz=32.7,
    bins_per_octave=60,
    n_bins=360,
    harmonics=HARMONICS,
):
    """Harmonic CQT, kind "hcqt": (harmonic, n_bins, time) in 0..1, the input of Deep Salience.

    Layer h is a CQT that starts at h * fmin_hz: row k of every layer belongs to the pitch freqs_hz[k], and a note with that
    pitch is bright in the same row of all layers. Decibels below the loudest cell of all layers of the whole song, cut off
    at 80 dB and scaled: 1 is that cell, 0 is 80 dB below it or silence.
    Source: Bittner et al. 2017.
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


def log_spectra(song, **axes):
    """Magnitude spectra on a log-frequency axis, one a window, kind "log_spectra": (windows, n_bins, time) in 0..1.

    Long windows part the partials, short ones the moments. Row k collects what lies around fmin_hz * 2 ** (k / bins_per_octave) in
    a triangle from row k - 1 to row k + 1, or lies between two bins of the spectrum where these are further apart. Decibels
    below the loudest cell of the song, scaled as in `hcqt`. Rows above sr / 2 and silence are 0. axes: those of `log_magnitudes`.
    """
    made = log_magnitudes(song, **axes)
    return Features(
        decibels(made.values.copy()), made.freqs_hz, made.times_s, "log_spectra", scale="db"
    )


def log_magnitudes(
    song,
    *,
    sr=22050,
    hop_samples=512,
    fmin_hz=36.7,
    bins_per_octave=36,
    n_bins=312,
    windows_s=(0.186, 0.0465),
):
    """What `log_spectra` takes decibels of, kind "log_magnitudes": a steady sine of amplitude a gives about a / 2 in its row."""
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
        values,
        grid.freqs_hz,
        grids.frame_times_s(frames, hop_samples, sr),
        "log_magnitudes",
        scale="magnitude",
    )


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

"""Pictures of a sound: spectrogram, mel, constant-Q (CQT), harmonic CQT, and the CFP of FTANet.

Conventions: a `Song` of any rate, length and channel count goes in; its mono mix is resampled to
the working rate `sr`. A `Features` record comes out: values float32 (channel, freq, time), centre
frequencies in Hz, frame centres in seconds. Frame n sits at sample `n * hop_samples` of the working
rate and there are `1 + samples // hop_samples` frames, so all pictures of one song with one hop lie
exactly on top of each other. Beyond its ends a song is silent. Silence gives zeros, never NaN. Bins
above what the recording holds carry nothing.

Notebook 01_representations explains this module.
"""

import warnings
from collections.abc import Sequence

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
    power = power_spectrogram(song, sr=sr, win_samples=win_samples, hop_samples=hop_samples)
    triangles, tips_hz = mel_triangles(sr, win_samples, n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz)
    return Features(
        (triangles.toarray() @ power.values[0])[None], tips_hz, power.times_s, "mel", scale="power"
    )


def mel_triangles(
    sr: float,
    n_fft: int,
    n_mels: int,
    *,
    fmin_hz: float = 0.0,
    fmax_hz: float | None = None,
    htk: bool = False,
) -> tuple[sparse.csr_array, np.ndarray]:
    """The triangles that every mel picture sums the bins of a power spectrum with.

    Parameters
    ----------
    sr : float
        Rate of the sound, in Hz.
    n_fft : int
        Length of the Fourier transform, in samples.
    n_mels : int
        How many triangles.
    fmin_hz, fmax_hz : float
        Lower and upper end; None is sr / 2.
    htk : bool
        Slaney's scale and triangles of unit area by default; True takes the scale of the HTK
        toolkit and height one. Triangles between two bins are empty (trap T49).

    Returns
    -------
    triangles : scipy.sparse.csr_array
        (n_mels, 1 + n_fft // 2) float32.
    tips_hz : numpy.ndarray
        (n_mels,) where they are highest.
    """
    with warnings.catch_warnings():
        if htk:
            warnings.filterwarnings("ignore", message="Empty filters")
        triangles = librosa.filters.mel(
            sr=sr,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=fmin_hz,
            fmax=fmax_hz,
            htk=htk,
            norm=None if htk else "slaney",
        )
    tips_hz = mel_tips_hz(sr, n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz, htk=htk)
    return sparse.csr_array(triangles), tips_hz


def mel_tips_hz(
    sr: float,
    n_mels: int,
    *,
    fmin_hz: float = 0.0,
    fmax_hz: float | None = None,
    htk: bool = False,
) -> np.ndarray:
    """Where the triangles of `mel_triangles` are highest.

    Parameters
    ----------
    sr : float
        Rate of the sound, in Hz.
    n_mels : int
        How many triangles.
    fmin_hz, fmax_hz : float
        Lower and upper end; None is sr / 2.
    htk : bool
        Whether on the scale of the HTK toolkit; else on Slaney's.

    Returns
    -------
    numpy.ndarray
        (n_mels,) Hz, ascending.
    """
    fmax_hz = sr / 2 if fmax_hz is None else fmax_hz
    return librosa.mel_frequencies(n_mels + 2, fmin=fmin_hz, fmax=fmax_hz, htk=htk)[1:-1]


def stereo_mel(
    song: Song,
    *,
    sr: int = 16000,
    n_mels: int = 128,
    win_samples: int = 400,
    hop_samples: int = 200,
) -> Features:
    """Mel power of a left and a right channel; a mono song has the same twice.

    The axes are torchaudio's usual ones at the rate of Sheehan's report: `mel_triangles` with
    `htk`. A bin of the spectrum is 40 Hz wide then, and the lowest triangles are narrower: those
    between two bins are empty (trap T49).

    Parameters
    ----------
    song : Song
        Any rate and length; of more than two channels the mono mix is taken. Silence gives zeros.
    sr : int
        Working rate.
    n_mels : int
        How many triangles.
    win_samples, hop_samples : int
        Length of the window, and from frame to frame.

    Returns
    -------
    Features
        (2, n_mels, time), kind "mel".
    """
    song = as_song(song)
    window = signal.get_window("hann", win_samples).astype(np.float32)
    rows, tips_hz = mel_triangles(sr, win_samples, n_mels, htk=True)
    triangles = rows.toarray()
    channels = song.audio if song.channels == 2 else [song.mono] * 2
    spectra = (
        stft.stft(stft.resample(y, song.sr, sr), window=window, hop_samples=hop_samples)
        for y in channels
    )
    values = np.stack([triangles @ np.abs(spectrum / window.sum()) ** 2 for spectrum in spectra])
    return Features(
        values, tips_hz, grids.frame_times_s(values.shape[2], hop_samples, sr), "mel", scale="power"
    )


def mel_to_magnitudes(values: np.ndarray, *, sr: int = 16000, win_samples: int = 400) -> np.ndarray:
    """Magnitudes whose mel powers come nearest to those of a `stereo_mel`.

    Fewer equations than unknowns: of many answers non-negative least squares gives one.

    Parameters
    ----------
    values : numpy.ndarray
        (..., n_mels, time) powers, not below zero.
    sr : int
        Rate of the picture, in Hz.
    win_samples : int
        Length of its window.

    Returns
    -------
    numpy.ndarray
        (..., win_samples // 2 + 1, time); silence gives zeros.
    """
    triangles = htk_triangles(sr, values.shape[-2], win_samples)
    return np.sqrt(librosa.util.nnls(triangles, np.asarray(values, np.float32)))


def htk_triangles(sr: int = 16000, n_mels: int = 128, win_samples: int = 400) -> np.ndarray:
    """What `stereo_mel` sums the bins of a power spectrum with.

    Parameters
    ----------
    sr : int
        Working rate, in Hz.
    n_mels : int
        How many triangles.
    win_samples : int
        Length of the window.

    Returns
    -------
    numpy.ndarray
        (n_mels, win_samples // 2 + 1) float32, in 0..1.
    """
    return mel_triangles(sr, win_samples, n_mels, htk=True)[0].toarray()


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
) -> Features:
    """Magnitude spectra on a log-frequency axis, one a window.

    Long windows part the partials, short ones the moments. Row k collects what lies around
    fmin_hz * 2 ** (k / bins_per_octave) in a triangle from row k - 1 to row k + 1, or lies between
    two bins of the spectrum where these are further apart. A steady sine of amplitude a gives about
    a / 2 in its row. `decibels` scales them as in `hcqt`.

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

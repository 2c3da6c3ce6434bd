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

import librosa
import numpy as np
from scipy import signal, sparse

from melodylab.dsp import grids, stft
from melodylab.dsp.cfp import _mono_at, cfp
from melodylab.dsp.constant_q import HARMONICS, cqt, decibels, hcqt, log_magnitudes
from melodylab.io.songs import as_song
from melodylab.records import Features, Song

__all__ = [  # CFP and constant-Q stand in files of their own
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
    channels = song.audio if song.channels == 2 else [song.mono]
    frames = stft.n_frames(-(-song.audio.shape[1] * sr // song.sr), hop_samples)
    values = np.empty((2, n_mels, frames), np.float32)
    for picture, channel in zip(values, channels, strict=False):
        y = stft.resample(channel, song.sr, sr)
        for first in range(0, frames, _BLOCK_FRAMES):
            count = min(_BLOCK_FRAMES, frames - first)
            spectra = stft.stft(
                y, window=window, hop_samples=hop_samples, first_frame=first, frames=count
            )
            power = np.abs(spectra / window.sum()) ** 2
            picture[:, first : first + count] = triangles @ power
    values[len(channels) :] = values[0]
    return Features(
        values, tips_hz, grids.frame_times_s(frames, hop_samples, sr), "mel", scale="power"
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

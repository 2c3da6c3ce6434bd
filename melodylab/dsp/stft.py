"""Sampling rates, windows, frames: one short-time transform and its inverse for everybody.

Conventions: frame n is centred on sample `n * hop_samples`; beyond its ends a signal is zero.
"""

import inspect

import librosa
import numpy as np
import soxr


def resample(audio: np.ndarray, sr_from: int, sr_to: int) -> np.ndarray:
    """Band-limited resampling by soxr.

    The same samples as `librosa.resample`, whose import alone takes 180 MB. Silence stays silent.

    Parameters
    ----------
    audio : numpy.ndarray
        (samples,) or (channels, samples).
    sr_from, sr_to : int
        Samples per second, before and after.

    Returns
    -------
    numpy.ndarray
        float32, ceil(samples * sr_to / sr_from) samples.
    """
    audio, sr_from, sr_to = np.asarray(audio, dtype=np.float32), int(sr_from), int(sr_to)
    if sr_from == sr_to:
        return audio
    made = np.ascontiguousarray(soxr.resample(audio.T, sr_from, sr_to, quality="HQ").T)
    missing = -(-audio.shape[-1] * sr_to // sr_from) - made.shape[-1]
    if missing > 0:
        return np.pad(made, [(0, 0)] * (made.ndim - 1) + [(0, missing)])
    return made[..., : made.shape[-1] + missing]


def sine_window(length: int) -> np.ndarray:
    """The sinebell, analysis and synthesis window of Durrieu's systems.

    Parameters
    ----------
    length : int
        In samples.

    Returns
    -------
    numpy.ndarray
        sin(pi t / length), t = 0..length-1.
    """
    return np.sin(np.pi * np.arange(length) / length)


def n_frames(n_samples: int, hop_samples: int) -> int:
    """Frames of a recording: one centred on each multiple of the hop from sample 0 on.

    Parameters
    ----------
    n_samples : int
        Of the recording.
    hop_samples : int
        From frame to frame.

    Returns
    -------
    int
        At least 1.
    """
    return 1 + int(n_samples) // int(hop_samples)


def stft(
    y: np.ndarray,
    *,
    window: np.ndarray,
    hop_samples: int,
    first_frame: int = 0,
    frames: int | None = None,
) -> np.ndarray:
    """Complex spectra of a stretch of frames.

    Beyond the ends of y the signal is zero, so a block equals those columns of the whole transform.

    Parameters
    ----------
    y : numpy.ndarray
        (..., samples), any float type.
    window : numpy.ndarray
        (length,), which is also the length of the Fourier transform.
    hop_samples : int
        From frame to frame.
    first_frame : int
        The first frame wanted.
    frames : int, optional
        How many; all that follow by default.

    Returns
    -------
    numpy.ndarray
        (..., length // 2 + 1, frames); complex64 from float32.
    """
    length, samples = len(window), y.shape[-1]
    if frames is None:
        frames = n_frames(samples, hop_samples) - first_frame
    start = first_frame * hop_samples - length // 2
    stop = start + (frames - 1) * hop_samples + length
    part = y[..., max(start, 0) : max(min(stop, samples), 0)]
    missing = [(0, 0)] * (y.ndim - 1) + [(max(-start, 0), stop - max(start, 0) - part.shape[-1])]
    return librosa.stft(
        np.pad(part, missing), n_fft=length, hop_length=hop_samples, window=window, center=False
    )


def griffin_lim(
    magnitudes: np.ndarray,
    *,
    window: np.ndarray,
    hop_samples: int,
    samples: int,
    iterations: int = 32,
    seed: int = 0,
) -> np.ndarray:
    """Sound for magnitudes whose phases are lost, by librosa's Griffin-Lim.

    Parameters
    ----------
    magnitudes : numpy.ndarray
        (..., length // 2 + 1, frames) >= 0.
    window : numpy.ndarray
        (length,), that of the analysis.
    hop_samples : int
        From frame to frame.
    samples : int
        Wanted length of the sound.
    iterations : int
        There and back.
    seed : int
        Of the phases to begin with.

    Returns
    -------
    numpy.ndarray
        (..., samples); silent where the magnitudes are 0.
    """
    names = inspect.signature(librosa.griffinlim).parameters  # librosa 1.0 calls it rng
    start = {"rng" if "rng" in names else "random_state": seed}
    return librosa.griffinlim(
        magnitudes,
        n_iter=iterations,
        n_fft=len(window),
        hop_length=hop_samples,
        window=window,
        length=int(samples),
        **start,
    )


def istft(spectra: np.ndarray, *, window: np.ndarray, hop_samples: int, samples: int) -> np.ndarray:
    """Least-squares inverse of `stft` from frame 0 of the spectra on.

    Divides by the summed squared windows, so the gain is right at every hop (trap T8).

    Parameters
    ----------
    spectra : numpy.ndarray
        (..., length // 2 + 1, frames), complex.
    window : numpy.ndarray
        (length,), that of the analysis.
    hop_samples : int
        From frame to frame.
    samples : int
        Wanted length of the sound.

    Returns
    -------
    numpy.ndarray
        (..., samples); float32 from complex64.
    """
    return librosa.istft(
        spectra,
        n_fft=len(window),
        hop_length=hop_samples,
        window=window,
        center=True,
        length=int(samples),
    )

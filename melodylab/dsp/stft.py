"""Sampling rates, windows, frames: one short-time transform and its inverse for everybody.

Conventions: frame n is centred on sample `n * hop_samples`; beyond its ends a signal is zero.
"""

import inspect

import librosa
import numpy as np
import soxr


def resample(audio, sr_from, sr_to):
    """Band-limited resampling (soxr) of (samples,) or (channels, samples); float32, ceil(samples * sr_to / sr_from) samples.

    The same samples as `librosa.resample`, whose import alone takes 180 MB.
    """
    audio, sr_from, sr_to = np.asarray(audio, dtype=np.float32), int(sr_from), int(sr_to)
    if sr_from == sr_to:
        return audio
    made = np.ascontiguousarray(soxr.resample(audio.T, sr_from, sr_to, quality="HQ").T)
    missing = -(-audio.shape[-1] * sr_to // sr_from) - made.shape[-1]
    if missing > 0:
        return np.pad(made, [(0, 0)] * (made.ndim - 1) + [(0, missing)])
    return made[..., : made.shape[-1] + missing]


def sine_window(length):
    """The sinebell sin(pi t / length), t = 0..length-1, analysis and synthesis window of Durrieu's systems."""
    return np.sin(np.pi * np.arange(length) / length)


def n_frames(n_samples, hop_samples):
    """Frames of a recording: one centred on each multiple of the hop from sample 0 on; at least 1."""
    return 1 + int(n_samples) // int(hop_samples)


def stft(y, *, window, hop_samples, first_frame=0, frames=None):
    """Complex spectra of frames `first_frame .. first_frame + frames - 1`: (..., len(window) // 2 + 1, frames).

    y: (..., samples), any float type (float32 gives complex64). window: (length,) array, also the FFT length.
    Beyond the ends of y the signal is zero, so a block equals the same columns of the whole transform.
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


def griffin_lim(magnitudes, *, window, hop_samples, samples, iterations=32, seed=0):
    """Sound (..., samples) for magnitudes (..., len(window) // 2 + 1, frames) whose phases are lost (librosa's Griffin-Lim)."""
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


def istft(spectra, *, window, hop_samples, samples):
    """Least-squares inverse of `stft` from frame 0 of `spectra` on, (..., samples); float32 from complex64.

    Divides by the summed squared windows, so the gain is right at every hop (trap T8).
    """
    return librosa.istft(
        spectra,
        n_fft=len(window),
        hop_length=hop_samples,
        window=window,
        center=True,
        length=int(samples),
    )

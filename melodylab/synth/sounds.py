"""What all voices share: notes, ramps, noise, and how a sound is put on a track.

Sounds are float64 (samples,).
"""

from typing import NamedTuple

import numpy as np
from scipy import fft


class Note(NamedTuple):
    """One note of a part.

    Attributes
    ----------
    start_s, end_s : float
        From when until when, in seconds.
    midi : float
        How high; 60 is middle C, fractions allowed.
    velocity : float
        How loud, 0..1.
    """

    start_s: float
    end_s: float
    midi: float
    velocity: float = 1.0


def ramp(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, half a cosine between.

    Parameters
    ----------
    x : ndarray
        Any shape.

    Returns
    -------
    ndarray, in the shape of x
    """
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0, 1))


def noise_band(
    rng: np.random.Generator, samples: int, low_hz: float, high_hz: float, sr: int
) -> np.ndarray:
    """Noise of unit power between two frequencies, with soft slopes.

    Parameters
    ----------
    rng : numpy.random.Generator
        What it draws from.
    samples : int
        Length of the result.
    low_hz, high_hz : float
        The band; one that begins above 0.3 sr moves down to it.
    sr : int
        Samples a second.

    Returns
    -------
    ndarray (samples,)
    """
    size = fft.next_fast_len(samples, real=True)
    f = np.maximum(fft.rfftfreq(size, 1 / sr), 1)
    noise = (
        fft.rfft(rng.standard_normal(size))
        / (1 + (min(low_hz, 0.3 * sr) / f) ** 6)
        / (1 + (f / high_hz) ** 6)
    )
    noise = fft.irfft(noise, size)[:samples]
    return noise / max(rms(noise), 1e-9)


def add(track: np.ndarray, sound: np.ndarray, start_s: float, sr: int) -> None:
    """Add a sound to a track in place, from the nearest sample on; what lies outside is lost.

    Parameters
    ----------
    track : ndarray (samples,)
        Changed in place.
    sound : ndarray (length,)
        What is added, of any length.
    start_s : float
        Where the sound begins, in seconds; may be negative.
    sr : int
        Samples a second.
    """
    start = round(start_s * sr)
    a, b = max(start, 0), min(start + len(sound), len(track))
    if a < b:
        track[a:b] += sound[a - start : b - start]


def rms(sound: np.ndarray) -> float:
    """Root of the mean square.

    Parameters
    ----------
    sound : ndarray
        Any shape, not empty.

    Returns
    -------
    float
        0 at silence.
    """
    return np.sqrt(np.mean(np.square(sound)))

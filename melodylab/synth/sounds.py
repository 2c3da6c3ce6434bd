"""What all voices share: notes, ramps, noise, and how a sound is put on a track. Sounds are float64 (samples,)."""

from typing import NamedTuple

import numpy as np
from scipy import fft


class Note(NamedTuple):
    """One note of a part: when, how high (MIDI), how loud (0..1)."""

    start_s: float
    end_s: float
    midi: float
    velocity: float = 1.0


def ramp(x):
    """0 below 0, 1 above 1, half a cosine between."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0, 1))


def noise_band(rng, samples, low_hz, high_hz, sr):
    """Noise (samples,) of unit power between two frequencies, with soft slopes; a band above 0.3 sr moves down to it."""
    size = fft.next_fast_len(samples, real=True)
    f = np.maximum(fft.rfftfreq(size, 1 / sr), 1)
    noise = (
        fft.rfft(rng.standard_normal(size))
        / (1 + (min(low_hz, 0.3 * sr) / f) ** 6)
        / (1 + (f / high_hz) ** 6)
    )
    noise = fft.irfft(noise, size)[:samples]
    return noise / max(rms(noise), 1e-9)


def add(track, sound, start_s, sr):
    """Add `sound` to `track` in place from the sample nearest start_s on; what lies outside is lost."""
    start = round(start_s * sr)
    a, b = max(start, 0), min(start + len(sound), len(track))
    if a < b:
        track[a:b] += sound[a - start : b - start]


def rms(sound):
    """Root of the mean square, a scalar."""
    return np.sqrt(np.mean(np.square(sound)))

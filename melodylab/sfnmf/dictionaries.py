"""What is built and never learned: W_F0, a comb for each pitch, and W_gamma, overlapping smooth bands."""

import functools
from dataclasses import dataclass

import numpy as np

from melodylab.dsp import grids, stft


@dataclass(frozen=True)
class Settings:
    """The published system's parameters (Basaran 2018, code of the release), all changeable.

    exponent: power of the multiplicative step; 1 is the usual heuristic, 1/2 provably never raises the cost.
    """

    sr: int = 22050
    window_samples: int = 1024  # 46 ms
    hop_samples: int = 256  # 11.6 ms
    fmin_hz: float = 55.0
    fmax_hz: float = 1760.0
    bins_per_semitone: int = 5
    open_quotient: float = 0.25
    n_bands: int = 30  # P, smooth elementary filters
    band_overlap: float = 0.75
    n_filters: int = 10  # K, vowels and timbres built from the bands
    n_accompaniment: int = 40  # R
    iterations: int = 40
    exponent: float = 1.0
    floor: float = 1e-9  # of the power spectrum

    @property
    def n_freqs(self):
        return self.window_samples // 2 + 1

    @property
    def freqs_hz(self):
        """Frequencies of the STFT rows, (F,)."""
        return np.arange(self.n_freqs) * self.sr / self.window_samples

    @property
    def grid(self):
        """The pitch axis: 301 bins of 20 cents from 55 to 1760 Hz by default."""
        return grids.PitchGrid.spanning(self.fmin_hz, self.fmax_hz, 12 * self.bins_per_semitone)

    @property
    def window(self):
        return stft.sine_window(self.window_samples)


PUBLISHED = Settings()


# --- the two fixed dictionaries -------------------------------------------------------------------


def partial_amplitudes(f0_hz, n_partials, open_quotient=0.25):
    """Complex amplitudes of a glottal pulse's partials h = 1..n_partials, (n_partials,), by the KLGLOTT88 model.

    s = 2 pi i h Oq;  a_h = f0 27/4 / s (exp(-s) + 2 (1 + 2 exp(-s)) / s - 6 (1 - exp(-s)) / s^2).
    Relative levels do not depend on f0, and the third partial is the strongest (trap T7). Source: Durrieu 2011, after Klatt 1990.
    """
    s = 2j * np.pi * np.arange(1, n_partials + 1) * open_quotient
    decay = np.exp(-s)
    return f0_hz * 27 / 4 / s * (decay + 2 * (1 + 2 * decay) / s - 6 * (1 - decay) / s**2)


@functools.lru_cache(maxsize=4)  # 0.4 s, as much as two seconds of sound take
def source_dictionary(settings=PUBLISHED):
    """W_F0: one column per pitch, the power spectrum of a windowed glottal pulse train, maximum 1. Shape (F, U), float64.

    A partial at or above the Nyquist frequency is left out. Computed once per settings, so the array is read-only.
    """
    t_s = np.arange(settings.window_samples) / settings.sr
    combs = []
    for f0_hz in settings.grid.freqs_hz:
        partials = np.arange(1, int(settings.sr / 2 / f0_hz) + 1)
        amplitudes = partial_amplitudes(f0_hz, len(partials), settings.open_quotient)
        pulses = (amplitudes @ np.exp(2j * np.pi * f0_hz * np.outer(partials, t_s))).real
        combs.append(np.abs(np.fft.rfft(settings.window * pulses)) ** 2)
    combs = np.stack(combs, axis=1)
    combs /= combs.max(axis=0)
    combs.flags.writeable = False
    return combs


def smooth_filters(settings=PUBLISHED):
    """W_gamma: overlapping Hann bands on a linear frequency axis whose sum is flat. Shape (F, P), float64."""
    step_share = 1 / np.ceil(1 / (1 - settings.band_overlap))
    length = np.ceil(settings.n_freqs / (step_share * (settings.n_bands - 1) + 2 * step_share - 1))
    length = int(length + length % 2)
    first = -int(round((1 - step_share) / step_share))  # so many bands begin below 0 Hz
    centres = np.round(
        (first + np.arange(settings.n_bands)) * step_share * length + length / 2
    ).astype(int)
    bands = np.zeros((settings.n_freqs, settings.n_bands))
    hann = np.hanning(length)
    for band, centre in zip(bands.T, centres, strict=True):
        rows = np.arange(length) + centre - length // 2
        inside = (rows >= 0) & (rows < settings.n_freqs)
        band[rows[inside]] = hann[inside]
    return bands

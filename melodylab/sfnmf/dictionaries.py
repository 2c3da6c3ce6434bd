"""What is built and never learned: W_F0, a comb for each pitch, and W_gamma, overlapping smooth
bands.
"""

import functools
from dataclasses import dataclass

import numpy as np

from melodylab.dsp import grids, stft


@dataclass(frozen=True)
class Settings:
    """The published system's parameters (Basaran 2018, code of the release), all changeable.

    Parameters
    ----------
    sr : int
        The working rate, samples per second.
    window_samples, hop_samples : int
        Of the STFT: 46 ms and 11.6 ms.
    fmin_hz, fmax_hz : float
        Lowest and highest pitch.
    bins_per_semitone : int
        Of the pitch axis.
    open_quotient : float
        Share of a glottal pulse, 0..1, in which the vocal folds are open.
    n_bands : int
        P, smooth elementary filters.
    band_overlap : float
        Of neighbouring bands, 0..1.
    n_filters : int
        K, vowels and timbres built from the bands.
    n_accompaniment : int
        R, parts of the accompaniment.
    iterations : int
        Rounds of updates.
    exponent : float
        Of the multiplicative step; 1 is the usual heuristic, 1/2 provably never raises the cost.
    floor : float
        Of the power spectrum.
    """

    sr: int = 22050
    window_samples: int = 1024
    hop_samples: int = 256
    fmin_hz: float = 55.0
    fmax_hz: float = 1760.0
    bins_per_semitone: int = 5
    open_quotient: float = 0.25
    n_bands: int = 30
    band_overlap: float = 0.75
    n_filters: int = 10
    n_accompaniment: int = 40
    iterations: int = 40
    exponent: float = 1.0
    floor: float = 1e-9

    @property
    def n_freqs(self) -> int:
        """F, rows of the STFT."""
        return self.window_samples // 2 + 1

    @property
    def freqs_hz(self) -> np.ndarray:
        """Frequencies of the STFT rows, (F,)."""
        return np.arange(self.n_freqs) * self.sr / self.window_samples

    @property
    def grid(self) -> grids.PitchGrid:
        """The pitch axis: 301 bins of 20 cents from 55 to 1760 Hz by default."""
        return grids.PitchGrid.spanning(self.fmin_hz, self.fmax_hz, 12 * self.bins_per_semitone)

    @property
    def window(self) -> np.ndarray:
        """The sine window of the STFT, (window_samples,)."""
        return stft.sine_window(self.window_samples)


PUBLISHED = Settings()


# --- the two fixed dictionaries -------------------------------------------------------------------


def partial_amplitudes(f0_hz: float, n_partials: int, open_quotient: float = 0.25) -> np.ndarray:
    """Amplitudes of a glottal pulse's partials h = 1..n_partials, by the KLGLOTT88 model.

    s = 2 pi i h Oq;  a_h = f0 27/4 / s (exp(-s) + 2 (1 + 2 exp(-s)) / s - 6 (1 - exp(-s)) / s^2).
    Relative levels do not depend on f0, and the third partial is the strongest (trap T7).

    Parameters
    ----------
    f0_hz : float
        The pulse's pitch, above zero.
    n_partials : int
        How many.
    open_quotient : float
        Oq, above 0 and up to 1.

    Returns
    -------
    numpy.ndarray
        complex (n_partials,).

    Notes
    -----
    Source: Durrieu 2011, after Klatt 1990.
    """
    s = 2j * np.pi * np.arange(1, n_partials + 1) * open_quotient
    decay = np.exp(-s)
    return f0_hz * 27 / 4 / s * (decay + 2 * (1 + 2 * decay) / s - 6 * (1 - decay) / s**2)


@functools.lru_cache(maxsize=4)  # 0.4 s, as much as two seconds of sound take
def source_dictionary(settings: Settings = PUBLISHED) -> np.ndarray:
    """W_F0: one column per pitch, the power spectrum of a windowed glottal pulse train.

    A partial at or above the Nyquist frequency is left out.

    Parameters
    ----------
    settings : Settings, optional
        Sizes and rates.

    Returns
    -------
    numpy.ndarray
        float64 (F, U), each column's maximum 1. Computed once per settings, so it is read-only.
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


def smooth_filters(settings: Settings = PUBLISHED) -> np.ndarray:
    """W_gamma: overlapping Hann bands on a linear frequency axis whose sum is flat.

    Parameters
    ----------
    settings : Settings, optional
        Sizes and rates.

    Returns
    -------
    numpy.ndarray
        float64 (F, P).
    """
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

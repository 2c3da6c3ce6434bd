"""Is a melody's pitch one that its method can know? Outside its range a method finds another pitch.

A whistle above the range comes out an octave below, a bass below it an octave or a twelfth above,
or a pitch comes out at the border. So each voiced pitch f is asked whether a pitch p outside the
range explains the sound better, by the power near their partials:

    p = k f above the range      of all the partials of f hardly any sounds but those of p
    p = f / k below it           the partials of p that f has not are there like those that it has
    f next to a border           a sum over partials is largest on the other side
"""

import numpy as np
from scipy import signal

from melodylab.dsp import stft
from melodylab.dsp.grids import offset_cents
from melodylab.records import Melody, Song

_SR, _WINDOW_SAMPLES, _HOP_SAMPLES = 16000, 3072, 512  # 192 ms: partials of 30 Hz stand apart
_LOWEST_HZ, _HIGHEST_HZ = 27.0, 7800.0
_BLOCK_FRAMES = 1024
_HALF = 2 ** (0.5 / 12)  # a semitone's half, by which a range is taken wider or narrower
_HARDLY = 0.01  # of the power of the others
_LIKE, _CLEAR = 0.1, 4.0  # of the power of the next partial, times the power between partials
_MOST = 0.8  # of the partials
_BORDER_CENTS = 550.0
_VOTE_S = 0.25


def within(melody: Melody, song: Song, range_hz: tuple[float, float] | None) -> Melody:
    """The melody, unvoiced where its pitch or the one that the song holds lies outside a range.

    Parameters
    ----------
    melody : Melody
        What a method found in the song.
    song : Song
        The song, of any rate and channel count.
    range_hz : tuple or None
        The lowest and the highest pitch in Hz that the method knows; None changes nothing.

    Returns
    -------
    Melody
        The same times and pitches; the voicing is 0 where a quarter of a second is mostly outside.
        Silence stays as it is.

    Notes
    -----
    Our own. It costs a transform of the song every 32 ms.
    """
    if range_hz is None or not melody.voiced.any():
        return melody
    low_hz, high_hz = range_hz
    voiced = np.flatnonzero(melody.voiced)
    f0_hz, voicing = melody.f0_hz[voiced], melody.voicing.copy()
    y = stft.resample(song.mono, song.sr, _SR)
    window = signal.get_window("hann", _WINDOW_SAMPLES).astype(np.float32)
    frames = np.minimum(
        np.round(melody.times_s[voiced] * _SR / _HOP_SAMPLES).astype(int),
        stft.n_frames(len(y), _HOP_SAMPLES) - 1,
    )
    outside = np.zeros(len(voiced), bool)
    for first in range(0, frames[-1] + 1, _BLOCK_FRAMES):
        inside = slice(*np.searchsorted(frames, [first, first + _BLOCK_FRAMES]))
        if inside.start == inside.stop:
            continue
        count = frames[inside.stop - 1] + 1 - first
        spectra = stft.stft(
            y, window=window, hop_samples=_HOP_SAMPLES, first_frame=first, frames=count
        )
        power = spectra.real**2 + spectra.imag**2
        outside[inside] = _outside(power, frames[inside] - first, f0_hz[inside], low_hz, high_hz)
    voicing[voiced[_mostly(outside, melody.times_s[voiced])]] = 0
    far = (melody.f0_hz < low_hz / _HALF) | (melody.f0_hz > high_hz * _HALF)
    voicing[melody.voiced & far] = 0
    return Melody(melody.times_s, melody.f0_hz, voicing)


def _outside(power, frames, f0_hz, low_hz, high_hz):
    """For each pitch of a frame of the power (freq, time): is a pitch outside the better one?"""
    summed = np.vstack([np.zeros(power.shape[1]), np.cumsum(power, axis=0, dtype=float)])
    outside = np.zeros(len(f0_hz), bool)
    for k in (2, 3):
        some = np.flatnonzero(f0_hz * k > high_hz / _HALF)
        outside[some] |= _sounds_higher(summed, frames[some], f0_hz[some], k)
    for k in (2, 3, 4):
        some = np.flatnonzero((f0_hz / k < low_hz * _HALF) & (f0_hz / k > _LOWEST_HZ))
        outside[some] |= _sounds_lower(summed, frames[some], f0_hz[some], k)
    for border_hz in (low_hz, high_hz):
        some = np.flatnonzero(np.abs(offset_cents(f0_hz, border_hz)) < _BORDER_CENTS)
        best_hz = _best_nearby(power, frames[some], f0_hz[some])
        outside[some] |= (best_hz < low_hz / _HALF) | (best_hz > high_hz * _HALF)
    return outside


def _sounds_higher(summed, frames, f0_hz, k):
    """Does of all partials of f hardly any sound but those of k f?"""
    found = _near(summed, frames, np.arange(1, 13)[:, None] * f0_hz)
    shared = found[k - 1 :: k].sum(axis=0)
    return found.sum(axis=0) - shared < _HARDLY * shared


def _sounds_lower(summed, frames, f0_hz, k):
    """Are the partials of f / k that f has not there like those that it has, and stand out?"""
    h = np.arange(1, 13)[:, None]
    h = h[h[:, 0] <= 4 * k]
    found = _near(summed, frames, h * f0_hz / k)
    between = _near(summed, frames, (h - 0.5) * f0_hz / k)
    shared = found[k - 1 :: k].repeat(k, axis=0)  # the partial of f at or above each one of f / k
    there = (found > _LIKE * shared) & (found > _CLEAR * between)
    return there[h[:, 0] % k != 0].mean(axis=0) > _MOST


def _near(summed, frames, f_hz):
    """Power within 50 cents, or within a bin and a half, of frequencies (partials, pitches).

    summed: the power (1 + freq, time) of all rows below. What lies out of band has none.
    """
    half_hz = np.maximum(f_hz * (2 ** (50 / 1200) - 1), 1.5 * _SR / _WINDOW_SAMPLES)
    edges = [(f_hz + side * half_hz) * _WINDOW_SAMPLES / _SR + 0.5 for side in (-1, 1)]
    below, above = (np.clip(np.round(e), 0, len(summed) - 1).astype(int) for e in edges)
    return np.where(f_hz < _HIGHEST_HZ, summed[above, frames] - summed[below, frames], 0)


def _best_nearby(power, frames, f0_hz):
    """The pitch within five semitones whose first eight partials are strongest, (pitches,)."""
    steps = 2 ** (np.arange(-_BORDER_CENTS, _BORDER_CENTS + 1, 10) / 1200)
    near_hz = f0_hz * steps[:, None]
    sums = np.zeros(near_hz.shape)
    for h in range(1, 9):
        bins = np.minimum(h * near_hz * _WINDOW_SAMPLES / _SR, len(power) - 2)
        below = bins.astype(int)
        share = bins - below
        at = (1 - share) * power[below, frames] + share * power[below + 1, frames]
        sums += 0.8 ** (h - 1) * np.sqrt(at)
    return near_hz[sums.argmax(axis=0), np.arange(len(f0_hz))]


def _mostly(outside, times_s):
    """Majority of neighbouring frames within a quarter of a second."""
    counted = np.r_[0, np.cumsum(outside)]
    first = np.searchsorted(times_s, times_s - _VOTE_S / 2)
    stop = np.searchsorted(times_s, times_s + _VOTE_S / 2, side="right")
    return counted[stop] - counted[first] > (stop - first) / 2

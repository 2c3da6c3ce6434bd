"""How evenly moments are spaced: the longest pulse that they fall on, and the tempo it tells.

Conventions: times in seconds, in order. A sixteenth is a quarter of a beat. A pulse may swing:
every second step comes late.
"""

from typing import NamedTuple

import numpy as np

_SHORTEST_S, _LONGEST_S = 0.06, 1.0  # of a pulse
_SWINGS = (0.0, 0.1, 0.2, 1 / 3)  # how late every second step is; a third makes triplets
_FIRST = 64  # moments that a pulse is looked for among; then it is followed through all
_BINS = 48  # of the circle of two steps
_AS_GOOD = 0.85  # of pulses that fit nearly as well as the best the longest is taken
_SWING_COSTS = 0.05  # of the fit: what is even enough does not swing
_FILLED = 0.9  # share of its steps that are struck where a pulse is even
_SLOW_BPM = 70.0  # below, the beats of an even row are counted twice as fast
_OCTAVE_S = 0.0875  # sixteenths of uneven strokes last this to twice this: 86 to 171 beats a minute
_FEWEST = 8  # moments that tell a tempo


class Pulse(NamedTuple):
    """Even or swung moments: step n is at start_s + (n + swing (n mod 2)) step_s.

    Attributes
    ----------
    step_s : float
        Seconds from step to step, on average.
    start_s : float
        Seconds, the even step nearest to 0.
    swing : float
        How late odd steps are, in steps: 0 for none, 1/3 for triplets.
    """

    step_s: float
    start_s: float
    swing: float

    def positions(self, times_s: np.ndarray) -> np.ndarray:
        """Which step is nearest to each time, in steps from the start, swing included.

        Parameters
        ----------
        times_s : numpy.ndarray
            (moments,) seconds.

        Returns
        -------
        numpy.ndarray
            (moments,): 2 m, or 2 m + 1 + swing.
        """
        at = (np.asarray(times_s, dtype=float) - self.start_s) / self.step_s
        even, odd = 2 * np.round(at / 2), 2 * np.round((at - 1 - self.swing) / 2) + 1 + self.swing
        return np.where(np.abs(at - even) <= np.abs(at - odd), even, odd)


def longest(times_s: np.ndarray) -> Pulse:
    """The longest pulse, even or swung, that moments fall on.

    Wound around a circle that two steps fill, the moments come to lie at two places. A pulse fits
    as well as they do, and half a pulse fits whatever a whole one fits.

    Parameters
    ----------
    times_s : numpy.ndarray
        (moments,) at least two different ones, seconds, in order.

    Returns
    -------
    Pulse
        Of 0.06 to 1 s.
    """
    times_s = np.asarray(times_s, dtype=float)
    first = times_s[:_FIRST]
    span_s = first[-1] - first[0]
    count = 200 + int(10 * span_s / _SHORTEST_S)  # tenths of a turn at the far end
    steps_s = 1 / np.linspace(1 / _LONGEST_S, 1 / _SHORTEST_S, count)
    fits, swings, starts = _fits(first, steps_s)
    at = int(np.flatnonzero(fits >= _AS_GOOD * fits.max())[0])
    while at + 1 < len(fits) and fits[at + 1] > fits[at]:
        at += 1
    found = Pulse(float(steps_s[at]), float(2 * starts[at] * steps_s[at]), float(swings[at]))
    count = 8
    while True:  # as more moments are seen, the step becomes more exact
        count = min(2 * count, len(times_s))
        found = _fitted(times_s[:count], found)
        if count == len(times_s):
            return found


def _fits(times_s, steps_s):
    """(fit up to 1, swing, start in pairs of steps) of the best swing for each step."""
    turns = np.round(times_s / (2 * steps_s[:, None]) * _BINS).astype(int) % _BINS
    struck = np.zeros((len(steps_s), _BINS))
    np.add.at(struck, (np.arange(len(steps_s))[:, None], turns), 1 / len(times_s))
    off = np.minimum(np.arange(_BINS), _BINS - np.arange(_BINS)) / _BINS * 2  # in steps
    near = np.where(off < 0.5, 0.5 + 0.5 * np.cos(2 * np.pi * off), 0) ** 3
    struck = np.fft.irfft(np.fft.rfft(struck, axis=1) * np.fft.rfft(near), _BINS, axis=1)
    fits, swings, starts = (
        np.full(len(steps_s), -2.0),
        np.zeros(len(steps_s)),
        np.zeros(len(steps_s)),
    )
    for swing in _SWINGS:
        both = struck + np.roll(struck, -round(_BINS / 2 * (1 + swing)), axis=1)
        best = both.max(axis=1) * 2 - 1 - (_SWING_COSTS if swing else 0)
        more = best > fits + 1e-9
        fits[more], swings[more] = best[more], swing
        starts[more] = both.argmax(axis=1)[more] / _BINS
    return fits, swings, starts


def _fitted(times_s, found):
    """The pulse that these moments fit best next to one, by least squares."""
    positions = found.positions(times_s)
    off = positions - positions.mean()
    step_s = float(off @ times_s / (off @ off)) if off.any() else found.step_s
    if abs(step_s / found.step_s - 1) > 0.02:
        step_s = found.step_s
    start_s = float(np.mean(times_s - positions * step_s))
    turn_s = 2 * step_s if found.swing else step_s
    return Pulse(step_s, start_s - turn_s * round(start_s / turn_s), found.swing)


def fit_start_s(times_s: np.ndarray, step_s: float) -> float:
    """Where a pulse of this step begins so that moments lie next to it.

    Parameters
    ----------
    times_s : numpy.ndarray
        (moments,) seconds.
    step_s : float
        Seconds.

    Returns
    -------
    float
        Seconds, -step_s / 2 to step_s / 2.
    """
    return float(step_s * np.angle(np.exp(2j * np.pi * times_s / step_s).mean()) / (2 * np.pi))


def sixteenth_s(times_s: np.ndarray, accents_s: np.ndarray | None = None) -> float:
    """How long a sixteenth lasts, of strokes whose pulse is found.

    An even row of strokes is one of eighths, counted twice as fast where that is slow; or of
    sixteenths, where the accents lie on every fourth. The pulse of uneven or swung strokes is a
    sixteenth where that gives 86 to 171 beats a minute, else so many times more or less.

    Parameters
    ----------
    times_s : numpy.ndarray
        (strokes,) at least two different ones, seconds, in order.
    accents_s : numpy.ndarray, optional
        (accents,) those of them that mark the beat.

    Returns
    -------
    float
        Seconds.
    """
    found = longest(times_s)
    step_s = found.step_s
    struck = np.unique(found.positions(times_s))
    filled = len(struck) / (round(struck[-1] - struck[0]) + 1)
    if found.swing > 0.15 or filled < _FILLED:
        return step_s * 2.0 ** -np.floor(np.log2(step_s / _OCTAVE_S) + 1e-9)
    if (
        accents_s is not None
        and len(accents_s) >= 4
        and abs(np.exp(2j * np.pi * accents_s / (4 * step_s)).mean()) > 0.9
    ):
        return step_s
    return step_s / 2 if 30 / step_s >= _SLOW_BPM else step_s / 4


def tempo_bpm(times_s: np.ndarray) -> float | None:
    """Beats a minute of strokes.

    Parameters
    ----------
    times_s : numpy.ndarray
        (strokes,) seconds, in order.

    Returns
    -------
    float or None
        None where fewer than eight strokes tell no tempo.
    """
    times_s = np.asarray(times_s, dtype=float)
    if len(times_s) < _FEWEST or times_s[-1] <= times_s[0]:
        return None
    return 15 / sixteenth_s(times_s)

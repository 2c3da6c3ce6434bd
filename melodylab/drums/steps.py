"""The steps that a loop of drums is written on: found from its hits, spelled as a pattern, changed there and played again.

Conventions: a step is a sixteenth, four to a beat and sixteen to a bar. A pattern is a text, one word a class in the order of
`synth.DRUM_CLASSES`, joined by "/", with "x" where a class is hit on a step and "-" where it is not. It tells steps, not times:
hits that stay in a changed pattern keep their own times and velocities.

Notebook 07_drums uses this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from melodylab.records import DRUM_CLASSES, DrumOnsets

_SHORTEST_S, _LONGEST_S = 0.0875, 0.175  # an octave of tempi, 86 to 171 beats a minute


@dataclass(frozen=True)
class Steps:
    """Evenly spaced moments: step n of 0..count - 1 is at start_s + n * step_s."""

    start_s: float
    step_s: float
    count: int

    @property
    def times_s(self):
        return self.start_s + self.step_s * np.arange(self.count)

    @property
    def tempo_bpm(self):
        return 15 / self.step_s

    def nearest(self, times_s):
        """Numbers of the steps nearest to these times, (times,)."""
        n = np.round((np.asarray(times_s, dtype=float) - self.start_s) / self.step_s).astype(int)
        return np.clip(n, 0, self.count - 1)


def find(onsets, seconds, *, tempo_bpm=None):
    """The `Steps` that the hits of `seconds` of sound fall on best; the first is the one nearest to 0 s.

    A step is good if the hits, wound around a circle that it fills once, come to lie at one place: the length of their mean arrow
    is 1 if all do. Of steps that are nearly as good as the best the longest is taken: half a step fits whatever a whole one fits.
    tempo_bpm: beats a minute, if known. With fewer than two hits: that tempo, or 120.
    """
    times_s = onsets.times_s
    if len(times_s) < 2:
        step_s, start_s = 15 / (tempo_bpm or 120), 0.0
    else:
        if tempo_bpm:
            step_s = 15 / tempo_bpm
        else:
            tried_s = np.geomspace(_SHORTEST_S, _LONGEST_S, 200 + int(100 * seconds))
            fits = np.abs(np.exp(2j * np.pi * times_s / tried_s[:, None]).mean(axis=1))
            step_s = tried_s[np.flatnonzero(fits >= 0.95 * fits.max())[-1]]
            near = np.abs(tried_s / step_s - 1) < 0.02
            step_s = tried_s[near][np.argmax(fits[near])]
        start_s = step_s * np.angle(np.exp(2j * np.pi * times_s / step_s).mean()) / (2 * np.pi)
    return Steps(
        float(start_s), float(step_s), max(1, int(np.ceil((seconds - start_s) / step_s - 0.25)))
    )


def pattern(onsets, steps):
    """How the hits read on these steps: text as above."""
    cells = np.zeros((len(DRUM_CLASSES), steps.count), dtype=bool)
    for kind, n in zip(onsets.classes, steps.nearest(onsets.times_s), strict=True):
        cells[DRUM_CLASSES.index(kind), n] = True
    return "/".join("".join("x" if on else "-" for on in row) for row in cells)


def edited(onsets, steps, text):
    """The hits after a pattern was changed to `text`: `DrumOnsets`.

    Hits whose step is still on stay as they are; those whose step is off go. A step that is on without a hit gets one, right on the
    step, with the median velocity of its class (1 where it has none). Raises ValueError for a text that does not fit.
    """
    rows = text.split("/")
    if len(rows) != len(DRUM_CLASSES) or any(
        len(row) != steps.count or set(row) - set("x-") for row in rows
    ):
        raise ValueError(
            f"a pattern of {len(DRUM_CLASSES)} words of {steps.count} letters x or - is asked for"
        )
    on = {kind: np.array(list(row)) == "x" for kind, row in zip(DRUM_CLASSES, rows, strict=True)}
    at = steps.nearest(onsets.times_s)
    given = list(
        zip(
            onsets.times_s.tolist(),
            onsets.classes,
            onsets.velocity.tolist(),
            at.tolist(),
            strict=True,
        )
    )
    hits = [(time_s, kind, velocity) for time_s, kind, velocity, n in given if on[kind][n]]
    for kind in DRUM_CLASSES:
        own = [velocity for _, name, velocity, _ in given if name == kind]
        taken = {n for _, name, _, n in given if name == kind}
        for n in np.flatnonzero(on[kind]):
            if n not in taken:
                hits.append(
                    (max(0.0, float(steps.times_s[n])), kind, float(np.median(own)) if own else 1.0)
                )
    return hits_in_order(hits)


def hits_in_order(hits: Iterable[tuple[float, str, float]]) -> DrumOnsets:
    """Hits in any order as a record.

    Parameters
    ----------
    hits : iterable of (float, str, float)
        Time in seconds, class and velocity 0..1 of each.

    Returns
    -------
    DrumOnsets
        In order of time.
    """
    hits = sorted(hits)
    times_s, classes, velocity = zip(*hits, strict=True) if hits else ((), (), ())
    return DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))

"""The steps that a loop of drums is written on: found from its hits, spelled, changed.

Conventions: a step is a sixteenth, four to a beat and sixteen to a bar. A pattern is a text, one
word a class in the order of `DRUM_CLASSES`, joined by "/", with "x" where a class is hit on a step
and "-" where it is not. It tells steps, not times: hits that stay in a changed pattern keep their
own times and velocities.

Notebook 07_drums uses this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from melodylab.dsp import pulse
from melodylab.records import DRUM_CLASSES, DrumOnsets

_ACCENTS = {"kick": 1.0, "snare": 0.5, "toms": 0.3, "closed_hihat": 0.1, "open_hihat": 0.1}
_FIRST_HIT = 0.3  # what the first hit adds to the share of the accents on its place in the beat


@dataclass(frozen=True)
class Steps:
    """Evenly spaced moments: step n of 0..count - 1 is at start_s + n * step_s.

    Attributes
    ----------
    start_s : float
        Seconds; a beat begins there.
    step_s : float
        Seconds from step to step.
    count : int
        How many steps there are.
    """

    start_s: float
    step_s: float
    count: int

    @property
    def times_s(self) -> np.ndarray:
        """(count,) seconds."""
        return self.start_s + self.step_s * np.arange(self.count)

    @property
    def tempo_bpm(self) -> float:
        """Beats of four steps a minute."""
        return 15 / self.step_s

    def nearest(self, times_s: np.ndarray) -> np.ndarray:
        """Numbers of the steps nearest to times.

        Parameters
        ----------
        times_s : numpy.ndarray
            (times,) seconds.

        Returns
        -------
        numpy.ndarray
            (times,) int, 0..count - 1.
        """
        n = np.round((np.asarray(times_s, dtype=float) - self.start_s) / self.step_s).astype(int)
        return np.clip(n, 0, self.count - 1)


def find(onsets: DrumOnsets, seconds: float, *, tempo_bpm: float | None = None) -> Steps:
    """The steps that hits fall on best; the first is a beat, with the first hit on or behind it.

    A step is a quarter of a beat. The beat is sought where kicks and snares lie, and the first hit.

    Parameters
    ----------
    onsets : DrumOnsets
        The hits.
    seconds : float
        How long the sound lasts that they are of.
    tempo_bpm : float, optional
        Beats a minute, if known. Even eighths of 40 to 220 are found at their tempo or twice it.

    Returns
    -------
    Steps
        Up to the end of the sound. With fewer than two hits: at that tempo, or 120, from 0 s on.
    """
    times_s = onsets.times_s
    if len(times_s) < 2 or times_s[-1] - times_s[0] < 0.05:
        step_s, start_s = 15 / (tempo_bpm or 120), 0.0
    else:
        kinds = np.array(onsets.classes, dtype=object)
        accents_s = times_s[(kinds == "kick") | (kinds == "snare") | (kinds == "toms")]
        step_s = 15 / tempo_bpm if tempo_bpm else pulse.sixteenth_s(times_s, accents_s)
        start_s = _first_beat_s(onsets, step_s)
    count = max(1, int(np.ceil((seconds - start_s) / step_s - 0.25)))
    return Steps(float(start_s), float(step_s), count)


def _first_beat_s(onsets, step_s):
    """The last beat up to the first hit: of four steps the one that most accents lie on."""
    times_s = onsets.times_s
    start_s = pulse.fit_start_s(times_s, step_s)
    steps = np.round((times_s - start_s) / step_s).astype(int)
    weights = onsets.velocity * [_ACCENTS.get(kind, 0.1) for kind in onsets.classes]
    share = np.bincount(steps % 4, weights, minlength=4) / max(weights.sum(), 1e-12)
    share[steps[0] % 4] += _FIRST_HIT
    return start_s + step_s * (steps[0] - (steps[0] - int(np.argmax(share))) % 4)


def pattern(onsets: DrumOnsets, steps: Steps) -> str:
    """How hits read on steps.

    Parameters
    ----------
    onsets : DrumOnsets
        The hits, of classes in `DRUM_CLASSES`.
    steps : Steps
        What they are read on.

    Returns
    -------
    str
        For each class `steps.count` of "x" and "-", joined by "/".
    """
    cells = np.zeros((len(DRUM_CLASSES), steps.count), dtype=bool)
    for kind, n in zip(onsets.classes, steps.nearest(onsets.times_s), strict=True):
        cells[DRUM_CLASSES.index(kind), n] = True
    return "/".join("".join("x" if on else "-" for on in row) for row in cells)


def edited(onsets: DrumOnsets, steps: Steps, text: str) -> DrumOnsets:
    """The hits after their pattern was changed.

    Hits whose step is still on stay as they are; those whose step is off go. A step that is on
    without a hit gets one, right on the step, with the median velocity of its class (1 where it
    has none).

    Parameters
    ----------
    onsets : DrumOnsets
        The hits before, of classes in `DRUM_CLASSES`.
    steps : Steps
        What the pattern is read on.
    text : str
        The pattern after, of the same classes and steps.

    Returns
    -------
    DrumOnsets
        In order of time.

    Raises
    ------
    ValueError
        For a text that does not fit the steps.
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

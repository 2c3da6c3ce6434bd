"""The score of a song to learn from: chords, lines, riffs, basses, who plays when."""

from dataclasses import dataclass

import numpy as np

from melodylab.synth.instruments import Hit
from melodylab.synth.sounds import Note

_SCALES = {  # with how often they are drawn
    (0, 2, 4, 5, 7, 9, 11): 0.35,
    (0, 2, 3, 5, 7, 8, 10): 0.25,
    (0, 2, 3, 5, 7, 9, 10): 0.15,
    (0, 2, 4, 5, 7, 9, 10): 0.25,
}


_CADENCES = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (5, 3, 0, 4),
    (0, 3, 4, 3),
    (0, 3, 0, 4),
    (0, 6, 3, 0),
    (0, 0, 3, 4),
    (0, 6, 5, 6),
)


# ---- the score -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What all tracks of a song agree on.

    Places are counted in sixteenth notes from the beginning, 16 a bar.
    """

    scale: tuple
    tonic: int
    cadence: tuple
    half_bars: bool  # chords change twice a bar
    eighth_s: float
    swing: float
    bars: int
    leads: np.ndarray  # (bars,) does the lead play in this bar
    tuning: float  # semitones

    def time_s(self, sixteenth):
        """When a sixteenth note begins; swing delays every second eighth."""
        eighth, part = divmod(sixteenth / 2, 1)
        late = self.swing * (eighth % 2) if part == 0 else self.swing * 0.5
        return (eighth + part + late) * self.eighth_s

    def has_lead(self, sixteenth):
        return self.leads[min(sixteenth // 16, self.bars - 1)]

    def midi(self, step):
        return self.tonic + self.scale[step % 7] + 12 * (step // 7)

    def root(self, sixteenth):
        """Scale step of the chord."""
        bar, place = divmod(sixteenth, 16)
        return self.cadence[int(2 * bar + (place >= 8)) % 4 if self.half_bars else int(bar) % 4]

    def triad(self, sixteenth, above):
        """Three or four chord tones, each in the octave from `above` on."""
        return [
            above + (self.midi(self.root(sixteenth) + third) - above) % 12 for third in (0, 2, 4)
        ]


def _plan(rng, seconds, ingredients):
    scale = list(_SCALES)[rng.choice(len(_SCALES), p=list(_SCALES.values()))]
    eighth_s = 30 / rng.uniform(66, 172)
    bars = int(np.ceil(seconds / (8 * eighth_s))) + 1
    leads = np.ones(bars, dtype=bool)
    if ingredients.rests:
        bar, dense = 0, ingredients.dense_leads
        while bar < bars:
            sings, rest = (
                int(rng.integers(2 + 2 * dense, 9 + 2 * dense)),
                int(rng.integers(1, 5)) if rng.random() < 0.75 else 0,
            )
            if bar == 0 and rng.random() < (0.3 if dense else 0.5):
                sings = 0
            leads[bar + sings : bar + sings + rest] = False
            bar += max(sings + rest, 1)
    tuning = (
        rng.normal(0, 0.08) + (rng.uniform(-0.5, 0.5) if rng.random() < 0.25 else 0)
        if ingredients.detuned
        else 0.0
    )
    swing = rng.uniform(0.2, 0.4) if rng.random() < 0.2 else 0.0
    cadence = _CADENCES[rng.integers(len(_CADENCES))]
    return _Plan(
        scale,
        int(rng.integers(12)),
        cadence,
        rng.random() < 0.25,
        eighth_s,
        swing,
        bars,
        leads,
        tuning,
    )


def _line(plan, rng, lowest, compass, pace, only_where=None, dense=False, shortest=0.75):
    """A melody of phrases: list of `Note`.

    lowest, compass: MIDI and semitones of its range; pace: mean note in sixteenths.
    """
    steps = [s for s in range(-7, 90) if lowest <= plan.midi(s) <= lowest + compass]
    step, at, last = steps[len(steps) // 2], int(rng.integers(0, 8)), 16 * plan.bars
    repeats, legato, leaps = rng.uniform(0.05, 0.5), rng.uniform(shortest, 1.0), rng.uniform(0, 0.2)
    lengths = np.array([1, 2, 3, 4, 6, 8, 12])
    weights = np.exp(-0.5 * ((np.log2(lengths) - np.log2(pace)) / 0.8) ** 2) * (
        1,
        2,
        0.7,
        1.6,
        0.8,
        1,
        0.4,
    )
    notes = []
    while at < last:
        for _ in range(int(rng.integers(2, 11))):
            length = int(rng.choice(lengths, p=weights / weights.sum()))
            if rng.random() > repeats:
                move = int(rng.choice([1, 2] if rng.random() > leaps else [3, 4, 5, 7])) * int(
                    rng.choice([-1, 1])
                )
                step += move if steps[0] <= step + move <= steps[-1] else -move
                step = int(np.clip(step, steps[0], steps[-1]))
            if at % 4 == 0 or length > 4:
                near = [s for s in steps if abs(s - step) <= 1]
                step = min(
                    near, key=lambda s: ((s - plan.root(at)) % 7 not in (0, 2, 4), abs(s - step))
                )
            start_s, end_s = plan.time_s(at), plan.time_s(at + length)
            if only_where is None or only_where(at):
                early_s = rng.normal(0, 0.012)
                end_s = start_s + max(legato * (end_s - start_s), 0.07)
                notes.append(
                    Note(
                        max(start_s + early_s, 0.0),
                        max(end_s + early_s, 0.06),
                        plan.midi(step),
                        rng.uniform(0.6, 1),
                    )
                )
            at += length
            if at >= last:
                break
        gaps = (
            (0.3, 0.3, 0.1, 0.2, 0.05, 0.05, 0.0)
            if dense
            else (0.1, 0.2, 0.15, 0.2, 0.15, 0.12, 0.08)
        )
        at += int(rng.choice([0, 2, 3, 4, 6, 8, 12], p=gaps))
    for i in range(len(notes) - 1):  # nobody sings two notes at once
        notes[i] = notes[i]._replace(
            end_s=max(min(notes[i].end_s, notes[i + 1].start_s - 0.005), notes[i].start_s + 0.03)
        )
    return notes


def _riff(plan, rng, lowest):
    """A pattern of a bar or two, over and over on the chords: list of `Note`."""
    length = 16 * int(rng.integers(1, 3))
    places = sorted(
        rng.choice(
            np.arange(0, length, int(rng.choice([1, 2, 2]))),
            size=int(rng.integers(3, 9)),
            replace=False,
        )
    )
    moves = rng.choice([0, 0, 1, 2, 4, -1, -3, 7], size=len(places))
    always, notes = rng.random() < 0.5, []
    for bar in range(0, plan.bars, length // 16):
        if not always and plan.leads[bar]:
            continue
        for place, move, after in zip(places, moves, [*places[1:], length], strict=True):
            at = 16 * bar + int(place)
            midi = lowest + (plan.midi(plan.root(at) + int(move)) - lowest) % 19
            start_s = plan.time_s(at)
            end_s = start_s + max(0.9 * (plan.time_s(16 * bar + int(after)) - start_s), 0.06)
            notes.append(Note(start_s, min(end_s, start_s + 1.2), midi, rng.uniform(0.7, 1)))
    return notes


def _chord_part(plan, rng):
    """Chords in one of five ways: list of `Note`."""
    way, above, notes = rng.integers(5), int(rng.integers(46, 58)), []
    strokes = {
        0: [(0, 16)],  # held
        1: [(0, 6), (6, 6), (12, 4)],
        2: [(2 * k, 2) for k in range(8)],  # strummed
        3: [(4, 2), (12, 2), *([(8, 1)] if rng.random() < 0.5 else [])],  # off the beat
        4: [(2 * k, 4) for k in range(8)],  # one tone after the other
    }[int(way)]
    order = rng.permutation(8)
    for bar in range(plan.bars):
        for k, (start, length) in enumerate(strokes):
            at = 16 * bar + start
            tones = plan.triad(at, above)
            if way == 4:
                tones = [[*tones, tones[0] + 12][order[k] % 4]]
            start_s = plan.time_s(at)
            end_s = start_s + 0.95 * length * plan.eighth_s / 2
            notes += [
                Note(start_s + 0.008 * i * (way == 2), end_s, tone, rng.uniform(0.7, 1))
                for i, tone in enumerate(tones)
            ]
    return notes


def _power_chords(plan, rng):
    """Root, fifth and octave on a low guitar: list of `Note`."""
    places = sorted({0, *(2 * int(p) for p in rng.integers(0, 8, size=int(rng.integers(1, 7))))})
    notes = []
    for bar in range(plan.bars):
        for place, after in zip(places, [*places[1:], 16], strict=True):
            at = 16 * bar + place
            low = 40 + (plan.midi(plan.root(at)) - 40) % 12
            start_s, end_s = plan.time_s(at), plan.time_s(16 * bar + after) - 0.02
            notes += [Note(start_s, end_s, low + up, rng.uniform(0.8, 1)) for up in (0, 7, 12)]
    return notes


def _bass_part(plan, rng):
    """Roots, or a walk around them, in a rhythm of its own: list of `Note`."""
    walks, places = (
        rng.random() < 0.3,
        sorted(
            {0, *(int(p) for p in rng.choice([2, 4, 6, 8, 10, 12, 14], int(rng.integers(1, 7))))}
        ),
    )
    notes = []
    for bar in range(plan.bars):
        for place, after in zip(places, [*places[1:], 16], strict=True):
            at = 16 * bar + place
            step = plan.root(at) + (int(rng.choice([0, 2, 4, 1, -1])) if walks and place else 0)
            start_s = plan.time_s(at)
            end_s = start_s + 0.9 * (plan.time_s(16 * bar + after) - start_s)
            notes.append(
                Note(start_s, end_s, 28 + (plan.midi(step) - 28) % 12, rng.uniform(0.8, 1))
            )
    return notes


def _drum_part(plan, rng):
    """Bars of a groove with its own kick, backbeat and cymbals.

    Every fourth or eighth ends in a fill: list of `Hit`.
    """
    kicks = sorted(
        {
            0,
            *(
                int(k)
                for k in rng.choice(
                    [3, 6, 7, 8, 10, 11, 14], int(rng.integers(0, 4)), replace=False
                )
            ),
        }
    )
    snares, every = ((4, 12) if rng.random() < 0.85 else (8,)), int(rng.choice([1, 2, 2, 2, 4]))
    kind, fills = ("closed_hihat" if rng.random() < 0.75 else "open_hihat"), int(rng.choice([4, 8]))
    tune = {
        name: rng.uniform(0.75, 1.3)
        for name in ("kick", "snare", "closed_hihat", "open_hihat", "toms")
    }
    hits = []
    for bar in range(plan.bars):
        end = 12 if bar % fills == fills - 1 else 16
        groove = [(k, "kick", 0.9) for k in kicks] + [(s, "snare", 0.9) for s in snares]
        groove += [(p, kind, 0.85 if p % 4 == 0 else 0.55) for p in range(0, 16, every)]
        groove = [hit for hit in groove if hit[0] < end]
        if end < 16:
            groove += [(p, "toms", 0.9) for p in range(12, 16) if rng.random() < 0.8]
        for place, name, velocity in groove:
            at_s = max(plan.time_s(16 * bar + place) + rng.normal(0, 0.004), 0.0)
            hits.append(Hit(at_s, name, velocity * rng.uniform(0.8, 1), tune[name]))
    return sorted(hits)

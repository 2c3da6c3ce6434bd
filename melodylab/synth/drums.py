"""Drum loops from nothing but a seed: a kit, a groove, a room and a mixing desk, with the exact truth beside them.

A kit is drawn as parameters (a skin's pitch and fall, wires, a cymbal's partials...), so no two seeds share a sound; a groove is a
bar of steps for each class. Stems are named and ordered as `DRUM_CLASSES`; what a mixing desk does to the sum (compression,
saturation) is a gain over time that all stems share, so they still sum to the mix.
"""

from dataclasses import dataclass, field
from typing import Callable

import numpy as np
from scipy import signal

from melodylab.files import InputError
from melodylab.records import DrumOnsets, OneShot, Song
from melodylab.synth.instruments import DRUM_CLASSES, Hit, partials
from melodylab.synth.sounds import add, noise_band, ramp

# ---- sounds: each function draws a drum and returns strike(rng, hardness 0..1) -> (samples,) ------------------------


def _skin(low_hz, fall, fall_s, decay_s, samples, sr):
    """A sine whose pitch falls from (1 + fall) low_hz to low_hz, the way a struck skin slackens."""
    t = np.arange(samples) / sr
    return np.sin(2 * np.pi * low_hz * (t + fall * fall_s * (1 - np.exp(-t / fall_s)))) * np.exp(-t / decay_s)


def _burst(rng, low_hz, high_hz, decay_s, samples, sr):
    return noise_band(rng, samples, low_hz, high_hz, sr) * np.exp(-np.arange(samples) / (sr * decay_s))


def _kick(rng, sr, machine):
    low_hz, decay_s = rng.uniform(38, 78), np.exp(rng.uniform(np.log(0.015), np.log(0.2)))
    if machine and rng.random() < 0.5:
        decay_s = rng.uniform(0.2, 0.5)
    fall, fall_s = rng.uniform(0.6, 6) if machine else rng.uniform(0.1, 1.5), rng.uniform(0.005, 0.05)
    click, click_hz, click_s = rng.uniform(0, 0.7), rng.uniform(1000, 6000), rng.uniform(0.002, 0.02)
    shell, drive, beater = 0 if machine else rng.uniform(0.05, 0.5), rng.uniform(0.3, 3), rng.uniform(0, 0.4)

    def strike(take, hardness):
        samples = round(min(0.9, 6 * decay_s + 0.08) * sr)
        hit = _skin(low_hz, fall * (0.5 + 0.5 * hardness), fall_s, decay_s, samples, sr)
        hit += click * hardness * _burst(take, click_hz / 2, click_hz * 2, click_s, samples, sr)
        if shell:
            hit += shell * _skin(low_hz * 1.8, fall, fall_s, decay_s / 3, samples, sr)
            hit += 0.3 * shell * _burst(take, 150, 900, 0.03, samples, sr)
        if beater:
            hit += beater * hardness * _skin(click_hz / 3, 1, 0.002, 0.004, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _snare(rng, sr, machine):
    low_hz, fall, fall_s = rng.uniform(110, 290), rng.uniform(0.05, 0.8), rng.uniform(0.01, 0.04)
    ratios = np.array([1, rng.uniform(1.4, 1.95), rng.uniform(2.1, 2.6), rng.uniform(2.9, 3.6)])
    strengths, body_s = rng.uniform(0.2, 1, 4) / np.arange(1, 5), rng.uniform(0.02, 0.14)
    wires, wires_s, tail_s = np.exp(rng.uniform(np.log(0.05), np.log(1.2))), rng.uniform(0.03, 0.12), rng.uniform(0.08, 0.25)
    low_cut_hz, high_cut_hz, tail = rng.uniform(300, 3000), rng.uniform(5000, 15000), rng.uniform(0, 0.3)
    drive, stick = rng.uniform(0.3, 2.5), rng.uniform(0, 0.5)

    def strike(take, hardness):
        samples = round(min(0.7, 6 * max(body_s, tail_s, wires_s)) * sr)
        hit = strengths[0] * _skin(low_hz, fall * hardness, fall_s, body_s, samples, sr)
        bends = 1 if machine else take.uniform(0.98, 1.02)
        hit += partials(low_hz * ratios[1:] * bends, strengths[1:], body_s / ratios[1:], samples, sr)
        hit += wires * _burst(take, low_cut_hz, high_cut_hz * (0.6 + 0.4 * hardness), wires_s, samples, sr)
        hit += tail * wires * _burst(take, low_cut_hz, high_cut_hz / 1.5, tail_s, samples, sr)
        hit += stick * hardness * _burst(take, 2000, 9000, 0.004, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _clap(rng, sr, machine):
    low_hz, high_hz, gap_s = rng.uniform(500, 1200), rng.uniform(1800, 6000), rng.uniform(0.006, 0.014)
    hands, tail_s, tail = int(rng.integers(2, 5)), rng.uniform(0.03, 0.2), rng.uniform(0.3, 1)

    def strike(take, hardness):
        samples = round((hands * gap_s + 5 * tail_s) * sr)
        hit = np.zeros(samples)
        for n in range(hands):
            add(hit, _burst(take, low_hz, high_hz, 0.4 * gap_s, samples, sr), n * gap_s, sr)
        add(hit, tail * _burst(take, low_hz, high_hz, tail_s, samples, sr), (hands - 1) * gap_s, sr)
        return hit

    return strike


def _rim(rng, sr, machine):
    freqs_hz = rng.uniform(380, 900) * np.array([1, rng.uniform(1.5, 2.2), rng.uniform(2.5, 4)])
    decay_s, stick = rng.uniform(0.008, 0.03), rng.uniform(0.2, 1)

    def strike(take, hardness):
        samples = round(8 * decay_s * sr)
        return partials(freqs_hz, [1, 0.8, 0.5], decay_s, samples, sr) + stick * _burst(take, 1500, 9000, 0.004, samples, sr)

    return strike


def _metal(rng, machine):
    """What the open and the closed sound of one hi-hat share: partials, their levels, and how much is noise."""
    if machine and rng.random() < 0.6:  # six square waves, as in the machines of around 1980
        roots = rng.uniform(0.7, 1.5) * np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0]) * rng.uniform(0.9, 1.1, 6)
        odd = np.arange(5, 41, 4)
        freqs_hz, strengths = np.outer(roots, odd).ravel(), np.tile(1 / odd, 6)
    else:
        count = int(rng.integers(8, 40))
        freqs_hz, strengths = np.exp(rng.uniform(np.log(2000), np.log(16000), count)), rng.uniform(0.2, 1, count) / count
    tilt = rng.uniform(-0.5, 1.5)
    strengths = strengths * np.minimum(freqs_hz / 8000, 3) ** tilt
    strengths = strengths / np.sqrt(np.sum(strengths**2))
    if rng.random() < 0.6:  # a plate rings low, too
        body = rng.uniform(0.1, 1.2) * rng.uniform(0.2, 1, int(rng.integers(3, 10)))
        freqs_hz = np.concatenate([freqs_hz, np.exp(rng.uniform(np.log(250), np.log(2500), len(body)))])
        strengths = np.concatenate([strengths, body / np.sqrt(len(body))])
    return freqs_hz, strengths, rng.uniform(0.05, 0.95)


def _hat(rng, sr, metal, decay_s):
    freqs_hz, strengths, noisy = metal
    low_hz, high_hz = np.exp(rng.uniform(np.log(800), np.log(8000))), rng.uniform(9000, 18000)
    tap, thump = rng.uniform(0, 0.6), rng.choice([0, 0.1, 0.3]) * rng.random()
    bloom_s = rng.uniform(0.01, 0.06) if decay_s > 0.1 and rng.random() < 0.5 else 0.0  # a plate needs time to ring

    def strike(take, hardness):
        samples = round(min(6 * decay_s + 0.01, 1.6) * sr)
        decays_s = decay_s * np.exp(0.3 * np.cos(np.arange(len(freqs_hz)) * 2.4))
        jitter = np.exp(take.normal(0, 0.15, len(strengths)))
        hit = (1 - noisy) * partials(freqs_hz, strengths * jitter, decays_s, samples, sr)
        hit += noisy * _burst(take, low_hz * (1.2 - 0.2 * hardness), high_hz, decay_s, samples, sr)
        if bloom_s:
            hit *= 0.3 + 0.7 * ramp(np.arange(samples) / (bloom_s * sr))
        hit += thump * _burst(take, 60, 400, 0.015, samples, sr)
        return hit + tap * hardness * _burst(take, low_hz / 2, high_hz, 0.004, samples, sr)

    return strike


def _tom(rng, sr, machine, low_hz):
    fall, fall_s, decay_s = rng.uniform(0.05, 1.0), rng.uniform(0.015, 0.08), np.exp(rng.uniform(np.log(0.06), np.log(0.4)))
    second, second_level = rng.uniform(1.45, 1.7), rng.uniform(0, 0.5)
    stick, noise, drive = rng.uniform(0, 0.6), rng.uniform(0, 0.1 if machine else 0.35), rng.uniform(0.3, 1.5)
    noise_s, noise_hz = rng.uniform(0.02, 0.15), rng.uniform(1500, 8000)

    def strike(take, hardness):
        samples = round(min(5 * decay_s + 0.05, 1.2) * sr)
        hit = _skin(low_hz, fall * hardness, fall_s, decay_s, samples, sr)
        hit += second_level * _skin(second * low_hz, fall * hardness, fall_s, decay_s / 2, samples, sr)
        hit += stick * hardness * _burst(take, 900, 7000, 0.006, samples, sr)
        hit += noise * _burst(take, 200, noise_hz, noise_s, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _bell(rng, sr, machine):
    """A cowbell: two tones with odd overtones that belong to no chord; or a block of wood, shorter."""
    root_hz, ratio, decay_s = rng.uniform(450, 1100), rng.uniform(1.35, 1.7), rng.uniform(0.03, 0.22)
    odd = np.arange(1, 10, 2) if rng.random() < 0.7 else np.array([1])
    freqs_hz, strengths = np.outer([root_hz, ratio * root_hz], odd).ravel(), np.tile(1.0 / odd, 2)

    def strike(take, hardness):
        samples = round(6 * decay_s * sr)
        hit = partials(freqs_hz, strengths, decay_s, samples, sr)
        return hit + 0.3 * hardness * partials(freqs_hz, strengths, decay_s / 8, samples, sr)

    return strike


# ---- kits ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Voice:
    """One sound of a kit. kind: its class. strike: see above. takes: how many different recordings of a stroke there are."""

    name: str
    kind: str
    strike: Callable
    seed: tuple
    sr: int
    takes: int = 1
    level: float = 1.0
    _made: dict = field(default_factory=dict, repr=False)

    def sound(self, velocity=1.0, take=0):
        """A stroke (samples,) from its first sample on; at velocity 1 its peak is 1."""
        take %= self.takes
        for hardness in (0.25, 1.0):
            if (take, hardness) not in self._made:
                hit = self.strike(np.random.default_rng([*self.seed, take]), hardness)
                hit *= ramp((len(hit) - np.arange(len(hit))) / (0.01 * self.sr))
                self._made[take, hardness] = hit / np.abs(hit).max()
        soft, hard = self._made[take, 0.25], self._made[take, 1.0]
        return velocity**1.4 * (velocity * hard + (1 - velocity) * soft)


class Kit:
    """The drums that a seed draws: `voices` by name, each of a class in `DRUM_CLASSES`; `main[kind]` is the one mostly hit."""

    def __init__(self, seed, sr):
        rng = np.random.default_rng([seed, 7])
        machine = rng.random() < 0.4
        takes = 1 if machine else 3
        self.voices = {}

        def have(name, kind, strike, level=1.0):
            voice_seed = (seed, 8, len(self.voices))
            self.voices[name] = Voice(name, kind, strike, voice_seed, sr, takes, level)

        have("kick", "kick", _kick(rng, sr, machine))
        for name, make, share in (("snare", _snare, 0.85), ("clap", _clap, 0.25), ("rim", _rim, 0.2)):
            if rng.random() < share or (name == "rim" and "snare" not in self.kinds):
                have(name, "snare", make(rng, sr, machine))
        metal, closed_s = _metal(rng, machine), rng.uniform(0.012, 0.06)
        have("closed hi-hat", "closed_hihat", _hat(rng, sr, metal, closed_s))
        if rng.random() < 0.4:
            have("pedal hi-hat", "closed_hihat", _hat(rng, sr, metal, closed_s * rng.uniform(0.8, 1.6)), 0.6)
        have("open hi-hat", "open_hihat", _hat(rng, sr, metal, closed_s * rng.uniform(4, 7) + rng.uniform(0.05, 0.25)))
        if rng.random() < 0.2:
            have("crash", "open_hihat", _hat(rng, sr, _metal(rng, machine), rng.uniform(0.25, 0.6)))
        lowest_hz, step = rng.uniform(75, 120), rng.uniform(1.12, 1.4)  # above the kicks, but not by much
        for n, name in enumerate(("low tom", "mid tom", "high tom")):
            have(name, "toms", _tom(rng, sr, machine, lowest_hz * step**n))
        if rng.random() < 0.35:
            have("cowbell", "toms", _bell(rng, sr, machine))
        if rng.random() < 0.2:
            have("conga", "toms", _tom(rng, sr, True, rng.uniform(180, 420)))
        self.main = {kind: next(v for v in self.voices.values() if v.kind == kind) for kind in DRUM_CLASSES}

    @property
    def kinds(self):
        """The classes there are so far, a set."""
        return {voice.kind for voice in self.voices.values()}

    def of_kind(self, kind):
        """Names of the voices of a class."""
        return [name for name, voice in self.voices.items() if voice.kind == kind]


def kit_shots(seed=0, *, sr=44100):
    """The sounds of the kit that `drum_loop(seed)` plays, dry: a list of `OneShot`, one for each of its voices, peak 0.8."""
    _check(seed, sr)
    kit = Kit(seed, sr)
    return [
        OneShot(f"kit {seed} {name}", voice.kind, (0.8 * voice.sound()).astype(np.float32), sr)
        for name, voice in kit.voices.items()
    ]


def one_shots(count=100, seed=0, *, sr=44100):
    """A library to search: `count` of `OneShot`, the five classes in turn, each five from another kit; peak 0.8.

    The kits are none that `drum_loop` plays with a seed below 10,000,000.
    """
    _check(seed, sr)
    shots = []
    for n in range(count):
        kit_seed, kind = 10_000_000 + 10_000 * seed + n // len(DRUM_CLASSES), DRUM_CLASSES[n % len(DRUM_CLASSES)]
        if n % len(DRUM_CLASSES) == 0:
            kit = Kit(kit_seed, sr)
        names = kit.of_kind(kind)
        voice = kit.voices[names[kit_seed % len(names)]]
        shots.append(OneShot(f"{n:03d} {voice.name}", kind, (0.8 * voice.sound()).astype(np.float32), sr))
    return shots


# ---- grooves: bars of hits, times in sixteenths ---------------------------------------------------------------------

STYLES = ("rock", "funk", "shuffle", "four", "break", "trap", "half", "free")
_KICKS = {
    "rock": ((0, 8), (0, 8, 10), (0, 6, 8), (0, 7, 10), (0, 3, 8, 10), (0, 2, 8)),
    "funk": ((0, 3, 6, 10), (0, 2, 7, 10), (0, 7, 10, 13), (0, 3, 10), (0, 5, 6, 11, 14)),
    "shuffle": ((0, 8), (0, 6, 8), (0, 8, 14), (0, 4, 8, 12)),
    "four": ((0, 4, 8, 12), (0, 4, 8, 12, 14), (0, 4, 7, 8, 12)),
    "break": ((0, 2, 10, 11), (0, 2, 10), (0, 6, 10, 11), (0, 7, 8, 14)),
    "trap": ((0, 7, 10), (0, 3, 11), (0, 6, 9, 14), (0, 10, 13)),
    "half": ((0, 6), (0, 3, 10), (0, 2, 14), (0, 11)),
}
_SNARES = {"break": ((4, 7, 9, 12), (4, 12), (4, 9, 12, 15)), "trap": ((8,),), "half": ((8,),)}
_BACKBEAT = ((4, 12),)


def groove(style, bars, rng):
    """`bars` bars of `Hit`s of a style in `STYLES`; `time_s` in sixteenths, `tune` counts a class's voices (toms...) from 0."""
    if style == "free":
        density = rng.beta(1.2, 3, len(DRUM_CLASSES))
        pattern = {kind: np.flatnonzero(rng.random(16) < d) for kind, d in zip(DRUM_CLASSES, density, strict=True)}
        pattern["closed_hihat"] = np.arange(0, 16, int(rng.choice([1, 2, 2, 4]))) if rng.random() < 0.6 else pattern["closed_hihat"]
    else:
        kicks, snares = _KICKS[style], _SNARES.get(style, _BACKBEAT)
        step = {"trap": 1, "funk": int(rng.choice([1, 2])), "shuffle": 2, "half": 2}.get(style, int(rng.choice([2, 2, 1, 4])))
        pattern = {
            "kick": kicks[rng.integers(len(kicks))],
            "snare": snares[rng.integers(len(snares))],
            "closed_hihat": np.arange(0, 16, step),
            "open_hihat": rng.choice([2, 6, 10, 14, 15, 7], int(rng.integers(0, 3)), replace=False),
            "toms": rng.choice(16, int(rng.integers(1, 5)), replace=False) if rng.random() < 0.45 else (),
        }
        if rng.random() < 0.25:  # the foot doubles the snare
            pattern["kick"] = sorted({*pattern["kick"], *pattern["snare"]})
        if style == "four" and rng.random() < 0.6:  # the offbeat is open
            pattern["open_hihat"] = (2, 6, 10, 14)
            pattern["closed_hihat"] = [i for i in pattern["closed_hihat"] if i % 4 != 2]
    ghosts = rng.choice([0, 0, 0.1, 0.3]) if style in ("funk", "break", "rock", "free") else 0
    soft, accent = rng.uniform(0.3, 0.9), rng.uniform(0.7, 1)
    fill_every = int(rng.choice([0, 1, 2, 4], p=(0.2, 0.2, 0.3, 0.3)))
    voices = {kind: int(rng.integers(8)) for kind in DRUM_CLASSES}
    hits = []
    for bar in range(bars):
        fills = fill_every and bar % fill_every == fill_every - 1
        end = int(rng.choice([8, 12, 14])) if fills else 16
        for kind in DRUM_CLASSES:
            for i in pattern[kind]:
                if kind == "closed_hihat" and i in pattern["open_hihat"]:
                    continue
                if i < end and rng.random() < 0.95:
                    strong = accent if i % 4 == 0 else soft
                    velocity = strong if "hihat" in kind else rng.uniform(0.7, 1)
                    voice = voices[kind] if kind != "toms" else voices[kind] + int(rng.integers(2))
                    hits.append(Hit(16 * bar + i, kind, velocity, voice))
        if rng.random() < 0.3:  # a kick that was not there before
            hits.append(Hit(16 * bar + int(rng.integers(end)), "kick", rng.uniform(0.5, 1), 0))
        for i in range(end):
            if ghosts and i not in pattern["snare"] and rng.random() < ghosts:
                hits.append(Hit(16 * bar + i, "snare", rng.uniform(0.12, 0.4), voices["snare"]))
            if style == "trap" and rng.random() < 0.1:  # a roll
                hits += [Hit(16 * bar + i + part, "closed_hihat", rng.uniform(0.3, 0.8), 0) for part in (1 / 3, 2 / 3)]
        if fills:
            steps, snares = np.arange(end, 16, rng.choice([0.5, 1, 1, 2])), rng.choice([0.1, 0.5, 0.9])
            for n, i in enumerate(steps):
                kind = "snare" if rng.random() < snares else "toms"
                hits.append(Hit(16 * bar + i, kind, rng.uniform(0.5, 1), 2 - 2 * n // max(len(steps), 1) if kind == "toms" else 0))
                if rng.random() < 0.35:
                    hits.append(Hit(16 * bar + i, "kick", rng.uniform(0.6, 1), 0))
            if rng.random() < 0.6:  # the cymbal after a fill
                hits.append(Hit(16 * (bar + 1), "open_hihat", rng.uniform(0.8, 1), 1))
    return hits


# ---- the loop -------------------------------------------------------------------------------------------------------

_ABSENT = {"kick": 0.06, "snare": 0.08, "open_hihat": 0.2, "closed_hihat": 0.12, "toms": 0.12}
_LEVELS_DB = {"kick": (0, 3), "snare": (-1, 3.5), "open_hihat": (-8, 5), "closed_hihat": (-8, 5), "toms": (-3, 4)}
_SMALLEST_GAP_S = 0.018  # no drum is struck twice within


def drum_loop(seed=0, seconds=8.0, *, sr=44100):
    """A loop and its truth: mono `Song` with the five stems of `DRUM_CLASSES`, silent where a class does not play, and `onsets`.

    Peak 0.8. The stems sum to the mix exactly, in any order; onsets are those of the sounds' first samples, velocities 0..1.
    Same seed, same bits. Raises InputError unless seconds >= 0.1, sr >= 8000 and seed is a whole number >= 0.
    """
    _check(seed, sr)
    if not 0.1 <= seconds < np.inf:
        raise InputError(f"give drum_loop seconds >= 0.1, not {seconds}")
    sr, samples = int(sr), round(seconds * int(sr))
    rng, kit = np.random.default_rng([seed, 9]), Kit(seed, int(sr))
    hits = _played(rng, seconds)
    stems, onsets = _struck(hits, kit, samples, sr, rng)
    stems = _mixed(stems, rng, sr)
    fade = ramp((samples - np.arange(samples)) / (0.005 * sr))
    peak = np.abs(sum(stems.values()) * fade).max()
    scale = 0.8 / peak if peak > 0 else 0.0
    # float32 sums of multiples of 2 ** -22 are exact, whatever their order
    stems = {k: (np.round(stems[k] * fade * scale * 2**22) / 2**22).astype(np.float32)[None] for k in DRUM_CLASSES}
    return Song(sum(stems.values()), sr, f"loop-{seed}", stems, None, onsets)


def _check(seed, sr):
    if not (seed >= 0 and sr >= 8000):
        raise InputError(f"give a seed >= 0 and sr >= 8000, not {seed} and {sr}")


def _played(rng, seconds):
    """The hits of a groove as somebody plays them: swing, haste, uneven strokes; at least one. Sorted, in seconds."""
    style = STYLES[rng.integers(len(STYLES))]
    low, high = {"trap": (60, 85), "half": (60, 100), "four": (110, 140), "shuffle": (80, 150)}.get(style, (75, 175))
    sixteenth_s = 15 / rng.uniform(low, high)
    swing = 1 / 3 if style == "shuffle" else rng.choice([0, 0, 0.1, 0.2, 0.3])
    haste_s, uneven = rng.choice([0, 0.003, 0.006, 0.012]), rng.uniform(0.02, 0.2)
    drag_s = dict(zip(DRUM_CLASSES, rng.normal(0, 0.004, 5), strict=True))
    bars = int(np.ceil(seconds / (16 * sixteenth_s)))
    start_s = rng.uniform(0, 0.3) if rng.random() < 0.3 else 0.0
    hits = groove(style, bars, rng)
    absent = [kind for kind in DRUM_CLASSES if rng.random() < _ABSENT[kind]]
    kept = [hit for hit in hits if hit.kind not in absent] or hits
    last, played = {}, []
    unit = 2 if style == "shuffle" or rng.random() < 0.3 else 1  # eighths or sixteenths are swung
    for hit in sorted(kept):
        late = swing * unit if int(hit.time_s // unit) % 2 else 0
        time_s = (hit.time_s + late) * sixteenth_s + rng.normal(0, haste_s) + drag_s[hit.kind] + start_s
        time_s = max(time_s, 0.0)
        velocity = float(np.clip(hit.velocity * np.exp(rng.normal(0, uneven)), 0.08, 1))
        if time_s >= seconds or abs(time_s - last.get(hit.kind, -1)) < _SMALLEST_GAP_S:
            continue
        last[hit.kind] = time_s
        played.append(hit._replace(time_s=time_s, velocity=velocity))
        if hit.kind == "snare" and hit.velocity > 0.6 and rng.random() < 0.03:  # a flam
            played.append(hit._replace(time_s=max(time_s - rng.uniform(0.02, 0.04), 0), velocity=0.4 * velocity))
    return sorted(played) or [kept[0]._replace(time_s=0.0)]


def _struck(hits, kit, samples, sr, rng):
    """Dry stems {class: (samples,)} and their `DrumOnsets`. Each stroke on a hi-hat ends an open one."""
    stems, onsets = {kind: np.zeros(samples) for kind in DRUM_CLASSES}, []
    hats_s = np.array([hit.time_s for hit in hits if "hihat" in hit.kind])
    chokes = rng.random() < 0.9
    for hit in hits:
        start = round(hit.time_s * sr)
        if start >= samples:
            continue
        names = kit.of_kind(hit.kind)
        name = names[int(hit.tune) % len(names)]
        sound = kit.voices[name].level * kit.voices[name].sound(hit.velocity, int(rng.integers(100)))
        if name == "open hi-hat" and chokes:
            closes_s = np.min(hats_s, initial=np.inf, where=hats_s > hit.time_s + 1e-3) - hit.time_s
            sound = sound * ramp((closes_s + 0.005 - np.arange(len(sound)) / sr) / 0.015)
        add(stems[hit.kind], sound, start / sr, sr)
        onsets.append((start / sr, hit.kind, hit.velocity))
    times_s, classes, velocity = zip(*sorted(onsets), strict=True) if onsets else ((), (), ())
    return stems, DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))


def _mixed(stems, rng, sr):
    """Levels, equalisers, a room, compression and saturation; the sum of what comes back is the mix."""
    samples = len(stems["kick"])
    wet = rng.uniform(0, 0.3) * rng.choice([0, 1, 1, 2])
    t = np.arange(round(rng.uniform(0.1, 0.9) * sr)) / sr
    echo = noise_band(rng, len(t), rng.uniform(100, 400), rng.uniform(2500, 9000), sr) * np.exp(-6.9 * t / t[-1])
    echo *= wet / np.linalg.norm(echo)
    echo[: round(rng.uniform(0, 0.02) * sr)] = 0
    echo[0] = 1
    lofi_hz = rng.uniform(3000, 9000) if rng.random() < 0.15 else None
    for kind in DRUM_CLASSES:
        if not stems[kind].any():
            continue
        mean_db, spread_db = _LEVELS_DB[kind]
        sound = stems[kind] * 10 ** (np.clip(rng.normal(mean_db, spread_db), mean_db - 9, mean_db + 9) / 20)
        centre_hz, gain_db = np.exp(rng.uniform(np.log(80), np.log(min(8000, 0.4 * sr)))), rng.normal(0, 4)
        sound = _peaking(sound, centre_hz, gain_db, sr)
        if wet:
            sound = signal.oaconvolve(sound, echo)[:samples]
        if lofi_hz and lofi_hz < 0.45 * sr:
            sound = signal.sosfilt(signal.butter(3, lofi_hz, fs=sr, output="sos"), sound)
        stems[kind] = sound
    mix = sum(stems.values())
    level = np.abs(mix).max() or 1.0
    gain = np.full(samples, 1 / level)
    if rng.random() < 0.6:
        threshold_db, ratio, attack_s, release_s = (rng.uniform(*r) for r in ((-24, -6), (1.5, 6), (0.003, 0.03), (0.05, 0.3)))
        gain *= _compression(mix / level, threshold_db, ratio, attack_s, release_s, sr)
    if rng.random() < 0.4:
        driven = rng.uniform(0.5, 4) * mix * gain
        gain *= np.where(np.abs(driven) > 1e-6, np.tanh(driven) / np.where(driven == 0, 1, driven), 1)
    return {kind: stem * gain for kind, stem in stems.items()}


def _peaking(sound, centre_hz, gain_db, sr):
    """A bell in the spectrum, `gain_db` high at `centre_hz` and about an octave and a half wide."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * centre_hz / sr
    alpha = np.sin(w) / 1.4
    return signal.lfilter([1 + alpha * a, -2 * np.cos(w), 1 - alpha * a], [1 + alpha / a, -2 * np.cos(w), 1 - alpha / a], sound)


def _compression(mix, threshold_db, ratio, attack_s, release_s, sr):
    """A compressor's gain over time, (samples,): what rises above the threshold is turned down, and let up again."""
    step = 64
    blocks = -(-len(mix) // step)
    peaks = np.abs(np.pad(mix, (0, blocks * step - len(mix)))).reshape(blocks, step).max(axis=1)
    wanted_db = -np.maximum(20 * np.log10(np.maximum(peaks, 1e-6)) - threshold_db, 0) * (1 - 1 / ratio)
    down, up = (1 - np.exp(-step / (sr * s)) for s in (attack_s, release_s))
    gain_db, state = np.empty(blocks), 0.0
    for n, wanted in enumerate(wanted_db):
        state += (down if wanted < state else up) * (wanted - state)
        gain_db[n] = state
    return 10 ** (np.interp(np.arange(len(mix)), step * np.arange(blocks), gain_db) / 20)

"""Drum kits from nothing but a seed: skins, wires, metal, and one-shots of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from melodylab.errors import InputError
from melodylab.records import OneShot
from melodylab.synth.instruments import DRUM_CLASSES, partials
from melodylab.synth.sounds import add, noise_band, ramp

# ---- sounds: each function draws a drum and returns strike(rng, hardness 0..1) -> (samples,) -----


def _skin(low_hz, fall, fall_s, decay_s, samples, sr):
    """A sine whose pitch falls from (1 + fall) low_hz to low_hz, the way a struck skin slackens."""
    t = np.arange(samples) / sr
    return np.sin(2 * np.pi * low_hz * (t + fall * fall_s * (1 - np.exp(-t / fall_s)))) * np.exp(
        -t / decay_s
    )


def _burst(rng, low_hz, high_hz, decay_s, samples, sr):
    return noise_band(rng, samples, low_hz, high_hz, sr) * np.exp(
        -np.arange(samples) / (sr * decay_s)
    )


def _kick(rng, sr, machine):
    low_hz, decay_s = rng.uniform(38, 78), np.exp(rng.uniform(np.log(0.015), np.log(0.2)))
    if machine and rng.random() < 0.5:
        decay_s = rng.uniform(0.2, 0.5)
    fall, fall_s = (
        rng.uniform(0.6, 6) if machine else rng.uniform(0.1, 1.5),
        rng.uniform(0.005, 0.05),
    )
    click, click_hz, click_s = (
        rng.uniform(0, 0.7),
        rng.uniform(1000, 6000),
        rng.uniform(0.002, 0.02),
    )
    shell, drive, beater = (
        0 if machine else rng.uniform(0.05, 0.5),
        rng.uniform(0.3, 3),
        rng.uniform(0, 0.4),
    )

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
    wires, wires_s, tail_s = (
        np.exp(rng.uniform(np.log(0.05), np.log(1.2))),
        rng.uniform(0.03, 0.12),
        rng.uniform(0.08, 0.25),
    )
    low_cut_hz, high_cut_hz, tail = (
        rng.uniform(300, 3000),
        rng.uniform(5000, 15000),
        rng.uniform(0, 0.3),
    )
    drive, stick = rng.uniform(0.3, 2.5), rng.uniform(0, 0.5)

    def strike(take, hardness):
        samples = round(min(0.7, 6 * max(body_s, tail_s, wires_s)) * sr)
        hit = strengths[0] * _skin(low_hz, fall * hardness, fall_s, body_s, samples, sr)
        bends = 1 if machine else take.uniform(0.98, 1.02)
        hit += partials(
            low_hz * ratios[1:] * bends, strengths[1:], body_s / ratios[1:], samples, sr
        )
        hit += wires * _burst(
            take, low_cut_hz, high_cut_hz * (0.6 + 0.4 * hardness), wires_s, samples, sr
        )
        hit += tail * wires * _burst(take, low_cut_hz, high_cut_hz / 1.5, tail_s, samples, sr)
        hit += stick * hardness * _burst(take, 2000, 9000, 0.004, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _clap(rng, sr, machine):
    low_hz, high_hz, gap_s = (
        rng.uniform(500, 1200),
        rng.uniform(1800, 6000),
        rng.uniform(0.006, 0.014),
    )
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
        return partials(freqs_hz, [1, 0.8, 0.5], decay_s, samples, sr) + stick * _burst(
            take, 1500, 9000, 0.004, samples, sr
        )

    return strike


def _metal(rng, machine):
    """What the sounds of one hi-hat share: partials, their levels, and how much is noise."""
    if machine and rng.random() < 0.6:  # six square waves, as in the machines of around 1980
        roots = (
            rng.uniform(0.7, 1.5)
            * np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0])
            * rng.uniform(0.9, 1.1, 6)
        )
        odd = np.arange(5, 41, 4)
        freqs_hz, strengths = np.outer(roots, odd).ravel(), np.tile(1 / odd, 6)
    else:
        count = int(rng.integers(8, 40))
        freqs_hz, strengths = (
            np.exp(rng.uniform(np.log(2000), np.log(16000), count)),
            rng.uniform(0.2, 1, count) / count,
        )
    tilt = rng.uniform(-0.5, 1.5)
    strengths = strengths * np.minimum(freqs_hz / 8000, 3) ** tilt
    strengths = strengths / np.sqrt(np.sum(strengths**2))
    if rng.random() < 0.6:  # a plate rings low, too
        body = rng.uniform(0.1, 1.2) * rng.uniform(0.2, 1, int(rng.integers(3, 10)))
        freqs_hz = np.concatenate(
            [freqs_hz, np.exp(rng.uniform(np.log(250), np.log(2500), len(body)))]
        )
        strengths = np.concatenate([strengths, body / np.sqrt(len(body))])
    return freqs_hz, strengths, rng.uniform(0.05, 0.95)


def _hat(rng, sr, metal, decay_s):
    freqs_hz, strengths, noisy = metal
    low_hz, high_hz = np.exp(rng.uniform(np.log(800), np.log(8000))), rng.uniform(9000, 18000)
    tap, thump = rng.uniform(0, 0.6), rng.choice([0, 0.1, 0.3]) * rng.random()
    # a plate needs time to ring
    bloom_s = rng.uniform(0.01, 0.06) if decay_s > 0.1 and rng.random() < 0.5 else 0.0

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
    fall, fall_s, decay_s = (
        rng.uniform(0.05, 1.0),
        rng.uniform(0.015, 0.08),
        np.exp(rng.uniform(np.log(0.06), np.log(0.4))),
    )
    second, second_level = rng.uniform(1.45, 1.7), rng.uniform(0, 0.5)
    stick, noise, drive = (
        rng.uniform(0, 0.6),
        rng.uniform(0, 0.1 if machine else 0.35),
        rng.uniform(0.3, 1.5),
    )
    noise_s, noise_hz = rng.uniform(0.02, 0.15), rng.uniform(1500, 8000)

    def strike(take, hardness):
        samples = round(min(5 * decay_s + 0.05, 1.2) * sr)
        hit = _skin(low_hz, fall * hardness, fall_s, decay_s, samples, sr)
        hit += second_level * _skin(
            second * low_hz, fall * hardness, fall_s, decay_s / 2, samples, sr
        )
        hit += stick * hardness * _burst(take, 900, 7000, 0.006, samples, sr)
        hit += noise * _burst(take, 200, noise_hz, noise_s, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _bell(rng, sr, machine):
    """A cowbell: two tones with odd overtones that belong to no chord; or a block of wood,
    shorter.
    """
    root_hz, ratio, decay_s = (
        rng.uniform(450, 1100),
        rng.uniform(1.35, 1.7),
        rng.uniform(0.03, 0.22),
    )
    odd = np.arange(1, 10, 2) if rng.random() < 0.7 else np.array([1])
    freqs_hz, strengths = np.outer([root_hz, ratio * root_hz], odd).ravel(), np.tile(1.0 / odd, 2)

    def strike(take, hardness):
        samples = round(6 * decay_s * sr)
        hit = partials(freqs_hz, strengths, decay_s, samples, sr)
        return hit + 0.3 * hardness * partials(freqs_hz, strengths, decay_s / 8, samples, sr)

    return strike


# ---- kits ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Voice:
    """One sound of a kit.

    Attributes
    ----------
    name : str
        What the kit calls it.
    kind : str
        Its class, of `DRUM_CLASSES`.
    strike : callable
        (generator, hardness 0..1) -> (samples,) a stroke.
    seed : tuple of int
        What its takes are drawn from.
    sr : int
        Rate of the strokes, in Hz.
    takes : int
        How many different recordings of a stroke there are.
    level : float
        How loud in the kit, a factor.
    """

    name: str
    kind: str
    strike: Callable[[np.random.Generator, float], np.ndarray]
    seed: tuple[int, ...]
    sr: int
    takes: int = 1
    level: float = 1.0
    _made: dict = field(default_factory=dict, repr=False)

    def sound(self, velocity: float = 1.0, take: int = 0) -> np.ndarray:
        """A stroke from its first sample on.

        Parameters
        ----------
        velocity : float
            In 0..1: at 1 its peak is 1, at 0 it is silent.
        take : int
            Which recording; counted round where there are fewer.

        Returns
        -------
        numpy.ndarray
            (samples,).
        """
        take %= self.takes
        for hardness in (0.25, 1.0):
            if (take, hardness) not in self._made:
                hit = self.strike(np.random.default_rng([*self.seed, take]), hardness)
                hit *= ramp((len(hit) - np.arange(len(hit))) / (0.01 * self.sr))
                self._made[take, hardness] = hit / np.abs(hit).max()
        soft, hard = self._made[take, 0.25], self._made[take, 1.0]
        return velocity**1.4 * (velocity * hard + (1 - velocity) * soft)


class Kit:
    """The drums that a seed draws.

    Parameters
    ----------
    seed : int
        At least 0; one seed gives one kit.
    sr : int
        Rate of its sounds, in Hz.

    Attributes
    ----------
    voices : dict of str to Voice
        By name, each of a class in `DRUM_CLASSES`.
    main : dict of str to Voice
        The one of each class that is mostly hit.
    """

    def __init__(self, seed: int, sr: int):
        rng = np.random.default_rng([seed, 7])
        machine = rng.random() < 0.4
        takes = 1 if machine else 3
        self.voices: dict[str, Voice] = {}

        def have(name, kind, strike, level=1.0):
            voice_seed = (seed, 8, len(self.voices))
            self.voices[name] = Voice(name, kind, strike, voice_seed, sr, takes, level)

        have("kick", "kick", _kick(rng, sr, machine))
        for name, make, share in (
            ("snare", _snare, 0.85),
            ("clap", _clap, 0.25),
            ("rim", _rim, 0.2),
        ):
            if rng.random() < share or (name == "rim" and "snare" not in self.kinds):
                have(name, "snare", make(rng, sr, machine))
        metal, closed_s = _metal(rng, machine), rng.uniform(0.012, 0.06)
        have("closed hi-hat", "closed_hihat", _hat(rng, sr, metal, closed_s))
        if rng.random() < 0.4:
            have(
                "pedal hi-hat",
                "closed_hihat",
                _hat(rng, sr, metal, closed_s * rng.uniform(0.8, 1.6)),
                0.6,
            )
        have(
            "open hi-hat",
            "open_hihat",
            _hat(rng, sr, metal, closed_s * rng.uniform(4, 7) + rng.uniform(0.05, 0.25)),
        )
        if rng.random() < 0.2:
            have("crash", "open_hihat", _hat(rng, sr, _metal(rng, machine), rng.uniform(0.25, 0.6)))
        lowest_hz, step = (
            rng.uniform(75, 120),
            rng.uniform(1.12, 1.4),
        )  # above the kicks, but not by much
        for n, name in enumerate(("low tom", "mid tom", "high tom")):
            have(name, "toms", _tom(rng, sr, machine, lowest_hz * step**n))
        if rng.random() < 0.35:
            have("cowbell", "toms", _bell(rng, sr, machine))
        if rng.random() < 0.2:
            have("conga", "toms", _tom(rng, sr, True, rng.uniform(180, 420)))
        self.main = {
            kind: next(v for v in self.voices.values() if v.kind == kind) for kind in DRUM_CLASSES
        }

    @property
    def kinds(self) -> set[str]:
        """The classes there are so far, a set."""
        return {voice.kind for voice in self.voices.values()}

    def of_kind(self, kind: str) -> list[str]:
        """Names of the voices of a class.

        Parameters
        ----------
        kind : str
            One of `DRUM_CLASSES`.

        Returns
        -------
        list of str
            In the order of `voices`; empty for any other class.
        """
        return [name for name, voice in self.voices.items() if voice.kind == kind]


def kit_shots(seed: int = 0, *, sr: int = 44100) -> list[OneShot]:
    """The sounds of the kit that `drum_loop(seed)` plays, dry.

    Parameters
    ----------
    seed : int
        At least 0.
    sr : int
        Rate in Hz, at least 8000.

    Returns
    -------
    list of OneShot
        One for each of its voices, peak 0.8.

    Raises
    ------
    InputError
        For a negative seed or a lower rate.
    """
    _check(seed, sr)
    kit = Kit(seed, sr)
    return [
        OneShot(f"kit {seed} {name}", voice.kind, (0.8 * voice.sound()).astype(np.float32), sr)
        for name, voice in kit.voices.items()
    ]


def one_shots(count: int = 100, seed: int = 0, *, sr: int = 44100) -> list[OneShot]:
    """A library to search: the five classes in turn, each five from another kit.

    The kits are none that `drum_loop` plays with a seed below 10,000,000.

    Parameters
    ----------
    count : int
        How many; none for 0.
    seed : int
        At least 0.
    sr : int
        Rate in Hz, at least 8000.

    Returns
    -------
    list of OneShot
        Peak 0.8.

    Raises
    ------
    InputError
        For a negative seed or a lower rate.
    """
    _check(seed, sr)
    shots = []
    for n in range(count):
        kit_seed, kind = (
            10_000_000 + 10_000 * seed + n // len(DRUM_CLASSES),
            DRUM_CLASSES[n % len(DRUM_CLASSES)],
        )
        if n % len(DRUM_CLASSES) == 0:
            kit = Kit(kit_seed, sr)
        names = kit.of_kind(kind)
        voice = kit.voices[names[kit_seed % len(names)]]
        shots.append(
            OneShot(f"{n:03d} {voice.name}", kind, (0.8 * voice.sound()).astype(np.float32), sr)
        )
    return shots


def _check(seed, sr):
    if not (seed >= 0 and sr >= 8000):
        raise InputError(f"give a seed >= 0 and sr >= 8000, not {seed} and {sr}")

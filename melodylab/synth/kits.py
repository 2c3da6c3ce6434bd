"""Drum kits from nothing but a seed: skins, wires, metal, and one-shots of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from melodylab.errors import InputError
from melodylab.records import OneShot
from melodylab.synth.instruments import DRUM_CLASSES
from melodylab.synth.sounds import ramp
from melodylab.synth.strokes import (
    _bell,
    _clap,
    _hat,
    _kick,
    _metal,
    _rim,
    _snare,
    _tom,
)

# ---- sounds: each function draws a drum and returns strike(rng, hardness 0..1) -> (samples,) -----


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

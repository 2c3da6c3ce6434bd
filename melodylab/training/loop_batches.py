"""Batches for drums without end: synthetic loops as mel spectrograms; (seed, step) determines each.

A loop is made and analysed once (8 s: a seventh of a second on one core) and kept (`store`). Every
excerpt is cut out anew, played faster or slower, through another equaliser, louder or softer, over
more or less noise.
"""

import functools
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from melodylab import synth
from melodylab.errors import InputError
from melodylab.models.drum_cnn import CLASSES
from melodylab.models.inputs import DRUM_BANDS, FRONT_ENDS, drum_mel
from melodylab.records import Song
from melodylab.training import mixing
from melodylab.training.batches import Batches

_SR = 22050  # what the front end works at, so that nothing has to be resampled
_RANGE_DB = 80  # between 0 and 1
_PER_OCTAVE = _RANGE_DB / (10 * np.log10(2))  # doublings of the power between 0 and 1
_NEAR_FRAMES = 2.0  # a target falls from 1 at the onset to 0 so far away from it
_OVERLAID = 0.4  # share of the excerpts with a second loop


@dataclass(frozen=True)
class Loops:
    """Which drum loops a training learns from: table [data] of a recipe.

    Parameters
    ----------
    seed : int
        0 or more. Banks with different seeds share no kit and no groove.
    loops : int
        How many, 1 or more.
    seconds : float
        How long each is, 1 or more.
    """

    seed: int = 0
    loops: int = 800
    seconds: float = 8.0

    def __post_init__(self):
        if not (self.seed >= 0 and self.loops >= 1 and 1 <= self.seconds < np.inf):
            raise InputError(
                "loops need seed >= 0, loops >= 1 and seconds >= 1, not "
                f"{self.seed}, {self.loops} and {self.seconds}"
            )

    @property
    def songs(self) -> int:
        """How many there are, by the name that every bank has."""
        return self.loops

    def loop(self, number: int, *, sr: int = _SR) -> Song:
        """One loop with its truth.

        Parameters
        ----------
        number : int
            0..loops-1.
        sr : int
            Samples a second.

        Returns
        -------
        Song
            With its stems and its onsets.
        """
        return synth.drum_loop(20_000_000 + 1_000_000 * self.seed + number, self.seconds, sr=sr)


def features_of(bank: Loops, number: int, bands: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """One loop of a bank through the front end.

    Parameters
    ----------
    bank : Loops
        Where the loop is from.
    number : int
        0..loops-1.
    bands : int
        Mel bands, a divisor of 512.

    Returns
    -------
    features : ndarray, float16 (1, bands, time)
    hits : ndarray, float32 (hits, 2)
        Frame, with fractions, and class of each hit.
    """
    song, end = bank.loop(number), FRONT_ENDS["drum-mel"]
    values = drum_mel(song, bands=bands).values.astype(np.float16)
    frames = song.onsets.times_s * end.sr / end.hop_samples
    hits = np.stack([frames, [CLASSES.index(name) for name in song.onsets.classes]], axis=1)
    return values, hits.astype(np.float32)


def _computed(bank, bands, key):
    return features_of(bank, *key, bands)


def profile(hits: np.ndarray, frames: int, n_classes: int = len(CLASSES)) -> np.ndarray:
    """The onset profile that a network is to draw: 1 at a hit, 1/2 a frame off it, 0 from two on.

    Parameters
    ----------
    hits : ndarray (hits, 2)
        Frame, with fractions, and class; those outside count where their slopes reach in.
    frames, n_classes : int
        Size of the picture.

    Returns
    -------
    ndarray, float32 (n_classes, frames)
    """
    target = np.zeros((n_classes, frames), dtype=np.float32)
    for at, kind in hits:
        first, stop = max(int(np.floor(at - 1)), 0), min(int(np.floor(at)) + 3, frames)
        if first < stop:
            near = 1 - np.abs(np.arange(first, stop) - at) / _NEAR_FRAMES
            row = target[int(kind), first:stop]
            np.maximum(row, near, out=row)
    return target


class LoopBatches(Batches):
    """Batches (features, profile) from a bank, in whatever order the steps are asked for.

    `batch` gives float32 (batch, 1, bands, frames) and (batch, classes, frames) in 0..1.

    Parameters
    ----------
    bank : Loops
        The loops to cut from.
    batch_size : int
        Excerpts a batch.
    frames : int
        Length of an excerpt; shorter loops are filled up with silence.
    stretch : float
        Excerpts are up to so much faster or slower (0.2: by a fifth).
    equaliser_db : float
        Standard deviation of a random gain, from octave to octave or so.
    noise : float
        Share of the excerpts with noise at 20 to 70 dB below the loudest cell, 0..1.
    bands : int
        As in `models.drum_cnn`.
    seed : int
        Another seed cuts other excerpts.
    cache : path or None
        Folder for the features; it may be shared and can be deleted.
    memory_gb : float
        How much of the features stays in memory, in gigabytes.

    Raises
    ------
    InputError
        For a number of bands that the front end's cannot be joined to.
    """

    def __init__(
        self,
        bank: Loops,
        *,
        batch_size: int = 16,
        frames: int = 172,
        stretch: float = 0.2,
        equaliser_db: float = 3.0,
        noise: float = 0.4,
        bands: int = 128,
        seed: int = 0,
        cache: str | Path | None = None,
        memory_gb: float = 4.0,
    ):
        if bands < 1 or DRUM_BANDS % bands:
            raise InputError(f"{DRUM_BANDS} bands cannot be joined to {bands}; give a divisor")
        self.bank, self.frames, self.bands = bank, frames, bands
        self.stretch, self.equaliser_db, self.noise = stretch, equaliser_db, noise
        settings = {**asdict(bank), "bands": bands}
        del settings["loops"]
        super().__init__(
            FRONT_ENDS["drum-mel"],
            functools.partial(_computed, bank, bands),
            settings,
            batch_size=batch_size,
            seed=seed,
            cache=cache,
            memory_gb=memory_gb,
        )

    def loop(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A whole loop of the bank.

        Parameters
        ----------
        number : int
            0..loops-1.

        Returns
        -------
        features : ndarray, float16 (1, bands, time)
        hits : ndarray, float32 (hits, 2)
            Frame, with fractions, and class of each hit.
        """
        return self.store[(number,)]

    # --- how an excerpt is cut

    def _keys(self):
        return [(number,) for number in range(self.bank.loops)]

    def _cut(self, rng, step):
        x, hits = self._excerpt(rng)
        if rng.random() < _OVERLAID:
            x, hits = _overlaid(rng, (x, hits), self._excerpt(rng))
        target = profile(hits, self.frames)
        sounds = x > 0
        knots_db = rng.normal(0, self.equaliser_db, 8)
        gains_db = np.interp(np.linspace(0, 7, self.bands), np.arange(8), knots_db)
        x += gains_db.astype(np.float32)[:, None] / _RANGE_DB
        x -= np.float32(abs(rng.normal(0, 4)) / _RANGE_DB)  # the song's loudest cell lies elsewhere
        x *= sounds
        if rng.random() < self.noise:
            x = self._noisy(rng, x)
        return np.clip(x, 0, 1).astype(np.float32)[None], target

    def _excerpt(self, rng):
        """Some frames of some loop at another pace, (bands, frames), and its hits, (hits, 2)."""
        features, hits = self.loop(int(rng.integers(self.bank.loops)))
        pace = np.exp(rng.uniform(-1, 1) * np.log1p(self.stretch))
        length = min(round(self.frames * pace), features.shape[2])
        first = int(rng.integers(features.shape[2] - length + 1))
        x = features[0, :, first : first + length].astype(np.float32)
        frames = round(length / pace)
        x = mixing.stretched(x, frames) if x.shape[1] not in (1, frames) else x
        x = np.pad(x, ((0, 0), (0, max(self.frames - x.shape[1], 0))))[:, : self.frames]
        return x, np.stack([(hits[:, 0] - first) / pace, hits[:, 1]], axis=1)

    def _noisy(self, rng, x):
        """With the powers of steady noise of some colour added."""
        level, tilt = rng.uniform(-70, -20), rng.uniform(-20, 20)
        noise_db = (level + np.linspace(tilt, -tilt, self.bands)).astype(np.float32)[:, None]
        noise_db = noise_db + rng.normal(0, 4, x.shape).astype(np.float32)
        noise = noise_db / _RANGE_DB + 1
        return np.logaddexp2(x * _PER_OCTAVE, noise * _PER_OCTAVE) / _PER_OCTAVE


def _overlaid(rng, one, other):
    """Two excerpts at once, moved so that a hit of one falls on a hit of the other.

    A kick on a snare, a tom on a kick.
    """
    (x, hits), (y, others) = one, other
    frames = x.shape[1]
    inside, theirs = (h[(h[:, 0] >= 0) & (h[:, 0] < frames)] for h in (hits, others))
    if not len(inside) or not len(theirs):
        return one
    away = round(inside[rng.integers(len(inside)), 0] - theirs[rng.integers(len(theirs)), 0])
    y = np.roll(y, away, axis=1)
    y[:, slice(0, away) if away > 0 else slice(frames + away, None)] = 0
    louder = rng.uniform(-12, 6) / _RANGE_DB
    y = np.maximum(y + np.float32(louder), 0) * (y > 0)
    both = np.logaddexp2(x * _PER_OCTAVE, y * _PER_OCTAVE) / _PER_OCTAVE
    moved = others + [away, 0]
    sounding = (moved[:, 0] >= max(away, 0)) & (moved[:, 0] < frames + min(away, 0))
    mixed = np.where((x > 0) & (y > 0), both, np.maximum(x, y))
    return mixed, np.concatenate([hits, moved[sounding]])

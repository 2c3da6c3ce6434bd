"""Training examples for drums without end: synthetic loops as mel spectrograms, in batches that (seed, step) determines.

A loop is made and analysed once (8 s: a seventh of a second on one core) and kept, in memory up to a limit and in a folder if
one is given. Every example is a stretch cut out anew, played faster or slower, through another equaliser, louder or softer, over
more or less noise.
"""

import hashlib
import json
import zipfile
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import joblib
import numpy as np
import torch
from tqdm.auto import tqdm

from melodylab import files, synth
from melodylab.errors import InputError
from melodylab.models.drum_cnn import CLASSES
from melodylab.models.inputs import DRUM_BANDS, FRONT_ENDS, drum_mel

_SR = 22050  # what the front end works at, so that nothing has to be resampled


_RANGE_DB = 80  # between 0 and 1


_NEAR_FRAMES = 2.0  # a target falls from 1 at the onset to 0 so far away from it


_VERSION = 3  # of the loops and of their picture: another one is made anew


@dataclass(frozen=True)
class Loops:
    """Which loops: `loops` of them from `seed` on, `seconds` long."""

    seed: int = 0
    loops: int = 800
    seconds: float = 8.0

    def __post_init__(self):
        if not (self.seed >= 0 and self.loops >= 1 and 1 <= self.seconds < np.inf):
            raise InputError(
                f"loops need seed >= 0, loops >= 1 and seconds >= 1, not {self.seed}, {self.loops} and {self.seconds}"
            )

    @property
    def songs(self):
        """How many there are, by the name that every bank has."""
        return self.loops

    def loop(self, number, *, sr=_SR):
        """The `Song` with its truth; number 0..loops-1. Banks with different seeds share no kit and no groove."""
        return synth.drum_loop(20_000_000 + 1_000_000 * self.seed + number, self.seconds, sr=sr)


def heard(bank, number, bands=128):
    """One loop through the front end: (features float16 (1, bands, time), hits float32 (hits, 2): frame and class)."""
    song, end = bank.loop(number), FRONT_ENDS["drum-mel"]
    values = drum_mel(song, bands=bands).values.astype(np.float16)
    frames = song.onsets.times_s * end.sr / end.hop_samples
    hits = np.stack([frames, [CLASSES.index(name) for name in song.onsets.classes]], axis=1)
    return values, hits.astype(np.float32)


def profile(hits, frames, n_classes=len(CLASSES)):
    """The onset profile that a network is to draw: float32 (n_classes, frames), 1 at a hit, 1/2 a frame off it, 0 from two on.

    hits: (hits, 2), frame with fractions and class.
    """
    target = np.zeros((n_classes, frames), dtype=np.float32)
    for at, kind in hits:
        first, stop = max(int(np.floor(at - 1)), 0), min(int(np.floor(at)) + 3, frames)
        if first < stop:
            near = 1 - np.abs(np.arange(first, stop) - at) / _NEAR_FRAMES
            row = target[int(kind), first:stop]
            np.maximum(row, near, out=row)
    return target


class DrumExamples:
    """Batches (features, profile) from a bank, the same for the same (seed, step), in whatever order they are asked for.

    frames: length of an example; shorter loops are filled up with silence. stretch: examples are up to so much faster or slower.
    equaliser_db: standard deviation of a random gain, from octave to octave or so. noise: share of examples with noise at
    20 to 70 dB below the loudest cell. bands: as in `models.drum_cnn`. cache: folder for the features, or None; it may be
    shared and can be deleted. memory_gb: how much of them stays in memory, the least recently used goes first.
    """

    def __init__(
        self,
        bank,
        *,
        batch_size=16,
        frames=172,
        stretch=0.2,
        equaliser_db=3.0,
        noise=0.4,
        bands=128,
        seed=0,
        cache=None,
        memory_gb=4.0,
    ):
        if bands < 1 or DRUM_BANDS % bands:
            raise InputError(f"{DRUM_BANDS} bands cannot be joined to {bands}; give a divisor")
        self.bank, self.batch_size, self.frames, self.bands = bank, batch_size, frames, bands
        self.stretch, self.equaliser_db, self.noise, self.seed = stretch, equaliser_db, noise, seed
        self.folder = None if cache is None else Path(cache) / self._key()
        self.memory_bytes, self._memory = memory_gb * 1e9, OrderedDict()

    def batch(self, step):
        """x float32 (batch, 1, bands, frames) and the profile float32 (batch, classes, frames)."""
        rng = np.random.default_rng([self.seed, step])
        pairs = [self._cut(rng) for _ in range(self.batch_size)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))

    def prepare(self, *, progress=False, n_jobs=None):
        """Compute what the cache lacks, through joblib."""
        missing = [n for n in range(self.bank.loops) if not self._is_known(n)]
        found = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
            joblib.delayed(heard)(self.bank, n, self.bands) for n in missing
        )
        for number, pair in zip(
            missing,
            tqdm(found, total=len(missing), unit="loop", desc="features", disable=not progress),
        ):
            self._write(number, pair)
            self._remember(number, pair)

    def loop(self, number):
        """Features (1, bands, time) and hits (hits, 2) of a whole loop of the bank."""
        if number in self._memory:
            self._memory.move_to_end(number)
            return self._memory[number]
        pair = self._read(number)
        if pair is None:
            pair = heard(self.bank, number, self.bands)
            self._write(number, pair)
        self._remember(number, pair)
        return pair

    # --- how an example is cut

    def _cut(self, rng):
        x, hits = self._excerpt(rng)
        if rng.random() < _OVERLAID:
            x, hits = _overlaid(rng, (x, hits), self._excerpt(rng))
        target = profile(hits, self.frames)
        sounds = x > 0
        knots_db = rng.normal(0, self.equaliser_db, 8)
        x += (
            np.interp(np.linspace(0, 7, self.bands), np.arange(8), knots_db).astype(np.float32)[
                :, None
            ]
            / _RANGE_DB
        )
        x -= np.float32(
            abs(rng.normal(0, 4)) / _RANGE_DB
        )  # the loudest cell of the song may lie elsewhere
        x *= sounds
        if rng.random() < self.noise:
            x = self._noisy(rng, x)
        return np.clip(x, 0, 1).astype(np.float32)[None], target

    def _excerpt(self, rng):
        """Some frames of some loop at another pace, (bands, frames), and its hits on them, (hits, 2)."""
        features, hits = self.loop(int(rng.integers(self.bank.loops)))
        pace = np.exp(rng.uniform(-1, 1) * np.log1p(self.stretch))
        length = min(round(self.frames * pace), features.shape[2])
        first = int(rng.integers(features.shape[2] - length + 1))
        x = _resampled(
            features[0, :, first : first + length].astype(np.float32), round(length / pace)
        )
        x = np.pad(x, ((0, 0), (0, max(self.frames - x.shape[1], 0))))[:, : self.frames]
        return x, np.stack([(hits[:, 0] - first) / pace, hits[:, 1]], axis=1)

    def _noisy(self, rng, x):
        """With the powers of steady noise of some colour added."""
        level, tilt = rng.uniform(-70, -20), rng.uniform(-20, 20)
        noise_db = (level + np.linspace(tilt, -tilt, self.bands)).astype(np.float32)[:, None]
        noise_db = noise_db + rng.normal(0, 4, x.shape).astype(np.float32)
        return (
            np.logaddexp2(x * _PER_OCTAVE, (noise_db / _RANGE_DB + 1) * _PER_OCTAVE) / _PER_OCTAVE
        )

    # --- where features are kept

    def _key(self):
        """Folder of these features: everything that they depend on, hashed. The number of loops is not part of it."""
        bank = asdict(self.bank)
        del bank["loops"]
        text = json.dumps([bank, self.bands, _VERSION], sort_keys=True)
        return f"drum-mel-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def _path(self, number):
        return self.folder / f"{number:06d}.npz"

    def _is_known(self, number):
        return number in self._memory or (self.folder is not None and self._path(number).is_file())

    def _read(self, number):
        if self.folder is None or not self._path(number).is_file():
            return None
        try:
            with np.load(self._path(number)) as stored:
                return stored["features"], stored["hits"]
        except (
            OSError,
            ValueError,
            KeyError,
            zipfile.BadZipFile,
        ):  # half a file of an older crash; it is made again
            return None

    def _write(self, number, pair):
        if self.folder is not None:
            with (
                files.complete_or_absent(self._path(number)) as temporary,
                open(temporary, "wb") as file,
            ):
                np.savez(file, features=pair[0], hits=pair[1])

    def _remember(self, number, pair):
        self._memory[number] = pair
        while (
            sum(features.nbytes for features, _ in self._memory.values()) > self.memory_bytes
            and len(self._memory) > 1
        ):
            self._memory.popitem(last=False)


_OVERLAID = 0.4  # share of the examples with a second loop


def _overlaid(rng, one, other):
    """Two excerpts at once, moved so that a hit of one falls on a hit of the other: a kick on a snare, a tom on a kick."""
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
    heard = moved[(moved[:, 0] >= max(away, 0)) & (moved[:, 0] < frames + min(away, 0))]
    return np.where((x > 0) & (y > 0), both, np.maximum(x, y)), np.concatenate([hits, heard])


_PER_OCTAVE = _RANGE_DB / (10 * np.log10(2))  # doublings of the power between 0 and 1


def _resampled(x, frames):
    """The same stretch of a picture (bands, time) in another number of frames."""
    if x.shape[1] == frames or x.shape[1] < 2:
        return x
    at = np.linspace(0, x.shape[1] - 1, frames)
    before = np.minimum(at.astype(int), x.shape[1] - 2)
    share = (at - before).astype(np.float32)
    return x[:, before] * (1 - share) + x[:, before + 1] * share

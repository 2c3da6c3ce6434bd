"""Batches without end from a bank of synthetic songs; (seed, step) determines each.

The front ends are the slow part, not the songs (30 s of song: 1 s to make, 0.4 s as CQT, 1 s as
HCQT, 3 s as H_F0, on one core), so the features of the bank are computed once and kept (`store`).
Every excerpt is then cut out anew and moved up or down by whole bins, so that one song comes in
many keys and tunings.
"""

import functools
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from melodylab import synth
from melodylab.errors import InputError
from melodylab.models import inputs
from melodylab.records import Song
from melodylab.training import mixing
from melodylab.training.batches import Batches
from melodylab.training.mixing import QUIET_DB

_OTHER_REST = 0.5  # share of the leads that meet another song's rest
_REMIX_DB = 4.0  # by how much the lead of a mix is made louder or softer


@dataclass(frozen=True)
class Bank:
    """Which songs a training learns from: table [data] of a recipe.

    Parameters
    ----------
    seed : int
        0 or more. Banks with different seeds share no song.
    songs : int
        How many, 1 or more.
    mixes : int
        How often each is mixed, 1 or more.
    seconds : float
        How long each is, 1 or more.
    ingredients : synth.Ingredients
        What they are made of: table [data.ingredients].
    """

    seed: int = 0
    songs: int = 240
    mixes: int = 2
    seconds: float = 30.0
    ingredients: synth.Ingredients = synth.Ingredients()

    def __post_init__(self):
        if not (
            self.seed >= 0 and self.songs >= 1 and self.mixes >= 1 and 1 <= self.seconds < np.inf
        ):
            raise InputError(
                "a bank needs seed >= 0, songs >= 1, mixes >= 1 and seconds >= 1, not "
                f"{self.seed}, {self.songs}, {self.mixes} and {self.seconds}"
            )

    def song(self, number: int, mix: int = 0) -> Song:
        """One song with its truth.

        Parameters
        ----------
        number : int
            0..songs-1.
        mix : int
            0..mixes-1.

        Returns
        -------
        Song
            With its stems and its melody.
        """
        # far apart, so that banks with different seeds share no song
        seed = 1_000_000 * self.seed + number
        return synth.training_song(
            seed, self.seconds, ingredients=self.ingredients, mix=mix, mixes=self.mixes
        )


def features_of(
    front_end: str, bank: Bank, number: int, mix: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """One song of a bank through one front end.

    Parameters
    ----------
    front_end : str
        A name in `models.inputs.FRONT_ENDS`.
    bank : Bank
        Where the song is from.
    number, mix : int
        As `Bank.song` takes them.

    Returns
    -------
    features : ndarray, float16 (channels, freq, time)
        Where the front end is nothing but decibels, lead and rest apart, so that they can be mixed
        afresh: (2, channels, freq, time), decibels of full scale.
    f0_hz : ndarray, float32 (time,)
        NaN where there is no melody.
    """
    song, end = bank.song(number, mix), inputs.FRONT_ENDS[front_end]
    if end.magnitudes is None:
        features = end(song)
        values = features.values
    else:
        lead = song.stems["melody"]
        parts = [
            features := end.magnitudes(Song(part, song.sr, song.name))
            for part in (lead, song.audio - lead)
        ]
        values = 20 * np.log10(np.maximum([part.values for part in parts], 10 ** (QUIET_DB / 20)))
    melody = song.melody.resampled(features.times_s)
    return values.astype(np.float16), melody.sung_hz.astype(np.float32)


def _computed(front_end, bank, key):
    return features_of(front_end, bank, *key)


class SongBatches(Batches):
    """Batches (features, f0) from a bank, in whatever order the steps are asked for.

    Where lead and rest are mixed afresh, `parts` adds the lead's share of the power of each cell of
    the features, float32 in 0..1.

    Parameters
    ----------
    front_end : str
        A name in `models.inputs.FRONT_ENDS`.
    bank : Bank
        The songs to cut from.
    batch_size : int
        Excerpts a batch.
    frames : int
        Length of an excerpt; songs shorter than that are filled up with silence.
    shift_semitones : float
        Each excerpt moves up or down by up to so much.
    stretch : float
        And is played up to so much faster or slower (0.2: by a fifth), pitch untouched.
    equaliser_db : float
        Where lead and rest are mixed afresh, each gets another random equaliser of so many decibels
        (standard deviation, an octave apart).
    ambience : float
        There, this share of the mixes gets a veil of noise and reverberation, 0..1.
    without_lead : float
        There, this share of the excerpts has no melody at all, 0..1.
    seed : int
        Another seed cuts other excerpts.
    steps : int
        Length of the training, for banks that go from easy to hard; 0 takes all mixes from the
        start.
    cache : path or None
        Folder for the features; it may be shared and can be deleted.
    memory_gb : float
        How much of the features stays in memory, in gigabytes.

    Raises
    ------
    InputError
        For an unknown front end.
    """

    def __init__(
        self,
        front_end: str,
        bank: Bank,
        *,
        batch_size: int = 16,
        frames: int = 500,
        shift_semitones: float = 3.0,
        stretch: float = 0.0,
        equaliser_db: float = 0.0,
        ambience: float = 0.0,
        without_lead: float = 0.0,
        seed: int = 0,
        steps: int = 0,
        cache: str | Path | None = None,
        memory_gb: float = 4.0,
    ):
        if front_end not in inputs.FRONT_ENDS:
            raise InputError(
                f"there is no front end {front_end!r}; choose one of {', '.join(inputs.FRONT_ENDS)}"
            )
        self.bank, self.frames, self.steps = bank, frames, steps
        self.shift_semitones, self.stretch = shift_semitones, stretch
        self.equaliser_db, self.ambience, self.without_lead = equaliser_db, ambience, without_lead
        settings = asdict(bank)
        del settings["songs"]
        super().__init__(
            inputs.FRONT_ENDS[front_end],
            functools.partial(_computed, front_end, bank),
            settings,
            batch_size=batch_size,
            seed=seed,
            cache=cache,
            memory_gb=memory_gb,
        )

    def batch(self, step: int) -> tuple[torch.Tensor, ...]:
        """One step's features and truth.

        Parameters
        ----------
        step : int
            0 or more.

        Returns
        -------
        x : Tensor, float32 (batch, channels, freq, frames)
        f0_hz : Tensor, float32 (batch, frames)
            NaN where there is no melody.
        """
        return self.parts(step)[:2]

    def song(self, number: int, mix: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """A whole song of the bank, as its network gets it.

        Parameters
        ----------
        number, mix : int
            As `Bank.song` takes them.

        Returns
        -------
        features : ndarray, float16 (channels, freq, time)
        f0_hz : ndarray, float32 (time,)
            NaN where there is no melody.
        """
        features, f0_hz = self.store[number, mix]
        if features.ndim == 4:
            picture, _ = mixing.mixed(*features.astype(np.float32), self.front_end.scale)
            features = picture.astype(np.float16)
        return features, f0_hz

    # --- how an excerpt is cut

    def _keys(self):
        bank = self.bank
        return [(number, mix) for number in range(bank.songs) for mix in range(bank.mixes)]

    def _cut(self, rng, step):
        features, f0_hz = self._any_song(rng, step)
        grid = self.front_end.grid
        if grid is None and self._is_plain:
            return self._cut_wave(rng, features, f0_hz)
        pace = np.exp(rng.uniform(-1, 1) * np.log1p(self.stretch)) if self.stretch else 1.0
        x, f0_hz = self._excerpt(rng, features, f0_hz, pace)
        if x.ndim == 3:
            return x, f0_hz
        lead, rest = x
        if rng.random() < _OTHER_REST:  # one song's lead over another's rest, in whatever key
            (_, other), other_hz = self._any_song(rng, step)
            rest, _ = self._excerpt(rng, other, other_hz, pace)
        lead_db = rng.uniform(-_REMIX_DB, _REMIX_DB)
        if self.without_lead and rng.random() < self.without_lead:
            lead_db, f0_hz = QUIET_DB, np.full_like(f0_hz, np.nan)
        octave = grid.bins_per_octave if grid else 0
        if self.equaliser_db and grid:
            lead, rest = (
                part + mixing.equaliser_db(rng, part.shape[-2], octave, self.equaliser_db)
                for part in (lead, rest)
            )
        is_veiled = self.ambience and grid and rng.random() < self.ambience
        x, share = mixing.mixed(
            lead + np.float32(lead_db),
            rest,
            self.front_end.scale,
            louder_db=abs(rng.normal(0, 4)),
            veil=(lambda power: mixing.veiled(rng, power, octave)) if is_veiled else None,
        )
        return x, f0_hz, share

    def _any_song(self, rng, step):
        return self.store[int(rng.integers(self.bank.songs)), self._mix(rng, step)]

    def _excerpt(self, rng, features, f0_hz, pace):
        """`frames` frames of pictures (..., freq, time) from anywhere, other pace, other key."""
        grid, nothing = self.front_end.grid, 0 if self._is_plain else QUIET_DB
        length = round(self.frames * pace)
        first = int(rng.integers(max(features.shape[-1] - length, 0) + 1))
        x = features[..., first : first + length].astype(np.float32)
        f0_hz = f0_hz[first : first + length]
        if pace != 1:
            frames = self.frames if x.shape[-1] == length else round(x.shape[-1] / pace)
            nearest = np.rint(np.linspace(0, x.shape[-1] - 1, frames)).astype(int)
            x, f0_hz = mixing.stretched(x, frames), f0_hz[nearest]
        spare = x.shape[-1] - self.frames
        limit = round(self.shift_semitones * grid.bins_per_semitone) if grid else 0
        bins = int(rng.integers(-limit, limit + 1))
        if bins:
            x = np.roll(x, bins, axis=-2)
            x[..., slice(0, bins) if bins > 0 else slice(bins, None), :] = nothing
            f0_hz = f0_hz * np.float32(2 ** (bins / grid.bins_per_octave))
        if spare < 0:
            x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -spare)], constant_values=nothing)
            f0_hz = np.pad(f0_hz, (0, -spare), constant_values=np.nan)
        return x, f0_hz.astype(np.float32)

    @property
    def _is_plain(self):
        return self.front_end.magnitudes is None

    def _cut_wave(self, rng, columns, f0_hz):
        """The same of a waveform in columns: played faster it is higher, too."""
        pace = 2 ** (rng.uniform(-1, 1) * self.shift_semitones / 12)
        length = round(self.frames * pace)
        first = int(rng.integers(max(columns.shape[2] - length, 0) + 1))
        columns, f0_hz = columns[:, :, first : first + length], f0_hz[first : first + length]
        wave = np.pad(
            columns.astype(np.float32)[0].T.ravel(),
            (0, (length - columns.shape[2]) * columns.shape[1]),
        )
        f0_hz = np.pad(f0_hz, (0, length - len(f0_hz)), constant_values=np.nan)
        at = np.linspace(0, len(wave) - 1, self.frames * columns.shape[1])
        wave = np.interp(at, np.arange(len(wave)), wave).astype(np.float32)
        nearest = (np.arange(self.frames) * length / self.frames).round().astype(int)
        f0_hz = f0_hz[np.minimum(nearest, length - 1)] * length / self.frames
        return wave.reshape(1, self.frames, -1).transpose(0, 2, 1), f0_hz.astype(np.float32)

    def _mix(self, rng, step):
        """Easy mixes first: a new one joins every equal part of the first half of the training."""
        open_mixes = self.bank.mixes
        if self.steps and self.bank.ingredients.easy_first:
            open_mixes = min(1 + int(2 * step / self.steps * self.bank.mixes), self.bank.mixes)
        return int(rng.integers(open_mixes))

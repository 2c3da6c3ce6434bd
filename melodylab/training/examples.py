"""Training examples without end: a bank of synthetic songs, heard through a front end, cut into batches that (seed, step) determines.

The front ends are the slow part, not the songs (30 s of song: 1 s to make, 0.4 s as CQT, 1 s as HCQT, 3 s as H_F0, on one core), so
the features of the bank are computed once and kept, in memory up to a limit and in a folder if one is given. Every example
is then a stretch cut out anew and moved up or down by whole bins, so that one song is heard in many keys and tunings.
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
from melodylab.models.inputs import FRONT_ENDS
from melodylab.records import Song


@dataclass(frozen=True)
class Bank:
    """Which songs: `songs` of them from `seed` on, each mixed `mixes` times, `seconds` long, made of `ingredients`."""

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
                f"a bank needs seed >= 0, songs >= 1, mixes >= 1 and seconds >= 1, not {self.seed}, {self.songs}, {self.mixes} "
                f"and {self.seconds}"
            )

    def song(self, number, mix=0):
        """The `Song` with its truth; number 0..songs-1, mix 0..mixes-1."""
        # far apart, so that banks with different seeds share no song
        seed = 1_000_000 * self.seed + number
        return synth.training_song(
            seed, self.seconds, ingredients=self.ingredients, mix=mix, mixes=self.mixes
        )


_QUIET_DB = -140.0  # nothing, in decibels of full scale


_OTHER_REST = 0.5  # share of the leads that meet another song's rest


_REMIX_DB = 4.0  # by how much the lead of a mix is made louder or softer


def heard(front_end, bank, number, mix=0):
    """One song through one front end: (features float16 (channels, freq, time), f0_hz float32 (time,), NaN = no melody).

    Where the front end is nothing but decibels, lead and rest apart, so that they can be mixed afresh: decibels of full scale,
    float16 (2, channels, freq, time).
    """
    song, end = bank.song(number, mix), FRONT_ENDS[front_end]
    if end.magnitudes is None:
        features = end(song)
        values = features.values
    else:
        lead = song.stems["melody"]
        parts = [
            features := end.magnitudes(Song(part, song.sr, song.name))
            for part in (lead, song.audio - lead)
        ]
        values = 20 * np.log10(np.maximum([part.values for part in parts], 10 ** (_QUIET_DB / 20)))
    melody = song.melody.resampled(features.times_s)
    return values.astype(np.float16), melody.sung_hz.astype(np.float32)


class Examples:
    """Batches (features, f0) from a bank, the same for the same (seed, step), in whatever order they are asked for.

    front_end: a name in FRONT_ENDS. frames: length of an example; songs shorter than that are filled up with silence.
    shift_semitones: each example moves by up to so much. stretch: and is played up to so much faster or slower (0.2: by a
    fifth), pitch untouched. equaliser_db, ambience: where lead and rest are mixed afresh, each gets another random equaliser of
    so many decibels (standard deviation, an octave apart), and a share of the mixes a veil of noise and reverberation that
    fills what lies between the partials, as rooms, cymbals and limiters do in recordings. without_lead: there, a share of the
    examples has no melody at all. steps: length of the training, for
    banks that go from easy to hard; 0 takes all mixes from the start. cache: folder for the features, or None; it may be
    shared and can be deleted. memory_gb: how much of the features stays in memory, the least recently used goes first. Raises
    InputError for an unknown front end.
    """

    def __init__(
        self,
        front_end,
        bank,
        *,
        batch_size=16,
        frames=500,
        shift_semitones=3.0,
        stretch=0.0,
        equaliser_db=0.0,
        ambience=0.0,
        without_lead=0.0,
        seed=0,
        steps=0,
        cache=None,
        memory_gb=4.0,
    ):
        if front_end not in FRONT_ENDS:
            raise InputError(
                f"there is no front end {front_end!r}; choose one of {', '.join(FRONT_ENDS)}"
            )
        self.front_end, self.bank, self.batch_size, self.frames = (
            front_end,
            bank,
            batch_size,
            frames,
        )
        self.shift_semitones, self.stretch, self.seed, self.steps = (
            shift_semitones,
            stretch,
            seed,
            steps,
        )
        self.equaliser_db, self.ambience, self.without_lead = equaliser_db, ambience, without_lead
        self.folder = None if cache is None else Path(cache) / self._key()
        self.memory_bytes, self._memory = memory_gb * 1e9, OrderedDict()

    def batch(self, step):
        """x float32 (batch, channels, freq, frames) and f0_hz float32 (batch, frames), NaN = no melody."""
        return self.parts(step)[:2]

    def parts(self, step):
        """The same batch with one more tensor where lead and rest are mixed afresh: the lead's share of the power of each cell of
        x, float32 in 0..1."""
        rng = np.random.default_rng([self.seed, step])
        examples = [self._cut(rng, step) for _ in range(self.batch_size)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True))

    def prepare(self, *, progress=False, n_jobs=None):
        """Compute what the cache lacks, through joblib (inside `evaluate.cluster` on a Dask cluster)."""
        missing = [
            (n, m)
            for n in range(self.bank.songs)
            for m in range(self.bank.mixes)
            if not self._is_known(n, m)
        ]
        songs = {n: [m for k, m in missing if k == n] for n, _ in missing}
        work = (
            joblib.delayed(_heard_song)(self.front_end, self.bank, n, mixes)
            for n, mixes in songs.items()
        )
        found = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work)
        for number, mixes in tqdm(
            found, total=len(songs), unit="song", desc="features", disable=not progress
        ):
            for mix, pair in mixes.items():
                self._keep((number, mix), pair)

    def song(self, number, mix=0):
        """Features (channels, freq, time) and f0_hz (time,) of a whole song of the bank, as its network hears them."""
        features, f0_hz = self._stored(number, mix)
        if features.ndim == 4:
            features = _mixed(*features.astype(np.float32), FRONT_ENDS[self.front_end].scale)[
                0
            ].astype(np.float16)
        return features, f0_hz

    def _stored(self, number, mix):
        """What `heard` gives, from the cache if it is there."""
        if (number, mix) in self._memory:
            self._memory.move_to_end((number, mix))
            return self._memory[number, mix]
        pair = self._read(number, mix)
        if pair is None:
            pair = heard(self.front_end, self.bank, number, mix)
            self._write((number, mix), pair)
        self._remember((number, mix), pair)
        return pair

    # --- how an example is cut

    def _cut(self, rng, step):
        features, f0_hz = self._stored(int(rng.integers(self.bank.songs)), self._mix(rng, step))
        grid = FRONT_ENDS[self.front_end].grid
        if grid is None and self._is_plain:
            return self._cut_wave(rng, features, f0_hz)
        pace = np.exp(rng.uniform(-1, 1) * np.log1p(self.stretch)) if self.stretch else 1.0
        x, f0_hz = self._excerpt(rng, features, f0_hz, pace)
        if x.ndim == 3:
            return x, f0_hz
        lead, rest = x
        if (
            rng.random() < _OTHER_REST
        ):  # the lead of one song over the rest of another, in whatever key that is
            (_, other), other_hz = self._stored(
                int(rng.integers(self.bank.songs)), self._mix(rng, step)
            )
            rest, _ = self._excerpt(rng, other, other_hz, pace)
        lead_db = rng.uniform(-_REMIX_DB, _REMIX_DB)
        if self.without_lead and rng.random() < self.without_lead:
            lead_db, f0_hz = _QUIET_DB, np.full_like(f0_hz, np.nan)
        octave = grid.bins_per_octave if grid else 0
        if self.equaliser_db and grid:
            lead, rest = (
                part + _equaliser(rng, part.shape[-2], octave, self.equaliser_db)
                for part in (lead, rest)
            )
        is_veiled = self.ambience and grid and rng.random() < self.ambience
        veil = (lambda power: _veiled(rng, power, octave)) if is_veiled else None
        lead = lead + np.float32(lead_db)
        x, share = _mixed(
            lead, rest, FRONT_ENDS[self.front_end].scale, louder_db=abs(rng.normal(0, 4)), veil=veil
        )
        return x, f0_hz, share

    def _excerpt(self, rng, features, f0_hz, pace):
        """`frames` frames of pictures (..., freq, time) from anywhere, at another pace and in another key."""
        grid, nothing = FRONT_ENDS[self.front_end].grid, 0 if self._is_plain else _QUIET_DB
        length = round(self.frames * pace)
        first = int(rng.integers(max(features.shape[-1] - length, 0) + 1))
        x, f0_hz = (
            features[..., first : first + length].astype(np.float32),
            f0_hz[first : first + length],
        )
        if pace != 1:
            x, f0_hz = _stretched(
                x, f0_hz, self.frames if x.shape[-1] == length else round(x.shape[-1] / pace)
            )
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
        return FRONT_ENDS[self.front_end].magnitudes is None

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
        nearest = np.minimum(
            (np.arange(self.frames) * length / self.frames).round().astype(int), length - 1
        )
        return wave.reshape(1, self.frames, -1).transpose(0, 2, 1), (
            f0_hz[nearest] * length / self.frames
        ).astype(np.float32)

    def _mix(self, rng, step):
        """Easy mixes first: a new one joins every equal part of the first half of the training."""
        open_mixes = self.bank.mixes
        if self.steps and self.bank.ingredients.easy_first:
            open_mixes = min(1 + int(2 * step / self.steps * self.bank.mixes), self.bank.mixes)
        return int(rng.integers(open_mixes))

    # --- where features are kept

    def _key(self):
        """Folder of these features: everything that they depend on, hashed. The number of songs is not part of it."""
        bank = asdict(self.bank)
        del bank["songs"]
        text = json.dumps([self.front_end, bank, 1 if self._is_plain else 3], sort_keys=True)
        return f"{self.front_end}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def _path(self, number, mix):
        return self.folder / f"{number:06d}-{mix}.npz"

    def _is_known(self, number, mix):
        return (number, mix) in self._memory or (
            self.folder is not None and self._path(number, mix).is_file()
        )

    def _keep(self, key, pair):
        self._write(key, pair)
        self._remember(key, pair)

    def _read(self, number, mix):
        if self.folder is None or not self._path(number, mix).is_file():
            return None
        try:
            with np.load(self._path(number, mix)) as stored:
                return stored["features"], stored["f0_hz"]
        except (
            OSError,
            ValueError,
            KeyError,
            zipfile.BadZipFile,
        ):  # half a file of an older crash; it is made again
            return None

    def _write(self, key, pair):
        if self.folder is not None:
            with (
                files.complete_or_absent(self._path(*key)) as temporary,
                open(temporary, "wb") as file,
            ):
                np.savez(file, features=pair[0], f0_hz=pair[1])

    def _remember(self, key, pair):
        self._memory[key] = pair
        while (
            sum(features.nbytes for features, _ in self._memory.values()) > self.memory_bytes
            and len(self._memory) > 1
        ):
            self._memory.popitem(last=False)


def _mixed(lead_db, rest_db, scale, louder_db=0.0, veil=None):
    """Two sounds in decibels (channels, freq, time) together, as their front end scales them, and the first one's share of the
    power; both float32 0..1.

    Powers add, which they do on average. scale: of the front end. louder_db: how much louder the loudest cell of the song is than the one of these.
    veil: what becomes of the powers before that.
    """
    lead = np.exp(lead_db * np.float32(np.log(10) / 10))
    power = lead + np.exp(rest_db * np.float32(np.log(10) / 10))
    if veil:
        power = veil(power)
    share = lead / power
    magnitude = np.sqrt(power, out=power)
    return scale(magnitude, magnitude.max() * np.float32(10 ** (louder_db / 20))), share


def _equaliser(rng, rows, rows_per_octave, spread_db):
    """Random gains, (rows, 1) decibels: a straight line from octave to octave."""
    knots_db = rng.normal(0, spread_db, rows // rows_per_octave + 2)
    return np.interp(np.arange(rows) / rows_per_octave, np.arange(len(knots_db)), knots_db).astype(
        np.float32
    )[:, None]


def _veiled(rng, power, octave):
    """Powers (channels, freq, time) with noise that follows their own level, smeared over an octave and over what came before.

    octave: in rows.
    """
    half, keep = (
        octave // 2,
        np.float32(np.exp(-1 / rng.uniform(2, 30))),
    )  # what a frame keeps of the one before
    sums = np.cumsum(np.pad(power, ((0, 0), (half + 1, half), (0, 0)), mode="edge"), axis=1)
    near = (sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]) / (2 * half + 1)
    tail = np.empty_like(near)
    state = near[..., 0]
    for n in range(near.shape[-1]):
        state = keep * state + (1 - keep) * near[..., n]
        tail[..., n] = state
    grain = rng.standard_exponential(
        power.shape, dtype=np.float32
    )  # what noise looks like in one window
    grain[..., 1:] = (grain[..., 1:] + grain[..., :-1]) / 2
    return power + np.float32(10 ** (rng.uniform(-30, -6) / 10)) * tail * grain


def _stretched(x, f0_hz, frames):
    """The same stretch of song in another number of frames: the picture blends neighbours, the pitch takes the nearer one."""
    at = np.linspace(0, x.shape[-1] - 1, frames)
    before = np.minimum(at.astype(int), max(x.shape[-1] - 2, 0))
    after, share = np.minimum(before + 1, x.shape[-1] - 1), (at - before).astype(np.float32)
    return x[..., before] * (1 - share) + x[..., after] * share, f0_hz[np.rint(at).astype(int)]


def _heard_song(front_end, bank, number, mixes):
    """All wanted mixes of a song on one worker, so that its tracks are rendered once."""
    return number, {mix: heard(front_end, bank, number, mix) for mix in mixes}

"""A song of any length: blocks on an absolute grid, its salience, its lead."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit

from melodylab import progress
from melodylab.dsp import grids, levels, stft
from melodylab.io.songs import as_song
from melodylab.records import Melody, Salience, Song
from melodylab.sfnmf.dictionaries import PUBLISHED, Settings, source_dictionary
from melodylab.sfnmf.factors import Factors, random_start
from melodylab.sfnmf.updates import _GUARD, factorise

# --- a whole song: blocks, salience, stems --------------------------------------------------------

_BLOCK_S, _STEP_S = 30.0, 25.0
_LEVEL_S = 0.0464  # a frame, for the loudness of a recording


def block_frames(n_frames: int, settings: Settings = PUBLISHED) -> list[tuple[int, int]]:
    """Blocks of a song on an absolute grid, 30 s long and 25 s apart.

    A tail shorter than half a step joins the last block, so that no block is too short to tell lead
    from backing.

    Parameters
    ----------
    n_frames : int
        Of the song.
    settings : Settings, optional
        Whose frames they are.

    Returns
    -------
    list of (int, int)
        First frame of a block and the frame after its last.
    """
    length, step = (round(s * settings.sr / settings.hop_samples) for s in (_BLOCK_S, _STEP_S))
    blocks, first = [], 0
    while n_frames - (first + length) > step // 2:
        blocks.append((first, first + length))
        first += step
    return [*blocks, (first, n_frames)]


def block_weights(blocks: list[tuple[int, int]]) -> list[np.ndarray]:
    """Fades that sum to 1 where blocks overlap.

    Parameters
    ----------
    blocks : list of (int, int)
        As `block_frames` gives them.

    Returns
    -------
    list of numpy.ndarray
        float32 (frames of the block,) in 0..1, one a block.
    """
    weights = []
    for b, (first, stop) in enumerate(blocks):
        weight = np.ones(stop - first, dtype=np.float32)
        if b > 0:
            overlap = blocks[b - 1][1] - first
            weight[:overlap] = (np.arange(overlap) + 0.5) / overlap
        if b + 1 < len(blocks):
            overlap = stop - blocks[b + 1][0]
            weight[-overlap:] = (np.arange(overlap)[::-1] + 0.5) / overlap
        weights.append(weight)
    return weights


@dataclass(frozen=True)
class Hearing:
    """How activations become a salience: choices of ours, made on the development songs.

    The paper takes H_F0 as it is. Here pitches far from the usual range of a melody count less; a
    frame is voiced when its lead is loud for this song.

    Parameters
    ----------
    centre_midi, spread_semitones : float
        Middle (E4) and standard deviation of that range; a spread of np.inf prefers no pitch.
    voiced_db : float
        A frame this far below the loud quarter of the song is as likely sung as not.
    db_per_nat : float
        How fast that likelihood changes.
    quiet_db : float
        A lead never closer to the mix than this is no lead.
    """

    centre_midi: float = 64.0
    spread_semitones: float = 18.0
    voiced_db: float = -6.0
    db_per_nat: float = 3.0
    quiet_db: float = -20.0


def salience(
    song: Song, settings: Settings = PUBLISHED, *, hearing: Hearing = Hearing(), seed: int = 0
) -> Salience:
    """Salience of a song by source-filter NMF.

    A pitch counts by the geometric mean of two shares of its frame: of the activations H_F0, which
    resolve pitch well but have no level, and of the power after the filter, which is what we hear.

    Parameters
    ----------
    song : Song
        Any rate and channel count; its channels are averaged.
    settings : Settings, optional
        Of the factorisation.
    hearing : Hearing, optional
        How activations become a salience.
    seed : int
        Of the random start.

    Returns
    -------
    Salience
        (U, N) in 0..1, with `unvoiced` in 0..1; frame maximum plus unvoiced is 1. Silent frames are
        all unvoiced.
    """
    song = as_song(song)
    y = working_signal(song.mono, song.sr, settings)
    grid, n_frames = settings.grid, stft.n_frames(len(y), settings.hop_samples)
    evidence = np.zeros((grid.n_bins, n_frames), dtype=np.float32)
    lead_power, mix_power = np.zeros(n_frames), np.zeros(n_frames)
    distance = (grids.hz_to_midi(grid.freqs_hz) - hearing.centre_midi) / hearing.spread_semitones
    # worth little: OA .617 and RPA .677 on the development songs, without it .615 and .682
    prior = np.exp(-0.5 * distance[:, None] ** 2)
    for first, stop, weight, power, factors in analyse(y, settings, seed=seed):
        pitches, lead = factors.pitch_power(), factors.lead()
        # the lead as Wiener filtering would play it
        heard = ((lead / factors.model()) ** 2 * power).sum(axis=0)
        likely = prior * _pitch_evidence(factors.H_F0, pitches)
        evidence[:, first:stop] += weight * likely
        lead_power[first:stop] += weight * _melody_power(
            heard, pitches, likely.argmax(axis=0), settings
        )
        mix_power[first:stop] = power.sum(axis=0)
    for power in (lead_power, mix_power):  # at its ends a song fills half a window
        power /= _filled(len(y), n_frames, settings)
    peak = evidence.max(axis=0)
    voiced = _voiced_share(lead_power, mix_power, hearing)
    voiced[(mix_power <= 2 * settings.n_freqs * settings.floor) | (peak <= 0)] = 0
    return Salience(
        evidence / np.maximum(peak, _GUARD) * voiced,
        grid.freqs_hz,
        grids.frame_times_s(n_frames, settings.hop_samples, settings.sr),
        unvoiced=1 - voiced,
        made_by="sfnmf",
    )


def _filled(samples, n_frames, settings):
    """The share of its window that the song fills in each frame, by power: 0.5 at the ends, else
    1.
    """
    inside = np.concatenate([[0], np.cumsum(settings.window**2)])
    before = len(settings.window) // 2 - np.arange(n_frames) * settings.hop_samples
    first, stop = (np.clip(before + at, 0, len(settings.window)) for at in (0, samples))
    return (inside[stop] - inside[first]) / inside[-1]


def analyse(
    y: np.ndarray, settings: Settings = PUBLISHED, *, seed: int = 0
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray, Factors]]:
    """Factorise a mono signal block by block; one block is in memory at a time.

    Parameters
    ----------
    y : numpy.ndarray
        (samples,) at the working rate, as from `working_signal`.
    settings : Settings, optional
        Of the factorisation.
    seed : int
        Of the random start.

    Yields
    ------
    first, stop : int
        Frames of the block.
    weight : numpy.ndarray
        (frames,); weights sum to 1 over the blocks that share a frame.
    power : numpy.ndarray
        (F, frames), not below the floor.
    factors : Factors
        Of the block; activations near zero at silence.
    """
    blocks = block_frames(stft.n_frames(len(y), settings.hop_samples), settings)
    W_F0 = source_dictionary(settings)
    parts = list(enumerate(zip(blocks, block_weights(blocks), strict=True)))
    for b, ((first, stop), weight) in progress.steps(parts, "source-filter NMF"):
        spectra = stft.stft(
            y,
            window=settings.window,
            hop_samples=settings.hop_samples,
            first_frame=first,
            frames=stop - first,
        )
        power = np.maximum(np.abs(spectra) ** 2, settings.floor)
        yield (
            first,
            stop,
            weight,
            power,
            factorise(power, settings, seed=seed + 1000 * b, W_F0=W_F0),
        )


def _pitch_evidence(H_F0, pitches):
    """Geometric mean of the two shares, (U, N), blurred so that neighbours agree.

    By a bin along pitch and by less than a frame along time.
    """
    shares = (
        gaussian_filter1d(x / np.maximum(x.sum(axis=0), _GUARD), 1, axis=0) for x in (H_F0, pitches)
    )
    return gaussian_filter1d(np.sqrt(np.prod(list(shares), axis=0)), 0.7, axis=1)


def _melody_power(heard, pitches, best, settings):
    """How loud one line is in each frame, (N,).

    Geometric mean of the lead as heard and of the power within a semitone of the best pitch, the
    latter once more times its share of all pitches, since chords spread theirs.
    """
    near = np.abs(np.arange(len(pitches))[:, None] - best) <= settings.bins_per_semitone
    power = (pitches * near).sum(axis=0)
    return np.sqrt(heard * power**2 / np.maximum(pitches.sum(axis=0), _GUARD))


def _voiced_share(lead_power, mix_power, hearing):
    """Likelihood in 0..1 that a frame is sung: its level in dB against the level of the song's loud
    quarter.
    """

    def level_db(power):
        return gaussian_filter1d(10 * np.log10(power + 1e-12), 3)

    lead_db = level_db(lead_power)
    loud_db = max(
        np.percentile(lead_db, 75), np.percentile(level_db(mix_power), 75) + hearing.quiet_db
    )
    return expit((lead_db - loud_db - hearing.voiced_db) / hearing.db_per_nat).astype(np.float32)


# for the second pass, whose melody is known: fewer filters and parts leave the lead less to hide in
# (development songs)
LED = Settings(n_filters=5, n_accompaniment=20, iterations=25)


def near_melody(melody: Melody, grid: grids.PitchGrid, width_bins: int) -> np.ndarray:
    """Where H_F0 may be active: near the pitch of voiced frames.

    Parameters
    ----------
    melody : Melody
        On the N frames of the factorisation.
    grid : PitchGrid
        The U pitches of H_F0.
    width_bins : int
        How far from the melody.

    Returns
    -------
    numpy.ndarray
        bool (U, N); a frame that is not voiced has none.
    """
    path = grid.nearest_bin(melody.sung_hz)
    return (np.abs(np.arange(grid.n_bins)[:, None] - path) <= width_bins) & (path >= 0)


def lead_share(
    power: np.ndarray, near: np.ndarray, settings: Settings, unvoiced: bool, seed: int
) -> np.ndarray:
    """The lead's share of each cell of a block.

    Parameters
    ----------
    power : numpy.ndarray
        (C, F, N), not below zero.
    near : numpy.ndarray
        bool (U, N), where H_F0 may be active.
    settings : Settings
        Of the factorisation.
    unvoiced : bool
        A white source joins the combs for a second, shorter run.
    seed : int
        Of the random start.

    Returns
    -------
    numpy.ndarray
        (C, F, N) in 0..1; 0 in frames where no pitch is near.
    """
    start = random_start(settings, power.shape[0], power.shape[2], np.random.default_rng(seed))
    start["H_F0"] *= near
    factors = factorise(power, settings, start=start)
    if unvoiced:
        white = np.where(near.any(axis=0), 0.01 * factors.H_F0.max(), 0)
        names = ("H_gamma", "H_phi", "W_B", "H_B", "alpha", "beta")
        start = {name: getattr(factors, name) for name in names} | {
            "H_F0": np.vstack([factors.H_F0, white])
        }
        W_F0 = np.hstack([factors.W_F0, np.ones((settings.n_freqs, 1))])
        again = replace(settings, iterations=settings.iterations // 2)
        factors = factorise(power, again, start=start, W_F0=W_F0, fixed={"H_gamma"})
    channels = range(power.shape[0])
    return np.stack([factors.lead(c) / np.maximum(factors.model(c), _GUARD) for c in channels])


def peak_gain(y: np.ndarray, sr: int) -> np.float32:
    """Brings what is loud in a recording to 1, so that a quiet one gives the same as a loud one.

    Parameters
    ----------
    y : numpy.ndarray
        (samples,) or (channels, samples), of any scale.
    sr : int
        Samples per second.

    Returns
    -------
    numpy.float32
        One over the largest sample, or over what is loud beside a knock that stands out (see
        `dsp.levels.heard_peak`); 1 at silence, which is all that float32 has no reciprocal of.
    """
    peak = levels.heard_peak(levels.frame_levels(y, max(round(_LEVEL_S * sr), 1)))
    return np.float32(1 / peak if peak > np.finfo(np.float32).tiny else 1)


def working_signal(y: np.ndarray, sr: int, settings: Settings = PUBLISHED) -> np.ndarray:
    """A recording as the factorisation takes it: at the working rate, what is loud at 1.

    Parameters
    ----------
    y : numpy.ndarray
        (samples,) or (channels, samples).
    sr : int
        Samples per second.
    settings : Settings, optional
        Whose rate is the working rate.

    Returns
    -------
    numpy.ndarray
        float32 (..., samples at the working rate); silence stays silent.
    """
    resampled = np.stack([stft.resample(c, sr, settings.sr) for c in np.atleast_2d(y)])
    resampled *= peak_gain(y, sr)
    return resampled.reshape(*y.shape[:-1], -1)

"""A song of any length: blocks on an absolute grid, its salience, its lead."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit

from melodylab import progress
from melodylab.dsp import grids, levels, stft
from melodylab.io.songs import as_song
from melodylab.records import Salience
from melodylab.sfnmf.dictionaries import PUBLISHED, Settings, source_dictionary
from melodylab.sfnmf.updates import _GUARD, factorise, random_start

# --- a whole song: blocks, salience, stems --------------------------------------------------------

_BLOCK_S, _STEP_S = 30.0, 25.0
_LEVEL_S = 0.0464  # a frame, for the loudness of a recording


def block_frames(n_frames, settings=PUBLISHED):
    """Blocks of a song on an absolute grid: list of (first, stop) frames, 30 s long and 25 s apart.

    A tail shorter than half a step joins the last block, so that no block is too short to tell lead from backing.
    """
    length, step = (round(s * settings.sr / settings.hop_samples) for s in (_BLOCK_S, _STEP_S))
    blocks, first = [], 0
    while n_frames - (first + length) > step // 2:
        blocks.append((first, first + length))
        first += step
    return [*blocks, (first, n_frames)]


def block_weights(blocks):
    """Fades that sum to 1 where blocks overlap: one array a block, over its own frames."""
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
    """How activations become a salience: choices of ours, made on the development songs (the paper takes H_F0 as it is).

    Pitches far from the usual range of a melody count less; a frame is voiced when its lead is loud for this song.
    """

    centre_midi: float = 64.0  # E4
    spread_semitones: float = 18.0
    voiced_db: float = (
        -6.0
    )  # a frame this far below the loud quarter of the song is as likely sung as not
    db_per_nat: float = 3.0  # how fast that likelihood changes
    quiet_db: float = -20.0  # a lead never closer to the mix than this is no lead


def salience(song, settings=PUBLISHED, *, hearing=Hearing(), seed=0):
    """Salience of a song, (U, N) in 0..1, with `unvoiced` in 0..1; frame maximum plus unvoiced is 1.

    A pitch counts by the geometric mean of two shares of its frame: of the activations H_F0, which resolve pitch well but have
    no level, and of the power after the filter, which is what we hear. Silent frames are all unvoiced.
    """
    song = as_song(song)
    y = working_signal(song.mono, song.sr, settings)
    grid, n_frames = settings.grid, stft.n_frames(len(y), settings.hop_samples)
    evidence = np.zeros((grid.n_bins, n_frames), dtype=np.float32)
    lead_power, mix_power = np.zeros(n_frames), np.zeros(n_frames)
    distance = (grids.hz_to_midi(grid.freqs_hz) - hearing.centre_midi) / hearing.spread_semitones
    prior = np.exp(-0.5 * distance[:, None] ** 2)
    for first, stop, weight, power, factors in analyse(y, settings, seed=seed):
        pitches, lead = factors.pitch_power(), factors.lead()
        heard = ((lead / factors.model()) ** 2 * power).sum(
            axis=0
        )  # the lead as Wiener filtering would play it
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
    """The share of its window that the song fills in each frame, by power: 0.5 at the ends, else 1."""
    inside = np.concatenate([[0], np.cumsum(settings.window**2)])
    before = len(settings.window) // 2 - np.arange(n_frames) * settings.hop_samples
    first, stop = (np.clip(before + at, 0, len(settings.window)) for at in (0, samples))
    return (inside[stop] - inside[first]) / inside[-1]


def analyse(y, settings=PUBLISHED, *, seed=0):
    """Factorise a mono signal at the working rate block by block; one block is in memory at a time.

    Yields (first, stop, weight (frames,), power (F, frames), Factors); weights sum to 1 over the blocks that share a frame.
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
    """Geometric mean of the two shares, blurred by a bin and less than a frame so that neighbours agree. (U, N)"""
    shares = (
        gaussian_filter1d(x / np.maximum(x.sum(axis=0), _GUARD), 1, axis=0) for x in (H_F0, pitches)
    )
    return gaussian_filter1d(np.sqrt(np.prod(list(shares), axis=0)), 0.7, axis=1)


def _melody_power(heard, pitches, best, settings):
    """How loud one line is in each frame, (N,): geometric mean of the lead as heard and of the power within a semitone of the
    best pitch, the latter once more times its share of all pitches, since chords spread theirs."""
    near = np.abs(np.arange(len(pitches))[:, None] - best) <= settings.bins_per_semitone
    power = (pitches * near).sum(axis=0)
    return np.sqrt(heard * power**2 / np.maximum(pitches.sum(axis=0), _GUARD))


def _voiced_share(lead_power, mix_power, hearing):
    """Likelihood in 0..1 that a frame is sung: its level in dB against the level of the song's loud quarter."""

    def level_db(power):
        return gaussian_filter1d(10 * np.log10(power + 1e-12), 3)

    lead_db = level_db(lead_power)
    loud_db = max(
        np.percentile(lead_db, 75), np.percentile(level_db(mix_power), 75) + hearing.quiet_db
    )
    return expit((lead_db - loud_db - hearing.voiced_db) / hearing.db_per_nat).astype(np.float32)


# for the second pass, whose melody is known: fewer filters and parts leave the lead less to hide in (development songs)
LED = Settings(n_filters=5, n_accompaniment=20, iterations=25)


def near_melody(melody, grid, width_bins):
    """Where H_F0 may be active: (U, N) bool, true within width_bins of a voiced frame's pitch."""
    path = grid.nearest_bin(melody.sung_hz)
    return (np.abs(np.arange(grid.n_bins)[:, None] - path) <= width_bins) & (path >= 0)


def lead_share(power, near, settings, unvoiced, seed):
    """The lead's share of each cell of a block, (C, F, N) in 0..1."""
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

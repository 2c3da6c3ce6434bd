"""What is done to pictures of lead and rest before a network learns from them.

Pictures are decibels of full scale where lead and rest are apart, else what the front end gives.
"""

from collections.abc import Callable

import numpy as np

QUIET_DB = -140.0  # nothing, in decibels of full scale


def mixed(
    lead_db: np.ndarray,
    rest_db: np.ndarray,
    scale: Callable[[np.ndarray, float], np.ndarray],
    *,
    louder_db: float = 0.0,
    veil: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Two sounds together, as their front end scales them; powers add, which they do on average.

    Parameters
    ----------
    lead_db, rest_db : ndarray, float32 (channels, freq, time)
        Decibels of full scale.
    scale : callable
        Of the front end: from magnitudes and the loudest of the song to a picture.
    louder_db : float
        How much louder the loudest cell of the song is than the one of these, 0 or more.
    veil : callable, optional
        What becomes of the powers before they are scaled.

    Returns
    -------
    picture : ndarray, float32 (channels, freq, time)
    share : ndarray, float32 (channels, freq, time)
        The lead's share of the power of each cell, 0..1.
    """
    lead = np.exp(lead_db * np.float32(np.log(10) / 10))
    power = lead + np.exp(rest_db * np.float32(np.log(10) / 10))
    if veil:
        power = veil(power)
    share = lead / power
    magnitude = np.sqrt(power, out=power)
    return scale(magnitude, magnitude.max() * np.float32(10 ** (louder_db / 20))), share


def equaliser_db(
    rng: np.random.Generator, rows: int, rows_per_octave: int, spread_db: float
) -> np.ndarray:
    """Random gains of a row each: a straight line from octave to octave.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the gains.
    rows, rows_per_octave : int
        Of the picture.
    spread_db : float
        Standard deviation of the gain at each octave, 0 or more.

    Returns
    -------
    ndarray, float32 (rows, 1)
        Decibels.
    """
    knots_db = rng.normal(0, spread_db, rows // rows_per_octave + 2)
    gains_db = np.interp(np.arange(rows) / rows_per_octave, np.arange(len(knots_db)), knots_db)
    return gains_db.astype(np.float32)[:, None]


def veiled(rng: np.random.Generator, power: np.ndarray, rows_per_octave: int) -> np.ndarray:
    """Powers with noise that follows their own level, smeared over an octave and what came before.

    Rooms, cymbals and limiters fill so what lies between the partials of a recording.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the noise.
    power : ndarray, float32 (channels, freq, time)
        Powers >= 0.
    rows_per_octave : int
        Of the picture.

    Returns
    -------
    ndarray, float32 (channels, freq, time)
        At least `power` everywhere; silence stays silence.
    """
    half = rows_per_octave // 2
    keep = np.float32(np.exp(-1 / rng.uniform(2, 30)))  # what a frame keeps of the one before
    sums = np.cumsum(np.pad(power, ((0, 0), (half + 1, half), (0, 0)), mode="edge"), axis=1)
    near = (sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]) / (2 * half + 1)
    tail = np.empty_like(near)
    state = near[..., 0]
    for n in range(near.shape[-1]):
        state = keep * state + (1 - keep) * near[..., n]
        tail[..., n] = state
    grain = rng.standard_exponential(power.shape, dtype=np.float32)  # noise in one window
    grain[..., 1:] = (grain[..., 1:] + grain[..., :-1]) / 2
    return power + np.float32(10 ** (rng.uniform(-30, -6) / 10)) * tail * grain


def stretched(x: np.ndarray, frames: int) -> np.ndarray:
    """The same stretch of a picture in another number of frames; neighbours blend.

    Parameters
    ----------
    x : ndarray, float32 (..., time)
        A picture, at least one frame.
    frames : int
        How many the result has.

    Returns
    -------
    ndarray, float32 (..., frames)
    """
    at = np.linspace(0, x.shape[-1] - 1, frames)
    before = np.minimum(at.astype(int), max(x.shape[-1] - 2, 0))
    after, share = np.minimum(before + 1, x.shape[-1] - 1), (at - before).astype(np.float32)
    return x[..., before] * (1 - share) + x[..., after] * share

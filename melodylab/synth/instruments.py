"""What is struck or plucked.

Notes of four instruments, hits of five drums, parts made of them, and the room they sound in.
"""

from typing import NamedTuple

import numpy as np
from scipy import signal

from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.records import DRUM_CLASSES, DrumOnsets
from melodylab.synth.sounds import Note, add, noise_band, ramp

_DRUM_LEVELS = {"kick": 0.8, "snare": 0.9, "open_hihat": 0.3, "closed_hihat": 0.27, "toms": 0.75}


class Hit(NamedTuple):
    """One stroke on a drum.

    Attributes
    ----------
    time_s : float
        When it sounds, in seconds.
    kind : str
        A class of `DRUM_CLASSES`.
    velocity : float
        How loud, 0..1.
    tune : float
        Tells a high tom from a low one; 1 is neither.
    """

    time_s: float
    kind: str
    velocity: float
    tune: float = 1.0


def partials(
    freqs_hz: np.ndarray | float,
    amplitudes: np.ndarray | float,
    decays_s: np.ndarray | float,
    samples: int,
    sr: int,
) -> np.ndarray:
    """Sum of decaying sines a exp(-t / d) sin(2 pi f t).

    One matrix product does it: with n = 128 i + j, z ** n is z ** (128 i) times z ** j.

    Parameters
    ----------
    freqs_hz, amplitudes, decays_s : array (partials,) or float
        f, a and d above, d in seconds; partials at or above Nyquist are left out.
    samples : int
        Length of the result.
    sr : int
        Samples a second.

    Returns
    -------
    ndarray (samples,)
    """
    freqs_hz, amplitudes, decays_s = np.broadcast_arrays(
        np.atleast_1d(freqs_hz), amplitudes, decays_s
    )
    log_z = (2j * np.pi * freqs_hz - 1 / decays_s) / sr
    coarse = (
        amplitudes
        * (freqs_hz < sr / 2)
        * np.exp(np.outer(128 * np.arange(-(-samples // 128)), log_z))
    )
    fine = np.exp(np.outer(log_z, np.arange(128)))
    return (coarse.real @ fine.imag + coarse.imag @ fine.real).ravel()[:samples]


class Timbre(NamedTuple):
    """An instrument.

    Attributes
    ----------
    multiples : ndarray (partials,)
        Frequencies of the partials, as multiples of f0.
    strengths : ndarray (partials,)
        How strong each partial is.
    decays_s : ndarray (partials,) or (1,)
        In how many seconds each falls to 1/e.
    attack_s : float
        In how many seconds a note rises.
    """

    multiples: np.ndarray
    strengths: np.ndarray
    decays_s: np.ndarray
    attack_s: float = 0.003


_K = np.arange(1.0, 33)
_OUT_OF_TUNE = 2 ** (np.array([[-5], [0], [6]]) / 1200)
INSTRUMENTS = {
    "pluck": Timbre(
        _K * np.sqrt(1 + 1e-4 * _K**2),
        np.abs(np.sin(np.pi * 0.23 * _K)) / _K**1.1,
        1.4 / (1 + 0.2 * _K),
    ),
    "keys": Timbre(
        np.array([1, 2, 3, 4, 7.03]),
        np.array([1, 0.5, 0.25, 0.12, 0.25]),
        1.6 / np.array([1, 2, 3, 4, 13]),
    ),
    "pad": Timbre(
        (_OUT_OF_TUNE * _K[:16]).ravel(), np.tile(_K[:16] ** -1.4, 3), np.array([9.0]), 0.12
    ),
    "bass": Timbre(_K[:20], _K[:20] ** -1.1 * np.exp(-_K[:20] / 9), 1.2 / _K[:20] ** 0.6),
}


def struck(instrument: str | Timbre, f0_hz: float, seconds: float, *, sr: int) -> np.ndarray:
    """A note, held and let go within another 0.15 s.

    Parameters
    ----------
    instrument : str or Timbre
        A name in `INSTRUMENTS`, or one of your own.
    f0_hz : float
        Above 0.
    seconds : float
        How long it is held.
    sr : int
        Samples a second.

    Returns
    -------
    ndarray (samples,)
    """
    timbre = instrument if isinstance(instrument, Timbre) else INSTRUMENTS[instrument]
    samples = round((seconds + 0.15) * sr)
    t = np.arange(samples) / sr
    sound = partials(f0_hz * timbre.multiples, timbre.strengths, timbre.decays_s, samples, sr)
    return sound * ramp(t / timbre.attack_s) * ramp((seconds + 0.15 - t) / 0.15)


def drum_hit(kind: str, *, sr: int, rng: np.random.Generator, tune: float = 1.0) -> np.ndarray:
    """One hit, from its first sample on; each call draws new noise, so that no two are alike.

    Parameters
    ----------
    kind : str
        A class of `DRUM_CLASSES`.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.
    tune : float
        A factor on its frequencies.

    Returns
    -------
    ndarray (samples,)
        Peak 1.

    Raises
    ------
    InputError
        For an unknown class.
    """
    if kind not in DRUM_CLASSES:
        raise InputError(f"unknown drum class {kind!r}; choose one of {', '.join(DRUM_CLASSES)}")
    seconds = {"kick": 0.4, "snare": 0.35, "open_hihat": 0.6, "closed_hihat": 0.12, "toms": 0.6}[
        kind
    ]
    samples = round(seconds * sr)
    t = np.arange(samples) / sr
    if kind in ("kick", "toms"):  # a skin is tightest just after the stroke: the pitch falls
        high_hz, low_hz, fall_s, decay_s = (
            (170, 52, 0.025, 0.11) if kind == "kick" else (165, 110, 0.06, 0.17)
        )
        cycles = low_hz * t + (high_hz - low_hz) * fall_s * (1 - np.exp(-t / fall_s))
        hit = np.sin(2 * np.pi * tune * cycles) * np.exp(-t / decay_s)
        hit += 0.12 * noise_band(rng, samples, 1000, 5000, sr) * np.exp(-t / 0.006)
    elif kind == "snare":
        hit = partials(
            tune * np.array([185, 330, 490, 720]),
            [0.6, 0.5, 0.4, 0.2],
            [0.08, 0.06, 0.05, 0.04],
            samples,
            sr,
        )
        hit += 0.45 * noise_band(rng, samples, 400, 8000, sr) * np.exp(-t / 0.07)
    else:
        decay_s = 0.17 if kind == "open_hihat" else 0.022
        hit = partials(
            tune * np.array([3187, 4421, 5903, 7349, 8627, 9871]), 0.15, decay_s, samples, sr
        )  # no simple ratios
        hit += 0.3 * noise_band(rng, samples, 6500, 15000, sr) * np.exp(-t / decay_s)
    hit *= ramp((seconds - t) / 0.02)
    return hit / np.abs(hit).max()


def room(
    sound: np.ndarray,
    *,
    sr: int,
    rng: np.random.Generator,
    wet: float,
    seconds: float = 0.6,
) -> np.ndarray:
    """A sound and its echo in a small room: decaying noise of unit energy.

    Parameters
    ----------
    sound : ndarray (samples,)
        The dry sound, of any level.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.
    wet : float
        The echo's factor; 0 is dry.
    seconds : float
        In which the echo becomes 60 dB softer.

    Returns
    -------
    ndarray (samples,)
    """
    t = np.arange(round(seconds * sr)) / sr
    echo = noise_band(rng, len(t), 200, 5000, sr) * np.exp(-6.9 * t / seconds) * ramp(t / 0.02)
    return sound + wet * signal.oaconvolve(sound, echo / np.linalg.norm(echo))[: len(sound)]


def play(notes: list[Note], instrument: str | Timbre, samples: int, *, sr: int) -> np.ndarray:
    """A part for one instrument; equal notes are made once.

    Parameters
    ----------
    notes : list of Note
        In any order; what lies outside the track is lost.
    instrument : str or Timbre
        A name in `INSTRUMENTS`, or one of your own.
    samples : int
        Length of the track.
    sr : int
        Samples a second.

    Returns
    -------
    ndarray (samples,)
    """
    track, made = np.zeros(samples), {}
    for note in notes:
        kind = (note.midi, round(note.end_s - note.start_s, 4))
        if kind not in made:
            made[kind] = struck(instrument, grids.midi_to_hz(note.midi), kind[1], sr=sr)
        add(track, note.velocity * made[kind], note.start_s, sr)
    return track


def play_drums(
    hits: list[Hit], samples: int, *, sr: int, rng: np.random.Generator
) -> tuple[np.ndarray, DrumOnsets]:
    """A drum part and its truth; a hi-hat stroke ends an open hi-hat.

    Parameters
    ----------
    hits : list of Hit
        In any order, of classes in `DRUM_CLASSES`.
    samples : int
        Length of the track; what begins later is left out.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.

    Returns
    -------
    track : ndarray (samples,)
    onsets : DrumOnsets
        Exact to the sample.
    """
    track, onsets = np.zeros(samples), []
    hats_s = np.array([hit.time_s for hit in hits if "hihat" in hit.kind])
    for hit in hits:
        start = round(hit.time_s * sr)
        if start >= samples:
            continue
        sound = (
            hit.velocity
            * _DRUM_LEVELS[hit.kind]
            * drum_hit(hit.kind, sr=sr, rng=rng, tune=hit.tune)
        )
        if hit.kind == "open_hihat":
            closes_s = np.min(hats_s, initial=np.inf, where=hats_s > hit.time_s) - hit.time_s
            sound *= ramp((closes_s - np.arange(len(sound)) / sr) / 0.02)
        add(track, sound, start / sr, sr)
        onsets.append((start / sr, hit.kind, hit.velocity))
    times_s, classes, velocity = zip(*onsets, strict=True) if onsets else ((), (), ())
    return track, DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))

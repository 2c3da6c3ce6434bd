"""The voice: a pulse for every period, through a throat that moves.

And a singer's way with a line of notes.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft, signal
from scipy.ndimage import gaussian_filter1d

from melodylab.dsp import grids
from melodylab.synth.sounds import Note, add, noise_band, ramp

# four formants of a man's vowels in Hz: three after Peterson and Barney 1952 (Table II), the
# fourth as in a tube of 17 cm
VOWELS_HZ = {
    "a": (730, 1090, 2440, 3500),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3500),
    "o": (570, 840, 2410, 3500),
    "u": (300, 870, 2240, 3500),
}


_CONTROL_HZ = (
    500  # a singer decides on pitch, level and vowel this often; samples come by interpolation
)


def pulses(f0_hz: np.ndarray, sr: int) -> np.ndarray:
    """A pulse train whose phase is the running sum of f0: sum of cos(k phase) below Nyquist.

    Parameters
    ----------
    f0_hz : ndarray (samples,)
        The pitch at every sample, above 0.
    sr : int
        Samples a second.

    Returns
    -------
    ndarray (samples,)
        No harmonic reaches 0.48 sr (or 14 kHz), so nothing folds back.
    """
    phase = np.angle(np.exp(2j * np.pi * np.cumsum(f0_hz) / sr))
    count = np.maximum(min(0.48 * sr, 14000) / f0_hz - 1, 0)
    whole = np.floor(count)
    half = np.where(np.abs(phase) < 1e-6, 1e-6, phase) / 2
    # the sum in closed form (Dirichlet kernel), and one harmonic more that fades in as f0 falls
    return (np.sin((2 * whole + 1) * half) / np.sin(half) - 1) / 2 + (count - whole) * np.cos(
        (whole + 1) * phase
    )


def vocal_tract(freqs_hz: np.ndarray, formants_hz: np.ndarray) -> np.ndarray:
    """Response of a throat: resonances in cascade, and a tilt of 6 dB an octave above 300 Hz.

    Seven more resonances, which hardly differ between vowels, follow every kilohertz. Vowels differ
    in level by half the dB they would. Scaled so that a full voice has about unit power.

    Parameters
    ----------
    freqs_hz : ndarray (bins,)
        Where the response is wanted, 0 or more.
    formants_hz : ndarray (frames, 4)
        The four lowest resonances, rising, frame by frame.

    Returns
    -------
    ndarray, complex (frames, bins)
    """
    response = 0.25 / (1 + freqs_hz / 300)
    higher_hz = [formants_hz[:, 3] + 1000 * n for n in range(1, 8)]
    for formant_hz, width_hz in zip(
        [*formants_hz.T, *higher_hz], (70, 100, 160, 200, *7 * [300]), strict=True
    ):
        at = formant_hz[:, None]
        response = response * (at**2 / (at**2 - freqs_hz**2 + 1j * width_hz * freqs_hz))
    return response / np.sqrt(4 * np.sqrt(np.mean(np.abs(response) ** 2, axis=1, keepdims=True)))


def sing(
    f0_hz: np.ndarray,
    level: np.ndarray,
    formants_hz: np.ndarray | tuple[float, ...],
    *,
    sr: int,
    rng: np.random.Generator,
    breath: np.ndarray | None = None,
) -> np.ndarray:
    """A sung sound: pulses and breath noise through moving formants.

    Parameters
    ----------
    f0_hz : ndarray (samples,)
        The pitch at every sample, above 0.
    level : ndarray (samples,)
        0 is silent, 1 a full voice.
    formants_hz : array (4,) or (points, 4)
        One steady vowel, such as `VOWELS_HZ["a"]`, or points spread evenly over the sound.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.
    breath : ndarray (samples,), optional
        Strength of the noise; 0.04 level if not given.

    Returns
    -------
    ndarray (samples,)
    """
    breath = 0.04 * level if breath is None else breath
    noise = np.sqrt(sr / 800) * rng.standard_normal(
        len(f0_hz)
    )  # at breath = 1 as strong per Hz as the pulses
    source = level * np.sqrt(f0_hz / 200) * pulses(f0_hz, sr) + breath * noise
    # overlap-add: Hann frames of two hops sum to 1; each is filtered on its own and rings for
    # two hops more
    hop, samples, formants_hz = max(16, round(0.0116 * sr)), len(source), np.atleast_2d(formants_hz)
    frames, size = 2 + samples // hop, fft.next_fast_len(4 * hop, real=True)
    cut = np.lib.stride_tricks.sliding_window_view(
        np.pad(source, (hop, (frames + 1) * hop - hop - samples)), 2 * hop
    )[::hop]
    place = np.linspace(0, len(formants_hz) - 1, frames)
    formants_hz = np.stack(
        [np.interp(place, np.arange(len(track)), track) for track in formants_hz.T], axis=1
    )
    sung, window = np.zeros((frames + 3, hop)), signal.get_window("hann", 2 * hop)
    for first in range(0, frames, 512):  # in blocks, for memory
        last = min(first + 512, frames)
        response = vocal_tract(fft.rfftfreq(size, 1 / sr), formants_hz[first:last])
        ringing = fft.irfft(fft.rfft(cut[first:last] * window, size) * response, size)[:, : 4 * hop]
        for part in range(4):
            sung[first + part : last + part] += ringing[:, part * hop : (part + 1) * hop]
    return sung.ravel()[hop : hop + samples]


class Performance(NamedTuple):
    """How a singer takes a line.

    Attributes
    ----------
    f0_hz, level, breath : ndarray (samples,)
        As `sing` takes them.
    consonants : ndarray (samples,)
        Finished noise, to be added.
    formants_hz : ndarray (points, 4)
        Spread evenly over the line.
    """

    f0_hz: np.ndarray
    level: np.ndarray
    breath: np.ndarray
    consonants: np.ndarray
    formants_hz: np.ndarray


_CONSONANTS = ("none", "m", "s", "t")


def perform(
    notes: list[Note],
    samples: int,
    *,
    sr: int,
    rng: np.random.Generator,
    tract: float = 1.0,
    attacks: tuple[float, float, float, float] = (0.3, 0.36, 0.17, 0.17),
    noise_s: tuple[float, float] = (0.06, 0.11),
) -> Performance:
    """Let a singer think about notes.

    Glides, scoops, falls, and vibrato that comes late and changes its rate; a breath before each
    phrase. Some notes follow without a consonant; m or n nearly shut the mouth; s and t stop the
    voice (level 0) shortly before the beat.

    Parameters
    ----------
    notes : list of Note
        In order of time.
    samples : int
        Length of the line.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.
    tract : float
        Scales the formants: 1 for a man, about 1.17 for a woman.
    attacks : tuple of 4 floats
        How often a note inside a phrase begins with no consonant, m, s or t; they sum to 1.
    noise_s : (float, float)
        How many seconds s and t last, from and to.

    Returns
    -------
    Performance
        Ready for `sing`.
    """
    t = np.arange(max(2, int(np.ceil(samples / sr * _CONTROL_HZ)) + 1)) / _CONTROL_HZ
    midi, formants = (
        np.full(len(t), float(notes[0].midi if notes else 60)),
        np.full((len(t), 4), VOWELS_HZ["a"], float),
    )
    level, breath, bend, vibrato, shut = np.zeros((5, len(t)))
    consonants = np.zeros(samples)

    def span(start_s, end_s=np.inf):
        return slice(*np.searchsorted(t, (start_s, end_s)))

    def gate(start_s, end_s):
        run = span(start_s, end_s)
        level[run] = np.minimum(ramp((t[run] - start_s) / 0.03), ramp((end_s - t[run]) / 0.05))

    voice_from_s = end_s = -9.0  # of the voiced run and of the note before this one
    for number, this in enumerate(notes):
        after = notes[number + 1] if number + 1 < len(notes) else None
        start_s, rest_s = this.start_s, this.start_s - end_s
        opens = rest_s > 0.15
        kind = rng.choice(_CONSONANTS, p=(0, 0.4, 0.3, 0.3) if opens else attacks)
        stop_s = rng.uniform(*noise_s) if kind in ("s", "t") else 0.0
        if opens:
            inhale = span(start_s - stop_s - min(0.5, rest_s - 0.02), start_s - stop_s - 0.06)
            breath[inhale] = rng.uniform(0.04, 0.09) * np.hanning(len(t[inhale]))
        if stop_s:
            add(consonants, _consonant(kind, stop_s, sr, rng), start_s - stop_s, sr)
        if opens or stop_s:  # the voice stops and starts again
            gate(voice_from_s, min(end_s, start_s - stop_s - 0.01))
            voice_from_s = start_s
            midi[span(start_s - 0.02)] = this.midi
            scoop = span(start_s - 0.02, start_s + 0.4)
            bend[scoop] -= rng.choice([0, rng.uniform(0.3, 1.8)]) * np.exp(
                -np.maximum(t[scoop] - start_s, 0) / 0.05
            )
        else:
            half_s, before = rng.uniform(0.025, 0.065), midi[-1]
            midi[span(start_s - half_s)] = this.midi
            glide = span(start_s - half_s, start_s + half_s)
            midi[glide] = before + (this.midi - before) * ramp(
                (t[glide] - start_s + half_s) / (2 * half_s)
            )
        if kind == "m":
            hum = span(start_s - 0.07, start_s + 0.03)
            shut[hum] = 0.65 * np.hanning(len(t[hum]))
            formants[hum, 0] = 250
        if kind != "none":
            formants[span(start_s + (0.03 if kind == "m" else -0.05))] = VOWELS_HZ[
                rng.choice(list(VOWELS_HZ))
            ]
        late_s, depth, end_s = rng.uniform(0.12, 0.35), rng.uniform(0.2, 0.55), this.end_s
        if end_s - start_s > late_s + 0.2:
            held = span(start_s + late_s, end_s)
            vibrato[held] = depth * ramp((t[held] - start_s - late_s) / 0.3)
        if (after is None or after.start_s - end_s > 0.15) and rng.random() < 0.4:
            fall = span(end_s - 0.12, end_s + 0.02)
            bend[fall] -= (
                rng.uniform(0.5, 1.5) * np.minimum((t[fall] - end_s + 0.12) / 0.12, 1) ** 2
            )
    gate(voice_from_s, end_s)
    wave = np.sin(2 * np.pi * np.cumsum(5.6 + 0.6 * wander(rng, len(t), 0.6)) / _CONTROL_HZ)
    midi += gaussian_filter1d(bend, 3) + gaussian_filter1d(vibrato, 20) * wave
    midi += 0.06 * wander(rng, len(t), 0.25) + 0.02 * wander(
        rng, len(t), 0.01
    )  # nobody holds a pitch quite still
    level *= (1 - gaussian_filter1d(shut, 4)) * 10 ** (
        (2 * wander(rng, len(t), 0.4) + vibrato * wave) / 20
    )
    formants = tract * gaussian_filter1d(formants, 11, axis=0)
    formants[:, 0] = np.maximum(formants[:, 0], grids.midi_to_hz(midi))  # high notes open the mouth
    midi, level, breath = (
        np.interp(np.arange(samples) / sr, t, curve) for curve in (midi, level, breath)
    )
    return Performance(grids.midi_to_hz(midi), level, 0.04 * level + breath, consonants, formants)


def _consonant(kind, seconds, sr, rng):
    """An s (noise all the time) or a t (silence, then a burst that dies away)."""
    t = np.arange(round(seconds * sr)) / sr
    if kind == "s":
        return 0.35 * noise_band(rng, len(t), 4500, 9500, sr) * np.hanning(len(t))
    burst_s = t - seconds + 0.03
    return (
        0.6
        * noise_band(rng, len(t), 2000, 7000, sr)
        * (burst_s > 0)
        * np.exp(-np.maximum(burst_s, 0) / 0.008)
    )


def wander(rng: np.random.Generator, points: int, seconds: float) -> np.ndarray:
    """A smooth random curve at the control rate.

    Parameters
    ----------
    rng : numpy.random.Generator
        What it draws from.
    points : int
        Length of the curve.
    seconds : float
        Within which it is new, about.

    Returns
    -------
    ndarray (points,)
        Standard deviation 1.
    """
    sigma = seconds * _CONTROL_HZ
    return gaussian_filter1d(rng.standard_normal(points), sigma) * np.sqrt(
        2 * np.sqrt(np.pi) * sigma
    )

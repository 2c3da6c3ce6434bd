"""Songs made from nothing but a seed, with the exact truth beside them: sung line, chords, bass, five drums.

Conventions: sounds are float64 (samples,) at rate `sr`; `demo_song` sets their levels and rounds them to float32. Pitches
are MIDI numbers (60 = middle C, fractions allowed) until they become Hz. A `Score` says what is played and when, in
seconds; the voices (`sing`, `struck`, `drum_hit`) know nothing of songs and can be used on their own.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import fft, signal
from scipy.ndimage import gaussian_filter1d

from melodylab import grids
from melodylab.files import InputError
from melodylab.records import DrumOnsets, Melody, Song

DRUM_CLASSES = ("kick", "snare", "open_hihat", "closed_hihat", "toms")
MELODY_HOP_SAMPLES = 256
# four formants of a man's vowels in Hz: three after Peterson and Barney 1952 (Table II), the fourth as in a tube of 17 cm
VOWELS_HZ = {
    "a": (730, 1090, 2440, 3500),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3500),
    "o": (570, 840, 2410, 3500),
    "u": (300, 870, 2240, 3500),
}
_CONTROL_HZ = 500  # a singer decides on pitch, level and vowel this often; samples come by interpolation


class Note(NamedTuple):
    """One note of a part: when, how high (MIDI), how loud (0..1)."""

    start_s: float
    end_s: float
    midi: float
    velocity: float = 1.0


class Hit(NamedTuple):
    """One stroke on a drum: when, a class of `DRUM_CLASSES`, how loud (0..1); tune tells a high tom from a low one."""

    time_s: float
    kind: str
    velocity: float
    tune: float = 1.0


# ---- the voice: a pulse for every period, through a throat that moves ---------------------------------------------


def pulses(f0_hz, sr):
    """A pulse train (samples,) whose phase is the running sum of f0: sum of cos(k phase), k = 1, 2, ... below Nyquist.

    f0_hz: (samples,) > 0. No harmonic reaches 0.48 sr (or 14 kHz), so nothing folds back.
    """
    phase = np.angle(np.exp(2j * np.pi * np.cumsum(f0_hz) / sr))
    count = np.maximum(min(0.48 * sr, 14000) / f0_hz - 1, 0)
    whole = np.floor(count)
    half = np.where(np.abs(phase) < 1e-6, 1e-6, phase) / 2
    # the sum in closed form (Dirichlet kernel), and one harmonic more that fades in as f0 falls
    return (np.sin((2 * whole + 1) * half) / np.sin(half) - 1) / 2 + (count - whole) * np.cos((whole + 1) * phase)


def vocal_tract(freqs_hz, formants_hz):
    """Complex response (frames, bins) of a throat: resonances in cascade, and a tilt of 6 dB an octave above 300 Hz.

    freqs_hz: (bins,); formants_hz: (frames, 4). Seven more resonances, which hardly differ between vowels, follow every
    kilohertz. Vowels differ in level by half the dB they would. Scaled so that a full voice has about unit power.
    """
    response = 0.25 / (1 + freqs_hz / 300)
    higher_hz = [formants_hz[:, 3] + 1000 * n for n in range(1, 8)]
    for formant_hz, width_hz in zip([*formants_hz.T, *higher_hz], (70, 100, 160, 200, *7 * [300]), strict=True):
        at = formant_hz[:, None]
        response = response * (at**2 / (at**2 - freqs_hz**2 + 1j * width_hz * freqs_hz))
    return response / np.sqrt(4 * np.sqrt(np.mean(np.abs(response) ** 2, axis=1, keepdims=True)))


def sing(f0_hz, level, formants_hz, *, sr, rng, breath=None):
    """A sung sound (samples,): pulses and breath noise through moving formants.

    f0_hz > 0 and level (0 is silent): (samples,). formants_hz: (4,) for one steady vowel, such as `VOWELS_HZ["a"]`, or
    (points, 4) spread evenly over the sound. breath: (samples,) strength of the noise; 0.04 level if not given.
    """
    breath = 0.04 * level if breath is None else breath
    noise = np.sqrt(sr / 800) * rng.standard_normal(len(f0_hz))  # at breath = 1 as strong per Hz as the pulses
    source = level * np.sqrt(f0_hz / 200) * pulses(f0_hz, sr) + breath * noise
    # overlap-add: Hann frames of two hops sum to 1; each is filtered on its own and rings for two hops more
    hop, samples, formants_hz = max(16, round(0.0116 * sr)), len(source), np.atleast_2d(formants_hz)
    frames, size = 2 + samples // hop, fft.next_fast_len(4 * hop, real=True)
    cut = np.lib.stride_tricks.sliding_window_view(np.pad(source, (hop, (frames + 1) * hop - hop - samples)), 2 * hop)[::hop]
    place = np.linspace(0, len(formants_hz) - 1, frames)
    formants_hz = np.stack([np.interp(place, np.arange(len(track)), track) for track in formants_hz.T], axis=1)
    sung, window = np.zeros((frames + 3, hop)), signal.get_window("hann", 2 * hop)
    for first in range(0, frames, 512):  # in blocks, for memory
        last = min(first + 512, frames)
        response = vocal_tract(fft.rfftfreq(size, 1 / sr), formants_hz[first:last])
        ringing = fft.irfft(fft.rfft(cut[first:last] * window, size) * response, size)[:, : 4 * hop]
        for part in range(4):
            sung[first + part : last + part] += ringing[:, part * hop : (part + 1) * hop]
    return sung.ravel()[hop : hop + samples]


class Performance(NamedTuple):
    """How a singer takes a line: f0_hz, level, breath, consonants (finished noise) (samples,); formants_hz (points, 4)."""

    f0_hz: np.ndarray
    level: np.ndarray
    breath: np.ndarray
    consonants: np.ndarray
    formants_hz: np.ndarray


def perform(notes, samples, *, sr, rng, tract=1.0):
    """Let a singer think about `notes` (in order of time): a `Performance` of so many samples, ready for `sing`.

    Glides, scoops, falls, and vibrato that comes late and changes its rate; a breath before each phrase. Some notes follow
    without a consonant; m or n nearly shut the mouth; s and t stop the voice (level 0) shortly before the beat.
    tract scales the formants: 1 for a man, about 1.17 for a woman.
    """
    t = np.arange(max(2, int(np.ceil(samples / sr * _CONTROL_HZ)) + 1)) / _CONTROL_HZ
    midi, formants = np.full(len(t), float(notes[0].midi if notes else 60)), np.full((len(t), 4), VOWELS_HZ["a"], float)
    level, breath, bend, vibrato, shut = np.zeros((5, len(t)))
    consonants = np.zeros(samples)

    def span(start_s, end_s=np.inf):
        return slice(*np.searchsorted(t, (start_s, end_s)))

    def gate(start_s, end_s):
        run = span(start_s, end_s)
        level[run] = np.minimum(_ramp((t[run] - start_s) / 0.03), _ramp((end_s - t[run]) / 0.05))

    voice_from_s = end_s = -9.0  # of the voiced run and of the note before this one
    for number, this in enumerate(notes):
        after = notes[number + 1] if number + 1 < len(notes) else None
        start_s, rest_s = this.start_s, this.start_s - end_s
        opens = rest_s > 0.15
        kind = rng.choice(["none", "m", "s", "t"], p=(0, 0.4, 0.3, 0.3) if opens else (0.3, 0.36, 0.17, 0.17))
        noise_s = rng.uniform(0.06, 0.11) if kind in ("s", "t") else 0.0
        if opens:
            inhale = span(start_s - noise_s - min(0.5, rest_s - 0.02), start_s - noise_s - 0.06)
            breath[inhale] = rng.uniform(0.04, 0.09) * np.hanning(len(t[inhale]))
        if noise_s:
            _add(consonants, _consonant(kind, noise_s, sr, rng), start_s - noise_s, sr)
        if opens or noise_s:  # the voice stops and starts again
            gate(voice_from_s, min(end_s, start_s - noise_s - 0.01))
            voice_from_s = start_s
            midi[span(start_s - 0.02)] = this.midi
            scoop = span(start_s - 0.02, start_s + 0.4)
            bend[scoop] -= rng.choice([0, rng.uniform(0.3, 1.8)]) * np.exp(-np.maximum(t[scoop] - start_s, 0) / 0.05)
        else:
            half_s, before = rng.uniform(0.025, 0.065), midi[-1]
            midi[span(start_s - half_s)] = this.midi
            glide = span(start_s - half_s, start_s + half_s)
            midi[glide] = before + (this.midi - before) * _ramp((t[glide] - start_s + half_s) / (2 * half_s))
        if kind == "m":
            hum = span(start_s - 0.07, start_s + 0.03)
            shut[hum] = 0.65 * np.hanning(len(t[hum]))
            formants[hum, 0] = 250
        if kind != "none":
            formants[span(start_s + (0.03 if kind == "m" else -0.05))] = VOWELS_HZ[rng.choice(list(VOWELS_HZ))]
        late_s, depth, end_s = rng.uniform(0.12, 0.35), rng.uniform(0.2, 0.55), this.end_s
        if end_s - start_s > late_s + 0.2:
            held = span(start_s + late_s, end_s)
            vibrato[held] = depth * _ramp((t[held] - start_s - late_s) / 0.3)
        if (after is None or after.start_s - end_s > 0.15) and rng.random() < 0.4:
            fall = span(end_s - 0.12, end_s + 0.02)
            bend[fall] -= rng.uniform(0.5, 1.5) * np.minimum((t[fall] - end_s + 0.12) / 0.12, 1) ** 2
    gate(voice_from_s, end_s)
    wave = np.sin(2 * np.pi * np.cumsum(5.6 + 0.6 * _wander(rng, len(t), 0.6)) / _CONTROL_HZ)
    midi += gaussian_filter1d(bend, 3) + gaussian_filter1d(vibrato, 20) * wave
    midi += 0.06 * _wander(rng, len(t), 0.25) + 0.02 * _wander(rng, len(t), 0.01)  # nobody holds a pitch quite still
    level *= (1 - gaussian_filter1d(shut, 4)) * 10 ** ((2 * _wander(rng, len(t), 0.4) + vibrato * wave) / 20)
    formants = tract * gaussian_filter1d(formants, 11, axis=0)
    formants[:, 0] = np.maximum(formants[:, 0], grids.midi_to_hz(midi))  # high notes open the mouth
    midi, level, breath = (np.interp(np.arange(samples) / sr, t, curve) for curve in (midi, level, breath))
    return Performance(grids.midi_to_hz(midi), level, 0.04 * level + breath, consonants, formants)


def _consonant(kind, seconds, sr, rng):
    """An s (noise all the time) or a t (silence, then a burst that dies away)."""
    t = np.arange(round(seconds * sr)) / sr
    if kind == "s":
        return 0.35 * noise_band(rng, len(t), 4500, 9500, sr) * np.hanning(len(t))
    burst_s = t - seconds + 0.03
    return 0.6 * noise_band(rng, len(t), 2000, 7000, sr) * (burst_s > 0) * np.exp(-np.maximum(burst_s, 0) / 0.008)


def _ramp(x):
    """0 below 0, 1 above 1, half a cosine between."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0, 1))


def _wander(rng, points, seconds):
    """A smooth random curve (points,) at the control rate: standard deviation 1, new within about `seconds`."""
    sigma = seconds * _CONTROL_HZ
    return gaussian_filter1d(rng.standard_normal(points), sigma) * np.sqrt(2 * np.sqrt(np.pi) * sigma)


# ---- what is struck -----------------------------------------------------------------------------------------------


def partials(freqs_hz, amplitudes, decays_s, samples, sr):
    """Sum of decaying sines a exp(-t / d) sin(2 pi f t), (samples,); partials at or above Nyquist are left out.

    One matrix product does it: with n = 128 i + j, z ** n is z ** (128 i) times z ** j.
    """
    freqs_hz, amplitudes, decays_s = np.broadcast_arrays(np.atleast_1d(freqs_hz), amplitudes, decays_s)
    log_z = (2j * np.pi * freqs_hz - 1 / decays_s) / sr
    coarse = amplitudes * (freqs_hz < sr / 2) * np.exp(np.outer(128 * np.arange(-(-samples // 128)), log_z))
    fine = np.exp(np.outer(log_z, np.arange(128)))
    return (coarse.real @ fine.imag + coarse.imag @ fine.real).ravel()[:samples]


def noise_band(rng, samples, low_hz, high_hz, sr):
    """Noise (samples,) of unit power between two frequencies, with soft slopes; a band above 0.3 sr moves down to it."""
    size = fft.next_fast_len(samples, real=True)
    f = np.maximum(fft.rfftfreq(size, 1 / sr), 1)
    noise = fft.rfft(rng.standard_normal(size)) / (1 + (min(low_hz, 0.3 * sr) / f) ** 6) / (1 + (f / high_hz) ** 6)
    noise = fft.irfft(noise, size)[:samples]
    return noise / max(_rms(noise), 1e-9)


class Timbre(NamedTuple):
    """An instrument: its partials as multiples of f0, how strong each is, how long it rings, how softly a note begins."""

    multiples: np.ndarray
    strengths: np.ndarray
    decays_s: np.ndarray
    attack_s: float = 0.003


_K = np.arange(1.0, 33)
_OUT_OF_TUNE = 2 ** (np.array([[-5], [0], [6]]) / 1200)
INSTRUMENTS = {
    "pluck": Timbre(_K * np.sqrt(1 + 1e-4 * _K**2), np.abs(np.sin(np.pi * 0.23 * _K)) / _K**1.1, 1.4 / (1 + 0.2 * _K)),
    "keys": Timbre(np.array([1, 2, 3, 4, 7.03]), np.array([1, 0.5, 0.25, 0.12, 0.25]), 1.6 / np.array([1, 2, 3, 4, 13])),
    "pad": Timbre((_OUT_OF_TUNE * _K[:16]).ravel(), np.tile(_K[:16] ** -1.4, 3), np.array([9.0]), 0.12),
    "bass": Timbre(_K[:20], _K[:20] ** -1.1 * np.exp(-_K[:20] / 9), 1.2 / _K[:20] ** 0.6),
}


def struck(instrument, f0_hz, seconds, *, sr):
    """A note of one of `INSTRUMENTS` (samples,), held for `seconds` and let go within another 0.15 s."""
    timbre, samples = INSTRUMENTS[instrument], round((seconds + 0.15) * sr)
    t = np.arange(samples) / sr
    sound = partials(f0_hz * timbre.multiples, timbre.strengths, timbre.decays_s, samples, sr)
    return sound * _ramp(t / timbre.attack_s) * _ramp((seconds + 0.15 - t) / 0.15)


def drum_hit(kind, *, sr, rng, tune=1.0):
    """One hit of a class in `DRUM_CLASSES` (samples,), peak 1, from its first sample on. tune scales its frequencies.

    Each call draws new noise: no two hits are alike. Raises InputError for an unknown class.
    """
    if kind not in DRUM_CLASSES:
        raise InputError(f"unknown drum class {kind!r}; choose one of {', '.join(DRUM_CLASSES)}")
    seconds = {"kick": 0.4, "snare": 0.35, "open_hihat": 0.6, "closed_hihat": 0.12, "toms": 0.6}[kind]
    samples = round(seconds * sr)
    t = np.arange(samples) / sr
    if kind in ("kick", "toms"):  # a skin is tightest just after the stroke: the pitch falls
        high_hz, low_hz, fall_s, decay_s = (170, 52, 0.025, 0.11) if kind == "kick" else (165, 110, 0.06, 0.17)
        cycles = low_hz * t + (high_hz - low_hz) * fall_s * (1 - np.exp(-t / fall_s))
        hit = np.sin(2 * np.pi * tune * cycles) * np.exp(-t / decay_s)
        hit += 0.12 * noise_band(rng, samples, 1000, 5000, sr) * np.exp(-t / 0.006)
    elif kind == "snare":
        hit = partials(tune * np.array([185, 330, 490, 720]), [0.6, 0.5, 0.4, 0.2], [0.08, 0.06, 0.05, 0.04], samples, sr)
        hit += 0.45 * noise_band(rng, samples, 400, 8000, sr) * np.exp(-t / 0.07)
    else:
        decay_s = 0.17 if kind == "open_hihat" else 0.022
        hit = partials(tune * np.array([3187, 4421, 5903, 7349, 8627, 9871]), 0.15, decay_s, samples, sr)  # no simple ratios
        hit += 0.3 * noise_band(rng, samples, 6500, 15000, sr) * np.exp(-t / decay_s)
    hit *= _ramp((seconds - t) / 0.02)
    return hit / np.abs(hit).max()


def room(sound, *, sr, rng, wet, seconds=0.6):
    """`sound` (samples,) plus `wet` times its echo in a small room: decaying noise of unit energy, RT60 `seconds`."""
    t = np.arange(round(seconds * sr)) / sr
    echo = noise_band(rng, len(t), 200, 5000, sr) * np.exp(-6.9 * t / seconds) * _ramp(t / 0.02)
    return sound + wet * signal.oaconvolve(sound, echo / np.linalg.norm(echo))[: len(sound)]


def play(notes, instrument, samples, *, sr):
    """A part for one of `INSTRUMENTS`, (samples,). Equal notes are made once."""
    track, made = np.zeros(samples), {}
    for note in notes:
        kind = (note.midi, round(note.end_s - note.start_s, 4))
        if kind not in made:
            made[kind] = struck(instrument, grids.midi_to_hz(note.midi), kind[1], sr=sr)
        _add(track, note.velocity * made[kind], note.start_s, sr)
    return track


def play_drums(hits, samples, *, sr, rng):
    """A drum part (samples,) and its truth, `DrumOnsets` exact to the sample. A hi-hat stroke ends an open hi-hat."""
    track, onsets = np.zeros(samples), []
    hats_s = np.array([hit.time_s for hit in hits if "hihat" in hit.kind])
    for hit in hits:
        start = round(hit.time_s * sr)
        if start >= samples:
            continue
        sound = hit.velocity * _DRUM_LEVELS[hit.kind] * drum_hit(hit.kind, sr=sr, rng=rng, tune=hit.tune)
        if hit.kind == "open_hihat":
            closes_s = np.min(hats_s, initial=np.inf, where=hats_s > hit.time_s) - hit.time_s
            sound *= _ramp((closes_s - np.arange(len(sound)) / sr) / 0.02)
        _add(track, sound, start / sr, sr)
        onsets.append((start / sr, hit.kind, hit.velocity))
    times_s, classes, velocity = zip(*onsets, strict=True) if onsets else ((), (), ())
    return track, DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))


def _add(track, sound, start_s, sr):
    """Add `sound` to `track` in place from the sample nearest start_s on; what lies outside is lost."""
    start = round(start_s * sr)
    a, b = max(start, 0), min(start + len(sound), len(track))
    if a < b:
        track[a:b] += sound[a - start : b - start]


def _rms(sound):
    return np.sqrt(np.mean(np.square(sound)))


# ---- the composer -------------------------------------------------------------------------------------------------

_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_PROGRESSIONS = {  # the scale step each bar's chord stands on, 0 = the key note
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 5, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 2, 6, 5)),
}
# rhythms of a sung bar in eighths, negative = rest; the closing ones leave room to breathe
_BARS = ((2, 2, 2, 2), (3, 1, 2, 2), (2, 1, 1, 4), (1, 1, 2, 2, 2), (3, 3, 2), (-1, 1, 2, 1, 1, 2), (-2, 2, 2, 2), (4, 2, 2))
_CLOSINGS = ((2, 4, -2), (1, 1, 4, -2), (3, 3, -2), (2, 1, 3, -2), (6, -2), (1, 1, 1, 3, -2))
_KICKS = ((0, 4), (0, 3, 4), (0, 4, 5), (0, 3, 6), (0, 4, 7))
_ACCOMPANIMENTS = {  # a bar of chords: (start, length) in eighths, which notes of the triad
    "pluck": [(0, 7, (0,)), *((i, 3, (tone,)) for i, tone in enumerate((0, 1, 2, 1, 0, 2, 1, 2)))],
    "keys": [(0, 3, (0, 1, 2)), (3, 3, (0, 1, 2)), (6, 2, (1, 2))],
    "pad": [(0, 8, (0, 1, 2))],
}


@dataclass(frozen=True)
class Score:
    """What is played: parts as lists of `Note`, drums as a list of `Hit`. singer: "woman" or "man"."""

    tempo_bpm: int
    key: str
    singer: str
    chord_instrument: str
    melody: list
    chords: list
    bass: list
    drums: list


def compose(seed=0, seconds=20):
    """Write a `Score` at least `seconds` long; a longer one of the same seed begins with the shorter one.

    A bar of introduction, then cycles of eight bars: a phrase of two bars, the same with another ending, a bar without
    melody, a phrase of three bars. Strong beats and long notes take chord tones, the rest moves in steps.
    """
    rng = np.random.default_rng([seed, 0])
    mode, chord_instrument = rng.choice(["major", "minor"]), rng.choice(["pluck", "keys", "pad"])
    tempo_bpm, tonic, singer = int(rng.integers(84, 127)), int(rng.integers(12)), ("woman", "man")[seed % 2]
    progression = _PROGRESSIONS[mode][rng.integers(len(_PROGRESSIONS[mode]))]
    kick, tuning = _KICKS[rng.integers(len(_KICKS))], dict(zip(DRUM_CLASSES, rng.uniform(0.88, 1.14, 5), strict=True))
    eighth_s = 30 / tempo_bpm
    lowest = 57 if singer == "woman" else 45

    def pitch(step):
        return tonic + _SCALES[mode][step % 7] + 12 * (step // 7)

    steps = [s for s in range(70) if lowest <= pitch(s) <= lowest + 16]  # an octave and a third

    def draw(bars):
        """A phrase before it meets its chords: [(start, length) in eighths], [moves in scale steps], first up, then down."""
        cells = [*(_BARS[i] for i in rng.integers(len(_BARS), size=bars - 1)), _CLOSINGS[rng.integers(len(_CLOSINGS))]]
        lengths = np.concatenate(cells)
        starts = np.cumsum(np.abs(lengths)) - np.abs(lengths)
        rhythm = [(int(a), int(b)) for a, b in zip(starts, lengths, strict=True) if b > 0]
        moves = rng.choice([-2, -1, 1, 2, 3], p=(0.1, 0.25, 0.4, 0.2, 0.05), size=len(rhythm))
        return rhythm, [int(m) if i < len(moves) / 2 else -int(m) for i, m in enumerate(moves)]

    def realise(rhythm, moves, first_bar):
        step = steps[len(steps) // 2] - 2
        for (start, length), move in zip(rhythm, moves, strict=True):
            step += move if steps[0] <= step + move <= steps[-1] else -move
            if start % 4 == 0 or length > 2:
                root = progression[(first_bar - 1 + start // 8) % 4]
                near = [s for s in steps if abs(s - step) <= 2]
                step = min(near, key=lambda s: ((s - root) % 7 not in (0, 2, 4), abs(s - step)))
            at_s = (8 * first_bar + start) * eighth_s
            melody.append(Note(at_s, at_s + length * eighth_s, pitch(step)))

    melody, chords, bass, drums = [], [], [], []
    (rhythm, moves), answer = draw(2), draw(3)
    for bar in range(int(np.ceil(seconds / (8 * eighth_s)))):
        place, at_s = (bar - 1) % 8 if bar else 4, 8 * bar * eighth_s  # the introduction is like a bar without melody
        if bar and place == 0:
            realise(rhythm, moves, bar)
        elif place == 2:
            realise(rhythm, [*moves[:-2], *draw(2)[1][-2:]], bar)
        elif place == 5:
            realise(*answer, bar)
        root = progression[(bar - 1) % 4] if bar else 0
        triad = [51 + (pitch(root + third) - 51) % 12 for third in (0, 2, 4)]
        for start, length, tones in _ACCOMPANIMENTS[chord_instrument]:
            start_s = at_s + start * eighth_s
            chords += [Note(start_s, start_s + length * eighth_s, triad[i], rng.uniform(0.7, 1)) for i in tones]
        for start, end in zip(kick, (*kick[1:], 8), strict=True):  # the bass goes with the kick, now and then on the fifth
            midi = 33 + (pitch(root) - 33) % 12 + (7 if start and rng.random() < 0.25 else 0)
            bass.append(Note(at_s + start * eighth_s, at_s + (end - 0.1) * eighth_s, midi, rng.uniform(0.8, 1)))
        for hit in _drum_bar(kick, rng, fill=place == 4, opens=place in (0, 5)):
            hit_s = max(0.0, at_s + hit.time_s * eighth_s + rng.normal(0, 0.003))  # nobody is exact
            drums.append(Hit(hit_s, hit.kind, hit.velocity, hit.tune * tuning[hit.kind]))
    key = f"{'C Db D Eb E F F# G Ab A Bb B'.split()[tonic]} {mode}"
    return Score(tempo_bpm, key, singer, str(chord_instrument), melody, chords, bass, sorted(drums))


def _drum_bar(kick, rng, *, fill, opens):
    """A bar of `Hit`s, times in eighths. fill: it ends in a run down the toms. opens: an open hi-hat begins it."""
    end, opened = (5 if fill else 8), {0} if opens else set()
    if not fill and rng.random() < 0.5:
        opened.add(7)
    hits = [Hit(i, "kick", rng.uniform(0.85, 1)) for i in kick if i < end]
    hits += [Hit(i, "snare", rng.uniform(0.8, 1)) for i in (2, 6) if i < end]
    for i in range(end):
        kind = "open_hihat" if i in opened else "closed_hihat"
        hits.append(Hit(i, kind, (0.6 if i % 2 else 0.85) * rng.uniform(0.85, 1)))
    run = ((5, 1.4), (5.5, 1.4), (6, 1.15), (7, 0.9), (7.5, 0.9)) if fill else ()
    return hits + [Hit(i, "toms", rng.uniform(0.7, 1), tune) for i, tune in run]


# ---- the song -----------------------------------------------------------------------------------------------------

_DRUM_LEVELS = {"kick": 0.8, "snare": 0.9, "open_hihat": 0.3, "closed_hihat": 0.27, "toms": 0.75}
_LEVELS_DB = {"chords": -5.0, "bass": -3.0, "drums": 0.0}  # power within the backing
_WET = {"melody": 0.2, "chords": 0.3, "drums": 0.12}
_PANS = {"melody": 0.0, "chords": -0.6, "bass": 0.0, "drums": 0.3}  # -1 left, 1 right


def demo_song(seed=0, seconds=20, *, sr=22050, lead_db=1.5, reverb=1.0, stereo=False):
    """A song and its truth: mix, stems "melody", "chords", "bass", "drums", melody, drum onsets. Mono; peak 0.8.

    lead_db: the voice against everything else, where it sings. reverb: 1 is a small room, 0 is dry. stereo: two channels,
    chords to the left and drums to the right. The stems sum to the mix exactly, in any order. `song.melody`: frames
    every 256 samples, f0 by construction; voicing 0 and NaN in breaths, unvoiced consonants and rests. Same seed, same bits.
    Raises InputError unless seconds >= 0.1, sr >= 8000 and seed is a whole number >= 0.
    """
    if not (0.1 <= seconds < np.inf and sr >= 8000 and seed >= 0):
        raise InputError(f"give demo_song seconds >= 0.1, sr >= 8000 and seed >= 0, not {seconds}, {sr}, {seed}")
    sr, samples, score = int(sr), round(seconds * int(sr)), compose(seed, seconds)
    rngs = [np.random.default_rng([seed, part]) for part in range(1, 5)]
    tract = rngs[0].uniform(1.12, 1.2) if score.singer == "woman" else rngs[0].uniform(0.96, 1.04)
    line = perform(score.melody, samples, sr=sr, rng=rngs[0], tract=tract)
    voiced = line.level > 0.1  # 20 dB below a full note
    sung = sing(line.f0_hz, line.level, line.formants_hz, sr=sr, rng=rngs[1], breath=line.breath) + line.consonants
    drums, onsets = play_drums(score.drums, samples, sr=sr, rng=rngs[2])
    chords = play(score.chords, score.chord_instrument, samples, sr=sr)
    stems = {"melody": sung, "chords": chords, "bass": play(score.bass, "bass", samples, sr=sr), "drums": drums}
    for name, wet in _WET.items():
        stems[name] = room(stems[name], sr=sr, rng=rngs[3], wet=wet * reverb)
    for name, db in _LEVELS_DB.items():
        stems[name] *= 10 ** (db / 20) / max(_rms(stems[name]), 1e-9)
    backing = sum(stems[name] for name in _LEVELS_DB)
    stems["melody"] *= 10 ** (lead_db / 20) * (_rms(backing[voiced]) / _rms(sung[voiced]) if voiced.any() else 1)
    fade = _ramp((samples - np.arange(samples)) / (sr * min(0.1, seconds / 4)))
    for name, pan in _PANS.items():
        sides = [[1 - pan], [1 + pan]] / np.sqrt(1 + pan**2) if stereo else np.ones((1, 1))
        stems[name] = sides * fade * stems[name]
    scale = 0.8 / np.abs(sum(stems.values())).max()
    # float32 sums of multiples of 2 ** -22 are exact, whatever their order
    stems = {name: (np.round(stem * scale * 2**22) / 2**22).astype(np.float32) for name, stem in stems.items()}
    frames = 1 + samples // MELODY_HOP_SAMPLES
    at = np.minimum(MELODY_HOP_SAMPLES * np.arange(frames), samples - 1)
    times_s, sings = grids.frame_times_s(frames, MELODY_HOP_SAMPLES, sr), voiced[at]
    melody = Melody(times_s, np.where(sings, line.f0_hz[at], np.nan), sings.astype(float))
    return Song(sum(stems.values()), sr, f"demo-{seed}", stems, melody, onsets)

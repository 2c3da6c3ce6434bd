"""The demo song: a short composer, and everything that makes a score a song with its truth."""

from dataclasses import dataclass

import numpy as np

from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.records import Melody, Song
from melodylab.synth.instruments import DRUM_CLASSES, Hit, play, play_drums, room
from melodylab.synth.sounds import Note, ramp, rms
from melodylab.synth.voices import perform, sing

MELODY_HOP_SAMPLES = 256

# ---- the composer --------------------------------------------------------------------------------

_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_PROGRESSIONS = {  # the scale step each bar's chord stands on, 0 = the key note
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 5, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 2, 6, 5)),
}
# rhythms of a sung bar in eighths, negative = rest; the closing ones leave room to breathe
_BARS = (
    (2, 2, 2, 2),
    (3, 1, 2, 2),
    (2, 1, 1, 4),
    (1, 1, 2, 2, 2),
    (3, 3, 2),
    (-1, 1, 2, 1, 1, 2),
    (-2, 2, 2, 2),
    (4, 2, 2),
)
_CLOSINGS = ((2, 4, -2), (1, 1, 4, -2), (3, 3, -2), (2, 1, 3, -2), (6, -2), (1, 1, 1, 3, -2))
_KICKS = ((0, 4), (0, 3, 4), (0, 4, 5), (0, 3, 6), (0, 4, 7))
_ACCOMPANIMENTS = {  # a bar of chords: (start, length) in eighths, which notes of the triad
    "pluck": [(0, 7, (0,)), *((i, 3, (tone,)) for i, tone in enumerate((0, 1, 2, 1, 0, 2, 1, 2)))],
    "keys": [(0, 3, (0, 1, 2)), (3, 3, (0, 1, 2)), (6, 2, (1, 2))],
    "pad": [(0, 8, (0, 1, 2))],
}


@dataclass(frozen=True)
class Score:
    """What is played.

    Parameters
    ----------
    tempo_bpm : int
        Beats a minute.
    key : str
        Such as "D minor".
    singer : str
        "woman" or "man".
    chord_instrument : str
        A name in `INSTRUMENTS`.
    melody, chords, bass : list of Note
        The notes of each part.
    drums : list of Hit
        The strokes.
    """

    tempo_bpm: int
    key: str
    singer: str
    chord_instrument: str
    melody: list
    chords: list
    bass: list
    drums: list


def compose(seed: int = 0, seconds: float = 20) -> Score:
    """Write a score; a longer one of the same seed begins with the shorter one.

    A bar of introduction, then cycles of eight bars: a phrase of two bars, the same with another
    ending, a bar without melody, a phrase of three bars. Strong beats and long notes take chord
    tones, the rest moves in steps.

    Parameters
    ----------
    seed : int
        0 or more.
    seconds : float
        How long the score is at least.

    Returns
    -------
    Score
    """
    rng = np.random.default_rng([seed, 0])
    mode, chord_instrument = rng.choice(["major", "minor"]), rng.choice(["pluck", "keys", "pad"])
    tempo_bpm, tonic, singer = (
        int(rng.integers(84, 127)),
        int(rng.integers(12)),
        ("woman", "man")[seed % 2],
    )
    progression = _PROGRESSIONS[mode][rng.integers(len(_PROGRESSIONS[mode]))]
    kick, tuning = (
        _KICKS[rng.integers(len(_KICKS))],
        dict(zip(DRUM_CLASSES, rng.uniform(0.88, 1.14, 5), strict=True)),
    )
    eighth_s = 30 / tempo_bpm
    lowest = 57 if singer == "woman" else 45

    def pitch(step):
        return tonic + _SCALES[mode][step % 7] + 12 * (step // 7)

    steps = [s for s in range(70) if lowest <= pitch(s) <= lowest + 16]  # an octave and a third

    def draw(bars):
        """A phrase before it meets its chords.

        [(start, length) in eighths], [moves in scale steps], first up, then down.
        """
        cells = [
            *(_BARS[i] for i in rng.integers(len(_BARS), size=bars - 1)),
            _CLOSINGS[rng.integers(len(_CLOSINGS))],
        ]
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
        place, at_s = (
            (bar - 1) % 8 if bar else 4,
            8 * bar * eighth_s,
        )  # the introduction is like a bar without melody
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
            chords += [
                Note(start_s, start_s + length * eighth_s, triad[i], rng.uniform(0.7, 1))
                for i in tones
            ]
        for start, end in zip(
            kick, (*kick[1:], 8), strict=True
        ):  # the bass goes with the kick, now and then on the fifth
            midi = 33 + (pitch(root) - 33) % 12 + (7 if start and rng.random() < 0.25 else 0)
            bass.append(
                Note(
                    at_s + start * eighth_s,
                    at_s + (end - 0.1) * eighth_s,
                    midi,
                    rng.uniform(0.8, 1),
                )
            )
        for hit in _drum_bar(kick, rng, fill=place == 4, opens=place in (0, 5)):
            hit_s = max(0.0, at_s + hit.time_s * eighth_s + rng.normal(0, 0.003))  # nobody is exact
            drums.append(Hit(hit_s, hit.kind, hit.velocity, hit.tune * tuning[hit.kind]))
    key = f"{['C', 'Db', 'D', 'Eb', 'E', 'F', 'F#', 'G', 'Ab', 'A', 'Bb', 'B'][tonic]} {mode}"
    return Score(tempo_bpm, key, singer, str(chord_instrument), melody, chords, bass, sorted(drums))


def _drum_bar(kick, rng, *, fill, opens):
    """A bar of `Hit`s, times in eighths.

    fill: it ends in a run down the toms. opens: an open hi-hat begins it.
    """
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


# ---- the song ------------------------------------------------------------------------------------

_LEVELS_DB = {"chords": -5.0, "bass": -3.0, "drums": 0.0}  # power within the backing
_WET = {"melody": 0.2, "chords": 0.3, "drums": 0.12}
_PANS = {"melody": 0.0, "chords": -0.6, "bass": 0.0, "drums": 0.3}  # -1 left, 1 right


def demo_song(
    seed: int = 0,
    seconds: float = 20,
    *,
    sr: int = 22050,
    lead_db: float = 1.5,
    reverb: float = 1.0,
    stereo: bool = False,
) -> Song:
    """A song and its truth, made from nothing but a seed. Same seed, same bits.

    Parameters
    ----------
    seed : int
        0 or more.
    seconds : float
        How long, 0.1 or more.
    sr : int
        Samples a second, 8000 or more.
    lead_db : float
        The voice against everything else, in dB, where it sings.
    reverb : float
        1 is a small room, 0 is dry.
    stereo : bool
        Two channels, chords to the left and drums to the right, in place of one.

    Returns
    -------
    Song
        Peak 0.8, with stems "melody", "chords", "bass", "drums" that sum to the mix exactly, in any
        order; its melody: frames every 256 samples, f0 by construction, voicing 0 and NaN in
        breaths, unvoiced consonants and rests; its drum onsets.

    Raises
    ------
    InputError
        For numbers outside these ranges.
    """
    if not (0.1 <= seconds < np.inf and sr >= 8000 and seed >= 0):
        raise InputError(
            f"give demo_song seconds >= 0.1, sr >= 8000 and seed >= 0, not {seconds}, {sr}, {seed}"
        )
    sr, samples, score = int(sr), round(seconds * int(sr)), compose(seed, seconds)
    rngs = [np.random.default_rng([seed, part]) for part in range(1, 5)]
    tract = rngs[0].uniform(1.12, 1.2) if score.singer == "woman" else rngs[0].uniform(0.96, 1.04)
    line = perform(score.melody, samples, sr=sr, rng=rngs[0], tract=tract)
    voiced = line.level > 0.1  # 20 dB below a full note
    sung = (
        sing(line.f0_hz, line.level, line.formants_hz, sr=sr, rng=rngs[1], breath=line.breath)
        + line.consonants
    )
    drums, onsets = play_drums(score.drums, samples, sr=sr, rng=rngs[2])
    chords = play(score.chords, score.chord_instrument, samples, sr=sr)
    stems = {
        "melody": sung,
        "chords": chords,
        "bass": play(score.bass, "bass", samples, sr=sr),
        "drums": drums,
    }
    for name, wet in _WET.items():
        stems[name] = room(stems[name], sr=sr, rng=rngs[3], wet=wet * reverb)
    for name, db in _LEVELS_DB.items():
        stems[name] *= 10 ** (db / 20) / max(rms(stems[name]), 1e-9)
    backing = sum(stems[name] for name in _LEVELS_DB)
    stems["melody"] *= 10 ** (lead_db / 20) * (
        rms(backing[voiced]) / rms(sung[voiced]) if voiced.any() else 1
    )
    fade = ramp((samples - np.arange(samples)) / (sr * min(0.1, seconds / 4)))
    for name, pan in _PANS.items():
        sides = [[1 - pan], [1 + pan]] / np.sqrt(1 + pan**2) if stereo else np.ones((1, 1))
        stems[name] = sides * fade * stems[name]
    scale = 0.8 / np.abs(sum(stems.values())).max()
    # float32 sums of multiples of 2 ** -22 are exact, whatever their order
    stems = {
        name: (np.round(stem * scale * 2**22) / 2**22).astype(np.float32)
        for name, stem in stems.items()
    }
    frames = 1 + samples // MELODY_HOP_SAMPLES
    at = np.minimum(MELODY_HOP_SAMPLES * np.arange(frames), samples - 1)
    times_s, sings = grids.frame_times_s(frames, MELODY_HOP_SAMPLES, sr), voiced[at]
    melody = Melody(times_s, np.where(sings, line.f0_hz[at], np.nan), sings.astype(float))
    return Song(sum(stems.values()), sr, f"demo-{seed}", stems, melody, onsets)

"""Songs to learn from: many kinds of lead over many kinds of backing, every ingredient a switch of `Ingredients`.

One seed writes a song's score and renders its tracks; a mix decides which of them play, how loud, and through what. So a bank
of songs, mixed several times, costs little more than the songs. The truth is exact: f0 by construction, voiced where the lead
sounds. What each ingredient is worth was measured: notebook 10_train_your_own shows how.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from melodylab import grids
from melodylab.files import InputError
from melodylab.records import Melody, Song
from melodylab.synth import soundfont
from melodylab.synth.demo import MELODY_HOP_SAMPLES
from melodylab.synth.instruments import Hit, Timbre, play, play_drums, room
from melodylab.synth.sounds import Note, add, ramp, rms
from melodylab.synth.voice import perform, pulses, sing

SR = 22050


@dataclass(frozen=True)
class Ingredients:
    """What training songs are made of. Booleans switch, shares lie in 0..1."""

    formant_voice: bool = True  # sung leads have moving formants; False: a plain saw sings them
    instrument_leads: float = 0.3  # share of songs that an instrument leads: clean or driven guitar, wind, keys
    clean_guitar: bool = True  # among them a low clean guitar
    second_voice: float = 0.35  # share of songs with a softer voice beside the lead; the label stays on the louder
    riffs: float = 0.6  # share of songs where a line in the lead's range plays that is not the lead
    rests: bool = True  # bars without lead, several in a row, while the rest plays on
    dense_leads: bool = True  # most bars have a lead, phrases follow soon, driven guitars play high: as in pop and rock
    articulation: bool = True  # consonants and early ends cut most phrases into short notes, as in speech and on strings
    clear_instruments: bool = False  # an instrument that leads is no softer than the rest, and seldom has a riff beside it
    soft_leads: bool = True  # leads from 8 dB below to 8 dB above the rest, as in real mixes; False: from 4 dB below to 9 above
    distortion: bool = True  # power chords through an overdriven amplifier
    drums: bool = True
    detuned: bool = True  # the whole song up to half a semitone off, as old tapes are
    processing: bool = True  # equaliser, echo, compression, room; hard mixes more than easy ones
    easy_first: bool = True  # the first mixes have a loud lead, the last ones a soft one
    soundfont: float = 0.0  # share of backings played by fluidsynth from a General MIDI soundfont, if installed
    soundfont_leads: float = 0.0  # share of the instrument leads played by it, every bend and slide followed

    def __post_init__(self):
        for name in ("instrument_leads", "second_voice", "riffs", "soundfont", "soundfont_leads"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"the ingredient {name} is a share of the songs; give a number from 0 to 1")


_SCALES = {  # with how often they are drawn
    (0, 2, 4, 5, 7, 9, 11): 0.35,
    (0, 2, 3, 5, 7, 8, 10): 0.25,
    (0, 2, 3, 5, 7, 9, 10): 0.15,
    (0, 2, 4, 5, 7, 9, 10): 0.25,
}
_CADENCES = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3), (0, 3, 0, 4), (0, 6, 3, 0), (0, 0, 3, 4), (0, 6, 5, 6))
_LEVELS_DB = {"chords": -4.0, "driven": -3.0, "bass": -3.0, "drums": 0.0, "riff": -4.0}  # power within the backing


def training_song(seed, seconds=30, *, ingredients=Ingredients(), mix=0, mixes=1):
    """Song number `seed`, mixed for the `mix`-th time: mono at 22,050 Hz, stems that sum to it, and its `melody`.

    mix, mixes: the first of `mixes` mixes are easy (lead 0 to 8 dB above the backing), the last hard (0 to 8 dB below); a
    single mix may be anything. stems: "melody" and those of "second_voice", "riff", "chords", "driven", "bass", "drums" that play.
    Same arguments, same bits (with a soundfont: on the same machine). Raises InputError for seconds < 1, a mix
    outside 0..mixes-1, and where a soundfont is asked for that is not installed.
    """
    if not (1 <= seconds < np.inf and 0 <= mix < mixes):
        raise InputError(f"a training song lasts 1 s or more and mix lies in 0..mixes-1; got {seconds} s, mix {mix} of {mixes}")
    if ingredients.soundfont or ingredients.soundfont_leads:
        soundfont.find()  # missing for one song in two is missing
    tracks, lead_f0_hz, lead_level, kind = _tracks(seed, seconds, ingredients)
    clear = ingredients.clear_instruments and kind != "voice"
    rng = np.random.default_rng([seed, 1, mix])
    hardness = rng.random() if mixes == 1 or not ingredients.easy_first else (mix + rng.random()) / mixes
    stems = {name: track for name, track in tracks.items() if name == "melody" or _plays(name, rng)}
    if clear and rng.random() < 0.7:
        stems.pop("riff", None)
    if ingredients.processing:
        stems = {name: _processed(track, name, hardness, rng) for name, track in stems.items()}
    voiced = lead_level > 0.1  # 20 dB below a full note
    backing = [name for name in stems if name in _LEVELS_DB]
    for name in backing:
        stems[name] = stems[name] * 10 ** ((_LEVELS_DB[name] + rng.normal(0, 3)) / 20) / max(rms(stems[name]), 1e-9)
    rest = sum((stems[name] for name in backing), np.zeros(len(voiced)))
    lead_db = rng.uniform(0, 8) - 8 * hardness if ingredients.soft_leads else rng.uniform(0, 9) - hardness * rng.uniform(2, 5)
    lead_db = rng.uniform(0, 9) if clear else lead_db
    sung = rms(stems["melody"][voiced]) if voiced.any() else 1.0
    around = rms(rest[voiced]) if voiced.any() else 0.0
    gain = 10 ** (lead_db / 20) * (around if around > 1e-6 else 0.1) / max(sung, 1e-9)
    stems["melody"] = gain * stems["melody"]
    if "second_voice" in stems:
        stems["second_voice"] = gain * 10 ** (-rng.uniform(3, 10) / 20) * stems["second_voice"]
    scale = 0.8 / max(np.abs(sum(stems.values())).max(), 1e-9)
    # float32 sums of multiples of 2 ** -22 are exact, whatever their order
    stems = {name: (np.round(stem * scale * 2**22) / 2**22).astype(np.float32)[None] for name, stem in stems.items()}
    at = np.minimum(MELODY_HOP_SAMPLES * np.arange(1 + len(voiced) // MELODY_HOP_SAMPLES), len(voiced) - 1)
    melody = Melody(
        grids.frame_times_s(len(at), MELODY_HOP_SAMPLES, SR),
        np.where(voiced[at], lead_f0_hz[at], np.nan),
        voiced[at].astype(float),
    )
    return Song(sum(stems.values()), SR, f"training-{seed}-{mix}", stems, melody)


def _plays(name, rng):
    return rng.random() < {"drums": 0.88, "bass": 0.92, "chords": 0.9, "driven": 0.85, "riff": 0.85, "second_voice": 0.85}[name]


# ---- the score ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What all tracks of a song agree on; places are counted in sixteenth notes from the beginning, 16 a bar."""

    scale: tuple
    tonic: int
    cadence: tuple
    half_bars: bool  # chords change twice a bar
    eighth_s: float
    swing: float
    bars: int
    leads: np.ndarray  # (bars,) does the lead play in this bar
    tuning: float  # semitones

    def time_s(self, sixteenth):
        """When a sixteenth note begins; swing delays every second eighth."""
        eighth, part = divmod(sixteenth / 2, 1)
        late = self.swing * (eighth % 2) if part == 0 else self.swing * 0.5
        return (eighth + part + late) * self.eighth_s

    def has_lead(self, sixteenth):
        return self.leads[min(sixteenth // 16, self.bars - 1)]

    def midi(self, step):
        return self.tonic + self.scale[step % 7] + 12 * (step // 7)

    def root(self, sixteenth):
        """Scale step of the chord."""
        bar, place = divmod(sixteenth, 16)
        return self.cadence[int(2 * bar + (place >= 8)) % 4 if self.half_bars else int(bar) % 4]

    def triad(self, sixteenth, above):
        """Three or four chord tones, each in the octave from `above` on."""
        return [above + (self.midi(self.root(sixteenth) + third) - above) % 12 for third in (0, 2, 4)]


def _plan(rng, seconds, ingredients):
    scale = list(_SCALES)[rng.choice(len(_SCALES), p=list(_SCALES.values()))]
    eighth_s = 30 / rng.uniform(66, 172)
    bars = int(np.ceil(seconds / (8 * eighth_s))) + 1
    leads = np.ones(bars, dtype=bool)
    if ingredients.rests:
        bar, dense = 0, ingredients.dense_leads
        while bar < bars:
            sings, rest = int(rng.integers(2 + 2 * dense, 9 + 2 * dense)), int(rng.integers(1, 5)) if rng.random() < 0.75 else 0
            if bar == 0 and rng.random() < (0.3 if dense else 0.5):
                sings = 0
            leads[bar + sings : bar + sings + rest] = False
            bar += max(sings + rest, 1)
    tuning = rng.normal(0, 0.08) + (rng.uniform(-0.5, 0.5) if rng.random() < 0.25 else 0) if ingredients.detuned else 0.0
    swing = rng.uniform(0.2, 0.4) if rng.random() < 0.2 else 0.0
    cadence = _CADENCES[rng.integers(len(_CADENCES))]
    return _Plan(scale, int(rng.integers(12)), cadence, rng.random() < 0.25, eighth_s, swing, bars, leads, tuning)


def _line(plan, rng, lowest, compass, pace, only_where=None, dense=False, shortest=0.75):
    """A melody of phrases: list of `Note`. lowest, compass: MIDI and semitones of its range; pace: mean note in sixteenths."""
    steps = [s for s in range(-7, 90) if lowest <= plan.midi(s) <= lowest + compass]
    step, at, last = steps[len(steps) // 2], int(rng.integers(0, 8)), 16 * plan.bars
    repeats, legato, leaps = rng.uniform(0.05, 0.5), rng.uniform(shortest, 1.0), rng.uniform(0, 0.2)
    lengths = np.array([1, 2, 3, 4, 6, 8, 12])
    weights = np.exp(-0.5 * ((np.log2(lengths) - np.log2(pace)) / 0.8) ** 2) * (1, 2, 0.7, 1.6, 0.8, 1, 0.4)
    notes = []
    while at < last:
        for _ in range(int(rng.integers(2, 11))):
            length = int(rng.choice(lengths, p=weights / weights.sum()))
            if rng.random() > repeats:
                move = int(rng.choice([1, 2] if rng.random() > leaps else [3, 4, 5, 7])) * int(rng.choice([-1, 1]))
                step += move if steps[0] <= step + move <= steps[-1] else -move
                step = int(np.clip(step, steps[0], steps[-1]))
            if at % 4 == 0 or length > 4:
                near = [s for s in steps if abs(s - step) <= 1]
                step = min(near, key=lambda s: ((s - plan.root(at)) % 7 not in (0, 2, 4), abs(s - step)))
            start_s, end_s = plan.time_s(at), plan.time_s(at + length)
            if only_where is None or only_where(at):
                early_s = rng.normal(0, 0.012)
                end_s = start_s + max(legato * (end_s - start_s), 0.07)
                notes.append(Note(max(start_s + early_s, 0.0), max(end_s + early_s, 0.06), plan.midi(step), rng.uniform(0.6, 1)))
            at += length
            if at >= last:
                break
        gaps = (0.3, 0.3, 0.1, 0.2, 0.05, 0.05, 0.0) if dense else (0.1, 0.2, 0.15, 0.2, 0.15, 0.12, 0.08)
        at += int(rng.choice([0, 2, 3, 4, 6, 8, 12], p=gaps))
    for i in range(len(notes) - 1):  # nobody sings two notes at once
        notes[i] = notes[i]._replace(end_s=max(min(notes[i].end_s, notes[i + 1].start_s - 0.005), notes[i].start_s + 0.03))
    return notes


def _riff(plan, rng, lowest):
    """A pattern of a bar or two, over and over on the chords: list of `Note`."""
    length = 16 * int(rng.integers(1, 3))
    places = sorted(rng.choice(np.arange(0, length, int(rng.choice([1, 2, 2]))), size=int(rng.integers(3, 9)), replace=False))
    moves = rng.choice([0, 0, 1, 2, 4, -1, -3, 7], size=len(places))
    always, notes = rng.random() < 0.5, []
    for bar in range(0, plan.bars, length // 16):
        if not always and plan.leads[bar]:
            continue
        for place, move, after in zip(places, moves, [*places[1:], length], strict=True):
            at = 16 * bar + int(place)
            midi = lowest + (plan.midi(plan.root(at) + int(move)) - lowest) % 19
            start_s = plan.time_s(at)
            end_s = start_s + max(0.9 * (plan.time_s(16 * bar + int(after)) - start_s), 0.06)
            notes.append(Note(start_s, min(end_s, start_s + 1.2), midi, rng.uniform(0.7, 1)))
    return notes


def _chord_part(plan, rng):
    """Chords in one of five ways: list of `Note`."""
    way, above, notes = rng.integers(5), int(rng.integers(46, 58)), []
    strokes = {
        0: [(0, 16)],  # held
        1: [(0, 6), (6, 6), (12, 4)],
        2: [(2 * k, 2) for k in range(8)],  # strummed
        3: [(4, 2), (12, 2), *([(8, 1)] if rng.random() < 0.5 else [])],  # off the beat
        4: [(2 * k, 4) for k in range(8)],  # one tone after the other
    }[int(way)]
    order = rng.permutation(8)
    for bar in range(plan.bars):
        for k, (start, length) in enumerate(strokes):
            at = 16 * bar + start
            tones = plan.triad(at, above)
            if way == 4:
                tones = [[*tones, tones[0] + 12][order[k] % 4]]
            start_s = plan.time_s(at)
            end_s = start_s + 0.95 * length * plan.eighth_s / 2
            notes += [Note(start_s + 0.008 * i * (way == 2), end_s, tone, rng.uniform(0.7, 1)) for i, tone in enumerate(tones)]
    return notes


def _power_chords(plan, rng):
    """Root, fifth and octave on a low guitar: list of `Note`."""
    places = sorted({0, *(2 * int(p) for p in rng.integers(0, 8, size=int(rng.integers(1, 7))))})
    notes = []
    for bar in range(plan.bars):
        for place, after in zip(places, [*places[1:], 16], strict=True):
            at = 16 * bar + place
            low = 40 + (plan.midi(plan.root(at)) - 40) % 12
            start_s, end_s = plan.time_s(at), plan.time_s(16 * bar + after) - 0.02
            notes += [Note(start_s, end_s, low + up, rng.uniform(0.8, 1)) for up in (0, 7, 12)]
    return notes


def _bass_part(plan, rng):
    """Roots, or a walk around them, in a rhythm of its own: list of `Note`."""
    walks, places = rng.random() < 0.3, sorted({0, *(int(p) for p in rng.choice([2, 4, 6, 8, 10, 12, 14], int(rng.integers(1, 7))))})
    notes = []
    for bar in range(plan.bars):
        for place, after in zip(places, [*places[1:], 16], strict=True):
            at = 16 * bar + place
            step = plan.root(at) + (int(rng.choice([0, 2, 4, 1, -1])) if walks and place else 0)
            start_s = plan.time_s(at)
            end_s = start_s + 0.9 * (plan.time_s(16 * bar + after) - start_s)
            notes.append(Note(start_s, end_s, 28 + (plan.midi(step) - 28) % 12, rng.uniform(0.8, 1)))
    return notes


def _drum_part(plan, rng):
    """Bars of a groove with its own kick, backbeat and cymbals; every fourth or eighth ends in a fill: list of `Hit`."""
    kicks = sorted({0, *(int(k) for k in rng.choice([3, 6, 7, 8, 10, 11, 14], int(rng.integers(0, 4)), replace=False))})
    snares, every = ((4, 12) if rng.random() < 0.85 else (8,)), int(rng.choice([1, 2, 2, 2, 4]))
    kind, fills = ("closed_hihat" if rng.random() < 0.75 else "open_hihat"), int(rng.choice([4, 8]))
    tune = {name: rng.uniform(0.75, 1.3) for name in ("kick", "snare", "closed_hihat", "open_hihat", "toms")}
    hits = []
    for bar in range(plan.bars):
        end = 12 if bar % fills == fills - 1 else 16
        groove = [(k, "kick", 0.9) for k in kicks] + [(s, "snare", 0.9) for s in snares]
        groove += [(p, kind, 0.85 if p % 4 == 0 else 0.55) for p in range(0, 16, every)]
        groove = [hit for hit in groove if hit[0] < end]
        if end < 16:
            groove += [(p, "toms", 0.9) for p in range(12, 16) if rng.random() < 0.8]
        for place, name, velocity in groove:
            at_s = max(plan.time_s(16 * bar + place) + rng.normal(0, 0.004), 0.0)
            hits.append(Hit(at_s, name, velocity * rng.uniform(0.8, 1), tune[name]))
    return sorted(hits)


# ---- the tracks ---------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)  # the mixes of a song follow each other
def _tracks(seed, seconds, ingredients):
    """All tracks of a song, dry: ({name: (samples,)}, the lead's f0_hz (samples,), its level (samples,), its kind)."""
    rng = np.random.default_rng([seed, 0])
    samples, plan = round(seconds * SR), _plan(rng, seconds, ingredients)
    rngs = dict(zip(("lead", "second", "riff", "chords", "driven", "bass", "drums", "choice"), rng.spawn(8), strict=True))
    choice = rngs["choice"]
    sound, f0_hz, level, notes, kind = _lead(plan, samples, rngs["lead"], ingredients)
    tracks = {"melody": sound}
    if choice.random() < ingredients.second_voice and kind == "voice":
        tracks["second_voice"] = _second_voice(plan, notes, samples, rngs["second"], ingredients)
    parts = {"chords": _chord_part(plan, rngs["chords"]), "bass": _bass_part(plan, rngs["bass"])}
    if choice.random() < ingredients.riffs:
        parts["riff"] = _riff(plan, rngs["riff"], int(rngs["riff"].integers(45, 65)))
    if ingredients.distortion and choice.random() < 0.45:
        parts["driven"] = _power_chords(plan, rngs["driven"])
    hits = _drum_part(plan, rngs["drums"]) if ingredients.drums else []
    tuned = {name: [n._replace(midi=n.midi + plan.tuning) for n in part] for name, part in parts.items()}
    if choice.random() < ingredients.soundfont:
        tracks |= soundfont.render(parts, hits, samples, sr=SR, rng=choice, tuning=plan.tuning)
        if "driven" in tracks:
            tracks["driven"] = _driven(tracks["driven"], rngs["driven"])
        return tracks, f0_hz, level, kind
    for name, part in tuned.items():
        timbre = _timbre(rngs[name], {"bass": "bass", "driven": "string", "riff": None, "chords": None}[name])
        tracks[name] = play(part, timbre, samples, sr=SR)
        if name == "driven" or (name == "riff" and ingredients.distortion and rngs["riff"].random() < 0.4):
            tracks[name] = _driven(tracks[name], rngs[name])
    if hits:
        tracks["drums"], _ = play_drums(hits, samples, sr=SR, rng=rngs["drums"])
    return tracks, f0_hz, level, kind


def _lead(plan, samples, rng, ingredients):
    """The lead: (sound, f0_hz, level) each (samples,), its notes, and "voice" or an instrument's name."""
    instrument = rng.random() < ingredients.instrument_leads
    kinds = ["driven", "wind", "keys", *(["clean", "clean"] if ingredients.clean_guitar else [])]
    kind = str(rng.choice(kinds)) if instrument else "voice"
    if instrument and ingredients.soundfont_leads and rng.random() < ingredients.soundfont_leads:
        kind = str(rng.choice(["low lead", "high lead"]))
    woman = rng.random() < 0.5
    lowest = {
        "voice": int(rng.integers(53, 60) if woman else rng.integers(43, 52)),
        "driven": int(rng.integers(50, 66) + 6 * ingredients.dense_leads),
        "wind": int(rng.integers(50, 68)),
        "keys": int(rng.integers(55, 68)),
        "clean": int(rng.integers(40, 56)),
        "low lead": int(rng.integers(40, 58)),
        "high lead": int(rng.integers(52, 68)),
    }[kind]
    compass = int(rng.integers(9, 20))
    pace = rng.uniform(1.6, 4.5) * (0.25 / plan.eighth_s) ** 0.5  # quick songs have long notes
    shortest = 0.5 if ingredients.articulation else 0.75
    notes = _line(plan, rng, lowest, compass, pace, only_where=plan.has_lead, dense=ingredients.dense_leads, shortest=shortest)
    notes = [n._replace(midi=n.midi + plan.tuning) for n in notes if n.start_s < samples / SR]
    if kind in ("clean", "keys"):
        timbre, level, f0_hz = _timbre(rng, "string" if kind == "clean" else None), np.zeros(samples), np.full(samples, 220.0)
        for note in notes:
            run = slice(round(note.start_s * SR), min(round((note.end_s + 0.02) * SR), samples))
            f0_hz[run], level[run] = grids.midi_to_hz(note.midi), 1
        return play(notes, timbre, samples, sr=SR), f0_hz, level, notes, kind
    manner = _manner(rng) if ingredients.articulation else {}
    tract = rng.uniform(1.08, 1.25) if woman else rng.uniform(0.9, 1.06)
    line = perform(notes, samples, sr=SR, rng=rng, tract=tract, **manner)
    if kind in ("low lead", "high lead"):
        sound = soundfont.render_line(notes, grids.hz_to_midi(line.f0_hz), sr=SR, rng=rng, kind=kind)
        sound *= np.minimum(10 * line.level, 1)  # a hand on the strings
        return sound / max(rms(sound), 1e-9), line.f0_hz, line.level, notes, kind
    if kind == "voice" and not ingredients.formant_voice:
        return line.level * pulses(line.f0_hz, SR), line.f0_hz, line.level, notes, kind
    if kind == "voice":
        breath = line.breath * rng.uniform(0.3, 2.5)
        consonants = rng.uniform(0.4, 1.5) * line.consonants
        sound = sing(line.f0_hz, line.level, line.formants_hz, sr=SR, rng=rng, breath=breath) + consonants
    else:  # a steady colour, no consonants
        formants_hz = np.sort(rng.uniform((250, 800, 1800, 3000), (900, 1900, 3200, 4500)))
        sound = sing(line.f0_hz, line.level, formants_hz, sr=SR, rng=rng, breath=rng.uniform(0, 0.06) * line.level)
        if kind == "driven":
            sound = _driven(sound, rng)
    return sound, line.f0_hz, line.level, notes, kind


def _manner(rng):
    """How a singer sets notes apart, or a guitarist who picks some and slurs others: options of `perform`."""
    stopped, hummed = rng.uniform(0.3, 0.85), rng.uniform(0, 0.5)
    smooth = 1 - stopped
    return {"attacks": ((1 - hummed) * smooth, hummed * smooth, stopped / 2, stopped / 2), "noise_s": (0.02, 0.14)}


def _second_voice(plan, notes, samples, rng, ingredients):
    """A voice a third, a sixth or an octave from the lead, or one with a line of its own, for part of the time."""
    tract = rng.uniform(0.9, 1.25)
    if rng.random() < 0.6:
        away = int(rng.choice([2, -2, -5, 5, -7]))
        steps = {round(plan.midi(s)): s for s in range(-7, 90)}
        notes = [n._replace(midi=plan.midi(steps.get(round(n.midi - plan.tuning), 30) + away) + plan.tuning) for n in notes]
    else:
        notes = _line(plan, rng, int(rng.integers(45, 62)), 12, rng.uniform(2, 6))
        notes = [n._replace(midi=n.midi + plan.tuning) for n in notes if n.start_s < samples / SR]
    line = perform([n for n in notes if 36 < n.midi < 90], samples, sr=SR, rng=rng, tract=tract)
    if not ingredients.formant_voice:
        return line.level * pulses(line.f0_hz, SR)
    return sing(line.f0_hz, line.level, line.formants_hz, sr=SR, rng=rng, breath=line.breath)


def _timbre(rng, kind):
    """An instrument nobody has heard before. kind: "string", "bass", or None for strings, keys, organs and pads."""
    k = np.arange(1.0, 31)
    kind = kind or str(rng.choice(["string", "keys", "organ", "pad"]))
    slope = rng.uniform(0.6, 2.0)
    if kind in ("string", "bass"):
        place = rng.uniform(0.05, 0.45)  # where the string is plucked
        strengths = (0.15 + np.abs(np.sin(np.pi * place * k))) * k**-slope
        decay_s = rng.uniform(0.5, 3.0) * (1.0 if kind == "string" else 0.8)
        return Timbre(k * np.sqrt(1 + rng.uniform(0, 2e-4) * k**2), strengths, decay_s / (1 + rng.uniform(0.05, 0.3) * k), 0.003)
    if kind == "keys":
        multiples = np.array([1, 2, 3, 4, 5, rng.uniform(6.5, 9)])
        return Timbre(multiples, rng.uniform(0, 1, 6) * multiples**-0.8, rng.uniform(0.4, 2.5) / multiples**0.6, 0.003)
    if kind == "organ":
        multiples = np.array([0.5, 1, 1.5, 2, 3, 4, 6, 8])
        strengths = rng.uniform(0, 1, 8) * (0.5, 1, 0.4, 0.8, 0.6, 0.5, 0.4, 0.3)
        strengths[1] = 1
        return Timbre(multiples, strengths, np.array([30.0]), 0.01)
    spread = 2 ** (np.array([[-1], [0], [1]]) * rng.uniform(1, 9) / 1200)
    return Timbre((spread * k[:16]).ravel(), np.tile(k[:16] ** -slope, 3), np.array([9.0]), rng.uniform(0.02, 0.2))


# ---- what a studio does to them -----------------------------------------------------------------------------------


def _driven(sound, rng):
    """An overdriven amplifier and its loudspeaker, which lets nothing above 4 or 5 kHz through."""
    loud = np.tanh(rng.uniform(2, 12) * sound / max(rms(sound), 1e-9))
    return _filtered(loud, lambda f: 1 / (1 + (f / rng.uniform(3000, 5500)) ** 6) / (1 + (80 / np.maximum(f, 1)) ** 4))


def _filtered(sound, gain):
    size = fft.next_fast_len(len(sound), real=True)
    return fft.irfft(fft.rfft(sound, size) * gain(fft.rfftfreq(size, 1 / SR)), size)[: len(sound)]


def _processed(track, name, hardness, rng):
    """Equaliser on every track; echo, room and compression on some, more of them in hard mixes."""
    centres_hz, gains_db = 2 ** rng.uniform(6.5, 12.5, 3), rng.normal(0, 4, 3)

    def equaliser(f):
        knots = np.linspace(np.log2(20), np.log2(SR / 2), 256)  # between them the curve is straight enough
        gain = 10 ** ((gains_db * np.exp(-((knots[:, None] - np.log2(centres_hz)) ** 2))).sum(axis=1) / 20)
        return np.interp(f, 2**knots, gain)

    track = _filtered(track, equaliser)
    if name in ("melody", "second_voice") and rng.random() < 0.6:  # compression: soft passages come up
        envelope = np.sqrt(gaussian_filter1d(track**2, 0.02 * SR)) + 1e-3 * rms(track) + 1e-12
        track = track * (envelope / envelope.max()) ** -rng.uniform(0, 0.5)
    if name in ("melody", "riff", "second_voice") and rng.random() < 0.3 * hardness + 0.1:
        delayed = np.zeros_like(track)
        add(delayed, track, rng.uniform(0.08, 0.4), SR)
        track = track + rng.uniform(0.1, 0.35) * delayed
    if name != "bass" and rng.random() < 0.75:
        track = room(track, sr=SR, rng=rng, wet=rng.uniform(0.03, 0.15 + 0.3 * hardness), seconds=rng.uniform(0.25, 1.4))
    return track * ramp((len(track) - np.arange(len(track))) / (0.02 * SR))

"""Songs to learn from.

Many kinds of lead over many kinds of backing, every ingredient a switch of `Ingredients`.

One seed writes a song's score and renders its tracks; a mix decides which of them play, how loud,
and through what. So a bank of songs, mixed several times, costs little more than the songs. The
truth is exact: f0 by construction, voiced where the lead sounds. What each ingredient is worth was
measured: notebook 10_train_your_own shows how.
"""

import functools

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.records import Melody, Song
from melodylab.synth import soundfont
from melodylab.synth.demo import MELODY_HOP_SAMPLES
from melodylab.synth.ingredients import Ingredients
from melodylab.synth.instruments import Timbre, play, play_drums, room
from melodylab.synth.scores import (
    _bass_part,
    _chord_part,
    _drum_part,
    _line,
    _plan,
    _power_chords,
    _riff,
)
from melodylab.synth.sounds import add, ramp, rms
from melodylab.synth.voices import perform, pulses, sing

SR = 22050


_LEVELS_DB = {
    "chords": -4.0,
    "driven": -3.0,
    "bass": -3.0,
    "drums": 0.0,
    "riff": -4.0,
}  # power within the backing


EVERYTHING = Ingredients()


def training_song(
    seed: int,
    seconds: float = 30,
    *,
    ingredients: Ingredients = EVERYTHING,
    mix: int = 0,
    mixes: int = 1,
) -> Song:
    """A song to learn from, with its truth.

    Same arguments, same bits (with a soundfont: on the same machine).

    Parameters
    ----------
    seed : int
        The song's number, 0 or more.
    seconds : float
        How long, 1 or more.
    ingredients : Ingredients
        What it may be made of.
    mix, mixes : int
        This is mix number `mix`, 0..mixes-1. The first of `mixes` are easy (lead 0 to 8 dB above
        the backing), the last hard (0 to 8 dB below); a single mix may be anything.

    Returns
    -------
    Song
        Mono at 22,050 Hz, peak 0.8, with stems that sum to it: "melody" and those of
        "second_voice", "riff", "chords", "driven", "bass", "drums" that play; its melody, f0 by
        construction.

    Raises
    ------
    InputError
        For numbers outside these ranges, and where a soundfont is asked for that is not installed.
    """
    if not (1 <= seconds < np.inf and 0 <= mix < mixes):
        raise InputError(
            "a training song lasts 1 s or more and mix lies in 0..mixes-1; got "
            f"{seconds} s, mix {mix} of {mixes}"
        )
    if ingredients.soundfont or ingredients.soundfont_leads:
        soundfont.find()  # missing for one song in two is missing
    tracks, lead_f0_hz, lead_level, kind = _tracks(seed, seconds, ingredients)
    clear = ingredients.clear_instruments and kind != "voice"
    rng = np.random.default_rng([seed, 1, mix])
    hardness = (
        rng.random() if mixes == 1 or not ingredients.easy_first else (mix + rng.random()) / mixes
    )
    stems = {name: track for name, track in tracks.items() if name == "melody" or _plays(name, rng)}
    if clear and rng.random() < 0.7:
        stems.pop("riff", None)
    if ingredients.processing:
        stems = {name: _processed(track, name, hardness, rng) for name, track in stems.items()}
    voiced = lead_level > 0.1  # 20 dB below a full note
    backing = [name for name in stems if name in _LEVELS_DB]
    for name in backing:
        stems[name] = (
            stems[name]
            * 10 ** ((_LEVELS_DB[name] + rng.normal(0, 3)) / 20)
            / max(rms(stems[name]), 1e-9)
        )
    rest = sum((stems[name] for name in backing), np.zeros(len(voiced)))
    lead_db = (
        rng.uniform(0, 8) - 8 * hardness
        if ingredients.soft_leads
        else rng.uniform(0, 9) - hardness * rng.uniform(2, 5)
    )
    lead_db = rng.uniform(0, 9) if clear else lead_db
    sung = rms(stems["melody"][voiced]) if voiced.any() else 1.0
    around = rms(rest[voiced]) if voiced.any() else 0.0
    gain = 10 ** (lead_db / 20) * (around if around > 1e-6 else 0.1) / max(sung, 1e-9)
    stems["melody"] = gain * stems["melody"]
    if "second_voice" in stems:
        stems["second_voice"] = gain * 10 ** (-rng.uniform(3, 10) / 20) * stems["second_voice"]
    scale = 0.8 / max(np.abs(sum(stems.values())).max(), 1e-9)
    # float32 sums of multiples of 2 ** -22 are exact, whatever their order
    stems = {
        name: (np.round(stem * scale * 2**22) / 2**22).astype(np.float32)[None]
        for name, stem in stems.items()
    }
    at = np.minimum(
        MELODY_HOP_SAMPLES * np.arange(1 + len(voiced) // MELODY_HOP_SAMPLES), len(voiced) - 1
    )
    melody = Melody(
        grids.frame_times_s(len(at), MELODY_HOP_SAMPLES, SR),
        np.where(voiced[at], lead_f0_hz[at], np.nan),
        voiced[at].astype(float),
    )
    return Song(sum(stems.values()), SR, f"training-{seed}-{mix}", stems, melody)


def _plays(name, rng):
    return rng.random() < {"drums": 0.88, "bass": 0.92, "chords": 0.9}.get(name, 0.85)


# ---- the tracks ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)  # the mixes of a song follow each other
def _tracks(seed, seconds, ingredients):
    """All tracks of a song, dry.

    ({name: (samples,)}, the lead's f0_hz (samples,), its level (samples,), its kind).
    """
    rng = np.random.default_rng([seed, 0])
    samples, plan = round(seconds * SR), _plan(rng, seconds, ingredients)
    rngs = dict(
        zip(
            ("lead", "second", "riff", "chords", "driven", "bass", "drums", "choice"),
            rng.spawn(8),
            strict=True,
        )
    )
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
    tuned = {
        name: [n._replace(midi=n.midi + plan.tuning) for n in part] for name, part in parts.items()
    }
    if choice.random() < ingredients.soundfont:
        tracks |= soundfont.render(parts, hits, samples, sr=SR, rng=choice, tuning=plan.tuning)
        if "driven" in tracks:
            tracks["driven"] = _driven(tracks["driven"], rngs["driven"])
        return tracks, f0_hz, level, kind
    for name, part in tuned.items():
        timbre = _timbre(
            rngs[name], {"bass": "bass", "driven": "string", "riff": None, "chords": None}[name]
        )
        tracks[name] = play(part, timbre, samples, sr=SR)
        if name == "driven" or (
            name == "riff" and ingredients.distortion and rngs["riff"].random() < 0.4
        ):
            tracks[name] = _driven(tracks[name], rngs[name])
    if hits:
        tracks["drums"], _ = play_drums(hits, samples, sr=SR, rng=rngs["drums"])
    return tracks, f0_hz, level, kind


def _lead(plan, samples, rng, ingredients):
    """The lead: (sound, f0_hz, level) each (samples,), its notes, and "voice" or an instrument's
    name.
    """
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
    notes = _line(
        plan,
        rng,
        lowest,
        compass,
        pace,
        only_where=plan.has_lead,
        dense=ingredients.dense_leads,
        shortest=shortest,
    )
    notes = [n._replace(midi=n.midi + plan.tuning) for n in notes if n.start_s < samples / SR]
    if kind in ("clean", "keys"):
        timbre, level, f0_hz = (
            _timbre(rng, "string" if kind == "clean" else None),
            np.zeros(samples),
            np.full(samples, 220.0),
        )
        for note in notes:
            run = slice(round(note.start_s * SR), min(round((note.end_s + 0.02) * SR), samples))
            f0_hz[run], level[run] = grids.midi_to_hz(note.midi), 1
        return play(notes, timbre, samples, sr=SR), f0_hz, level, notes, kind
    manner = _manner(rng) if ingredients.articulation else {}
    tract = rng.uniform(1.08, 1.25) if woman else rng.uniform(0.9, 1.06)
    line = perform(notes, samples, sr=SR, rng=rng, tract=tract, **manner)
    if kind in ("low lead", "high lead"):
        sound = soundfont.render_line(
            notes, grids.hz_to_midi(line.f0_hz), sr=SR, rng=rng, kind=kind
        )
        sound *= np.minimum(10 * line.level, 1)  # a hand on the strings
        return sound / max(rms(sound), 1e-9), line.f0_hz, line.level, notes, kind
    if kind == "voice" and not ingredients.formant_voice:
        return line.level * pulses(line.f0_hz, SR), line.f0_hz, line.level, notes, kind
    if kind == "voice":
        breath = line.breath * rng.uniform(0.3, 2.5)
        consonants = rng.uniform(0.4, 1.5) * line.consonants
        sound = (
            sing(line.f0_hz, line.level, line.formants_hz, sr=SR, rng=rng, breath=breath)
            + consonants
        )
    else:  # a steady colour, no consonants
        formants_hz = np.sort(rng.uniform((250, 800, 1800, 3000), (900, 1900, 3200, 4500)))
        sound = sing(
            line.f0_hz,
            line.level,
            formants_hz,
            sr=SR,
            rng=rng,
            breath=rng.uniform(0, 0.06) * line.level,
        )
        if kind == "driven":
            sound = _driven(sound, rng)
    return sound, line.f0_hz, line.level, notes, kind


def _manner(rng):
    """How a singer sets notes apart, or a guitarist who picks some and slurs others.

    Options of `perform`.
    """
    stopped, hummed = rng.uniform(0.3, 0.85), rng.uniform(0, 0.5)
    smooth = 1 - stopped
    return {
        "attacks": ((1 - hummed) * smooth, hummed * smooth, stopped / 2, stopped / 2),
        "noise_s": (0.02, 0.14),
    }


def _second_voice(plan, notes, samples, rng, ingredients):
    """A voice a third, a sixth or an octave from the lead, or one with a line of its own, for part
    of the time.
    """
    tract = rng.uniform(0.9, 1.25)
    if rng.random() < 0.6:
        away = int(rng.choice([2, -2, -5, 5, -7]))
        steps = {round(plan.midi(s)): s for s in range(-7, 90)}
        notes = [
            n._replace(
                midi=plan.midi(steps.get(round(n.midi - plan.tuning), 30) + away) + plan.tuning
            )
            for n in notes
        ]
    else:
        notes = _line(plan, rng, int(rng.integers(45, 62)), 12, rng.uniform(2, 6))
        notes = [n._replace(midi=n.midi + plan.tuning) for n in notes if n.start_s < samples / SR]
    line = perform([n for n in notes if 36 < n.midi < 90], samples, sr=SR, rng=rng, tract=tract)
    if not ingredients.formant_voice:
        return line.level * pulses(line.f0_hz, SR)
    return sing(line.f0_hz, line.level, line.formants_hz, sr=SR, rng=rng, breath=line.breath)


def _timbre(rng, kind):
    """An instrument nobody has heard before.

    kind: "string", "bass", or None for strings, keys, organs and pads.
    """
    k = np.arange(1.0, 31)
    kind = kind or str(rng.choice(["string", "keys", "organ", "pad"]))
    slope = rng.uniform(0.6, 2.0)
    if kind in ("string", "bass"):
        place = rng.uniform(0.05, 0.45)  # where the string is plucked
        strengths = (0.15 + np.abs(np.sin(np.pi * place * k))) * k**-slope
        decay_s = rng.uniform(0.5, 3.0) * (1.0 if kind == "string" else 0.8)
        return Timbre(
            k * np.sqrt(1 + rng.uniform(0, 2e-4) * k**2),
            strengths,
            decay_s / (1 + rng.uniform(0.05, 0.3) * k),
            0.003,
        )
    if kind == "keys":
        multiples = np.array([1, 2, 3, 4, 5, rng.uniform(6.5, 9)])
        return Timbre(
            multiples,
            rng.uniform(0, 1, 6) * multiples**-0.8,
            rng.uniform(0.4, 2.5) / multiples**0.6,
            0.003,
        )
    if kind == "organ":
        multiples = np.array([0.5, 1, 1.5, 2, 3, 4, 6, 8])
        strengths = rng.uniform(0, 1, 8) * (0.5, 1, 0.4, 0.8, 0.6, 0.5, 0.4, 0.3)
        strengths[1] = 1
        return Timbre(multiples, strengths, np.array([30.0]), 0.01)
    spread = 2 ** (np.array([[-1], [0], [1]]) * rng.uniform(1, 9) / 1200)
    return Timbre(
        (spread * k[:16]).ravel(),
        np.tile(k[:16] ** -slope, 3),
        np.array([9.0]),
        rng.uniform(0.02, 0.2),
    )


# ---- what a studio does to them ------------------------------------------------------------------


def _driven(sound, rng):
    """An overdriven amplifier and its loudspeaker, which lets nothing above 4 or 5 kHz through."""
    loud = np.tanh(rng.uniform(2, 12) * sound / max(rms(sound), 1e-9))
    return _filtered(
        loud,
        lambda f: 1 / (1 + (f / rng.uniform(3000, 5500)) ** 6) / (1 + (80 / np.maximum(f, 1)) ** 4),
    )


def _filtered(sound, gain):
    size = fft.next_fast_len(len(sound), real=True)
    return fft.irfft(fft.rfft(sound, size) * gain(fft.rfftfreq(size, 1 / SR)), size)[: len(sound)]


def _processed(track, name, hardness, rng):
    """Equaliser on every track; echo, room and compression on some, more of them in hard mixes."""
    centres_hz, gains_db = 2 ** rng.uniform(6.5, 12.5, 3), rng.normal(0, 4, 3)

    def equaliser(f):
        knots = np.linspace(
            np.log2(20), np.log2(SR / 2), 256
        )  # between them the curve is straight enough
        gain = 10 ** (
            (gains_db * np.exp(-((knots[:, None] - np.log2(centres_hz)) ** 2))).sum(axis=1) / 20
        )
        return np.interp(f, 2**knots, gain)

    track = _filtered(track, equaliser)
    if (
        name in ("melody", "second_voice") and rng.random() < 0.6
    ):  # compression: soft passages come up
        envelope = np.sqrt(gaussian_filter1d(track**2, 0.02 * SR)) + 1e-3 * rms(track) + 1e-12
        track = track * (envelope / envelope.max()) ** -rng.uniform(0, 0.5)
    if name in ("melody", "riff", "second_voice") and rng.random() < 0.3 * hardness + 0.1:
        delayed = np.zeros_like(track)
        add(delayed, track, rng.uniform(0.08, 0.4), SR)
        track = track + rng.uniform(0.1, 0.35) * delayed
    if name != "bass" and rng.random() < 0.75:
        track = room(
            track,
            sr=SR,
            rng=rng,
            wet=rng.uniform(0.03, 0.15 + 0.3 * hardness),
            seconds=rng.uniform(0.25, 1.4),
        )
    return track * ramp((len(track) - np.arange(len(track))) / (0.02 * SR))

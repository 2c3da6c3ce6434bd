"""Songs made from nothing but a seed, with the exact truth beside them.

Sung line, chords, bass, five drums.

Conventions: sounds are float64 (samples,) at rate `sr`; whole songs set their levels and round them
to float32. Pitches are MIDI numbers (60 = middle C, fractions allowed) until they become Hz. A
`Score` says what is played and when, in seconds; the voices (`sing`, `struck`, `drum_hit`) know
nothing of songs and can be used on their own.

    sounds       notes, ramps, noise            voices       pulses, throats, a singer
    instruments  strings, keys, drums, rooms    demo         the demo song
    soundfont    parts through fluidsynth       songs        songs to learn from
    kits         drum kits                      ingredients  what those are made of
    grooves      bars and drum loops            scores       what is played in them
"""

from melodylab.synth.demo import Score, compose, demo_song
from melodylab.synth.grooves import drum_loop, groove
from melodylab.synth.ingredients import Ingredients
from melodylab.synth.instruments import (
    DRUM_CLASSES,
    INSTRUMENTS,
    Hit,
    Timbre,
    drum_hit,
    partials,
    play,
    play_drums,
    room,
    struck,
)
from melodylab.synth.kits import Kit, kit_shots, one_shots
from melodylab.synth.songs import training_song
from melodylab.synth.sounds import Note, noise_band
from melodylab.synth.voices import VOWELS_HZ, Performance, perform, pulses, sing, vocal_tract

__all__ = [
    "Score",
    "compose",
    "demo_song",
    "Note",
    "noise_band",
    "DRUM_CLASSES",
    "INSTRUMENTS",
    "Hit",
    "Timbre",
    "drum_hit",
    "partials",
    "play",
    "play_drums",
    "room",
    "struck",
    "VOWELS_HZ",
    "Performance",
    "perform",
    "pulses",
    "sing",
    "vocal_tract",
    "Ingredients",
    "training_song",
    "Kit",
    "drum_loop",
    "groove",
    "kit_shots",
    "one_shots",
]

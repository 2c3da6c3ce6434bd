"""Drums taken apart by what was played: hits, activations, NMF with H fixed, stems, other samples.

    transcribe      a network's onset profile, its peaks: which drum, when
    separate        H drawn from the hits and held, KL updates of W alone, Wiener masks
    best_hit        the cleanest stroke of a stem
    similar         one-shots of a library that sound like it
    replace         the loop played anew with other sounds

Conventions: the classes are those of `DRUM_CLASSES`, in this order. Five stems in the song's rate,
channels and length sum to the song (to float32's rounding). Where nothing is hit in the whole song
nothing can divide it: all of it is in "toms".

What the paper leaves open, and is chosen here: H falls from each hit exponentially, and is seen
through the window of the transform, so a frame that only just reaches a hit is lower; a stroke on a
hi-hat ends an open one. Each class has four such activations, from short to long, since a drum's
spectrum changes while it rings, and a room answers: with true hits and velocities the development
loops come apart at 11.2 dB (mean SI-SDR), with one pace for each class at 9.1 dB. V is a magnitude.

Source: Koretzky and Rajashekharappa 2021. Notebook 07_drums explains this module.
"""

from melodylab.drums import steps
from melodylab.drums.hits import MIN_GAP_S, THRESHOLD, onset_profile, pick, profile_of, transcribe
from melodylab.drums.nmf import SETTINGS, Settings, activations, separate
from melodylab.drums.sounds import (
    FEATURES,
    Match,
    best_hit,
    describe,
    purities,
    read_library,
    replace,
    similar,
)
from melodylab.drums.stems import REST
from melodylab.records import DRUM_CLASSES as CLASSES

__all__ = [
    "CLASSES",
    "FEATURES",
    "MIN_GAP_S",
    "Match",
    "REST",
    "SETTINGS",
    "Settings",
    "THRESHOLD",
    "activations",
    "best_hit",
    "describe",
    "onset_profile",
    "pick",
    "profile_of",
    "purities",
    "read_library",
    "replace",
    "separate",
    "similar",
    "steps",
    "transcribe",
]

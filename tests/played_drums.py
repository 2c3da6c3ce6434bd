"""Drums that tests play: hits and dry songs of known stems."""

import numpy as np

from melodylab import drums, synth
from melodylab.records import DrumOnsets, Song
from melodylab.synth.kits import Kit

SR = 44100


def onsets(*hits):
    velocity = [(*hit, 1.0)[2] for hit in hits]
    return DrumOnsets(
        np.array([t for t, *_ in hits], float),
        tuple(kind for _, kind, *_ in hits),
        np.array(velocity, float),
    )


def played(hits, seconds=2.0, seed=3, sr=SR):
    """A dry `Song` with stems: a kit's main sounds at (time_s, class, velocity)."""
    kit, samples = Kit(seed, sr), round(seconds * sr)
    stems = {name: np.zeros(samples) for name in drums.CLASSES}
    for time_s, name, *velocity in hits:
        synth.sounds.add(stems[name], 0.4 * kit.main[name].sound(*(velocity or [1.0])), time_s, sr)
    stems = {name: stem[None].astype(np.float32) for name, stem in stems.items()}
    return Song(sum(stems.values()), sr, "played", stems, None, onsets(*hits))

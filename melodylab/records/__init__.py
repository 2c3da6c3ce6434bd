"""What travels between the stages: frozen records that check themselves when they are made.

Axes: audio is (channels, samples); anything with a spectrum is (..., freq, time). Times are frame
centres in seconds, frequencies in Hz. A `Melody` holds every frame: `f0_hz` is the best guess also
where nothing is sung, NaN where there is no guess at all; `voicing >= 0.5` means voiced. Signs and
zeros exist only in CSV files and inside `evaluate`. Arrays in records are read-only: copy before
you write. A song, its melody and its hits are nobody else's either: what the caller might still
change is copied.
"""

from melodylab.io.midi import DRUM_NOTES
from melodylab.records.melody import DrumOnsets, Melody
from melodylab.records.pictures import Features, Mask, Salience
from melodylab.records.song import DrumParts, OneShot, Song

DRUM_CLASSES = tuple(DRUM_NOTES)  # kick, snare, open and closed hi-hat, toms: in this order
__all__ = [
    "DRUM_CLASSES",
    "DrumOnsets",
    "DrumParts",
    "Features",
    "Mask",
    "Melody",
    "OneShot",
    "Salience",
    "Song",
]

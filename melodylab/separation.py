"""A lead and its accompaniment as sound. Conventions: both have the song's rate, channels and length, and sum to the song."""

import numpy as np

from melodylab import sfnmf


def lead_by_sfnmf(song, melody, **options):
    """The lead along a melody by source-filter NMF; silent where the melody is unvoiced throughout. See `sfnmf.separate`."""
    return sfnmf.separate(song, melody, **options)


def rest(song, lead):
    """What is left of the song without the lead: the accompaniment as the exact rest, float32 (channels, samples)."""
    return song.audio - lead


def apply_mask(spectra, mask):
    """Filter complex spectra (..., freq, time) with a `Mask`: the magnitude is scaled and the mixture's phase stays."""
    return spectra * np.asarray(mask.values, dtype=spectra.real.dtype)

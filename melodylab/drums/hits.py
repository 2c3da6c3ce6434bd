"""From a network's onset profile to hits: which drum, when."""

from collections.abc import Mapping

import numpy as np
from scipy import signal

from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.models.drum_cnn import CLASSES
from melodylab.records import DrumOnsets

# --- hits -----------------------------------------------------------------------------------------

THRESHOLD = 0.3  # chosen on synthetic loops


MIN_GAP_S = 0.03  # between two hits of one class


def transcribe(song, model, *, threshold=THRESHOLD, min_gap_s=MIN_GAP_S):
    """The hits of a song by a trained drum network: `DrumOnsets`, all of velocity 1 until `separate` measures them.

    threshold: of the profile, one for all classes or a dict by class. Silence gives no hits.
    """
    times_s, profiles = onset_profile(song, model)
    return pick(times_s, profiles, threshold=threshold, min_gap_s=min_gap_s)


def onset_profile(song, model):
    """What the network says: (times_s (time,), probabilities (classes, time) of a hit near each frame); 0 where it is silent."""
    heard = inputs.FRONT_ENDS["drum-mel"](song)
    return heard.times_s, profile_of(heard, model)


def profile_of(heard, model, *, device="cpu"):
    """The same of `Features` as the front end makes them: (classes, time)."""
    if model.learns != "hits" or not model.gives_profile:
        raise InputError(
            "this network gives no onset profile; take load_model('drum-cnn') or another one in the reading R5"
        )
    y = run.logits(model, heard, device=device)
    profiles = 1 / (1 + np.exp(-np.clip(y, -50, 50)))
    profiles[:, ~heard.values[0].any(axis=0)] = 0
    return profiles


def pick(times_s, profiles, *, threshold=THRESHOLD, min_gap_s=MIN_GAP_S):
    """Hits at the peaks of profiles (classes, time): `DrumOnsets` with velocity 1.

    A hit is a local maximum above the threshold, with no higher one within `min_gap_s`; its time is that of a parabola through it
    and its neighbours.
    """
    hop_s = times_s[1] - times_s[0] if len(times_s) > 1 else 1.0
    found = []
    for name, row in zip(CLASSES, profiles, strict=True):
        wanted = threshold[name] if isinstance(threshold, Mapping) else threshold
        padded = np.pad(row.astype(float), 1)  # a hit may lie in the first frame
        peaks, _ = signal.find_peaks(
            padded, height=wanted, distance=max(1, round(min_gap_s / hop_s))
        )
        before, at, after = padded[peaks - 1], padded[peaks], padded[peaks + 1]
        bend = before - 2 * at + after
        shift = np.divide(before - after, 2 * bend, out=np.zeros_like(at), where=bend != 0)
        shift = np.where(
            peaks > 1, shift, np.maximum(shift, 0)
        )  # ahead of the first frame the profile is unknown, not 0
        found += [(max(0.0, float(t)), name, 1.0) for t in times_s[0] + (peaks - 1 + shift) * hop_s]
    return _onsets(found)


def _onsets(hits):
    """`DrumOnsets` of (time_s, class, velocity) in any order."""
    times_s, classes, velocity = zip(*sorted(hits), strict=True) if hits else ((), (), ())
    return DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))

"""From a network's onset profile to hits: which drum, when."""

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from melodylab.drums.steps import hits_in_order
from melodylab.errors import InputError
from melodylab.io.songs import SongOrPath, as_song
from melodylab.models import inputs, run
from melodylab.records import DRUM_CLASSES, DrumOnsets, Features

if TYPE_CHECKING:
    from melodylab.models.drum_cnn import DrumCNN

THRESHOLD = 0.3  # chosen on synthetic loops
MIN_GAP_S = 0.03  # between two hits of one class

# The network is shown what lies beyond either end: silence, but for the frames whose windows reach
# into the song. Its convolutions see six frames to either side.
_BEYOND_FRAMES = 8

# What sounds in the first frame may have been struck earlier. Of synthetic loops cut anywhere,
# one true hit in twelve is there so much weaker than the song's others, and 60 % of the false.
_WEAKER_DB = 6.0
_LOUD_FRAMES = 4  # a stroke is at its loudest within 46 ms
_RANGE_DB = 80  # of the front end, between 0 and 1


def transcribe(
    song: SongOrPath,
    model: "DrumCNN",
    *,
    threshold: float | Mapping[str, float] = THRESHOLD,
    min_gap_s: float = MIN_GAP_S,
) -> DrumOnsets:
    """The hits of a song by a trained drum network.

    Beyond its ends the song is silent, and the network hears it so. What sounds at the first sample
    may be the rest of an earlier stroke: it is a hit unless it is much weaker than the song's other
    hits of its class or, where there are none, than all others.

    Parameters
    ----------
    song : Song, str or path
        Any rate, length and channels. Silence gives no hits.
    model : DrumCNN
        A network in the reading R5.
    threshold : float or mapping
        Of the profile, 0..1; one for all classes or a dict by class.
    min_gap_s : float
        Between two hits of one class, in seconds.

    Returns
    -------
    DrumOnsets
        All of velocity 1 until `separate` measures them.

    Raises
    ------
    InputError
        For a network that gives no onset profile.
    """
    song = as_song(song)
    heard = inputs.drum_mel(song, beyond=_BEYOND_FRAMES)
    found = pick(heard.times_s, profile_of(heard, model), threshold=threshold, min_gap_s=min_gap_s)
    found = _struck_here(heard, found)
    last_s = max(0.0, song.duration_s - 1 / song.sr)
    inside = found.times_s <= heard.times_s[-_BEYOND_FRAMES]
    times_s = np.minimum(found.times_s[inside], last_s)
    return DrumOnsets(times_s, np.array(found.classes, object)[inside], np.ones(int(inside.sum())))


def _struck_here(heard, found):
    """The hits without those of the first frame that sound like the rest of an earlier stroke."""
    hop_s = heard.times_s[1] - heard.times_s[0]
    frames = np.round((found.times_s - heard.times_s[0]) / hop_s).astype(int)
    ahead = np.minimum(frames[:, None] + np.arange(_LOUD_FRAMES), len(heard.times_s) - 1)
    level = heard.values[0][:, ahead].max(axis=2).mean(axis=0)  # (hits,)
    early, kinds = found.times_s < hop_s, np.array(found.classes, object)
    kept = np.ones(len(kinds), dtype=bool)
    for n in np.flatnonzero(early):
        others = ~early & (kinds == kinds[n])
        others = others if others.any() else ~early
        if others.any():
            kept[n] = level[n] > np.median(level[others]) - _WEAKER_DB / _RANGE_DB
    return DrumOnsets(found.times_s[kept], kinds[kept], found.velocity[kept])


def onset_profile(song: SongOrPath, model: "DrumCNN") -> tuple[np.ndarray, np.ndarray]:
    """What the network says of a song.

    Parameters
    ----------
    song : Song, str or path
        Any rate, length and channels.
    model : DrumCNN
        A network in the reading R5.

    Returns
    -------
    times_s : numpy.ndarray
        (time,), seconds.
    profiles : numpy.ndarray
        (classes, time): probabilities 0..1 of a hit near each frame; 0 where the song is silent.

    Raises
    ------
    InputError
        For a network that gives no onset profile.
    """
    song = as_song(song)
    heard = inputs.drum_mel(song, beyond=_BEYOND_FRAMES)
    within = slice(_BEYOND_FRAMES, -_BEYOND_FRAMES)
    return heard.times_s[within], profile_of(heard, model)[:, within]


def profile_of(heard: Features, model: "DrumCNN", *, device: str = "cpu") -> np.ndarray:
    """What the network says of features that the front end made.

    Parameters
    ----------
    heard : Features
        Of kind "drum-mel", (1, bands, time).
    model : DrumCNN
        A network in the reading R5.
    device : str
        Where the network lies, as torch names it.

    Returns
    -------
    numpy.ndarray
        (classes, time): probabilities 0..1 of a hit near each frame; 0 where nothing sounds.

    Raises
    ------
    InputError
        For a network that gives no onset profile.
    """
    if model.learns != "hits" or not model.gives_profile:
        raise InputError(
            "this network gives no onset profile; take load_model('drum-cnn') or another one in "
            "the reading R5"
        )
    y = run.logits(model, heard, device=device)
    profiles = 1 / (1 + np.exp(-np.clip(y, -50, 50)))
    profiles[:, ~heard.values[0].any(axis=0)] = 0
    return profiles


def _threshold_of(name, threshold):
    """The threshold of one class, once it is clear that it is one."""
    given = threshold.get(name) if isinstance(threshold, Mapping) else threshold
    if not isinstance(given, numbers.Real) or not 0 <= given <= 1:
        raise InputError(
            f"the threshold of {name} is {given!r}; give a number from 0 to 1, or one for each of "
            f"{', '.join(DRUM_CLASSES)}"
        )
    return given


def pick(
    times_s: np.ndarray,
    profiles: np.ndarray,
    *,
    threshold: float | Mapping[str, float] = THRESHOLD,
    min_gap_s: float = MIN_GAP_S,
) -> DrumOnsets:
    """Hits at the peaks of profiles.

    A hit is a local maximum above the threshold, with no higher one within `min_gap_s`; its time is
    that of a parabola through it and its neighbours, and not below 0.

    Parameters
    ----------
    times_s : numpy.ndarray
        (time,) evenly spaced, seconds.
    profiles : numpy.ndarray
        (classes, time) in 0..1, rows in the order of `DRUM_CLASSES`.
    threshold : float or mapping
        Of the profile, 0..1; one for all classes or a dict by class.
    min_gap_s : float
        Between two hits of one class, in seconds.

    Returns
    -------
    DrumOnsets
        All of velocity 1.
    """
    hop_s = times_s[1] - times_s[0] if len(times_s) > 1 else 1.0
    found = []
    for name, row in zip(DRUM_CLASSES, profiles, strict=True):
        wanted = _threshold_of(name, threshold)
        padded = np.pad(row.astype(float), 1)  # a hit may lie in the first frame
        distance = max(1, round(min_gap_s / hop_s))
        peaks, _ = signal.find_peaks(padded, height=wanted, distance=distance)
        before, at, after = padded[peaks - 1], padded[peaks], padded[peaks + 1]
        bend = before - 2 * at + after
        shift = np.divide(before - after, 2 * bend, out=np.zeros_like(at), where=bend != 0)
        # ahead of the first frame the profile is unknown, not 0
        shift = np.where(peaks > 1, shift, np.maximum(shift, 0))
        found += [(max(0.0, float(t)), name, 1.0) for t in times_s[0] + (peaks - 1 + shift) * hop_s]
    return hits_in_order(found)

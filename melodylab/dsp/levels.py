"""How loud a recording is to a listener: by what is heard often, not by a knock on the microphone.

A tenth of the frames that can be heard lie above the usual level. In songs and drum loops the
loudest frame lies at most 11 dB above it (pictures, samples and powers of seven real songs, eight
loops and the demo songs); what stands out by more than 12 dB is no part of the music.
"""

import numpy as np

_AUDIBLE_DB = -60.0  # below the loudest frame; pauses have no say in how loud a song is
_SHARE = 90  # percent of the audible frames that are no louder than the usual level
_MARGIN_DB = 12.0


def heard_peak(levels: np.ndarray) -> float:
    """The level of the loudest frame, or 12 dB above the usual one where that is less.

    Parameters
    ----------
    levels : numpy.ndarray
        (frames,) amplitudes >= 0, such as the largest magnitude of each frame.

    Returns
    -------
    float
        An amplitude on the same scale; 0 at silence and without a frame.
    """
    peak = float(np.max(levels, initial=0))
    audible = levels[levels > peak * 10 ** (_AUDIBLE_DB / 20)]
    if not len(audible):
        return peak
    return min(peak, float(np.percentile(audible, _SHARE)) * 10 ** (_MARGIN_DB / 20))


def frame_levels(y: np.ndarray, frame_samples: int) -> np.ndarray:
    """The largest absolute sample of each stretch of a sound, over all its channels.

    Parameters
    ----------
    y : numpy.ndarray
        (..., samples).
    frame_samples : int
        Length of a stretch; the last one may be shorter.

    Returns
    -------
    numpy.ndarray
        (ceil(samples / frame_samples),).
    """
    starts = np.arange(0, y.shape[-1], frame_samples)
    high, low = (f.reduceat(y, starts, axis=-1) for f in (np.maximum, np.minimum))
    return np.maximum(high, -low).reshape(-1, len(starts)).max(axis=0)

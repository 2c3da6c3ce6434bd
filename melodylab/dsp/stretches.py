"""Long sounds stretch by stretch, so that an hour of one that lies in a file is never in memory.

`io.audio.read` leaves the samples of long recordings in a temporary file, mapped as an array. What
is read of it stays in memory until somebody lets go of it, and that is done here.
"""

import mmap
from collections.abc import Iterator

import numpy as np

_SAMPLES = 2**20  # of each channel


def stretches(audio: np.ndarray, *, samples: int = _SAMPLES) -> Iterator[tuple[int, np.ndarray]]:
    """The stretches of a sound, one after the other.

    Parameters
    ----------
    audio : numpy.ndarray
        (..., samples), in memory or mapped from a file.
    samples : int
        Length of a stretch; the last one may be shorter.

    Yields
    ------
    int
        The stretch's first sample.
    numpy.ndarray
        A view (..., samples of the stretch).
    """
    for start in range(0, audio.shape[-1], samples):
        yield start, audio[..., start : start + samples]
        let_go(audio)


def let_go(audio: np.ndarray) -> None:
    """Let the memory go that was used to read a mapped sound; whoever reads on gets it again.

    Parameters
    ----------
    audio : numpy.ndarray
        Any array; nothing happens to one that lies in memory or can be written to.
    """
    held = audio
    while isinstance(held, np.ndarray):
        if isinstance(held, np.memmap) and held.mode != "r":
            return  # what was written would be lost
        held = held.base
    if isinstance(held, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        held.madvise(mmap.MADV_DONTNEED)

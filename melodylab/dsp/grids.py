"""Hz, MIDI, cents, bins, and the one frame clock.

Conventions: a frame's time is its centre, and frame 0 is centred on sample 0. A pitch belongs to
the nearest bin. `0`, negative and NaN frequencies are "no pitch" and map to bin -1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def frame_times_s(n_frames: int, hop_samples: int, sr: int) -> np.ndarray:
    """Centres of frames from integers, so that ten minutes drift by nothing.

    Parameters
    ----------
    n_frames : int
        How many, from frame 0 on.
    hop_samples : int
        From frame to frame.
    sr : int
        Samples per second.

    Returns
    -------
    numpy.ndarray
        (n_frames,) seconds.
    """
    return np.arange(int(n_frames)) * int(hop_samples) / int(sr)


def left_out_s(
    times_s: ArrayLike, gap_hops: float, end_s: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The frames that a series of times leaves out, as files do that hold no pauses.

    Parameters
    ----------
    times_s : array_like, shape (frames,)
        Seconds, rising.
    gap_hops : float
        A step longer than so many median steps leaves frames out.
    end_s : float, optional
        Frames before the first and up to this time belong to them too; without it only those
        between two frames.

    Returns
    -------
    gaps : ndarray of int
        Index of the frame before each gap; -1 for the gap before the first.
    new_s : ndarray
        Times of the missing frames, a median step apart. Both empty for fewer than two frames.
    """
    times_s = np.asarray(times_s, dtype=float)
    steps_s = np.diff(times_s)
    if not len(steps_s):
        return np.zeros(0, dtype=int), np.zeros(0)
    hop_s = np.median(steps_s)
    gaps = np.flatnonzero(steps_s > gap_hops * hop_s)
    new_s = [
        np.linspace(times_s[n], times_s[n + 1], round(steps_s[n] / hop_s) + 1)[1:-1] for n in gaps
    ]
    if end_s is not None:  # 1e-3: for times that were rounded
        before = int(times_s[0] / hop_s + 1e-3) if times_s[0] > 1.5 * hop_s else 0
        behind = int((end_s - times_s[-1]) / hop_s + 1e-3)
        new_s.append(times_s[0] - hop_s * np.arange(before, 0, -1))
        new_s.append(times_s[-1] + hop_s * np.arange(1, behind + 1))
        gaps = np.append(-1, gaps) if before else gaps
    return gaps, np.concatenate(new_s) if new_s else np.zeros(0)


def hz_to_midi(f_hz: ArrayLike) -> np.ndarray:
    """MIDI note number of a frequency; A4 = 440 Hz = 69.

    Parameters
    ----------
    f_hz : array_like
        Hz, any shape.

    Returns
    -------
    numpy.ndarray
        Of that shape; NaN where f_hz is 0, negative or NaN.
    """
    f_hz = np.asarray(f_hz, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(f_hz > 0, 69 + 12 * np.log2(f_hz / 440.0), np.nan)


def midi_to_hz(midi: ArrayLike) -> np.ndarray:
    """Frequency of a MIDI note number.

    Parameters
    ----------
    midi : array_like
        Any shape, fractions too.

    Returns
    -------
    numpy.ndarray
        Hz, of that shape.
    """
    return 440.0 * 2 ** ((np.asarray(midi, dtype=float) - 69) / 12)


def offset_cents(f_hz: ArrayLike, reference_hz: ArrayLike) -> np.ndarray:
    """How far a frequency lies above a reference.

    Parameters
    ----------
    f_hz, reference_hz : array_like
        Hz, of shapes that go together.

    Returns
    -------
    numpy.ndarray
        Cents; NaN where either is no pitch.
    """
    return 100 * (hz_to_midi(f_hz) - hz_to_midi(reference_hz))


@dataclass(frozen=True)
class PitchGrid:
    """A logarithmic pitch axis: bin k is `fmin_hz * 2 ** (k / bins_per_octave)`, k = 0..n_bins-1.

    Labels, salience rows and decoded Hz of a method share one of these, so no bin can slip (traps
    T33 to T35).

    Attributes
    ----------
    fmin_hz : float
        Centre of bin 0.
    bins_per_octave : int
        12 are semitones.
    n_bins : int
        How many.
    """

    fmin_hz: float
    bins_per_octave: int
    n_bins: int

    @classmethod
    def spanning(cls, fmin_hz: float, fmax_hz: float, bins_per_octave: int) -> "PitchGrid":
        """The grid from fmin_hz up to the first bin at or above fmax_hz.

        Parameters
        ----------
        fmin_hz, fmax_hz : float
            Hz.
        bins_per_octave : int
            12 are semitones.

        Returns
        -------
        PitchGrid
            Of ceil(bins_per_octave log2(fmax / fmin)) + 1 bins.

        Raises
        ------
        ValueError
            Unless 0 < fmin_hz < fmax_hz.
        """
        if not 0 < fmin_hz < fmax_hz:
            raise ValueError(
                f"a pitch grid needs 0 < fmin_hz < fmax_hz, got {fmin_hz} and {fmax_hz}"
            )
        # rounding keeps an exact number of octaves: ceil(300.00000000000006) would add a bin
        return cls(
            fmin_hz,
            bins_per_octave,
            int(np.ceil(round(bins_per_octave * np.log2(fmax_hz / fmin_hz), 9))) + 1,
        )

    @property
    def freqs_hz(self) -> np.ndarray:
        """Centre frequencies, (n_bins,)."""
        return self.bin_hz(np.arange(self.n_bins))

    @property
    def bins_per_semitone(self) -> float:
        """A twelfth of those in an octave."""
        return self.bins_per_octave / 12

    def bin_hz(self, position: ArrayLike) -> np.ndarray:
        """The frequency of bins.

        Parameters
        ----------
        position : array_like
            Bins, or places between them; any shape.

        Returns
        -------
        numpy.ndarray
            Hz, of that shape.
        """
        return self.fmin_hz * 2 ** (np.asarray(position, dtype=float) / self.bins_per_octave)

    def position(self, f_hz: ArrayLike) -> np.ndarray:
        """Where a frequency lies among the bins.

        Parameters
        ----------
        f_hz : array_like
            Hz, any shape.

        Returns
        -------
        numpy.ndarray
            Fractional bins, unbounded; NaN where f_hz is no pitch.
        """
        f_hz = np.asarray(f_hz, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(f_hz > 0, self.bins_per_octave * np.log2(f_hz / self.fmin_hz), np.nan)

    def nearest_bin(self, f_hz: ArrayLike) -> np.ndarray:
        """The bin that a frequency belongs to.

        Parameters
        ----------
        f_hz : array_like
            Hz, any shape.

        Returns
        -------
        numpy.ndarray
            int, of that shape; -1 for no pitch and for what lies more than half a bin outside.
        """
        position = self.position(f_hz)
        with np.errstate(invalid="ignore"):
            inside = (position >= -0.5) & (position < self.n_bins - 0.5)
        return np.where(inside, np.floor(np.nan_to_num(position) + 0.5), -1).astype(int)

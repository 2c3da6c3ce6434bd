"""A pitch line on frames, and drum hits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from melodylab.io import csv, midi
from melodylab.records.base import assign, check_finite, own, show

_REACH_HOPS = 1.25  # a step of more than twice this leaves frames out; see `evaluate`
_LONE_FRAME_S = 0.01  # how far a frame without neighbours reaches


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Melody:
    """A pitch line on frames.

    Parameters
    ----------
    times_s : array_like of shape (frames,)
        Centres in seconds, rising.
    f0_hz : array_like of shape (frames,)
        Above 0, the best guess also in unvoiced frames; NaN where there is none.
    voicing : array_like of shape (frames,)
        In 0..1; 0.5 and more means voiced. A voiced frame always has a pitch.

    Raises
    ------
    ValueError
        Where the arrays do not fit each other or a value is out of its range.
    """

    times_s: np.ndarray
    f0_hz: np.ndarray
    voicing: np.ndarray

    def __post_init__(self):
        times_s, f0_hz, voicing = (
            own(n, getattr(self, n), 1) for n in ("times_s", "f0_hz", "voicing")
        )
        if not len(times_s) == len(f0_hz) == len(voicing):
            raise ValueError(
                "times_s, f0_hz and voicing differ in length: "
                f"{len(times_s)}, {len(f0_hz)}, {len(voicing)}"
            )
        check_finite("times_s", times_s)
        if np.any(np.diff(times_s) <= 0):
            raise ValueError("times_s must rise from frame to frame")
        if np.any(f0_hz <= 0) or np.any(np.isinf(f0_hz)):
            raise ValueError(
                "f0_hz must be positive (NaN where there is no guess); "
                "Melody.from_csv translates signs"
            )
        if not np.all((voicing >= 0) & (voicing <= 1)):
            raise ValueError("voicing must lie in 0..1")
        if np.any(np.isnan(f0_hz) & (voicing >= 0.5)):
            raise ValueError("a voiced frame needs an f0")
        assign(self, {"times_s": times_s, "f0_hz": f0_hz, "voicing": voicing})

    def __len__(self) -> int:
        return len(self.times_s)

    def __repr__(self) -> str:
        if not len(self):
            return "Melody(no frames)"
        sung = self.sung_hz[self.voiced]
        span = f"{sung.min():.0f} to {sung.max():.0f} Hz" if len(sung) else "nothing sung"
        return (
            f"Melody({len(self)} frames, {self.times_s[0]:.2f} to {self.times_s[-1]:.2f} s, "
            f"{np.mean(self.voiced):.0%} voiced, {span})"
        )

    def _repr_html_(self) -> str:
        return show(self)

    @property
    def voiced(self) -> np.ndarray:
        """(frames,) bool."""
        return self.voicing >= 0.5

    @property
    def sung_hz(self) -> np.ndarray:
        """f0 in voiced frames, NaN elsewhere: what a plot draws and a tone plays. (frames,)"""
        return np.where(self.voiced, self.f0_hz, np.nan)

    @property
    def signed_hz(self) -> np.ndarray:
        """The files' convention: voiced positive, unvoiced guesses negative, no guess 0."""
        return csv.signs(self.f0_hz, self.voicing)

    def resampled(self, times_s: ArrayLike) -> "Melody":
        """The melody on other frames: each takes the nearest one.

        More than a frame beyond either end nothing is voiced, nor where frames are left out inside;
        a single frame reaches 10 ms.

        Parameters
        ----------
        times_s : array_like of shape (frames,)
            The new centres in seconds, rising.

        Returns
        -------
        Melody
            On these frames; all unvoiced, without guesses, if this one has no frames.
        """
        times_s = np.asarray(times_s, dtype=float)
        if not len(self):
            return Melody(times_s, np.full(len(times_s), np.nan), np.zeros(len(times_s)))
        after = np.clip(np.searchsorted(self.times_s, times_s), 1, max(len(self) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(self) - 1)
        nearest = np.where(
            times_s - self.times_s[before] <= self.times_s[after] - times_s, before, after
        )
        hop_s = np.median(np.diff(self.times_s)) if len(self) > 1 else _LONE_FRAME_S
        inside = (times_s >= self.times_s[0] - hop_s) & (times_s <= self.times_s[-1] + hop_s)
        inside &= np.abs(times_s - self.times_s[nearest]) <= _REACH_HOPS * hop_s
        return Melody(times_s, self.f0_hz[nearest], np.where(inside, self.voicing[nearest], 0.0))

    @classmethod
    def from_signed(cls, times_s: ArrayLike, signed_hz: ArrayLike) -> "Melody":
        """From the files' convention.

        Parameters
        ----------
        times_s : array_like of shape (frames,)
            Seconds, rising.
        signed_hz : array_like of shape (frames,)
            Above 0 voiced, below an unvoiced guess, 0 or NaN no guess.

        Returns
        -------
        Melody
            With a voicing of 0 or 1.
        """
        signed_hz = np.nan_to_num(np.asarray(signed_hz, dtype=float), nan=0.0)
        f0_hz = np.where(signed_hz == 0, np.nan, np.abs(signed_hz))
        return cls(np.asarray(times_s), f0_hz, (signed_hz > 0).astype(float))

    def to_csv(
        self,
        path: str | os.PathLike[str],
        *,
        voicing: bool = False,
        header: Mapping[str, object] | None = None,
    ) -> None:
        """Write `# time_s,f0_hz` and one row a frame, signs as in `signed_hz`; complete or absent.

        Parameters
        ----------
        path : str or path
            The file; missing folders are made.
        voicing : bool
            Add the voicing in 0..1 as a third column.
        header : mapping of str to object, optional
            What made the melody, such as {"method": "pyin"}: a remark in the first line.

        Raises
        ------
        InputError
            If the place cannot be written.
        """
        csv.write_melody(
            path, self.times_s, self.f0_hz, self.voicing, with_voicing=voicing, header=header
        )

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], *, duration_s: float | None = None) -> "Melody":
        """Read a melody's file, ours or that of another program: see `io.csv`.

        Parameters
        ----------
        path : str or path
            Time in seconds and f0 in Hz in each row, maybe a voicing or confidence in 0..1.
        duration_s : float, optional
            How long the song lasts, if known. A file that leaves out unvoiced frames then gets them
            back, up to the song's end, with a warning; without it they stay left out.

        Returns
        -------
        Melody
            0, negative and empty pitches are unvoiced.

        Raises
        ------
        InputError
            Where the file cannot be read or understood: names the file, and the line or column.
        """
        return cls(*csv.read_melody(path, duration_s=duration_s))

    def to_midi(
        self,
        path: str | os.PathLike[str],
        *,
        tempo_bpm: float | None = None,
        bends: bool = False,
        loudness: np.ndarray | None = None,
        min_note_s: float = midi.MIN_NOTE_S,
        min_gap_s: float = midi.MIN_GAP_S,
    ) -> float:
        """Write the melody's notes as a MIDI file; complete or absent. See `io.midi`.

        Parameters
        ----------
        path : str or path
            The file; its track's name tells the tuning.
        tempo_bpm : float, optional
            Beats a minute that the bars are drawn by; found from the notes if not given.
        bends : bool
            Follow vibrato, slides and tuning inside the notes by pitch bends.
        loudness : ndarray, optional
            (frames,) in 0..1; the mean over a note is its velocity. All are 90 of 127 without it.
        min_note_s : float
            Shorter notes, in seconds, are dropped or go to their neighbours.
        min_gap_s : float
            Shorter interruptions of the voicing, in seconds, end no note.

        Returns
        -------
        float
            Cents in -50..50 by which the tune lies above the notes that were written.

        Raises
        ------
        InputError
            If the place cannot be written, for a tempo outside 4..1000, or a loudness of another
            length.
        """
        return midi.write_melody(
            path,
            self.times_s,
            self.f0_hz,
            self.voiced,
            tempo_bpm=tempo_bpm,
            bends=bends,
            loudness=loudness,
            min_note_s=min_note_s,
            min_gap_s=min_gap_s,
        )


@dataclass(frozen=True, eq=False)
class DrumOnsets:
    """Drum hits in order of time.

    Parameters
    ----------
    times_s : array_like of shape (hits,)
        Seconds, rising or equal.
    classes : sequence of str
        The name of each hit's drum.
    velocity : array_like of shape (hits,)
        In 0..1.

    Raises
    ------
    ValueError
        Where lengths differ or a value is out of its range.
    """

    times_s: np.ndarray
    classes: tuple[str, ...]
    velocity: np.ndarray

    def __post_init__(self):
        times_s, velocity = own("times_s", self.times_s, 1), own("velocity", self.velocity, 1)
        if not len(times_s) == len(self.classes) == len(velocity):
            raise ValueError("times_s, classes and velocity differ in length")
        check_finite("times_s", times_s)
        if np.any(np.diff(times_s) < 0):
            raise ValueError("drum hits must be in order of time")
        if not np.all((velocity >= 0) & (velocity <= 1)):
            raise ValueError("velocity must lie in 0..1")
        assign(self, {"times_s": times_s, "classes": tuple(self.classes), "velocity": velocity})

    def __repr__(self) -> str:
        names = ", ".join(f"{self.classes.count(n)} {n}" for n in dict.fromkeys(self.classes))
        return f"DrumOnsets({names or 'no hits'})"

    def of_class(self, name: str) -> np.ndarray:
        """When one drum is hit.

        Parameters
        ----------
        name : str
            Its class, such as "snare".

        Returns
        -------
        ndarray of shape (hits,)
            Seconds; empty where the class has no hit.
        """
        return self.times_s[np.array([c == name for c in self.classes], dtype=bool)]

    def to_csv(
        self, path: str | os.PathLike[str], *, header: Mapping[str, object] | None = None
    ) -> None:
        """Write `# time_s,class,velocity` and one row a hit; complete or absent.

        Parameters
        ----------
        path : str or path
            The file; missing folders are made.
        header : mapping of str to object, optional
            What found the hits, such as {"method": "drum-cnn"}: a remark in the first line.

        Raises
        ------
        InputError
            If the place cannot be written.
        """
        csv.write_onsets(path, self.times_s, self.classes, self.velocity, header=header)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> "DrumOnsets":
        """Read hits, ours or those of another program: see `io.csv`.

        Parameters
        ----------
        path : str or path
            Time in seconds, class and maybe velocity (0..1 or 0..127) in each row.

        Returns
        -------
        DrumOnsets
            In order of time; velocity 1 where the file tells none.

        Raises
        ------
        InputError
            Where the file cannot be read or understood: names the file, and the line or column.
        """
        return cls(*csv.read_onsets(path))

    def to_midi(self, path: str | os.PathLike[str]) -> None:
        """Write the hits as General MIDI drums; complete or absent. See `io.midi.write_hits`.

        Parameters
        ----------
        path : str or path
            The file; missing folders are made.

        Raises
        ------
        InputError
            If a class has no drum in General MIDI or the place cannot be written.
        """
        midi.write_hits(path, self)

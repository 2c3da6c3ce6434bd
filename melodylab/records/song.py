"""Sound with what is known about it: songs, drums taken apart, one-shots."""

import hashlib
import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from melodylab.dsp import mixing
from melodylab.dsp.stretches import stretches
from melodylab.errors import InputError
from melodylab.records.base import array, assign, own, show
from melodylab.records.melody import DrumOnsets, Melody

_FAINTEST = 1e-30  # float32 rounds to nothing below 1e-38, and so do squares of less than this
_LOUDEST = 1e15  # and their squares stay numbers, summed over an hour
_CHANNELS = 8  # more of them than samples: the axes are swapped


@dataclass(frozen=True, eq=False)
class OneShot:
    """One stroke on one drum.

    Parameters
    ----------
    name : str
        What it is called.
    kind : str
        Its class, "" where nobody said.
    audio : array_like of shape (samples,)
        Finite, float32, not empty.
    sr : int
        Sampling rate in Hz.

    Raises
    ------
    ValueError
        Where samples or rate are not usable.
    """

    name: str
    kind: str
    audio: np.ndarray
    sr: int

    def __post_init__(self):
        audio = own("audio", self.audio, 1, np.float32)
        if not len(audio) or not np.isfinite(audio).all() or int(self.sr) <= 0:
            raise ValueError(
                f"the one-shot {self.name} needs samples that are finite and a positive rate"
            )
        assign(self, {"audio": audio, "sr": int(self.sr)})

    def __repr__(self) -> str:
        return f"OneShot({self.name!r}, {self.kind!r}, {len(self.audio) / self.sr:.2f} s)"


@dataclass(frozen=True, eq=False)
class Song:
    """A recording, unscaled, with whatever truth is known about it.

    Parameters
    ----------
    audio : array_like of shape (channels, samples)
        Float32. NaN and infinity become 0 with a warning, and so does a whole song that is fainter
        than 1e-30 of full scale. Copied where the caller could still change it.
    sr : int
        Sampling rate in Hz.
    name : str
        What it is called.
    stems : mapping of str to array_like of shape (channels, samples)
        Parts by name, in the shape of the mix.
    melody : Melody, optional
        The true melody, where known.
    onsets : DrumOnsets, optional
        The true drum hits, where known.

    Raises
    ------
    InputError
        Where the rate or a shape is not usable.
    """

    audio: np.ndarray
    sr: int
    name: str = "song"
    stems: Mapping[str, np.ndarray] = field(default_factory=dict)
    melody: Melody | None = None
    onsets: DrumOnsets | None = None

    def __post_init__(self):
        is_rate = isinstance(self.sr, numbers.Real) and not isinstance(self.sr, bool)
        if not is_rate or not 1 <= self.sr < np.inf:
            raise InputError(
                f"the sampling rate must be positive, got {self.sr!r}; give it in Hz, such as 44100"
            )
        shape = np.shape(self.audio)
        if len(shape) != 2 or 0 in shape:
            raise InputError(
                f"audio must be (channels, samples) and not empty, got shape {shape}; "
                "Song.from_array takes a plain array"
            )
        if shape[0] > max(_CHANNELS, shape[1]):
            raise InputError(
                f"audio must be (channels, samples), got shape {shape}, which looks like "
                "(samples, channels); give its transpose, y.T"
            )
        audio = own("audio", self.audio, 2, np.float32)
        bad = sum(int(np.count_nonzero(~np.isfinite(part))) for _, part in stretches(audio))
        if bad:
            warnings.warn(f"{self.name}: {bad} NaN or infinite samples were set to 0", stacklevel=3)
            audio = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0)
            audio = array("audio", audio, 2, np.float32)
        peak = max(max(part.max(), -part.min()) for _, part in stretches(audio))
        if peak > _LOUDEST:
            raise InputError(
                f"{self.name}: samples reach {peak:.0e} and full scale is 1; divide them first"
            )
        if 0 < peak < _FAINTEST:
            warnings.warn(
                f"{self.name}: no sample is above {peak:.0e} of full scale; taken for silence",
                stacklevel=3,
            )
            audio = array("audio", np.zeros_like(audio), 2, np.float32)
        stems = {
            name: own(f"stem {name}", stem, 2, np.float32) for name, stem in self.stems.items()
        }
        for name, stem in stems.items():
            if stem.shape != audio.shape:
                raise InputError(
                    f"stem {name} is {stem.shape} but the mix is {audio.shape}; give both the same"
                )
        assign(self, {"audio": audio, "sr": int(self.sr), "stems": stems})

    @classmethod
    def from_array(
        cls,
        y: ArrayLike,
        sr: int,
        name: str = "song",
        *,
        stems: Mapping[str, np.ndarray] | None = None,
        melody: Melody | None = None,
        onsets: DrumOnsets | None = None,
    ) -> "Song":
        """From an array.

        Parameters
        ----------
        y : array_like of shape (samples,) or (channels, samples)
            Signed integers are scaled to -1..1, unsigned ones around the middle of their range as
            in 8-bit files; floats stay as they are. soundfile gives (samples, channels): its
            transpose fits.
        sr : int
            Sampling rate in Hz.
        name, stems, melody, onsets
            As in `Song`.

        Returns
        -------
        Song
            With the samples as float32.

        Raises
        ------
        InputError
            Where the array holds no real numbers or has another shape.
        """
        try:
            y = np.asarray(y)
        except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors with a graph
            raise InputError(f"samples must be one array of real numbers ({error})") from None
        if y.dtype.kind not in "iuf":
            raise InputError(
                f"samples must be real numbers, got an array of {y.dtype}; give integers or floats"
            )
        if y.dtype.kind in "iu":
            full = 2.0 ** (8 * y.dtype.itemsize - 1)
            y = y / full - (y.dtype.kind == "u")
        y = np.atleast_2d(y).astype(np.float32)
        return cls(y, sr, name, stems or {}, melody, onsets)

    def __repr__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        about = [repr(self.name), f"{self.duration_s:.2f} s", f"{channels} at {self.sr} Hz"]
        about += [f"stems: {', '.join(self.stems)}"] if self.stems else []
        about += [
            f"true {name}" for name in ("melody", "onsets") if getattr(self, name) is not None
        ]
        return f"Song({', '.join(about)})"

    def _repr_html_(self) -> str:
        return show(self)

    @property
    def mono(self) -> np.ndarray:
        """Mean over channels, in which nothing cancels, float32 (samples,): see `dsp.mixing`."""
        return mixing.mix_down(self.audio)

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.audio.shape[0]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.audio.shape[1] / self.sr

    @property
    def sha256(self) -> str:
        """Hash of shape, rate and samples, 64 hexadecimal digits: the same sound, the same hash."""
        hashed = hashlib.sha256(f"{self.channels} {self.sr} ".encode())
        for channel in self.audio:
            for _, part in stretches(channel):
                hashed.update(np.ascontiguousarray(part, dtype="<f4").data)
        return hashed.hexdigest()

    def excerpt(self, start_s: float, end_s: float) -> "Song":
        """The song between two times, truth included and shifted to start at 0.

        Parameters
        ----------
        start_s, end_s : float
            Seconds; what lies outside the song is left out.

        Returns
        -------
        Song
            With the same name.

        Raises
        ------
        InputError
            Where the song has nothing between these times.
        """
        a, b = max(0, round(start_s * self.sr)), min(self.audio.shape[1], round(end_s * self.sr))
        if a >= b:
            raise InputError(
                f"nothing between {start_s} s and {end_s} s: the song lasts "
                f"{self.duration_s:.2f} s; choose times inside it"
            )
        start_s = a / self.sr
        melody, onsets = self.melody, self.onsets
        if melody is not None:
            keep = (melody.times_s >= start_s) & (melody.times_s < b / self.sr)
            melody = Melody(
                melody.times_s[keep] - start_s, melody.f0_hz[keep], melody.voicing[keep]
            )
        if onsets is not None:
            keep = (onsets.times_s >= start_s) & (onsets.times_s < b / self.sr)
            onsets = DrumOnsets(
                onsets.times_s[keep] - start_s,
                tuple(np.array(onsets.classes, dtype=object)[keep]),
                onsets.velocity[keep],
            )
        stems = {name: stem[:, a:b] for name, stem in self.stems.items()}
        return Song(self.audio[:, a:b], self.sr, self.name, stems, melody, onsets)


@dataclass(frozen=True, eq=False)
class DrumParts:
    """Drums taken apart: stems that sum to the song, the hits, and what NMF learned.

    A class without hits has a silent stem and zeros.

    Parameters
    ----------
    stems : mapping of str to ndarray of shape (channels, samples)
        Sound of each class, float32.
    onsets : DrumOnsets
        The hits.
    templates : array_like of shape (freq, parts)
        W, at least 0: a spectrum for each part.
    activations : array_like of shape (parts, time)
        H, at least 0: how much of it there is.
    freqs_hz : array_like of shape (freq,)
        Of the rows of W.
    times_s : array_like of shape (time,)
        Of the columns of H, in seconds.
    parts : sequence of str
        The class of each column of W and row of H; a class may own several.

    Raises
    ------
    ValueError
        Where the shapes do not fit.
    """

    stems: Mapping[str, np.ndarray]
    onsets: DrumOnsets
    templates: np.ndarray
    activations: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray
    parts: tuple[str, ...]

    def __post_init__(self):
        arrays = {n: array(n, getattr(self, n), 2) for n in ("templates", "activations")}
        axes = {n: array(n, getattr(self, n), 1) for n in ("freqs_hz", "times_s")}
        shapes = ((len(axes["freqs_hz"]), len(self.parts)), (len(self.parts), len(axes["times_s"])))
        if tuple(made.shape for made in arrays.values()) != shapes:
            raise ValueError(
                f"templates and activations are {[a.shape for a in arrays.values()]} "
                f"and the axes ask for {shapes}"
            )
        assign(self, {**arrays, **axes, "parts": tuple(self.parts)})

    def __repr__(self) -> str:
        return f"DrumParts(stems: {', '.join(self.stems)}; {self.onsets!r})"

    def _repr_html_(self) -> str:
        return show(self)

    def template(self, name: str) -> np.ndarray:
        """Spectra of one class.

        Parameters
        ----------
        name : str
            One of those in `parts`, such as "kick".

        Returns
        -------
        ndarray of shape (freq, parts)
            Its columns of W.
        """
        return self.templates[:, [part == name for part in self.parts]]

    def activation(self, name: str) -> np.ndarray:
        """Levels of one class.

        Parameters
        ----------
        name : str
            One of those in `parts`, such as "kick".

        Returns
        -------
        ndarray of shape (parts, time)
            Its rows of H.
        """
        return self.activations[[part == name for part in self.parts]]

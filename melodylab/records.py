"""What travels between the stages: frozen records that check themselves when they are made.

Axes: audio is (channels, samples); anything with a spectrum is (..., freq, time). Times are frame centres in seconds,
frequencies in Hz. A `Melody` holds every frame: `f0_hz` is the best guess also where nothing is sung, NaN where there is
no guess at all; `voicing >= 0.5` means voiced. Signs and zeros exist only in CSV files and inside `evaluate`.
Arrays in records are read-only views: copy before you write.
"""

import warnings
from dataclasses import dataclass, field

import numpy as np

from melodylab import files
from melodylab.dsp import mixing
from melodylab.errors import InputError
from melodylab.io import midi


def _array(name, value, ndim, dtype=np.float64):
    """A read-only view of `value` with the wanted dimensions, or a sentence."""
    value = np.asarray(value, dtype=dtype)
    if value.ndim != ndim:
        raise ValueError(f"{name} needs {ndim} dimension(s), got shape {value.shape}")
    value = value.view()
    value.flags.writeable = False
    return value


def _set(record, **values):
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _check_axes(record):
    """Shared by everything drawn on (freq, time): axes have the right length and run upwards."""
    freqs_hz, times_s = _array("freqs_hz", record.freqs_hz, 1), _array("times_s", record.times_s, 1)
    shape = record.values.shape[-2:]
    if shape != (len(freqs_hz), len(times_s)):
        raise ValueError(
            f"values are {shape} (freq, time) but the axes have {len(freqs_hz)} and {len(times_s)} entries"
        )
    for name, axis in (("freqs_hz", freqs_hz), ("times_s", times_s)):
        if np.any(np.diff(axis) <= 0):
            raise ValueError(f"{name} must rise from entry to entry")
    _set(record, freqs_hz=freqs_hz, times_s=times_s)


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Melody:
    """A pitch line on frames.

    times_s: (frames,) centres, rising. f0_hz: (frames,) > 0, the best guess also in unvoiced frames; NaN = no guess.
    voicing: (frames,) in 0..1; >= 0.5 means voiced. A voiced frame always has a pitch.
    """

    times_s: np.ndarray
    f0_hz: np.ndarray
    voicing: np.ndarray

    def __post_init__(self):
        times_s, f0_hz, voicing = (
            _array(n, getattr(self, n), 1) for n in ("times_s", "f0_hz", "voicing")
        )
        if not len(times_s) == len(f0_hz) == len(voicing):
            raise ValueError(
                f"times_s, f0_hz and voicing differ in length: {len(times_s)}, {len(f0_hz)}, {len(voicing)}"
            )
        if np.any(np.diff(times_s) <= 0):
            raise ValueError("times_s must rise from frame to frame")
        if np.any(f0_hz <= 0) or np.any(np.isinf(f0_hz)):
            raise ValueError(
                "f0_hz must be positive (NaN where there is no guess); Melody.from_csv translates signs"
            )
        if not np.all((voicing >= 0) & (voicing <= 1)):
            raise ValueError("voicing must lie in 0..1")
        if np.any(np.isnan(f0_hz) & (voicing >= 0.5)):
            raise ValueError("a voiced frame needs an f0")
        _set(self, times_s=times_s, f0_hz=f0_hz, voicing=voicing)

    def __len__(self):
        return len(self.times_s)

    @property
    def voiced(self):
        """(frames,) bool."""
        return self.voicing >= 0.5

    @property
    def sung_hz(self):
        """f0 in voiced frames, NaN elsewhere: what a plot draws and a tone plays. (frames,)"""
        return np.where(self.voiced, self.f0_hz, np.nan)

    @property
    def signed_hz(self):
        """The files' convention: voiced positive, unvoiced guesses negative, no guess 0. (frames,)"""
        return np.nan_to_num(np.where(self.voiced, self.f0_hz, -self.f0_hz), nan=0.0)

    def resampled(self, times_s):
        """The melody on other frames: each takes the nearest frame; beyond either end nothing is voiced. Melody."""
        times_s = np.asarray(times_s, dtype=float)
        if not len(self):
            return Melody(times_s, np.full(len(times_s), np.nan), np.zeros(len(times_s)))
        after = np.clip(np.searchsorted(self.times_s, times_s), 1, max(len(self) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(self) - 1)
        nearest = np.where(
            times_s - self.times_s[before] <= self.times_s[after] - times_s, before, after
        )
        hop_s = np.median(np.diff(self.times_s)) if len(self) > 1 else np.inf
        inside = (times_s >= self.times_s[0] - hop_s) & (times_s <= self.times_s[-1] + hop_s)
        return Melody(times_s, self.f0_hz[nearest], np.where(inside, self.voicing[nearest], 0.0))

    @classmethod
    def from_signed(cls, times_s, signed_hz):
        """From the files' convention: > 0 voiced, < 0 an unvoiced guess, 0 or NaN no guess."""
        signed_hz = np.nan_to_num(np.asarray(signed_hz, dtype=float), nan=0.0)
        f0_hz = np.where(signed_hz == 0, np.nan, np.abs(signed_hz))
        return cls(times_s, f0_hz, (signed_hz > 0).astype(float))

    def to_csv(self, path):
        """Write `# time_s,f0_hz` and one row a frame, signs as in `signed_hz`. Complete or absent."""
        rows = [f"{t:.6f},{f:.3f}" for t, f in zip(self.times_s, self.signed_hz, strict=True)]
        with files.complete_or_absent(path) as temporary:
            temporary.write_text("\n".join(["# time_s,f0_hz", *rows]) + "\n")

    @classmethod
    def from_csv(cls, path):
        """Read two columns, comma, tab or blank separated, lines with # skipped. Raises InputError on anything else."""
        rows = []
        try:
            with open(path, encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    line = line.split("#")[0].replace(",", " ").split()
                    if not line:
                        continue
                    try:
                        rows.append((float(line[0]), float(line[1])))
                    except (ValueError, IndexError):
                        if number == 1:  # a header without a comment sign
                            continue
                        raise InputError(
                            f"{path}, line {number}: expected time_s,f0_hz; give two numbers per line"
                        ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot read the melody file {path} ({error}); give a CSV of time_s,f0_hz"
            ) from None
        if not rows:
            raise InputError(f"the melody file {path} has no rows; give a CSV of time_s,f0_hz")
        times_s, signed_hz = np.array(rows).T
        if np.any(np.diff(times_s) <= 0):
            raise InputError(f"the times in {path} do not rise; sort its rows and remove doubles")
        return cls.from_signed(times_s, signed_hz)

    def to_midi(self, path, **options):
        """Write the melody's notes as a MIDI file; options as in `midi.notes_from_f0`."""
        midi.write_melody(path, self.times_s, self.f0_hz, self.voiced, **options)


@dataclass(frozen=True, eq=False)
class DrumOnsets:
    """Drum hits: times_s (hits,) rising or equal, classes (hits,) names, velocity (hits,) in 0..1."""

    times_s: np.ndarray
    classes: tuple
    velocity: np.ndarray

    def __post_init__(self):
        times_s, velocity = _array("times_s", self.times_s, 1), _array("velocity", self.velocity, 1)
        if not len(times_s) == len(self.classes) == len(velocity):
            raise ValueError("times_s, classes and velocity differ in length")
        if np.any(np.diff(times_s) < 0):
            raise ValueError("drum hits must be in order of time")
        _set(self, times_s=times_s, classes=tuple(self.classes), velocity=velocity)

    def of_class(self, name):
        """Times in seconds of one class, (hits,)."""
        return self.times_s[np.array([c == name for c in self.classes], dtype=bool)]

    def to_csv(self, path):
        """Write `time_s,class,velocity` and one row a hit. Complete or absent; `datasets.read_onsets` reads it."""
        rows = [
            f"{t:.6f},{c},{v:.4f}"
            for t, c, v in zip(self.times_s, self.classes, self.velocity, strict=True)
        ]
        with files.complete_or_absent(path) as temporary:
            temporary.write_text("\n".join(["time_s,class,velocity", *rows]) + "\n")

    def to_midi(self, path):
        """Write the hits as General MIDI drums; see `midi.write_hits`."""
        midi.write_hits(path, self)


@dataclass(frozen=True, eq=False)
class OneShot:
    """One stroke on one drum: its name, its class ("" where nobody said), audio float32 (samples,) at rate `sr`."""

    name: str
    kind: str
    audio: np.ndarray
    sr: int

    def __post_init__(self):
        audio = _array("audio", self.audio, 1, np.float32)
        if not len(audio) or not np.isfinite(audio).all() or int(self.sr) <= 0:
            raise ValueError(
                f"the one-shot {self.name} needs samples that are finite and a positive rate"
            )
        _set(self, audio=audio, sr=int(self.sr))


@dataclass(frozen=True, eq=False)
class Song:
    """A recording, unscaled, with whatever truth is known about it.

    audio: float32 (channels, samples) at rate `sr`; NaN and infinity become 0 with a warning. stems: name -> array of the
    same shape, read through `stem(name)`. melody, onsets: truth, where known.
    """

    audio: np.ndarray
    sr: int
    name: str = "song"
    stems: dict = field(default_factory=dict)
    melody: Melody | None = None
    onsets: DrumOnsets | None = None

    def __post_init__(self):
        if int(self.sr) <= 0:
            raise ValueError(f"the sampling rate must be positive, got {self.sr}")
        if np.ndim(self.audio) != 2 or 0 in np.shape(self.audio):
            raise ValueError(
                f"audio must be (channels, samples) and not empty, got shape {np.shape(self.audio)}; "
                "Song.from_array takes a plain array"
            )
        audio = np.asarray(self.audio, dtype=np.float32)
        bad = ~np.isfinite(audio)
        if bad.any():
            warnings.warn(
                f"{self.name}: {int(bad.sum())} NaN or infinite samples were set to 0", stacklevel=3
            )
            audio = np.where(bad, np.float32(0), audio)
        stems = {
            name: _array(f"stem {name}", stem, 2, np.float32) for name, stem in self.stems.items()
        }
        for name, stem in stems.items():
            if stem.shape != audio.shape:
                raise ValueError(f"stem {name} is {stem.shape} but the mix is {audio.shape}")
        _set(self, audio=_array("audio", audio, 2, np.float32), sr=int(self.sr), stems=stems)

    @classmethod
    def from_array(cls, y, sr, name="song", **truth):
        """From a NumPy array: (samples,) mono or (channels, samples). Integer arrays are scaled to -1..1."""
        y = np.asarray(y)
        if np.issubdtype(y.dtype, np.signedinteger):
            y = y / -float(np.iinfo(y.dtype).min)
        return cls(np.atleast_2d(y).astype(np.float32), sr, name, **truth)

    @property
    def mono(self) -> np.ndarray:
        """Mean over channels, in which nothing cancels, float32 (samples,): see `dsp.mixing`."""
        return mixing.mix_down(self.audio)

    @property
    def channels(self):
        return self.audio.shape[0]

    @property
    def duration_s(self):
        return self.audio.shape[1] / self.sr

    def excerpt(self, start_s, end_s):
        """The song between two times, truth included and shifted to start at 0. Raises ValueError on an empty range."""
        a, b = max(0, round(start_s * self.sr)), min(self.audio.shape[1], round(end_s * self.sr))
        if a >= b:
            raise ValueError(
                f"nothing between {start_s} s and {end_s} s: the song lasts {self.duration_s:.2f} s"
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
                np.array(onsets.classes, dtype=object)[keep],
                onsets.velocity[keep],
            )
        stems = {name: stem[:, a:b] for name, stem in self.stems.items()}
        return Song(self.audio[:, a:b], self.sr, self.name, stems, melody, onsets)


@dataclass(frozen=True, eq=False)
class DrumParts:
    """Drums taken apart: stems (name -> float32 (channels, samples)) that sum to the song, the hits, and what NMF learned.

    templates: W (freq, parts) >= 0, a spectrum for each part; activations: H (parts, time) >= 0. parts: the class of each column of
    W and row of H, a class may own several. A class without hits has a silent stem and zeros.
    """

    stems: dict
    onsets: DrumOnsets
    templates: np.ndarray
    activations: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray
    parts: tuple

    def __post_init__(self):
        arrays = {n: _array(n, getattr(self, n), 2) for n in ("templates", "activations")}
        axes = {n: _array(n, getattr(self, n), 1) for n in ("freqs_hz", "times_s")}
        shapes = ((len(axes["freqs_hz"]), len(self.parts)), (len(self.parts), len(axes["times_s"])))
        if tuple(array.shape for array in arrays.values()) != shapes:
            raise ValueError(
                f"templates and activations are {[a.shape for a in arrays.values()]} and the axes ask for {shapes}"
            )
        _set(self, **arrays, **axes, parts=tuple(self.parts))

    def template(self, name):
        """Spectra of one class, (freq, its parts)."""
        return self.templates[:, [part == name for part in self.parts]]

    def activation(self, name):
        """Levels of one class, (its parts, time)."""
        return self.activations[[part == name for part in self.parts]]


@dataclass(frozen=True, eq=False)
class Features:
    """A time-frequency picture: values (channel, freq, time), freqs_hz (freq,), times_s (time,), kind such as "cqt"."""

    values: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray
    kind: str

    def __post_init__(self):
        _set(self, values=_array("values", self.values, 3, np.float32))
        _check_axes(self)


@dataclass(frozen=True, eq=False)
class Salience:
    """How strongly each pitch stands out: values (freq, time) >= 0, larger is more.

    unvoiced: (time,) or None, the evidence for "no melody here" on the method's own scale. made_by: the method's name.
    """

    values: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray
    unvoiced: np.ndarray | None = None
    made_by: str = ""

    def __post_init__(self):
        values = _array("values", self.values, 2, np.float32)
        if not np.all(values >= 0):  # NaN fails too
            raise ValueError("salience must be finite and not negative")
        _set(self, values=values)
        _check_axes(self)
        if self.unvoiced is not None:
            unvoiced = _array("unvoiced", self.unvoiced, 1, np.float32)
            if len(unvoiced) != values.shape[1]:
                raise ValueError(
                    f"unvoiced has {len(unvoiced)} frames, the salience {values.shape[1]}"
                )
            _set(self, unvoiced=unvoiced)


@dataclass(frozen=True, eq=False)
class Mask:
    """The share of each time-frequency cell that belongs to one source: values (freq, time) in 0..1."""

    values: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray

    def __post_init__(self):
        values = _array("values", self.values, 2, np.float32)
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError("a mask lies in 0..1")
        _set(self, values=values)
        _check_axes(self)

    @property
    def complement(self):
        """One minus the mask: what is left for the rest."""
        return Mask(1 - self.values, self.freqs_hz, self.times_s)

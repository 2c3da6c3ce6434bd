"""What is drawn on (freq, time): features, salience, masks."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from melodylab.records.base import array, assign, check_axes

Scale = Literal["power", "magnitude", "db", "share"]
_SCALE_OF = {  # of pictures whose maker does not say
    **dict.fromkeys(("stft", "mel"), "power"),
    **dict.fromkeys(("cqt", "magnitudes", "log_magnitudes"), "magnitude"),
    **dict.fromkeys(("hcqt", "spectra", "drum-mel"), "db"),
}


@dataclass(frozen=True, eq=False)
class Features:
    """A time-frequency picture.

    Parameters
    ----------
    values : array_like of shape (channel, freq, time)
        What stands in the cells, float32.
    freqs_hz : array_like of shape (freq,)
        Centres of the rows, rising.
    times_s : array_like of shape (time,)
        Centres of the frames in seconds, rising.
    kind : str
        What it is: "stft", "cqt", a layer's name...
    scale : {"power", "magnitude", "db", "share"}, optional
        What a value means. power, magnitude: as they are. db: 1 is the loudest cell, 0 is 80 dB
        below it. share: anything else, such as a share of the frame, a network's activation.
        Left out, it is what a picture of this kind usually has; share for an unknown kind.

    Raises
    ------
    ValueError
        Where the axes do not fit the values, or a scale has another name.
    """

    values: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray
    kind: str
    scale: Scale = field(default="", kw_only=True)  # type: ignore[assignment]  # filled in below

    def __post_init__(self):
        scale = self.scale or _SCALE_OF.get(self.kind, "share")
        if scale not in get_args(Scale):
            raise ValueError(f"scale is one of {', '.join(get_args(Scale))}, not {scale!r}")
        assign(self, {"values": array("values", self.values, 3, np.float32), "scale": scale})
        check_axes(self)

    def __repr__(self) -> str:
        channels, rows, frames = self.values.shape
        return (
            f"Features({self.kind!r}, {self.scale}, {channels} channels, {rows} rows, "
            f"{frames} frames)"
        )


@dataclass(frozen=True, eq=False)
class Salience:
    """How strongly each pitch stands out.

    Parameters
    ----------
    values : array_like of shape (freq, time)
        At least 0 and finite, larger is more; float32.
    freqs_hz : array_like of shape (freq,)
        Centres of the rows, rising.
    times_s : array_like of shape (time,)
        Centres of the frames in seconds, rising.
    unvoiced : array_like of shape (time,), optional
        The evidence for "no melody here" on the method's own scale.
    made_by : str
        The method's name.

    Raises
    ------
    ValueError
        Where the axes do not fit or a value is out of its range.
    """

    values: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray
    unvoiced: np.ndarray | None = None
    made_by: str = ""

    def __post_init__(self):
        values = array("values", self.values, 2, np.float32)
        if not np.all((values >= 0) & (values < np.inf)):  # NaN fails too
            raise ValueError("salience must be finite and not negative")
        assign(self, {"values": values})
        check_axes(self)
        if self.unvoiced is not None:
            unvoiced = array("unvoiced", self.unvoiced, 1, np.float32)
            if len(unvoiced) != values.shape[1]:
                raise ValueError(
                    f"unvoiced has {len(unvoiced)} frames, the salience {values.shape[1]}"
                )
            if np.isnan(unvoiced).any():
                raise ValueError("unvoiced must be a number in each frame, got NaN")
            assign(self, {"unvoiced": unvoiced})

    def __repr__(self) -> str:
        rows, frames = self.values.shape
        return f"Salience({rows} pitches, {frames} frames{self.made_by and f', {self.made_by}'})"


@dataclass(frozen=True, eq=False)
class Mask:
    """The share of each time-frequency cell that belongs to one source.

    Parameters
    ----------
    values : array_like of shape (freq, time)
        In 0..1, float32.
    freqs_hz : array_like of shape (freq,)
        Centres of the rows, rising.
    times_s : array_like of shape (time,)
        Centres of the frames in seconds, rising.

    Raises
    ------
    ValueError
        Where the axes do not fit or a value is out of its range.
    """

    values: np.ndarray
    freqs_hz: np.ndarray
    times_s: np.ndarray

    def __post_init__(self):
        values = array("values", self.values, 2, np.float32)
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError("a mask lies in 0..1")
        assign(self, {"values": values})
        check_axes(self)

    def __repr__(self) -> str:
        rows, frames = self.values.shape
        return f"Mask({rows} rows, {frames} frames)"

    @property
    def complement(self) -> "Mask":
        """One minus the mask: what is left for the rest."""
        return Mask(1 - self.values, self.freqs_hz, self.times_s)

"""Spectra, melodies on top of them, waveforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects

from melodylab.plot.axes import (
    ESTIMATE,
    INK,
    REFERENCE,
    _axes,
    _colorbar,
    _frequency_axis,
    _image,
    _legend,
    _line,
    _plain,
    _scale_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from melodylab.records import Features, Mask, Melody, Salience

# --- sound and melody -----------------------------------------------------------------------------


def spectrogram(
    features: Features,
    *,
    ax: Axes | None = None,
    channel: int = 0,
    melody: Melody | None = None,
    harmonics: int = 0,
    fmax_hz: float | None = None,
    db_range: float = 60,
    exponent: float | None = None,
    scale: str | None = None,
    loudest: float | None = None,
    colorbar: bool = True,
) -> Axes:
    """Layer `channel` of any `Features`.

    Power, magnitude or decibels, as its `scale` says, in decibels below the loudest cell; shares,
    such as a layer of a CFP, as they are.

    Parameters
    ----------
    features : Features
        (channels, freq, time).
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    channel : int
        Which layer, from 0.
    melody : Melody, optional
        Drawn as a thin line at f0, with `harmonics` dotted overtones 2 f0, 3 f0, ...
    harmonics : int
        How many dotted overtones 2 f0, 3 f0, ... go with the melody.
    fmax_hz : float, optional
        Upper end of the picture, in Hz; by default the last row.
    db_range : float
        What is quieter by more decibels is black.
    exponent : float, optional
        Draw magnitude ** exponent (0..1) instead of decibels.
    scale : str, optional
        "linear", "log" or "rows"; without it the axis on which the rows are evenly spaced. Silence
        is black.
    loudest : float, optional
        The value that is 0 dB, so that pictures can be compared by level; without it this picture's
        largest.
    colorbar : bool
        Whether the colours are explained beside it.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    values = features.values[channel].astype(float)
    if features.scale == "db":  # 0..1 stands for -80..0 dB
        level_db = 80 * (values - 1)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            level_db = (10 if features.scale == "power" else 20) * np.log10(
                values / (loudest or values.max() or 1)
            )
    if features.scale == "share":
        shown, low, high = values ** (exponent or 1), min(values.min(), 0), max(values.max(), 1)
        high, label = loudest or high, "Value"
        label += f", to the power {exponent:g}" if exponent else ", 0..1" if high == 1 else ""
    elif exponent is None:
        shown, low, high, label = (
            np.maximum(level_db, -db_range),
            -db_range,
            0,
            "Level (dB below the loudest)",
        )
    else:
        shown, low, high, label = (
            10 ** (level_db / 20 * exponent),
            0,
            1,
            f"Magnitude to the power {exponent:g}",
        )
    scale = scale or _scale_of(features.freqs_hz)
    image = _image(
        ax,
        shown,
        features.freqs_hz,
        features.times_s,
        scale=scale,
        fmax_hz=fmax_hz,
        vmin=low,
        vmax=high,
    )
    if colorbar:
        _colorbar(image, label)
    if melody is not None:
        for h in range(2, harmonics + 2):
            _line(ax, melody, h, **ESTIMATE | {"linestyle": ":", "linewidth": 1})
        _line(
            ax,
            melody,
            **ESTIMATE,
            label="melody" + (" and overtones (dotted)" if harmonics else ""),
        )
        _legend(ax)
    return ax


def mask_map(
    mask: Mask,
    *,
    gate: np.ndarray | None = None,
    melody: Melody | None = None,
    ax: Axes | None = None,
    fmax_hz: float | None = None,
    colorbar: bool = True,
) -> Axes:
    """A `Mask`: the share of the melody in each cell, 0 black and 1 white, on the axis on which its
    rows are evenly spaced.

    Parameters
    ----------
    mask : Mask
        (freq, time), 0..1.
    gate : ndarray, optional
        (time,), 0..1, a curve from the bottom to the top of the picture.
    melody : Melody, optional
        Drawn thin.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    fmax_hz : float, optional
        Upper end of the picture, in Hz; by default the last row.
    colorbar : bool
        Whether the colours are explained beside it.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    scale = _scale_of(mask.freqs_hz)
    image = _image(
        ax, mask.values, mask.freqs_hz, mask.times_s, scale=scale, fmax_hz=fmax_hz, vmin=0, vmax=1
    )
    if colorbar:
        _colorbar(image, "Share of the melody")
    if melody is not None:
        _line(ax, melody, **ESTIMATE, label="melody")
    if gate is not None:
        outline = [patheffects.withStroke(linewidth=3, foreground="black", alpha=0.75)]
        look = {"color": "#7CFC9A", "linewidth": 1.4, "linestyle": (0, (5, 1))}
        ax.plot(
            mask.times_s,
            0.03 + 0.94 * np.asarray(gate),  # a line on the border would not be seen
            label="gate, 0 to 1",
            transform=ax.get_xaxis_transform(),  # seconds, and 0..1 from bottom to top
            path_effects=outline,
            scalex=False,
            scaley=False,
            **look,
        )
    _legend(ax)
    return ax


def salience_map(
    salience: Salience,
    *,
    melody: Melody | None = None,
    reference: Melody | None = None,
    ax: Axes | None = None,
    exponent: float | None = None,
    colorbar: bool = True,
) -> Axes:
    """A `Salience` on a logarithmic axis with note names.

    The reference broad and dashed, the melody thin and solid upon it.

    Parameters
    ----------
    salience : Salience
        (pitch, time) >= 0.
    melody : Melody, optional
        Drawn thin upon it.
    reference : Melody, optional
        The true melody.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    exponent : float, optional
        Draw salience to this power, 0.2..1; without it one at which a frame's ten strongest
        candidates of 300 can be seen.
    colorbar : bool
        Whether the colours are explained beside it.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    top = np.quantile(salience.values, 0.999) or salience.values.max() or 1.0
    if exponent is None:
        candidate = np.clip(np.quantile(salience.values, 0.97) / top, 1e-9, 0.999)
        exponent = np.clip(round(np.log(0.3) / np.log(candidate), 1), 0.2, 1)
    shown = np.minimum(salience.values / top, 1) ** exponent
    image = _image(ax, shown, salience.freqs_hz, salience.times_s, scale="log", vmin=0, vmax=1)
    if colorbar:
        _colorbar(
            image,
            "Salience (1 = strongest)" if exponent == 1 else f"Salience to the power {exponent:g}",
        )
    if reference is not None:
        _line(ax, reference, **REFERENCE, label="reference")
    if melody is not None:
        _line(ax, melody, **ESTIMATE, label="estimate")
    _legend(ax)
    return ax


def melody_line(
    melody: Melody,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    color: str | None = None,
    linewidth: float | None = None,
    linestyle: str | tuple | None = None,
) -> Axes:
    """The sung frames of a `Melody` as a line on a logarithmic axis; gaps stay gaps.

    On an `ax` that holds a picture already, its axis and limits stay as they are; further lines on
    white widen the limits.

    Parameters
    ----------
    melody : Melody
        Its voiced frames are drawn.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    label : str, optional
        For the legend.
    color : str, optional
        As matplotlib says colours.
    linewidth : float, optional
        In points.
    linestyle : str or tuple, optional
        As matplotlib says line styles.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (10, 3.2))
    style = {"color": color, "linewidth": linewidth, "linestyle": linestyle}
    style = {name: value for name, value in style.items() if value is not None}
    if ax.get_images():
        style = ESTIMATE | style
    else:
        limits = (
            np.array([*ax.get_xlim(), *ax.get_ylim()])
            if ax.lines
            else np.array([np.inf, -np.inf] * 2)
        )
        sung = melody.f0_hz[melody.voiced] if melody.voiced.any() else np.array([220.0, 440.0])
        _frequency_axis(
            ax, min(limits[2], sung.min() / 1.2), max(limits[3], sung.max() * 1.2), "log"
        )
        if len(melody) > 1:
            ax.set_xlim(min(limits[0], melody.times_s[0]), max(limits[1], melody.times_s[-1]))
        _plain(ax)
        nth = len(ax.lines)
        dash = ("-", "--", ":", "-.")[nth % 4]
        style = {
            "color": INK[nth % len(INK)],
            "linewidth": 1.6,
            "linestyle": dash,
            "outline": None,
        } | style
    _line(ax, melody, label=label, **style)
    if label:
        _legend(ax)
    return ax


def level_difference(
    power: np.ndarray,
    model: np.ndarray,
    freqs_hz: np.ndarray,
    times_s: np.ndarray,
    *,
    ax: Axes | None = None,
    fmax_hz: float = 5000,
    db_range: float = 20,
    colorbar: bool = True,
) -> Axes:
    """Where a model (freq, time) is too quiet (red) and too loud (blue), in decibels.

    White is right. Both powers >= 0.

    Parameters
    ----------
    power : ndarray
        (freq, time) >= 0, of the song.
    model : ndarray
        (freq, time) >= 0, of the model.
    freqs_hz : ndarray
        (freq,), rising, in Hz.
    times_s : ndarray
        (time,), in seconds.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    fmax_hz : float
        Upper end of the picture, in Hz.
    db_range : float
        What differs by more decibels has the colours' end.
    colorbar : bool
        Whether the colours are explained beside it.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    floor = 1e-9 * (np.max(power) or 1)  # silence against silence is no difference
    difference_db = 10 * np.log10((power + floor) / (model + floor))
    limits = {"vmin": -db_range, "vmax": db_range, "cmap": "RdBu_r"}
    image = _image(
        ax, difference_db, freqs_hz, times_s, scale=_scale_of(freqs_hz), fmax_hz=fmax_hz, **limits
    )
    if colorbar:
        _colorbar(image, "Song minus model (dB)", extend="both")
    return ax


def waveforms(stems: Mapping[str, np.ndarray], sr: int, *, ax: Axes | None = None) -> Axes:
    """Signals one above the other on one common scale, so that loudness compares.

    Parameters
    ----------
    stems : Mapping[str, ndarray]
        {name: (samples,) or (channels, samples)}. Each column spans its lowest and highest sample,
        so no peak is lost.
    sr : int
        Samples a second.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (10, 1 + 0.9 * len(stems)))
    signals = {name: np.atleast_2d(signal) for name, signal in stems.items()}
    peak = max((np.abs(signal).max() for signal in signals.values()), default=0) or 1.0
    for row, signal in enumerate(signals.values()):
        starts = np.unique(np.linspace(0, signal.shape[1] - 1, 2000).astype(int))
        low, high = (
            np.minimum.reduceat(signal.min(axis=0), starts),
            np.maximum.reduceat(signal.max(axis=0), starts),
        )
        low, high = (0.48 * end / peak - row for end in (low, high))
        ax.fill_between(starts / sr, low, high, color=INK[row % len(INK)], linewidth=0.5)
    ax.set_yticks(-np.arange(len(signals)), list(signals))
    ax.set(xlabel="Time (s)", ylim=(0.6 - len(signals), 0.6))
    _plain(ax)
    ax.margins(x=0)
    return ax

"""What is inside a network: activations, alone, side by side, on one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects, ticker
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from melodylab.dsp import grids
from melodylab.plot.axes import (
    ESTIMATE,
    INK,
    _axes,
    _colorbar,
    _edges,
    _frequency_axis,
    _image,
    _legend,
    _line,
    _NoteLocator,
    _plain,
    note_name,
)
from melodylab.records import Features, Melody

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from melodylab.records import Salience

# --- inside a network -----------------------------------------------------------------------------


def activation_map(
    activation: Features,
    *,
    channel: int | None = None,
    ax: Axes | None = None,
    melody: Melody | None = None,
    colorbar: bool = True,
) -> Axes:
    """One channel of a layer (Features as from `explain.activations`, or any input of a network) on
    pitch and time.

    Parameters
    ----------
    activation : Features
        As from `explain.activations`, or a network's input.
    channel : int, optional
        Its number, or None for the mean of all. Of layers whose rows have no pitch, such as GRU
        units and classes, one channel is a curve, and None draws all of them, one row each.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    melody : Melody, optional
        Drawn thin.
    colorbar : bool
        Whether the colours are explained beside it.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    values, times_s = activation.values, activation.times_s
    if np.isnan(activation.freqs_hz).any() and (channel is not None or values.shape[0] == 1):
        _curve(ax, times_s, values[channel or 0, 0])
        ax.set(ylabel="Value")
        return ax
    if np.isnan(activation.freqs_hz).any():
        values, limits = values[:, 0], (-0.5, len(values) - 0.5)
        image = ax.imshow(
            values,
            origin="lower",
            aspect="auto",
            extent=(*_edges(times_s), *limits),
            **_shade(values),
        )
        ax.set(xlabel="Time (s)", ylabel="Unit (number)")
    else:
        values = values.mean(axis=0) if channel is None else values[channel]
        image = _image(ax, values, activation.freqs_hz, times_s, scale="log", **_shade(values))
    if colorbar:
        _colorbar(image, "Value", extend="both")
    if melody is not None:
        _overlay(ax, melody, label="melody")
        _legend(ax)
    return ax


def _shade(values):
    """Colours for activations: blue to red with signs, "magma" of the square root without, so that
    faint lines are seen.
    """
    top = np.quantile(np.abs(values), 0.995) or np.abs(values).max() or 1.0
    if values.min() < 0:
        return {"cmap": "RdBu_r", "norm": Normalize(-top, top)}
    return {"cmap": "magma", "norm": PowerNorm(0.5, 0, top, clip=True)}


def _is_dark(ax):
    return any(image.get_cmap().name == "magma" for image in ax.get_images())


def _overlay(ax, melody, **style):
    """The melody as a line that leaves in sight what lies below it, on dark and on light maps."""
    light = {"color": "black", "linewidth": 1, "linestyle": (0, (3, 2)), "outline": None}
    _line(ax, melody, **(ESTIMATE if _is_dark(ax) else light) | style)


def _curve(ax, times_s, values):
    ax.plot(times_s, values, color=INK[0], linewidth=1.2)
    ax.set(xlim=_edges(times_s), xlabel="Time (s)")
    _plain(ax)


def activations(
    activation: Features,
    *,
    channels: Sequence[int] | None = None,
    columns: int = 8,
    melody: Melody | None = None,
    time_s: float | None = None,
) -> Figure:
    """Small pictures of a layer's channels side by side, one colour scale for all; returns a
    Figure.

    Parameters
    ----------
    activation : Features
        (channels, freq, time) as from `explain.activations`, whose rows have pitches.
    channels : Sequence[int], optional
        Their numbers, from 0; the first 64 if not given.
    columns : int
        How many in a row.
    melody : Melody, optional
        Drawn thin on each.
    time_s : float, optional
        In seconds: a cursor through all.

    Returns
    -------
    Figure
    """
    channels = list(range(len(activation.values)) if channels is None else channels)[:64]
    columns = min(columns, len(channels))
    rows = -(-len(channels) // columns)
    width = {1: 8, 2: 5, 3: 3.6}.get(columns, 10.4 / columns)
    size = (1.4 + width * columns, 0.8 + (0.62 * width + 0.2) * rows)
    figure = plt.figure(figsize=size, layout="constrained")
    axes = figure.subplots(
        rows, columns, squeeze=False
    )  # axes that share take matplotlib twice as long
    shade = _shade(activation.values[channels])
    for ax, channel in zip(axes.flat, channels, strict=False):
        image = _image(
            ax,
            activation.values[channel],
            activation.freqs_hz,
            activation.times_s,
            scale="log",
            **shade,
        )
        ax.set_title(str(channel), fontsize="small", pad=2)
        if melody is not None:
            _overlay(ax, melody, linewidth=0.7)
        if time_s is not None:
            _cursor(ax, time_s)
    octaves_hz = grids.midi_to_hz(np.arange(33, 118, 12 if rows < 4 else 24))
    for n, ax in enumerate(axes.flat):
        ax.yaxis.set_major_locator(
            ticker.FixedLocator(octaves_hz) if n % columns == 0 else ticker.NullLocator()
        )
        lowest = n + columns >= len(channels)
        ax.xaxis.set_major_locator(
            ticker.MaxNLocator(3 if columns > 4 else 6) if lowest else ticker.NullLocator()
        )
        ax.tick_params(labelsize="small")
        ax.set(xlabel="", ylabel="", visible=n < len(channels))
    figure.supxlabel("Time (s)", fontsize="medium")
    figure.supylabel("Note, frequency (Hz)", fontsize="medium")
    figure.colorbar(image, ax=axes, pad=0.01, aspect=40, label="Value", extend="both")
    return figure


def _cursor(ax, time_s):
    dark = _is_dark(ax)
    outline = [
        patheffects.withStroke(linewidth=2.6, foreground="black" if dark else "white", alpha=0.75)
    ]
    ax.axvline(
        time_s,
        color="white" if dark else "black",
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        path_effects=outline,
    )


def aligned(
    pictures: Mapping[str, Features | tuple[Features, int] | Salience | Melody],
    *,
    time_s: float | None = None,
    melody: Melody | None = None,
) -> Figure:
    """Pictures of one song one above the other on one clock and one range of pitches.

    The poster's figure: `aligned({"H_F0": features, "CNN1": seen["cnn"], "classifier": salience,
    "truth": song.melody})`.

    Parameters
    ----------
    pictures : Mapping[str, Features or tuple[Features, int] | Salience | Melody]
        {title: picture}; a picture is Features (of several channels their mean), (Features,
        channel), a `Salience`, whose "no melody" gets a row of its own at the bottom, or a
        `Melody`, which is the truth that the others are to be measured by. Features whose rows have
        no pitch are a curve.
    time_s : float, optional
        In seconds: a cursor through all, and at the right what each says at that moment, over the
        pitch that is true there.
    melody : Melody, optional
        A thin line on all maps.

    Returns
    -------
    Figure
    """
    pictures = {
        title: picture if isinstance(picture, tuple) else (picture, None)
        for title, picture in pictures.items()
    }
    figure = plt.figure(figsize=(10, 0.5 + 1.55 * len(pictures)), layout="constrained")
    wide = {"width_ratios": (7, 1)} if time_s is not None else {}
    axes = figure.subplots(
        len(pictures), 1 if time_s is None else 2, squeeze=False, gridspec_kw=wide
    )
    pitched = [
        p.freqs_hz
        for p, _ in pictures.values()
        if hasattr(p, "freqs_hz") and np.isfinite(p.freqs_hz).all()
    ]
    low, high = (
        (min(f[0] for f in pitched) / 1.03, max(f[-1] for f in pitched) * 1.03)
        if pitched
        else (55.0, 1760.0)
    )
    truth = next((p for p, _ in pictures.values() if not hasattr(p, "values")), None)
    for row, (title, (picture, channel)) in zip(axes, pictures.items(), strict=True):
        ax, side = row[0], row[1] if time_s is not None else None
        _aligned_row(ax, side, picture, channel, (low, high), time_s, truth)
        ax.set_title(title, loc="left", fontsize="medium", pad=3)
        ax.set_xlim(_edges(next(iter(pictures.values()))[0].times_s))
        if melody is not None and ax.get_images():
            _overlay(ax, melody)
        if time_s is not None:
            _cursor(ax, time_s)
        if ax is not axes[-1, 0]:
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
        ax.set_ylabel("")
    figure.supylabel("Note, frequency (Hz)", fontsize="medium")
    if time_s is not None:
        axes[0, 1].set_title(f"at {time_s:.2f} s", fontsize="medium", pad=3)
    return figure


def _aligned_row(ax, side, picture, channel, limits, time_s, truth):
    """One picture of `aligned`, and at its side what it says at one moment."""
    low, high = limits
    frame = None if side is None else int(np.argmin(np.abs(picture.times_s - time_s)))
    strip = (low / 1.5, low / 1.06)  # below the lowest pitch: "no melody"
    if not hasattr(picture, "values"):
        _frequency_axis(ax, low, high, "log")
        _line(ax, picture, outline=None, color="black", linewidth=2)
        now, unvoiced = None, (~picture.voiced).astype(float)
        style = {"cmap": "Greys", "vmin": 0, "vmax": 1}
    elif np.isnan(picture.freqs_hz).any():
        curve = picture.values[channel or 0, 0]
        _curve(ax, picture.times_s, curve)
        if side is not None:
            side.axis("off")
            side.text(0.1, 0.5, f"{curve[frame]:.2f}", va="center")
        return
    else:
        unvoiced = getattr(picture, "unvoiced", None)
        values = picture.values
        if values.ndim == 3:
            values = values.mean(axis=0) if channel is None else values[channel]
        style = _shade(values)
        if unvoiced is not None:  # probabilities have one scale in all pictures
            pitched = values.sum(axis=0)
            probable = pitched.max() < 1.01 and (pitched + unvoiced).max() > 0.5
            top = 1.0 if probable else max(values.max(), unvoiced.max(), 1e-9)
            style = {"cmap": "magma", "norm": PowerNorm(0.5, 0, top)}
        image = _image(ax, values, picture.freqs_hz, picture.times_s, scale="log", **style)
        ax.set_ylim(low, high)
        ticks = image.norm.inverse([0, 0.5, 1])  # more would touch each other
        _colorbar(
            image, "Salience" if picture.values.ndim == 2 else "Value", ticks=ticks, format="%.2g"
        )
        now = values[:, frame] if side is not None else None
    if unvoiced is not None:
        ax.pcolormesh(_cell_edges(picture.times_s), strip, unvoiced[None], **style)
        ax.set_ylim(strip[0], high)
        notes_hz = list(_NoteLocator().tick_values(low * 1.3, high))
        middle = np.sqrt(strip[0] * strip[1])
        ax.yaxis.set_major_locator(ticker.FixedLocator([middle, *notes_hz]))
        ax.yaxis.set_major_formatter(
            lambda f_hz, _: "no melody" if f_hz < low else f"{note_name(f_hz)}  {f_hz:.0f}"
        )
    if side is not None:
        _moment(side, ax, picture, now, unvoiced, frame, strip)
        if truth is not None:
            side.axhline(
                truth.resampled(picture.times_s[[frame]]).sung_hz[0],
                color=INK[1],
                linestyle=":",
                linewidth=1.5,
            )


def _moment(side, ax, picture, now, unvoiced, frame, strip):
    """Values of one frame, growing to the right, on the frequency axis of the map beside."""
    side.set_yscale("log")
    side.yaxis.set_major_locator(ticker.NullLocator())
    side.yaxis.set_minor_locator(ticker.NullLocator())
    said = None
    if now is None:
        side.xaxis.set_major_locator(ticker.NullLocator())
        said = note_name(picture.f0_hz[frame]) if picture.voiced[frame] else "no melody"
    else:
        side.fill_betweenx(picture.freqs_hz, 0, now, color=INK[0], alpha=0.35, linewidth=0)
        side.plot(now, picture.freqs_hz, color=INK[0], linewidth=1)
        if unvoiced is not None:
            side.fill_betweenx(strip, 0, unvoiced[frame], color=INK[0], linewidth=0)
            said = (
                note_name(picture.freqs_hz[now.argmax()])
                if now.max() > unvoiced[frame]
                else "no melody"
            )
    side.set_ylim(ax.get_ylim())
    if said is not None:
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
        side.text(
            0.97,
            0.93,
            said,
            transform=side.transAxes,
            ha="right",
            va="top",
            fontsize="small",
            bbox=box,
        )
    side.tick_params(labelsize="small")
    _plain(side)


def _cell_edges(centres):
    """(cells + 1,) borders of a row of cells with these centres."""
    low, high = _edges(centres)
    return np.concatenate([[low], (centres[1:] + centres[:-1]) / 2, [high]])

"""Where a network looks and why: attributions, attention, kernels; how it learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from melodylab.dsp import grids
from melodylab.plot.axes import (
    INK,
    _axes,
    _colorbar,
    _edges,
    _image,
    _plain,
    note_name,
)
from melodylab.plot.networks import _cursor, _overlay
from melodylab.records import Features, Melody

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from melodylab.explain import Attribution, KernelResponses


def attribution_map(
    attribution: Attribution,
    *,
    ax: Axes | None = None,
    melody: Melody | None = None,
    colorbar: bool = True,
    channel: int | None = None,
) -> Axes:
    """What in the input spoke for (red) and against (blue) a decision, an `explain.Attribution`.

    A ring marks the decision; for "no melody", which has no pitch, a line marks the moment. Rows
    finer than a semitone are added up to semitones. The colour scale ends at the level that one
    cell in five hundred exceeds.

    Parameters
    ----------
    attribution : Attribution
        As from `explain.attribution`.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    melody : Melody, optional
        Drawn thin.
    colorbar : bool
        Whether the colours are explained beside it.
    channel : int, optional
        Number of the one to draw, from 0, of an input with several; None: their sum.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    values = attribution.values.sum(axis=0) if channel is None else attribution.values[channel]
    semitones = np.round(grids.hz_to_midi(attribution.freqs_hz)).astype(int)
    notes, first = np.unique(semitones, return_index=True)
    values = np.add.reduceat(values, first, axis=0)
    top = np.quantile(np.abs(values), 0.998) or np.abs(values).max() or 1.0
    style = {"cmap": "RdBu_r", "vmin": -top, "vmax": top}
    image = _image(ax, values, grids.midi_to_hz(notes), attribution.times_s, scale="log", **style)
    if melody is not None:
        _overlay(ax, melody)
    if np.isfinite(attribution.f_hz):
        what, ring = (
            note_name(attribution.f_hz),
            {"markersize": 14, "color": "none", "markeredgecolor": "black"},
        )
        ax.plot(
            attribution.time_s,
            attribution.f_hz,
            "o",
            markeredgewidth=1.8,
            scalex=False,
            scaley=False,
            **ring,
        )
    else:
        what = "no melody"
        _cursor(ax, attribution.time_s)
    ax.set_title(
        f"For (red) and against (blue) {what} at {attribution.time_s:.2f} s",
        loc="left",
        fontsize="medium",
    )
    if colorbar:
        _colorbar(image, "Share of the log odds (nats)", extend="both")
    return ax


# --- attention and kernels ------------------------------------------------------------------------


def attention(
    picture: Features,
    maps: tuple,
    *,
    channel: int = 0,
    melody: Melody | None = None,
    time_s: float | None = None,
) -> Figure:
    """What a level of FTANet sees and where it looks, in one block.

    The input; above it the attention over time, beside it over frequency. Weights are multiples of
    equal ones, so 1, the dotted line, is no preference; thin lines are the channels, the thick one
    is their mean. A variant's missing map stays empty.

    Parameters
    ----------
    picture : Features
        The network's input, (channels, rows, time).
    maps : explain.AttentionMaps
        As from `explain.attention`, of one level and block.
    channel : int
        Which one of the picture's is drawn, from 0.
    melody : Melody, optional
        Drawn thin on the input.
    time_s : float, optional
        A moment to mark, in seconds.

    Returns
    -------
    Figure
    """
    figure = plt.figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=(4, 1), height_ratios=(1, 3.2), squeeze=False)
    (above, corner), (ax, beside) = axes
    corner.set_axis_off()
    first, last = _edges(maps.times_s)
    shown = (picture.times_s >= first - 1e-9) & (picture.times_s <= last + 1e-9)
    _image(
        ax, picture.values[channel][:, shown], picture.freqs_hz, picture.times_s[shown], scale="log"
    )
    if melody is not None:
        _overlay(ax, melody)
    limits_hz = ax.get_ylim()
    for side, weights, centres, upright in (
        (above, maps.time, maps.times_s, False),
        (beside, maps.frequency, maps.freqs_hz, True),
    ):
        side.spines[["top", "right"]].set_visible(False)
        if weights is None:
            side.text(0.5, 0.5, "none", transform=side.transAxes, ha="center", va="center")
            side.set(xticks=[], yticks=[])
            continue
        relative = weights * weights.shape[1]
        lines = [(row, {"color": "#b5b5b5", "linewidth": 0.6}) for row in relative]
        lines.append((relative.mean(axis=0), {"color": INK[0], "linewidth": 2}))
        for values, style in lines:
            side.plot(*((values, centres) if upright else (centres, values)), **style)
        (side.axvline if upright else side.axhline)(1, color="black", linewidth=0.8, linestyle=":")
        top = max(1.05 * np.quantile(relative, 0.998), 1.2)
        side.set(**{"xlim" if upright else "ylim": (0, top)})
    above.set(xlim=ax.get_xlim(), ylabel="Weight", title="Attention over time")
    if time_s is not None:
        for row in (above, ax):
            _cursor(row, time_s)
    above.tick_params(labelbottom=False)
    if maps.frequency is not None:
        beside.set_yscale("log")
        beside.yaxis.set_minor_locator(ticker.NullLocator())
        beside.yaxis.set_major_locator(ticker.NullLocator())
    beside.set(ylim=limits_hz, xlabel="Weight", title="over frequency")
    return figure


def kernel_responses(
    responses: KernelResponses,
    *,
    order: np.ndarray | None = None,
    fmax_hz: float = 8000,
    db_range: float = 40,
    ax: Axes | None = None,
) -> Axes:
    """Which frequencies each kernel of a learned filter bank lets through, one column a kernel.

    Decibels below its maximum.

    Parameters
    ----------
    responses : KernelResponses
        As from `explain.kernel_responses`.
    order : ndarray, optional
        (kernels,) their numbers in the order of the columns, such as
        responses.centres_hz.argsort(); None: as they are.
    fmax_hz : float
        Upper end of the picture, in Hz.
    db_range : float
        What is quieter by more decibels is black.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (5, 3.6))
    levels_db = responses.levels_db if order is None else responses.levels_db[order]
    inside = responses.freqs_hz <= fmax_hz
    extent = (-0.5, len(levels_db) - 0.5, 0, responses.freqs_hz[inside][-1] / 1000)
    image = ax.imshow(
        levels_db[:, inside].T,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=-db_range,
        vmax=0,
    )
    ax.set(xlabel="Kernel" if order is None else "Kernel, sorted", ylabel="Frequency (kHz)")
    ax.set_title(f"{responses.kernels.shape[1]} samples", loc="left", fontsize="medium")
    _colorbar(image, "dB below its maximum", extend="min")
    return ax


# --- training -------------------------------------------------------------------------------------


def learning_curve(
    losses: ArrayLike, history: Sequence[Mapping] = (), *, ax: Axes | None = None
) -> Axes:
    """The loss of every step and its mean over ten.

    On an axis of their own, RPA and OA at each validation.

    Parameters
    ----------
    losses : ArrayLike
        (steps,), as `training.fit` hands them to `on_step`.
    history : Sequence[Mapping]
        One dict a validation, with "step" and, in 0..1, "RPA" and "OA".
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (8, 3.2))
    losses = np.asarray(losses, dtype=float)
    stop = np.arange(1, len(losses) + 1)
    first, sums = np.maximum(stop - 10, 0), np.concatenate([[0], np.cumsum(losses)])
    ax.plot(stop, losses, color="#b5b5b5", linewidth=0.9, label="loss of one step")
    ax.plot(
        stop,
        (sums[stop] - sums[first]) / (stop - first),
        color=INK[6],
        linewidth=2,
        label="mean of ten",
    )
    ax.set(
        xlabel="Step",
        ylabel="Loss",
        ylim=(0, 1.05 * losses.max() if losses.max(initial=0) > 0 else 1),
    )
    ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    _plain(ax)
    handles, labels = ax.get_legend_handles_labels()
    if history:
        side = ax.twinx()
        for name, colour, style, marker in (("RPA", INK[0], "--", "o"), ("OA", INK[1], ":", "s")):
            steps, values = ([entry[key] for entry in history] for key in ("step", name))
            side.plot(
                steps,
                values,
                color=colour,
                linestyle=style,
                marker=marker,
                linewidth=1.6,
                label=name,
            )
        side.set(ylim=(0, 1), ylabel="Share of frames")
        side.spines["top"].set_visible(False)
        handles, labels = (
            a + b for a, b in zip((handles, labels), side.get_legend_handles_labels(), strict=True)
        )
    if len(losses):
        ax.legend(
            handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False
        )
    return ax

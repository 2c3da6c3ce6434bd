"""Factors in the layout of their equation, costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from melodylab.dsp import grids
from melodylab.plot.axes import INK, _axes, _colorbar, _edges, _image, _legend, _plain, note_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from melodylab.sfnmf import Factors

# --- factorisation and stems ----------------------------------------------------------------------


def cost_curve(trace: ArrayLike, *, ax: Axes | None = None, label: str | None = None) -> Axes:
    """The cost before each iteration and after the last, (iterations + 1,).

    Logarithmic if it falls more than tenfold.

    Parameters
    ----------
    trace : ArrayLike
        (iterations + 1,), such as `cost` of `sfnmf.Factors` or `trace` of `dsp.nmf.Factorisation`.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    label : str, optional
        For the legend.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (6, 3.2))
    trace = np.asarray(trace, dtype=float)
    style = ("-", "--", ":", "-.")[len(ax.lines) % 4]
    ax.plot(
        trace,
        style,
        color=INK[len(ax.lines) % len(INK)],
        marker=".",
        markersize=4,
        linewidth=1.6,
        label=label,
    )
    if len(trace) and 0 < trace.min() < trace.max() / 10:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(ticker.NullLocator())
    ax.yaxis.set_major_formatter(ticker.EngFormatter())
    ax.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    ax.set(xlabel="Iteration", ylabel="Cost (divergence)")
    _plain(ax)
    _legend(ax)
    return ax


def nmf_factors(factors: Factors, *, fmax_hz: float = 5000) -> Figure:
    """The seven matrices of a source-filter NMF (`sfnmf.Factors`) in the layout of its equation.

    Left: spectra, frequency upwards, one column each. Right: how strongly each is heard, time to
    the right. Decibels below the maximum of each spectrum, of each frame of H_F0 (whose scale means
    nothing from frame to frame), of H_phi and of H_B.

    Parameters
    ----------
    factors : Factors
        As from `sfnmf.factorise`.
    fmax_hz : float
        Upper end of the picture, in Hz.

    Returns
    -------
    Figure
    """
    settings = factors.settings
    times_s = grids.frame_times_s(factors.H_F0.shape[1], settings.hop_samples, settings.sr)
    figure = plt.figure(figsize=(12, 9), layout="constrained")
    axes = figure.subplots(3, 3, gridspec_kw={"width_ratios": [0.9, 3, 8]})
    figure.suptitle(
        r"$\hat V \;=\; (W_{F_0} H_{F_0}) \odot (W_\Gamma H_\Gamma H_\Phi) + W_B H_B$", fontsize=18
    )
    filters, pitches_hz = factors.W_gamma @ factors.H_gamma, settings.grid.freqs_hz
    rows = (
        (
            "=",
            "source",
            factors.W_F0,
            r"$W_{F_0}$: a comb per pitch",
            factors.H_F0,
            r"$H_{F_0}$: which pitch sounds when",
        ),
        (
            "⊙",
            "filter",
            filters,
            r"$W_\Gamma H_\Gamma$: smooth filters",
            factors.H_phi,
            r"$H_\Phi$: which filter acts when",
        ),
        (
            "+",
            "accompaniment",
            factors.W_B,
            "$W_B$: spectra of the rest",
            factors.H_B,
            "$H_B$: which of them sounds when",
        ),
    )
    for (text, left, right), (operator, part, spectra, spectra_title, heard, heard_title) in zip(
        axes, rows, strict=True
    ):
        text.axis("off")
        text.text(0.0, 0.5, operator, fontsize=30, ha="center", va="center")
        text.text(
            0.8, 0.5, part, fontsize=14, rotation=90, ha="center", va="center", fontweight="bold"
        )
        columns = (-0.5, spectra.shape[1] - 0.5, *_edges(settings.freqs_hz))
        left.imshow(
            _decibels(spectra, 40, axis=0),
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=columns,
        )
        left.set(
            ylim=(0, min(fmax_hz, settings.freqs_hz[-1])),
            ylabel="Frequency (Hz)",
            title=spectra_title,
        )
        if part == "source":
            image = _image(right, _decibels(heard, 30, axis=0), pitches_hz, times_s, scale="log")
            octaves = np.arange(0, len(pitches_hz), 24 * settings.bins_per_semitone)
            left.set_xticks(octaves, [note_name(f_hz) for f_hz in pitches_hz[octaves]])
            left.set_xlabel("Pitch (note)")
        else:
            cells = (*_edges(times_s), -0.5, len(heard) - 0.5)
            image = right.imshow(
                _decibels(heard, 50), origin="lower", aspect="auto", cmap="magma", extent=cells
            )
            left.set_xlabel("Filter (number)" if part == "filter" else "Part (number)")
            right.set(ylabel=left.get_xlabel(), xlabel="Time (s)")
        right.set_title(heard_title)
        _colorbar(image, "Level (dB)")
    return figure


def _decibels(power, db_range, axis=None):
    """Power in dB below its maximum along `axis` (None: of all), cut off at -db_range, which
    silence is too.
    """
    top = power.max(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.maximum(10 * np.log10(power / top), -db_range), nan=-db_range)

"""Hits, profiles, drum templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from melodylab.plot.axes import ERRORS, INK, _axes, _colorbar, _edges, _legend, _plain
from melodylab.plot.nmf import _decibels
from melodylab.records import DRUM_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from melodylab.records import DrumOnsets, DrumParts, Features

# --- drums ----------------------------------------------------------------------------------------

DRUMS = dict(zip(DRUM_CLASSES, INK, strict=False))  # from top to bottom, colours


def _lanes(ax, names=tuple(DRUMS)):
    """One row a class, the first at the top."""
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="Time (s)")


def hit_map(hits: tuple[np.ndarray, np.ndarray, np.ndarray], *, ax: Axes | None = None) -> Axes:
    """Which drum hits were right, missed and false, one lane a class; the legend counts them.

    Parameters
    ----------
    hits : tuple[ndarray, ndarray, ndarray]
        (times_s, classes, labels) as from `evaluate.hit_errors`.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (10, 2))
    times_s, classes, labels = (np.asarray(part) for part in hits)
    rows = np.array([list(DRUMS).index(kind) for kind in classes], dtype=float)
    for label in ("right", "missed", "false"):
        words, marker, colour, filled, _ = ERRORS[label]
        here = labels == label
        face = {
            "facecolors": colour if filled else "white",
            "edgecolors": colour,
            "linewidths": 0.3 if filled else 1.2,
        }
        ax.scatter(
            times_s[here],
            rows[here],
            s=22,
            marker=marker,
            label=f"{words} {here.sum()}",
            zorder=3,
            **face,
        )
    _lanes(ax)
    _plain(ax)
    _legend(
        ax,
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
        handletextpad=0.1,
        handlelength=1.5,
    )
    return ax


def profile_map(
    times_s: np.ndarray,
    profiles: np.ndarray,
    *,
    onsets: DrumOnsets | None = None,
    ax: Axes | None = None,
    colorbar: bool = True,
) -> Axes:
    """Onset profiles (classes, time) in 0..1, one row a class.

    The hits of `onsets` as white ticks on the upper edge of its row.

    Parameters
    ----------
    times_s : ndarray
        (time,), in seconds.
    profiles : ndarray
        (classes, time) in 0..1, rows in the order of `DRUM_CLASSES`.
    onsets : DrumOnsets, optional
        The hits, of classes in `DRUM_CLASSES`; without them no ticks.
    ax : Axes, optional
        Where to draw; without it a figure of its own.
    colorbar : bool
        Whether the colours are explained beside it.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (10, 2))
    extent = (*_edges(times_s), len(profiles) - 0.5, -0.5)
    image = ax.imshow(
        profiles,
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    if onsets is not None:
        rows = np.array([list(DRUMS).index(kind) for kind in onsets.classes], dtype=float)
        ax.vlines(onsets.times_s, rows - 0.5, rows - 0.2, color="white", linewidth=1.3)
    _lanes(ax)
    ax.set_xlim(_edges(times_s))
    if colorbar:
        _colorbar(image, "Profile")
    return ax


def mel_hits(picture: Features, onsets: DrumOnsets, *, ax: Axes | None = None) -> Axes:
    """The drum network's input (Features of kind "drum-mel"), its rows evenly spaced, and over it
    the hits in five lanes.

    Parameters
    ----------
    picture : Features
        (1, bands, time) in 0..1.
    onsets : DrumOnsets
        The hits, of classes in `DRUM_CLASSES`.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (10, 3))
    rows = len(picture.freqs_hz)
    extent = (*_edges(picture.times_s), -0.5, rows - 0.5)
    ax.imshow(
        picture.values[0],
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=0,
        vmax=1,
    )
    ticks_hz = np.array([100, 500, 1000, 2000, 4000, 8000])
    ax.set_yticks(
        np.interp(ticks_hz, picture.freqs_hz, np.arange(rows)), [f"{hz}" for hz in ticks_hz]
    )
    for lane, name in enumerate(reversed(DRUMS)):
        times_s = onsets.of_class(name)
        y = np.full(len(times_s), rows * (lane + 0.5) / len(DRUMS))
        ax.scatter(
            times_s, y, s=20, marker="v", facecolors=DRUMS[name], edgecolors="white", linewidths=0.8
        )
    ax.set(
        xlabel="Time (s)",
        ylabel="Frequency (Hz)",
        xlim=_edges(picture.times_s),
        ylim=(-0.5, rows - 0.5),
    )
    return ax


def _octave_rows(values, freqs_hz, low_hz, high_hz, bands=60):
    """Rows of a magnitude picture (freq, anything) on an axis of octaves: (bands, anything); low
    bands are narrower than a row.
    """
    fine_hz = np.geomspace(low_hz, high_hz, 20 * bands)
    above = np.clip(np.searchsorted(freqs_hz, fine_hz), 1, len(freqs_hz) - 1)
    share = ((fine_hz - freqs_hz[above - 1]) / (freqs_hz[above] - freqs_hz[above - 1]))[:, None]
    fine = (1 - share) * values[above - 1] + share * values[above]
    return fine.reshape(bands, 20, -1).mean(axis=1)


def _octave_axis(ax, low_hz, high_hz):
    ticks_hz = np.array([62.5, 250, 1000, 4000, 16000])
    ticks_hz = ticks_hz[(ticks_hz >= low_hz) & (ticks_hz <= high_hz)]
    ax.set_yticks(np.log2(ticks_hz), [f"{hz:g}" for hz in ticks_hz])
    ax.set(ylabel="Frequency (Hz)", ylim=np.log2([low_hz, high_hz]))


def drum_factors(
    V: np.ndarray,
    W: np.ndarray,
    H: np.ndarray,
    freqs_hz: np.ndarray,
    times_s: np.ndarray,
    names: Sequence[str],
    *,
    low_hz: float = 45.0,
    high_hz: float = 16000.0,
    db_range: float = 60,
) -> Figure:
    """V and what it is made of, laid out like the product.

    W at the left of W H, H above it, V beside it. Decibels below the loudest cell; in W of each
    column, in H of each row below its own.

    Parameters
    ----------
    V : ndarray
        (freq, time) magnitudes >= 0.
    W : ndarray
        (freq, parts) >= 0.
    H : ndarray
        (parts, time) >= 0.
    freqs_hz : ndarray
        (freq,), rising, in Hz.
    times_s : ndarray
        (time,), in seconds.
    names : Sequence[str]
        One a part, such as its class.
    low_hz : float
        Lower end of the picture, in Hz.
    high_hz : float
        Upper end of the picture, in Hz.
    db_range : float
        What is quieter by more decibels is black.

    Returns
    -------
    Figure
    """
    high_hz = min(high_hz, freqs_hz[-1])
    figure = plt.figure(figsize=(12, 5), layout="constrained")
    axes = figure.subplots(2, 3, width_ratios=(1, 4, 4), height_ratios=(1, 2.2))
    (corner, above, blank), (left, model, right) = axes
    for ax in (corner, blank):
        ax.set_axis_off()
    corner.text(0.3, 0.5, r"$V \approx W\,H$", fontsize=16, ha="center", va="center")
    words = [name.replace("_", " ") for name in names]
    levels = _decibels(np.square(H), 40, axis=1)
    above.imshow(
        levels,
        aspect="auto",
        cmap="magma",
        extent=(*_edges(times_s), len(H) - 0.5, -0.5),
        interpolation="nearest",
    )
    above.set_yticks(range(len(names)), words)
    above.set_title("$H$: when, and how it falls", loc="left", fontsize="medium")
    above.tick_params(labelbottom=False)
    spectra = _decibels(np.square(_octave_rows(W, freqs_hz, low_hz, high_hz)), db_range, axis=0)
    extent = (-0.5, W.shape[1] - 0.5, *np.log2([low_hz, high_hz]))
    left.imshow(
        spectra, origin="lower", aspect="auto", cmap="magma", extent=extent, interpolation="nearest"
    )
    left.set_xticks(range(len(names)), [word.removesuffix(" hihat") for word in words], rotation=90)
    left.set_title("$W$: its sound", loc="left", fontsize="medium")
    _octave_axis(left, low_hz, high_hz)
    extent = (*_edges(times_s), *np.log2([low_hz, high_hz]))
    for ax, values, title in ((model, W @ H, "$W H$"), (right, V, "$V$: the loop")):
        levels = _decibels(np.square(_octave_rows(values, freqs_hz, low_hz, high_hz)), db_range)
        ax.imshow(levels, origin="lower", aspect="auto", cmap="magma", extent=extent)
        ax.set_title(title, loc="left", fontsize="medium")
        _octave_axis(ax, low_hz, high_hz)
        ax.set(xlabel="Time (s)", ylabel="")
    return figure


def drum_templates(
    parts: DrumParts,
    *,
    low_hz: float = 45.0,
    high_hz: float = 16000.0,
    db_range: float = 50,
    ax: Axes | None = None,
) -> Axes:
    """What each class of `DrumParts` sounds like.

    Its columns of W weighed by how much they sound, dB below its loudest row.

    Parameters
    ----------
    parts : DrumParts
        A loop taken apart, as from `drums.separate`.
    low_hz : float
        Lower end of the picture, in Hz.
    high_hz : float
        Upper end of the picture, in Hz.
    db_range : float
        What is quieter by more decibels is black.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (3, 4))
    names, high_hz = list(DRUMS), min(high_hz, parts.freqs_hz[-1])
    spectra = np.stack(
        [parts.template(n) @ np.sqrt(np.mean(parts.activation(n) ** 2, axis=1)) for n in names],
        axis=1,
    )
    shown = _decibels(
        np.square(_octave_rows(spectra, parts.freqs_hz, low_hz, high_hz)), db_range, axis=0
    )
    extent = (-0.5, len(names) - 0.5, *np.log2([low_hz, high_hz]))
    ax.imshow(
        shown, origin="lower", aspect="auto", cmap="magma", extent=extent, interpolation="nearest"
    )
    ax.set_xticks(range(len(names)), [name.removesuffix("_hihat") for name in names], rotation=90)
    ax.set_xlabel("Class")
    _octave_axis(ax, low_hz, high_hz)
    return ax

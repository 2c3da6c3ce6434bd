"""How good: errors frame by frame, scores, pitch errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from melodylab.plot.axes import (
    ERRORS,
    INK,
    _axes,
    _edges,
    _frequency_axis,
    _held,
    _legend,
    _line,
    _plain,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from melodylab.records import Melody


def error_map(
    estimate: Melody,
    reference: Melody,
    labels: tuple[np.ndarray, np.ndarray],
    *,
    ax: Axes | None = None,
) -> Axes:
    """What went right and wrong, frame by frame, over the true melody in grey.

    The legend says how often: shares are of all frames and add up to 100 %. A frame lies at the
    pitch that was true or, for octave errors, wrong pitches and false alarms, at the pitch that was
    claimed. Each kind has its colour and its marker, and agreed silence is a rug at the bottom.

    Parameters
    ----------
    estimate : Melody
        What a method found, on any frames.
    reference : Melody
        The true melody, on any frames.
    labels : tuple[ndarray, ndarray]
        (times_s, labels), (frames,) each, as from `evaluate.frame_errors` of these two.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    times_s, labels = (np.asarray(part) for part in labels)
    lines = {"estimate": _held(estimate, times_s), "reference": _held(reference, times_s)}
    pitches = np.concatenate([estimate.sung_hz, reference.sung_hz])
    pitches = (
        pitches[np.isfinite(pitches)] if np.isfinite(pitches).any() else np.array([110.0, 440.0])
    )
    low, high = pitches.min() / 1.35, pitches.max() * 1.15
    _frequency_axis(ax, low, high, "log")
    _plain(ax)
    _line(ax, reference, outline=None, color="#bbbbbb", linewidth=5, solid_capstyle="butt")
    for (label, (words, marker, colour, filled, line)), share in zip(
        ERRORS.items(), _shares(labels, ERRORS), strict=True
    ):
        here = labels == label
        y = np.full(here.sum(), low * 1.06) if line is None else lines[line][here]
        face = {
            "facecolors": colour if filled else "white",
            "edgecolors": colour,
            "linewidths": 0.3 if filled else 1.2,
        }
        ax.scatter(
            times_s[here], y, s=20, marker=marker, label=f"{words} {share:.1f} %", zorder=3, **face
        )
    if len(times_s):
        ax.set_xlim(_edges(times_s))
    room = (
        ax.get_position().width * ax.figure.get_figwidth()
    )  # inches; a legend wider than its axes would crush them
    where = {
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1),
        "ncols": int(np.clip(room / 1.29, 1, 6)),
    }
    _legend(ax, **where, handletextpad=0.1, columnspacing=1.0, handlelength=1.5)
    return ax


def _shares(labels, kinds):
    """Percentages with one decimal that add up to exactly 100 (largest remainders round up); zeros
    without frames.
    """
    exact = np.array([np.sum(labels == kind) for kind in kinds]) * 1000 / max(len(labels), 1)
    tenths = np.floor(exact)
    missing = int(round(exact.sum() - tenths.sum()))
    tenths[np.argsort(tenths - exact, kind="stable")[:missing]] += 1
    return tenths / 10


def score_bars(scores: Mapping[str, Mapping[str, float]], *, ax: Axes | None = None) -> Axes:
    """Scores as from `evaluate.score_melody`, one group of bars a score and one bar a method, with
    their numbers.

    Parameters
    ----------
    scores : Mapping[str, Mapping[str, float]]
        {method: {score: share in 0..1}}, the same scores everywhere. NaN, a share of nothing, is an
        en dash, no bar.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (9, 3.6))
    names = list(next(iter(scores.values()), {}))
    width = 0.8 / max(len(scores), 1)
    for m, (method, values) in enumerate(scores.items()):
        x = np.arange(len(names)) + (m - (len(scores) - 1) / 2) * width
        heights = np.array([values[name] for name in names], dtype=float)
        colour, hatch = INK[m % len(INK)], ("", "///", "...", "xxx", "\\\\\\", "ooo", "++")[m % 7]
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        bars = ax.bar(x, np.nan_to_num(heights), width * 0.92, label=method, **look)
        numbers = ["–" if np.isnan(height) else f"{height:.2f}" for height in heights]
        ax.bar_label(bars, numbers, padding=2, fontsize="small" if len(scores) < 4 else "x-small")
    meaning = {"VFA": "VFA\n(lower is better)"}
    ax.set_xticks(np.arange(len(names)), [meaning.get(name, name) for name in names])
    ax.set(ylim=(0, 1.09), ylabel="Share of frames")
    _plain(ax)
    if len(scores) > 1:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(scores), frameon=False)
    return ax


PITCH_ERRORS = {  # label: (words, colour, hatch)
    "right": ("right", "#009e73", ""),
    "semitone": ("a semitone off", "#56b4e9", "///"),
    "tone": ("a tone off", "#0072b2", "..."),
    "octave": ("octaves off", "#e69f00", "xxx"),
    "other": ("other", "#b5b5b5", ""),
}


def pitch_error_bars(labels: Mapping[str, np.ndarray], *, ax: Axes | None = None) -> Axes:
    """How often each pitch line was right and how it was wrong, one bar a line, frames counted.

    Parameters
    ----------
    labels : Mapping[str, ndarray]
        {name: labels}, as from `evaluate.pitch_errors`, drawn from top to bottom in this order.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (9, 0.9 + 0.42 * len(labels)))
    counts = np.array(
        [[np.sum(np.asarray(found) == kind) for kind in PITCH_ERRORS] for found in labels.values()]
    )
    ends = counts.cumsum(axis=1)
    rows = -np.arange(len(labels))
    for n, (words, colour, hatch) in enumerate(PITCH_ERRORS.values()):
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        bars = ax.barh(rows, counts[:, n], 0.8, ends[:, n] - counts[:, n], label=words, **look)
        wide = counts[:, n] > 0.035 * max(ends.max(initial=0), 1)
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
        numbers = [
            str(count) if shown else "" for count, shown in zip(counts[:, n], wide, strict=True)
        ]
        ax.bar_label(bars, numbers, label_type="center", fontsize="small", bbox=box)
    ax.set_yticks(rows, list(labels))
    ax.set(xlabel="Sung frames", xlim=(0, max(ends.max(initial=0), 1)))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=len(PITCH_ERRORS),
        frameon=False,
        fontsize="small",
    )
    return ax

"""Spectra, melodies on top of them, their errors, waveforms."""

import numpy as np
from matplotlib import patheffects

from melodylab.plot.axes import (
    ERRORS,
    ESTIMATE,
    INK,
    REFERENCE,
    _axes,
    _colorbar,
    _edges,
    _frequency_axis,
    _held,
    _image,
    _legend,
    _line,
    _plain,
    _scale_of,
)

# --- sound and melody -----------------------------------------------------------------------------


def spectrogram(
    features,
    *,
    ax=None,
    channel=0,
    melody=None,
    harmonics=0,
    fmax_hz=None,
    db_range=60,
    exponent=None,
    scale=None,
    loudest=None,
    colorbar=True,
):
    """Layer `channel` of any `Features`: power, magnitude or decibels, as its `scale` says, in
    decibels below the loudest cell; shares, such as a layer of a CFP, as they are.

    melody: drawn as a thin line at f0, with `harmonics` dotted overtones 2 f0, 3 f0, ... fmax_hz: upper end of the picture.
    db_range: what is quieter by more is black. exponent: draw magnitude ** exponent (0..1) instead of decibels.
    scale: "linear", "log" or "rows"; without it the axis on which the rows are evenly spaced. Silence is black.
    loudest: the value that is 0 dB, so that pictures can be compared by level; without it this picture's largest.
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


def mask_map(mask, *, gate=None, melody=None, ax=None, fmax_hz=None, colorbar=True):
    """A `Mask`: the share of the melody in each cell, 0 black and 1 white, on the axis on which its rows are evenly spaced.

    gate: (time,) in 0..1, drawn as a curve from the bottom to the top of the picture. melody: drawn thin. fmax_hz: upper end.
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
        where = (
            ax.get_xaxis_transform()
        )  # seconds, and 0..1 from bottom to top; at an end it would not be seen
        ax.plot(mask.times_s, 0.03 + 0.94 * np.asarray(gate), color="#7CFC9A", linewidth=1.4, linestyle=(0, (5, 1)), label="gate, 0 to 1", transform=where,
                path_effects=outline, scalex=False, scaley=False)  # fmt: skip
    _legend(ax)
    return ax


def salience_map(salience, *, melody=None, reference=None, ax=None, exponent=None, colorbar=True):
    """A `Salience` on a logarithmic axis with note names; the reference broad and dashed, the melody thin and solid upon it.

    exponent: draw salience ** exponent. Without it one between 0.2 and 1 at which a frame's ten strongest candidates of 300
    can be seen: powers need 0.2 or 0.3, even maps 1. White is the level that one cell in a thousand exceeds: one loud frame
    does not darken the rest.
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


def melody_line(melody, *, ax=None, label=None, **style):
    """The sung frames of a `Melody` as a line on a logarithmic axis; gaps stay gaps. style: as in `Axes.plot`.

    On an `ax` that holds a picture already, its axis and limits stay as they are; further lines on white widen the limits.
    """
    ax = _axes(ax, (10, 3.2))
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
    power, model, freqs_hz, times_s, *, ax=None, fmax_hz=5000, db_range=20, colorbar=True
):
    """Where a model (freq, time) is too quiet (red) and too loud (blue), in decibels; white is right. Both powers >= 0."""
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


# --- how good -------------------------------------------------------------------------------------


def error_map(estimate, reference, labels, *, ax=None):
    """What went right and wrong, frame by frame, over the true melody in grey; the legend says how often.

    labels: (times_s, labels) as from `evaluate.frame_errors(estimate, reference)`. A frame lies at the pitch that was true
    or, for octave errors, wrong pitches and false alarms, at the pitch that was claimed. Each kind has its colour and its
    marker, and agreed silence is a rug at the bottom. Shares are of all frames and add up to 100 %.
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
    """Percentages with one decimal that add up to exactly 100 (largest remainders round up); zeros without frames."""
    exact = np.array([np.sum(labels == kind) for kind in kinds]) * 1000 / max(len(labels), 1)
    tenths = np.floor(exact)
    missing = int(round(exact.sum() - tenths.sum()))
    tenths[np.argsort(tenths - exact, kind="stable")[:missing]] += 1
    return tenths / 10


def score_bars(scores, *, ax=None):
    """Scores as from `evaluate.score_melody`, one group of bars a score and one bar a method, with their numbers.

    scores: {method: {score: share in 0..1}}, the same scores everywhere. NaN, a share of nothing, is an en dash, no bar.
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


def waveforms(stems, sr, *, ax=None):
    """Signals one above the other on one common scale, so that loudness compares.

    stems: {name: (samples,) or (channels, samples)}. Each column spans its lowest and highest sample, so no peak is lost.
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


PITCH_ERRORS = {  # label: (words, colour, hatch)
    "right": ("right", "#009e73", ""),
    "semitone": ("a semitone off", "#56b4e9", "///"),
    "tone": ("a tone off", "#0072b2", "..."),
    "octave": ("octaves off", "#e69f00", "xxx"),
    "other": ("other", "#b5b5b5", ""),
}


def pitch_error_bars(labels, *, ax=None):
    """How often each pitch line was right and how it was wrong, one bar a line, frames counted.

    labels: {name: labels}, as from `evaluate.pitch_errors`, drawn from top to bottom in this order.
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

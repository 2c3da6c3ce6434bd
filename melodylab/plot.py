"""Every picture: sound on its axes, melodies on top, errors by kind, factors in the layout of their equation.

Conventions: a function takes `ax=None` and returns the Axes (`nmf_factors` a Figure). Without `ax` it makes a pyplot figure,
which a notebook shows by itself; nothing here calls `show`, closes a figure or touches a global setting. However an axis is
scaled, its data are seconds and Hz: `ax.plot(times_s, f0_hz)` lands on the right row of any picture. Lines break where
nothing is sung. Colour maps are perceptual (diverging only for signed data) and colour never speaks alone: lines differ in
style and width, frames in marker, bars in hatching and number. Silent or one-frame data give a dark picture, no error.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects, ticker
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.lines import Line2D
from matplotlib.transforms import Transform

from melodylab import grids

ESTIMATE = {"color": "#45e0ff", "linewidth": 1.3, "linestyle": "-"}  # on a dark map; both lines get a dark outline
REFERENCE = {"color": "white", "linewidth": 4.5, "linestyle": (0, (1.4, 0.7))}
INK = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")  # on white; Okabe and Ito 2008
ERRORS = {  # label: (words, marker, colour, filled, which line it lies on)
    "right": ("right", "o", "#009e73", True, "reference"),
    "octave": ("octave error", "^", "#e69f00", True, "estimate"),
    "wrong": ("wrong pitch", "X", "#c0392b", True, "estimate"),
    "missed": ("missed", "o", "#0072b2", False, "reference"),
    "false": ("false alarm", "D", "#b05a9a", False, "estimate"),
    "silence": ("silence, kept silent", "s", "#b5b5b5", True, None),
}
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


# --- axes -----------------------------------------------------------------------------------------------------------------


def _axes(ax, size=(10, 4)):
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


class _Stretch(Transform):
    """Moves evenly spaced image rows to their own frequencies, so that imshow (fast) serves any frequency axis."""

    input_dims = output_dims = 2
    is_separable = has_inverse = True

    def __init__(self, even, hz):
        super().__init__()
        self.even, self.hz = even, hz

    def hz_of(self, even):
        return np.interp(even, self.even, self.hz)

    def row_of(self, hz):
        return np.interp(hz, self.hz, self.even)

    def transform_non_affine(self, values):
        values = np.asarray(values, dtype=float)
        return np.column_stack([values[:, 0], self.hz_of(values[:, 1])])

    def inverted(self):
        return _Stretch(self.hz, self.even)


class _NoteLocator(ticker.Locator):
    """A tick on every A, and on more notes the fewer octaves are in view."""

    def __call__(self):
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin, vmax):
        low, high = grids.hz_to_midi([max(vmin, 1.0), max(vmax, 2.0)])
        step = next((s for s in (1, 2, 4, 12) if (high - low) / s <= 8), 24)
        return grids.midi_to_hz(np.arange(69 + step * np.ceil((low - 69) / step), high + 1e-6, step))


def note_name(f_hz):
    """Name of the nearest note, such as "A4" for 440 Hz."""
    number = int(round(float(grids.hz_to_midi(f_hz))))
    return f"{_NOTES[number % 12]}{number // 12 - 1}"


def _frequency_axis(ax, low_hz, high_hz, scale, stretch=None):
    """Scale, limits, ticks and label of a frequency axis: "linear", "log" or "rows" (image rows evenly spaced)."""
    if scale == "rows":
        ax.set_yscale("function", functions=(stretch.row_of, stretch.hz_of))
        ticks_hz = (0, 250, 500, 1000, 2000, 4000, 8000, 16000)
        ax.yaxis.set_major_locator(ticker.FixedLocator([f_hz for f_hz in ticks_hz if low_hz <= f_hz <= high_hz]))
    else:
        ax.set_yscale(scale)
    if scale == "log":
        ax.yaxis.set_major_locator(_NoteLocator())
        ax.yaxis.set_major_formatter(lambda f_hz, _: f"{note_name(f_hz)}  {f_hz:.0f}")
        ax.yaxis.set_minor_locator(ticker.NullLocator())
    ax.set_ylim(low_hz, high_hz)
    ax.set_ylabel("Note, frequency (Hz)" if scale == "log" else "Frequency (Hz)")
    ax.set_xlabel("Time (s)")


def _edges(centres):
    """(low, high) ends of a row of cells with these centres."""
    if len(centres) < 2:
        return centres[0] * 0.97 - 0.005, centres[0] * 1.03 + 0.005
    return centres[0] - (centres[1] - centres[0]) / 2, centres[-1] + (centres[-1] - centres[-2]) / 2


def _image(ax, values, freqs_hz, times_s, *, scale, fmax_hz=None, **style):
    """Draw values (freq, time), any rising freqs_hz, on a "linear", "log" or "rows" axis; returns the AxesImage."""
    if scale == "log":
        values, freqs_hz = values[freqs_hz > 0], freqs_hz[freqs_hz > 0]
    low, high = _edges(freqs_hz)
    n = len(freqs_hz)
    even = low + (np.arange(n) + 0.5) / n * (high - low)
    stretch = _Stretch(np.array([low, *even, high]), np.array([low, *freqs_hz, high]))
    _frequency_axis(ax, low, min(high, fmax_hz or high), scale, stretch)
    limits = ax.get_ylim()
    where = {} if np.allclose(even, freqs_hz) and scale == "linear" else {"transform": stretch + ax.transData}
    extent = (*_edges(times_s), low, high)
    image = ax.imshow(values, origin="lower", aspect="auto", extent=extent, **{"cmap": "magma"} | style, **where)
    ax.set(xlim=_edges(times_s), ylim=limits)
    return image


def _colorbar(image, label, **options):
    image.figure.colorbar(image, ax=image.axes, pad=0.01, aspect=28, label=label, **options)


def _scale_of(freqs_hz):
    """The axis on which these rows are evenly spaced."""
    steps, ratios = np.diff(freqs_hz), freqs_hz[1:] / np.maximum(freqs_hz[:-1], 1e-9)
    if len(steps) == 0 or np.allclose(steps, steps[0], rtol=1e-3):
        return "linear"
    return "log" if np.allclose(ratios, ratios[0], rtol=1e-4) else "rows"


# --- sound and melody -----------------------------------------------------------------------------------------------------


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
    """Any `Features` (power "stft", "mel"; magnitude "cqt"; layer `channel` of "hcqt" or "spectra") in decibels below its loudest
    cell; a layer of "cfp", which is no magnitude, as it is.

    melody: drawn as a thin line at f0, with `harmonics` dotted overtones 2 f0, 3 f0, ... fmax_hz: upper end of the picture.
    db_range: what is quieter by more is black. exponent: draw magnitude ** exponent (0..1) instead of decibels.
    scale: "linear", "log" or "rows"; without it the axis on which the rows are evenly spaced. Silence is black.
    loudest: the value that is 0 dB, so that pictures can be compared by level; without it this picture's largest.
    """
    ax = _axes(ax)
    values = features.values[channel].astype(float)
    if features.kind in ("hcqt", "spectra"):  # hold decibels already: 0..1 stands for -80..0 dB
        level_db = 80 * (values - 1)
    else:
        with np.errstate(divide="ignore"):
            level_db = (10 if features.kind in ("stft", "mel") else 20) * np.log10(values / (loudest or values.max() or 1))
    if features.kind == "cfp":
        shown, low, high, label = values ** (exponent or 1), 0, 1, "Value, 0..1"
        label += f", to the power {exponent:g}" if exponent else ""
    elif exponent is None:
        shown, low, high, label = np.maximum(level_db, -db_range), -db_range, 0, "Level (dB below the loudest)"
    else:
        shown, low, high, label = 10 ** (level_db / 20 * exponent), 0, 1, f"Magnitude to the power {exponent:g}"
    scale = scale or _scale_of(features.freqs_hz)
    image = _image(ax, shown, features.freqs_hz, features.times_s, scale=scale, fmax_hz=fmax_hz, vmin=low, vmax=high)
    if colorbar:
        _colorbar(image, label)
    if melody is not None:
        for h in range(2, harmonics + 2):
            _line(ax, melody, h, **ESTIMATE | {"linestyle": ":", "linewidth": 1})
        _line(ax, melody, **ESTIMATE, label="melody" + (" and overtones (dotted)" if harmonics else ""))
        _legend(ax)
    return ax


def mask_map(mask, *, gate=None, melody=None, ax=None, fmax_hz=None, colorbar=True):
    """A `Mask`: the share of the melody in each cell, 0 black and 1 white, on the axis on which its rows are evenly spaced.

    gate: (time,) in 0..1, drawn as a curve from the bottom to the top of the picture. melody: drawn thin. fmax_hz: upper end.
    """
    ax = _axes(ax)
    scale = _scale_of(mask.freqs_hz)
    image = _image(ax, mask.values, mask.freqs_hz, mask.times_s, scale=scale, fmax_hz=fmax_hz, vmin=0, vmax=1)
    if colorbar:
        _colorbar(image, "Share of the melody")
    if melody is not None:
        _line(ax, melody, **ESTIMATE, label="melody")
    if gate is not None:
        outline = [patheffects.withStroke(linewidth=3, foreground="black", alpha=0.75)]
        where = ax.get_xaxis_transform()  # seconds, and 0..1 from bottom to top
        ax.plot(mask.times_s, gate, color="#7CFC9A", linewidth=1.4, linestyle=(0, (5, 1)), label="gate, 0 to 1", transform=where,
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
        _colorbar(image, "Salience (1 = strongest)" if exponent == 1 else f"Salience to the power {exponent:g}")
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
        limits = np.array([*ax.get_xlim(), *ax.get_ylim()]) if ax.lines else np.array([np.inf, -np.inf] * 2)
        sung = melody.f0_hz[melody.voiced] if melody.voiced.any() else np.array([220.0, 440.0])
        _frequency_axis(ax, min(limits[2], sung.min() / 1.2), max(limits[3], sung.max() * 1.2), "log")
        if len(melody) > 1:
            ax.set_xlim(min(limits[0], melody.times_s[0]), max(limits[1], melody.times_s[-1]))
        _plain(ax)
        nth = len(ax.lines)
        dash = ("-", "--", ":", "-.")[nth % 4]
        style = {"color": INK[nth % len(INK)], "linewidth": 1.6, "linestyle": dash, "outline": None} | style
    _line(ax, melody, label=label, **style)
    if label:
        _legend(ax)
    return ax


def _line(ax, melody, h=1, outline="black", **style):
    """Draw h * f0 where it is sung. A frame without a neighbour would be no line, so it gets a dot.

    Leaps of more than a whole tone from frame to frame are not joined: nobody sang what lies between.
    """
    leap = np.flatnonzero(np.abs(grids.offset_cents(melody.sung_hz[1:], melody.sung_hz[:-1])) > 200) + 1
    times_s = np.insert(melody.times_s, leap, melody.times_s[leap] if len(leap) else [])
    f_hz = np.insert(h * melody.sung_hz, leap, np.nan)
    drawn = np.concatenate([[False], np.isfinite(f_hz), [False]])
    alone = np.flatnonzero(drawn[1:-1] & ~drawn[:-2] & ~drawn[2:])
    if outline:
        wider = style.get("linewidth", 1.5) + 1.2
        style["path_effects"] = [patheffects.withStroke(linewidth=wider, foreground=outline, alpha=0.75)]
    style = {"marker": ".", "markevery": list(alone), "markersize": 4} | style
    ax.plot(times_s, f_hz, scalex=False, scaley=False, **style)


def _legend(ax, **options):
    if ax.get_legend_handles_labels()[0]:
        dark = bool(ax.get_images())  # light lines need a dark ground in the legend too
        look = {"facecolor": "#26203a", "labelcolor": "white", "edgecolor": "none"} if dark else {"edgecolor": "none"}
        look |= {"loc": "upper right" if dark else "best", "framealpha": 0.9, "fontsize": "small", "handlelength": 3}
        legend = ax.legend(**look | options)
        for handle in legend.legend_handles:
            if isinstance(handle, Line2D):
                handle.set_marker("")  # the dots of single frames are no part of the line's look


def _plain(ax):
    """A drawing on white: no frame, a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)


def level_difference(power, model, freqs_hz, times_s, *, ax=None, fmax_hz=5000, db_range=20, colorbar=True):
    """Where a model (freq, time) is too quiet (red) and too loud (blue), in decibels; white is right. Both powers >= 0."""
    ax = _axes(ax)
    floor = 1e-9 * (np.max(power) or 1)  # silence against silence is no difference
    difference_db = 10 * np.log10((power + floor) / (model + floor))
    limits = {"vmin": -db_range, "vmax": db_range, "cmap": "RdBu_r"}
    image = _image(ax, difference_db, freqs_hz, times_s, scale=_scale_of(freqs_hz), fmax_hz=fmax_hz, **limits)
    if colorbar:
        _colorbar(image, "Song minus model (dB)", extend="both")
    return ax


# --- how good -------------------------------------------------------------------------------------------------------------


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
    pitches = pitches[np.isfinite(pitches)] if np.isfinite(pitches).any() else np.array([110.0, 440.0])
    low, high = pitches.min() / 1.35, pitches.max() * 1.15
    _frequency_axis(ax, low, high, "log")
    _plain(ax)
    _line(ax, reference, outline=None, color="#bbbbbb", linewidth=5, solid_capstyle="butt")
    for (label, (words, marker, colour, filled, line)), share in zip(ERRORS.items(), _shares(labels, ERRORS), strict=True):
        here = labels == label
        y = np.full(here.sum(), low * 1.06) if line is None else lines[line][here]
        face = {"facecolors": colour if filled else "white", "edgecolors": colour, "linewidths": 0.3 if filled else 1.2}
        ax.scatter(times_s[here], y, s=20, marker=marker, label=f"{words} {share:.1f} %", zorder=3, **face)
    if len(times_s):
        ax.set_xlim(_edges(times_s))
    room = ax.get_position().width * ax.figure.get_figwidth()  # inches; a legend wider than its axes would crush them
    where = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": int(np.clip(room / 1.29, 1, 6))}
    _legend(ax, **where, handletextpad=0.1, columnspacing=1.0, handlelength=1.5)
    return ax


def _held(melody, times_s):
    """f0 of the melody's nearest frame at each time, NaN where it has no guess."""
    if not len(melody):
        return np.full(len(times_s), np.nan)
    middle = (melody.times_s[1:] + melody.times_s[:-1]) / 2
    return melody.f0_hz[np.searchsorted(middle, times_s)]


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


# --- factorisation and stems ----------------------------------------------------------------------------------------------


def cost_curve(trace, *, ax=None, label=None):
    """The cost before each iteration and after the last, (iterations + 1,); logarithmic if it falls more than tenfold."""
    ax = _axes(ax, (6, 3.2))
    trace = np.asarray(trace, dtype=float)
    style = ("-", "--", ":", "-.")[len(ax.lines) % 4]
    ax.plot(trace, style, color=INK[len(ax.lines) % len(INK)], marker=".", markersize=4, linewidth=1.6, label=label)
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


def waveforms(stems, sr, *, ax=None):
    """Signals one above the other on one common scale, so that loudness compares.

    stems: {name: (samples,) or (channels, samples)}. Each column spans its lowest and highest sample, so no peak is lost.
    """
    ax = _axes(ax, (10, 1 + 0.9 * len(stems)))
    signals = {name: np.atleast_2d(signal) for name, signal in stems.items()}
    peak = max((np.abs(signal).max() for signal in signals.values()), default=0) or 1.0
    for row, signal in enumerate(signals.values()):
        starts = np.unique(np.linspace(0, signal.shape[1] - 1, 2000).astype(int))
        low, high = np.minimum.reduceat(signal.min(axis=0), starts), np.maximum.reduceat(signal.max(axis=0), starts)
        low, high = (0.48 * end / peak - row for end in (low, high))
        ax.fill_between(starts / sr, low, high, color=INK[row % len(INK)], linewidth=0.5)
    ax.set_yticks(-np.arange(len(signals)), list(signals))
    ax.set(xlabel="Time (s)", ylim=(0.6 - len(signals), 0.6))
    _plain(ax)
    ax.margins(x=0)
    return ax


def nmf_factors(factors, *, fmax_hz=5000):
    """The seven matrices of a source-filter NMF (`sfnmf.Factors`) in the layout of its equation; returns a Figure.

    Left: spectra, frequency upwards, one column each. Right: how strongly each is heard, time to the right. Decibels below
    the maximum of each spectrum, of each frame of H_F0 (whose scale means nothing from frame to frame), of H_phi and of H_B.
    """
    settings = factors.settings
    times_s = grids.frame_times_s(factors.H_F0.shape[1], settings.hop_samples, settings.sr)
    figure = plt.figure(figsize=(12, 9), layout="constrained")
    axes = figure.subplots(3, 3, gridspec_kw={"width_ratios": [0.9, 3, 8]})
    figure.suptitle(r"$\hat V \;=\; (W_{F_0} H_{F_0}) \odot (W_\Gamma H_\Gamma H_\Phi) + W_B H_B$", fontsize=18)
    filters, pitches_hz = factors.W_gamma @ factors.H_gamma, settings.grid.freqs_hz
    rows = (
        ("=", "source", factors.W_F0, r"$W_{F_0}$: a comb per pitch", factors.H_F0, r"$H_{F_0}$: which pitch sounds when"),
        ("⊙", "filter", filters, r"$W_\Gamma H_\Gamma$: smooth filters", factors.H_phi, r"$H_\Phi$: which filter acts when"),
        ("+", "accompaniment", factors.W_B, "$W_B$: spectra of the rest", factors.H_B, "$H_B$: which of them sounds when"),
    )
    for (text, left, right), (operator, part, spectra, spectra_title, heard, heard_title) in zip(axes, rows, strict=True):
        text.axis("off")
        text.text(0.0, 0.5, operator, fontsize=30, ha="center", va="center")
        text.text(0.8, 0.5, part, fontsize=14, rotation=90, ha="center", va="center", fontweight="bold")
        columns = (-0.5, spectra.shape[1] - 0.5, *_edges(settings.freqs_hz))
        left.imshow(_decibels(spectra, 40, axis=0), origin="lower", aspect="auto", cmap="magma", extent=columns)
        left.set(ylim=(0, min(fmax_hz, settings.freqs_hz[-1])), ylabel="Frequency (Hz)", title=spectra_title)
        if part == "source":
            image = _image(right, _decibels(heard, 30, axis=0), pitches_hz, times_s, scale="log")
            octaves = np.arange(0, len(pitches_hz), 24 * settings.bins_per_semitone)
            left.set_xticks(octaves, [note_name(f_hz) for f_hz in pitches_hz[octaves]])
            left.set_xlabel("Pitch (note)")
        else:
            cells = (*_edges(times_s), -0.5, len(heard) - 0.5)
            image = right.imshow(_decibels(heard, 50), origin="lower", aspect="auto", cmap="magma", extent=cells)
            left.set_xlabel("Filter (number)" if part == "filter" else "Part (number)")
            right.set(ylabel=left.get_xlabel(), xlabel="Time (s)")
        right.set_title(heard_title)
        _colorbar(image, "Level (dB)")
    return figure


def _decibels(power, db_range, axis=None):
    """Power in dB below its maximum along `axis` (None: of all), cut off at -db_range, which silence is too."""
    top = power.max(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.maximum(10 * np.log10(power / top), -db_range), nan=-db_range)


# --- inside a network -----------------------------------------------------------------------------------------------------


def activation_map(activation, *, channel=None, ax=None, melody=None, colorbar=True):
    """One channel of a layer (Features as from `explain.activations`, or any input of a network) on pitch and time.

    channel: its number, or None for the mean of all. Of layers whose rows have no pitch, such as GRU units and classes, one
    channel is a curve, and None draws all of them, one row each. melody: drawn thin. Values without sign are dark to bright;
    signed ones blue below and red above 0. The colour scale ends at the level that one cell in two hundred exceeds.
    """
    ax = _axes(ax)
    values, times_s = activation.values, activation.times_s
    if np.isnan(activation.freqs_hz).any() and (channel is not None or values.shape[0] == 1):
        _curve(ax, times_s, values[channel or 0, 0])
        ax.set(ylabel="Value")
        return ax
    if np.isnan(activation.freqs_hz).any():
        values, limits = values[:, 0], (-0.5, len(values) - 0.5)
        image = ax.imshow(values, origin="lower", aspect="auto", extent=(*_edges(times_s), *limits), **_shade(values))
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
    """Colours for activations: blue to red with signs, "magma" of the square root without, so that faint lines are seen."""
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


def activations(activation, *, channels=None, columns=8, melody=None, time_s=None):
    """Small pictures of a layer's channels side by side, one colour scale for all; returns a Figure.

    activation: Features as from `explain.activations`, whose rows have pitches. channels: which ones; the first 64 if not
    given. melody: drawn thin on each. time_s: a cursor through all.
    """
    channels = list(range(len(activation.values)) if channels is None else channels)[:64]
    columns = min(columns, len(channels))
    rows = -(-len(channels) // columns)
    width = {1: 8, 2: 5, 3: 3.6}.get(columns, 10.4 / columns)
    size = (1.4 + width * columns, 0.8 + (0.62 * width + 0.2) * rows)
    figure = plt.figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)  # axes that share take matplotlib twice as long
    shade = _shade(activation.values[channels])
    for ax, channel in zip(axes.flat, channels, strict=False):
        image = _image(ax, activation.values[channel], activation.freqs_hz, activation.times_s, scale="log", **shade)
        ax.set_title(str(channel), fontsize="small", pad=2)
        if melody is not None:
            _overlay(ax, melody, linewidth=0.7)
        if time_s is not None:
            _cursor(ax, time_s)
    octaves_hz = grids.midi_to_hz(np.arange(33, 118, 12 if rows < 4 else 24))
    for n, ax in enumerate(axes.flat):
        ax.yaxis.set_major_locator(ticker.FixedLocator(octaves_hz) if n % columns == 0 else ticker.NullLocator())
        lowest = n + columns >= len(channels)
        ax.xaxis.set_major_locator(ticker.MaxNLocator(3 if columns > 4 else 6) if lowest else ticker.NullLocator())
        ax.tick_params(labelsize="small")
        ax.set(xlabel="", ylabel="", visible=n < len(channels))
    figure.supxlabel("Time (s)", fontsize="medium")
    figure.supylabel("Note, frequency (Hz)", fontsize="medium")
    figure.colorbar(image, ax=axes, pad=0.01, aspect=40, label="Value", extend="both")
    return figure


def _cursor(ax, time_s):
    dark = _is_dark(ax)
    outline = [patheffects.withStroke(linewidth=2.6, foreground="black" if dark else "white", alpha=0.75)]
    ax.axvline(time_s, color="white" if dark else "black", linewidth=1.2, linestyle=(0, (4, 2)), path_effects=outline)


def aligned(pictures, *, time_s=None, melody=None):
    """Pictures of one song one above the other on one clock and one range of pitches; returns a Figure.

    pictures: {title: picture}; a picture is Features (of several channels their mean), (Features, channel), a `Salience`,
    whose "no melody" gets a row of its own at the bottom, or a `Melody`, which is the truth that the others are to be
    measured by. Features whose rows have no pitch are a curve. time_s: a cursor through all, and at the right what each
    says at that moment, over the pitch that is true there. melody: a thin line on all maps. The poster's figure:
    `aligned({"H_F0": features, "CNN1": seen["cnn"], "classifier": salience, "truth": song.melody})`.
    """
    pictures = {title: picture if isinstance(picture, tuple) else (picture, None) for title, picture in pictures.items()}
    figure = plt.figure(figsize=(10, 0.5 + 1.55 * len(pictures)), layout="constrained")
    wide = {"width_ratios": (7, 1)} if time_s is not None else {}
    axes = figure.subplots(len(pictures), 1 if time_s is None else 2, squeeze=False, gridspec_kw=wide)
    pitched = [p.freqs_hz for p, _ in pictures.values() if hasattr(p, "freqs_hz") and np.isfinite(p.freqs_hz).all()]
    low, high = (min(f[0] for f in pitched) / 1.03, max(f[-1] for f in pitched) * 1.03) if pitched else (55.0, 1760.0)
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
        _colorbar(image, "Salience" if picture.values.ndim == 2 else "Value", ticks=ticks, format="%.2g")
        now = values[:, frame] if side is not None else None
    if unvoiced is not None:
        ax.pcolormesh(_cell_edges(picture.times_s), strip, unvoiced[None], **style)
        ax.set_ylim(strip[0], high)
        notes_hz = [f_hz for f_hz in _NoteLocator().tick_values(low * 1.3, high)]
        middle = np.sqrt(strip[0] * strip[1])
        ax.yaxis.set_major_locator(ticker.FixedLocator([middle, *notes_hz]))
        ax.yaxis.set_major_formatter(lambda f_hz, _: "no melody" if f_hz < low else f"{note_name(f_hz)}  {f_hz:.0f}")
    if side is not None:
        _moment(side, ax, picture, now, unvoiced, frame, strip)
        if truth is not None:
            side.axhline(truth.resampled(picture.times_s[[frame]]).sung_hz[0], color=INK[1], linestyle=":", linewidth=1.5)


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
            said = note_name(picture.freqs_hz[now.argmax()]) if now.max() > unvoiced[frame] else "no melody"
    side.set_ylim(ax.get_ylim())
    if said is not None:
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
        side.text(0.97, 0.93, said, transform=side.transAxes, ha="right", va="top", fontsize="small", bbox=box)
    side.tick_params(labelsize="small")
    _plain(side)


def _cell_edges(centres):
    """(cells + 1,) borders of a row of cells with these centres."""
    low, high = _edges(centres)
    return np.concatenate([[low], (centres[1:] + centres[:-1]) / 2, [high]])


def attribution_map(attribution, *, ax=None, melody=None, colorbar=True, channel=None):
    """What in the input spoke for (red) and against (blue) a decision, an `explain.Attribution`; a ring marks the decision.

    Rows finer than a semitone are added up to semitones. channel: of an input with several (None: their sum). melody: drawn
    thin. The colour scale ends at the level that one cell in five hundred exceeds. For "no melody", which has no pitch, a
    line marks the moment.
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
        what, ring = note_name(attribution.f_hz), {"markersize": 14, "color": "none", "markeredgecolor": "black"}
        ax.plot(attribution.time_s, attribution.f_hz, "o", markeredgewidth=1.8, scalex=False, scaley=False, **ring)
    else:
        what = "no melody"
        _cursor(ax, attribution.time_s)
    ax.set_title(f"For (red) and against (blue) {what} at {attribution.time_s:.2f} s", loc="left", fontsize="medium")
    if colorbar:
        _colorbar(image, "Share of the log odds (nats)", extend="both")
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
    counts = np.array([[np.sum(np.asarray(found) == kind) for kind in PITCH_ERRORS] for found in labels.values()])
    ends = counts.cumsum(axis=1)
    rows = -np.arange(len(labels))
    for n, (words, colour, hatch) in enumerate(PITCH_ERRORS.values()):
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        bars = ax.barh(rows, counts[:, n], 0.8, ends[:, n] - counts[:, n], label=words, **look)
        wide = counts[:, n] > 0.035 * max(ends.max(initial=0), 1)
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
        numbers = [str(count) if shown else "" for count, shown in zip(counts[:, n], wide, strict=True)]
        ax.bar_label(bars, numbers, label_type="center", fontsize="small", bbox=box)
    ax.set_yticks(rows, list(labels))
    ax.set(xlabel="Sung frames", xlim=(0, max(ends.max(initial=0), 1)))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(PITCH_ERRORS), frameon=False, fontsize="small")
    return ax


# --- attention and kernels ------------------------------------------------------------------------------------------------


def attention(picture, maps, *, channel=0, melody=None):
    """What a level of FTANet sees and where it looks: the input, above it the attention over time, beside it over frequency.

    picture: the network's input (Features). maps: `explain.AttentionMaps`. channel: of the picture. Weights are given as
    multiples of equal ones, so 1, the dotted line, is no preference; thin lines are the channels, the thick one is their mean. A
    variant's missing map stays empty. melody: drawn on the input. Returns a Figure.
    """
    figure = plt.figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=(4, 1), height_ratios=(1, 3.2), squeeze=False)
    (above, corner), (ax, beside) = axes
    corner.set_axis_off()
    first, last = _edges(maps.times_s)
    shown = (picture.times_s >= first - 1e-9) & (picture.times_s <= last + 1e-9)
    _image(ax, picture.values[channel][:, shown], picture.freqs_hz, picture.times_s[shown], scale="log")
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
    above.tick_params(labelbottom=False)
    if maps.frequency is not None:
        beside.set_yscale("log")
        beside.yaxis.set_minor_locator(ticker.NullLocator())
        beside.yaxis.set_major_locator(ticker.NullLocator())
    beside.set(ylim=limits_hz, xlabel="Weight", title="over frequency")
    return figure


def kernel_responses(responses, *, order=None, fmax_hz=8000, db_range=40, ax=None):
    """Which frequencies each kernel of a learned filter bank lets through, one column a kernel; dB below its maximum.

    responses: `explain.KernelResponses`. order: of the columns, such as responses.centres_hz.argsort(); None: as they are.
    """
    ax = _axes(ax, (5, 3.6))
    levels_db = responses.levels_db if order is None else responses.levels_db[order]
    inside = responses.freqs_hz <= fmax_hz
    extent = (-0.5, len(levels_db) - 0.5, 0, responses.freqs_hz[inside][-1] / 1000)
    image = ax.imshow(
        levels_db[:, inside].T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-db_range, vmax=0
    )
    ax.set(xlabel="Kernel" if order is None else "Kernel, sorted", ylabel="Frequency (kHz)")
    ax.set_title(f"{responses.kernels.shape[1]} samples", loc="left", fontsize="medium")
    _colorbar(image, "dB below its maximum", extend="min")
    return ax


# --- training -------------------------------------------------------------------------------------------------------------


def learning_curve(losses, history=(), *, ax=None):
    """The loss of every step and its mean over ten; on an axis of their own, RPA and OA at each validation.

    losses: (steps,), as `train.fit` hands them to `on_step`. history: as it returns it, dicts with "step", "RPA" and "OA".
    """
    ax = _axes(ax, (8, 3.2))
    losses = np.asarray(losses, dtype=float)
    stop = np.arange(1, len(losses) + 1)
    first, sums = np.maximum(stop - 10, 0), np.concatenate([[0], np.cumsum(losses)])
    ax.plot(stop, losses, color="#b5b5b5", linewidth=0.9, label="loss of one step")
    ax.plot(stop, (sums[stop] - sums[first]) / (stop - first), color=INK[6], linewidth=2, label="mean of ten")
    ax.set(xlabel="Step", ylabel="Loss", ylim=(0, 1.05 * losses.max() if losses.max(initial=0) > 0 else 1))
    ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    _plain(ax)
    handles, labels = ax.get_legend_handles_labels()
    if history:
        side = ax.twinx()
        for name, colour, style, marker in (("RPA", INK[0], "--", "o"), ("OA", INK[1], ":", "s")):
            steps, values = ([entry[key] for entry in history] for key in ("step", name))
            side.plot(steps, values, color=colour, linestyle=style, marker=marker, linewidth=1.6, label=name)
        side.set(ylim=(0, 1), ylabel="Share of frames")
        side.spines["top"].set_visible(False)
        handles, labels = (a + b for a, b in zip((handles, labels), side.get_legend_handles_labels(), strict=True))
    if len(losses):
        ax.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False)
    return ax


# --- drums ----------------------------------------------------------------------------------------------------------------

DRUMS = dict(zip(("kick", "snare", "open_hihat", "closed_hihat", "toms"), INK, strict=False))  # from top to bottom, colours


def _lanes(ax, names=tuple(DRUMS)):
    """One row a class, the first at the top."""
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="Time (s)")


def hit_map(hits, *, ax=None):
    """Which drum hits were right, missed and false, one lane a class; the legend counts them.

    hits: (times_s, classes, labels) as from `evaluate.hit_errors`.
    """
    ax = _axes(ax, (10, 2))
    times_s, classes, labels = (np.asarray(part) for part in hits)
    rows = np.array([list(DRUMS).index(kind) for kind in classes], dtype=float)
    for label in ("right", "missed", "false"):
        words, marker, colour, filled, _ = ERRORS[label]
        here = labels == label
        face = {"facecolors": colour if filled else "white", "edgecolors": colour, "linewidths": 0.3 if filled else 1.2}
        ax.scatter(times_s[here], rows[here], s=22, marker=marker, label=f"{words} {here.sum()}", zorder=3, **face)
    _lanes(ax)
    _plain(ax)
    _legend(ax, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, handletextpad=0.1, handlelength=1.5)
    return ax


def profile_map(times_s, profiles, *, onsets=None, ax=None, colorbar=True):
    """Onset profiles (classes, time) in 0..1, one row a class; the hits of `onsets` as white ticks on the upper edge of its row."""
    ax = _axes(ax, (10, 2))
    extent = (*_edges(times_s), len(profiles) - 0.5, -0.5)
    image = ax.imshow(profiles, aspect="auto", extent=extent, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    if onsets is not None:
        rows = np.array([list(DRUMS).index(kind) for kind in onsets.classes], dtype=float)
        ax.vlines(onsets.times_s, rows - 0.5, rows - 0.2, color="white", linewidth=1.3)
    _lanes(ax)
    ax.set_xlim(_edges(times_s))
    if colorbar:
        _colorbar(image, "Profile")
    return ax


def mel_hits(picture, onsets, *, ax=None):
    """The drum network's input (Features of kind "drum-mel"), its rows evenly spaced, and over it the hits in five lanes."""
    ax = _axes(ax, (10, 3))
    rows = len(picture.freqs_hz)
    extent = (*_edges(picture.times_s), -0.5, rows - 0.5)
    ax.imshow(picture.values[0], origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=0, vmax=1)
    ticks_hz = np.array([100, 500, 1000, 2000, 4000, 8000])
    ax.set_yticks(np.interp(ticks_hz, picture.freqs_hz, np.arange(rows)), [f"{hz}" for hz in ticks_hz])
    for lane, name in enumerate(reversed(DRUMS)):
        times_s = onsets.of_class(name)
        y = np.full(len(times_s), rows * (lane + 0.5) / len(DRUMS))
        ax.scatter(times_s, y, s=20, marker="v", facecolors=DRUMS[name], edgecolors="white", linewidths=0.8)
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz)", xlim=_edges(picture.times_s), ylim=(-0.5, rows - 0.5))
    return ax


def _octave_rows(values, freqs_hz, low_hz, high_hz, bands=60):
    """Rows of a magnitude picture (freq, anything) on an axis of octaves: (bands, anything); low bands are narrower than a row."""
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


def drum_factors(V, W, H, freqs_hz, times_s, names, *, low_hz=45.0, high_hz=16000.0, db_range=60):
    """V and what it is made of, laid out like the product: W at the left of W H, H above it, V beside it. Returns a Figure.

    V (freq, time), W (freq, parts), H (parts, time), magnitudes; names: one a part. Decibels below the loudest cell; in W of each
    column, in H of each row below its own.
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
    above.imshow(levels, aspect="auto", cmap="magma", extent=(*_edges(times_s), len(H) - 0.5, -0.5), interpolation="nearest")
    above.set_yticks(range(len(names)), words)
    above.set_title("$H$: when, and how it falls", loc="left", fontsize="medium")
    above.tick_params(labelbottom=False)
    spectra = _decibels(np.square(_octave_rows(W, freqs_hz, low_hz, high_hz)), db_range, axis=0)
    extent = (-0.5, W.shape[1] - 0.5, *np.log2([low_hz, high_hz]))
    left.imshow(spectra, origin="lower", aspect="auto", cmap="magma", extent=extent, interpolation="nearest")
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


def drum_templates(parts, *, low_hz=45.0, high_hz=16000.0, db_range=50, ax=None):
    """What each class of `DrumParts` sounds like: its columns of W weighed by how much they sound, dB below its loudest row."""
    ax = _axes(ax, (3, 4))
    names, high_hz = list(DRUMS), min(high_hz, parts.freqs_hz[-1])
    spectra = np.stack([parts.template(n) @ np.sqrt(np.mean(parts.activation(n) ** 2, axis=1)) for n in names], axis=1)
    shown = _decibels(np.square(_octave_rows(spectra, parts.freqs_hz, low_hz, high_hz)), db_range, axis=0)
    extent = (-0.5, len(names) - 0.5, *np.log2([low_hz, high_hz]))
    ax.imshow(shown, origin="lower", aspect="auto", cmap="magma", extent=extent, interpolation="nearest")
    ax.set_xticks(range(len(names)), [name.removesuffix("_hihat") for name in names], rotation=90)
    ax.set_xlabel("Class")
    _octave_axis(ax, low_hz, high_hz)
    return ax


def step_map(stems, sr, steps, onsets, *, added=(), removed=(), bar=None, silent=(), notes=None, ax=None):
    """Stems in the lanes of a step grid, all on one scale, with the hits that they were made of.

    stems: {class: (channels, samples)}. steps: `steps.Steps`. onsets: `DrumOnsets`, drawn where they are in time. added, removed:
    pairs (time_s, class), as open diamonds and crosses. bar: from 0, shaded. silent: classes that are not heard, in grey. notes:
    {class: text} below its name.
    """
    ax = _axes(ax, (10, 4.4))
    names = list(DRUMS)
    peak = max((np.abs(stem).max() for stem in stems.values()), default=0) or 1.0
    times_s = steps.times_s
    for n, time_s in enumerate(times_s):
        ax.axvline(time_s, color="#888888" if n % 16 == 0 else "#d5d5d5", linewidth=1.2 if n % 16 == 0 else 0.5, zorder=0)
    if bar is not None:
        first_s = times_s[0] + (16 * bar - 0.5) * steps.step_s
        ax.axvspan(first_s, first_s + 16 * steps.step_s, color="#fff3cd", zorder=-1)
    for row, name in enumerate(names):
        signal = np.atleast_2d(stems[name])
        starts = np.unique(np.linspace(0, signal.shape[1] - 1, 1600).astype(int))
        low, high = np.minimum.reduceat(signal.min(axis=0), starts), np.maximum.reduceat(signal.max(axis=0), starts)
        # the root lets faint stems be seen beside loud ones
        low, high = (row - 0.42 * np.sign(end) * np.sqrt(np.abs(end) / peak) for end in (low, high))
        colour = "#c9c9c9" if name in silent else DRUMS[name]
        ax.fill_between(starts / sr, high, low, color=colour, linewidth=0.3, zorder=1)
    kinds = (
        ([*zip(onsets.times_s.tolist(), onsets.classes, strict=True)], "v", "#333333", "#333333", "hit"),
        (added, "D", "white", "#333333", "added"),
        (removed, "x", "#c0392b", "#c0392b", "removed"),
    )
    for hits, marker, face, edge, words in kinds:
        if hits:
            at_s, rows = [t for t, _ in hits], [names.index(kind) - 0.45 for _, kind in hits]
            colour = {"color": edge} if marker == "x" else {"facecolors": face, "edgecolors": edge}
            ax.scatter(at_s, rows, s=26, marker=marker, linewidths=1.1, zorder=3, label=words, **colour)
    labels = [name.replace("_", " ") + (f"\n{notes[name]}" if notes and notes.get(name) else "") for name in names]
    ax.set_yticks(range(len(names)), labels)
    ax.set(ylim=(len(names) - 0.4, -0.7), xlim=(min(0, times_s[0]), signal.shape[1] / sr), xlabel="Time (s)")
    ax.spines[["top", "right"]].set_visible(False)
    if added or removed:
        _legend(ax, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, handlelength=1)
    return ax


def replacement_chain(song, times_s, profiles, parts, shots, made):
    """The way of Koretzky's Figure 3, with what goes through each of its boxes: loop, profiles, stems, hits, one-shots, new loop.

    times_s, profiles: as from `drums.onset_profile`. parts: `DrumParts`. shots: {class: (cut-out hit, chosen `OneShot`)}. made: the
    `Song` that `drums.replace` returned. A Figure.
    """
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplots(2, 3, gridspec_kw={"wspace": 0.12, "hspace": 0.12})
    (loop, heard, stems), (new, library, cut) = axes
    for ax, sound, title in ((loop, song, "1  the loop"), (new, made, "6  the loop, played anew")):
        waveforms({"": sound.mono}, sound.sr, ax=ax)
        ax.set(title=title, yticks=[])
    profile_map(times_s, profiles, onsets=parts.onsets, ax=heard, colorbar=False)
    heard.set_title("2  profiles, hits, MIDI")
    waveforms({name: parts.stems[name] for name in DRUMS}, song.sr, ax=stems)
    stems.set_title("3  stems by NMF")
    stems.set_yticklabels([name.replace("_", " ") for name in DRUMS])
    for ax, which, title in ((cut, 0, "4  the cleanest hits"), (library, 1, "5  the nearest one-shots")):
        for row, name in enumerate(DRUMS):
            if name in shots:
                y = shots[name][which].audio[: round(0.5 * shots[name][which].sr)]
                starts = np.unique(np.linspace(0, len(y) - 1, 700).astype(int))
                low, high = (f.reduceat(y / (np.abs(y).max() or 1), starts) for f in (np.minimum, np.maximum))
                spread = starts / shots[name][which].sr
                ax.fill_between(spread, row - 0.45 * high, row - 0.45 * low, color=DRUMS[name], linewidth=0.4)
        _lanes(ax)
        ax.set(title=title, xlim=(0, 0.5))
        _plain(ax)
    for ax in axes.ravel():
        ax.title.set_fontsize("medium")
    arrow = {"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.6}
    right, left, down = ((0.98, 1.07), (0.02, 1.07)), ((0.02, 1.07), (0.98, 1.07)), ((0.5, -0.25), (0.5, 1.15))
    ways = ((loop, heard, right), (heard, stems, right), (stems, cut, down), (cut, library, left), (library, new, left))
    for start, end, (a, b) in ways:
        places = {"xy": b, "xycoords": end.transAxes, "xytext": a, "textcoords": start.transAxes}
        end.annotate("", **places, arrowprops=arrow, annotation_clip=False)
    return figure

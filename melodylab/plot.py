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
    colorbar=True,
):
    """Any `Features` (power "stft", "mel"; magnitude "cqt"; layer `channel` of "hcqt") in decibels below its loudest cell.

    melody: drawn as a thin line at f0, with `harmonics` dotted overtones 2 f0, 3 f0, ... fmax_hz: upper end of the picture.
    db_range: what is quieter by more is black. exponent: draw magnitude ** exponent (0..1) instead of decibels.
    scale: "linear", "log" or "rows"; without it the axis on which the rows are evenly spaced. Silence is black.
    """
    ax = _axes(ax)
    values = features.values[channel].astype(float)
    if features.kind == "hcqt":  # holds decibels already: 0..1 stands for -80..0 dB
        level_db = 80 * (values - 1)
    else:
        with np.errstate(divide="ignore"):
            level_db = (10 if features.kind in ("stft", "mel") else 20) * np.log10(values / (values.max() or 1))
    if exponent is None:
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

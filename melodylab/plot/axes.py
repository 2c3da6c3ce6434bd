"""What all pictures share: frequency axes, images, lines, legends, colours."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects, ticker
from matplotlib.lines import Line2D
from matplotlib.transforms import Transform

from melodylab.dsp import grids

ESTIMATE = {
    "color": "#45e0ff",
    "linewidth": 1.3,
    "linestyle": "-",
}  # on a dark map; both lines get a dark outline


REFERENCE = {"color": "white", "linewidth": 4.5, "linestyle": (0, (1.4, 0.7))}


INK = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#333333",
)  # on white; Okabe and Ito 2008


ERRORS = {  # label: (words, marker, colour, filled, which line it lies on)
    "right": ("right", "o", "#009e73", True, "reference"),
    "octave": ("octave error", "^", "#e69f00", True, "estimate"),
    "wrong": ("wrong pitch", "X", "#c0392b", True, "estimate"),
    "missed": ("missed", "o", "#0072b2", False, "reference"),
    "false": ("false alarm", "D", "#b05a9a", False, "estimate"),
    "silence": ("silence, kept silent", "s", "#b5b5b5", True, None),
}


_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


# --- axes -----------------------------------------------------------------------------------------


def _axes(ax, size=(10, 4)):
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


class _Stretch(Transform):
    """Moves evenly spaced image rows to their own frequencies, so that imshow (fast) serves any
    frequency axis.
    """

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
        return grids.midi_to_hz(
            np.arange(69 + step * np.ceil((low - 69) / step), high + 1e-6, step)
        )


def note_name(f_hz: float) -> str:
    """Name of the nearest note, such as "A4" for 440 Hz.

    Parameters
    ----------
    f_hz : float
        Above 0.

    Returns
    -------
    str
        Such as "A4".
    """
    number = int(round(float(grids.hz_to_midi(f_hz))))
    return f"{_NOTES[number % 12]}{number // 12 - 1}"


def _frequency_axis(ax, low_hz, high_hz, scale, stretch=None):
    """Scale, limits, ticks and label of a frequency axis: "linear", "log" or "rows" (image rows
    evenly spaced).
    """
    if scale == "rows":
        ax.set_yscale("function", functions=(stretch.row_of, stretch.hz_of))
        ticks_hz = (0, 250, 500, 1000, 2000, 4000, 8000, 16000)
        ax.yaxis.set_major_locator(
            ticker.FixedLocator([f_hz for f_hz in ticks_hz if low_hz <= f_hz <= high_hz])
        )
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
    """Draw values (freq, time), any rising freqs_hz, on a "linear", "log" or "rows" axis; returns
    the AxesImage.
    """
    if scale == "log":
        values, freqs_hz = values[freqs_hz > 0], freqs_hz[freqs_hz > 0]
    low, high = _edges(freqs_hz)
    n = len(freqs_hz)
    even = low + (np.arange(n) + 0.5) / n * (high - low)
    stretch = _Stretch(np.array([low, *even, high]), np.array([low, *freqs_hz, high]))
    _frequency_axis(ax, low, min(high, fmax_hz or high), scale, stretch)
    limits = ax.get_ylim()
    where = (
        {}
        if np.allclose(even, freqs_hz) and scale == "linear"
        else {"transform": stretch + ax.transData}
    )
    extent = (*_edges(times_s), low, high)
    image = ax.imshow(
        values, origin="lower", aspect="auto", extent=extent, **{"cmap": "magma"} | style, **where
    )
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


def _line(ax, melody, h=1, outline="black", **style):
    """Draw h * f0 where it is sung. A frame without a neighbour would be no line, so it gets a
    dot.

    Leaps of more than a whole tone from frame to frame are not joined: nobody sang what lies
    between.
    """
    leap = (
        np.flatnonzero(np.abs(grids.offset_cents(melody.sung_hz[1:], melody.sung_hz[:-1])) > 200)
        + 1
    )
    times_s = np.insert(melody.times_s, leap, melody.times_s[leap] if len(leap) else [])
    f_hz = np.insert(h * melody.sung_hz, leap, np.nan)
    drawn = np.concatenate([[False], np.isfinite(f_hz), [False]])
    alone = np.flatnonzero(drawn[1:-1] & ~drawn[:-2] & ~drawn[2:])
    if outline:
        wider = style.get("linewidth", 1.5) + 1.2
        style["path_effects"] = [
            patheffects.withStroke(linewidth=wider, foreground=outline, alpha=0.75)
        ]
    style = {"marker": ".", "markevery": list(alone), "markersize": 4} | style
    ax.plot(times_s, f_hz, scalex=False, scaley=False, **style)


def _legend(ax, **options):
    if ax.get_legend_handles_labels()[0]:
        dark = bool(ax.get_images())  # light lines need a dark ground in the legend too
        look = (
            {"facecolor": "#26203a", "labelcolor": "white", "edgecolor": "none"}
            if dark
            else {"edgecolor": "none"}
        )
        look |= {
            "loc": "upper right" if dark else "best",
            "framealpha": 0.9,
            "fontsize": "small",
            "handlelength": 3,
        }
        legend = ax.legend(**look | options)
        for handle in legend.legend_handles:
            if isinstance(handle, Line2D):
                handle.set_marker("")  # the dots of single frames are no part of the line's look


def _plain(ax):
    """A drawing without ground: no frame, a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#808080", alpha=0.2, linewidth=0.8)
    ax.set_axisbelow(True)


def _held(melody, times_s):
    """f0 of the melody's nearest frame at each time, NaN where it has no guess."""
    if not len(melody):
        return np.full(len(times_s), np.nan)
    middle = (melody.times_s[1:] + melody.times_s[:-1]) / 2
    return melody.f0_hz[np.searchsorted(middle, times_s)]

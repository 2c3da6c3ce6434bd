"""Loops on a step grid, loops played anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from melodylab.plot.axes import _axes, _legend, _plain
from melodylab.plot.drums import DRUMS, _lanes, profile_map
from melodylab.plot.melody import waveforms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from melodylab.drums.steps import Steps
    from melodylab.records import DrumOnsets, DrumParts, Song


def step_map(
    stems: Mapping[str, np.ndarray],
    sr: int,
    steps: Steps,
    onsets: DrumOnsets,
    *,
    added: Sequence[tuple[float, str]] = (),
    removed: Sequence[tuple[float, str]] = (),
    bar: int | None = None,
    silent: Collection[str] = (),
    notes: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Stems in the lanes of a step grid, all on one scale, with the hits that they were made of.

    Parameters
    ----------
    stems : Mapping[str, ndarray]
        {class: (channels, samples)} of all `DRUM_CLASSES`.
    sr : int
        Samples a second.
    steps : Steps
        The grid, as from `drums.steps.find`.
    onsets : DrumOnsets
        The hits, drawn where they are in time.
    added : Sequence[tuple[float, str]]
        Pairs (time_s, class), open diamonds.
    removed : Sequence[tuple[float, str]]
        Pairs (time_s, class), crosses.
    bar : int, optional
        Number of the bar that is shaded, from 0; None shades none.
    silent : Collection[str]
        Classes that are not heard, in grey.
    notes : Mapping[str, str], optional
        {class: text} that stands below its name.
    ax : Axes, optional
        Where to draw; without it a figure of its own.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (10, 4.4))
    names = list(DRUMS)
    peak = max((np.abs(stem).max() for stem in stems.values()), default=0) or 1.0
    times_s = steps.times_s
    for n, time_s in enumerate(times_s):
        ax.axvline(
            time_s,
            color="#808080",
            alpha=1 if n % 16 == 0 else 0.35,
            linewidth=1.2 if n % 16 == 0 else 0.5,
            zorder=0,
        )
    if bar is not None:
        first_s = times_s[0] + (16 * bar - 0.5) * steps.step_s
        ax.axvspan(
            first_s,
            first_s + 16 * steps.step_s,
            color="#e0a800",
            alpha=0.18,
            linewidth=0,
            zorder=-1,
        )
    for row, name in enumerate(names):
        signal = np.atleast_2d(stems[name])
        starts = np.unique(np.linspace(0, signal.shape[1] - 1, 1600).astype(int))
        low, high = (
            np.minimum.reduceat(signal.min(axis=0), starts),
            np.maximum.reduceat(signal.max(axis=0), starts),
        )
        # the root lets faint stems be seen beside loud ones
        low, high = (row - 0.42 * np.sign(end) * np.sqrt(np.abs(end) / peak) for end in (low, high))
        colour = "#c9c9c9" if name in silent else DRUMS[name]
        ax.fill_between(starts / sr, high, low, color=colour, linewidth=0.3, zorder=1)
    kinds = (
        (
            [*zip(onsets.times_s.tolist(), onsets.classes, strict=True)],
            "v",
            "#333333",
            "#333333",
            "hit",
        ),
        (added, "D", "white", "#333333", "added"),
        (removed, "x", "#c0392b", "#c0392b", "removed"),
    )
    for hits, marker, face, edge, words in kinds:
        if hits:
            at_s, rows = [t for t, _ in hits], [names.index(kind) - 0.45 for _, kind in hits]
            colour = {"color": edge} if marker == "x" else {"facecolors": face, "edgecolors": edge}
            ax.scatter(
                at_s, rows, s=26, marker=marker, linewidths=1.1, zorder=3, label=words, **colour
            )
    labels = [
        name.replace("_", " ") + (f"\n{notes[name]}" if notes and notes.get(name) else "")
        for name in names
    ]
    ax.set_yticks(range(len(names)), labels)
    ax.set(
        ylim=(len(names) - 0.4, -0.7),
        xlim=(min(0, times_s[0]), signal.shape[1] / sr),
        xlabel="Time (s)",
    )
    ax.spines[["top", "right"]].set_visible(False)
    if added or removed:
        _legend(ax, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, handlelength=1)
    return ax


def replacement_chain(
    song: Song,
    times_s: np.ndarray,
    profiles: np.ndarray,
    parts: DrumParts,
    shots: Mapping[str, tuple],
    made: Song,
) -> Figure:
    """The way of Koretzky's Figure 3, with what goes through each of its boxes.

    Loop, profiles, stems, hits, one-shots, new loop.

    Parameters
    ----------
    song : Song
        The loop that was taken apart.
    times_s : ndarray
        (time,) in seconds, as from `drums.onset_profile`.
    profiles : ndarray
        (classes, time) in 0..1, as from `drums.onset_profile`.
    parts : DrumParts
        What `drums.separate` made of the loop: stems and hits.
    shots : Mapping[str, tuple]
        {class: (cut-out hit, chosen `OneShot`)}.
    made : Song
        The new loop, as `drums.replace` returns it.

    Returns
    -------
    Figure
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
    for ax, which, title in (
        (cut, 0, "4  the cleanest hits"),
        (library, 1, "5  the nearest one-shots"),
    ):
        for row, name in enumerate(DRUMS):
            if name in shots:
                y = shots[name][which].audio[: round(0.5 * shots[name][which].sr)]
                starts = np.unique(np.linspace(0, len(y) - 1, 700).astype(int))
                low, high = (
                    f.reduceat(y / (np.abs(y).max() or 1), starts) for f in (np.minimum, np.maximum)
                )
                spread = starts / shots[name][which].sr
                ax.fill_between(
                    spread, row - 0.45 * high, row - 0.45 * low, color=DRUMS[name], linewidth=0.4
                )
        _lanes(ax)
        ax.set(title=title, xlim=(0, 0.5))
        _plain(ax)
    for ax in axes.ravel():
        ax.title.set_fontsize("medium")
    arrow = {"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.6}
    right, left, down = (
        ((0.98, 1.07), (0.02, 1.07)),
        ((0.02, 1.07), (0.98, 1.07)),
        ((0.5, -0.25), (0.5, 1.15)),
    )
    ways = (
        (loop, heard, right),
        (heard, stems, right),
        (stems, cut, down),
        (cut, library, left),
        (library, new, left),
    )
    for start, end, (a, b) in ways:
        places = {"xy": b, "xycoords": end.transAxes, "xytext": a, "textcoords": start.transAxes}
        end.annotate("", **places, arrowprops=arrow, annotation_clip=False)
    return figure

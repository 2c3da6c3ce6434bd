"""Hits, profiles, drum templates, steps, replaced sounds."""

import matplotlib.pyplot as plt
import numpy as np

from melodylab.plot.axes import ERRORS, INK, _axes, _colorbar, _edges, _legend, _plain
from melodylab.plot.melody import waveforms
from melodylab.plot.nmf import _decibels
from melodylab.records import DRUM_CLASSES

# --- drums ----------------------------------------------------------------------------------------

DRUMS = dict(zip(DRUM_CLASSES, INK, strict=False))  # from top to bottom, colours


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


def profile_map(times_s, profiles, *, onsets=None, ax=None, colorbar=True):
    """Onset profiles (classes, time) in 0..1, one row a class; the hits of `onsets` as white ticks on the upper edge of its row."""
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


def mel_hits(picture, onsets, *, ax=None):
    """The drum network's input (Features of kind "drum-mel"), its rows evenly spaced, and over it the hits in five lanes."""
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


def drum_templates(parts, *, low_hz=45.0, high_hz=16000.0, db_range=50, ax=None):
    """What each class of `DrumParts` sounds like: its columns of W weighed by how much they sound, dB below its loudest row."""
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


def step_map(
    stems, sr, steps, onsets, *, added=(), removed=(), bar=None, silent=(), notes=None, ax=None
):
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

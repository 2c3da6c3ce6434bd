"""Panel of 07_drums: the step grid."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
import traitlets
from matplotlib.figure import Figure

from melodylab import api, drums, evaluate, plot, sonify, synth
from melodylab.course.panel import Panel, _words
from melodylab.drums import steps

if TYPE_CHECKING:
    from melodylab.drums import Settings
    from melodylab.records import DrumOnsets, Song

# --- drums ----------------------------------------------------------------------------------------


class ToggleGrid(ipywidgets.VBox):
    """Rows of buttons that are on or off, as one control with a `value`: a word a row, "x" for on,
    "-" for off, joined by "/".

    rows: {name of a row: [names of its buttons]}, for tooltips. value: as above. shown: so many
    columns stand in the page, from column `first` on; all if None. A gap after every `group` of
    them.
    """

    value = traitlets.Unicode()
    first = traitlets.Int(0)
    description = traitlets.Unicode(
        " "
    )  # as the other controls of a `Panel` have; each button says its own

    def __init__(self, rows, value, *, shown=None, group=4):
        columns = len(next(iter(rows.values())))
        self._names, self._columns, self._filling = list(rows.items()), columns, False
        self._buttons, lines = [], []
        for name, _ in self._names:
            label = ipywidgets.Label(
                name.replace("_", " "), layout=ipywidgets.Layout(width="6.5em")
            )
            buttons = []
            for n in range(shown or columns):
                gap = "8px" if n % group == group - 1 else "1px"
                layout = ipywidgets.Layout(
                    width="2.3em", height="1.6em", padding="0", margin=f"1px {gap} 1px 1px"
                )
                buttons.append(ipywidgets.ToggleButton(layout=layout))
                buttons[-1].observe(self._pressed, names="value")
            self._buttons.append(buttons)
            lines.append(ipywidgets.HBox([label, *buttons]))
        super().__init__(lines, layout=ipywidgets.Layout(width="auto"))
        self.value = value
        self._fill()
        self.observe(self._fill, names=["value", "first"])

    @traitlets.validate("value")
    def _fits(self, proposal):
        words = proposal["value"].split("/")
        if len(words) != len(self._names) or any(
            len(word) != self._columns or set(word) - set("x-") for word in words
        ):
            raise traitlets.TraitError(
                f"{len(self._names)} words of {self._columns} letters x or - are asked for"
            )
        return proposal["value"]

    def _fill(self, _change=None):
        """Show what `value` says."""
        self._filling = True
        for word, (name, titles), buttons in zip(
            self.value.split("/"), self._names, self._buttons, strict=True
        ):
            for n, button in enumerate(buttons, self.first):
                inside = n < self._columns
                on = inside and word[n] == "x"
                with button.hold_trait_notifications():
                    button.value, button.disabled = on, not inside
                    button.description, button.button_style = (
                        "●" if on else "",
                        "info" if on else "",
                    )
                    button.tooltip = f"{name.replace('_', ' ')}, {titles[n]}" if inside else ""
        self._filling = False

    def _pressed(self, _change):
        if self._filling:
            return
        words = [list(word) for word in self.value.split("/")]
        for word, buttons in zip(words, self._buttons, strict=True):
            stop = min(self.first + len(buttons), self._columns)
            word[self.first : stop] = [
                "x" if button.value else "-" for button in buttons[: stop - self.first]
            ]
        self.value = "/".join("".join(word) for word in words)


def step_panel(
    song: Song,
    onsets: DrumOnsets | None = None,
    *,
    tempo_bpm: float | None = None,
    settings: Settings | None = None,
) -> Panel:
    """A drum loop on a step grid.

    Change what was transcribed, and the loop is taken apart anew, while you wait.

    Every step that is switched learns W again from the changed hits (half a second for a loop of
    eight). The picture shows the five stems with the hits in their own time, and at the right what
    W now sounds like; below the names stands the SI-SDR of each stem where the truth is known. Mute
    and solo choose what the player plays, at one gain. One bar of buttons at a time.

    Parameters
    ----------
    song : Song
        A drum loop of some seconds, of any rate and channel count.
    onsets : DrumOnsets, optional
        The hits to begin with; without them the shipped network transcribes.
    tempo_bpm : float, optional
        Beats a minute, if known; else they are estimated from the hits.
    settings : Settings, optional
        How `drums.separate` takes the loop apart; its own settings by default.

    Returns
    -------
    Panel
    """
    onsets = api.transcribe_drums(song) if onsets is None else onsets
    onsets = drums.separate(
        song, onsets, settings or drums.SETTINGS
    ).onsets  # with the velocities that were measured
    grid = steps.find(onsets, song.duration_s, tempo_bpm=tempo_bpm)
    transcribed, names = steps.pattern(onsets, grid), list(synth.DRUM_CLASSES)
    bars = -(-grid.count // 16)
    cells = [f"bar {n // 16 + 1}, step {n % 16 + 1}" for n in range(grid.count)]
    switches = [name.replace("_", " ") for name in names]
    controls = {
        "bar": ipywidgets.IntSlider(value=1, min=1, max=bars),
        "steps": ToggleGrid(dict.fromkeys(names, cells), transcribed, shown=16),
        "mute": _Switches("mute", switches),
        "solo": _Switches("solo", switches),
    }

    @functools.lru_cache(maxsize=16)
    def taken_apart(pattern):
        """(`DrumParts`, what was added, what was removed)."""
        changed = steps.edited(onsets, grid, pattern)
        before, after = (
            set(zip(o.times_s.tolist(), o.classes, strict=True)) for o in (onsets, changed)
        )
        return (
            drums.separate(song, changed, settings or drums.SETTINGS, velocities=False),
            sorted(after - before),
            sorted(before - after),
        )

    def heard(mute, solo):
        chosen = [name for name, on in zip(names, solo, strict=True) if on == "x"] or names
        return [
            name for name, off in zip(names, mute, strict=True) if off == "-" and name in chosen
        ]

    def scores(parts):
        if not song.stems or any(name not in song.stems for name in names):
            return {}
        return {
            name: evaluate.si_sdr(reference=song.stems[name], estimate=parts.stems[name])
            for name in names
            if song.stems[name].any()
        }

    def notes(parts):
        return {
            name: f"{value:.1f} dB" if np.isfinite(value) else "silent"
            for name, value in scores(parts).items()
        }

    def draw(bar, steps, mute, solo):
        parts, added, removed = taken_apart(steps)
        figure = Figure(figsize=(12, 2.9), layout="constrained")
        ax, side = figure.subplots(1, 2, width_ratios=(6, 1))
        silent = set(names) - set(heard(mute, solo))
        looks = {
            "added": added,
            "removed": removed,
            "silent": silent,
            "notes": notes(parts),
            "bar": bar - 1,
        }
        plot.step_map(parts.stems, song.sr, grid, parts.onsets, **looks, ax=ax)
        ax.set_title(title(parts, added, removed), loc="left", fontsize="medium")
        plot.drum_templates(parts, ax=side)
        side.set_title("W", fontsize="medium")
        side.set_xlabel("")
        return figure

    def title(parts, added, removed):
        text = f"{grid.tempo_bpm:.0f} beats a minute, {len(parts.onsets.times_s)} hits"
        return text + (f" ({len(added)} added, {len(removed)} removed)" if added or removed else "")

    def alt(bar, steps, mute, solo):
        parts, added, removed = taken_apart(steps)
        told = [
            f"{name} {len(parts.onsets.of_class(name))} hits, {text}"
            for name, text in notes(parts).items()
        ]
        state = {"bar": bar, "mute": mute, "solo": solo}  # the pattern is too long to be read out
        told += [f"heard: {', '.join(heard(mute, solo)) or 'nothing'}"]
        return f"{title(parts, added, removed)}; {'; '.join(told)}. {_words(state)}"

    def sound(bar, steps, mute, solo):
        playing = heard(mute, solo)
        if not playing:
            return "<p>All five are muted.</p>"
        parts = taken_apart(steps)[0]
        mix = (
            song.audio if len(playing) == len(names) else sum(parts.stems[name] for name in playing)
        )
        gain = 0.9 / max(np.abs(song.audio).max(), 1e-3)
        return sonify.player(
            mix, song.sr, seconds=8, gain=gain, title=" + ".join(playing).replace("_", " ")
        )

    def turn(_change=None):
        controls["steps"].first = 16 * (controls["bar"].value - 1)

    controls["bar"].observe(turn, names="value")
    return Panel(draw, controls, height_px=280, alt=alt, sound=sound)


class _Switches(ToggleGrid):
    """One row of the same, with the buttons' names on them."""

    def __init__(self, name, titles):
        super().__init__({name: titles}, "-" * len(titles), group=len(titles))
        for button in self._buttons[0]:
            button.layout.width = "6.8em"
        self._fill()

    def _fill(self, _change=None):
        super()._fill()
        for button, title in zip(self._buttons[0], self._names[0][1], strict=True):
            button.description = f"● {title}" if button.value else title

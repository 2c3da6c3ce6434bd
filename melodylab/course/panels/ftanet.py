"""Panel of 05_ftanet_attention: module, map, blend to uniform."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from melodylab import evaluate, explain, plot, sonify
from melodylab.course.panel import Panel, _words
from melodylab.errors import InputError
from melodylab.melody import decode
from melodylab.models import inputs, run

if TYPE_CHECKING:
    from melodylab.models.base import Network
    from melodylab.records import Features, Song


def attention_panel(song: Song, model: Network, *, picture: Features | None = None) -> Panel:
    """Where FTANet looks, level by level, and what its melody loses when one kind of attention is
    blended to uniform.

    The maps of the block that the cursor is in, drawn beside what they weigh; the melody on the
    input is that of the network with the chosen map blended. The title gives overall accuracy
    before and after where the truth is known; the players let you hear both melodies.

    Parameters
    ----------
    song : Song
        Some seconds, of any rate and channel count.
    model : Network
        A network with attention maps, such as ftanet-thin.
    picture : Features, optional
        (channels, rows, time) as the network's front end makes it; made here if not given.

    Returns
    -------
    Panel

    Raises
    ------
    InputError
        Where the network has no attention maps.
    """
    picture = inputs.heard_by(model, song) if picture is None else picture
    levels = sorted(
        int(name[5:-7])
        for name, _ in model.named_modules()
        if re.fullmatch(r"level\d\.attend", name)
    )
    if not levels:
        raise InputError("this network has no attention maps; choose an FTANet")
    decoding = model.card.get("decoding", {})

    @functools.lru_cache(maxsize=64)
    def line(level, axis, blend):
        with explain.uniform(model, f"level{level}.attend.{axis}_map", blend):
            return decode.peak(run.salience(model, picture, **decoding))

    def untouched():
        return line(levels[0], axes[0], 0.0)

    axes = [
        axis
        for axis in ("frequency", "time")
        if any(n.endswith(f".{axis}_map") for n, _ in model.named_modules())
    ]
    end_s = 0.1 * np.floor(picture.times_s[-1] / 0.1)
    controls = {
        "level": ipywidgets.Dropdown(options=levels),
        "axis": ipywidgets.Dropdown(options=axes, description="attention over"),
        "blend": ipywidgets.FloatSlider(
            value=0.0, min=0, max=1, step=0.25, description="blend to uniform"
        ),
        "time_s": ipywidgets.FloatSlider(
            value=0.1 * round(end_s / 0.2), min=0, max=end_s, step=0.1, description="time (s)"
        ),
    }

    def draw(level, axis, blend, time_s):
        with explain.uniform(model, f"level{level}.attend.{axis}_map", blend):
            maps = explain.attention(model, picture, time_s, level)
        figure = plot.attention(picture, maps, melody=line(level, axis, blend), time_s=time_s)
        figure.set_size_inches(10, 4.2)
        words = f"{title(level, axis, blend)}; {block(maps)}"
        figure.suptitle(words, fontsize="medium")
        return figure

    def title(level, axis, blend):
        text = f"level {level}, over {axis}" + (f", {blend:.0%} uniform" if blend else "")
        if song.melody is None:
            return text
        before, after = (
            evaluate.score_melody(estimate=m, reference=song.melody)["OA"]
            for m in (untouched(), line(level, axis, blend))
        )
        return text + (
            f": OA {before:.2f} → {after:.2f}" if blend else f": OA of the network {before:.2f}"
        )

    def block(maps):
        return f"the block from {maps.times_s[0]:.2f} to {maps.times_s[-1]:.2f} s"

    def alt(level, axis, blend, time_s):
        maps = explain.attention(model, picture, time_s, level)
        state = {"level": level, "axis": axis, "blend": blend, "time_s": time_s}
        return f"{title(level, axis, blend)}; {block(maps)}. {_words(state)}"

    def sound(level, axis, blend, time_s):
        melodies = {"melody of the network": untouched()}
        if blend:
            melodies[f"{blend:.0%} uniform"] = line(level, axis, blend)
        tones = {
            name: sonify.tone(melody, song.sr, song.audio.shape[1])
            for name, melody in melodies.items()
        }
        return sonify.players(tones, song.sr, start_s=max(0, time_s - 2), seconds=4)

    return Panel(draw, controls, height_px=400, alt=alt, sound=sound)

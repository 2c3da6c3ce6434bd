"""Panel of 03_crnn: layer, channel, time."""

from __future__ import annotations

import contextlib
import functools
import re
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from melodylab import evaluate, explain, plot, records, sonify
from melodylab.course.panel import Panel, _words
from melodylab.melody import decode
from melodylab.models import inputs, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melodylab.models.base import Network
    from melodylab.records import Features, Song


def crnn_panel(
    song: Song,
    model: Network,
    *,
    picture: Features | None = None,
    names: Sequence[str] | None = None,
) -> Panel:
    """Look into a CRNN layer by layer and channel by channel, and switch channels off.

    From top to bottom: the input, the chosen channel, what the convolutions hand on, the output,
    the truth where it is known; all on one clock with a cursor, and at the right what each says at
    that moment. "silence this channel" sets it to 0, and what comes after it is computed anew: in
    the picture, in the share of right pitches (RPA) in the title, and in the players below, which
    let you hear the melody with and without the channel, from two seconds before the cursor on.

    Parameters
    ----------
    song : Song
        Some seconds, at least one, of any rate and channel count.
    model : Network
        A network that finds melodies, such as `ml.load_model("sf-crnn-1")`.
    picture : Features, optional
        (channels, rows, time) as the network's front end makes it; made here if not given, which
        takes seconds.
    names : Sequence[str], optional
        The layers to choose from, as in `explain.taps`; by default its convolutions and its GRU.

    Returns
    -------
    Panel

    Raises
    ------
    InputError
        Where a network does not say which front end it needs.
    """
    picture = inputs.heard_by(model, song) if picture is None else picture
    known = list(explain.tap_names(model))
    handed_on = (
        "cnn" if "cnn" in known else next(name for name in reversed(known) if "." not in name)
    )
    names = (
        [name for name in known if re.fullmatch(r"(cnn\.)?layer\d|gru", name)]
        if names is None
        else names
    )
    second = records.Features(
        picture.values[:, :, :75], picture.freqs_hz, picture.times_s[:75], picture.kind
    )
    channels = {
        name: len(layer.values) for name, layer in explain.activations(model, second, names).items()
    }
    decoding = model.card.get("decoding", {})

    @functools.lru_cache(maxsize=1)  # a layer of many channels takes much memory
    def look(layer):
        return explain.activations(model, picture, layer)[layer]

    @functools.lru_cache(maxsize=64)
    def said(layer=None, channel=None):
        """(what the convolutions hand on, salience, melody) with this channel silenced, or as it
        is.
        """
        with explain.ablate(model, layer, channel) if layer else contextlib.nullcontext():
            salience = run.salience(model, picture, **decoding)
            return (
                explain.activations(model, picture, handed_on)[handed_on],
                salience,
                decode.peak(salience),
            )

    end_s = 0.05 * np.floor(picture.times_s[-1] / 0.05)
    middle_s = 0.05 * round(end_s / 0.1)
    controls = {
        "layer": ipywidgets.Dropdown(options=list(channels)),
        "channel": ipywidgets.IntSlider(value=0, min=0, max=next(iter(channels.values())) - 1),
        "time_s": ipywidgets.FloatSlider(
            value=middle_s, min=0, max=end_s, step=0.05, description="time (s)"
        ),
        "silence": ipywidgets.Checkbox(
            value=False, description="silence this channel", indent=False
        ),
    }

    def draw(layer, channel, time_s, silence):
        convolutions, salience, _ = said(layer, channel) if silence else said()
        chosen = f"{layer}, channel {channel}"
        looked_at = {
            chosen + (" (silenced for all that follows)" if silence else ""): (look(layer), channel)
        }
        between = {"what the convolutions hand on": convolutions}
        middle = between | looked_at if layer == "gru" else looked_at | between
        rows = {"the input": picture} | middle | {"the output": salience}
        if song.melody is not None:
            rows["the truth"] = song.melody
        figure = plot.aligned(rows, time_s=time_s)
        figure.set_size_inches(11, 0.4 + 0.86 * len(rows))
        figure.get_layout_engine().set(hspace=0, h_pad=0.01)
        for ax in figure.axes:  # low rows have room for every second octave
            if ax.get_yscale() == "log" and len(ax.get_yticks()) > 3:
                few = [f for f in ax.get_yticks() if f < 54 or round(np.log2(f / 110)) % 2 == 0]
                ax.set_yticks(few)
            spec = ax.get_subplotspec()
            if spec is not None and spec.colspan.start == 1:
                ax.tick_params(labelbottom=False)
        figure.suptitle(title(layer, channel, silence))
        return figure

    def rpa(*channel_off):
        return evaluate.score_melody(estimate=said(*channel_off)[2], reference=song.melody)["RPA"]

    def title(layer, channel, silence):
        text = f"{layer}, channel {channel}" + (" silenced" if silence else "")
        if song.melody is None:
            return text
        change = (
            f": RPA {rpa():.2f} → {rpa(layer, channel):.2f}"
            if silence
            else f": RPA of the network {rpa():.2f}"
        )
        return text + change

    def alt(layer, channel, time_s, silence):
        melodies = {
            "the output says": said(layer, channel)[2] if silence else said()[2],
            "true is": song.melody,
        }
        notes = []
        for words, melody in melodies.items():
            if melody is not None:
                f0_hz = melody.resampled([time_s]).sung_hz[0]
                notes.append(
                    f"{words} {plot.note_name(f0_hz) if np.isfinite(f0_hz) else 'no melody'}"
                )
        state = {"layer": layer, "channel": channel, "time_s": time_s, "silence": silence}
        return (
            f"{title(layer, channel, silence)}; at {time_s:.2f} s {', '.join(notes)}. "
            f"{_words(state)}"
        )

    def sound(layer, channel, time_s, silence):
        melodies = {"melody of the network": said()[2]}
        if silence:
            melodies[f"without channel {channel} of {layer}"] = said(layer, channel)[2]
        sr, n_samples = song.sr, song.audio.shape[1]
        tones = {title: sonify.tone(melody, sr, n_samples) for title, melody in melodies.items()}
        return sonify.players(tones, sr, start_s=max(0, time_s - 2), seconds=4)

    def limit(_change=None):
        controls["channel"].max = channels[controls["layer"].value] - 1

    controls["layer"].observe(limit, names="value")
    return Panel(
        draw, controls, height_px=405 if song.melody is not None else 360, alt=alt, sound=sound
    )

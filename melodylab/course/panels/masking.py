"""Panel of 06_unet_masking: the mixing desk."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from melodylab import evaluate, explain, plot, records, separation, sonify
from melodylab.course.panel import Panel, _words
from melodylab.dsp import features
from melodylab.models import inputs, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melodylab.models.base import Network
    from melodylab.records import Features, Melody, Song

_OFF_DB, _MOST_DB = -60, 6  # of a fader: off, and the loudest


def mixing_desk(
    song: Song,
    model: Network,
    *,
    picture: Features | None = None,
    melodies: Mapping[str, Melody] | None = None,
    seconds: float = 6.0,
) -> Panel:
    """Two faders, and between them the mask that parts a song: sharper or softer, gated or not,
    alone or led.

    With both faders at 0 dB it is the song itself. The gate: "slow" is the network's own, "frame by
    frame" what it answers to "is there a melody?", taken for one. The network runs once for each
    leader, and the mask is applied once for each of its settings: a fader only adds.

    Parameters
    ----------
    song : Song
        Some seconds, of any rate and channel count.
    model : Network
        A network that learns masks, such as unet.
    picture : Features, optional
        (channels, rows, time) as the network's front end makes it; made here if not given.
    melodies : Mapping[str, Melody], optional
        {name: Melody} that may lead it, if it can be led; without them the song's own, where it is
        known.
    seconds : float
        Length of what the player plays.

    Returns
    -------
    Panel
    """
    picture = inputs.heard_by(model, song) if picture is None else picture
    if melodies is None:
        melodies = {"by the true melody": song.melody} if song.melody is not None else {}
    leaders = {"alone": None} | (melodies if model.led else {})
    last_s = max(0, song.duration_s - seconds)
    sharpnesses = [("½", 0.5), ("1", 1.0), ("2", 2.0), ("4", 4.0), ("binary", np.inf)]
    fader = {"min": _OFF_DB, "max": _MOST_DB, "step": 3, "value": 0}
    controls = {
        "melody_db": ipywidgets.IntSlider(**fader, description="melody (dB)"),
        "accompaniment_db": ipywidgets.IntSlider(**fader, description="backing (dB)"),
        "sharpness": ipywidgets.SelectionSlider(options=sharpnesses, value=1.0),
        "gate": ipywidgets.Dropdown(options=["slow", "frame by frame", "off"]),
        "led": ipywidgets.Dropdown(options=list(leaders)),
        "from_s": ipywidgets.FloatSlider(
            value=0, min=0, max=max(0.5, last_s), step=0.5, description="play from (s)"
        ),
    }
    loudest = features.power_spectrogram(song).values.max()
    gain = (
        0.9 / max(np.abs(song.audio).max(), 1e-3) / _factor(_MOST_DB)
    )  # both faders at their end do not clip

    answer = explain.is_there_a_melody(model, picture)

    @functools.lru_cache(maxsize=8)
    def asked(led):
        return run.mask(model, picture, leaders[led])

    def used(sharpness, gate, led):
        mask, slow = asked(led)
        return separation.sharper(mask, sharpness), {
            "slow": slow,
            "frame by frame": answer,
            "off": None,
        }[gate]

    @functools.lru_cache(maxsize=4)
    def parted(sharpness, gate, led):
        lead = separation.lead_by_mask(song, *used(sharpness, gate, led))
        if "melody" not in song.stems:
            return lead, ""
        return (
            lead,
            f"; this mask's melody: SDR "
            f"{evaluate.bss_eval_sdr(reference=song.stems['melody'], estimate=lead).mean():.1f} dB",
        )

    def mixed(melody_db, accompaniment_db, **mask):
        lead, _ = parted(**mask)
        return _factor(melody_db) * lead + _factor(accompaniment_db) * separation.rest(song, lead)

    def draw(melody_db, accompaniment_db, from_s, **mask):
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        shares, gate = used(**mask)
        shown = (
            shares
            if gate is None
            else records.Mask(shares.values * gate, shares.freqs_hz, shares.times_s)
        )
        plot.mask_map(shown, gate=gate, ax=above, colorbar=False).set(xlabel="", title="the mask")
        heard = records.Song.from_array(mixed(melody_db, accompaniment_db, **mask), song.sr)
        spectrum = features.power_spectrogram(heard)
        plot.spectrogram(spectrum, ax=below, scale="log", loudest=loudest, colorbar=False)
        below.set(ylim=above.get_ylim(), title="what you hear")
        start_s = min(from_s, last_s)
        below.axvspan(
            start_s, min(start_s + seconds, song.duration_s), 0, 0.02, color="white"
        )  # what the player plays
        figure.suptitle(title(melody_db, accompaniment_db, **mask), fontsize="medium")
        return figure

    def title(melody_db, accompaniment_db, **mask):
        return (
            f"melody {_level(melody_db)}, accompaniment "
            f"{_level(accompaniment_db)}{parted(**mask)[1]}"
        )

    def alt(**state):
        drawn = {name: value for name, value in state.items() if name != "from_s"}
        return f"{title(**drawn)}. {_words(state)}"

    def sound(from_s, **state):
        options = {
            "start_s": min(from_s, last_s),
            "seconds": seconds,
            "gain": gain,
            "title": "what you hear",
        }
        return sonify.player(mixed(**state), song.sr, **options)

    return Panel(draw, controls, height_px=410, alt=alt, sound=sound)


def _factor(level_db):
    return 0.0 if level_db == _OFF_DB else 10 ** (level_db / 20)


def _level(level_db):
    return "off" if level_db == _OFF_DB else f"{level_db:+d} dB" if level_db else "0 dB"

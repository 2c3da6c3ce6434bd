"""Panel of 04_multiresolution_cnn: branches and kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from melodylab import explain
from melodylab.course.panel import Panel, _words
from melodylab.errors import InputError
from melodylab.models import inputs

if TYPE_CHECKING:
    from melodylab.models.base import Network
    from melodylab.records import Features, Song


def filter_panel(song: Song, model: Network, *, picture: Features | None = None) -> Panel:
    """A learned filter bank kernel by kernel, lowest first.

    Its wave, what it lets through, and what it says of the song.

    The kernel's output is drawn under the melody, where the song's is known.

    Parameters
    ----------
    song : Song
        Some seconds, of any rate and channel count.
    model : Network
        A network that begins with filter banks, such as multires.
    picture : Features, optional
        (channels, rows, time) as the network's front end makes it; made here if not given.

    Returns
    -------
    Panel

    Raises
    ------
    InputError
        Where the network has no filter banks.
    """
    picture = inputs.heard_by(model, song) if picture is None else picture
    lengths = list(explain.filter_banks(model))
    if not lengths:
        raise InputError("this network has no filter banks; choose a multires network")
    found = {length: explain.kernel_responses(model, length) for length in lengths}
    order = {length: bank.centres_hz.argsort(kind="stable") for length, bank in found.items()}
    said = {
        name: layer.values[:, 0]
        for name, layer in explain.activations(model, picture, lengths).items()
    }
    end_s, many = 0.1 * np.floor(picture.times_s[-1] / 0.1), max(map(len, order.values()))
    controls = {
        "length": ipywidgets.Dropdown(options=lengths, value=lengths[-1]),
        "kernel": ipywidgets.IntSlider(
            value=many // 3, min=0, max=many - 1, description="kernel, by frequency"
        ),
        "time_s": ipywidgets.FloatSlider(
            value=0.1 * round(end_s / 0.2), min=0, max=end_s, step=0.1, description="time (s)"
        ),
    }

    def draw(length, kernel, time_s):
        bank, k = found[length], order[length][kernel]
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        grid = figure.add_gridspec(2, 2)
        wave, response, below = (
            figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :])
        )
        wave.plot(1000 * bank.times_s, bank.kernels[k], linewidth=0.9)
        wave.set(xlabel="Time (ms)", title="the kernel")
        response.plot(bank.freqs_hz, bank.levels_db[k], linewidth=1)
        response.set(
            xlabel="Frequency (Hz)", ylabel="dB", ylim=(-50, 2), title="what it lets through"
        )
        response.set_xlim(0, min(8000, 4 * bank.centres_hz[k] + 500))
        below.plot(picture.times_s, said[length][k], linewidth=0.9)
        below.axvline(time_s, color="black", linestyle=(0, (4, 2)), linewidth=1)
        below.set(
            xlabel="Time (s)",
            ylabel="Output",
            xlim=picture.times_s[[0, -1]],
            title="what it says of the song",
        )
        if song.melody is not None:
            pitch = below.twinx()
            pitch.plot(
                song.melody.times_s,
                song.melody.sung_hz,
                color="#d55e00",
                linewidth=1.5,
                linestyle=(0, (3, 1)),
            )
            pitch.set_ylabel("Melody (Hz)")
        figure.suptitle(title(length, kernel), fontsize="medium")
        return figure

    def title(length, kernel):
        bank, k = found[length], order[length][kernel]
        return (
            f"{length}, {bank.kernels.shape[1]} samples, kernel {kernel} by frequency: "
            f"{bank.centres_hz[k]:.0f} Hz, "
            f"{bank.bandwidths_hz[k]:.0f} Hz wide"
        )

    def alt(length, kernel, time_s):
        value = said[length][
            order[length][kernel], int(np.argmin(np.abs(picture.times_s - time_s)))
        ]
        state = {"length": length, "kernel": kernel, "time_s": time_s}
        return f"{title(length, kernel)}; at {time_s:.1f} s it says {value:.2f}. {_words(state)}"

    return Panel(draw, controls, height_px=480, alt=alt)

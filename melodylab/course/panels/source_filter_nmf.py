"""Panel of 02_source_filter_nmf: iterations and parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from melodylab import plot, records
from melodylab.course.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melodylab.records import Melody
    from melodylab.sfnmf import Factors

_PARTS = {  # what the panel shows: words for the title
    "model": "the whole model, lead + accompaniment",
    "lead": "the lead, source × filter",
    "source": "the source $W_{F_0} H_{F_0}$",
    "filter": r"the filter $W_\Gamma H_\Gamma H_\Phi$",
    "accompaniment": "the accompaniment $W_B H_B$",
    "residual": "what the model does not explain",
    "H_F0": "$H_{F_0}$, which pitch sounds when",
}


def sfnmf_panel(
    power: np.ndarray,
    snapshots: Sequence[tuple[int, Factors]],
    *,
    reference: Melody | None = None,
    fmax_hz: float = 4000,
    exponent: float | None = None,
    sound: Callable[..., object] | None = None,
) -> Panel:
    """Scrub through the iterations of a source-filter NMF and look at one part of the model at a
    time.

    Parameters
    ----------
    power : ndarray
        (freq, time) >= 0, the power spectrogram that was factorised.
    snapshots : Sequence[tuple[int, Factors]]
        [(iteration, sfnmf.Factors)] in rising order, as `keep` of `sfnmf.factorise` hands them out.
    reference : Melody, optional
        The true melody, for a switch that draws it.
    fmax_hz : float
        Upper end of the pictures, in Hz.
    exponent : float, optional
        H_F0 is drawn to this power, see `plot.salience_map`.
    sound : callable, optional
        Called as `sound(**state)`: HTML that is shown below, or None.

    Returns
    -------
    Panel
        Put it last in a cell.
    """
    by_iteration = dict(snapshots)
    controls = {
        "iteration": ipywidgets.SelectionSlider(
            options=list(by_iteration), value=list(by_iteration)[-1]
        ),
        "part": ipywidgets.Dropdown(options=list(_PARTS), value="H_F0"),
    }
    if reference is not None:
        controls["truth"] = ipywidgets.Checkbox(value=False, description="true melody")

    def draw(iteration, part, truth=False):
        factors = by_iteration[iteration]
        settings = factors.settings
        times_s = np.arange(power.shape[1]) * settings.hop_samples / settings.sr
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        ax, side = figure.subplots(1, 2, width_ratios=(4, 1))
        if part == "H_F0":  # its scale from frame to frame means nothing, so every frame sums to 1
            shares = factors.H_F0 / np.maximum(factors.H_F0.sum(axis=0), 1e-30)
            salience = records.Salience(shares, settings.grid.freqs_hz, times_s)
            plot.salience_map(salience, ax=ax, exponent=exponent)
            if truth:
                plot.melody_line(reference, ax=ax, label="true melody")
        elif part == "residual":
            plot.level_difference(
                power, factors.model(), settings.freqs_hz, times_s, ax=ax, fmax_hz=fmax_hz
            )
        else:
            shown = records.Features(
                getattr(factors, part)()[None], settings.freqs_hz, times_s, "stft"
            )
            plot.spectrogram(shown, ax=ax, fmax_hz=fmax_hz)
        ax.set_title(f"After {iteration} iterations: {_PARTS[part]}")
        last = max(by_iteration)
        plot.cost_curve(by_iteration[last].cost, ax=side)
        side.plot(
            iteration, by_iteration[last].cost[iteration], "o", color=plot.INK[1], markersize=9
        )
        side.set_title("Cost")
        return figure

    return Panel(draw, controls, height_px=440, sound=sound)

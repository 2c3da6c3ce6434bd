"""Panel of 00_tour: the voicing threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
from matplotlib.figure import Figure

from melodylab import evaluate, plot
from melodylab.course.panel import Panel
from melodylab.melody.decode import revoiced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from melodylab.records import Melody, Salience


def threshold_panel(
    methods: Mapping[str, tuple[Salience, Melody]],
    reference: Melody | None = None,
    *,
    sound: Callable[..., object] | None = None,
) -> Panel:
    """From which voicing on is a frame sung?

    One slider, the salience under the melody, and the errors where truth is known.

    Parameters
    ----------
    methods : Mapping[str, tuple[Salience, Melody]]
        {name: (what a method heard, the melody found in it with a voicing in 0..1)}.
    reference : Melody, optional
        The true melody; without it there are no errors and no scores.
    sound : callable, optional
        Called as `sound(**state)`: HTML that is shown below, or None.

    Returns
    -------
    Panel
        Put it last in a cell.
    """
    controls = {
        "method": ipywidgets.Dropdown(options=list(methods)),
        "threshold": ipywidgets.FloatSlider(
            value=0.5, min=0, max=1, step=0.02, description="voiced from"
        ),
    }

    def draw(method, threshold):
        salience, melody = methods[method]
        melody = revoiced(melody, threshold)
        figure = Figure(figsize=(11, 4.4 if reference is None else 4.8), layout="constrained")
        axes = figure.subplots(1 if reference is None else 2, sharex=True, squeeze=False)[:, 0]
        plot.salience_map(salience, melody=melody, reference=reference, ax=axes[0])
        title = f"{method}, voiced from {threshold:.2f}: {melody.voiced.mean():.0%} of the frames"
        if reference is not None:
            plot.error_map(
                melody,
                reference,
                evaluate.frame_errors(estimate=melody, reference=reference),
                ax=axes[1],
            )
            scores = evaluate.score_melody(estimate=melody, reference=reference)
            title = f"{method}, voiced from {threshold:.2f}:   " + "   ".join(
                f"{k} {v:.2f}" for k, v in scores.items()
            )
            axes[0].set_xlabel("")
        axes[0].set_title(title)
        return figure

    return Panel(draw, controls, height_px=440 if reference is None else 460, sound=sound)

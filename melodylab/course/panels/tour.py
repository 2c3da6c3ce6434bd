"""Panel of 00_tour: the voicing threshold."""

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from melodylab import evaluate, plot, records
from melodylab.course.panel import Panel

# --- ready-made panels ----------------------------------------------------------------------------


def threshold_panel(methods, reference=None, *, sound=None):
    """From which voicing on is a frame sung? One slider, the salience under the melody, and the errors where truth is known.

    methods: {name: (Salience, Melody)}. reference: the true Melody, or None. sound(**state): HTML or None.
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


def revoiced(melody, threshold):
    """The same pitches, voiced where `voicing >= threshold` and there is a pitch: a Melody whose voicing is 0 or 1."""
    voiced = (melody.voicing >= threshold) & np.isfinite(melody.f0_hz)
    return records.Melody(melody.times_s, melody.f0_hz, voiced.astype(float))

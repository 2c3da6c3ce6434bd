"""Panel of 10_train_your_own: data, training, live loss."""

import functools
from collections.abc import Sequence
from pathlib import Path

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from melodylab import evaluate, plot, records
from melodylab.course.panel import Panel, Picture
from melodylab.melody import decode
from melodylab.models import NETWORKS, inputs, run


class LiveLoss:
    """A learning curve that grows while a network learns.

    Put it last in a cell, and hand it to `training.fit` in the next:
    `training.fit(recipe, on_step=live)` fills it. It is a plain picture, which the notebook keeps.

    Parameters
    ----------
    every : int
        Steps from one picture to the next, 1 or more; a picture takes as long as a step.

    Attributes
    ----------
    losses : list of float
        The loss of every step so far.
    picture : Picture
        The current one.
    """

    def __init__(self, every: int = 10):
        self.every, self.losses, self._places = every, [], []
        self.picture = self._drawn("Nothing learned yet")

    def __call__(self, step: int, loss: float) -> None:
        """Note one more loss.

        Parameters
        ----------
        step : int
            The training's count, from 1.
        loss : float
            Of this step.
        """
        self.losses.append(loss)
        if len(self.losses) % self.every == 0:
            first = self.losses[0]
            told = f"The loss went from {first:.2f} to {loss:.2f} in {step} steps"
            self.picture = self._drawn(told)
            for place in self._places:
                place.update(self.picture)

    def _drawn(self, alt):
        figure = Figure(figsize=(8, 2.6), layout="constrained")
        ax = figure.subplots()
        if self.losses:
            plot.learning_curve(self.losses, ax=ax)
        else:
            ax.set(title=alt, xlabel="Step", ylabel="Loss", yticks=[])
        return Picture(figure, alt)

    def __repr__(self):
        return "LiveLoss()"

    def _ipython_display_(self):
        self._places += filter(None, [display(self.picture, display_id=True)])


def training_panel(
    song: records.Song,
    *,
    steps: int = 20,
    songs: Sequence[int] = (1, 2, 4, 8),
    seconds: float = 6.0,
    network: str = "cqt-crnn-1",
    features: str | Path | None = None,
) -> Panel:
    """Every move trains a small network from its first random numbers on, for some seconds.

    A line below tells the loss. Left the learning curve, right the melody that the network then
    finds in `song`, which it never heard; the truth is there, too. A setting that was tried comes
    back at once, and the same.

    Parameters
    ----------
    song : Song
        One to find the melody in, with its true melody.
    steps : int
        Of each training, two excerpts of 125 frames each.
    songs : sequence of int
        How many songs there are to learn from, the choices of a slider.
    seconds : float
        Length of each of these songs, 1 or more.
    network : str
        A melody network, as `models.create_model` knows it.
    features : str or Path, optional
        Folder that keeps their features from move to move.

    Returns
    -------
    Panel
    """
    from melodylab import training  # needs lightning, which the other panels do not

    rates = [(f"{rate:g}", rate) for rate in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)]
    controls = {
        "songs": ipywidgets.SelectionSlider(
            options=list(songs), value=songs[-1], description="songs to learn from"
        ),
        "learning_rate": ipywidgets.SelectionSlider(options=rates, value=3e-3),
        "formant_voice": ipywidgets.Checkbox(
            value=True, description="voices with formants", indent=False
        ),
        "rests": ipywidgets.Checkbox(value=True, description="bars without lead", indent=False),
        "drums": ipywidgets.Checkbox(value=True, description="drums", indent=False),
    }
    heard = inputs.FRONT_ENDS[NETWORKS[network].front_end](song)
    line = ipywidgets.HTML(layout=ipywidgets.Layout(height="2em"))

    @functools.cache
    def learn(songs, learning_rate, **ingredients):
        losses = []

        def tell(step, loss):
            losses.append(loss)
            line.value = f"step {step} of {steps}: loss {loss:.2f}"

        plan = {
            "steps": steps,
            "batch_size": 2,
            "frames": 125,
            "validate_every": steps,
            "learning_rate": learning_rate,
        }
        data = {"songs": songs, "mixes": 1, "seconds": float(seconds), "ingredients": ingredients}
        recipe = {"model": {"name": network}, "data": data, "training": plan}
        model, _ = training.fit(
            recipe, validate=[song], device="cpu", features=features, on_step=tell
        )
        return losses, run.salience(model, heard)

    def draw(**state):
        losses, salience = learn(**state)
        melody = decode.peak(salience)
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        plot.learning_curve(losses, ax=left)
        plot.salience_map(salience, melody=melody, reference=song.melody, ax=right, colorbar=False)
        scores = evaluate.score_melody(reference=song.melody, estimate=melody)
        told = "  ".join(f"{name} {scores[name]:.2f}" for name in ("RPA", "OA", "VFA"))
        right.set_title(f"A song it never heard:  {told}")
        return figure

    panel = Panel(draw, controls, height_px=380)
    panel.ui.children += (line,)
    return panel

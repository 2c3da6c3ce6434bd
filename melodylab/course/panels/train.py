"""Panel of 10_train_your_own: data, training, live loss."""

import functools

import ipywidgets
from matplotlib.figure import Figure

from melodylab import evaluate, plot
from melodylab.course.panel import Panel, Picture
from melodylab.errors import InputError
from melodylab.melody import decode
from melodylab.models import NETWORKS, inputs, run


def _input_of(model, song):
    """The picture that the network's own front end makes of a song."""
    declared = NETWORKS.get(model.name)
    name = model.card.get("front_end", declared and declared.front_end)
    if name is None:
        raise InputError(
            "this network does not say what it hears; give its input: picture=frontends.FRONT_ENDS[...](song)"
        )
    return inputs.FRONT_ENDS[name](song)


# --- training while you watch ---------------------------------------------------------------------


class LiveLoss:
    """A learning curve that grows while a network learns. Put it last in a cell, and hand it to `train.fit` in the next.

    `train.fit(recipe, on_step=live)` fills it. every: steps from one picture to the next; a picture takes as long as a step.
    Attributes: losses, all so far; picture, the current `Picture`.
    """

    def __init__(self, every=10):
        self.every, self.losses, self.picture = every, [], None
        self.ui = ipywidgets.HTML("Nothing learned yet.", layout=ipywidgets.Layout(height="270px"))

    def __call__(self, step, loss):
        self.losses.append(loss)
        if len(self.losses) % self.every == 0:
            figure = Figure(figsize=(8, 2.6), layout="constrained")
            plot.learning_curve(self.losses, ax=figure.subplots())
            self.picture = Picture(
                figure, f"The loss went from {self.losses[0]:.2f} to {loss:.2f} in {step} steps"
            )
            self.ui.value = self.picture.html(260)

    def __repr__(self):
        return "LiveLoss()"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return (self.ui._repr_mimebundle_() or {}) | {"text/plain": repr(self)}


def training_panel(
    song, *, steps=20, songs=(1, 2, 4, 8), seconds=6.0, network="cqt-crnn-1", features=None
):
    """Every move trains a small network from its first random numbers on, for some seconds; a line below tells the loss.

    Left the learning curve, right the melody that the network then finds in `song`, which it never heard; the truth is
    there, too. steps: of each training, two examples of 125 frames each. songs: how many there are to learn from, the
    choices of a slider. seconds: length of each. features: folder that keeps their features from move to move.
    A setting that was tried comes back at once, and the same.
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
        scores = evaluate.score_melody(estimate=melody, reference=song.melody)
        told = "  ".join(f"{name} {scores[name]:.2f}" for name in ("RPA", "OA", "VFA"))
        right.set_title(f"A song it never heard:  {told}")
        return figure

    panel = Panel(draw, controls, height_px=380)
    panel.ui.children += (line,)
    return panel

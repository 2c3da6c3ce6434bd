"""Training networks on synthetic songs: recipe, loop, and what can be learned."""

from melodylab.training.loop import first_process, fit, line
from melodylab.training.recipe import Recipe, Training
from melodylab.training.song_batches import Bank

__all__ = ["Bank", "Recipe", "Training", "first_process", "fit", "line"]

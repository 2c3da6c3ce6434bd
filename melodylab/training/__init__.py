"""Training networks on synthetic songs: recipe, loop, and what can be learned."""

from melodylab.training.loop import first_process, fit, line
from melodylab.training.recipe import Recipe, Training

__all__ = ["Recipe", "Training", "first_process", "fit", "line"]

"""What a training tells of itself: the card beside the weights, the log, a line a validation."""

import csv
import importlib.metadata
import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from melodylab import __version__, files
from melodylab.training import objectives

if TYPE_CHECKING:
    from melodylab.training.recipe import Recipe

_HISTORY = (  # of weights begun with
    "model",
    "sha256",
    "recipe",
    "started_from",
    "steps",
    "steps_trained",
    "wall_time_s",
)


_LIBRARIES = ("torch", "lightning", "numpy", "scipy", "librosa", "mir_eval")


def card(
    recipe: "Recipe",
    *,
    steps: int,
    history: list[dict],
    wall_s: float,
    scores: tuple[dict, dict],
    earlier: dict | None,
    device: torch.device,
    devices: int,
) -> dict:
    """The card of finished weights, as `weights.save` takes it.

    Parameters
    ----------
    recipe : Recipe
        What was trained, on what and how.
    steps : int
        After which the kept weights were the best.
    history : list of dict
        One entry a validation.
    wall_s : float
        Seconds that the training took.
    scores : (dict, dict)
        What the objective's `scores` gave.
    earlier : dict or None
        The card of the weights that were begun with.
    device : torch.device
        The device, or one of several alike, that trained.
    devices : int
        How many devices trained.

    Returns
    -------
    dict
    """
    figures, decoding = scores
    if device.type == "cuda":
        told = f"{devices} x {torch.cuda.get_device_name(device)}"
    else:
        told = f"{platform.machine()} CPU, {torch.get_num_threads() * devices} threads"
    begun = {key: earlier[key] for key in _HISTORY if key in earlier} if earlier else None
    return {
        "model": recipe.model,
        "front_end": recipe.front_end,
        "recipe": recipe.as_dict(),
        **({"started_from": begun} if begun else {}),
        "steps": steps,
        "steps_trained": history[-1]["step"],
        "wall_time_s": round(wall_s, 1),
        "device": told,
        "scores": _tidy({**figures, "validations": history}),
        "decoding": _tidy(decoding),
        "licence": "MIT",
        "library_versions": {
            "melodylab": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
    }


def _tidy(value):
    """Four digits are enough for a reader, and JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _tidy(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_tidy(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def line(entry: dict, steps: int) -> str:
    """A validation in one line.

    Parameters
    ----------
    entry : dict
        A validation, with "step", "loss", "wall_s" and its objective's figures.
    steps : int
        How many the training has.

    Returns
    -------
    str
    """
    objective = next(kind for kind in objectives.OBJECTIVES.values() if kind.score in entry)
    return (
        f"step {entry['step']} of {steps}: loss {entry['loss']:.3f}, {objective.line(entry)}, "
        f"{entry['wall_s'] / 60:.1f} min"
    )


def write_log(path: Path, history: list[dict]) -> None:
    """The validations as CSV, complete or absent.

    Parameters
    ----------
    path : Path
        The file; missing folders are made.
    history : list of dict
        One entry a validation, at least one, all with the same keys.
    """
    with (
        files.complete_or_absent(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as sink,
    ):
        rows = csv.DictWriter(sink, list(history[0]), lineterminator="\n")
        rows.writeheader()
        rows.writerows({name: f"{value:.6g}" for name, value in entry.items()} for entry in history)

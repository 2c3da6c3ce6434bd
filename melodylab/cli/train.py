"""The command `melodylab train`."""

import sys
from pathlib import Path

import click

from melodylab.cli.app import _complain, _say, main

# --- train ----------------------------------------------------------------------------------------


@main.command("train")
@click.argument("recipe", metavar="RECIPE.toml")
@click.option(
    "--out",
    metavar="FOLDER",
    required=True,
    help="A fresh folder for weights, card, log and checkpoints.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in FOLDER.")
@click.option(
    "--validate",
    metavar="FOLDER",
    help="Songs as for `evaluate`. [default: synthetic songs, held out]",
)
@click.option(
    "--device", default="auto", show_default=True, help="cpu, gpu, gpu:2 (two of them) or auto."
)
@click.option(
    "--features",
    metavar="FOLDER",
    help="Where the songs' features are kept; several runs may share them.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Compute the songs' features on the Dask cluster at this address.",
)
def train_network(recipe, out, resume, validate, device, features, dask):
    """Train a network by RECIPE.toml on synthetic songs; write NAME.safetensors and its card NAME.json.

    \b
    [model]     name = "sf-crnn-1"
    [data]      seed, songs, mixes, seconds, and a table [data.ingredients]
    [training]  steps, batch_size, frames, learning_rate, schedule, precision, ...
    """
    from melodylab import training

    recipe = training.Recipe.read(recipe)

    def tell(entry):
        _complain(training.line(entry, recipe.training.steps))

    progress = sys.stderr.isatty()
    training.fit(
        recipe,
        out=out,
        validate=validate,
        resume=resume,
        device=device,
        features=features,
        dask=dask,
        on_validation=tell,
        progress=progress,
    )
    for ending in (".safetensors", ".json") if training.first_process() else ():
        _say(click.format_filename(Path(out) / f"{recipe.model}{ending}"))

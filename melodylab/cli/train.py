"""The command `melodylab train`."""

import dataclasses
import sys
from pathlib import Path

import click

from melodylab.cli.app import _complain, _say, main


class _WithTables(click.Command):
    """A command whose help ends with the tables of a recipe, from the classes that read them."""

    def format_epilog(self, ctx, formatter):
        from melodylab import synth, training
        from melodylab.training import loop_batches, recipe

        with formatter.section("A recipe is a TOML file. [model]"):
            formatter.write_dl(
                [
                    ("name", "the network, as `melodylab methods` lists them"),
                    ("...", "what of it departs from the paper, as across_patches = true"),
                ]
            )
        tables = {
            "[data], for songs": training.Bank,
            "[data], for drums": loop_batches.Loops,
            "[data.ingredients]": synth.Ingredients,
            "[training]": training.Training,
        }
        for name, kind in tables.items():
            with formatter.section(name):
                formatter.write_dl(list(recipe.fields_told(kind)))


def _list_recipes(ctx, parameter, value):
    if not value or ctx.resilient_parsing:
        return
    from melodylab.training import shipped

    for name in shipped.names():
        _say(shipped.headline(name))
    ctx.exit()


@main.command("train", cls=_WithTables)
@click.argument("recipe", metavar="RECIPE")
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
    "--start-from",
    metavar="WEIGHTS",
    help="Name, file or folder of weights to begin with, in place of the recipe's start_from.",
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
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_recipes,
    help="Show the recipes that come with melodylab, and stop.",
)
def train_network(recipe, out, resume, validate, start_from, device, features, dask):
    """Train a network by RECIPE on synthetic songs; write NAME.safetensors and its card NAME.json.

    RECIPE is a TOML file, or the name of one that comes with melodylab (--list): all weights that
    come with it were made by these. `melodylab train NAME --out FOLDER` writes its recipe to
    FOLDER/recipe.toml, a good one to change.
    """
    from melodylab import training

    recipe = training.Recipe.read(recipe)
    if start_from is not None:
        plan = dataclasses.replace(recipe.training, start_from=start_from)
        recipe = dataclasses.replace(recipe, training=plan)

    def tell(entry):
        _complain(training.line(entry, recipe.training.steps))

    training.fit(
        recipe,
        out=out,
        validate=validate,
        resume=resume,
        device=device,
        features=features,
        dask=dask,
        on_validation=tell,
        progress=sys.stderr.isatty(),
    )
    for ending in (".safetensors", ".json") if training.first_process() else ():
        _say(click.format_filename(Path(out) / f"{recipe.model}{ending}"))

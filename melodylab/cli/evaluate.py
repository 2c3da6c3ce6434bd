"""The command `melodylab evaluate`."""

import contextlib
import dataclasses
import os
import sys
from pathlib import Path

import click

from melodylab.cli import batch
from melodylab.cli.app import _complain, _say, main
from melodylab.cli.methods import TASKS, checked


@main.command("evaluate")
@click.argument("folder")
@click.argument("more_methods", nargs=-1, metavar="")
@click.option("--task", type=click.Choice(TASKS), default="melody", show_default=True)
@click.option(
    "--method",
    "wanted",
    multiple=True,
    metavar="NAME...",
    help="One or several of those that `melodylab methods` lists.  [default: best, separation "
    "sfnmf+best, drums drum-cnn]",
)
@click.option("--out", metavar="TABLE.csv", help="Write the table to this file, too.")
@click.option("--force", is_flag=True, help="Overwrite the table if it is there already.")
@click.option(
    "--dask", metavar="ADDRESS", help="Score the songs on the Dask cluster at this address."
)
def evaluate_songs(folder, more_methods, task, wanted, out, force, dask):
    """Score methods on every song of FOLDER: a row a song and method, then the means.

    FOLDER holds one folder a song: mix.wav (or .flac, .mp3...), melody2.csv or melody.csv, stems
    by name, onsets.csv or drums.csv.
    """
    from melodylab import evaluate as judge
    from melodylab.io import folders

    names = checked([*wanted, *more_methods], task)
    if out is not None:
        songs = [str(file) for song in folders.song_folders(folder) for file in song.iterdir()]
        batch.refuse_early([Path(out)], songs, force)
    where = os.path.abspath(folder) if dask else folder  # workers may stand elsewhere
    with judge.cluster(dask) if dask else contextlib.nullcontext():
        table = judge.evaluate_folder(where, task, names, progress=sys.stderr.isatty())
    _say(str(dataclasses.replace(table, failures=())))
    if out is not None and table.rows:  # without a score an older table stays
        table.to_csv(out)
    for line in table.failures:
        _complain(line)
    if table.failures:
        click.get_current_context().exit(2)

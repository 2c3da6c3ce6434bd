"""What all tasks of a training share: held-out songs, their names, means, the source of songs."""

import dataclasses
import math

import numpy as np

from melodylab.training import examples

HELD_OUT_SONGS = 8


_HELD_OUT_SEED = 500_000  # added to the bank's seed: songs that this training has not heard


def held_out(recipe):
    """A `Bank` of songs that a recipe's training does not hear."""
    return dataclasses.replace(
        recipe.data, seed=recipe.data.seed + _HELD_OUT_SEED, songs=HELD_OUT_SONGS, mixes=1
    )


def names(songs):
    """Names of the songs to validate on; None stands for those held out."""
    return (
        [f"held-out {n + 1}" for n in range(HELD_OUT_SONGS)]
        if songs is None
        else [song.name for song in songs]
    )


def _source(recipe, ranks, cache, **more):
    plan = recipe.training
    return examples.Examples(
        recipe.front_end,
        recipe.data,
        batch_size=plan.batch_size,
        frames=plan.frames,
        shift_semitones=plan.shift_semitones,
        equaliser_db=plan.equaliser_db,
        ambience=plan.ambience,
        stretch=plan.stretch,
        seed=plan.seed,
        steps=plan.steps * ranks,
        cache=cache,
        **more,
    )


def mean(values):
    """Of what is a number; NaN where nothing is."""
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan

"""Networks that learn a melody: batches, losses, validation."""

import copy
import dataclasses
import math

import numpy as np
import torch
from torch.nn import functional as F

from melodylab import evaluate
from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.melody import decode
from melodylab.models import inputs, run
from melodylab.records import Features, Melody, Song
from melodylab.training.objective import Objective, held_out, mean, names, song_batches
from melodylab.training.song_batches import SongBatches

# voicing constants that are tried, as multiples of the usual one
_CONSTANTS = 2.0 ** np.arange(-4, 4.25, 0.5)


class Melodies(Objective):
    """Pitch and voicing.

    Validated by decoding frame by frame, as published, and by asking which one constant for the
    voicing would have suited all songs best: voicing swings between checkpoints while pitch hardly
    moves.
    """

    score = "best_OA"

    @staticmethod
    def batches(recipe, devices, cache):
        return song_batches(recipe, devices, cache)

    @staticmethod
    def batch(batches, step, network):
        x, f0_hz = batches.batch(step)
        target = classes if network.has_unvoiced_class else bumps
        return x, torch.from_numpy(target(np.asarray(f0_hz), network.grid))

    @staticmethod
    def loss(network, x, target):
        loss = F.cross_entropy if network.has_unvoiced_class else F.binary_cross_entropy_with_logits
        return loss(network(x).float(), target)

    @staticmethod
    def check(song):
        if song.melody is None:
            raise InputError(f"{song.name} holds no melody2.csv or melody.csv; add the true melody")

    @staticmethod
    def validation_set(recipe, songs, cache, n_jobs=None):
        """(name, Features of the mix, true Melody) of each song."""
        front_end = inputs.FRONT_ENDS[recipe.front_end]
        if songs is not None:
            return [
                (song.name, front_end(Song(song.audio, song.sr, song.name)), song.melody)
                for song in songs
            ]
        batches = SongBatches(recipe.front_end, held_out(recipe), cache=cache)
        batches.prepare(n_jobs=n_jobs)
        found = []
        for n, name in enumerate(names(None)):
            values, f0_hz = batches.song(n)
            times_s = grids.frame_times_s(values.shape[2], front_end.hop_samples, front_end.sr)
            features = Features(values, front_end.freqs_hz, times_s, front_end.name)
            found.append((name, features, Melody.from_signed(times_s, f0_hz)))
        return found

    @staticmethod
    def validate(network, item, device):
        _, features, truth = item
        estimate = decode.peak(run.salience(network, features, blocks_at_once=4, device=device))
        pair = {"estimate": estimate, "reference": truth}
        sweep = evaluate.other_thresholds(thresholds=_CONSTANTS / (1 + _CONSTANTS), **pair)
        return evaluate.score_melody(**pair) | sweep

    @classmethod
    def summary(cls, found, network):
        mean_OA = np.mean([song["OAs"] for song in found], axis=0)
        best = _best(mean_OA)
        return {
            **{name: mean(song[name] for song in found) for name in ("RPA", "RCA", "AUC", "OA")},
            "best_OA": float(mean_OA[best]),
            "constant": float(_usual_constant(network)[1] * _CONSTANTS[best]),
        }

    @staticmethod
    def line(entry):
        figures = ", ".join(f"{name} {entry[name]:.3f}" for name in ("RPA", "RCA", "AUC", "OA"))
        return f"{figures}, best OA {entry['best_OA']:.3f} at {entry['constant']:.2f}"

    @classmethod
    def scores(cls, model, items, device):
        """Three times the figures per song and their means.

        Decoded as usual, at the constant that suits all songs best, and at the one that suits all
        others best, which alone is fair to compare; the means of these come first.
        """
        option, usual = _usual_constant(model)
        model = copy.deepcopy(model).to(device)

        saliences = [
            run.salience(model, features, **{option: usual}, blocks_at_once=4, device=device)
            for _, features, _ in items
        ]

        def estimate(n, constant=usual):
            unvoiced = saliences[n].unvoiced * (constant / usual)  # what either option does
            return decode.peak(dataclasses.replace(saliences[n], unvoiced=unvoiced))

        found = [
            {"estimate": estimate(n), "reference": truth} for n, (_, _, truth) in enumerate(items)
        ]
        sweeps = [
            evaluate.other_thresholds(thresholds=_CONSTANTS / (1 + _CONSTANTS), **pair)
            for pair in found
        ]
        OAs = np.array([sweep["OAs"] for sweep in sweeps])
        best = usual * _CONSTANTS[_best(OAs.mean(axis=0))]
        result = {"as_published": {}, "best_constant": {}, "leave_one_out": {}}
        for n, (name, _, truth) in enumerate(items):
            result["as_published"][name] = {
                **evaluate.score_melody(**found[n]),
                "AUC": sweeps[n]["AUC"],
            }
            result["best_constant"][name] = {
                **evaluate.score_melody(estimate=estimate(n, best), reference=truth),
                option: best,
            }
            if len(items) > 1:
                others = usual * _CONSTANTS[_best(np.delete(OAs, n, axis=0).mean(axis=0))]
                result["leave_one_out"][name] = {
                    **evaluate.score_melody(estimate=estimate(n, others), reference=truth),
                    option: others,
                }
        for table in ("as_published", "best_constant", "leave_one_out"):
            rows = list(result[table].values())
            if rows:
                result[table]["mean"] = {
                    figure: mean(row[figure] for row in rows)
                    for figure in rows[0]
                    if figure != option
                }
        first = result["leave_one_out"] or result["as_published"]
        validated_on = [name for name, _, _ in items]
        return {**first["mean"], "validated_on": validated_on, **result}, {option: best}


def _usual_constant(model):
    """(option of `run.salience` that moves the voicing, its usual value)."""
    return ("unvoiced_gain", 1.0) if model.has_unvoiced_class else ("threshold", 0.3)


def _best(mean_OA):
    """Index of the best constant; of equals, the one nearest to the usual."""
    return max(range(len(_CONSTANTS)), key=lambda n: (mean_OA[n], -abs(math.log(_CONSTANTS[n]))))


def classes(f0_hz: np.ndarray, grid: grids.PitchGrid) -> np.ndarray:
    """Classes of pitches: 1 + the nearest bin; 0 for none and for those off the grid.

    Parameters
    ----------
    f0_hz : ndarray
        NaN where there is no melody.
    grid : PitchGrid
        Of the network's answers.

    Returns
    -------
    ndarray, int64, in the shape of f0_hz
    """
    return 1 + grid.nearest_bin(f0_hz).astype(np.int64)


def bumps(f0_hz: np.ndarray, grid: grids.PitchGrid, sigma_bins: float = 1.0) -> np.ndarray:
    """A picture of pitches: 1 at the nearest bin, a Gaussian over frequency around it.

    Bittner 2017 draws its targets so, then blurs them over time as well.

    Parameters
    ----------
    f0_hz : ndarray (..., frames)
        NaN where there is no melody; the picture is 0 there.
    grid : PitchGrid
        Of the network's answers.
    sigma_bins : float
        Width of the Gaussian, above 0.

    Returns
    -------
    ndarray, float32 (..., bins, frames)
    """
    nearest = grid.nearest_bin(f0_hz)[..., None, :]
    distance = (np.arange(grid.n_bins)[:, None] - nearest) / sigma_bins
    return np.where(nearest >= 0, np.exp(-0.5 * distance**2), 0).astype(np.float32)

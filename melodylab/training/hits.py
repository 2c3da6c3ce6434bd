"""Networks that learn drum hits: batches, losses, validation."""

import copy
import dataclasses

import numpy as np
from torch.nn import functional as F

from melodylab import drums, evaluate
from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.models import inputs
from melodylab.models.drum_cnn import CLASSES
from melodylab.records import Features
from melodylab.training.loop_batches import LoopBatches, Loops
from melodylab.training.objective import HELD_OUT_SEED, HELD_OUT_SONGS, Objective, mean, names

_LOOPS_EACH = 4  # held-out loops, one after the other, make a song to validate on


_THRESHOLDS = np.arange(0.1, 0.75, 0.05).round(2)


class Hits(Objective):
    """Onset profiles of five drums.

    Validated by the onset F-measure (50 ms) of each class at the one threshold that suits all loops
    and classes best; the finished network gets one a class. Classes that neither play nor are found
    do not count.
    """

    bank, score = Loops, "F"

    @staticmethod
    def batches(recipe, devices, cache):
        plan, network = recipe.training, recipe.create_model()
        if network.reading != "R5":
            raise InputError(
                f"the reading {network.reading} does not answer frame by frame; "
                'set reading = "R5" under [model]'
            )
        return LoopBatches(
            recipe.data,
            batch_size=plan.batch_size,
            frames=plan.frames,
            stretch=plan.stretch,
            equaliser_db=plan.equaliser_db,
            noise=plan.ambience,
            bands=network.bands,
            seed=plan.seed,
            cache=cache,
        )

    @staticmethod
    def batch(batches, step, network):
        return batches.batch(step)

    @staticmethod
    def loss(network, x, profile):
        return F.binary_cross_entropy_with_logits(network(x).float(), profile)

    @staticmethod
    def check(song):
        if song.onsets is None:
            raise InputError(f"{song.name} holds no onsets.csv; add the true hits")

    @staticmethod
    def validation_set(recipe, songs, cache, n_jobs=None):
        """(name, Features, true times {class: seconds}) of each song."""
        front_end = inputs.FRONT_ENDS[recipe.front_end]
        if songs is not None:
            return [
                (s.name, front_end(s), {kind: s.onsets.of_class(kind) for kind in CLASSES})
                for s in songs
            ]
        seed, number = recipe.data.seed + HELD_OUT_SEED, HELD_OUT_SONGS * _LOOPS_EACH
        bank = dataclasses.replace(recipe.data, seed=seed, loops=number)
        batches = LoopBatches(bank, bands=recipe.create_model().bands, cache=cache)
        batches.prepare(n_jobs=n_jobs)
        found = []
        for n, name in enumerate(names(None)):
            first = n * _LOOPS_EACH
            loops = [batches.loop(number) for number in range(first, first + _LOOPS_EACH)]
            starts = np.cumsum([0, *(values.shape[2] for values, _ in loops)])
            hits = np.concatenate(
                [hits + [start, 0] for (_, hits), start in zip(loops, starts, strict=False)]
            )
            values = np.concatenate([values for values, _ in loops], axis=2)
            times_s = grids.frame_times_s(values.shape[2], front_end.hop_samples, front_end.sr)
            features = Features(values, np.arange(values.shape[1]), times_s, front_end.name)
            hop_s = front_end.hop_samples / front_end.sr
            truth = {kind: hits[hits[:, 1] == k, 0] * hop_s for k, kind in enumerate(CLASSES)}
            found.append((name, features, truth))
        return found

    @staticmethod
    def validate(network, item, device):
        _, features, truth = item
        profiles = drums.profile_of(features, network, device=device)
        return {
            "Fs": [_hit_scores(features, profiles, truth, threshold) for threshold in _THRESHOLDS]
        }

    @staticmethod
    def _by_class(found):
        """Mean F over the songs at each threshold, (thresholds, classes)."""
        tables = np.array(
            [song["Fs"] for song in found], dtype=float
        )  # (songs, thresholds, classes)
        return np.array(
            [[mean(tables[:, t, k]) for k in range(len(CLASSES))] for t in range(len(_THRESHOLDS))]
        )

    @classmethod
    def summary(cls, found, network):
        by_class = cls._by_class(found)
        means = [mean(row) for row in by_class]
        best = int(np.nanargmax(means)) if np.isfinite(means).any() else 0
        figures = {
            f"F_{kind}": float(value) for kind, value in zip(CLASSES, by_class[best], strict=True)
        }
        return {**figures, "F": float(means[best]), "threshold": float(_THRESHOLDS[best])}

    @staticmethod
    def line(entry):
        figures = ", ".join(f"{kind} {entry[f'F_{kind}']:.3f}" for kind in CLASSES)
        return f"F {entry['F']:.3f} at {entry['threshold']:.2f} ({figures})"

    @classmethod
    def scores(cls, model, items, device):
        """F of each class at its own best threshold, which is how to pick the profile; per song."""
        model = copy.deepcopy(model).to(device)
        found = [cls.validate(model, item, device) for item in items]
        by_class = cls._by_class(found)
        at = {
            kind: int(np.nanargmax(row)) if np.isfinite(row).any() else 0
            for kind, row in zip(CLASSES, by_class.T, strict=True)
        }
        means = {f"F_{kind}": float(by_class[at[kind], k]) for k, kind in enumerate(CLASSES)}
        songs = {
            name: {kind: one["Fs"][at[kind]][k] for k, kind in enumerate(CLASSES)}
            for (name, *_), one in zip(items, found, strict=True)
        }
        thresholds = {kind: float(_THRESHOLDS[at[kind]]) for kind in CLASSES}
        figures = {**means, "F": mean(means.values()), "validated_on": list(songs), "songs": songs}
        return figures, {"threshold": thresholds}


def _hit_scores(features, profiles, truth, threshold):
    """F of each class, NaN where it neither plays nor is found."""
    onsets = drums.pick(features.times_s, profiles, threshold=threshold)
    return [
        evaluate.onset_f_measure(reference=truth[kind], estimate=onsets.of_class(kind))
        for kind in CLASSES
    ]

"""What a network can be taught: melodies, masks or drum hits. The examples, the loss, the examination; `train` runs the loop.

A task is found by what its network `learns`. Each answers the same questions:

    bank        the dataclass of a recipe's table [data]
    source      examples without end, the same for the same (seed, step)
    batch       one step of them as tensors, the input first
    loss        of a network on a batch
    examinees   the songs to validate on, heard once
    examine     how a network does on one of them: a dict
    summary     the figures of a validation, from all of these; `score` names the one that the best checkpoint has most of
    scores      what the card tells of the finished network, and how its output is to be decoded

Sources: Basaran 2018 and Bittner 2017 for the melodies' losses. The masks' stand with their networks.
"""

import copy
import dataclasses
import math

import numpy as np
import torch
from torch.nn import functional as F

from melodylab import decode, drum_examples, drums, evaluate, examples, grids, separation
from melodylab.files import InputError
from melodylab.models import frontends, run
from melodylab.models.drum_cnn import CLASSES
from melodylab.records import Features, Melody, Song

HELD_OUT_SONGS = 8
_HELD_OUT_SEED = 500_000  # added to the bank's seed: songs that this training has not heard
_CONSTANTS = 2.0 ** np.arange(-4, 4.25, 0.5)  # voicing constants that are tried, as multiples of the usual one


def of(network):
    """The task of a network."""
    return TASKS[getattr(network, "learns", "melody")]


def held_out(recipe):
    """A `Bank` of songs that a recipe's training does not hear."""
    return dataclasses.replace(recipe.data, seed=recipe.data.seed + _HELD_OUT_SEED, songs=HELD_OUT_SONGS, mixes=1)


def names(songs):
    """Names of the songs to validate on; None stands for those held out."""
    return [f"held-out {n + 1}" for n in range(HELD_OUT_SONGS)] if songs is None else [song.name for song in songs]


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


# --- melodies ---------------------------------------------------------------------------------------------------------


def classes(f0_hz, grid):
    """Classes of pitches, int64 in the shape of f0_hz: 1 + the nearest bin; 0 for none (NaN) and for those off the grid."""
    return 1 + grid.nearest_bin(f0_hz).astype(np.int64)


def bumps(f0_hz, grid, sigma_bins=1.0):
    """A picture of pitches: 1 at the nearest bin, a Gaussian over frequency around it, 0 where there is no pitch.

    f0_hz (..., frames) -> float32 (..., bins, frames). Bittner 2017 draws its targets so, then blurs them over time as well.
    """
    nearest = grid.nearest_bin(f0_hz)[..., None, :]
    distance = (np.arange(grid.n_bins)[:, None] - nearest) / sigma_bins
    return np.where(nearest >= 0, np.exp(-0.5 * distance**2), 0).astype(np.float32)


class Melodies:
    """Pitch and voicing. Examined by decoding frame by frame, as published, and by asking which one constant for the voicing
    would have suited all songs best: voicing swings between checkpoints while pitch hardly moves."""

    bank, needs_stems, score = examples.Bank, False, "best_OA"

    @staticmethod
    def source(recipe, ranks, cache):
        return _source(recipe, ranks, cache)

    @staticmethod
    def batch(source, step, network):
        x, f0_hz = source.batch(step)
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
    def examinees(recipe, songs, cache, n_jobs=None):
        """(name, Features of the mix, true Melody) of each song; songs None: held-out ones of the bank."""
        front_end = frontends.FRONT_ENDS[recipe.front_end]
        if songs is not None:
            return [(song.name, front_end(Song(song.audio, song.sr, song.name)), song.melody) for song in songs]
        source = examples.Examples(recipe.front_end, held_out(recipe), cache=cache)
        source.prepare(n_jobs=n_jobs)
        found = []
        for n, name in enumerate(names(None)):
            values, f0_hz = source.song(n)
            times_s = grids.frame_times_s(values.shape[2], front_end.hop_samples, front_end.sr)
            features = Features(values, front_end.freqs_hz, times_s, front_end.name)
            found.append((name, features, Melody.from_signed(times_s, f0_hz)))
        return found

    @staticmethod
    def examine(network, examinee, device):
        _, features, truth = examinee
        estimate = decode.peak(run.salience(network, features, blocks_at_once=4, device=device))
        sweep = evaluate.other_thresholds(estimate, truth, _CONSTANTS / (1 + _CONSTANTS))
        return evaluate.score_melody(estimate, truth) | sweep

    @staticmethod
    def summary(found, network):
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

    @staticmethod
    def scores(model, songs, device):
        """Three times the figures per song and their means: decoded as usual, at the constant that suits all songs best, and at the
        one that suits all others best, which alone is fair to compare; the means of these come first."""
        option, usual = _usual_constant(model)
        model = copy.deepcopy(model).to(device)

        saliences = [
            run.salience(model, features, **{option: usual}, blocks_at_once=4, device=device) for _, features, _ in songs
        ]

        def estimate(n, constant=usual):
            unvoiced = saliences[n].unvoiced * (constant / usual)  # what either option does
            return decode.peak(dataclasses.replace(saliences[n], unvoiced=unvoiced))

        found = [(estimate(n), truth) for n, (_, _, truth) in enumerate(songs)]
        sweeps = [evaluate.other_thresholds(*pair, _CONSTANTS / (1 + _CONSTANTS)) for pair in found]
        OAs = np.array([sweep["OAs"] for sweep in sweeps])
        best = usual * _CONSTANTS[_best(OAs.mean(axis=0))]
        result = {"as_published": {}, "best_constant": {}, "leave_one_out": {}}
        for n, (name, _, truth) in enumerate(songs):
            result["as_published"][name] = {**evaluate.score_melody(*found[n]), "AUC": sweeps[n]["AUC"]}
            result["best_constant"][name] = {**evaluate.score_melody(estimate(n, best), truth), option: best}
            if len(songs) > 1:
                others = usual * _CONSTANTS[_best(np.delete(OAs, n, axis=0).mean(axis=0))]
                result["leave_one_out"][name] = {**evaluate.score_melody(estimate(n, others), truth), option: others}
        for table in ("as_published", "best_constant", "leave_one_out"):
            rows = list(result[table].values())
            if rows:
                result[table]["mean"] = {figure: mean(row[figure] for row in rows) for figure in rows[0] if figure != option}
        told = result["leave_one_out"] or result["as_published"]
        return {**told["mean"], "validated_on": [name for name, _, _ in songs], **result}, {option: best}


def _usual_constant(model):
    """(option of `run.salience` that moves the voicing, its usual value)."""
    return ("unvoiced_gain", 1.0) if model.has_unvoiced_class else ("threshold", 0.3)


def _best(mean_OA):
    """Index of the best constant; of equals, the one nearest to the usual."""
    return max(range(len(_CONSTANTS)), key=lambda n: (mean_OA[n], -abs(math.log(_CONSTANTS[n]))))


# --- masks ------------------------------------------------------------------------------------------------------------


class Masks:
    """The melody's share of each cell. Examined by the SDR of the lead in the first 20 s, alone and led by the true melody."""

    bank, needs_stems, score = examples.Bank, True, "SDR"

    @staticmethod
    def source(recipe, ranks, cache):
        return _source(recipe, ranks, cache, without_lead=recipe.training.without_lead)

    @staticmethod
    def batch(source, step, network):
        x, f0_hz, share = source.parts(step)
        if network.led:
            rng = np.random.default_rng([source.seed, step, 1])
            led = np.stack([_told(one, network, rng) for one in np.asarray(f0_hz)])
            x = torch.cat([x, torch.from_numpy(led)], dim=1)
        return x, share, (~f0_hz.isnan()).float()

    @staticmethod
    def loss(network, x, share, voiced):
        return network.loss(network(x).float(), x, share, voiced)

    @staticmethod
    def check(song):
        if "melody" not in song.stems or song.melody is None:
            raise InputError(f"{song.name} holds no stem melody or no melody.csv; add both, masks are judged by them")

    @staticmethod
    def examinees(recipe, songs, cache, n_jobs=None):
        """(name, Song of 20 s at 22,050 Hz with its stem "melody", its Features, Features of it without the melody)."""
        if songs is None:
            songs = [dataclasses.replace(held_out(recipe).song(n), name=name) for n, name in enumerate(names(None))]
        front_end, found = frontends.FRONT_ENDS[recipe.front_end], []
        for song in songs:
            song = evaluate.separation_excerpt(song)
            rest = Song(song.audio - song.stems["melody"], song.sr, song.name)
            found.append((song.name, song, front_end(song), front_end(rest)))
        return found

    @staticmethod
    def examine(network, examinee, device):
        _, song, features, features_of_rest = examinee
        truth, rest = song.stems["melody"], song.audio - song.stems["melody"]

        def sdr(melody):
            lead = separation.lead_by_mask(song, *run.mask(network, features, melody, device=device))
            return float(evaluate.bss_eval_sdr(truth, lead)[0])

        nothing = separation.lead_by_mask(Song(rest, song.sr), *run.mask(network, features_of_rest, device=device))
        with np.errstate(divide="ignore", invalid="ignore"):
            removed_db = 20 * np.log10(np.sqrt(np.mean(nothing**2)) / np.sqrt(np.mean(rest**2)))
        return {
            "SDR": sdr(None),
            "SDR_led": sdr(song.melody) if network.led else math.nan,
            "removed_db": max(float(removed_db), -120.0),
        }

    @classmethod
    def summary(cls, found, network):
        return {name: mean(song[name] for song in found) for name in found[0]}

    @staticmethod
    def line(entry):
        led = "" if math.isnan(entry["SDR_led"]) else f", led by the true melody {entry['SDR_led']:.2f} dB"
        return f"lead SDR {entry['SDR']:.2f} dB{led}; without a melody {entry['removed_db']:.1f} dB come out"

    @classmethod
    def scores(cls, model, examinees, device):
        """The figures per song, and their means first."""
        model = copy.deepcopy(model).to(device)
        found = {examinee[0]: cls.examine(model, examinee, device) for examinee in examinees}
        return {**cls.summary(list(found.values()), model), "validated_on": list(found), "songs": found}, {}


_TOLD = 0.5  # share of the examples that come with their melody
_SLIP_FRAMES = 30  # how long a stretch is in which it is right or wrong, in the mean
_SLIPS = (0.06, 0.12, 0.18)  # of these stretches: left out, at another pitch, made up
_WRONG_SEMITONES = (-12, 12, -7, 7, -5, 5, 3, 4)


def _told(f0_hz, network, rng):
    """What the network is told of a melody: nothing, or the truth with the mistakes that another network makes."""
    told_hz = f0_hz.astype(float)
    if rng.random() >= _TOLD:
        return np.zeros_like(network.lead_picture(told_hz))
    first = 0
    while first < len(told_hz):
        stretch = slice(first, first + int(rng.exponential(_SLIP_FRAMES)) + 4)
        kind = np.searchsorted(_SLIPS, rng.random())
        if kind == 0:
            told_hz[stretch] = np.nan
        elif kind == 1:
            told_hz[stretch] *= 2 ** (rng.choice(_WRONG_SEMITONES) / 12)
        elif kind == 2 and np.isnan(told_hz[stretch]).all():
            told_hz[stretch] = 110 * 2 ** rng.uniform(0, 3)
        first = stretch.stop
    return network.lead_picture(told_hz * 2 ** (rng.normal(0, 0.15) / 12))


# --- hits -------------------------------------------------------------------------------------------------------------

_LOOPS_EACH = 4  # held-out loops, one after the other, make a song to validate on
_THRESHOLDS = np.arange(0.1, 0.75, 0.05).round(2)


class Hits:
    """Onset profiles of five drums. Examined by the onset F-measure (50 ms) of each class at the one threshold that suits all loops
    and classes best; the finished network gets one a class. Classes that neither play nor are found do not count."""

    bank, needs_stems, score = drum_examples.Loops, False, "F"

    @staticmethod
    def source(recipe, ranks, cache):
        plan, network = recipe.training, recipe.create_model()
        if network.reading != "R5":
            raise InputError(f'the reading {network.reading} does not answer frame by frame; set reading = "R5" under [model]')
        return drum_examples.DrumExamples(
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
    def batch(source, step, network):
        return source.batch(step)

    @staticmethod
    def loss(network, x, profile):
        return F.binary_cross_entropy_with_logits(network(x).float(), profile)

    @staticmethod
    def check(song):
        if song.onsets is None:
            raise InputError(f"{song.name} holds no onsets.csv; add the true hits")

    @staticmethod
    def examinees(recipe, songs, cache, n_jobs=None):
        """(name, Features, true times {class: seconds}) of each song; songs None: loops that the training does not hear."""
        front_end = frontends.FRONT_ENDS[recipe.front_end]
        if songs is not None:
            return [(s.name, front_end(s), {kind: s.onsets.of_class(kind) for kind in CLASSES}) for s in songs]
        loops = HELD_OUT_SONGS * _LOOPS_EACH
        bank = dataclasses.replace(recipe.data, seed=recipe.data.seed + _HELD_OUT_SEED, loops=loops)
        source = drum_examples.DrumExamples(bank, bands=recipe.create_model().bands, cache=cache)
        source.prepare(n_jobs=n_jobs)
        found = []
        for n, name in enumerate(names(None)):
            heard = [source.loop(number) for number in range(n * _LOOPS_EACH, (n + 1) * _LOOPS_EACH)]
            starts = np.cumsum([0, *(values.shape[2] for values, _ in heard)])
            hits = np.concatenate([hits + [start, 0] for (_, hits), start in zip(heard, starts, strict=False)])
            values = np.concatenate([values for values, _ in heard], axis=2)
            times_s = grids.frame_times_s(values.shape[2], front_end.hop_samples, front_end.sr)
            features = Features(values, np.arange(values.shape[1]), times_s, front_end.name)
            hop_s = front_end.hop_samples / front_end.sr
            found.append((name, features, {kind: hits[hits[:, 1] == k, 0] * hop_s for k, kind in enumerate(CLASSES)}))
        return found

    @staticmethod
    def examine(network, examinee, device):
        _, features, truth = examinee
        profiles = drums.profile_of(features, network, device=device)
        return {"Fs": [_hit_scores(features, profiles, truth, threshold) for threshold in _THRESHOLDS]}

    @staticmethod
    def _by_class(found):
        """Mean F over the songs at each threshold, (thresholds, classes)."""
        tables = np.array([song["Fs"] for song in found], dtype=float)  # (songs, thresholds, classes)
        return np.array([[mean(tables[:, t, k]) for k in range(len(CLASSES))] for t in range(len(_THRESHOLDS))])

    @classmethod
    def summary(cls, found, network):
        by_class = cls._by_class(found)
        means = [mean(row) for row in by_class]
        best = int(np.nanargmax(means)) if np.isfinite(means).any() else 0
        figures = {f"F_{kind}": float(value) for kind, value in zip(CLASSES, by_class[best], strict=True)}
        return {**figures, "F": float(means[best]), "threshold": float(_THRESHOLDS[best])}

    @staticmethod
    def line(entry):
        figures = ", ".join(f"{kind} {entry[f'F_{kind}']:.3f}" for kind in CLASSES)
        return f"F {entry['F']:.3f} at {entry['threshold']:.2f} ({figures})"

    @classmethod
    def scores(cls, model, examinees, device):
        """F of each class at its own best threshold, which is how the profile is to be picked; then per song."""
        model = copy.deepcopy(model).to(device)
        found = [cls.examine(model, examinee, device) for examinee in examinees]
        by_class = cls._by_class(found)
        at = {kind: int(np.nanargmax(row)) if np.isfinite(row).any() else 0 for kind, row in zip(CLASSES, by_class.T, strict=True)}
        told = {f"F_{kind}": float(by_class[at[kind], k]) for k, kind in enumerate(CLASSES)}
        songs = {
            name: {kind: one["Fs"][at[kind]][k] for k, kind in enumerate(CLASSES)}
            for (name, *_), one in zip(examinees, found, strict=True)
        }
        thresholds = {kind: float(_THRESHOLDS[at[kind]]) for kind in CLASSES}
        return {**told, "F": mean(told.values()), "validated_on": list(songs), "songs": songs}, {"threshold": thresholds}


def _hit_scores(features, profiles, truth, threshold):
    """F of each class, NaN where it neither plays nor is found."""
    onsets = drums.pick(features.times_s, profiles, threshold=threshold)
    return [evaluate.onset_f_measure(truth[kind], onsets.of_class(kind)) for kind in CLASSES]


TASKS = {"melody": Melodies, "mask": Masks, "hits": Hits}

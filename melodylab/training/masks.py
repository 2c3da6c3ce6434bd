"""Networks that learn a mask: batches, losses, validation."""

import copy
import dataclasses
import math

import numpy as np
import torch

from melodylab import evaluate, separation
from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.records import Song
from melodylab.training.objective import Objective, held_out, mean, names, song_batches


class Masks(Objective):
    """The melody's share of each cell.

    Validated by the SDR of the lead in the first 20 s, alone and led by the true melody.
    """

    needs_stems, score = True, "SDR"

    @staticmethod
    def batches(recipe, devices, cache):
        return song_batches(recipe, devices, cache, without_lead=recipe.training.without_lead)

    @staticmethod
    def batch(batches, step, network):
        x, f0_hz, share = batches.parts(step)
        if network.led:
            rng = np.random.default_rng([batches.seed, step, 1])
            led = np.stack([_cue(one, network, rng) for one in np.asarray(f0_hz)])
            x = torch.cat([x, torch.from_numpy(led)], dim=1)
        return x, share, (~f0_hz.isnan()).float()

    @staticmethod
    def loss(network, x, share, voiced):
        return network.loss(network(x).float(), x, share, voiced)

    @staticmethod
    def check(song):
        if "melody" not in song.stems or song.melody is None:
            raise InputError(
                f"{song.name} holds no stem melody or no melody.csv; add both, masks are judged "
                "by them"
            )

    @staticmethod
    def validation_set(recipe, songs, cache, n_jobs=None):
        """(name, Song with its stem "melody", its Features, Features of it without the melody).

        Each song is 20 s at 22,050 Hz.
        """
        if songs is None:
            songs = [
                dataclasses.replace(held_out(recipe).song(n), name=name)
                for n, name in enumerate(names(None))
            ]
        front_end, found = inputs.FRONT_ENDS[recipe.front_end], []
        for song in songs:
            song = evaluate.separation_excerpt(song)
            rest = Song(song.audio - song.stems["melody"], song.sr, song.name)
            found.append((song.name, song, front_end(song), front_end(rest)))
        return found

    @staticmethod
    def validate(network, item, device):
        _, song, features, features_of_rest = item
        truth, rest = song.stems["melody"], song.audio - song.stems["melody"]

        def sdr(melody):
            lead = separation.lead_by_mask(
                song, *run.mask(network, features, melody, device=device)
            )
            return float(evaluate.bss_eval_sdr(reference=truth, estimate=lead)[0])

        nothing = separation.lead_by_mask(
            Song(rest, song.sr), *run.mask(network, features_of_rest, device=device)
        )
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
        is_led = not math.isnan(entry["SDR_led"])
        led = f", led by the true melody {entry['SDR_led']:.2f} dB" if is_led else ""
        silent = f"without a melody {entry['removed_db']:.1f} dB come out"
        return f"lead SDR {entry['SDR']:.2f} dB{led}; {silent}"

    @classmethod
    def scores(cls, model, items, device):
        """The figures per song, and their means first."""
        model = copy.deepcopy(model).to(device)
        found = {item[0]: cls.validate(model, item, device) for item in items}
        return {
            **cls.summary(list(found.values()), model),
            "validated_on": list(found),
            "songs": found,
        }, {}


_CUED = 0.5  # share of the excerpts that come with their melody


_SLIP_FRAMES = 30  # how long a stretch is in which it is right or wrong, in the mean


_SLIPS = (0.06, 0.12, 0.18)  # of these stretches: left out, at another pitch, made up


_WRONG_SEMITONES = (-12, 12, -7, 7, -5, 5, 3, 4)


def _cue(f0_hz, network, rng):
    """The melody that a network is led by: none, or the truth with another network's mistakes."""
    cue_hz = f0_hz.astype(float)
    if rng.random() >= _CUED:
        return np.zeros_like(network.lead_picture(cue_hz))
    first = 0
    while first < len(cue_hz):
        stretch = slice(first, first + int(rng.exponential(_SLIP_FRAMES)) + 4)
        kind = np.searchsorted(_SLIPS, rng.random())
        if kind == 0:
            cue_hz[stretch] = np.nan
        elif kind == 1:
            cue_hz[stretch] *= 2 ** (rng.choice(_WRONG_SEMITONES) / 12)
        elif kind == 2 and np.isnan(cue_hz[stretch]).all():
            cue_hz[stretch] = 110 * 2 ** rng.uniform(0, 3)
        first = stretch.stop
    return network.lead_picture(cue_hz * 2 ** (rng.normal(0, 0.15) / 12))

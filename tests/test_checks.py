"""The checks of the exercises: each passes its solution, refuses wrong answers with a hint, waits
on an empty one.
"""

import builtins
import functools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from melodylab import api, drums, evaluate, explain, models, sfnmf, synth
from melodylab.course import checks
from melodylab.course.checks import runner
from melodylab.dsp import stft
from melodylab.melody import decode
from melodylab.models import run
from melodylab.records import DrumOnsets, Features, Melody

SCRIPTS = Path(__file__).resolve().parents[1] / "notebooks" / "scripts"


class Case(NamedTuple):
    """What to hand to a check. Answers are functions without arguments: nothing is computed before
    a test needs it.
    """

    solution: object
    wrong: dict  # {part of the hint: answer}
    empty: tuple = (..., None)
    measured_against: object = tuple


@functools.cache
def tour():
    """(song, its salience) as in the tour."""
    song = synth.demo_song(seed=0, seconds=12)
    return song, sfnmf.salience(song)


def slip(**other):
    """The tour's octave slip found anew, with parts of the answer replaced."""
    song, salience = tour()
    melody = decode.viterbi(salience)
    times_s, labels = evaluate.frame_errors(estimate=melody, reference=song.melody)
    runs = re.finditer("o+", "".join("o" if label == "octave" else "." for label in labels))
    first, end = max((m.span() for m in runs), key=lambda span: span[1] - span[0])
    ratio = melody.f0_hz[first + 3] / song.melody.f0_hz[first + 3]
    return {"from_s": times_s[first], "ratio": ratio, "because_of": "drums"} | other


def half_loud_db():
    """By bisection: another way than the notebook's."""

    def is_enough(lead_db):
        song = synth.demo_song(seed=0, seconds=12, lead_db=lead_db)
        return evaluate.score_melody(api.extract_melody(song, "sfnmf"), song.melody)["RPA"] > half

    half = evaluate.score_melody(decode.viterbi(tour()[1]), tour()[0].melody)["RPA"] / 2
    quiet, loud = -24.0, 0.0
    while loud - quiet > 3:
        middle = (loud + quiet) / 2
        quiet, loud = (quiet, middle) if is_enough(middle) else (middle, loud)
    return quiet


def best_threshold():
    song, salience = tour()
    melody = decode.peak(salience)
    voiced_share = [np.mean(melody.voicing >= t) for t in np.arange(0, 1, 0.01)]
    truth = song.melody.resampled(melody.times_s)
    right = np.abs(1200 * np.log2(melody.f0_hz / truth.f0_hz)) < 50
    assert voiced_share[0] == 1

    def accuracy(t):  # frame by frame and without mir_eval
        return np.mean(np.where(truth.voiced, (melody.voicing >= t) & right, melody.voicing < t))

    return max(np.arange(0, 1, 0.01), key=accuracy)


def update_H_B(V, V_hat, W_B, H_B):
    """Element by element from the gradient of sum(V / V_hat - log(V / V_hat)), as in a textbook."""
    return np.array(
        [
            [
                H_B[r, n] * sum(W_B[f, r] * V[f, n] / V_hat[f, n] ** 2 for f in range(len(V)))
                / sum(W_B[f, r] / V_hat[f, n] for f in range(len(V)))
                for n in range(V.shape[1])
            ]
            for r in range(len(H_B))
        ]
    )  # fmt: skip


@functools.cache
def four_seconds():
    """(power, true melody, frame times) of exercise b in notebook 02."""
    song = synth.demo_song(seed=1, seconds=6).excerpt(2, 6)
    settings = sfnmf.Settings()
    power = (
        np.abs(stft.stft(song.mono, window=settings.window, hop_samples=settings.hop_samples)) ** 2
    )
    return power, song.melody, np.arange(power.shape[1]) * settings.hop_samples / settings.sr


@functools.cache
def activations(parts):
    return sfnmf.factorise(four_seconds()[0], sfnmf.Settings(n_accompaniment=parts), seed=0).H_F0


def parts_accuracy(figure):
    """{parts: RPA or RCA} of the brightest rows, taken as they are."""
    _, truth, times_s = four_seconds()
    pitches_hz = sfnmf.Settings().grid.freqs_hz
    lines = {
        n: Melody(times_s, pitches_hz[activations(n).argmax(axis=0)], np.ones(len(times_s)))
        for n in (1, 40, 160)
    }
    return {n: evaluate.score_melody(line, truth)[figure] for n, line in lines.items()}


def label_of(f0_hz):
    """By looking through all 61 notes."""
    notes_hz = [55 * 2 ** (n / 12) for n in range(61)]
    near = [n for n, note_hz in enumerate(notes_hz) if abs(1200 * np.log2(f0_hz / note_hz)) < 50]
    return 1 + near[0] if near else 0


def steps_above_55_hz(f0_hz, in_an_octave):
    return 0 if np.isnan(f0_hz) else 1 + round(in_an_octave * np.log2(f0_hz / 55))


def decide(p):
    """Note by note."""
    best = max(range(1, 62), key=lambda c: p[c])
    return 55 * 2 ** ((best - 1) / 12), p[best] > p[0]


def kernel_at(freq_hz, window=np.hanning):
    return window(960) * np.cos(2 * np.pi * freq_hz * np.arange(960) / 16000)


@functools.cache
def small_multires():
    """(an untrained network, 30 frames of noise for it)."""
    torch.manual_seed(0)
    noise = np.random.default_rng(0).normal(size=(1, 160, 30)).astype(np.float32)
    return models.create_model("multires"), Features(
        noise, np.arange(160.0), np.arange(30) * 0.01, "wave"
    )


def shape_that_is_silent():
    """By trying them all."""
    model, picture = small_multires()
    puzzle = checks.puzzle_04_c(model, picture).values
    for block in (1, 2, 3):
        for shape in model.block1.branches:
            with explain.ablate(model, f"block{block}.branches.{shape}", range(8)):
                if np.array_equal(run.salience(model, picture).values, puzzle):
                    return block, shape


def weighed_in_time(x, z):
    """Channel by channel, row by row."""
    return np.stack(
        [[row * np.exp(w) / np.exp(w).sum() for row in rows] for rows, w in zip(x, z, strict=True)]
    )


def time_branch_of_level_2():
    """By torch."""
    whole, without = (
        models.create_model(name).level2 for name in ("ftanet-no-fusion", "ftanet-no-temporal")
    )
    count = sum(n.numel() for n in whole.parameters()) - sum(
        n.numel() for n in without.attend.parameters()
    )
    return count


@functools.cache
def small_ftanet():
    """(an FTANet with an opinion, a picture for it)."""
    torch.manual_seed(0)
    model = models.create_model("ftanet", width=4)
    with torch.no_grad():
        for name, part in model.named_parameters():
            if "_map.conv2" in name or "_features.conv2" in name:
                part.mul_(20)
    values = np.random.default_rng(0).random((3, 320, 128)).astype(np.float32)
    return model, Features(values, 31 * 2 ** (np.arange(320) / 60), np.arange(128) * 0.01, "cfp")


def map_that_is_uniform():
    """By trying them all."""
    model, picture = small_ftanet()
    puzzle = checks.puzzle_05_c(model, picture).values
    for level in range(1, 8):
        for axis in ("frequency", "time"):
            with explain.uniform(model, f"level{level}.attend.{axis}_map"):
                if np.array_equal(run.salience(model, picture).values, puzzle):
                    return level, axis


@functools.cache
def small_network():
    """(an untrained network, 50 frames of noise for it)."""
    torch.manual_seed(0)
    grid = sfnmf.PUBLISHED.grid
    noise = np.random.default_rng(0).random((1, grid.n_bins, 50), dtype=np.float32)
    return models.create_model("sf-crnn-1"), Features(
        noise, grid.freqs_hz, np.arange(50) * 256 / 22050, "sf"
    )


def channel_that_is_silent(rank=0):
    """By comparing the puzzle with all 16: the channel of this rank by distance, the nearest
    first.
    """
    network, picture = small_network()
    puzzle, distances = checks.puzzle_03_c(network, picture), []
    for channel in range(16):
        with explain.ablate(network, "cnn.layer4", channel):
            distances.append(np.square(run.salience(network, picture).values - puzzle.values).sum())
    assert sum(distance == 0 for distance in distances) == 1
    return int(np.argsort(distances)[rank])


def wiener_masks(W, H, owners, power, combine=lambda parts, power: sum(parts) ** power):
    """Column by column; combine: how the parts of a class become its level."""
    kinds = list(dict.fromkeys(owners))
    levels = {
        kind: combine(
            [np.outer(W[:, k], H[k]) for k, own in enumerate(owners) if own == kind], power
        )
        for kind in kinds
    }
    return {kind: level / sum(levels.values()) for kind, level in levels.items()}


def printed_with_time_pooled_by_2():
    """By torch: the printed layers with another pooling."""
    printed = models.create_model("drum-cnn")
    printed.pool = torch.nn.MaxPool2d((5, 2))
    with torch.no_grad():
        x = torch.zeros(1, 1, 512, 344)
        for block in (printed.block1, printed.block2, printed.block3):
            x = printed.pool(block(x))
    before = sum(p.numel() for p in printed.parameters())
    return before - 128 * printed.dense.in_features + 128 * x.numel()


@functools.cache
def drummed():
    return synth.drum_loop(217, 4)


def stroke_that_is_missing():
    """By taking the loop apart without each of the snare's strokes."""
    song, puzzle = drummed(), checks.puzzle_07_c(drummed())
    for time_s in song.onsets.of_class("snare"):
        hits = zip(song.onsets.times_s, song.onsets.classes, song.onsets.velocity, strict=True)
        kept = [hit for hit in hits if hit[:2] != (time_s, "snare")]
        times_s, kinds, velocity = zip(*kept, strict=True)
        parts = drums.separate(song, DrumOnsets(np.array(times_s), kinds, np.array(velocity)))
        if np.allclose(parts.stems["snare"], puzzle, atol=1e-6):
            return time_s


def stroke_that_is_there():
    return max(drummed().onsets.of_class("snare"), key=lambda t: abs(t - stroke_that_is_missing()))


CASES = {
    "00_tour.check_00_a": Case(
        best_threshold,
        {
            "false alarms: raise it": lambda: 0.2,
            "missed frames: lower it": lambda: 0.97,
            "between 0 and 1": lambda: 80,
        },
        measured_against=lambda: (decode.peak(tour()[1]), tour()[0].melody),
    ),
    "00_tour.check_00_b": Case(
        slip,
        {
            "starts elsewhere": lambda: slip(from_s=8.0),
            "the ratio is not": lambda: slip(ratio=2.0),
            "without the chords": lambda: slip(because_of="chords"),
            '"chords", "bass" or "drums"': lambda: slip(because_of="singer"),
        },
        empty=(
            {"from_s": ..., "ratio": ..., "because_of": ...},
            {"from_s": 4, "ratio": ..., "because_of": "drums"},
            ...,
        ),
        measured_against=lambda: (decode.viterbi(tour()[1]), tour()[0]),
    ),
    "00_tour.check_00_c": Case(
        half_loud_db,
        {"Softer!": lambda: 0, "Louder!": lambda: -30, "between -60 and 20": lambda: 1000},
        measured_against=lambda: (0, 12),
    ),
    "01_representations.check_01_a": Case(
        lambda: 16384,
        {"half as long": lambda: 32768, "power of two": lambda: 10000},
    ),
    "01_representations.check_01_b": Case(
        lambda: (21, 57),
        {
            "60 rows in an octave": lambda: (35, 57),
            "how many rows has a semitone": lambda: (20, 57),
            "neither 2 nor 3": lambda: (21, 72),
        },
        empty=(..., None, (..., ...), (21, ...)),
    ),
    "01_representations.check_01_c": Case(
        lambda: [-1, 1, 0.8, 0.6, 0.4, 0.2],
        {
            "six weights": lambda: [1, 1, 1],
            "an octave lower": lambda: [1, 1, 1, 1, 1, 1],
            "as much say": lambda: [-0.01, 0, 0, 0, 0, 1],
        },
        empty=(..., [...] * 6),
    ),
    "02_source_filter_nmf.check_02_a": Case(
        lambda: update_H_B,
        {
            "where does a transpose belong": lambda: lambda V, V_hat, W_B, H_B: V_hat,
            "belongs above the line": lambda: (
                lambda V, V_hat, W_B, H_B: H_B**2 / update_H_B(V, V_hat, W_B, H_B)
            ),
            "Kullback-Leibler": lambda: (
                lambda V, V_hat, W_B, H_B: H_B * (W_B.T @ (V / V_hat)) / W_B.sum(axis=0)[:, None]
            ),
            "exponent 1/2": lambda: (
                lambda V, V_hat, W_B, H_B: np.sqrt(H_B * update_H_B(V, V_hat, W_B, H_B))
            ),
            "the ratio alone": lambda: (
                lambda V, V_hat, W_B, H_B: update_H_B(V, V_hat, W_B, H_B) / H_B
            ),
            "that is the gradient": lambda: (
                lambda V, V_hat, W_B, H_B: W_B.T @ ((V_hat - V) / V_hat**2)
            ),
            "a filter in your update": lambda: lambda V, V_hat, W_B, H_B: 2 * H_B,
            "ZeroDivisionError": lambda: lambda V, V_hat, W_B, H_B: 1 / 0,
        },
        empty=(..., None, lambda V, V_hat, W_B, H_B: ..., lambda V, V_hat, W_B, H_B: None),
    ),
    "02_source_filter_nmf.check_02_b": Case(
        lambda: parts_accuracy("RPA"),
        {
            "keys 1, 40 and 160": lambda: {1: 0.5, 40: 0.5},
            "all three are alike": lambda: dict.fromkeys((1, 40, 160), 0.5),
            "forgive octaves": lambda: parts_accuracy("RCA"),
            "it should be another number": lambda: {1: 0.1, 40: 0.2, 160: 0.3},
        },
        empty=(..., {1: ..., 40: ..., 160: ...}),
        measured_against=lambda: four_seconds()[:2],
    ),
    "02_source_filter_nmf.check_02_c": Case(
        lambda: 55 * 2 ** (160 / 1200),
        {
            "wrong way": lambda: 55 * 2 ** (-160 / 1200),
            "distance in cents": lambda: 160,
            "an octave off": lambda: 110 * 2 ** (160 / 1200),
            "take the median": lambda: 57,
        },
    ),
    "03_crnn.check_03_a": Case(
        lambda: decide,
        {
            "class 1 is 55 Hz": lambda: lambda p: (2 ** (1 / 12) * decide(p)[0], decide(p)[1]),
            "Leave class 0 out": lambda: (
                lambda p: (55 * 2 ** ((np.argmax(p) - 1) / 12), np.argmax(p) > 0)
            ),
            "need not reach one half": lambda: lambda p: (decide(p)[0], max(p[1:]) > 0.5),
            "where the best note has": lambda: lambda p: (decide(p)[0], True),
            "the largest of p[1:]": lambda: lambda p: (440.0, decide(p)[1]),
        },
        empty=(..., None, lambda p: ..., lambda p: (..., ...)),
    ),
    "03_crnn.check_03_b": Case(
        lambda: sum(
            n.numel()
            for n in models.create_model("sf-crnn-1", units=64).parameters()
            if n.requires_grad
        ),
        {
            "count it twice": lambda: 201_727 - 24_192,
            "one GRU only": lambda: 145_345 + 24_192 + 4_030,
            "hears 2 x 64 units, not 64": lambda: 145_345 + 2 * 24_192 + 4_030,
            "shrinks, too": lambda: 145_345 + 2 * 24_192 + 15_934,
            "second bias": lambda: sum(
                n.numel() for n in models.create_model("sf-crnn-1", units=64).parameters()
            ),
            "running means": lambda: 201_727 + 416,
            "and the convolutions": lambda: 201_727 - 145_345,
            "128 units": lambda: 307_199,
            "only the GRU": lambda: 153_600,
        },
    ),
    "03_crnn.check_03_c": Case(
        channel_that_is_silent,
        {
            "0 to 15": lambda: 16,
            "still": lambda: channel_that_is_silent(1),
            "you get further": lambda: channel_that_is_silent(15),
        },
        measured_against=small_network,
    ),
    "04_multiresolution_cnn.check_04_a": Case(
        lambda: kernel_at(440),
        {
            "yours have the shape (64,)": lambda: kernel_at(440)[:64],
            "it answers 500 Hz most": lambda: kernel_at(500),
            "begins and ends softly": lambda: kernel_at(440, np.ones),
        },
    ),
    "04_multiresolution_cnn.check_04_b": Case(
        lambda: next(n for n in range(1, 10_000) if 2 * 16000 / n <= 116.5 - 110),
        {"half of it": lambda: 2462, "solve": lambda: 960},
    ),
    "04_multiresolution_cnn.check_04_c": Case(
        shape_that_is_silent,
        {
            "a block from 1 to 3": lambda: (4, "tall"),
            "at the right one it is 0": lambda: (shape_that_is_silent()[0], "point"),
        },
        empty=(..., None, (..., "tall")),
        measured_against=small_multires,
    ),
    "05_ftanet_attention.check_05_a": Case(
        lambda: weighed_in_time,
        {
            "have (4, 3)": lambda: lambda x, z: weighed_in_time(x, z)[0].T[:4, :3],
            "shares out one unit over the frames": lambda: (
                lambda x, z: x * (np.exp(z) / np.exp(z).sum(axis=0))[:, None]
            ),
            "divide by their sum": lambda: lambda x, z: x * np.exp(z)[:, None],
            "z may be negative": lambda: lambda x, z: x * z[:, None],
            "multiply every row": lambda: lambda x, z: x,
        },
        empty=(..., None, lambda x, z: ...),
    ),
    "05_ftanet_attention.check_05_b": Case(
        lambda: time_branch_of_level_2(),
        {
            "the map alone": lambda: 6_208 + 12_352,
            "and the map?": lambda: 18_496 + 102_464,
            "has a bias": lambda: time_branch_of_level_2() - 256,
            "one is asked for": lambda: 2 * time_branch_of_level_2(),
            "a window of a x b": lambda: 1,
        },
    ),
    "05_ftanet_attention.check_05_c": Case(
        map_that_is_uniform,
        {
            "a level from 1 to 7": lambda: (8, "time"),
            "one has 0": lambda: (map_that_is_uniform()[0], "time"),
        },
        empty=(..., None, (..., "time")),
        measured_against=small_ftanet,
    ),
    "06_unet_masking.check_06_a": Case(
        lambda: lambda m, p: m**p / (m**p + (1 - m) ** p),
        {
            "no longer sum to 1": lambda: lambda m, p: m**p,
            "p = 2 softens": lambda: (
                lambda m, p: m ** (1 / p) / (m ** (1 / p) + (1 - m) ** (1 / p))
            ),
            "the binary mask for every p": lambda: lambda m, p: m > 0.5,
            "0 by 0": lambda: lambda m, p: np.where(m == 0, np.nan, m**p),
            "a share is one part": lambda: lambda m, p: m * p,
        },
        empty=(..., None, lambda m, p: ..., lambda m, p: None),
    ),
    "06_unet_masking.check_06_b": Case(
        lambda: (0.8, 0.6),
        {
            "the root of a power": lambda: (0.64, 0.36),
            "The accompaniment keeps": lambda: (0.8, 0.2),
            "not the square": lambda: (0.4096, 0.1296),
            "stands first": lambda: (0.6, 0.8),
            "what share of the power": lambda: (1, 1),
        },
        empty=(..., None, (..., ...), (0.8, ...)),
    ),
    "06_unet_masking.check_06_c": Case(
        lambda: -5,
        {
            "wrong way": lambda: 5,
            "an octave away": lambda: 7,
            "at the right one it is 0": lambda: 0,
            "from -24 to 24": lambda: 70,
        },
        measured_against=lambda: masked(),
    ),
    "07_drums.check_07_a": Case(
        lambda: wiener_masks,
        {
            "take the power of the sum": lambda: (
                lambda *a: wiener_masks(*a, lambda parts, p: sum(part**p for part in parts))
            ),
            "where is the power": lambda: lambda *a: wiener_masks(*a, lambda parts, p: sum(parts)),
            "levels, not shares": lambda: (
                lambda W, H, owners, p: {
                    kind: sum(np.outer(W[:, k], H[k]) for k in range(4) if owners[k] == kind) ** p
                    for kind in owners
                }
            ),
            "must sum to 1": lambda: (
                lambda *a: {kind: 0.5 * mask for kind, mask in wiener_masks(*a).items()}
            ),
            "is the mask": lambda: (
                lambda W, H, owners, p: dict.fromkeys(owners, np.full((6, 5), 1 / 3))
            ),
            "one mask for each class": lambda: lambda *a: {"kick": wiener_masks(*a)["kick"]},
            "(freq, time)": lambda: (
                lambda *a: {kind: mask.T for kind, mask in wiener_masks(*a).items()}
            ),
        },
        empty=(..., None, lambda *a: ..., lambda *a: {"kick": ...}),
    ),
    "07_drums.check_07_b": Case(
        printed_with_time_pooled_by_2,
        {
            "the printed one": lambda: 319_941,
            "and the convolutions": lambda: printed_with_time_pooled_by_2() - 286_400,
            "has a bias, too": lambda: printed_with_time_pooled_by_2() - 128,
            "4 rows of frequency": lambda: 286_400 + 128 * (32 * 43 + 1) + 645,
            "32 channels come out": lambda: 286_400 + 128 * (4 * 43 + 1) + 645,
            "only the dense layer": lambda: 1,
        },
    ),
    "07_drums.check_07_c": Case(
        stroke_that_is_missing,
        {
            "is still there": stroke_that_is_there,
            "no snare was struck": lambda: stroke_that_is_missing() - 0.06,
            "milliseconds": lambda: 1000 * stroke_that_is_missing(),
            "the loop lasts": lambda: -1,
        },
        measured_against=lambda: (drummed(),),
    ),
    "10_train_your_own.check_10_a": Case(
        lambda: label_of,
        {
            "np.isnan tells": lambda: (
                lambda f0_hz: label_of(55.0 if np.isnan(f0_hz) else f0_hz) or 0
            ),
            "class 0 is taken": lambda: lambda f0_hz: max(label_of(f0_hz) - 1, 0),
            "or to the one below": lambda: (
                lambda f0_hz: label_of(f0_hz) and 1 + int(12 * np.log2(f0_hz / 55) + 1e-9)
            ),
            "has no class of its own": lambda: lambda f0_hz: min(steps_above_55_hz(f0_hz, 12), 61),
            "An octave has 12 semitones": lambda: lambda f0_hz: steps_above_55_hz(f0_hz, 10),
        },
        empty=(..., None, lambda f0_hz: ..., lambda f0_hz: None),
    ),
    "10_train_your_own.check_10_b": Case(
        lambda: (4.127134385, 0.5 * 0.693147181 + 0.5 * 1.386294361),
        {
            "natural logarithm": lambda: (np.log2(62), 1.5),
            "probability 1/62": lambda: (0.69, 1.04),
            "Mind the sign": lambda: (4.127, -1.0397),
            "average over all classes": lambda: (4.127, 0.6931),
            "a plain mean": lambda: (4.127, 1.1552),
            "the first loss is right": lambda: (4.127, 3.0),
        },
        empty=(..., None, (..., ...), (4.13, ...)),
        measured_against=lambda: ([0.5, 0, 0.25, 0.25],),
    ),
    "10_train_your_own.check_10_c": Case(
        lambda: 9,
        {
            "wrong way": lambda: -9,
            "milliseconds": lambda: 104,
            "how they stand now": lambda: 0,
            "brightest under the labels": lambda: 5,
        },
    ),
}


@functools.cache
def masked():
    """(an untrained unet, a second of noise for it, a melody)."""
    torch.manual_seed(0)
    model = models.create_model("unet")
    noise = np.random.default_rng(0).random((2, 312, 44)).astype(np.float32)
    times_s = np.arange(44) * 512 / 22050
    return (
        model,
        Features(noise, model.grid.freqs_hz, times_s, "spectra"),
        Melody(times_s, np.full(44, 330.0), np.ones(44)),
    )


def answer_of(case):
    return case() if callable(case) else case


def test_every_check_has_a_case_and_two_wrong_answers():
    assert set(CASES) == set(checks.CHECKS) != set()
    assert all(len(case.wrong) >= 2 for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_every_check_stands_in_its_notebook_once_for_the_student_and_once_for_the_solution(name):
    notebook, _, check = name.partition(".")
    cells = re.split(
        r"^# %%", (SCRIPTS / f"{notebook}.py").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    tags = [
        re.search(r'tags=\["(\w+)"', cell.splitlines()[0])[1]
        for cell in cells
        if f"checks.{check}(" in cell
    ]
    assert tags == ["exercise", "solution"]


@pytest.mark.parametrize("name", CASES)
def test_the_solution_passes(name, capsys):
    case = CASES[name]
    assert checks.CHECKS[name](answer_of(case.solution), *case.measured_against()) is True
    assert capsys.readouterr().out.startswith("✓ Right: ")


@pytest.mark.parametrize(
    ("name", "hint"), [(name, hint) for name, case in CASES.items() for hint in case.wrong]
)
def test_a_wrong_answer_gets_its_hint(name, hint, capsys):
    case = CASES[name]
    assert checks.CHECKS[name](answer_of(case.wrong[hint]), *case.measured_against()) is False
    said = capsys.readouterr().out
    assert said.startswith("✗ Not yet: ") and hint in said


@pytest.mark.parametrize("name", CASES)
def test_an_empty_answer_only_gets_a_friendly_line(name, capsys):
    case = CASES[name]
    for empty in case.empty:
        assert checks.CHECKS[name](empty, *case.measured_against()) is None
        assert capsys.readouterr().out.startswith("Your turn: ")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "nonsense",
    ["a word", object(), lambda *_: 1 / 0, np.zeros((2, 3)), float("nan"), (1, 2, 3, 4, 5)],
)
def test_nonsense_is_refused_and_raises_nothing(name, nonsense, capsys):
    case = CASES[name]
    assert checks.CHECKS[name](nonsense, *case.measured_against()) is False
    assert capsys.readouterr().out.startswith("✗ Not yet: ")


def test_a_check_is_entered_once():
    def check_00_a(answer):
        return True, "."

    with pytest.raises(ValueError, match="two checks"):
        runner._exercise("00_tour")(check_00_a)


def test_what_an_answer_interrupts_is_not_swallowed():
    """Only errors become hints; the stop button still stops."""

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(builtins.KeyboardInterrupt):
        checks.CHECKS["01_representations.check_01_c"](type("Slow", (), {"__array__": stop})())

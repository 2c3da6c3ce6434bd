"""A case for every check: a right answer, wrong ones with their hints, what measures them."""

from typing import NamedTuple

import numpy as np
from checks_answers import (
    best_threshold,
    channel_that_is_silent,
    decide,
    drummed,
    four_seconds,
    half_loud_db,
    kernel_at,
    label_of,
    map_that_is_uniform,
    masked,
    parts_accuracy,
    printed_with_time_pooled_by_2,
    shape_that_is_silent,
    slip,
    small_ftanet,
    small_multires,
    small_network,
    steps_above_55_hz,
    stroke_that_is_missing,
    stroke_that_is_there,
    time_branch_of_level_2,
    tour,
    update_H_B,
    weighed_in_time,
    wiener_masks,
)

from melodylab import models
from melodylab.melody import decode


class Case(NamedTuple):
    """What to hand to a check. Answers are functions without arguments: nothing is computed before
    a test needs it.
    """

    solution: object
    wrong: dict  # {part of the hint: answer}
    empty: tuple = (..., None)
    measured_against: object = tuple


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

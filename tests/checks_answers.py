"""Answers to the checks, worked out another way than the notebooks do, and what they need."""

import functools
import re

import numpy as np
import torch

from melodylab import api, drums, evaluate, explain, models, sfnmf, synth
from melodylab.course import checks
from melodylab.dsp import stft
from melodylab.melody import decode
from melodylab.models import run
from melodylab.records import DrumOnsets, Features, Melody


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

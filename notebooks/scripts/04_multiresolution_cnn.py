# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Filters that nobody drew
#
# All networks so far began with a picture that people designed: windows, bins, exponents. The
# network of Chen, Li and Chi (2019) begins
# with the waveform. Its first layer is a row of small filters, of two lengths, and what they filter
# is learned. At the end of
# this notebook you will be able to
#
# - read a convolution on a waveform as a filter bank, and say which frequencies a kernel of 64 or
# 960 samples can tell apart;
# - look at learned kernels before, between and after two trainings, sort them, and say what the
# order is for;
# - take a length, a kernel or a branch away, and count what it was worth.
#
# It explains the module `models.multires`. You need 90 minutes, and notebook 01 for windows.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import melodylab as ml
from melodylab import evaluate, explain, plot, sonify
from melodylab.course import checks
from melodylab.course.panels import filter_panel, show
from melodylab.melody import decode
from melodylab.models import inputs, run

# %% [markdown]
# ## Warm-up: two rulers
#
# Two tones, 200 and 220 Hz, then a click. Which of them needs a long look, which a short one?

# %%
sr = 16000
t = np.arange(sr) / sr
tones, click = 0.2 * (np.sin(2 * np.pi * 200 * t) + np.sin(2 * np.pi * 220 * t)), np.zeros(sr)
click[sr // 2] = 0.8
sonify.players({"200 and 220 Hz": tones, "a click": click}, sr, seconds=1)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 2.4), layout="constrained")
for samples, style in {64: "-", 960: "--"}.items():
    piece = tones[4000 : 4000 + samples] * np.hanning(samples)
    level = np.abs(np.fft.rfft(piece, 16384))
    axes[0].plot(
        np.arange(len(level)) * sr / 16384, level / level.max(), style, label=f"{samples} samples"
    )
    slid = np.convolve(click, np.hanning(samples), "same")
    axes[1].plot(1000 * (t - 0.5), slid / slid.max(), style)
axes[0].set(title="the two tones", xlabel="Frequency (Hz)", xlim=(0, 600))
axes[1].set(title="the click", xlabel="Time from the click (ms)", xlim=(-40, 40))
axes[0].legend()
show(
    figure,
    alt="Left: 960 samples show two peaks, 64 one hump. Right: 64 samples show a needle, 960 a wide hill.",
    dpi=70,
)

# %% [markdown]
# At 16 kHz 64 samples are 4 ms, 960 are 60 ms. The main lobe of a rectangular window is $2\,sr/L$
# wide: 500 Hz and 33 Hz. So only the
# long one can tell two notes apart, and only the short one can follow the *pulses* of a voice.
#
# ## 1. A convolution is a filter bank
#
# **Claim.** The first layer computes $y_k[n] = |\sum_i w_k[i]\, x[160 n + i]|$ for 128 kernels of
# either length. Were $w_k$
# a cosine, $y_k$ would be a cell of a spectrum. By hand: eight samples that hold two turns of a
# cosine, and kernels with one, two and
# three turns:

# %%
x = np.cos(2 * np.pi * 2 * np.arange(8) / 8)
kernels = np.array([np.cos(2 * np.pi * k * np.arange(8) / 8) for k in (1, 2, 3)])
assert np.allclose(np.abs(kernels @ x), [0, 4, 0]), "only the kernel with two turns answers"
by_torch = torch.nn.functional.conv1d(torch.tensor(x[None, None]), torch.tensor(kernels[:, None]))[
    0, :, 0
].abs()
assert np.allclose(by_torch, [0, 4, 0]), "torch's convolution is this product"

# %% [markdown]
# A cosine kernel answers a sine with silence, so one kernel sees a steady tone flicker with its
# phase. A network mends that with many
# kernels. *Question:* how many kernels does an STFT use for one frequency, and what does it do with
# their answers?
#
# ## 2. Before, between, after
#
# **Claim** (the poster's Figures 2 and 3): from noise, training makes band-pass filters. Each
# column is a kernel, brightness is what it
# lets through. Left: the random numbers of the beginning. Middle: after the first training, of a
# network that has one-dimensional
# convolutions only. Right: after the second, in the network that ships.

# %%
torch.manual_seed(0)
stages = {
    "at first": ml.create_model("multires-1d"),
    "after the first training": ml.load_model("multires-1d"),
    "after the second": ml.load_model("multires"),
}
figure, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained")
for row, length in zip(axes, ("short", "long")):
    for ax, (name, network) in zip(row, stages.items()):
        found = explain.kernel_responses(network, length)
        plot.kernel_responses(
            found,
            ax=ax,
            order=found.centres_hz.argsort(kind="stable"),
            fmax_hz=8000 if length == "short" else 3000,
        )
        ax.set_title(f"{found.kernels.shape[1]} samples, {name}", loc="left", fontsize="small")
show(
    figure,
    alt="Six pictures of 128 columns: noise at first, then diagonals of bright bands, thin for the long kernels.",
    dpi=60,
)

# %%
for name, network in stages.items():
    for length in ("short", "long"):
        found = explain.kernel_responses(network, length)
        print(
            f"{name:>25}, {length:>5}: half of the kernels answer below {np.median(found.centres_hz):5.0f} Hz, "
            f"median bandwidth {np.median(found.bandwidths_hz):5.0f} Hz"
        )

# %% [markdown]
# Bandwidths cannot be smaller than the kernel allows: $sr/L$, 250 Hz and 17 Hz, for a rectangle.
# Look which kernels come near. *Question:*
# where are the kernels crowded? A mel scale has half of its filters below 1 kHz; does this one?
#
# Here are four of the long ones as they are, the most selective of each quarter: waves with the
# noise of the beginning still on
# them. The trainings were short; a filter bank that learned for days is smoother.

# %%
found = explain.kernel_responses(stages["after the second"], "long")
order = found.centres_hz.argsort(kind="stable")
figure, axes = plt.subplots(1, 4, figsize=(10, 2), sharey=True, layout="constrained")
for ax, quarter in zip(axes, np.split(order, 4)):
    k = quarter[found.bandwidths_hz[quarter].argmin()]
    ax.plot(1000 * found.times_s, found.kernels[k] / np.abs(found.kernels[k]).max(), linewidth=0.7)
    ax.set(title=f"{found.centres_hz[k]:.0f} Hz", xlabel="Time (ms)")
show(
    figure,
    alt="Four learned kernels of 60 ms: waves of rising frequency with noisy envelopes.",
    dpi=65,
)

# %% [markdown]
# ## 3. Why sort them?
#
# **Claim** (the poster's): the kernels come in any order, so a two-dimensional kernel of the second
# stage, which looks at *neighbours*,
# would find nothing; therefore a first training with one-dimensional convolutions alone, which do
# not care. The poster stops there. We
# sort the kernels by frequency between the two trainings, so that neighbours are neighbours in
# pitch.
# First the song through the long kernels, unsorted and sorted:

# %%
song = ml.demo_song(seed=0, seconds=8).excerpt(2, 7.8)
model, samples_of = ml.load_model("multires"), {"short": 64, "long": 960}
wave = inputs.FRONT_ENDS["wave"](
    song
)  # (1, 160 samples, frames): columns side by side are the waveform
heard = explain.activations(model, wave, "long")["long"].values[:, 0]  # (128 kernels, frames)
shuffled = np.random.default_rng(0).permutation(128)
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for ax, (title, picture) in zip(axes, {"in any order": heard[shuffled], "sorted": heard}.items()):
    ax.imshow(
        picture, origin="lower", aspect="auto", cmap="magma", extent=(0, wave.times_s[-1], 0, 128)
    )
    ax.set(title=title, xlabel="Time (s)")
axes[0].set_ylabel("Kernel")
show(
    figure,
    alt="The same 128 rows twice: in any order a noise of stripes; sorted, lines that rise and fall together.",
    dpi=65,
)


# %% [markdown]
# And what does the second stage lose? We put the kernels of the finished network in another order,
# weights and all. For a network
# without order, nothing would change but names:

# %%
def verdict(holds, claim):
    print(f"{'confirmed' if holds else 'NOT confirmed':>14}: {claim}")


others = [ml.demo_song(seed=seed, seconds=8).excerpt(2, 7.8) for seed in (1, 2, 3)]
waves = [inputs.FRONT_ENDS["wave"](other) for other in others]


def accuracy(network, **decoding):
    """Mean scores over the three songs."""
    lines = [decode.peak(run.salience(network, w, **decoding)) for w in waves]
    scores = [ml.score_melody(line, other.melody) for line, other in zip(lines, others)]
    return {
        key: float(np.mean([score[key] for score in scores])) for key in ("OA", "RPA", "VR", "VFA")
    }


def reordered(network, order):
    """A copy with the kernels of both banks in another order; what comes after is left alone."""
    copy = ml.create_model(network.name)
    copy.load_state_dict(network.state_dict())
    with torch.no_grad():
        for bank in (copy.short, copy.long):
            for values in (
                bank.conv.weight,
                bank.norm.weight,
                bank.norm.bias,
                bank.norm.running_mean,
                bank.norm.running_var,
            ):
                values.copy_(values[order])
    return copy


whole, lost = accuracy(model), accuracy(reordered(model, shuffled))
for name, scores in {"as trained": whole, "reordered": lost}.items():
    print(f"{name:>10}", {key: round(value, 2) for key, value in scores.items()})
assert lost["RPA"] < whole["RPA"], "the second stage reads neighbours"

# %% [markdown]
# The poster's Figure 4, live: what the second stage gets to see, with a first training and without
# one. The network without it,
# `multires-no-pretraining`, had the same recipe otherwise; its kernels stayed in the order that the
# dice gave them.

# %%
networks = {"with pre-training": model, "without": ml.load_model("multires-no-pretraining")}
figure, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
for row, (name, network) in zip(axes, networks.items()):
    for ax, length in zip(row, ("short", "long")):
        values = explain.activations(network, wave, length)[length].values[:, 0]
        ax.imshow(
            values,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, wave.times_s[-1], 0, 128),
        )
        ax.set_title(f"{samples_of[length]} samples, {name}", loc="left", fontsize="small")
for ax in axes[-1]:
    ax.set_xlabel("Time (s)")
for ax in axes[:, 0]:
    ax.set_ylabel("Kernel")
show(
    figure,
    alt="Four pictures of 128 rows: with pre-training rows rise and fall together, without they are shuffled.",
    dpi=60,
)

# %% [markdown]
# One number for "neighbours belong together": how alike are the outputs of two kernels that lie
# side by side, how alike two by dice?

# %%
rng = np.random.default_rng(0)
for name, network in networks.items():
    for length in ("short", "long"):
        alike = np.corrcoef(explain.activations(network, wave, length)[length].values[:, 0])
        by_dice = [alike[tuple(rng.choice(128, 2, replace=False))] for _ in range(1000)]
        print(
            f"{name:>17}, {samples_of[length]:3d} samples: correlation of neighbours {np.diag(alike, 1).mean():.2f}, "
            f"of two by dice {np.mean(by_dice):.2f}"
        )


# %% [markdown]
# ## 4. 64 against 960
#
# **Claim** (the title's): several resolutions are better than one. The network has both; we silence
# all kernels of one length and
# see what is left. (Networks that were *trained* with one length are in the table of part 6: that
# is another experiment.)

# %%
def without(length):
    with explain.ablate(model, f"{length}.norm", range(128)):
        return accuracy(model)


rows = {"both": whole, "without the 64s": without("short"), "without the 960s": without("long")}
ax = plot.score_bars(rows)
ax.figure.set_size_inches(7, 2.8)
show(
    ax,
    alt="Bars of OA, RPA, VR and VFA: the whole network, without the short kernels, without the long ones.",
    dpi=65,
)
verdict(
    rows["without the 960s"]["RPA"] < rows["without the 64s"]["RPA"],
    "pitch rests on the long kernels more than on the short ones",
)

# %% [markdown]
# ## 5. Five windows side by side
#
# An *Inception* block looks at its input through five windows at once: a point, two squares, a tall
# one (15 kernels x 1 frame)
# for what sounds together, a wide one (1 x 15 frames) for what lasts. **Claim** (the poster's):
# they find harmonic structure and temporal
# continuity. Silence each shape in each block:

# %%
shapes = ("point", "square3", "square5", "tall", "wide")
cost = np.zeros((3, 5))
for b in range(3):
    for s, shape in enumerate(shapes):
        with explain.ablate(model, f"block{b + 1}.branches.{shape}", range(8)):
            cost[b, s] = whole["OA"] - accuracy(model)["OA"]
figure, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
image = ax.imshow(
    cost, cmap="RdBu_r", vmin=-np.abs(cost).max(), vmax=np.abs(cost).max(), aspect="auto"
)
for b, s in np.ndindex(3, 5):
    ink = "white" if abs(cost[b, s]) > 0.6 * np.abs(cost).max() else "black"
    ax.text(s, b, f"{-cost[b, s]:+.2f}", ha="center", va="center", fontsize="small", color=ink)
ax.set(
    xticks=range(5),
    xticklabels=shapes,
    yticks=range(3),
    yticklabels=["block 1", "block 2", "block 3"],
    title="OA without it",
)
show(
    figure,
    alt="A table of three blocks and five shapes: how much overall accuracy changes without each.",
    dpi=65,
)
where = np.unravel_index(cost.argmax(), cost.shape)
print(f"missed most: {shapes[where[1]]} in block {where[0] + 1}")

# %% [markdown]
# ## 6. Trained without it
#
# **Claim** (the poster's table, MIR-1K): with both lengths, an Inception stage and a pre-training,
# OA is 80.5 %; without
# the pre-training 79.8 %; the "Multi-CNN" without the second stage 78.3 %. Taking a part out of a
# finished network, as above, says
# what *that* network leans on; a network that learned without the part may have learned another
# way. So each
# of these was trained from the beginning, three times with other dice, 200 steps on 300 synthetic
# songs, and scored on
# seven real songs:

# %%
titles = {
    "multires": "both lengths",
    "multires-no-pretraining": "no pre-training",
    "multires-short": "64 samples alone",
    "multires-long": "960 samples alone",
}
figures = ("VR", "VFA", "RPA", "RCA", "OA")
trained = {title: [] for title in titles.values()}
for row in ml.weights.experiments()["multires"]:
    trained[titles[row["network"]]].append([row[key] for key in figures])
for title, rows in trained.items():
    rows = np.array(rows)
    print(f"{title:>17}, {len(rows)} trainings:", end="")
    for key, values in zip(figures, rows.T):
        print(f"  {key} {values.mean():.3f} ({values.min():.3f} to {values.max():.3f})", end="")
    print()


def clearly(better, worse, key):
    """Is every training of the one above every training of the other?"""
    n = figures.index(key)
    return min(row[n] for row in trained[better]) > max(row[n] for row in trained[worse])


for key in ("OA", "RPA"):
    for other in ("no pre-training", "64 samples alone", "960 samples alone"):
        verdict(
            clearly("both lengths", other, key),
            f"{key}: every network with everything is above every one with {other}",
        )

# %%
figure, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
for n, (key, colour) in enumerate({"OA": "C0", "RPA": "C1"}.items()):
    for y, rows in enumerate(trained.values()):
        values = [row[figures.index(key)] for row in rows]
        ax.plot(
            values,
            np.full(len(values), y + 0.12 * (2 * n - 1)),
            "o",
            color=colour,
            label=key if y == 0 else None,
        )
ax.set(
    yticks=range(len(trained)),
    yticklabels=trained,
    xlabel="mean over seven real songs",
    ylim=(3.5, -0.5),
)
ax.legend(loc="best")
show(
    figure,
    alt="A dot for each training: overall accuracy and raw pitch accuracy, everything against one part left out.",
    dpi=70,
)

# %% [markdown]
# Two answers differ from the poster's. The pre-training is worth far more here than its 0.6 %: a
# head start counts most at the start.
# And 960 samples alone do at least as well as both lengths: what the short kernels add, if
# anything, takes longer to learn than we waited.
# The longer trainings that ship, 1,000 steps each and one of a kind:

# %%
for name in ("multires", "multires-no-pretraining", "multires-1d"):
    scores = ml.weights.card(name)["scores"]["leave_one_out"]["mean"]
    print(f"{name:>24}", {key: f"{scores[key]:.3f}" for key in figures})

# %% [markdown]
# The poster's Figure 5 sets the network's pitches beside the true ones. Here they are on top of
# each other, for the song of part 3:

# %%
line = decode.peak(run.salience(model, wave, **model.card["decoding"]))
ax = plot.error_map(line, song.melody, evaluate.frame_errors(estimate=line, reference=song.melody))
ax.figure.set_size_inches(8, 2.8)
show(
    ax,
    alt="The true melody and the network's, in Hz over time; frames that are wrong are marked by kind.",
    dpi=70,
)
print({key: round(value, 2) for key, value in ml.score_melody(line, song.melody).items()})
sonify.players(
    {"the song": song.mono, "with the network's melody (right)": sonify.check_mix(song, line)},
    song.sr,
    seconds=5,
)

# %% [markdown]
# ## 7. How far does it hear?
#
# In frequency: everything, for the last layer joins all kernels. In time we measure, as in notebook
# 03: which frames of the input move
# one frame's answer?

# %%
x = torch.from_numpy(wave.values[None].copy()).requires_grad_(True)
model(x)[0, 1:, 200].max().backward()
heard_frames = torch.where(x.grad.abs().amax(dim=(0, 1, 2)) > 0)[0].numpy() - 200
print(f"from {heard_frames.min()} to {heard_frames.max()} frames of 10 ms around its own")
assert heard_frames.min() >= -24 and heard_frames.max() <= 24, (
    "7 of each block, 3 of the first stage"
)

# %% [markdown]
# A quarter of a second to either side, and that is all: no memory, as the networks of notebook 03
# have one. *Question:* which part would
# you change to double it, and what would that cost?
#
# ### The panel: any kernel
#
# Choose a length and a kernel: its wave, what it lets through, and what it says of the song. Sorted
# by frequency, from low to high.

# %%
panel = filter_panel(song, model, picture=wave)
panel

# %%
# one setting, for paper
show(
    panel.draw(length="long", kernel=40, time_s=3.0),
    alt="A kernel's wave, its response, and its output under the melody.",
    dpi=60,
)

# %% [markdown]
# ## Exercises
#
# **a)** Write a kernel of 960 samples that answers 440 Hz, and less than a tenth as much at 400 Hz
# and below and at 480 Hz and above.

# %% tags=["exercise"]
kernel = ...
checks.check_04_a(kernel)

# %% tags=["solution"]
kernel = np.hanning(960) * np.cos(2 * np.pi * 440 * np.arange(960) / 16000)
checks.check_04_a(kernel)

# %% [markdown]
# **b)** Two voices sing 110 and 116.5 Hz, a semitone. At 16 kHz, how many samples must a kernel
# have at least, if the main lobe of its
# rectangular window, $2\,sr/L$, may be as wide as their distance?

# %% tags=["exercise"]
samples = ...
checks.check_04_b(samples)

# %% tags=["solution"]
samples = int(np.ceil(2 * 16000 / (116.5 - 110)))
checks.check_04_b(samples)

# %% [markdown]
# **c)** Somebody silenced one shape of one block. All you get is `puzzle`. Which one, such as `(2,
# "tall")`?

# %%
puzzle = checks.puzzle_04_c(model, wave)

# %% tags=["exercise"]
answer = ...
checks.check_04_c(answer, model, wave)

# %% tags=["solution"]
distances = {}
for b in (1, 2, 3):
    for shape in shapes:
        with explain.ablate(model, f"block{b}.branches.{shape}", range(8)):
            distances[b, shape] = np.abs(run.salience(model, wave).values - puzzle.values).mean()
answer = min(distances, key=distances.get)
checks.check_04_c(answer, model, wave)

# %% [markdown]
# ## Honest limits
#
# - **A poster, not a paper.** Rate, hop, number of kernels, depth, pitch classes and voicing are
# our choices, written down in
# `models.multires`; no code of the authors could be found to compare with. Sorting the kernels is
# ours, too.
# - **Synthetic songs.** The published network learned from songs with singers; its scores on MIR-1K
# and ours on seven
#   development songs are not comparable.
# - **Short trainings.** 200 steps show which way a part pulls at the beginning. Three dice are few.
# - **Learned from our mixes.** A filter bank that is learned has also learned what our mixes sound
# like: their highest
#   note, their rooms. A designed one has not.
# - **Levels.** The network hears the waveform as loud as it is, after one scaling for the whole
# song.
#
# ## Do you remember?
#
# 1. Why can no kernel of 64 samples at 16 kHz tell 200 from 220 Hz, however long it trains?
# 2. What would change in a network of 1-D convolutions if somebody shuffled its kernels, weights
# and all?
# 3. Silencing the long kernels costs a trained network nearly everything; a network trained without
# them does much better.
#    What does each of the two experiments measure?
# 4. A magnitude without its neighbour at 90 degrees flickers. How does the bank of short kernels
# get around it?
# 5. Of the poster's 80.46 against 79.83, what would you need to know before you believe the order?
#
# ## Sources
#
# - M.-T. Chen, B.-J. Li, T.-S. Chi: *CNN based two-stage multi-resolution end-to-end model for
# singing melody extraction*, ICASSP 2019.
#   The network, the claims of parts 2 to 6, the published figures.
# - C. Szegedy et al.: *Going deeper with convolutions*, CVPR 2015. Inception.
# - N. Zeghidour, O. Teboul, F. de Chaumont Quitry, M. Tagliasacchi: *LEAF: a learnable frontend for
# audio classification*, ICLR 2021.
#   Where filter banks that learn stand since.

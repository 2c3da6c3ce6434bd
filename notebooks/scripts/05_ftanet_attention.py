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
# # 05 · Attention over frequency and over time
#
# FTANet (Yu, Sun, Yu and Li 2021) looks at a song block by block, 128 frames at a time, and in each
# of its seven levels asks
# two questions before it goes on: *which frequencies matter in this block, and which moments?* The
# answers are numbers
# that one can draw. At the end of this notebook you will be able to
#
# - compute an attention map by hand, and say what its softmax makes of 320 rows;
# - draw every map of the network on the axis that it weighs, take it away bit by bit, and count
# what that costs;
# - say what attention, integrated gradients and occlusion each tell about a decision, and what none
# of them tells.
#
# It explains the module `models.ftanet` and the second half of `explain`. You need 90 minutes; the
# network's input, the CFP, is
# explained in notebook 01.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import torch

import melodylab as ml
from melodylab import evaluate, explain, plot, sonify
from melodylab.course import checks
from melodylab.course.panels import attention_panel, show
from melodylab.melody import decode
from melodylab.models import inputs, run

# %% [markdown]
# ## Warm-up: two networks, one input
#
# Both networks get the same picture of the song. `ftanet-thin` is FTANet with half its channels, so
# that a laptop follows;
# `segnet` (Hsieh, Su and Yang 2019), its rival in the paper, has no attention at all: it pools rows
# away and remembers
# where the largest stood. The singer is 4 dB softer than the band. Who loses her, and where?

# %%
song = ml.demo_song(seed=0, seconds=8, lead_db=-4).excerpt(2, 7.8)
model, rival = ml.load_model("ftanet-thin"), ml.load_model("segnet")
picture = inputs.FRONT_ENDS["cfp"](song)  # (3 channels, 320 rows, a frame every 10 ms)
salience = run.salience(model, picture, **model.card["decoding"])
melodies = {
    "ftanet-thin": decode.peak(salience),
    "segnet": decode.peak(run.salience(rival, picture, **rival.card["decoding"])),
}
sounds = {"the song": song.mono} | {
    f"{name} (right)": sonify.check_mix(song, line) for name, line in melodies.items()
}
sonify.players(sounds, song.sr, start_s=1, seconds=4)

# %%
for name, line in melodies.items():
    print(
        f"{name:>12}",
        {key: round(value, 2) for key, value in ml.score_melody(line, song.melody).items()},
    )

# %% [markdown]
# ## 1. Three pictures that agree on one thing
#
# The partials of a note at 200 Hz lie at 200, 400, 600 Hz: a *spectrum* shows the note and what is
# above it. Its period is
# 5 ms, and so are 10 and 15 ms periods of it: a *cepstrum*, read as 1 / period, shows 200, 100, 67
# Hz, the note and what is
# below. Only at the note both are bright. A toy with rows at 50, 100, 200, 400 and 800 Hz, by hand:

# %%
rows_hz = np.array([50, 100, 200, 400, 800])
spectrum = np.array([0, 0, 1, 0.7, 0.5])  # the note, its octave, two octaves above
cepstrum = np.array([0.5, 0.7, 1, 0, 0])  # the note, an octave below, two below
assert rows_hz[np.argmax(spectrum * cepstrum)] == 200 and np.count_nonzero(spectrum * cepstrum) == 1

# %% [markdown]
# The real ones, with the true melody drawn thin. (The middle one is the spectrum of the cepstrum;
# notebook 01 derives all three.) The
# cepstrum's gaps above 200 Hz are no fault of the drawing: its periods are whole samples at 8 kHz,
# and between 20 and 21
# samples, 400 and 381 Hz, there is nothing.

# %%
names = ("spectrum", "spectrum of the cepstrum", "cepstrum")
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
for n, (ax, name) in enumerate(zip(axes, names)):
    plot.activation_map(picture, channel=n, ax=ax, melody=song.melody, colorbar=False)
    ax.set(title=name, ylabel=ax.get_ylabel() if n == 0 else "")
    if ax.get_legend():
        ax.get_legend().remove()
show(
    figure,
    alt="The three channels of the CFP side by side; a line follows the melody in each.",
    dpi=65,
)

# %%
sung = song.melody.resampled(picture.times_s).voiced
for n, name in enumerate(names):
    line = explain.pitch_line(picture, n)
    print(
        f"{name:>25}: its brightest row is right in {ml.score_melody(line, song.melody)['RPA']:.0%} of the sung frames"
    )
product = ml.Features(
    picture.values.prod(axis=0, keepdims=True), picture.freqs_hz, picture.times_s, "product"
)
print(
    f"{'product of the three':>25}: {ml.score_melody(explain.pitch_line(product), song.melody)['RPA']:.0%}"
)

# %% [markdown]
# *Question:* an instrument without a fundamental, partials at 400, 600, 800 Hz. Which of the three
# still shows 200 Hz?
#
# ## 2. Attention, by hand
#
# **Claim.** There is no magic in it: an average, two small convolutions, a softmax, a product. For
# the attention over
# *frequency* the block is averaged over time, which leaves one number a row and channel; two
# convolutions of 3 rows each look at a row
# and its neighbours; the softmax turns the result into weights that are positive and sum to 1 *over
# the rows*; and each
# row of the features is multiplied by its weight. A toy of 4 rows and 2 frames, one channel,
# convolutions that copy:

# %%
block = np.array([[0.0, 0.0], [1.0, 3.0], [0.0, 0.0], [1.0, 1.0]])  # (4 rows, 2 frames)
average = block.mean(axis=1)  # 0, 2, 0, 1
weights = np.exp(average) / np.exp(average).sum()
assert np.allclose(weights, [0.083, 0.610, 0.083, 0.224], atol=0.001)
attended = weights[:, None] * block
assert np.allclose(attended[1], [0.610, 1.830], atol=0.001) and np.allclose(
    attended.sum(), 0.610 * 4 + 0.224 * 2, atol=0.01
)

# %% [markdown]
# Look at the size of the weights. They share out one unit, so among 320 rows an average row gets
# 1/320: attention
# makes everything small, and what matters is who is *less* small. (That is why pictures below show
# weights as multiples of
# 1/320.) The paper calls the product a matrix multiplication; its code multiplies element by
# element, and so do we.
#
# The network's own first level, with its own numbers, in six lines of NumPy. SELU is a line for
# positive numbers and a bent one below.

# %%
level = "level1.attend"
with explain.taps(model, [f"{level}.norm", f"{level}.frequency_map"]) as seen, torch.no_grad():
    model(torch.from_numpy(picture.values[None, :, :, 128:256].copy()))
x = seen[f"{level}.norm"][0].numpy().mean(axis=2)  # (3 channels, 320 rows): the average over time


def conv3(x, layer):
    """A convolution of three rows, zeros beyond either end: (channels, rows)."""
    w, b = (p.detach().numpy() for p in (layer.weight, layer.bias))  # (out, in, 3), (out,)
    padded = np.pad(x, ((0, 0), (1, 1)))
    return sum(w[:, :, k] @ padded[:, k : k + x.shape[1]] for k in range(3)) + b[:, None]


def selu(a):
    return 1.0507 * np.where(a > 0, a, 1.67326 * (np.exp(np.minimum(a, 0)) - 1))


parts = model.level1.attend.frequency_map
z = selu(conv3(selu(conv3(x, parts.conv1)), parts.conv2))
by_hand = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
assert np.allclose(by_hand, seen[f"{level}.frequency_map"][0], rtol=1e-3), "by hand and by torch"
assert np.allclose(by_hand.sum(axis=1), 1), "each channel shares out one unit over the 320 rows"
print(f"the largest weight of all channels is {320 * by_hand.max():.1f} times an equal share")

# %% [markdown]
# *Change something:* multiply `z` by 10 before the softmax, then by 0.1. Which of the two makes the
# attention sharper, and
# why does the network not need a knob for that?
#
# ## 3. Every map, on its own axis
#
# **Claim** (the paper's Figure 1): attention over frequency enhances the related bands and
# suppresses the unrelated,
# attention over time makes the melody line more salient. Here is one block of the song: above it
# the weights over time,
# beside it those over frequency; grey are the channels, blue their mean, the dotted line is "no
# preference".

# %%
moment_s = float(picture.times_s[128 + 64])
for n in (1, 3, 6):
    figure = plot.attention(
        picture, explain.attention(model, picture, moment_s, n), melody=song.melody
    )
    figure.set_size_inches(7.5, 3.4)
    figure.suptitle(f"level {n}", x=0.06)
    show(
        figure,
        alt=f"Level {n}: the spectrum of a block with the melody; curves of attention over time and frequency.",
        dpi=60,
    )

# %% [markdown]
# A picture invites stories, so let us count. *Is a row that the singer uses weighed more than
# others?* In every block with
# singing, of three other songs: the mean weight of the rows within a semitone of a sung pitch, as a
# multiple of an equal
# share; and the same of *moments*: the mean weight of the sung frames.

# %%
others = [
    ml.demo_song(seed=seed, seconds=8, lead_db=-4).excerpt(2, 5.83) for seed in (1, 2, 3)
]  # three blocks each
pictures = [inputs.FRONT_ENDS["cfp"](other) for other in others]


def preferences():
    """{level: (blocks, 2)}: the mean relative weight of the rows that are sung in a block, and of
    its frames with singing.
    """
    found = {n: [] for n in range(1, 8)}
    names = [f"level{n}.attend.{axis}_map" for n in found for axis in ("frequency", "time")]
    for other, p in zip(others, pictures):
        f0_hz = other.melody.resampled(p.times_s).sung_hz
        for first in range(0, len(p.times_s) - 127, 128):
            sung_hz = f0_hz[first : first + 128]
            if np.isfinite(sung_hz).sum() < 32 or np.isfinite(sung_hz).all():
                continue
            with explain.taps(model, names) as seen, torch.no_grad():
                model(torch.from_numpy(p.values[None, :, :, first : first + 128].copy()))
            for n in found:
                rows, frames = (
                    seen[f"level{n}.attend.{axis}_map"][0].numpy().mean(axis=0)
                    for axis in ("frequency", "time")
                )
                rows_hz = p.freqs_hz.reshape(len(rows), -1).mean(
                    axis=1
                )  # deeper levels have fewer rows and frames
                distance = np.abs(
                    12 * np.log2(rows_hz[:, None] / sung_hz[np.isfinite(sung_hz)])
                ).min(axis=1)
                with_song = np.isfinite(sung_hz).reshape(len(frames), -1).mean(axis=1) > 0.5
                found[n].append(
                    [len(rows) * rows[distance < 1].mean(), len(frames) * frames[with_song].mean()]
                )
    return {n: np.array(blocks) for n, blocks in found.items()}


def verdict(holds, claim):
    print(f"{'confirmed' if holds else 'NOT confirmed':>14}: {claim}")


liked = preferences()
for n, found in liked.items():
    rows, frames = found.mean(axis=0)
    print(
        f"level {n}: sung rows {rows:5.2f} of an equal share, sung frames {frames:5.2f}   ({len(found)} blocks)"
    )
verdict(
    all(found[:, 0].mean() > 1 for found in liked.values()),
    "in every level sung rows weigh more than an equal share",
)
verdict(
    all(found[:, 1].mean() > 1 for found in liked.values()),
    "in every level sung frames weigh more than an equal share",
)


# %% [markdown]
# So the picture of Figure 1 holds for a part of the network: levels 4 to 6 give the singer's rows
# up to three times their share, the
# first three and the last give them less; and over time no level prefers anything by more than a
# few percent. Read even that
# with care. Sung rows lie in the middle of the range, where the accompaniment is, too: a network
# that likes
# the middle likes them. *Question:* with which rows would you compare to rule that out?
#
# ## 4. Take it away
#
# **Claim.** What attention is worth shows when it is missing. `explain.uniform` blends the weights
# towards equal ones: at 0
# they are the network's own, at 1 every row (or moment) counts the same, and their sum is 1 all the
# way. Nothing is
# trained anew, so the network is put into a situation that it does not know.

# %%
def scores(names, share):
    """Mean scores over the three songs with these maps blended to uniform."""
    found = []
    with explain.uniform(model, names, share):
        for other, p in zip(others, pictures):
            line = decode.peak(run.salience(model, p, **model.card["decoding"]))
            found.append(ml.score_melody(line, other.melody))
    return {key: np.mean([score[key] for score in found]) for key in ("OA", "RPA", "VR", "VFA")}


kinds = {"over frequency": "*.frequency_map", "over time": "*.time_map"}
shares = (0, 0.5, 1)
as_it_is = scores("*.frequency_map", 0)
blended = {
    kind: [as_it_is, *(scores(names, share) for share in shares[1:])]
    for kind, names in kinds.items()
}
figure, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for (kind, rows), style in zip(blended.items(), ("o-", "s--")):
    ax.plot(shares, [row["OA"] for row in rows], style, label=kind)
ax.set(xlabel="Blend to equal weights", ylabel="OA", ylim=(0, 1))
ax.legend()
show(
    figure,
    alt="Overall accuracy against the share of equal weights, attention over frequency and over time.",
    dpi=70,
)
for kind, rows in blended.items():
    print(
        f"{kind:>15}: "
        + ", ".join(f"{key} {rows[0][key]:.2f} → {rows[-1][key]:.2f}" for key in rows[0])
    )

# %% [markdown]
# And where? One level at a time, all its weights over frequency made equal:

# %%
cost = {
    n: as_it_is["OA"] - scores(f"level{n}.attend.frequency_map", 1)["OA"]
    for n in range(1, 8)
}
for n, lost in cost.items():
    print(f"level {n}: OA {-lost:+.3f}")
print(f"the level that would be missed most: {max(cost, key=cost.get)}")

# %% [markdown]
# ### The panel: any module, any blend
#
# Choose a level and the axis, blend it to uniform, move through the song. The picture shows the
# maps of that block, the
# title what the blend does to the melody.

# %%
panel = attention_panel(song, model, picture=picture)
panel

# %%
# one setting, for paper
show(
    panel.draw(level=max(cost, key=cost.get), axis="frequency", blend=1.0, time_s=1.9),
    alt="The maps of one block, the melody of the network and with equal weights, and the truth.",
    dpi=60,
)

# %% [markdown]
# ## 5. Which map goes on: fusion
#
# Each level has three maps of its input: itself (a 1 x 1 convolution), attended over time, attended
# over frequency. *Selective
# fusion* weighs them channel by channel. The cited idea makes the three weights of a channel sum to
# 1, so that the maps
# compete. The released code puts the softmax on the other axis: each map shares out one unit over
# the *channels*.

# %%
for n in (1, 4, 7):
    fusion = explain.attention(model, picture, moment_s, n).fusion  # (channels, 3)
    assert np.allclose(fusion.sum(axis=0), 1, atol=1e-5), "over channels, as released"
    print(
        f"level {n}: {fusion.shape[0]:2d} channels, the weights of a channel sum to {fusion.sum(axis=1).min():.2f} to "
        f"{fusion.sum(axis=1).max():.2f}"
    )
last = explain.attention(model, picture, moment_s, 7).fusion
assert np.allclose(last, 1), "one channel has nobody to share with"
print(
    f"level 7 has one channel, so its weights are {last.ravel()}: the block adds up, and its {25} numbers are for nothing"
)

# %%
torch.manual_seed(0)
branches = ml.create_model("ftanet-thin", fusion="branches")
weights = explain.attention(branches, picture, moment_s, 4).fusion
assert np.allclose(weights.sum(axis=1), 1, atol=1e-5), (
    "over the maps, as in the papers that FTANet cites"
)

# %% [markdown]
# *Question:* 25 numbers of level 7 never get a gradient. How could the authors have noticed?
#
# ## 6. "No melody", and false alarms
#
# A small branch of its own looks at the whole height of the input and gives one number a frame, the
# logit of "no melody". The
# paper's ablation has it improve the scores; its discussion then sees "more melody detection
# errors" than SegNet has.
# Both can be true, for a detector has a dial. We add a number to its logit and turn it:

# %%
dials, gains = (
    {},
    np.exp([-8.0, -4, -2, -1, 0, 1, 2, 4, 8]),
)  # adding to a logit multiplies a probability
for network in (model, rival):
    said = [run.salience(network, p, unvoiced_gain=1.0) for p in pictures]
    dials[network.name] = []
    for gain in gains:
        lines = [decode.peak(dataclasses.replace(s, unvoiced=gain * s.unvoiced)) for s in said]
        rates = [ml.score_melody(line, other.melody) for line, other in zip(lines, others)]
        dials[network.name].append(
            [np.mean([rate[key] for rate in rates]) for key in ("VFA", "VR")]
        )
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for (name, dial), style in zip(dials.items(), ("o-", "s--")):
    ax.plot(*np.array(dial).T, style, label=name)
ax.set(xlabel="Voicing false alarms", ylabel="Voicing recall", xlim=(0, 1), ylim=(0, 1))
ax.legend(loc="lower right")
show(
    figure,
    alt="Recall against false alarms as the logit of no melody is moved, FTANet and SegNet.",
    dpi=65,
)


# %% [markdown]
# One network has *more false alarms* than another at some point of its dial, and fewer at another.
# To say that it
# detects better or worse, compare the curves: at the recall of one, what are the false alarms of
# the other?

# %%
def false_alarms_at(recall, dial):
    vfa, vr = np.array(sorted(dial)).T
    return float(np.interp(recall, vr, vfa))


for recall in (0.7, 0.8, 0.9):
    found = {name: false_alarms_at(recall, dial) for name, dial in dials.items()}
    print(
        f"at a recall of {recall}: false alarms",
        {name: round(value, 2) for name, value in found.items()},
    )


# %% [markdown]
# ## 7. How far does it hear?
#
# **Claim.** A softmax over all frames of the block, and averages over all of them, let every frame
# hear the whole block; convolutions
# alone hear a few frames. We measure: the gradient of one frame's best note with respect to every
# input frame.

# %%
def heard_frames(network, p, frame, first, stop):
    """Which of the frames first..stop - 1 move the decision at `frame`: their numbers."""
    x = torch.from_numpy(p.values[None, :, :, first:stop].copy()).requires_grad_(True)
    network(x)[0, 1:, frame - first].max().backward()
    return first + torch.where(x.grad.abs().amax(dim=(0, 1, 2)) > 0)[0].numpy()


ours = heard_frames(model, picture, 192, 128, 256)
theirs = heard_frames(rival, picture, 192, 128, 256)
print(
    f"ftanet-thin: frames {ours.min()} to {ours.max()}; segnet: frames {theirs.min()} to {theirs.max()}"
)
assert ours.min() == 128 and ours.max() == 255, "the whole block, 1.28 s"
assert theirs.min() == 192 - 12 and theirs.max() == 192 + 12, (
    "six convolutions on the way to a pitch, two frames to either side each"
)

# %% [markdown]
# And nothing beyond: the block is a wall, like the patches of notebook 03. The paper calls 128
# frames "128 milliseconds"; they
# are 1.28 s at 10 ms a frame.
#
# *Question:* a note ends at frame 255. What do the network's two halves, before and after the wall,
# know about it?
#
# ## 8. Attention is not an explanation, or is it?
#
# **Claim.** Attention says what the network multiplied by; not what the decision rests on. Three
# answers to one question, *why
# this note at this moment*: the product of the two maps of level 1; integrated gradients; occlusion
# (cover a window, see what the log odds
# lose).

# %%
line = decode.peak(salience)
times_s, labels = evaluate.pitch_errors(estimate=line, reference=song.melody)
right_s = times_s[
    (labels == "right") & (times_s > picture.times_s[150]) & (times_s < picture.times_s[230])
]
when_s = float(
    right_s[line.resampled(right_s).voicing.argmax()]
)  # where it is surest, well inside a block
maps = explain.attention(model, picture, when_s, 1)
looked_at = np.outer(maps.frequency.mean(axis=0), maps.time.mean(axis=0))  # (320 rows, 128 frames)
integrated = explain.attribution(model, picture, when_s, around_s=None, steps=8)
covered = explain.attribution(
    model, picture, when_s, method="occlusion", around_s=None, window_semitones=12, window_s=0.32
)

figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
attended = ml.Features(looked_at[None], picture.freqs_hz, integrated.times_s, "attention")
plot.activation_map(attended, ax=axes[0], colorbar=False, melody=song.melody)
plot.attribution_map(integrated, ax=axes[1], colorbar=False)
plot.attribution_map(covered, ax=axes[2], colorbar=False)
for ax, title in zip(axes, ("attention, level 1", "integrated gradients", "occlusion")):
    ax.set_title(title, loc="left", fontsize="medium")
    if ax.get_legend():
        ax.get_legend().remove()
show(
    figure,
    alt="Three maps of one block: attention as rows and columns; the other two as spots around the note in question.",
    dpi=60,
)

# %% [markdown]
# Which of them found what matters? Silence the 400 cells that each names first, in all three
# channels, and see what the note loses.

# %%
first_frame = int(np.argmin(np.abs(picture.times_s - integrated.times_s[0])))
frame = int(np.argmin(np.abs(picture.times_s - when_s)))
note = int(np.argmax(run.logits(model, picture)[1:, frame])) + 1


def log_odds(cells):
    """Of the note, with these cells (numbers in a 320 x 128 block) silenced."""
    block = picture.values[:, :, first_frame : first_frame + 128].copy()
    block.reshape(3, -1)[:, cells] = 0
    with torch.no_grad():
        z = model(torch.from_numpy(block[None]))[0, :, frame - first_frame].numpy()
    return z[note] - np.logaddexp.reduce(np.delete(z, note))


named = {
    "attention": looked_at,
    "integrated gradients": integrated.values.sum(axis=0),
    "occlusion": covered.values.sum(axis=0),
}
whole = log_odds([])
for name, score in named.items():
    cells = np.argsort(score, axis=None)[-400:]
    print(f"without the 400 cells of {name:>20}: log odds {whole:6.2f} → {log_odds(cells):6.2f}")
dice = [
    log_odds(np.random.default_rng(seed).choice(320 * 128, 400, replace=False)) for seed in range(5)
]
print(f"without 400 cells by dice:                    {whole:6.2f} → {np.mean(dice):6.2f}")

# %% [markdown]
# **What each can tell.** *Attention*: how much of each row and frame a level passed on; one map for
# the whole block and all its notes, so it
# cannot explain one of them. *Integrated gradients*: what this one decision rests on, compared with
# silence, cell by cell;
# they add up. *Occlusion*: what happens when a region is really missing; coarse, and the network
# never heard holes. None
# of them says *why*.
#
# ## 9. Octaves
#
# **Claim** (the paper's Figure 5, two opera songs): FTANet makes fewer octave errors than SegNet.
# Ours, on the three songs with the
# singer turned down to 8 dB below the band, counted in sung frames:

# %%
hard = [ml.demo_song(seed=seed, seconds=8, lead_db=-8).excerpt(2, 5.83) for seed in (1, 2, 3)]
hard_pictures = [inputs.FRONT_ENDS["cfp"](other) for other in hard]
labels, found_lines = {}, {}
for network in (model, rival):
    lines = [
        decode.peak(run.salience(network, p, **network.card["decoding"])) for p in hard_pictures
    ]
    labels[network.name] = np.concatenate(
        [evaluate.pitch_errors(estimate=line, reference=o.melody)[1] for line, o in zip(lines, hard)]
    )
    found_lines[network.name] = lines
show(
    plot.pitch_error_bars(labels),
    alt="Two bars: sung frames right, near, octaves off, otherwise wrong.",
    dpi=65,
)
octaves = {name: int(np.sum(found == "octave")) for name, found in labels.items()}
verdict(octaves["ftanet-thin"] < octaves["segnet"], f"fewer octave errors than SegNet: {octaves}")

# %% [markdown]
# And where: the song of the three on which FTANet slips by octaves most, frame by frame. (Here the
# voicing counts, too.)

# %%
slips = [
    np.sum(evaluate.pitch_errors(estimate=line, reference=o.melody)[1] == "octave")
    for line, o in zip(found_lines["ftanet-thin"], hard)
]
worst = int(np.argmax(slips))
figure, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
for ax, (name, lines) in zip(axes, found_lines.items()):
    plot.error_map(
        lines[worst],
        hard[worst].melody,
        evaluate.frame_errors(estimate=lines[worst], reference=hard[worst].melody),
        ax=ax,
    )
    ax.set_ylabel(f"{name}\n{ax.get_ylabel()}")
show(
    figure,
    alt="The true melody and two networks' frames over it, marked by kind: right, octave error, wrong, missed, false alarm.",
    dpi=65,
)

# %% [markdown]
# ## 10. Trained without it
#
# **Claim** (the paper's Table 1): every part is worth something. On MIREX05 OA is 84.0 %; without
# attention over frequency 81.7, without
# attention over time 78.3, without fusion 79.3, without the branch for "no melody" 81.0. Taking a
# map away *after* training, as in part
# 4, asks what this network leans on; the table asks what a network can learn that never had it. We
# trained each of them anew, three times
# with other dice, at a width that a laptop can pay for (8 channels in place of 32, 200 steps on 300
# synthetic songs), and scored them on
# seven real songs, each voicing constant chosen on the six others:

# %%
titles = {
    "ftanet": "everything",
    "ftanet-no-frequency": "no attention over frequency",
    "ftanet-no-temporal": "no attention over time",
    "ftanet-no-fusion": "no fusion",
    "ftanet-no-detection": "no detection branch",
}
figures = ("OA", "RPA", "RCA", "VR", "VFA")
trained = {title: [] for title in (*titles.values(), "softmax over the maps")}
for row in ml.weights.experiments()["ftanet"]:
    title = (
        "softmax over the maps"
        if row["changes"].get("fusion") == "branches"
        else titles[row["network"]]
    )
    trained[title].append([row[key] for key in figures])
for title, rows in trained.items():
    print(f"{title:>27}, {len(rows)} trainings:", end="")
    for key, values in zip(figures, np.array(rows).T):
        print(f"  {key} {values.mean():.3f} ({values.min():.3f} to {values.max():.3f})", end="")
    print()


def each(title, key):
    return [row[figures.index(key)] for row in trained[title]]


for title in list(titles.values())[1:]:
    for key in ("OA", "RPA"):
        verdict(
            min(each("everything", key)) > max(each(title, key)),
            f"{key}: every network with everything is above every one with {title}",
        )

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for n, key in enumerate(("OA", "RPA")):
    for y, title in enumerate(trained):
        values = each(title, key)
        ax.plot(
            values,
            np.full(len(values), y + 0.12 * (2 * n - 1)),
            "os"[n],
            color=f"C{n}",
            label=key if y == 0 else None,
        )
ax.set(
    yticks=range(len(trained)),
    yticklabels=trained,
    xlabel="mean over seven real songs",
    ylim=(len(trained) - 0.5, -0.5),
)
ax.legend(loc="best")
show(
    figure,
    alt="A dot for each training: overall accuracy and raw pitch accuracy of FTANet, whole and with one part left out.",
    dpi=70,
)

# %% [markdown]
# At this width and after so few steps no part earns its place, and one line stands out the other
# way: maps that are simply *added* beat
# maps that are fused, in every training. Part 5 says why that may be: fusion over the channels
# hands each map one unit to share out, so
# each level passes on little until it has learned to do otherwise, and with the softmax over the
# maps, which does not have that handicap, the
# networks learn faster, too. The paper trained longer, wider and on other songs; its table may hold
# there. Ours says: not shown *here*.
#
# About the detection branch the paper contradicts itself: its text says that without the branch the
# false alarms get *better*, its table
# says 11.3 against 11.1 % on ADC2004 and 16.6 against 9.7 % on MIREX05, that is worse. A number of
# false alarms alone decides nothing, as
# part 6 showed; recall has to stand beside it. Ours:

# %%
for title in ("everything", "no detection branch"):
    print(
        f"{title:>20}: recall {np.mean(each(title, 'VR')):.3f}, false alarms {np.mean(each(title, 'VFA')):.3f}"
    )
verdict(
    max(each("everything", "VFA")) < min(each("no detection branch", "VFA")),
    "every network with the branch has fewer false alarms (the table)",
)
verdict(
    min(each("everything", "VFA")) > max(each("no detection branch", "VFA")),
    "every network with the branch has more false alarms (the text)",
)


# %% [markdown]
# *Question:* "no attention over time" also loses the 3 x 3 and 5 x 5 convolutions that the weights
# multiply, half of all numbers. What
# would you compare it with, to learn about attention alone?
#
# ## Honest limits
#
# - **Half the channels.** The network here has 850,975 numbers, the published one 3,386,007; both
# are there by name.
# - **Synthetic songs.** It learned from songs that this package makes, the published one from 60
# tracks of MedleyDB; scores of the
#   two belong to different data.
# - **One training** of the network that is drawn; maps of another one with the same score may look
# elsewhere. The table's networks are a
#   quarter as wide as the published one and learned for minutes.
# - **Blocks.** The softmax over time makes a block's length part of the network: 128 frames,
# always.
# - **The released labels** were 10 cents too high on average, and its evaluation cut frequencies to
# whole Hz; ours do neither.
#
# ## Exercises
#
# **a)** Attention over *time*, by hand: `x` is (channels, rows, frames), `z` the numbers before the
# softmax, (channels, frames). Return
# `x` weighed.

# %% tags=["exercise"]
def attend_over_time(x, z):
    return ...


checks.check_05_a(attend_over_time)


# %% tags=["solution"]
def attend_over_time(x, z):
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return x * weights[:, None, :]


checks.check_05_a(attend_over_time)

# %% [markdown]
# **b)** How many trainable numbers does the attention over time cost in level 2 of the *published*
# network, 32 channels in and 64
# out: its map (two convolutions of 3 frames) and its features (3 x 3, then 5 x 5)? Every
# convolution has a bias.

# %% tags=["exercise"]
numbers = ...
checks.check_05_b(numbers)

# %% tags=["solution"]
numbers = 64 * (32 * 3 + 1) + 64 * (64 * 3 + 1) + 64 * (32 * 9 + 1) + 64 * (64 * 25 + 1)
checks.check_05_b(numbers)

# %% [markdown]
# **c)** Somebody made one attention map of one level uniform and does not say which. All you get is
# `puzzle`, what the network then
# said about `picture`. Find the level and the axis, such as `(4, "time")`.

# %%
puzzle = checks.puzzle_05_c(model, picture)  # a Salience
print(
    f"the pitches' probabilities moved by up to {np.abs(puzzle.values - run.salience(model, picture).values).max():.2f}"
)

# %% tags=["exercise"]
answer = ...
checks.check_05_c(answer, model, picture)

# %% tags=["solution"]
distances = {}
for n in range(1, 8):
    for axis in ("frequency", "time"):
        with explain.uniform(model, f"level{n}.attend.{axis}_map"):
            distances[n, axis] = np.abs(run.salience(model, picture).values - puzzle.values).mean()
answer = min(distances, key=distances.get)
checks.check_05_c(answer, model, picture)

# %% [markdown]
# ## Do you remember?
#
# 1. Over what does the softmax of the time map sum to 1, and what does that make of an average
# weight?
# 2. Why does a block of 127 frames not give the same answers as one of 128?
# 3. Two curves of recall against false alarms cross. Which network detects better?
# 4. A row has three times its equal share of attention, and silencing it changes nothing. How can
# both be?
# 5. What do 25 numbers without a gradient tell about a design?
#
# ## Sources
#
# - S. Yu, X. Sun, Y. Yu, W. Li: *Frequency-temporal attention network for singing melody
# extraction*, ICASSP 2021. The network, the
#   claims of parts 3, 6 and 9.
# - T.-H. Hsieh, L. Su, Y.-H. Yang: *A streamlined encoder/decoder architecture for melody
# extraction*, ICASSP 2019. SegNet.
# - L. Su, Y.-H. Yang: *Combining spectral and temporal representations for multipitch estimation of
# polyphonic music*, IEEE/ACM TASLP
#   2015. The CFP.
# - X. Li, W. Wang, X. Hu, J. Yang: *Selective kernel networks*, CVPR 2019. Fusion over branches.
# - S. Jain, B. Wallace: *Attention is not explanation*, NAACL 2019; S. Wiegreffe, Y. Pinter:
# *Attention is not not explanation*, EMNLP 2019.
# - M. Sundararajan, A. Taly, Q. Yan: *Axiomatic attribution for deep networks*, ICML 2017.
# Integrated gradients.

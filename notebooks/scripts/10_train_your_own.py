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
# # 10 · Train your own, on songs that nobody had to license
#
# A network is made of data before it is made of layers. Recordings with a true melody beside them
# are few, and most of
# them may not be passed on. So the networks of this library learned from songs that a program
# composes, plays and sings.
# Here you do the same, small. At the end of this notebook you will be able to
#
# - plant a label, check one by hand, and catch labels that are wrong;
# - tell a network with a bug from one that only needs time: let it learn one song by heart;
# - train, ablate one ingredient of the data, and say how much of a difference is luck;
# - write the card of your network, save both, and load them so that nothing can slip in between.
#
# It explains the modules `synth.training`, `examples`, `train` and `weights`. You need 90 minutes
# and a laptop without
# GPU; notebook 03 opens the network itself.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import melodylab as ml
from melodylab import plot, sonify, synth, training, weights
from melodylab.course import checks
from melodylab.course.panels import LiveLoss, show, training_panel
from melodylab.dsp import features
from melodylab.errors import InputError
from melodylab.melody import decode
from melodylab.models import inputs, run
from melodylab.models.crnn import NOTES
from melodylab.training import melodies

work = Path(tempfile.mkdtemp())  # features and weights of this session

# %% [markdown]
# ## Warm-up: one song, four recipes
#
# `synth.training_song(seed)` makes a song with its truth: the mix, the tracks that sum to it, the
# melody to the sample.
# What it is made of is written in `synth.Ingredients`, one switch or share for each ingredient.
# Listen: which ingredient
# would *you* miss least? Write your guess down, you can test it in part 5.

# %%
plain = synth.Ingredients(second_voice=0.0)
recipes = {
    "lead, chords, bass, drums": plain,
    "no drums": replace(plain, drums=False),
    "a saw in place of the voice": replace(plain, formant_voice=False),
    "a second voice": replace(plain, second_voice=1.0),
}
versions = {
    name: synth.training_song(1, 9, ingredients=ingredients)
    for name, ingredients in recipes.items()
}
assert (
    "drums" not in versions["no drums"].stems and "second_voice" in versions["a second voice"].stems
)
sonify.players(
    {name: song.mono for name, song in versions.items()}, 22050, start_s=4.5, seconds=3.5
)

# %%
song = versions["lead, chords, bass, drums"]
assert np.array_equal(sum(song.stems.values()), song.audio), "the tracks sum to the mix, exactly"
sounds = {
    "the lead alone": song.stems["melody"],
    "song left, label right": sonify.check_mix(song, song.melody),
}
sonify.players(sounds, song.sr, start_s=4.5, seconds=3.5)

# %% [markdown]
# All other switches are in `synth.Ingredients?`: instruments that lead, a riff that sounds like a
# lead and is none, bars
# without lead, power chords, detuned tapes, a studio. *Change something:* another seed, and
# `instrument_leads=1.0`.
#
# ## 1. Planted labels
#
# **Claim.** A label that was planted cannot be wrong by accident, only by a bug. In a recording,
# somebody listens and
# marks the pitch, and errs. Here the pitch comes first, a curve $f_0(t)$, and the sound is made
# from it. A frame is
# labelled where the lead sounds (within 20 dB of a full note); breaths, *s* and *t*, and rests are
# `NaN`.

# %%
picture = features.cqt(song)
seen = ml.Salience(picture.values[0] / picture.values[0].max(), picture.freqs_hz, picture.times_s)
ax = plot.salience_map(seen, colorbar=False, exponent=0.4)
for semitones in (-1, 1):
    ax.plot(
        song.melody.times_s,
        song.melody.sung_hz * 2 ** (semitones / 12),
        color="white",
        linewidth=0.9,
    )
ax.figure.set_size_inches(9, 3.4)
ax.set_title("A constant-Q transform, and the planted label between two lines")
show(
    ax,
    alt="A constant-Q transform; two thin lines a tone apart run above and below one of its bright bands.",
    dpi=75,
)

# %% [markdown]
# The network answers with one of 62 **classes** in every frame: 0 for "no melody", and 1 to 61 for
# the semitones from A1
# (55 Hz) to A6 (1760 Hz). So the label of a frame is
#
# $$c = \begin{cases} 0 & f_0 \text{ is NaN} \\
#   1 + \operatorname{round}\big(12 \log_2 (f_0 / 55)\big) & \text{else.} \end{cases}$$
#
# By hand: 440 Hz is three octaves above 55 Hz, so 36 semitones, so class 37. And a singer who is 48
# cents sharp still gets
# it:

# %%
sharp_hz = 440 * 2 ** (48 / 1200)
by_hand = [0, 1, 37, 37, 61]
assert melodies.classes(np.array([np.nan, 55, 440, sharp_hz, 1760]), NOTES).tolist() == by_hand

frame = int(np.flatnonzero(song.melody.voiced)[300])  # one label of the song, the long way round
f0_hz = song.melody.f0_hz[frame]
semitones = 12 * np.log2(f0_hz / 55)
print(
    f"at {song.melody.times_s[frame]:.2f} s: {f0_hz:.1f} Hz, {semitones:.2f} semitones above 55 Hz"
)
distances = np.abs(np.log2(f0_hz / NOTES.freqs_hz))  # to all 61 notes
label = 1 + int(distances.argmin())
assert label == melodies.classes(f0_hz, NOTES) == 1 + round(semitones), "three ways to one label"

# %% [markdown]
# Is the label also where the sound is? Ask the picture: under the label it must be brighter than a
# tritone beside it.

# %%
sung = song.melody.resampled(picture.times_s).sung_hz
there = np.isfinite(sung)
row = (60 * np.log2(sung[there] / 55)).round().astype(int)  # 60 rows an octave
on, beside = (picture.values[0][row + off, np.flatnonzero(there)].mean() for off in (0, 30))
print(f"mean brightness on the label {on:.2f}, a tritone above {beside:.2f}")
assert on > 1.2 * beside, "the label lies on the sound"

# %% [markdown]
# *Question:* 48 cents sharp is labelled right. What does this label throw away, and could a network
# that learned from it
# ever show you a vibrato?
#
# ## 2. The loss, by hand
#
# **Claim.** A network learns by one number: how surprised it was by the truth. It gives every class
# $k$ a number $z_k$ (a
# *logit*); the **cross entropy** of a frame with the true class $c$ is
#
# $$\ell = -\log \frac{e^{z_c}}{\sum_k e^{z_k}}.$$
#
# Two frames, three classes. In the first frame the network is right and sure, in the second it has
# no idea:

# %%
logits = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 1.0]])  # (2 frames, 3 classes)
truth = [0, 2]
probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
costs = [-np.log(probabilities[n, c]) for n, c in enumerate(truth)]
print(np.round(probabilities, 3).tolist(), np.round(costs, 3))

by_torch = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(truth))
assert np.isclose(np.mean(costs), float(by_torch)), "torch takes the mean of the same two numbers"
assert np.isclose(costs[1], np.log(3)), "no idea among three classes costs log 3"


# %% [markdown]
# So a fresh network among 62 classes should begin near $\log 62 = 4.13$. If it begins at 50,
# something is broken before
# the first step.
#
# *Change something:* make the first frame sure *and wrong* (`truth = [1, 2]`). What does certainty
# cost?
#
# ## 3. One song by heart
#
# **Claim.** A network that cannot learn one song by heart has a bug. It is the first test of an
# engineer, because it is
# quick and nothing can excuse a failure: no shortage of data, no difference between songs. A recipe
# is a dictionary of
# three tables. The network is the CRNN of notebook 03 with a constant-Q transform for its ears,
# because that is quick.

# %%
def recipe(network, steps, songs, *, shift_semitones=3.0, **ingredients):
    return {
        "model": {"name": network},
        "data": {"songs": songs, "mixes": 1, "seconds": 4.0, "ingredients": ingredients},
        "training": {
            "steps": steps,
            "batch_size": 2,
            "frames": 75,  # 0.9 s each
            "learning_rate": 3e-3,
            "schedule": "constant",
            # every example moves up or down, so one song is heard in many keys
            "shift_semitones": shift_semitones,
            "validate_every": 20,
        },
    }


by_heart = LiveLoss()
by_heart

# %%
one_song = synth.training_song(0, 4)  # number 0 of the bank below
alone = recipe("cqt-crnn-1", steps=20, songs=1, shift_semitones=0.0)
memory, _ = training.fit(
    alone, validate=[one_song], features=work / "features", device="cpu", on_step=by_heart
)
ax = plot.learning_curve(by_heart.losses)
show(ax, alt="The loss of each step falls steeply from about four.", dpi=75)
print(
    f"loss: {by_heart.losses[0]:.2f} at first (log 62 is {np.log(62):.2f}), {np.mean(by_heart.losses[-10:]):.2f} at the end"
)
assert np.mean(by_heart.losses[-10:]) < 0.3 * by_heart.losses[0], "it learns one song"

# %% [markdown]
# Does it *know* the song now? Let it hear the whole song and decode frame by frame, as notebook 03
# does. The player has
# the song on the left and what the network says on the right.

# %%
salience = run.salience(memory, inputs.FRONT_ENDS["cqt"](one_song))
ax = plot.salience_map(
    salience, melody=decode.peak(salience), reference=one_song.melody, colorbar=False
)
ax.figure.set_size_inches(9, 3)
show(ax, alt="Six seconds of the network's salience with its line and the true one.", dpi=75)
scores = ml.score_melody(decode.peak(salience), one_song.melody)
print({name: round(value, 2) for name, value in scores.items()})
assert scores["OA"] > 0.7, "by heart"

# %%
sonify.player(
    sonify.check_mix(one_song, decode.peak(salience)),
    one_song.sr,
    seconds=5,
    title="Song left, network right",
)

# %% [markdown]
# Such a network knows one song and nothing else. *Question:* the same network on another song:
# which of OA, RPA and VFA
# would you look at first, and why is a low loss here no success?
#
# ## 4. Train
#
# **Claim.** From many songs it has to learn what they share. So it is *validated* on songs that it
# never hears in
# training, and those scores count, not the loss. The network now hears $H^{F_0}$ of source-filter
# NMF (notebook 02), as in
# the paper: with so little time, the better
# ears win. The cell below takes some 15 seconds, about half of them for making the songs and
# factorising them.

# %%
held_out = [synth.training_song(seed, 4) for seed in (900, 901)]  # far from those of the bank
live = LiveLoss()
live

# %%
STEPS, SONGS = 40, 4
plan = recipe("sf-crnn-1", STEPS, SONGS)
model, history = training.fit(
    plan, validate=held_out, features=work / "features", device="cpu", on_step=live
)
ax = plot.learning_curve(live.losses, history)
show(
    ax,
    alt="The loss falls and wavers; two more lines show RPA and OA on songs that were held out.",
    dpi=75,
)
for entry in history:
    print(training.line({**entry, "wall_s": 0}, STEPS).rpartition(",")[0])
assert np.mean(live.losses[-20:]) < 0.8 * live.losses[0], "it learns something"

# %% [markdown]
# How to read such a line: **RPA** is the pitch where the truth has one; **AUC** says whether "no
# melody" gets more
# probability where there is none (0.5 is a coin), whatever the threshold; **OA** is both at once,
# and **best OA** the same
# at the one constant for voicing that suits all songs. Early in a training OA is often just the
# share of frames without
# melody: the network has learned to keep silent.
#
# **Take three minutes.** Put `STEPS = 1000` and, if you can wait for their features, `SONGS = 40`.
# Expect the loss to fall
# on, slowly and noisily, and the pitch to come before the voicing. So it was in a training that we
# watched on seven real
# songs (the same network, 120 synthetic songs of 30 s, every step 16 times as large as ours):
#
# | step | 150 | 300 | 450 | 600 |
# |---|---|---|---|---|
# | RPA | 0.57 | 0.59 | 0.61 | 0.63 |
# | AUC of the voicing | 0.65 | 0.65 | 0.68 | 0.70 |
#
# ### A story: the average that was never young
#
# Between its layers the network divides by the spread of each channel (*batch norm*), and for the
# songs to come it keeps a
# running average of the variance. Customary is an average that begins at 1 and forgets 1 % a step.
# But our input is small
# numbers, and a variance of 0.01 is reached only when the 1 has been forgotten:
#
# $$v_n = 0.99^n \cdot 1 + (1 - 0.99^n)\, v.$$

# %%
torch.manual_seed(0)
customary, ours = torch.nn.BatchNorm1d(1, momentum=0.01), torch.nn.BatchNorm1d(1)
for step in range(150):
    batch = 0.1 * torch.randn(256, 1)  # variance 0.01
    ours.momentum = max(
        0.01, 1 / (1 + step)
    )  # 1, 1/2, 1/3 ...: a plain mean over the first hundred steps
    customary(batch), ours(batch)
after_150 = 0.99**150 + (1 - 0.99**150) * 0.01
print(
    f"true variance 0.010, customary {float(customary.running_var):.3f}, plain mean first {float(ours.running_var):.3f}"
)
assert np.isclose(float(customary.running_var), after_150, rtol=0.02), "as the formula says"
assert np.isclose(float(ours.running_var), 0.01, rtol=0.05)

# %% [markdown]
# After 150 steps the customary average is still more than twenty times too large, so the network
# that is *used* is not the
# one that was *trained*: the loss looks fine, and the scores are dreadful. We measured it with the
# CRNN on $H^{F_0}$: RPA
# on real songs after 150 steps was 0.08 so, and 0.56 with the plain mean. No error message told us;
# a validation after a
# few steps did. (`melodylab train` goes one step further: before each validation it measures the
# statistics anew, on the
# last ten steps' examples, with the weights that are validated.)
#
# *Question:* where in the learning curve above would you have seen it?
#
# ## 5. Ablate one ingredient
#
# **Claim.** What an ingredient is worth shows when it is missing: same network, same steps, same
# held-out songs (with
# everything in them), one switch turned off in the training songs. Take the ingredient of your
# guess. To save time we
# train for 20 steps only, and compare with the first validation of part 4, which came after 20
# steps, too.

# %%
change = {
    "formant_voice": False
}  # or {"drums": False}, {"rests": False}, {"riffs": 0.0}, {"second_voice": 0.0}, ...
ablated = recipe("sf-crnn-1", 20, SONGS, **change)
_, without = training.fit(ablated, validate=held_out, features=work / "features", device="cpu")
rows = {"all ingredients": history[0], f"without {next(iter(change))}": without[0]}
assert history[0]["step"] == without[0]["step"] == 20, "the same number of steps"
ax = plot.score_bars(
    {name: {key: row[key] for key in ("RPA", "AUC", "OA")} for name, row in rows.items()}
)
ax.figure.set_size_inches(7, 3)
show(
    ax,
    alt="Bars of RPA, AUC and OA of two short trainings, with all ingredients and with one left out.",
    dpi=75,
)

# %% [markdown]
# Before you believe the difference: train once more with everything and another seed
# (`plan["training"]["seed"] = 1`). Two
# trainings that differ in nothing but their dice differ, too, and after a few seconds of training
# by a lot. **A difference
# counts when it is larger than that.**
#
# Next to it what we measured with our own network, `harmonic-crnn`: 100 steps on ten songs in two
# mixes (three minutes a row),
# heard on seven real songs that no network had heard; means; AUC of the voicing. The first three
# rows differ in their dice only.

# %%
measured = weights.experiments()
print(f"{'what was changed':<44}{'OA':>7}{'RPA':>7}{'AUC':>7}")
for row in measured["ablation"]:
    print(f"{row['change']:<44}{row['OA']:7.3f}{row['RPA']:7.3f}{row['AUC']:7.3f}")

# %% [markdown]
# Only one row stands clearly apart from the first three. A hundred steps measure how fast a network
# learns, not where it ends.
#
# *Question:* an ingredient without which the scores *rise* has no place in the data, or has it?
# (Seven songs are few, and
# nobody asked yours.)
#
# ## 6. How many songs does it take?
#
# **Claim.** The better the input, the less there is to learn. The poster of Basaran, Essid and
# Peeters says that "40% of
# training data is enough for SF-CRNN1 to reach OA of CQT-CRNN2 with full training data": the
# network that hears $H^{F_0}$
# needs fewer songs than the one that hears a CQT, because source-filter NMF has already taken the
# partials together
# (notebook 02). Ours, trained with a part of the synthetic songs and heard on the same seven real
# ones:

# %%
points = sorted(measured["training_share"], key=lambda point: point["share"])
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
for name, style in {"OA": "o-", "RPA": "s--"}.items():
    ax.plot(
        [point["share"] for point in points], [point[name] for point in points], style, label=name
    )
ax.set(xlabel="Share of the training songs", ylabel="Share of frames", xlim=(0, 1.05), ylim=(0, 1))
ax.legend()
show(
    figure,
    alt="Overall and raw pitch accuracy on real songs against the share of the training songs.",
    dpi=75,
)

# %% [markdown]
# Two kinds of curve are possible. Where it is flat, more *of the same* songs will not help, other
# songs or another network
# may. Where it still rises, make more songs: they cost a second each.
#
# ### The panel: data under your hand
#
# Every move trains a network from its first random numbers on, for a few seconds; the line below
# tells the loss meanwhile.
# From four songs down to one: what happens to the loss, and what to the melody of a song it never
# heard? Which learning
# rate is too high, and how does that look?

# %%
unheard = ml.demo_song(seed=0, seconds=8).excerpt(2, 8)
panel = training_panel(
    unheard, steps=20, songs=(1, 2, 4), network="sf-crnn-1", features=work / "features"
)
panel

# %%
# the first setting, for paper
show(
    panel.draw(),
    alt="Left the loss of a few steps; right what the network then finds in a song, and the truth.",
    dpi=65,
)

# %% [markdown]
# ## 7. The card
#
# **Claim.** Weights without a card are a box of numbers. Which network? Trained on what, for how
# long? Scored how, on
# which songs? May I pass it on? `weights.save` refuses a card that leaves one of these out; and it
# adds what it can find
# out by itself, among that the **SHA-256** of the file, a fingerprint of all its bytes.

# %%
best = max(
    history, key=lambda entry: entry["best_OA"]
)  # of all validations; these are the weights that `fit` returned
card = {
    "front_end": "sf",
    "decoding": {"unvoiced_gain": 1.0},
    "recipe": training.Recipe.from_dict(plan).as_dict(),  # complete with all defaults
    "steps": best["step"],
    "wall_time_s": 15,
    "device": "a laptop",
    "scores": {"validated_on": "two synthetic songs"}
    | {name: best[name] for name in ("OA", "RPA", "AUC")},
    "licence": "MIT",
    "library_versions": {"melodylab": ml.__version__, "torch": torch.__version__},
}
path = weights.save(model, card, work, "my-first-network")
stored = weights.card(path)
print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB, {stored['parameters']:,} numbers")
print(f"SHA-256 {stored['sha256'][:16]}...")

# %% [markdown]
# Loading is strict: the file must be the one on the card, and the tensors those of the network on
# it, no more and no less.
# So what comes back is what was saved (large tensors in half precision, which moves probabilities
# by less than 0.001):

# %%
again = weights.load_model(path)
heard = inputs.FRONT_ENDS["sf"](held_out[0])
before, after = run.salience(model, heard).values, run.salience(again, heard).values
assert np.abs(before - after).max() < 2e-3, "saved and loaded: the same network"

# %% [markdown]
# Now be a bad disk. One byte of hundreds of thousands changes, somewhere in the middle:

# %%
data = bytearray(path.read_bytes())
data[len(data) // 2] ^= 1  # one bit, even
path.write_bytes(data)
refused = ""
try:
    weights.load_model(path)
except InputError as error:
    refused = str(error).replace(str(work), "...")
print(refused)
assert "SHA-256 differs" in refused, "one bit is enough"

# %% [markdown]
# Without the fingerprint that network would load and run. You would never know why it is a little
# odd. (And nothing in a
# `.safetensors` file is ever executed, unlike in the older files of torch: you may open the weights
# of strangers.)
#
# ## For real
#
# In earnest you write the recipe into a file. All keys have defaults; `melodylab train --help` and
# the docstrings of
# `training.Training` and `training.Bank` list them. A key that does not exist is refused, with the
# nearest that does.

# %%
toml = """
[model]
name = "sf-crnn-1"        # what it hears follows from this: H_F0 of source-filter NMF

[data]
songs = 240               # made once, and their features kept
mixes = 2                 # each is mixed anew: other levels, other tracks, another room
seconds = 30.0

[data.ingredients]
instrument_leads = 0.3    # three songs in ten are led by an instrument

[training]
steps = 4000
batch_size = 16
frames = 500              # 5.8 s
learning_rate = 1e-3
schedule = "cosine"       # down to zero at the last step
precision = "bf16-mixed"  # on processors that know it five times faster
average = 0.999           # the running mean of the weights is what is kept
validate_every = 200
"""
earnest = training.Recipe.from_dict(tomllib.loads(toml))
print(earnest.as_toml()[-400:])
assert training.Recipe.from_dict(tomllib.loads(earnest.as_toml())) == earnest, (
    "complete, and the same"
)


# %% [markdown]
# ```
# melodylab train my.toml --out my-run
# melodylab train my.toml --out my-run --resume
# melodylab train my.toml --out other-run --validate my-songs
# melodylab train my.toml --out third-run --dask tcp://the-big-computer:8786
# ```
#
# The second goes on where a run was killed, and arrives at the same weights as if it had not been.
# The third validates on
# your own songs (folders with a mix and `melody2.csv` or `melody.csv`) in place of synthetic ones.
# The fourth lets a Dask
# cluster compute the features, which take longer than a short training. In `my-run` you find
# `log.csv`, one row a
# validation, the checkpoints, and at the end `sf-crnn-1.safetensors` with its card.
#
# The recipe of every shipped network is on its card, `weights.card("sf-crnn-1")["recipe"]`, and
# comes as a file, too:
# `melodylab train --list` shows them all, `melodylab train sf-crnn-1 --out my-run` follows one.
#
# ## Honest limits
#
# - **Fifteen seconds are a demonstration.** The networks of this notebook are bad, and their scores
# jump from seed to
# seed. What you can see here is *that* they learn and *how* to look; what an ingredient is worth,
# only the table of
#   longer trainings says, and that with seven songs.
# - **Validated on its own kind.** Held-out synthetic songs come from the same composer. A network
# may do well on them and
# still fail on recordings; only recordings tell. The gap between the two is the price of not
# licensing any.
# - **What the composer does not know, no network learns here**: rap, growls, choirs, melodies that
# pass from one
#   instrument to the other, music outside of twelve equal semitones.
# - **One melody, by decree.** The label goes to the lead, because the program says so. Whether a
# listener would hum the
#   riff instead, nobody asked.
# - **Semitones.** The classes are 100 cents wide; vibrato and glides are lost in the label already.
# - **Same seed, same machine: the same bits.** Another processor rounds differently, and after some
# steps the curves part.
#   The story should stay the same, the digits will not.
#
# ## Exercises
#
# **a)** Write the label of one frame yourself: the class of a pitch in Hz, with NaN and with
# pitches off the grid (more
# than half a semitone below 55 or above 1760 Hz), which are class 0.

# %% tags=["exercise"]
def label_of(f0_hz):
    return ...


checks.check_10_a(label_of)


# %% tags=["solution"]
def label_of(f0_hz):
    if np.isnan(f0_hz):
        return 0
    nearest = round(12 * np.log2(f0_hz / 55))
    return 1 + nearest if 0 <= nearest <= 60 else 0


checks.check_10_a(label_of)

# %% [markdown]
# **b)** Two losses to know before you look at a learning curve. `shares[c]` is the share of frames
# with class `c` in some
# songs. What is the mean cross entropy of a network that is *blind* (62 classes, all the same
# probability), and of one
# that only *counts* (always answers with the shares)? Which of the two did the training of part 4
# get below?

# %%
labels = np.concatenate([melodies.classes(one.melody.sung_hz, NOTES) for one in held_out])
shares = np.bincount(labels, minlength=62) / len(labels)
print(f"no melody in {shares[0]:.0%} of the frames; {np.sum(shares > 0)} of 62 classes occur")

# %% tags=["exercise"]
losses = (..., ...)  # (blind, counting)
checks.check_10_b(losses, shares)

# %% tags=["solution"]
present = shares[shares > 0]
losses = (np.log(62), -np.sum(present * np.log(present)))
print(np.round(losses, 2))
checks.check_10_b(losses, shares)

# %% [markdown]
# **c)** Somebody's labels came too late. `puzzle` is the CQT of a song, `late_hz` its labels, which
# were moved by some
# frames to the right. Find out by how many. A network trained on them would not fail; it would
# learn to be late, and only
# a score in which time counts would show it.

# %%
puzzle, late_hz = checks.puzzle_10_c()
where = np.flatnonzero(np.isfinite(late_hz))  # labelled frames
rows_of_label = (
    (60 * np.log2(late_hz[where] / 55)).round().astype(int)
)  # and their rows in puzzle.values[0]

# %% tags=["exercise"]
late_frames = ...
checks.check_10_c(late_frames)

# %% tags=["solution"]
brightness = []
for earlier in range(21):
    at = where - earlier
    brightness.append(puzzle.values[0][rows_of_label[at >= 0], at[at >= 0]].mean())
late_frames = int(np.argmax(brightness))
checks.check_10_c(late_frames)

# %% [markdown]
# ## Do you remember?
#
# 1. Why is the first loss of a network with 62 classes near 4.1, and what would 50 tell you?
# 2. A network cannot learn one song by heart. Name three suspects before you ask for more data.
# 3. After 150 steps the loss is low and RPA is dreadful. Which average do you suspect?
# 4. You drop the drums and OA rises by 0.01. What do you need to know before you drop them for
# good?
# 5. What does the SHA-256 on a card protect from, and what not?
#
# ## Sources
#
# - D. Basaran, S. Essid, G. Peeters: *Main melody extraction with source-filter NMF and CRNN*,
# ISMIR 2018, and its poster:
#   the network, the classes, the loss, the claim about 40 % of the training data.
# - S. Ioffe, C. Szegedy: *Batch normalization: accelerating deep network training by reducing
# internal covariate shift*,
#   ICML 2015.
# - I. Loshchilov, F. Hutter: *Decoupled weight decay regularization*, ICLR 2019 (AdamW), and
# *SGDR*, ICLR 2017 (the cosine).
# - J. Salamon, R. Bittner, J. Bonada, J. Bosch, E. Gómez, J. Bello: *An analysis/synthesis
# framework for automatic f0
# annotation of multitrack datasets*, ISMIR 2017: labels that are right because the sound was made
# from them.
# - M. Mitchell and others: *Model cards for model reporting*, FAT* 2019.

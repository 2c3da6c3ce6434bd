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
# # 02 · A voice is a source seen through a filter
#
# At the end of this notebook you will be able to
#
# - derive one multiplicative update on paper, run it in five lines, and say why it keeps zeros and
# never turns negative;
# - read the model "combs times filters plus the rest" and point to each of its matrices in a
# picture;
# - turn the activations of the combs into a melody and into two stems, and say when that goes
# wrong.
#
# It explains the modules `nmf`, `sfnmf`, `decode` and `separation`. You need 90 minutes, and to
# know what a spectrogram is.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import melodylab as ml
from melodylab import evaluate, plot, records, sfnmf, sonify, synth
from melodylab.course import checks
from melodylab.course.panels import sfnmf_panel, show
from melodylab.dsp import features, grids, nmf, stft
from melodylab.melody import decode

# %% [markdown]
# ## Warm-up: three minutes with your ears
#
# Six seconds of a song that was made by a program, so that we know its melody exactly. Listen to
# the mix and try to hum what the
# voice does. Then listen to the voice alone.

# %%
song = ml.demo_song(seed=0, seconds=8).excerpt(2, 8)
sonify.players(
    {"the mix": song.mono, "the voice alone": song.stems["melody"][0]}, song.sr, seconds=3
)

# %% [markdown]
# Your ear followed one pitch through chords, bass and drums. What did it hold on to? Two things
# help: a sung note is a **comb** of
# partials at $f_0, 2f_0, 3f_0, \dots$, and the mouth colours that comb **smoothly**. Nothing more
# goes into the model of this
# notebook, and it has never heard another song.
#
# ## 1. Factorising a matrix by multiplying
#
# **Claim.** A matrix without negative numbers, $V \approx WH$, can be split into parts (columns of
# $W$) and their levels (rows of
# $H$) by multiplications alone. For the Kullback-Leibler divergence the rule of Lee and Seung reads
#
# $$H \leftarrow H \odot \frac{W^\top (V / \hat V)}{W^\top \mathbf 1}, \qquad
#   W \leftarrow W \odot \frac{(V / \hat V) H^\top}{\mathbf 1 H^\top}, \qquad \hat V = WH.$$
#
# A toy: four frequencies, six frames, two parts. We hide the parts and only show $V$. The rule by
# hand and `nmf.factorise` must
# agree, number by number.

# %%
W_true = np.array([[3, 0], [0, 2], [1, 0], [0, 1]])  # (4 frequencies, 2 parts)
H_true = np.array([[1, 1, 0, 0, 2, 1], [0, 1, 2, 2, 1, 0]])  # (2 parts, 6 frames)
V_toy = W_true @ H_true
V_toy

# %%
rng = np.random.default_rng(0)
W0, H0 = rng.uniform(0.5, 1.5, (4, 2)), rng.uniform(0.5, 1.5, (2, 6))
W, H = W0.copy(), H0.copy()
for _ in range(50):
    H *= W.T @ (V_toy / (W @ H)) / W.sum(axis=0)[:, None]
    W *= (V_toy / (W @ H)) @ H.T / H.sum(axis=1)

# the library does the same, with care for silence
toy = nmf.factorise(V_toy, W=W0, H=H0, kind="kl", iterations=50)
assert np.allclose(W, toy.W, atol=1e-6) and np.allclose(H, toy.H, atol=1e-6), (
    "by hand and by library: the same numbers"
)
assert np.all(np.diff(toy.trace) <= 1e-12), "no step made the fit worse"

# %%
figure, axes = plt.subplots(1, 4, figsize=(8, 2), width_ratios=(6, 2, 6, 6), layout="constrained")
for ax, (name, matrix) in zip(axes, {"V": V_toy, "W": W, "H": H, "WH": W @ H}.items()):
    ax.matshow(matrix, cmap="magma", aspect="auto")
    ax.set(title=name, xticks=[], yticks=[])
show(
    figure,
    alt="Four small matrices: V, the two found spectra W, their levels H, and the product W H, which looks like V.",
)

# %% [markdown]
# *Change something:* start with `H0[0, 3] = 0` and run the three cells again. Does that cell of `H`
# ever come back? This will carry
# the whole of part 6.
#
# ## 2. Why Itakura and Saito
#
# **Claim.** Music spans 60 dB and more. A cost that looks at differences sees only the loudest
# cells; one that looks at ratios
# sees all of them. For one cell $v$ and its model $\hat v$:
#
# $$d_\text{Euclid} = (v-\hat v)^2 \qquad d_\text{KL} = v\log\frac{v}{\hat v} - v + \hat v \qquad
#   d_\text{IS} = \frac{v}{\hat v} - \log\frac{v}{\hat v} - 1$$
#
# The last holds only the ratio, so $d_\text{IS}(\lambda v\,|\,\lambda \hat v) =
# d_\text{IS}(v\,|\,\hat v)$. In numbers, for a
# model that is twice too quiet. Below that, the song: $V$ is the **power** spectrogram, $|X|^2$.
# How much of the cost sits in the
# loudest hundredth of its cells, if the model is everywhere half of what it should be?

# %%
for kind in ("euclid", "kl", "is"):
    costs = [nmf.divergence([[2 * scale]], [[scale]], kind) for scale in (1, 0.01, 0.0001)]
    print(
        f"{kind:>6}   at  0 dB {costs[0]:.6f}   at -20 dB {costs[1]:.6f}   at -40 dB {costs[2]:.10f}"
    )
assert np.isclose(costs[0], costs[2]), "Itakura-Saito charges a quiet cell like a loud one"

# %%
settings = sfnmf.Settings()  # the published parameters
X = stft.stft(song.mono, window=settings.window, hop_samples=settings.hop_samples)
V = np.maximum(np.abs(X) ** 2, settings.floor)  # (513 frequencies, 517 frames)
times_s = grids.frame_times_s(V.shape[1], settings.hop_samples, settings.sr)
loud = np.quantile(V, 0.99) < V
share = {
    kind: nmf.divergence(V[loud][None], V[loud][None] / 2, kind) / nmf.divergence(V, V / 2, kind)
    for kind in ("euclid", "kl", "is")
}
print({kind: f"{value:.1%}" for kind, value in share.items()})
assert share["euclid"] > 0.95 and share["is"] < 0.02, (
    "Euclid looks at 1 % of the cells, Itakura-Saito at all of them"
)

# %% [markdown]
# *Question:* the upper partials of a voice are 40 dB below its strongest one. Which of the three
# costs would let you find a comb?
#
# ## 3. The source, and the filter
#
# **Claim.** Vocal folds open slowly and shut quickly. The KLGLOTT88 model of that pulse gives every
# partial its level, the same
# levels at every pitch. Guess before you run: which partial is the strongest?

# %%
amplitudes = sfnmf.partial_amplitudes(220, 12)
levels_db = 20 * np.log10(np.abs(amplitudes) / np.abs(amplitudes[0]))
print(levels_db.round(1))
assert levels_db.argmax() == 2, "the third partial is the strongest, not the first"

# %% [markdown]
# The loudest line of a voice is not its pitch. A program that takes the strongest frequency for the
# melody would be an octave and a
# fifth too high, and that is why whole combs are compared. $W^{F_0}$ holds 301 of them, from 55 to
# 1760 Hz, five to a semitone.

# %%
W_F0, W_gamma = sfnmf.source_dictionary(settings), sfnmf.smooth_filters(settings)
pitches_hz, freqs_hz = settings.grid.freqs_hz, settings.freqs_hz
figure, axes = plt.subplots(3, 1, figsize=(8, 3.4), sharex=True, layout="constrained")
for ax, k in zip(axes, (0, 120, 180)):
    ax.plot(freqs_hz, 10 * np.log10(W_F0[:, k] + 1e-6))
    ax.set(title=f"column {k}: {pitches_hz[k]:.0f} Hz", xlim=(0, 4000), ylabel="dB")
axes[-1].set_xlabel("Frequency (Hz)")
show(
    figure,
    alt="Three columns of the source dictionary for 55, 220 and 440 Hz: combs. At 55 Hz the teeth touch.",
    dpi=80,
)

# %% [markdown]
# At 55 Hz the teeth touch: a window of 46 ms cannot part them. Low notes are hard for this reason.
#
# The **filter** is the throat and the mouth, and it is smooth. So it is built from 30 broad,
# overlapping bands, $W^\Gamma$, each
# with a weight. Let NMF find weights that resemble two vowels (the targets are formants of a man's
# voice):

# %%
vowels = {}
for vowel in ("a", "i"):
    target = (
        np.abs(synth.vocal_tract(freqs_hz, np.array([synth.VOWELS_HZ[vowel]]))).T ** 2
    )  # (513, 1)
    weights = nmf.factorise(target, W=W_gamma, fix_W=True, kind="is").H  # (30, 1)
    vowels[vowel] = (W_gamma @ weights)[:, 0]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
left.plot(freqs_hz, W_gamma, "C0", linewidth=0.8)
left.set(title="30 bands", xlabel="Frequency (Hz)")
for (vowel, power), style in zip(vowels.items(), ("-", "--")):
    right.plot(freqs_hz, 10 * np.log10(power), style, label=f"“{vowel}”")
right.set(
    title="two filters = bands × weights (dB)",
    xlabel="Frequency (Hz)",
    xlim=(0, 5000),
    ylim=(-60, 5),
)
right.legend()
alt = "Left: overlapping bumps. Right: the filter of a peaks at 800 Hz; that of i is low there and rises near 2800 Hz."
show(figure, alt=alt, dpi=75)


# %% [markdown]
# **Listen.** One source, two filters: the same 150 partials, each as loud as the filter lets it
# through. The pitch stays, the vowel
# changes. That product, comb times filter, is the element-wise $\odot$ of the model.

# %%
def sound(f0_hz, filter_power, seconds=1, sr=22050):
    """A comb seen through a filter, (samples,)."""
    h = np.arange(1, int(sr / 2 / f0_hz))
    through = sfnmf.partial_amplitudes(f0_hz, len(h)) * np.sqrt(
        np.interp(h * f0_hz, freqs_hz, filter_power)
    )
    t = np.arange(int(seconds * sr)) / sr
    return (
        sum((a * np.exp(2j * np.pi * k * f0_hz * t)).real for k, a in zip(h, through))
        * np.hanning(len(t)) ** 0.2
    )


tones = {"the bare source": np.ones(513), "through “a”": vowels["a"], "through “i”": vowels["i"]}
tones = {name: sound(147, power) for name, power in tones.items()}
sonify.players({name: y / np.abs(y).max() for name, y in tones.items()}, 22050, seconds=1)

# %% [markdown]
# *Change something:* 147 Hz to 600 Hz. The vowels become hard to tell apart: there are too few
# teeth to draw the filter's shape.
# Sopranos know.
#
# ## 4. The whole model, and one update by hand
#
# **Claim.** A song is a source through a filter, plus everything else:
#
# $$\hat V = \underbrace{(W^{F_0} H^{F_0})}_{\text{source}} \odot
# \underbrace{(W^\Gamma H^\Gamma H^\Phi)}_{\text{filter}} + \underbrace{W^B
# H^B}_{\text{accompaniment}}$$
#
# | matrix | shape | what it is | |
# |---|---|---|---|
# | $W^{F_0}$ | 513 × 301 | a comb per pitch | built |
# | $H^{F_0}$ | 301 × frames | which pitch sounds when: **the salience** | estimated |
# | $W^\Gamma$ | 513 × 30 | smooth bands | built |
# | $H^\Gamma$ | 30 × 10 | ten filters made of bands | estimated |
# | $H^\Phi$ | 10 × frames | which filter acts when | estimated |
# | $W^B, H^B$ | 513 × 40, 40 × frames | forty free spectra, and their levels | estimated |
#
# **Derivation.** Write $S^{F_0}, S^\Phi, S^B$ for the three products. The cost is $C = \sum_{fn}
# V/\hat V - \log(V/\hat V) - 1$, so
#
# $$\frac{\partial C}{\partial \hat V_{fn}} = \frac{1}{\hat V_{fn}} - \frac{V_{fn}}{\hat V_{fn}^2},
# \qquad
#   \frac{\partial \hat V_{fn}}{\partial H^{F_0}_{un}} = W^{F_0}_{fu}\, S^\Phi_{fn}.$$
#
# The chain rule gives a gradient of two non-negative parts, what pushes down minus what pulls up:
#
# $$\frac{\partial C}{\partial H^{F_0}} = \underbrace{W^{F_0\top}\Big(S^\Phi \odot \frac{1}{\hat
# V}\Big)}_{\text{push}} -
#   \underbrace{W^{F_0\top}\Big(S^\Phi \odot \frac{V}{\hat V^2}\Big)}_{\text{pull}}.$$
#
# Walk downhill, but with a step of $H/\text{push}$ for every entry: $H -
# \frac{H}{\text{push}}(\text{push} - \text{pull})$. What is
# left is a product,
#
# $$H^{F_0} \leftarrow H^{F_0} \odot \left[\frac{\text{pull}}{\text{push}}\right]^{\omega},$$
#
# with $\omega = 1$. It cannot turn negative, and it rests where the gradient is zero.
#
# **Is the gradient right?** Never trust a derivation that was not checked against the definition. A
# tiny model, and every entry of
# $H$ moved a little both ways:

# %%
shape = {"W": (6, 3), "H": (3, 4), "S_phi": (6, 4), "S_B": (6, 4), "V": (6, 4)}
tiny = {name: rng.uniform(0.5, 2, size) for name, size in shape.items()}


def gradient(W, H, S_phi, S_B, V):
    V_hat = (W @ H) * S_phi + S_B
    push, pull = W.T @ (S_phi / V_hat), W.T @ (S_phi * V / V_hat**2)
    return push - pull


def cost(H):
    return nmf.divergence(tiny["V"], (tiny["W"] @ H) * tiny["S_phi"] + tiny["S_B"], "is")


nudges = 1e-5 * np.eye(12).reshape(12, 3, 4)  # one entry at a time
slopes = [(cost(tiny["H"] + nudge) - cost(tiny["H"] - nudge)) / 2e-5 for nudge in nudges]
assert np.allclose(gradient(**tiny).ravel(), slopes, atol=1e-6), (
    "twelve slopes, measured and derived, agree"
)

# %% [markdown]
# **One update of the song by hand.** The start is noise, and $H^{F_0}$ is the first matrix to be
# updated. Below, the library runs
# one whole iteration from the same start.

# %%
start = sfnmf.random_start(settings, 1, V.shape[1], np.random.default_rng(0))
S_phi = W_gamma @ start["H_gamma"] @ start["H_phi"]
V_hat = (W_F0 @ start["H_F0"]) * S_phi + start["W_B"] @ start["H_B"]
pull, push = W_F0.T @ (S_phi * V / V_hat**2), W_F0.T @ (S_phi / V_hat)
H_by_hand = start["H_F0"] * pull / push

one = sfnmf.factorise(V, replace(settings, iterations=1), start=start)
assert np.allclose(H_by_hand, one.H_F0, rtol=1e-2), (
    "five lines of NumPy are the library's first step"
)
V_hat_after = (W_F0 @ H_by_hand) * S_phi + start["W_B"] @ start["H_B"]
before, after = (nmf.divergence(V, model, "is") for model in (V_hat, V_hat_after))
print(
    f"cost: {before:,.0f} before, {after:,.0f} after H_F0 alone, {one.cost[-1]:,.0f} after all five matrices"
)
assert after < before, "the step went downhill"

# %% [markdown]
# **Forty iterations.** $\omega = 1$ is customary. Only $\omega = 1/2$ is *proven* never to raise
# this cost; it takes smaller steps.
# Below the curves you see the model at the end, laid out like its equation. Look at $H^{F_0}$, top
# right: a line in front of a fog.

# %%
snapshots = []


def keep(iteration, factors):
    if iteration in (1, 2, 3, 5, 8, 12, 20, 30, 40):
        snapshots.append((iteration, factors[0]))


whole = sfnmf.factorise(V, settings, start=start, keep=keep)
careful = sfnmf.factorise(V, replace(settings, exponent=0.5), start=start)
assert np.all(np.diff(careful.cost) <= 0), "with exponent 1/2 the cost never rises"

ax = plot.cost_curve(whole.cost, label="exponent 1")
plot.cost_curve(careful.cost, ax=ax, label="exponent 1/2")
show(
    ax,
    alt="Two falling curves. With exponent 1 the cost falls faster; after 40 iterations both are nearly flat.",
    dpi=80,
)

# %%
figure = plot.nmf_factors(whole)
figure.set_size_inches(10, 7)
alt = "Combs and a pitch line over time; smooth filters and when they act; spectra of the rest and when they sound."
show(figure, alt=alt, dpi=60)

# %% [markdown]
# ### The panel: watch it learn
#
# Move the iteration, and choose which part of the model to see. When does the melody appear in
# `H_F0`? Does the accompaniment come
# before or after it? What is left in the residual at the end?

# %%
panel = sfnmf_panel(V, snapshots, reference=song.melody, exponent=0.5)
panel

# %%
# one sensible setting, for paper: after twelve iterations the line is there, with an octave above
# it
figure = panel.draw(iteration=12)
show(
    figure,
    alt="H_F0 after 12 iterations: a bright line where the melody is, with fainter copies an octave away.",
    dpi=60,
)

# %% [markdown]
# ## 5. Salience: which pitch stands out?
#
# **Claim.** $H^{F_0}$ is a better picture of the melody than a spectrogram with the same pitch
# axis, because it has already taken
# the partials together and the accompaniment away. This is the comparison on the poster of Basaran,
# Essid and Peeters. The
# constant-Q transform (CQT) has the same 301 rows.

# %%
cqt = features.cqt(song)
pictures = {
    "CQT": records.Salience(cqt.values[0], cqt.freqs_hz, cqt.times_s),
    "H_F0": records.Salience(whole.H_F0 / whole.H_F0.sum(axis=0), pitches_hz, times_s),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
for ax, (name, picture) in zip(axes, pictures.items()):
    plot.salience_map(picture, ax=ax, colorbar=False, exponent=0.5).set_title(name)
plot.melody_line(song.melody, ax=axes[2]).set_title("the truth")
axes[0].set_ylim(pitches_hz[[0, -1]])
alt = "CQT, H_F0 and true melody: the CQT is full of chords and bass; the brightest line of H_F0 is the melody."
show(figure, alt=alt, dpi=80)

# %% [markdown]
# Take the brightest row of every frame, and count: **RPA** is the share of sung frames with the
# right pitch (within half a
# semitone), **RCA** forgives octaves. And because the model starts from noise, run it again from
# another seed.

# %%
brightest = {
    name: ml.score_melody(decode.peak(picture), song.melody) for name, picture in pictures.items()
}
for name, score in brightest.items():
    print(f"{name:>5}: RPA {score['RPA']:.2f}  RCA {score['RCA']:.2f}")
assert brightest["H_F0"]["RPA"] > brightest["CQT"]["RPA"] + 0.3, (
    "taking partials together finds the melody"
)

other = sfnmf.factorise(V, settings, seed=1)
sung = song.melody.resampled(times_s).voiced
rows_apart = np.abs(whole.H_F0.argmax(axis=0) - other.H_F0.argmax(axis=0))[sung]
print(
    f"two seeds choose the same row, or its neighbour, in {np.mean(rows_apart <= 1):.0%} of the sung frames"
)

# %% [markdown]
# A song made by a program is an easy patient. The same comparison on real music, the brightest row
# each time:
#
# | | CQT: RPA | CQT: RCA | $H^{F_0}$: RPA | $H^{F_0}$: RCA |
# |---|---|---|---|---|
# | seven development songs, measured with this library (seed 0) | 0.111 | 0.299 | 0.481 | 0.553 |
# | MedleyDB, as published | 0.210 | 0.411 | 0.538 | 0.648 |
#
# *Question:* RCA exceeds RPA in every cell. Which kind of mistake is the difference?
#
# **From frames to a line.** Alone, each frame may slip an octave. But a melody moves in small
# steps, so `decode.viterbi` looks for
# the path with the largest product of salience and of moving little:
#
# $$\max_{k_1 \dots k_N} \sum_n \log s_{k_n n} - c \sum_n |k_n - k_{n-1}|$$
#
# draws it again with less weight far from where the first line ran (a voice keeps its register),
# and then decides, phrase by
# phrase, whether anything is sung. `ml.salience` prepares $H^{F_0}$ for that: it weighs each pitch
# by
# the power that comes through the filter, prefers the usual range of a melody, and adds evidence
# for "nothing is sung".
#
# **Listen** with headphones, below the picture: the song on the left, a tone that follows the
# decoded melody on the right. Where do
# they part?

# %%
salience = ml.salience(song, "sfnmf")
melody = decode.viterbi(salience)
for name, estimate in {"peak": decode.peak(salience), "viterbi": melody}.items():
    print(
        f"{name:>8}",
        {key: round(value, 2) for key, value in ml.score_melody(estimate, song.melody).items()},
    )
figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
plot.salience_map(
    salience, melody=melody, reference=song.melody, ax=top, colorbar=False, exponent=0.5
)
plot.error_map(melody, song.melody, evaluate.frame_errors(estimate=melody, reference=song.melody), ax=bottom)
show(
    figure,
    alt="Top: salience with the decoded line on the true one. Bottom: every frame marked right or wrong.",
    dpi=80,
)

# %%
sonify.player(
    sonify.check_mix(song, melody), song.sr, seconds=4.5, title="song left, decoded melody right"
)

# %% [markdown]
# ## 6. Two stems
#
# **Claim.** Once the melody is known, the same model takes the song apart. Run it a second time,
# with $H^{F_0}$ set to zero except
# within two rows (40 cents) of the melody. You saw in part 1 what happens to zeros.

# %%
path = settings.grid.nearest_bin(melody.resampled(times_s).sung_hz)  # -1 where nothing is sung
near = (np.abs(np.arange(301)[:, None] - path) <= 2) & (path >= 0)  # (301, frames)
second = sfnmf.factorise(V, settings, start=start | {"H_F0": start["H_F0"] * near})
assert np.all(second.H_F0[~near] == 0), "zeros stay zero, forty iterations long"

# %% [markdown]
# Each cell of the spectrogram is now shared out. The lead gets the share that the model says is its
# own, and the backing track
# gets exactly the rest (a Wiener filter; the phase is the mixture's):
#
# $$M = \frac{S^{F_0} \odot S^\Phi}{\hat V}, \qquad \hat X_\text{lead} = M \odot X, \qquad
#   \text{backing} = \text{song} - \text{lead}$$
#
# Look at the mask, then **listen**, both at one gain. Sing along with the backing track.

# %%
mask = second.lead() / second.model()
lead = stft.istft(
    X * mask, window=settings.window, hop_samples=settings.hop_samples, samples=len(song.mono)
)
library = ml.separate(song, "sfnmf", melody=melody, settings=settings, unvoiced=False)
assert np.corrcoef(lead, library["melody"][0])[0, 1] > 0.9, "the library goes the same way"
assert np.abs(library["melody"] + library["accompaniment"] - song.audio).max() < 1e-6, (
    "lead + backing = song"
)

# %%
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
drawn = ax.pcolorfast(
    times_s[[0, -1]], freqs_hz[[0, 186]], mask[:187], cmap="magma", vmin=0, vmax=1
)
figure.colorbar(drawn, label="share of the lead")
ax.set(xlabel="Time (s)", ylabel="Frequency (Hz)", title="The mask")
show(
    figure,
    alt="The mask: bright wavy parallel lines, the partials of the voice; black where nothing is sung.",
    dpi=75,
)

# %%
sonify.players({"lead": library["melody"], "backing": library["accompaniment"]}, song.sr, seconds=3)


# %% [markdown]
# In decibels: SDR compares what we got with the true stem (higher is better; the mix itself is the
# floor). The last column switches
# on a white spectrum beside the combs in sung frames, for breath and consonants (Durrieu's
# "unvoiced" extension).

# %%
def sdr_db(estimate):
    return evaluate.bss_eval_sdr(reference=song.stems["melody"], estimate=estimate)[0]


print(f"the mix itself         {sdr_db(song.audio):5.1f} dB")
for name, line in {"decoded": melody, "true": song.melody}.items():
    tried = [
        sdr_db(ml.separate(song, "sfnmf", melody=line, unvoiced=unvoiced)["melody"])
        for unvoiced in (False, True)
    ]
    print(f"led by the {name:>7} melody {tried[0]:5.1f} dB, with white spectrum {tried[1]:5.1f} dB")


# %% [markdown]
# The melody decides: a wrong note in the line is a wrong sound in the lead, and the true note stays
# in the backing track. The white
# spectrum can help or harm, for it also lets cymbals in; listen before you believe a tenth of a
# decibel.
#
# ## Honest limits
#
# - **It starts from noise.** Two seeds end in different places: with the published system on a real
# song they agree on about 0.76
#   of the sung frames. Report a seed with every number, or a mean over several.
# - **Octaves.** Every second tooth of a comb is the comb an octave higher. The difference between
# RCA and RPA above is mostly this.
# - **Any comb will do.** A loud guitar, a bass, a second singer have combs too; the model calls the
# strongest smooth comb "lead".
# - **Steady tones.** A note that never moves is one spectrum that comes and goes, which is just
# what $W^B H^B$ is for. A test tone
#   without vibrato ends in the accompaniment.
# - **Drums.** Where they are loud, the filter and the source wander, and a little of the voice
# lands in the forty free spectra.
# - **Voicing is a guess** from the lead's level in this song. Our constants for it, for the
# preferred range and for the line were
#   chosen on seven development songs; the paper takes $H^{F_0}$ as it is.
# - **One song at a time.** Nothing is learned for the next one. Basaran and colleagues feed
# $H^{F_0}$ to a network that does learn.
#
# ## Exercises
#
# **a)** Write the update of $H^B$. Derive it like the one of $H^{F_0}$: how does $\hat V$ depend on
# $H^B$? ($\omega = 1$.)

# %% tags=["exercise"]
def update_H_B(V, V_hat, W_B, H_B):
    return ...


checks.check_02_a(update_H_B)


# %% tags=["solution"]
def update_H_B(V, V_hat, W_B, H_B):
    # V_hat depends on H_B through W_B alone, no filter in between
    return H_B * (W_B.T @ (V / V_hat**2)) / (W_B.T @ (1 / V_hat))


checks.check_02_a(update_H_B)

# %% [markdown]
# **b)** Starve and flood the accompaniment. Factorise `V4` below with 1, 40 and 160 accompaniment
# parts, seed 0 (the settings:
# `replace(settings, n_accompaniment=...)`), take the brightest row of $H^{F_0}$ and give the three
# raw pitch accuracies. Guess
# first: which one loses the lead, and why?

# %%
four = ml.demo_song(seed=1, seconds=6).excerpt(2, 6)
V4 = np.abs(stft.stft(four.mono, window=settings.window, hop_samples=settings.hop_samples)) ** 2
times4_s = grids.frame_times_s(V4.shape[1], settings.hop_samples, settings.sr)

# %% tags=["exercise"]
accuracy = ...  # {1: ..., 40: ..., 160: ...}
checks.check_02_b(accuracy, V4, four.melody)

# %% tags=["solution"]
accuracy = {}
for parts in (1, 40, 160):
    H_F0 = sfnmf.factorise(V4, replace(settings, n_accompaniment=parts), seed=0).H_F0
    accuracy[parts] = ml.score_melody(
        decode.peak(records.Salience(H_F0, pitches_hz, times4_s)), four.melody
    )["RPA"]
print({parts: round(value, 2) for parts, value in accuracy.items()})
checks.check_02_b(accuracy, V4, four.melody)

# %% [markdown]
# **c)** Somebody computed this $H^{F_0}$ with a dictionary that starts at another frequency, and
# labelled its rows from 55 Hz all
# the same. Find the frequency in Hz at which the dictionary really began. (Tuning is the same
# disease in small: for an orchestra
# at A4 = 442 Hz the grid should begin at 55.25 Hz.)

# %%
puzzle, truth = checks.puzzle_02_c()
figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
plot.salience_map(puzzle, reference=truth, ax=ax, colorbar=False, exponent=0.5).set_ylim(80, 320)
show(
    figure,
    alt="A bright line has the shape of the true melody, but runs below it at a constant distance.",
    dpi=80,
)

# %% tags=["exercise"]
fmin_hz = ...
checks.check_02_c(fmin_hz)

# %% tags=["solution"]
claimed = decode.peak(puzzle)
too_low_cents = np.nanmedian(grids.offset_cents(truth.f0_hz, claimed.f0_hz))
fmin_hz = 55 * 2 ** (too_low_cents / 1200)
print(f"{too_low_cents:.0f} cents too low: the grid began at {fmin_hz:.2f} Hz")
checks.check_02_c(fmin_hz)

# %% [markdown]
# ## Do you remember?
#
# 1. Why can a multiplicative update never make an entry negative, and never revive a zero?
# 2. What happens to the Itakura-Saito cost if song and model are both turned down by 40 dB?
# 3. Why is the row with the largest *value* in a column of $W^{F_0}$ not at its pitch?
# 4. Which of the seven matrices are built, which are estimated, and which one is the salience?
# 5. RPA 0.48, RCA 0.55: what do you know about the mistakes?
#
# ## Sources
#
# - J.-L. Durrieu, G. Richard, B. David, C. Févotte: *Source/filter model for unsupervised main
# melody extraction from polyphonic
# audio signals*, IEEE TASLP 2010. J.-L. Durrieu, B. David, G. Richard: *A musically motivated
# mid-level representation for pitch
# estimation and musical audio source separation*, IEEE JSTSP 2011. The model, the updates and the
# separation.
# - D. Basaran, S. Essid, G. Peeters: *Main melody extraction with source-filter NMF and CRNN*,
# ISMIR 2018. Parameters, and the
#   comparison with the CQT.
# - D. Lee, S. Seung: *Algorithms for non-negative matrix factorization*, NIPS 2001. C. Févotte, N.
# Bertin, J.-L. Durrieu:
# *Nonnegative matrix factorization with the Itakura-Saito divergence*, Neural Computation 2009. C.
# Févotte, J. Idier: *Algorithms
# for nonnegative matrix factorization with the beta-divergence*, Neural Computation 2011 (why
# $\omega = 1/2$ never rises).
# - D. Klatt, L. Klatt, JASA 1990: the glottal pulse. G. Peterson, H. Barney, JASA 1952: the vowels.

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
# # 06 · Masks: the melody's share of every cell
#
# A student report (Sheehan) set out to make backing tracks: a U-Net draws a mask on a mel
# spectrogram, the mask takes the melody
# out. Its author ends by saying that this way does not suffice, which one rarely reads. We follow
# it to where it fails, repair it step by
# step, and end with your own backing track. At the end of this notebook you will be able to
#
# - write down the best possible mask of a toy song, and say what even the best mask cannot do;
# - hear what becomes of a sound whose phase was thrown away, and why powers do not add up;
# - look into a U-Net: what its skips carry, what its bottom knows, what its gate is for, and what
# it does with a melody that you
#   tell it.
#
# It explains the modules `models.unet` and `separation`. You need 90 minutes, and to know what a
# spectrogram is.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import contextlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import melodylab as ml
from melodylab import evaluate, explain, models, plot, separation, sonify
from melodylab.course import checks
from melodylab.course.panels import mixing_desk, show
from melodylab.dsp import features, stft
from melodylab.io import audio
from melodylab.models import inputs, run

# %% [markdown]
# ## Warm-up: take the singer out
#
# Nine seconds of a song that this package made, so that we own the singer and the band apart. First
# the song, then what our
# network makes of it: the melody, and the rest, all at one level. Which of the two sounds worse,
# and what exactly is wrong with
# it?

# %%
song = ml.demo_song(seed=2, seconds=12, lead_db=-1).excerpt(1.5, 10.5)
lead = song.stems["melody"]  # (1 channel, samples), the truth
band = ml.Song.from_array(song.audio - lead, song.sr, name="without melody")
stems = ml.separate(song, "unet")
assert np.abs(stems["melody"] + stems["accompaniment"] - song.audio).max() < 1e-6, (
    "nothing is lost, nothing is added"
)
sonify.players({"song": song.mono, **stems}, song.sr, start_s=1, seconds=4)


# %%
def sdr_db(estimate, truth=lead):
    """Higher is better: what is like the truth against what is not."""
    return float(evaluate.bss_eval_sdr(reference=truth, estimate=np.reshape(estimate, truth.shape))[0])


print(
    f"melody {sdr_db(stems['melody']):.1f} dB, accompaniment {sdr_db(stems['accompaniment'], band.audio):.1f} dB; "
    f"the song itself, taken for the melody: {sdr_db(song.audio):.1f} dB"
)

# %% [markdown]
# ## 1. A mask is a table of shares
#
# **Claim.** A spectrogram has a number for every frequency and moment; a mask has a *share* for
# each of them, between 0 and 1.
# Multiply, and what is left is one source. A toy of two frequencies and three moments; the
# magnitudes of the lead and the rest:

# %%
toy_lead = np.array([[3.0, 4.0, 0.0], [0.0, 1.0, 0.0]])  # (2 frequencies, 3 moments)
toy_rest = np.array([[1.0, 0.0, 2.0], [2.0, 1.0, 0.0]])
ratio = toy_lead / np.maximum(
    toy_lead + toy_rest, 1e-12
)  # the ideal ratio mask; silence belongs to nobody
assert np.allclose(ratio, [[0.75, 1, 0], [0, 0.5, 0]])
binary = (toy_lead > toy_rest).astype(float)  # the ideal binary mask: who is louder takes all
toy_song = toy_lead + toy_rest  # a world in which magnitudes add
assert np.allclose(ratio * toy_song, toy_lead), "the ratio mask gets everything back"
print("binary mask, error in each cell:\n", binary * toy_song - toy_lead)

# %% [markdown]
# The binary mask is wrong wherever both sound at once. The ratio mask is perfect, *in a world in
# which magnitudes add*. Ours is
# another one: two tones of the same frequency meet with a **phase** between them. A lead of 3 and a
# rest of 4:

# %%
for degrees in (0, 60, 90, 120, 180):
    met = 3 + 4 * np.exp(1j * np.radians(degrees))
    best = (3 * met.conjugate()).real / abs(met) ** 2
    print(
        f"{degrees:3d} degrees: magnitude {abs(met):.2f}, power {abs(met) ** 2:5.2f}; "
        f"share for a magnitude of 3: {3 / abs(met):.2f}, share with the smallest error: {best:5.2f}"
    )
assert np.isclose(abs(3 + 4j) ** 2, 3**2 + 4**2), "powers add at a right angle, and nowhere else"

# %% [markdown]
# $$|a+b|^2 = |a|^2 + |b|^2 + 2\,|a||b|\cos\varphi$$
#
# The last term averages out over many cells, never in one. At 180 degrees the mixture is *softer*
# than the lead alone; the right
# magnitude takes a share of 3, and even that has the wrong sign. Which real number $m$ brings $mX$
# nearest to the lead $L$? Set
# the derivative of $|L - mX|^2$ to zero: $m = \mathrm{Re}(L X^*) / |X|^2$, which may be negative or
# above 1. Cut to 0..1 it is
# the best that *any* mask can do, and it is not perfect. These masks for our song:

# %%
window, hop_samples = np.hanning(2049)[:-1].astype(np.float32), 512


def spectra(y):
    return stft.stft(
        np.ravel(y), window=window, hop_samples=hop_samples
    )  # (1025 frequencies, frames), complex


def sound(X):
    return stft.istft(
        X.astype(np.complex64), window=window, hop_samples=hop_samples, samples=song.audio.shape[1]
    )


X, L, R = spectra(song.audio), spectra(lead), spectra(band.audio)
ideal = {
    "ratio": np.abs(L) / np.maximum(np.abs(L) + np.abs(R), 1e-12),
    "power ratio": np.abs(L) ** 2 / np.maximum(np.abs(L) ** 2 + np.abs(R) ** 2, 1e-24),
    "binary": (np.abs(L) > np.abs(R)).astype(float),
    "best": np.clip((L * X.conj()).real / np.maximum(np.abs(X) ** 2, 1e-24), 0, 1),
}
apart = np.abs(np.log10(np.abs(X) ** 2 / (np.abs(L) ** 2 + np.abs(R) ** 2 + 1e-20) + 1e-20)) > 0.3
both = (np.abs(L) > 0.01 * np.abs(L).max()) & (np.abs(R) > 0.01 * np.abs(R).max())
print(
    f"where both are loud, powers do not add, by more than 3 dB, in {apart[both].mean():.0%} of the cells"
)

# %%
axes_of = {
    "freqs_hz": np.arange(1025) * song.sr / 2048,
    "times_s": np.arange(X.shape[1]) * hop_samples / song.sr,
}
figure, axes = plt.subplots(1, 2, figsize=(6.4, 1.9), sharey=True, layout="constrained")
for ax, name in zip(axes, ("ratio", "binary")):
    plot.mask_map(ml.Mask(ideal[name], **axes_of), ax=ax, fmax_hz=2500, colorbar=False).set_title(
        name
    )
    ax.label_outer()
show(
    figure,
    alt="Two ideal masks: wavy lines, the partials of the voice; with soft edges, and in black and white.",
    dpi=65,
)
for name, mask in ideal.items():
    print(f"{name:>12} mask: SDR {sdr_db(sound(mask * X)):.1f} dB")

# %% [markdown]
# These masks know the answer, and still they stop somewhere: an **upper bound** for every network
# that draws a mask. Papers take
# the ratio mask for it. On seven real songs (the first 20 s, at 22.05 kHz) that one reaches 13.8 dB
# for the lead and 16.9 dB for
# the accompaniment; on 128 mel bands, where a share is one number for a whole band, 12.2 and 15.3
# dB.
#
# *Question:* the power ratio mask is the sharper of the two soft ones. Why? (What does squaring do
# to 3 and 1?)
#
# ## 2. Phase: the half that nobody draws
#
# **Claim.** A spectrogram shows magnitudes; a sound is made of magnitudes *and* phases. From the
# ideal mask we have magnitudes
# for the lead. Which phases shall they get? Those of the mixture, which we have; the true ones,
# which we do not; none (zero); or
# ones that the Griffin-Lim algorithm guesses, by going to and fro between sound and spectrum until
# both agree.

# %%
magnitudes = ideal["ratio"] * np.abs(X)
samples = song.audio.shape[1]
guessed = stft.griffin_lim(magnitudes, window=window, hop_samples=hop_samples, samples=samples)
phased = {
    "mixture": sound(magnitudes * np.exp(1j * np.angle(X))),
    "true": sound(magnitudes * np.exp(1j * np.angle(L))),
    "zero": sound(magnitudes),
    "Griffin-Lim": guessed,
}
for name, y in phased.items():
    print(
        f"{name:>12} phases: SDR {sdr_db(y):5.1f} dB, SI-SDR {evaluate.si_sdr(reference=lead[0], estimate=y):5.1f} dB"
    )

# %%
strongest = int(np.argmax(np.convolve(lead[0] ** 2, np.ones(2000), "same")))
shown = slice(strongest, strongest + round(0.02 * song.sr))
figure, axes = plt.subplots(4, 1, figsize=(6.5, 3), sharex=True, sharey=True, layout="constrained")
for ax, (name, y) in zip(axes, phased.items()):
    ax.plot(
        np.arange(shown.start, shown.stop) / song.sr,
        lead[0, shown],
        color="0.7",
        linewidth=4,
        label="the lead",
    )
    ax.plot(
        np.arange(shown.start, shown.stop) / song.sr,
        y[shown],
        color="C0",
        linewidth=1.2,
        label="estimate",
    )
    ax.set_ylabel(name, rotation=0, ha="right", va="center")
    ax.set_yticks([])
axes[0].legend(loc="upper right", fontsize="small")
axes[-1].set_xlabel("Time (s)")
show(
    figure,
    alt="20 ms of the lead, and upon it four estimates: mixture and true phases lie on it, the others do not.",
    dpi=65,
)

# %%
sonify.player(
    phased["Griffin-Lim"],
    song.sr,
    start_s=1,
    seconds=4,
    title="the ideal magnitudes, phases by Griffin-Lim",
)

# %% [markdown]
# Griffin-Lim sounds far better than its number says: it found *a* sound with these magnitudes, only
# not this one, and the SDR
# compares wave with wave. But there is a place where it matters. Take the lead out of the song,
# sample by sample, and see what is
# left:

# %%
for name, y in phased.items():
    print(
        f"song minus lead with {name:>12} phases: accompaniment {sdr_db(song.audio - y, band.audio):5.1f} dB"
    )
assert np.allclose(phased["mixture"] + sound((1 - ideal["ratio"]) * X), song.mono, atol=1e-5), (
    "mask and complement: the song"
)

# %% [markdown]
# **The exact rest.** With the mixture's phases, what mask $M$ takes and what its complement takes
# sum to the song, because $MX +
# (1-M)X = X$ and going back to sound is linear. So our accompaniment is simply *song minus lead*. A
# mistake of the mask moves
# sound from one stem to the other; none is invented, and none is lost.
#
# *Change something:* 32 iterations of Griffin-Lim become 4, or 200 (`iterations=`). What does the
# ear say, what does the number?
#
# ## 3. The report, as written
#
# The way of the report, in its order, and what it leaves open:
#
# | step | what it says | what is open, or costs |
# |---|---|---|
# | hear | 44.1 kHz to 16 kHz, said to add precision; mel, 2 channels | above 8 kHz all is gone;
# window, bands? (400, 128) |
# | network | U-Net, 1,024 channels at the bottom | channels grow by 2 a level: it must be *times* 2
# |
# | mask | **ReLU** at the end, times the mixture | 0 to *anything*: a share of 3 is possible,
# everywhere |
# | learn | mean squared error | of the mask, or of the product? (We: the product, in multiples of
# the song's mean) |
# | rest | mixture minus melody | of mel **powers**, which do not add; below zero where the mask
# exceeds 1 |
# | sound | InverseMel, then Griffin-Lim | 201 unknowns from 128 numbers; the mixture's phases are
# there, and thrown away |
#
# **How much does the way back cost, with a perfect network?** We give it the true mask of the
# powers.

# %%
sources = {"song": song, "band": band, "lead": ml.Song.from_array(lead, song.sr)}
heard = {name: features.stereo_mel(source) for name, source in sources.items()}
perfect = heard["lead"].values / np.maximum(heard["lead"].values + heard["band"].values, 1e-12)
by_report = separation.by_mel_inversion(song, perfect)
mel_mask = ml.Mask(perfect[0], heard["song"].freqs_hz, heard["song"].times_s)
by_share = separation.lead_by_mask(song, mel_mask)
for name, y in {
    "InverseMel and Griffin-Lim": by_report["melody"],
    "the same mask on the song's own spectra": by_share,
}.items():
    print(f"{name:>40}: SDR {sdr_db(y):5.1f} dB")
missing = song.audio - by_report["melody"] - by_report["accompaniment"]
missing_db = 10 * np.log10(np.sum(missing**2) / np.sum(song.audio**2))
print(
    f"song minus both stems: {missing_db:+.1f} dB of the song's power; of our stems nothing would be left"
)
sonify.player(
    by_report["melody"],
    song.sr,
    start_s=1,
    seconds=4,
    title="the true mask, InverseMel and Griffin-Lim",
)

# %% [markdown]
# Same mask, same knowledge; the first throws the sound away and draws it anew. **Which of its two
# steps hurts?** The inversion is
# ill-posed: 128 triangles on 201 bins. But look where. The true lead goes into bands and comes
# back, and we compare magnitudes:

# %%
triangles = features.htk_triangles()  # (128 bands, 201 bins)
empty, rank = int(np.sum(~triangles.any(axis=1))), int(np.linalg.matrix_rank(triangles))
print(
    f"{triangles.shape[1]} unknown bins, {triangles.shape[0]} bands, {empty} of them empty, between two bins: {rank} equations"
)
short_window = np.hanning(401)[:-1].astype(np.float32)


def at_16_khz(y):
    return stft.stft(
        stft.resample(np.ravel(y), song.sr, 16000), window=short_window, hop_samples=200
    )


true, mixed = at_16_khz(lead), at_16_khz(song.audio)
inverted = features.mel_to_magnitudes(triangles @ np.abs(true) ** 2)
bins_hz, tips_hz = np.arange(201) * 40, heard["lead"].freqs_hz
for low_hz, high_hz in ((0, 1000), (1000, 2000), (2000, 4000), (4000, 8001)):
    k = (bins_hz >= low_hz) & (bins_hz < high_hz)
    wrong = np.sum((inverted[k] - np.abs(true[k])) ** 2) / np.sum(np.abs(true[k]) ** 2)
    bands = np.sum((tips_hz >= low_hz) & (tips_hz < high_hz))
    wrong_db, share = 10 * np.log10(wrong), np.sum(np.abs(true[k]) ** 2) / np.sum(np.abs(true) ** 2)
    print(
        f"from {low_hz:4d} Hz: {k.sum():3d} bins, {bands:2d} bands, error {wrong_db:5.1f} dB, {share:3.0%} of all power"
    )


# %% [markdown]
# Below 2 kHz there is about a band for every bin, and the inversion is harmless; above, two or
# three bins share a band, and there
# a voice has little power. So the magnitudes survive. Now the phases, for true magnitudes and for
# inverted ones:

# %%
def from_16_khz(magnitudes, phases_of=None):
    options = {
        "window": short_window,
        "hop_samples": 200,
        "samples": -(-samples * 16000 // song.sr),
    }
    if phases_of is None:
        y = stft.griffin_lim(magnitudes, **options)
    else:
        y = stft.istft(
            (magnitudes * np.exp(1j * np.angle(phases_of))).astype(np.complex64), **options
        )
    return stft.resample(y, 16000, song.sr)[:samples]


for name, phases_of in {"true": true, "the mixture's": mixed, "Griffin-Lim's": None}.items():
    scores = [sdr_db(from_16_khz(magnitudes, phases_of)) for magnitudes in (np.abs(true), inverted)]
    print(
        f"{name:>14} phases: SDR {scores[0]:5.1f} dB with true magnitudes, {scores[1]:5.1f} dB with inverted ones"
    )

# %% [markdown]
# Of two suspects the famous one is innocent. What costs is that the phases were thrown away
# although the mixture's were at hand.
#
# ### Its Figure 2: where it works
#
# We built the network as read above, at an eighth of its width so that a laptop could train it, and
# taught it as the report says:
# stochastic gradient descent, mean squared error, songs with melody only. Mixture, estimate, truth:

# %%
theirs, ours = ml.load_model("unet-mel"), ml.load_model("unet")
front = inputs.FRONT_ENDS["mel"]


def report_mask(s):
    """Its mask, without any bound: (2, 128 bands, time)."""
    return run.logits(theirs, front(s))


def mel_picture(values, like):
    return ml.Features(np.maximum(values, 0), like.freqs_hz, like.times_s, "mel")


def mels(pictures, loudest, titles):
    figure, axes = plt.subplots(
        1, len(pictures), figsize=(7.4, 1.9), sharey=True, layout="constrained"
    )
    for ax, picture, title in zip(axes, pictures, titles):
        plot.spectrogram(
            picture, ax=ax, scale="rows", fmax_hz=2000, loudest=loudest, db_range=45, colorbar=False
        )
        ax.set_title(title, fontsize="medium")
        ax.label_outer()
    return figure


mask = {s: report_mask(x) for s, x in {"song": song, "band": band}.items()}
loudest = heard["song"].values.max()
estimate = mel_picture(mask["song"] * heard["song"].values, heard["song"])
figure = mels(
    [heard["song"], estimate, heard["lead"]],
    loudest,
    ["mixture", "estimate of the melody", "the melody"],
)
show(
    figure,
    alt="Three mel spectrograms: the song, the report's estimate of its melody, and the melody.",
    dpi=65,
)
print(
    f"nothing bounds its mask; here it goes up to {mask['song'].max():.2f}, above 1 in {np.mean(mask['song'] > 1):.1%} of cells"
)

# %% [markdown]
# ### Its Figure 3: where it fails
#
# Where a track has no melody, the report tells, its network does not notice: the loudest of the
# background becomes the melody. With
# the true stem we take the singer out of our song, and ask again. Left what there is to hear, in
# the middle what the report's
# network calls melody, right what ours does, seen through the same mel bands on the same scale.

# %%
picture = {
    name: inputs.FRONT_ENDS["spectra"](s) for name, s in {"song": song, "band": band}.items()
}
asked = {name: run.mask(ours, p) for name, p in picture.items()}  # (mask, gate)
called_melody = {
    "the report's": separation.by_mel_inversion(band, mask["band"])["melody"],
    "ours without gate": separation.lead_by_mask(band, asked["band"][0]),
    "ours": separation.lead_by_mask(band, *asked["band"]),
}
repaired = features.stereo_mel(ml.Song.from_array(called_melody["ours"], song.sr))
estimate = mel_picture(mask["band"] * heard["band"].values, heard["band"])
titles = ["a song without melody", "the report calls this melody", "we call this melody"]
figure = mels([heard["band"], estimate, repaired], loudest, titles)
show(
    figure,
    alt="Mel spectrograms: the band alone; what the report's network calls its melody; and what ours does.",
    dpi=65,
)


# %%
def level_db(y, against):
    return 10 * np.log10(max(np.sum(y**2), 1e-12) / np.sum(against**2))


def verdict(holds, claim):
    print(f"{'confirmed' if holds else 'NOT confirmed':>14}: {claim}")


taken_db = {name: level_db(y, band.audio) for name, y in called_melody.items()}
print(
    "taken for the melody of a song without one, in dB of its power:",
    {name: f"{db:.1f}" for name, db in taken_db.items()},
)
verdict(
    taken_db["the report's"] > -20, "it takes more than a hundredth of a song that has no melody"
)
verdict(taken_db["ours"] < taken_db["the report's"] - 10, "ours takes less than a tenth of that")
decided = np.mean((mask["band"] < 0.1) | (mask["band"] > 0.9))
verdict(
    decided > 0.9,
    f"it looks like a binary mask, as the report says ({decided:.0%} of its cells are near 0 or 1)",
)
sonify.players(
    {name: called_melody[name] for name in ("the report's", "ours")}, song.sr, start_s=1, seconds=4
)

# %% [markdown]
# Our copy fails more gently than the original: it passes on a share of everything rather than all
# of some cells. But it cannot be
# silent, for nothing that it learned from ever was. Four repairs lie between the pictures in the
# middle and on the right. A
# **bounded share** (a sigmoid) cannot pass on more than there is. The **song's own spectra** stay,
# phases included, so no sound
# is invented. **Songs without melody** are among the examples: what was never seen cannot be
# learned. And a **gate** turns down
# what the network itself is unsure of (part 5). And with melody? Both ways, and the report's mask
# cut to 1 and laid on the song's
# own spectra:

# %%
separated = {
    "the report, its way back": separation.by_mel_inversion(song, mask["song"]),
    "the report, our way back": ml.separate(song, "unet-mel"),
    "ours": stems,
}
for name, s in separated.items():
    print(
        f"{name:>25}: melody {sdr_db(s['melody']):5.1f} dB, accompaniment {sdr_db(s['accompaniment'], band.audio):5.1f} dB"
    )
sonify.player(
    separated["the report, its way back"]["melody"],
    song.sr,
    start_s=1,
    seconds=4,
    title="the melody, all by the report",
)

# %% [markdown]
# The first line pays for its phases, too; the second asks what its mask is worth on a song from the
# same workshop as those it
# learned from. Part 9 has real songs.
#
# *Question:* the report's accompaniment is mixture minus melody, of mel powers. Where the mask is
# 1.5, what happens to that cell
# of the accompaniment, before and after cutting at zero?
#
# ## 4. Why stacked harmonics
#
# **Claim.** On a logarithmic axis the partials of *every* note lie at the same distances; on a mel
# axis they do not. So one small
# convolution can learn "there is something an octave above" once, for all notes, if the octave is
# moved beside the note. How many
# rows lie between a note and its second partial?

# %%
grid = ours.grid
for f0_hz in (110, 220, 440):
    in_mel = [int(np.argmin(np.abs(heard["song"].freqs_hz - h * f0_hz))) for h in (1, 2, 3)]
    in_log = [int(grid.nearest_bin(h * f0_hz)) for h in (1, 2, 3)]
    print(
        f"{f0_hz} Hz: partials 2 and 3 are {np.diff(in_mel)} mel bands apart, {np.diff(in_log)} log-frequency rows"
    )
    assert list(np.diff(in_log)) == [36, 21], "an octave, and a fifth"

# %%
figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.2), layout="constrained")
for ax, heard_by in zip(axes, (heard["song"], picture["song"])):
    plot.spectrogram(
        heard_by, ax=ax, scale="rows", melody=song.melody, harmonics=3, db_range=45, colorbar=False
    )
    ax.set_ylim(120, 2000)
    ax.get_legend().remove()
axes[0].set_title("what the report's network hears", fontsize="medium")
axes[1].set_title("what ours hears", fontsize="medium")
show(
    figure,
    dpi=65,
    alt="The song on mel bands and on log-frequency rows; melody and overtones as lines keep their distances on the right.",
)

# %% [markdown]
# The report hoped that mel would stand in for a harmonic input and doubts it at the end. Ours gets
# the log-frequency
# picture nine times, each moved down by a harmonic (0.5, 1, 2, 3, 4, 5, 6, 8, 10): in the row of a
# note stand all its partials.
# On the way out the move is undone: what the network found *at* a note is spread over 14 of its
# partials, where the mask is
# drawn.
#
# ## 5. Inside the U
#
# **Claim.** The way down trades *where* for *what*: fewer rows, more channels, longer memory. The
# way up needs both, so at
# each floor it gets the map from the way down beside what comes from below: the **skip**. Shapes
# first.

# %%
names = [
    "down1",
    "down2",
    "down3",
    "bottom",
    "gru",
    "up3",
    "up2",
    "up1",
    "partials",
    "cells",
    "share",
]
x = torch.from_numpy(picture["song"].values[None].copy())
with explain.taps(ours, names) as seen, torch.no_grad():
    ours(x)
for name in names:
    print(f"{name:>9}  {tuple(seen[name].shape)[1:]}")
assert seen["down1"].shape[1:3] == (24, 156) and seen["bottom"].shape[1:3] == (64, 13), (
    "fine and thin, coarse and deep"
)


# %%
def as_features(name, rows_hz):
    return ml.Features(seen[name][0].numpy(), rows_hz, picture["song"].times_s, name)


notes_hz = ml.models.harmonic_crnn.BINS.freqs_hz  # 156 rows, three to a semitone
coarse_hz = notes_hz.reshape(13, 12).mean(axis=1)


def likeness(name, rows_hz):
    """For each channel: how alike are its map and one of the notes sung (correlation)?"""
    sung_hz = song.melody.resampled(picture["song"].times_s).sung_hz
    sung = np.abs(np.log2(rows_hz[:, None] / np.nan_to_num(sung_hz, nan=1e-3))) < np.log2(
        rows_hz[1] / rows_hz[0]
    )
    return np.array(
        [
            np.corrcoef(sung.ravel(), layer.ravel())[0, 1] if layer.std() > 0 else 0
            for layer in seen[name][0].numpy()
        ]
    )


figure, axes = plt.subplots(1, 3, figsize=(7.4, 1.9), layout="constrained")
for ax, (name, rows_hz) in zip(
    axes, {"down1": notes_hz, "bottom": coarse_hz, "up1": notes_hz}.items()
):
    best = int(np.argmax(likeness(name, rows_hz)))
    plot.activation_map(as_features(name, rows_hz), channel=best, ax=ax, colorbar=False)
    ax.set_title(f"{name}, channel {best}: {likeness(name, rows_hz)[best]:.2f}", fontsize="medium")
    ax.label_outer()
show(
    figure,
    dpi=65,
    alt="The most melody-like channel of the skip, the bottom and the last block: fine but full, coarse, fine and clean.",
)


# %% [markdown]
# Even the most melody-like channel of the skip shows everything that has partials: it hears a few
# frames and a few rows. The
# bottom has 13 rows, four semitones each, and a GRU that heard the whole song. Now cut one of the
# two off before the last block
# on the way up:

# %%
@contextlib.contextmanager
def cut(part):
    """The last block of the way up without "the skip" or without "the floor below": zeros in its
    place.
    """
    n_below = ours.up1.conv1.in_channels - 24

    def silence(block, inputs):
        below, skip = inputs[0].split([n_below, 24], dim=1)
        return (torch.cat([below, 0 * skip] if part == "the skip" else [0 * below, skip], dim=1),)

    handle = ours.up1.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


halves = {"whole": asked["song"]}
for part in ("the skip", "the floor below"):
    with cut(part):
        halves[f"without {part}"] = run.mask(ours, picture["song"])
figure, axes = plt.subplots(1, 3, figsize=(7.4, 1.9), sharey=True, layout="constrained")
for ax, (name, (shares, gate)) in zip(axes, halves.items()):
    plot.mask_map(shares, ax=ax, colorbar=False).set(ylim=(150, 3000))
    ax.set_title(
        f"{name}:\n{sdr_db(separation.lead_by_mask(song, shares, gate)):.1f} dB", fontsize="medium"
    )
    ax.label_outer()
show(figure, alt="Masks: of the whole network; without the skip; without the floor below.", dpi=65)

# %% [markdown]
# Nothing was trained anew, so the cut network is in a situation that it does not know; the numbers
# say what it leans on, not what
# a network without skips could learn (notebook 05, part 10).
#
# **The report's proposal: attention gates** on the skips (Oktay 2018; the paper that the report
# names for them, Jansson 2017, has
# none). A weight between 0 and 1 for each cell of the skip, from what the skip shows and what the
# floor below asks for. By hand,
# one cell:

# %%
torch.manual_seed(0)
gated = models.create_model("unet", attention=True)  # untrained
gate = gated.attend[-1]
skip, below = torch.randn(1, 24, 1, 1), torch.randn(1, 32, 1, 1)
asks = (
    gate.skip.weight[:, :, 0, 0] @ skip[0, :, 0, 0]
    + gate.skip.bias
    + gate.below.weight[:, :, 0, 0] @ below[0, :, 0, 0]
).relu()
weight = torch.sigmoid(gate.weight.weight[0, :, 0, 0] @ asks + gate.weight.bias)
assert torch.allclose(gate(skip, below), weight * skip, atol=1e-6), (
    "one number for all 24 channels of the cell"
)
n_numbers = [sum(p.numel() for p in network.parameters()) for network in (ours, gated)]
print(
    f"{n_numbers[0]:,} numbers without the three gates, {n_numbers[1]:,} with them; untrained, this one says {weight.item():.2f}"
)

# %% [markdown]
# ### The gate
#
# Beside the shares the network answers a second question, once a frame, from what the GRU
# remembers: *is there a melody?* Once
# for the song, once for the song without melody; and below, what becomes of it when the mask is
# used.

# %%
figure, (above, below) = plt.subplots(
    2, 1, figsize=(7.4, 3), sharex=True, sharey=True, layout="constrained"
)
times_s = picture["song"].times_s
sung = song.melody.resampled(times_s).voiced
for ax in (above, below):
    ax.fill_between(times_s, 0, 1, where=sung, color="0.88", step="mid", label="sung in truth")
answers = {}
for name, style in (("song", "-"), ("band", "--")):
    answers[name] = explain.is_there_a_melody(ours, picture[name])
    label = "the song" if name == "song" else "without melody"
    above.plot(times_s, answers[name], style, label=label)
    below.plot(times_s, asked[name][1], style)
above.set(title="its answer, frame by frame", ylim=(-0.03, 1.03), xlim=times_s[[0, -1]])
below.set(title="the gate that the mask goes through", xlabel="Time (s)")
above.legend(loc="center left", bbox_to_anchor=(1, 0.3))
show(
    figure,
    alt="Above, the answer is high where the singer sings and stays low without melody; below, the gate.",
    dpi=65,
)
parts = {
    "sung frames": answers["song"][sung],
    "the others": answers["song"][~sung],
    "no melody": answers["band"],
}
for name, answer in parts.items():
    print(f"{name:>12}: mean answer {answer.mean():.2f}")

# %% [markdown]
# Why not multiply the mask by that answer? Because its mistakes are not soft: a missed note is a
# hole. On the seven real songs
# that cost 1 dB and more, and where nothing is sung the shares are small anyway. So the gate is a
# slow hand on a fader. It asks how
# *sure* the shares are in the minute around, for a network that finds no melody takes half a cell
# here and half a cell there;
# then it turns down, by 10 dB at most. Three ways, in decibels:

# %%
gates = {
    "no gate": {"song": None, "band": None},
    "the gate": {s: asked[s][1] for s in asked},
    "the answer as gate": answers,
}
for name, gate in gates.items():
    y, nothing = (
        separation.lead_by_mask(x, asked[s][0], gate[s])
        for s, x in (("song", song), ("band", band))
    )
    print(
        f"{name:>18}: melody {sdr_db(y):4.1f} dB; without melody {level_db(nothing, band.audio):6.1f} dB of the power comes out"
    )

# %% [markdown]
# ## 6. Tell it the melody
#
# **Claim.** Who knows the line has half the answer: it says *which* of the partials. Our network
# has two more inputs for it, zero
# if nothing is known: the partials of the line as bumps, and whether there is a melody (1 or -1).

# %%
told = ours.lead_picture(np.array([220.0, np.nan]))  # (2 channels, 312 rows, 2 frames)
rows = grid.nearest_bin(220.0 * np.arange(1, 6))
assert np.allclose(told[0, rows, 0], 1, atol=0.2) and not told[0, :, 1].any(), (
    "bumps at 220, 440, 660, 880, 1100 Hz, and none"
)
assert (told[1, :, 0] == 1).all() and (told[1, :, 1] == -1).all(), "a melody; no melody"


def transposed(melody, semitones):
    return ml.Melody(melody.times_s, melody.f0_hz * 2 ** (semitones / 12), melody.voicing)


lines = {
    "alone": None,
    "the true line": song.melody,
    "an octave up": transposed(song.melody, 12),
    "a fifth up": transposed(song.melody, 7),
    "found by “best”": ml.extract_melody(song, "best"),
}
led = {name: run.mask(ours, picture["song"], line) for name, line in lines.items()}
figure, axes = plt.subplots(1, 3, figsize=(7.4, 1.9), sharey=True, layout="constrained")
plot.mask_map(led["alone"][0], ax=axes[0], colorbar=False)
axes[0].set_title("alone", fontsize="medium")
for ax, name in zip(axes[1:], ("the true line", "a fifth up")):
    change = led[name][0].values - led["alone"][0].values
    plot.activation_map(
        ml.Features(change[None], led[name][0].freqs_hz, times_s, "change"), ax=ax, colorbar=False
    )
    ax.set_title(f"{name}: the change", fontsize="medium")
for ax in axes:
    ax.set(ylim=(150, 3000))
    ax.label_outer()
show(
    figure,
    alt="The mask without help; what the true line adds (red) and takes (blue); what a line a fifth up does.",
    dpi=65,
)
leads = {name: separation.lead_by_mask(song, *mask_and_gate) for name, mask_and_gate in led.items()}
for name, y in leads.items():
    print(
        f"{name:>16}: melody {sdr_db(y):5.1f} dB, accompaniment {sdr_db(song.audio - y, band.audio):5.1f} dB"
    )

# %% [markdown]
# Read this as an experiment. The line a fifth up is right about *when* and wrong about *what*: what
# it gains over "alone" is the
# worth of knowing when; what the true line gains beyond that is the worth of the pitch. An octave
# should lie between, for every
# partial of it is one of the note as well. Red at a wrong pitch costs little where hardly anything
# sounds: a share of nothing is
# nothing. *Question:* which partials of the lead would stay behind in the accompaniment, if the
# network believed the octave?

# %%
db = {name: sdr_db(y) for name, y in leads.items()}
verdict(db["the true line"] > db["alone"], "the true line helps")
verdict(db["a fifth up"] > db["alone"], "so does a line in the wrong key: it is right about when")
verdict(
    db["the true line"] > db["an octave up"] > db["a fifth up"],
    "the nearer the partials, the better",
)

# %% [markdown]
# ## 7. The mixing desk
#
# Two faders; the sharpness $p$ of the mask, whose shares stand as $m^p : (1-m)^p$; the gate, slow
# or frame by frame; and who
# leads. The network runs once for each leader. Find a setting in which you cannot hear the singer
# any more; then one in which you
# hear nothing but her. What does *binary* sound like, and what does a gate frame by frame do to the
# ends of the notes?

# %%
leaders = {f"by {name}": lines[name] for name in ("the true line", "a fifth up")}
desk = mixing_desk(song, ours, picture=picture["song"], melodies=leaders)
desk

# %%
# one setting, for paper: the singer off, the band as it is
figure = desk.draw(melody_db=-60)
figure.set_size_inches(6.6, 3.6)
show(
    figure,
    alt="Above the mask with its gate; below the spectrogram of what is heard without the singer.",
    dpi=60,
)

# %% [markdown]
# ## 8. Your own backing track
#
# Put a file beside this notebook (or upload it with the arrow above the file list) and write its
# name below; anything from WAV to
# MP3. Without one, the demo song serves. `lead_db` leaves a little of the melody, as a guide;
# `led_by_best` first looks for the
# melody with the best network of ours.

# %%
my_file = ""  # such as "my_song.mp3"
lead_db, led_by_best = -18, False

mine = ml.load_song(my_file) if my_file else song
parted = ml.separate(mine, "unet+best" if led_by_best else "unet")
backing = parted["accompaniment"] + 10 ** (lead_db / 20) * parted["melody"]
target = Path(f"{mine.name}-backing.wav")
audio.write(target, backing, mine.sr)
again = ml.load_song(target)
assert (again.sr, again.audio.shape) == (mine.sr, mine.audio.shape), (
    "the rate, the channels and the length of your song"
)
print(
    f"{target.name}: {again.duration_s:.1f} s, {again.sr} Hz, {again.channels} channel(s), 32-bit float"
)
if not my_file:
    target.unlink()  # nobody needs the demo's
sonify.player(backing, mine.sr, start_s=1, seconds=4, title="sing along")

# %% [markdown]
# ## 9. How good is it?
#
# Means over seven real songs that no network here was trained on (first 20 s, mono, 22.05 kHz; SDR
# of BSS Eval 3). *Without
# melody* is the part of the same songs' accompaniment that a method takes for melody, in dB of its
# power, for the worst of the
# seven songs; lower is better.

# %%
# (lead SDR, accompaniment SDR, without melody), in dB; -: not measured
rows = ml.weights.experiments()["development"]
methods = {
    "ideal mask": "ideal ratio mask on the spectrum",
    "ideal mel mask": "ideal ratio mask on 128 mel bands",
    "sfnmf (true melody)": "sfnmf, led by the true melody",
    "unet (true melody)": "unet, led by the true melody",
    "sfnmf+best": "sfnmf+best",
    "unet+best": "unet+best",
    "unet": "unet",
    "sfnmf": "sfnmf",
    "unet-mel": "unet-mel, mask cut to 1, mixture's phases",
    "unet-mel as written": "unet-mel as the report wrote it",
    "repet-sim": "REPET-SIM, which only looks for repetition",
    "mix": "the song itself",
}
print(f"{'':>42}  {'lead':>6} {'rest':>6} {'without melody':>15}")
for method, words in methods.items():
    told = [row for row in rows if row["method"] == method]
    mean = next(row for row in told if (row["task"], row["song"]) == ("separation", "mean"))
    worst = max((row["removed_db"] for row in told if "removed_db" in row), default=None)
    values = (mean["lead_sdr_db"], mean.get("accompaniment_sdr_db"), worst)
    cells = ["-" if value is None else f"{value:.1f}" for value in values]
    print(f"{words:>42}  {cells[0]:>6} {cells[1]:>6} {cells[2]:>15}")


# %% [markdown]
# Three things to read from it. Who is told the true melody gains 1.4 to 4.2 dB: to *find* the
# melody is still the larger half of taking
# it out. The factorisation learns from the song itself and gains more from a good melody than the
# network, which has its own opinion;
# averaging the leads of both gives 5.5 dB. And being led has a price: told a melody that is not
# there, both take it out.
# Behind the means stand songs as different as 15 dB (reggae, one singer) and -5 dB (two singers,
# where "the melody" is a matter of
# taste).
#
# ## Honest limits
#
# - **The bound.** A share in 0..1 and the mixture's phase: never more than the ideal mask of part
# 1, and a real voice has breath
#   and consonants, which are no partials at all.
# - **14 partials, 11 kHz.** What the network does not draw goes to the accompaniment: air, the
# upper ends of an "s".
# - **Synthetic songs.** It learned from songs that this package makes. Distorted guitars, choirs
# and reverb are where it errs
#   first; a second singer is a melody, too.
# - **The report's network** here has an eighth of its width, fewer songs than it had and other
# ones; its failure is milder than
# the original's, and of its design (nothing in the data or the loss tells it to be silent), its
# numbers are of our training.
# - **SDR** asks for the wave. Two separations with the same SDR may sound quite different;
# Griffin-Lim has shown you the
#   opposite.
# - **Rights.** A backing track of a recording is a copy of it. For practising at home fine; for the
# stage, ask.
#
# ## Exercises
#
# **a)** The fader `sharpness`: a function of a mask (any shape, 0..1) and `p` that returns shares
# in the ratio $m^p : (1-m)^p$.

# %% tags=["exercise"]
def sharper(mask, p):
    return ...


checks.check_06_a(sharper)


# %% tags=["solution"]
def sharper(mask, p):
    return mask**p / (mask**p + (1 - mask) ** p)


checks.check_06_a(sharper)

# %% [markdown]
# **b)** In the report's way a cell's mel *power* is shared out: 0.64 of it to the melody, the rest
# to the accompaniment. By which
# two factors is the *magnitude* of that cell multiplied, in the melody and in the accompaniment?
# (And what do they sum to?)

# %% tags=["exercise"]
factors = (..., ...)  # melody, accompaniment
checks.check_06_b(factors)

# %% tags=["solution"]
factors = (np.sqrt(0.64), np.sqrt(1 - 0.64))
checks.check_06_b(factors)

# %% [markdown]
# **c)** Somebody told the network the melody of `short` in another key. All you get is `puzzle`,
# the mask. By how many semitones
# was the line moved (below 0: down)?

# %%
short = song.excerpt(1, 4)
short_picture = inputs.FRONT_ENDS["spectra"](short)
puzzle = checks.puzzle_06_c(ours, short_picture, short.melody)
difference = np.abs(puzzle.values - run.mask(ours, short_picture, short.melody)[0].values).mean()
print(f"on average {difference:.3f} away from the mask of the true line")

# %% tags=["exercise"]
semitones = ...
checks.check_06_c(semitones, ours, short_picture, short.melody)

# %% tags=["solution"]
distances = {}
for n in range(-12, 13):
    shares, _ = run.mask(ours, short_picture, transposed(short.melody, n))
    distances[n] = np.abs(shares.values - puzzle.values).mean()
semitones = min(distances, key=distances.get)
checks.check_06_c(semitones, ours, short_picture, short.melody)

# %% [markdown]
# ## Do you remember?
#
# 1. At which phase between lead and rest would the right share be larger than 1?
# 2. Why do our two stems sum to the song whatever the mask says, and what does a mistake of the
# mask sound like?
# 3. Griffin-Lim: bad number, fair sound. When do you need the number?
# 4. A network was trained on songs with melody only. What does it do with a drum solo, and which
# two of the three repairs would
#    not change that?
# 5. What does a skip know that the bottom does not, and the other way round?
#
# ## Sources
#
# - D. Sheehan: *Predominant melody extraction using U-Net and mel spectrograms*, student report.
# The network of part 3, its
#   Figures 2 and 3.
# - O. Ronneberger, P. Fischer, T. Brox: *U-Net: convolutional networks for biomedical image
# segmentation*, MICCAI 2015.
# - A. Jansson, E. Humphrey, N. Montecchio, R. Bittner, A. Kumar, T. Weyde: *Singing voice
# separation with deep U-Net
#   convolutional networks*, ISMIR 2017.
# - G. Doras, P. Esling, G. Peeters: *On the use of U-Net for dominant melody estimation in
# polyphonic music*, MMRP 2019. Harmonic
#   CQT in.
# - D. Stoller, S. Ewert, S. Dixon: *Wave-U-Net*, ISMIR 2018. The accompaniment as the difference,
# on waves, where it is exact.
# - O. Oktay et al.: *Attention U-Net: learning where to look for the pancreas*, MIDL 2018.
# - D. Griffin, J. Lim: *Signal estimation from modified short-time Fourier transform*, IEEE TASSP
# 1984.
# - E. Vincent, R. Gribonval, C. Févotte: *Performance measurement in blind audio source
# separation*, IEEE TASLP 2006. The SDR.

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
# # 01 · Five ways to look at the same second
#
# After this notebook you can
#
# - predict which window separates two notes, and say what it costs in time,
# - say why a logarithmic frequency axis turns transposition into a shift, and overtones into a
# pattern that never changes,
# - choose between waveform, STFT, mel, CQT, HCQT and CFP for a task, and name what each of them
# throws away.
#
# It explains the modules `melodylab.features` and `melodylab.grids`. You need sines, logarithms and
# a little NumPy.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import librosa
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import melodylab as ml
from melodylab import plot, sonify
from melodylab.course import checks, panels
from melodylab.dsp import cfp, features, grids, stft

# %% [markdown]
# ## Warm-up: one second, and the first way to look at it
#
# `demo_song` makes a song from a seed. Nobody wrote it, so the truth about every sample of it is
# known. Listen to four
# seconds, then to the one second that we are going to look at: the singer rises from C3 to D3 while
# chords, bass and drums
# go on.

# %%
song = ml.demo_song(seed=3, seconds=20)
voice = song.stems["melody"][0]
START_S, END_S = 8.2, 9.2
display(sonify.player(song.mono, song.sr, start_s=8.2, seconds=4, title="The song, four seconds"))
sonify.players(
    {"our second": song.mono, "its voice alone": voice}, song.sr, start_s=START_S, seconds=1
)


# %% [markdown]
# The **waveform** comes first. A sung vowel repeats itself, $y(t) \approx y(t + T)$, and its pitch
# is how often it does,
# $f_0 = 1/T$. To find $T$, slide the sound along itself and see where it fits best:

# %%
def pitch_by_sliding(y, at_s, sr):
    """The shift, from 1/400 to 1/80 s, at which 2048 samples around at_s fit themselves best, as a
    frequency in Hz.
    """
    part = y[round(at_s * sr) - 1024 :][:2048]
    shifts = np.arange(sr // 400, sr // 80)
    return sr / shifts[np.argmax([part[:-shift] @ part[shift:] for shift in shifts])]


sung = np.flatnonzero(song.melody.voiced)[50:-50:10]
for name, y in {"voice alone": voice, "mix": song.mono}.items():
    found_hz = [pitch_by_sliding(y, song.melody.times_s[n], song.sr) for n in sung]
    right = np.abs(grids.offset_cents(found_hz, song.melody.f0_hz[sung])) < 50
    print(f"{name}: within half a semitone at {right.mean():.0%} of {len(sung)} places")

# %%
figure, axes = plt.subplots(2, 1, figsize=(8, 2.6), sharex=True, layout="constrained")
for ax, (name, y) in zip(axes, {"voice alone": voice, "mix": song.mono}.items(), strict=True):
    ax.plot(np.arange(882) / song.sr * 1000, y[round(8.45 * song.sr) :][:882], color=plot.INK[0])
    ax.set_ylabel(name)
axes[1].set_xlabel("Time (ms) from 8.45 s on")
panels.show(
    figure,
    alt="40 ms of waveform. The voice repeats five times; in the mix the repetition is hard to see.",
)

# %% [markdown]
# In the voice you can count the periods with a pencil. In the mix, bass and chords repeat too, each
# in its own time, and
# many a place comes out wrong. Yet your ear follows the singer without effort. It takes sounds
# apart into frequencies, and
# so shall we.
#
# **Change something.** Where in the song does `pitch_by_sliding` break on `song.mono`? Which note
# does it find instead?
#
# ## 1 The STFT: which sines live in this slice?
#
# **Claim.** Any slice of sound is a sum of sines, and multiplying and adding finds their strengths.
#
# The short-time Fourier transform takes a slice of $N$ samples every $H$ samples, fades it with a
# window $w$, and compares
# it with $N/2 + 1$ sines:
#
# $$X[k, n] = \sum_{t=0}^{N-1} w[t]\; y[t + nH - N/2]\; e^{-2\pi i\,kt/N}$$
#
# Row $k$ stands for $k\,sr/N$ Hz; frame $n$ is centred on sample $nH$. By hand first, with eight
# samples that hold two
# turns of a cosine. Then one frame of our song, against the library, which keeps the powers
# $|X|^2$:

# %%
eight = np.cos(2 * np.pi * 2 * np.arange(8) / 8)
by_hand = [sum(eight[t] * np.exp(-2j * np.pi * k * t / 8) for t in range(8)) for k in range(5)]
print(np.abs(by_hand).round(6), "two turns: all strength in row 2")
assert np.allclose(by_hand, np.fft.rfft(eight)), "the library adds up the same numbers"

power = features.power_spectrogram(song, win_samples=2048, hop_samples=256)
n = round(8.8 * song.sr / 256)
one_slice = song.mono[n * 256 - 1024 :][:2048] * np.hanning(2049)[:-1]
assert np.allclose(np.abs(np.fft.rfft(one_slice)) ** 2, power.values[0, :, n], rtol=1e-3, atol=1e-3)
print(
    f"{power.values.shape[1]} rows, {power.freqs_hz[1]:.2f} Hz apart; frame {n} is centred on {power.times_s[n]:.3f} s"
)


# %% [markdown]
# Powers span a huge range, and we hear ratios. So pictures use **decibels**, $L = 10 \log_{10} P =
# 20 \log_{10} |X|$, here
# below the loudest cell: 100 times the power, which is 10 times the amplitude, is 20 dB. Three ways
# to colour the same
# numbers:

# %%
def show_second(alt, looks, *, corridor=False, ylim=None, **options):
    """Draw {title: (Features, more options)}, zoomed to our second; corridor: a semitone above and
    below the melody.
    """
    rows = -(-len(looks) // 3)
    size = (7.6 if len(looks) > 1 else 7, 0.4 + 1.9 * rows)
    figure, axes = plt.subplots(
        rows, min(len(looks), 3), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, (picture, more)) in zip(axes.flat, looks.items(), strict=True):
        seen = (picture.times_s > START_S - 0.02) & (picture.times_s < END_S + 0.02)
        second = ml.Features(
            picture.values[:, :, seen], picture.freqs_hz, picture.times_s[seen], picture.kind
        )
        plot.spectrogram(second, ax=ax, db_range=45, colorbar=False, **options, **more)
        for factor in (2 ** (1 / 12), 2 ** (-1 / 12)) if corridor else ():
            ax.plot(song.melody.times_s, song.melody.sung_hz * factor, color="white", linestyle=":")
        ax.set(
            title=title,
            xlim=(START_S, END_S),
            xticks=[8.4, 8.6, 8.8, 9],
            ylim=ylim or ax.get_ylim(),
        )
        ax.label_outer()
    panels.show(figure, alt=alt, dpi=80 if len(looks) > 3 else 85)


ways = {"magnitude": 1, "magnitude ** 0.3": 0.3, "decibels": None}
alt = "The same second three times: magnitudes show a few lines; with the exponent or in decibels all overtones appear."
show_second(
    alt, {name: (power, {"exponent": exponent}) for name, exponent in ways.items()}, fmax_hz=2500
)

# %% [markdown]
# Magnitudes show only what is loudest. Compressed, the ladder of overtones appears, and it moves as
# one body when the
# singer moves. A small exponent does nearly what decibels do; networks get one or the other, for
# the same reason as your
# eyes.
#
# Is anything lost? Not in $X$: with its phases, the inverse transform gives the sound back. And
# whoever can go there and
# back can stop on the way and keep a few rows only:

# %%
window = stft.sine_window(2048)
spectra = stft.stft(song.mono, window=window, hop_samples=512)
options = {"window": window, "hop_samples": 512, "samples": len(song.mono)}
assert np.abs(stft.istft(spectra, **options) - song.mono).max() < 1e-5, (
    "there and back changes nothing"
)
some_rows = (power.freqs_hz > 500) & (power.freqs_hz < 620)
filtered = stft.istft(spectra * some_rows[:, None], **options)
sonify.players(
    {"all rows": song.mono, "500 to 620 Hz": filtered}, song.sr, start_s=8.1, seconds=1.2
)

# %% [markdown]
# A whistle sings along: it is the singer's fourth harmonic, which passes through the gap.
# **Question.** Our pictures show
# $|X|^2$. Which part of $X$ is missing? (Notebook 06 will miss it.)
#
# ## 2 No window has it both ways
#
# **Claim.** A short window knows *when*, a long one knows *which*; none knows both.
#
# Through a Hann window of $N$ samples a single tone fills two rows to either side of its own: it
# reaches $2\,sr/N$ Hz up
# and down. The window lasts $N/sr$ seconds. The product is 2, whatever you choose. A2 and A#2 are
# neighbours:

# %%
a2_hz, a_sharp2_hz = grids.midi_to_hz([45, 46])
print(f"A2 {a2_hz:.2f} Hz, A#2 {a_sharp2_hz:.2f} Hz: {a_sharp2_hz - a2_hz:.2f} Hz apart")
for samples in (1024, 2048, 4096, 8192, 16384):
    reach_hz = 2 * song.sr / samples
    verdict = "two peaks" if reach_hz < a_sharp2_hz - a2_hz else "one hump"
    print(
        f"{samples:6d} samples, {1000 * samples / song.sr:3.0f} ms: a tone reaches {reach_hz:4.1f} Hz, {verdict}"
    )

# %%
t = np.arange(3 * song.sr) / song.sr
low, high = (0.3 * np.sin(2 * np.pi * f_hz * t) for f_hz in (a2_hz, a_sharp2_hz))
sonify.players({"A2": low, "A#2": high, "both": low + high}, song.sr, seconds=2)

# %% [markdown]
# (With headphones: laptop speakers hardly reach so low.) Do you hear two notes? You hear one that
# throbs 6.5 times a
# second. What a short window cannot show as two lines it shows as a beat: the same fact, written
# along the other axis. The
# spectra agree with the table:

# %%
figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
for samples, style in {1024: ":", 4096: "--", 8192: "-"}.items():
    picture = features.power_spectrogram(
        ml.Song.from_array(low + high, song.sr), win_samples=samples
    )
    level = 10 * np.log10(picture.values[0, :, 65].clip(1e-3) / picture.values[0, :, 65].max())
    ax.plot(picture.freqs_hz, level, "." + style, label=f"{samples} samples")
ax.set(xlim=(70, 160), ylim=(-50, 3), xlabel="Frequency (Hz)", ylabel="Level (dB)")
ax.legend()
panels.show(
    figure, alt="A2 and A#2 together: one hump with 1024 and 4096 samples, two peaks with 8192."
)

# %%
short, long = (
    features.power_spectrogram(song, win_samples=samples, hop_samples=128)
    for samples in (512, 8192)
)
alt = "Short window: strokes are thin, overtones melt. Long window: overtones are thin, strokes and the new note smear."
show_second(alt, {"512 samples": (short, {}), "8192 samples": (long, {})}, fmax_hz=1500)

# %% [markdown]
# **Change something.** Try 1024, 2048 and 4096. Which would you take to follow a singer, which to
# find a hi-hat?
#
# **Question.** Zeros appended to a slice give more rows. Would they separate A2 from A#2? (They
# draw the same hump with
# more points.)
#
# ## 3 Mel: what the ear cares about, and no more
#
# **Claim.** Ears resolve low frequencies finely and high ones coarsely. The mel scale copies that
# and throws the rest away
# for good.
#
# Below 1 kHz the rows are evenly spaced, above they rise in equal ratios. Each row adds up the
# power under one triangle:
# $M = T P$, where $T$ has 128 rows and 1025 columns. One cell by hand, from the tips of three
# triangles (each has area 1):

# %%
mel = features.mel(song, hop_samples=256)
left, tip, right = mel.freqs_hz[39:42]
up, down = (power.freqs_hz - left) / (tip - left), (right - power.freqs_hz) / (right - tip)
triangle = np.minimum(up, down).clip(0) * 2 / (right - left)
assert np.isclose(triangle @ power.values[0, :, n], mel.values[0, 40, n], rtol=1e-3), (
    "row 40 is the power under its triangle"
)
print(
    f"row 40 listens from {left:.0f} to {right:.0f} Hz; at the bottom rows are {mel.freqs_hz[0]:.1f} Hz apart"
)
show_second(
    "Low overtones are still lines; above 2 kHz they blur into bands.", {"mel, 128 rows": (mel, {})}
)

# %% [markdown]
# At the bottom, 25.8 Hz are nearly four semitones (at A2): no bass line survives that. What does
# survive is the *envelope*,
# and with it vowels, drums and timbre. To hear it, go back from 40 mel rows to a spectrogram (least
# squares), with random
# phases for the lost ones:

# %%
coarse = features.mel(song, n_mels=40)
triangles = librosa.filters.mel(sr=song.sr, n_fft=2048, n_mels=40)
magnitude = np.sqrt(np.maximum(np.linalg.pinv(triangles) @ coarse.values[0], 0))
phases = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
rebuilt = stft.istft(magnitude * phases, **options)
sonify.players(
    {"the song": song.mono, "what 40 mel rows know": rebuilt}, song.sr, start_s=8.1, seconds=2
)

# %% [markdown]
# Vowels and beat are there, the tune has become a whisper: the extractor that we shall build in
# section 5 finds 89 % of the
# melody in the song, 68 % in what 128 mel rows keep, and 11 % here. Fine for telling speakers
# apart, fatal for melody.
#
# **Change something.** Try `n_mels=128`, here and in the triangles. How much of the tune comes
# back?
#
# ## 4 CQT: one row for every fifth of a semitone
#
# **Claim.** On a logarithmic axis a transposition is a shift, and overtones keep their distances.
#
# The constant-Q transform puts row $k$ at $f_k = f_{\min}\, 2^{k/B}$, with $B$ rows in an octave.
# Each row has its own
# window of $N_k = Q\, sr / f_k$ samples, always the same number of periods, $Q = 1/(2^{1/B}-1)$.
# First the arithmetic, for
# five harmonics of A2 and A#2; then one cell by hand, at the singer's C3:

# %%
h = np.arange(1, 6)
grid = grids.PitchGrid(fmin_hz=55, bins_per_octave=60, n_bins=301)  # 55 to 1760 Hz
print("a semitone up moves harmonics", h)
print("by rows of an STFT (8192)    ", (h * (a_sharp2_hz - a2_hz) / (song.sr / 8192)).round(1))
print(
    "by rows of the CQT           ",
    (grid.position(h * a_sharp2_hz) - grid.position(h * a2_hz)).round(1),
)
print("and they lie above f0 by rows", (60 * np.log2(h)).round(1))
assert np.allclose(grid.position(h * a2_hz) - grid.position(a2_hz), 60 * np.log2(h)), (
    "the distances do not depend on f0"
)

# %%
cqt = features.cqt(song)
k, frame = int(grid.nearest_bin(130.8)), round(8.4 * song.sr / 256)
length = round(song.sr / grid.freqs_hz[k] / (2 ** (1 / 60) - 1))
fade, turns = (
    np.hanning(length),
    np.exp(-2j * np.pi * grid.freqs_hz[k] * np.arange(length) / song.sr),
)
by_hand = (
    np.abs(song.mono[frame * 256 - length // 2 :][:length] @ (fade * turns))
    / fade.sum()
    * np.sqrt(length)
)
print(
    f"window of {1000 * length / song.sr:.0f} ms; by hand {by_hand:.2f}, features.cqt {cqt.values[0, k, frame]:.2f}"
)
assert np.isclose(by_hand, cqt.values[0, k, frame], rtol=0.05), "one cell is one slice against one sine"

# %% [markdown]
# A semitone is $B/12 = 5$ rows for every harmonic of every note, and harmonic $h$ lies $B \log_2 h$
# rows above its
# fundamental. One pattern fits all pitches. That is why the networks of this course can slide one
# small filter over all of
# them.

# %%
notes = {
    name: ml.Song.from_array(
        sum(0.1 * np.sin(2 * np.pi * harmonic * f0_hz * t) for harmonic in h), song.sr
    )
    for name, f0_hz in {"A2": a2_hz, "A#2": a_sharp2_hz}.items()
}
a2_rows, a_sharp2_rows = (features.cqt(note).values[0, :, 130] for note in notes.values())
assert np.corrcoef(np.roll(a2_rows, 5), a_sharp2_rows)[0, 1] > 0.99, "A2, five rows up, is A#2"
sonify.players({name: note.mono for name, note in notes.items()}, song.sr, seconds=2)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 2.4), layout="constrained")
for (name, note), style in zip(notes.items(), ("-", "--"), strict=True):
    axes[0].plot(
        features.power_spectrogram(note, win_samples=8192).values[0, 25:235, 65] ** 0.25,
        style,
        label=name,
    )
    axes[1].plot(features.cqt(note).values[0, :, 130] ** 0.5, style, label=name)
for ax, title in zip(
    axes, ("STFT: the comb stretches", "CQT: the comb moves by five rows"), strict=True
):
    ax.set(title=title, xlabel="Row", ylabel="Strength (compressed)")
axes[1].legend()
panels.show(
    figure,
    alt="Left: overtones of A#2 drift away from those of A2. Right: every overtone has moved by five rows.",
)

# %%
alt = "CQT of the second: melody and overtones are parallel lines; in both lower corners lie the skirts of kick drums."
show_second(
    alt, {"CQT with the true melody and its overtones": (cqt, {})}, melody=song.melody, harmonics=4
)

# %% [markdown]
# Parallel lines, wherever the melody goes. Now look at the lower corners: there are two kick drums,
# and both struck
# *outside* our second, at 7.92 and 9.23 s. With 86 periods in a window, the row at 55 Hz listens
# for 1.6 s, the one at 1760
# Hz for 49 ms. The price of section 2 is paid here too, row by row.
#
# **Change something.** Use `bins_per_octave=12, n_bins=61`. What happens in the corners, and what
# to the lines?
#
# ## 5 HCQT: the overtones of a pitch on top of each other
#
# **Claim.** If several CQTs start at $h f_{\min}$, all overtones of a pitch lie in *one* row.
#
# $$H[h, k, n] = \big|\text{CQT at } h\, f_{\min}\, 2^{k/B}\big|, \qquad h \in \{\tfrac12, 1, 2, 3,
# 4, 5\}$$
#
# Layer $h = 2$ is layer 1, moved down by 60 rows. Layer 3 would be 95.1 rows, and a tenth of a row
# cannot be copied, so
# each layer is computed on its own grid. Values are decibels, $1 + L/80$: 1 is the loudest cell,
# 0.75 is 20 dB below.

# %%
hcqt = features.hcqt(song)
assert np.allclose(hcqt.values[2, :300], hcqt.values[1, 60:], atol=0.02), (
    "layer h = 2 is layer h = 1, moved by an octave"
)
layers = {f"h = {h:g}": (hcqt, {"channel": layer}) for layer, h in enumerate(features.HARMONICS)}
alt = "Six layers, 100 to 220 Hz. Between dotted lines around the melody, layers 2 to 5 are bright, 1 is dim, 0.5 dark."
show_second(alt, layers, corridor=True, ylim=(100, 220))


# %% [markdown]
# The dotted lines run a semitone above and below the melody. Between them layer 1 only glows,
# because the fundamental of
# this voice is weak, and a chord at F3 outshines it. But layers 2 to 5 all put a line there, while
# every other line comes
# and goes. So the simplest melody extractor in the world adds the layers and takes the brightest
# row:

# %%
def brightest_row(picture, weights):
    """A melody: in each frame the row from 110 to 880 Hz in which the weighted sum of the layers is
    largest.
    """
    rows = (picture.freqs_hz > 110) & (picture.freqs_hz < 880)
    total = np.tensordot(weights, picture.values[:, rows], axes=1)
    return ml.Melody(
        picture.times_s, picture.freqs_hz[rows][total.argmax(axis=0)], np.ones(total.shape[1])
    )


one, five = brightest_row(hcqt, [0, 1, 0, 0, 0, 0]), brightest_row(hcqt, [0, 1, 1, 1, 1, 1])
right = [ml.score_melody(melody, song.melody)["RPA"] for melody in (one, five)]
print(
    f"frames within half a semitone: layer 1 alone {right[0]:.0%}, layers 1 to 5 together {right[1]:.0%}"
)
assert right[1] > right[0] + 0.2, "five layers must beat one"
sonify.player(
    sonify.check_mix(song, five),
    song.sr,
    start_s=8.2,
    seconds=3,
    title="Song left, brightest row right",
)

# %% [markdown]
# With one layer the brightest row belongs to the singer too, most of the time, but it is one of his
# overtones. With five
# layers, the overtones vote for their fundamental. While the voice rests, the tone jumps about,
# because nobody told it to
# be silent. Voicing is a question of its own.
#
# ## 6 CFP: what a spectrum and a cepstrum agree on
#
# **Claim.** A spectrum shows a pitch and what is above it, a cepstrum the pitch and what is below
# it. Both together
# show the pitch.
#
# A spectrum $S = |X|^{0.24}$ of a note is a comb, and a comb is itself periodic. So its own
# transform, the *cepstrum*, has peaks
# at the period of the note and at its multiples: $C = \max(\mathrm{Re}\,\mathcal F S, 0)^{0.6}$.
# Transformed once more it is a kind of
# spectrum again, $G = \max(\mathrm{Re}\,\mathcal F C, 0)$, without what was no comb. Combined
# frequency and periodicity, *CFP*, is
# all three on one logarithmic axis, a period of $\tau$ seconds read as $1/\tau$ Hz. By hand: 200 Hz
# at 8 kHz, a pulse
# every 40 samples.

# %%
pulses = np.zeros(800)
pulses[::40] = 1
S = np.abs(np.fft.rfft(pulses * np.hanning(800), 4000)) ** 0.24  # rows of 2 Hz
C = np.maximum(np.fft.irfft(S), 0)[:200] ** 0.6  # lags in samples
above_hz = [2 * k for k in range(50, 500) if S[k] == S[k - 40 : k + 41].max()][:3]
below_hz = [
    8000 / lag
    for lag in range(7, 160)
    if C[lag] == C[lag - 6 : lag + 30].max() and C[lag] > 0.5 * C[40]
]
print("the spectrum peaks at", above_hz, "Hz; the cepstrum at", np.round(below_hz, 1), "Hz")
assert above_hz == [200, 400, 600] and np.allclose(below_hz[:3], [200, 100, 200 / 3]), (
    "they share one peak"
)

# %%
made = cfp.cfp(song)
layers = {
    name: (made, {"channel": n})
    for n, name in enumerate(("spectrum", "of the cepstrum", "cepstrum"))
}
alt = "Three pictures of the second, 31 to 1235 Hz: in the first lines above the melody, in the last lines below it and gaps."
show_second(alt, layers, melody=song.melody)

# %% [markdown]
# Mind the line. In the first picture nearly all that is bright lies above it, overtones and chords;
# in the last nearly all
# lies below. And the last has gaps: at 8 kHz a period is a whole number of samples, 20 of them are
# 400 Hz and 21 are 381 Hz,
# and rows between the two stay empty, in every song. A product of two layers keeps what both of
# them show. Does that find the
# melody? Our song, and the tour's, which is sung an octave higher:

# %%
empty = {
    gaps: int(np.sum(cfp.cfp(song, fill_gaps=gaps).values[2].max(axis=1) == 0))
    for gaps in (False, True)
}
print(
    f"empty rows of 320 in the cepstrum: {empty[False]} as published, {empty[True]} with fill_gaps=True"
)
assert empty[False] == 92

for name, other in {"our song": song, "the tour's": ml.demo_song(seed=0, seconds=20)}.items():
    made = cfp.cfp(other)
    rows = (made.freqs_hz > 110) & (made.freqs_hz < 880)
    G, C = made.values[1:, rows]
    brightest = {"of the cepstrum": G, "cepstrum": C, "their product": G * C}
    for words, values in brightest.items():
        line = ml.Melody(
            made.times_s, made.freqs_hz[rows][values.argmax(axis=0)], np.ones(len(made.times_s))
        )
        print(
            f"{name:>10}, brightest row {words:>15}: right in {ml.score_melody(line, other.melody)['RPA']:.0%}"
        )

# %% [markdown]
# The product wins in the tour's song, and loses in ours, where the cepstrum alone does best: he
# sings so low that what is below him lies
# outside our range of rows, and his fundamental is too weak for the other layer. No fixed rule
# suits both. Whom to trust when
# is what FTANet and SegNet (05) learn.
#
# ## All of them under your hands
#
# Five transforms, one pitch line. Draw the overtones, change one thing at a time, and say
# beforehand what you expect.

# %%
panel = panels.representation_panel(song.excerpt(8, 10), fmax_hz=2500)
panel

# %%
panel.set(representation="CQT", bins_per_octave=60, lines=4)
print(panel.state)
figure = panel.draw(**panel.state)
figure.set_size_inches(6, 2.7)
panels.show(
    figure,
    alt="One setting of the panel: a CQT with 60 rows an octave, melody and three overtones.",
)

# %% [markdown]
# ## Honest limits
#
# | | keeps | throws away | first choice of |
# |---|---|---|---|
# | waveform | everything | nothing, but shows nothing | networks that learn their filters (04) |
# | STFT power | time *or* pitch, as the window decides | phase | source-filter NMF (02), U-Net (06)
# |
# | mel | envelope, onsets | phase, fine pitch | drum networks (07) |
# | CQT | pitch to 20 cents | phase, timing of low notes | a variant of the CRNN (03) |
# | HCQT | the same, overtones aligned | the same, and takes six times the room | Deep Salience |
# | CFP | periodicity from both sides | phase, level, rows between two lags | FTANet, SegNet (05) |
#
# - None of them separates anything: where two sounds share a cell, the cell shows their sum.
# - Our extractor met a friendly song, sung low. Exercise 3 brings one on which it fails.
#
# ## Exercises
#
# **1. Predict, then test.** E2 (82.4 Hz) and F2 (87.3 Hz) sound together at 22,050 Hz. Which is the
# shortest Hann window, a
# power of two, that shows two peaks? Work it out first; then change the tones in section 2 and
# look.

# %% tags=["exercise"]
window_samples = ...
checks.check_01_a(window_samples)

# %% tags=["solution"]
# they are 4.9 Hz apart, and 2 * 22050 / N must be less: N > 8999
window_samples = 16384
checks.check_01_a(window_samples)

# %% [markdown]
# **2. Rows.** A CQT has 36 rows in an octave. How many rows up does a melody move that is
# transposed by a fifth (7
# semitones), and how many rows above its fundamental lies the third harmonic, to the nearest row?

# %% tags=["exercise"]
fifth_rows, third_harmonic_rows = ..., ...
checks.check_01_b((fifth_rows, third_harmonic_rows))

# %% tags=["solution"]
fifth_rows, third_harmonic_rows = 36 * 7 // 12, round(36 * np.log2(3))
checks.check_01_b((fifth_rows, third_harmonic_rows))

# %% [markdown]
# **3. Better weights.** In `ml.demo_song(seed=4)` a woman sings, and the plain sum of the layers
# finds her in little more
# than a third of the frames. Choose six weights, for $h = \frac12, 1, 2, 3, 4, 5$, that find her in
# at least half of them.
# A weight may be negative: what does it mean if layer $\frac12$ is bright?

# %% tags=["exercise"]
weights = [..., ..., ..., ..., ..., ...]
checks.check_01_c(weights)

# %% tags=["solution"]
# bright at half the pitch: this row is an overtone of a lower note. And high layers hold more of
# everything else.
weights = [-1, 1, 0.8, 0.6, 0.4, 0.2]
checks.check_01_c(weights)

# %% [markdown]
# ## Can you say it without looking?
#
# 1. A window lasts 46 ms. How far does a tone reach in its spectrum, and why does zero padding not
# help?
# 2. Why do two close tones throb, and which window shows a throb, which two lines?
# 3. By how many rows does a semitone move the third harmonic in an STFT of 8192 samples, and in a
# CQT with 60 rows an
#    octave?
# 4. Why is layer $h = 3$ of the HCQT computed and not copied?
# 5. For which task would you take mel, for which CQT, and what do both lose?
#
# ## Sources
#
# - J. C. Brown, "Calculation of a constant Q spectral transform", JASA 89, 1991.
# - C. Schörkhuber and A. Klapuri, "Constant-Q transform toolbox for music processing", SMC 2010.
# - S. S. Stevens, J. Volkmann and E. B. Newman, "A scale for the measurement of the psychological
# magnitude pitch", JASA 8,
#   1937; triangles as in M. Slaney, "Auditory Toolbox", Interval Research report 1998-010.
# - R. M. Bittner, B. McFee, J. Salamon, P. Li and J. P. Bello, "Deep salience representations for
# F0 estimation in
#   polyphonic music", ISMIR 2017.
# - L. Su and Y.-H. Yang, "Combining spectral and temporal representations for multipitch estimation
# of polyphonic music",
#   IEEE/ACM TASLP 23, 2015. The CFP.
# - M. Müller, *Fundamentals of Music Processing*, Springer 2015, chapters 2 and 3.

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
# # Follow the tune
#
# Somebody plays you a song, and a minute later you hum its melody. You did not hum the bass, nor
# the drums, nor the chords,
# although your ears got all of them as one single wave. How could a computer do that?
#
# This notebook goes the whole way once: from a song to its melody, and from the melody to two
# stems, the voice and
# everything else. Afterwards you will be able to
#
# - take a song, get its melody in one call, and hear it against the song;
# - read a *salience*, the picture behind almost every melody method;
# - tell a voicing error from a pitch error from an octave error, by eye, by ear and by number.
#
# You need 90 minutes with the exercises, and headphones: some sounds put one thing on the left ear
# and another on the right.
# The parts of the library you meet are `synth` (songs from a seed), `records` (`Song`, `Salience`,
# `Melody`), `decode`,
# `evaluate` and `sonify`; later notebooks open the boxes that stay closed today.

# %%
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+https://github.com/melodylab/melodylab"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np

import melodylab as ml
from melodylab import evaluate, plot, sonify
from melodylab.course import checks, panels
from melodylab.dsp import features, grids
from melodylab.melody import decode

# %% [markdown]
# ## Warm-up: which line would you hum?
#
# The song below was composed and sung by a small program from the number `seed=0`. That makes it a
# little plain, but it has one
# priceless quality: we know its true melody, to the sample. Listen twice, then hum what stayed with
# you.

# %%
song = ml.demo_song(seed=0, seconds=12)
sonify.player(song.mono, song.sr, start_s=2.4, seconds=5, title="The song")

# %% [markdown]
# Here is the same song as a *spectrogram*: time runs to the right, frequency upwards, bright is
# loud. Before you read on, put your
# finger on the screen and follow the line that you hummed. Where does it start? Where does it
# pause?

# %%
spectrum = features.power_spectrogram(song, win_samples=2048, hop_samples=256)
ax = plt.subplots(figsize=(8.4, 3.2), layout="constrained")[1]
plot.spectrogram(spectrum, ax=ax, fmax_hz=2400, db_range=42)
ax.set_title("Twelve seconds of song: where is the melody?")
panels.show(
    ax,
    alt="Spectrogram up to 2.4 kHz: drum strokes are vertical, held notes horizontal, and from 2.6 s on stacks of wavy "
    "lines rise above them.",
)

# %% [markdown]
# Hard, isn't it? Your ears solved in seconds what your eyes can hardly start on. Two hints: a voice
# is never quite still, so look for
# wavy lines; and the wavy lines come in stacks that move together. Keep both in mind, they are the
# heart of this notebook.
#
# ## 1. A song is a sum
#
# **Claim.** Recordings add. The pressure at the microphone is the sum of what each source would
# have made alone,
#
# $$x(t) = s_\text{voice}(t) + s_\text{chords}(t) + s_\text{bass}(t) + s_\text{drums}(t).$$

# %%
mix = sum(song.stems.values())
assert np.array_equal(mix, song.audio), "the stems of the demo song sum to the mix exactly"
ax = plt.subplots(figsize=(8.4, 3), layout="constrained")[1]
plot.waveforms({"song": song.audio} | song.stems, song.sr, ax=ax)
ax.set_title("The song and its four stems, all on one scale")
panels.show(
    ax,
    alt="Waveforms of the song and of melody, chords, bass and drums; the melody rests before 2.6 s, around 6.5 s and "
    "after 11 s.",
)

# %% [markdown]
# Five curves go into one, and nothing in the sum says which part came from whom. Taking songs apart
# means to undo an addition, and
# that only works with knowledge about the summands. Ours will be: *a voice is one pitch at a time,
# with overtones, and it moves
# smoothly.* Listen to the voice alone, and to the true melody as a plain tone: the song on your
# left ear, the tone on your right.

# %%
sonify.players(
    {
        "the voice alone": song.stems["melody"],
        "song (left), true melody (right)": sonify.check_mix(song, song.melody),
    },
    song.sr,
    start_s=2.4,
    seconds=4,
)


# %% [markdown]
# **Change something.** Put `seed=3` into the warm-up and run the cells again: another singer,
# another key, another band. (Then go back
# to 0, the numbers below speak of that song.) **Question.** The tone is silent at times although
# somebody sings. When? Listen
# for *s* and *t*: a consonant without a pitch has no place in a melody. Such frames are called
# *unvoiced*.
#
# ## 2. A pitch is a row of overtones
#
# **Claim.** A sung note with the fundamental frequency $f_0$ sounds at $f_0, 2f_0, 3f_0, \dots$ at
# once: one of your stacks. So,
# to judge how well a pitch explains a moment of sound, add up what lies on its row, the upper
# members counting less:
#
# $$S(f_0) = \sum_{h=1}^{8} 0.8^{\,h-1}\, |X(h f_0)|.$$
#
# Such a measure is called *salience*. First by hand. Let a note of 200 Hz have three partials, of
# strength 1, 0.5 and 0.25:
#
# $$S(200) = 1 + 0.8 \cdot 0.5 + 0.64 \cdot 0.25 = 1.56, \qquad S(100) = 0.8 \cdot 1 + 0.512 \cdot
# 0.5 + 0.328 \cdot 0.25 = 1.138.$$

# %%
def harmonic_sum(strength, f0_hz):
    return sum(0.8 ** (h - 1) * strength.get(h * f0_hz, 0) for h in range(1, 9))


note = {200: 1.0, 400: 0.5, 600: 0.25}
print({f0_hz: round(harmonic_sum(note, f0_hz), 3) for f0_hz in (100, 200, 400)})
assert np.isclose(harmonic_sum(note, 200), 1.56) and np.isclose(harmonic_sum(note, 100), 1.13792), (
    "as by hand"
)

# %% [markdown]
# 200 Hz wins. But look how well 100 Hz does: *every* overtone of 200 Hz is an overtone of 100 Hz as
# well. This is why melody
# methods slip by an octave, and no method is safe from it.
#
# **Change something.** Let a bass add a weak tone of 100 Hz: `note = {100: 0.5, 200: 1.0, 400: 0.5,
# 600: 0.25}`. Who wins now?
#
# The same sum, for all frames of the song and for 60 candidates an octave, takes four lines. The
# square root of the
# magnitude keeps one loud partial from outshouting a whole row.

# %%
magnitude = np.sqrt(
    features.power_spectrogram(song, win_samples=4096, hop_samples=256).values[0]
)  # (freq, time)
candidates_hz = grids.PitchGrid.spanning(110, 880, 60).freqs_hz
rows = [np.round(h * candidates_hz * 4096 / song.sr).astype(int) for h in range(1, 9)]
strength = sum(0.8**h * np.sqrt(magnitude[row]) for h, row in enumerate(rows))  # (candidate, time)

# %%
by_hand = ml.Salience(
    strength / strength.max(), candidates_hz, spectrum.times_s, made_by="harmonic sum"
)
ax = plt.subplots(figsize=(8.4, 3.2), layout="constrained")[1]
plot.salience_map(by_hand, ax=ax, exponent=3)
for semitones in (-1, 1):
    ax.plot(
        song.melody.times_s,
        song.melody.sung_hz * 2 ** (semitones / 12),
        color="white",
        linewidth=0.8,
    )
ax.set_title("Harmonic sum: how well does each pitch explain each frame?")
panels.show(
    ax,
    alt="Salience of the harmonic sum, 110 to 880 Hz. A bright band runs between two thin lines that mark the true melody, "
    "but there are others one and two octaves below it and along the chords.",
)

# %% [markdown]
# Between the two thin lines runs the true melody, and there is light in between! There is also
# light in many other places: an octave
# below, as we have seen, and along the chords, which have overtones too. Taking the brightest row
# of each frame is called *peak*
# decoding:

# %%
by_hand_melody = decode.peak(by_hand)
scores = ml.score_melody(by_hand_melody, song.melody)
print(
    f"right pitch in {scores['RPA']:.0%} of the sung frames, right but for the octave in {scores['RCA']:.0%}"
)
assert scores["RCA"] > scores["RPA"] > 1 / len(candidates_hz), (
    "far better than guessing, and octave slips are among the errors"
)

# %% [markdown]
# ## 3. A better picture, and a line through it
#
# The harmonic sum asks each pitch on its own. *Source-filter NMF* (`"sfnmf"`) explains the whole
# spectrum at once: a voice, which is a row
# of overtones behind a smooth filter (the vowel), plus forty free spectra for the band. What the
# band explains, the voice need not.
# Notebook 02 derives it; today it is a box with a salience inside. It takes a second or two.

# %%
salience = ml.salience(song, method="sfnmf")
melody = decode.viterbi(salience)
ax = plt.subplots(figsize=(8.4, 3.2), layout="constrained")[1]
plot.salience_map(salience, ax=ax, melody=melody, reference=song.melody)
ax.set_title("Source-filter NMF: the same question, a cleaner answer")
panels.show(
    ax,
    dpi=90,
    alt="Salience of source-filter NMF with the estimated line in cyan over the dashed true melody; they agree almost "
    "everywhere where the true melody sounds, and the estimate goes on where the truth pauses.",
)

# %% [markdown]
# The cyan line is the estimate. It is more than the brightest row of each frame. **Claim.**
# Melodies move in small steps, so a good
# line is bright *and* smooth. Among all lines $p_1, p_2, \dots$ the Viterbi algorithm finds the one
# that maximises
#
# $$\sum_n \log S(p_n, n) \;-\; \lambda \sum_n \min(|p_n - p_{n-1}|,\ 10\ \text{semitones}).$$
#
# With $\lambda = 0$ that is peak decoding; with a large $\lambda$ hardly a leap is worth its price.
# Ours is then drawn twice more,
# with less weight far from where it ran on average: a voice keeps its register for seconds.

# %%
frame_by_frame = decode.peak(salience)
for name, line in {"frame by frame": frame_by_frame, "smoothest bright line": melody}.items():
    leaps = np.sum(np.abs(12 * np.log2(line.f0_hz[1:] / line.f0_hz[:-1])) > 3)
    print(
        f"{name:>21}: {leaps:3d} leaps of more than three semitones, RPA {ml.score_melody(line, song.melody)['RPA']:.2f}"
    )
free = decode.viterbi(salience, jump_nats_per_semitone=0, register_semitones=None)
assert np.allclose(free.f0_hz, frame_by_frame.f0_hz, equal_nan=True), (
    "where leaps are free, Viterbi is peak decoding"
)
assert np.array_equal(ml.extract_melody(song, "sfnmf").f0_hz, melody.f0_hz, equal_nan=True), (
    "one call does both steps"
)

# %% [markdown]
# And now the best test there is. Song on the left, estimate on the right: does the tone sing along?

# %%
sonify.player(
    sonify.check_mix(song, melody),
    song.sr,
    start_s=2.4,
    seconds=4.5,
    title="Song (left), estimated melody (right)",
)

# %% [markdown]
# **Change something.** Try `decode.viterbi(salience, jump_nats_per_semitone=0,
# register_semitones=None)`, then 30 in place of 0, and
# listen. **Question.** Just after 4 s
# the tone drops, and the singer does not. What happened? (Exercise 2 comes back to it.)
#
# ## 4. How right is right?
#
# **Claim.** A melody can go wrong in four ways, and one number hides which. In each frame of 11.6
# ms the estimate and
# the truth may both be voiced, one of them, or none; where both are, the pitch is *right* within
# half a semitone, right but for
# the *octave*, or *wrong*.

# %%
times_s, labels = evaluate.frame_errors(estimate=melody, reference=song.melody)
ax = plot.error_map(melody, song.melody, (times_s, labels))
panels.show(
    ax,
    alt="Error map: the true melody in grey with mostly right frames on it, a run of octave errors after 4 s, and false "
    "alarms in the rests, where the estimate follows the chords.",
)

# %% [markdown]
# From these labels come the five figures that papers print, each a share of frames between 0 and 1:
#
# | figure | in words |
# |---|---|
# | **OA**, overall accuracy | of all frames, how many are right? (the right pitch, or silence where
# there is silence) |
# | **RPA**, raw pitch accuracy | of the sung frames, how many have the right pitch? (a guess counts
# even where it was called unvoiced) |
# | **RCA**, raw chroma accuracy | the same, but forgiving octaves |
# | **VR**, voicing recall | of the sung frames, how many were called voiced? |
# | **VFA**, voicing false alarm | of the frames *without* melody, how many were called voiced?
# Lower is better |

# %%
scores = ml.score_melody(melody, song.melody)
print({name: round(value, 3) for name, value in scores.items()})
overall = np.mean(np.isin(labels, ["right", "silence"]))
false_alarm = np.sum(labels == "false") / np.sum(np.isin(labels, ["false", "silence"]))
assert np.isclose(overall, scores["OA"]), "OA, counted by hand"
assert np.isclose(false_alarm, scores["VFA"]), "VFA, counted by hand"

# %% [markdown]
# Nine sung frames in ten have the right pitch, and yet OA is below 0.7. The error map says why: in
# the rests the line does not stop, it
# follows the chords. *Which pitch?* is nearly solved here; *is anybody singing?* is not.
#
# ### Why polyphony is hard
#
# pYIN is a fine and famous pitch tracker, made for *one* voice alone. Let us give it the voice
# alone, and then the song.

# %%
voice = ml.Song.from_array(song.stems["melody"], song.sr, name="voice")
pyin = {"voice": ml.extract_melody(voice, "pyin"), "song": ml.extract_melody(song, "pyin")}
compared = {
    "pyin, voice alone": pyin["voice"],
    "pyin, whole song": pyin["song"],
    "sfnmf, whole song": melody,
}
compared = {name: ml.score_melody(line, song.melody) for name, line in compared.items()}
ax = plot.score_bars(compared)
panels.show(
    ax,
    alt="Bars of the five scores: pYIN is nearly perfect in pitch on the voice alone and falls to about a quarter on the "
    "whole song, where source-filter NMF keeps nine tenths.",
)
assert compared["pyin, voice alone"]["RPA"] > 0.9 > 0.5 > compared["pyin, whole song"]["RPA"], (
    "one voice: easy; a band: lost"
)

# %%
sonify.player(
    sonify.check_mix(song, pyin["song"]),
    song.sr,
    start_s=2.4,
    seconds=3,
    title="Song (left), pYIN on the song (right)",
)

# %% [markdown]
# pYIN looks for the time after which the wave repeats. A sum of four waves repeats with none of
# their periods, so pYIN grasps at
# whatever is loudest and deepest. Methods for songs must *explain the band away*, with a model
# (notebook 02) or with training (the
# network of notebook 03). **Question.** Even for the voice alone VFA is far from 0. What sounds on
# when a
# singer stops? (Think of the room.)
#
# ## 5. From the melody to stems
#
# **Claim.** Who knows the melody can take the song apart. In a second pass only pitches near the
# melody may belong to
# the voice; then every cell of the spectrogram is shared in proportion to the two explanations $L$
# (lead) and $B$ (band):
#
# $$\text{voice} = \frac{L}{L + B}\,X, \qquad \text{band} = X - \text{voice}.$$

# %%
stems = ml.separate(song, method="sfnmf", melody=melody)
assert np.allclose(stems["melody"] + stems["accompaniment"], song.audio, atol=1e-6), (
    "nothing is lost, nothing invented"
)
sounds = {"lead": stems["melody"], "backing track": stems["accompaniment"]}
sonify.players(sounds, song.sr, start_s=2.4, seconds=4)

# %% [markdown]
# Both at one common gain, so loud is loud. What of the voice is left in the backing track, and what
# of the drums in the lead? The
# *signal-to-distortion ratio* (here SI-SDR) puts a number on it: the power that belongs to the true
# voice against the power that does
# not, in decibels. In the song itself voice and band are about equally loud.

# %%
before_db = evaluate.si_sdr(reference=song.stems["melody"], estimate=song.audio)
after_db = evaluate.si_sdr(reference=song.stems["melody"], estimate=stems["melody"])
print(f"voice against the rest: {before_db:.1f} dB in the song, {after_db:.1f} dB in the lead")
assert after_db > before_db + 6, "separation halves the distortion's amplitude at the very least"

# %% [markdown]
# **Change something.** Separate once more with `melody=song.melody`, the truth: several decibels
# better. **Question.** So where do the
# missing decibels come from, from the separation or from the melody that led it?
#
# ## Main panel: from which voicing on is a frame sung?
#
# Every method gives each frame a *voicing* between 0 and 1, and a frame counts as sung from a
# threshold on. Move it: where the
# threshold rises, false alarms vanish and with them sung frames. Compare the methods, and listen
# below the picture. The last
# two have *learned*: `sf-crnn-1` to read the salience of `sfnmf` (notebook 03 opens it), `best`
# from the spectrum itself (below).
# (Where nothing moves, on GitHub for instance, you see one setting.)

# %%
methods = {
    "sfnmf, smoothest line": (salience, melody),
    "sfnmf, frame by frame": (salience, frame_by_frame),
    "harmonic sum": (by_hand, by_hand_melody),
    "pyin": (salience, pyin["song"]),
}
for name in ("sf-crnn-1", "best"):
    learned = ml.salience(song, method=name)
    methods[name] = (learned, decode.peak(learned))


def listen(method, threshold):
    line = panels.revoiced(methods[method][1], threshold)
    return sonify.player(sonify.check_mix(song, line), song.sr, start_s=2.4, seconds=8)


panel = panels.threshold_panel(methods, song.melody, sound=listen)
panel

# %% [markdown]
# One setting to look at closely: each frame by itself, and voiced only from 0.7 on. The rests are
# cleaner than before, at the price
# of holes in the notes.

# %%
picture = panel.draw(method="sfnmf, frame by frame", threshold=0.7)
panels.show(
    picture,
    dpi=80,
    alt="Salience and error map of frame-by-frame decoding, voiced from 0.70: false alarms are left in the "
    "introduction, and short stretches of the notes are missed.",
)

# %% [markdown]
# ## The best of ours
#
# `method="best"` names the network of this package that scored highest on real songs. Today that is
# `harmonic-crnn`, which is in no
# paper: it joins what the networks of the next notebooks taught us. Three ideas:
#
# **Harmonics side by side.** On a logarithmic axis the second harmonic of *any* note lies an octave
# above the first, the third an
# octave and a fifth. So one spectrum, shifted down by each of these distances, brings all harmonics
# of a note into one row:

# %%
shifts = [round(36 * np.log2(harmonic)) for harmonic in (1, 2, 3, 4)]  # 36 rows an octave
one_note = np.zeros(156)  # in row 20, and its first harmonic is the weakest
one_note[[20 + shift for shift in shifts]] = 0.3, 1.0, 0.8, 0.6
stack = np.array([np.roll(one_note, -shift) for shift in shifts])
assert one_note.argmax() == 56, "the brightest row is an octave too high"
assert stack.sum(axis=0).argmax() == 20 and stack[:, 20].all(), "only in row 20 all four agree"

# %% [markdown]
# **Far and near.** Convolutions look at neighbouring rows and frames, at the full height, then at a
# third, a sixth and a twelfth of it, and up
# again; at the bottom a recurrent layer hears what came before and what comes after.
#
# **Two questions.** *Which pitch, if any?* and *is there any?* are answered apart, and a note that
# the network is unsure about does
# not count as silence.

# %%
for name in ("sfnmf, smoothest line", "sf-crnn-1", "best"):
    print(
        f"{name:>21}",
        {
            key: f"{value:.2f}"
            for key, value in ml.score_melody(methods[name][1], song.melody).items()
        },
    )

# %% [markdown]
# (Choose it in the panel and listen.) One song says little, and the networks learned from songs
# made by the same composer program as this one. On seven real songs, which no
# network here was trained on (each voicing threshold chosen on the six others):

# %%
for name in (ml.weights.BEST, "sf-crnn-1"):
    real = ml.weights.card(name)["scores"]["leave_one_out"]["mean"]
    print(f"{name:>21}", {key: f"{real[key]:.2f}" for key in ("OA", "RPA", "RCA", "VR", "VFA")})

# %% [markdown]
# Far from the demo song's figures: that gap, between songs that are made and songs that are played,
# is what is left to do.
#
# ## Now your own recording
#
# Three lines, with any file you have (WAV, MP3, FLAC, ...; `"librosa:fishin"` fetches a free song):
#
# ```python
# song = ml.load_song("my_song.mp3")
# melody = ml.extract_melody(song)
# stems = ml.separate(song, melody=melody)
# ```
#
# Or two in a terminal, for a table of the melody and for two sound files:
#
# ```
# melodylab melody my_song.mp3 --method sfnmf --out my_melody.csv
# melodylab separate my_song.mp3 --method sfnmf --out my_stems
# ```
#
# There will be no true melody to compare with, but you have two ears: `sonify.check_mix(song,
# melody)` is the judge.
#
# ## Honest limits
#
# - Our singer is a program. Real voices whisper, growl and come in pairs; expect lower scores on
# recordings.
# - Twelve seconds are an example, no evidence. Another seed gives other numbers. How many songs
# make a claim? Ask it of every paper.
# - Source-filter NMF knows how a voice *sounds*. It does not know what a melody *is*, and a loud
# saxophone will do just as well.
# - Where nobody sings it rarely notices. You saw the false alarms.
#
# ## Exercises
#
# Each ends with a check that tells you whether you are there, with a hint if not. Wrong tries cost
# nothing.
#
# **Exercise 1: the best threshold.** `frame_by_frame` has a voicing for every frame. From which
# threshold on is its overall accuracy
# best? Use the panel or a loop over `panels.revoiced(frame_by_frame, threshold)`.

# %% tags=["exercise"]
best_threshold = ...

checks.check_00_a(best_threshold, frame_by_frame, song.melody)

# %% tags=["solution"]
thresholds = np.arange(0.3, 0.95, 0.02)
accuracy = [
    ml.score_melody(panels.revoiced(frame_by_frame, t), song.melody)["OA"] for t in thresholds
]
best_threshold = thresholds[np.argmax(accuracy)]
ax = plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
ax.plot(thresholds, accuracy)
ax.set(xlabel="voiced from", ylabel="OA")
panels.show(
    ax,
    alt="Overall accuracy against the threshold: a hill, gentle on the left and steep on the right.",
)
checks.check_00_a(best_threshold, frame_by_frame, song.melody)

# %% [markdown] tags=["solution"]
# Below the top, false alarms cost more than the recall they buy; above it, the reverse. The top
# lies above 0.5 because this song rests
# in four frames out of ten. In a song without rests, the best threshold would be 0.

# %% [markdown]
# **Exercise 2: the octave slip.** Find the longest run of octave errors in `labels`. At which time
# does it start (`from_s`, in
# seconds)? What is the estimate divided by the truth there (`ratio`)? And who is to blame:
# `"chords"`, `"bass"` or `"drums"`
# (`because_of`)? Guess, then experiment: a song without one of its stems is
# `ml.Song.from_array(song.audio - song.stems["bass"], song.sr)`.

# %% tags=["exercise"]
slip = {"from_s": ..., "ratio": ..., "because_of": ...}

checks.check_00_b(slip, melody, song)

# %% tags=["solution"]
edges = np.diff(np.concatenate([[0], labels == "octave", [0]]))
starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
longest = np.argmax(ends - starts)
run = slice(starts[longest], ends[longest])
for name in ("chords", "bass", "drums"):
    without = ml.Song.from_array(song.audio - song.stems[name], song.sr)
    still = evaluate.frame_errors(estimate=ml.extract_melody(without, "sfnmf"), reference=song.melody)[1][run] == "octave"
    print(f"without {name}: {still.mean():.0%} of the slip is left")
slip = {
    "from_s": times_s[run.start],
    "ratio": np.median(melody.f0_hz[run] / song.melody.f0_hz[run]),
    "because_of": "drums",
}
checks.check_00_b(slip, melody, song)

# %% [markdown] tags=["solution"]
# Surprised? She sings a D flat (555 Hz) on the beat, and so does the snare drum: noise, a little of
# everything. A comb with teeth every
# 277 Hz explains her overtones with every second tooth, and the noise feeds the teeth between. As
# soon as the noise has died away
# the line finds back to her.

# %% [markdown]
# **Exercise 3: how soft can she sing?** `ml.demo_song(seed=0, seconds=12, lead_db=x)` makes the
# same song with the voice $x$ dB above the
# band (this one has 1.5). Guess first: at which $x$ has raw pitch accuracy fallen to half of what
# it is now? Then find it,
# within 3 dB, and listen to that song. Can you still hear her?

# %% tags=["exercise"]
lead_db = ...

checks.check_00_c(lead_db, seed=0, seconds=12)

# %% tags=["solution"]
half = ml.score_melody(melody, song.melody)["RPA"] / 2
for lead_db in range(0, -31, -3):
    softer = ml.demo_song(seed=0, seconds=12, lead_db=lead_db)
    pitch_accuracy = ml.score_melody(ml.extract_melody(softer, "sfnmf"), softer.melody)["RPA"]
    print(f"{lead_db} dB: RPA {pitch_accuracy:.2f}")
    if pitch_accuracy <= half:
        break
checks.check_00_c(lead_db, seed=0, seconds=12)
sonify.player(softer.mono, softer.sr, start_s=2.4, seconds=5, title="Can you still hear her?")

# %% [markdown]
# ## Do you recall?
#
# 1. Why does every salience have light an octave below the melody?
# 2. What does the Viterbi line trade against brightness, and what goes wrong without it?
# 3. A method calls every frame voiced and gets every pitch right. What are its RPA, VR and VFA?
# 4. Two methods have the same OA of 0.65. What would you ask before you choose one?
# 5. Why does pYIN fail on the song although it is nearly perfect on the voice?
#
# ## Sources
#
# - J.-L. Durrieu, G. Richard, B. David, C. Févotte: *Source/Filter Model for Unsupervised Main
# Melody Extraction from Polyphonic Audio
# Signals*, IEEE Transactions on Audio, Speech, and Language Processing 18 (3), 2010. The method
# behind `"sfnmf"`.
# - M. Mauch, S. Dixon: *pYIN: A Fundamental Frequency Estimator Using Probabilistic Threshold
# Distributions*, ICASSP 2014.
# - A. Klapuri: *Multiple Fundamental Frequency Estimation by Summing Harmonic Amplitudes*, ISMIR
# 2006. The idea of section 2.
# - J. Salamon, E. Gómez, D. P. W. Ellis, G. Richard: *Melody Extraction from Polyphonic Music
# Signals*, IEEE Signal Processing Magazine
# 31 (2), 2014. An introduction to the task, its methods and its figures; C. Raffel et al.,
# *mir_eval*, ISMIR 2014, computes them.
# - J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey: *SDR: half-baked or well done?*, ICASSP 2019.
# Where SI-SDR comes from.

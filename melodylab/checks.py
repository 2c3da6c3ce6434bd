"""Checks for the exercises of the notebooks: an answer goes in, a sentence comes out, nothing is graded or sent anywhere.

Conventions: a check is called with the student's answer first and whatever it is measured against after it. An empty
answer (`...` or None, also as a part of a tuple, list or dict) gets a friendly line and returns None; a wrong one a hint and
False; a right one a word on why it is right and True. A check never raises on account of an answer: what the answer raises
(a function that fails, an array of another shape) becomes the hint. `CHECKS` holds every check as "NN_notebook.name".

To add one, write a function that returns (right, sentence) below its notebook's heading and put `@_exercise("NN_notebook")`
above it. The solution and two wrong answers of each live in tests/test_checks.py.
"""

import functools

import numpy as np

from melodylab import api, audio, decode, drums, evaluate, explain, features, grids, records, sfnmf, synth
from melodylab.models import run

CHECKS = {}


def _exercise(notebook):
    """Turn a function (answer, ...) -> (right, sentence) into a check, and enter it into CHECKS."""

    def wrap(judge):
        @functools.wraps(judge)
        def check(answer, *measured_against, **options):
            if _is_empty(answer):
                print("Your turn: put your answer in place of the dots, then run this cell again.")
                return None
            try:
                right, sentence = judge(answer, *measured_against, **options)
            except _EmptyAnswer:
                print("Your turn: your function returns nothing yet. Fill it in, then run this cell again.")
                return None
            except Exception as error:  # whatever it trips over: a sentence helps, a traceback of ours does not
                right, sentence = False, f"this answer stops with {type(error).__name__}: {' '.join(str(error).split())}"
            print(f"{'✓ Right:' if right else '✗ Not yet:'} {sentence}")
            return bool(right)

        name = f"{notebook}.{judge.__name__}"
        if name in CHECKS:
            raise ValueError(f"there are two checks {name}")
        CHECKS[name] = check
        return check

    return wrap


class _EmptyAnswer(Exception):
    """Raised by `_result` where a function that is the answer has not been written yet."""


def _is_empty(answer):
    if isinstance(answer, dict):
        return any(_is_empty(part) for part in answer.values())
    if isinstance(answer, (tuple, list)):
        return any(_is_empty(part) for part in answer)
    return answer is None or answer is ...


def _result(function, *arguments, **options):
    """What the answer, a function, returns; an empty result counts as an empty answer."""
    value = function(*arguments, **options)
    if _is_empty(value):
        raise _EmptyAnswer
    return value


# --- 00_tour --------------------------------------------------------------------------------------------------------------


def _revoiced(melody, threshold):
    voiced = (melody.voicing >= threshold) & np.isfinite(melody.f0_hz)
    return records.Melody(melody.times_s, melody.f0_hz, voiced.astype(float))


@_exercise("00_tour")
def check_00_a(answer, melody, truth):
    """Is `answer` a voicing threshold at which overall accuracy is within 0.01 of the best? melody, truth: Melody."""

    def scores(threshold):
        return evaluate.score_melody(_revoiced(melody, threshold), truth)

    answer = float(answer)
    if not 0 <= answer <= 1:
        return False, "voicing lies between 0 and 1, and so must the threshold."
    best = max((float(t) for t in np.arange(0, 1.001, 0.02)), key=lambda t: scores(t)["OA"])
    here, there = scores(answer), scores(best)
    if here["OA"] >= there["OA"] - 0.01:
        return True, f"voiced from {answer:.2f} gives OA {here['OA']:.3f}; the best of fifty gives {there['OA']:.3f}."
    lean = "false alarms: raise it" if answer < best else "missed frames: lower it"
    return False, f"at {answer:.2f} OA is {here['OA']:.3f}, and better is possible. What costs most here are {lean}."


@_exercise("00_tour")
def check_00_b(answer, melody, song):
    """Is `answer` {"from_s", "ratio", "because_of"} the longest run of octave errors, how far off, whose fault?"""
    times_s, labels = evaluate.frame_errors(melody, song.melody)
    edges = np.diff(np.concatenate([[0], labels == "octave", [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    longest = np.argmax(ends - starts)
    run = slice(starts[longest], ends[longest])
    ratio = np.median(melody.f0_hz[run] / song.melody.f0_hz[run])
    if abs(float(answer["from_s"]) - times_s[run.start]) > 0.05:
        return False, "the longest run of octave errors starts elsewhere; look at the triangles of the error map."
    if abs(np.log2(float(answer["ratio"]) / ratio)) > 0.1:
        return False, "the time is right, the ratio is not: divide melody.f0_hz by song.melody.f0_hz."
    name = str(answer["because_of"]).strip().lower()
    if name not in song.stems or name == "melody":
        return False, 'because_of must be "chords", "bass" or "drums".'
    without = records.Song.from_array(song.audio - song.stems[name], song.sr)
    left = np.mean(evaluate.frame_errors(api.extract_melody(without, "sfnmf"), song.melody)[1][run] == "octave")
    if left > 0.5:
        return False, f"time and ratio are right, but without the {name} {left:.0%} of the slip is still there."
    return True, f"from {times_s[run.start]:.2f} s on it is {ratio:.2f} times the truth, and without the {name} it is not."


@_exercise("00_tour")
def check_00_c(answer, seed=0, seconds=12):
    """Is `answer` a level in dB at which pitch accuracy is half of that at 1.5 dB or less, while 3 dB more are enough?"""
    answer = float(answer)
    if not -60 <= answer <= 20:
        return False, "look between -60 and 20 dB."
    now, here = (_accuracy_of_soft_voice(lead_db, seed, seconds) for lead_db in (1.5, answer))
    if here > now / 2:
        return False, f"at {answer:g} dB RPA is still {here:.2f}; half of {now:.2f} would be {now / 2:.2f}. Softer!"
    if _accuracy_of_soft_voice(answer + 3, seed, seconds) <= now / 2:
        return False, f"at {answer:g} dB RPA is {here:.2f}, but it is halved already with 3 dB more. Louder!"
    return True, f"at {answer:g} dB RPA is {here:.2f}, half of {now:.2f} or less, and 3 dB louder it is not."


@functools.cache  # seconds each, and a student tries more than once
def _accuracy_of_soft_voice(lead_db, seed, seconds):
    song = synth.demo_song(seed=seed, seconds=seconds, lead_db=lead_db)
    return evaluate.score_melody(api.extract_melody(song, "sfnmf"), song.melody)["RPA"]



# --- 01_representations ---------------------------------------------------------------------------------------------------


@_exercise("01_representations")
def check_01_a(samples):
    """The shortest power-of-two Hann window at 22,050 Hz that separates E2 from F2."""
    apart_hz = float(np.diff(grids.midi_to_hz([40, 41]))[0])
    shortest = 2 ** int(np.ceil(np.log2(2 * 22050 / apart_hz)))
    if samples == shortest:
        return True, f"{shortest} samples are {1000 * shortest / 22050:.0f} ms, longer than many a note you want to see."
    if samples == shortest // 2:
        return False, f"its rows are {22050 / samples:.1f} Hz apart, but a tone fills two rows to either side; use 2 sr / N."
    if samples <= 0 or np.log2(samples) % 1:
        return False, "a power of two is asked for."
    if samples < shortest:
        reach_hz = 2 * 22050 / samples
        return False, f"one tone then reaches {reach_hz:.1f} Hz to either side, and the two are {apart_hz:.1f} Hz apart."
    return False, "that separates them, but half as long does it too and blurs time less."


@_exercise("01_representations")
def check_01_b(rows):
    """Rows of a CQT with 36 bins per octave: (up a fifth, up to the third harmonic)."""
    fifth, third = rows
    if fifth == 35:
        return False, "35 rows would be right with 60 rows in an octave; here there are 36."
    if fifth != 36 * 7 // 12:
        return False, "a fifth is 7 semitones; how many rows has a semitone if an octave has 36?"
    if third in (36 * 2, 36 * 3):
        return False, "three times the frequency is log2(3) octaves up, neither 2 nor 3."
    if third != round(36 * np.log2(3)):
        return False, "the third harmonic lies 36 log2(3) rows up; round to the nearest row."
    return True, "and both hold wherever the note starts. That is what the logarithm buys."


@_exercise("01_representations")
def check_01_c(weights):
    """Six weights for the layers of an HCQT that find the melody of demo song 4 where the plain sum does not."""
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (6,):
        return False, f"six weights, please, one a layer: h = {', '.join(map(str, features.HARMONICS))}."
    accuracy, plain = (_brightest_row_accuracy(w) for w in (weights, np.array([0, 1, 1, 1, 1, 1])))
    if accuracy >= 0.5:
        return True, f"raw pitch accuracy {accuracy:.2f}, the plain sum has {plain:.2f}. Networks learn such weights."
    sentence = f"raw pitch accuracy {accuracy:.2f}; 0.50 is wanted, the plain sum has {plain:.2f}. "
    if weights[0] >= 0:
        return False, sentence + "If layer h = 0.5 is bright, the true note may lie an octave lower: what does that ask for?"
    return False, sentence + "High layers hold more of everything else; should they have as much say as the low ones?"


@functools.cache
def _song_for_01_c():
    song = synth.demo_song(seed=4, seconds=20)
    return features.hcqt(song), song.melody


def _brightest_row_accuracy(weights):
    """Raw pitch accuracy of the row between 110 and 880 Hz in which the weighted layers are brightest."""
    picture, truth = _song_for_01_c()
    rows = (picture.freqs_hz > 110) & (picture.freqs_hz < 880)
    total = np.tensordot(weights, picture.values[:, rows], axes=1)
    f0_hz = picture.freqs_hz[rows][total.argmax(axis=0)]
    return evaluate.score_melody(records.Melody(picture.times_s, f0_hz, np.ones(len(f0_hz))), truth)["RPA"]


# --- 02_source_filter_nmf -------------------------------------------------------------------------------------------------


@_exercise("02_source_filter_nmf")
def check_02_a(update_H_B):
    """A function (V, V_hat, W_B, H_B) that returns H_B after one Itakura-Saito update, exponent 1."""
    rng = np.random.default_rng(2)
    V, V_hat, W_B, H_B = (rng.uniform(0.5, 2, shape) for shape in ((7, 5), (7, 5), (7, 3), (3, 5)))
    given = _result(update_H_B, V.copy(), V_hat.copy(), W_B.copy(), H_B.copy())
    pull, push = W_B.T @ (V / V_hat**2), W_B.T @ (1 / V_hat)
    if np.shape(given) != H_B.shape:
        return False, f"H_B has the shape {H_B.shape} here, your result {np.shape(given)}; where does a transpose belong?"
    slips = {
        "what pulls up belongs above the line, what pushes down below it.": H_B * push / pull,
        "that is the Kullback-Leibler update. Take 1 / V_hat in push and V / V_hat**2 in pull.": (
            H_B * (W_B.T @ (V / V_hat)) / W_B.sum(axis=0)[:, None]
        ),
        "that is a step of exponent 1/2; asked for is exponent 1.": H_B * np.sqrt(pull / push),
        "that is the ratio alone; an update multiplies the old H_B by it.": pull / push,
        "that is the gradient; make one factor of its two parts.": push - pull,
    }
    if np.allclose(given, H_B * pull / push, rtol=1e-6):
        return True, "V_hat depends on H_B through W_B alone, so the filter drops out and the rest stays as it was."
    fitting = [hint for hint, slip in slips.items() if np.allclose(given, slip, rtol=1e-6)]
    return False, fitting[0] if fitting else "the numbers differ. Is there a filter in your update? H_B has none."


@_exercise("02_source_filter_nmf")
def check_02_b(accuracy, power, truth):
    """Raw pitch accuracies {parts: RPA} of the brightest row of H_F0, seed 0; power and true Melody of a song."""
    if set(accuracy) != {1, 40, 160}:
        return False, "the answer is a dictionary with the keys 1, 40 and 160, the numbers of parts."
    scores = {parts: _brightest_comb_scores(power, truth, parts) for parts in accuracy}
    wrong = [parts for parts, score in scores.items() if abs(accuracy[parts] - score["RPA"]) > 0.03]
    if not wrong:
        return True, (
            "flooded, it loses the lead: with 160 free spectra there is one for every note of the voice too. Starved, it "
            "keeps the lead, but then chords and drums must go into it as well: a good salience and a bad stem."
        )
    if max(accuracy.values()) - min(accuracy.values()) < 0.01:
        return False, "all three are alike. Settings are frozen: replace(settings, ...) returns new ones; do you use them?"
    if all(abs(accuracy[parts] - score["RCA"]) <= 0.03 for parts, score in scores.items()):
        return False, "these are the RCA, which forgive octaves; asked for is the RPA."
    return False, f"with {wrong[0]} parts it should be another number. Seed 0, 40 iterations, brightest row of every frame?"


def _brightest_comb_scores(power, truth, n_accompaniment):
    settings = sfnmf.Settings(n_accompaniment=n_accompaniment)
    H_F0 = sfnmf.factorise(power, settings, seed=0).H_F0
    times_s = grids.frame_times_s(H_F0.shape[1], settings.hop_samples, settings.sr)
    return evaluate.score_melody(decode.peak(records.Salience(H_F0, settings.grid.freqs_hz, times_s)), truth)


_FMIN_02_C_HZ = 55 * 2 ** (8 / 60)


def puzzle_02_c():
    """An H_F0 whose rows bear the wrong frequencies, and the true Melody: (Salience, Melody)."""
    song = synth.demo_song(seed=1, seconds=6).excerpt(2, 6)
    settings = sfnmf.Settings(fmin_hz=_FMIN_02_C_HZ, fmax_hz=32 * _FMIN_02_C_HZ, iterations=20)
    power = np.abs(audio.stft(song.mono, window=settings.window, hop_samples=settings.hop_samples)) ** 2
    H_F0 = sfnmf.factorise(power, settings).H_F0
    times_s = grids.frame_times_s(power.shape[1], settings.hop_samples, settings.sr)
    labelled_hz = sfnmf.Settings().grid.freqs_hz
    return records.Salience(H_F0 / H_F0.sum(axis=0), labelled_hz, times_s), song.melody.resampled(times_s)


@_exercise("02_source_filter_nmf")
def check_02_c(fmin_hz):
    """The frequency of the first row of the dictionary behind `puzzle_02_c`."""
    fmin_hz = float(fmin_hz)
    off_cents = float(grids.offset_cents(fmin_hz, _FMIN_02_C_HZ))
    if abs(off_cents) < 15:
        return True, f"{_FMIN_02_C_HZ:.2f} Hz, eight rows above A1. A constant distance means a wrong start of the grid."
    if abs(grids.offset_cents(55**2 / fmin_hz, _FMIN_02_C_HZ)) < 15:
        return False, "right distance, wrong way: the labels lie below the truth, so the first row lies above 55 Hz."
    if abs(abs(off_cents) - 1200) < 30:
        return False, "that is an octave off. A few frames with octave errors pull a mean away; take the median."
    if 100 < abs(fmin_hz) < 220:
        return False, "that looks like the distance in cents; go up so many cents from 55 Hz: 55 * 2 ** (cents / 1200)."
    return False, "measure offset_cents between truth and brightest row where something is sung, and take the median."


# --- 03_crnn --------------------------------------------------------------------------------------------------------------


@_exercise("03_crnn")
def check_03_a(decide):
    """A function (p) that takes the 62 probabilities of a frame to (f0_hz, voiced) as Basaran 2018 does."""
    frames = np.random.default_rng(3).dirichlet(np.full(62, 0.5), 40)  # in none does the best class reach one half
    frames[:20, 0] += 0.3  # "no melody" wins in half of them
    frames /= frames.sum(axis=1, keepdims=True)
    answers = [_result(decide, p.copy()) for p in frames]
    f0_hz, voiced = np.array([float(f) for f, _ in answers]), np.array([bool(v) for _, v in answers])
    best, wins = frames[:, 1:].argmax(axis=1), frames[:, 1:].max(axis=1) > frames[:, 0]
    off = 12 * np.log2(np.maximum(f0_hz, 1e-9) / (55 * 2 ** (best / 12)))  # semitones
    if np.all(np.abs(off) < 0.01) and np.array_equal(voiced, wins):
        return True, "a guess stands in every frame, so pitch can be scored apart from voicing."
    if np.allclose(off[wins], 1, atol=0.01):
        return False, "all notes are a semitone too high: class 1 is 55 Hz."
    if np.all(np.abs(off[wins]) < 0.01) and np.any(np.abs(off[~wins]) > 0.01):
        return False, 'where "no melody" wins the pitch is not the best note. Leave class 0 out when you look for it.'
    if np.all(np.abs(off) < 0.01) and not voiced[wins].any():
        return False, "the pitch is right, but nothing is sung. A note need not reach one half, it need only beat class 0."
    if np.all(np.abs(off) < 0.01):
        return False, "the pitch is right. A frame is voiced where the best note has a larger probability than class 0."
    return False, "the pitch is that of the largest of p[1:], and class c is 55 * 2 ** ((c - 1) / 12) Hz."


@_exercise("03_crnn")
def check_03_b(numbers):
    """Trainable numbers of sf-crnn-1 with a GRU of 64 units in each direction."""
    numbers, convolutions = float(numbers), 145_345
    gru, dense = 3 * 64 * (61 + 64 + 1), 62 * (2 * 64 + 1)
    if numbers == convolutions + 2 * gru + dense:
        return True, "most of what the GRU had is gone; the convolutions do not know how long the memory is."
    slips = {
        "a GRU in each direction: count it twice.": convolutions + gru + dense,
        "one GRU only, and the dense layer hears 2 x 64 units, not 64.": convolutions + gru + 62 * (64 + 1),
        "the dense layer hears 2 x 64 units, not 64.": convolutions + 2 * gru + 62 * (64 + 1),
        "the dense layer shrinks, too: it hears 2 x 64 units.": convolutions + 2 * gru + 62 * (2 * 128 + 1),
        "torch's second bias is held at zero here; each gate has one.": convolutions + 2 * (gru + 3 * 64) + dense,
        "running means and variances are not trained.": convolutions + 2 * gru + dense + 416,
        "and the convolutions? They stay, all 145,345 numbers.": 2 * gru + dense,
        "that is the network with 128 units.": 307_199,
    }
    fitting = [hint for hint, slip in slips.items() if numbers == slip]
    otherwise = "only the GRU, 2 * 3 * n * (61 + n + 1), and the dense layer, 62 * (2 * n + 1), change."
    return False, fitting[0] if fitting else otherwise


def puzzle_03_c(model, picture):
    """What a CRNN says of a picture (Features) when one channel of its layer 4 is silent: Salience."""
    with explain.ablate(model, "cnn.layer4", _silent_03_c(model)):
        return run.salience(model, picture)


def _silent_03_c(model):
    """The channel to which layer 5 gives the second largest weight: it counts, and is not the first to come to mind."""
    weights = model.cnn.layer5.conv.weight.detach().numpy().ravel()
    return int(np.argsort(np.abs(weights))[-2])


@_exercise("03_crnn")
def check_03_c(channel, model, picture):
    """The channel of layer 4 that was silent in `puzzle_03_c`."""
    if channel not in range(16):
        return False, "layer 4 has channels 0 to 15; a whole number is asked for."
    puzzle = puzzle_03_c(model, picture).values
    with explain.ablate(model, "cnn.layer4", int(channel)):
        distance = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance == 0:
        return True, "with it silenced the network says the same, to the last bit: a fault found by breaking things."
    untouched = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance > untouched:
        return False, f"without channel {channel} you get further from the puzzle than with it; look for the smallest distance."
    return False, f"without channel {channel} the salience is still {distance:.2g} off on average; at the right one it is 0."


# --- 04_multiresolution_cnn -----------------------------------------------------------------------------------------------


@_exercise("04_multiresolution_cnn")
def check_04_a(kernel):
    """960 samples at 16 kHz that answer 440 Hz, and at most a tenth as much at 400 Hz and below, 480 Hz and above."""
    kernel = np.asarray(kernel, dtype=float)
    if kernel.shape != (960,):
        return False, f"960 samples in a row are asked for; yours have the shape {kernel.shape}."
    freqs_hz, level = np.arange(8193) * 16000 / 16384, np.abs(np.fft.rfft(kernel, 16384))
    at_440 = level[np.argmin(np.abs(freqs_hz - 440))]
    if at_440 == 0 or abs(freqs_hz[level.argmax()] - 440) > 10:
        return False, f"it answers {freqs_hz[level.argmax()]:.0f} Hz most; a kernel answers the wave that it is."
    outside = level[(freqs_hz <= 400) | (freqs_hz >= 480)].max() / at_440
    if outside <= 0.1:
        return True, f"outside it lets through {outside:.1%}: a soft begin and end keep the side lobes down."
    return False, f"440 Hz is right, but at 40 Hz from it {outside:.0%} come through. A window that begins and ends softly helps."


@_exercise("04_multiresolution_cnn")
def check_04_b(samples):
    """Samples at 16 kHz whose rectangular window has a main lobe of at most 6.5 Hz."""
    least = 2 * 16000 / (116.5 - 110)
    if samples == int(np.ceil(least)):
        return True, "0.3 s: five times the longest kernel here. It has to hear the overtones, which lie further apart."
    if abs(samples - least / 2) < 1:
        return False, "the main lobe is 2 sr / L wide, from zero to zero; you have half of it."
    return False, "solve 2 * sr / L <= 6.5 Hz for L, and take the next whole number."


def puzzle_04_c(model, picture):
    """What a multires network says of a picture (Features) when one shape of one block is silent: Salience."""
    block, shape = _silent_04_c()
    with explain.ablate(model, f"block{block}.branches.{shape}", range(8)):
        return run.salience(model, picture)


def _silent_04_c():
    return 2, "square5"


@_exercise("04_multiresolution_cnn")
def check_04_c(answer, model, picture):
    """(block, shape) that was silent in `puzzle_04_c`."""
    block, shape = answer
    shapes = ("point", "square3", "square5", "tall", "wide")
    if block not in (1, 2, 3) or shape not in shapes:
        return False, f"a block from 1 to 3 and one of {', '.join(shapes)} are asked for."
    puzzle = puzzle_04_c(model, picture).values
    with explain.ablate(model, f"block{block}.branches.{shape}", range(8)):
        distance = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance == 0:
        return True, "with it silenced the network says the same, to the last bit."
    return False, f"without it the salience is {distance:.2g} off on average; at the right one it is 0."


# --- 05_ftanet_attention --------------------------------------------------------------------------------------------------


@_exercise("05_ftanet_attention")
def check_05_a(attend_over_time):
    """A function (x, z) that weighs x (channels, rows, frames) by the softmax of z (channels, frames) over the frames."""
    rng = np.random.default_rng(5)
    x, z = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 4))

    def softmax(axis):
        return np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)

    found = np.asarray(_result(attend_over_time, x.copy(), z.copy()), dtype=float)
    if found.shape != x.shape:
        return False, f"the weighed features have the shape of x, {x.shape}; yours have {found.shape}."
    if np.allclose(found, x * softmax(1)[:, None, :]):
        return True, "every row gets the same weights: they say when, not where."
    if np.allclose(found, x * softmax(0)[:, None, :]):
        return False, "here the weights of one moment sum to 1 over the channels; each channel shares out one unit over the frames."
    if np.allclose(found, x * np.exp(z)[:, None, :]):
        return False, "these weights do not sum to 1; divide by their sum over the frames."
    if np.allclose(found, x * z[:, None, :]):
        return False, "z may be negative; the softmax makes weights of it."
    return False, "take exp(z), divide by its sum over the frames, and multiply every row of x by it."


@_exercise("05_ftanet_attention")
def check_05_b(numbers):
    """Trainable numbers of the attention over time in level 2 of the published FTANet."""
    numbers, in_map, in_features = float(numbers), 6_208 + 12_352, 18_496 + 102_464
    if numbers == in_map + in_features:
        return True, "most of it is not attention but the 5 x 5 convolution: taking the branch away takes that, too."
    slips = {
        "that is the map alone; the features that it weighs are part of the branch.": in_map,
        "those are the features; and the map?": in_features,
        "every convolution has a bias for each channel that it makes.": in_map + in_features - 4 * 64,
        "both axes have such a branch; one is asked for.": 2 * (in_map + in_features),
    }
    fitting = [hint for hint, slip in slips.items() if numbers == slip]
    general = "a convolution from m to n channels with a window of a x b has n * (m * a * b + 1) numbers."
    return False, fitting[0] if fitting else general


def puzzle_05_c(model, picture):
    """What an FTANet says of a picture (Features) when one of its attention maps is uniform: Salience."""
    level, axis = _uniform_05_c()
    with explain.uniform(model, f"level{level}.attend.{axis}_map"):
        return run.salience(model, picture)


def _uniform_05_c():
    """Neither the first nor the last level."""
    return 5, "frequency"


@_exercise("05_ftanet_attention")
def check_05_c(answer, model, picture):
    """(level, axis) of the map that was uniform in `puzzle_05_c`."""
    level, axis = answer
    if level not in range(1, 8) or axis not in ("frequency", "time"):
        return False, 'a level from 1 to 7 and "frequency" or "time" are asked for, such as (4, "time").'
    puzzle = puzzle_05_c(model, picture).values
    with explain.uniform(model, f"level{level}.attend.{axis}_map"):
        distance = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    if distance == 0:
        return True, "with it uniform the network says the same, to the last bit."
    untouched = float(np.abs(run.salience(model, picture).values - puzzle).mean())
    closer = "nearer to" if distance < untouched else "further from"
    return False, f"with it uniform you are {closer} the puzzle than with none, {distance:.2g} off on average; one has 0."


# --- 06_unet_masking ------------------------------------------------------------------------------------------------------


@_exercise("06_unet_masking")
def check_06_a(sharper):
    """A function (mask, p) whose shares stand in the ratio m ** p to (1 - m) ** p."""
    shares = np.array([[0.0, 0.1, 0.4], [0.5, 0.9, 1.0]])

    def right(m, p):
        return m**p / (m**p + (1 - m) ** p)

    found = {p: np.asarray(_result(sharper, shares.copy(), p), dtype=float) for p in (1, 2, 0.5)}
    if any(given.shape != shares.shape for given in found.values()):
        return False, f"a mask in, a mask out, both of shape {shares.shape}."
    if all(np.allclose(given, right(shares, p)) for p, given in found.items()):
        return True, "at p = 1 nothing changes, one half stays, and the two shares still sum to 1."
    if all(np.allclose(given, shares**p) for p, given in found.items()):
        return False, "mask ** p and (1 - mask) ** p no longer sum to 1; divide by the sum of both."
    if not np.all(np.isfinite(np.concatenate(list(found.values())))):
        return False, "somewhere you divide 0 by 0; m ** p + (1 - m) ** p is never 0."
    if np.allclose(found[2], shares > 0.5) or np.allclose(found[2], shares >= 0.5):
        return False, "that is the binary mask for every p; it is what p without end leads to."
    if np.allclose(found[2], right(shares, 0.5)):
        return False, "p = 2 softens your mask; it should sharpen it."
    return False, "the melody's part is m ** p, the rest's (1 - m) ** p; a share is one part divided by both together."


@_exercise("06_unet_masking")
def check_06_b(factors):
    """(melody's, accompaniment's) factor on the magnitude of a cell whose *power* is shared out 0.64 to 0.36."""
    ours, others = (float(factor) for factor in factors)
    if np.allclose([ours, others], [0.8, 0.6], atol=0.005):
        return True, "together 1.4 of the magnitude that there was: what is split as power does not add up as sound."
    slips = {
        "those are the shares of the power. A magnitude is the root of a power.": (0.64, 0.36),
        "the melody is right. The accompaniment keeps 1 - 0.64 of the power, and its magnitude is the root of that.": (0.8, 0.2),
        "the root, not the square: power is magnitude squared.": (0.64**2, 0.36**2),
        "the melody's factor stands first.": (0.6, 0.8),
    }
    fitting = [hint for hint, slip in slips.items() if np.allclose([ours, others], slip, atol=0.005)]
    return False, fitting[0] if fitting else "what share of the power does each get, and what is the root of it?"


def puzzle_06_c(model, picture, melody):
    """The `Mask` of a unet that was told the melody (Melody) in another key."""
    return run.mask(model, picture, _transposed(melody, _KEY_06_C))[0]


_KEY_06_C = -5  # semitones


def _transposed(melody, semitones):
    return records.Melody(melody.times_s, melody.f0_hz * 2 ** (semitones / 12), melody.voicing)


@_exercise("06_unet_masking")
def check_06_c(semitones, model, picture, melody):
    """By how many semitones the melody was moved in `puzzle_06_c`; below 0 is down."""
    semitones = float(semitones)
    if not -24 <= semitones <= 24:
        return False, "semitones from -24 to 24 are asked for; -12 is an octave down."

    def distance(key):
        told = run.mask(model, picture, _transposed(melody, key))[0].values
        return float(np.abs(told - puzzle_06_c(model, picture, melody).values).mean())

    yours = distance(semitones)
    if semitones == _KEY_06_C:
        return True, "told that line, the network draws the same mask, to the last bit."
    if semitones == -_KEY_06_C:
        return False, "right distance, wrong way: a factor of 2 ** (n / 12) with n below 0 goes down."
    if abs(semitones - _KEY_06_C) == 12:
        return False, f"that line is {yours:.2g} off on average; it shares partials with the right one, an octave away."
    return False, f"told that line, its mask is {yours:.2g} off on average; at the right one it is 0."


# --- 07_drums -------------------------------------------------------------------------------------------------------------


@_exercise("07_drums")
def check_07_a(masks):
    """A function (W, H, owners, power) that returns {class: Wiener mask (freq, time)}; owners: the class of each column of W."""
    rng, owners, power = np.random.default_rng(7), ("kick", "kick", "snare", "toms"), 2.0
    W, H = rng.uniform(0.1, 1, (6, 4)), rng.uniform(0.1, 1, (4, 5))
    found = dict(_result(masks, W.copy(), H.copy(), owners, power))
    kinds = list(dict.fromkeys(owners))
    if sorted(found) != sorted(kinds):
        return False, f"one mask for each class is asked for, {', '.join(kinds)}; yours are for {', '.join(map(str, found))}."
    if any(np.shape(mask) != (6, 5) for mask in found.values()):
        return False, "a mask has the shape of the spectrogram, (freq, time)."
    found = np.array([np.asarray(found[kind], dtype=float) for kind in kinds])
    parts = np.array([np.outer(W[:, k], H[k]) for k in range(4)])
    mine = np.array([[name == kind for name in owners] for kind in kinds], dtype=float)

    def shares(levels):
        return levels / levels.sum(axis=0)

    models = np.einsum("ck,kft->cft", mine, parts)
    if np.allclose(found, shares(models**power)):
        return True, "every cell of the loop is shared out, nothing is left over and nothing invented: the stems sum to the loop."
    if np.allclose(found, shares(np.einsum("ck,kft->cft", mine, parts**power))):
        return False, "a class's parts belong together: add them up first, and take the power of the sum."
    if np.allclose(found, shares(models)):
        return False, "these sum to 1, but where is the power? It gives the stronger class more than its share."
    if np.allclose(found, models**power) or np.allclose(found, models):
        return False, "these are levels, not shares: divide by the sum over the classes."
    if not np.allclose(found.sum(axis=0), 1):
        return False, "in each cell the masks of all classes must sum to 1."
    return False, "the model of a class is W[:, own] @ H[own]; its power, divided by the sum of all classes' powers, is the mask."


@_exercise("07_drums")
def check_07_b(numbers):
    """Trainable numbers of the printed network (R1, 5 classes) if it pools time by 2, not 5, three times."""
    numbers, convolutions = float(numbers), 286_400
    right = convolutions + 128 * (32 * 4 * 43 + 1) + 5 * 129
    if numbers == right:
        return True, "43 cells of time in place of 2, and a dense layer that alone is bigger than all the rest was."
    slips = {
        "that is the printed one, with 2 cells of time left.": 319_941,
        "and the convolutions? They stay, all 286,400 numbers.": right - convolutions,
        "the last layer has a number for each of 128 units, and a bias, per class.": right - 5 * 129,
        "each of the 128 units has a bias, too.": right - 128,
        "the flattened features also hold 4 rows of frequency.": convolutions + 128 * (32 * 43 + 1) + 5 * 129,
        "32 channels come out of the last block: 32 x 4 x 43 features.": convolutions + 128 * (4 * 43 + 1) + 5 * 129,
    }
    fitting = [hint for hint, slip in slips.items() if numbers == slip]
    general = "344 frames become 172, 86, 43; only the dense layer, 128 * (32 * 4 * cells + 1), changes."
    return False, fitting[0] if fitting else general


def puzzle_07_c(song):
    """The snare's stem of a loop that was taken apart with one stroke of the snare left out: (channels, samples)."""
    kept = np.abs(song.onsets.times_s - _left_out_07_c(song)) > 1e-9
    kept |= np.array([kind != "snare" for kind in song.onsets.classes])
    kinds = tuple(kind for kind, keep in zip(song.onsets.classes, kept, strict=True) if keep)
    onsets = records.DrumOnsets(song.onsets.times_s[kept], kinds, song.onsets.velocity[kept])
    return drums.separate(song, onsets).stems["snare"]


def _left_out_07_c(song):
    """The time of the loudest stroke of the snare that has 0.2 s for itself."""
    times_s = song.onsets.of_class("snare")
    stem = np.asarray(song.stems["snare"], dtype=float)
    gaps_s = np.minimum(np.diff(times_s, prepend=-1), np.diff(times_s, append=song.duration_s + 1))
    energies = [np.sum(np.square(stem[:, round(t * song.sr) :][:, : song.sr // 20])) for t in times_s]
    return float(times_s[np.argmax(np.array(energies) * (gaps_s > min(0.2, gaps_s.max() - 1e-9)))])


@_exercise("07_drums")
def check_07_c(time_s, song):
    """When, in seconds, the stroke sounds that was left out of `puzzle_07_c`."""
    time_s, times_s, wanted_s = float(time_s), song.onsets.of_class("snare"), _left_out_07_c(song)
    if abs(time_s - wanted_s) < 0.03:
        return True, f"{wanted_s:.2f} s. Its sound went to whoever was playing: a missed hit spoils more stems than its own."
    if abs(1000 * wanted_s - time_s) < 30:
        return False, "that may be milliseconds; seconds are asked for."
    if not 0 <= time_s <= song.duration_s:
        return False, f"the loop lasts from 0 to {song.duration_s:.2f} s."
    if np.min(np.abs(times_s - time_s)) > 0.03:
        return False, f"no snare was struck at {time_s:.2f} s; the strokes are in song.onsets.of_class(\"snare\")."
    return False, f"the stroke at {time_s:.2f} s is still there. After which does the stem lose most against song.stems[\"snare\"]?"


# --- 10_train_your_own ----------------------------------------------------------------------------------------------------

_PITCHES_10_A_HZ = np.array([np.nan, 55, 56, 110, 440, 452.5, 453.2, 1760, 1811.2, 1812.8, 53.5, 53.3])


@_exercise("10_train_your_own")
def check_10_a(label):
    """A function (f0_hz) that returns the class of one pitch: 0 for none or off the grid, else 1 + semitones above 55 Hz."""
    right = [int(c) for c in 1 + grids.PitchGrid(55.0, 12, 61).nearest_bin(_PITCHES_10_A_HZ)]
    given = [int(_result(label, float(f0_hz))) for f0_hz in _PITCHES_10_A_HZ]
    if given == right:
        return True, "61 semitones from 55 to 1760 Hz, half a semitone of room at both ends, and 0 for everything else."
    wrong = next(n for n in range(len(right)) if given[n] != right[n])
    sentence = f"{_PITCHES_10_A_HZ[wrong]:g} Hz became class {given[wrong]} and should be {right[wrong]}. "
    if wrong == 0:
        return False, "NaN means that nothing is sung; that is class 0. np.isnan tells."
    if given[1] == 0:
        return False, sentence + "55 Hz is the first semitone, and class 0 is taken."
    if all(abs(a - b) <= 1 for a, b in zip(given, right, strict=True)):
        return False, sentence + "Does your number go to the nearest semitone, or to the one below?"
    if wrong >= 8:
        return False, sentence + "What lies more than half a semitone outside of the grid has no class of its own: 0."
    return False, sentence + "An octave has 12 semitones: 12 log2(f0 / 55), rounded, plus 1."


@_exercise("10_train_your_own")
def check_10_b(losses, shares):
    """(loss of a network that gives 62 classes the same probability, loss of one that knows only their shares)."""
    shares = np.asarray(shares, dtype=float)
    present = shares[shares > 0]
    blind, counting = (float(loss) for loss in losses)
    right = np.log(62), -np.sum(present * np.log(present))
    if abs(blind - np.log2(62)) < 0.02 or abs(blind - np.log10(62)) < 0.02:
        return False, "cross entropy here takes the natural logarithm, np.log."
    if abs(blind - right[0]) > 0.02:
        return False, "each of 62 classes has probability 1/62, so every frame costs -log(1/62)."
    if abs(counting - right[1]) <= 0.02:
        return True, f"it begins near {blind:.2f}, and below {counting:.2f} it must have listened to the features."
    if abs(counting + right[1]) <= 0.02:
        return False, "a loss is never negative here; the logarithm of a share is. Mind the sign."
    if abs(counting + np.log(shares[0])) <= 0.02:
        return False, "that is the loss of the frames without melody alone; average over all classes, each by its share."
    if abs(counting + np.mean(np.log(present))) <= 0.02:
        return False, "frequent classes count more: weigh each -log(share) by its share instead of taking a plain mean."
    return False, "the first loss is right. For the second: frames of class c cost -log(share[c]); share[c] of all do."


_LATE_10_C_FRAMES = 9


def puzzle_10_c():
    """A training song's CQT and labels that came too late: (Features, f0_hz (frames,), NaN = no melody)."""
    song = synth.training_song(21, 12, ingredients=synth.Ingredients(drums=False, distortion=False, processing=False))
    picture = features.cqt(song)
    f0_hz = song.melody.resampled(picture.times_s).sung_hz
    late = np.concatenate([np.full(_LATE_10_C_FRAMES, np.nan), f0_hz[:-_LATE_10_C_FRAMES]])
    return picture, late


@_exercise("10_train_your_own")
def check_10_c(late_frames):
    """By how many frames the labels of `puzzle_10_c` are late."""
    late_frames = float(late_frames)
    if abs(late_frames - _LATE_10_C_FRAMES) <= 1:
        late_ms = 1000 * _LATE_10_C_FRAMES * 256 / 22050
        return True, f"{_LATE_10_C_FRAMES} frames, {late_ms:.0f} ms. A network would have learned to be late."
    if abs(late_frames + _LATE_10_C_FRAMES) <= 1:
        return False, "right distance, wrong way: count how far the labels must move to earlier frames."
    if late_frames > 40:
        return False, "that may be milliseconds; frames are asked for, of 256 samples at 22,050 Hz."
    if late_frames == 0:
        return False, "0 is how they stand now. Try every shift from -20 to 20 and compare the brightness under the label."
    return False, "at the right shift the CQT is brightest under the labels, on average over the frames with a melody."

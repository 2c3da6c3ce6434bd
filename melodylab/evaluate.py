"""How good is a melody, a separation, a list of hits? Scores for one result, tables for a folder of songs.

Conventions
- The reference's times rule: mir_eval brings the estimate to them (pitch linearly in cents, voicing from the last frame).
- A pitch is right if it lies less than 50 cents from the reference; exactly 50 is wrong.
- Voiced means `voicing >= 0.5`. A guess in a frame called unvoiced still counts for RPA and RCA, which ask for pitch alone.
  Systems that write 0 there cannot score RPA above VR, so do not compare RPA and RCA across the two kinds (trap T18).
- Every frame must be there. A gap in an estimate is bridged as if it were sung, and an estimate that ends early is held to
  the end of the reference; both give a warning.
- Shares are floats in 0..1, ratios in dB. A share of nothing is NaN, not 0 or 1: pitch of a reference without voice, false
  alarms of one without pauses, any ratio to a silent reference. Means in tables leave NaN out. Silence where a source
  should be scores -inf dB.
- Nobody's arrays are changed.

Melody: Salamon et al. 2014, "Melody extraction from polyphonic music signals". SDR: Vincent et al. 2012 (BSS Eval 3).
SI-SDR: Le Roux et al. 2019, "SDR - half-baked or well done?".
"""

import contextlib
import csv
import math
import warnings
from dataclasses import dataclass
from functools import partial

import joblib
import mir_eval.melody
import mir_eval.onset
import numpy as np
from scipy import fft, linalg
from tqdm import tqdm

from melodylab import audio, datasets, files, separation
from melodylab.files import InputError
from melodylab.records import Song

SEPARATION_SR, SEPARATION_S = 22050, 20.0
FILTER_TAPS = 512  # BSS Eval 3 forgives an estimate any fixed filter of this length
TRUE_MELODY = " (true melody)"  # follows the name of a method that was led by the true melody
TRUE_ONSETS = " (true onsets)"  # the same for drums
_DRUM_CLASSES = ("kick", "snare", "open_hihat", "closed_hihat", "toms")
_DRUM_NAMES = {"KD": "kick", "SD": "snare", "HH": "hihat"}  # of MDB Drums, whose other classes are not judged
_FIGURES = {
    "OA": "Overall Accuracy",
    "RPA": "Raw Pitch Accuracy",
    "RCA": "Raw Chroma Accuracy",
    "VR": "Voicing Recall",
    "VFA": "Voicing False Alarm",
}


def score_melody(estimate, reference):
    """Five figures of an estimated Melody against the true one: {"OA", "RPA", "RCA", "VR", "VFA"}, floats in 0..1.

    OA: share of all frames that are right (pitch where voiced, silence where not). RPA, RCA: share of the voiced frames with
    the right pitch, with the right pitch in any octave. VR: share of the voiced frames called voiced. VFA: share of the
    unvoiced frames called voiced (lower is better). NaN where there are no such frames; an empty estimate says "unvoiced".
    """
    if not len(reference):
        return dict.fromkeys(_FIGURES, float("nan"))
    series = _series(estimate, reference)
    with _quiet():
        scores = mir_eval.melody.evaluate(*series)
    undefined = {"RPA", "RCA", "VR"} if not reference.voiced.any() else {"VFA"} if reference.voiced.all() else ()
    return {short: float("nan") if short in undefined else float(scores[name]) for short, name in _FIGURES.items()}


def frame_errors(estimate, reference):
    """What happened in each frame of the reference: (times_s (frames,), labels (frames,) of str).

    Voiced in both: "right", "octave" (right but for the octave) or "wrong". Voiced in the reference only: "missed"; in the
    estimate only: "false"; in neither: "silence". The share of right and silence together is OA. A reference that starts
    after 0 s gets a frame at 0 s, as in mir_eval.
    """
    if not len(reference):
        return np.zeros(0), np.zeros(0, dtype="U7")
    times_s, truth, voiced, distance, chroma, _ = _compare(_series(estimate, reference), reference)
    cases = {
        "silence": ~truth & ~voiced,
        "false": ~truth,
        "missed": ~voiced,
        "right": distance < 50,
        "octave": chroma < 50,
    }
    return times_s, np.select(list(cases.values()), list(cases), "wrong")


def pitch_errors(estimate, reference):
    """By how much the pitch is off, where the reference is voiced: (times_s (frames,), labels (frames,) of str).

    "right" (less than 50 cents off), "semitone" (less than 150), "tone" (less than 250), "octave" (right but for any number
    of octaves) or "other", no guess included. The kinds add up to the voiced frames; whether the estimate is voiced does
    not count, so that right is RPA, and right with octave RCA.
    """
    if not len(reference):
        return np.zeros(0), np.zeros(0, dtype="U8")
    times_s, truth, _, distance, chroma, guessed = _compare(_series(estimate, reference), reference)
    cases = {
        "other": ~guessed,
        "right": distance < 50,
        "semitone": distance < 150,
        "tone": distance < 250,
        "octave": chroma < 50,
    }
    return times_s[truth], np.select(list(cases.values()), list(cases), "other")[truth]


def _compare(series, reference):
    """Each frame of the reference: time, truly voiced?, called voiced?, cents apart, cents but for octaves, any guess?"""
    with _quiet():
        truth, truth_cents, voiced, cents = mir_eval.melody.to_cent_voicing(*series)
    distance = np.abs(cents - truth_cents)
    chroma = np.abs(distance - 1200 * np.floor(distance / 1200 + 0.5))
    times_s = reference.times_s if reference.times_s[0] <= 0 else np.insert(reference.times_s, 0, 0.0)
    return times_s, truth > 0, voiced > 0, distance, chroma, cents != 0


def other_thresholds(estimate, reference, thresholds):
    """How an estimate with graded voicing would score at other thresholds than 0.5: {"OAs": (thresholds,), "AUC": float}.

    AUC: how often a voiced frame of the reference has more voicing than an unvoiced one, which is the area under voicing
    recall against false alarm; NaN where all frames are of one kind. Decoded once, scored at every threshold at once.
    """
    truth_times_s, truth_hz, times_s, signed_hz = _series(estimate, reference)
    voicing = estimate.voicing.copy() if len(estimate) else np.zeros(1)
    with _quiet():
        truth, truth_cents, _, cents = mir_eval.melody.to_cent_voicing(truth_times_s, truth_hz, times_s, signed_hz)
        series = (truth_times_s, truth_hz, times_s, np.abs(signed_hz))
        voicing = mir_eval.melody.to_cent_voicing(*series, est_voicing=voicing, kind="zero")[2]  # held, as for 0 and 1
    truth, right = truth > 0, np.abs(cents - truth_cents) < 50
    voiced = voicing >= np.asarray(thresholds)[:, None]
    yes, no = voicing[truth], np.sort(voicing[~truth])
    wins = np.searchsorted(no, yes, "left") + np.searchsorted(no, yes, "right")
    with np.errstate(invalid="ignore"):
        area = np.divide(wins.sum() / 2, len(yes) * len(no))
    return {"OAs": np.where(truth, voiced & right, ~voiced).mean(axis=1), "AUC": float(area)}


def _series(estimate, reference):
    """Fresh arrays (reference times, signed Hz, estimate times, signed Hz), for mir_eval may write into what it is given."""
    _warn_of_gaps(estimate.times_s, reference.times_s[-1])
    truth = [reference.times_s.copy(), reference.signed_hz]
    return [*truth, *([estimate.times_s.copy(), estimate.signed_hz] if len(estimate) else [np.zeros(1), np.zeros(1)])]


def _warn_of_gaps(times_s, end_s):
    steps_s = np.diff(times_s)
    gaps = np.flatnonzero(steps_s > 1.5 * np.median(steps_s)) if len(steps_s) else []
    if len(gaps):
        where = f"leaves out frames in {len(gaps)} places, first after {times_s[gaps[0]]:.2f} s, and they count as if sung"
    elif len(times_s) and end_s - times_s[-1] > 0.5:
        where = f"ends at {times_s[-1]:.2f} s, before the reference, and its last frame is held to the end"
    else:
        return
    warnings.warn(f"the estimate {where}; write every frame, unvoiced ones too", stacklevel=4)


@contextlib.contextmanager
def _quiet():
    """For remarks on empty and unvoiced series that a NaN or our own warning already makes."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        yield


def onset_f_measure(reference_s, estimate_s, window_s=0.05):
    """F-measure in 0..1 of estimated hit times (seconds, any order) within `window_s` of true ones, each used once.

    0 where only one of the two lists is empty; NaN where both are, so that an absent drum does not enter a mean.
    """
    reference_s, estimate_s = (np.sort(np.asarray(times_s, dtype=float)) for times_s in (reference_s, estimate_s))
    if not len(reference_s) and not len(estimate_s):
        return float("nan")
    with _quiet():
        return float(mir_eval.onset.f_measure(reference_s, estimate_s, window=window_s)[0])


def hit_errors(estimate, reference, window_s=0.05):
    """What became of each hit of two `DrumOnsets`: (times_s, classes, labels), labels "right", "missed" or "false", by time.

    A found hit is right within `window_s` of a true one of its class, and each is used once. Right and false hits stand at the time
    that was claimed, missed ones at the true time.
    """
    told = []
    for kind in sorted({*estimate.classes, *reference.classes}):
        found, true = estimate.of_class(kind), reference.of_class(kind)
        pairs = mir_eval.util.match_events(true, found, window_s) if len(found) and len(true) else []
        right, seen = {e for _, e in pairs}, {r for r, _ in pairs}
        told += [(float(t), kind, "right" if n in right else "false") for n, t in enumerate(found)]
        told += [(float(t), kind, "missed") for n, t in enumerate(true) if n not in seen]
    times_s, classes, labels = zip(*sorted(told), strict=True) if told else ((), (), ())
    return np.array(times_s, float), classes, labels


def si_sdr(reference, estimate):
    """Scale-invariant signal-to-distortion ratio in dB, float; shapes equal, channels count as one long signal.

    The target is the reference scaled to fit the estimate best, everything else is distortion; the mean is not removed.
    NaN for a silent reference, -inf for a silent estimate, +inf for a perfect one. Raises ValueError on NaN or other shapes.
    """
    reference, estimate = _signals(reference, estimate)
    return _target_to_rest_db(reference.ravel(), estimate.ravel(), lambda r, e: r * (r @ e) / (r @ r))


def bss_eval_sdr(references, estimates):
    """Signal-to-distortion ratio of BSS Eval 3 in dB, (sources,); references and estimates (sources, samples) in one order.

    The target is the reference through the 512-tap filter that fits the estimate best; distortion is everything else, over
    the samples and the 511 that the filter rings on. The other sources do not enter (they only split the distortion into
    interference and artefacts, which this does not report). NaN, -inf and errors as in `si_sdr`, source by source.
    """
    references, estimates = (np.atleast_2d(x) for x in _signals(references, estimates))
    if references.ndim != 2 or references.shape[0] > references.shape[1]:
        raise ValueError(f"expected (sources, samples), got {references.shape}; transpose, or mix each source to mono")
    return np.array([_target_to_rest_db(*pair, _best_filtered) for pair in zip(references, estimates, strict=True)])


def _best_filtered(reference, estimate):
    """The reference through the least-squares filter towards the estimate, (samples + FILTER_TAPS - 1,)."""
    samples = len(reference) + FILTER_TAPS - 1
    size = fft.next_fast_len(samples, real=True)
    spectrum = fft.rfft(reference, size)
    own = fft.irfft(np.abs(spectrum) ** 2, size)[:FILTER_TAPS]  # correlations by lag
    cross = fft.irfft(spectrum.conj() * fft.rfft(estimate, size), size)[:FILTER_TAPS]
    # a dense solve rather than a Levinson recursion, which breaks down on a tone that fades (0 dB instead of 34)
    matrix = linalg.toeplitz(own)
    try:
        taps = np.linalg.solve(matrix, cross)
    except np.linalg.LinAlgError:
        taps = np.linalg.lstsq(matrix, cross, rcond=None)[0]
    return fft.irfft(spectrum * fft.rfft(taps, size), size)[:samples]


def _target_to_rest_db(reference, estimate, fit):
    if not reference.any() or not estimate.any():
        return float("-inf" if reference.any() else "nan")
    reference, estimate = reference / np.abs(reference).max(), estimate / np.abs(estimate).max()  # squares stay in range
    target = fit(reference, estimate)
    rest = np.pad(estimate, (0, len(target) - len(estimate))) - target
    with np.errstate(divide="ignore"):
        return float(10 * (np.log10(target @ target) - np.log10(rest @ rest)))


def _signals(reference, estimate):
    reference, estimate = np.asarray(reference, dtype=float), np.asarray(estimate, dtype=float)
    if reference.shape != estimate.shape or reference.size == 0:
        raise ValueError(f"reference {reference.shape} and estimate {estimate.shape} must have one shape and not be empty")
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        raise ValueError("reference and estimate must be finite; they hold NaN or infinity")
    return reference, estimate


@dataclass(frozen=True, repr=False)
class Table:
    """Scores of methods on songs. columns: "song", "method", then figures. rows: one tuple a song and method.

    failures: one line for each song and method that gave no row. `str(table)` is aligned text with a mean row per method.
    """

    columns: tuple
    rows: tuple
    failures: tuple = ()

    def mean(self, method):
        """{figure: mean over the songs, NaN left out}. Raises KeyError for a method without rows."""
        rows = [row[2:] for row in self.rows if row[1] == method]
        if not rows:
            raise KeyError(f"the table has no row of {method!r}")
        with _quiet():  # a column of nothing but NaN has the mean NaN
            means = np.nanmean(np.array(rows, dtype=float), axis=0).tolist()
        return dict(zip(self.columns[2:], means, strict=True))

    @property
    def _all_rows(self):
        methods = dict.fromkeys(row[1] for row in self.rows)
        return [*self.rows, *(("mean", method, *self.mean(method).values()) for method in methods)]

    def __str__(self):
        digits = [2 if name.endswith("_db") else 3 for name in self.columns[2:]]
        cells = [(*row[:2], *(f"{x:.{d}f}" for x, d in zip(row[2:], digits, strict=True))) for row in self._all_rows]
        columns = []
        for n, column in enumerate(zip(self.columns, *cells, strict=True)):
            width = max(map(len, column))
            columns.append([cell.ljust(width) if n < 2 else cell.rjust(width) for cell in column])
        return "\n".join([*("  ".join(line) for line in zip(*columns, strict=True)), *self.failures])

    __repr__ = __str__

    def to_csv(self, path):
        """Write header, rows and mean rows (song "mean") in full precision; complete or absent."""
        with files.complete_or_absent(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as sink:
            csv.writer(sink, lineterminator="\n").writerows([self.columns, *self._all_rows])


def evaluate_folder(folder, task, methods, *, progress=False, n_jobs=1, extract=None, separate=None, separate_drums=None):
    """Score methods on every song of a folder (see `datasets`): Table with one row a song and method.

    task "melody": the five figures of `score_melody` on the whole song. task "separation": SDR and SI-SDR in dB of melody
    stem and accompaniment (mix - melody), mono, 22.05 kHz, first 20 s, which is also all the method gets; a method that can be
    led does it once on its own and, where the truth is known, once by the true melody, in a row "METHOD (true melody)".
    task "drums": onset F (50 ms) of each class that truly plays, their mean, and where there are stems the SI-SDR in dB of each
    and its mean; the method hears the stem "drums" where there is one, else the mix. Where true hits and stems are known, it is
    also led by these hits, in a row "METHOD (true onsets)". hihat is open and closed together, for truths that do not part them.
    Methods see the mix only. What fails becomes a line in `failures`, the rest goes on. n_jobs: songs side by side (joblib).
    extract, separate, separate_drums: functions like `api.extract_melody`... to judge in their place.
    """
    methods = (methods,) if isinstance(methods, str) else tuple(dict.fromkeys(methods))
    if task not in _TASKS:
        raise InputError(f"there is no task {task!r}; choose {' or '.join(_TASKS)}")
    if not methods:
        raise InputError("no method was named; name at least one")
    run = {"melody": extract, "separation": separate, "drums": separate_drums}[task]
    if run is None:
        from melodylab import api  # here, because it brings every method along and a score alone needs none

        run = {"melody": api.extract_melody, "separation": api.separate, "drums": api.separate_drums}[task]
        methods = tuple(dict.fromkeys(_checked(task, method) for method in methods))  # the table tells what was run
    folders = datasets.song_folders(folder)
    songs = (joblib.delayed(_judge_song)(path, task, methods, run) for path in folders)
    results = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(songs)
    results = list(tqdm(results, total=len(folders), unit="song", disable=not progress))
    rows, failures = (tuple(item for result in results for item in result[kind]) for kind in (0, 1))
    return Table(("song", "method", *_TASKS[task][1]), rows, failures)


def _checked(task, method):
    """The method's name without its alias; refused before the first song where it does not exist or its weights are damaged."""
    from melodylab import api, weights

    if task == "separation":
        return "+".join(filter(None, api.check_separation_method(method)))
    method = weights.resolved(method)
    known, is_network = (api.DRUM_METHODS, api.is_drum_method) if task == "drums" else (api.METHODS, api.is_network)
    if is_network(method):
        weights.verify(method)
    elif method not in known:
        raise InputError(f"there is no method {method!r}; choose from {', '.join(known)}")
    return method


@contextlib.contextmanager
def cluster(address):
    """While it lasts, `evaluate_folder` sends its songs to the Dask cluster at `address`, such as "tcp://10.0.0.1:8786".

    The workers read the songs themselves, so the folder must have the same path there. Raises InputError, one sentence,
    without the package distributed or where nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError('a Dask cluster needs the package distributed; run: pip install "melodylab[cluster]"') from None
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address} ({error}); start one and give its address") from None
    with client, joblib.parallel_config("dask"):
        yield


def _judge_song(path, task, methods, run):
    """(rows, failures) of one song folder."""
    name, rows, failures = path.resolve().name, [], []

    def attempt(label, work):
        try:
            return work()
        except Exception as error:  # whatever a method trips over, the other songs are still to be scored
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            failures.append(" ".join(f"{label}: {kind}{error}".split()))

    for label, score in attempt(name, lambda: _TASKS[task][0](path, methods, run)) or ():
        figures = attempt(f"{name}, {label}", score)
        if figures is not None:
            rows.append((name, label, *figures))
    return rows, failures


def _melody_scores(path, methods, run):
    """[(label, function that returns the figures)] of one song."""
    song = datasets.read_song(path, stems=False)
    if song.melody is None:
        raise InputError(f"{path} holds no melody2.csv or melody.csv; add the true melody")
    mix = Song(song.audio, song.sr, song.name)

    def score(method):
        return score_melody(run(mix, method=method), song.melody).values()

    return [(method, partial(score, method)) for method in methods]


def separation_excerpt(song):
    """What separations are judged on: the first 20 s of a song with a stem "melody", mono at 22,050 Hz. Song."""
    song = song.excerpt(0, min(SEPARATION_S, song.duration_s))
    mix, lead = (audio.resample(x.mean(axis=0), song.sr, SEPARATION_SR)[None] for x in (song.audio, song.stems["melody"]))
    return Song(mix, SEPARATION_SR, song.name, {"melody": lead}, song.melody)


def _separation_scores(path, methods, run):
    song = datasets.read_song(path)
    if "melody" not in song.stems:
        raise InputError(f"{path} holds no stem of the melody; add it as melody.wav (or .flac, .mp3, ...)")
    song = separation_excerpt(song)
    lead, mix = song.stems["melody"][0], Song(song.audio, song.sr, song.name)
    references = np.stack([lead, song.mono - lead])

    def score(method, **led):
        stems = run(mix, method=method, **led)
        estimates = np.stack([np.ravel(stems[name]) for name in ("melody", "accompaniment")])
        return [*bss_eval_sdr(references, estimates).tolist(), *map(si_sdr, references, estimates)]

    own = [(method, partial(score, method)) for method in methods]
    leadable = [method for method in methods if song.melody and "+" not in method and method not in separation.UNLED]
    return own + [(method + TRUE_MELODY, partial(score, method, melody=song.melody)) for method in leadable]


def _drum_scores(path, methods, run):
    song = datasets.read_song(path)
    if song.onsets is None:
        raise InputError(f"{path} holds no onsets.csv or drums.csv; add the true hits")
    sound = Song(song.stems.get("drums", song.audio), song.sr, song.name)
    names = [_DRUM_NAMES.get(name, name) for name in song.onsets.classes]
    truth = {name: song.onsets.times_s[[n == name for n in names]] for name in (*_DRUM_CLASSES, "hihat")}
    told = [name for name, times_s in truth.items() if len(times_s)]  # those that enter the mean
    if not told:
        raise InputError(f"the hits of {path} have none of the classes {', '.join((*_DRUM_CLASSES, *_DRUM_NAMES))}; rename them")
    if not len(truth["hihat"]):
        truth["hihat"] = np.concatenate([truth["open_hihat"], truth["closed_hihat"]])

    def score(method, **led):
        parts = run(sound, method=method, **led)
        found = {name: parts.onsets.of_class(name) for name in _DRUM_CLASSES}
        found["hihat"] = np.concatenate([found["open_hihat"], found["closed_hihat"]])
        Fs = {name: onset_f_measure(truth[name], found[name]) if len(truth[name]) else math.nan for name in truth}
        ratios = [si_sdr(song.stems[name], parts.stems[name]) if name in song.stems else math.nan for name in _DRUM_CLASSES]
        with _quiet():
            return [*Fs.values(), float(np.mean([Fs[name] for name in told])), *ratios, float(np.nanmean(ratios))]

    own = [(method, partial(score, method)) for method in methods]
    if not any(name in song.stems for name in _DRUM_CLASSES) or not set(song.onsets.classes) <= set(_DRUM_CLASSES):
        return own
    return own + [(method + TRUE_ONSETS, partial(score, method, onsets=song.onsets)) for method in methods]


_TASKS = {  # name: (scores of one song, columns)
    "drums": (
        _drum_scores,
        (*(f"F_{n}" for n in (*_DRUM_CLASSES, "hihat")), "F", *(f"{n}_si_sdr_db" for n in _DRUM_CLASSES), "si_sdr_db"),
    ),
    "melody": (_melody_scores, tuple(_FIGURES)),
    "separation": (_separation_scores, ("lead_sdr_db", "accompaniment_sdr_db", "lead_si_sdr_db", "accompaniment_si_sdr_db")),
}

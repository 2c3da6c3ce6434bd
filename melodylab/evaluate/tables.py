"""A folder of songs, several methods: a row a song and method, then the means."""

import contextlib
import csv
import math
from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
from tqdm import tqdm

from melodylab import files
from melodylab.errors import InputError, missing_package
from melodylab.evaluate.drums import onset_f_measure
from melodylab.evaluate.melody import _FIGURES, _quiet, score_melody
from melodylab.evaluate.separation import bss_eval_sdr, separation_excerpt, si_sdr
from melodylab.io import folders
from melodylab.records import Song

TRUE_MELODY = " (true melody)"  # follows the name of a method that was led by the true melody


TRUE_ONSETS = " (true onsets)"  # the same for drums


_DRUM_CLASSES = ("kick", "snare", "open_hihat", "closed_hihat", "toms")


_DRUM_NAMES = {
    "KD": "kick",
    "SD": "snare",
    "HH": "hihat",
}  # of MDB Drums, whose other classes are not judged


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
        cells = [
            (*row[:2], *(f"{x:.{d}f}" for x, d in zip(row[2:], digits, strict=True)))
            for row in self._all_rows
        ]
        columns = []
        for n, column in enumerate(zip(self.columns, *cells, strict=True)):
            width = max(map(len, column))
            columns.append([cell.ljust(width) if n < 2 else cell.rjust(width) for cell in column])
        return "\n".join(
            [*("  ".join(line) for line in zip(*columns, strict=True)), *self.failures]
        )

    __repr__ = __str__

    def to_csv(self, path):
        """Write header, rows and mean rows (song "mean") in full precision; complete or absent."""
        with (
            files.complete_or_absent(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as sink,
        ):
            csv.writer(sink, lineterminator="\n").writerows([self.columns, *self._all_rows])


def evaluate_folder(
    folder,
    task,
    methods,
    *,
    progress=False,
    n_jobs=1,
    extract=None,
    separate=None,
    separate_drums=None,
):
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
        from melodylab import (
            api,  # here, because it brings every method along and a score alone needs none
        )

        run = {
            "melody": api.extract_melody,
            "separation": api.separate,
            "drums": api.separate_drums,
        }[task]
        methods = tuple(
            dict.fromkeys(_checked(task, method) for method in methods)
        )  # the table tells what was run
    paths = folders.song_folders(folder)
    songs = (joblib.delayed(_judge_song)(path, task, methods, run) for path in paths)
    results = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(songs)
    results = list(tqdm(results, total=len(paths), unit="song", disable=not progress))
    rows, failures = (tuple(item for result in results for item in result[kind]) for kind in (0, 1))
    return Table(("song", "method", *_TASKS[task][1]), rows, failures)


def _checked(task, method):
    """The method's name without its alias; refused before the first song where it does not exist or its weights are damaged."""
    from melodylab import methods

    found = methods.find(method, task)
    found.verify()
    return found.name


def _can_be_led(method):
    """Does it take a melody? What is not ours, in place of `api.separate`, is thought to."""
    from melodylab import methods

    try:
        found = methods.find(method, "separation")
    except InputError:
        return "+" not in method
    return found.led and found.leader is None


@contextlib.contextmanager
def cluster(address):
    """While it lasts, `evaluate_folder` sends its songs to the Dask cluster at `address`, such as "tcp://10.0.0.1:8786".

    The workers read the songs themselves, so the folder must have the same path there. Raises InputError, one sentence,
    without the package distributed or where nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise missing_package("a Dask cluster", "distributed", "cluster") from None
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({error}); start one and give its address"
        ) from None
    with client, joblib.parallel_config("dask"):
        yield


def _judge_song(path, task, methods, run):
    """(rows, failures) of one song folder."""
    name, rows, failures = path.resolve().name, [], []

    def attempt(label, work):
        try:
            return work()
        except (
            Exception
        ) as error:  # whatever a method trips over, the other songs are still to be scored
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            failures.append(" ".join(f"{label}: {kind}{error}".split()))

    for label, score in attempt(name, lambda: _TASKS[task][0](path, methods, run)) or ():
        figures = attempt(f"{name}, {label}", score)
        if figures is not None:
            rows.append((name, label, *figures))
    return rows, failures


def _melody_scores(path, methods, run):
    """[(label, function that returns the figures)] of one song."""
    song = folders.read_song(path, stems=False)
    if song.melody is None:
        raise InputError(f"{path} holds no melody2.csv or melody.csv; add the true melody")
    mix = Song(song.audio, song.sr, song.name)

    def score(method):
        return score_melody(estimate=run(mix, method=method), reference=song.melody).values()

    return [(method, partial(score, method)) for method in methods]


def _separation_scores(path, methods, run):
    song = folders.read_song(path)
    if "melody" not in song.stems:
        raise InputError(
            f"{path} holds no stem of the melody; add it as melody.wav (or .flac, .mp3, ...)"
        )
    song = separation_excerpt(song)
    lead, mix = song.stems["melody"][0], Song(song.audio, song.sr, song.name)
    references = np.stack([lead, song.mono - lead])

    def score(method, **led):
        stems = run(mix, method=method, **led)
        estimates = np.stack([np.ravel(stems[name]) for name in ("melody", "accompaniment")])
        return [
            *bss_eval_sdr(reference=references, estimate=estimates).tolist(),
            *(si_sdr(reference=r, estimate=e) for r, e in zip(references, estimates, strict=True)),
        ]

    own = [(method, partial(score, method)) for method in methods]
    leadable = [method for method in methods if song.melody and _can_be_led(method)]
    return own + [
        (method + TRUE_MELODY, partial(score, method, melody=song.melody)) for method in leadable
    ]


def _drum_scores(path, methods, run):
    song = folders.read_song(path)
    if song.onsets is None:
        raise InputError(f"{path} holds no onsets.csv or drums.csv; add the true hits")
    sound = Song(song.stems.get("drums", song.audio), song.sr, song.name)
    names = [_DRUM_NAMES.get(name, name) for name in song.onsets.classes]
    truth = {
        name: song.onsets.times_s[[n == name for n in names]] for name in (*_DRUM_CLASSES, "hihat")
    }
    told = [name for name, times_s in truth.items() if len(times_s)]  # those that enter the mean
    if not told:
        raise InputError(
            f"the hits of {path} have none of the classes {', '.join((*_DRUM_CLASSES, *_DRUM_NAMES))}; rename them"
        )
    if not len(truth["hihat"]):
        truth["hihat"] = np.concatenate([truth["open_hihat"], truth["closed_hihat"]])

    def score(method, **led):
        parts = run(sound, method=method, **led)
        found = {name: parts.onsets.of_class(name) for name in _DRUM_CLASSES}
        found["hihat"] = np.concatenate([found["open_hihat"], found["closed_hihat"]])
        Fs = {
            name: onset_f_measure(reference=truth[name], estimate=found[name])
            if len(truth[name])
            else math.nan
            for name in truth
        }
        ratios = [
            si_sdr(reference=song.stems[name], estimate=parts.stems[name])
            if name in song.stems
            else math.nan
            for name in _DRUM_CLASSES
        ]
        with _quiet():
            return [
                *Fs.values(),
                float(np.mean([Fs[name] for name in told])),
                *ratios,
                float(np.nanmean(ratios)),
            ]

    own = [(method, partial(score, method)) for method in methods]
    if not any(name in song.stems for name in _DRUM_CLASSES) or not set(song.onsets.classes) <= set(
        _DRUM_CLASSES
    ):
        return own
    return own + [
        (method + TRUE_ONSETS, partial(score, method, onsets=song.onsets)) for method in methods
    ]


_TASKS = {  # name: (scores of one song, columns)
    "drums": (
        _drum_scores,
        (
            *(f"F_{n}" for n in (*_DRUM_CLASSES, "hihat")),
            "F",
            *(f"{n}_si_sdr_db" for n in _DRUM_CLASSES),
            "si_sdr_db",
        ),
    ),
    "melody": (_melody_scores, tuple(_FIGURES)),
    "separation": (
        _separation_scores,
        ("lead_sdr_db", "accompaniment_sdr_db", "lead_si_sdr_db", "accompaniment_si_sdr_db"),
    ),
}

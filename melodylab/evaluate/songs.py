"""How one song of a folder is scored, task by task: what the method is given, and the figures."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from melodylab import methods as registry
from melodylab.errors import InputError
from melodylab.evaluate.drums import onset_f_measure
from melodylab.evaluate.labels import drum_class
from melodylab.evaluate.melody import _FIGURES, _quiet, score_melody
from melodylab.evaluate.separation import bss_eval_sdr, separation_excerpt, si_sdr
from melodylab.io import folders
from melodylab.records import DRUM_CLASSES, DrumOnsets, Song

TRUE_MELODY = " (true melody)"  # follows the name of a method that was led by the true melody
TRUE_ONSETS = " (true onsets)"  # the same for drums


def judge_song(
    path: Path, task: str, methods: tuple[str, ...], run: Callable
) -> tuple[list[tuple], list[str]]:
    """Every method on one song; what fails costs its row only.

    Parameters
    ----------
    path : Path
        The song's folder.
    task : str
        One of `TASKS`.
    methods : tuple of str
        Names that `run` knows.
    run : callable
        A function such as `api.extract_melody`, called as run(song, method=name).

    Returns
    -------
    rows : list of tuple
        (song, method, figures in the order of `TASKS`).
    failures : list of str
        One line for each song or method that gave no row.
    """
    name, rows, failures = path.resolve().name, [], []

    def attempt(label, work):
        try:
            return work()
        except (
            Exception
        ) as error:  # whatever a method trips over, the other songs are still to be scored
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            failures.append(" ".join(f"{label}: {kind}{error}".split()))

    for label, score in attempt(name, lambda: TASKS[task][0](path, methods, run)) or ():
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


def _can_be_led(method):
    """Does it take a melody? What is not ours, in place of `api.separate`, is thought to."""
    try:
        found = registry.find(method, "separation")
    except InputError:
        return "+" not in method
    return found.led and found.leader is None


def _drum_scores(path, methods, run):
    song = folders.read_song(path)
    if song.onsets is None:
        raise InputError(f"{path} holds no onsets.csv or drums.csv; add the true hits")
    sound = Song(song.stems.get("drums", song.audio), song.sr, song.name)
    onsets = _in_our_words(song.onsets, path)
    names = onsets.classes
    truth = {name: onsets.times_s[[n == name for n in names]] for name in (*DRUM_CLASSES, "hihat")}
    told = [name for name, times_s in truth.items() if len(times_s)]  # those that enter the mean
    if not told:
        raise InputError(
            f"the hits of {path} have none of the classes {', '.join((*DRUM_CLASSES, 'hihat'))}; "
            "rename them"
        )
    if not len(truth["hihat"]):
        truth["hihat"] = np.concatenate([truth["open_hihat"], truth["closed_hihat"]])

    def score(method, **led):
        parts = run(sound, method=method, **led)
        found = {name: parts.onsets.of_class(name) for name in DRUM_CLASSES}
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
            for name in DRUM_CLASSES
        ]
        with _quiet():
            return [
                *Fs.values(),
                float(np.mean([Fs[name] for name in told])),
                *ratios,
                float(np.nanmean(ratios)),
            ]

    own = [(method, partial(score, method)) for method in methods]
    led = set(names) <= set(DRUM_CLASSES) and any(name in song.stems for name in DRUM_CLASSES)
    if not led:
        return own
    return own + [
        (method + TRUE_ONSETS, partial(score, method, onsets=onsets)) for method in methods
    ]


def _in_our_words(onsets, path):
    """The hits with our names of the drums; what has none here keeps its own, and is not judged."""
    ours = {name: drum_class(name) for name in dict.fromkeys(onsets.classes)}
    unknown = [repr(name) for name, drum in ours.items() if drum is None]
    if unknown:
        warnings.warn(
            f"{path}: no drum here is called {', '.join(unknown)}, and these hits are left out; "
            f"rename them to one of {', '.join(DRUM_CLASSES)}",
            stacklevel=2,
        )
    classes = tuple(ours[name] or name for name in onsets.classes)
    return DrumOnsets(onsets.times_s, classes, onsets.velocity)


TASKS = {  # name: (scores of one song, columns)
    "drums": (
        _drum_scores,
        (
            *(f"F_{n}" for n in (*DRUM_CLASSES, "hihat")),
            "F",
            *(f"{n}_si_sdr_db" for n in DRUM_CLASSES),
            "si_sdr_db",
        ),
    ),
    "melody": (_melody_scores, tuple(_FIGURES)),
    "separation": (
        _separation_scores,
        ("lead_sdr_db", "accompaniment_sdr_db", "lead_si_sdr_db", "accompaniment_si_sdr_db"),
    ),
}

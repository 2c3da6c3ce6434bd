"""Checks of 00_tour."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from melodylab import api, evaluate, records, synth
from melodylab.course.checks.runner import _exercise
from melodylab.melody.decode import revoiced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melodylab.records import Melody, Song

# --- 00_tour --------------------------------------------------------------------------------------


@_exercise("00_tour")
def check_00_a(answer: float, melody: Melody, truth: Melody) -> bool | None:
    """Is `answer` a voicing threshold at which overall accuracy is within 0.01 of the best?

    Parameters
    ----------
    answer : float
        The voicing from which on a frame counts as sung, 0..1.
    melody : Melody
        What a method found, a voicing in 0..1 in every frame, such as `decode.peak` gives.
    truth : Melody
        The true melody of the same song.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """

    def scores(threshold):
        return evaluate.score_melody(estimate=revoiced(melody, threshold), reference=truth)

    answer = float(answer)
    if not 0 <= answer <= 1:
        return False, "voicing lies between 0 and 1, and so must the threshold."
    best = max((float(t) for t in np.arange(0, 1.001, 0.02)), key=lambda t: scores(t)["OA"])
    here, there = scores(answer), scores(best)
    if here["OA"] >= there["OA"] - 0.01:
        return (
            True,
            f"voiced from {answer:.2f} gives OA {here['OA']:.3f}; the best of fifty gives "
            f"{there['OA']:.3f}.",
        )
    lean = "false alarms: raise it" if answer < best else "missed frames: lower it"
    return (
        False,
        f"at {answer:.2f} OA is {here['OA']:.3f}, and better is possible. What costs most here "
        f"are {lean}.",
    )


@_exercise("00_tour")
def check_00_b(answer: Mapping[str, object], melody: Melody, song: Song) -> bool | None:
    """Is `answer` {"from_s", "ratio", "because_of"} the longest run of octave errors, how far off,
    whose fault?

    Parameters
    ----------
    answer : mapping
        "from_s": where the run begins, in seconds, right within 0.05; "ratio": the pitch found
        divided by the true one there, right within 0.1 octaves; "because_of": the stem without
        which the slip goes away, "chords", "bass" or "drums". Empty while one of the three is.
    melody : Melody
        What sfnmf found in the song, on the frames of its true melody.
    song : Song
        The whole song, with its true melody and its stems.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    times_s, labels = evaluate.frame_errors(estimate=melody, reference=song.melody)
    edges = np.diff(np.concatenate([[0], labels == "octave", [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    longest = np.argmax(ends - starts)
    run = slice(starts[longest], ends[longest])
    ratio = np.median(melody.f0_hz[run] / song.melody.f0_hz[run])
    if abs(float(answer["from_s"]) - times_s[run.start]) > 0.05:
        return (
            False,
            "the longest run of octave errors starts elsewhere; look at the triangles of the "
            "error map.",
        )
    if abs(np.log2(float(answer["ratio"]) / ratio)) > 0.1:
        return (
            False,
            "the time is right, the ratio is not: divide melody.f0_hz by song.melody.f0_hz.",
        )
    name = str(answer["because_of"]).strip().lower()
    if name not in song.stems or name == "melody":
        return False, 'because_of must be "chords", "bass" or "drums".'
    without = records.Song.from_array(song.audio - song.stems[name], song.sr)
    left = np.mean(
        evaluate.frame_errors(estimate=api.extract_melody(without, "sfnmf"), reference=song.melody)[
            1
        ][run]
        == "octave"
    )
    if left > 0.5:
        return (
            False,
            f"time and ratio are right, but without the {name} {left:.0%} of the slip is "
            f"still there.",
        )
    return (
        True,
        f"from {times_s[run.start]:.2f} s on it is {ratio:.2f} times the truth, and without "
        f"the {name} it is not.",
    )


@_exercise("00_tour")
def check_00_c(answer: float, seed: int = 0, seconds: float = 12) -> bool | None:
    """Is `answer` a level in dB at which pitch accuracy is half of that at 1.5 dB or less, while 3
    dB more are enough?

    Parameters
    ----------
    answer : float
        How far the voice is above everything else, in dB, -60..20; below 0 it is softer.
    seed : int
        Of the demo song, 0 or more.
    seconds : float
        Length of the demo song, 0.1 or more.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    answer = float(answer)
    if not -60 <= answer <= 20:
        return False, "look between -60 and 20 dB."
    now, here = (_accuracy_of_soft_voice(lead_db, seed, seconds) for lead_db in (1.5, answer))
    if here > now / 2:
        return (
            False,
            f"at {answer:g} dB RPA is still {here:.2f}; half of {now:.2f} would be "
            f"{now / 2:.2f}. Softer!",
        )
    if _accuracy_of_soft_voice(answer + 3, seed, seconds) <= now / 2:
        return (
            False,
            f"at {answer:g} dB RPA is {here:.2f}, but it is halved already with 3 dB more. Louder!",
        )
    return (
        True,
        f"at {answer:g} dB RPA is {here:.2f}, half of {now:.2f} or less, and 3 dB louder "
        f"it is not.",
    )


@functools.cache  # seconds each, and a student tries more than once
def _accuracy_of_soft_voice(lead_db, seed, seconds):
    song = synth.demo_song(seed=seed, seconds=seconds, lead_db=lead_db)
    return evaluate.score_melody(estimate=api.extract_melody(song, "sfnmf"), reference=song.melody)[
        "RPA"
    ]

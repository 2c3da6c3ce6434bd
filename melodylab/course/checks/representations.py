"""Checks of 01_representations."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from melodylab import evaluate, records, synth
from melodylab.course.checks.runner import _exercise
from melodylab.dsp import features, grids

if TYPE_CHECKING:
    from collections.abc import Sequence

# --- 01_representations ---------------------------------------------------------------------------


@_exercise("01_representations")
def check_01_a(samples: object) -> bool | None:
    """The shortest power-of-two Hann window at 22,050 Hz that separates E2 from F2.

    Parameters
    ----------
    samples : int
        Length of the window, in samples; a power of two.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    apart_hz = float(np.diff(grids.midi_to_hz([40, 41]))[0])
    shortest = 2 ** int(np.ceil(np.log2(2 * 22050 / apart_hz)))
    if samples == shortest:
        return (
            True,
            f"{shortest} samples are {1000 * shortest / 22050:.0f} ms, longer than many a note "
            f"you want to see.",
        )
    if samples == shortest // 2:
        return (
            False,
            f"its rows are {22050 / samples:.1f} Hz apart, but a tone fills two rows to either "
            f"side; use 2 sr / N.",
        )
    if samples <= 0 or np.log2(samples) % 1:
        return False, "a power of two is asked for."
    if samples < shortest:
        reach_hz = 2 * 22050 / samples
        return (
            False,
            f"one tone then reaches {reach_hz:.1f} Hz to either side, and the two are "
            f"{apart_hz:.1f} Hz apart.",
        )
    return False, "that separates them, but half as long does it too and blurs time less."


@_exercise("01_representations")
def check_01_b(rows: object) -> bool | None:
    """Rows of a CQT with 36 bins per octave: (up a fifth, up to the third harmonic).

    Parameters
    ----------
    rows : (int, int)
        How many rows up each of the two lies, in whole rows. Empty while one of them is.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
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
def check_01_c(weights: Sequence[float]) -> bool | None:
    """Six weights for the layers of an HCQT that find the melody of demo song 4 where the plain sum
    does not.

    Parameters
    ----------
    weights : sequence of float
        (6,) for the layers h = 0.5, 1, 2, 3, 4, 5, in this order; below 0 is allowed. Empty while
        one of them is.

    Returns
    -------
    bool or None
        True if right, False with a hint if wrong, None if it is still empty.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (6,):
        return (
            False,
            f"six weights, please, one a layer: h = {', '.join(map(str, features.HARMONICS))}.",
        )
    accuracy, plain = (_brightest_row_accuracy(w) for w in (weights, np.array([0, 1, 1, 1, 1, 1])))
    if accuracy >= 0.5:
        return (
            True,
            f"raw pitch accuracy {accuracy:.2f}, the plain sum has {plain:.2f}. Networks learn "
            f"such weights.",
        )
    sentence = f"raw pitch accuracy {accuracy:.2f}; 0.50 is wanted, the plain sum has {plain:.2f}. "
    if weights[0] >= 0:
        return (
            False,
            sentence
            + "If layer h = 0.5 is bright, the true note may lie an octave lower: what does "
            "that ask for?",
        )
    return (
        False,
        sentence
        + "High layers hold more of everything else; should they have as much say as the low ones?",
    )


@functools.cache
def _song_for_01_c():
    song = synth.demo_song(seed=4, seconds=20)
    return features.hcqt(song), song.melody


def _brightest_row_accuracy(weights):
    """Raw pitch accuracy of the row between 110 and 880 Hz in which the weighted layers are
    brightest.
    """
    picture, truth = _song_for_01_c()
    rows = (picture.freqs_hz > 110) & (picture.freqs_hz < 880)
    total = np.tensordot(weights, picture.values[:, rows], axes=1)
    f0_hz = picture.freqs_hz[rows][total.argmax(axis=0)]
    return evaluate.score_melody(
        estimate=records.Melody(picture.times_s, f0_hz, np.ones(len(f0_hz))), reference=truth
    )["RPA"]

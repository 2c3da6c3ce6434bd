"""Scores of separations and of drum hits against planted truths."""

import numpy as np
import pytest

from melodylab import evaluate
from melodylab.errors import InputError
from melodylab.evaluate import (
    bss_eval_sdr,
    onset_f_measure,
    si_sdr,
)
from melodylab.records import DrumOnsets

# --- separation


def test_si_sdr_by_hand():
    # twice the reference (energy 4 x 9) and an error at right angles to it (energy 16)
    assert si_sdr(reference=[3, 0], estimate=[6, 4]) == pytest.approx(10 * np.log10(36 / 16))
    assert si_sdr(reference=[3, 0], estimate=[6e-9, 4e-9]) == pytest.approx(10 * np.log10(36 / 16))
    assert si_sdr(reference=[[3, 0], [0, 0]], estimate=[[6, 4], [0, 0]]) == pytest.approx(
        10 * np.log10(36 / 16)
    )
    assert si_sdr(reference=[1, 1], estimate=[2, 0]) == pytest.approx(
        0
    )  # with the mean removed there would be nothing left of the target


@pytest.mark.parametrize(
    "ratio",
    [
        lambda r, e: si_sdr(reference=r, estimate=e),
        lambda r, e: bss_eval_sdr(reference=r, estimate=e)[0],
    ],
)
def test_ratios_at_silence_perfection_and_nonsense(ratio, rng):
    signal, silence = rng.standard_normal(1000), np.zeros(1000)
    assert ratio(signal, signal) > 200
    assert ratio(signal, silence) == -np.inf
    assert np.isnan(ratio(silence, signal))
    assert np.isnan(ratio(silence, silence))
    assert ratio([1.0], [1.0]) > 200
    assert ratio(1e-200 * signal, 1e200 * signal) > 200
    with pytest.raises(ValueError, match=r"reference \(1000,\) and estimate \(999,\)"):
        ratio(signal, signal[1:])
    with pytest.raises(ValueError, match="not be empty"):
        ratio([], [])
    with pytest.raises(ValueError, match="NaN"):
        ratio(signal, np.append(signal[1:], np.nan))


def test_transposed_sources_are_refused(rng):
    with pytest.raises(ValueError, match="transpose"):
        bss_eval_sdr(
            reference=rng.standard_normal((1000, 2)), estimate=rng.standard_normal((1000, 2))
        )


def test_sdr_forgives_any_filter_of_512_taps_and_no_longer_one(rng):
    reference = np.append(
        rng.standard_normal(3000), np.zeros(600)
    )  # room for the filter to ring in
    for delay, forgiven in ((0, True), (511, True), (512, False), (560, False)):
        estimate = np.convolve(reference, np.eye(1, 600, delay)[0])[: len(reference)]
        assert (bss_eval_sdr(reference=reference, estimate=estimate)[0] > 100) == forgiven
    taps = rng.standard_normal(512) * 0.99 ** np.arange(512)
    assert (
        bss_eval_sdr(reference=reference, estimate=np.convolve(reference, taps)[: len(reference)])[
            0
        ]
        > 100
    )


def test_sdr_is_its_definition(rng):
    reference, estimate = rng.standard_normal((2, 900))
    estimate += 0.3 * reference
    delayed = np.stack([np.pad(reference, (lag, 511 - lag)) for lag in range(512)], axis=1)
    padded = np.append(estimate, np.zeros(511))
    target = delayed @ np.linalg.lstsq(delayed, padded, rcond=None)[0]
    expected = 10 * np.log10(np.sum(target**2) / np.sum((padded - target) ** 2))
    assert bss_eval_sdr(reference=reference, estimate=estimate)[0] == pytest.approx(
        expected, abs=1e-6
    )
    assert bss_eval_sdr(reference=reference, estimate=1e3 * estimate)[0] == pytest.approx(
        expected, abs=1e-6
    )
    assert bss_eval_sdr(reference=1e-3 * reference, estimate=estimate)[0] == pytest.approx(
        expected, abs=1e-6
    )


def test_sdr_of_a_tone_that_fades_is_not_lost_in_rounding():
    n = np.arange(100_000)
    reference, error = np.hanning(len(n)) * np.sin(0.05 * n), np.hanning(len(n)) * np.sin(0.3 * n)
    # no filter turns one tone into the other: all of the error is distortion
    assert bss_eval_sdr(reference=reference, estimate=0.5 * reference + 0.01 * error)[
        0
    ] == pytest.approx(20 * np.log10(50), abs=0.01)


def golden_signals():
    """Two sources and five ways to spoil them, without a random generator: the recipe stands."""
    n = np.arange(6000)
    noise = [2 * ((np.sin(12.9898 * n + seed) * 43758.5453) % 1) - 1 for seed in range(3)]
    smooth = np.convolve(noise[0], 0.9 ** np.arange(60))[:6000]
    tone = np.sin(2 * np.pi * (0.01 + 1e-6 * n) * n) + 0.1 * noise[1]
    references = np.stack([smooth, tone])
    echo = np.zeros(700)
    echo[[0, 300, 650]] = 1, 0.5, 0.3  # the last echo lies beyond 512 taps
    return references, {
        "leak": references + 0.3 * references[::-1],
        "noise": references + 0.02 * noise[2],
        "echo": np.stack([np.convolve(r, echo)[:6000] for r in references]),
        "clipped": np.clip(references, -0.7, 0.7),
        "early": np.stack([np.append(r[5:], np.zeros(5)) for r in references]),
    }


# mir_eval 0.8.2: separation.bss_eval_sources(..., compute_permutation=False)[0]
GOLDEN_SDR_DB = {
    "leak": [16.4964, 5.2872],
    "noise": [41.8208, 36.0706],
    "echo": [11.5045, 11.8204],
    "clipped": [6.4544, 17.2261],
    "early": [-1.3490, 17.8944],
}


@pytest.mark.parametrize("name", GOLDEN_SDR_DB)
def test_sdr_equals_the_toolbox(name):
    references, estimates = golden_signals()
    np.testing.assert_allclose(
        bss_eval_sdr(reference=references, estimate=estimates[name]),
        GOLDEN_SDR_DB[name],
        atol=0.001,
    )


def test_sdr_of_one_source_does_not_depend_on_the_others():
    references, estimates = golden_signals()
    together = bss_eval_sdr(reference=references, estimate=estimates["leak"])
    assert together[1] == pytest.approx(
        bss_eval_sdr(reference=references[1], estimate=estimates["leak"][1])[0]
    )


# --- hits


def test_onsets_match_once_within_the_window():
    assert onset_f_measure(reference=[1, 2, 3], estimate=[3.04, 1.04, 2.04]) == 1
    assert onset_f_measure(reference=[1, 2], estimate=[1.06, 2]) == 0.5
    assert onset_f_measure(reference=[1, 2], estimate=[1.06, 2], window_s=0.1) == 1
    assert onset_f_measure(reference=[1], estimate=[0.99, 1.01]) == pytest.approx(2 / 3)
    assert (
        onset_f_measure(reference=[1], estimate=[])
        == onset_f_measure(reference=[], estimate=[1])
        == 0
    )
    assert np.isnan(onset_f_measure(reference=[], estimate=[]))


def test_each_hit_is_told_right_missed_or_false_and_used_once():
    true = DrumOnsets(np.array([0.1, 0.5, 0.5]), ("kick", "kick", "toms"), np.ones(3))
    found = DrumOnsets(np.array([0.12, 0.14, 0.9]), ("kick", "kick", "snare"), np.ones(3))
    times_s, classes, labels = evaluate.hit_errors(estimate=found, reference=true)
    told = sorted(zip(times_s.tolist(), classes, labels, strict=True))
    assert told in (
        [
            (0.12, "kick", a),
            (0.14, "kick", b),
            (0.5, "kick", "missed"),
            (0.5, "toms", "missed"),
            (0.9, "snare", "false"),
        ]
        for a, b in (("right", "false"), ("false", "right"))
    )
    nothing = DrumOnsets(np.zeros(0), (), np.zeros(0))
    assert evaluate.hit_errors(estimate=nothing, reference=nothing)[1:] == ((), ())


def test_missing_hits_are_a_sentence_and_a_swap_cannot_go_unseen():
    hits = DrumOnsets([0.1], ("kick",), [1.0])
    with pytest.raises(InputError, match="the reference is missing; give DrumOnsets"):
        evaluate.hit_errors(reference=None, estimate=hits)
    for score in (evaluate.hit_errors, onset_f_measure, si_sdr, bss_eval_sdr):
        with pytest.raises(TypeError, match="positional"):
            score(hits, hits)


# --- what others call the drums


@pytest.mark.parametrize(
    ("drum", "labels"),
    [
        ("kick", "kick;Kick;KD;bd;Bass Drum 1;Acoustic Bass Drum;kick drum;36"),
        ("snare", "snare;SD;Acoustic Snare;Electric Snare;Snare Drum;SDG;38"),
        (
            "closed_hihat",
            "closed_hihat;hi-hat closed;Closed Hi Hat;Pedal Hi-Hat;CHH;HHC;closed hat",
        ),
        ("open_hihat", "open_hihat;Hi-Hat (open);Open Hi-Hat;OHH;46"),
        ("hihat", "HH;hi-hat;HiHat;Hat"),
        ("toms", "toms;Tom 1;tom;Low-Mid Tom;High Floor Tom;TT;floortom"),
        ("", "CY;OT;Crash Cymbal 1;Ride Bell;Cowbell;Side Stick;Hand Clap"),
        (None, "vocals;bottom;custom;whatever;x"),
    ],
)
def test_a_drum_is_known_by_its_usual_names(drum, labels):
    assert {label: evaluate.drum_class(label) for label in labels.split(";")} == dict.fromkeys(
        labels.split(";"), drum
    )

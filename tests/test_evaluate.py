"""Scores of melodies against planted truths: what is right is known before anything is scored."""

import warnings

import mir_eval
import numpy as np
import pytest

from melodylab import evaluate
from melodylab.errors import InputError
from melodylab.evaluate import (
    frame_errors,
    pitch_errors,
    score_melody,
)
from melodylab.records import Melody

FRAMES, HOP_S = 400, 256 / 22050


@pytest.fixture
def truth():
    """A slow glide with vibrato, every fourth block of 50 frames silent: 300 voiced, 100 not."""
    times_s = np.arange(FRAMES) * HOP_S
    f0_hz = 220 * 2 ** (times_s / 10 + 0.02 * np.sin(2 * np.pi * 2 * times_s))
    return Melody.from_signed(times_s, np.where(np.arange(FRAMES) // 50 % 4 == 3, 0, f0_hz))


def guess(truth, *, factor=1.0, voicing=None):
    """The truth with a guess also in its silent frames, all voiced unless said otherwise."""
    f0_hz = factor * np.where(truth.voiced, truth.f0_hz, 220)
    return Melody(truth.times_s, f0_hz, np.ones(len(truth)) if voicing is None else voicing)


def random_melody(rng, *, frames, hop_s, start_s=0.0):
    signed_hz = 220 * 2 ** rng.uniform(-0.1, 1.1, frames) * rng.choice([-1, 0, 1, 1], frames)
    return Melody.from_signed(start_s + np.arange(frames) * hop_s, signed_hz)


def test_the_truth_scores_one(truth):
    assert score_melody(truth, truth) == {"OA": 1, "RPA": 1, "RCA": 1, "VR": 1, "VFA": 0}


def test_an_octave_off_keeps_the_chroma(truth):
    scores = score_melody(guess(truth, factor=2, voicing=truth.voicing), truth)
    assert scores == {"OA": 0.25, "RPA": 0, "RCA": 1, "VR": 1, "VFA": 0}


@pytest.mark.parametrize(("cents", "right"), [(49, 1), (-49, 1), (51, 0), (-51, 0)])
def test_half_a_semitone_is_the_border(truth, cents, right):
    scores = score_melody(guess(truth, factor=2 ** (cents / 1200), voicing=truth.voicing), truth)
    assert (scores["RPA"], scores["RCA"]) == (right, right)


def test_guesses_in_frames_called_unvoiced_count_for_pitch_alone(truth):
    scores = score_melody(guess(truth, voicing=np.full(FRAMES, 0.49)), truth)
    assert scores == {"OA": 0.25, "RPA": 1, "RCA": 1, "VR": 0, "VFA": 0}


def test_voicing_of_a_half_is_voiced(truth):
    scores = score_melody(guess(truth, voicing=np.full(FRAMES, 0.5)), truth)
    assert scores == {"OA": 0.75, "RPA": 1, "RCA": 1, "VR": 1, "VFA": 1}


def test_no_guess_at_all_is_right_where_nothing_is_sung(truth):
    nothing = Melody(truth.times_s, np.full(FRAMES, np.nan), np.zeros(FRAMES))
    expected = {"OA": 0.25, "RPA": 0, "RCA": 0, "VR": 0, "VFA": 0}
    assert score_melody(nothing, truth) == expected
    assert score_melody(Melody([], [], []), truth) == expected


def test_another_hop_and_an_offset_clock_cost_only_the_edges(truth):
    times_s = 0.003 + np.arange(470) * 0.01
    voiced = np.interp(times_s, truth.times_s, truth.voicing) >= 0.5
    f0_hz = 220 * 2 ** (times_s / 10 + 0.02 * np.sin(2 * np.pi * 2 * times_s))
    scores = score_melody(Melody(times_s, f0_hz, voiced.astype(float)), truth)
    assert scores["RPA"] == 1
    assert min(scores["OA"], scores["VR"], 1 - scores["VFA"]) > 0.96


def test_a_share_of_nothing_is_nan(truth):
    silent = Melody(truth.times_s, np.full(FRAMES, np.nan), np.zeros(FRAMES))
    scores = score_melody(guess(truth, voicing=truth.voicing), silent)
    assert np.isnan([scores[key] for key in ("RPA", "RCA", "VR")]).all()
    assert (scores["OA"], scores["VFA"]) == (0.25, 0.75)
    scores = score_melody(truth, guess(truth))
    assert np.isnan(scores["VFA"])
    assert scores["OA"] == scores["VR"] == 0.75
    assert np.isnan(list(score_melody(truth, Melody([], [], [])).values())).all()
    assert (
        len(frame_errors(estimate=truth, reference=Melody([], [], []))[1])
        == len(pitch_errors(estimate=truth, reference=Melody([], [], []))[1])
        == 0
    )


def test_dropped_frames_are_scored_as_sung_and_warned_of(truth):
    keep = truth.voiced
    dropped = Melody(truth.times_s[keep], truth.f0_hz[keep], truth.voicing[keep])
    with pytest.warns(UserWarning, match="leaves out frames in 1 places, first after 1.73 s"):
        scores = score_melody(dropped, truth)
    assert scores["VFA"] > 0.98
    early = Melody(truth.times_s[:100], truth.f0_hz[:100], truth.voicing[:100])
    with pytest.warns(UserWarning, match="ends at 1.15 s"):
        assert score_melody(early, truth)["VR"] == 1  # held to the end


@pytest.mark.parametrize(("hop_s", "start_s"), [(0.01, 0.0), (0.01, 0.004), (0.0058, 0.0)])
def test_scores_equal_mir_eval_on_the_written_file(tmp_path, rng, hop_s, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01)
    estimate = random_melody(rng, frames=300, hop_s=hop_s, start_s=start_s)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the third estimate ends early
        scores = score_melody(estimate, reference)
    for name, melody in (("estimate", estimate), ("reference", reference)):
        melody.to_csv(tmp_path / f"{name}.csv")
    columns = [
        np.loadtxt(tmp_path / f"{name}.csv", delimiter=",").T for name in ("reference", "estimate")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mir_eval.melody.evaluate(*columns[0], *columns[1])
    names = (
        "Overall Accuracy",
        "Raw Pitch Accuracy",
        "Raw Chroma Accuracy",
        "Voicing Recall",
        "Voicing False Alarm",
    )
    np.testing.assert_allclose(
        list(scores.values()), [expected[name] for name in names], atol=1e-12
    )
    assert all(type(value) is float for value in scores.values())
    assert 0 < scores["RPA"] < scores["RCA"] < 1


@pytest.mark.parametrize(("hop_s", "start_s"), [(0.01, 0.0), (0.0058, 0.003)])
def test_other_thresholds_score_as_if_decoded_anew(rng, hop_s, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01, start_s=0.02)
    base = random_melody(rng, frames=700, hop_s=hop_s, start_s=start_s)
    graded = np.where(np.isnan(base.f0_hz), 0.0, rng.uniform(0, 1, 700))
    thresholds = np.array([0.1, 0.2, 0.5, 0.9, 1.0])
    found = evaluate.other_thresholds(
        estimate=Melody(base.times_s, base.f0_hz, graded),
        reference=reference,
        thresholds=thresholds,
    )
    for threshold, OA in zip(thresholds, found["OAs"], strict=True):
        moved = Melody(base.times_s, base.f0_hz, (graded >= threshold).astype(float))
        assert pytest.approx(score_melody(moved, reference)["OA"], abs=1e-12) == OA
    assert len(set(found["OAs"])) == 5


def test_area_under_voicing_of_planted_orders(truth):
    def area(voicing):
        return evaluate.other_thresholds(
            estimate=guess(truth, voicing=voicing), reference=truth, thresholds=[0.5]
        )["AUC"]

    sung = truth.voicing
    assert (
        area(0.2 + 0.1 * sung) == 1
        and area(0.4 - 0.1 * sung) == 0
        and area(np.full(FRAMES, 0.7)) == 0.5
    )
    half = np.where(sung > 0, np.where(np.arange(FRAMES) % 2, 0.9, 0.1), 0.5)
    assert area(half) == pytest.approx(0.5)
    always = Melody(truth.times_s, np.full(FRAMES, 220.0), np.ones(FRAMES))
    assert np.isnan(
        evaluate.other_thresholds(estimate=always, reference=always, thresholds=[0.5])["AUC"]
    )


def test_frame_errors_of_a_line_written_by_hand():
    def melody(*signed_hz):
        return Melody.from_signed(0.01 * np.arange(len(signed_hz)), signed_hz)

    reference = melody(100, 100, 100, 100, 100, 100, 100, 0, 0, 0)
    estimate = melody(
        102.9, 103.0, 200, 51.45, 51.5, -100, 0, 100, -100, 0
    )  # 49.5 and 51.2 cents sharp, in two octaves
    times_s, labels = frame_errors(estimate=estimate, reference=reference)
    assert labels[:5].tolist() == ["right", "wrong", "octave", "octave", "wrong"]
    assert labels[5:].tolist() == ["missed", "missed", "false", "silence", "silence"]
    np.testing.assert_array_equal(times_s, reference.times_s)


@pytest.mark.parametrize("start_s", [0.0, 0.02])
def test_frame_errors_agree_with_the_figures(rng, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01, start_s=start_s)
    estimate = random_melody(rng, frames=600, hop_s=0.005)
    times_s, labels = frame_errors(estimate=estimate, reference=reference)
    share = {
        name: np.mean(labels == name)
        for name in ("right", "octave", "wrong", "missed", "false", "silence")
    }
    scores = score_melody(estimate, reference)
    assert sum(share.values()) == pytest.approx(1)
    assert min(share.values()) > 0
    assert share["right"] + share["silence"] == pytest.approx(scores["OA"])
    assert share["false"] / (share["false"] + share["silence"]) == pytest.approx(scores["VFA"])
    assert len(times_s) == len(labels) == 300 + (start_s > 0)
    assert times_s[0] == 0


def test_pitch_errors_of_a_line_written_by_hand():
    def melody(*signed_hz):
        return Melody.from_signed(0.01 * np.arange(len(signed_hz)), signed_hz)

    up = 100 * 2 ** (np.array([0.49, 0.51, -1, 1.49, 1.51, -2.49, 2.51, 12.3, -24, 11.4, 7]) / 12)
    times_s, labels = pitch_errors(
        estimate=melody(*up, -100, 0, 100, -100), reference=melody(*[100] * 13, 0, 0)
    )
    assert labels[:3].tolist() == ["right", "semitone", "semitone"]
    assert labels[3:7].tolist() == ["semitone", "tone", "tone", "other"]
    assert labels[7:11].tolist() == ["octave", "octave", "other", "other"]
    assert labels[11:].tolist() == [
        "right",
        "other",
    ]  # a guess called unvoiced counts, none is wrong; silence is left out
    np.testing.assert_array_equal(times_s, 0.01 * np.arange(13))


@pytest.mark.parametrize("start_s", [0.0, 0.02])
def test_pitch_errors_agree_with_the_figures(rng, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01, start_s=start_s)
    estimate = random_melody(rng, frames=600, hop_s=0.005)
    _, labels = pitch_errors(estimate=estimate, reference=reference)
    scores = score_melody(estimate, reference)
    assert len(labels) == reference.voiced.sum() + (start_s > 0)  # the frame at 0 s is as the first
    assert np.mean(labels == "right") == pytest.approx(scores["RPA"])
    assert np.mean(np.isin(labels, ["right", "octave"])) == pytest.approx(scores["RCA"])
    assert set(labels) == {"right", "semitone", "tone", "octave", "other"}


def phrases(truth):
    """The truth without the frames of its pauses, as some files have it."""
    keep = truth.voiced
    return Melody(truth.times_s[keep], truth.f0_hz[keep], truth.voicing[keep])


def test_a_reference_without_its_pauses_scores_as_with_them(truth):
    begins_with_a_pause = Melody.from_signed(truth.times_s, truth.signed_hz[::-1])
    for whole in (truth, begins_with_a_pause):
        part, always = phrases(whole), guess(whole)
        with pytest.warns(UserWarning, match="the reference leaves out frames in [12] places"):
            scores = score_melody(always, part)
        assert scores == pytest.approx(score_melody(always, whole), abs=1e-9)
        assert scores["VFA"] == 1 and scores["OA"] == 0.75
        with pytest.warns(UserWarning, match="they count as unvoiced"):
            _, labels = frame_errors(reference=part, estimate=always)
        assert np.mean(labels == "false") == pytest.approx(1 - scores["OA"])
        with pytest.warns(UserWarning, match="the reference"):
            found = evaluate.other_thresholds(reference=part, estimate=always, thresholds=[0.5])
        assert found["OAs"][0] == pytest.approx(scores["OA"])


def test_rounded_times_are_no_gaps(truth):
    rounded = Melody(np.round(truth.times_s, 2), truth.f0_hz, truth.voicing)  # steps of 10, 20 ms
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score_melody(rounded, rounded)["OA"] == 1


def test_a_missing_truth_is_a_sentence(truth, tmp_path):
    for score in (score_melody, frame_errors, pitch_errors):
        with pytest.raises(InputError, match="this song has no true melody"):
            score(estimate=truth, reference=None)
    with pytest.raises(InputError, match="no true melody"):
        evaluate.other_thresholds(estimate=truth, reference=None, thresholds=[0.5])
    with pytest.raises(InputError, match="the estimate is a dict; give a Melody"):
        score_melody({}, truth)
    truth.to_csv(tmp_path / "truth.csv")
    assert score_melody(tmp_path / "truth.csv", str(tmp_path / "truth.csv"))["OA"] == 1


def test_a_swap_cannot_go_unseen(truth):
    for score in (frame_errors, pitch_errors, evaluate.other_thresholds):
        with pytest.raises(TypeError, match="positional"):
            score(truth, truth)


def test_nobodys_arrays_are_changed(truth):
    estimate = guess(truth, voicing=np.linspace(0, 1, FRAMES))
    arrays = [
        getattr(m, name) for m in (truth, estimate) for name in ("times_s", "f0_hz", "voicing")
    ]
    before = [array.copy() for array in arrays]
    score_melody(estimate, truth)
    frame_errors(estimate=estimate, reference=truth)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)

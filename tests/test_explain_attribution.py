"""Which cells of the input a decision rests on."""

import sys

import numpy as np
import pytest
import torch
from explained import FINE, Planted, climbing, first_crnn, noise

from melodylab import explain
from melodylab.errors import InputError
from melodylab.models import run
from melodylab.models.crnn import CRNN, NOTES
from melodylab.models.deep_salience import BINS, DeepSalience
from melodylab.records import Features

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def crnn():
    return first_crnn()


@pytest.fixture
def line():
    return climbing()


# --- attribution ----------------------------------------------------------------------------------


def log_odds(model, features, frame, target):
    y = run.logits(model, features)[:, frame].astype(float)
    others = np.delete(y, target)
    return y[target] - np.log(np.sum(np.exp(others))) if model.has_unvoiced_class else y[target]


@pytest.mark.slow
@pytest.mark.parametrize("around_s", [0.1, None])
def test_integrated_gradients_add_up(crnn, rng, around_s):
    picture = noise(rng, 60, level=30)
    found = explain.attribution(crnn, picture, 0.3, around_s=around_s, steps=40)
    target = int(run.logits(crnn, picture)[:, 26].argmax())
    assert found.score == pytest.approx(log_odds(crnn, picture, 26, target), abs=1e-4)
    assert (
        found.f_hz == pytest.approx(NOTES.freqs_hz[target - 1])
        and found.time_s == picture.times_s[26]
    )
    near = np.abs(picture.times_s - picture.times_s[26]) <= (around_s or np.inf)
    np.testing.assert_array_equal(found.times_s, picture.times_s[near])
    np.testing.assert_array_equal(found.freqs_hz, FINE.freqs_hz)
    silenced = picture.values.copy()
    silenced[:, :, near] = 0
    quiet = Features(silenced, picture.freqs_hz, picture.times_s, "sf")
    assert found.baseline_score == pytest.approx(log_odds(crnn, quiet, 26, target), abs=1e-4)
    difference = found.score - found.baseline_score
    assert abs(difference) > 0.1
    # coarse, for 40 steps over the many kinks of random numbers; the planted network below adds up
    # exactly
    assert found.values.sum() == pytest.approx(difference, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_the_cell_that_decides_gets_the_credit(method, line):
    options = {"method": method, "window_semitones": 1, "window_s": 0.0116, "around_s": 0.1}
    found = explain.attribution(Planted(), line, line.times_s[33], **options)
    assert found.f_hz == pytest.approx(2 * NOTES.freqs_hz[13])  # decided: an octave too high
    channel, row, frame = np.unravel_index(found.values.argmax(), found.values.shape)
    assert row == 13 and found.times_s[frame] == line.times_s[33]
    assert np.abs(found.values).sum() == pytest.approx(found.values[channel, row, frame], rel=1e-3)
    assert found.values.sum() == pytest.approx(found.score - found.baseline_score, rel=1e-3)
    against = explain.attribution(Planted(), line, line.times_s[33], "no melody", **options)
    assert np.isnan(against.f_hz) and against.values.min() < -1 and against.values.max() < 1e-6
    assert against.score < 0 < found.score


@pytest.mark.slow
@pytest.mark.parametrize(
    "frame", [3, 299, 549]
)  # beside borders of patches that begin at 0, or at 73 in the last block
def test_networks_without_memory_are_asked_about_the_frames_they_hear(frame, rng):
    torch.manual_seed(0)
    model, picture = CRNN("cnn1", 0).eval(), noise(rng, 573)
    whole = {"window_semitones": 100, "window_s": 100, "method": "occlusion", "around_s": None}
    found = explain.attribution(model, picture, picture.times_s[frame], 440.0, **whole)
    assert len(found.times_s) <= 75 and found.f_hz == pytest.approx(440)
    assert found.score == pytest.approx(log_odds(model, picture, frame, 37), abs=1e-4)
    assert found.values.max() == pytest.approx(found.score - found.baseline_score, abs=1e-4)


@pytest.mark.slow
def test_a_network_with_context_and_without_a_class_for_silence(rng):
    torch.manual_seed(0)
    model, picture = DeepSalience().eval(), noise(rng, 90, BINS, channels=6)
    model.block_frames = 40
    whole = {"window_semitones": 100, "window_s": 100, "method": "occlusion", "around_s": 0.2}
    found = explain.attribution(model, picture, picture.times_s[41], 220.0, **whole)
    target = int(BINS.nearest_bin(220.0))
    assert found.values.shape[:2] == (6, 360)
    assert found.score == pytest.approx(log_odds(model, picture, 41, target), abs=1e-4)
    with pytest.raises(InputError, match='no class "no melody"'):
        explain.attribution(model, picture, 0.1, "no melody")


def test_impossible_questions_get_a_sentence(crnn, line, rng, monkeypatch):
    picture = noise(rng, 60)
    cases = [
        ({"time_s": 7}, r"lasts from 0 to 0\.68 s, 7 s is outside"),
        ({"time_s": 0.1, "f_hz": 30.0}, r"knows 55 to 1760 Hz, not 30\.0"),
        ({"time_s": 0.1, "f_hz": "loud"}, "knows 55 to 1760 Hz, not 'loud'"),
        (
            {"time_s": 0.1, "method": "magic"},
            "no attribution method 'magic'; choose integrated_gradients or occlusion",
        ),
    ]
    for options, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            explain.attribution(crnn, picture, **options)
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(InputError, match=r"needs the package captum; run: pip install"):
        explain.attribution(crnn, picture, 0.1)

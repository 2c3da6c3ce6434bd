"""One knock on the microphone changes nothing that is heard beside it: melody, masks, hits."""

import numpy as np
import pytest

import melodylab as ml
from melodylab import sfnmf
from melodylab.dsp import features, levels
from melodylab.models import inputs
from melodylab.records import Song

SR = 22050


@pytest.fixture(scope="module")
def soft():
    """Demo song 40 dB down, without and with a knock of 10 ms near full scale at 2.5 s."""
    song = ml.demo_song(seed=0, seconds=8)
    quiet = song.audio[0] * 0.01 / np.abs(song.audio).max()
    knocked = quiet.copy()
    t = np.arange(round(0.01 * SR)) / SR
    at = round(2.5 * SR)
    knocked[at : at + len(t)] += 0.9 * np.sin(2 * np.pi * 150 * t) * np.hanning(len(t))
    return [
        Song.from_array(y, SR, onsets=song.onsets, melody=song.melody) for y in (quiet, knocked)
    ]


def test_the_peak_counts_unless_it_stands_out():
    steady = np.ones(100)
    assert levels.heard_peak(steady) == 1
    drums = np.r_[np.full(20, 3.9), np.full(980, 1.0)]  # 11.8 dB, sometimes
    assert levels.heard_peak(drums) == 3.9
    assert levels.heard_peak(np.r_[steady, 100.0]) == pytest.approx(10 ** (12 / 20))
    assert levels.heard_peak(np.r_[steady, 100.0, np.zeros(5000)]) == pytest.approx(10 ** (12 / 20))
    assert levels.heard_peak(np.r_[0.0, 0.7, np.zeros(5000)]) == pytest.approx(0.7)  # alone
    assert levels.heard_peak(np.zeros(9)) == levels.heard_peak(np.zeros(0)) == 0


def test_frame_levels_are_the_largest_samples_of_all_channels():
    y = np.array([[0.1, -0.5, 0.2, 0.0, 0.3], [0, 0.4, 0, -0.9, 0]], np.float32)
    np.testing.assert_allclose(levels.frame_levels(y, 2), [0.5, 0.9, 0.3])
    np.testing.assert_allclose(levels.frame_levels(y[0], 3), [0.5, 0.3])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spectra", "hcqt", "cqt", "drum-mel", "mel", "wave"])
def test_pictures_of_music_are_what_they_were(name, monkeypatch):
    song = ml.demo_song(seed=1, seconds=5)
    now = inputs.FRONT_ENDS[name](song).values
    monkeypatch.setattr(levels, "heard_peak", lambda x: float(np.max(x, initial=0)))
    assert np.array_equal(inputs.FRONT_ENDS[name](song).values, now)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spectra", "hcqt", "cqt", "drum-mel", "mel", "wave"])
def test_a_knock_leaves_the_rest_of_the_picture(name, soft):
    without, knocked = (inputs.FRONT_ENDS[name](song) for song in soft)
    far = (without.times_s < 1.5) | (without.times_s > 3.5)
    a, b = (
        np.sqrt(x.values[..., far]) if name == "mel" else x.values[..., far]
        for x in (without, knocked)
    )
    if name in ("mel", "wave"):  # linear: a factor, of 12 dB at most
        factor = np.sum(a * b) / np.sum(a * a)
        assert 10 ** (-12 / 20) < factor <= 1.01
    else:  # 80 dB from 0 to 1
        audible = a > 0.4
        assert 0 <= np.median((a - b)[audible]) < 14 / 80
    assert b.max() > 0


def test_a_knock_leaves_the_working_level():
    y = 0.01 * np.sin(np.arange(4 * SR) / 10).astype(np.float32)
    knocked = y.copy()
    knocked[SR : SR + 100] = 1
    assert sfnmf.peak_gain(y, SR) == pytest.approx(100, rel=0.01)
    assert sfnmf.peak_gain(knocked, SR) == pytest.approx(100 / 10 ** (12 / 20), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sfnmf", "best"])
def test_a_knock_silences_no_melody(method, soft):
    without, knocked = (
        ml.score_melody(ml.extract_melody(song, method), song.melody) for song in soft
    )
    assert abs(knocked["OA"] - without["OA"]) < 0.04, (without, knocked)


def test_a_knock_hides_no_hits(soft):
    without, knocked = (ml.api.transcribe_drums(song).times_s for song in soft)
    far = [x[(x < 2.2) | (x > 2.8)] for x in (without, knocked)]
    found = [np.abs(far[1] - t).min() < 0.03 for t in far[0]]
    assert len(far[0]) > 10 and np.mean(found) > 0.85
    assert len(far[1]) < 1.15 * len(far[0])


@pytest.mark.slow
def test_a_knock_closes_no_mask(soft):
    leads = [ml.separate(song, "unet")["melody"][0] for song in soft]
    far = np.r_[: 2 * SR, 3 * SR : len(leads[0])]
    error = leads[1][far] - leads[0][far]
    assert 10 * np.log10(np.sum(leads[0][far] ** 2) / np.sum(error**2)) > 8


def test_decibels_hold_what_stands_out_at_one():
    values = np.full((1, 3, 200), 0.1, np.float32)
    values[0, 1, 7] = 10
    made = features.decibels(values)
    assert made.max() == 1 and made[0, 0, 0] == pytest.approx(1 - 12 / 80, abs=1e-6)

"""Masks made sharper, and the way back to sound of Sheehan's report: what it keeps and what it
loses.
"""

import numpy as np
import pytest

from melodylab import evaluate, separation
from melodylab.dsp import features
from melodylab.records import Mask, Song

SR = 22050


@pytest.fixture
def mask(rng):
    shares = rng.random((5, 7))
    shares[0, :3] = 0, 0.5, 1
    return Mask(shares, np.arange(1.0, 6), np.arange(7) * 0.1)


@pytest.fixture
def two_tones():
    """A second of 440 Hz, and of 2000 Hz: two sources that share no mel band."""
    t = np.arange(SR) / SR
    return [0.3 * np.sin(2 * np.pi * f_hz * t).astype(np.float32)[None] for f_hz in (440, 2000)]


def in_mel(audio):
    return features.stereo_mel(Song(audio, SR)).values


# --- sharper --------------------------------------------------------------------------------------


def test_exponent_one_changes_nothing(mask):
    np.testing.assert_allclose(separation.sharper(mask, 1).values, mask.values, atol=1e-6)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 2, 4, 50, np.inf])
def test_a_sharper_mask_and_its_sharper_complement_are_one(mask, exponent):
    ours, others = (separation.sharper(m, exponent).values for m in (mask, mask.complement))
    np.testing.assert_allclose(ours + others, 1, atol=1e-6)
    np.testing.assert_allclose(ours[0, :3], [0, 0.5, 1])


def test_shares_move_towards_the_ends_above_one_and_to_the_middle_below(mask):
    inner = (mask.values > 0) & (mask.values < 1) & (mask.values != 0.5)
    far = np.abs(mask.values - 0.5)[inner]
    assert np.all(np.abs(separation.sharper(mask, 3).values - 0.5)[inner] > far)
    assert np.all(np.abs(separation.sharper(mask, 0.3).values - 0.5)[inner] < far)
    assert separation.sharper(Mask([[0.8]], [1.0], [0.0]), 2).values[0, 0] == pytest.approx(
        0.64 / 0.68
    )
    assert set(np.unique(separation.sharper(mask, np.inf).values)) == {0, 0.5, 1}


# --- mel inversion --------------------------------------------------------------------------------


def test_the_reports_way_back_parts_two_tones_but_not_into_the_song(two_tones):
    low, high = two_tones
    song = Song(low + high, SR)
    share = in_mel(low) / np.maximum(in_mel(low) + in_mel(high), 1e-12)
    stems = separation.by_mel_inversion(song, share)
    assert {(stem.shape, stem.dtype) for stem in stems.values()} == {((1, SR), np.dtype("float32"))}
    for name, mine, other in (("melody", low, high), ("accompaniment", high, low)):
        ours, theirs = (
            np.sum(in_mel(stems[name]) * in_mel(x)) / np.sum(in_mel(x) ** 2) for x in (mine, other)
        )
        assert 0.5 < ours < 1.5 and theirs < 0.02, name  # loud in its own bands alone
    assert np.abs(stems["melody"] + stems["accompaniment"] - song.audio).max() > 0.1
    assert (
        evaluate.si_sdr(reference=low, estimate=stems["melody"])
        < 10
        < evaluate.si_sdr(reference=low, estimate=low + 0.1 * high)
    )


def test_a_mask_above_one_leaves_nothing_rather_than_less(two_tones):
    song = Song(two_tones[0], SR)
    stems = separation.by_mel_inversion(song, np.full((2, 128, 1 + 16000 // 200), 1.5))
    assert not stems["accompaniment"].any()
    power = [np.sum(x**2) for x in (stems["melody"], song.audio)]
    assert 1.2 < power[0] / power[1] < 1.8  # one and a half times the power, which was never there


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels_and_rate_stay(two_tones, channels):
    parts = np.concatenate([two_tones[0], 0.5 * two_tones[0], two_tones[1]])[:channels]
    song = Song(parts[:, :8000], 11025)
    mel = features.stereo_mel(song).values
    stems = separation.by_mel_inversion(song, np.ones_like(mel), iterations=2)
    assert stems["melody"].shape == song.audio.shape
    if channels == 2:
        quieter = np.sqrt(np.sum(stems["melody"][1] ** 2) / np.sum(stems["melody"][0] ** 2))
        assert 0.4 < quieter < 0.6


def test_silence_stays_silent_and_the_seed_decides(two_tones):
    silent = Song(np.zeros((1, 4000), np.float32), SR)
    nothing = separation.by_mel_inversion(silent, np.ones_like(features.stereo_mel(silent).values))
    assert not any(stem.any() for stem in nothing.values())
    song, ones = Song(two_tones[0][:, :4000], SR), np.ones((2, 128, 1 + 2903 // 200))
    once, again, other = (
        separation.by_mel_inversion(song, ones, iterations=2, seed=seed)["melody"]
        for seed in (0, 0, 1)
    )
    assert np.array_equal(once, again) and not np.array_equal(once, other)

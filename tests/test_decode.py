"""A planted line is followed through noise and past octave traps, and pauses come out as pauses."""

import warnings

import numpy as np
import pytest

from melodylab.dsp import grids
from melodylab.melody import decode
from melodylab.records import Salience

GRID = grids.PitchGrid(55.0, 60, 301)
DECODERS = [decode.peak, decode.viterbi]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def salience_of(values, unvoiced=None):
    return Salience(
        values, GRID.freqs_hz, grids.frame_times_s(values.shape[1], 256, 22050), unvoiced=unvoiced
    )


def ridge(path, height=0.8, noise=0.2, width_bins=1.0, seed=0):
    """A bump of `height` along path (bins, one a frame) over even noise: values (301, frames)."""
    values = noise * np.random.default_rng(seed).random((301, len(path)))
    return np.maximum(
        values, height * np.exp(-0.5 * ((np.arange(301)[:, None] - path) / width_bins) ** 2)
    )


def cents_off(melody, path):
    return np.abs(grids.offset_cents(melody.f0_hz, GRID.bin_hz(path)))


@pytest.fixture
def path():
    """Three seconds that glide up a fourth with vibrato."""
    n = np.arange(258)
    return 120 + 25 * n / 258 + 3 * np.sin(n / 5)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_planted_line_is_read_between_the_bins(decoder, path):
    melody = decoder(salience_of(ridge(path, noise=0), np.full(258, 0.1)))
    assert cents_off(melody, path).max() < 3  # a bin is 20 cents
    assert melody.voiced.all() and np.array_equal(
        melody.times_s, grids.frame_times_s(258, 256, 22050)
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_where_bins_are_semitones_the_pitch_is_that_of_the_likeliest_note(decoder):
    notes = grids.PitchGrid(55.0, 12, 61)
    values = np.full((61, 40), 1e-4)
    values[30], values[32] = 0.45, 0.40  # in between lies a note that nothing speaks for
    salience = Salience(
        values, notes.freqs_hz, grids.frame_times_s(40, 256, 22050), unvoiced=np.full(40, 0.1)
    )
    np.testing.assert_allclose(decoder(salience).f0_hz, notes.bin_hz(30))


def test_viterbi_survives_an_octave_trap_and_peak_does_not(path):
    values = ridge(path)
    values[path[100:130].astype(int) + 60, np.arange(100, 130)] = 1.0  # 0.35 s of a stronger octave
    salience = salience_of(values, np.full(258, 0.1))
    assert np.all(cents_off(decode.peak(salience), path)[100:130] > 1000)
    assert cents_off(decode.viterbi(salience), path).max() < 50


def test_viterbi_bridges_frames_without_evidence(path):
    values = ridge(path)
    values[:, 60:66] = 0
    melody = decode.viterbi(salience_of(values, np.full(258, 0.1)))
    assert np.isnan(melody.f0_hz[60:66]).all() and not melody.voicing[60:66].any()
    assert np.nanmax(cents_off(melody, path)) < 50


def test_a_leap_is_followed(path):
    path = np.where(np.arange(258) < 120, 120, 155)  # seven semitones
    assert (
        np.mean(cents_off(decode.viterbi(salience_of(ridge(path), np.full(258, 0.1))), path) < 30)
        > 0.98
    )


def test_a_voice_stays_in_its_register():
    # eight seconds, and for one of them a line 19 semitones below is clearly stronger
    n = np.arange(690)
    path = 150 + 15 * np.sin(n / 40)
    low = np.where((n > 300) & (n < 386), path - 95, path)
    salience = salience_of(np.maximum(ridge(path, 0.45), ridge(low, 0.8)), np.full(690, 0.1))
    assert np.mean(cents_off(decode.viterbi(salience), path) < 50) > 0.98
    assert np.mean(cents_off(decode.viterbi(salience, register_semitones=None), path) < 50) < 0.9


def test_the_register_is_drawn_twice():
    # fourteen seconds, four of them with a stronger line an octave above: so long that it moves the
    # first average, by which only its ends come down; the second average then takes all of it down
    n = np.arange(1200)
    path = np.full(1200, 120.0)
    above = np.where((n >= 425) & (n < 775), path + 60, path)
    values = np.maximum(ridge(path, 0.5, noise=0), ridge(above, 0.65, noise=0))
    melody = decode.viterbi(salience_of(values, np.full(1200, 0.1)))
    assert np.mean(cents_off(melody, path) < 50) > 0.98


@pytest.mark.slow
def test_a_frame_counts_for_a_quarter():
    # a frame alone, and phrases that begin and end as a coin falls: its evidence is all there is
    salience = salience_of(ridge(np.array([120.0]), 0.9, noise=0), np.array([0.1]))
    melody = decode.viterbi(salience, begin=0.5, end=0.5)
    by_hand = 0.9**0.25 / (0.9**0.25 + 0.1**0.25)
    np.testing.assert_allclose(melody.voicing, by_hand, rtol=1e-3)


def test_a_planted_gap_is_unvoiced_and_the_rest_is_not(path):
    values, unvoiced = ridge(path), np.full(258, 0.2)
    values[:, 100:150] *= 0.1
    unvoiced[100:150] = 0.92
    for decoder, edge in ((decode.peak, 0), (decode.viterbi, 3)):
        melody = decoder(salience_of(values, unvoiced))
        assert not melody.voiced[100 + edge : 150 - edge].any()
        assert melody.voiced[: 100 - edge].all() and melody.voiced[150 + edge :].all()
        assert np.isfinite(melody.f0_hz).all(), "an unvoiced frame has a guess, too"


def test_viterbi_does_not_flicker_and_peak_does(path):
    unvoiced = np.full(258, 0.3)
    unvoiced[::9] = 1.0  # single frames speak against the voice
    salience = salience_of(ridge(path), unvoiced)
    assert not decode.peak(salience).voiced[::9].any()
    assert decode.viterbi(salience).voiced[5:-5].all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_voicing_grows_with_the_evidence_and_stays_within_0_and_1(decoder, path):
    voicing = [
        decoder(salience_of(ridge(path, level, noise=0), np.full(258, 0.3))).voicing
        for level in (0.05, 0.3, 0.9)
    ]
    assert np.all(np.array(voicing) >= 0) and np.all(np.array(voicing) <= 1)
    low, middle, high = (v[20:-20].mean() for v in voicing)
    assert low < 0.25 < middle < 0.7 < high


def test_peak_voicing_is_the_share_of_the_best_pitch():
    values = np.zeros((301, 3))
    values[100] = 0.6, 0.3, 0.1
    melody = decode.peak(salience_of(values, np.array([0.4, 0.3, 0.9])))
    np.testing.assert_allclose(melody.voicing, [0.6, 0.5, 0.1], rtol=1e-5)
    assert melody.voiced.tolist() == [True, True, False]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_threshold_stands_in_where_a_method_says_nothing_about_silence(decoder, path):
    values = ridge(path, noise=0.01)
    values[:, 129:] *= 0.25  # 0.8, then 0.2
    for threshold, first, second in ((0.3, True, False), (0.1, True, True), (0.95, False, False)):
        voiced = decoder(salience_of(values), threshold=threshold).voiced
        assert np.all(voiced[:120] == first) and np.all(voiced[140:] == second)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("unvoiced", [None, 0.0, 1.0])
def test_no_evidence_is_no_pitch_and_no_voicing(decoder, unvoiced):
    melody = decoder(
        salience_of(np.zeros((301, 20)), None if unvoiced is None else np.full(20, unvoiced))
    )
    assert np.isnan(melody.f0_hz).all() and not melody.voicing.any()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("bin_", [0, 300])
def test_the_outermost_bins_are_pitches_like_any_other(decoder, bin_):
    melody = decoder(salience_of(ridge(np.full(30, bin_), noise=0), np.full(30, 0.1)))  # trap T4
    assert melody.voiced.all() and cents_off(melody, bin_).max() < 25


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
def test_one_frame_is_enough(decoder):
    melody = decoder(salience_of(ridge(np.array([100.0]), noise=0), np.array([0.1])))
    assert len(melody) == 1 and melody.voiced.all() and cents_off(melody, 100).max() < 3


def test_phrases_begin_and_end_as_readily_as_asked(path):
    unvoiced = np.full(258, 0.3)
    unvoiced[100:104] = 1.0  # 46 ms against the voice
    salience = salience_of(ridge(path), unvoiced)
    assert decode.viterbi(salience, begin=0.001, end=0.001).voiced.all()
    assert not decode.viterbi(salience, begin=0.5, end=0.5).voiced[100:104].any()


def test_voicing_looks_ahead_as_far_as_back(path):
    unvoiced = np.full(258, 0.3)
    unvoiced[:60] = unvoiced[150:160] = 0.9
    values = ridge(path)
    forwards, backwards = (
        decode.viterbi(salience_of(values[:, way], unvoiced[way])).voicing
        for way in (slice(None), slice(None, None, -1))
    )
    np.testing.assert_allclose(backwards[::-1], forwards, atol=0.01)


def test_moving_costs_what_is_asked(path):
    values = ridge(path)
    values[path[100:106].astype(int) + 20, np.arange(100, 106)] = (
        1.0  # 70 ms of a stronger pitch four semitones above
    )
    salience = salience_of(values, np.full(258, 0.1))
    assert cents_off(decode.viterbi(salience), path)[100:106].max() < 50
    free = decode.viterbi(salience, jump_nats_per_semitone=0.0, register_semitones=None)
    assert cents_off(free, path)[100:106].min() > 300

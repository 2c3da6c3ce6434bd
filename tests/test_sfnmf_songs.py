"""Songs of any length through source-filter NMF: blocks, the salience, the lead."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sung import SMALL, SR, line_hz, melody_of, sung

import melodylab as ml
from melodylab import evaluate, separation, sfnmf
from melodylab.dsp import grids, stft
from melodylab.melody import decode
from melodylab.records import Melody, Song


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 5, 29.9, 31, 55, 67.5, 80, 600])
def test_blocks_cover_every_frame_once_on_an_absolute_grid(seconds):
    n_frames = stft.n_frames(round(seconds * SR), 256)
    blocks = sfnmf.block_frames(n_frames)
    total = np.zeros(n_frames)
    for (first, stop), weight in zip(blocks, sfnmf.block_weights(blocks), strict=True):
        assert 0 <= first < stop <= n_frames and np.all(weight > 0)
        total[first:stop] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)
    hour = sfnmf.block_frames(stft.n_frames(3600 * SR, 256))
    assert [first for first, _ in blocks] == [first for first, _ in hour[: len(blocks)]]


@pytest.mark.slow
def test_what_was_heard_does_not_depend_on_what_follows(rng):
    # the first block is over before the second song goes on; only its faded end may differ
    y = rng.standard_normal(70 * SR).astype(np.float32)
    tiny = replace(SMALL, iterations=1)
    short, long = (next(iter(sfnmf.analyse(part, tiny))) for part in (y[: 60 * SR], y))
    assert short[:2] == long[:2] and np.array_equal(short[4].H_F0, long[4].H_F0)


@pytest.mark.slow
def test_blocks_that_share_frames_are_faded_into_each_other(monkeypatch):
    """Two blocks hear different pitches: in the frames they share each counts by its weight."""
    settings = replace(SMALL, exponent=1.0)
    n_frames, bins = 400, (105, 205)  # evenly around the prior's centre
    fade = np.linspace(1, 0, 200)[1:-1]
    y = sung(440, n_frames * 256 / SR)[: (n_frames - 1) * 256]
    power = np.ones((513, n_frames))
    weights = (np.r_[np.ones(101), fade], np.r_[1 - fade, np.ones(101)])

    def two_blocks(y, settings, *, seed):
        for (first, stop), weight, pitch in zip(((0, 299), (101, 400)), weights, bins, strict=True):
            found = sfnmf.factorise(power[:, first:stop], settings)
            H_F0 = np.zeros_like(found.H_F0)
            H_F0[pitch] = 1
            yield first, stop, weight, power[:, first:stop], replace(found, H_F0=H_F0)

    monkeypatch.setattr(sfnmf.song, "analyse", two_blocks)
    values = sfnmf.salience(Song.from_array(y, SR), settings).values[list(bins)]
    low, high = values[:, 101:299]
    np.testing.assert_allclose(low / (low + high), fade, atol=0.02)


# --- salience -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four(request):
    """Four seconds of the demo song that begin without melody, their salience and its melody."""
    song = request.getfixturevalue("demo").excerpt(1.5, 5.5)
    salience = sfnmf.salience(song)
    return song, salience, decode.viterbi(salience)


@pytest.mark.slow
def test_salience_shares_each_frame_between_the_best_pitch_and_no_melody(four):
    song, salience, _ = four
    assert salience.values.shape == (301, stft.n_frames(song.audio.shape[1], 256))
    np.testing.assert_allclose(salience.values.max(axis=0) + salience.unvoiced, 1, atol=1e-5)
    assert salience.times_s[1] == 256 / SR and salience.freqs_hz[0] == 55


def test_the_demo_melody_is_found_and_more_often_than_in_a_cqt(four):
    song, salience, melody = four
    cqt = ml.features.cqt(song)
    brightest = ml.Melody(
        cqt.times_s, cqt.freqs_hz[cqt.values[0].argmax(axis=0)], np.ones(len(cqt.times_s))
    )
    ours, theirs = (
        ml.score_melody(estimate, song.melody)["RPA"] for estimate in (melody, brightest)
    )
    assert ours > 0.7 and ours > theirs + 0.3


@pytest.mark.slow
def test_a_quieter_recording_has_the_same_melody(four):
    song, _, melody = four
    quiet = decode.viterbi(sfnmf.salience(Song(song.audio / 100, song.sr)))
    np.testing.assert_allclose(
        quiet.voicing, melody.voicing, atol=0.02
    )  # a hundredth is no power of two, so bits differ
    assert np.nanmax(np.abs(grids.offset_cents(quiet.f0_hz, melody.f0_hz))) < 5


@pytest.mark.slow
@pytest.mark.parametrize("low_hz", [140.0, 233.1, 520.0])
def test_a_semitone_up_moves_the_line_by_five_bins(low_hz):
    bins = []
    for base_hz in (low_hz, low_hz * 2 ** (1 / 12)):
        salience = sfnmf.salience(Song.from_array(sung(base_hz, 2.0), SR))
        bins.append(salience.values.argmax(axis=0))
        true = sfnmf.Settings().grid.nearest_bin(line_hz(base_hz, salience.times_s))
        assert np.mean(np.abs(bins[-1] - true) <= 2) > 0.8
        assert np.median(bins[-1] - true) == 0
    assert np.median(bins[1] - bins[0]) == 5


def test_silence_is_unvoiced_and_has_no_pitch():
    salience = sfnmf.salience(Song.from_array(np.zeros(SR), SR))
    assert not salience.values.any() and np.all(salience.unvoiced == 1)
    melody = decode.viterbi(salience)
    assert not melody.voicing.any() and np.isnan(melody.f0_hz).all()


@pytest.mark.parametrize("samples", [1, 200, 1500])
def test_very_short_songs_have_a_salience(samples):
    salience = sfnmf.salience(Song.from_array(sung(440, 1)[:samples], SR), SMALL)
    assert salience.values.shape[1] == stft.n_frames(samples, 256)


# --- stems ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("sr", "channels"), [(8000, 1), (22050, 1), (44100, 2), (48000, 3)])
@pytest.mark.parametrize("unvoiced", [False, True])
def test_stems_sum_to_the_song_at_any_rate_and_channel_count(sr, channels, unvoiced, rng):
    y = sung(440, 1, sr) + 0.1 * rng.standard_normal((channels, sr))
    song = Song.from_array(y, sr)
    lead = separation.lead_by_sfnmf(song, melody_of(440, 1), settings=SMALL, unvoiced=unvoiced)
    backing = separation.rest(song, lead)
    assert (
        lead.dtype == backing.dtype == np.float32
        and lead.shape == backing.shape == song.audio.shape
    )
    np.testing.assert_allclose(lead + backing, song.audio, atol=1e-6)
    assert np.abs(lead).max() > 0.1 and np.abs(backing).max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("unvoiced", [False, True])
def test_the_lead_is_nearer_to_the_planted_tone_than_the_mix_is(unvoiced, rng):
    tone, noise = sung(440, 2), 0.15 * rng.standard_normal(2 * SR)
    lead = separation.lead_by_sfnmf(
        Song.from_array(tone + noise, SR), melody_of(440, 2), unvoiced=unvoiced
    )
    assert (
        evaluate.si_sdr(reference=tone, estimate=lead[0])
        > evaluate.si_sdr(reference=tone, estimate=tone + noise) + 6
    )


def test_only_the_tone_that_the_melody_names_is_taken():
    high, low = sung(587, 2), sung(247, 2)
    song = Song.from_array(high + low, SR)
    for wanted, f0_hz in ((high, 587), (low, 247)):
        assert (
            evaluate.si_sdr(
                reference=wanted, estimate=separation.lead_by_sfnmf(song, melody_of(f0_hz, 2))[0]
            )
            > 5
        )


def test_without_a_voiced_frame_the_lead_is_silent():
    song, melody = Song.from_array(sung(440, 1), SR), melody_of(440, 1)
    unsung = Melody(melody.times_s, melody.f0_hz, np.zeros(len(melody)))
    assert not separation.lead_by_sfnmf(song, unsung, SMALL).any()


def test_the_lead_is_silent_where_the_melody_pauses():
    melody = melody_of(440, 2)
    half = Melody(melody.times_s, melody.f0_hz, (melody.times_s < 1).astype(float))
    lead = separation.lead_by_sfnmf(Song.from_array(sung(440, 2), SR), half, SMALL)[0]
    assert np.abs(lead[: SR // 2]).max() > 0.1 and not lead[round(1.05 * SR) :].any()


def test_what_lies_above_the_working_band_is_not_in_the_lead():
    sr = 48000
    whistle = 0.2 * np.sin(2 * np.pi * 15000 * np.arange(sr) / sr)
    lead = separation.lead_by_sfnmf(
        Song.from_array(sung(440, 1, sr) + whistle, sr), melody_of(440, 1), SMALL
    )[0]
    spectrum = np.abs(np.fft.rfft(lead * np.hanning(sr)))
    assert spectrum[11500:].max() < 1e-3 * spectrum.max()


@pytest.mark.slow
def test_a_song_of_several_blocks_is_stitched_without_a_seam(monkeypatch, rng):
    monkeypatch.setattr(sfnmf.song, "_BLOCK_S", 1.2)
    monkeypatch.setattr(sfnmf.song, "_STEP_S", 0.9)
    tone = sung(440, 3)
    song = Song.from_array(tone + 0.05 * rng.standard_normal(3 * SR), SR)
    assert sfnmf.block_frames(stft.n_frames(3 * SR, 256)) == [(0, 103), (78, 181), (156, 259)]
    error = separation.lead_by_sfnmf(song, melody_of(440, 3))[0] - tone
    level = np.sqrt(np.mean(error[: len(error) // 256 * 256].reshape(-1, 256) ** 2, axis=1))
    for seam in (slice(78, 103), slice(156, 181)):
        assert np.median(level[seam]) < 2 * np.median(level)
    melody = decode.viterbi(sfnmf.salience(song))
    assert ml.score_melody(melody, melody_of(440, 3))["RPA"] > 0.9


def test_a_quieter_song_gives_quieter_stems(rng):
    y = sung(440, 1) + 0.1 * rng.standard_normal(SR)
    loud, quiet = (
        separation.lead_by_sfnmf(Song.from_array(y * gain, SR), melody_of(440, 1), SMALL)
        for gain in (1, 0.01)
    )
    np.testing.assert_allclose(quiet * 100, loud, atol=1e-3 * np.abs(loud).max())

"""The published numbers come back, what was planted is found, and the rules of the model hold: zeros, fixed parts, sums."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
import torch

import melodylab as ml
from melodylab import evaluate, separation, sfnmf
from melodylab.dsp import grids, nmf, stft
from melodylab.melody import decode
from melodylab.records import Melody, Song

SR = 22050
SMALL = sfnmf.Settings(iterations=6, n_accompaniment=5, n_filters=4)
STATE_NAMES = {
    "H_F0": "HF0",
    "H_gamma": "HGAMMA",
    "H_phi": "HPHI",
    "W_B": "WM",
    "H_B": "HM",
}  # ours: the reference's


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def line_hz(base_hz, t_s):
    """A line that never rests: a note every 0.3 s, with vibrato. (A steady comb is a spectrum that W_B may hold.)"""
    notes = np.array([0, 4, 7, 2, 5, -1, 9, 3])
    steps = notes[(t_s / 0.3).astype(int) % len(notes)]
    return base_hz * 2 ** ((steps + 0.4 * np.sin(2 * np.pi * 5.5 * t_s)) / 12)


def sung(base_hz, seconds, sr=SR, *, level=0.3):
    """Twelve falling partials along that line, (samples,)."""
    t_s = np.arange(round(seconds * sr)) / sr
    f0_hz = line_hz(base_hz, t_s)
    phase = 2 * np.pi * np.cumsum(f0_hz) / sr
    partials = [np.sin(h * phase + h) / h * (h * f0_hz < 0.45 * sr) for h in range(1, 13)]
    return level * np.sum(partials, axis=0)


def melody_of(base_hz, seconds):
    """The melody of such a song, on the method's frames."""
    times_s = grids.frame_times_s(stft.n_frames(round(seconds * SR), 256), 256, SR)
    return Melody(times_s, line_hz(base_hz, times_s), np.ones(len(times_s)))


def power_of(y, settings=SMALL):
    return np.abs(stft.stft(y, window=settings.window, hop_samples=settings.hop_samples)) ** 2


@pytest.fixture
def power(rng):
    return rng.exponential(size=(513, 40))


@pytest.fixture(scope="module")
def states(reference_dir):
    """The published program, step by step, from one start."""
    with np.load(reference_dir / "sfnmf_states_4s.npz") as stored:
        return {name: stored[name].astype(np.float64) for name in stored}


def published_start(states):
    start = {ours: states[f"start_{theirs}"] for ours, theirs in STATE_NAMES.items()}
    return start | {"alpha": np.ones(1), "beta": np.ones((1, 40))}


# --- the two dictionaries -------------------------------------------------------------------------


def test_the_levels_of_the_partials_are_klatts_at_every_pitch():
    for f0_hz in (55, 440, 1700):
        magnitude = np.abs(sfnmf.partial_amplitudes(f0_hz, 12))
        levels_db = 20 * np.log10(magnitude / magnitude[0])
        expected = [
            0,
            4.70,
            5.92,
            4.94,
            1.98,
            -2.40,
            -3.92,
            -3.00,
            -3.78,
            -6.19,
            -7.57,
            -6.99,
        ]  # computed elsewhere
        np.testing.assert_allclose(levels_db, expected, atol=0.006)


def test_the_pitch_axis_is_the_published_one():
    grid = sfnmf.Settings().grid
    assert grid.n_bins == 301 and grid.freqs_hz[[0, 60, 300]] == pytest.approx([55, 110, 1760])
    assert sfnmf.Settings(fmin_hz=55.25, fmax_hz=1768).grid.bin_hz(180) == pytest.approx(442)


def test_source_dictionary_is_the_published_one(reference_dir, states):
    W_F0 = sfnmf.source_dictionary()
    assert W_F0.shape == (513, 301) and W_F0.max(axis=0) == pytest.approx(np.ones(301))
    with np.load(reference_dir / "sfnmf_rock_8s.npz") as stored:
        raw = stored["WF0"][:513].astype(np.float64)
    for theirs in (raw, states["WF0"]):
        np.testing.assert_allclose(W_F0, theirs / theirs.max(axis=0), atol=1e-5)


def test_smooth_filters_are_the_published_ones_and_their_sum_is_flat(states):
    W_gamma = sfnmf.smooth_filters()
    np.testing.assert_allclose(W_gamma, states["WGAMMA"], atol=1e-5)
    assert 1.97 < W_gamma.sum(axis=1).min() <= W_gamma.sum(axis=1).max() < 1.98


# --- the factorisation ----------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_the_published_states_come_back(states, dtype, tolerance):
    seen = {}
    factors = sfnmf.factorise(
        states["power_spectrogram"],
        start=published_start(states),
        dtype=dtype,
        keep=lambda iteration, found: seen.update(
            {iteration: found[0]} if iteration in (1, 5, 40) else {}
        ),
    )
    assert factors.cost[[1, 5, 40]] == pytest.approx(
        [411504.5, 199515.6, 81647.7], rel=max(1e-6, tolerance / 10)
    )
    compared = 0
    for iteration, found in seen.items():
        for ours, theirs in STATE_NAMES.items():
            expected = states.get(f"after{iteration}_{theirs}")
            if expected is not None:
                np.testing.assert_allclose(
                    getattr(found, ours), expected, rtol=0, atol=tolerance * expected.max()
                )
                compared += 1
    assert compared == 9


def test_the_brightest_pitch_is_the_published_programs_where_something_is_sung(
    reference_dir, dev_songs
):
    # two runs of the published program agree with each other on 0.76
    y, sr = sf.read(reference_dir / "rock_8s.flac", dtype="float32")
    mix, _ = sf.read(
        dev_songs / "Rock" / "mix.flac", frames=len(y), dtype="float32", always_2d=True
    )
    assert np.corrcoef(mix.mean(axis=1), y)[0, 1] > 0.99, "these 8 s are the beginning of that song"
    with np.load(reference_dir / "sfnmf_rock_8s.npz") as stored:
        theirs, times_s = stored["HF0"].argmax(axis=0), stored["times_s"]
    sung = Melody.from_csv(dev_songs / "Rock" / "melody2.csv").resampled(times_s).voiced
    power = power_of(stft.resample(y, sr, SR))[:, : len(times_s)]
    agreement = []
    for seed in range(5):
        ours = sfnmf.factorise(power, seed=seed).H_F0.argmax(axis=0)
        agreement.append(np.mean(np.abs(ours - theirs)[sung] <= 1))
    assert np.mean(agreement) >= 0.70, agreement


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_one_update_of_H_F0_written_out(power, exponent):
    start = sfnmf.random_start(SMALL, 1, 40, np.random.default_rng(3))
    W_F0, W_gamma = sfnmf.source_dictionary(SMALL), sfnmf.smooth_filters(SMALL)
    S_phi = W_gamma @ start["H_gamma"] @ start["H_phi"]
    V_hat = (W_F0 @ start["H_F0"]) * S_phi + start["W_B"] @ start["H_B"]
    ratio = (W_F0.T @ (S_phi * power / V_hat**2)) / (W_F0.T @ (S_phi / V_hat))
    expected = start["H_F0"] * ratio**exponent
    found = sfnmf.factorise(
        power, replace(SMALL, iterations=1, exponent=exponent), start=start, dtype=torch.float64
    )
    np.testing.assert_allclose(found.H_F0, expected, rtol=1e-10)
    assert found.cost[0] == pytest.approx(nmf.divergence(power, V_hat, "is"), rel=1e-6)


def test_with_exponent_one_half_the_cost_never_rises(power):
    for seed in range(3):
        cost = sfnmf.factorise(
            power, replace(SMALL, exponent=0.5, iterations=15), seed=seed, dtype=torch.float64
        ).cost
        assert len(cost) == 16 and np.all(np.diff(cost) < 0)


def test_the_cost_is_the_divergence_of_what_the_methods_return(power):
    factors = sfnmf.factorise(power, SMALL, dtype=torch.float64)
    assert factors.cost[-1] == pytest.approx(nmf.divergence(power, factors.model(), "is"), rel=1e-6)
    np.testing.assert_allclose(
        factors.source() * factors.filter() + factors.accompaniment(), factors.model(), rtol=1e-12
    )
    np.testing.assert_allclose(
        factors.pitch_power().sum(axis=0), factors.lead().sum(axis=0), rtol=1e-10
    )


def test_a_batch_gives_what_its_songs_give_alone(rng):
    both = rng.exponential(size=(2, 1, 513, 40))
    starts = [sfnmf.random_start(SMALL, 1, 40, rng) for _ in both]
    together = sfnmf.factorise_batch(both, SMALL, starts=starts, dtype=torch.float64)
    for song, start, found in zip(both, starts, together, strict=True):
        alone = sfnmf.factorise(song, SMALL, start=start, dtype=torch.float64)
        for name in STATE_NAMES:
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), rtol=1e-8)


def test_same_seed_same_bits_other_seed_other_bits(power):
    first, again, other = (sfnmf.factorise(power, SMALL, seed=seed) for seed in (5, 5, 6))
    for name in (*STATE_NAMES, "cost"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.allclose(first.H_F0, other.H_F0)


@pytest.mark.parametrize("name", ["H_F0", "H_gamma", "W_B"])
def test_fixed_parts_stay_and_the_others_move(power, name):
    start = sfnmf.random_start(SMALL, 1, 40, np.random.default_rng(0))
    found = sfnmf.factorise(power, SMALL, start=start, fixed={name}, dtype=torch.float64)
    assert np.array_equal(getattr(found, name), start[name])
    for moved in set(STATE_NAMES) - {name}:
        assert not np.allclose(getattr(found, moved), start[moved])


def test_zeros_stay_zero(power):
    start = sfnmf.random_start(SMALL, 1, 40, np.random.default_rng(0))
    start["H_F0"][:, 7] = start["H_F0"][100:200] = 0
    found = sfnmf.factorise(power, SMALL, start=start)
    assert not found.H_F0[:, 7].any() and not found.H_F0[100:200].any()
    assert found.H_F0[:100, 8].all() and np.isfinite(found.cost).all()


def test_a_start_is_not_written_into(power):
    start = sfnmf.random_start(SMALL, 1, 40, np.random.default_rng(0))
    before = {name: values.copy() for name, values in start.items()}
    sfnmf.factorise(power, SMALL, start=start, dtype=torch.float64)
    assert all(np.array_equal(start[name], before[name]) for name in start)


def test_another_dictionary_may_be_given(power):
    found = sfnmf.factorise(power, SMALL, W_F0=np.ones((513, 2)))
    assert found.H_F0.shape == (2, 40)


def test_channel_gains_tell_where_the_lead_stands(rng):
    lead, noise = sung(330, 1), 0.1 * rng.standard_normal(SR)
    estimates = []
    for left, right in ((0.9, 0.3), (0.3, 0.9)):
        power = power_of(
            np.stack([left * lead, right * lead]) + np.stack([right * noise, left * noise])
        )
        found = sfnmf.factorise(power, replace(SMALL, iterations=120))  # gains take small steps
        assert found.alpha.sum() == pytest.approx(1) and found.beta.sum(axis=0) == pytest.approx(
            np.ones(5)
        )
        estimates.append(found.alpha[0])
    assert estimates[0] == pytest.approx(0.75, abs=0.05) and estimates[1] == pytest.approx(
        0.25, abs=0.05
    )


def test_silence_gives_no_activation_and_no_nan():
    found = sfnmf.factorise(np.zeros((513, 30)), SMALL)
    assert all(np.isfinite(getattr(found, name)).all() for name in (*STATE_NAMES, "cost"))
    assert found.model().max() < 1e-6


@pytest.mark.parametrize("shape", [(512, 10), (2, 2, 513, 10)])
def test_a_spectrum_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="513"):
        sfnmf.factorise(np.ones(shape), SMALL)


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


def test_what_was_heard_does_not_depend_on_what_follows(rng):
    # the first block is over before the second song goes on; only its faded end may differ
    y = rng.standard_normal(70 * SR).astype(np.float32)
    tiny = replace(SMALL, iterations=1)
    short, long = (next(iter(sfnmf.analyse(part, tiny))) for part in (y[: 60 * SR], y))
    assert short[:2] == long[:2] and np.array_equal(short[4].H_F0, long[4].H_F0)


# --- salience -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four(request):
    """Four seconds of the demo song that begin without melody, their salience and its melody."""
    song = request.getfixturevalue("demo").excerpt(1.5, 5.5)
    salience = sfnmf.salience(song)
    return song, salience, decode.viterbi(salience)


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


def test_a_quieter_recording_has_the_same_melody(four):
    song, _, melody = four
    quiet = decode.viterbi(sfnmf.salience(Song(song.audio / 100, song.sr)))
    np.testing.assert_allclose(
        quiet.voicing, melody.voicing, atol=0.02
    )  # a hundredth is no power of two, so bits differ
    assert np.nanmax(np.abs(grids.offset_cents(quiet.f0_hz, melody.f0_hz))) < 5


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

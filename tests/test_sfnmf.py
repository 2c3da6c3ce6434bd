"""The published numbers come back, what was planted is found, and the rules of the model hold:
zeros, fixed parts, sums.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
import torch
from sung import SMALL, SR, power_of, sung

from melodylab import sfnmf
from melodylab.dsp import nmf, stft
from melodylab.records import Melody

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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

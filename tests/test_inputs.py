"""Front ends: each on its grid and its clock, silence as zeros, a tone where it belongs."""

import types

import numpy as np
import pytest
import torch

from melodylab import models, sfnmf
from melodylab.dsp import features, grids, stft
from melodylab.models import crnn, deep_salience, inputs
from melodylab.records import Song
from melodylab.training import hits, masks, objectives

SR, HOP_SAMPLES = 22050, 256


pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


# --- front ends -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(request):
    """A second of the demo song and half a second of silence."""
    y = request.getfixturevalue("demo").excerpt(2.5, 3.5)
    return Song.from_array(np.pad(y.mono, (0, y.sr // 2)), y.sr)


@pytest.fixture(scope="module")
def pictures(sound):
    return {name: front_end(sound) for name, front_end in inputs.FRONT_ENDS.items()}


@pytest.mark.slow
def test_every_network_has_a_front_end_that_fits():
    assert set(inputs.FRONT_ENDS) == {d.front_end for d in models.NETWORKS.values()}
    for name, declared in models.NETWORKS.items():
        end, model = (
            inputs.FRONT_ENDS[declared.front_end],
            models.create_model(name, **({"reading": "R5"} if name == "drum-cnn" else {})),
        )
        assert end.name == declared.front_end
        with torch.inference_mode():
            made = model(torch.zeros(1, end.channels, len(end.freqs_hz), 2))
        if objectives.of(model) is masks.Masks:
            shares, gate = model.shares(made)
            assert shares.shape[-2:] == (len(end.freqs_hz), 2) and gate.shape == (1, 2)
        elif objectives.of(model) is hits.Hits:
            assert made.shape == (1, 5, 2)
        else:
            assert made.shape == (1, model.grid.n_bins + model.has_unvoiced_class, 2)


SHAPES = {
    "sf": (1, 301),
    "cqt": (1, 301),
    "hcqt": (6, 360),
    "cfp": (3, 320),
    "spectra": (2, 312),
    "mel": (2, 128),
    "wave": (1, 160),
}
CLOCKS = {"spectra": (22050, 512), "cfp": (8000, 80), "mel": (16000, 200), "wave": (16000, 160)}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_pictures_lie_on_their_grid_and_on_one_clock(name, pictures, sound):
    front_end, made = inputs.FRONT_ENDS[name], pictures[name]
    sr, hop_samples = CLOCKS.get(name, (SR, HOP_SAMPLES))
    assert (front_end.sr, front_end.hop_samples) == (sr, hop_samples)
    n_frames = stft.n_frames(len(stft.resample(sound.mono, sound.sr, sr)), hop_samples)
    assert (
        made.values.shape == (*SHAPES[name], n_frames)
        and (front_end.channels, len(front_end.freqs_hz)) == SHAPES[name]
    )
    assert made.kind == name and np.array_equal(made.freqs_hz, front_end.freqs_hz)
    assert np.array_equal(made.times_s, grids.frame_times_s(n_frames, hop_samples, sr))
    if name == "mel":
        assert made.values.mean() == pytest.approx(1, rel=1e-4)
    else:
        assert 0.05 < made.values.max() <= 1
    assert made.values.min() < 0 if name == "wave" else made.values.min() == 0


def test_columns_of_the_waveform_lie_around_their_frames():
    y = np.zeros(16000, dtype=np.float32)
    y[8000] = 1  # the centre of frame 50
    made = inputs.FRONT_ENDS["wave"](Song.from_array(y, 16000)).values[0]
    assert np.argwhere(made).tolist() == [[80, 50]]
    assert np.sqrt(np.mean(made**2)) == pytest.approx(0.1, rel=0.02)
    assert not inputs.FRONT_ENDS["wave"](Song.from_array(0 * y, 16000)).values.any()


@pytest.mark.slow
def test_activations_sum_to_one_or_are_silent(pictures):
    total = pictures["sf"].values[0].sum(axis=0)
    heard = total > 0
    np.testing.assert_allclose(total[heard], 1, atol=1e-5)
    times_s = pictures["sf"].times_s
    assert heard[times_s < 0.9].all() and not heard[(times_s > 1.1) & (times_s < 1.4)].any()


def test_activations_of_blocks_that_overlap_still_sum_to_one(monkeypatch):
    """Two blocks share frames 20..39; each says with full weight which of them it is."""

    def analyse(y, settings, *, seed):
        for bin, (first, stop, weight) in enumerate(
            [(0, 40, [*[1] * 20, *[0.7] * 20]), (20, 87, [*[0.3] * 20, *[1] * 47])]
        ):
            H_F0 = np.zeros((301, stop - first))
            H_F0[bin] = 5.0
            power = np.ones((settings.n_freqs, stop - first))
            yield first, stop, np.array(weight), power, types.SimpleNamespace(H_F0=H_F0)

    monkeypatch.setattr(sfnmf, "analyse", analyse)
    shares = inputs.FRONT_ENDS["sf"](Song.from_array(np.ones(SR), SR)).values[0]
    frames = np.arange(87)
    np.testing.assert_allclose(
        shares[0], np.select([frames < 20, frames < 40], [1, 0.7], 0), rtol=1e-6
    )
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-6)


@pytest.mark.slow
def test_hcqt_and_cqt_are_those_of_features(pictures, sound):
    assert np.array_equal(pictures["hcqt"].values, features.hcqt(sound).values)
    plain = features.cqt(sound).values
    decibels = 20 * np.log10(np.maximum(plain / plain.max(), 1e-4))
    np.testing.assert_allclose(pictures["cqt"].values, 1 + decibels / 80, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", inputs.FRONT_ENDS)
def test_silence_is_all_zero(name):
    made = inputs.FRONT_ENDS[name](Song.from_array(np.zeros(SR // 4), SR))
    front_end = inputs.FRONT_ENDS[name]
    n_frames = stft.n_frames(-(-SR // 4 * front_end.sr // SR), front_end.hop_samples)
    assert not made.values.any() and made.values.shape[2] == n_frames


def test_a_seed_starts_the_factorisation(sound):
    short = sound.excerpt(0, 0.3)
    same, again, other = (inputs.FRONT_ENDS["sf"](short, seed=seed).values for seed in (1, 1, 2))
    assert np.array_equal(same, again) and not np.array_equal(same, other)


def test_classes_bins_and_hz_agree():
    """Class c of a CRNN, its note in Hz, and the five bins of the front ends that belong to it."""
    fine, notes = inputs.FRONT_ENDS["sf"].grid, crnn.NOTES
    assert fine == inputs.FRONT_ENDS["cqt"].grid == sfnmf.PUBLISHED.grid
    note = np.arange(notes.n_bins)
    np.testing.assert_allclose(fine.freqs_hz[5 * note], notes.freqs_hz)
    assert np.array_equal(fine.nearest_bin(notes.freqs_hz), 5 * note)
    nearest = notes.nearest_bin(fine.freqs_hz)
    assert np.array_equal(nearest, (np.arange(301) + 2) // 5), (
        "bins 5k-2..5k+2, as the first layer of CNN1 takes them"
    )
    assert inputs.FRONT_ENDS["hcqt"].grid == deep_salience.BINS


@pytest.mark.parametrize("name", ["cqt", "hcqt", "spectra"])
def test_a_tone_stands_in_its_row(name):
    t_s = np.arange(SR) / SR
    y = 0.1 * sum(np.sin(2 * np.pi * h * 330 * t_s) / h for h in range(1, 8))
    front_end = inputs.FRONT_ENDS[name]
    made = front_end(Song.from_array(y, SR))
    layer = 1 if name == "hcqt" else 0  # the fundamental's
    rows = made.values[layer, :, 20:-20].argmax(axis=0)
    assert np.abs(rows - front_end.grid.nearest_bin(330.0)).max() <= 1


def test_activations_stand_in_the_row_of_the_melody(pictures, demo):
    made = pictures["sf"]
    truth_hz = demo.excerpt(2.5, 3.5).melody.resampled(made.times_s).sung_hz
    found_hz = made.freqs_hz[made.values[0].argmax(axis=0)]
    sung = np.isfinite(truth_hz)
    assert (
        sung.sum() > 50 and np.mean(np.abs(grids.offset_cents(found_hz, truth_hz)[sung]) < 25) > 0.7
    )

"""The networks without published code: the two-stage model of Chen, Li and Chi, and our own."""

import numpy as np
import pytest
import torch

from melodylab import models, synth, weights
from melodylab.melody import decode
from melodylab.models import create_model, harmonic_crnn, multires, run
from melodylab.models.base import Network
from melodylab.records import Features
from melodylab.training.loop import _warm_start
from melodylab.training.song_batches import Bank, SongBatches

MULTIRES = ["multires", "multires-short", "multires-long", "multires-no-pretraining", "multires-1d"]


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def columns(frames, seed=0):
    values = np.random.default_rng(seed).normal(0, 0.1, (1, 160, frames)).astype(np.float32)
    return Features(values, np.arange(160), np.arange(frames) * 0.01, "wave")


# --- multires -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MULTIRES)
def test_blocks_do_not_show_and_any_length_goes(name):
    model = create_model(name, kernels=16).eval()
    song = columns(150)
    whole = run.logits(model, song)
    assert whole.shape == (321, 150)
    model.block_frames = 40
    np.testing.assert_allclose(run.logits(model, song), whole, atol=1e-5)
    assert run.logits(model, columns(1)).shape == (321, 1)


@pytest.mark.parametrize("length", [multires.SHORT, multires.LONG])
def test_both_lengths_are_centred_on_the_frame(length):
    bank = multires.FilterBank(1, length).eval()
    with torch.no_grad():
        bank.conv.weight.fill_(1)
        wave = torch.zeros(1, 160 * 41)
        wave[0, 160 * 20 + 79 : 160 * 20 + 81] = 1  # the centre of frame 20 lies between these two
        out = bank.conv(torch.nn.functional.pad(wave, [(length - bank.stride) // 2] * 2)[:, None])[
            0, 0
        ]
    heard = np.flatnonzero(out.numpy())
    frames = (
        heard * bank.stride / 160 + (bank.stride / 2) / 160
    )  # middles of the steps, in frames from the left edge of frame 0
    assert abs(frames.mean() - 20.5) <= 0.11, "within half a step of the short kernels"


def test_a_kernel_answers_its_own_frequency_and_sorting_orders_them():
    bank = multires.FilterBank(4, multires.LONG)
    t_s = np.arange(multires.LONG) / multires.SR
    planted_hz = [880.0, 220.0, 1760.0, 440.0]
    with torch.no_grad():
        for kernel, f_hz in zip(bank.conv.weight, planted_hz, strict=True):
            kernel[0] = torch.from_numpy(np.hanning(multires.LONG) * np.sin(2 * np.pi * f_hz * t_s))
        bank.norm.weight.copy_(torch.arange(4.0))
    np.testing.assert_allclose(bank.centres_hz(), planted_hz, atol=4)
    assert bank.sort().tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(bank.centres_hz(), sorted(planted_hz), atol=4)
    assert bank.norm.weight.tolist() == [1, 3, 0, 2], "what belongs to a kernel goes with it"


def test_the_pre_training_hands_its_kernels_on_in_order(tmp_path):
    first = create_model("multires-1d")
    card = dict.fromkeys(weights.TOLD) | {"front_end": "wave", "decoding": {}}
    path = weights.save(first, card, tmp_path, "first")
    second = create_model("multires")
    with pytest.warns(UserWarning, match="tensors start from"):
        _warm_start(second, str(path))
    centres = second.short.centres_hz()
    assert (centres.diff() >= 0).all() and (second.long.centres_hz().diff() >= 0).all()
    given = weights.load_model(path).short.conv.weight.flatten(1)
    assert torch.equal(
        second.short.conv.weight.flatten(1).sum(dim=1).sort()[0], given.sum(dim=1).sort()[0]
    )


def test_a_waveform_played_faster_is_higher():
    bank = Bank(
        seed=9, songs=1, mixes=1, seconds=4, ingredients=synth.Ingredients(instrument_leads=0.0)
    )
    for seed in range(2):
        batches = SongBatches("wave", bank, batch_size=2, frames=100, shift_semitones=5, seed=seed)
        x, f0_hz = batches.batch(3)
        assert (
            x.shape == (2, 1, 160, 100)
            and f0_hz.shape == (2, 100)
            and x.dtype == f0_hz.dtype == torch.float32
        )
    sine = (
        np.sin(2 * np.pi * 200 * np.arange(160 * 400) / 16000)
        .astype(np.float32)
        .reshape(1, 400, 160)
        .transpose(0, 2, 1)
    )
    x, f0_hz = batches._cut_wave(np.random.default_rng(3), sine, np.full(400, 200, np.float32))
    spectrum = np.abs(np.fft.rfft(x[0].T.ravel() * np.hanning(16000)))
    assert spectrum.argmax() == pytest.approx(f0_hz[50], abs=1.1) and abs(f0_hz[50] - 200) > 2


# --- harmonic-crnn --------------------------------------------------------------------------------


def test_harmonics_of_a_pitch_share_its_row():
    """A spectrum with a line at each harmonic of one pitch: after the shift, all nine layers have
    it in the same row.
    """
    spectra, row = harmonic_crnn.SPECTRA, 60
    pitch_hz = harmonic_crnn.BINS.freqs_hz[row]
    assert spectra.freqs_hz[36] == pytest.approx(harmonic_crnn.BINS.fmin_hz)
    for h, shift in zip(harmonic_crnn.HARMONICS, harmonic_crnn._SHIFTS, strict=True):
        assert abs(spectra.position(h * pitch_hz) - (shift + row)) <= 0.5
    assert harmonic_crnn._SHIFTS[-1] + harmonic_crnn.BINS.n_bins == spectra.n_bins


def test_its_output_is_a_distribution_made_of_two_questions():
    model = create_model("harmonic-crnn")
    with torch.no_grad():
        p = model(torch.rand(2, 2, 312, 30)).exp()
        model.voicing.bias += 50
        certain = model(torch.rand(2, 2, 312, 30)).exp()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(2, 30))
    assert certain[:, 0].max() < 1e-6


def test_both_losses_are_the_cross_entropy_over_all_classes():
    model = create_model("harmonic-crnn")
    x, target = torch.rand(1, 2, 312, 3), torch.tensor([[0, 5, 100]])
    with torch.no_grad():
        y = model(x)
        voiced = 1 - y[:, 0].exp()
        pitch = (y[:, 1:].exp() / voiced[:, None])[0]  # given that something is sung
    by_hand = (
        -(
            torch.log(1 - voiced[0, 0])
            + torch.log(voiced[0, 1] * pitch[4, 1])
            + torch.log(voiced[0, 2] * pitch[99, 2])
        )
        / 3
    )
    torch.testing.assert_close(
        torch.nn.functional.cross_entropy(y, target), by_hand, atol=1e-5, rtol=1e-5
    )


def test_any_length_of_song():
    model = create_model("harmonic-crnn", channels=(4, 4, 4, 4), units=8)
    for frames in (1, 2, 50):
        song = Features(
            np.random.rand(2, 312, frames),
            harmonic_crnn.SPECTRA.freqs_hz,
            np.arange(frames) * 0.02,
            "spectra",
        )
        assert run.salience(model, song).values.shape == (156, frames)


def test_these_are_all():
    files = {"multires", "harmonic_crnn"}
    assert {*MULTIRES, "harmonic-crnn"} == {
        name for name, declared in models.NETWORKS.items() if declared.file in files
    }


def test_voicing_does_not_depend_on_how_sure_the_pitch_is():
    """Two frames with the same answer to "is there any": one knows the pitch, one wavers between
    two.
    """

    class Planted(Network):
        grid, has_unvoiced_class, voicing_apart, block_frames, context_frames = (
            harmonic_crnn.BINS,
            True,
            True,
            10,
            0,
        )

        def forward(self, x):
            p = torch.full((1, 157, 2), 1e-9)
            p[0, 0] = 0.4
            p[0, 50, 0] = 0.6
            p[0, 50, 1] = p[0, 90, 1] = 0.3
            return p.log()

    heard = Features(
        np.ones((2, 312, 2), np.float32),
        harmonic_crnn.SPECTRA.freqs_hz,
        np.array([0.0, 0.02]),
        "spectra",
    )
    melody = decode.peak(run.salience(Planted(), heard))
    np.testing.assert_allclose(melody.voicing, 0.6, rtol=1e-4)
    np.testing.assert_allclose(melody.f0_hz, harmonic_crnn.BINS.freqs_hz[49], rtol=1e-6)
    Planted.voicing_apart = False
    np.testing.assert_allclose(
        decode.peak(run.salience(Planted(), heard)).voicing, [0.6, 3 / 7], rtol=1e-4
    )

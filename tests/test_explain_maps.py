"""Attention maps of FTANet, kernels of the multires networks."""

import numpy as np
import pytest
import torch

from melodylab import explain, models
from melodylab.dsp.grids import frame_times_s
from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.records import Features

pytestmark = pytest.mark.filterwarnings("error")


# --- the networks of Yu and of Chen ---------------------------------------------------------------


@pytest.fixture(scope="module")
def ftanet():
    torch.manual_seed(0)
    return models.create_model("ftanet", width=4)


def cfp_like(rng, frames):
    end = inputs.FRONT_ENDS["cfp"]
    return Features(
        rng.random((3, 320, frames)).astype(np.float32),
        end.freqs_hz,
        frame_times_s(frames, 80, 8000),
        "cfp",
    )


def test_attention_lies_on_the_axes_it_weighs(ftanet, rng):
    song = cfp_like(rng, 300)
    for level, pooled in ((1, 1), (2, 2), (3, 4), (4, 4), (5, 2), (6, 1), (7, 1)):
        found = explain.attention(ftanet, song, 1.5, level)
        channels = {1: 4, 2: 8, 3: 16, 4: 16, 5: 8, 6: 4, 7: 1}[level]
        assert found.frequency.shape == (channels, 320 // pooled) and found.time.shape == (
            channels,
            128 // pooled,
        )
        assert len(found.freqs_hz) == 320 // pooled and len(found.times_s) == 128 // pooled
        np.testing.assert_allclose(found.frequency.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(found.time.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(found.fusion.sum(axis=0), 1, rtol=1e-5)
        assert found.maps == ("itself", "time", "frequency") and found.fusion.shape == (channels, 3)
        assert found.times_s[0] == pytest.approx(1.28 + 0.005 * (pooled - 1)), (
            "the block around 1.5 s begins at 1.28 s"
        )
        assert found.freqs_hz[0] == pytest.approx(31 * 2 ** ((pooled - 1) / 120))
    with pytest.raises(InputError, match="levels 1 to 7, not level 8"):
        explain.attention(ftanet, song, 1.5, 8)


def test_attention_of_a_variant_has_what_it_has(rng):
    song = cfp_like(rng, 128)
    without = explain.attention(models.create_model("ftanet-no-temporal", width=4), song, 0.5)
    assert (
        without.time is None
        and without.frequency is not None
        and without.maps == ("itself", "frequency")
    )
    assert (
        explain.attention(models.create_model("ftanet-no-fusion", width=4), song, 0.5).fusion
        is None
    )
    with pytest.raises(InputError, match="no attention maps.*an FTANet"):
        explain.attention(models.create_model("segnet"), song, 0.5)


def test_a_blend_to_uniform_keeps_the_sum_and_ends(ftanet, rng):
    song, name = cfp_like(rng, 128), "level2.attend.frequency_map"
    before = explain.attention(ftanet, song, 0.5, 2).frequency
    for share in (0, 0.25, 1):
        with explain.uniform(ftanet, name, share), explain.taps(ftanet, name) as seen:
            run.logits(ftanet, song)
        np.testing.assert_allclose(seen[name][0], (1 - share) * before + share / 160, rtol=1e-4)
    np.testing.assert_array_equal(explain.attention(ftanet, song, 0.5, 2).frequency, before)
    own = run.logits(ftanet, song)
    with explain.uniform(ftanet, "*.frequency_map", 1.0):
        assert np.abs(run.logits(ftanet, song) - own).max() > 0
    for names, words in (
        ("level1.fuse", "does not end in a softmax"),
        (["*.time_map", "level1.fuse.softmax"], "different axes"),
    ):
        with pytest.raises(InputError, match=words):
            explain.uniform(ftanet, names)
    with pytest.raises(InputError, match="between 0 and 1"):
        explain.uniform(ftanet, name, 1.5)


def test_pooled_layers_come_back_on_the_song(ftanet, rng):
    song = cfp_like(rng, 300)
    seen = explain.activations(
        ftanet, song, ["level1", "level3", "level7", "detection", "level3.attend.time_map"]
    )
    assert {name: part.values.shape for name, part in seen.items()} == {
        "detection": (1, 1, 300), "level1": (4, 320, 300), "level3.attend.time_map": (16, 1, 300),
        "level3": (16, 80, 300),
        "level7": (1, 320, 300),
    }  # fmt: skip
    assert np.all(seen["level3"].values[:, :, 0] == seen["level3"].values[:, :, 3]), (
        "four frames are one there"
    )
    assert np.any(seen["level3"].values[:, :, 3] != seen["level3"].values[:, :, 4])
    np.testing.assert_allclose(seen["level3"].freqs_hz[0], 31 * 2 ** (1.5 / 60))
    assert np.isnan(seen["detection"].freqs_hz).all()
    logits = run.logits(ftanet, song)
    np.testing.assert_allclose(seen["level7"].values[0], logits[1:], atol=1e-5)
    np.testing.assert_allclose(seen["detection"].values[0, 0], logits[0], atol=1e-5)
    for name in ("level2.attend.frequency_map", "level2.fuse.softmax"):
        with pytest.raises(InputError, match="not on the song's frames"):
            explain.activations(ftanet, song, name)


@pytest.mark.slow
def test_a_decision_of_ftanet_rests_on_its_block_and_no_more(ftanet, rng):
    song = cfp_like(rng, 300)
    found = explain.attribution(ftanet, song, 1.5, 220.0, steps=8, around_s=None)
    assert found.times_s[[0, -1]] == pytest.approx([1.28, 2.55]) and found.values.shape == (
        3,
        320,
        128,
    )


def test_kernels_are_heard_where_they_were_planted(rng):
    torch.manual_seed(0)
    model = models.create_model("multires", kernels=8)
    t = np.arange(960) / 16000
    planted_hz = 100 * 2.0 ** np.arange(8)[::-1] / 4
    with torch.no_grad():
        for k, f_hz in enumerate(planted_hz):
            model.long.conv.weight[k, 0] = torch.from_numpy(
                np.hanning(960) * np.sin(2 * np.pi * f_hz * t)
            ).float()
    found = explain.kernel_responses(model, "long")
    np.testing.assert_allclose(found.centres_hz, planted_hz, atol=16000 / 3840)
    np.testing.assert_allclose(
        found.bandwidths_hz[:5], 1.5 * 16000 / 960, rtol=0.02
    )  # of a Hann window
    assert found.levels_db.max(axis=1) == pytest.approx(0) and found.kernels.shape == (8, 960)
    assert found.times_s[0] == -found.times_s[-1] and np.ptp(found.times_s) == pytest.approx(
        959 / 16000
    )
    assert explain.kernel_responses(model, "short").kernels.shape == (8, 64)
    with pytest.raises(InputError, match="banks short and long, not 'middle'"):
        explain.kernel_responses(model, "middle")
    with pytest.raises(InputError, match="no filter banks"):
        explain.kernel_responses(models.create_model("segnet"))


def test_kernels_are_channels_and_no_pitches(rng):
    torch.manual_seed(0)
    model = models.create_model("multires", kernels=32)
    wave = Features(
        rng.normal(size=(1, 160, 40)).astype(np.float32),
        np.arange(160.0),
        frame_times_s(40, 160, 16000),
        "wave",
    )
    seen = explain.activations(model, wave, ["short", "long.norm", "block2"])
    assert seen["short"].values.shape == seen["long.norm"].values.shape == (32, 1, 40)
    assert seen["block2"].values.shape == (40, 16, 40) and np.isnan(seen["block2"].freqs_hz).all()
    with explain.ablate(model, "long.norm", 5), explain.taps(model, "long.norm") as inside:
        run.logits(model, wave)
    assert not inside["long.norm"][0, 5].any() and inside["long.norm"][0, 4].any()
    with pytest.raises(InputError, match="not on the song's frames"):
        explain.activations(model, wave, "short.conv")
    with pytest.raises(InputError, match="no rows to cover"):
        explain.attribution(model, wave, 0.2, 220.0, method="occlusion")
    assert explain.attribution(model, wave, 0.2, 220.0, steps=4).values.shape[:2] == (1, 160)

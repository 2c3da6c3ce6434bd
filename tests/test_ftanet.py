"""FTANet and SegNet: numbers layer by layer, attention that sums to one, fusion both ways, blocks,
and what is refused.
"""

import numpy as np
import pytest
import torch
from torch import nn

from melodylab import explain, models, weights
from melodylab.errors import InputError
from melodylab.models import create_model, ftanet, run, segnet
from melodylab.records import Features

VARIANTS = {
    "ftanet": 3_386_007,
    "ftanet-thin": 850_975,
    "ftanet-no-frequency": 1_724_850,
    "ftanet-no-temporal": 1_724_850,
    "ftanet-no-fusion": 3_340_622,
    "ftanet-no-detection": 3_383_638,
}
# norm, 1 x 1, attention 1, attention 2, 3 x 3, 5 x 5, fusion
LEVELS = [
    (6, 128, 320, 3_104, 896, 25_632, 1_192),
    (64, 2_112, 6_208, 12_352, 18_496, 102_464, 4_432),
    (128, 8_320, 24_704, 49_280, 73_856, 409_728, 17_056),
    (256, 16_512, 49_280, 49_280, 147_584, 409_728, 17_056),
    (256, 8_256, 24_640, 12_352, 73_792, 102_464, 4_432),
    (128, 2_080, 6_176, 3_104, 18_464, 25_632, 1_192),
    (64, 33, 97, 4, 289, 26, 25),
]


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def count(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def cfp(frames, seed=0):
    values = np.random.default_rng(seed).random((3, 320, frames)).astype(np.float32)
    return Features(values, ftanet.BINS.freqs_hz, np.arange(frames) * 0.01, "cfp")


def thin(**changes):
    """Narrow, with norms that have seen some noise, so that its output is no constant."""
    model = create_model("ftanet", width=8, **changes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.rand(4, 3, 320, 16))
    return model.eval()


# --- numbers --------------------------------------------------------------------------------------


def test_ftanet_layer_by_layer():
    model = create_model("ftanet")
    assert count(model.norm) == 6 and count(model.detection) == 2_369
    assert [count(layer) for layer in model.detection if count(layer)] == [208, 1_040, 1_040, 81]
    for number, expected in enumerate(LEVELS, 1):
        level = getattr(model, f"level{number}")
        a = level.attend
        assert (count(a.norm), count(a.residual)) == expected[:2]
        for attention, seen in (
            (a.time_map, a.time_features),
            (a.frequency_map, a.frequency_features),
        ):
            assert (
                tuple(map(count, (attention.conv1, attention.conv2, seen.conv1, seen.conv2)))
                == expected[2:6]
            )
        assert count(level.fuse) == expected[6]
    assert sum(b.numel() for key, b in model.named_buffers() if "running" in key) == 1_806


@pytest.mark.parametrize("name", VARIANTS)
def test_the_sum_of_every_variant(name):
    model = create_model(name)
    assert count(model) == VARIANTS[name] == sum(p.numel() for p in model.parameters()), (
        "nothing is held fixed"
    )


def test_segnet_layer_by_layer():
    model = create_model("segnet")
    layers = (model.down1, model.down2, model.down3, model.bottom, model.up3, model.up2, model.up1)
    assert [count(layer) for layer in layers] == [
        2_438,
        51_328,
        205_056,
        3_457,
        205_120,
        51_360,
        865,
    ]
    assert count(model) == 519_624
    assert sum(b.numel() for key, b in model.named_buffers() if "running" in key) == 902


# --- shapes and attention -------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 3, 128, 130])
def test_any_number_of_frames(frames):
    for model in (thin(), create_model("segnet")):
        with torch.no_grad():
            out = model(torch.rand(1, 3, 320, frames))
        assert out.shape == (1, 321, frames) and out.isfinite().all()


def test_every_map_of_attention_sums_to_one_along_its_axis():
    model = thin()
    names = [f"level{n}.attend.{axis}_map" for n in range(1, 8) for axis in ("time", "frequency")]
    with explain.taps(model, names) as seen, torch.no_grad():
        model(torch.rand(2, 3, 320, 32))
    frames, rows = (32, 16, 8, 8, 16, 32, 32), (320, 160, 80, 80, 160, 320, 320)
    for n in range(7):
        over_time, over_rows = seen[names[2 * n]], seen[names[2 * n + 1]]
        assert over_time.shape[2] == frames[n] and over_rows.shape[2] == rows[n]
        for found in (over_time, over_rows):
            np.testing.assert_allclose(np.asarray(found).sum(axis=2), 1, atol=1e-5)


@pytest.mark.parametrize("fusion, axis", [("channels", 1), ("branches", 2)])
def test_fusion_normalises_over_what_it_says(fusion, axis):
    model = thin(fusion=fusion)
    names = [f"level{n}.fuse.softmax" for n in range(1, 8)]
    with explain.taps(model, names) as seen, torch.no_grad():
        model(torch.rand(2, 3, 320, 16))
    for name in names:
        np.testing.assert_allclose(np.asarray(seen[name]).sum(axis=axis), 1, atol=1e-5)
    if fusion == "channels":
        np.testing.assert_allclose(
            np.asarray(seen[names[6]]), 1, err_msg="one channel: a plain sum"
        )


def test_fusion_of_equal_branches_is_that_branch():
    fuse = ftanet.Fuse(3, 8, "branches").eval()
    same = torch.rand(2, 8, 10, 6)
    with torch.no_grad():
        torch.testing.assert_close(fuse([same, same, same]), same)


def test_taking_a_branch_out_takes_it_out():
    assert not hasattr(create_model("ftanet-no-frequency", width=4).level1.attend, "frequency_map")
    assert not hasattr(create_model("ftanet-no-temporal", width=4).level1.attend, "time_map")
    assert create_model("ftanet-no-fusion", width=4).level1.fuse is None
    with torch.no_grad():
        assert not create_model("ftanet-no-detection", width=4)(torch.rand(1, 3, 320, 8))[
            :, 0
        ].any()


def test_the_bottom_of_segnet_is_the_row_for_no_melody():
    model = create_model("segnet")
    x = torch.rand(1, 3, 320, 20)
    with explain.taps(model, ["bottom"]) as seen, torch.no_grad():
        out = model(x)
    np.testing.assert_allclose(np.asarray(seen["bottom"]).reshape(20), out[0, 0], atol=1e-6)


def test_classes_are_rows():
    assert segnet.SegNet.grid == ftanet.BINS and ftanet.BINS.n_bins == 320
    assert ftanet.BINS.nearest_bin(31 * 2 ** (100.4 / 60)) == 100, (
        "the nearest, not the next above (trap T33)"
    )


def test_a_silent_block_looks_everywhere_alike():
    model = thin()
    with (
        explain.taps(model, ["level1.attend.time_map", "level1.attend.frequency_map"]) as seen,
        torch.no_grad(),
    ):
        out = model(torch.zeros(1, 3, 320, 128))
    assert out.isfinite().all()
    inner = np.asarray(seen["level1.attend.time_map"])[
        0, :, 2:-2
    ]  # beyond the ends the convolutions see zeros of their own
    assert np.ptp(inner, axis=1).max() < 1e-6, "no frame is better than another"
    assert all(np.allclose(np.asarray(found).sum(axis=2), 1, atol=1e-5) for found in seen.values())


# --- blocks ---------------------------------------------------------------------------------------


def test_a_long_song_is_its_blocks_of_128_the_last_one_filled_with_zeros():
    model, song = thin(), cfp(300)
    whole = run.logits(model, song, blocks_at_once=2)
    filled = np.pad(song.values, ((0, 0), (0, 0), (0, 84)))[None]
    with torch.no_grad():
        for first in (0, 128, 256):
            alone = model(torch.from_numpy(filled[..., first : first + 128].copy()))[0].numpy()
            kept = whole[:, first : first + 128]
            np.testing.assert_allclose(kept, alone[:, : kept.shape[1]], rtol=2e-3, atol=2e-4)


def test_segnet_does_not_show_its_blocks():
    model, song = create_model("segnet"), cfp(200)
    whole = run.logits(model, song)
    model.block_frames = 90
    np.testing.assert_allclose(run.logits(model, song), whole, atol=1e-4)


# --- refused --------------------------------------------------------------------------------------


def test_a_batch_of_one_cannot_be_learnt_from():
    model = create_model("ftanet", width=4).train()
    with pytest.raises(InputError, match="batch_size of 2 or more"):
        model(torch.rand(1, 3, 320, 8))
    model(torch.rand(2, 3, 320, 8))
    create_model("ftanet-no-fusion", width=4).train()(torch.rand(1, 3, 320, 8))


def test_an_unknown_fusion():
    with pytest.raises(InputError, match="no fusion 'both'; choose channels, branches or sum"):
        create_model("ftanet", fusion="both")


def test_weights_of_another_variant_are_refused(tmp_path):
    card = dict.fromkeys(weights.TOLD) | {"front_end": "cfp", "decoding": {}}
    path = weights.save(create_model("ftanet-no-temporal", width=4), card, tmp_path, "mine")
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    path.with_suffix(".json").write_text(
        text.replace("ftanet-no-temporal", "ftanet-no-frequency"), encoding="utf-8"
    )
    with pytest.raises(
        InputError,
        match="not hold the network ftanet-no-frequency of its card but ftanet-no-temporal: mi",
    ):
        weights.load_model(path)


def test_every_variant_is_counted():
    files = {"ftanet", "segnet"}
    assert [*VARIANTS, "segnet"] == [
        name for name, declared in models.NETWORKS.items() if declared.file in files
    ]

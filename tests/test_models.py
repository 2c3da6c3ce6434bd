"""The CRNN family and Deep Salience are those of the papers: numbers layer by layer, what each
output can see, what stays fixed.
"""

import pytest
import torch
from crnns import lively, seen, shape_of_input
from torch import nn

from melodylab import models
from melodylab.errors import InputError
from melodylab.models import create_model


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


# --- numbers --------------------------------------------------------------------------------------

CNN1 = [(384, 128), (61_504, 128), (36_928, 128), (46_096, 32), (17, 0)]
CNN2 = [(3328, 256), (204_864, 128), (36_928, 128), (36_928, 128), (107_528, 16), (9, 0)]
# (numbers of the convolution, trainable numbers of its norm: there are as many running ones), GRU,
# dense, sum
PUBLISHED = {
    "sf-crnn-1": (CNN1, 145_920, 15_934, 307_199, 307_615),
    "sf-crnn-2": (CNN2, 443_520, 19_902, 853_663, 854_319),
    "cqt-crnn-1": (CNN1, 145_920, 15_934, 307_199, 307_615),
    "cqt-crnn-2": (CNN2, 443_520, 19_902, 853_663, 854_319),
    "sf-cnn": (CNN2, 0, 18_724, 408_965, 409_621),
    "deep-salience": (
        [(19_328, 12), (204_864, 256), (36_928, 128), (36_928, 128), (107_528, 128), (9, 16)],
        0, 0, 406_253, 406_921,
    ),
}  # fmt: skip


def test_every_network_of_these_papers_is_counted_here():
    assert list(PUBLISHED) == [
        name
        for name, declared in models.NETWORKS.items()
        if declared.file in ("crnn", "deep_salience")
    ]


@pytest.mark.parametrize("name", PUBLISHED)
def test_numbers_layer_by_layer_and_in_sum(name):
    layers, gru, dense, trainable, with_statistics = PUBLISHED[name]
    model = create_model(name)

    def count(prefix, tensors):
        return sum(tensor.numel() for key, tensor in tensors.items() if key.startswith(prefix))

    learnt = {key: p for key, p in model.named_parameters() if p.requires_grad}
    running = {
        key: b for key, b in model.named_buffers() if not key.endswith("num_batches_tracked")
    }
    place = "" if name == "deep-salience" else "cnn."
    for number, (conv, norm) in enumerate(layers, 1):
        layer = f"{place}layer{number}."
        assert (count(f"{layer}conv.", learnt), count(f"{layer}norm.", learnt)) == (conv, norm), (
            layer
        )
        assert count(f"{layer}norm.", running) == norm, layer
    assert (count("gru.", learnt), count("dense.", learnt)) == (gru, dense)
    assert (count("", learnt), count("", learnt) + count("", running)) == (
        trainable,
        with_statistics,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_only_the_second_bias_of_the_gru_is_held_and_it_is_zero(name):
    model = create_model(name)
    held = {key: p for key, p in model.named_parameters() if not p.requires_grad}
    assert set(held) == ({"gru.bias_hh_l0", "gru.bias_hh_l0_reverse"} if "crnn" in name else set())
    assert not any(p.any() for p in held.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_first_numbers_are_glorots_orthogonal_and_zero(name):
    model = create_model(name)
    for key, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            spread = (6 / sum(nn.init._calculate_fan_in_and_fan_out(weight))) ** 0.5
            assert 0.7 * spread < weight.abs().max() <= spread, key
            assert not module.bias.any()
    for key, parameter in model.named_parameters():
        if "weight_hh" in key:
            for gate in parameter.detach().chunk(3):
                torch.testing.assert_close(gate @ gate.T, torch.eye(len(gate)), atol=1e-5, rtol=0)


# --- create_model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
def test_torchs_seed_decides_all_numbers(name):
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(create_model(name))
    first, same, other = (
        torch.cat([p.detach().flatten() for p in model.parameters()]) for model in made
    )
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert not made[0].training and made[0].name == name and made[0].changes == {}


def test_changes_reach_the_network_and_are_remembered():
    model = create_model("sf-crnn-1", across_patches=True, units=8)
    assert (
        model.across_patches
        and model.gru.hidden_size == 8
        and model.changes == {"across_patches": True, "units": 8}
    )
    assert create_model("sf-crnn-1").gru.hidden_size == 128


def test_what_does_not_exist_is_refused_in_a_sentence():
    with pytest.raises(
        InputError,
        match="no network 'sf-crnn'; did you mean sf-crnn-1. There are sf-crnn-1, .*deep-salience",
    ):
        create_model("sf-crnn")
    with pytest.raises(
        InputError,
        match="sf-crnn-1 has nothing called unit to change; it has cnn, units, across_patches",
    ):
        create_model("sf-crnn-1", unit=3)
    with pytest.raises(InputError, match="deep-salience has nothing called units"):
        create_model("deep-salience", units=3)


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_layer_by_layer(name):
    model = create_model(name)
    x = torch.rand(shape_of_input(name, 50, batch=2))
    if name == "deep-salience":
        *layers, last = seen(model, x, *(f"layer{n}" for n in range(1, 7)))
        assert [tuple(out.shape) for out in layers] == [
            (2, c, 360, 50) for c in (128, 64, 64, 64, 8)
        ]
        assert last.shape == (2, 1, 360, 50) and model(x).shape == (2, 360, 50)
        return
    channels, bins = (
        ((64, 64, 64, 16, 1), 61) if name.endswith("crnn-1") else ((128, 64, 64, 64, 8, 1), 301)
    )
    *layers, dense = seen(
        model, x, *(f"cnn.layer{n}" for n in range(1, len(channels) + 1)), "dense"
    )
    assert [tuple(out.shape) for out in layers] == [(4, c, bins, 25) for c in channels], (
        "two songs of two patches"
    )
    assert dense.shape == (2, 50, 62) and model(x).shape == (2, 62, 50)
    if model.gru is not None:
        ((out, _),) = seen(model, x, "gru")
        assert out.shape == (2, 50, 2 * (128 if name.endswith("crnn-1") else 160))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sf-crnn-1", "sf-cnn", "deep-salience"])
def test_any_length(name):
    model = lively(create_model(name))
    x = torch.rand(shape_of_input(name, 60))
    with torch.no_grad():
        for frames in (1, 24, 26, 60):
            out = model(x[..., :frames])
            assert (
                out.shape == (1, model.grid.n_bins + model.has_unvoiced_class, frames)
                and out.isfinite().all()
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sf-crnn-1", "sf-cnn"])
def test_an_incomplete_patch_is_one_that_ends_in_zeros(name):
    model = lively(create_model(name))
    x = torch.rand(1, 1, 301, 60)
    (short,), (whole,) = seen(model, x, "cnn"), seen(model, nn.functional.pad(x, (0, 15)), "cnn")
    assert torch.equal(short, whole) and len(short) == 3
    if model.gru is None:
        with torch.no_grad():
            torch.testing.assert_close(
                model(x), model(nn.functional.pad(x, (0, 15)))[..., :60], atol=1e-6, rtol=0
            )


@pytest.mark.slow
def test_channels_last_changes_nothing_but_rounding():
    for name in ("sf-crnn-1", "deep-salience"):
        model = lively(create_model(name))
        x = torch.rand(shape_of_input(name, 50, batch=2))
        with torch.no_grad():
            plain = model(x)
            turned = model.to(memory_format=torch.channels_last)(
                x.contiguous(memory_format=torch.channels_last)
            )
        torch.testing.assert_close(turned, plain, atol=1e-4, rtol=1e-4)
        assert plain.std() > 0.01

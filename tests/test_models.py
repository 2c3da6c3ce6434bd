"""The CRNN family and Deep Salience are those of the papers: numbers layer by layer, what each
output can see, what stays fixed.
"""

import numpy as np
import pytest
import torch
from torch import nn

from melodylab import models
from melodylab.errors import InputError
from melodylab.models import create_model, crnn, deep_salience

CHANNELS_AND_BINS = {"sf": (1, 301), "cqt": (1, 301), "hcqt": (6, 360)}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def shape_of_input(name, frames, batch=1):
    return (batch, *CHANNELS_AND_BINS[models.NETWORKS[name].front_end], frames)


def lively(model):
    """The model with other biases and scales than the plain first ones, and with running means and
    variances of noise.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for key, tensor in model.state_dict().items():
        if key.endswith(("bias", "bias_ih_l0", "bias_ih_l0_reverse")):
            tensor.normal_(0, 0.1)
        elif key.endswith("norm.weight"):
            tensor.uniform_(0.5, 2)
    for norm in norms:
        norm.momentum = None  # the plain mean of all it has seen
    with torch.no_grad():
        model.train()(torch.rand(shape_of_input(model.name, 50)))
    for norm in norms:
        norm.momentum = 0.01
    return model.eval()


def seen(model, x, *names):
    """Outputs of the named layers while the model works on x."""
    found, modules = {}, dict(model.named_modules())
    hooks = [
        modules[name].register_forward_hook(
            lambda _, __, out, name=name: found.__setitem__(name, out)
        )
        for name in names
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return [found[name] for name in names]


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
        [(19_328, 12), (204_864, 256), (36_928, 128), (36_928, 128), (107_528, 128), (9, 16)], 0, 0, 406_253, 406_921
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


# --- what an output sees --------------------------------------------------------------------------


def test_the_first_layer_of_cnn1_centres_each_output_on_a_semitone():
    conv = crnn.cnn1().layer1.conv
    with torch.no_grad():
        out = conv(torch.eye(301).reshape(301, 1, 301, 1)) - conv(
            torch.zeros(1, 1, 301, 1)
        )  # an impulse in each bin
    sees = out.abs().amax(dim=(1, 3)) > 1e-6  # (bin, output)
    k = torch.arange(61)
    assert torch.equal(sees, (torch.arange(301)[:, None] - 5 * k).abs() <= 2)


@pytest.mark.parametrize("layer", [crnn.cnn2().layer5, deep_salience.DeepSalience().layer5])
def test_seventy_bins_are_34_below_and_35_above(layer):
    x = torch.zeros(2, 64, 301, 5)
    x[0, :, 150, 2] = 1  # an impulse, and nothing
    with torch.no_grad():
        out = layer.conv(layer.pad(x))
    assert out.shape == (2, 8, 301, 5)
    outputs, frames = (
        torch.unique(i).tolist() for i in ((out[0] - out[1]).abs().amax(dim=0) > 1e-7).nonzero().T
    )
    # output k sees bins k - 34 .. k + 35
    assert outputs == list(range(150 - 35, 150 + 34 + 1)) and frames == [1, 2, 3]


@pytest.mark.parametrize("name", ["sf-crnn-1", "sf-crnn-2", "sf-cnn"])
def test_convolutions_stay_in_their_patch_and_the_gru_does_not(name):
    model = lively(create_model(name))
    x = torch.rand(1, 1, 301, 100)
    other = x.clone()
    other[..., 25:50] = torch.rand(1, 1, 301, 25)
    (before,), (after,) = seen(model, x, "cnn"), seen(model, other, "cnn")
    assert torch.equal(before[[0, 2, 3]], after[[0, 2, 3]]) and not torch.equal(before[1], after[1])
    with torch.no_grad():
        changed = (model(x) != model(other)).any(dim=1)[0]
    inside = (torch.arange(100) >= 25) & (torch.arange(100) < 50)
    assert changed[inside].all()
    if name == "sf-cnn":
        assert not changed[~inside].any()
    else:
        assert changed[:25].float().mean() > 0.9 and changed[50:].float().mean() > 0.9


def test_patches_are_cut_and_laid_end_to_end_in_order():
    model = lively(create_model("sf-crnn-1"))
    x = torch.rand(2, 1, 301, 75)
    (conv_input,) = list(inputs_of(model, x, nn.Conv2d).values())[:1]
    (gru_input,) = inputs_of(model, x, nn.GRU).values()
    (out,) = seen(model, x, "cnn")
    for song in range(2):
        for patch in range(3):
            frames = slice(25 * patch, 25 * patch + 25)
            assert torch.equal(conv_input[3 * song + patch], x[song, :, :, frames])
            assert torch.equal(gru_input[song, frames], out[3 * song + patch, 0].T)


@pytest.mark.parametrize("name, reach", [("sf-crnn-1", 3), ("sf-cnn", 7)])
def test_across_patches_sees_the_neighbours(name, reach):
    model = lively(create_model(name, across_patches=True))
    x = torch.rand(1, 1, 301, 75)
    other = x.clone()
    other[..., 25:50] = torch.rand(1, 1, 301, 25)
    (before,), (after,) = seen(model, x, "cnn"), seen(model, other, "cnn")
    moved = (before - after).abs().amax(dim=(0, 1, 2)) > 1e-6
    frames = torch.arange(75)
    assert torch.equal(moved, (frames >= 25 - reach) & (frames < 50 + reach))


def test_deep_salience_sees_exactly_seven_frames_either_side():
    model = lively(create_model("deep-salience"))
    x = torch.rand(1, 6, 360, 31, requires_grad=True)
    model(x)[..., 15].sum().backward()
    felt = x.grad.abs().amax(dim=(0, 1, 2)) > 0
    assert felt.nonzero().flatten().tolist() == list(range(8, 23)) and model.context_frames == 7


# --- order of the parts ---------------------------------------------------------------------------


def inputs_of(model, x, kind):
    """{name: input} of every module of a kind."""
    found, hooks = {}, []
    for name, module in model.named_modules():
        if isinstance(module, kind):
            hooks.append(
                module.register_forward_pre_hook(
                    lambda _, args, name=name: found.__setitem__(name, args[0])
                )
            )
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", ["sf-crnn-1", "sf-crnn-2"])
def test_in_a_crnn_the_norm_follows_the_relu(name):
    model = lively(create_model(name))
    x = torch.rand(1, 1, 301, 25)
    norms, convs = inputs_of(model, x, nn.BatchNorm2d), inputs_of(model, x, nn.Conv2d)
    last = 5 if name == "sf-crnn-1" else 6
    assert set(norms) == {f"cnn.layer{n}.norm" for n in range(1, last)}
    for layer, seen_by_norm in norms.items():
        assert seen_by_norm.min() == 0 and seen_by_norm.max() > 0, layer
    assert torch.equal(convs["cnn.layer1.conv"], x), (
        "nothing stands in front of the first convolution"
    )
    assert convs["cnn.layer2.conv"].min() < 0, "behind the norm there is no second ReLU"
    (out,) = seen(model, x, "cnn")
    assert out.min() >= 0, "the last convolution ends in a ReLU"


def test_in_deep_salience_the_norm_comes_first():
    model = lively(create_model("deep-salience"))
    x = torch.rand(1, 6, 360, 20)
    norms = inputs_of(model, x, nn.BatchNorm2d)
    assert set(norms) == {f"layer{n}.norm" for n in range(1, 7)} and torch.equal(
        norms["layer1.norm"], x
    )
    assert all(norms[f"layer{n}.norm"].min() == 0 for n in range(2, 7))
    with torch.no_grad():
        assert model(x).min() < 0, "logits: neither ReLU nor sigmoid at the end"


def test_norms_have_keras_constants():
    for name in ("sf-crnn-1", "sf-crnn-2", "deep-salience"):
        norms = [
            module for module in create_model(name).modules() if isinstance(module, nn.BatchNorm2d)
        ]
        assert norms and all((norm.eps, norm.momentum) == (1e-3, 0.01) for norm in norms)


# --- the GRU --------------------------------------------------------------------------------------


def gru_by_hand(x, w_ih, w_hh, bias):
    """(time, in) -> (time, units): torch's order and convention of gates, one bias for each."""

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    units = w_hh.shape[1]
    h, out = np.zeros(units), []
    for frame in x:
        reset, update, new = np.split(w_ih @ frame + bias, 3)
        from_reset, from_update, from_new = np.split(w_hh @ h, 3)
        r, z = sigmoid(reset + from_reset), sigmoid(update + from_update)
        n = np.tanh(new + r * from_new)  # the reset acts on the product
        h = (1 - z) * n + z * h
        out.append(h)
    return np.array(out)


def test_the_gru_is_the_recursion_with_one_bias_in_both_directions():
    gru = lively(create_model("sf-crnn-1")).gru
    x = torch.rand(1, 40, 61)
    with torch.no_grad():
        out = gru(x)[0][0].numpy()
    numbers = {key: p.detach().double().numpy() for key, p in gru.named_parameters()}
    assert numbers["bias_ih_l0"].any()
    frames = x[0].double().numpy()
    for half, end, order in (
        (slice(0, 128), "_l0", slice(None)),
        (slice(128, 256), "_l0_reverse", slice(None, None, -1)),
    ):
        hand = gru_by_hand(
            frames[order], *(numbers[kind + end] for kind in ("weight_ih", "weight_hh", "bias_ih"))
        )[order]
        np.testing.assert_allclose(out[:, half], hand, atol=1e-5)


def test_training_leaves_the_second_bias_at_zero():
    model = create_model("sf-crnn-1").train()
    optimiser = torch.optim.Adam(p for p in model.parameters() if p.requires_grad)
    (model(torch.rand(2, 1, 301, 25)).square().mean() + model.penalty()).backward()
    before = model.gru.bias_ih_l0.detach().clone()
    optimiser.step()
    assert not model.gru.bias_hh_l0.any() and not torch.equal(before, model.gru.bias_ih_l0)


# --- classes and regularisers ---------------------------------------------------------------------


def test_classes():
    model = create_model("sf-crnn-1")
    assert model.has_unvoiced_class and model.grid.n_bins == 61
    np.testing.assert_allclose(model.grid.freqs_hz[[0, 24, 36, 60]], [55, 220, 440, 1760])
    deep = create_model("deep-salience")
    assert not deep.has_unvoiced_class and deep.grid.n_bins == 360
    np.testing.assert_allclose(deep.grid.freqs_hz[[0, 60, 359]], [32.7, 65.4, 2068.8], rtol=1e-4)


def test_the_penalty_is_that_of_the_release():
    model = create_model("sf-crnn-1")
    expected = {
        "cnn.layer1.conv.weight": 1e-5 * 4 * 320,
        "gru.weight_ih_l0": (1e-4 * 2 + 1e-2 * 4) * 3 * 128 * 61,
        "gru.weight_ih_l0_reverse": (1e-4 * 2 + 1e-2 * 4) * 3 * 128 * 61,
        "dense.weight": 1e-5 * 4 * 256 * 62,
        "dense.bias": 1e-2 * 4 * 62,
    }
    with torch.no_grad():
        for key, alone in model.named_parameters():
            for parameter in model.parameters():
                parameter.zero_()
            alone.fill_(-2)
            assert model.penalty().item() == pytest.approx(expected.get(key, 0), rel=1e-5), key

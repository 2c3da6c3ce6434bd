"""What an output of a CRNN or of Deep Salience sees, the order of its parts, its GRU, its
penalty.
"""

import numpy as np
import pytest
import torch
from crnns import lively, seen
from torch import nn

from melodylab.models import create_model, crnn, deep_salience


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


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


@pytest.mark.slow
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

"""Activations by name, in words, and as pictures on the song's clock."""

import re

import numpy as np
import pytest
import torch
from explained import (
    FINE,
    assert_same,
    climbing,
    everything,
    features_of,
    first_crnn,
    noise,
)
from torch import nn

from melodylab import explain, models
from melodylab.dsp.grids import frame_times_s
from melodylab.errors import InputError
from melodylab.models import run, unet
from melodylab.models.crnn import CRNN
from melodylab.models.deep_salience import BINS, DeepSalience
from melodylab.records import Features

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def crnn():
    return first_crnn()


@pytest.fixture
def line():
    return climbing()


# --- taps -----------------------------------------------------------------------------------------


def test_taps_see_what_the_layers_make_and_nothing_else(crnn, rng):
    x = torch.from_numpy(noise(rng, 60).values[None].copy())
    with explain.taps(crnn, ["cnn.layer1.*", "gru", "dense"]) as seen, torch.no_grad():
        assert seen == {}
        logits = crnn(x)
    assert list(seen) == ["cnn.layer1.conv", "cnn.layer1.relu", "cnn.layer1.norm", "gru", "dense"]
    assert [tuple(t.shape) for t in seen.values()] == [
        *[(3, 64, 61, 25)] * 3,
        (1, 60, 256),
        (1, 60, 62),
    ]
    torch.testing.assert_close(seen["dense"].transpose(1, 2), logits, rtol=0, atol=0)
    torch.testing.assert_close(
        seen["cnn.layer1.conv"].relu(), seen["cnn.layer1.relu"], rtol=0, atol=0
    )
    assert seen["cnn.layer1.conv"].min() < 0


def test_the_last_call_counts_and_a_glob_takes_all_it_fits(crnn, rng):
    first, second = (
        torch.from_numpy(noise(rng, frames).values[None].copy()) for frames in (25, 50)
    )
    with explain.taps(crnn, "cnn.layer?") as seen, torch.inference_mode():
        crnn(first)
        crnn(second)
    assert list(seen) == [f"cnn.layer{n}" for n in range(1, 6)] and len(seen["cnn.layer5"]) == 2
    with explain.taps(crnn) as seen, torch.inference_mode():
        crnn(first)
    assert set(seen) == set(explain.tap_names(crnn))


def test_what_is_seen_is_a_plain_float32_copy():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    with torch.no_grad():
        model[0].weight.fill_(-1)
        model[0].bias.zero_()
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    with explain.taps(model, "0") as seen, torch.autocast("cpu", torch.bfloat16):
        model(x).sum().backward()
    assert torch.all(seen["0"] == -1), "what ran afterwards wrote into it"
    with explain.taps(model, "0") as after, torch.inference_mode():
        model(x)
    for tensor in (seen["0"], after["0"]):
        assert (
            tensor.dtype == torch.float32 and not tensor.requires_grad and not tensor.is_inference()
        )
    assert x.grad is not None, "looking broke the gradient"


@pytest.mark.parametrize(
    ("names", "wrong", "nearest"),
    [
        ("cnn.layr1.norm", "cnn.layr1.norm", "cnn.layer1.norm, "),
        (["gru", "cnn.layer1.nrom*"], "cnn.layer1.nrom*", "cnn.layer1.norm, "),
        ("zzz", "zzz", "cnn, cnn.layer1, cnn.layer1.conv "),
    ],
)
def test_a_name_that_fits_nothing_gets_the_nearest(crnn, names, wrong, nearest):
    before = everything(crnn)
    sentence = re.escape(f"no layer is called {wrong!r}; nearest: {nearest}")
    with pytest.raises(InputError, match=sentence), explain.taps(crnn, names):
        pass
    assert_same(before, everything(crnn))


def test_every_tap_says_what_it_is(crnn):
    names = explain.tap_names(crnn)
    assert names["cnn.layer1.conv"] == "convolution 5 x 1 (freq x time), 64 channels"
    assert names["cnn.layer4.relu"] == "positive part of 16 channels"
    assert names["cnn.layer5.conv"] == "convolution 1 x 1 (freq x time), 1 channel"
    assert names["cnn.layer4.norm"] == "batch norm of 16 channels, each around 0"
    assert (
        names["cnn.layer2"] == "the output of cnn.layer2.norm"
        and names["cnn"] == "the output of cnn.layer5"
    )
    assert names["gru"] == "128 units forwards in time, then as many backwards"
    assert names["dense"] == '62 logits: class 0 "no melody", then 55 to 1760 Hz'
    assert explain.tap_names(DeepSalience())["layer5.pad"] == "zeros added at the edges"


EVERY = [(name, {}) for name in models.NETWORKS if name not in ("unet-mel", "drum-cnn")] + [
    ("unet-mel", {"channels": (2, 4)}),
    ("drum-cnn", {"bands": 125, "frames": 130}),
    ("drum-cnn", {"bands": 125, "reading": "R5", "units": 6, "norm": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize("name, changes", EVERY)
def test_what_is_said_of_a_layer_is_what_it_hands_on(name, changes):
    """Numbers of channels, of units and of logits, read from a run of its own."""
    if name.startswith("ftanet"):
        changes = {"width": 4}  # the same layers
    model = models.create_model(name, **changes)
    told = explain.tap_names(model)
    with explain.taps(model) as seen, torch.no_grad():
        y = model(model.example())
    assert set(told) == set(seen)
    for tap, tensor in seen.items():
        words = told[tap]
        assert words and not words.startswith(("Conv", "Batch", "SELU(", "ReLU")), (tap, words)
        if words.startswith("the output of "):
            assert torch.equal(seen[words.removeprefix("the output of ")], tensor), (tap, words)
        elif found := re.search(r"(\d+) (channel|unit|logit)", words):
            n = int(found[1]) * (2 if "then as many backwards" in words else 1)
            last = isinstance(dict(model.named_modules()).get(tap), nn.GRU | nn.Linear)
            n_channels = tensor.shape[-1 if last and tensor.ndim == 3 else 1]
            assert n == (y.shape[1] if found[2] == "logit" else n_channels), (tap, words)
            if found[2] == "logit":
                assert tensor.numel() == y.numel() and model.learns == "melody", (tap, words)
        else:
            assert words == "zeros added at the edges", (tap, words)


def test_only_what_the_network_says_in_the_end_is_called_logits():
    told = explain.tap_names(models.create_model("harmonic-crnn"))
    assert told["voicing"] == "1 unit a frame" and told["back"] == "832 units a frame"
    assert not any("logits" in words for words in told.values()), "it joins two answers"
    assert explain.tap_names(CRNN("cnn1", 0))["dense"].startswith("62 logits")


def test_every_call_of_one_layer_is_kept_and_can_be_named(rng):
    torch.manual_seed(0)
    model, x = models.create_model("segnet"), torch.rand(1, 3, 320, 8)
    told = explain.tap_names(model)
    assert [told[f"pool[{n}]"] for n in range(3)] == [
        f"the largest of 4 rows, {channels} channels" for channels in (32, 64, 128)
    ]
    for _ in range(2):  # of two runs the second one counts
        with explain.taps(model, ["pool", "down2"]) as seen, torch.no_grad():
            model(torch.zeros_like(x))
            model(x)
        assert list(seen) == ["pool[0]", "down2", "pool[1]", "pool[2]"]
        shapes = [tuple(seen[f"pool[{n}]"].shape) for n in range(3)]
        assert shapes == [(1, 32, 80, 8), (1, 64, 20, 8), (1, 128, 5, 8)]
        assert torch.equal(nn.functional.max_pool2d(seen["down2"], (4, 1)), seen["pool[1]"])
    with explain.taps(model, "pool[1]") as one, torch.no_grad():
        model(x)
    assert list(one) == ["pool[1]"] and torch.equal(one["pool[1]"], seen["pool[1]"])
    with explain.ablate(model, "pool[1]", 40), explain.taps(model, "pool") as cut, torch.no_grad():
        model(x)
    assert torch.equal(cut["pool[0]"], seen["pool[0]"]) and not cut["pool[1]"][:, 40].any()
    assert cut["pool[1]"][:, 39].any() and cut["pool[2]"][:, 40].any()


class Stopped(Exception):
    pass


def test_the_model_is_left_as_it_was_also_after_an_error(rng):
    model = CRNN("cnn1", 8)  # in training mode, one layer frozen
    model.cnn.layer1.norm.eval()
    model.cnn.layer1.conv.weight.requires_grad_(False)
    mine = []
    model.gru.register_forward_hook(lambda *_: mine.append(1) and None)
    picture, before = noise(rng, 30), everything(model)
    explain.activations(model, picture, "cnn.layer*")
    explain.attribution(model, picture, 0.1, steps=2)
    explain.attribution(model, picture, 0.1, method="occlusion", window_semitones=30)
    assert mine, "somebody else's hook was lost"
    tools = [
        lambda: explain.taps(model, "*"),
        lambda: explain.ablate(model, "cnn.layer1", 3),
        lambda: explain.patch(model, "gru", torch.zeros(1, 30, 16)),
    ]
    for tool in tools:
        with pytest.raises(Stopped), tool():
            raise Stopped
    with pytest.raises(InputError):
        explain.activations(model, features_of([0] * 30, BINS, channels=6), "gru")
    with pytest.raises(InputError), explain.ablate(model, "dense", 62):
        explain.activations(model, picture, "gru")
    assert_same(before, everything(model))


def test_the_answer_of_a_network_with_masks_is_its_own_row_and_ones_where_nobody_asked(rng):
    torch.manual_seed(0)
    model, values = models.create_model("unet"), rng.random((2, 312, 20)).astype(np.float32)
    heard = Features(values, model.grid.freqs_hz, frame_times_s(20, 512, 22050), "spectra")
    logit = run.logits(model, heard)[0]
    np.testing.assert_allclose(
        explain.is_there_a_melody(model, heard), 1 / (1 + np.exp(-logit)), rtol=1e-5
    )
    mel = Features(rng.random((2, 128, 20)), unet.MEL_HZ, frame_times_s(20, 200, 16000), "mel")
    assert (
        explain.is_there_a_melody(models.create_model("unet-mel", channels=(2, 4)), mel) == 1
    ).all()


# --- pictures on the song's clock -----------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 60, 560])
def test_an_impulse_stays_at_its_frame_and_pitch(crnn, frames):
    rows = np.full(frames, -1)
    frame = frames - 1
    rows[frame] = 5 * 36 + 2  # 440 Hz and 40 cents, still the semitone of 440 Hz
    seen = explain.activations(crnn, features_of(rows, FINE), ["cnn.layer1.conv", "cnn.layer5"])
    conv = seen["cnn.layer1.conv"]
    assert conv.values.shape == (64, 61, frames) and seen["cnn.layer5"].values.shape == (
        1,
        61,
        frames,
    )
    _, note, when = np.nonzero(conv.values)
    assert set(when) == {frame} and set(conv.freqs_hz[note].round(6)) == {440.0}
    assert (
        conv.times_s[frame] == pytest.approx(frame * 256 / 22050) and conv.kind == "cnn.layer1.conv"
    )


@pytest.mark.slow
@pytest.mark.parametrize("frames", [30, 500, 730])
def test_the_last_layer_is_the_output(crnn, frames, rng):
    picture = noise(rng, frames)
    seen = explain.activations(crnn, picture, ["gru", "dense"])
    np.testing.assert_array_equal(seen["dense"].values[:, 0], run.logits(crnn, picture))
    assert seen["gru"].values.shape == (256, 1, frames) and np.isnan(seen["gru"].freqs_hz).all()


def test_networks_with_context_and_fine_rows(rng):
    torch.manual_seed(0)
    model = DeepSalience().eval()
    model.block_frames = 20  # several blocks of a short song
    picture = noise(rng, 50, BINS, channels=6)
    seen = explain.activations(model, picture, ["layer6", "layer5.pad"])
    np.testing.assert_array_equal(seen["layer6"].values[0], run.logits(model, picture))
    np.testing.assert_array_equal(seen["layer6"].freqs_hz, BINS.freqs_hz)
    assert np.isnan(seen["layer5.pad"].freqs_hz).all()  # 429 rows are no pitches


def test_as_picture_joins_patches_in_order():
    song = np.arange(2 * 3 * 100).reshape(2, 3, 100)  # (channels, freq, time)
    patches = torch.from_numpy(song.reshape(2, 3, 4, 25).transpose(2, 0, 1, 3).copy())
    np.testing.assert_array_equal(explain.as_picture(patches), song)
    two = torch.cat([patches, patches + 1])  # a batch of two songs
    np.testing.assert_array_equal(explain.as_picture(two.unflatten(0, (2, -1))[1]), song + 1)
    np.testing.assert_array_equal(explain.as_picture(torch.from_numpy(song[:1]))[:, 0], song[0].T)
    with pytest.raises(InputError, match="one song"):
        explain.as_picture(torch.zeros(2, 10, 5))


def test_features_that_do_not_fit_get_a_sentence(crnn):
    with pytest.raises(InputError, match=r"features of shape \(6, 360, 30\) do not fit"):
        explain.activations(crnn, features_of([0] * 30, BINS, channels=6), "gru")

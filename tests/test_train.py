"""Training: targets, losses, schedules, averages.

The network is the smallest there is, on a few seconds of song.
"""

import math
import types

import numpy as np
import pytest
import torch
from training_kit import assert_same, recipe, tensors, without_times

from melodylab import models, weights
from melodylab.dsp.grids import PitchGrid
from melodylab.errors import InputError
from melodylab.models import run as networks
from melodylab.records import Features
from melodylab.training import Recipe, Training, lightning_module, loop, melodies, objective
from melodylab.training.song_batches import SongBatches

GRID = PitchGrid(100.0, 12, 13)


def test_classes_are_nearest_notes_and_0_is_no_melody():
    f0_hz = np.array(
        [
            [100.0, 100 * 2 ** (0.49 / 12), 100 * 2 ** (0.51 / 12)],
            [200.0, np.nan, 99 * 2 ** (-0.6 / 12)],
        ]
    )
    found = melodies.classes(f0_hz, GRID)
    assert found.tolist() == [[1, 1, 2], [13, 0, 0]] and found.dtype == np.int64


def test_bumps_stand_on_the_nearest_bin_and_nowhere_without_melody():
    f0_hz = np.array([[100 * 2 ** (4.3 / 12), np.nan, 200.0]])
    found = melodies.bumps(f0_hz, GRID)
    assert found.shape == (1, 13, 3) and found.dtype == np.float32
    assert (
        found[0, :, 0].argmax() == 4
        and found[0, 4, 0] == 1
        and not found[0, :, 1].any()
        and found[0, 12, 2] == 1
    )
    np.testing.assert_allclose(found[0, [3, 5, 2, 6], 0], np.exp([-0.5, -0.5, -2, -2]), rtol=1e-6)
    np.testing.assert_allclose(
        melodies.bumps(f0_hz, GRID, sigma_bins=2.0)[0, 3, 0], np.exp(-0.125), rtol=1e-6
    )


# --- learning ---


class Tone:
    """Examples of one pitch for one half of the frames and no melody for the other, the same at
    every step.
    """

    bin, f0_hz = 120, 55 * 2 ** (24 / 12)

    def __init__(self, front_end, bank, *, batch_size=0, frames=0, **_):
        self.front_end, self.shape = front_end, (batch_size, 1, 301, frames)

    def prepare(self, **_):
        pass

    def batch(self, step):
        x, f0_hz = torch.zeros(self.shape), torch.full((self.shape[0], self.shape[3]), math.nan)
        half = self.shape[3] // 2
        x[:, 0, self.bin, :half], f0_hz[:, :half] = 1.0, self.f0_hz
        x[:, 0, ::7, half:] = 1 / 43
        return x, f0_hz


@pytest.mark.slow
def test_a_planted_tone_is_learned(fit, monkeypatch):
    monkeypatch.setattr(objective, "SongBatches", Tone)
    losses = []
    plan = recipe(steps=30, validate_every=30, learning_rate=3e-3, average=0.5, schedule="constant")
    model, history = fit(plan, on_step=lambda step, loss: losses.append((step, loss)))
    assert [step for step, _ in losses] == list(range(1, 31))
    assert losses[0][1] > 3.0 and losses[-1][1] < 0.3
    x = Tone("sf", None, batch_size=1, frames=50).batch(0)[0][0].numpy()
    heard = networks.salience(model, Features(x, np.arange(301) + 1.0, np.arange(50) * 0.01, "sf"))
    assert not model.training
    assert (heard.values.argmax(axis=0)[:23] == 24).all() and (
        heard.values.max(axis=0) > heard.unvoiced
    )[:23].all()
    assert (heard.values.max(axis=0) < heard.unvoiced)[27:].all()
    assert history[-1]["loss"] == pytest.approx(np.mean([loss for _, loss in losses]))


def test_the_loss_is_what_the_papers_say(training_folder):
    """Cross entropy over 62 classes, with the penalty where asked.

    Binary cross entropy over 360 bins.
    """
    song = [("demo", None, None)]
    for name, channels, bins in (("sf-crnn-1", 1, 301), ("deep-salience", 6, 360)):
        network = models.create_model(name)
        x, f0_hz = torch.rand(2, channels, bins, 25), torch.full((2, 25), math.nan)
        f0_hz[:, 5:] = 220.0
        target = (melodies.classes if name == "sf-crnn-1" else melodies.bumps)(
            f0_hz.numpy(), network.grid
        )
        p = network(x).detach().double()
        if name == "sf-crnn-1":
            p = torch.softmax(p, 1).numpy()
            expected = -np.mean(np.log(np.take_along_axis(p, target[:, None], 1)))
        else:
            p = torch.sigmoid(p).numpy()
            expected = -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))
        module = lightning_module._Module(network, Training(), None, song, None, None, None)
        assert module.training_step((x, torch.from_numpy(target)), 0).item() == pytest.approx(
            expected, rel=1e-4
        )
    network = models.create_model("sf-crnn-1")
    x, target = torch.rand(1, 1, 301, 25), torch.zeros(1, 25, dtype=torch.int64)
    plain, more = (
        lightning_module._Module(network, Training(regularise=on), None, song, None, None, None)
        .training_step((x, target), 0)
        .item()
        for on in (False, True)
    )
    assert more - plain == pytest.approx(network.penalty().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1]),
        ("constant", 3, [0.25, 0.5, 0.75, 1]),
        ("cosine", 0, [1, 0.8536, 0.5, 0.1464]),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule, warmup, expected):
    plan = Training(
        steps=4, learning_rate=1.0, schedule=schedule, warmup_steps=warmup, weight_decay=0.25
    )
    module = lightning_module._Module(
        models.create_model("sf-crnn-1"), plan, None, [], None, None, None
    )
    (optimizer,), (schedule,) = module.configure_optimizers()
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_kept_weights_are_the_average(fit, monkeypatch):
    """One validation, at the end.

    The model's weights are the recursion over the weights after every step.
    """
    seen = []
    original = lightning_module._Module.on_train_batch_end

    def watch(self, *arguments):
        original(self, *arguments)
        seen.append(tensors(self.network))

    monkeypatch.setattr(lightning_module._Module, "on_train_batch_end", watch)
    torch.manual_seed(3)
    expected = tensors(models.create_model("sf-crnn-1"))
    model, _ = fit(recipe(steps=2, validate_every=2, average=0.25, seed=3))
    for step, new in enumerate(seen, 1):
        decay = min(0.25, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * new[name] for name in new}
    parameters = [name for name, _ in model.named_parameters()]
    for name in parameters:
        torch.testing.assert_close(tensors(model)[name], expected[name], rtol=1e-5, atol=1e-7)
    model, _ = fit(recipe(steps=2, validate_every=2, average=0.0, seed=3))
    for name in parameters:
        assert torch.equal(tensors(model)[name], seen[-1][name])


@pytest.mark.slow
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_running_statistics_are_those_of_the_last_steps_by_the_kept_weights(
    fit, training_folder, average
):
    """Not what ran along while the weights were others."""
    plan = recipe(steps=2, average=average, seed=4)
    model, _ = fit(plan)
    source = SongBatches(
        "sf",
        plan.data,
        batch_size=2,
        frames=50,
        shift_semitones=1.0,
        stretch=plan.training.stretch,
        seed=4,
        steps=2,
        cache=training_folder / "features",
    )
    first, means, variances = model.cnn.layer1, [], []
    for step in range(2):
        x = (
            source.batch(step)[0].unflatten(3, (2, 25)).permute(0, 3, 1, 2, 4).flatten(0, 1)
        )  # the network's own patches
        heard = first.relu(first.conv(x)).detach().transpose(0, 1).flatten(1)
        means.append(heard.mean(dim=1))
        variances.append(heard.var(dim=1))
    torch.testing.assert_close(first.norm.running_mean, sum(means) / 2, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(first.norm.running_var, sum(variances) / 2, rtol=1e-3, atol=1e-9)
    assert first.norm.momentum == 0.01 and not model.training


def test_the_plan_reaches_lightning_and_the_batches(fit, monkeypatch):
    asked = {}

    class Stop(Exception):
        pass

    def trainer(**options):
        asked.update(options)
        return types.SimpleNamespace(world_size=3)

    def source(*arguments, **options):
        asked.update(options, arguments=arguments)
        raise Stop

    monkeypatch.setattr(lightning_module.pl, "Trainer", trainer)
    monkeypatch.setattr(objective, "SongBatches", source)
    plan = recipe(steps=7, clip_norm=0.5, precision="bf16-mixed", seed=5, shift_semitones=2.5)
    with pytest.raises(Stop):
        fit(plan, device="cpu:3", features="here")
    told = ("accelerator", "devices", "precision", "max_epochs", "gradient_clip_val")
    assert [asked[name] for name in told] == ["cpu", 3, "bf16-mixed", 4, 0.5]
    told = ("arguments", "batch_size", "frames", "shift_semitones", "seed", "steps", "cache")
    assert [asked[name] for name in told] == [("sf", plan.data), 2, 50, 2.5, 5, 21, "here"]
    with pytest.raises(Stop):
        fit(recipe(clip_norm=0))
    assert asked["gradient_clip_val"] is None


def test_devices_are_what_lightning_calls_them(monkeypatch):
    monkeypatch.setattr(loop.torch.cuda, "device_count", lambda: 4)
    assert [loop._accelerator(name) for name in ("cpu", "gpu", "gpu:4", "auto")] == [
        ("cpu", 1), ("gpu", 1), ("gpu", 4), ("gpu", 1)
    ]  # fmt: skip
    monkeypatch.setattr(loop.torch.cuda, "device_count", lambda: 0)
    assert loop._accelerator("auto") == ("cpu", 1)


@pytest.mark.slow
def test_same_seed_same_bits_and_lightning_keeps_quiet(fit, capfd, recwarn):
    state = torch.get_rng_state()
    first, history = fit(recipe(steps=2, validate_every=1))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    second, again = fit(recipe(steps=2, validate_every=1))
    assert_same(tensors(first), tensors(second))
    assert_same(without_times(history), without_times(again))
    other, _ = fit(recipe(steps=2, validate_every=2, seed=1))
    assert not torch.equal(tensors(first)["dense.weight"], tensors(other)["dense.weight"])
    assert capfd.readouterr() == ("", "") and not recwarn.list


@pytest.mark.slow
def test_the_bar_goes_over_all_steps_on_standard_error(fit, capfd):
    fit(recipe(steps=3, validate_every=2), progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "3/3" in err and "loss=" in err


@pytest.mark.slow
def test_deep_salience_chooses_a_threshold(fit, tmp_path):
    plan = Recipe.from_dict(
        {
            "model": {"name": "deep-salience"},
            "data": {"songs": 1, "mixes": 1, "seconds": 2},
            "training": {"steps": 1, "batch_size": 1, "frames": 10, "validate_every": 1},
        }
    )
    fit(plan, out=tmp_path / "run")
    card = weights.card(tmp_path / "run")
    assert list(card["decoding"]) == ["threshold"] and card["front_end"] == "hcqt"


@pytest.mark.slow
def test_what_starts_from_other_weights_takes_what_fits(fit, tmp_path):
    fit(recipe(steps=1), out=tmp_path / "old")
    kept = tensors(weights.load_model(tmp_path / "old"))
    network = models.create_model("sf-crnn-1")
    loop._warm_start(network, str(tmp_path / "old"))
    assert_same(tensors(network), kept)
    network = models.create_model("sf-crnn-1", units=32)
    with pytest.warns(UserWarning, match="afresh: gru.weight_ih_l0, .*dense.weight"):
        loop._warm_start(network, str(tmp_path / "old"))
    assert torch.equal(network.cnn.layer1.conv.weight, kept["cnn.layer1.conv.weight"])
    assert torch.equal(network.dense.bias, kept["dense.bias"])
    with pytest.raises(InputError, match="no tensor of .* fits"):
        loop._warm_start(models.create_model("deep-salience"), str(tmp_path / "old"))
    with pytest.raises(InputError, match="neither the name"):
        fit(recipe(start_from="nowhere"), out=tmp_path / "new")
    begun = str(tmp_path / "old" / "sf-crnn-1.safetensors")
    fit(recipe(steps=1, start_from=begun), out=tmp_path / "new")
    old, told = weights.card(tmp_path / "old"), weights.card(tmp_path / "new")["started_from"]
    assert told == {
        key: old[key]
        for key in ("model", "sha256", "recipe", "steps", "steps_trained", "wall_time_s")
    }


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_in_a_sentence(fit, monkeypatch):
    monkeypatch.setattr(melodies.F, "cross_entropy", lambda y, target: y.sum() * math.nan)
    with pytest.raises(
        InputError, match="the loss is no number any more at step 1; lower learning_rate"
    ):
        fit(recipe())

"""Training: recipes, targets, and runs that are killed, starved of disk, stopped early, resumed. The network is the smallest
there is, on a few seconds of song; what a run is compared with is another run or is planted."""

import contextlib
import csv
import dataclasses
import math
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from click.testing import CliRunner

from melodylab import cli, models, synth, training, weights
from melodylab.dsp.grids import PitchGrid
from melodylab.errors import InputError
from melodylab.models import run as networks
from melodylab.records import Features, Salience, Song
from melodylab.training import Recipe, Training, examples, hits, loop, melodies, tasks
from melodylab.training import shared as in_common

ROOT = Path(cli.__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def recipe(**training):
    """Six steps, a validation every two, on two songs of four seconds."""
    small = {
        "steps": 6,
        "validate_every": 2,
        "batch_size": 2,
        "frames": 50,
        "average": 0.9,
        "shift_semitones": 1,
    }
    data = {"songs": 2, "mixes": 1, "seconds": 4}
    return Recipe.from_dict(
        {"model": {"name": "sf-crnn-1"}, "data": data, "training": small | training}
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folder with `features` that all runs share and `songs` to validate on: one, of two seconds."""
    folder = tmp_path_factory.mktemp("shared")
    song = synth.demo_song(seed=1, seconds=6).excerpt(3, 5)
    assert 0.2 < song.melody.voiced.mean() < 0.9
    (folder / "songs" / "demo").mkdir(parents=True)
    sf.write(folder / "songs" / "demo" / "mix.wav", song.audio.T, song.sr, subtype="FLOAT")
    song.melody.to_csv(folder / "songs" / "demo" / "melody.csv")
    return folder


@pytest.fixture
def fit(shared):
    def fit(plan, **options):
        defaults = {"features": shared / "features", "validate": shared / "songs", "device": "cpu"}
        return training.fit(plan, **defaults | options)

    return fit


def tensors(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(first, second, tolerance=0.0):
    """Nested dicts, lists, numbers, tensors; paths by their names alone."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert [Path(k).name if isinstance(k, str) else k for k in first] == [
            Path(k).name if isinstance(k, str) else k for k in second
        ]
        first, second = list(first.values()), list(second.values())
    if isinstance(first, list | tuple):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b, tolerance)
    elif isinstance(first, torch.Tensor):
        torch.testing.assert_close(first, second, rtol=0, atol=tolerance)
    elif isinstance(first, float):
        assert first == pytest.approx(second, abs=tolerance, nan_ok=True)
    elif isinstance(first, str):
        assert Path(first).name == Path(second).name
    else:
        assert first == second


def without_times(history):
    return [{key: value for key, value in entry.items() if key != "wall_s"} for entry in history]


# --- recipes --------------------------------------------------------------------------------------


def test_a_recipe_is_completed_with_defaults_and_survives_its_own_toml(tmp_path):
    path = tmp_path / "recipe.toml"
    data = "[data]\nsongs = 7\n[data.ingredients]\ndrums = false\n"
    path.write_text(f'[model]\nname = "sf-cnn"\n{data}[training]\nclip_norm = 2\n')
    found = Recipe.read(path)
    assert (found.model, found.data.songs, found.data.ingredients.drums) == ("sf-cnn", 7, False)
    assert found.data.mixes == examples.Bank().mixes and found.training == Training(clip_norm=2.0)
    assert isinstance(found.training.clip_norm, float)
    assert tomllib.loads(found.as_toml()) == found.as_dict()
    assert Recipe.from_dict(found.as_dict()) == found
    assert set(found.as_dict()["training"]) == set(Training.__dataclass_fields__)


def test_further_keys_of_the_model_change_the_network():
    found = Recipe.from_dict({"model": {"name": "sf-crnn-1", "across_patches": True}})
    assert found.create_model().across_patches is True
    assert found.as_dict()["model"] == {"name": "sf-crnn-1", "across_patches": True}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model\n", "no valid TOML"),
        ("", "[model] names no network; choose from sf-crnn-1"),
        ('[model]\nname = "crnn"', "[model] name is 'crnn'; choose from sf-crnn-1"),
        ('[model]\nname = "sf-cnn"\nunit = 3', "[model]: sf-cnn has nothing called unit to change"),
        ('[model]\nname = "sf-cnn"\ncnn = "cnn9"', "[model]: sf-cnn cannot be built so"),
        ('[modle]\nname = "sf-cnn"', "has no table 'modle'; did you mean model?"),
        ('training = 3\n[model]\nname = "sf-cnn"', "training must be a table"),
        (
            "[training]\nlearnin_rate = 1.0",
            "[training]: there is no key 'learnin_rate'; did you mean learning_rate?",
        ),
        ("[data]\nsong = 1", "[data]: there is no key 'song'; did you mean songs?"),
        (
            "[data.ingredients]\ndrum = true",
            "[data.ingredients]: there is no key 'drum'; did you mean drums?",
        ),
        ("[training]\nsteps = 1.5", "[training]: steps is 1.5 and must be a whole number"),
        ("[training]\nsteps = true", "[training]: steps is true and must be a whole number"),
        (
            '[training]\nlearning_rate = "high"',
            '[training]: learning_rate is "high" and must be a number',
        ),
        ("[training]\nregularise = 1", "[training]: regularise is 1 and must be true or false"),
        ("[training]\nschedule = 1", "[training]: schedule is 1 and must be text in quotes"),
        ("[training]\nsteps = 1979-05-27", "[training]: steps is"),
        (
            "[data]\ningredients = 3",
            "[data]: ingredients is 3 and must be a table; write [data.ingredients]",
        ),
        ("[training]\nsteps = 0", "[training]: steps is 0 and must be at least 1"),
        (
            "[training]\naverage = 1.0",
            "[training]: average is 1.0 and must be between 0 and 0.999999",
        ),
        ("[training]\nclip_norm = nan", "[training]: clip_norm is nan and must be at least 0"),
        ("[training]\nlearning_rate = inf", "[training]: learning_rate is inf"),
        (
            '[training]\nschedule = "step"',
            "[training]: schedule is 'step'; choose cosine, constant or plateau",
        ),
        (
            '[training]\nschedule = "plateau"\nwarmup_steps = 3',
            "[training]: warmup_steps does not go with",
        ),
        ("[data]\nsongs = 0", "[data]: a bank needs"),
        ("[data.ingredients]\nriffs = 2", "[data.ingredients]: the ingredient riffs"),
        (
            '[model]\nname = "deep-salience"\n[training]\nregularise = true',
            "deep-salience has no penalty of its own",
        ),
    ],
)
def test_what_a_recipe_cannot_mean_is_one_sentence_with_the_key(tmp_path, text, told):
    path = tmp_path / "my.toml"
    path.write_text(text if "mod" in text or not text else f'{text}\n[model]\nname = "sf-crnn-1"\n')
    with pytest.raises(InputError) as error:
        Recipe.read(path)
    assert (
        told in str(error.value) and "my.toml" in str(error.value) and "\n" not in str(error.value)
    )


# --- targets --------------------------------------------------------------------------------------

GRID = PitchGrid(100.0, 12, 13)


def test_classes_are_nearest_notes_and_0_is_no_melody():
    f0_hz = np.array(
        [
            [100.0, 100 * 2 ** (0.49 / 12), 100 * 2 ** (0.51 / 12)],
            [200.0, np.nan, 99 * 2 ** (-0.6 / 12)],
        ]
    )
    found = tasks.classes(f0_hz, GRID)
    assert found.tolist() == [[1, 1, 2], [13, 0, 0]] and found.dtype == np.int64


def test_bumps_stand_on_the_nearest_bin_and_nowhere_without_melody():
    f0_hz = np.array([[100 * 2 ** (4.3 / 12), np.nan, 200.0]])
    found = tasks.bumps(f0_hz, GRID)
    assert found.shape == (1, 13, 3) and found.dtype == np.float32
    assert (
        found[0, :, 0].argmax() == 4
        and found[0, 4, 0] == 1
        and not found[0, :, 1].any()
        and found[0, 12, 2] == 1
    )
    np.testing.assert_allclose(found[0, [3, 5, 2, 6], 0], np.exp([-0.5, -0.5, -2, -2]), rtol=1e-6)
    np.testing.assert_allclose(
        tasks.bumps(f0_hz, GRID, sigma_bins=2.0)[0, 3, 0], np.exp(-0.125), rtol=1e-6
    )


# --- learning -------------------------------------------------------------------------------------


class Tone:
    """Examples of one pitch for one half of the frames and no melody for the other, the same at every step."""

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


def test_a_planted_tone_is_learned(fit, monkeypatch):
    monkeypatch.setattr(melodies.examples, "Examples", Tone)
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


def test_the_loss_is_what_the_papers_say(shared):
    """Cross entropy over 62 classes, with the penalty where asked; binary cross entropy over 360 bins."""
    song = [("demo", None, None)]
    for name, channels, bins in (("sf-crnn-1", 1, 301), ("deep-salience", 6, 360)):
        network = models.create_model(name)
        x, f0_hz = torch.rand(2, channels, bins, 25), torch.full((2, 25), math.nan)
        f0_hz[:, 5:] = 220.0
        target = (tasks.classes if name == "sf-crnn-1" else tasks.bumps)(
            f0_hz.numpy(), network.grid
        )
        p = network(x).detach().double()
        if name == "sf-crnn-1":
            p = torch.softmax(p, 1).numpy()
            expected = -np.mean(np.log(np.take_along_axis(p, target[:, None], 1)))
        else:
            p = torch.sigmoid(p).numpy()
            expected = -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))
        lesson = loop._Lesson(network, Training(), None, song, None, None, None)
        assert lesson.training_step((x, torch.from_numpy(target)), 0).item() == pytest.approx(
            expected, rel=1e-4
        )
    network = models.create_model("sf-crnn-1")
    x, target = torch.rand(1, 1, 301, 25), torch.zeros(1, 25, dtype=torch.int64)
    plain, more = (
        loop._Lesson(network, Training(regularise=on), None, song, None, None, None)
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
    lesson = loop._Lesson(models.create_model("sf-crnn-1"), plan, None, [], None, None, None)
    (optimizer,), (schedule,) = lesson.configure_optimizers()
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates == pytest.approx(expected, abs=1e-4)


def test_kept_weights_are_the_average(fit, monkeypatch):
    """One validation, at the end: the model's weights are the recursion over the weights after every step."""
    seen = []
    original = loop._Lesson.on_train_batch_end

    def watch(self, *arguments):
        original(self, *arguments)
        seen.append(tensors(self.network))

    monkeypatch.setattr(loop._Lesson, "on_train_batch_end", watch)
    torch.manual_seed(3)
    expected = tensors(models.create_model("sf-crnn-1"))
    model, _ = fit(recipe(steps=3, validate_every=3, average=0.25, seed=3))
    for step, new in enumerate(seen, 1):
        decay = min(0.25, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * new[name] for name in new}
    parameters = [name for name, _ in model.named_parameters()]
    for name in parameters:
        torch.testing.assert_close(tensors(model)[name], expected[name], rtol=1e-5, atol=1e-7)
    model, _ = fit(recipe(steps=3, validate_every=3, average=0.0, seed=3))
    for name in parameters:
        assert torch.equal(tensors(model)[name], seen[-1][name])


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_running_statistics_are_those_of_the_last_steps_by_the_kept_weights(fit, shared, average):
    """Not what ran along while the weights were others."""
    plan = recipe(steps=2, average=average, seed=4)
    model, _ = fit(plan)
    source = examples.Examples(
        "sf",
        plan.data,
        batch_size=2,
        frames=50,
        shift_semitones=1.0,
        stretch=plan.training.stretch,
        seed=4,
        steps=2,
        cache=shared / "features",
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


def test_the_plan_reaches_lightning_and_the_examples(fit, monkeypatch):
    asked = {}

    class Stop(Exception):
        pass

    def trainer(**options):
        asked.update(options)
        return types.SimpleNamespace(world_size=3)

    def source(*arguments, **options):
        asked.update(options, arguments=arguments)
        raise Stop

    monkeypatch.setattr(loop.pl, "Trainer", trainer)
    monkeypatch.setattr(melodies.examples, "Examples", source)
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


def test_same_seed_same_bits_and_lightning_keeps_quiet(fit, capfd, recwarn):
    state = torch.get_rng_state()
    first, history = fit(recipe())
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    second, again = fit(recipe())
    assert_same(tensors(first), tensors(second))
    assert_same(without_times(history), without_times(again))
    other, _ = fit(recipe(seed=1))
    assert not torch.equal(tensors(first)["dense.weight"], tensors(other)["dense.weight"])
    assert capfd.readouterr() == ("", "") and not recwarn.list


def test_the_bar_goes_over_all_steps_on_standard_error(fit, capfd):
    fit(recipe(steps=3, validate_every=2), progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "3/3" in err and "loss=" in err


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


def test_a_loss_that_is_no_number_ends_in_a_sentence(fit, monkeypatch):
    monkeypatch.setattr(melodies.F, "cross_entropy", lambda y, target: y.sum() * math.nan)
    with pytest.raises(
        InputError, match="the loss is no number any more at step 1; lower learning_rate"
    ):
        fit(recipe())


# --- what is written ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(shared, tmp_path_factory):
    """An uninterrupted run: (folder, model, history). Its rate falls whenever a validation is not better."""
    out = tmp_path_factory.mktemp("whole") / "run"
    options = {"features": shared / "features", "validate": shared / "songs", "device": "cpu"}
    return out, *training.fit(stubborn(), out=out, **options)


def stubborn():
    return recipe(steps=9, schedule="plateau", plateau_patience=0, patience=30, weight_decay=0.01)


def test_weights_card_log_and_recipe(whole):
    out, model, history = whole
    assert {path.name for path in out.iterdir()} == {
        "checkpoints", "log.csv", "recipe.toml", "sf-crnn-1.safetensors", "sf-crnn-1.json"
    }  # fmt: skip
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert Recipe.read(out / "recipe.toml") == stubborn()
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert (
        [int(row["step"]) for row in rows]
        == [entry["step"] for entry in history]
        == [2, 4, 6, 8, 9]
    )
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [entry["loss"] for entry in history], rel=1e-5
    )

    loaded = weights.load_model(out)
    for name, value in tensors(model).items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    card = loaded.card
    best = max(history, key=lambda entry: entry["best_OA"])
    assert (card["steps"], card["steps_trained"]) == (best["step"], 9)
    assert card["decoding"] == {"unvoiced_gain": pytest.approx(best["constant"], rel=1e-3)}
    assert (
        card["recipe"] == stubborn().as_dict()
        and card["library_versions"]["torch"] == torch.__version__
    )
    scores = card["scores"]
    assert scores["validated_on"] == ["demo"] and len(scores["validations"]) == 5
    assert (
        scores["as_published"]["demo"]["OA"] == pytest.approx(best["OA"], abs=1e-3) == scores["OA"]
    )
    assert scores["as_published"]["demo"]["AUC"] == pytest.approx(best["AUC"], abs=1e-3)
    assert scores["best_constant"]["demo"]["OA"] == pytest.approx(best["best_OA"], abs=1e-3)
    assert set(scores["as_published"]["mean"]) == {"OA", "RPA", "RCA", "VR", "VFA", "AUC"}


def test_the_constant_for_a_song_comes_from_the_others(monkeypatch):
    """Three songs, whose sweeps are planted; the scores only tell which constant they were decoded with."""
    peaks = {"a": 3, "b": 3, "c": 10}  # where a song has its best constant
    one = Salience(np.ones((1, 1)), [100.0], [0.0], unvoiced=np.ones(1))
    monkeypatch.setattr(
        melodies.run,
        "salience",
        lambda model, features, **options: dataclasses.replace(
            one, unvoiced=[options["unvoiced_gain"]]
        ),
    )
    monkeypatch.setattr(melodies.decode, "peak", lambda salience: float(salience.unvoiced[0]))
    monkeypatch.setattr(
        melodies.evaluate, "score_melody", lambda estimate, reference: {"OA": 0.5, "RPA": estimate}
    )

    def sweep(estimate, reference, thresholds):
        np.testing.assert_allclose(thresholds / (1 - thresholds), melodies._CONSTANTS)
        distance = np.abs(np.arange(len(thresholds)) - peaks[reference])
        return {"OAs": 1 - 0.1 * distance, "AUC": math.nan}

    monkeypatch.setattr(melodies.evaluate, "other_thresholds", sweep)
    songs = [(name, None, name) for name in peaks]
    scores, decoding = melodies.Melodies.scores(
        models.create_model("sf-crnn-1"), songs, torch.device("cpu")
    )
    gain = {n: melodies._CONSTANTS[n] for n in (3, 8)}
    usual = float(melodies._CONSTANTS[8])
    assert usual == 1.0
    assert [scores["as_published"][name]["RPA"] for name in "abc"] == [1.0, 1.0, 1.0]
    assert (
        [scores["best_constant"][name]["unvoiced_gain"] for name in "abc"]
        == [gain[3]] * 3
        == [decoding["unvoiced_gain"]] * 3
    )
    # without c both others agree on 3; without a or b all between 3 and 10 is equally good, and 8 is the usual one
    assert [scores["leave_one_out"][name]["unvoiced_gain"] for name in "abc"] == [1.0, 1.0, gain[3]]
    assert (
        scores["RPA"] == scores["leave_one_out"]["mean"]["RPA"] == pytest.approx((2 + gain[3]) / 3)
    )


def test_held_out_songs_are_of_the_same_kind_and_not_in_the_bank(shared, monkeypatch):
    monkeypatch.setattr(in_common, "HELD_OUT_SONGS", 2)
    asked = []
    original = examples.Bank.song
    monkeypatch.setattr(
        examples.Bank, "song", lambda self, *a: asked.append((self, a)) or original(self, *a)
    )
    plan = recipe(steps=1)
    names = []
    monkeypatch.setattr(
        melodies.Melodies,
        "scores",
        lambda model, songs, *_: names.extend(songs) or ({}, {"unvoiced_gain": 1.0}),
    )
    _, history = training.fit(plan, features=shared / "features", device="cpu")
    held_out = {(bank.seed, *rest) for bank, rest in asked if bank.seed != plan.data.seed}
    assert held_out == {(500_000, 0, 0), (500_000, 1, 0)}
    assert all(bank.ingredients == plan.data.ingredients and bank.seconds == 4 for bank, _ in asked)
    assert [name for name, *_ in names] == ["held-out 1", "held-out 2"] and len(history) == 1
    _, features, truth = names[0]
    assert len(truth) == features.values.shape[2] and truth.voiced.any()


# --- interrupted ----------------------------------------------------------------------------------

KILLED = """
import os, signal
from melodylab import training

def on_step(step, loss):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

plan = training.Recipe.read({recipe!r})
training.fit(plan, out={out!r}, validate={songs!r}, features={features!r}, device="cpu", on_step=on_step)
"""


@pytest.fixture(scope="module")
def killed(shared, tmp_path_factory):
    """The same run as `whole`, killed by -9 after one step of the third epoch."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "my.toml").write_text(stubborn().as_toml())
    places = {"songs": str(shared / "songs"), "features": str(shared / "features")}
    program = KILLED.format(recipe=str(folder / "my.toml"), out=str(folder / "run"), **places)
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder / "run"


def test_killed_in_mid_epoch_and_resumed_equals_uninterrupted(whole, killed, fit, tmp_path):
    expected, model, history = whole
    out = Path(shutil.copytree(killed, tmp_path / "moved"))
    assert torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    steps = []
    again, resumed = fit(
        stubborn(), out=out, resume=True, on_step=lambda step, loss: steps.append(step)
    )
    assert steps == [5, 6, 7, 8, 9]
    assert_same(tensors(again), tensors(model), 1e-6)
    assert_same(without_times(resumed), without_times(history), 1e-6)
    for name in ("last.ckpt", "best.ckpt"):
        a, b = (
            torch.load(folder / "checkpoints" / name, weights_only=True)
            for folder in (expected, out)
        )
        for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            assert_same(a[key], b[key], 1e-6)
        for key, state in a["callbacks"].items():
            kept = (
                "best_model_score",
                "best_k_models",
                "best_model_path",
                "wait_count",
                "best_score",
                "stopped_epoch",
            )
            for part in set(kept) & set(state):
                assert_same(state[part], b["callbacks"][key][part], 1e-6)
    assert (
        len({entry["learning_rate"] for entry in history}) > 1
    )  # or the schedule's state was not on trial


def test_a_full_disk_leaves_the_old_checkpoints(killed, shared, tmp_path):
    out = Path(shutil.copytree(killed, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in (out / "checkpoints").iterdir()}
    assert set(before) == {"best.ckpt", "last.ckpt"}
    command = [
        "train",
        str(out / "recipe.toml"),
        "--out",
        str(out),
        "--resume",
        "--validate",
        str(shared / "songs"),
    ]
    command += ["--features", str(shared / "features"), "--device", "cpu"]
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        f"from melodylab import cli; cli.main({command!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    *_, last = done.stderr.splitlines()
    assert (
        last.startswith("melodylab: cannot write")
        and ".ckpt (file too large); free some space" in last
    )
    assert {path.name: path.read_bytes() for path in (out / "checkpoints").iterdir()} == before


def planted(monkeypatch, values):
    """Validations with these figures as best OA, one after the other."""
    values = iter(values)

    def other_thresholds(estimate, truth, thresholds):
        return {"OAs": np.full(len(thresholds), next(values, 0.0)), "AUC": 0.5}

    monkeypatch.setattr(melodies.evaluate, "other_thresholds", other_thresholds)


@pytest.mark.parametrize("interrupted", [False, True])
def test_early_stopping_keeps_the_best_and_counts_on_after_an_interruption(
    fit, monkeypatch, tmp_path, interrupted
):
    plan, out = recipe(steps=40, schedule="constant", patience=2), tmp_path / "run"
    planted(monkeypatch, [0.2, 0.5, 0.4])
    handler = signal.getsignal(signal.SIGINT)

    def stop(step, loss):
        if step == 7:
            raise KeyboardInterrupt

    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            fit(plan, out=out, on_step=stop)
        assert signal.getsignal(signal.SIGINT) is handler
        planted(monkeypatch, [0.3, 0.9])
    else:
        planted(monkeypatch, [0.2, 0.5, 0.4, 0.3, 0.9])
    model, history = fit(plan, out=out, resume=interrupted)
    assert [entry["best_OA"] for entry in history] == [0.2, 0.5, 0.4, 0.3]
    assert weights.card(out)["steps"] == 4
    planted(monkeypatch, [0.2, 0.5])
    expected, _ = fit(recipe(steps=4, schedule="constant"))
    assert_same(tensors(model), tensors(expected))

    steps = []
    planted(monkeypatch, [0.9] * 5)
    again, history = fit(plan, out=out, resume=True, on_step=lambda *step: steps.append(step))
    assert not steps and len(history) == 4
    assert_same(tensors(again), tensors(model))


def test_a_resumed_run_keeps_its_recipe_and_its_songs(whole, fit, tmp_path):
    out = Path(shutil.copytree(whole[0], tmp_path / "run"))
    with pytest.raises(InputError, match="training.steps is 10 now and was 9"):
        fit(recipe(**{**stubborn().as_dict()["training"], "steps": 10}), out=out, resume=True)
    with pytest.raises(InputError, match=r"validated on other songs \(demo\)"):
        fit(stubborn(), out=out, resume=True, validate=None)
    (out / "checkpoints" / "last.ckpt").write_bytes(b"half a checkpoint")
    with pytest.raises(InputError, match="last.ckpt cannot be read"):
        fit(stubborn(), out=out, resume=True)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch, shared):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(recipe(steps=2).as_toml())

    def command(*arguments):
        result = CliRunner().invoke(
            cli.main, ["train", "my.toml", "--device", "cpu", *map(str, arguments)]
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return command


def test_the_command_trains_and_says_where_the_weights_are(command, shared, monkeypatch):
    result = command(
        "--out", "run", "--validate", shared / "songs", "--features", shared / "features"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [
        str(Path("run", f"sf-crnn-1.{ending}")) for ending in ("safetensors", "json")
    ]
    (line,) = result.stderr.splitlines()
    assert line.startswith("melodylab: step 2 of 2: loss ") and "best OA" in line
    assert models.create_model("sf-crnn-1").load_state_dict(weights.load_model("run").state_dict())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "used"], "used is not empty; go on with its training by --resume"),
        (["--out", "new", "--resume"], "new holds no training to resume; leave out --resume"),
        (
            ["--out", "new", "--validate", "nothing"],
            "nothing holds no song; put each song into a folder",
        ),
        (["--out", "new", "--validate", "nowhere"], "nowhere is not a folder"),
        (["--out", "new", "--device", "tpu"], "there is no device 'tpu'; choose cpu, gpu"),
        (["--out", "new", "--device", "gpu:0"], "there is no device 'gpu:0'"),
        (["--out", "new", "--device", "gpu:9999"], "there is no such GPU"),
        (["--out", "used/file"], "used/file"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_nothing(command, tmp_path, arguments, told):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    (tmp_path / "nothing").mkdir()
    result = command(*arguments)
    assert result.exit_code == 2 and told in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists() and (tmp_path / "used" / "file").read_text() == "mine"


def test_a_wrong_key_is_told_before_anything_is_made(command, tmp_path):
    (tmp_path / "my.toml").write_text('[model]\nname = "sf-crnn-1"\n[training]\nstep = 3\n')
    result = command("--out", "run")
    assert (
        result.exit_code == 2
        and "did you mean steps?" in result.stderr
        and not (tmp_path / "run").exists()
    )


def test_without_lightning_a_sentence_names_the_pip_command():
    program = "import sys; sys.modules['lightning'] = None\nfrom melodylab import cli; cli.main(['train', 'a.toml', '--out', 'b'])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.splitlines() == [
        'melodylab: training needs the package lightning; run: pip install "melodylab[lab]"'
    ]


def test_features_come_from_a_dask_cluster(tmp_path, shared):
    import distributed

    plan = Recipe.from_dict(
        recipe(steps=1).as_dict() | {"data": {"songs": 2, "mixes": 1, "seconds": 1, "seed": 5}}
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv(
            "PYTHONPATH", str(ROOT)
        )  # for the workers
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
            )
        )
        address = cluster.scheduler_address
        _, history = training.fit(
            plan,
            features=tmp_path / "features",
            validate=shared / "songs",
            device="cpu",
            dask=address,
        )
        client = stack.enter_context(distributed.Client(address))
        loaded = client.run(lambda: "melodylab.examples" in __import__("sys").modules)
    assert len(history) == 1 and any(loaded.values())
    kept = examples.Examples("sf", plan.data, cache=tmp_path / "features")
    for number in range(2):
        here, there = examples.heard("sf", plan.data, number), kept._read(number, 0)
        np.testing.assert_allclose(there[0], here[0], atol=1e-3)
        np.testing.assert_array_equal(there[1], here[1])


def test_a_dask_cluster_that_does_not_answer_is_a_sentence(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = command("--out", "run", "--dask", "tcp://127.0.0.1:1")
    assert result.exit_code == 2 and "melodylab[cluster]" in result.stderr


@pytest.mark.parametrize("name", weights.names())
def test_the_recipe_on_a_shipped_card_can_be_trained_again(name):
    recipe = weights.card(name)["recipe"]
    assert Recipe.from_dict(recipe).front_end == weights.card(name)["front_end"]
    assert tomllib.loads(Recipe.from_dict(recipe).as_toml())["model"] == recipe["model"]
    if name == "ftanet-thin":  # as the README says
        recipe["model"]["name"] = "ftanet"
        assert (
            sum(p.numel() for p in Recipe.from_dict(recipe).create_model().parameters())
            == 3_386_007
        )


# --- hits -----------------------------------------------------------------------------------------


@pytest.fixture
def drum_recipe(monkeypatch):
    """Four steps of two examples of a second, on three loops of two seconds."""
    monkeypatch.setattr(hits, "_LOOPS_EACH", 1)
    plan = {
        "steps": 4,
        "validate_every": 2,
        "batch_size": 2,
        "frames": 86,
        "average": 0.9,
        "ambience": 0.5,
    }
    ours = {"name": "drum-cnn", "reading": "R5", "bands": 128, "units": 8}
    return {"model": ours, "data": {"loops": 3, "seconds": 2.0}, "training": plan}


def test_a_drum_network_trains_resumes_and_tells_its_scores(drum_recipe, tmp_path):
    plan = Recipe.from_dict(drum_recipe)
    assert plan.data.loops == plan.data.songs == 3 and plan.front_end == "drum-mel"
    options = {"features": tmp_path / "features", "device": "cpu"}
    model, history = training.fit(plan, out=tmp_path / "whole", **options)
    assert [entry["step"] for entry in history] == [2, 4] and history[1]["loss"] < 1
    assert {"F", "threshold", "F_kick", "F_toms"} <= set(history[0]) and "F 0." in training.line(
        history[0], 4
    )
    card = weights.card(tmp_path / "whole")
    assert card["model"] == "drum-cnn" and card["changes"] == {
        "reading": "R5",
        "bands": 128,
        "units": 8,
    }
    assert card["decoding"].keys() == {"threshold"} and card["front_end"] == "drum-mel"
    assert (
        set(card["scores"]["songs"]) == set(card["scores"]["validated_on"])
        and len(card["scores"]["songs"]) == 8
    )
    assert set(card["scores"]["songs"]["held-out 1"]) == {
        "kick",
        "snare",
        "open_hihat",
        "closed_hihat",
        "toms",
    }

    def stop(entry):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(plan, out=tmp_path / "cut", on_validation=stop, **options)
    again, _ = training.fit(plan, out=tmp_path / "cut", resume=True, **options)
    assert_same(tensors(again), tensors(model))
    assert weights.load_model(tmp_path / "cut").reading == "R5"


def test_a_drum_network_validates_on_songs_with_hits(drum_recipe, tmp_path):
    loop = synth.drum_loop(1, 2.0, sr=22050)
    plan = Recipe.from_dict(drum_recipe)
    _, history = training.fit(plan, out=tmp_path, validate=[loop], device="cpu")
    assert history[0]["F"] >= 0
    with pytest.raises(InputError, match="holds no onsets.csv; add the true hits"):
        training.fit(
            plan,
            out=tmp_path / "other",
            validate=[Song.from_array(loop.mono, loop.sr)],
            device="cpu",
        )


def test_a_reading_without_a_profile_is_not_taught(drum_recipe, tmp_path):
    drum_recipe["model"] = {"name": "drum-cnn"}
    with pytest.raises(InputError, match='set reading = "R5" under'):
        training.fit(Recipe.from_dict(drum_recipe), out=tmp_path, device="cpu")

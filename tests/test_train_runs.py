"""Runs: what they write, and how they are killed, starved of disk, stopped early, resumed."""

import csv
import dataclasses
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_kit import ENVIRONMENT, assert_same, recipe, tensors, without_times

from melodylab import models, training, weights
from melodylab.errors import InputError
from melodylab.records import Salience
from melodylab.training import Recipe, melodies, objective, song_batches


@pytest.fixture(scope="module")
def whole(training_folder, tmp_path_factory):
    """An uninterrupted run: (folder, model, history).

    Its rate falls whenever a validation is not better.
    """
    out = tmp_path_factory.mktemp("whole") / "run"
    options = {
        "features": training_folder / "features",
        "validate": training_folder / "songs",
        "device": "cpu",
    }
    return out, *training.fit(stubborn(), out=out, **options)


def stubborn():
    return recipe(steps=9, schedule="plateau", plateau_patience=0, patience=30, weight_decay=0.01)


@pytest.mark.slow
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
    """Three songs, whose sweeps are planted.

    The scores only tell which constant they were decoded with.
    """
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
    # without c both others agree on 3; without a or b all between 3 and 10 is equally good,
    # and 8 is the usual one
    assert [scores["leave_one_out"][name]["unvoiced_gain"] for name in "abc"] == [1.0, 1.0, gain[3]]
    assert (
        scores["RPA"] == scores["leave_one_out"]["mean"]["RPA"] == pytest.approx((2 + gain[3]) / 3)
    )


@pytest.mark.slow
def test_held_out_songs_are_of_the_same_kind_and_not_in_the_bank(training_folder, monkeypatch):
    monkeypatch.setattr(objective, "HELD_OUT_SONGS", 2)
    asked = []
    original = song_batches.Bank.song
    monkeypatch.setattr(
        song_batches.Bank, "song", lambda self, *a: asked.append((self, a)) or original(self, *a)
    )
    plan = recipe(steps=1)
    names = []
    monkeypatch.setattr(
        melodies.Melodies,
        "scores",
        lambda model, songs, *_: names.extend(songs) or ({}, {"unvoiced_gain": 1.0}),
    )
    _, history = training.fit(plan, features=training_folder / "features", device="cpu")
    held_out = {(bank.seed, *rest) for bank, rest in asked if bank.seed != plan.data.seed}
    assert held_out == {(500_000, 0, 0), (500_000, 1, 0)}
    assert all(bank.ingredients == plan.data.ingredients and bank.seconds == 4 for bank, _ in asked)
    assert [name for name, *_ in names] == ["held-out 1", "held-out 2"] and len(history) == 1
    _, features, truth = names[0]
    assert len(truth) == features.values.shape[2] and truth.voiced.any()


# --- interrupted ---

KILLED = """
import os, signal
from melodylab import training

def on_step(step, loss):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

plan = training.Recipe.read({recipe!r})
training.fit(plan, out={out!r}, validate={songs!r}, features={features!r}, device="cpu",
on_step=on_step)
"""


@pytest.fixture(scope="module")
def killed(training_folder, tmp_path_factory):
    """The same run as `whole`, killed by -9 after one step of the third epoch."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "my.toml").write_text(stubborn().as_toml())
    places = {
        "songs": str(training_folder / "songs"),
        "features": str(training_folder / "features"),
    }
    program = KILLED.format(recipe=str(folder / "my.toml"), out=str(folder / "run"), **places)
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder / "run"


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_checkpoints(killed, training_folder, tmp_path):
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
        str(training_folder / "songs"),
    ]
    command += ["--features", str(training_folder / "features"), "--device", "cpu"]
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

    def other_thresholds(estimate, reference, thresholds):
        return {"OAs": np.full(len(thresholds), next(values, 0.0)), "AUC": 0.5}

    monkeypatch.setattr(melodies.evaluate, "other_thresholds", other_thresholds)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_resumed_run_keeps_its_recipe_and_its_songs(whole, fit, tmp_path):
    out = Path(shutil.copytree(whole[0], tmp_path / "run"))
    with pytest.raises(InputError, match="training.steps is 10 now and was 9"):
        fit(recipe(**{**stubborn().as_dict()["training"], "steps": 10}), out=out, resume=True)
    with pytest.raises(InputError, match=r"validated on other songs \(demo\)"):
        fit(stubborn(), out=out, resume=True, validate=None)
    (out / "checkpoints" / "last.ckpt").write_bytes(b"half a checkpoint")
    with pytest.raises(InputError, match="last.ckpt cannot be read"):
        fit(stubborn(), out=out, resume=True)

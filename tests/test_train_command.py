"""The command `melodylab train`, with and without what it needs."""

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from training_kit import ENVIRONMENT, ROOT, recipe

from melodylab import cli, models, training, weights
from melodylab.training import (
    Recipe,
    shipped,
    song_batches,
)
from melodylab.training.song_batches import SongBatches


@pytest.fixture
def command(tmp_path, monkeypatch, training_folder):
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


@pytest.mark.slow
def test_the_command_trains_and_says_where_the_weights_are(command, training_folder, monkeypatch):
    result = command(
        "--out",
        "run",
        "--validate",
        training_folder / "songs",
        "--features",
        training_folder / "features",
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


@pytest.mark.slow
def test_without_lightning_a_sentence_names_the_pip_command():
    program = (
        "import sys; sys.modules['lightning'] = None\n"
        "from melodylab import cli; cli.main(['train', 'sf-crnn-1', '--out', 'b'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.splitlines() == [
        "melodylab: training needs the package lightning; run: pip install lightning (or, in a "
        'clone of melodylab, what else belongs to it, too: pip install ".[lab]")'
    ]


@pytest.mark.slow
def test_features_come_from_a_dask_cluster(tmp_path, training_folder):
    distributed = pytest.importorskip("distributed", reason="the extra slow")
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
            validate=training_folder / "songs",
            device="cpu",
            dask=address,
        )
        client = stack.enter_context(distributed.Client(address))
        loaded = client.run(lambda: "melodylab.training.song_batches" in __import__("sys").modules)
    assert len(history) == 1 and any(loaded.values())
    kept = SongBatches("sf", plan.data, cache=tmp_path / "features")
    for number in range(2):
        here, there = (
            song_batches.features_of("sf", plan.data, number),
            kept.store._read((number, 0)),
        )
        np.testing.assert_allclose(there[0], here[0], atol=1e-3)
        np.testing.assert_array_equal(there[1], here[1])


def test_a_dask_cluster_that_does_not_answer_is_a_sentence(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = command("--out", "run", "--dask", "tcp://127.0.0.1:1")
    assert result.exit_code == 2 and 'pip install ".[cluster]"' in result.stderr


CORE = """
import sys
for name in ("lightning", "pydantic", "tomli_w", "captum", "distributed"):
    sys.modules[name] = None
import inspect, pydoc
import melodylab as ml
assert "training" in dict(inspect.getmembers(ml)) and "melodylab" in pydoc.render_doc(ml)
exec("from melodylab import *")
import melodylab.training as training
plan = training.Recipe("sf-crnn-1")
for call in (lambda: training.fit(plan), lambda: training.Recipe.read("sf-crnn-1")):
    try:
        call()
    except ml.InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_core_install_imports_everything_and_says_what_a_call_needs():
    done = subprocess.run(
        [sys.executable, "-c", CORE], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("training needs the package lightning; run: pip install lightning")
    assert second.startswith("reading a recipe needs the package pydantic; run: pip install")


def test_the_command_lists_the_recipes_that_come(command):
    result = command("--list")
    assert result.exit_code == 0 and result.stdout.splitlines() == [
        shipped.headline(name) for name in shipped.names()
    ]


def test_a_stage_says_what_it_goes_on_from(tmp_path):
    result = CliRunner().invoke(cli.main, ["train", "harmonic-crnn", "--out", str(tmp_path / "x")])
    assert result.exit_code == 2 and "--start-from FOLDER" in result.stderr
    assert "melodylab train harmonic-crnn.3 --out" in result.stderr
    assert not (tmp_path / "x").exists()

"""`melodylab doctor`."""

import json
import sys

import pytest

from melodylab import cli, weights
from melodylab.cli import doctor


def test_doctor_finds_nothing_wrong_here(run):
    result = run("doctor")
    assert result.exit_code == 0, result.output
    for name in (
        "torch",
        "numpy",
        "librosa",
        "libsndfile",
        "jupyterlab_widgets",
        "widgetsnbextension",
        "notebooks in",
    ):
        assert any(name in line and line[0] in "✓+" for line in result.stdout.splitlines()), name


def test_doctor_sees_widgets_that_do_not_match(run, monkeypatch):
    version = doctor._version
    monkeypatch.setattr(
        cli.doctor,
        "_version",
        lambda name: "1.2.3" if name == "jupyterlab_widgets" else version(name),
    )
    result = run("doctor")
    (line,) = [line for line in result.stdout.splitlines() if line[0] in "✗!"]
    assert result.exit_code == 1 and "jupyterlab_widgets is 1.2.3" in line and "pip install" in line


def test_doctor_sees_a_broken_library_and_goes_on(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    result = run("doctor")
    assert (
        result.exit_code == 1
        and "pretty_midi cannot be imported" in result.stdout
        and "joblib" in result.stdout
    )


@pytest.mark.slow
def test_doctor_verifies_the_weights(run, random_weights):
    card = json.loads((random_weights / "sf-cnn.json").read_text())
    (random_weights / "sf-cnn.json").write_text(
        json.dumps(card | {"scores": {"OA": 0.61234, "RPA": None}})
    )
    lines = run("doctor").stdout.splitlines()
    about = [line for line in lines if "present and verified" in line]
    assert len(about) == len(list(random_weights.glob("*.safetensors"))) and {
        line[0] for line in about
    } <= set("✓+")
    assert [line[2:] for line in about if "sf-cnn" in line] == [
        "weights of sf-cnn present and verified: 1.0 MB, OA 0.612"
    ]
    (random_weights / "sf-cnn.safetensors").write_bytes(b"broken")
    (random_weights / "sf-crnn-2.json").unlink()
    result = run("doctor")
    wrong = [line for line in result.stdout.splitlines() if line[0] in "✗!"]
    assert result.exit_code == 1 and len(wrong) == 2, wrong
    assert "sf-cnn.safetensors is damaged" in wrong[0] and "sf-crnn-2.json is missing" in wrong[1]
    assert all(line.endswith("; install melodylab again") for line in wrong)


def test_doctor_says_that_there_are_no_weights(run, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    result = run("doctor")
    assert result.exit_code == 0 and "- no trained weights in this copy; " in result.stdout


def test_doctor_can_do_without_ffmpeg(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    result = run("doctor")
    assert result.exit_code == 0 and "- ffmpeg is not installed" in result.stdout

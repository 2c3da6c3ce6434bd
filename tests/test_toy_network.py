"""A new network is a model file, its weights and a test: a toy of 20 lines works like any
method.
"""

import importlib
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import melodylab as ml
from melodylab import cli, evaluate, explain, methods, models, weights
from melodylab.course import panels
from melodylab.io import audio
from melodylab.records import Melody, Song

FILE = '''"""A toy: the loudest row of a constant-Q transform, if it is loud."""

import torch
from torch import nn

from melodylab.dsp.grids import PitchGrid
from melodylab.models.base import Declared, Network


class Toy(Network):
    input_shape, grid, context_frames = (1, 301), PitchGrid(55.0, 60, 301), 1

    def __init__(self):
        super().__init__()
        self.blur = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        y = self.blur(x).squeeze(1)  # (batch, 301, time)
        return torch.cat([torch.zeros_like(y[:, :1]), y], dim=1)  # (batch, 302, time)


NETWORKS = (Declared("toy", Toy, "cqt", "the loudest row, if it is loud", "Nobody", 2026),)
'''
SR = 22050


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The file in a folder that joins `melodylab.models`, and weights that were saved: no more."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "toy.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path / "models")])
    importlib.invalidate_caches()
    known = set(models.NETWORKS)
    for name, declared in models.gather().items():
        if name not in known:
            monkeypatch.setitem(models.NETWORKS, name, declared)
    model = ml.create_model("toy")
    with torch.no_grad():
        model.blur.weight.zero_()[0, 0, 1, 1] = 60.0
        model.blur.bias.fill_(-45.0)  # a row 20 dB below the loudest is not loud
    told = dict.fromkeys(weights.TOLD) | {"front_end": "cqt", "decoding": {}}
    weights.save(model, told, tmp_path / "weights", "toy")
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    yield model
    monkeypatch.delitem(sys.modules, "melodylab.models.toy")
    monkeypatch.delattr(models, "toy")


@pytest.fixture(scope="module")
def song():
    """Silence, 440 Hz with three overtones, silence; the truth with it."""
    t_s = np.arange(2 * SR) / SR
    sung = (t_s >= 0.5) & (t_s < 1.5)
    y = 0.2 * sung * sum(np.sin(2 * np.pi * h * 440 * t_s) / h**2 for h in range(1, 5))
    times_s = np.arange(200) / 100
    truth = Melody(times_s, np.full(200, 440.0), (times_s >= 0.5) & (times_s < 1.5))
    return Song(y[None].astype(np.float32), SR, "tone", {}, truth, None)


def test_the_toy_has_twenty_lines():
    assert sum(bool(line.strip()) for line in FILE.splitlines()) <= 20


def test_it_finds_the_melody(toy, song):
    found = ml.extract_melody(song, "toy")
    scores = ml.score_melody(estimate=found, reference=song.melody)
    assert scores["RPA"] > 0.95 and scores["OA"] > 0.9
    assert not found.voiced[:20].any() and not found.voiced[-20:].any(), "silence"


def test_it_is_listed_and_told_apart(toy):
    method = methods.of_task("melody")["toy"]
    assert (method.line, method.source, method.by) == (
        "the loudest row, if it is loud",
        "Nobody 2026",
        "network",
    )
    assert method.range_hz == pytest.approx((69.3, 1397.0)) and "toy" in ml.METHODS
    assert methods.find("toy", "melody") == method
    assert methods.find("sfnmf+toy", "separation").leader == method
    with pytest.raises(ml.InputError, match="no method 'toi'; did you mean toy"):
        methods.find("toi", "melody")
    with pytest.raises(ml.InputError, match="toy takes no song apart, it finds the melody"):
        methods.find("toy", "separation")


def test_it_is_evaluated(toy, song, tmp_path):
    folder = tmp_path / "songs" / "tone"
    folder.mkdir(parents=True)
    audio.write(folder / "mix.wav", song.audio, song.sr)
    song.melody.to_csv(folder / "melody.csv")
    table = evaluate.evaluate_folder(folder.parent, "melody", ["toy"])
    assert table.failures == () and table.mean("toy")["OA"] > 0.9
    done = CliRunner().invoke(cli.main, ["evaluate", str(folder.parent), "--method", "toy"])
    assert done.exit_code == 0 and "toy" in done.output


def test_the_commands_know_it(toy, song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audio.write("tone.wav", song.audio, song.sr)
    listed = CliRunner().invoke(cli.main, ["methods"]).output
    assert "toy" in listed and "the loudest row, if it is loud" in listed
    done = CliRunner().invoke(cli.main, ["melody", "tone.wav", "--method", "toy", "--out", "a.csv"])
    assert done.exit_code == 0 and Melody.from_csv("a.csv").voiced.mean() == pytest.approx(
        0.5, abs=0.05
    )


def test_the_tours_panel_shows_it(toy, song):
    choices = {"toy": (ml.salience(song, "toy"), ml.extract_melody(song, "toy"))}
    panel = panels.threshold_panel(choices, song.melody)
    panel.set(method="toy", threshold=0.5)
    assert "toy, voiced from 0.50: OA 0.9" in " ".join(panel.picture.alt.split())


def test_its_layers_can_be_looked_at(toy, song):
    heard = models.inputs.FRONT_ENDS["cqt"](song)
    assert list(explain.tap_names(toy)) == ["blur"]
    with explain.taps(toy, "blur") as seen, torch.no_grad():
        toy(torch.from_numpy(heard.values.copy())[None])
    assert seen["blur"].shape == (1, 1, 301, heard.values.shape[2])
    picture = explain.activations(toy, heard, "blur")["blur"]
    np.testing.assert_allclose(picture.values, 60 * heard.values - 45, atol=1e-3)
    assert np.array_equal(picture.freqs_hz, heard.freqs_hz)

"""`melodylab evaluate`."""

import sys
from pathlib import Path

import numpy as np
import pytest
from command_tools import tone

from melodylab import api, weights
from melodylab.records import Melody


@pytest.fixture
def songs(run):
    """Two songs whose true melody is planted, a third whose melody is missing."""
    for name, f0_hz in (("one", 220.0), ("two", 330.0), ("three", 440.0)):
        tone(f"songs/{name}/mix.wav", f0_hz=f0_hz)
    for name, f0_hz in (("one", 220.0), ("two", 165.0)):
        Melody(np.arange(101) * 0.01, np.full(101, f0_hz), np.ones(101)).to_csv(
            f"songs/{name}/melody2.csv"
        )
    return Path("songs")


def test_evaluate_prints_the_table_and_names_what_failed(run, quick, songs, monkeypatch):
    def extract_melody(song, method):
        return Melody(
            np.arange(101) * 0.01,
            np.full(101, 220.0 if song.name == "one" else 330.0),
            np.ones(101),
        )

    monkeypatch.setattr(api, "extract_melody", extract_melody)
    result = run("evaluate", "songs", "--task", "melody", "--method", "sfnmf", "--out", "table.csv")
    assert result.exit_code == 2 and "three" in result.stderr and "three" not in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0][:3] == ["song", "method", "OA"]
    assert [row[:4] for row in rows[1:]] == [  # "two" is found an octave too high
        ["one", "sfnmf", "1.000", "1.000"],
        ["two", "sfnmf", "0.000", "0.000"],
        ["mean", "sfnmf", "0.500", "0.500"],
    ]
    assert Path("table.csv").read_text().startswith("song,method,OA,")


def test_evaluate_takes_several_methods_either_way(run, quick, songs):
    (songs / "three" / "mix.wav").unlink()
    tables = [
        run("evaluate", "songs", "--method", "pyin", "--method", "sfnmf"),
        run("evaluate", "songs", "--task", "melody", "--method", "pyin", "sfnmf"),
    ]
    assert tables[0].exit_code == tables[1].exit_code == 0
    assert sorted(tables[0].stdout.split()) == sorted(tables[1].stdout.split())
    assert tables[0].stdout.count("mean") == 2


def test_evaluate_refuses_in_a_sentence(run, quick, songs):
    for arguments in (
        "nowhere",
        "songs --method magic",
        "songs --task drums --method pyin",
        "songs --out songs/one/mix.wav/t.csv",
    ):
        result = run("evaluate", *arguments.split())
        assert result.exit_code == 2 and result.stdout == "", arguments


def test_dask_missing_is_a_sentence(run, songs, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run("evaluate", "songs", "--dask", "tcp://127.0.0.1:1")
    assert (
        result.exit_code == 2
        and 'pip install ".[cluster]"' in result.stderr
        and len(result.stderr.splitlines()) == 1
    )


def test_best_says_which_network_it_is(run, random_weights, songs):
    for name, out in (("best", "a.csv"), (weights.BEST, "b.csv")):
        result = run("melody", tone("a.wav"), "--method", name, "--out", out)
        assert result.exit_code == 0 and result.stderr == (
            "melodylab: best is harmonic-crnn\n" if name == "best" else ""
        )
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    table = run("evaluate", str(songs), "--method", "best").stdout
    assert "harmonic-crnn" in table and "best" not in table


def test_a_table_is_overwritten_on_demand_only(run, quick, songs):
    (songs / "three" / "mix.wav").unlink()
    Path("table.csv").write_text("mine")
    result = run("evaluate", "songs", "--method", "pyin", "--out", "table.csv")
    assert result.exit_code == 2 and "--force" in result.stderr and result.stdout == ""
    assert Path("table.csv").read_text() == "mine"
    assert (
        run("evaluate", "songs", "--method", "pyin", "--out", "table.csv", "--force").exit_code == 0
    )
    assert "mine" not in Path("table.csv").read_text()

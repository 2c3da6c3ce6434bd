"""The commands: what they write and where, what they say, how they end. Methods are replaced by quick ones where only the
plumbing is on trial; test_bad_input.py sends difficult files through the real ones."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from melodylab import api, cli, weights
from melodylab.cli import doctor
from melodylab.errors import InputError
from melodylab.io import audio as sound
from melodylab.records import DrumOnsets, DrumParts, Melody

SR = 22050
ROOT = Path(cli.__file__).resolve().parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
}  # for commands run in their own process, from any folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `melodylab ...` in an empty folder; whatever happens, it must end with a status and not with an exception."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return run


@pytest.fixture
def quick(monkeypatch):
    """Methods that need no time: a melody of 220 Hz, and half of the song for each stem."""

    def extract_melody(song, method="sfnmf"):
        return Melody(
            np.arange(3) * 0.01, np.array([220.0, 220.0, np.nan]), np.array([1.0, 0.0, 0.0])
        )

    monkeypatch.setattr(api, "extract_melody", extract_melody)
    halves = ("melody", "accompaniment")
    monkeypatch.setattr(
        api, "separate", lambda song, method="sfnmf": dict.fromkeys(halves, song.audio / 2)
    )
    onsets = DrumOnsets([0.01, 0.02], ("kick", "snare"), [1.0, 0.5])

    def separate_drums(song, method="drum-cnn"):
        stems = dict.fromkeys(api.DRUM_CLASSES, song.audio / 5)
        return DrumParts(
            stems,
            onsets,
            np.zeros((2, 1)),
            np.zeros((1, 3)),
            np.arange(2.0),
            np.arange(3.0),
            ("kick",),
        )

    monkeypatch.setattr(api, "separate_drums", separate_drums)


def tone(path, seconds=1.0, sr=SR, f0_hz=220.0, channels=1):
    """A WAV file with ten harmonics of one pitch, 35 cents of vibrato on it (what never moves is no voice to the method)."""
    t = np.arange(round(seconds * sr)) / sr
    phase = 2 * np.pi * f0_hz * (t + 0.02 / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * t))
    y = sum(np.sin(h * phase) / h for h in range(1, 11)) * 0.1
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.stack([y] * channels, axis=1), sr, subtype="FLOAT")
    return path


def found(folder):
    """All files below a folder, hidden ones too, as sorted relative names."""
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


# --- the program ----------------------------------------------------------------------------------


def test_help_and_version_load_nothing_heavy():
    program = "import sys, melodylab.cli as c\ntry: c.main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0 and {"lab", "melody", "separate", "evaluate", "doctor"} <= set(
        done.stdout.split()
    )
    assert not {"numpy", "torch", "librosa", "matplotlib", "IPython", "nbformat"} & set(
        done.stderr.split()
    )


def test_version(run):
    from melodylab import __version__

    assert run("--version").output.split()[-1] == __version__


def test_an_unknown_method_lists_the_choices(run):
    for command, choices in (("melody", api.METHODS), ("separate", api.SEPARATION_METHODS)):
        result = run(command, tone("a.wav"), "--method", "magic")
        assert result.exit_code == 2 and all(name in result.stderr for name in ("magic", *choices))
        assert found(".") == ["a.wav"]


def test_a_closed_pipe_is_no_traceback(tmp_path):
    command = [sys.executable, "-m", "melodylab.cli", "lab", "notebooks", "--copy-only"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, **pipes)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait()


# --- melody ---------------------------------------------------------------------------------------


def test_melody_writes_every_frame_with_signs(run):
    tone("a.wav", f0_hz=330.0)
    result = run("melody", "a.wav")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n" and result.stderr == ""
    header, *rows = Path("a.melody.csv").read_text().splitlines()
    times_s, f0_hz = np.array([[float(x) for x in row.split(",")] for row in rows]).T
    assert header == "# time_s,f0_hz"
    assert len(times_s) == 1 + SR // 256 and np.allclose(np.diff(times_s), 256 / SR, atol=2e-6)
    inner = f0_hz[10:-10]
    assert (
        np.mean(np.abs(1200 * np.log2(np.abs(inner) / 330)) < 50) > 0.95
        and np.mean(inner > 0) > 0.5
    )


def test_signs_in_the_csv(run, quick):
    tone("a.wav")
    run("melody", "a.wav")
    assert (
        Path("a.melody.csv").read_text()
        == "# time_s,f0_hz\n0.000000,220.000\n0.010000,-220.000\n0.020000,0.000\n"
    )


@pytest.mark.parametrize(
    "inputs, options, outputs",
    [
        (["a.wav"], [], ["a.melody.csv"]),
        (["x/a.wav", "b.wav"], [], ["a.melody.csv", "b.melody.csv"]),
        (["a.wav"], ["--out", "new/line.csv"], ["new/line.csv"]),
        (["a.wav"], ["--out", "line.txt", "--midi"], ["line.txt", "line.mid"]),
        (["a.wav"], ["--out", "new"], ["new/a.csv"]),
        (["a.wav"], ["--out", "new.v1/"], ["new.v1/a.csv"]),
        (
            ["a.wav", "b.wav"],
            ["--out", "new.v1", "--midi"],
            [f"new.v1/{n}" for n in ("a.csv", "a.mid", "b.csv", "b.mid")],
        ),
        (
            ["a.wav", "x/a.wav", "a-2.wav", "y/A.wav"],
            ["--out", "o"],
            [f"o/{n}.csv" for n in ("a", "a-3", "a-2", "A-4")],
        ),
        (["a.wav", "a.wav"], ["--out", "o/"], ["o/a.csv"]),
    ],
)
def test_where_melodies_go(run, quick, inputs, options, outputs):
    for name in inputs:
        tone(name, 0.1)
    result = run("melody", *inputs, *options)
    assert result.exit_code == 0 and sorted(result.stdout.split()) == sorted(outputs)
    assert found(".") == sorted({*inputs, *outputs})


def test_an_existing_folder_with_an_ending_is_a_folder(run, quick, tmp_path):
    (tmp_path / "v1.0").mkdir()
    run("melody", tone("a.wav"), "--out", "v1.0")
    assert found("v1.0") == ["a.csv"]


def test_midi_holds_the_notes(run):
    import pretty_midi

    assert run("melody", tone("a.wav", 2, f0_hz=440.0), "--midi").exit_code == 0
    notes = pretty_midi.PrettyMIDI("a.melody.mid").instruments[0].notes
    assert notes and {note.pitch for note in notes} == {69}


def test_melody_by_a_network(run, random_weights):
    result = run("melody", tone("a.wav"), "--method", "cqt-crnn-1")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n" and result.stderr == ""
    assert len(Path("a.melody.csv").read_text().splitlines()) == 2 + SR // 256


def test_best_says_which_network_it_is(run, random_weights, songs):
    for name, out in (("best", "a.csv"), (weights.BEST, "b.csv")):
        result = run("melody", tone("a.wav"), "--method", name, "--out", out)
        assert result.exit_code == 0 and result.stderr == (
            "best: harmonic-crnn\n" if name == "best" else ""
        )
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    table = run("evaluate", str(songs), "--method", "best").stdout
    assert "harmonic-crnn" in table and "best" not in table


@pytest.mark.parametrize("command", ["melody a.wav b.wav", "evaluate songs"])
def test_a_network_without_good_weights_is_one_sentence_for_all_songs(run, random_weights, command):
    for name in ("a.wav", "b.wav", "songs/one/mix.wav"):
        tone(name, 0.1)
    before = found(".")
    (random_weights / "sf-cnn.json").unlink()
    (random_weights / "sf-cnn.safetensors").unlink()
    (random_weights / "sf-crnn-1.safetensors").write_bytes(b"broken")
    for name, sentence in (
        ("sf-cnn", "no trained weights for sf-cnn; train it with"),
        ("sf-crnn-1", "sf-crnn-1.safetensors is damaged"),
    ):
        result = run(*command.split(), "--method", name)
        assert result.exit_code == 2 and result.stdout == "" and found(".") == before
        (line,) = result.stderr.splitlines()
        assert line.startswith("melodylab: ") and sentence in line and ";" in line


# --- separate -------------------------------------------------------------------------------------


def test_stems_add_up_to_the_input_at_its_rate_and_channels(run, rng):
    y = (rng.standard_normal((44100, 2)) * 0.1).astype(np.float32)
    sf.write("a.wav", y, 44100, subtype="FLOAT")
    result = run("separate", "a.wav", "--out", "stems")
    assert result.exit_code == 0 and result.stdout.split() == [
        "stems/melody.wav",
        "stems/accompaniment.wav",
    ]
    parts = [sf.read(f"stems/{name}.wav", always_2d=True) for name in ("melody", "accompaniment")]
    assert all(sr == 44100 and part.shape == y.shape for part, sr in parts)
    assert sf.info("stems/melody.wav").subtype == "FLOAT"
    np.testing.assert_allclose(parts[0][0] + parts[1][0], y, atol=1e-6)


@pytest.mark.parametrize(
    "inputs, options, folders",
    [
        (["a.wav"], [], ["a-stems"]),
        (["x/a.wav"], ["--out", "o"], ["o"]),
        (["a.wav", "b.wav"], [], ["a-stems", "b-stems"]),
        (["a.wav", "x/a.wav"], ["--out", "o"], ["o/a", "o/a-2"]),
    ],
)
def test_where_stems_go(run, quick, inputs, options, folders):
    for name in inputs:
        tone(name, 0.1)
    assert run("separate", *inputs, *options).exit_code == 0
    outputs = [f"{folder}/{name}.wav" for folder in folders for name in ("melody", "accompaniment")]
    assert found(".") == sorted([*inputs, *outputs])


def test_both_stems_or_none(run, quick, monkeypatch):
    write, calls = sound.write, []

    def full_disk(path, audio, sr):
        calls.append(path)
        if len(calls) == 2:
            raise InputError(f"cannot write {path} (no space left); free some space")
        write(path, audio, sr)

    monkeypatch.setattr(sound, "write", full_disk)
    result = run("separate", tone("a.wav"), "--out", "o")
    assert result.exit_code == 2 and len(calls) == 2 and found(".") == ["a.wav"]


# --- drums ----------------------------------------------------------------------------------------

DRUMS = [
    "closed_hihat.wav",
    "drums.mid",
    "kick.wav",
    "onsets.csv",
    "open_hihat.wav",
    "snare.wav",
    "toms.wav",
]


@pytest.mark.parametrize(
    "inputs, options, folders",
    [
        (["a.wav"], [], ["a-drums"]),
        (["x/a.wav"], ["--out", "o"], ["o"]),
        (["a.wav", "x/a.wav"], ["--out", "o"], ["o/a", "o/a-2"]),
    ],
)
def test_where_drums_go(run, quick, inputs, options, folders):
    for name in inputs:
        tone(name, 0.1)
    assert run("drums", *inputs, *options).exit_code == 0
    assert found(".") == sorted(
        [*inputs, *(f"{folder}/{name}" for folder in folders for name in DRUMS)]
    )
    rows = (Path(folders[0]) / "onsets.csv").read_text().splitlines()
    assert rows == ["time_s,class,velocity", "0.010000,kick,1.0000", "0.020000,snare,0.5000"]


def test_drums_of_a_loop_add_up(run):
    loop = api.synth.drum_loop(3, 2.0)
    sound.write("loop.wav", loop.audio, loop.sr)
    result = run("drums", "loop.wav", "--out", "o")
    assert result.exit_code == 0 and len(result.stdout.split()) == 7 and result.stderr == ""
    parts = [sound.read(f"o/{name}.wav") for name in api.DRUM_CLASSES]
    assert np.abs(sum(part.astype(float) for part, _ in parts) - loop.audio).max() < 1e-6 and {
        sr for _, sr in parts
    } == {loop.sr}


def test_all_of_the_drums_or_nothing(run, quick, monkeypatch):
    def full_disk(path, onsets):
        raise InputError(f"cannot write {path} (no space left); free some space")

    monkeypatch.setattr(DrumOnsets, "to_midi", lambda self, path: full_disk(path, self))
    result = run("drums", tone("a.wav"), "--out", "o")
    assert result.exit_code == 2 and "free some space" in result.stderr and found(".") == ["a.wav"]


def test_drums_refuse_what_is_bad_and_go_on(run, quick):
    Path("bad.wav").write_text("no sound at all")
    result = run("drums", "bad.wav", tone("b.wav"), "--out", "o")
    assert (
        result.exit_code == 2
        and len(result.stderr.splitlines()) == 1
        and "bad.wav" in result.stderr
    )
    assert found("o") == sorted(f"b/{name}" for name in DRUMS)
    tone("kick.wav")
    result = run("drums", "kick.wav", "--out", ".")
    assert result.exit_code == 2 and "is an input" in result.stderr
    result = run("drums", "kick.wav", "--method", "sfnmf")
    assert result.exit_code == 2 and "'sfnmf' is not one of drum-cnn" in result.stderr


# --- mistakes -------------------------------------------------------------------------------------


def test_an_input_is_never_overwritten(run, quick):
    before = tone("song/melody.wav").read_bytes()
    os.link("song/melody.wav", "accompaniment.wav")
    for arguments in (
        ["separate", "song/melody.wav", "--out", "song"],
        ["separate", "song/melody.wav", "--out", "."],  # the same file under another name
        ["melody", "song/melody.wav", "--out", "song/../song/melody.wav"],
    ):
        result = run(*arguments)
        assert (
            result.exit_code == 2
            and "is an input" in result.stderr
            and len(result.stderr.splitlines()) == 1
        )
        assert Path("song/melody.wav").read_bytes() == before
    assert found(".") == ["accompaniment.wav", "song/melody.wav"]


def test_a_target_that_is_another_input_is_refused_for_that_one_only(run, quick):
    before = tone("o/b.csv.wav").rename("o/a.csv").read_bytes()  # sound behind a wrong name
    result = run("melody", tone("a.wav"), tone("c.wav"), "o/a.csv", "--out", "o")
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert (
        Path("o/a.csv").read_bytes() == before
        and "o/c.csv" in found(".")
        and "o/a-2.csv" in found(".")
    )


def test_a_result_may_be_made_again(run, quick):
    tone("a.wav")
    Path("a.melody.csv").write_text("old")
    assert run("melody", "a.wav").exit_code == 0 and "220" in Path("a.melody.csv").read_text()


def test_one_bad_input_does_not_stop_the_rest(run, quick):
    Path("bad.wav").write_text("no sound at all")
    result = run("melody", tone("a.wav"), "bad.wav", "gone.wav", tone("b.wav"))
    assert result.exit_code == 2 and result.stdout.split() == ["a.melody.csv", "b.melody.csv"]
    lines = result.stderr.splitlines()
    assert len(lines) == 2 and all(line.startswith("melodylab: ") for line in lines)
    assert "bad.wav" in lines[0] and "gone.wav" in lines[1]


@pytest.mark.parametrize("fault", [RuntimeError("broken\nin two lines"), MemoryError()])
def test_a_fault_of_ours_costs_one_file(run, quick, monkeypatch, fault):
    extract = api.extract_melody

    def extract_melody(song, method):
        if song.name == "a":
            raise fault
        return extract(song)

    monkeypatch.setattr(api, "extract_melody", extract_melody)
    result = run("melody", tone("a.wav"), tone("b.wav"))
    assert result.exit_code == 2 and found(".") == ["a.wav", "b.melody.csv", "b.wav"]
    assert len(result.stderr.splitlines()) == 1 and "a.wav" in result.stderr


def test_warnings_are_one_line_each(run, quick):
    sf.write("a.wav", np.array([0.0, np.nan, np.inf, 0.1] * 1000), SR, subtype="FLOAT")
    result = run("melody", "a.wav")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n"
    assert result.stderr.startswith("melodylab: warning: ") and len(result.stderr.splitlines()) == 1


def test_ctrl_c_is_one_line(run, quick, monkeypatch):
    def interrupted(song, method):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "extract_melody", interrupted)
    result = run("melody", tone("a.wav"), tone("b.wav"))
    assert (
        result.exit_code == 130
        and len(result.stderr.splitlines()) == 1
        and found(".") == ["a.wav", "b.wav"]
    )


def test_names_the_terminal_cannot_show_do_not_stop_the_work(tmp_path):
    tone(tmp_path / "歌.wav", 0.1)
    environment = {
        **ENVIRONMENT,
        "PYTHONIOENCODING": "cp1252",
        "PYTHONUTF8": "1",
    }  # as Windows writes into pipes
    command = [sys.executable, "-m", "melodylab.cli", "melody", "歌.wav"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert (
        done.returncode == 0
        and done.stderr == b""
        and found(tmp_path) == ["歌.melody.csv", "歌.wav"]
    )


# --- evaluate -------------------------------------------------------------------------------------


@pytest.fixture
def songs(run):
    """Two songs whose true melody is planted, a third whose melody is missing."""
    for name, f0_hz in (("one", 220.0), ("two", 330.0), ("three", 440.0)):
        tone(f"songs/{name}/mix.wav", f0_hz=f0_hz)
    for name, f0_hz in (("one", 220.0), ("two", 165.0)):
        Melody(np.arange(3) * 0.01, np.full(3, f0_hz), np.ones(3)).to_csv(
            f"songs/{name}/melody2.csv"
        )
    return Path("songs")


def test_evaluate_prints_the_table_and_names_what_failed(run, quick, songs, monkeypatch):
    def extract_melody(song, method):
        return Melody(
            np.arange(3) * 0.01, np.full(3, 220.0 if song.name == "one" else 330.0), np.ones(3)
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


# --- lab ------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of two notebooks and a solution in place of the shipped ones."""
    folder = tmp_path / "shipped"
    for name in ("00_tour", "01_next", "solutions/01_next"):
        notebook(folder / f"{name}.ipynb", name)
    monkeypatch.setattr(cli.lab, "notebooks_folder", lambda: folder)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return folder


def notebook(path, source, outputs=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": [source],
        "execution_count": None,
    }
    cell["outputs"] = list(outputs)
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )


def copies(folder):
    """The notebooks in a folder; its hidden record is no notebook."""
    return [name for name in found(folder) if name.endswith(".ipynb")]


def test_lab_copies_what_is_missing_and_signs_it(run, shipped):
    import nbformat
    from nbformat.sign import NotebookNotary

    result = run("lab", "--copy-only")
    assert result.exit_code == 0 and copies("melodylab-notebooks") == [
        "00_tour.ipynb",
        "01_next.ipynb",
    ]
    copy = Path("melodylab-notebooks/00_tour.ipynb")
    assert NotebookNotary().check_signature(nbformat.read(copy, as_version=4))
    assert copy.read_bytes() == (shipped / "00_tour.ipynb").read_bytes()
    copy.unlink()
    again = run("lab", "--copy-only")
    assert again.stdout.split() == [str(copy)] and len(copies("melodylab-notebooks")) == 2


def test_lab_never_overwrites(run, shipped):
    mine = Path("here/00_tour.ipynb")
    notebook(mine, "00_tour", [{"output_type": "stream", "name": "stdout", "text": "run"}])
    kept = mine.read_bytes()
    run("lab", "here", "--copy-only")
    assert copies("here") == ["00_tour.ipynb", "01_next.ipynb"], (
        "a copy that was only run is no edited copy"
    )
    notebook(mine, "my own answer")
    run("lab", "here", "--copy-only")
    assert copies("here") == ["00_tour.ipynb", "01_next.ipynb"], (
        "an edited copy of this very edition needs no second one"
    )
    notebook(shipped / "00_tour.ipynb", "a newer tour")
    for _ in range(2):
        assert run("lab", "here", "--copy-only").exit_code == 0
        assert copies("here") == ["00_tour.ipynb", "00_tour.new.ipynb", "01_next.ipynb"]
    notebook(shipped / "00_tour.ipynb", "the newest tour")
    run("lab", "here", "--copy-only")
    assert copies("here") == [
        "00_tour.ipynb",
        "00_tour.new.ipynb",
        "00_tour.new2.ipynb",
        "01_next.ipynb",
    ]
    assert kept != mine.read_bytes() and "my own answer" in mine.read_text()
    assert "the newest tour" in Path("here/00_tour.new2.ipynb").read_text()


def test_lab_gives_today_s_notebook_where_it_knows_nothing_of_the_copy(run, shipped):
    notebook(Path("here/00_tour.ipynb"), "from somewhere else")
    Path("here/.melodylab.json").write_text("[not a record")
    run("lab", "here", "--copy-only")
    assert copies("here") == ["00_tour.ipynb", "00_tour.new.ipynb", "01_next.ipynb"]


def test_lab_leaves_what_is_no_notebook_alone(run, shipped):
    Path("here").mkdir()
    Path("here/01_next.ipynb").write_bytes(b"\xff half a file")
    run("lab", "here", "--copy-only")
    assert (
        Path("here/01_next.ipynb").read_bytes() == b"\xff half a file"
        and Path("here/01_next.new.ipynb").exists()
    )


def test_lab_options(run, shipped):
    run("lab", "here", "--copy-only", "--solutions")
    assert copies("here") == ["00_tour.ipynb", "01_next.ipynb", "solutions/01_next.ipynb"]
    run("lab", "lesson/", "--copy-only", "--dated")
    dated = [path.name for path in Path().glob("lesson-*")]
    assert len(dated) == 1 and len(dated[0]) == len("lesson-2026-01-31")


def test_lab_where_a_file_is_in_the_way(run, shipped):
    Path("here").write_text("")
    for folder in ("here", "here/below"):
        result = run("lab", folder, "--copy-only")
        assert (
            result.exit_code == 2
            and len(result.stderr.splitlines()) == 1
            and "here" in result.stderr
        )


def test_lab_without_jupyterlab_says_what_to_install(run, shipped, monkeypatch):
    find_spec = cli.lab.importlib.util.find_spec
    monkeypatch.setattr(
        cli.lab.importlib.util,
        "find_spec",
        lambda name: None if name == "jupyterlab" else find_spec(name),
    )
    monkeypatch.setattr(cli.lab.subprocess, "Popen", None)
    result = run("lab", "here")
    assert (
        result.exit_code == 2
        and 'pip install ".[lab]"' in result.stderr
        and len(result.stderr.splitlines()) == 1
    )


@pytest.mark.parametrize("options, program", [([], "jupyterlab"), (["--app"], "voila")])
def test_lab_opens_the_tour_with_the_same_python(run, shipped, monkeypatch, options, program):
    started = []

    class Server:
        def __init__(self, command, cwd):
            started.append((command[:4], Path(cwd)))

        def wait(self):
            if len(started) == 1:  # a Ctrl-C is the server's to answer
                started.append(None)
                raise KeyboardInterrupt
            return 0

    monkeypatch.setattr(cli.lab.subprocess, "Popen", Server)
    assert run("lab", "here", *options).exit_code == 0
    assert started == [([sys.executable, "-m", program, "00_tour.ipynb"], Path("here")), None]


def running_server(folder):
    """What a Jupyter server notes about itself, as soon as it is whole and the door is open; else None."""
    for note in folder.glob("jpserver-*.json"):
        with contextlib.suppress(ValueError), socket.socket() as door:
            server = json.loads(note.read_text())
            if door.connect_ex(("127.0.0.1", server["port"])) == 0:
                return server


def test_lab_really_opens_jupyterlab(tmp_path):
    # "true" is the browser here; the server writes its address into the runtime folder
    folders = {
        f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("DATA", "RUNTIME", "CONFIG")
    }
    environment = {**ENVIRONMENT, **folders, "BROWSER": "true"}
    command = [sys.executable, "-m", "melodylab.cli", "lab", "here"]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            deadline, server = time.monotonic() + 120, None
            while server is None:
                assert process.poll() is None and time.monotonic() < deadline, (
                    tmp_path / "log"
                ).read_text()
                time.sleep(0.1)
                server = running_server(tmp_path / "RUNTIME")
            address = f"http://127.0.0.1:{server['port']}/api/contents/00_tour.ipynb?token={server['token']}"
            with urllib.request.urlopen(address) as answer:
                assert json.load(answer)["type"] == "notebook"
            os.kill(server["pid"], signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "log").read_text()


# --- doctor ---------------------------------------------------------------------------------------


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

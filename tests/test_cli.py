"""The commands: what they say, how they end.

Methods are replaced by quick ones where only the plumbing is on trial; test_bad_input.py sends
difficult files through the real ones.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from command_tools import ENVIRONMENT, SR, found, tone

from melodylab import api, methods

# --- the program ----------------------------------------------------------------------------------


def test_help_and_version_load_nothing_heavy():
    program = (
        "import sys, melodylab.cli as c\ntry: c.main(['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
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
    for command, choices in (("melody", methods.METHODS), ("separate", methods.SEPARATION_METHODS)):
        result = run(command, tone("a.wav"), "--method", "magic")
        assert result.exit_code == 2 and all(name in result.stderr for name in ("magic", *choices))
        assert found(".") == ["a.wav"]


@pytest.mark.parametrize(
    "line, meant",
    [
        ("melod a.wav", "did you mean melody?"),
        ("melody a.wav --methd x", "--method"),
        ("melody a.wav --method sfmnf", "did you mean sfnmf?"),
        ("separate a.wav --method unet+bst", "did you mean best?"),
        ("evaluate songs --method sf-crn-1", "did you mean sf-crnn-1?"),
        ("drums a.wav --method drumcnn", "did you mean drum-cnn?"),
    ],
)
def test_what_is_nearly_right_is_offered(run, line, meant):
    result = run(*line.split())
    assert result.exit_code == 2 and meant in result.stderr and result.stdout == ""


def test_methods_are_listed_with_task_line_range_and_paper(run):
    lines = run("methods").stdout.splitlines()
    assert [line for line in lines if line[0] != " "] == ["melody", "separation", "drums"]
    for task in ("melody", "separation", "drums"):
        shown = run("methods", "--task", task).stdout
        for name, method in methods.of_task(task).items():
            (line,) = [
                line for line in shown.splitlines() if line.split()[0] == name and line != task
            ]
            assert method.line in line and method.source in line
            if method.range_hz:
                assert f"{method.range_hz[0]:.0f}-{method.range_hz[1]:.0f} Hz" in line
    for command, task in (("melody", "melody"), ("separate", "separation"), ("drums", "drums")):
        told = run(command, "--help").stdout
        assert all(f"  {name} " in told for name in methods.of_task(task)), command


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(tmp_path):
    command = [sys.executable, "-m", "melodylab.cli", "lab", "notebooks", "--copy-only"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, **pipes)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait()


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

    def extract_melody(song, method, **options):
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
    def interrupted(song, method, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "extract_melody", interrupted)
    result = run("melody", tone("a.wav"), tone("b.wav"))
    assert (
        result.exit_code == 130
        and len(result.stderr.splitlines()) == 1
        and found(".") == ["a.wav", "b.wav"]
    )


@pytest.mark.slow
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

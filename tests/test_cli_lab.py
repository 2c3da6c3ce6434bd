"""`melodylab lab`: copies of the notebooks, JupyterLab."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from command_tools import ENVIRONMENT, found

from melodylab import cli


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
            self.options = command[4:]

        def wait(self):
            if len(started) == 1:  # a Ctrl-C is the server's to answer
                started.append(self.options)
                raise KeyboardInterrupt
            return 0

    monkeypatch.setattr(cli.lab.subprocess, "Popen", Server)
    assert run("lab", "here", *options, "--no-browser", "--port", "9001").exit_code == 0
    assert started[0] == ([sys.executable, "-m", program, "00_tour.ipynb"], Path("here"))
    assert "--no-browser" in started[1] and any("port=9001" in one for one in started[1])


def free_port():
    """A port that nobody uses at the moment."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def running_server(folder):
    """What a Jupyter server notes about itself, as soon as its door is open; else None."""
    for note in folder.glob("jpserver-*.json"):
        with contextlib.suppress(ValueError), socket.socket() as door:
            server = json.loads(note.read_text())
            if door.connect_ex(("127.0.0.1", server["port"])) == 0:
                return server


@pytest.mark.slow
def test_lab_really_opens_jupyterlab(tmp_path):
    # "true" is the browser here; the server writes its address into the runtime folder
    folders = {
        f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("DATA", "RUNTIME", "CONFIG")
    }
    environment = {**ENVIRONMENT, **folders, "BROWSER": "true"}
    command = [sys.executable, "-m", "melodylab.cli", "lab", "here", "--port", str(free_port())]
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
            address = f"http://127.0.0.1:{server['port']}/api/contents/00_tour.ipynb"
            address += f"?token={server['token']}"
            with urllib.request.urlopen(address) as answer:
                assert json.load(answer)["type"] == "notebook"
            assert str(server["port"]) == command[-1]
            process.send_signal(signal.SIGTERM)  # the command hands it on and ends with the server
            process.wait(60)
            with socket.socket() as door:
                assert door.connect_ex(("127.0.0.1", server["port"])) != 0
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "log").read_text()

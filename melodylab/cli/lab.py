"""The command `melodylab lab`: copies of the notebooks, JupyterLab."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click

from melodylab import files
from melodylab.cli.app import _say, main
from melodylab.errors import InputError, missing_package

# --- lab ------------------------------------------------------------------------------------------

TOUR = "00_tour.ipynb"


@main.command()
@click.argument("folder", default="melodylab-notebooks")
@click.option(
    "--solutions",
    is_flag=True,
    help="Copy the notebooks with solutions, too, into FOLDER/solutions.",
)
@click.option(
    "--dated",
    is_flag=True,
    help="Add today's date to the folder's name: a fresh copy for each lesson.",
)
@click.option("--copy-only", is_flag=True, help="Copy and stop.")
@click.option("--app", is_flag=True, help="Open the tour as a page without code (Voila).")
@click.option("--no-browser", is_flag=True, help="Start the server and print its address.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the server.")
def lab(folder, solutions, dated, copy_only, app, no_browser, port):
    """Copy the notebooks into FOLDER (default melodylab-notebooks) and open JupyterLab on the tour.

    Copies what is missing and overwrites nothing: where you edited your copy, a newer edition
    comes beside it as NN_name.new.ipynb.
    """
    program = "voila" if app else "jupyterlab"
    if not copy_only and importlib.util.find_spec(program) is None:
        raise missing_package("this command", program, "lab")
    shipped = notebooks_folder()
    if dated:
        folder = f"{folder.rstrip('/' + os.sep)}-{datetime.date.today().isoformat()}"
    folder = files.make_folder(folder)
    for part in [".", "solutions"] if solutions else ["."]:
        for notebook in sorted((shipped / part).glob("*.ipynb")):
            copy = _copy_beside(notebook, folder / part)
            if copy is not None:
                _say(click.format_filename(copy))
    if not copy_only:
        _open(program, folder, _server_options(program, no_browser, port))


def notebooks_folder() -> Path:
    """Path of the notebooks: in an installed package, or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_notebooks", package.parent / "notebooks"):
        if (folder / TOUR).is_file():
            return folder
    raise InputError(
        "the notebooks did not come with this copy of melodylab; install it again from its "
        "repository"
    )


def _copy_beside(notebook, folder):
    """Copy under the first free name of NN_name, NN_name.new...: its path, None where it is there.

    A hidden record remembers which edition a folder has had, so that a copy that was edited brings
    no second one of the same.
    """
    record = folder / ".melodylab.json"
    had = _read_record(record)
    edition = hashlib.sha256(repr(_cells(notebook)).encode()).hexdigest()
    known = had.get(notebook.name) == edition
    for ending in ["", ".new", *(f".new{n}" for n in range(2, 1000))]:
        target = folder / f"{notebook.stem}{ending}.ipynb"
        if not target.exists():
            with files.complete_or_absent(target) as temporary:
                shutil.copyfile(notebook, temporary)
            _sign(target)
            break
        if known or _cells(target) == _cells(notebook):  # run or not, it is the same notebook
            target = None
            break
    if not known:
        with files.complete_or_absent(record) as temporary:
            temporary.write_text(json.dumps(had | {notebook.name: edition}, indent=1))
    return target


def _read_record(path):
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _cells(path):
    """What a notebook says, outputs left out; None for a file that is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sign(path):
    """Tell Jupyter that this copy is ours, so that its players show before the first run."""
    try:
        import nbformat
        from nbformat.sign import NotebookNotary
    except ImportError:  # copying works without the lab extra
        return
    with contextlib.suppress(OSError):  # no home to keep signatures in
        NotebookNotary().sign(nbformat.read(path, as_version=4))


def _server_options(program, no_browser, port):
    options = ["--no-browser"] if no_browser else []
    if program == "jupyterlab":
        # so that the address it prints leads to the tour as well, where no browser can be opened
        options.append(f"--LabApp.default_url=/lab/tree/{TOUR}")
        # containers and some class machines have no user but root; the server still asks for its
        # token
        if getattr(os, "geteuid", lambda: 1)() == 0:
            options.append("--allow-root")
        return options + ([f"--ServerApp.port={port}"] if port else [])
    return options + ([f"--port={port}"] if port else [])


def _open(program, folder, options):
    server = subprocess.Popen([sys.executable, "-m", program, TOUR, *options], cwd=folder)

    def pass_on(number, frame):  # else the server would outlive us
        server.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        while True:
            try:
                status = server.wait()
                break
            except KeyboardInterrupt:  # reached the server, too, which asks whether to stop
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
    if status:
        raise InputError(
            f"{program} ended with status {status}; its own message stands above, "
            "melodylab doctor may help"
        )

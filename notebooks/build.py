#!/usr/bin/env python
"""Rebuild and execute the notebooks, one way: the scripts are the source, the rest is made of them.

    python notebooks/build.py                all of them
    python notebooks/build.py 00_tour        only these
    python notebooks/build.py --check        writes nothing; tells what is not as its script says

    scripts/NN_name.py        the source (jupytext percent format), exercises and solutions in one
    solutions/NN_name.ipynb   all cells, no outputs; jupytext's pair of the script by the folders in
                              pyproject.toml, so that a copy elsewhere is nobody's pair
    NN_name.ipynb             for students: cells tagged "solution" left out, executed from a cold
                              kernel, outputs kept

An exercise is a code cell tagged "exercise": an answer left as `...` and the line that checks it,
which then only prints a friendly word. A cell tagged "solution" follows it directly and answers and
checks again. So both versions run from top to bottom. Prose that belongs to a solution is a
Markdown cell tagged "solution" after that.

What is stored does not depend on when or how often it was built: ids come from names and places,
and timings, versions and widget states are left out. Of a panel its picture is stored.
"""

import argparse
import copy
import html
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}
MAX_BYTES, MAX_BYTES_TOGETHER = 1_600_000, 16_000_000
CELL_TIMEOUT_S = 300
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ASLEEP = re.compile(r"<p>([^<]*)</p></div>$")
_FOR_THE_EAR = "position:absolute; width:1px; height:1px; overflow:hidden"
_UNWANTED = {  # what no stored output may hold
    "a path of this machine": re.compile(
        r"/(?:home|root|work|Users|tmp|usr/lib|opt)/|[A-Z]:\\\\|site-packages"
    ),
    "a warning": re.compile(r"\bWarning\b"),
    "an address in memory": re.compile(r"\bat 0x[0-9a-f]{4,}"),
    "colour codes of a terminal": re.compile("\x1b\\["),
}


class BuildError(Exception):
    """Something in a notebook is not as it should be; the message names the notebook and, where
    known, the cell.
    """


class Run(NamedTuple):
    """An executed notebook, the seconds it took from a cold kernel, and the kernel's peak memory
    in MB (NaN if unknown).
    """

    notebook: nbformat.NotebookNode
    seconds: float
    peak_mb: float


def names():
    """The notebooks' names, such as "00_tour", in order."""
    return sorted(path.stem for path in (FOLDER / "scripts").glob("[0-9][0-9]_*.py"))


def solutions_path(name):
    return FOLDER / "solutions" / f"{name}.ipynb"


def student_path(name):
    return FOLDER / f"{name}.ipynb"


# --- from a script to two notebooks ---------------------------------------------------------------


def solutions_notebook(name, folder=FOLDER):
    """All cells of the script, without outputs. Raises BuildError where exercises and solutions do
    not pair up.
    """
    text = (folder / "scripts" / f"{name}.py").read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    if notebook.metadata.get("kernelspec") != KERNEL:
        raise BuildError(f"{name}: the script's header must name the kernel {KERNEL}")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    before = set()
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{name.replace('_', '-')}-{index:02d}"
        tags = set(cell.metadata.get("tags", ()))
        cell.metadata = nbformat.from_dict({"tags": sorted(tags)} if tags else {})
        if unknown := tags - {"exercise", "solution", "setup", "nbval-check-output"}:
            raise BuildError(
                f"{name}, cell {index}: what does the tag {', '.join(sorted(unknown))} mean?"
            )
        answers = cell.cell_type == "code" and "solution" in tags
        if answers != ("exercise" in before) and (answers or not before & {"solution"}):
            raise BuildError(
                f"{name}, cell {index}: a solution must follow its exercise, and every "
                f"exercise has one"
            )
        before = tags
    if "exercise" in before:
        raise BuildError(f"{name}: the last exercise has no solution")
    nbformat.validate(notebook)
    return notebook


def student_notebook(name, folder=FOLDER):
    """The same without the cells tagged "solution"; what stays keeps its id. Not executed."""
    notebook = solutions_notebook(name, folder)
    notebook.cells = [
        cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", ())
    ]
    return notebook


def without_outputs(notebook):
    """A copy as it was before it ran."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


# --- execute --------------------------------------------------------------------------------------

_PEAK = r"""
import pathlib as _pathlib, re as _re
# not getrusage: that one includes what the parent process once held
_status = _pathlib.Path("/proc/self/status")
print(_re.search(r"VmHWM:\s*(\d+)", _status.read_text())[1] if _status.exists() else "nan")
"""


def execute(notebook, name="notebook", timeout_s=CELL_TIMEOUT_S):
    """Run a copy from a cold kernel, in an empty folder, against this checkout: Run. A failing
    cell raises BuildError.
    """
    notebook = without_outputs(notebook)
    probe = copy.deepcopy(notebook)
    probe.cells.append(nbformat.v4.new_code_cell(_PEAK))
    environment = {
        k: v
        for k, v in os.environ.items()
        if k not in ("MPLBACKEND", "LIBROSA_DATA_DIR", "PYTHONWARNINGS")
    }
    environment["OMP_NUM_THREADS"] = (
        "1"  # sums in another order differ in the last digit, and a picture with them
    )
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            probe,
            timeout=timeout_s,
            startup_timeout=120,
            kernel_name=KERNEL["name"],
            resources={"metadata": {"path": empty}},
            store_widget_state=False,
            record_timing=False,
            coalesce_streams=True,
        )
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            raise BuildError(f"{name}: a cell failed.\n{error}") from None
    seconds = time.perf_counter() - began
    peak_mb = float(probe.cells.pop().outputs[0].text) / 1024
    for before, after in zip(notebook.cells, probe.cells, strict=True):
        if before.cell_type == "code":
            before.execution_count = after.execution_count
            before.outputs = [stored for output in after.outputs for stored in _stored(output)]
    return Run(notebook, seconds, peak_mb)


def _stored(output):
    """What may be kept of an output: [outputs].

    Of a live widget nothing. Of a panel its picture as PNG, which every reader shows, and below it
    the line that tells how to wake it, with the picture's alt text for the ear.
    """
    data = output.get("data", {})
    if _WIDGET in data:
        return []
    if "melodylab-still" not in data.get("text/html", ""):
        return [output]
    alt = html.escape(output.metadata["image/png"]["alt"])
    page = f'<p style="{_FOR_THE_EAR}">{alt}</p><p>{_ASLEEP.search(data["text/html"])[1]}</p>'
    del data["text/html"]
    return [output, nbformat.v4.new_output("display_data", {"text/html": page})]


def faults(notebook):
    """What an executed notebook stores that it should not: one sentence each."""
    found = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            found.append(f"cell {number} was not executed")
        for output in cell.outputs:
            kinds = set(output.get("data", ()))
            text = output.get("text", "") + "".join(
                str(output.data[k]) for k in kinds if k.startswith("text/")
            )
            text = re.sub(r"base64,[\w+/=]+", "", text)
            if output.output_type == "error":
                found.append(f"cell {number} holds a traceback")
            if output.get("name") == "stderr":
                found.append(f"cell {number} writes to standard error: {text.strip()[:300]}")
            if others := kinds - {
                "image/png",
                "text/html",
                "text/plain",
                "text/latex",
                "text/markdown",
            }:
                found.append(f"cell {number} holds {', '.join(sorted(others))}")
            seen = {words: rule.search(text) for words, rule in _UNWANTED.items()}
            found += [
                f"cell {number} holds {words}: {match[0]!r}"
                for words, match in seen.items()
                if match
            ]
    if {"widgets"} & set(notebook.metadata):
        found.append("the notebook holds the state of widgets")
    return found


# --- write and compare ----------------------------------------------------------------------------


def text_of(notebook):
    """The file's text: always the same for the same notebook."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def differences(name):
    """What in the two committed notebooks is not what the script says; outputs do not count. One
    sentence each.
    """
    found = []
    for path, wanted in (
        (solutions_path(name), solutions_notebook(name)),
        (student_path(name), student_notebook(name)),
    ):
        where = path.relative_to(FOLDER).as_posix()
        if not path.exists():
            found.append(f"{where} is missing")
            continue
        stored = nbformat.read(path, as_version=4)
        if path == solutions_path(name) and text_of(stored) != text_of(without_outputs(stored)):
            found.append(f"{where} holds outputs")
        if text_of(without_outputs(stored)) != text_of(wanted):
            pairs = zip(stored.cells, wanted.cells, strict=False)
            place = next(
                (i for i, (a, b) in enumerate(pairs) if _says(a) != _says(b)),
                "the end, or outside of cells",
            )
            found.append(f"{where} is not what its script says (first difference: cell {place})")
    return found


def _says(cell):
    return {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}


def build(name):
    """Write both notebooks of a script, the student's executed; prints what it took. Raises
    BuildError.
    """
    solutions, run = solutions_notebook(name), execute(student_notebook(name), name)
    if found := faults(run.notebook):
        raise BuildError("\n".join(f"{name}: {fault}" for fault in found))
    text = text_of(run.notebook)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise BuildError(
            f"{name}: {size / 1000:.0f} KB, allowed are {MAX_BYTES // 1000}; shorten players, "
            f"shrink pictures"
        )
    solutions_path(name).parent.mkdir(exist_ok=True)
    solutions_path(name).write_text(text_of(solutions), encoding="utf-8")
    student_path(name).write_text(text, encoding="utf-8")
    print(f"{name}: {run.seconds:.0f} s, {run.peak_mb:.0f} MB, {size / 1000:.0f} KB", flush=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 00_tour; without names all"
    )
    parser.add_argument(
        "--check", action="store_true", help="execute and write nothing, compare only"
    )
    options = parser.parse_args(arguments)
    chosen = [Path(name).stem for name in options.names] or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"there is no scripts/{sorted(unknown)[0]}.py")
    try:
        found = []
        for name in chosen:
            if options.check:
                found += differences(name)
            else:
                build(name)
        if found:
            raise BuildError("\n".join(found) + "\nrun: python notebooks/build.py")
        together = sum(
            student_path(name).stat().st_size for name in names() if student_path(name).exists()
        )
        if together > MAX_BYTES_TOGETHER:
            raise BuildError(
                f"all notebooks hold {together / 1e6:.1f} MB, allowed are "
                f"{MAX_BYTES_TOGETHER / 1e6:.0f}"
            )
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""The notebooks are what their scripts say, keep to their budgets, hold no solutions, and would
fail if a cell did.
"""

import ast
import base64
import html
import importlib.util
import os
import re
import shutil
import subprocess
import symtable
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from melodylab.course.panel import ASLEEP

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
_spec = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

NAMES = build.names()
COPIES = [f"{folder}{name}" for name in NAMES for folder in ("", "solutions/")]
INSTALL = """\
import sys

if "google.colab" in sys.modules:  # Colab starts without it; everywhere else this cell does nothing
    import subprocess

    package = "melodylab[lab] @ git+ADDRESS"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)"""


def stored(copy):
    return nbformat.read(NOTEBOOKS / f"{copy}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks_and_every_script_has_its_two():
    assert NAMES[:3] == ["00_tour", "01_representations", "02_source_filter_nmf"]
    for folder in (NOTEBOOKS, NOTEBOOKS / "solutions"):
        assert sorted(path.stem for path in folder.glob("*.ipynb")) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_notebooks_are_what_the_script_says(name):
    assert build.differences(name) == []


@pytest.mark.parametrize("copy", COPIES)
def test_a_notebook_is_valid_named_and_free_of_noise(copy):
    notebook = stored(copy)
    nbformat.validate(notebook)
    assert notebook.metadata == {"kernelspec": build.KERNEL, "language_info": build.LANGUAGE}
    assert build.KERNEL["name"] == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"\d\d-[a-z-]+-\d\d", i) for i in ids)
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


@pytest.mark.parametrize("copy", COPIES)
def test_no_cell_may_hide_a_failure(copy):
    for cell in stored(copy).cells:
        tags = set(cell.metadata.get("tags", ()))
        assert not tags - {"exercise", "solution", "setup", "nbval-check-output"}
        if cell.cell_type == "code":
            assert not re.search(
                r"nbval-|NBVAL_|PYTEST_VALIDATE|%%capture|filterwarnings|simplefilter", cell.source
            )
            tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE))
            bare = [
                node
                for node in ast.walk(tree)
                if isinstance(node, ast.ExceptHandler) and node.type is None
            ]
            assert not bare


@pytest.mark.parametrize("name", NAMES)
def test_the_student_version_holds_no_solution_and_its_exercises_wait(name):
    student, solutions = stored(name), stored(f"solutions/{name}")
    tagged = [cell for cell in solutions.cells if "solution" in cell.metadata.get("tags", ())]
    exercises = [cell for cell in code(student) if "exercise" in cell.metadata.get("tags", ())]
    assert len(exercises) == 3 == sum(cell.cell_type == "code" for cell in tagged)
    text = "\n".join(cell.source for cell in student.cells)
    shared = "\n".join(cell.source for cell in solutions.cells if cell not in tagged).splitlines()
    for cell in tagged:
        own = [
            line
            for line in cell.source.splitlines()
            if len(line.strip()) > 12 and line not in shared
        ]
        assert own and not [line for line in own if line in text.splitlines()]
    for cell in exercises:
        assert "..." in cell.source and "checks." in cell.source
        said = "".join(output.get("text", "") for output in cell.outputs)
        assert said.startswith("Your turn: "), cell.id
    assert "solution" not in {
        tag for cell in student.cells for tag in cell.metadata.get("tags", ())
    }


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_stored_without_outputs(name):
    assert all(
        cell.outputs == [] and cell.execution_count is None
        for cell in code(stored(f"solutions/{name}"))
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_student_version_was_run_from_top_to_bottom_and_holds_nothing_unwanted(name):
    notebook = stored(name)
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    assert build.faults(notebook) == []


@pytest.mark.parametrize("name", NAMES)
def test_pictures_speak_and_players_play(name):
    outputs = [output for cell in code(stored(name)) for output in cell.outputs if "data" in output]
    pictures = [output for output in outputs if "image/png" in output.data]
    pages = "".join(output.data.get("text/html", "") for output in outputs)
    players = re.findall(
        r'<audio controls aria-label="([^"]+)" src="data:audio/mpeg;base64,([^"]+)">', pages
    )
    assert pictures and players
    for picture in pictures:
        assert base64.b64decode(picture.data["image/png"]).startswith(b"\x89PNG")
        assert len(picture.metadata["image/png"]["alt"]) > 20
    assert len(players) == pages.count("<audio")
    for _, data in players:
        assert len(base64.b64decode(data)) > 1000
    # nothing but what is inside the file: no page, script or style from elsewhere
    assert not re.search(r"<script|<iframe|(?:src|href)=[\"'](?!data:)", pages)


def test_sizes():
    sizes = {name: build.student_path(name).stat().st_size for name in NAMES}
    assert max(sizes.values()) <= 1_600_000 and sum(sizes.values()) <= 16_000_000, sizes
    assert max(build.solutions_path(name).stat().st_size for name in NAMES) <= 60_000


@pytest.mark.parametrize("copy", COPIES)
def test_the_first_code_cell_installs_on_colab_and_only_there(copy):
    address = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["repository-code"]
    first, *others = code(stored(copy))
    assert first.source == INSTALL.replace("ADDRESS", address)
    assert not any(re.search(r"\bpip\b", cell.source) for cell in others)


def top_level(source):
    """({names that a cell binds}, {names that it takes from other cells})."""
    top = symtable.symtable(source, "cell", "exec")
    binds = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    takes, tables = set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        known = [s for s in table.get_symbols() if table is top or s.is_global()]
        takes |= {s.get_name() for s in known if s.is_referenced()}
    return binds, takes - binds


def rebound(sources):
    """(cell, name) that runs on another thing the second time: bound before the cell and after."""
    cells = [top_level(source) for source in sources]
    for n, (_, takes) in enumerate(cells):
        for name in sorted(takes):
            if all(any(name in binds for binds, _ in part) for part in (cells[:n], cells[n + 1 :])):
                yield n, name


@pytest.mark.parametrize("copy", COPIES)
def test_a_cell_can_be_run_again_later(copy):
    sources = [
        re.sub(r"^(\s*)[%!].*$", r"\1pass", c.source, flags=re.M) for c in code(stored(copy))
    ]
    assert list(rebound(sources)) == []
    planted = ["a = b = 1", "def f():\n    return a + b", "b = 2", "[a for a in (f(), 3)]"]
    assert list(rebound(planted)) == [(1, "b")]


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_is_stored_as_its_picture_and_says_how_to_wake_it(name):
    notebook = stored(name)
    told = [
        (cell, n)
        for cell in code(notebook)
        for n, output in enumerate(cell.outputs)
        if ASLEEP in output.get("data", {}).get("text/html", "")
    ]
    assert told
    for cell, n in told:
        picture = cell.outputs[n - 1]
        assert base64.b64decode(picture.data["image/png"]).startswith(b"\x89PNG")
        alt = picture.metadata["image/png"]["alt"]
        assert html.escape(alt) in cell.outputs[n].data["text/html"] and len(alt) > 40
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    bare = [o for o in outputs if set(o.get("data", ())) == {"text/plain"}]
    assert not any(o.data["text/plain"].startswith("Panel(") for o in bare)


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_has_all_its_parts(name):
    cells = stored(name).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert prose.startswith("# ") and "## Exercises" in prose and "## Sources" in prose
    assert re.search(r"limits", prose, re.IGNORECASE)
    assert (
        sum(
            bool(re.search(r"^assert |^    assert ", cell.source, re.MULTILINE))
            for cell in code(stored(name))
        )
        >= 3
    )
    assert 1000 <= len(prose.split()) <= 3000


# --- pairs of jupytext ----------------------------------------------------------------------------


def test_solutions_are_the_scripts_pair_and_student_copies_are_nobodys():
    from jupytext.config import load_jupytext_config

    formats = load_jupytext_config(str(NOTEBOOKS)).default_formats
    pair = "notebooks/solutions///ipynb,notebooks/scripts///py:percent"
    assert formats(str(NOTEBOOKS / "scripts" / "00_tour.py")) == pair
    assert formats(str(NOTEBOOKS / "solutions" / "00_tour.ipynb")) == pair
    assert formats(str(NOTEBOOKS / "00_tour.ipynb")) is None
    assert not any("jupytext" in stored(copy).metadata for copy in COPIES)


@pytest.mark.slow
def test_a_save_in_jupyterlab_leaves_a_clean_tree_clean(tmp_path):
    """Whichever of a pair is newer, jupytext writes the other one as it is."""
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks", ignore=shutil.ignore_patterns("*_*.ipynb"))
    shutil.copytree(NOTEBOOKS / "solutions", tmp_path / "notebooks/solutions", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    scripts = sorted((tmp_path / "notebooks" / "scripts").glob("*.py"))
    before = {path: path.read_bytes() for path in scripts}
    for name in NAMES:
        os.utime(tmp_path / "notebooks" / "solutions" / f"{name}.ipynb")
    pairs = sorted((tmp_path / "notebooks" / "solutions").glob("*.ipynb"))
    command = [sys.executable, "-m", "jupytext", "--sync", *pairs]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert len(scripts) == len(pairs) == len(NAMES)
    assert [path.name for path in scripts if path.read_bytes() != before[path]] == []


# --- execution ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failing_notebook_fails_under_the_projects_settings(tmp_path):
    """nbval, as pyproject.toml switches it on, sees a failing cell and an error in a callback."""
    cells = ["value = 1", "assert value == 2, 'planted'", "import ipywidgets\nbox = "
                                                          "ipywidgets.IntSlider()",
             "box.observe(lambda _: 1 / 0, 'value')\nbox.value = 3"]  # fmt: skip
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells]
    )
    notebook.metadata.kernelspec = build.KERNEL
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "pyproject.toml",
    ]
    command += ["--rootdir", tmp_path, tmp_path / "planted.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "planted" in done.stdout and "ZeroDivisionError" in done.stdout


@pytest.mark.slow
def test_pytest_collects_every_cell_of_every_notebook():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "notebooks",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    for copy in COPIES:
        assert (
            sum(line.startswith(f"notebooks/{copy}.ipynb::") for line in listed)
            == len(code(stored(copy)))
            > 0
        )

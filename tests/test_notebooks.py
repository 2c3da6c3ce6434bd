"""The notebooks are what their scripts say, keep to their budgets, hold no solutions, and would fail if a cell did."""

import ast
import base64
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

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

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+ADDRESS"], check=True)"""


def stored(copy):
    return nbformat.read(NOTEBOOKS / f"{copy}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks_and_every_script_has_its_two():
    assert NAMES[:3] == ["00_tour", "01_representations", "02_source_filter_nmf"]
    for folder in (NOTEBOOKS, NOTEBOOKS / "solutions"):
        assert sorted(path.stem for path in folder.glob("*.ipynb")) == NAMES


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
    assert max(sizes.values()) <= 500_000 and sum(sizes.values()) <= 5_000_000, sizes
    assert max(build.solutions_path(name).stat().st_size for name in NAMES) <= 60_000


@pytest.mark.parametrize("copy", COPIES)
def test_the_first_code_cell_installs_on_colab_and_only_there(copy):
    address = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["repository-code"]
    first, *others = code(stored(copy))
    assert first.source == INSTALL.replace("ADDRESS", address)
    assert not any(re.search(r"\bpip\b", cell.source) for cell in others)


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


# --- what build.py would catch --------------------------------------------------------------------

HEADER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---
"""
EXERCISE = '# %% tags=["exercise"]\nanswer = ...\n\n# %% tags=["solution"]\nanswer = 42\n\n'


@pytest.fixture
def script(tmp_path):
    """Write a script 99_x; returns the folder."""
    (tmp_path / "scripts").mkdir()

    def write(text, header=HEADER):
        (tmp_path / "scripts" / "99_x.py").write_text(header + text, encoding="utf-8")
        return tmp_path

    return write


def test_a_script_becomes_two_notebooks(script):
    folder = script("# %% [markdown]\n# # Title\n\n" + EXERCISE + "# %%\nprint(answer)\n")
    solutions, student = (
        build.solutions_notebook("99_x", folder),
        build.student_notebook("99_x", folder),
    )
    assert [cell.source for cell in solutions.cells] == [
        "# Title",
        "answer = ...",
        "answer = 42",
        "print(answer)",
    ]
    assert [cell.id for cell in student.cells] == ["99-x-00", "99-x-01", "99-x-03"]
    assert build.execute(solutions).notebook.cells[-1].outputs[0].text == "42\n"
    run = build.execute(student)
    assert run.notebook.cells[-1].outputs[0].text == "Ellipsis\n" and 10 < run.peak_mb < 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('# %% tags=["solution"]\nanswer = 42\n', "must follow its exercise"),
        ('# %% tags=["exercise"]\nanswer = ...\n\n# %%\n1\n', "every exercise has one"),
        ('# %% tags=["exercise"]\nanswer = ...\n', "has no solution"),
        (
            '# %% tags=["exercise"]\na = ...\n\n# %% [markdown] tags=["solution"]\n# ah\n',
            "every exercise has one",
        ),
        ('# %% tags=["nbval-skip"]\n1\n', "nbval-skip"),
    ],
)
def test_exercises_without_solutions_and_strange_tags_are_refused(script, text, says):
    with pytest.raises(build.BuildError, match=says):
        build.solutions_notebook("99_x", script(text))


def test_a_kernel_of_somebodys_machine_is_refused(script):
    with pytest.raises(build.BuildError, match="kernel"):
        build.solutions_notebook(
            "99_x", script("# %%\n1\n", HEADER.replace("name: python3", "name: my-conda"))
        )


def test_a_failing_cell_stops_the_build_and_is_shown(script):
    with pytest.raises(build.BuildError, match=r"(?s)99_x: a cell failed.*value = 1 / 0"):
        build.execute(build.student_notebook("99_x", script("# %%\nvalue = 1 / 0\n")), "99_x")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import sys; print('late', file=sys.stderr)", "standard error"),
        ("import warnings; warnings.warn('old')", "standard error"),
        ("print('/ho' + 'me/somebody/x.py')", "a path"),
        ("object()", "an address in memory"),
        (
            "from IPython.display import SVG; SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>')",
            "image/svg",
        ),
        ("print(chr(27) + '[31mred')", "colour codes"),
    ],
)
def test_outputs_that_nobody_wants_are_found(script, source, says):
    run = build.execute(build.student_notebook("99_x", script(f"# %%\n{source}\n")))
    assert any(says in fault for fault in build.faults(run.notebook))


def test_a_live_widget_is_not_stored(script):
    run = build.execute(
        build.student_notebook("99_x", script("# %%\nimport ipywidgets\nipywidgets.IntSlider()\n"))
    )
    assert (
        set(run.notebook.cells[0].outputs[0].data) == {"text/plain"}
        and "widgets" not in run.notebook.metadata
    )


def test_a_changed_script_and_a_changed_notebook_are_noticed(tmp_path, monkeypatch):
    for folder in ("scripts", "solutions", "."):
        (tmp_path / folder).mkdir(exist_ok=True)
        for path in (NOTEBOOKS / folder).glob("00_tour.*"):
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.setattr(build.solutions_notebook, "__defaults__", (tmp_path,))
    monkeypatch.setattr(build.student_notebook, "__defaults__", (tmp_path,))
    assert build.differences("00_tour") == []
    path = tmp_path / "00_tour.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][4]["source"] = ["song = None"]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert build.differences("00_tour") == [
        "00_tour.ipynb is not what its script says (first difference: cell 4)"
    ]
    source = tmp_path / "scripts" / "00_tour.py"
    source.write_text(
        source.read_text(encoding="utf-8").replace("# # Follow", "# # Lead"), encoding="utf-8"
    )
    assert len(build.differences("00_tour")) == 2


# --- execution ------------------------------------------------------------------------------------


def test_a_failing_notebook_fails_under_the_projects_settings(tmp_path):
    """nbval, as pyproject.toml switches it on, is no formality: the second cell fails, and an error in a callback does."""
    cells = ["value = 1", "assert value == 2, 'planted'", "import ipywidgets\nbox = ipywidgets.IntSlider()",
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


@pytest.mark.parametrize("name", NAMES)
def test_a_student_notebook_fits_into_binders_memory(name):
    """From a cold kernel, peak resident memory under 1.0 GB; the time is printed only."""
    run = build.execute(stored(name), name)
    print(f"{name}: {run.seconds:.0f} s, {run.peak_mb:.0f} MB")
    assert 100 < run.peak_mb < 1000
    assert build.faults(run.notebook) == []

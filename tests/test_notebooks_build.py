"""What notebooks/build.py makes of a script, what it refuses, and what it finds in outputs."""

import importlib.util
import json
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
_spec = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_failing_cell_stops_the_build_and_is_shown(script):
    with pytest.raises(build.BuildError, match=r"(?s)99_x: a cell failed.*value = 1 / 0"):
        build.execute(build.student_notebook("99_x", script("# %%\nvalue = 1 / 0\n")), "99_x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import sys; print('late', file=sys.stderr)", "standard error"),
        ("import warnings; warnings.warn('old')", "standard error"),
        ("print('/ho' + 'me/somebody/x.py')", "a path"),
        ("object()", "an address in memory"),
        (
            "from IPython.display import SVG\n"
            "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>')",
            "image/svg",
        ),
        ("print(chr(27) + '[31mred')", "colour codes"),
    ],
)
def test_outputs_that_nobody_wants_are_found(script, source, says):
    run = build.execute(build.student_notebook("99_x", script(f"# %%\n{source}\n")))
    assert any(says in fault for fault in build.faults(run.notebook))


WIDGETS = """
# %%
import ipywidgets

ipywidgets.IntSlider()

# %%
from matplotlib.figure import Figure

from melodylab.course.panels import LiveLoss, Panel

Panel(lambda n: Figure(figsize=(n, 1)), {"n": ipywidgets.IntSlider(2)}, alt=lambda n: f"<{n}>")

# %%
live = LiveLoss(every=1)
live

# %%
live(1, 5.0)
"""


@pytest.mark.slow
def test_of_a_widget_nothing_is_stored_and_of_a_panel_its_picture(script):
    run = build.execute(build.student_notebook("99_x", script(WIDGETS)))
    slider, panel, curve, _ = (cell.outputs for cell in run.notebook.cells)
    assert slider == [] and build.faults(run.notebook) == []
    picture, words = panel
    assert set(picture.data) == {"image/png", "text/plain"}
    assert picture.metadata["image/png"]["alt"] == "<2>"
    assert set(words.data) == {"text/html"} and "&lt;2&gt;" in words.data["text/html"]
    assert "<p>Only the picture of a panel: run this cell" in words.data["text/html"]
    [curve] = curve  # the last one, though another cell drew it
    assert curve.metadata["image/png"]["alt"] == "The loss went from 5.00 to 5.00 in 1 steps"
    assert "widgets" not in run.notebook.metadata


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

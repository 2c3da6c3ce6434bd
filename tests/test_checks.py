"""The checks of the exercises: each passes its solution, refuses wrong answers with a hint, waits
on an empty one.
"""

import builtins
import re
from pathlib import Path

import numpy as np
import pytest
from checks_cases import CASES

from melodylab.course import checks
from melodylab.course.checks import runner

# these take songs apart, some once an answer
SLOW = (
    "00_tour",
    "01_representations.check_01_c",
    "02_source_filter_nmf.check_02_b",
    "07_drums.check_07_c",
)
SCRIPTS = Path(__file__).resolve().parents[1] / "notebooks" / "scripts"


def slow_where_it_is(*values):
    """Parameters of a test whose first is the name of a check."""
    return pytest.param(*values, marks=[pytest.mark.slow] * values[0].startswith(SLOW))


def answer_of(case):
    return case() if callable(case) else case


def test_every_check_has_a_case_and_two_wrong_answers():
    assert set(CASES) == set(checks.CHECKS) != set()
    assert all(len(case.wrong) >= 2 for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_every_check_stands_in_its_notebook_once_for_the_student_and_once_for_the_solution(name):
    notebook, _, check = name.partition(".")
    cells = re.split(
        r"^# %%", (SCRIPTS / f"{notebook}.py").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    tags = [
        re.search(r'tags=\["(\w+)"', cell.splitlines()[0])[1]
        for cell in cells
        if f"checks.{check}(" in cell
    ]
    assert tags == ["exercise", "solution"]


@pytest.mark.parametrize("name", [slow_where_it_is(name) for name in CASES])
def test_the_solution_passes(name, capsys):
    case = CASES[name]
    assert checks.CHECKS[name](answer_of(case.solution), *case.measured_against()) is True
    assert capsys.readouterr().out.startswith("✓ Right: ")


@pytest.mark.parametrize(
    ("name", "hint"),
    [slow_where_it_is(name, hint) for name, case in CASES.items() for hint in case.wrong],
)
def test_a_wrong_answer_gets_its_hint(name, hint, capsys):
    case = CASES[name]
    assert checks.CHECKS[name](answer_of(case.wrong[hint]), *case.measured_against()) is False
    said = capsys.readouterr().out
    assert said.startswith("✗ Not yet: ") and hint in said


@pytest.mark.parametrize("name", CASES)
def test_an_empty_answer_only_gets_a_friendly_line(name, capsys):
    case = CASES[name]
    for empty in case.empty:
        assert checks.CHECKS[name](empty, *case.measured_against()) is None
        assert capsys.readouterr().out.startswith("Your turn: ")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "nonsense",
    ["a word", object(), lambda *_: 1 / 0, np.zeros((2, 3)), float("nan"), (1, 2, 3, 4, 5)],
)
def test_nonsense_is_refused_and_raises_nothing(name, nonsense, capsys):
    case = CASES[name]
    assert checks.CHECKS[name](nonsense, *case.measured_against()) is False
    assert capsys.readouterr().out.startswith("✗ Not yet: ")


def test_a_check_is_entered_once():
    def check_00_a(answer):
        return True, "."

    with pytest.raises(ValueError, match="two checks"):
        runner._exercise("00_tour")(check_00_a)


def test_what_an_answer_interrupts_is_not_swallowed():
    """Only errors become hints; the stop button still stops."""

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(builtins.KeyboardInterrupt):
        checks.CHECKS["01_representations.check_01_c"](type("Slow", (), {"__array__": stop})())

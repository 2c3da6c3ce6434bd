"""Every number in the README is one that a card or a recorded experiment tells."""

import importlib.util
import re
from pathlib import Path

import pytest

from melodylab import weights

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


@pytest.fixture(scope="module")
def readme():
    """notebooks/readme.py as a module."""
    spec = importlib.util.spec_from_file_location("readme", NOTEBOOKS / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_says_what_the_cards_say(readme):
    text = readme.README.read_text(encoding="utf-8")
    assert readme.written(text) == text, "run python notebooks/readme.py"
    assert {found[2] for found in readme.MARKED.finditer(text)} == set(readme.PARTS)


def test_a_number_that_went_stale_is_found_and_mended(readme):
    text = readme.README.read_text(encoding="utf-8")
    stale = text.replace("an onset F of 0.89", "an onset F of 0.84").replace("| 0.675 |", "| 0.6 |")
    assert stale != text and readme.written(stale) == text


def test_no_score_stands_outside_the_marks(readme):
    text = readme.README.read_text(encoding="utf-8")
    bare = readme.MARKED.sub("", text)
    bare = re.sub(r"```.*?```", "", bare, flags=re.DOTALL)  # what commands print
    assert re.findall(r"\d(?:\.\d+)? dB\b|\b0\.\d\d+\b", bare) == []


def test_means_are_those_of_the_songs(readme):
    """Recorded figures are rounded: a mean may differ by half a digit from that of its songs."""
    rows = weights.experiments()["development"]
    kinds = {(row["task"], row["method"]) for row in rows}
    assert len({(row["task"], row["method"], row["song"]) for row in rows}) == len(rows)
    for task, method in kinds:
        told = readme.recorded(task, method)
        mean = told.pop("mean", {})
        told.pop("worst", None)
        for figure, value in mean.items():
            values = [row[figure] for row in told.values() if figure in row]
            if values and isinstance(value, float):
                slack = 0.11 if figure.endswith("_db") else 0.011 if "F" in figure[:2] else 0.0011
                assert value == pytest.approx(sum(values) / len(values), abs=slack), (task, figure)


def test_notebooks_state_the_same_numbers():
    """06 shows the table of separations: from the same source."""
    script = (NOTEBOOKS / "scripts" / "06_unet_masking.py").read_text(encoding="utf-8")
    assert 'experiments()["development"]' in script

"""What the README prints is what comes out when it is typed: its blocks in order, in one folder."""

import re

import pytest
from readme_blocks import ROOT, methods_table, steps, typed

NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder, and the names that earlier blocks have bound."""
    return tmp_path_factory.mktemp("readme"), {}


def same(printed, found):
    """The same text, with numbers that may differ in the last place as machines do."""
    words = [NUMBER.sub("#", text).split() for text in (printed, found)]
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (printed, found)]
    return words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(steps())))
def test_what_is_printed_comes_out(number, place):
    folder, names = place
    text, printed = steps()[number]
    found = typed(text, names, folder)
    assert same(printed, found), f"{text}\nprints\n{found}"


def test_the_table_of_methods_is_the_registry():
    assert methods_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_wrong_word_and_a_wrong_number_are_seen():
    assert same("a 0.50\nb", "a 0.505\nb")
    assert not same("a 0.50", "b 0.50") and not same("a 0.50", "a 0.60")

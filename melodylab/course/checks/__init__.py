"""Checks for the exercises of the notebooks: an answer goes in, a sentence comes out, nothing is
graded or sent anywhere.

Conventions: a check is called with the student's answer first and whatever it is measured
against after it. An empty answer (`...` or None, also as a part of a tuple, list or dict) gets
a friendly line and returns None; a wrong one a hint and False; a right one a word on why it is
right and True. A check never raises on account of an answer: what the answer raises (a function
that fails, an array of another shape) becomes the hint. `CHECKS` holds every check as
"NN_notebook.name".

To add one, write a function that returns (right, sentence) below its notebook's heading and put
`@_exercise("NN_notebook")` above it. The solution and two wrong answers of each live in
tests/test_checks.py.
"""

from melodylab.course.checks.crnn import check_03_a, check_03_b, check_03_c, puzzle_03_c
from melodylab.course.checks.drums import check_07_a, check_07_b, check_07_c, puzzle_07_c
from melodylab.course.checks.ftanet import check_05_a, check_05_b, check_05_c, puzzle_05_c
from melodylab.course.checks.masking import check_06_a, check_06_b, check_06_c, puzzle_06_c
from melodylab.course.checks.multires import check_04_a, check_04_b, check_04_c, puzzle_04_c
from melodylab.course.checks.representations import check_01_a, check_01_b, check_01_c
from melodylab.course.checks.runner import CHECKS
from melodylab.course.checks.source_filter_nmf import (
    check_02_a,
    check_02_b,
    check_02_c,
    puzzle_02_c,
)
from melodylab.course.checks.tour import check_00_a, check_00_b, check_00_c
from melodylab.course.checks.train import check_10_a, check_10_b, check_10_c, puzzle_10_c

__all__ = [
    "CHECKS",
    "check_00_a",
    "check_00_b",
    "check_00_c",
    "check_01_a",
    "check_01_b",
    "check_01_c",
    "check_02_a",
    "check_02_b",
    "check_02_c",
    "check_03_a",
    "check_03_b",
    "check_03_c",
    "check_04_a",
    "check_04_b",
    "check_04_c",
    "check_05_a",
    "check_05_b",
    "check_05_c",
    "check_06_a",
    "check_06_b",
    "check_06_c",
    "check_07_a",
    "check_07_b",
    "check_07_c",
    "check_10_a",
    "check_10_b",
    "check_10_c",
    "puzzle_02_c",
    "puzzle_03_c",
    "puzzle_04_c",
    "puzzle_05_c",
    "puzzle_06_c",
    "puzzle_07_c",
    "puzzle_10_c",
]

"""The cells that a cell builds on: all of them, and no others."""

from needed_cells import needed

CELLS = [
    "import numpy as np\nfrom a.b import c as d",
    "x = np.zeros(3)",
    "y = d(2)",
    "x = x + 1",
    "def f(z):\n    y = 3\n    return x + y + z",
    "for n in range(3):\n    w = n\n    print(w)",
    "f(4), [v for v in range(3)]",
    "x += y",
    "w = x",
    "[x for x in y], (lambda y: y)(1)",
    "w, x, y",
]


def test_what_a_cell_builds_on():
    assert needed(CELLS, [6]) == [0, 1, 3, 4, 6]
    assert needed(CELLS, [5]) == [5]
    assert needed(CELLS, [8]) == [0, 1, 2, 3, 7, 8]
    assert needed(CELLS, [5, 2]) == [0, 2, 5]
    assert needed(CELLS, [10]) == [0, 1, 2, 3, 7, 8, 10]

"""Is one method better than another, on the same songs?"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from melodylab.errors import InputError
from melodylab.evaluate.melody import _quiet
from melodylab.evaluate.tables import Table, _interval

_MAIN = ("OA", "F", "lead_sdr_db")  # the figure of each task that decides


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same songs; prints as a sentence.

    Attributes
    ----------
    a, b : str
        The methods.
    figure : str
        What is compared.
    songs : int
        How many both were scored on.
    difference : float
        Mean of a - b over these songs.
    low, high : float
        95 % bootstrap interval of the difference; NaN with fewer than three songs.
    p : float
        Of Wilcoxon's signed-rank test, two-sided; 1 where nothing differs.
    smallest_p : float
        What p is if all songs agree: with fewer than six it cannot be below 0.05.
    """

    a: str
    b: str
    figure: str
    songs: int
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float

    def __str__(self) -> str:
        digits, unit = (2, " dB") if self.figure.endswith("_db") else (3, "")
        more = "above" if self.difference >= 0 else "below"
        span = ""
        if not math.isnan(self.low):
            span = f", 95 % between {self.low:+.{digits}f} and {self.high:+.{digits}f}"
        if self.smallest_p > 0.05:
            verdict = "too few songs to tell: take at least 6"
        elif self.p <= 0.05:
            verdict = f"more than chance on these songs (p = {self.p:.3f})"
        else:
            verdict = f"no more than chance may do (p = {self.p:.3f}); more songs would tell"
        return (
            f"{self.figure}: {self.a} is {abs(self.difference):.{digits}f}{unit} {more} {self.b} "
            f"on {self.songs} songs{span}; {verdict}"
        )


def compare(table: Table, a: str, b: str, *, figure: str | None = None) -> Comparison:
    """Is one method better than another? Song by song, because songs differ more than methods do.

    Parameters
    ----------
    table : Table
        With rows of both.
    a, b : str
        Two methods, as the table names them.
    figure : str, optional
        A column; OA, F or lead_sdr_db where none is named.

    Returns
    -------
    Comparison
        Its text is the verdict. Songs where one of the two has NaN are left out.

    Raises
    ------
    InputError
        For a method or figure that the table does not have, or no song in common.

    Notes
    -----
    Source: Wilcoxon 1945, "Individual comparisons by ranking methods".
    """
    if figure is None:
        figure = next((name for name in _MAIN if name in table.columns), table.columns[2])
    if figure not in table.columns[2:]:
        known = ", ".join(table.columns[2:])
        raise InputError(f"the table has no figure {figure!r}; choose from {known}")
    for method in (a, b):
        if method not in table._methods:
            known = ", ".join(table._methods)
            raise InputError(f"the table has no method {method!r}; choose from {known}")
    at = table.columns.index(figure)
    told = {(row[0], row[1]): row[at] for row in table.rows}
    pairs = [(told[song, a], told.get((song, b), math.nan)) for song, m in told if m == a]
    pairs = np.array(pairs, dtype=float)
    with np.errstate(invalid="ignore"):
        differences = pairs[:, 0] - pairs[:, 1]
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    if not n:
        raise InputError(f"{a} and {b} have no song in common with a {figure}")
    with _quiet():  # scipy's remark on few songs is our verdict
        p = float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0
    low, high = _interval(differences, 0)
    mean = float(differences.mean())
    return Comparison(a, b, figure, n, mean, low, high, p, min(1.0, 2.0 ** (1 - n)))

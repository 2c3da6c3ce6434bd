"""A folder of songs, several methods: a row a song and method, then means and their intervals."""

import contextlib
import csv
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from melodylab import files
from melodylab.errors import InputError, missing_package
from melodylab.evaluate.melody import _quiet
from melodylab.evaluate.songs import TASKS, judge_song
from melodylab.io import folders

_LEVEL, _DRAWS = 0.95, 10_000


@dataclass(frozen=True, repr=False)
class Table:
    """Scores of methods on songs; prints as aligned text, shows itself as HTML in a notebook.

    Attributes
    ----------
    columns : tuple of str
        "song", "method", then the figures: shares in 0..1, or dB where the name ends in "_db".
    rows : tuple of tuple
        One for each song and method. Means, and from three songs on their 95 % intervals, follow
        where the table is shown.
    failures : tuple of str
        One line for each song and method that gave no row.
    """

    columns: tuple
    rows: tuple
    failures: tuple = ()

    def mean(self, method: str) -> dict[str, float]:
        """Means over the songs.

        Parameters
        ----------
        method : str
            As the table names it.

        Returns
        -------
        dict of float
            {figure: mean, NaN left out}; NaN where there is nothing else.

        Raises
        ------
        KeyError
            For a method without rows.
        """
        with _quiet():  # a column of nothing but NaN has the mean NaN
            means = np.nanmean(self._figures(method), axis=0).tolist()
        return dict(zip(self.columns[2:], means, strict=True))

    def interval(self, method: str, *, seed: int = 0) -> dict[str, tuple[float, float]]:
        """How far the means could lie elsewhere: 95 % bootstrap intervals over the songs.

        Songs are drawn anew, with replacement, 10,000 times, and the middle 95 % of the means kept.
        With fewer than ten songs such an interval is rather too narrow.

        Parameters
        ----------
        method : str
            As the table names it.
        seed : int
            Of the draws.

        Returns
        -------
        dict of (float, float)
            {figure: (low, high)}; NaN with fewer than three songs, whose spread nobody knows.

        Raises
        ------
        KeyError
            For a method without rows.
        """
        figures = self._figures(method)
        return {
            name: _interval(column[~np.isnan(column)], seed)
            for name, column in zip(self.columns[2:], figures.T, strict=True)
        }

    def _figures(self, method):
        """(songs, figures) of a method."""
        rows = [row[2:] for row in self.rows if row[1] == method]
        if not rows:
            raise KeyError(f"the table has no row of {method!r}")
        return np.array(rows, dtype=float)

    @property
    def _methods(self):
        return list(dict.fromkeys(row[1] for row in self.rows))

    @property
    def _means(self):
        return [("mean", method, *self.mean(method).values()) for method in self._methods]

    def _cells(self):
        """Every row as text, means and intervals last."""
        digits = [2 if name.endswith("_db") else 3 for name in self.columns[2:]]
        cells = [
            [*row[:2], *(f"{x:.{d}f}" for x, d in zip(row[2:], digits, strict=True))]
            for row in [*self.rows, *self._means]
        ]
        for method in self._methods:
            spans = list(self.interval(method).values())
            if not np.isnan(spans).all():
                told = [
                    "" if math.isnan(low) else f"{low:.{d - 1}f}..{high:.{d - 1}f}"
                    for (low, high), d in zip(spans, digits, strict=True)
                ]
                cells.append(["95 %", method, *told])
        return cells

    def _drawn(self, style):
        align = ["left"] * 2 + ["right"] * (len(self.columns) - 2)
        cells = self._cells()
        return tabulate(
            cells,
            self.columns,
            tablefmt=style,
            disable_numparse=True,
            colalign=align if cells else None,
        )

    def __str__(self) -> str:
        lines = self._drawn("plain").splitlines()
        return "\n".join([*(line.rstrip() for line in lines), *self.failures])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        failures = tabulate([[line] for line in self.failures], tablefmt="html")
        return self._drawn("html") + (failures if self.failures else "")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write header, rows and mean rows (song "mean") in full precision; complete or absent.

        Parameters
        ----------
        path : path
            The file; missing folders are made.

        Raises
        ------
        InputError
            Where it cannot be written.
        """
        with (
            files.complete_or_absent(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as sink,
        ):
            rows = [self.columns, *self.rows, *self._means]
            csv.writer(sink, lineterminator="\n").writerows(rows)


def _interval(values, seed):
    if len(values) < 3:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(len(values), size=(_DRAWS, len(values)))
    ends = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
    # the nearest of the means: between -inf dB and a number there is nothing to interpolate
    low, high = np.quantile(values[drawn].mean(axis=1), ends, method="nearest")
    return float(low), float(high)


def evaluate_folder(
    folder: str | os.PathLike[str],
    task: str,
    methods: str | Sequence[str],
    *,
    progress: bool = False,
    n_jobs: int | None = 1,
    extract: Callable | None = None,
    separate: Callable | None = None,
    separate_drums: Callable | None = None,
) -> Table:
    """Score methods on every song of a folder, which see the mix only.

    "melody": the five figures of `score_melody` on the whole song. "separation": SDR and SI-SDR in
    dB of melody stem and accompaniment (mix - melody), mono, 22.05 kHz, first 20 s, which is also
    all the method gets; a method that can be led does it once on its own and, where the truth is
    known, once by the true melody, in a row "METHOD (true melody)". "drums": onset F (50 ms) of
    each class that truly plays, their mean, and where there are stems the SI-SDR in dB of each and
    its mean; the method hears the stem "drums" where there is one, else the mix. Where true hits
    and stems are known, it is also led by these hits: a row "METHOD (true onsets)". hihat is open
    and closed together, for truths that do not part them. `drum_class` knows what true hits may be
    called.

    Parameters
    ----------
    folder : path
        It holds one folder a song, as `io.folders` reads them.
    task : str
        "melody", "separation" or "drums".
    methods : str or sequence of str
        Names of methods; an alias is resolved, and the table tells what was run.
    progress : bool
        Show a bar on standard error.
    n_jobs : int, optional
        Songs side by side (joblib).
    extract, separate, separate_drums : callable, optional
        Functions like those of `api`, to judge in their place.

    Returns
    -------
    Table
        One row a song and method. What fails becomes a line in `failures`, the rest goes on.

    Raises
    ------
    InputError
        For a folder without songs, an unknown task or method, damaged weights.
    """
    methods = (methods,) if isinstance(methods, str) else tuple(dict.fromkeys(methods))
    if task not in TASKS:
        raise InputError(f"there is no task {task!r}; choose {' or '.join(TASKS)}")
    if not methods:
        raise InputError("no method was named; name at least one")
    run = {"melody": extract, "separation": separate, "drums": separate_drums}[task]
    if run is None:
        # here, because it brings every method along and a score alone needs none
        from melodylab import api

        run = {
            "melody": api.extract_melody,
            "separation": api.separate,
            "drums": api.separate_drums,
        }[task]
        methods = tuple(dict.fromkeys(_checked(task, method) for method in methods))
    paths = folders.song_folders(folder)
    songs = (joblib.delayed(judge_song)(path, task, methods, run) for path in paths)
    results = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(songs)
    results = list(tqdm(results or (), total=len(paths), unit="song", disable=not progress))
    rows, failures = (tuple(item for result in results for item in result[kind]) for kind in (0, 1))
    return Table(("song", "method", *TASKS[task][1]), rows, failures)


def _checked(task, method):
    """The method's name without its alias; refused before the first song where it does not exist or
    its weights are damaged."""
    from melodylab import methods

    found = methods.find(method, task)
    found.verify()
    return found.name


@contextlib.contextmanager
def cluster(address: str) -> Iterator[None]:
    """While it lasts, `evaluate_folder` sends its songs to a Dask cluster.

    The workers read the songs themselves, so the folder must have the same path there.

    Parameters
    ----------
    address : str
        Of the scheduler, such as "tcp://10.0.0.1:8786".

    Yields
    ------
    None

    Raises
    ------
    InputError
        Without the package distributed, or where nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise missing_package("a Dask cluster", "distributed", "cluster") from None
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({error}); start one and give its address"
        ) from None
    with client, joblib.parallel_config("dask"):
        yield

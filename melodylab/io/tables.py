"""Tables as other programs write them: text in, cells out, with the names of the columns if told.

Between columns stand semicolons, tabs, commas or blanks, in the whole file the same. Lines that
begin with # or % are remarks; the last one before the first row may name the columns.
"""

import csv
import math
import os
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from melodylab.errors import InputError

_NOTHING = {"", "nan", "na", "n/a", "null", "none"}  # how tables write "no value"


class Table(NamedTuple):
    """A text file in cells.

    Attributes
    ----------
    names : list of str
        Names of the columns as `plain` gives them; empty where the file tells none.
    numbers : list of int
        For each row its line in the file, from 1.
    rows : list of list of str
        The cells, without blanks around them.
    """

    names: list[str]
    numbers: list[int]
    rows: list[list[str]]


def read(
    path: str | os.PathLike[str],
    what: str,
    columns: str,
    *,
    are_names: Callable[[list[str]], bool],
    times: Collection[str],
) -> Table:
    """The cells of a text file; remarks and empty lines are left out.

    Parameters
    ----------
    path : str or path
        The file, UTF-8 with or without a byte order mark.
    what : str
        What it is to hold, for the sentence of a refusal.
    columns : str
        What it should look like, for the same.
    are_names : callable
        Says of the first row whether it names the columns.
    times : collection of str
        Names of a column of times; a remark that holds one, and as many words as there are
        columns, names the columns.

    Returns
    -------
    Table
        Names, if any, and cells.

    Raises
    ------
    InputError
        If the file cannot be read or is no text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        if "\0" in text:
            raise ValueError("it is no text")
    except (OSError, ValueError) as error:  # a UnicodeDecodeError is a ValueError
        raise InputError(
            f"cannot read the {what} {path} ({error}); give a CSV of {columns}"
        ) from None
    numbers, lines, remark = [], [], ""
    for at, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.lstrip()[:1] in ("#", "%"):
            remark = remark if lines else line.strip("#% \t")
        elif line.strip(" \t,;"):
            numbers.append(at)
            lines.append(re.sub(r"\s#.*", "", line).strip(" "))
    delimiter = _delimiter(lines)
    rows = _without_gaps([_cells(line, delimiter) for line in lines])
    if rows and are_names(rows[0]):
        return Table([plain(cell) for cell in rows[0]], numbers[1:], rows[1:])
    for sign in (",", delimiter):
        names = [plain(cell) for cell in _cells(remark, sign)] if remark else []
        if set(names) & set(times) and rows and len(names) == len(rows[0]):
            return Table(names, numbers, rows)
    return Table([], numbers, rows)


def _delimiter(lines: list[str]) -> str | None:
    """What stands between the columns: the first of these in most lines, else None for blanks."""
    for sign in (";", "\t", ","):
        if 2 * sum(sign in line for line in lines) >= max(len(lines), 1):
            number = r"[+-]?\d+(,\d+)?"  # "0,01 220,5" are two numbers
            blanks = re.compile(rf"\s*{number}(\s+{number})+\s*")
            return None if sign == "," and all(map(blanks.fullmatch, lines)) else sign
    return None


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:
        return [cell.strip() for cell in line.split(delimiter)]


def _without_gaps(rows: list[list[str]]) -> list[list[str]]:
    """Without columns that are empty in every row, such as those between two tabs."""
    width = max(map(len, rows), default=0)
    kept = [n for n in range(width) if any(row[n : n + 1] not in ([], [""]) for row in rows)]
    if len(kept) == width or len(kept) < 2:
        return rows
    return [[row[n] for n in kept if n < len(row)] for row in rows]


def plain(name: str) -> str:
    """A name of a column in small letters and underlines: "Time (s)" is time_s.

    Parameters
    ----------
    name : str
        As the file has it.

    Returns
    -------
    str
        The plain name.
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def number(cell: str) -> float | None:
    """What a cell says; decimal commas are understood.

    Parameters
    ----------
    cell : str
        The cell.

    Returns
    -------
    float or None
        A number, NaN where the cell says that there is no value, None for words.
    """
    cell = cell.strip().lower()
    if cell in _NOTHING:
        return math.nan
    if cell in ("true", "false"):
        return float(cell == "true")
    if re.fullmatch(r"[+-]?\d*,\d+", cell):
        cell = cell.replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def first(names: list[str], known: list[str]) -> int | None:
    """Which column bears the first of these names that is there.

    Parameters
    ----------
    names : list of str
        Of the columns.
    known : list of str
        What to look for, the best first.

    Returns
    -------
    int or None
        The column, None where there is none.
    """
    return next((names.index(name) for name in known if name in names), None)

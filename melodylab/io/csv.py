"""Melodies and drum hits as CSV, both ways."""

import csv
import math

import numpy as np

from melodylab.errors import InputError
from melodylab.records import DrumOnsets


def read_onsets(path):
    """Read drum hits, columns as in the module's header: DrumOnsets in order of time, velocity 0..1. Raises InputError."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            rows = [
                (n, [cell.strip() for cell in row]) for n, row in enumerate(csv.reader(lines), 1)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"cannot read the drum hits {path} ({error}); give a CSV of time_s,class,velocity"
        ) from None
    rows = [(n, row) for n, row in rows if any(row) and not row[0].startswith("#")]
    columns = {"time_s": 0, "class": 1, "velocity": 2}
    if rows and "time_s" in rows[0][1]:
        columns = {name: n for n, name in enumerate(rows.pop(0)[1])}
        if "class" not in columns:
            raise InputError(
                f"the drum hits {path} have no column class; give a CSV of time_s,class,velocity"
            )
    hits = []
    for number, row in rows:
        try:
            velocity_at = columns.get("velocity", len(row))
            velocity = float(row[velocity_at]) if velocity_at < len(row) else 1.0
            time_s, name = float(row[columns["time_s"]]), row[columns["class"]]
            if not (0 <= time_s < math.inf and 0 <= velocity <= 127 and name):
                raise ValueError
        except (ValueError, IndexError):
            raise InputError(
                f"{path}, line {number}: expected time_s,class,velocity; give seconds from 0, a name, and 0..1 or 0..127"
            ) from None
        hits.append((time_s, name, velocity))
    hits.sort(key=lambda hit: hit[0])
    times_s, classes, velocity = zip(*hits, strict=True) if hits else ((), (), ())
    velocity = np.array(velocity, dtype=float)
    return DrumOnsets(times_s, classes, velocity / 127 if np.any(velocity > 1) else velocity)

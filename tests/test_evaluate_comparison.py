"""Intervals and paired tests, on figures whose spread is planted."""

import numpy as np
import pytest

from melodylab import evaluate
from melodylab.errors import InputError
from melodylab.evaluate import Table


def many(**OAs):
    """A table with one row a method and song."""
    rows = [
        (f"song {n}", method, OA) for method, values in OAs.items() for n, OA in enumerate(values)
    ]
    return Table(("song", "method", "OA"), tuple(rows))


def test_intervals_of_the_mean_hold_it_as_often_as_they_say(rng):
    songs = rng.normal(0.5, 0.1, size=(200, 12))
    table = many(**{f"m{n}": row for n, row in enumerate(songs)})
    spans = np.array([table.interval(f"m{n}")["OA"] for n in range(200)])
    held = np.mean((spans[:, 0] < 0.5) & (spans[:, 1] > 0.5))
    assert 0.86 < held < 0.97  # 95 %, a little less with twelve songs
    width = np.mean(spans[:, 1] - spans[:, 0])
    assert width == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(12), rel=0.12)
    assert table.interval("m0") == table.interval("m0") != table.interval("m0", seed=1)


def test_intervals_are_shown_with_the_means_where_there_are_songs_enough():
    table = many(one=[0.5, 0.5, 0.5], other=[0.1, 0.2, 0.6])
    assert table.interval("one")["OA"] == (0.5, 0.5)
    lines = str(table).splitlines()
    assert lines[-2].split() == ["95", "%", "one", "0.50..0.50"]
    assert lines[-1].split() == ["95", "%", "other", "0.10..0.60"]
    few = many(one=[0.5, 0.6])
    assert np.isnan(few.interval("one")["OA"]).all() and "95 %" not in str(few)
    lost = many(one=[0.5, float("-inf"), 0.1, float("nan")])
    assert lost.interval("one")["OA"][0] == -np.inf
    with pytest.raises(KeyError, match="absent"):
        table.interval("absent")


def test_two_methods_are_compared_song_by_song(rng):
    hard = rng.uniform(0.1, 0.9, 12)  # songs differ far more than the methods
    told = evaluate.compare(many(a=hard + 0.02 + 0.005 * np.arange(12) / 12, b=hard), "a", "b")
    assert told.songs == 12 and told.difference == pytest.approx(0.0223, abs=1e-4)
    assert told.p == pytest.approx(2 / 2**12) == told.smallest_p  # all twelve agree
    assert 0.02 <= told.low < told.difference < told.high <= 0.025
    assert str(told).startswith("OA: a is 0.022 above b on 12 songs, 95 % between +0.0")
    assert str(told).endswith("more than chance on these songs (p = 0.000)")
    noise = np.array([1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12]) / 100
    told = evaluate.compare(many(a=hard, b=hard + noise), "a", "b")
    assert told.p > 0.5 and "no more than chance may do" in str(told)
    same = evaluate.compare(many(a=hard, b=hard), "a", "b")
    assert (same.difference, same.p) == (0, 1)


def test_few_songs_decide_nothing():
    told = evaluate.compare(many(a=[0.9] * 5, b=[0.1, 0.2, 0.3, 0.4, 0.5]), "a", "b")
    assert told.smallest_p == 1 / 16 and "too few songs to tell: take at least 6" in str(told)
    nan = float("nan")
    table = Table(("song", "method", "x_db"), (("s", "a", 1.0), ("s", "b", -1.0), ("t", "a", 9.0)))
    told = evaluate.compare(table, "b", "a")
    assert (told.songs, told.difference, told.figure) == (1, -2.0, "x_db") and np.isnan(told.low)
    assert str(told).startswith("x_db: b is 2.00 dB below a on 1 songs; too few")
    with pytest.raises(InputError, match="no method 'c'; choose from a, b"):
        evaluate.compare(table, "a", "c")
    with pytest.raises(InputError, match="no figure 'OA'; choose from x_db"):
        evaluate.compare(table, "a", "b", figure="OA")
    with pytest.raises(InputError, match="no song in common"):
        evaluate.compare(many(a=[nan], b=[0.1]), "a", "b")

"""Steps of a loop: found from its hits, spelled, changed."""

import numpy as np
import pytest

from melodylab import synth
from melodylab.drums import steps
from melodylab.records import DrumOnsets


def onsets(*hits):
    times_s, classes, velocity = zip(*sorted(hits), strict=True) if hits else ((), (), ())
    return DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))


@pytest.mark.parametrize("tempo_bpm", [88, 120, 147, 170])
@pytest.mark.parametrize("start_s", [0.0, 0.03, -0.02])
def test_the_tempo_is_found_among_uneven_strokes(tempo_bpm, start_s, rng):
    step_s = 15 / tempo_bpm
    taken = np.r_[0, np.sort(rng.choice(np.arange(1, 60), 30, replace=False))]
    times_s = np.maximum(start_s + step_s * taken + rng.normal(0, 0.003, 31), 0)
    grid = steps.find(onsets(*((t, "kick", 1) for t in times_s)), 61 * step_s)
    assert grid.tempo_bpm == pytest.approx(tempo_bpm, rel=0.004) and grid.start_s == pytest.approx(
        start_s, abs=0.006
    )
    assert np.array_equal(grid.nearest(times_s), taken)


def test_eighths_alone_do_not_become_thirds_of_a_step():
    grid = steps.find(onsets(*((0.25 * n, "snare", 1) for n in range(16))), 4)
    assert grid.tempo_bpm == pytest.approx(120, rel=0.01) and np.array_equal(
        grid.nearest([0.5, 1.0]), [4, 8]
    )


@pytest.mark.parametrize("hits", [(), ((0.7, "kick", 1),)])
def test_without_hits_there_is_a_grid_all_the_same(hits):
    grid = steps.find(onsets(*hits), 2)
    assert grid.tempo_bpm == 120 and grid.count == 16
    assert steps.find(onsets(*hits), 2, tempo_bpm=60).count == 8
    assert steps.find(onsets(*hits), 0.001).count == 1


def test_a_given_tempo_is_kept_and_its_start_is_found():
    grid = steps.find(onsets((0.02, "kick", 1), (0.52, "kick", 1)), 2, tempo_bpm=120)
    assert grid.step_s == 0.125 and grid.start_s == pytest.approx(0.02)


def test_a_pattern_reads_as_drummers_write_it():
    grid = steps.Steps(0.0, 0.125, 4)
    hits = onsets((0.01, "kick", 1), (0.26, "kick", 0.5), (0.12, "toms", 1))
    assert steps.pattern(hits, grid) == "x-x-/----/----/----/-x--"


def test_what_was_not_touched_keeps_its_time_and_velocity():
    grid = steps.Steps(0.0, 0.125, 4)
    hits = onsets(
        (0.01, "kick", 1.0), (0.03, "kick", 0.2), (0.26, "kick", 0.4), (0.12, "toms", 0.7)
    )
    same = steps.edited(hits, grid, steps.pattern(hits, grid))
    assert (same.times_s.tolist(), same.classes, same.velocity.tolist()) == (
        hits.times_s.tolist(),
        hits.classes,
        hits.velocity.tolist(),
    )  # two hits of one step, too
    other = steps.edited(hits, grid, "x--x/-x--/----/----/----")
    assert list(
        zip(other.times_s.round(3).tolist(), other.classes, other.velocity.tolist(), strict=True)
    ) == [(0.01, "kick", 1.0), (0.03, "kick", 0.2), (0.125, "snare", 1.0), (0.375, "kick", 0.4)]


@pytest.mark.parametrize(
    "text",
    ["", "x---", "x---/----/----/----/---", "o---/----/----/----/----", "/".join(["x---"] * 6)],
)
def test_a_pattern_that_does_not_fit_is_refused(text):
    with pytest.raises(ValueError, match="5 words of 4 letters"):
        steps.edited(onsets(), steps.Steps(0.0, 0.125, 4), text)


@pytest.mark.parametrize("seed", [25, 217])
def test_whole_loops_come_back(seed):
    song = synth.drum_loop(seed, 8)
    grid = steps.find(song.onsets, song.duration_s)
    text = steps.pattern(song.onsets, grid)
    again = steps.edited(song.onsets, grid, text)
    assert np.array_equal(again.times_s, song.onsets.times_s)
    empty = steps.edited(song.onsets, grid, text.replace("x", "-"))
    assert len(empty.times_s) == 0 and steps.pattern(empty, grid) == text.replace("x", "-")

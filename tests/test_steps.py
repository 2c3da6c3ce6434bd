"""Steps of a loop: found from its hits, spelled, changed."""

import numpy as np
import pytest

from melodylab import synth
from melodylab.drums import steps
from melodylab.records import DrumOnsets
from melodylab.synth import grooves


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


@pytest.mark.parametrize("jitter_s", [0, 0.004, 0.008])
def test_straight_eighths_come_out_at_their_tempo_or_twice_it(jitter_s, rng):
    """40 to 220 beats a minute. Before, 60 to 85 gave 3/2 of it, 40 5/2 and 172 and more 1/2."""
    wrong = []
    for tempo_bpm in np.arange(40, 221, 4):
        times_s = 0.1 + 30 / tempo_bpm * np.arange(32) + rng.normal(0, jitter_s, 32)
        found = steps.find(onsets(*((t, "closed_hihat", 1) for t in times_s)), times_s[-1] + 0.2)
        if min(abs(found.tempo_bpm / tempo_bpm - n) for n in (1, 2)) > 0.02:
            wrong.append((tempo_bpm, found.tempo_bpm))
    assert wrong == []


def test_sixteenths_under_a_backbeat_are_sixteenths():
    step_s = 15 / 96
    hats = [(n * step_s, "closed_hihat", 0.5) for n in range(64)]
    beats = [(n * step_s, "snare" if n % 8 else "kick", 1.0) for n in range(0, 64, 4)]
    assert steps.find(onsets(*hats, *beats), 10).tempo_bpm == pytest.approx(96, rel=0.01)


@pytest.mark.parametrize("swing", [0.1, 0.2, 1 / 3])
def test_swung_eighths_do_not_become_triplets(swing, rng):
    """Before, a shuffle came out at 3/4 or 3/2 of its tempo."""
    for tempo_bpm in (84, 110, 150):
        n = np.arange(64)
        times_s = 30 / tempo_bpm * (n + swing * (n % 2)) + rng.normal(0, 0.003, 64)
        found = steps.find(onsets(*((max(t, 0), "kick", 1) for t in times_s)), times_s[-1] + 0.2)
        assert min(abs(found.tempo_bpm / tempo_bpm - n) for n in (1, 2)) < 0.02


def test_grooves_of_every_style_keep_their_beat():
    """Swung, syncopated, with fills and rolls: 93 % of 240, before 68 %; here 64."""
    right = []
    for seed in range(64):
        rng = np.random.default_rng([seed, 9])
        style = grooves.STYLES[rng.integers(len(grooves.STYLES))]
        tempo_bpm = rng.uniform(*grooves.tempi_bpm(style))
        hits = grooves._played(np.random.default_rng([seed, 9]), 10.0)
        if len(hits) > 3:
            played = onsets(*((hit.time_s, hit.kind, hit.velocity) for hit in hits))
            found = steps.find(played, 10.0)
            right.append(min(abs(found.tempo_bpm / tempo_bpm - n) for n in (1, 2)) < 0.02)
    assert np.mean(right) > 0.88


@pytest.mark.parametrize("start_s", [0.0, 0.31, 0.9])
def test_the_first_beat_is_found_not_assumed(start_s):
    """Kick on one and three, snare on two and four, and a hi-hat ahead of the first beat."""
    step_s = 0.125
    hats = [(start_s + n * step_s, "closed_hihat", 0.4) for n in range(2, 64, 2)]
    beats = [(start_s + n * step_s, ("kick", "snare")[n // 4 % 2], 1.0) for n in range(4, 64, 4)]
    found = steps.find(onsets(*hats, *beats), start_s + 8)
    assert found.tempo_bpm == pytest.approx(120, rel=0.01)
    assert found.start_s == pytest.approx(start_s, abs=0.01)
    assert found.nearest([start_s + 2 * step_s])[0] == 2

"""The step grid of notebook 07."""

import dataclasses
import functools
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import traitlets

from melodylab import drums, synth
from melodylab.course import panels
from melodylab.records import DrumOnsets, Song

pytestmark = pytest.mark.filterwarnings("error")

QUICK = dataclasses.replace(drums.SETTINGS, decays_s=(0.05,))


@functools.cache
def beats():
    """Two bars at 120 beats a minute: a thump on each beat, a click between; stems, true hits."""
    sr, rng = 22050, np.random.default_rng(0)
    thump = np.sin(2 * np.pi * 80 * np.arange(4000) / sr) * np.exp(-np.arange(4000) / 900)
    click = rng.normal(0, 0.2, 800) * np.exp(-np.arange(800) / 150)
    stems, hits = {name: np.zeros((1, 4 * sr), np.float32) for name in synth.DRUM_CLASSES}, []
    for n in range(16):
        name, sound = (("kick", thump), ("closed_hihat", click))[n % 2]
        start = round(0.25 * n * sr)
        stems[name][0, start : start + len(sound)] += sound
        hits.append((0.25 * n, name))
    times_s, classes = zip(*hits, strict=True)
    onsets = DrumOnsets(np.array(times_s), classes, np.ones(16))
    return Song(sum(stems.values()), sr, "beats", stems, None, onsets)


@pytest.fixture
def grid():
    return panels.step_panel(beats(), beats().onsets, settings=QUICK)


def test_a_toggle_grid_is_a_control_with_a_text_for_a_value():
    toggles = panels.ToggleGrid(
        {"kick": list("abcdef"), "snare": list("abcdef")}, "x-----/-----x", shown=4
    )
    seen = []
    toggles.observe(lambda change: seen.append(change.new), names="value")
    toggles._buttons[1][2].value = True
    assert toggles.value == "x-----/--x--x" == seen[-1]
    toggles.first = 4
    assert [[b.value for b in row] for row in toggles._buttons] == [
        [False] * 4,
        [False, True, False, False],
    ]
    assert [b.disabled for b in toggles._buttons[0]] == [False, False, True, True]
    assert (
        toggles._buttons[1][1].tooltip == "snare, f" and toggles._buttons[1][1].description == "●"
    )
    toggles._buttons[0][0].value = True
    assert toggles.value == "x---x-/--x--x" and len(seen) == 2
    for wrong in ("x", "x-----/-----o", "x-----/-----x/------"):
        with pytest.raises(traitlets.TraitError, match="2 words of 6 letters"):
            toggles.value = wrong
    assert toggles.value == "x---x-/--x--x"


@pytest.mark.slow
def test_step_panel_takes_the_loop_apart_anew(grid):
    beat, rest = "x---" * 8, "-" * 32
    assert (
        grid.state["steps"] == "/".join([beat, rest, rest, "--x-" * 8, rest])
        and grid.state["bar"] == 1
    )
    assert grid.picture.alt.startswith("120 beats a minute, 16 hits; kick 8 hits, ")
    before = grid.picture.alt
    assert all(
        float(part.split(" dB")[0]) > 20 for part in before.split(" hits, ")[1:3] if " dB" in part
    )
    grid.controls["steps"]._buttons[0][0].value = False
    assert "15 hits (0 added, 1 removed); kick 7 hits, " in grid.picture.alt
    grid.set(
        steps="/".join([rest, rest, rest, "--x-" * 8, rest])
    )  # nobody plays the kick, so the hi-hat must
    assert "kick 0 hits, silent" in grid.picture.alt
    assert float(grid.picture.alt.split("closed_hihat 8 hits, ")[1].split(" dB")[0]) < 0
    grid.set(steps="/".join([beat, rest, rest, "--x-" * 8, rest]))
    assert grid.picture.alt == before, "the hits came back with their own times and velocities"
    assert plt.get_fignums() == []


@pytest.mark.slow
def test_step_panel_learns_only_when_a_step_moves(grid, monkeypatch):
    learned = []
    original = drums.separate
    monkeypatch.setattr(drums, "separate", lambda *a, **o: learned.append(1) or original(*a, **o))
    grid.set(bar=2)
    grid.set(mute="x----", solo="--x--")
    assert learned == []
    grid.set(steps=grid.state["steps"].replace("x", "-", 1))
    assert learned == [1]


@pytest.mark.slow
def test_step_panel_plays_what_is_chosen(grid):
    assert 'aria-label="kick + snare + open hihat + closed hihat + toms"' in grid._player.value
    grid.set(mute="x----")
    assert 'aria-label="snare + open hihat + closed hihat + toms"' in grid._player.value
    grid.set(solo="---x-")
    assert (
        'aria-label="closed hihat"' in grid._player.value
        and "heard: closed_hihat." in grid.picture.alt
    )
    grid.set(mute="xxxxx")
    assert "All five are muted" in grid._player.value and "heard: nothing." in grid.picture.alt


@pytest.mark.slow
def test_step_panel_turns_its_bars_and_refuses_what_does_not_fit(grid):
    assert grid.controls["bar"].max == 2
    first = [b.tooltip for b in grid.controls["steps"]._buttons[0]]
    grid.set(bar=2)
    assert (
        first[0] == "kick, bar 1, step 1"
        and grid.controls["steps"]._buttons[0][0].tooltip == "kick, bar 2, step 1"
    )
    before = grid.state
    with pytest.raises(ValueError, match="steps cannot be 'xx'"):
        grid.set(steps="xx")
    assert grid.state == before
    assert json.loads(json.dumps(grid.state)) == grid.state
    other = panels.step_panel(beats(), beats().onsets, settings=QUICK)
    other.set(**grid.state)
    assert other.picture.png == grid.picture.png


def test_step_panel_without_truth_and_without_hits():
    nothing = DrumOnsets(np.zeros(0), (), np.zeros(0))
    panel = panels.step_panel(Song(beats().audio, beats().sr), nothing)
    assert panel.state["steps"].count("x") == 0 and "dB" not in panel.picture.alt
    panel.controls["steps"]._buttons[4][0].value = True
    assert "1 hits (1 added, 0 removed)" in panel.picture.alt

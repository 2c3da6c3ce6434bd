"""Pictures of drums: hits, profiles, factors, step grids, replacements."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pictured import GRID, HITS, LOUD, ONSETS, TIMES_S, taken_apart

from melodylab import plot
from melodylab.plot import drums as drum_pictures
from melodylab.records import OneShot, Song

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("no_show")]


def test_hits_lie_in_their_lanes_and_are_counted(ax):
    plot.hit_map(HITS, ax=ax)
    assert [points.get_offsets().tolist() for points in ax.collections] == [
        [[0.0, 0]],
        [[0.5, 3]],
        [[1.0, 4]],
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "right 1",
        "missed 1",
        "false alarm 1",
    ]
    assert [label.get_text() for label in ax.get_yticklabels()][0] == "kick" and ax.get_ylim()[
        0
    ] > ax.get_ylim()[1]
    empty = plot.hit_map((np.zeros(0), (), ()), ax=Figure().subplots())
    assert all(len(points.get_offsets()) == 0 for points in empty.collections)


def test_profiles_lie_in_the_same_lanes(ax):
    plot.profile_map(TIMES_S, np.eye(5, 40), onsets=ONSETS, ax=ax)
    image = ax.get_images()[0]
    assert (
        image.get_array()[2, 2] == 1
        and image.get_extent()[2:] == (4.5, -0.5)
        or list(image.get_extent()[2:]) == [4.5, -0.5]
    )
    assert [segment[0].tolist() for segment in ax.collections[0].get_segments()] == [
        [0.0, -0.5],
        [0.5, 2.5],
    ]


def test_rows_on_octaves_keep_what_was_at_a_frequency():
    freqs_hz = np.arange(1025) * 44100 / 2048
    for f_hz in (60, 1000, 8000):
        spectrum = np.exp(-0.5 * ((freqs_hz - f_hz) / (0.05 * f_hz + 20)) ** 2)[:, None]
        rows = drum_pictures._octave_rows(spectrum, freqs_hz, 45, 16000)
        centre_hz = 45 * (16000 / 45) ** ((rows[:, 0].argmax() + 0.5) / 60)
        assert centre_hz == pytest.approx(f_hz, rel=0.12)
    assert np.allclose(drum_pictures._octave_rows(np.ones((1025, 3)), freqs_hz, 45, 16000), 1)


def test_factors_of_drums_are_laid_out_like_their_product():
    parts = taken_apart()
    figure = plot.drum_factors(
        parts.templates @ parts.activations,
        parts.templates,
        parts.activations,
        parts.freqs_hz,
        parts.times_s,
        parts.parts,
    )
    FigureCanvasAgg(figure).draw()
    by_title = {ax.get_title("left"): ax for ax in figure.axes if ax.get_title("left")}
    W, WH = by_title["$W$: its sound"], by_title["$W H$"]
    assert W.get_ylim() == WH.get_ylim() and W.bbox.intervaly == pytest.approx(WH.bbox.intervaly)
    H = by_title["$H$: when, and how it falls"]
    assert H.bbox.intervalx == pytest.approx(WH.bbox.intervalx) and H.get_xlim() == WH.get_xlim()


def test_a_step_grid_marks_what_was_changed_and_greys_what_is_silent(ax):
    changed = {
        "added": [(0.5, "toms")],
        "removed": [(1.0, "kick")],
        "silent": {"snare"},
        "notes": {"kick": "9.0 dB"},
    }
    plot.step_map(LOUD, 100, GRID, ONSETS, bar=0, ax=ax, **changed)
    points = {
        c.get_label(): c.get_offsets().round(2).tolist()
        for c in ax.collections
        if not c.get_label().startswith("_")
    }
    assert points == {
        "hit": [[0, -0.45], [0.5, 2.55]],
        "added": [[0.5, 3.55]],
        "removed": [[1.0, -0.45]],
    }
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["kick\n9.0 dB", "snare"]
    grey = [
        c.get_facecolor()[0][:3].tolist()
        for c in ax.collections
        if len(c.get_facecolor()) and c.get_paths()
    ]
    assert pytest.approx([201 / 255] * 3) in grey
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["hit", "added", "removed"]


def test_the_chain_of_a_replacement_has_six_pictures_and_five_arrows():
    parts = taken_apart()
    song = Song.from_array(np.ones(22050, np.float32) * 0.1, 44100)
    shot = OneShot("tick", "kick", np.r_[1.0, np.zeros(99)], 44100)
    figure = plot.replacement_chain(
        song, TIMES_S, np.zeros((5, 40)), parts, {"kick": (shot, shot)}, song
    )
    FigureCanvasAgg(figure).draw()
    assert [ax.get_title()[:1] for ax in figure.axes] == ["1", "2", "3", "6", "5", "4"]
    assert sum(text.arrow_patch is not None for ax in figure.axes for text in ax.texts) == 5

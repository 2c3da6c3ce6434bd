"""Pictures draw where they are told, what is there, and leave no trace."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from pictured import (
    GRID,
    HITS,
    LINEAR_HZ,
    LOG_HZ,
    LOUD,
    MEL_HZ,
    MELODY,
    ONSETS,
    OTHER,
    TIMES_S,
    attributed,
    brightest_pixel,
    layer,
    melody_of,
    stft,
    taken_apart,
)

from melodylab import evaluate, plot, sfnmf
from melodylab.plot import axes, scores
from melodylab.records import Features, Melody, Salience

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("no_show")]


@pytest.fixture(scope="module")
def factors():
    power = np.random.default_rng(1).exponential(size=(513, 30))
    return sfnmf.factorise(power, sfnmf.Settings(iterations=2))


DRAWN = {
    "spectrogram": lambda **o: plot.spectrogram(
        stft(np.ones((257, 40))), melody=MELODY, harmonics=3, **o
    ),
    "salience_map": lambda **o: plot.salience_map(
        Salience(np.ones((121, 40)), LOG_HZ, TIMES_S), melody=OTHER, reference=MELODY, **o
    ),
    "melody_line": lambda **o: plot.melody_line(MELODY, label="truth", **o),
    "error_map": lambda **o: plot.error_map(
        OTHER, MELODY, evaluate.frame_errors(estimate=OTHER, reference=MELODY), **o
    ),
    "level_difference": lambda **o: plot.level_difference(
        np.ones((257, 40)), np.ones((257, 40)), LINEAR_HZ, TIMES_S, **o
    ),
    "cost_curve": lambda **o: plot.cost_curve([5, 3, 2], label="seed 0", **o),
    "waveforms": lambda **o: plot.waveforms({"a": np.ones(500), "b": np.zeros((2, 500))}, 100, **o),
    "activation_map": lambda **o: plot.activation_map(layer(), channel=1, melody=MELODY, **o),
    "attribution_map": lambda **o: plot.attribution_map(attributed(), melody=MELODY, **o),
    "pitch_error_bars": lambda **o: plot.pitch_error_bars(
        {"in": ["right", "octave"], "out": ["right", "right"]}, **o
    ),
    "hit_map": lambda **o: plot.hit_map(HITS, **o),
    "profile_map": lambda **o: plot.profile_map(TIMES_S, np.eye(5, 40), onsets=ONSETS, **o),
    "mel_hits": lambda **o: plot.mel_hits(
        Features(np.ones((1, 90, 40)), MEL_HZ, TIMES_S, "drum-mel"), ONSETS, **o
    ),
    "drum_templates": lambda **o: plot.drum_templates(taken_apart(), **o),
    "step_map": lambda **o: plot.step_map(
        LOUD, 100, GRID, ONSETS, added=[(0.5, "toms")], removed=[(1.0, "kick")], bar=0, **o
    ),
    "score_bars": lambda **o: plot.score_bars(
        {"x": {"OA": 0.5, "VFA": np.nan}, "y": {"OA": 1.0, "VFA": 0.0}}, **o
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_draws_where_it_is_told_and_leaves_no_trace(name, ax):
    settings, open_before = dict(plt.rcParams), plt.get_fignums()
    assert DRAWN[name](ax=ax) is ax
    ax.figure.canvas.draw()
    assert plt.get_fignums() == open_before, "a figure was left open"
    assert dict(plt.rcParams) == settings
    assert ax.get_xlabel() or name == "score_bars"
    assert ax.get_ylabel() or name in (
        "waveforms",
        "pitch_error_bars",
        "hit_map",
        "profile_map",
        "step_map",
    )  # rows have names


@pytest.mark.parametrize("name", DRAWN)
def test_makes_one_pyplot_figure_without_ax(name):
    drawn = DRAWN[name]()
    assert len(plt.get_fignums()) == 1 and drawn.figure is plt.figure(plt.get_fignums()[0])


@pytest.mark.slow
@pytest.mark.parametrize("freqs_hz", [LINEAR_HZ, LOG_HZ, MEL_HZ], ids=["linear", "log", "mel"])
@pytest.mark.parametrize("scale", [None, "linear", "log"])
def test_a_planted_tone_lies_at_its_time_and_frequency(freqs_hz, scale, ax):
    row, column = np.argmin(np.abs(freqs_hz - 1000)), 25
    values = np.full((len(freqs_hz), 40), 1e-9)
    values[row, column] = 1
    plot.spectrogram(stft(values, freqs_hz), ax=ax, scale=scale, colorbar=False)
    x, y = brightest_pixel(ax)  # drawing lays the axes out, so ask for positions after it
    expected = ax.transData.transform((TIMES_S[column], freqs_hz[row]))
    row_pixels = np.ptp(ax.transData.transform([(0, freqs_hz[row]), (0, freqs_hz[row + 1])])[:, 1])
    assert abs(x - expected[0]) < 2
    assert abs(y - expected[1]) < 1 + 0.3 * row_pixels


def test_the_axis_fits_the_rows(ax):
    for freqs_hz, scale in ((LINEAR_HZ, "linear"), (LOG_HZ, "log"), (MEL_HZ, "function")):
        ax = Figure().subplots()
        plot.spectrogram(stft(np.ones((len(freqs_hz), 5)), freqs_hz), ax=ax)
        assert ax.get_yscale() == scale
    rows = ax.transData.transform([(0, f_hz) for f_hz in MEL_HZ])[:, 1]
    np.testing.assert_allclose(
        np.diff(rows), np.diff(rows)[0], rtol=1e-6
    )  # evenly spaced on the paper


@pytest.mark.parametrize(
    ("kind", "value"), [("stft", 0.01), ("mel", 0.01), ("cqt", 0.1), ("hcqt", 0.75)]
)
def test_levels_are_decibels_of_what_the_kind_holds(kind, value, ax):
    values = np.full((121, 4), value)
    values[5] = 1
    plot.spectrogram(stft(values, LOG_HZ, kind), ax=ax)
    np.testing.assert_allclose(ax.get_images()[0].get_array()[0], -20, atol=1e-4)


def test_exponent_draws_magnitude(ax):
    values = np.full((121, 4), 0.01)  # power: magnitude 0.1
    values[5] = 1
    plot.spectrogram(stft(values, LOG_HZ), ax=ax, exponent=0.5)
    np.testing.assert_allclose(ax.get_images()[0].get_array()[0], 0.1**0.5, rtol=1e-5)


def test_hcqt_layer(ax):
    values = np.stack([np.full((121, 4), 0.5), np.full((121, 4), 1.0)])
    plot.spectrogram(Features(values, LOG_HZ, TIMES_S[:4], "hcqt"), ax=ax, channel=1)
    assert np.all(ax.get_images()[0].get_array() == 0)


def test_melody_and_overtones_at_h_f0(ax):
    plot.spectrogram(stft(np.ones((257, 40))), ax=ax, melody=MELODY, harmonics=2)
    assert sorted(np.nanmin(line.get_ydata()) for line in ax.lines) == [220, 440, 660]
    assert (
        len({line.get_linestyle() for line in ax.lines}) == 2
    )  # overtones are told apart without colour
    assert ax.get_ylim()[1] < LINEAR_HZ[-1] * 1.01  # lines do not move the limits


def test_lines_break_where_nothing_is_sung(ax):
    guesses = melody_of(
        np.full(6, 200.0), [1, 1, 0, 0, 1, 1]
    )  # a guess in an unvoiced frame is not drawn
    plot.melody_line(guesses, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [200, 200, np.nan, np.nan, 200, 200])
    assert ax.get_yscale() == "log"


def test_leaps_are_not_joined_and_lone_frames_are_dots(ax):
    plot.melody_line(melody_of([200, 210, 420, np.nan, 200, np.nan]), ax=ax)
    line = ax.lines[0]
    drawn = line.get_ydata()
    np.testing.assert_array_equal(drawn, [200, 210, np.nan, 420, np.nan, 200, np.nan])
    assert [drawn[n] for n in line.get_markevery()] == [420, 200] and line.get_marker() == "."


def test_further_lines_widen_the_limits_and_differ(ax):
    for f0_hz in (200, 100, 800):
        plot.melody_line(melody_of(np.full(10, f0_hz)), ax=ax, label=str(f0_hz))
    assert ax.get_ylim()[0] < 100 and ax.get_ylim()[1] > 800
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 3
    assert len({line.get_linestyle() for line in ax.lines}) == 3


def test_salience_draws_the_reference_under_the_estimate(ax):
    DRAWN["salience_map"](ax=ax)
    reference, estimate = ax.lines
    assert [line.get_label() for line in ax.lines] == ["reference", "estimate"]
    assert (
        reference.get_zorder() <= estimate.get_zorder()
        and reference.get_linewidth() > 2 * estimate.get_linewidth()
    )
    assert (
        reference.get_linestyle() != estimate.get_linestyle()
        and reference.get_color() != estimate.get_color()
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["reference", "estimate"]
    ax.figure.canvas.draw()
    assert "A4  440" in [text.get_text() for text in ax.get_yticklabels()]


@pytest.mark.parametrize("power", [1, 9])
def test_candidates_are_seen_whatever_the_scale(power, ax, rng):
    plot.salience_map(
        Salience(1e-6 * rng.exponential(size=(121, 40)) ** power, LOG_HZ, TIMES_S), ax=ax
    )
    shown = np.asarray(ax.get_images()[0].get_array())
    assert shown.max() == 1 and np.quantile(shown, 0.97) > 0.15


def test_note_names():
    assert [plot.note_name(f_hz) for f_hz in (440, 261.63, 27.5, 466.16, 448)] == [
        "A4",
        "C4",
        "A0",
        "A#4",
        "A4",
    ]


def test_note_ticks_are_notes_and_get_denser():
    for low_hz, high_hz in ((50, 2000), (200, 500), (400, 480)):
        ticks = axes._NoteLocator().tick_values(low_hz, high_hz)
        midi = 69 + 12 * np.log2(ticks / 440)
        np.testing.assert_allclose(midi, np.round(midi), atol=1e-9)
        assert 3 <= len(ticks) <= 9 and ticks.min() >= low_hz and ticks.max() <= high_hz * 1.001


def test_a_line_on_somebodys_picture_keeps_its_limits(ax):
    ax.imshow(np.zeros((5, 5)), extent=(0, 1, 200, 300), aspect="auto")
    plot.melody_line(MELODY, ax=ax, label="melody")
    assert ax.get_xlim() == (0, 1) and ax.get_ylim() == (200, 300) and ax.get_yscale() == "linear"


LABELS = np.array(["right", "octave", "wrong", "missed", "false", "silence", "right"])


def test_errors_differ_in_marker_and_place_and_shares_sum_to_one(ax):
    reference = melody_of([100, 100, 100, 100, 90, np.nan, 100], [1, 1, 1, 1, 0, 0, 1])
    estimate = melody_of([101, 200, 150, 80, 300, 70, 101], [1, 1, 1, 0, 1, 0, 1])
    times_s, labels = evaluate.frame_errors(estimate=estimate, reference=reference)
    np.testing.assert_array_equal(labels, LABELS)
    plot.error_map(estimate, reference, (times_s, labels), ax=ax)
    places = {c.get_label().split(" ")[0]: c.get_offsets().data.tolist() for c in ax.collections}
    assert places["right"] == [[0, 100], [pytest.approx(0.3), 100]]
    assert [places[kind][0][1] for kind in ("octave", "wrong", "missed", "false")] == [
        200,
        150,
        100,
        300,
    ]
    assert (
        len(
            {
                (c.get_paths()[0].vertices.tobytes(), c.get_facecolor().tobytes())
                for c in ax.collections
            }
        )
        == 6
    )
    shares = [float(text.get_text().split()[-2]) for text in ax.get_legend().get_texts()]
    assert sum(shares) == pytest.approx(100, abs=1e-9)
    np.testing.assert_allclose(shares, np.array([2, 1, 1, 1, 1, 1]) / 7 * 100, atol=0.1)


def test_shares_add_up_and_round_the_largest_remainder_up():
    assert scores._shares(np.array(["a", "b", "c"]), "abc").tolist() == [33.4, 33.3, 33.3]
    assert scores._shares(np.array([]), "ab").tolist() == [0, 0]


def test_errors_of_an_estimate_on_another_grid(ax):
    reference = melody_of(np.full(20, 100.0))
    estimate = Melody(np.arange(100) * 0.013, np.full(100, 200.0), np.ones(100))
    plot.error_map(
        estimate, reference, evaluate.frame_errors(estimate=estimate, reference=reference), ax=ax
    )
    octave = ax.collections[1].get_offsets().data
    assert len(octave) == 20 and np.all(octave[:, 1] == 200)


def test_bars_have_the_heights_and_numbers_of_the_scores(ax):
    DRAWN["score_bars"](ax=ax)
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert heights == [[0.5, 0], [1, 0]]
    assert [text.get_text() for text in ax.texts] == [
        "0.50",
        "–",
        "1.00",
        "0.00",
    ]  # nothing is not zero
    assert ax.containers[0][0].get_hatch() != ax.containers[1][0].get_hatch()


def test_cost_is_logarithmic_only_when_it_falls_far(ax):
    plot.cost_curve([5, 3, 2], ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [5, 3, 2])
    assert ax.get_yscale() == "linear"
    plot.cost_curve([500, 3, 2], ax=ax)
    assert ax.get_yscale() == "log" and ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()


def test_waveforms_share_a_scale_and_lose_no_peak(ax):
    click = np.zeros(1_000_000)
    click[123_457] = 1.0
    opposite = np.outer([0.25, -0.25], np.ones(1_000_000))  # two channels whose mean is silence
    plot.waveforms({"click": click, "quiet": opposite}, 44100, ax=ax)
    tops = [c.get_paths()[0].vertices[:, 1].max() for c in ax.collections]
    assert tops == [pytest.approx(0.48), pytest.approx(-1 + 0.12)]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["click", "quiet"]


def test_level_difference_has_a_sign(ax):
    louder = np.ones((257, 40))
    louder[:, 20:] = 10
    plot.level_difference(louder, np.ones((257, 40)), LINEAR_HZ, TIMES_S, ax=ax)
    image = ax.get_images()[0]
    np.testing.assert_allclose(image.get_array()[0, [0, 30]], [0, 10], atol=1e-6)
    red, _, blue, _ = image.to_rgba(image.get_array())[0, 30]
    assert red > blue and image.get_clim() == (-20, 20)


def test_factors_stand_in_the_layout_of_the_equation(factors):
    figure = plot.nmf_factors(factors)
    titled = {ax.get_title().split(":")[0]: ax for ax in figure.axes if ax.get_title()}
    assert len(titled) == 6
    shapes = [ax.get_images()[0].get_array().shape for ax in titled.values()]
    assert shapes == [(513, 301), (301, 30), (513, 10), (10, 30), (513, 40), (40, 30)]
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in titled.values())
    assert all(np.isfinite(ax.get_images()[0].get_array()).all() for ax in titled.values())


@pytest.mark.parametrize("frames", [1, 5])
def test_silence_and_single_frames_make_pictures(frames, ax):
    nothing = melody_of(np.full(frames, np.nan))
    for kind in ("stft", "mel", "cqt", "hcqt"):
        plot.spectrogram(
            stft(np.zeros((121, frames)), LOG_HZ, kind), ax=Figure().subplots(), melody=nothing
        )
    plot.salience_map(
        Salience(np.zeros((121, frames)), LOG_HZ, TIMES_S[:frames]),
        melody=nothing,
        reference=nothing,
        ax=ax,
    )
    plot.melody_line(nothing, ax=Figure().subplots())
    plot.error_map(
        nothing,
        nothing,
        evaluate.frame_errors(estimate=nothing, reference=nothing),
        ax=Figure().subplots(),
    )
    silence = np.zeros((257, frames))
    plot.level_difference(silence, silence, LINEAR_HZ, TIMES_S[:frames], ax=Figure().subplots())
    plot.waveforms({"a": np.zeros(frames)}, 8000, ax=Figure().subplots())
    ax.figure.canvas.draw()


def test_a_whole_demo_song(demo, ax):
    plot.melody_line(demo.melody, ax=ax)
    drawn = ax.lines[0].get_ydata()
    assert np.isfinite(drawn).sum() == demo.melody.voiced.sum() > 100

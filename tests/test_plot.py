import functools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from melodylab import drums, evaluate, explain, plot, sfnmf
from melodylab.drums import steps
from melodylab.plot import axes, scores
from melodylab.plot import drums as drum_pictures
from melodylab.records import DrumOnsets, Features, Mask, Melody, OneShot, Salience, Song

pytestmark = pytest.mark.filterwarnings("error")
TIMES_S = np.arange(40) * 0.05
LINEAR_HZ = np.arange(257) * 22050 / 512
LOG_HZ = 110 * 2 ** (np.arange(121) / 24)
MEL_HZ = 700 * (np.exp(np.linspace(0.03, 2.5, 90)) - 1)


def melody_of(f0_hz, voiced=None):
    f0_hz = np.asarray(f0_hz, dtype=float)
    voiced = np.isfinite(f0_hz) if voiced is None else np.asarray(voiced)
    return Melody(TIMES_S[: len(f0_hz)], f0_hz, voiced.astype(float))


MELODY = melody_of(np.r_[np.full(10, 220), np.full(10, np.nan), np.full(20, 330)])
OTHER = melody_of(np.r_[np.full(15, 220), np.full(25, 660)])


@pytest.fixture(scope="module")
def factors():
    power = np.random.default_rng(1).exponential(size=(513, 30))
    return sfnmf.factorise(power, sfnmf.Settings(iterations=2))


@pytest.fixture
def ax():
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)  # one that really draws
    return figure.subplots()


@pytest.fixture(autouse=True)
def _no_show(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a plot function called show"))
    yield
    plt.close("all")


def stft(values, freqs_hz=LINEAR_HZ, kind="stft"):
    return Features(values[None], freqs_hz, TIMES_S[: values.shape[1]], kind)


def layer(channels=2, sign=1, freqs_hz=LOG_HZ):
    """Channel c is 0 but for one row, 10 c, whose value is `sign` in frames 20 to 29."""
    values = np.zeros((channels, len(freqs_hz), 40))
    for channel in range(channels):
        values[channel, (10 * channel) % len(freqs_hz), 20:30] = sign
    return Features(values, freqs_hz, TIMES_S, "cnn.layer1")


def attributed(f_hz=440.0):
    values = np.zeros((1, 121, 40))
    values[0, 46:50, 20], values[0, 24, 20] = 0.5, -1  # 415 to 453 Hz, so 1.5 for A4; and 220 Hz
    return explain.Attribution(values, LOG_HZ, TIMES_S, "attribution", 1.0, f_hz, 2.0, 1.0)


ONSETS = DrumOnsets([0.0, 0.5], ("kick", "closed_hihat"), [1.0, 0.5])
HITS = (np.array([0.0, 0.5, 1.0]), ("kick", "closed_hihat", "toms"), ("right", "missed", "false"))
GRID = steps.Steps(0.0, 0.125, 16)
LOUD = {name: np.full((1, 200), 0.1 * n) for n, name in enumerate(plot.DRUMS, 1)}


@functools.cache
def taken_apart():
    """Half a second of noise as `DrumParts` of a kick at 0 and a hi-hat at 0.3 s."""
    song = Song.from_array(np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32), 44100)
    return drums.separate(song, DrumOnsets([0.0, 0.3], ("kick", "closed_hihat"), [1.0, 1.0]))


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


def brightest_pixel(ax):
    """(x, y) in display pixels of the middle of the brightest spot inside the axes."""
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[::-1, :, :3].astype(int).sum(axis=2)
    box = ax.bbox
    inside = pixels[round(box.y0) + 3 : round(box.y1) - 3, round(box.x0) + 3 : round(box.x1) - 3]
    y, x = np.argwhere(inside > 0.97 * inside.max()).mean(axis=0)
    return x + round(box.x0) + 3.5, y + round(box.y0) + 3.5


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


# --- inside a network -----------------------------------------------------------------------------


def drawn(figure):
    """The figure, really drawn, and its axes by title."""
    FigureCanvasAgg(figure).draw()
    return {ax.get_title(loc) for ax in figure.axes for loc in ("left", "center")}


@pytest.mark.parametrize("sign", [1, -1])
def test_an_activation_lies_at_its_pitch_and_its_sign_chooses_the_colours(sign, ax):
    plot.activation_map(layer(sign=sign), channel=1, ax=ax, colorbar=False)
    image = ax.get_images()[0]
    assert image.get_cmap().name == ("magma" if sign > 0 else "RdBu_r")
    assert image.norm(0) == (0 if sign > 0 else 0.5), "0 is dark, or white between blue and red"
    if sign > 0:
        _, y = brightest_pixel(ax)
        assert abs(y - ax.transData.transform((1, LOG_HZ[10]))[1]) < 3
    assert ax.get_yscale() == "log" and ax.get_xlim() == pytest.approx((-0.025, 1.975))


def test_the_mean_of_all_channels_is_drawn_where_none_is_named(ax):
    plot.activation_map(layer(4), ax=ax)
    np.testing.assert_allclose(ax.get_images()[0].get_array()[[0, 10, 5], 25], [0.25, 0.25, 0])


def test_units_without_a_pitch_are_curves_or_rows(ax):
    gru = Features(np.arange(5 * 40).reshape(5, 1, 40), [np.nan], TIMES_S, "gru")
    plot.activation_map(gru, channel=3, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), gru.values[3, 0])
    whole = plot.activation_map(gru)
    np.testing.assert_array_equal(whole.get_images()[0].get_array(), gru.values[:, 0])
    assert whole.get_ylabel() == "Unit (number)" and whole.get_ylim() == (-0.5, 4.5)


def test_channels_side_by_side_share_one_scale():
    louder = layer(70)
    louder = Features(
        louder.values * np.arange(1, 71)[:, None, None], LOG_HZ, TIMES_S, "cnn.layer1"
    )
    figure = plot.activations(louder, melody=MELODY, time_s=0.5)
    small = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in small] == [str(n) for n in range(64)]
    assert len({ax.get_images()[0].get_clim() for ax in small}) == 1
    assert all(len(ax.lines) == 2 and ax.lines[1].get_xdata() == [0.5, 0.5] for ax in small)
    figure = plot.activations(layer(70), channels=[69, 3, 5], columns=2)
    assert drawn(figure) >= {"69", "3", "5"}
    small = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_visible() for ax in figure.axes[:4]] == [True, True, True, False]
    np.testing.assert_array_equal(small[1].get_images()[0].get_array(), layer(70).values[3])
    assert "Time (s)" in figure.get_supxlabel() and "Hz" in figure.get_supylabel()


SAYS = Salience(
    np.linspace(0.01, 0.02, 61 * 40).reshape(61, 40),
    110 * 2 ** (np.arange(61) / 12),
    TIMES_S,
    unvoiced=np.linspace(0, 0.8, 40),
)
ROWS = {"input": layer(1), "one channel": (layer(3), 2), "output": SAYS, "truth": MELODY}


def test_aligned_pictures_share_clock_and_pitch():
    figure = plot.aligned(ROWS)
    assert drawn(figure) >= set(ROWS)
    rows = [ax for ax in figure.axes if ax.get_title("left")]
    assert [ax.get_title("left") for ax in rows] == list(ROWS)
    assert len({ax.get_xlim() for ax in rows}) == 1 and len({ax.get_ylim()[1] for ax in rows}) == 1
    assert len({tuple(np.round(ax.bbox.intervalx, 3)) for ax in rows}) == 1, (
        "one moment is not one vertical"
    )
    np.testing.assert_array_equal(rows[1].get_images()[0].get_array(), layer(3).values[2])
    np.testing.assert_allclose(
        rows[2].collections[0].get_array().ravel(), SAYS.unvoiced
    )  # the row of "no melody"
    np.testing.assert_array_equal(rows[3].collections[0].get_array().ravel(), ~MELODY.voiced)
    assert [label.get_text() for label in rows[2].get_yticklabels()][0] == "no melody"
    assert [bool(ax.get_xlabel()) for ax in rows] == [False, False, False, True]


@pytest.mark.parametrize(("time_s", "frame", "note"), [(0.3, 6, "A3"), (0.6, 12, "no melody")])
def test_the_cursor_shows_what_each_says_at_that_moment(time_s, frame, note):
    gru = Features(np.arange(40.0)[None, None], [np.nan], TIMES_S, "gru")
    figure = plot.aligned(ROWS | {"unit": (gru, 0)}, time_s=time_s, melody=OTHER)
    assert f"at {time_s:.2f} s" in drawn(figure)
    rows = {ax.get_title("left"): ax for ax in figure.axes if ax.get_title("left")}
    assert all(list(ax.lines[-1].get_xdata()) == [time_s, time_s] for ax in rows.values())
    values, freqs_hz = (
        next(ax for ax in figure.axes if ax.lines and len(ax.lines[0].get_xdata()) == 61)
        .lines[0]
        .get_data()
    )
    np.testing.assert_array_equal(values, SAYS.values[:, frame])
    np.testing.assert_array_equal(freqs_hz, SAYS.freqs_hz)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == ["no melody", note, f"{frame:.2f}"]


def test_probabilities_have_the_same_colours_in_every_picture():
    values, unvoiced = (
        np.full((61, 40), 1 / 62),
        np.full(40, 1.3 / 62),
    )  # weighed by an unvoiced_gain
    values[:, 3] = 0  # a silent frame
    even = Salience(values, SAYS.freqs_hz, TIMES_S, unvoiced=unvoiced)
    figure = plot.aligned({"output": even})
    assert figure.axes[0].get_images()[0].get_clim() == (0, 1)
    figure = plot.aligned(
        {"powers": Salience(even.values * 1e-3, SAYS.freqs_hz, TIMES_S, unvoiced=np.full(40, 1e-4))}
    )
    assert figure.axes[0].get_images()[0].get_clim()[1] == pytest.approx(1e-4)


def test_attribution_is_added_up_to_semitones_and_keeps_its_sum(ax):
    plot.attribution_map(attributed(), ax=ax)
    shown = ax.get_images()[0].get_array()
    assert shown.shape == (61, 40) and shown.sum() == pytest.approx(attributed().values.sum())
    assert shown[12, 20] == -1 and shown.max() <= 1.5
    ring = ax.lines[0]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (
        1.0,
        440.0,
    ) and ring.get_markerfacecolor() == "none"
    assert ax.get_title("left") == "For (red) and against (blue) A4 at 1.00 s"
    red, _, blue, _ = ax.get_images()[0].to_rgba(shown)[24, 20]
    assert red > blue


def test_attribution_of_silence_marks_the_moment(ax):
    plot.attribution_map(attributed(np.nan), ax=ax)
    assert "no melody" in ax.get_title("left") and list(ax.lines[0].get_xdata()) == [1, 1]


def test_error_bars_count_every_frame(ax):
    lines = {
        "H_F0": ["right"] * 5 + ["octave"] * 3 + ["other"],
        "layer": ["right"] * 8 + ["semitone"],
    }
    plot.pitch_error_bars(lines, ax=ax)
    widths = np.array([[bar.get_width() for bar in bars] for bars in ax.containers])
    np.testing.assert_array_equal(widths, [[5, 8], [0, 1], [0, 0], [3, 0], [1, 0]])
    left = np.array([[bar.get_x() for bar in bars] for bars in ax.containers])
    np.testing.assert_array_equal(left[1:], (left + widths)[:-1])  # end to end
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["5", "8", "1", "3", "1"]
    assert len({bars[0].get_hatch() for bars in ax.containers[1:4]}) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["H_F0", "layer"]
    assert list(plot.PITCH_ERRORS) == ["right", "semitone", "tone", "octave", "other"]


@pytest.mark.parametrize("frames", [1, 5])
def test_silence_inside_a_network_makes_pictures(frames):
    dark = Features(np.zeros((3, 61, frames)), SAYS.freqs_hz, TIMES_S[:frames], "cnn")
    nothing = melody_of(np.full(frames, np.nan))
    says = Salience(
        np.zeros((61, frames)), SAYS.freqs_hz, TIMES_S[:frames], unvoiced=np.zeros(frames)
    )
    drawn(plot.aligned({"a": dark, "b": says, "c": nothing}, time_s=0.0, melody=nothing))
    drawn(plot.activations(dark, melody=nothing))
    still = explain.Attribution(
        dark.values[:1], dark.freqs_hz, dark.times_s, "attribution", 0.0, 440.0, 0.0, 0.0
    )
    drawn(plot.attribution_map(still).figure)
    drawn(plot.pitch_error_bars({"a": np.array([])}).figure)


# --- training -------------------------------------------------------------------------------------


def test_learning_curve_shows_every_loss_their_mean_over_ten_and_the_validations(ax):
    losses = [4.0] * 10 + [2.0] * 10
    history = [{"step": step, "RPA": step / 40, "OA": 0.5} for step in (10, 20)]
    plot.learning_curve(losses, history, ax=ax)
    steps, mean = ax.lines
    np.testing.assert_array_equal(steps.get_ydata(), losses)
    np.testing.assert_array_equal(steps.get_xdata(), np.arange(1, 21))
    np.testing.assert_allclose(mean.get_ydata(), [4.0] * 10 + [3.8 - 0.2 * n for n in range(10)])
    (side,) = [other for other in ax.figure.axes if other is not ax]
    assert [list(line.get_ydata()) for line in side.lines] == [
        [0.25, 0.5],
        [0.5, 0.5],
    ] and side.get_ylim() == (0, 1)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "loss of one step",
        "mean of ten",
        "RPA",
        "OA",
    ]


@pytest.mark.parametrize("losses", [[], [3.0]])
def test_learning_curve_of_nothing_and_of_one_step(losses, ax):
    plot.learning_curve(losses, ax=ax)
    drawn(ax.figure)
    assert ax.get_ylim()[0] == 0


# --- masks ----------------------------------------------------------------------------------------


def test_a_mask_is_black_at_0_and_white_at_1_with_its_gate_on_the_songs_clock(ax):
    mask = Mask(np.linspace(0, 0.5, 121)[:, None] * np.ones(40), LOG_HZ, TIMES_S)
    gate = np.linspace(0, 1, 40)
    plot.mask_map(mask, gate=gate, melody=OTHER, ax=ax)
    drawn(ax.figure)
    image = ax.get_images()[0]
    assert image.get_clim() == (0, 1)
    np.testing.assert_allclose(image.get_array(), mask.values)
    line = ax.lines[-1]
    np.testing.assert_allclose(line.get_ydata(), 0.03 + 0.94 * gate)  # also 0 and 1 are seen
    low, high = ax.get_ylim()
    assert line.get_transform().transform([(0, 0)])[0, 1] == pytest.approx(
        ax.transData.transform([(0, low)])[0, 1]
    )
    assert line.get_transform().transform([(0, 1)])[0, 1] == pytest.approx(
        ax.transData.transform([(0, high)])[0, 1]
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["melody", "gate, 0 to 1"]


def test_a_mask_on_bins_of_a_spectrum_is_linear_in_hz(ax):
    plot.mask_map(
        Mask(np.zeros((257, 40)), LINEAR_HZ, TIMES_S), ax=ax, fmax_hz=4000, colorbar=False
    )
    assert ax.get_yscale() == "linear" and ax.get_ylim()[1] == 4000 and len(ax.figure.axes) == 1


def test_spectrograms_on_one_scale_can_be_compared_by_level(ax):
    soft = stft(np.full((257, 40), 0.01))
    plot.spectrogram(soft, ax=ax, loudest=1.0)
    np.testing.assert_allclose(ax.get_images()[0].get_array(), -20)


def test_the_spectra_of_our_networks_are_decibels_already(ax):
    half = Features(np.full((2, 121, 40), 0.5), LOG_HZ, TIMES_S, "spectra")
    plot.spectrogram(half, ax=ax)
    np.testing.assert_allclose(ax.get_images()[0].get_array(), -40)


# --- attention and kernels ------------------------------------------------------------------------


def looking(frequency=True):
    """Two channels: one looks at row 3 of 8 alone, the other everywhere alike; both at the last of
    10 frames.
    """
    over_hz = np.stack([np.eye(8)[3], np.full(8, 1 / 8)])
    over_time = np.tile(np.eye(10)[9], (2, 1))
    freqs_hz, times_s = 110 * 2 ** (np.arange(8) / 4), 0.5 + 0.05 * np.arange(10)
    return explain.AttentionMaps(
        over_hz if frequency else None, freqs_hz, over_time, times_s, None, ("itself",)
    )


def test_attention_is_drawn_along_the_axis_it_weighs():
    picture = Features(
        np.random.default_rng(0).random((3, 121, 40)).astype(np.float32), LOG_HZ, TIMES_S, "cfp"
    )
    maps = looking()
    above, _, ax, beside = plot.attention(picture, maps, melody=OTHER).axes
    mean = above.lines[-2]
    np.testing.assert_allclose(mean.get_xdata(), maps.times_s)
    np.testing.assert_allclose(mean.get_ydata(), 10 * np.eye(10)[9])  # multiples of equal weights
    np.testing.assert_allclose(beside.lines[-2].get_ydata(), maps.freqs_hz)
    np.testing.assert_allclose(
        beside.lines[-2].get_xdata(), [0.5, 0.5, 0.5, 4.5, 0.5, 0.5, 0.5, 0.5]
    )
    assert list(above.lines[-1].get_ydata()) == [1, 1], "no preference"
    shown = ax.get_images()[0].get_array()
    np.testing.assert_allclose(
        shown, picture.values[0][:, 10:20], atol=1e-6
    )  # the block that the maps are of
    assert above.get_xlim() == ax.get_xlim() and beside.get_ylim() == ax.get_ylim()


def test_attention_that_a_variant_lacks_is_said_to_be_none():
    picture = Features(np.zeros((3, 121, 40), np.float32), LOG_HZ, TIMES_S, "cfp")
    above, _, _, beside = plot.attention(picture, looking(frequency=False)).axes
    assert (
        [text.get_text() for text in beside.texts] == ["none"]
        and not beside.lines
        and len(above.lines) == 4
    )


def test_kernels_are_columns_in_the_order_asked_for(ax):
    levels_db = np.full((3, 9), -60.0)
    levels_db[[0, 1, 2], [6, 1, 3]] = 0
    freqs_hz = np.arange(9) * 1000.0
    found = explain.KernelResponses(
        np.zeros((3, 64)),
        np.arange(64.0),
        levels_db,
        freqs_hz,
        np.array([6e3, 1e3, 3e3]),
        np.ones(3),
    )
    plot.kernel_responses(found, order=found.centres_hz.argsort(), ax=ax)
    shown = ax.get_images()[0].get_array()
    np.testing.assert_array_equal(shown.argmax(axis=0), [1, 3, 6])
    assert (
        ax.get_xlabel() == "Kernel, sorted"
        and ax.get_title("left") == "64 samples"
        and ax.get_ylim() == (0, 8)
    )


# --- drums ----------------------------------------------------------------------------------------


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

"""Pictures of what is inside a network, of its masks, its attention and how it learned."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pictured import (
    LINEAR_HZ,
    LOG_HZ,
    MELODY,
    OTHER,
    TIMES_S,
    attributed,
    brightest_pixel,
    layer,
    melody_of,
    stft,
)

from melodylab import explain, plot
from melodylab.records import Features, Mask, Salience

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("no_show")]


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


# --- training ---


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


# --- masks ---


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


# --- attention and kernels ---


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

import dataclasses
import functools
import io
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image

from melodylab import drums, explain, models, separation, sfnmf, sonify, synth, training
from melodylab.course import panel as panel_base
from melodylab.course import panels
from melodylab.dsp import features
from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.records import DrumOnsets, Features, Melody, Salience, Song

pytestmark = pytest.mark.filterwarnings("error")


def controls():
    return {
        "height": ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.1),
        "kind": ipywidgets.Dropdown(options=["line", "dots", "broken"]),
    }


def draw(height, kind):
    figure, ax = plt.subplots(figsize=(4, 3))  # as a student would: through pyplot, never closed
    ax.plot([0, 1], [height, height], ":" if kind == "dots" else "-")
    ax.set(title=f"{kind} at {height}", ylim=(0, 1))
    if kind == "broken":
        raise ValueError("no <such>\nkind")
    return figure


@pytest.fixture
def panel():
    return panels.Panel(draw, controls(), height_px=300)


class _Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def screen(panel):
    """[(tag, attributes)] of what the panel shows below its controls."""
    return _Tags(panel.ui.children[1].value).tags


def test_one_picture_of_fixed_height_with_alt_text(panel):
    heights = {panel.ui.children[1].layout.height}
    for height, kind in ((0.0, "line"), (1.0, "dots")):
        panel.controls["height"].value, panel.controls["kind"].value = height, kind
        [(tag, image)] = screen(panel)
        assert tag == "img" and "height:300px" in image["style"]
        assert image["alt"] == f"{kind} at {height}. height={height}, kind='{kind}'"
        assert Image.open(io.BytesIO(panel.picture.png)).size == (400, 300)
        heights.add(panel.ui.children[1].layout.height)
    assert heights == {"310px"}


def test_picture_is_that_of_the_state_and_the_same_each_time(panel):
    first = panel.picture.png
    panel.controls["height"].value = 0.2
    assert panel.picture.png != first
    panel.controls["height"].value = 0.5
    assert panel.picture.png == first


def test_sliders_report_when_let_go(panel):
    assert panel.controls["height"].continuous_update is False


def test_fifty_moves_leave_no_figure(panel):
    before = plt.get_fignums()
    for n in range(50):
        panel.controls["height"].value = n / 50
    assert plt.get_fignums() == before == []


def test_figures_of_others_stay_open():
    mine = plt.figure()
    panel = panels.Panel(draw, controls())
    panel.controls["height"].value = 0.1
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_an_error_is_shown_in_a_line_and_raised(panel):
    with pytest.raises(ValueError, match="no <such>"):
        panel.controls["kind"].value = "broken"
    [(tag, attributes)] = screen(panel)
    assert tag == "p" and attributes["role"] == "alert"  # and <such> became no tag
    assert (
        "height=0.5, kind=&#x27;broken&#x27;: ValueError: no &lt;such&gt; kind"
        in panel.ui.children[1].value
    )
    assert plt.get_fignums() == [], "the broken figure is still open"
    panel.controls["kind"].value = "dots"
    assert screen(panel)[0][0] == "img"


def test_draw_must_return_a_figure_or_axes():
    for wrong in (None, 3):
        with pytest.raises(TypeError, match="draw must return"):
            panels.Panel(lambda height, kind, wrong=wrong: wrong, controls())
    panel = panels.Panel(lambda height, kind: Figure(figsize=(2, 1)).subplots(), controls())
    assert Image.open(io.BytesIO(panel.picture.png)).size == (200, 100)


def test_state_goes_out_and_comes_back(panel):
    panel.controls["height"].value = 0.1 + 0.2
    assert panel.state == {"height": 0.3, "kind": "line"}
    assert (
        json.loads(json.dumps(panel.state)) == panel.state
        and repr(panel) == "Panel(height=0.3, kind='line')"
    )
    other = panels.Panel(draw, controls(), height_px=300)
    other.set(**panel.state)
    assert other.state == panel.state and other.picture.png == panel.picture.png


def test_set_draws_once():
    calls = []
    panel = panels.Panel(lambda **state: calls.append(state) or draw(**state), controls())
    panel.set(height=1.0, kind="dots")
    assert calls == [{"height": 0.5, "kind": "line"}, {"height": 1.0, "kind": "dots"}]


@pytest.mark.parametrize(
    "state", [{"height": 7.0}, {"kind": "dots", "height": -1.0}, {"kind": "circus"}, {"weight": 1}]
)
def test_set_refuses_what_the_controls_cannot_take(panel, state):
    before, picture = panel.state, panel.picture
    with pytest.raises(
        ValueError,
        match=f"{list(state)[-1]} cannot be|this panel has no weight; it has height, kind",
    ):
        panel.set(**state)
    assert panel.state == before and panel.picture is picture


def test_draw_by_hand_moves_nothing(panel):
    figure = panel.draw(height=0.9)
    assert figure.axes[0].get_title() == "line at 0.9" and panel.state["height"] == 0.5
    plt.close(figure)


def test_sound_follows_the_state():
    class Html:
        def __init__(self, data):
            self.data = data

    panel = panels.Panel(
        draw, controls(), sound=lambda height, kind: Html(f"<audio title='{height}'></audio>")
    )
    panel.controls["height"].value = 0.8
    assert panel.ui.children[2].value == "<audio title='0.8'></audio>"
    with pytest.raises(ValueError):
        panel.controls["kind"].value = "broken"
    assert panel.ui.children[2].value == "", "a player that belongs to no picture"


def test_shows_itself_and_falls_back_to_its_picture(panel):
    data, metadata = panel._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.ui.model_id
    assert data["image/png"] and metadata["image/png"]["alt"].startswith("line at 0.5")
    assert data["text/plain"] == "Panel(height=0.5, kind='line')"


def test_show_gives_alt_text_and_closes(monkeypatch):
    shown = []
    monkeypatch.setattr(panel_base, "display", shown.append)
    _, ax = plt.subplots()
    panels.show(ax, alt="A line\n  that rises")
    data, metadata = shown[0]._repr_mimebundle_()
    assert (
        metadata == {"image/png": {"alt": "A line that rises"}}
        and data["text/plain"] == "A line that rises"
    )
    assert plt.get_fignums() == []


def test_pictures_are_light():
    figure = Figure(figsize=(10, 4), layout="constrained")
    noise = np.random.default_rng(0).random((400, 900)).cumsum(axis=1) % 1
    figure.subplots().imshow(noise, cmap="magma", aspect="auto")
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=panels.DPI)
    assert len(panels.Picture(figure, "noise").png) < 0.6 * len(full.getvalue())


def test_revoiced_keeps_pitches_and_moves_the_threshold():
    melody = Melody(np.arange(4.0), [100, 200, 300, np.nan], [0.1, 0.4, 0.9, 0.2])
    assert panels.revoiced(melody, 0.4).voicing.tolist() == [0, 1, 1, 0]
    assert panels.revoiced(melody, 0).voiced.tolist() == [
        True,
        True,
        True,
        False,
    ]  # no pitch, nothing to voice
    np.testing.assert_array_equal(panels.revoiced(melody, 0.4).f0_hz, melody.f0_hz)


# --- the ready-made panels ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """Half a second of a 220 Hz tone, its true melody, a salience and a melody for it."""
    sr = 22050
    times_s = np.arange(44) * 256 / sr
    truth = Melody(times_s, np.full(44, 220.0), (times_s < 0.3).astype(float))
    tone = np.sin(2 * np.pi * 220 * np.arange(sr // 2) / sr) * 0.5
    salience = Salience(np.ones((61, 44)), 110 * 2 ** (np.arange(61) / 30), times_s)
    estimate = Melody(times_s, np.full(44, 220.0), np.linspace(1, 0, 44))
    return Song.from_array(tone, sr, melody=truth), salience, estimate


@functools.cache
def factorised():
    """(power, snapshots after 1 and 3 iterations) of noise."""
    snapshots = []
    settings = sfnmf.Settings(iterations=3, n_accompaniment=4, n_filters=3)
    power = np.random.default_rng(0).exponential(size=(513, 44))
    sfnmf.factorise(
        power, settings, keep=lambda iteration, factors: snapshots.append((iteration, factors[0]))
    )
    return power, snapshots[::2]


def threshold(song, salience, melody):
    return panels.threshold_panel(
        {"ours": (salience, melody), "truth": (salience, song.melody)}, song.melody
    )


def threshold_without_truth(song, salience, melody):
    return panels.threshold_panel({"ours": (salience, melody)})


def representation(song, salience, melody):
    return panels.representation_panel(song)


def factorisation(song, salience, melody):
    return panels.sfnmf_panel(*factorised(), reference=song.melody)


@functools.cache
def network():
    """An untrained CRNN and an input for it, of half a second."""
    torch.manual_seed(0)
    values, freqs_hz = (
        np.random.default_rng(0).exponential(size=(1, 301, 44)),
        55 * 2 ** (np.arange(301) / 60),
    )
    return models.create_model("sf-crnn-1"), Features(
        values, freqs_hz, np.arange(44) * 256 / 22050, "sf"
    )


def crnn(song, salience, melody, names=("cnn.layer4", "gru")):
    model, picture = network()
    return panels.crnn_panel(song, model, picture=picture, names=names)


@functools.cache
def attentive():
    """A small FTANet with an opinion about where to look, and a picture for it, two blocks long."""
    torch.manual_seed(0)
    model = models.create_model("ftanet", width=4)
    with torch.no_grad():
        for name, part in model.named_parameters():
            if "_map.conv2" in name or "_features.conv2" in name:
                part.mul_(20)
    values = np.random.default_rng(0).random((3, 320, 200)).astype(np.float32)
    return model, Features(values, 31 * 2 ** (np.arange(320) / 60), np.arange(200) * 0.01, "cfp")


def attention(song, salience, melody):
    model, picture = attentive()
    return panels.attention_panel(song, model, picture=picture)


@functools.cache
def filtering():
    """A multires network with eight kernels of either length, four sines among noise, and a second of a waveform."""
    torch.manual_seed(0)
    model, t = models.create_model("multires", kernels=8), np.arange(960) / 16000
    with torch.no_grad():
        for k, f_hz in enumerate((800, 100, 200, 400)):
            model.long.conv.weight[k, 0] = torch.from_numpy(np.sin(2 * np.pi * f_hz * t)).float()
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 160, 100)).astype(np.float32)
    return model, Features(wave, np.arange(160.0), np.arange(100) * 0.01, "wave")


def filters(song, salience, melody):
    model, picture = filtering()
    return panels.filter_panel(song, model, picture=picture)


@functools.cache
def separating():
    """An untrained unet, which shares out every cell in its own way."""
    torch.manual_seed(0)
    return models.create_model("unet")


def desk(song, salience, melody):
    song = dataclasses.replace(song, stems={"melody": song.audio})
    return panels.mixing_desk(
        song, separating(), melodies={"by the truth": song.melody, "by ours": melody}
    )


MAKERS = [
    threshold,
    threshold_without_truth,
    representation,
    factorisation,
    crnn,
    attention,
    filters,
    desk,
]


@pytest.mark.parametrize("make", MAKERS)
def test_ready_made_panels_draw_at_both_ends_of_each_control(make, tiny):
    panel = make(*tiny)
    seen = {panel.picture.png}
    for name, control in panel.controls.items():
        if hasattr(control, "options"):
            ends = [
                option[1] if isinstance(option, tuple) else option for option in control.options
            ]
            ends = (
                ends[:: len(ends) - 1] if isinstance(control, ipywidgets.SelectionSlider) else ends
            )
        else:
            ends = [control.min, control.max] if hasattr(control, "min") else [False, True]
        for value in ends:
            control.value = value
            assert [tag for tag, _ in screen(panel)] == ["img"], (name, value)
            assert panel.picture.alt.endswith(panel._words(panel.state))
            seen.add(panel.picture.png)
    assert len(seen) > len(panel.controls), "the controls change nothing"
    assert plt.get_fignums() == []


def test_threshold_panel_says_the_scores(tiny):
    panel = threshold(*tiny)
    panel.set(method="ours", threshold=0.0)
    assert (
        "RPA 1.00" in panel.picture.alt and "VFA 1.00" in panel.picture.alt
    )  # everything is voiced
    panel.set(method="truth", threshold=0.5)
    assert "OA 1.00" in panel.picture.alt and "VFA 0.00" in panel.picture.alt


def test_representation_panel_computes_each_transform_once(tiny, monkeypatch):
    calls = []
    original = features.power_spectrogram
    monkeypatch.setattr(
        features,
        "power_spectrogram",
        lambda *a, **o: calls.append(o["win_samples"]) or original(*a, **o),
    )
    panel = panels.representation_panel(tiny[0])
    for value in (0.2, 0.9):
        panel.controls["exponent"].value = value
    panel.set(bins_per_octave=12, lines=3)
    panel.set(window_samples=512)
    panel.set(window_samples=2048)
    assert calls == [2048, 512]


def test_representation_panel_offers_only_what_counts(tiny):
    panel = panels.representation_panel(tiny[0])
    off = {
        kind: {name for name, control in panel.controls.items() if control.disabled}
        for kind in ("STFT", "CQT", "HCQT", "CFP")
        if panel.set(representation=kind) is None
    }
    assert off == {
        "STFT": {"bins_per_octave", "layer", "cfp_layer"},
        "CQT": {"window_samples", "layer", "cfp_layer"},
        "HCQT": {"window_samples", "cfp_layer"},
        "CFP": {"window_samples", "bins_per_octave", "layer"},
    }
    panel.set(cfp_layer=2)
    assert panel.picture.alt.startswith("CFP, cepstrum. ")


def test_factorisation_panel_scrubs_the_iterations(tiny):
    panel = factorisation(*tiny)
    assert panel.state == {"iteration": 3, "part": "H_F0", "truth": False}
    panel.set(iteration=1, part="residual")
    assert panel.picture.alt.startswith("After 1 iterations: what the model does not explain")
    figure = panel.draw()
    trace, dot = figure.axes[1].lines
    assert dot.get_xdata()[0] == 1 and dot.get_ydata()[0] == trace.get_ydata()[1]


def test_network_panel_silences_the_channel_it_shows(tiny):
    model, picture = network()
    panel = crnn(*tiny, names=None)
    assert panel.state == {"layer": "cnn.layer1", "channel": 0, "time_s": 0.2, "silence": False}
    assert panel.controls["layer"].options == (
        "cnn.layer1",
        "cnn.layer2",
        "cnn.layer3",
        "cnn.layer4",
        "cnn.layer5",
        "gru",
    )
    assert panel.ui.children[2].value.count("<audio") == 1
    as_it_is = run.salience(model, picture)
    for layer, channel in (("cnn.layer4", 3), ("gru", 200)):
        panel.set(layer=layer, channel=channel, silence=True)
        with explain.ablate(model, layer, channel):
            silenced = run.salience(model, picture)
        rows = {ax.get_title("left"): ax.get_images() for ax in panel.draw().axes}
        np.testing.assert_array_equal(rows["the output"][0].get_array(), silenced.values)
        assert not np.array_equal(silenced.values, as_it_is.values)
        assert panel.ui.children[2].value.count("<audio") == 2
        assert f"without channel {channel} of {layer}" in panel.ui.children[2].value
        assert panel.picture.alt.startswith(f"{layer}, channel {channel} silenced: RPA 0.")
    titles = [ax.get_title("left") for ax in panel.draw().axes if ax.get_title("left")]
    assert titles[1:3] == [
        "what the convolutions hand on",
        "gru, channel 200 (silenced for all that follows)",
    ]
    panel.set(silence=False)
    rows = {ax.get_title("left"): ax.get_images() for ax in panel.draw().axes}
    np.testing.assert_array_equal(rows["the output"][0].get_array(), as_it_is.values)
    assert "true is A3" in panel.picture.alt
    plt.close("all")  # what draw gives by hand is the caller's


def test_network_panel_keeps_its_channel_slider_in_range_and_draws_once(tiny, monkeypatch):
    panel, moves = crnn(*tiny), []
    monkeypatch.setattr(
        panel,
        "_draw",
        lambda original=panel._draw, **state: moves.append(state) or original(**state),
    )
    panel.set(channel=255, layer="gru")  # in whatever order it is written
    panel.controls["layer"].value = "cnn.layer4"
    assert panel.state["channel"] == panel.controls["channel"].max == 15
    assert [(move["layer"], move["channel"]) for move in moves] == [
        ("gru", 255),
        ("cnn.layer4", 15),
    ]
    with pytest.raises(ValueError, match="channel cannot be 16"):
        panel.set(channel=16)


def test_network_panel_runs_the_network_once_a_channel(tiny, monkeypatch):
    panel, runs = crnn(*tiny), []
    original = run.salience
    monkeypatch.setattr(run, "salience", lambda *a, **o: runs.append(1) or original(*a, **o))
    panel.set(silence=True, channel=5)
    panel.set(time_s=0.1)
    panel.set(silence=False)
    assert len(runs) == 1


def test_network_panel_finds_the_front_end_or_says_what_is_missing(tiny, monkeypatch):
    model, picture = network()
    heard = []
    monkeypatch.setitem(inputs.FRONT_ENDS, "sf", lambda song: heard.append(song) or picture)
    song = Song(tiny[0].audio, tiny[0].sr)  # without truth
    panel = panels.crnn_panel(song, model, names="gru")
    assert heard == [song]
    assert (
        panel.picture.alt.startswith("gru, channel 0; at 0.20 s the output says ")
        and "true" not in panel.picture.alt
    )
    with pytest.raises(InputError, match="does not say what it hears; give its input: picture="):
        panels.crnn_panel(tiny[0], models.crnn.CRNN("cnn1", 8))


def test_filter_panel_goes_from_low_to_high(tiny):
    panel = filters(*tiny)
    panel.set(length="long", kernel=0)
    assert "kernel 0 by frequency: 100 Hz" in panel.picture.alt
    panel.set(kernel=1)
    assert "kernel 1 by frequency: 200 Hz" in panel.picture.alt
    wave = panel.draw().axes[0].lines[0]
    np.testing.assert_allclose(wave.get_ydata(), filtering()[0].long.conv.weight[2, 0].detach())
    with pytest.raises(InputError, match="no filter banks; choose a multires"):
        panels.filter_panel(tiny[0], models.create_model("segnet"), picture=attentive()[1])
    plt.close("all")


def test_attention_panel_flattens_the_map_it_blends(tiny):
    panel = attention(*tiny)
    panel.set(level=4, time_s=0.5)
    above, _, _, beside = panel.draw().axes
    assert np.ptp(beside.lines[-2].get_xdata()) > 0.02
    panel.set(blend=1.0)
    above, _, _, beside = panel.draw().axes
    np.testing.assert_allclose(beside.lines[-2].get_xdata(), 1, rtol=1e-4)
    assert np.ptp(above.lines[-2].get_ydata()) > 0.02, "the other axis is as it was"
    assert panel.picture.alt.startswith("level 4, over frequency, 100% uniform: OA ")
    assert len(panel._player.value.split("<audio")) == 3, "both melodies"
    model, picture = attentive()
    assert explain.attention(model, picture, 0.5, 4).frequency.std() > 0, "the network is as it was"
    plt.close("all")


def test_attention_panel_of_a_network_without_attention_is_refused(tiny):
    with pytest.raises(InputError, match="no attention maps; choose an FTANet"):
        panels.attention_panel(tiny[0], models.create_model("segnet"), picture=attentive()[1])


def test_mixing_desk_is_the_song_itself_at_zero_and_silent_with_both_faders_down(tiny, monkeypatch):
    played = []
    monkeypatch.setattr(sonify, "player", lambda y, *_, gain, **__: played.append((y, gain)) or "")
    panel = desk(*tiny)
    np.testing.assert_allclose(played[-1][0], tiny[0].audio, atol=1e-6)
    panel.set(melody_db=-60, accompaniment_db=-60)
    assert not played[-1][0].any()
    panel.set(melody_db=6, accompaniment_db=6)
    loudest, gain = np.abs(played[-1][0]).max(), played[-1][1]
    assert gain == played[0][1] and 0.8 < loudest * gain <= 1, (
        "one gain for all settings, and no clipping"
    )
    panel.set(accompaniment_db=-60, melody_db=0)
    lead = played[-1][0]
    panel.set(accompaniment_db=0, melody_db=-60)
    np.testing.assert_allclose(lead + played[-1][0], tiny[0].audio, atol=1e-6)


def test_mixing_desk_runs_the_network_once_a_leader_and_the_mask_once_a_setting(tiny, monkeypatch):
    asked, applied = [], []
    mask, lead_by_mask = run.mask, separation.lead_by_mask
    monkeypatch.setattr(run, "mask", lambda m, p, line: asked.append(line) or mask(m, p, line))
    monkeypatch.setattr(
        separation, "lead_by_mask", lambda s, m, g: applied.append((m, g)) or lead_by_mask(s, m, g)
    )
    panel = desk(*tiny)
    for moved in (
        {"melody_db": -12},
        {"accompaniment_db": 3},
        {"sharpness": np.inf},
        {"gate": "off"},
        {"led": "by ours"},
    ):
        panel.set(**moved)
    panel.set(led="alone")
    assert asked == [None, tiny[2]]
    assert len(applied) == 4
    assert [gate is None for _, gate in applied] == [False, False, True, True]
    assert set(np.unique(applied[1][0].values)) <= {0, 0.5, 1}, "binary"
    assert panel.picture.alt.startswith(
        "melody -12 dB, accompaniment +3 dB; this mask's melody: SDR"
    )


def test_mixing_desk_of_a_song_without_truth_and_of_a_network_that_cannot_be_led(tiny):
    song = Song.from_array(tiny[0].audio, tiny[0].sr)
    panel = panels.mixing_desk(song, separating())
    assert panel.controls["led"].options == ("alone",) and "SDR" not in panel.picture.alt
    panel = panels.mixing_desk(tiny[0], models.create_model("unet-mel", channels=(2, 4)))
    assert panel.controls["led"].options == ("alone",)


# --- training while you watch ---------------------------------------------------------------------


def test_live_loss_draws_every_so_many_steps():
    live = panels.LiveLoss(every=2)
    assert "Nothing learned yet" in live.ui.value and live.picture is None
    live(1, 4.0)
    assert live.picture is None
    live(2, 3.0)
    assert (
        live.losses == [4.0, 3.0]
        and live.picture.alt == "The loss went from 4.00 to 3.00 in 2 steps"
    )
    first = live.ui.value
    live(3, 2.0)
    assert live.ui.value == first
    live(4, 1.0)
    assert [tag for tag, _ in _Tags(live.ui.value).tags] == ["img"] and live.ui.value != first
    data = live._repr_mimebundle_()
    assert data["text/plain"] == "LiveLoss()" and data["application/vnd.jupyter.widget-view+json"]
    assert plt.get_fignums() == []


@pytest.fixture
def second():
    """A song of a second with its melody."""
    return synth.demo_song(seed=0, seconds=4).excerpt(2.5, 3.5)


def test_training_panel_hands_its_settings_to_the_training_once_each(second, monkeypatch, tmp_path):
    asked, losses = [], [4.0, 3.5]

    def fit(recipe, *, validate, device, features, on_step):
        asked.append(training.Recipe.from_dict(recipe))
        assert validate == [second] and features == tmp_path
        for step, loss in enumerate(losses, 1):
            on_step(step, loss)
        return models.create_model(recipe["model"]["name"]), []

    monkeypatch.setattr(training, "fit", fit)
    panel = panels.training_panel(second, steps=2, songs=(1, 3), seconds=5, features=tmp_path)
    assert panel.ui.children[-1].value == "step 2 of 2: loss 3.50"
    assert "A song it never heard" in panel.picture.alt
    panel.set(songs=1, learning_rate=1e-2, rests=False, formant_voice=False)
    panel.set(drums=False)
    panel.draw(
        songs=3, learning_rate=3e-3, rests=True, formant_voice=True, drums=True
    )  # known already
    assert [recipe.data.songs for recipe in asked] == [3, 1, 1]
    assert [recipe.training.learning_rate for recipe in asked] == [3e-3, 1e-2, 1e-2]
    switches = [
        (r.data.ingredients.formant_voice, r.data.ingredients.rests, r.data.ingredients.drums)
        for r in asked
    ]
    assert switches == [(True, True, True), (False, False, True), (False, False, False)]
    assert {(r.model, r.training.steps, r.data.seconds) for r in asked} == {("cqt-crnn-1", 2, 5.0)}


def test_training_panel_trains(second):
    panel = panels.training_panel(second, steps=2, songs=(1,), seconds=2)
    left, right = panel.draw().axes
    losses = left.lines[0].get_ydata()
    assert (
        len(losses) == 2 and 3 < losses[0] < 6
    )  # a fresh network is as surprised as among 62 equals: 4.1
    assert right.get_title().startswith("A song it never heard:  RPA ")
    assert [tag for tag, _ in screen(panel)] == ["img"] and plt.get_fignums() == []


def test_a_failing_callback_fails_the_notebook_cell(tmp_path):
    cells = [
        "import ipywidgets\nfrom matplotlib.figure import Figure\nfrom melodylab import widgets\n"
        "def draw(n):\n    if n == 3:\n        raise ValueError('planted')\n    return Figure(figsize=(2, 1))\n"
        "panel = widgets.Panel(draw, {'n': ipywidgets.IntSlider(value=1, min=0, max=5)})\npanel",
        "panel.controls['n'].value = 2",
        "panel.controls['n'].value = 3",
        "panel.set(n=4)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    command = [
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-rA",
        "planted.ipynb",
    ]
    root = str(Path(panels.__file__).parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    for n, outcome in enumerate(("PASSED", "PASSED", "FAILED", "PASSED")):
        assert f"{outcome} planted.ipynb::Cell {n}" in done.stdout, done.stdout[-3000:]


# --- drums ----------------------------------------------------------------------------------------


@functools.cache
def beats():
    """Two bars at 120 beats a minute: a low thump on each beat, a click between, with their stems; the true hits."""
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
    return panels.step_panel(beats(), beats().onsets, decays_s=(0.05,))


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


def test_step_panel_learns_only_when_a_step_moves(grid, monkeypatch):
    learned = []
    original = drums.separate
    monkeypatch.setattr(drums, "separate", lambda *a, **o: learned.append(1) or original(*a, **o))
    grid.set(bar=2)
    grid.set(mute="x----", solo="--x--")
    assert learned == []
    grid.set(steps=grid.state["steps"].replace("x", "-", 1))
    assert learned == [1]


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
    other = panels.step_panel(beats(), beats().onsets, decays_s=(0.05,))
    other.set(**grid.state)
    assert other.picture.png == grid.picture.png


def test_step_panel_without_truth_and_without_hits():
    nothing = DrumOnsets(np.zeros(0), (), np.zeros(0))
    panel = panels.step_panel(Song(beats().audio, beats().sr), nothing)
    assert panel.state["steps"].count("x") == 0 and "dB" not in panel.picture.alt
    panel.controls["steps"]._buttons[4][0].value = True
    assert "1 hits (1 added, 0 removed)" in panel.picture.alt

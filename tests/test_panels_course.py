"""The panels of notebooks 00 to 06: every control draws, and each panel says what it is for."""

import dataclasses
import functools

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from panel_screen import screen

from melodylab import explain, models, separation, sfnmf, sonify
from melodylab.course import panel as panel_base
from melodylab.course import panels
from melodylab.dsp import features
from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.records import Features, Melody, Salience, Song

pytestmark = pytest.mark.filterwarnings("error")


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
    """A multires network with four sines among its kernels, and a second of noise."""
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


@pytest.mark.slow
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
            assert panel.picture.alt.endswith(panel_base._words(panel.state))
            seen.add(panel.picture.png)
    assert len(seen) > len(panel.controls), "the controls change nothing"
    assert plt.get_fignums() == []


@pytest.mark.slow
def test_threshold_panel_says_the_scores(tiny):
    panel = threshold(*tiny)
    panel.set(method="ours", threshold=0.0)
    assert (
        "RPA 1.00" in panel.picture.alt and "VFA 1.00" in panel.picture.alt
    )  # everything is voiced
    panel.set(method="truth", threshold=0.5)
    assert "OA 1.00" in panel.picture.alt and "VFA 0.00" in panel.picture.alt


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_factorisation_panel_scrubs_the_iterations(tiny):
    panel = factorisation(*tiny)
    assert panel.state == {"iteration": 3, "part": "H_F0", "truth": False}
    panel.set(iteration=1, part="residual")
    assert panel.picture.alt.startswith("After 1 iterations: what the model does not explain")
    figure = panel.draw()
    trace, dot = figure.axes[1].lines
    assert dot.get_xdata()[0] == 1 and dot.get_ydata()[0] == trace.get_ydata()[1]


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_network_panel_runs_the_network_once_a_channel(tiny, monkeypatch):
    panel, runs = crnn(*tiny), []
    original = run.salience
    monkeypatch.setattr(run, "salience", lambda *a, **o: runs.append(1) or original(*a, **o))
    panel.set(silence=True, channel=5)
    panel.set(time_s=0.1)
    panel.set(silence=False)
    assert len(runs) == 1


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_attention_panel_flattens_the_map_it_blends(tiny):
    panel = attention(*tiny)
    panel.set(level=4, time_s=0.5)
    above, _, _, beside = panel.draw().axes
    assert np.ptp(beside.lines[-2].get_xdata()) > 0.02
    panel.set(blend=1.0)
    above, _, _, beside = panel.draw().axes
    np.testing.assert_allclose(beside.lines[-2].get_xdata(), 1, rtol=1e-4)
    line = max(above.lines, key=lambda line: len(line.get_ydata()))  # not the cursor
    assert np.ptp(line.get_ydata()) > 0.02, "the other axis is as it was"
    assert panel.picture.alt.startswith("level 4, over frequency, 100% uniform: OA ")
    assert len(panel._player.value.split("<audio")) == 3, "both melodies"
    model, picture = attentive()
    assert explain.attention(model, picture, 0.5, 4).frequency.std() > 0, "the network is as it was"
    plt.close("all")


def test_attention_panel_of_a_network_without_attention_is_refused(tiny):
    with pytest.raises(InputError, match="no attention maps; choose an FTANet"):
        panels.attention_panel(tiny[0], models.create_model("segnet"), picture=attentive()[1])


@pytest.mark.slow
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


@pytest.mark.slow
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

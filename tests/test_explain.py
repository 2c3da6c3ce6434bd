import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from melodylab import evaluate, explain, models
from melodylab.dsp.grids import PitchGrid, frame_times_s
from melodylab.errors import InputError
from melodylab.melody import decode
from melodylab.models import inputs, run, unet
from melodylab.models.base import Network
from melodylab.models.crnn import CRNN, NOTES
from melodylab.models.deep_salience import BINS, DeepSalience
from melodylab.records import Features, Melody

pytestmark = pytest.mark.filterwarnings("error")
FINE = PitchGrid(55.0, 60, 301)


class Planted(Network):
    """61 semitones in, and three channels that mean: the line, the line an octave up, nothing. The octave is louder."""

    grid, block_frames = NOTES, 40

    def __init__(self):
        super().__init__()
        self.heard = nn.Conv2d(1, 3, (25, 1), padding=(12, 0))
        self.mix = nn.Conv2d(3, 1, (1, 1))
        nn.init.zeros_(self.heard.weight)
        for part in (self.heard.bias, self.mix.bias):
            nn.init.zeros_(part)
        with torch.no_grad():
            self.heard.weight[0, 0, 12] = self.heard.weight[1, 0, 0] = 1
            self.mix.weight[0, :, 0, 0] = torch.tensor([4.0, 8.0, 1.0])

    def forward(self, x):
        y = self.mix(self.heard(x)).squeeze(1)  # (batch, 61, time)
        return torch.cat([torch.ones_like(y[:, :1]), y], dim=1)


def features_of(rows, grid=NOTES, channels=1):
    """A line of ones in these rows (-1: silence) of a dark picture."""
    values = np.zeros((channels, grid.n_bins, len(rows)), np.float32)
    for n, row in enumerate(rows):
        if row >= 0:
            values[:, row, n] = 1
    return Features(values, grid.freqs_hz, frame_times_s(len(rows), 256, 22050), "sf")


def noise(rng, frames, grid=FINE, channels=1, level=1):
    values = level * rng.exponential(size=(channels, grid.n_bins, frames)).astype(np.float32)
    return Features(values, grid.freqs_hz, frame_times_s(frames, 256, 22050), "sf")


@pytest.fixture(scope="module")
def crnn():
    torch.manual_seed(0)
    model = CRNN("cnn1", 128)
    for module in model.modules():  # statistics as after some training
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, 0, 0.2)
    return model.eval()


@pytest.fixture
def line():
    """90 frames of a line that climbs, with silence in frames 50 to 59."""
    return features_of([-1 if 50 <= n < 60 else 10 + n // 10 for n in range(90)])


def everything(model):
    """All that must be as it was: numbers, modes, gradients, hooks."""
    numbers = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    hooks = [list(module._forward_hooks.values()) for module in model.modules()]
    flags = [(p.requires_grad, p.grad) for p in model.parameters()]
    return numbers, hooks, flags, [module.training for module in model.modules()]


def assert_same(before, after):
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1:] == after[1:]


# --- taps -----------------------------------------------------------------------------------------


def test_taps_see_what_the_layers_make_and_nothing_else(crnn, rng):
    x = torch.from_numpy(noise(rng, 60).values[None].copy())
    with explain.taps(crnn, ["cnn.layer1.*", "gru", "dense"]) as seen, torch.no_grad():
        assert seen == {}
        logits = crnn(x)
    assert list(seen) == ["cnn.layer1.conv", "cnn.layer1.relu", "cnn.layer1.norm", "gru", "dense"]
    assert [tuple(t.shape) for t in seen.values()] == [
        *[(3, 64, 61, 25)] * 3,
        (1, 60, 256),
        (1, 60, 62),
    ]
    torch.testing.assert_close(seen["dense"].transpose(1, 2), logits, rtol=0, atol=0)
    torch.testing.assert_close(
        seen["cnn.layer1.conv"].relu(), seen["cnn.layer1.relu"], rtol=0, atol=0
    )
    assert seen["cnn.layer1.conv"].min() < 0


def test_the_last_call_counts_and_a_glob_takes_all_it_fits(crnn, rng):
    first, second = (
        torch.from_numpy(noise(rng, frames).values[None].copy()) for frames in (25, 50)
    )
    with explain.taps(crnn, "cnn.layer?") as seen, torch.inference_mode():
        crnn(first)
        crnn(second)
    assert list(seen) == [f"cnn.layer{n}" for n in range(1, 6)] and len(seen["cnn.layer5"]) == 2
    with explain.taps(crnn) as seen, torch.inference_mode():
        crnn(first)
    assert set(seen) == set(explain.tap_names(crnn))


def test_what_is_seen_is_a_plain_float32_copy():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    with torch.no_grad():
        model[0].weight.fill_(-1)
        model[0].bias.zero_()
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    with explain.taps(model, "0") as seen, torch.autocast("cpu", torch.bfloat16):
        model(x).sum().backward()
    assert torch.all(seen["0"] == -1), "what ran afterwards wrote into it"
    with explain.taps(model, "0") as after, torch.inference_mode():
        model(x)
    for tensor in (seen["0"], after["0"]):
        assert (
            tensor.dtype == torch.float32 and not tensor.requires_grad and not tensor.is_inference()
        )
    assert x.grad is not None, "looking broke the gradient"


@pytest.mark.parametrize(
    ("names", "wrong", "nearest"),
    [
        ("cnn.layr1.norm", "cnn.layr1.norm", "cnn.layer1.norm, "),
        (["gru", "cnn.layer1.nrom*"], "cnn.layer1.nrom*", "cnn.layer1.norm, "),
        ("zzz", "zzz", "cnn, cnn.layer1, cnn.layer1.conv "),
    ],
)
def test_a_name_that_fits_nothing_gets_the_nearest(crnn, names, wrong, nearest):
    before = everything(crnn)
    sentence = re.escape(f"no layer is called {wrong!r}; nearest: {nearest}")
    with pytest.raises(InputError, match=sentence), explain.taps(crnn, names):
        pass
    assert_same(before, everything(crnn))


def test_every_tap_says_what_it_is(crnn):
    names = explain.tap_names(crnn)
    assert names["cnn.layer1.conv"] == "convolution 5 x 1 (freq x time), 64 channels"
    assert names["cnn.layer4.relu"] == "positive part of 16 channels"
    assert names["cnn.layer5.conv"] == "convolution 1 x 1 (freq x time), 1 channel"
    assert names["cnn.layer4.norm"] == "batch norm of 16 channels, each around 0"
    assert (
        names["cnn.layer2"] == "the output of cnn.layer2.norm"
        and names["cnn"] == "the output of cnn.layer5"
    )
    assert names["gru"] == "128 units forwards in time, then as many backwards"
    assert names["dense"] == '62 logits: class 0 "no melody", then 55 to 1760 Hz'
    assert explain.tap_names(DeepSalience())["layer5.pad"] == "zeros added at the edges"


class Stopped(Exception):
    pass


def test_the_model_is_left_as_it_was_also_after_an_error(rng):
    model = CRNN("cnn1", 8)  # in training mode, one layer frozen
    model.cnn.layer1.norm.eval()
    model.cnn.layer1.conv.weight.requires_grad_(False)
    mine = []
    model.gru.register_forward_hook(lambda *_: mine.append(1) and None)
    picture, before = noise(rng, 30), everything(model)
    explain.activations(model, picture, "cnn.layer*")
    explain.attribution(model, picture, 0.1, steps=2)
    explain.attribution(model, picture, 0.1, method="occlusion", window_semitones=30)
    assert mine, "somebody else's hook was lost"
    tools = [
        lambda: explain.taps(model, "*"),
        lambda: explain.ablate(model, "cnn.layer1", 3),
        lambda: explain.patch(model, "gru", torch.zeros(1, 30, 16)),
    ]
    for tool in tools:
        with pytest.raises(Stopped), tool():
            raise Stopped
    with pytest.raises(InputError):
        explain.activations(model, features_of([0] * 30, BINS, channels=6), "gru")
    with pytest.raises(InputError), explain.ablate(model, "dense", 62):
        explain.activations(model, picture, "gru")
    assert_same(before, everything(model))


def test_the_answer_of_a_network_with_masks_is_its_own_row_and_ones_where_nobody_asked(rng):
    torch.manual_seed(0)
    model, values = models.create_model("unet"), rng.random((2, 312, 20)).astype(np.float32)
    heard = Features(values, model.grid.freqs_hz, frame_times_s(20, 512, 22050), "spectra")
    logit = run.logits(model, heard)[0]
    np.testing.assert_allclose(
        explain.is_there_a_melody(model, heard), 1 / (1 + np.exp(-logit)), rtol=1e-5
    )
    mel = Features(rng.random((2, 128, 20)), unet.MEL_HZ, frame_times_s(20, 200, 16000), "mel")
    assert (
        explain.is_there_a_melody(models.create_model("unet-mel", channels=(2, 4)), mel) == 1
    ).all()


# --- pictures on the song's clock -----------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 60, 560])
def test_an_impulse_stays_at_its_frame_and_pitch(crnn, frames):
    rows = np.full(frames, -1)
    frame = frames - 1
    rows[frame] = 5 * 36 + 2  # 440 Hz and 40 cents, still the semitone of 440 Hz
    seen = explain.activations(crnn, features_of(rows, FINE), ["cnn.layer1.conv", "cnn.layer5"])
    conv = seen["cnn.layer1.conv"]
    assert conv.values.shape == (64, 61, frames) and seen["cnn.layer5"].values.shape == (
        1,
        61,
        frames,
    )
    _, note, when = np.nonzero(conv.values)
    assert set(when) == {frame} and set(conv.freqs_hz[note].round(6)) == {440.0}
    assert (
        conv.times_s[frame] == pytest.approx(frame * 256 / 22050) and conv.kind == "cnn.layer1.conv"
    )


@pytest.mark.parametrize("frames", [30, 500, 730])
def test_the_last_layer_is_the_output(crnn, frames, rng):
    picture = noise(rng, frames)
    seen = explain.activations(crnn, picture, ["gru", "dense"])
    np.testing.assert_array_equal(seen["dense"].values[:, 0], run.logits(crnn, picture))
    assert seen["gru"].values.shape == (256, 1, frames) and np.isnan(seen["gru"].freqs_hz).all()


def test_networks_with_context_and_fine_rows(rng):
    torch.manual_seed(0)
    model = DeepSalience().eval()
    model.block_frames = 20  # several blocks of a short song
    picture = noise(rng, 50, BINS, channels=6)
    seen = explain.activations(model, picture, ["layer6", "layer5.pad"])
    np.testing.assert_array_equal(seen["layer6"].values[0], run.logits(model, picture))
    np.testing.assert_array_equal(seen["layer6"].freqs_hz, BINS.freqs_hz)
    assert np.isnan(seen["layer5.pad"].freqs_hz).all()  # 429 rows are no pitches


def test_as_picture_joins_patches_in_order():
    song = np.arange(2 * 3 * 100).reshape(2, 3, 100)  # (channels, freq, time)
    patches = torch.from_numpy(song.reshape(2, 3, 4, 25).transpose(2, 0, 1, 3).copy())
    np.testing.assert_array_equal(explain.as_picture(patches), song)
    two = torch.cat([patches, patches + 1])  # a batch of two songs
    np.testing.assert_array_equal(explain.as_picture(two.unflatten(0, (2, -1))[1]), song + 1)
    np.testing.assert_array_equal(explain.as_picture(torch.from_numpy(song[:1]))[:, 0], song[0].T)
    with pytest.raises(InputError, match="one song"):
        explain.as_picture(torch.zeros(2, 10, 5))


def test_features_that_do_not_fit_get_a_sentence(crnn):
    with pytest.raises(InputError, match=r"features of shape \(6, 360, 30\) do not fit"):
        explain.activations(crnn, features_of([0] * 30, BINS, channels=6), "gru")


# --- pitch lines ----------------------------------------------------------------------------------


def test_lines_are_read_off_channels(line):
    seen = explain.activations(Planted(), line, "heard")["heard"]
    sung = np.array([not 50 <= n < 60 for n in range(90)])
    truth_hz = np.where(sung, NOTES.freqs_hz[10 + np.arange(90) // 10], np.nan)
    for channel, octaves in ((0, 1), (1, 2)):
        read = explain.pitch_line(seen, channel)
        np.testing.assert_allclose(read.f0_hz, octaves * truth_hz)
        np.testing.assert_array_equal(read.voiced, sung)
    assert not explain.pitch_line(seen, 2).voiced.any(), (
        "a channel that says nothing was given a pitch"
    )
    seen.values.flags.writeable = True
    seen.values[1] *= 3  # now the mean is led by the octave
    np.testing.assert_allclose(explain.pitch_line(seen).f0_hz, 2 * truth_hz)


@pytest.mark.parametrize(
    ("octaves", "reading"), [(1, (0, 0)), (2, (1, 0)), (2 ** (-7 / 12), (0, -7))]
)
def test_the_clearest_reading_is_a_channel_and_a_transposition(octaves, reading, line):
    seen = explain.activations(Planted(), line, "heard")["heard"]
    shown = explain.pitch_line(seen, 0)
    truth = Melody(line.times_s, octaves * shown.f0_hz, shown.voicing)
    assert explain.clearest_reading(seen, truth) == reading
    read = explain.pitch_line(seen, *explain.clearest_reading(seen, truth))
    assert set(evaluate.pitch_errors(estimate=read, reference=truth)[1]) == {"right"}


def test_what_has_no_pitch_gives_a_sentence_instead_of_a_line(crnn, line, rng):
    gru = explain.activations(crnn, noise(rng, 25), "gru")["gru"]
    with pytest.raises(InputError, match="rows of gru are no pitches"):
        explain.pitch_line(gru)
    with pytest.raises(InputError, match="sf has channels 0 to 0, not 1"):
        explain.pitch_line(line, 1)


# --- reaching in ----------------------------------------------------------------------------------


def read(model, features):
    return decode.peak(run.salience(model, features)).f0_hz


def test_silencing_the_channel_of_the_octave_mends_octave_errors(line):
    model = Planted()
    truth = explain.pitch_line(line)
    kinds = {
        "before": evaluate.pitch_errors(
            estimate=decode.peak(run.salience(model, line)), reference=truth
        )[1]
    }
    with explain.ablate(model, "heard", 1):
        kinds["without 1"] = evaluate.pitch_errors(
            estimate=decode.peak(run.salience(model, line)), reference=truth
        )[1]
    with explain.ablate(model, "heard", [0, 2]):
        kinds["without 0"] = evaluate.pitch_errors(
            estimate=decode.peak(run.salience(model, line)), reference=truth
        )[1]
    kinds["after"] = evaluate.pitch_errors(
        estimate=decode.peak(run.salience(model, line)), reference=truth
    )[1]
    assert {name: set(labels) for name, labels in kinds.items()} == {
        "before": {"octave"},
        "without 1": {"right"},
        "without 0": {"octave"},
        "after": {"octave"},
    }


@pytest.mark.parametrize(("value", "expected"), [("zero", 0.0), ("mean", None), (-2.5, -2.5)])
def test_an_ablated_channel_says_the_same_everywhere(value, expected, crnn, rng):
    picture = noise(rng, 60)
    for name, channel in (("cnn.layer4.norm", 7), ("gru", 200), ("dense", 0)):
        free = explain.activations(crnn, picture, name)[name].values
        with explain.ablate(crnn, name, channel, value):
            held = explain.activations(crnn, picture, name)[name].values
        if value == "mean":  # of the call, the filled up end of the last patch included
            assert np.ptp(held[channel]) == 0 and held[channel].min() != 0
            if name != "cnn.layer4.norm":
                assert held[channel, 0, 0] == pytest.approx(free[channel].mean(), abs=1e-6)
        else:
            assert np.all(held[channel] == expected)
        others = np.arange(len(free)) != channel
        np.testing.assert_array_equal(held[others], free[others])


def test_interventions_nest_and_end_one_by_one(line):
    model = Planted()
    octave_up = 2 * explain.pitch_line(line).f0_hz
    with explain.ablate(model, "heard", 1):
        with explain.ablate(model, "heard", 0), explain.taps(model, "heard") as seen:
            assert np.all(run.logits(model, line)[1:] == 0)
            assert not seen["heard"].any(), "whoever looks last sees both"
        np.testing.assert_allclose(read(model, line), octave_up / 2, rtol=1e-3)
    np.testing.assert_allclose(read(model, line), octave_up, rtol=1e-3)
    with explain.ablate(model, "heard", 1, 5.0), explain.ablate(model, "heard", 1, 7.0):
        held = explain.activations(model, line, "heard")["heard"].values
    assert np.all(held[1] == 7), "the inner one has the last word"


@pytest.mark.parametrize("name", ["cnn", "gru", "dense"])
def test_with_anothers_activation_the_network_says_what_it_says_of_the_other(name, crnn, rng):
    one, other = noise(rng, 60), noise(rng, 60)
    said = {"one": run.logits(crnn, one), "other": run.logits(crnn, other)}
    with explain.taps(crnn, name) as seen:
        run.logits(crnn, other)
    with explain.patch(crnn, name, seen[name]):
        np.testing.assert_allclose(run.logits(crnn, one), said["other"], atol=1e-5)
    np.testing.assert_array_equal(run.logits(crnn, one), said["one"])
    assert not np.allclose(said["one"], said["other"], atol=1e-3)


def test_one_channel_of_another_song(line):
    model = Planted()
    higher = features_of([40] * 40)
    first = Features(line.values[:, :, :40], line.freqs_hz, line.times_s[:40], "sf")
    with explain.taps(model, "heard") as seen:
        run.logits(model, higher)
    with explain.patch(model, "heard", seen["heard"], channel=1):  # its octave is the louder
        np.testing.assert_allclose(read(model, first), 2 * NOTES.freqs_hz[40], rtol=1e-3)
    with explain.patch(model, "heard", seen["heard"], channel=0):
        np.testing.assert_allclose(
            read(model, first), 2 * explain.pitch_line(first).f0_hz, rtol=1e-3
        )


def test_impossible_interventions_get_a_sentence(crnn, rng):
    picture = noise(rng, 60)
    cases = [
        (
            lambda: explain.ablate(crnn, "cnn.layer4", 16),
            r"cnn\.layer4 has channels 0 to 15, not 16",
        ),
        (
            lambda: explain.ablate(crnn, "cnn.layer4", [0, -1]),
            r"cnn\.layer4 has channels 0 to 15, not -1",
        ),
        (lambda: explain.ablate(crnn, "gru", 256), "gru has channels 0 to 255, not 256"),
        (lambda: explain.ablate(crnn, "grü", 0), "no layer is called 'grü'; nearest: gru"),
        (
            lambda: explain.ablate(crnn, "gru", 0, "median"),
            '"zero", "mean" or a number, not to \'median\'',
        ),
        (lambda: explain.ablate(crnn, "gru", 0, np.nan), '"zero", "mean" or a number, not to nan'),
        (
            lambda: explain.patch(crnn, "gru", torch.zeros(1, 61, 256)),
            r"makes \(1, 60, 256\) of this .*\(1, 61, 256\)",
        ),
        (
            lambda: explain.patch(crnn, "gru", torch.zeros(1, 60, 256), 300),
            "gru has channels 0 to 255, not 300",
        ),
    ]
    for make, sentence in cases:
        with pytest.raises(InputError, match=sentence), make():
            run.logits(crnn, picture)


# --- attribution ----------------------------------------------------------------------------------


def log_odds(model, features, frame, target):
    y = run.logits(model, features)[:, frame].astype(float)
    others = np.delete(y, target)
    return y[target] - np.log(np.sum(np.exp(others))) if model.has_unvoiced_class else y[target]


@pytest.mark.parametrize("around_s", [0.1, None])
def test_integrated_gradients_add_up(crnn, rng, around_s):
    picture = noise(rng, 60, level=30)
    found = explain.attribution(crnn, picture, 0.3, around_s=around_s, steps=40)
    target = int(run.logits(crnn, picture)[:, 26].argmax())
    assert found.score == pytest.approx(log_odds(crnn, picture, 26, target), abs=1e-4)
    assert (
        found.f_hz == pytest.approx(NOTES.freqs_hz[target - 1])
        and found.time_s == picture.times_s[26]
    )
    near = np.abs(picture.times_s - picture.times_s[26]) <= (around_s or np.inf)
    np.testing.assert_array_equal(found.times_s, picture.times_s[near])
    np.testing.assert_array_equal(found.freqs_hz, FINE.freqs_hz)
    silenced = picture.values.copy()
    silenced[:, :, near] = 0
    quiet = Features(silenced, picture.freqs_hz, picture.times_s, "sf")
    assert found.baseline_score == pytest.approx(log_odds(crnn, quiet, 26, target), abs=1e-4)
    difference = found.score - found.baseline_score
    assert abs(difference) > 0.1
    # coarse, for 40 steps over the many kinks of random numbers; the planted network below adds up exactly
    assert found.values.sum() == pytest.approx(difference, rel=0.1)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_the_cell_that_decides_gets_the_credit(method, line):
    options = {"method": method, "window_semitones": 1, "window_s": 0.0116, "around_s": 0.1}
    found = explain.attribution(Planted(), line, line.times_s[33], **options)
    assert found.f_hz == pytest.approx(2 * NOTES.freqs_hz[13])  # decided: an octave too high
    channel, row, frame = np.unravel_index(found.values.argmax(), found.values.shape)
    assert row == 13 and found.times_s[frame] == line.times_s[33]
    assert np.abs(found.values).sum() == pytest.approx(found.values[channel, row, frame], rel=1e-3)
    assert found.values.sum() == pytest.approx(found.score - found.baseline_score, rel=1e-3)
    against = explain.attribution(Planted(), line, line.times_s[33], "no melody", **options)
    assert np.isnan(against.f_hz) and against.values.min() < -1 and against.values.max() < 1e-6
    assert against.score < 0 < found.score


@pytest.mark.parametrize(
    "frame", [3, 299, 549]
)  # beside borders of patches that begin at 0, or at 73 in the last block
def test_networks_without_memory_are_asked_about_the_frames_they_hear(frame, rng):
    torch.manual_seed(0)
    model, picture = CRNN("cnn1", 0).eval(), noise(rng, 573)
    whole = {"window_semitones": 100, "window_s": 100, "method": "occlusion", "around_s": None}
    found = explain.attribution(model, picture, picture.times_s[frame], 440.0, **whole)
    assert len(found.times_s) <= 75 and found.f_hz == pytest.approx(440)
    assert found.score == pytest.approx(log_odds(model, picture, frame, 37), abs=1e-4)
    assert found.values.max() == pytest.approx(found.score - found.baseline_score, abs=1e-4)


def test_a_network_with_context_and_without_a_class_for_silence(rng):
    torch.manual_seed(0)
    model, picture = DeepSalience().eval(), noise(rng, 90, BINS, channels=6)
    model.block_frames = 40
    whole = {"window_semitones": 100, "window_s": 100, "method": "occlusion", "around_s": 0.2}
    found = explain.attribution(model, picture, picture.times_s[41], 220.0, **whole)
    target = int(BINS.nearest_bin(220.0))
    assert found.values.shape[:2] == (6, 360)
    assert found.score == pytest.approx(log_odds(model, picture, 41, target), abs=1e-4)
    with pytest.raises(InputError, match='no class "no melody"'):
        explain.attribution(model, picture, 0.1, "no melody")


def test_impossible_questions_get_a_sentence(crnn, line, rng, monkeypatch):
    picture = noise(rng, 60)
    cases = [
        ({"time_s": 7}, r"lasts from 0 to 0\.68 s, 7 s is outside"),
        ({"time_s": 0.1, "f_hz": 30.0}, r"knows 55 to 1760 Hz, not 30\.0"),
        ({"time_s": 0.1, "f_hz": "loud"}, "knows 55 to 1760 Hz, not 'loud'"),
        (
            {"time_s": 0.1, "method": "magic"},
            "no attribution method 'magic'; choose integrated_gradients or occlusion",
        ),
    ]
    for options, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            explain.attribution(crnn, picture, **options)
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(InputError, match=r"needs the package captum; run: pip install"):
        explain.attribution(crnn, picture, 0.1)


# --- the networks of Yu and of Chen ---------------------------------------------------------------


@pytest.fixture(scope="module")
def ftanet():
    torch.manual_seed(0)
    return models.create_model("ftanet", width=4)


def cfp_like(rng, frames):
    end = inputs.FRONT_ENDS["cfp"]
    return Features(
        rng.random((3, 320, frames)).astype(np.float32),
        end.freqs_hz,
        frame_times_s(frames, 80, 8000),
        "cfp",
    )


def test_attention_lies_on_the_axes_it_weighs(ftanet, rng):
    song = cfp_like(rng, 300)
    for level, pooled in ((1, 1), (2, 2), (3, 4), (4, 4), (5, 2), (6, 1), (7, 1)):
        found = explain.attention(ftanet, song, 1.5, level)
        channels = {1: 4, 2: 8, 3: 16, 4: 16, 5: 8, 6: 4, 7: 1}[level]
        assert found.frequency.shape == (channels, 320 // pooled) and found.time.shape == (
            channels,
            128 // pooled,
        )
        assert len(found.freqs_hz) == 320 // pooled and len(found.times_s) == 128 // pooled
        np.testing.assert_allclose(found.frequency.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(found.time.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(found.fusion.sum(axis=0), 1, rtol=1e-5)
        assert found.maps == ("itself", "time", "frequency") and found.fusion.shape == (channels, 3)
        assert found.times_s[0] == pytest.approx(1.28 + 0.005 * (pooled - 1)), (
            "the block around 1.5 s begins at 1.28 s"
        )
        assert found.freqs_hz[0] == pytest.approx(31 * 2 ** ((pooled - 1) / 120))
    with pytest.raises(InputError, match="levels 1 to 7, not level 8"):
        explain.attention(ftanet, song, 1.5, 8)


def test_attention_of_a_variant_has_what_it_has(rng):
    song = cfp_like(rng, 128)
    without = explain.attention(models.create_model("ftanet-no-temporal", width=4), song, 0.5)
    assert (
        without.time is None
        and without.frequency is not None
        and without.maps == ("itself", "frequency")
    )
    assert (
        explain.attention(models.create_model("ftanet-no-fusion", width=4), song, 0.5).fusion
        is None
    )
    with pytest.raises(InputError, match="no attention maps.*an FTANet"):
        explain.attention(models.create_model("segnet"), song, 0.5)


def test_a_blend_to_uniform_keeps_the_sum_and_ends(ftanet, rng):
    song, name = cfp_like(rng, 128), "level2.attend.frequency_map"
    before = explain.attention(ftanet, song, 0.5, 2).frequency
    for share in (0, 0.25, 1):
        with explain.uniform(ftanet, name, share), explain.taps(ftanet, name) as seen:
            run.logits(ftanet, song)
        np.testing.assert_allclose(seen[name][0], (1 - share) * before + share / 160, rtol=1e-4)
    np.testing.assert_array_equal(explain.attention(ftanet, song, 0.5, 2).frequency, before)
    own = run.logits(ftanet, song)
    with explain.uniform(ftanet, "*.frequency_map", 1.0):
        assert np.abs(run.logits(ftanet, song) - own).max() > 0
    for names, words in (
        ("level1.fuse", "does not end in a softmax"),
        (["*.time_map", "level1.fuse.softmax"], "different axes"),
    ):
        with pytest.raises(InputError, match=words):
            explain.uniform(ftanet, names)
    with pytest.raises(InputError, match="between 0 and 1"):
        explain.uniform(ftanet, name, 1.5)


def test_pooled_layers_come_back_on_the_song(ftanet, rng):
    song = cfp_like(rng, 300)
    seen = explain.activations(
        ftanet, song, ["level1", "level3", "level7", "detection", "level3.attend.time_map"]
    )
    assert {name: part.values.shape for name, part in seen.items()} == {
        "detection": (1, 1, 300), "level1": (4, 320, 300), "level3.attend.time_map": (16, 1, 300), "level3": (16, 80, 300),
        "level7": (1, 320, 300),
    }  # fmt: skip
    assert np.all(seen["level3"].values[:, :, 0] == seen["level3"].values[:, :, 3]), (
        "four frames are one there"
    )
    assert np.any(seen["level3"].values[:, :, 3] != seen["level3"].values[:, :, 4])
    np.testing.assert_allclose(seen["level3"].freqs_hz[0], 31 * 2 ** (1.5 / 60))
    assert np.isnan(seen["detection"].freqs_hz).all()
    logits = run.logits(ftanet, song)
    np.testing.assert_allclose(seen["level7"].values[0], logits[1:], atol=1e-5)
    np.testing.assert_allclose(seen["detection"].values[0, 0], logits[0], atol=1e-5)
    for name in ("level2.attend.frequency_map", "level2.fuse.softmax"):
        with pytest.raises(InputError, match="not on the song's frames"):
            explain.activations(ftanet, song, name)


def test_a_decision_of_ftanet_rests_on_its_block_and_no_more(ftanet, rng):
    song = cfp_like(rng, 300)
    found = explain.attribution(ftanet, song, 1.5, 220.0, steps=8, around_s=None)
    assert found.times_s[[0, -1]] == pytest.approx([1.28, 2.55]) and found.values.shape == (
        3,
        320,
        128,
    )


def test_kernels_are_heard_where_they_were_planted(rng):
    torch.manual_seed(0)
    model = models.create_model("multires", kernels=8)
    t = np.arange(960) / 16000
    planted_hz = 100 * 2.0 ** np.arange(8)[::-1] / 4
    with torch.no_grad():
        for k, f_hz in enumerate(planted_hz):
            model.long.conv.weight[k, 0] = torch.from_numpy(
                np.hanning(960) * np.sin(2 * np.pi * f_hz * t)
            ).float()
    found = explain.kernel_responses(model, "long")
    np.testing.assert_allclose(found.centres_hz, planted_hz, atol=16000 / 3840)
    np.testing.assert_allclose(
        found.bandwidths_hz[:5], 1.5 * 16000 / 960, rtol=0.02
    )  # of a Hann window
    assert found.levels_db.max(axis=1) == pytest.approx(0) and found.kernels.shape == (8, 960)
    assert found.times_s[0] == -found.times_s[-1] and np.ptp(found.times_s) == pytest.approx(
        959 / 16000
    )
    assert explain.kernel_responses(model, "short").kernels.shape == (8, 64)
    with pytest.raises(InputError, match="banks short and long, not 'middle'"):
        explain.kernel_responses(model, "middle")
    with pytest.raises(InputError, match="no filter banks"):
        explain.kernel_responses(models.create_model("segnet"))


def test_kernels_are_channels_and_no_pitches(rng):
    torch.manual_seed(0)
    model = models.create_model("multires", kernels=32)
    wave = Features(
        rng.normal(size=(1, 160, 40)).astype(np.float32),
        np.arange(160.0),
        frame_times_s(40, 160, 16000),
        "wave",
    )
    seen = explain.activations(model, wave, ["short", "long.norm", "block2"])
    assert seen["short"].values.shape == seen["long.norm"].values.shape == (32, 1, 40)
    assert seen["block2"].values.shape == (40, 16, 40) and np.isnan(seen["block2"].freqs_hz).all()
    with explain.ablate(model, "long.norm", 5), explain.taps(model, "long.norm") as inside:
        run.logits(model, wave)
    assert not inside["long.norm"][0, 5].any() and inside["long.norm"][0, 4].any()
    with pytest.raises(InputError, match="not on the song's frames"):
        explain.activations(model, wave, "short.conv")
    with pytest.raises(InputError, match="no rows to cover"):
        explain.attribution(model, wave, 0.2, 220.0, method="occlusion")
    assert explain.attribution(model, wave, 0.2, 220.0, steps=4).values.shape[:2] == (1, 160)


def test_the_taps_of_other_networks_say_what_they_are():
    for name in ("ftanet", "segnet", "multires", "multires-1d", "harmonic-crnn"):
        for tap, words in explain.tap_names(models.create_model(name)).items():
            assert words and not words.startswith(("Conv", "Batch", "SELU(", "ReLU")), (
                name,
                tap,
                words,
            )

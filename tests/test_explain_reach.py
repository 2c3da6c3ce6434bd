"""Lines read off layers, channels switched off, activations of another song."""

import numpy as np
import pytest
import torch
from explained import Planted, climbing, features_of, first_crnn, noise

from melodylab import evaluate, explain
from melodylab.errors import InputError
from melodylab.melody import decode
from melodylab.models import run
from melodylab.models.crnn import NOTES
from melodylab.records import Features, Melody

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def crnn():
    return first_crnn()


@pytest.fixture
def line():
    return climbing()


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

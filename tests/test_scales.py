"""A picture says what its numbers mean, and is drawn so: a tone 40 dB down lies 40 dB down."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from melodylab import plot
from melodylab.dsp import features
from melodylab.models import inputs
from melodylab.records import Features, Song

SR = 22050
PICTURES = {
    "stft": features.power_spectrogram,
    "mel": features.mel,
    "stereo mel": features.stereo_mel,
    "cqt": features.cqt,
    "hcqt": features.hcqt,
    "log_magnitudes": features.log_magnitudes,
    **{
        f"network's {name}": inputs.FRONT_ENDS[name]
        for name in ("cqt", "hcqt", "spectra", "mel", "drum-mel")
    },
}


@pytest.fixture(scope="module")
def song():
    t_s = np.arange(4 * SR) / SR
    level = np.where(t_s < 2, 0.3, 0.3 * 10 ** (-40 / 20))
    return Song.from_array(level * np.sin(2 * np.pi * 220 * t_s), SR)


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_a_tone_40_db_down_is_drawn_40_db_down(song, name):
    picture = PICTURES[name](song)
    channel = 1 if "hcqt" in name else 0  # the layer of the fundamental
    ax = plt.figure().subplots()
    plot.spectrogram(picture, ax=ax, channel=channel, db_range=79)
    drawn = np.asarray(ax.get_images()[0].get_array())
    plt.close("all")
    loud, faint = (drawn[:, len(picture.times_s) * n // 4] for n in (1, 3))
    assert faint[loud.argmax()] - loud.max() == pytest.approx(-40, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["power", "magnitude", "db", "share"])
@pytest.mark.parametrize("kind", ["stft", "cqt", "hcqt", "spectra", "drum-mel", "my own"])
def test_the_scale_decides_and_not_the_kind(scale, kind):
    planted, expected = {
        "power": (1e-4, -40),
        "magnitude": (1e-2, -40),
        "db": (0.5, -40),
        "share": (0.25, 0.25),
    }[scale]
    values = np.full((1, 8, 4), planted)
    values[0, 0, 0] = 1
    picture = Features(values, 100.0 * np.arange(1, 9), np.arange(4) * 0.1, kind, scale=scale)
    ax = plt.figure().subplots()
    plot.spectrogram(picture, ax=ax)
    drawn = np.asarray(ax.get_images()[0].get_array())
    plt.close("all")
    assert drawn[3, 2] == pytest.approx(expected, abs=1e-4)
    assert drawn[0, 0] == (1 if scale == "share" else 0)


def test_a_scale_of_another_name_is_refused():
    with pytest.raises(ValueError, match="scale is one of power, magnitude, db, share, not 'dB'"):
        Features(np.ones((1, 1, 1)), [100.0], [0.0], "stft", scale="dB")
    assert Features(np.ones((1, 1, 1)), [100.0], [0.0], "stft").scale == "power"
    assert Features(np.ones((1, 1, 1)), [100.0], [0.0], "cnn.layer1").scale == "share"

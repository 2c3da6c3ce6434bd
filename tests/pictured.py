"""What the tests of `melodylab.plot` share: axes of rows, two melodies, features, drums."""

import functools

import numpy as np

from melodylab import drums, explain, plot
from melodylab.drums import steps
from melodylab.records import DrumOnsets, Features, Melody, Song

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


def brightest_pixel(ax):
    """(x, y) in display pixels of the middle of the brightest spot inside the axes."""
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[::-1, :, :3].astype(int).sum(axis=2)
    box = ax.bbox
    inside = pixels[round(box.y0) + 3 : round(box.y1) - 3, round(box.x0) + 3 : round(box.x1) - 3]
    y, x = np.argwhere(inside > 0.97 * inside.max()).mean(axis=0)
    return x + round(box.x0) + 3.5, y + round(box.y0) + 3.5

"""A sung line whose pitch is known: what the tests of source-filter NMF plant."""

import numpy as np

from melodylab import sfnmf
from melodylab.dsp import grids, stft
from melodylab.records import Melody

SR = 22050
SMALL = sfnmf.Settings(iterations=6, n_accompaniment=5, n_filters=4)


def line_hz(base_hz, t_s):
    """A line that never rests: a note every 0.3 s, with vibrato. (A steady comb is a spectrum that
    W_B may hold.)
    """
    notes = np.array([0, 4, 7, 2, 5, -1, 9, 3])
    steps = notes[(t_s / 0.3).astype(int) % len(notes)]
    return base_hz * 2 ** ((steps + 0.4 * np.sin(2 * np.pi * 5.5 * t_s)) / 12)


def sung(base_hz, seconds, sr=SR, *, level=0.3):
    """Twelve falling partials along that line, (samples,)."""
    t_s = np.arange(round(seconds * sr)) / sr
    f0_hz = line_hz(base_hz, t_s)
    phase = 2 * np.pi * np.cumsum(f0_hz) / sr
    partials = [np.sin(h * phase + h) / h * (h * f0_hz < 0.45 * sr) for h in range(1, 13)]
    return level * np.sum(partials, axis=0)


def melody_of(base_hz, seconds):
    """The melody of such a song, on the method's frames."""
    times_s = grids.frame_times_s(stft.n_frames(round(seconds * SR), 256), 256, SR)
    return Melody(times_s, line_hz(base_hz, times_s), np.ones(len(times_s)))


def power_of(y, settings=SMALL):
    return np.abs(stft.stft(y, window=settings.window, hop_samples=settings.hop_samples)) ** 2

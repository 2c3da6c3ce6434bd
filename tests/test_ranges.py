"""Outside its range a method says "unvoiced" rather than another pitch; inside nothing changes."""

import numpy as np
import pytest

import melodylab as ml
from melodylab.melody import ranges
from melodylab.records import Melody, Song

SR = 16000
NMF_HZ, BEST_HZ = (55.0, 1760.0), (73.4, 1396.9)


def sound(line_hz, levels, seconds=3.0, seed=None):
    """(song, times_s, f0_hz) of partials along a line between two pitches, and some noise."""
    t = np.arange(round(seconds * SR)) / SR
    f0_hz = line_hz[0] * (line_hz[1] / line_hz[0]) ** (0.5 - 0.5 * np.cos(2 * np.pi * t / seconds))
    phase = 2 * np.pi * np.cumsum(f0_hz) / SR
    y = sum(a * np.sin((h + 1) * phase) * ((h + 1) * f0_hz < 7000) for h, a in enumerate(levels))
    y = 0.1 * y + 1e-4 * np.random.default_rng(0).standard_normal(len(t))
    return Song.from_array(y, SR), t, f0_hz


def told(f0_hz, t, ratio=1.0):
    """The melody a method found: every frame voiced, at `ratio` times the pitch."""
    times_s = np.arange(0, t[-1], 0.01)
    return Melody(times_s, ratio * np.interp(times_s, t, f0_hz), np.ones(len(times_s)))


WHISTLE = [1, 0.05, 0.02]
BASS = [1, 0.5, 0.35, 0.3, 0.25, 0.25, 0.3, 0.3, 0.25, 0.25, 0.2, 0.2]
VOICE = [0.6, 1, 0.7, 0.5, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("line_hz", "levels", "ratio", "range_hz"),
    [
        ((1800, 2800), WHISTLE, 1 / 2, NMF_HZ),
        ((2400, 3400), WHISTLE, 1 / 3, BEST_HZ),
        ((48, 70), BASS, 2, BEST_HZ),
        ((48, 70), BASS, 3, BEST_HZ),
        ((40, 52), BASS, 4, NMF_HZ),
        ((46, 50), BASS, 55.5 / 48, NMF_HZ),  # held at the border
        ((1900, 2100), WHISTLE, 1740 / 2000, NMF_HZ),
        ((1900, 2100), WHISTLE, 1, NMF_HZ),  # right, and yet not to be trusted
    ],
)
def test_what_lies_outside_is_unvoiced(line_hz, levels, ratio, range_hz):
    song, t, f0_hz = sound(line_hz, levels)
    melody = told(f0_hz, t, ratio)
    found = ranges.within(melody, song, range_hz)
    assert found.voiced.mean() < 0.05
    assert np.array_equal(found.f0_hz, melody.f0_hz)  # the guess stays
    assert ranges.within(melody, song, None) is melody


@pytest.mark.parametrize("range_hz", [NMF_HZ, BEST_HZ])
@pytest.mark.parametrize(
    ("line_hz", "levels"),
    [
        ((80, 150), VOICE),
        ((80, 150), BASS),
        ((80, 200), [1.0]),  # a flute has little else
        ((200, 600), VOICE),
        ((600, 1300), VOICE),
        ((600, 1300), [0.3, 1, 0.5, 0.3]),
    ],
)
def test_what_lies_inside_stays_voiced(line_hz, levels, range_hz):
    song, t, f0_hz = sound(line_hz, levels)
    melody = told(f0_hz, t)
    assert np.array_equal(ranges.within(melody, song, range_hz).voicing, melody.voicing)


@pytest.mark.parametrize("ratio", [2, 3])
def test_a_bass_below_the_range_hides_no_voice_above_it(ratio):
    low, t, bass_hz = sound((50, 70), [1, 0.5, 0.3, 0.1, 0.05])
    high, _, f0_hz = sound((50 * ratio, 70 * ratio), VOICE)
    both = Song(low.audio + high.audio, SR)
    assert ranges.within(told(f0_hz, t), both, BEST_HZ).voiced.mean() > 0.95


def test_silence_and_one_sample_pass():
    silent = Melody(np.arange(9) * 0.1, np.full(9, np.nan), np.zeros(9))
    for samples in (1, 8000):
        song = Song.from_array(np.zeros(samples), SR)
        assert ranges.within(silent, song, NMF_HZ) is silent
        one = Melody([0.0], [440.0], [1.0])
        assert ranges.within(one, song, NMF_HZ).voiced.all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "line_hz", "levels"),
    [("sfnmf", (1850, 2700), WHISTLE), ("pyin", (1850, 2700), WHISTLE), ("best", (48, 66), BASS)],
)
def test_every_method_is_asked(method, line_hz, levels):
    song, t, f0_hz = sound(line_hz, levels)
    found = ml.extract_melody(song, method)
    near = np.abs(np.log2(found.f0_hz / np.interp(found.times_s, t, f0_hz))) < 0.5 / 12
    assert (found.voiced & ~near).mean() < 0.05

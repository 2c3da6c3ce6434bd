"""A tone that begins with the first sample and ends with the last is heard from end to end."""

import numpy as np
import pytest

import melodylab as ml
from melodylab.records import Song

SR, SECONDS, BORDER_S = 22050, 2, 0.05


@pytest.fixture(scope="module")
def tone():
    """(song, times_s, f0_hz) of ten partials with vibrato."""
    t = np.arange(SECONDS * SR) / SR
    f0_hz = 330 * 2 ** (0.4 * np.sin(2 * np.pi * 5.5 * t) / 12)
    phase = 2 * np.pi * np.cumsum(f0_hz) / SR
    y = 0.3 * sum(0.7**k * np.sin((k + 1) * phase) for k in range(10))
    return Song.from_array(y, SR), t, f0_hz


@pytest.mark.parametrize("method", ["best", "sfnmf", "pyin"])
def test_the_melody_runs_from_end_to_end(method, tone):
    song, t, f0_hz = tone
    found = ml.extract_melody(song, method)
    right = np.abs(12 * np.log2(found.f0_hz / np.interp(found.times_s, t, f0_hz))) < 0.5
    right &= found.voiced
    assert right[found.times_s < BORDER_S].all()
    assert np.sum(~right[found.times_s > SECONDS - BORDER_S]) <= 1
    assert right.mean() > 0.98


def test_a_mask_begins_and_ends_as_it_goes(tone):
    song = tone[0]
    lead, y = ml.separate(song, "unet")["melody"][0], song.audio[0]
    border = round(BORDER_S * SR)

    def kept_db(part):
        return 10 * np.log10(np.mean(lead[part] ** 2) / np.mean(y[part] ** 2))

    middle = kept_db(slice(border, -border))
    assert kept_db(slice(-border, None)) > middle - 1
    assert kept_db(slice(0, border)) > middle - 1

"""Numbers worked out by hand, the frame clock, and labels that cannot slip by a bin."""

from fractions import Fraction

import numpy as np
import pytest

from melodylab.dsp import grids
from melodylab.dsp.grids import PitchGrid

MELODY = PitchGrid(55.0, 60, 301)


def test_notes_known_by_heart():
    np.testing.assert_allclose(
        grids.hz_to_midi([440, 880, 27.5, 261.6255653]), [69, 81, 21, 60], atol=1e-7
    )
    np.testing.assert_allclose(grids.midi_to_hz([69, 57, 60]), [440, 220, 261.6255653], atol=1e-7)
    np.testing.assert_allclose(
        grids.offset_cents([880, 440 * 2 ** (1 / 12), 440], [440, 440, 660]),
        [1200, 100, -701.955],
        atol=1e-3,
    )


def test_no_pitch_stays_no_pitch():
    for f_hz in (0.0, -220.0, np.nan):
        assert (
            np.isnan(grids.hz_to_midi(f_hz))
            and np.isnan(grids.offset_cents(f_hz, 440))
            and np.isnan(grids.offset_cents(440, f_hz))
        )
        assert np.isnan(MELODY.position(f_hz)) and MELODY.nearest_bin(f_hz) == -1


def test_there_and_back(rng):
    f_hz = 2 ** rng.uniform(5, 12, (3, 50))
    np.testing.assert_allclose(grids.midi_to_hz(grids.hz_to_midi(f_hz)), f_hz)
    np.testing.assert_allclose(MELODY.bin_hz(MELODY.position(f_hz)), f_hz)


@pytest.mark.parametrize(
    ("hop", "sr"), [(256, 22050), (80, 8000), (441, 44100), (1024, 22050), (256, 44100)]
)
def test_the_clock_drifts_by_less_than_a_sample_in_ten_minutes(hop, sr):
    frames = 600 * sr // hop + 1
    times_s = grids.frame_times_s(frames, hop, sr)
    assert times_s.shape == (frames,) and times_s[0] == 0
    for n in (1, frames // 2, frames - 1):
        assert abs(Fraction(times_s[n]) - Fraction(n * hop, sr)) * sr < 1e-6


def test_the_grid_of_the_source_filter_model():
    # A1 to A6 in steps of 20 cents, both ends included: five octaves of 60 and one (trap T22)
    assert PitchGrid.spanning(55, 1760, 60) == MELODY
    assert (MELODY.freqs_hz[0], MELODY.freqs_hz[60], MELODY.freqs_hz[300]) == pytest.approx(
        (55, 110, 1760)
    )
    np.testing.assert_allclose(grids.offset_cents(MELODY.freqs_hz[1:], MELODY.freqs_hz[:-1]), 20)
    assert MELODY.bins_per_semitone == 5


@pytest.mark.parametrize(
    ("fmin_hz", "fmax_hz", "per_octave", "bins"),
    [(100, 200, 12, 13), (100, 201, 12, 14), (100, 199, 12, 13)],
)
def test_a_grid_reaches_its_upper_end_and_no_further(fmin_hz, fmax_hz, per_octave, bins):
    grid = PitchGrid.spanning(fmin_hz, fmax_hz, per_octave)
    assert grid.n_bins == bins
    assert grid.freqs_hz[-1] >= fmax_hz * (1 - 1e-9) and grid.freqs_hz[-2] < fmax_hz


@pytest.mark.parametrize(("fmin_hz", "fmax_hz"), [(0, 100), (-5, 100), (100, 100), (200, 100)])
def test_an_impossible_grid_is_refused(fmin_hz, fmax_hz):
    with pytest.raises(ValueError, match="0 < fmin_hz < fmax_hz"):
        PitchGrid.spanning(fmin_hz, fmax_hz, 60)


def test_a_pitch_belongs_to_the_nearest_bin_within_half_a_bin(rng):
    f_hz = rng.uniform(55, 1760, 2000)
    labels = MELODY.nearest_bin(f_hz)
    assert np.abs(grids.offset_cents(f_hz, MELODY.freqs_hz[labels])).max() <= 10 + 1e-9
    np.testing.assert_array_equal(
        labels, np.abs(np.log(f_hz[:, None] / MELODY.freqs_hz)).argmin(axis=1)
    )


def test_labels_at_the_edges():
    cents = np.array([-11, -9, 0, 9, 11, 6000, 6009, 6011])
    labels = MELODY.nearest_bin(55 * 2 ** (cents / 1200))
    np.testing.assert_array_equal(labels, [-1, 0, 0, 0, 1, 300, 300, -1])
    assert labels.dtype.kind == "i"


def test_labels_keep_the_shape_and_transposition_moves_them_by_five(rng):
    f_hz = MELODY.bin_hz(rng.uniform(0, 290, (4, 7)))
    assert MELODY.nearest_bin(f_hz).shape == (4, 7)
    np.testing.assert_array_equal(
        MELODY.nearest_bin(f_hz * 2 ** (1 / 12)), MELODY.nearest_bin(f_hz) + 5
    )


def test_frames_that_a_file_leaves_out():
    times_s = np.array([0.5, 0.6, 0.7, 1.1, 1.2])  # 0..0.4, 0.8..1.0 and 1.3..1.5 are missing
    gaps, new_s = grids.left_out_s(times_s, 2.5, end_s=1.5)
    assert gaps.tolist() == [-1, 2]
    told = [0.8, 0.9, 1.0, 0.0, 0.1, 0.2, 0.3, 0.4, 1.3, 1.4, 1.5]
    np.testing.assert_allclose(new_s, told, atol=1e-12)
    gaps, new_s = grids.left_out_s(times_s, 2.5)
    assert gaps.tolist() == [2] and len(new_s) == 3
    assert [len(part) for part in grids.left_out_s(times_s, 5)] == [0, 0]
    assert [len(part) for part in grids.left_out_s([0.3], 2.5, end_s=9.0)] == [0, 0]

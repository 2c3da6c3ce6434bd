"""Drum loops and kits: stems that sum, hits to the sample, the same bits from the same seed."""

import numpy as np
import pytest

from melodylab import synth
from melodylab.errors import InputError

SR = 22050


@pytest.mark.parametrize("seed", range(6))
def test_a_loops_stems_sum_exactly_and_are_all_there(seed):
    loop = synth.drum_loop(seed, 3.0, sr=22050)
    assert tuple(loop.stems) == synth.DRUM_CLASSES and loop.audio.shape == (1, 3 * 22050)
    for order in (loop.stems, reversed(loop.stems)):
        assert np.array_equal(sum(loop.stems[name] for name in order), loop.audio)
    assert np.abs(loop.audio).max() == pytest.approx(0.8, abs=1e-5)
    for name, stem in loop.stems.items():
        assert stem.any() == (name in loop.onsets.classes)
    assert np.all((loop.onsets.velocity > 0) & (loop.onsets.velocity <= 1))


def test_a_loops_hits_begin_at_their_sample():
    for seed in range(4):
        loop = synth.drum_loop(seed, 3.0)
        for name in set(loop.onsets.classes):
            samples = loop.onsets.of_class(name) * 44100
            assert np.abs(samples - np.round(samples)).max() < 1e-6
            first = round(samples[0])
            assert not np.abs(loop.stems[name][0, :first]).max(initial=0) > 1e-6
            assert np.abs(loop.stems[name][0, first : first + 441]).max() > 1e-6


@pytest.mark.slow
def test_loops_differ_in_what_plays_and_the_same_seed_gives_the_same_bits():
    loops = [synth.drum_loop(seed, 2.0, sr=8000) for seed in range(40)]
    played = [frozenset(loop.onsets.classes) for loop in loops]
    assert len(set(played)) >= 6 and sum(len(kinds) < 5 for kinds in played) > 10
    assert set().union(*played) == set(synth.DRUM_CLASSES)
    assert np.array_equal(synth.drum_loop(7, 2.0, sr=8000).audio, loops[7].audio)
    assert abs(np.corrcoef(loops[0].audio[0], loops[1].audio[0])[0, 1]) < 0.3


def test_every_style_makes_bars(rng):
    for style in synth.grooves.STYLES:
        hits = synth.groove(style, 4, rng)
        assert (
            len(hits) > 8
            and min(hit.time_s for hit in hits) >= 0
            and {hit.kind for hit in hits} <= set(synth.DRUM_CLASSES)
        )


def test_a_kits_shots_are_what_its_loop_plays_and_libraries_are_others():
    shots = synth.kit_shots(5, sr=22050)
    assert {shot.kind for shot in shots} == set(synth.DRUM_CLASSES)
    library = synth.one_shots(12, seed=1, sr=22050)
    assert [shot.kind for shot in library[:5]] == list(synth.DRUM_CLASSES) and len(
        {shot.name for shot in library}
    ) == 12
    for shot in (*shots, *library):
        assert (
            np.isfinite(shot.audio).all()
            and np.abs(shot.audio).max() == pytest.approx(0.8, abs=1e-3)
            and shot.sr == 22050
        )
    again = synth.one_shots(12, seed=1, sr=22050)
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(library, again, strict=True))


@pytest.mark.parametrize(
    ("seconds", "sr"), [(0.1, 8000), (0.3, 22050), (1.234, 11025), (0.5, 192000)]
)
def test_loops_of_any_length_and_rate(seconds, sr):
    for seed in range(3):
        loop = synth.drum_loop(seed, seconds, sr=sr)
        assert loop.audio.shape == (1, round(seconds * sr)) and np.isfinite(loop.audio).all()


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0.05}, {"sr": 4000}, {"seed": -1}, {"seconds": np.nan}, {"seconds": np.inf}],
)
def test_wrong_numbers_for_a_loop_are_refused_in_a_sentence(wrong):
    with pytest.raises(InputError, match="give"):
        synth.drum_loop(**wrong)

"""Hits at the borders of a song: the first and the last are found as those in the middle."""

import numpy as np
import pytest

from melodylab import drums, synth, weights
from melodylab.drums import hits
from melodylab.evaluate import hit_errors
from melodylab.models import inputs
from melodylab.records import DrumOnsets, Features, Song

HOP_S = 256 / 22050


@pytest.fixture(scope="module")
def network():
    return weights.load_model("drum-cnn")


def hits_of(song, network):
    return drums.transcribe(song, network, threshold=network.card["decoding"]["threshold"])


def false_and_missed(found, time_s, kind):
    labels = hit_errors(estimate=found, reference=DrumOnsets([time_s], (kind,), [1.0]))[2]
    return labels.count("false"), labels.count("missed")


@pytest.mark.slow
def test_a_stroke_at_the_first_sample_is_found_as_one_in_the_middle(network):
    """One-shots of five kits; without the frames beyond the ends two of 46 gave no hit at all."""
    shots = [shot for seed in range(5) for shot in synth.kit_shots(seed, sr=22050)]
    assert len(shots) >= 36
    at_0, inside = np.zeros(2, int), np.zeros(2, int)
    second = np.zeros(86 * 256, np.float32)
    for shot in shots:
        alone = Song.from_array(shot.audio, 22050)
        found = hits_of(alone, network)
        assert not len(found.times_s) or found.times_s[0] < 0.01
        at_0 += false_and_missed(found, 0.0, shot.kind)
        wide = Song.from_array(np.concatenate([second, shot.audio, second]), 22050)
        inside += false_and_missed(hits_of(wide, network), 86 * HOP_S, shot.kind)
    assert at_0[1] == inside[1] == 0
    assert at_0[0] <= inside[0] + 1  # 18 and 17: they end with the sound, or with silence


@pytest.mark.parametrize("weaker_db, counts", [(2, True), (10, False)])
def test_what_rings_at_the_first_sample_is_the_rest_of_an_earlier_stroke(weaker_db, counts):
    """Of 120 loops cut anywhere, 95 false hits in the first 60 ms became 55; bare frames: 88."""
    values = np.zeros((1, 4, 300), np.float32)
    for frame, level_db in ((8, -20 - weaker_db), (100, -20), (200, -20)):
        values[..., frame : frame + 20] = 1 + level_db / 80
    heard = Features(values, np.arange(4.0), (np.arange(300) - 8) * HOP_S, "drum-mel")
    found = DrumOnsets([0.001, 92 * HOP_S, 192 * HOP_S], ("kick",) * 3, np.ones(3))
    assert len(hits._struck_here(heard, found).times_s) == 2 + counts
    alone = DrumOnsets([0.001], ("kick",), [1.0])
    assert len(hits._struck_here(heard, alone).times_s) == 1


def test_frames_beyond_the_ends_lie_around_those_of_the_song(rng):
    song = Song.from_array(rng.uniform(-0.5, 0.5, 5000).astype(np.float32), 22050)
    plain, wide = inputs.drum_mel(song, bands=128), inputs.drum_mel(song, bands=128, beyond=8)
    assert wide.values.shape[2] == plain.values.shape[2] + 16
    assert np.allclose(wide.times_s[8:-8], plain.times_s, atol=1e-12)
    assert np.array_equal(wide.values[..., 8:-8], plain.values)
    assert wide.values[..., 7].any() and not wide.values[..., :6].any()  # a window reaches in


@pytest.mark.parametrize("samples", [1, 200, 3000])
def test_hits_lie_inside_the_song_however_short(samples, network, rng):
    song = Song.from_array(rng.uniform(-1, 1, samples).astype(np.float32), 22050)
    found = hits_of(song, network)
    assert np.all((found.times_s >= 0) & (found.times_s < song.duration_s))
    times_s, profiles = drums.onset_profile(song, network)
    assert profiles.shape == (5, 1 + samples // 256) and times_s[0] == 0
    silent = Song.from_array(np.zeros(samples, np.float32), 22050)
    assert not len(hits_of(silent, network).times_s)


@pytest.mark.slow
@pytest.mark.parametrize("inverted", ["all", "kick", "snare"])
def test_channels_in_opposite_phase_hide_no_hit(inverted, network):
    """The whole loop, or one drum of it, turned over on one side: hits as in mono."""
    loop = synth.drum_loop(3, 4.0, sr=22050)
    other = -loop.audio if inverted == "all" else loop.audio - 2 * loop.stems[inverted]
    song = Song(np.concatenate([loop.audio, other]), 22050)
    mono, found = hits_of(loop, network), hits_of(song, network)
    labels = hit_errors(estimate=found, reference=mono)[2]
    right = labels.count("right")
    assert len(mono.times_s) > 10 and right >= 0.9 * len(mono.times_s)
    assert 2 * right / (2 * right + len(labels) - right) > 0.9
    parts = drums.separate(song, found)
    total = sum(parts.stems[name].astype(float) for name in drums.CLASSES)
    assert np.abs(total - song.audio).max() < 1e-6
    for name in ("kick", "snare"):
        sign = -1 if inverted in ("all", name) else 1
        left, right_side = parts.stems[name]
        assert np.corrcoef(left, right_side)[0, 1] * sign > 0.7

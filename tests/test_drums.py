"""Drums taken apart: planted hits, stems that sum, the updates against an independent program."""

import warnings

import numpy as np
import pytest
from played_drums import SR, onsets, played

from melodylab import drums, evaluate, models
from melodylab.drums import nmf as drum_nmf
from melodylab.drums import stems as drum_stems
from melodylab.dsp import nmf
from melodylab.errors import InputError
from melodylab.records import DrumOnsets, Song


@pytest.fixture(scope="module")
def loop():
    """Kick and hi-hat in turn, a snare, a tom."""
    hits = [(0.25 * n, "kick" if n % 4 == 0 else "closed_hihat") for n in range(8)]
    return played(sorted([*hits, (0.5, "snare"), (1.5, "snare", 0.6), (1.9, "toms")]))


@pytest.fixture(scope="module")
def parts(loop):
    return drums.separate(loop, loop.onsets)


def total(parts):
    return sum(np.asarray(parts.stems[name], dtype=float) for name in drums.CLASSES)


# --- hits -----------------------------------------------------------------------------------------


def test_a_planted_peak_is_found_between_its_frames():
    times_s = np.arange(200) * 0.01
    profiles = np.zeros((5, 200))
    profiles[0] = np.maximum(0, 1 - np.abs(times_s - 1.0) / 0.02)
    profiles[3] = np.maximum(0, 1 - np.abs(times_s - 0.5033) / 0.02)
    found = drums.pick(times_s, profiles)
    assert found.classes == ("closed_hihat", "kick") and found.times_s == pytest.approx(
        [0.5033, 1.0], abs=0.002
    )


def test_peaks_below_the_threshold_and_too_close_are_left_out():
    profiles = np.zeros((5, 100))
    profiles[1, [20, 22, 50]] = 0.9, 0.8, 0.2
    times_s = np.arange(100) * 0.01
    assert drums.pick(times_s, profiles).times_s == pytest.approx([0.2], abs=0.006)
    assert (
        len(
            drums.pick(
                times_s, profiles, threshold={**dict.fromkeys(drums.CLASSES, 0.3), "snare": 0.1}
            ).times_s
        )
        == 2
    )
    assert len(drums.pick(times_s, profiles, min_gap_s=0.01).times_s) == 2
    assert (
        len(drums.pick(times_s, 0 * profiles).times_s) == 0
        and len(drums.pick(times_s[:1], profiles[:, :1]).times_s) == 0
    )


@pytest.mark.parametrize("at", [0, 99])
def test_hits_in_the_first_and_last_frame_count(at):
    profiles = np.zeros((5, 100))
    profiles[0, at] = 1
    found = drums.pick(np.arange(100) * 0.01, profiles)
    assert found.times_s == pytest.approx([at * 0.01], abs=0.006) and found.times_s[0] >= 0


def test_a_network_without_a_profile_is_refused(loop):
    with pytest.raises(InputError, match="no onset profile"):
        drums.transcribe(loop, models.create_model("drum-cnn"))


# --- activations and updates ----------------------------------------------------------------------


def test_an_activation_rises_at_its_hit_and_falls_at_its_pace(loop):
    settings = drums.Settings(decays_s=(0.1,))
    H = drums.activations(onsets((1.0, "kick"), (1.5, "kick", 0.5)), loop, settings)
    times_s = np.arange(H.shape[1]) * 512 / SR
    assert H.shape[0] == 5 and not H[1:].any()
    assert H[0, times_s < 0.97].max() < 1e-4 and times_s[np.argmax(H[0])] == pytest.approx(
        1.01, abs=0.015
    )
    a, b = (np.argmin(np.abs(times_s - t)) for t in (1.1, 1.2))
    assert np.log(H[0, a] / H[0, b]) == pytest.approx((times_s[b] - times_s[a]) / 0.1, rel=0.02)
    assert H[0, times_s > 1.5].max() == pytest.approx(0.5 * H[0].max(), rel=0.1)


def test_an_activation_lies_around_its_hit(loop):
    """A click in the middle of frame 40: the window's own shape, the same on either side."""
    settings = drums.Settings(decays_s=(1e-4,))
    H = drums.activations(onsets((40 * 512 / SR, "kick")), loop, settings)[0]
    wanted = np.hanning(2049)[[0, 512, 1024, 1536, 2048]]  # two hops to either side
    assert np.allclose(H[38:43] / H[40], wanted, atol=1e-3) and np.argmax(H) == 40


def test_frames_ahead_of_hits_are_learned_from_too():
    chosen = drum_nmf._frames_to_learn_from(onsets((5.0, "kick")), 5000, 0.01, 100)
    assert chosen.min() == 498 and chosen.max() == 534


def test_a_closed_hihat_ends_an_open_one(loop):
    free = drums.activations(onsets((0.5, "open_hihat")), loop)
    ended = drums.activations(onsets((0.5, "open_hihat"), (0.8, "closed_hihat")), loop)
    row = 2 * len(drums.SETTINGS.decays_of("kick")) + 3  # the longest of the open hi-hat's
    at = round(0.9 * SR / 512)
    assert free[row, at] > 0.3 and ended[row, at] < 0.01 * free[row, at]
    assert ended[row, round(0.7 * SR / 512)] == pytest.approx(
        free[row, round(0.7 * SR / 512)], rel=0.01
    )


@pytest.mark.slow
def test_templates_are_the_same_from_any_start_and_those_of_another_program(rng):
    """The problem is convex: scikit-learn's multiplicative updates, H fixed, end where ours do."""
    from sklearn import decomposition

    H = np.exp(-np.abs(rng.normal(0, 1, (3, 60)))) * (rng.random((3, 60)) < 0.6) + 1e-3
    V = rng.uniform(0.1, 1, (20, 3)) @ H * rng.uniform(0.7, 1.3, (20, 60))
    ours = drum_nmf._templates(V, H, 3000)
    again = drum_nmf._templates(V, H, 3000, W=rng.uniform(0.1, 5, (20, 3)))
    assert np.allclose(ours, again, rtol=1e-4, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, *_ = decomposition.non_negative_factorization(
            V,
            H=H,
            n_components=3,
            update_H=False,
            solver="mu",
            beta_loss="kullback-leibler",
            max_iter=3000,
            tol=0,
        )
    assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.max())
    np.testing.assert_allclose(ours @ H, theirs @ H, rtol=1e-4)
    assert nmf.divergence(V, ours @ H) == pytest.approx(nmf.divergence(V, theirs @ H), rel=1e-4)


def test_only_templates_move(loop, parts):
    assert np.allclose(parts.activations, drums.activations(loop.onsets, loop))


# --- stems ----------------------------------------------------------------------------------------


def test_stems_sum_to_the_loop_and_are_nearer_to_the_truth_than_the_mix(loop, parts):
    assert np.abs(total(parts) - loop.audio).max() < 1e-6
    for name in set(loop.onsets.classes):
        assert evaluate.si_sdr(
            reference=loop.stems[name], estimate=parts.stems[name]
        ) > 6 + evaluate.si_sdr(reference=loop.stems[name], estimate=loop.audio), name
    assert list(parts.stems) == list(drums.CLASSES) and len(parts.stems) == 5
    assert parts.stems["kick"].dtype == np.float32 and parts.stems["kick"].shape == loop.audio.shape


def test_classes_without_hits_are_silent_and_take_no_part(loop, parts):
    assert "open_hihat" not in loop.onsets.classes
    assert not parts.stems["open_hihat"].any()
    assert not parts.template("open_hihat").any() and not parts.activation("open_hihat").any()
    assert parts.template("kick").any() and np.isfinite(parts.templates).all()
    with pytest.raises(KeyError):
        parts.stems["cymbal"]


def test_one_class_alone_is_the_whole_song(loop):
    parts = drums.separate(loop, onsets((0.0, "kick"), (1.0, "kick")))
    assert np.array_equal(parts.stems["kick"], loop.audio) and not parts.stems["toms"].any()


def test_without_a_hit_all_is_in_the_toms(loop):
    parts = drums.separate(loop, onsets())
    assert np.array_equal(parts.stems["toms"], loop.audio)
    assert (
        not any(parts.stems[name].any() for name in drums.CLASSES[:-1])
        and not parts.templates.any()
    )


@pytest.mark.parametrize("given", [(), ((0.1, "kick"), (0.3, "snare"))])
def test_silence_stays_silent(given):
    parts = drums.separate(Song.from_array(np.zeros(SR, np.float32), SR), onsets(*given))
    assert not total(parts).any() and np.isfinite(parts.templates).all()


def test_two_hits_20_ms_apart_and_hits_beyond_the_end(loop):
    near = onsets(
        (0.5, "snare"),
        (0.52, "snare"),
        (0.52, "kick"),
        (0.52, "kick"),
        (1.999999, "toms"),
        (5.0, "toms"),
    )
    parts = drums.separate(loop, near)
    assert len(parts.onsets.times_s) == 5 and np.abs(total(parts) - loop.audio).max() < 1e-6
    assert len(drums.purities(loop, parts, "kick")) == 2


def test_an_unknown_class_is_refused(loop):
    with pytest.raises(InputError, match="no drum class 'KD'; choose kick"):
        drums.separate(loop, onsets((0.1, "KD")))


@pytest.mark.slow
@pytest.mark.parametrize("sr, channels", [(8000, 1), (48000, 2), (96000, 3)])
def test_any_rate_and_channels(sr, channels):
    song = played([(0.1, "kick"), (0.3, "snare"), (0.6, "kick")], 0.8, sr=sr)
    gains = np.linspace(1, -0.5, channels)[:, None].astype(np.float32)
    wide = Song(gains * song.audio, sr)
    parts = drums.separate(wide, song.onsets)
    assert np.abs(total(parts) - wide.audio).max() < 1e-6 and parts.stems["snare"].shape == (
        channels,
        song.audio.shape[1],
    )
    for c in range(channels):
        assert (
            evaluate.si_sdr(
                reference=gains[c] * song.stems["kick"][0], estimate=parts.stems["kick"][c]
            )
            > 8
        )


@pytest.mark.parametrize("samples", [1, 7, 600])
def test_songs_shorter_than_a_window(samples):
    song = Song.from_array(np.full(samples, 0.5, np.float32), SR)
    parts = drums.separate(song, onsets((0.0, "kick"), (0.0, "snare")))
    assert np.abs(total(parts) - song.audio).max() < 1e-6


def test_blocks_and_few_frames_change_little(loop, parts, monkeypatch):
    monkeypatch.setattr(drum_stems.Stems._rendered, "__defaults__", (37,))
    again = drums.separate(loop, loop.onsets)
    assert np.abs(again.stems["snare"] - parts.stems["snare"]).max() < 1e-6
    fewer = drums.separate(loop, loop.onsets, most_frames=100)
    assert evaluate.si_sdr(reference=loop.stems["kick"], estimate=fewer.stems["kick"]) > 8


def test_measured_velocities_follow_the_strokes():
    strokes = [
        (0.1, "kick", 1.0),
        (0.5, "kick", 0.5),
        (0.9, "kick", 1.0),
        (1.3, "snare", 0.4),
        (1.6, "snare", 1.0),
    ]
    song = played(strokes)
    plain = DrumOnsets(song.onsets.times_s, song.onsets.classes, np.ones(5))
    found = drums.separate(song, plain).onsets.velocity
    energies = [
        np.sqrt(np.sum(song.audio[0, round(t * SR) :][: SR // 4].astype(float) ** 2))
        for t, *_ in strokes
    ]
    assert found[0] == pytest.approx(1, abs=0.05) and found[4] == pytest.approx(1, abs=0.05)
    assert found[1] == pytest.approx(energies[1] / energies[0], abs=0.12)
    assert found[3] == pytest.approx(energies[3] / energies[4], abs=0.12)
    kept = drums.separate(song, song.onsets).onsets.velocity
    assert kept.tolist() == [1.0, 0.5, 1.0, 0.4, 1.0]  # somebody's own stay


@pytest.mark.parametrize("changes", [{"free_iterations": 3}, {"decays_s": (0.1,)}, {"power": 1.0}])
def test_options_keep_the_sum(loop, changes):
    parts = drums.separate(loop, loop.onsets, **changes)
    assert np.abs(total(parts) - loop.audio).max() < 1e-6
    assert evaluate.si_sdr(reference=loop.stems["kick"], estimate=parts.stems["kick"]) > 8


def test_same_song_same_bits(loop, parts):
    again = drums.separate(loop, loop.onsets)
    assert np.array_equal(again.templates, parts.templates) and np.array_equal(
        again.stems["snare"], parts.stems["snare"]
    )

"""Batches of songs.

(seed, step) decides everything, shifts move picture and truth together, the cache changes nothing.
"""

import numpy as np
import pytest
import torch

from melodylab import InputError, synth
from melodylab.models.inputs import FRONT_ENDS
from melodylab.training import mixing, song_batches, store
from melodylab.training.song_batches import Bank, SongBatches

BANK = Bank(seed=3, songs=2, mixes=2, seconds=3.0, ingredients=synth.Ingredients(rests=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features of the bank, computed once for all tests."""
    folder = tmp_path_factory.mktemp("features")
    SongBatches("cqt", BANK, cache=folder).prepare(n_jobs=1)
    return folder


def source(folder, front_end="cqt", **options):
    return SongBatches(
        front_end,
        BANK,
        **{"batch_size": 3, "frames": 60, "seed": 1, "steps": 10, "cache": folder, **options},
    )


def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


@pytest.mark.slow
def test_a_step_is_the_same_whatever_was_asked_before(folder):
    first = source(folder)
    batches = [first.batch(step) for step in range(4)]
    later = source(folder)
    assert all(same(later.batch(step), batches[step]) for step in (3, 0, 2, 1))
    assert not same(batches[0], batches[1])
    assert not same(source(folder, seed=2).batch(0), batches[0])


def test_shapes_and_types(folder):
    x, f0_hz = source(folder).batch(0)
    assert x.shape == (3, 1, 301, 60) and x.dtype == torch.float32
    assert f0_hz.shape == (3, 60) and f0_hz.dtype == torch.float32
    assert x.min() >= 0 and x.max() <= 1


def test_without_a_cache_or_with_a_tiny_memory_the_numbers_are_the_same(folder):
    cached = source(folder).batch(5)
    assert same(source(None).batch(5), cached)
    assert same(source(folder, memory_gb=1e-9).batch(5), cached)


def test_memory_is_bounded(folder):
    one_song = source(folder).song(0)[0].nbytes
    small = source(folder, memory_gb=2.5 * one_song / 1e9)
    for number, mix in ((0, 0), (0, 1), (1, 0), (1, 1)):
        small.song(number, mix)
    assert list(small.store._memory) == [(1, 0), (1, 1)]
    small.song(1, 0)  # used again, so the other one goes first
    small.song(0, 0)
    assert list(small.store._memory) == [(1, 0), (0, 0)]


@pytest.mark.slow
def test_a_shift_moves_picture_and_truth_by_the_same_interval(folder):
    source_ = source(folder, shift_semitones=4.0, batch_size=12)
    features, f0_hz = source_.song(0, 0)
    moved = set()
    x, moved_hz = source_.batch(0)
    for picture, line in zip(x.numpy(), moved_hz.numpy(), strict=True):
        found = find(source_, picture, line)
        moved.add(found)
        assert abs(found) <= 20  # 4 semitones of 5 bins
    assert len(moved) > 4


def find(source_, picture, line):
    """By how many bins an example was moved.

    The only place and shift at which picture and truth both fit.
    """
    fits = []
    for number in range(2):
        for mix in range(2):
            features, f0_hz = source_.song(number, mix)
            for bins in range(-20, 21):
                if bins >= 0:
                    inner, whole = picture[:, bins:], features[:, : 301 - bins]
                else:
                    inner, whole = picture[:, :bins], features[:, -bins:]
                for first in range(features.shape[2] - 60 + 1):
                    if np.array_equal(
                        inner[:, 100, :3], whole[:, 100, first : first + 3]
                    ) and np.array_equal(inner, whole[:, :, first : first + 60].astype(np.float32)):
                        truth = f0_hz[first : first + 60] * 2 ** (bins / 60)
                        np.testing.assert_allclose(line, truth, rtol=1e-5)
                        outside = picture[:, :bins] if bins > 0 else picture[:, 301 + bins :]
                        assert not outside.any()
                        fits.append(bins)
    assert len(fits) == 1
    return fits[0]


def test_a_stretched_example_keeps_its_truth_and_its_pace_within_limits(folder, monkeypatch):
    n = np.arange(900)
    ramp = np.broadcast_to(n, (1, 301, 900)).astype(np.float32), (100.0 + n).astype(np.float32)
    source_ = source(None, frames=200, stretch=0.5, shift_semitones=0.0, batch_size=20)
    monkeypatch.setattr(source_.store, "compute", lambda key: ramp)
    x, f0_hz = (part.numpy() for part in source_.batch(0))
    assert x.shape == (20, 1, 301, 200) and np.abs(x[:, 0, 7] - (f0_hz - 100)).max() <= 0.5
    paces = np.ptp(x[:, 0, 7], axis=1) / 199
    assert 1 / 1.51 < paces.min() < 0.85 and 1.2 < paces.max() < 1.51
    short = source(None, frames=1000, stretch=0.5, shift_semitones=0.0, batch_size=20)
    monkeypatch.setattr(short.store, "compute", lambda key: ramp)
    assert short.batch(0)[0].shape == (20, 1, 301, 1000)


def test_easy_mixes_come_first_and_one_more_with_every_part_of_the_first_half(folder):
    rng = np.random.default_rng(0)
    source_ = source(folder, steps=100)
    assert {source_._mix(rng, step) for step in range(25)} == {0}
    assert {source_._mix(rng, step) for step in range(25, 50)} == {0, 1}
    assert {source_._mix(rng, step) for step in range(50, 100)} == {0, 1}
    whole = source(folder, steps=0)
    assert {whole._mix(rng, 0) for _ in range(20)} == {0, 1}


def test_songs_shorter_than_an_example_end_in_silence(folder):
    x, f0_hz = source(folder, frames=400, shift_semitones=0.0).batch(0)
    length = 1 + int(3.0 * 22050) // 256
    assert not x[..., length:].any() and torch.isnan(f0_hz[:, length:]).all()
    assert x[..., :length].any()


def test_half_a_file_in_the_cache_is_made_again(tmp_path):
    source_ = source(tmp_path, memory_gb=0)
    good = source_.song(1, 1)
    path = source_.store.path((1, 1))
    path.write_bytes(path.read_bytes()[:1000])
    assert same(source(tmp_path).song(1, 1), good)
    assert len(path.read_bytes()) > 1000


def test_prepare_computes_what_is_missing_and_nothing_else(folder, monkeypatch):
    def refuse(*args):
        raise AssertionError("computed again")

    monkeypatch.setattr(store, "_computed", refuse)
    source(folder).prepare(n_jobs=1)
    with pytest.raises(AssertionError, match="computed again"):
        SongBatches("hcqt", BANK, cache=folder).prepare(n_jobs=1)


def test_other_ingredients_have_another_folder(folder):
    other = Bank(
        seed=3,
        songs=2,
        mixes=2,
        seconds=3.0,
        ingredients=synth.Ingredients(rests=False, drums=False),
    )
    longer = Bank(seed=3, songs=5, mixes=2, seconds=3.0, ingredients=BANK.ingredients)
    assert SongBatches("cqt", other, cache=folder).store.folder != source(folder).store.folder
    assert (
        SongBatches("cqt", longer, cache=folder).store.folder == source(folder).store.folder
    )  # more songs join those that are there


@pytest.mark.parametrize("wrong", [{"songs": 0}, {"mixes": 0}, {"seconds": 0.1}, {"seed": -1}])
def test_a_bank_without_songs_is_refused(wrong):
    with pytest.raises(InputError, match="a bank needs"):
        Bank(**wrong)


def test_an_unknown_front_end_is_refused():
    with pytest.raises(InputError, match="no front end 'mfcc'; choose one of sf, cqt, hcqt"):
        SongBatches("mfcc", BANK)


# --- mixed after the analysis ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The bank for a front end that is nothing but decibels, leads and rests apart."""
    folder = tmp_path_factory.mktemp("parts")
    SongBatches("spectra", BANK, cache=folder).prepare(n_jobs=1)
    return folder


def test_a_song_mixed_after_the_analysis_is_the_song(parts):
    ours, f0_hz = source(parts, "spectra").song(0, 1)
    heard = FRONT_ENDS["spectra"](BANK.song(0, 1)).values
    assert ours.shape == heard.shape and len(f0_hz) == heard.shape[2]
    assert (
        np.mean(np.abs(ours - heard)) < 0.02
        and np.corrcoef(ours.ravel(), heard.ravel())[0, 1] > 0.99
    )
    assert ours.max() == 1 and ours.min() >= 0


def test_the_lead_stays_where_the_truth_says_over_any_rest(parts, monkeypatch):
    monkeypatch.setattr(song_batches, "_OTHER_REST", 1.0)
    grid, found = FRONT_ENDS["spectra"].grid, []
    for step in range(3):
        x, f0_hz = source(parts, "spectra", batch_size=6, shift_semitones=4.0, stretch=0.3).batch(
            step
        )
        assert (
            x.shape == (6, 2, 312, 60)
            and x.dtype == torch.float32
            and x.min() >= 0
            and x.max() <= 1
        )
        for picture, line in zip(x.numpy(), f0_hz.numpy(), strict=True):
            at = grid.nearest_bin(line)
            columns = np.flatnonzero(at > 3)
            near = np.array([picture[0, at[t] - 1 : at[t] + 2, t].max() for t in columns])
            beside = np.array([picture[0, [at[t] - 3, at[t] + 3], t].mean() for t in columns])
            found += list(near > beside)
    assert len(found) > 300 and np.mean(found) > 0.85


def test_levels_and_rests_change_and_the_seed_decides(parts, monkeypatch):
    assert same(source(parts, "spectra").batch(2), source(parts, "spectra").batch(2))
    options = {"batch_size": 1, "frames": round(3 * 22050 / 512) + 1}
    monkeypatch.setattr(song_batches, "_OTHER_REST", 0.0)
    monkeypatch.setattr(song_batches, "_REMIX_DB", 0.0)
    x, _ = source(parts, "spectra", shift_semitones=0.0, **options).batch(0)
    songs = [source(parts, "spectra").song(n, 0)[0].astype(float) for n in range(2)]
    likeness = [np.corrcoef(x[0].numpy().ravel(), song.ravel())[0, 1] for song in songs]
    assert max(likeness) > 0.99, "nothing to change: it is one of the songs, but for its level"


def test_beyond_a_part_there_is_nothing(parts):
    x, f0_hz = source(parts, "spectra", frames=400).batch(0)
    assert not x[..., 200:].any() and torch.isnan(f0_hz[:, 200:]).all()


def test_every_mix_gets_another_equaliser_and_its_truth_stays(parts):
    plain, coloured = (
        source(parts, "spectra", shift_semitones=0.0, equaliser_db=e).batch(0) for e in (0.0, 6.0)
    )
    np.testing.assert_array_equal(plain[1][0], coloured[1][0])
    assert not torch.equal(plain[0], coloured[0])
    gains_db = np.stack(
        [
            mixing.equaliser_db(np.random.default_rng(seed), 312, 36, 6.0)[:, 0]
            for seed in range(300)
        ]
    )
    assert gains_db[:, ::36].std() == pytest.approx(6, rel=0.05) and abs(gains_db.mean()) < 1
    np.testing.assert_allclose(
        gains_db[:, 18], (gains_db[:, 0] + gains_db[:, 36]) / 2, rtol=1e-4, atol=1e-5
    )


def test_a_veil_fills_what_lies_near_and_what_comes_after_and_leaves_silence(parts):
    power = np.zeros((2, 312, 300), np.float32)
    power[:, 150, 50:100] = 1
    veiled = mixing.veiled(np.random.default_rng(0), power, 36)
    added = veiled - power
    assert (added >= 0).all() and not added[..., :50].any(), "nothing sounds before its cause"
    assert (
        added[:, 140, 60:100].mean() > 0 and not added[:, :131].any() and not added[:, 169:].any()
    ), "half an octave"
    after = added[:, 140, 100:].mean(axis=0)
    assert after[:20].mean() > after[20:60].mean() > after[60:150].mean(), "it dies away"
    assert added.max() < 0.3 < power.max()
    assert not mixing.veiled(np.random.default_rng(0), 0 * power, 36).any()
    some = source(parts, "spectra", shift_semitones=0.0, ambience=1.0).batch(0)
    none = source(parts, "spectra", shift_semitones=0.0).batch(0)
    assert torch.quantile(some[0][0], 0.1) > torch.quantile(none[0][0], 0.1)
    np.testing.assert_array_equal(some[1][0], none[1][0])

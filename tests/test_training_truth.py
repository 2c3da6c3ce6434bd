"""What networks learn from is true to the frame: each test fails where a fault of one frame, one
sign or one share is planted."""

import types

import numpy as np
import pytest
from test_training_songs import song

from melodylab import synth
from melodylab.models.inputs import FRONT_ENDS
from melodylab.training import loop_batches, masks, mixing, song_batches
from melodylab.training.song_batches import Bank, SongBatches


def coherence(made, late_frames):
    """How steady the lead is once the truth's phase, so many frames late, is taken out."""
    lead, truth = made.stems["melody"][0].astype(float), made.melody
    t = np.arange(len(lead)) / made.sr
    heard = ~np.isnan(truth.f0_hz)
    hop_s = truth.times_s[1]
    f0_hz = np.interp(t, truth.times_s[heard] + late_frames * hop_s, truth.f0_hz[heard])
    turned = lead * np.exp(-2j * np.pi * np.cumsum(f0_hz) / made.sr)
    blocks = turned[: len(turned) // 2048 * 2048].reshape(-1, 2048).mean(axis=1)
    return np.sum(np.abs(blocks) ** 2)


@pytest.mark.parametrize("seed", [4, 20])
def test_the_truth_of_a_song_is_no_frame_early_or_late(seed):
    made = song(seed, processing=False, formant_voice=False, instrument_leads=0.0)
    found = [coherence(made, late) for late in (-1, 0, 1)]
    assert found[1] > 1.01 * found[0] and found[1] > 1.01 * found[2]


@pytest.mark.parametrize(("front_end", "hops"), [("cqt", 1), ("spectra", 2)])
def test_the_truth_of_features_is_that_of_their_frames(front_end, hops):
    bank = Bank(seed=3, songs=1, mixes=1, seconds=3.0, ingredients=synth.Ingredients(rests=False))
    truth = bank.song(0).melody
    features, f0_hz = song_batches.features_of(front_end, bank, 0)
    assert features.shape[-1] == len(f0_hz) and np.isfinite(f0_hz).sum() > 30
    expected_hz = truth.sung_hz[::hops][: len(f0_hz)]
    np.testing.assert_allclose(f0_hz, expected_hz, rtol=1e-5)
    assert FRONT_ENDS[front_end].hop_samples == 256 * hops


def planted(bank, frames=300):
    """Two songs: the lead's rows 10 and 60, the rest's 110 and 160; the pitch tells the lead."""

    def compute(key):
        parts = np.full((2, 2, 312, frames), mixing.QUIET_DB, np.float16)
        parts[0, :, 10 + 50 * key[0]] = parts[1, :, 110 + 50 * key[0]] = -10.0
        return parts, np.full(frames, 100.0 * (1 + key[0]), np.float32)

    batches = SongBatches(
        "spectra", bank, batch_size=40, frames=60, shift_semitones=0.0, seed=1, cache=None
    )
    batches.store.compute = compute
    return batches


@pytest.mark.parametrize(
    ("share", "low", "high"), [(None, 0.1, 0.42), (0.0, 0, 0), (1.0, 0.3, 0.7)]
)
def test_every_other_lead_meets_another_songs_rest(monkeypatch, share, low, high):
    """Of two songs: half of those that meet any rest meet the other's."""
    if share is not None:
        monkeypatch.setattr(song_batches, "_OTHER_REST", share)
    batches = planted(Bank(songs=2, mixes=1))
    mixed = []
    for step in range(3):
        x, f0_hz = (part.numpy() for part in batches.batch(step))
        lead = (x[:, 0, 60, 30] > x[:, 0, 10, 30]).astype(int)
        rest = (x[:, 0, 160, 30] > x[:, 0, 110, 30]).astype(int)
        assert np.array_equal(f0_hz[:, 0], 100.0 * (1 + lead)), "the truth is the lead's"
        mixed += list(lead != rest)
    assert low <= np.mean(mixed) <= high


def test_a_leading_melody_slips_as_often_as_it_should():
    """Frames left out, at another pitch, made up; another pitch is a known interval."""
    network = types.SimpleNamespace(lead_picture=lambda f0_hz: np.nan_to_num(f0_hz))
    rng, cues = np.random.default_rng(0), []
    sung, silent = np.full(3000, 220.0, np.float32), np.full(3000, np.nan, np.float32)
    for _ in range(60):
        cue_hz = masks._cue(sung, network, rng)
        if cue_hz.any():
            cues.append(cue_hz)
    assert 18 <= len(cues) <= 42
    away = []
    for cue_hz in cues:  # all of a cue is a little out of tune
        semitones = 12 * np.log2(cue_hz[cue_hz > 0] / 220)
        away.append(semitones - np.median(semitones))
    left_out = np.mean([(cue_hz == 0).mean() for cue_hz in cues])
    wrong = np.mean([(np.abs(part) > 1).mean() for part in away])
    intervals = {round(value) for part in away for value in part[np.abs(part) > 1]}
    assert left_out == pytest.approx(masks._SLIPS[0], abs=0.02)
    assert wrong == pytest.approx(masks._SLIPS[1] - masks._SLIPS[0], abs=0.02)
    assert intervals == set(masks._WRONG_SEMITONES)
    invented = [masks._cue(silent, network, rng) for _ in range(60)]
    made_up = np.mean([(cue_hz > 0).mean() for cue_hz in invented if cue_hz.any()])
    assert made_up == pytest.approx(masks._SLIPS[2] - masks._SLIPS[1], abs=0.03)


def test_an_overlaid_loop_brings_its_hits_where_it_sounds():
    """Each hit is one lit frame; after the second loop was moved, every lit frame has its label."""
    rng = np.random.default_rng(0)
    moves = set()
    for _ in range(50):
        frames, pairs = 60, []
        for kind, row in ((0, 2), (1, 5)):
            at = np.sort(rng.choice(np.arange(2, 58), 3, replace=False))
            x = np.zeros((8, frames), np.float32)
            x[row, at] = 0.8
            pairs.append((x, np.stack([at, np.full(3, kind)], axis=1).astype(np.float32)))
        (_, first), (_, second) = pairs
        x, hits = loop_batches._overlaid(rng, *pairs)
        assert np.array_equal(hits[:3], first) and (x[2] > 0).sum() == 3
        lit = np.flatnonzero(x[5])
        assert np.array_equal(np.sort(hits[3:, 0]), lit) and (hits[3:, 1] == 1).all()
        assert set(lit) & set(first[:, 0].astype(int)), "one falls on one of the first loop's"
        moves.add(int(np.sign(lit[0] - second[0, 0])))
    assert {-1, 1} <= moves


def test_a_target_rises_ahead_of_its_hit_and_reaches_in_from_outside():
    made = loop_batches.profile(np.array([[4.0, 0], [8.5, 1], [-1.5, 2]]), 8)
    assert made[0].tolist() == [0, 0, 0, 0.5, 1, 0.5, 0, 0]
    assert made[1].tolist() == [0] * 7 + [0.25] and made[2].tolist() == [0.25] + [0] * 7


def test_ahead_of_a_hit_a_batch_holds_the_slope_of_its_target():
    batches = loop_batches.LoopBatches(
        loop_batches.Loops(seed=1, loops=1, seconds=2.0), frames=80, stretch=0.0, batch_size=2
    )
    x = np.full((1, 128, 200), 0.5, np.float16)
    batches.store.compute = lambda key: (x, np.array([[100.0, 3]], np.float32))
    found = [batches._excerpt(np.random.default_rng(n))[1][0, 0] for n in range(20)]
    _, target = batches.batch(0)
    rows = target[:, 3].numpy()
    assert len(set(found)) > 5
    for row in rows[rows.max(axis=1) == 1]:
        at = int(row.argmax())
        assert row[max(at - 1, 0)] == (0.5 if at else 1.0) and row.sum() <= 2 + 1e-6


def test_a_song_of_the_bank_is_the_one_that_its_number_names():
    bank = Bank(seed=2, songs=3, mixes=1, seconds=1.5)
    made = synth.training_song(2_000_001, 1.5, ingredients=bank.ingredients)
    assert np.array_equal(bank.song(1).audio, made.audio)

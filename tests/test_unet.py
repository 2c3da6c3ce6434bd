"""The U-Nets, what they are told and taught, and how a mask becomes sound."""

import numpy as np
import pytest
import torch

import melodylab as ml
from melodylab import evaluate, models, separation, training
from melodylab.dsp import features
from melodylab.errors import InputError
from melodylab.models import inputs, run, unet
from melodylab.records import Features, Mask, Melody, Song
from melodylab.training import masks, objectives, song_batches


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def trainable(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


# --- the report's network -------------------------------------------------------------------------


def test_the_report_s_network_has_its_parameters():
    model = models.create_model("unet-mel")
    assert (
        trainable(model) == 31_044_080
    )  # the fact sheet's reading A with the last double convolution
    widths = (64, 128, 256, 512, 1024)
    for n_in, n, down in zip((2, *widths), widths, model.down, strict=False):
        assert trainable(down) == 9 * n_in * n + n + 9 * n * n + n + 4 * n
    assert [trainable(up) for up in model.higher] == [
        4 * 2 * n * n + n for n in (512, 256, 128, 64)
    ]
    assert trainable(model.out) == 9 * 64 * 2 + 2 + 9 * 2 * 2 + 2 + 8


@pytest.mark.parametrize(("bands", "frames"), [(128, 1), (128, 33), (100, 241)])
def test_its_mask_has_the_size_of_the_picture_and_no_bound(bands, frames):
    model = models.create_model("unet-mel", channels=(4, 8, 16))
    with torch.no_grad():
        model.out.norm2.bias.fill_(3)
        mask = model(torch.rand(2, 2, bands, frames))
    assert mask.shape == (2, 2, bands, frames)
    assert mask.min() >= 0 and mask.max() > 1


def test_its_loss_is_the_error_of_the_melody_s_power():
    model = models.create_model("unet-mel", channels=(4, 8))
    x, share = torch.rand(1, 2, 16, 8), torch.rand(1, 2, 16, 8)
    assert model.loss(share, x, share, None).item() == 0
    assert model.loss(share + 1, x, share, None).item() == pytest.approx(
        (x**2).mean().item(), rel=1e-5
    )


# --- ours -----------------------------------------------------------------------------------------


def test_ours_begins_with_what_the_pitch_network_knows():
    own, pitch = (
        models.create_model("unet").state_dict(),
        models.create_model("harmonic-crnn").state_dict(),
    )
    missing = {key for key in pitch if key not in own or own[key].shape != pitch[key].shape}
    assert missing == {"pitch.weight", "pitch.bias"}


@pytest.mark.parametrize("attention", [False, True])
def test_shares_are_bounded_and_unknown_is_all_zero(attention):
    model = models.create_model("unet", attention=attention)
    x = torch.rand(1, 2, 312, 21)
    with torch.inference_mode():
        y = model(x)
        nothing_told = model(torch.cat([x, torch.zeros_like(x)], dim=1))
        told = model(
            torch.cat([x, torch.from_numpy(model.lead_picture(np.full((1, 21), 220.0)))], dim=1)
        )
    share, gate = model.shares(y)
    assert share.shape == (1, 312, 21) and gate.shape == (1, 21)
    assert share.min() >= 0 and share.max() <= 1 and gate.min() >= 0 and gate.max() <= 1
    assert torch.equal(y, nothing_told) and not torch.allclose(y[:, 1:], told[:, 1:])
    assert torch.equal(y[:, 0], told[:, 0])  # what it is told does not open the gate


def test_an_attention_gate_weighs_the_skip_and_nothing_else():
    gate = unet.AttentionGate(6, 4, 3)
    skip, below = torch.rand(1, 6, 5, 7), torch.rand(1, 4, 5, 7)
    with torch.no_grad():
        weight = gate(skip, below) / skip
        assert weight.min() > 0 and weight.max() < 1
        torch.testing.assert_close(
            weight[:, :1].expand_as(weight), weight
        )  # one weight for all channels of a cell
        gate.weight.bias.fill_(50)
        torch.testing.assert_close(gate(skip, below), skip)
    plain, with_gates = models.create_model("unet"), models.create_model("unet", attention=True)
    assert (
        trainable(with_gates) - trainable(plain) == sum(trainable(g) for g in with_gates.attend) > 0
    )


def test_what_is_found_at_a_pitch_is_placed_on_its_partials():
    x = torch.zeros(1, 1, 156, 2)
    pitch = 20
    x[0, 0, pitch] = 1
    f0_hz = unet.HarmonicCRNN.grid.freqs_hz[pitch]
    for partial, shift in zip(unet._PARTIALS, unet._SHIFTS, strict=True):
        placed = unet._placed(x, shift)[0, 0, :, 0]
        assert placed.shape == (312,)
        (row,) = np.flatnonzero(placed)
        assert (
            abs(1200 * np.log2(unet.SPECTRA.freqs_hz[row] / (partial * f0_hz))) < 17
        )  # half a row
    assert not unet._placed(torch.ones(1, 1, 156, 1), 312).any()


def test_a_lead_s_picture_has_bumps_at_its_partials():
    picture = unet.lead_picture(np.array([440.0, np.nan, 20.0]))
    assert picture.shape == (2, 312, 3) and picture.dtype == np.float32
    assert (picture[1] == [[1, -1, -1]]).all()  # 20 Hz lies below the rows
    assert not picture[0, :, 1:].any()
    for partial in (1, 2, 3, 7):
        row = np.abs(np.log2(unet.SPECTRA.freqs_hz / (440 * partial))).argmin()
        assert picture[0, row - 1 : row + 2, 0].max() > 0.9, partial
    assert picture[0, :100, 0].max() < 1e-6


def test_silent_cells_do_not_count_in_the_loss():
    model = models.create_model("unet")
    x = torch.zeros(1, 4, 312, 4)
    x[:, :2, 50] = 1.0  # one row sounds
    share = torch.zeros(1, 2, 312, 4)
    share[:, :, 50] = 1
    y = torch.full((1, 313, 4), 30.0)  # everything is the lead's, and there is a lead
    right = model.loss(y, x, share, torch.ones(1, 4)).item()
    assert right == pytest.approx(0, abs=1e-5)
    share[:, :, 50] = 0
    assert model.loss(y, x, share, torch.ones(1, 4)).item() > 20


def test_the_gate_opens_where_the_network_is_sure_and_looks_a_minute_far():
    heard, sure = np.ones((2, 312, 4000), np.float32), np.full((312, 4000), 0.02, np.float32)
    sure[100:110] = 0.9
    unsure = np.full((312, 4000), 0.2, np.float32)
    gate = unet.UNet().gate
    assert gate(heard, sure, 43.0).min() > 0.9 and gate(heard, unsure, 43.0).max() < 0.31
    changing = np.concatenate([sure, unsure], axis=1)
    opened = gate(np.concatenate([heard] * 2, axis=2), changing, 43.0)
    assert opened[0] > 0.9 and opened[-1] < 0.31 and np.abs(np.diff(opened)).max() < 0.05
    hole = sure.copy()
    hole[:, 2000:2400] = 0.02  # ten seconds without
    assert gate(heard, hole, 43.0).min() > 0.7
    assert np.isfinite(gate(0 * heard, sure, 43.0)).all()


# --- what it is taught ----------------------------------------------------------------------------

BANK = song_batches.Bank(seed=3, songs=2, mixes=1, seconds=4.0)


def test_the_share_says_how_much_is_the_lead_s():
    source = song_batches.SongBatches("spectra", BANK, batch_size=2, frames=60, seed=1)
    assert torch.equal(source.parts(0)[0], source.batch(0)[0])
    x, f0_hz, share = (torch.cat(part) for part in zip(*map(source.parts, range(8)), strict=True))
    assert share.shape == x.shape and share.min() >= 0 and share.max() <= 1
    loud = x > x.amax(dim=(1, 2, 3), keepdim=True) - 0.3
    sung = (~f0_hz.isnan())[:, None, None].expand_as(share)
    assert share[loud & sung].mean() > share[loud & ~sung].mean() + 0.1
    none = song_batches.SongBatches(
        "spectra", BANK, batch_size=2, frames=60, seed=1, without_lead=1.0
    )
    x, f0_hz, share = none.parts(0)
    assert f0_hz.isnan().all() and share.max() < 1e-3 and x.max() > 0.5


def test_what_leads_a_network_is_the_truth_with_mistakes_or_nothing():
    model, rng = models.create_model("unet"), np.random.default_rng(0)
    f0_hz = np.where(np.arange(300) % 100 < 60, 220.0, np.nan).astype(np.float32)
    truth, silent, right = unet.lead_picture(f0_hz)[1], 0, []
    for _ in range(60):
        told = masks._cue(f0_hz, model, rng)
        assert told.shape == (2, 312, 300)
        if told.any():
            right.append((told[1] == truth).mean())
        else:
            silent += 1
    assert 18 <= silent <= 42
    assert 0.8 < np.mean(right) < 0.99
    assert f0_hz[0] == 220 and np.isnan(f0_hz[99])  # nobody's arrays are changed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "unet-mel"])
def test_masks_are_trained_validated_and_kept(name, tmp_path):
    song = ml.demo_song(seed=1, seconds=6)
    song = Song(song.audio, song.sr, song.name, {"melody": song.stems["melody"]}, song.melody)
    changes = {"channels": [4, 4, 4, 4], "units": 4} if name == "unet" else {"channels": [2, 4]}
    plan = {
        "model": {"name": name, **changes},
        "data": {"songs": 1, "mixes": 1, "seconds": 4.0, "seed": 3},
        "training": {
            "steps": 2,
            "validate_every": 1,
            "batch_size": 2,
            "frames": 40,
            "optimizer": "sgd",
            "learning_rate": 1e-4,
        },
    }
    model, history = training.fit(plan, out=tmp_path / "run", validate=[song], device="cpu")
    assert [entry["step"] for entry in history] == [1, 2] and all(
        np.isfinite(entry["loss"]) for entry in history
    )
    assert "lead SDR" in training.line(history[0], 2) and "without a melody" in training.line(
        history[0], 2
    )
    card = ml.weights.card(tmp_path / "run")
    assert card["decoding"] == {} and set(card["scores"]["songs"]) == {song.name}
    assert (card["scores"]["SDR_led"] is None) == (name == "unet-mel")
    loaded = ml.load_model(tmp_path / "run")
    assert loaded.name == name and objectives.of(loaded) is masks.Masks


def test_a_validation_tells_what_a_perfect_mask_is_worth(monkeypatch):
    """The ideal share of each row, in place of a network's: far above the mix, and nothing where
    the melody was taken out.
    """
    song = ml.demo_song(seed=0, seconds=8)
    song = Song(song.audio, song.sr, song.name, {"melody": song.stems["melody"]}, song.melody)
    (item,) = masks.Masks.validation_set(training.Recipe("unet"), [song], None)
    lead, rest = (
        inputs.FRONT_ENDS["spectra"].magnitudes(Song(x, song.sr)).values ** 2
        for x in (song.stems["melody"], song.audio - song.stems["melody"])
    )
    ideal = np.sqrt(np.prod(lead / np.maximum(lead + rest, 1e-20), axis=0))

    def perfect(network, pictures, melody=None, **options):
        shares = ideal if pictures is item[2] else np.zeros_like(ideal)
        return Mask(np.clip(shares, 0, 1), pictures.freqs_hz, pictures.times_s), np.ones(
            shares.shape[1]
        )

    monkeypatch.setattr(run, "mask", perfect)
    found = masks.Masks.validate(models.create_model("unet", units=4), item, "cpu")
    mix = evaluate.bss_eval_sdr(reference=song.stems["melody"], estimate=song.audio)[0]
    assert (
        found["SDR"] > mix + 8 and found["SDR_led"] == found["SDR"] and found["removed_db"] == -120
    )


def test_songs_without_stems_cannot_validate_masks(tmp_path):
    song = ml.demo_song(seconds=2)
    with pytest.raises(InputError, match="no stem melody"):
        training.fit(
            {"model": {"name": "unet"}},
            validate=[Song(song.audio, song.sr, "bare", melody=song.melody)],
        )


# --- from a mask to sound -------------------------------------------------------------------------


def flat_mask(value, freqs_hz=(50.0, 11000.0), seconds=3.0):
    times_s = np.arange(int(seconds * 43)) / 43
    return Mask(np.full((len(freqs_hz), len(times_s)), value), freqs_hz, times_s)


@pytest.mark.parametrize("sr", [8000, 22050, 44100, 48000])
def test_a_mask_of_ones_gives_everything_below_its_highest_row(sr):
    t_s = np.arange(int(1.7 * sr)) / sr
    low, high = (
        0.3 * np.sin(2 * np.pi * 440 * t_s),
        0.3 * np.sin(2 * np.pi * 15000 * t_s) * (sr > 32000),
    )
    song = Song.from_array(np.stack([low + high, low]), sr)
    lead = separation.lead_by_mask(song, flat_mask(1.0))
    assert lead.shape == song.audio.shape and lead.dtype == np.float32
    inside = slice(sr // 10, -sr // 10)  # at its ends a tone is no tone
    np.testing.assert_allclose(lead[:, inside], np.stack([low, low])[:, inside], atol=2e-3)
    assert not separation.lead_by_mask(song, flat_mask(0.0)).any()
    np.testing.assert_allclose(separation.lead_by_mask(song, flat_mask(0.5)), lead / 2, atol=1e-5)
    np.testing.assert_array_equal(lead + separation.rest(song, lead), lead + (song.audio - lead))


def test_a_mask_is_read_between_its_rows_and_frames():
    sr = 22050
    t_s = np.arange(2 * sr) / sr
    song = Song.from_array(sum(0.2 * np.sin(2 * np.pi * f * t_s) for f in (300, 3000)), sr)
    mask = Mask(
        np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),
        [20, 1000, 2000, 10000],
        [0.0, 2.0],
    )
    lead = separation.lead_by_mask(song, mask)[0]
    np.testing.assert_allclose(
        lead[2000:-2000], (0.2 * np.sin(2 * np.pi * 300 * t_s))[2000:-2000], atol=2e-3
    )
    fading = Mask(np.array([[0.0, 1.0]] * 2), [20, 10000], [0.0, 2.0])
    level = np.abs(separation.lead_by_mask(song, fading)[0]).reshape(20, -1).max(axis=1)
    np.testing.assert_allclose(level / 0.4, np.arange(20) / 20 + 0.05, atol=0.06)


def test_blocks_do_not_show(rng, monkeypatch):
    song = Song.from_array(0.1 * rng.standard_normal((2, 22050 * 3)), 22050)
    mask = Mask(rng.random((40, 130)), np.geomspace(40, 11000, 40), np.arange(130) / 43)
    whole = separation.lead_by_mask(song, mask)
    monkeypatch.setattr(separation, "_BLOCK_FRAMES", 17)
    np.testing.assert_allclose(separation.lead_by_mask(song, mask), whole, atol=1e-6)


def test_a_closed_gate_lets_nothing_through():
    song = Song.from_array(np.ones(22050) * 0.1, 22050)
    mask = flat_mask(1.0, seconds=1)
    gate = (mask.times_s > 0.5).astype(float)
    lead = separation.lead_by_mask(song, mask, gate)[0]
    assert np.abs(lead[:8000]).max() < 1e-6
    np.testing.assert_allclose(lead[14000:20000], 0.1, atol=1e-3)


def test_a_network_that_cannot_be_told_says_so():
    model = models.create_model("unet-mel", channels=(2, 4))
    picture = Features(np.ones((2, 128, 9)), unet.MEL_HZ, np.arange(9) / 80, "mel")
    with pytest.raises(InputError, match="cannot be told a melody"):
        run.mask(model, picture, Melody(picture.times_s, np.full(9, 220.0), np.ones(9)))
    mask, gate = run.mask(model, picture)
    assert mask.values.shape == (np.sum(unet.MEL_HZ <= 8000), 9) and (gate == 1).all()


# --- the report's way to sound --------------------------------------------------------------------


def test_mel_power_of_two_channels_and_back():
    sr = 16000
    t_s = np.arange(sr) / sr
    song = Song.from_array(np.stack([0.5 * np.sin(2 * np.pi * 1000 * t_s), np.zeros(sr)]), sr)
    picture = features.stereo_mel(song)
    assert picture.values.shape == (2, 128, 81) and not picture.values[1].any()
    peak_hz = picture.freqs_hz[picture.values[0].sum(axis=1).argmax()]
    assert abs(peak_hz - 1000) < 40
    mono = features.stereo_mel(Song.from_array(song.audio[0], sr))
    np.testing.assert_array_equal(mono.values[0], mono.values[1])
    magnitudes = features.mel_to_magnitudes(picture.values[0])
    assert magnitudes.shape == (201, 81) and magnitudes.min() >= 0
    assert abs(40 * magnitudes.sum(axis=1).argmax() - 1000) <= 40

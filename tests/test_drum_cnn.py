"""The drum network as printed: its layers' numbers, its readings, what a front end must keep."""

import numpy as np
import pytest
import torch

from melodylab import drums, models, synth
from melodylab.dsp import features
from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.models.drum_cnn import CLASSES
from melodylab.records import Song
from melodylab.training import hits, loop_batches

LAYERS = {  # module: weights and biases, as the sheet counts them
    "block1.conv1": 320,
    "block1.conv2": 9_248,
    "block2.conv1": 36_992,
    "block2.conv2": 147_584,
    "block3.conv1": 73_792,
    "block3.conv2": 18_464,
    "dense": 32_896,
    "classes": 645,
}
OURS = {"reading": "R5", "bands": 128, "norm": True, "units": 32}


def parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_as_printed_layer_by_layer():
    model = models.create_model("drum-cnn")
    counts = {
        name: parameters(m)
        for name, m in model.named_modules()
        if not list(m.children()) and parameters(m)
    }
    assert counts == LAYERS and parameters(model) == 319_941 and model.reading == "R1"


@pytest.mark.parametrize(
    "changes, count",
    [
        ({"n_classes": 1}, 319_425),
        ({"n_classes": 344}, 363_672),  # a network for each class
        ({"n_classes": 340}, 363_156),  # a coarse profile
        ({"reading": "R2"}, 541_176),
        ({"reading": "R5"}, 287_045),
    ],
)
def test_other_readings_have_the_numbers_that_follow(changes, count):
    assert parameters(models.create_model("drum-cnn", **changes)) == count


@pytest.mark.slow
def test_each_reading_answers_in_its_shape(rng):
    x = torch.from_numpy(rng.uniform(0, 1, (2, 1, 512, 344)).astype(np.float32))
    with torch.inference_mode():
        assert models.create_model("drum-cnn")(x).shape == (2, 5)
        assert models.create_model("drum-cnn", reading="R2")(x).shape == (2, 5, 344)
        assert models.create_model("drum-cnn", reading="R5")(x[..., :77]).shape == (2, 5, 77)
        assert models.create_model("drum-cnn", **OURS)(x[..., :3]).shape == (2, 5, 3)


def test_sizes_between_the_layers_are_those_of_the_sheet():
    model, seen = models.create_model("drum-cnn"), []
    for module in (model.pool, model.dense):
        module.register_forward_hook(lambda _, inputs, output: seen.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        model(torch.zeros(1, 1, 512, 344))
    assert seen == [(32, 102, 68), (128, 20, 13), (32, 4, 2), (128,)]


@pytest.mark.parametrize(
    "wrong", [{"reading": "R3"}, {"bands": 64}, {"frames": 100}, {"reading": "R5", "bands": 100}]
)
def test_what_cannot_be_built_is_refused_in_a_sentence(wrong):
    with pytest.raises(InputError, match="choose|give"):
        models.create_model("drum-cnn", **wrong)


def test_bands_that_are_joined_give_what_joined_bands_give(rng):
    model = models.create_model("drum-cnn", **OURS)
    x = torch.from_numpy(rng.uniform(0, 1, (1, 1, 512, 20)).astype(np.float32))
    with torch.inference_mode():
        assert torch.allclose(model(x), model(x.unflatten(2, (128, 4)).mean(dim=3)), atol=1e-5)


def test_blocks_equal_the_whole_song(rng, monkeypatch):
    model = models.create_model("drum-cnn", reading="R5", bands=128, norm=True)
    values = rng.uniform(0, 1, (1, 128, 400)).astype(np.float32)
    heard = features.Features(values, np.arange(128.0), np.arange(400) * 0.01, "drum-mel")
    whole = run.logits(model, heard)
    monkeypatch.setattr(type(model), "block_frames", 64)
    assert np.allclose(run.logits(model, heard), whole, atol=1e-5)


def test_the_front_end_puts_an_onset_at_its_frame():
    y = np.zeros(22050, np.float32)
    y[11008:] = np.random.default_rng(0).standard_normal(22050 - 11008) * 0.1  # frame 43
    heard = inputs.FRONT_ENDS["drum-mel"](Song.from_array(y, 22050))
    assert (
        heard.values.shape == (1, 512, 87) and heard.values.min() >= 0 and heard.values.max() == 1
    )
    level = heard.values[0].mean(axis=0)
    assert np.argmax(np.diff(level)) in (40, 41, 42) and not heard.values[0, :, :41].any()


def test_every_band_of_the_front_end_hears_something():
    noise = np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 0.1
    assert (inputs.drum_mel(Song.from_array(noise, 22050)).values[0].max(axis=1) > 0.3).all()
    assert not inputs.drum_mel(Song.from_array(0 * noise, 22050)).values.any()


# --- what it learns from --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bank():
    return loop_batches.Loops(seed=1, loops=3, seconds=2.0)


def test_a_profile_is_one_at_the_hit_and_half_a_frame_off_it():
    made = loop_batches.profile(np.array([[3.0, 0], [5.5, 1], [-0.5, 2], [30, 3]]), 8)
    assert made[0].tolist() == [0, 0, 0.5, 1, 0.5, 0, 0, 0]
    assert made[1].tolist() == [0, 0, 0, 0, 0.25, 0.75, 0.75, 0.25]
    assert made[2, 0] == 0.75 and not made[3].any() and not made[4].any()


def test_batches_depend_on_seed_and_step_alone(bank, tmp_path):
    settings = {"batch_size": 3, "frames": 90, "bands": 128, "noise": 0.5, "cache": tmp_path}
    source, other = (loop_batches.LoopBatches(bank, **settings) for _ in range(2))
    first, later = source.batch(0), source.batch(7)
    assert all(
        torch.equal(a, b) for a, b in zip(later, other.batch(7), strict=True)
    )  # from the cache, in another order
    assert all(torch.equal(a, b) for a, b in zip(first, other.batch(0), strict=True))
    x, profile = later
    assert x.dtype == profile.dtype == torch.float32
    assert (
        x.shape == (3, 1, 128, 90) and profile.shape == (3, 5, 90) and x.min() >= 0 and x.max() <= 1
    )
    assert not torch.equal(first[0], later[0])


def test_a_stretched_excerpt_keeps_hits_on_their_sound(bank):
    source = loop_batches.LoopBatches(
        bank, batch_size=8, frames=160, stretch=0.5, noise=0, equaliser_db=0
    )
    x, profile = (part.numpy() for part in source.batch(3))
    rises = np.maximum(np.diff(x[:, 0], axis=2), 0).mean(axis=1)  # (batch, frames - 1)
    hits = profile.max(axis=1) > 0.7
    near = hits[:, 2:-4] | hits[:, 3:-3] | hits[:, 1:-5]
    assert (
        rises[:, :-4][:, 1:][:, : near.shape[1]][near].mean()
        > 3 * rises[:, 1:-4][:, : near.shape[1]][~near].mean()
    )


def test_a_damaged_cache_is_made_again(bank, tmp_path):
    source = loop_batches.LoopBatches(bank, cache=tmp_path)
    source.prepare()
    (path, *_) = sorted(tmp_path.rglob("*.npz"))
    path.write_bytes(b"half")
    again = loop_batches.LoopBatches(bank, cache=tmp_path)
    assert np.array_equal(again.loop(0)[0], source.loop(0)[0])


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"loops": 0}, {"seconds": 0.5}])
def test_a_wrong_bank_is_refused(wrong):
    with pytest.raises(InputError, match="loops need"):
        loop_batches.Loops(**wrong)


def test_planted_profiles_score_one_and_a_wrong_class_does_not():
    song = synth.drum_loop(20_000_000, 4.0, sr=22050)
    times_s = inputs.drum_mel(song, bands=128).times_s
    classes = [CLASSES.index(kind) for kind in song.onsets.classes]
    planted = np.stack([song.onsets.times_s * 22050 / 256, classes], axis=1)
    profile = loop_batches.profile(planted, len(times_s))
    truth = {kind: song.onsets.of_class(kind) for kind in CLASSES}
    heard = features.Features(np.ones((1, 1, len(times_s))), np.zeros(1), times_s, "drum-mel")
    right = hits.Hits.summary([{"Fs": [hits._hit_scores(heard, profile, truth, 0.3)] * 13}], None)
    wrong = hits.Hits.summary(
        [{"Fs": [hits._hit_scores(heard, profile[::-1], truth, 0.3)] * 13}], None
    )
    assert right["F"] > 0.95 and wrong["F"] < 0.7
    onsets = drums.pick(times_s, profile)
    for kind in CLASSES:  # a parabola finds the fraction of a frame
        for t in onsets.of_class(kind):
            assert np.min(np.abs(truth[kind] - t)) < 0.006

"""Training on drum loops."""

import pytest
from training_kit import assert_same, tensors

from melodylab import synth, training, weights
from melodylab.errors import InputError
from melodylab.records import Song
from melodylab.training import Recipe, hits


@pytest.fixture
def drum_recipe(monkeypatch):
    """Four steps of two examples of a second, on three loops of two seconds."""
    monkeypatch.setattr(hits, "_LOOPS_EACH", 1)
    plan = {
        "steps": 4,
        "validate_every": 2,
        "batch_size": 2,
        "frames": 86,
        "average": 0.9,
        "ambience": 0.5,
    }
    ours = {"name": "drum-cnn", "reading": "R5", "bands": 128, "units": 8}
    return {"model": ours, "data": {"loops": 3, "seconds": 2.0}, "training": plan}


@pytest.mark.slow
def test_a_drum_network_trains_resumes_and_tells_its_scores(drum_recipe, tmp_path):
    plan = Recipe.from_dict(drum_recipe)
    assert plan.data.loops == plan.data.songs == 3 and plan.front_end == "drum-mel"
    options = {"features": tmp_path / "features", "device": "cpu"}
    model, history = training.fit(plan, out=tmp_path / "whole", **options)
    assert [entry["step"] for entry in history] == [2, 4] and history[1]["loss"] < 1
    assert {"F", "threshold", "F_kick", "F_toms"} <= set(history[0]) and "F 0." in training.line(
        history[0], 4
    )
    card = weights.card(tmp_path / "whole")
    assert card["model"] == "drum-cnn" and card["changes"] == {
        "reading": "R5",
        "bands": 128,
        "units": 8,
    }
    assert card["decoding"].keys() == {"threshold"} and card["front_end"] == "drum-mel"
    assert (
        set(card["scores"]["songs"]) == set(card["scores"]["validated_on"])
        and len(card["scores"]["songs"]) == 8
    )
    assert set(card["scores"]["songs"]["held-out 1"]) == {
        "kick",
        "snare",
        "open_hihat",
        "closed_hihat",
        "toms",
    }

    def stop(entry):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(plan, out=tmp_path / "cut", on_validation=stop, **options)
    again, _ = training.fit(plan, out=tmp_path / "cut", resume=True, **options)
    assert_same(tensors(again), tensors(model))
    assert weights.load_model(tmp_path / "cut").reading == "R5"


@pytest.mark.slow
def test_a_drum_network_validates_on_songs_with_hits(drum_recipe, tmp_path):
    loop = synth.drum_loop(1, 2.0, sr=22050)
    plan = Recipe.from_dict(drum_recipe)
    _, history = training.fit(plan, out=tmp_path, validate=[loop], device="cpu")
    assert history[0]["F"] >= 0
    with pytest.raises(InputError, match="holds no onsets.csv; add the true hits"):
        training.fit(
            plan,
            out=tmp_path / "other",
            validate=[Song.from_array(loop.mono, loop.sr)],
            device="cpu",
        )


def test_a_reading_without_a_profile_is_not_taught(drum_recipe, tmp_path):
    drum_recipe["model"] = {"name": "drum-cnn"}
    with pytest.raises(InputError, match='set reading = "R5" under'):
        training.fit(Recipe.from_dict(drum_recipe), out=tmp_path, device="cpu")

"""Trained weights come back as they were saved; those that are shipped are whole."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from weighed import CARD, SHIPPED, decided, found, input_for, probabilities

import melodylab
from melodylab import models, weights
from melodylab.errors import InputError


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def model():
    return decided("sf-crnn-1")


@pytest.fixture
def path(model, tmp_path):
    """A saved pair."""
    return weights.save(model, CARD, tmp_path, "sf-crnn-1")


# --- what is saved comes back ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, declared in models.NETWORKS.items()
        if declared.file in ("crnn", "deep_salience")
    ],
)
def test_probabilities_come_back_within_a_thousandth(name, tmp_path):
    model = decided(name)
    again = weights.load_model(weights.save(model, CARD, tmp_path, name))
    x = input_for(model, 50)
    before, after = probabilities(model, x), probabilities(again, x)
    off = (before - after).abs()
    assert 0 < off.max() < 1e-3 and off.mean() < 1e-4
    assert before.max() > 0.3 and before.amax(dim=1).std() > 0.01, (
        "a network that answers all the same would prove nothing"
    )


def test_large_matrices_are_halved_and_nothing_else(path, model):
    with safe_open(path, "pt") as stored:
        kept = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    own = model.state_dict()
    assert kept.keys() == own.keys()
    for key, tensor in kept.items():
        if own[key].ndim >= 2 and own[key].numel() >= 40_000:
            assert tensor.dtype == torch.float16, key
        else:
            assert tensor.dtype == own[key].dtype and torch.equal(tensor, own[key]), key
    assert kept["cnn.layer2.conv.weight"].dtype == torch.float16
    assert kept["cnn.layer1.norm.running_var"].dtype == torch.float32


def test_the_loaded_network_is_ready_and_its_held_bias_is_still_held(path, model):
    again = weights.load_model(path)
    assert not again.training and again.name == "sf-crnn-1"
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    held = {key: p for key, p in again.named_parameters() if not p.requires_grad}
    assert set(held) == {"gru.bias_hh_l0", "gru.bias_hh_l0_reverse"} and not any(
        p.any() for p in held.values()
    )
    assert sum(p.numel() for p in again.parameters() if p.requires_grad) == 307_199


def test_the_card_says_what_was_told_and_what_was_found_out(path):
    card = json.loads(path.with_suffix(".json").read_text())
    assert {key: card[key] for key in CARD} == CARD
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    own = {
        "format": 1,
        "model": "sf-crnn-1",
        "changes": {},
        "parameters": 307_199,
        "sha256": sha256,
    }
    assert {key: value for key, value in card.items() if key not in CARD} == own
    assert weights.card(path) == weights.verify(path) == weights.load_model(path).card == card


def test_saving_again_what_was_loaded_gives_the_same_files(path, tmp_path):
    again = weights.load_model(path)
    copy = weights.save(again, again.card, tmp_path / "copy", "sf-crnn-1")
    for suffix in (".safetensors", ".json"):
        assert copy.with_suffix(suffix).read_bytes() == path.with_suffix(suffix).read_bytes()


def test_an_old_card_does_not_speak_for_new_numbers(path, tmp_path):
    """Training on from weights passes their card on; what `save` finds out replaces what it
    says.
    """
    other = decided("sf-crnn-1", seed=1, units=16)
    again = weights.load_model(
        weights.save(other, weights.card(path) | {"model": "sf-cnn", "steps": 7}, tmp_path, "b")
    )
    assert again.name == "sf-crnn-1" and again.changes == {"units": 16} and again.card["steps"] == 7
    assert again.card["parameters"] < 307_199


def test_how_tensors_lie_in_memory_does_not_matter(path, model, tmp_path):
    turned = decided("sf-crnn-1").to(memory_format=torch.channels_last).train()
    assert weights.save(turned, CARD, tmp_path / "b", "x").read_bytes() == path.read_bytes()
    assert turned.training and next(turned.parameters()).dtype == torch.float32, (
        "saving changes nothing"
    )


def test_a_network_with_changes_comes_back_with_them(tmp_path):
    model = decided("sf-crnn-1", across_patches=True, units=16)
    again = weights.load_model(weights.save(model, CARD, tmp_path, "mine.v2"))
    assert again.across_patches and again.gru.hidden_size == 16
    assert found(tmp_path) == ["mine.v2.json", "mine.v2.safetensors"]


def test_loading_leaves_torchs_random_numbers_alone(path):
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    weights.load_model(path)
    assert torch.equal(torch.rand(3), before)


def test_two_loaded_networks_share_nothing(path):
    one, other = weights.load_model(path), weights.load_model(path)
    with torch.no_grad():
        one.dense.bias += 1
    one.card["licence"] = "none"
    assert not torch.equal(one.dense.bias, other.dense.bias) and other.card["licence"] == "MIT"


# --- names and paths ------------------------------------------------------------------------------


def test_names_are_those_of_the_folder(random_weights):
    (random_weights / "notes.txt").touch()
    (random_weights / "recipe.toml").touch()
    assert weights.names() == sorted(models.NETWORKS)
    assert (
        weights.load_model("deep-salience").card["front_end"]
        == "hcqt"
        == weights.card("deep-salience")["front_end"]
    )


@pytest.mark.parametrize(
    "place", ["run/sf-crnn-1.safetensors", "run/sf-crnn-1.json", "run", Path("run"), "./run/"]
)
def test_ones_own_weights_are_had_by_their_path(model, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    weights.save(model, CARD, "run", "sf-crnn-1")
    Path("run/last.ckpt").touch()
    Path("run/scores.json").write_text("{}")
    assert weights.load_model(place).card["steps"] == 1000


def test_a_network_s_name_means_the_shipped_weights(model, random_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights.save(model, CARD, "sf-crnn-1", "sf-crnn-1")
    assert weights.load_model("sf-crnn-1").card["licence"] is None
    for own in ("./sf-crnn-1", Path("sf-crnn-1")):
        assert weights.load_model(own).card["licence"] == "MIT"


def test_the_package_shows_both_ways_to_a_network(random_weights):
    assert (
        melodylab.create_model("sf-crnn-1").name
        == melodylab.load_model("sf-crnn-1").name
        == "sf-crnn-1"
    )


# --- what is shipped ------------------------------------------------------------------------------


def test_shipped_weights_are_whole_and_small():
    total = 0
    for name in weights.names():
        model = weights.load_model(name)
        assert model.name == name and model.card["front_end"] == models.NETWORKS[name].front_end
        assert model.changes == {} or name in (
            "drum-cnn",
            "unet-mel",
        )  # printed without a profile; at full width 62 MB
        assert (
            model.card["licence"]
            and model.card["recipe"]
            and model.card["scores"]
            and model.card["steps"] > 0
        )
        total += sum(p.stat().st_size for p in SHIPPED.glob(f"{name}.*"))
    assert total <= 25e6


def test_best_is_the_best():
    scores = {name: weights.card(name)["scores"] for name in weights.names()}
    accuracy = {
        name: told["leave_one_out"]["mean"]["OA"] for name, told in scores.items() if "OA" in told
    }
    assert max(accuracy, key=accuracy.get) == weights.BEST
    assert (
        weights.card("best") == weights.card(weights.BEST)
        and weights.load_model("best").name == weights.BEST
    )
    assert weights.resolved("best") == weights.BEST and weights.resolved("sf-cnn") == "sf-cnn"


# --- experiments ----------------------------------------------------------------------------------


def test_experiments_are_no_weights_and_read_as_they_are(random_weights):
    path = random_weights / "experiments.json"
    path.write_text('{"ablation": [{"change": "no drums", "OA": 0.5}]}', encoding="utf-8")
    assert "experiments" not in weights.names()
    assert weights.experiments() == {"ablation": [{"change": "no drums", "OA": 0.5}]}
    path.write_text("{")
    with pytest.raises(InputError, match=r"experiments.json is no JSON; install melodylab again"):
        weights.experiments()
    path.unlink()
    with pytest.raises(InputError, match=r"experiments.json is missing; install melodylab again"):
        weights.experiments()


def test_shipped_experiments_hold_scores():
    found = weights.experiments()
    for name, label in (
        ("ablation", "change"),
        ("training_share", "share"),
        ("inputs", "input"),
        ("wide", "network"),
    ):
        assert found[name], name
        for row in found[name]:
            assert label in row and all(
                0 <= row[score] <= 1 for score in ("OA", "RPA", "RCA", "AUC")
            ), row
    assert all(0 < row["share"] <= 1 for row in found["training_share"])
    for name in ("multires", "ftanet"):
        trained = {
            (row["network"], *sorted(row["changes"].items()), row["seed"]) for row in found[name]
        }
        assert len(trained) == len(found[name]) >= 12, "each variant three times"
        for row in found[name]:
            models.create_model(row["network"], **row["changes"])
            assert all(
                0 <= row[score] <= 1 for score in ("OA", "RPA", "RCA", "VR", "VFA", "AUC")
            ), row

"""Trained weights come back as they were saved, and whatever is wrong with them is one sentence.
Numbers are random here; the shipped files are tried at the end."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

import melodylab
from melodylab import models, weights
from melodylab.errors import InputError
from melodylab.models import inputs

CARD = {
    "front_end": "sf",
    "decoding": {"unvoiced_gain": 1.3},
    "recipe": {"seed": 3, "songs": 400},
    "steps": 1000,
    "wall_time_s": 12.5,
    "device": "cpu",
    "scores": {"OA": 0.625, "RPA": 0.7},
    "licence": "MIT",
    "library_versions": {"torch": "2.13"},
}
SHIPPED = weights.FOLDER


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def input_for(model, frames, batch=1):
    end = inputs.FRONT_ENDS[models.NETWORKS[model.name].front_end]
    return torch.rand(batch, end.channels, len(end.freqs_hz), frames)


def probabilities(model, x):
    with torch.no_grad():
        y = model(x)
    return y.softmax(dim=1) if model.has_unvoiced_class else y.sigmoid()


def decided(name, seed=0, **changes):
    """A network with an opinion on noise, as trained ones have on songs: norms that fit it, logits
    one or two apart.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = models.create_model(name, **changes)
        norms = [
            module
            for module in model.modules()
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        ]
        for norm in norms:
            norm.momentum = None
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias, 0, 0.1)
        with torch.no_grad():
            spread = model.train()(input_for(model, 50, batch=2)).std()
            last = model.layer6.conv if name == "deep-salience" else model.dense
            last.weight *= (1 if name == "deep-salience" else 2) / spread
        for norm in norms:
            norm.momentum = 0.01
        return model.eval()


@pytest.fixture(scope="module")
def model():
    return decided("sf-crnn-1")


@pytest.fixture
def path(model, tmp_path):
    """A saved pair."""
    return weights.save(model, CARD, tmp_path, "sf-crnn-1")


def found(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def refusal(name_or_path, call=weights.load_model):
    """The one sentence with a next step."""
    with pytest.raises(InputError) as refused:
        call(name_or_path)
    text = str(refused.value)
    assert "\n" not in text and re.search("; .+", text), text
    return text


# --- what is saved comes back ---------------------------------------------------------------------


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
        kept = {key: stored.get_tensor(key) for key in stored.keys()}
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


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [weights.load_model, weights.card, weights.verify])
def test_names_that_lead_nowhere(call, random_weights):
    for end in (".safetensors", ".json"):
        (random_weights / f"sf-crnn-2{end}").unlink()
    assert "'sf-crn'" in (text := refusal("sf-crn", call)) and "sf-crnn-1" in text
    text = refusal("sf-crnn-2", call)
    assert (
        "no trained weights for sf-crnn-2" in text
        and "melodylab train" in text
        and "sf-cnn" in text
    )
    for place in (
        "no/such.safetensors",
        "no/such.json",
        "no",
        Path("sf-crnn-9"),
        "x" * 300,
        "x" * 300 + ".json",
        "a\0.json",
    ):
        assert "is neither the name of trained weights nor a file" in refusal(place, call)


def test_nothing_shipped_is_no_list_of_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert weights.names() == []
    for name in ("sf-crnn-1", "magic"):
        assert "take" not in refusal(name)


def test_folders_with_more_or_fewer_than_one_pair(path, model):
    weights.save(model, CARD, path.parent, "other")
    assert "holds other.safetensors, sf-crnn-1.safetensors; name one" in refusal(path.parent)
    (path.parent / "empty").mkdir()
    assert "empty holds no .safetensors file" in refusal(path.parent / "empty")


def test_a_file_that_is_missing(path):
    card = path.with_suffix(".json")
    card.rename(card.with_suffix(".old"))
    assert f"{card} is missing" in refusal(path)
    card.with_suffix(".old").rename(card)
    path.unlink()
    assert f"{path} is missing" in refusal(path) and weights.card(path)["steps"] == 1000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b'{"format": 1',
        b"[]",
        b'"format"',
        b"3",
        b"null",
        b"{}",
        b'{"format": "1"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("call", [weights.load_model, weights.card, weights.verify])
def test_a_card_that_is_none(path, content, call):
    card = path.with_suffix(".json")
    card.write_bytes(content)
    assert f"{card} is no card" in refusal(path, call)


def test_a_card_that_is_a_folder(path):
    path.with_suffix(".json").unlink()
    path.with_suffix(".json").mkdir()
    assert "sf-crnn-1.json cannot be read" in refusal(path)


def rewrite(path, tensors=None, **changes):
    """Save other tensors or card entries in a way that the hash fits; None removes an entry."""
    if tensors is not None:
        path.write_bytes(safetensors.torch.save(tensors) if isinstance(tensors, dict) else tensors)
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    card = {key: value for key, value in (card | changes).items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(card))


@pytest.mark.parametrize("key", ["model", "changes", "parameters", "sha256", *CARD])
def test_a_card_without_an_entry(path, key):
    rewrite(path, **{key: None})
    assert f"sf-crnn-1.json lacks {key}; " in refusal(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "sf-crnn-9"},
        {"model": ["sf-crnn-1"]},
        {"front_end": "melody"},
        {"front_end": {}},
        {"changes": []},
        {"changes": {"depth": 3}},
        {"changes": {"cnn": "cnn9"}},
        {"changes": {"units": "many"}},
        {"decoding": 1.3},
        {"decoding": {"gain": 1.3}},
        {"decoding": {"unvoiced_gain": "much"}},
    ],
)
def test_a_card_that_asks_for_what_nobody_knows(path, changes):
    rewrite(path, **changes)
    assert "sf-crnn-1.json" in refusal(path)


def test_a_newer_format(path):
    rewrite(path, format=2)
    assert "format 2" in (text := refusal(path)) and "install a newer melodylab" in text


@pytest.mark.parametrize("call", [weights.load_model, weights.verify])
def test_a_damaged_file(path, call):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert f"{path} is damaged" in refusal(path, call)
    path.write_bytes(data[:1000])
    assert f"{path} is damaged" in refusal(path, call)


def test_a_file_with_a_fitting_hash_that_is_no_safetensors(path):
    for junk in (b"", b"PK\x03\x04 a pickle", (2**60).to_bytes(8, "little") + b"{}"):
        rewrite(path, junk)
        assert f"{path} is no safetensors file" in refusal(path)


def test_tensors_of_another_network_are_named(path):
    rewrite(path, model="sf-crnn-2", changes={})
    text = refusal(path)
    assert "does not hold the network sf-crnn-2" in text
    assert (
        "missing: cnn.layer5.norm.weight, " in text
        and "cnn.layer1.conv.weight (64, 1, 5, 1) for (128, 1, 5, 5)" in text
    )
    assert "and " in text and len(text) < 700


def test_tensors_missing_too_many_wrong_and_not_zero_are_named(path):
    tensors = safetensors.torch.load(path.read_bytes())
    rewrite(path, {key: tensor for key, tensor in tensors.items() if key != "dense.bias"})
    assert "missing: dense.bias;" in refusal(path)
    rewrite(path, tensors | {"dense.more": torch.zeros(2)})
    assert "too many: dense.more;" in refusal(path)
    rewrite(path, tensors | {"dense.bias": torch.zeros(61)})
    assert "of another shape: dense.bias (61,) for (62,);" in refusal(path)
    rewrite(path, tensors | {"gru.bias_hh_l0": torch.ones(384)})
    assert "not zero: gru.bias_hh_l0;" in refusal(path)
    rewrite(path, tensors)
    weights.load_model(path)


def test_saving_refuses_what_could_not_be_used(model, tmp_path):
    def refused(model, card):
        with pytest.raises(InputError) as refusal:
            weights.save(model, card, tmp_path, "x")
        assert found(tmp_path) == []
        return str(refusal.value)

    assert "the card lacks steps, licence; add" in refused(
        model, {key: value for key, value in CARD.items() if key not in ("steps", "licence")}
    )
    assert "make it with create_model" in refused(nn.Linear(2, 2), CARD)
    nan, inf = float("nan"), float("inf")
    for number, key in (
        (nan, "dense.bias"),
        (1e5, "gru.weight_hh_l0"),
        (inf, "cnn.layer1.norm.running_var"),
    ):
        broken = decided("sf-crnn-1")
        broken.state_dict()[key][0] = number
        assert f"{key} holds numbers that are not finite" in refused(broken, CARD)


# --- an interrupted save --------------------------------------------------------------------------

SAVE = """
import os, resource, sys
import torch
from melodylab import files, models, weights
torch.manual_seed(7)
card = dict.fromkeys(weights.TOLD) | {"front_end": "sf", "decoding": {}}
model = models.create_model("sf-crnn-1")
{before}
try:
    weights.save(model, card, sys.argv[1], "sf-crnn-1")
except files.InputError as error:
    sys.exit(str(error))
"""


def save_in_its_own_process(folder, before):
    root = Path(melodylab.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    program = SAVE.replace("{before}", before)
    return subprocess.run(
        [sys.executable, "-c", program, folder], env=environment, capture_output=True, text=True
    )


@pytest.mark.skipif(os.name != "posix", reason="the limit is set the POSIX way")
@pytest.mark.parametrize("limit_bytes", [0, 300_000])
def test_a_full_disk_leaves_the_old_pair_whole(path, limit_bytes):
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    done = save_in_its_own_process(
        path.parent, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))"
    )
    assert (
        done.returncode == 1 and "cannot write" in done.stderr and "free some space" in done.stderr
    ), done.stderr
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before
    assert weights.load_model(path).card["steps"] == 1000


@pytest.mark.skipif(os.name != "posix", reason="the limit is set the POSIX way")
def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path):
    done = save_in_its_own_process(
        tmp_path, "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    )
    assert done.returncode == 1 and found(tmp_path) == []


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_power_cut_never_looks_like_damage(path, renamed):
    """The process ends at once in place of its first or second renaming, or after both."""
    cut = f"""
real, done = os.replace, []
def replace(*paths):
    if len(done) == {renamed}:
        os._exit(9)
    done.append(real(*paths))
os.replace = replace
"""
    assert save_in_its_own_process(path.parent, cut).returncode == (9 if renamed < 2 else 0)
    if renamed < 2:
        assert "sf-crnn-1.json is missing" in refusal(path)
    else:
        assert weights.load_model(path).card["steps"] is None
    weights.save(decided("sf-crnn-1"), CARD, path.parent, "sf-crnn-1")
    assert weights.load_model(path).card["steps"] == 1000


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

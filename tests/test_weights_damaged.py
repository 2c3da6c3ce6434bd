"""Whatever is wrong with a file or a card is one sentence; an interrupted save spoils nothing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from weighed import CARD, decided, found, refusal

import melodylab
from melodylab import weights
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the limit is set the POSIX way")
def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path):
    done = save_in_its_own_process(
        tmp_path, "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    )
    assert done.returncode == 1 and found(tmp_path) == []


@pytest.mark.slow
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

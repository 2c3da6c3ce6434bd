"""The one registry: names, aliases, paths, what can lead what, a sentence for everything else."""

import re

import pytest

import melodylab as ml
from melodylab import api, methods, models, weights
from melodylab.course import panels
from melodylab.errors import InputError

UNTRAINED = ["ftanet-no-fusion", "cqt-crnn-1", "multires-long"]


@pytest.mark.parametrize("task", methods.TASKS)
def test_every_method_says_what_it_is_and_can_be_found(task):
    found = methods.of_task(task)
    for name, method in found.items():
        assert method.task == task and method.line.strip() and method.source.strip()
        assert len(method.line) < 100 and method.by in ("sfnmf", "pyin", "network")
        again = methods.find(name, task)
        assert (again.name, again.weights) == (method.name, method.weights)
        assert (method.name == name) == (name != "best")
        if task != "drums":
            low_hz, high_hz = method.range_hz
            assert 50 < low_hz < 100 and 1200 < high_hz < 1800, name


def test_what_is_taken_unasked_is_the_best_of_ours():
    assert methods.find(methods.DEFAULT["melody"], "melody").name == weights.BEST
    best = methods.find("best", "separation")
    assert best == methods.of_task("separation")["best"]
    assert (best.name, best.by, best.leader.name) == ("sfnmf+harmonic-crnn", "sfnmf", weights.BEST)
    assert methods.find(methods.DEFAULT["separation"], "separation").name == best.name
    assert methods.find("best", "drums").name == methods.DEFAULT["drums"] == "drum-cnn"
    assert methods.find("unet+best", "separation").name == "unet+harmonic-crnn"
    assert methods.find(best.name, "separation").name == best.name, "the name of a row can be asked"


def test_ranges_are_those_of_grid_and_training_songs():
    ranges = {name: method.range_hz for name, method in methods.of_task("melody").items()}
    assert ranges["sfnmf"] == ranges["pyin"] == (55, 1760)
    assert ranges["best"] == ranges["harmonic-crnn"] == pytest.approx((73.4, 1397), abs=0.1)
    assert ranges["segnet"] == pytest.approx((69.3, 1235.5), abs=0.1), "its grid ends there"
    assert ranges["sf-crnn-1"] == pytest.approx((69.3, 1397), abs=0.1)
    led = methods.find("sfnmf+harmonic-crnn", "separation")
    assert led.range_hz == ranges["harmonic-crnn"]


@pytest.mark.parametrize(
    "name, task, words",
    [
        ("sfnfm", "melody", "no method 'sfnfm'; did you mean sfnmf? There are best, sfnmf"),
        ("harmonic", "melody", "did you mean harmonic-crnn?"),
        ("magic", "melody", "there is no method 'magic'; choose one of best, sfnmf"),
        ("BEST", "drums", "there is no method 'BEST'; choose one of best, drum-cnn"),
        ("unet+bset", "separation", "there is no method 'bset'; did you mean best?"),
        ("unte+best", "separation", "there is no method 'unte'; did you mean unet?"),
        ("unet+", "separation", "there is no method ''; choose one of"),
        ("unet-mel+best", "separation", "unet-mel cannot be led by a melody; take unet-mel alone"),
        ("unet+unet", "separation", "unet finds no melody, it separates; choose one of best"),
        ("pyin", "separation", "pyin takes no song apart, it finds the melody; choose one of best"),
        ("drum-cnn", "melody", "drum-cnn finds no melody, it finds drum hits; choose one of best"),
        ("sfnmf", "drums", "sfnmf finds no drum hits, it finds the melody; choose one of"),
        ("ftanet", "melody", "or take ftanet-thin"),
        *((name, "melody", f"{name} is here untrained: this copy") for name in UNTRAINED),
        ("./nothing", "melody", "'./nothing' is neither the name of trained weights nor a file"),
        ("nothing.safetensors", "separation", "nothing.safetensors"),
        ("sfnmf", "lyrics", "there is no task 'lyrics'; choose melody or separation or drums"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_with_a_next_step(
    name, task, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(words)) as refused:
        methods.find(name, task)
    assert ";" in str(refused.value) and "\n" not in str(refused.value)


def test_weights_of_ones_own_are_a_method_of_their_networks_task(
    random_weights, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "run+1" / "sfnmf.safetensors"
    for name in ("unet", "sf-crnn-1"):
        model = weights.load_model(name)
        weights.save(model, model.card, tmp_path / name, "mine")
    weights.save(weights.load_model("sf-crnn-1"), model.card, own.parent, "sfnmf")
    assert methods.find("./unet", "separation").weights == "./unet", "a folder named as a method"
    assert methods.find("unet", "separation").weights == "unet"
    assert methods.find(own, "melody").name == str(own) == methods.find(str(own), "melody").weights
    led = methods.find(f"sfnmf+{tmp_path / 'sf-crnn-1'}", "separation")
    assert led.leader.weights == str(tmp_path / "sf-crnn-1") and led.leader.task == "melody"
    assert methods.find(tmp_path / "unet", "separation").led
    with pytest.raises(InputError, match=r"unet \(unet\) finds no melody, it separates"):
        methods.find(tmp_path / "unet", "melody")
    led.verify()
    (tmp_path / "sf-crnn-1" / "mine.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="is damaged"):
        led.verify()


def test_the_mappings_follow_what_is_there(random_weights):
    assert set(ml.METHODS) >= {"best", "sfnmf", "pyin", "cqt-crnn-1"} and "best" in repr(ml.METHODS)
    assert dict(methods.DRUM_METHODS).keys() == {"best", "drum-cnn"}
    for name in ("harmonic-crnn", "drum-cnn"):
        (random_weights / f"{name}.safetensors").unlink()
        (random_weights / f"{name}.json").unlink()
    assert "best" not in ml.METHODS and "best" not in methods.SEPARATION_METHODS
    assert dict(methods.DRUM_METHODS) == {} and len(methods.SEPARATION_METHODS) == 3
    with pytest.raises(KeyError):
        ml.METHODS["best"]


def test_two_files_cannot_declare_one_name(tmp_path, monkeypatch):
    (tmp_path / "second.py").write_text(
        "from melodylab.models.crnn import CRNN\nfrom melodylab.models.base import Declared\n"
        'NETWORKS = (Declared("sf-crnn-1", CRNN, "sf", "again"),)\n'
    )
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match="second declares a second network 'sf-crnn-1'"):
        models.gather()


@pytest.mark.slow
def test_the_cards_decoding_decides_wherever_a_network_is_asked(random_weights, demo):
    """Thresholds of hits, class by class, and the weight of "no melody" in a notebook's panel."""
    loop, never = ml.synth.drum_loop(seed=3, seconds=2.5), dict.fromkeys(ml.synth.DRUM_CLASSES, 1.0)

    def saved(name, **decoding):
        card = weights.card(name) | {"decoding": decoding}
        return weights.save(weights.load_model(name), card, random_weights.parent / "told", name)

    for name in ("kick", "toms"):
        path = saved("drum-cnn", threshold=never | {name: 0.0})
        assert set(api.transcribe_drums(loop, path).classes) == {name}
    second = demo.excerpt(2.5, 3.5)
    for gain, words in ((1e8, "the output says no melody"), (0.0, "the output says [A-G]")):
        model = weights.load_model(saved("cqt-crnn-1", unvoiced_gain=gain))
        assert re.search(words, panels.crnn_panel(second, model, names=["gru"]).picture.alt)

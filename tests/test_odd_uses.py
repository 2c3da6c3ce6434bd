"""What nobody should ask for and somebody does: one sentence, and nothing lost."""

import os

import numpy as np
import pytest

import melodylab as ml
from melodylab import evaluate, weights
from melodylab.drums import hits
from melodylab.errors import InputError
from melodylab.io import audio
from melodylab.records import DrumOnsets, Melody, Song

SR = 22050
LINE = "0.0,220\n0.01,220\n0.02,0\n"


@pytest.fixture
def folder(tmp_path):
    """songs/one with a mix of a tenth of a second and its melody."""
    place = tmp_path / "songs" / "one"
    place.mkdir(parents=True)
    audio.write(place / "mix.wav", 0.1 * np.ones((1, SR // 10), np.float32), SR)
    (place / "melody.csv").write_text(LINE)
    return tmp_path / "songs"


def test_a_table_never_takes_the_place_of_an_input(run, folder, quick):
    for name in ("mix.wav", "melody.csv"):
        path = folder / "one" / name
        before = path.read_bytes()
        done = run("evaluate", folder, "--method", "segnet", "--out", path, "--force")
        assert done.exit_code == 2 and "is an input and would be overwritten" in done.stderr
        assert path.read_bytes() == before


def test_a_table_without_scores_is_not_written(run, folder, quick, tmp_path):
    (folder / "one" / "melody.csv").unlink()
    (tmp_path / "table.csv").write_text("an older one")
    done = run("evaluate", folder, "--method", "segnet", "--out", tmp_path / "table.csv", "--force")
    assert done.exit_code == 2 and (tmp_path / "table.csv").read_text() == "an older one"


@pytest.mark.parametrize("unit", ["cents", "f0_cents", "semitones", "log_f0", "period"])
def test_other_units_than_hz_are_refused(unit, tmp_path):
    (tmp_path / "line.csv").write_text(f"time,{unit}\n0.0,5700\n0.01,5700\n")
    with pytest.raises(InputError, match="none is a pitch in Hz"):
        Melody.from_csv(tmp_path / "line.csv")


def test_a_name_of_dots_stays_where_it_belongs(run, tmp_path, quick):
    for name in ("...wav", "...And so on.wav"):
        audio.write(tmp_path / name, 0.1 * np.ones((1, SR // 10), np.float32), SR)
    done = run("separate", "...wav", "...And so on.wav", "--method", "unet", "--out", "stems/in")
    assert done.exit_code == 0, done.stderr
    inside = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("melody.wav")}
    assert inside == {("stems", "in")}
    assert (tmp_path / "stems" / "in" / "...And so on" / "melody.wav").is_file()


def test_a_name_that_is_not_utf_8_makes_a_csv(run, tmp_path, quick):
    name = os.fsdecode(b"bad\xff.wav")
    audio.write(tmp_path / "good.wav", 0.1 * np.ones((1, SR // 10), np.float32), SR)
    os.rename(tmp_path / "good.wav", tmp_path / name)
    done = run("melody", name)
    assert done.exit_code == 0, done.stderr
    assert len(Melody.from_csv(tmp_path / os.fsdecode(b"bad\xff.melody.csv"))) == 3


def test_a_recipe_may_begin_with_a_byte_order_mark_and_its_name_is_a_word(run, tmp_path):
    from melodylab.training import Recipe

    text = '[model]\nname = "cqt-crnn-1"\n'
    (tmp_path / "a.toml").write_text(text, encoding="utf-8-sig")
    assert Recipe.read(tmp_path / "a.toml").as_dict()["model"]["name"] == "cqt-crnn-1"
    (tmp_path / "b.toml").write_text('[model]\nname = ["x"]\n')
    done = run("train", "b.toml", "--out", "run")
    assert done.exit_code == 2 and "choose from" in done.stderr and not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="there is no network"):
        ml.create_model(["x"])


def test_hits_ahead_of_the_song_are_left_out(rng):
    loop = Song.from_array(0.1 * rng.standard_normal(SR), SR)
    onsets = DrumOnsets([-0.01, 0.5], ("kick", "snare"), [1, 1])
    assert ml.separate_drums(loop, onsets=onsets).onsets.classes == ("snare",)


def test_hits_may_be_a_path(rng, tmp_path):
    loop = Song.from_array(0.1 * rng.standard_normal(SR), SR)
    DrumOnsets([0.5], ("snare",), [1]).to_csv(tmp_path / "hits.csv")
    parts = ml.separate_drums(loop, onsets=tmp_path / "hits.csv")
    assert parts.onsets.classes == ("snare",)
    with pytest.raises(InputError, match="onsets are DrumOnsets"):
        ml.separate_drums(loop, onsets=[0.5])


def test_frames_ahead_of_the_song_do_not_count():
    times_s = np.arange(-2, 20) * 0.01
    line = Melody(times_s, np.full(22, 220.0), np.ones(22))
    assert evaluate.score_melody(estimate=line, reference=line)["RPA"] == 1.0


@pytest.mark.parametrize("threshold", [{"kick": 0.5}, {}, "0.5", -1, 2, float("nan"), {"kick": 9}])
def test_thresholds_of_drums_lie_in_0_to_1_for_every_class(threshold):
    with pytest.raises(InputError, match="the threshold of"):
        hits.pick(np.arange(10) * 0.01, np.zeros((5, 10)), threshold=threshold)


@pytest.mark.parametrize("value", [float("nan"), -5, 10**400, True])
def test_cards_decode_by_numbers_that_can_be(value):
    assert not weights._is_number(value)


@pytest.mark.parametrize("sr", [None, "abc", float("nan"), float("inf"), True, 0])
def test_a_rate_is_a_positive_number(sr):
    with pytest.raises(InputError, match="rate must be positive"):
        Song.from_array(np.zeros(10), sr)


def test_samples_far_beyond_full_scale_are_refused():
    with pytest.raises(InputError, match="full scale is 1"):
        Song.from_array(3e38 * np.ones(10), SR)


@pytest.mark.parametrize(
    "use",
    [
        lambda: Song.from_array([[1, 2], [3]], SR),
        lambda: ml.load_song(None),
        lambda: ml.load_song(3),
        lambda: ml.load_song("a\0b.wav"),
        lambda: ml.load_model(None),
        lambda: ml.extract_melody(Song.from_array(np.zeros(SR), SR), None),
        lambda: ml.extract_melody(Song.from_array(np.zeros(SR), SR), ["segnet"]),
        lambda: ml.extract_melody(Song.from_array(np.zeros(SR), SR), threshold="0.5"),
        lambda: audio.write("a.wav", np.zeros((1, 10)), 0),
        lambda: audio.write("a.wav", np.zeros((2000, 10)), SR),
    ],
)
def test_wrong_types_end_in_a_sentence(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        use()
    assert not list(tmp_path.iterdir())

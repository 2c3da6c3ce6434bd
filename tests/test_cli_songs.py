"""`melodylab melody`, `separate` and `drums`: what they write and where."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from command_tools import SR, found, tone

from melodylab import api
from melodylab.errors import InputError
from melodylab.io import audio as sound
from melodylab.records import DrumOnsets

# --- melody ----------------------------------------------------------------------------------------


def test_melody_writes_every_frame_with_signs(run):
    tone("a.wav", f0_hz=330.0)
    result = run("melody", "a.wav")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n" and result.stderr == ""
    header, *rows = Path("a.melody.csv").read_text().splitlines()
    times_s, f0_hz = np.array([[float(x) for x in row.split(",")] for row in rows]).T
    assert header == "# time_s,f0_hz"
    assert len(times_s) == 1 + SR // 256 and np.allclose(np.diff(times_s), 256 / SR, atol=2e-6)
    inner = f0_hz[10:-10]
    assert (
        np.mean(np.abs(1200 * np.log2(np.abs(inner) / 330)) < 50) > 0.95
        and np.mean(inner > 0) > 0.5
    )


def test_signs_in_the_csv(run, quick):
    tone("a.wav")
    run("melody", "a.wav")
    assert (
        Path("a.melody.csv").read_text()
        == "# time_s,f0_hz\n0.000000,220.000\n0.010000,-220.000\n0.020000,0.000\n"
    )


@pytest.mark.parametrize(
    "inputs, options, outputs",
    [
        (["a.wav"], [], ["a.melody.csv"]),
        (["x/a.wav", "b.wav"], [], ["a.melody.csv", "b.melody.csv"]),
        (["a.wav"], ["--out", "new/line.csv"], ["new/line.csv"]),
        (["a.wav"], ["--out", "line.txt", "--midi"], ["line.txt", "line.mid"]),
        (["a.wav"], ["--out", "new"], ["new/a.csv"]),
        (["a.wav"], ["--out", "new.v1/"], ["new.v1/a.csv"]),
        (
            ["a.wav", "b.wav"],
            ["--out", "new.v1", "--midi"],
            [f"new.v1/{n}" for n in ("a.csv", "a.mid", "b.csv", "b.mid")],
        ),
        (
            ["a.wav", "x/a.wav", "a-2.wav", "y/A.wav"],
            ["--out", "o"],
            [f"o/{n}.csv" for n in ("a", "a-3", "a-2", "A-4")],
        ),
        (["a.wav", "a.wav"], ["--out", "o/"], ["o/a.csv"]),
    ],
)
def test_where_melodies_go(run, quick, inputs, options, outputs):
    for name in inputs:
        tone(name, 0.1)
    result = run("melody", *inputs, *options)
    assert result.exit_code == 0 and sorted(result.stdout.split()) == sorted(outputs)
    assert found(".") == sorted({*inputs, *outputs})


def test_an_existing_folder_with_an_ending_is_a_folder(run, quick, tmp_path):
    (tmp_path / "v1.0").mkdir()
    run("melody", tone("a.wav"), "--out", "v1.0")
    assert found("v1.0") == ["a.csv"]


def test_midi_holds_the_notes(run):
    import pretty_midi

    assert run("melody", tone("a.wav", 2, f0_hz=440.0), "--midi").exit_code == 0
    notes = pretty_midi.PrettyMIDI("a.melody.mid").instruments[0].notes
    assert notes and {note.pitch for note in notes} == {69}


def test_melody_by_a_network(run, random_weights):
    result = run("melody", tone("a.wav"), "--method", "cqt-crnn-1")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n" and result.stderr == ""
    assert len(Path("a.melody.csv").read_text().splitlines()) == 2 + SR // 256


@pytest.mark.parametrize("command", ["melody a.wav b.wav", "evaluate songs"])
def test_a_network_without_good_weights_is_one_sentence_for_all_songs(run, random_weights, command):
    for name in ("a.wav", "b.wav", "songs/one/mix.wav"):
        tone(name, 0.1)
    before = found(".")
    (random_weights / "sf-cnn.json").unlink()
    (random_weights / "sf-cnn.safetensors").unlink()
    (random_weights / "sf-crnn-1.safetensors").write_bytes(b"broken")
    for name, sentence in (
        ("sf-cnn", "no trained weights for sf-cnn; train it with"),
        ("sf-crnn-1", "sf-crnn-1.safetensors is damaged"),
    ):
        result = run(*command.split(), "--method", name)
        assert result.exit_code == 2 and result.stdout == "" and found(".") == before
        (line,) = result.stderr.splitlines()
        assert line.startswith("melodylab: ") and sentence in line and ";" in line


# --- separate --------------------------------------------------------------------------------------


def test_stems_add_up_to_the_input_at_its_rate_and_channels(run, rng):
    y = (rng.standard_normal((44100, 2)) * 0.1).astype(np.float32)
    sf.write("a.wav", y, 44100, subtype="FLOAT")
    result = run("separate", "a.wav", "--out", "stems")
    assert result.exit_code == 0 and result.stdout.split() == [
        "stems/melody.wav",
        "stems/accompaniment.wav",
    ]
    parts = [sf.read(f"stems/{name}.wav", always_2d=True) for name in ("melody", "accompaniment")]
    assert all(sr == 44100 and part.shape == y.shape for part, sr in parts)
    assert sf.info("stems/melody.wav").subtype == "FLOAT"
    np.testing.assert_allclose(parts[0][0] + parts[1][0], y, atol=1e-6)


@pytest.mark.parametrize(
    "inputs, options, folders",
    [
        (["a.wav"], [], ["a-stems"]),
        (["x/a.wav"], ["--out", "o"], ["o"]),
        (["a.wav", "b.wav"], [], ["a-stems", "b-stems"]),
        (["a.wav", "x/a.wav"], ["--out", "o"], ["o/a", "o/a-2"]),
    ],
)
def test_where_stems_go(run, quick, inputs, options, folders):
    for name in inputs:
        tone(name, 0.1)
    assert run("separate", *inputs, *options).exit_code == 0
    outputs = [f"{folder}/{name}.wav" for folder in folders for name in ("melody", "accompaniment")]
    assert found(".") == sorted([*inputs, *outputs])


def test_both_stems_or_none(run, quick, monkeypatch):
    write, calls = sound.write, []

    def full_disk(path, audio, sr):
        calls.append(path)
        if len(calls) == 2:
            raise InputError(f"cannot write {path} (no space left); free some space")
        write(path, audio, sr)

    monkeypatch.setattr(sound, "write", full_disk)
    result = run("separate", tone("a.wav"), "--out", "o")
    assert result.exit_code == 2 and len(calls) == 2 and found(".") == ["a.wav"]


# --- drums -----------------------------------------------------------------------------------------

DRUMS = [
    "closed_hihat.wav",
    "drums.mid",
    "kick.wav",
    "onsets.csv",
    "open_hihat.wav",
    "snare.wav",
    "toms.wav",
]


@pytest.mark.parametrize(
    "inputs, options, folders",
    [
        (["a.wav"], [], ["a-drums"]),
        (["x/a.wav"], ["--out", "o"], ["o"]),
        (["a.wav", "x/a.wav"], ["--out", "o"], ["o/a", "o/a-2"]),
    ],
)
def test_where_drums_go(run, quick, inputs, options, folders):
    for name in inputs:
        tone(name, 0.1)
    assert run("drums", *inputs, *options).exit_code == 0
    assert found(".") == sorted(
        [*inputs, *(f"{folder}/{name}" for folder in folders for name in DRUMS)]
    )
    rows = (Path(folders[0]) / "onsets.csv").read_text().splitlines()
    assert rows == ["# time_s,class,velocity", "0.010000,kick,1.0000", "0.020000,snare,0.5000"]


def test_drums_of_a_loop_add_up(run):
    loop = api.synth.drum_loop(3, 2.0)
    sound.write("loop.wav", loop.audio, loop.sr)
    result = run("drums", "loop.wav", "--out", "o")
    assert result.exit_code == 0 and len(result.stdout.split()) == 7 and result.stderr == ""
    parts = [sound.read(f"o/{name}.wav") for name in api.DRUM_CLASSES]
    assert np.abs(sum(part.astype(float) for part, _ in parts) - loop.audio).max() < 1e-6 and {
        sr for _, sr in parts
    } == {loop.sr}


def test_all_of_the_drums_or_nothing(run, quick, monkeypatch):
    def full_disk(path, onsets):
        raise InputError(f"cannot write {path} (no space left); free some space")

    monkeypatch.setattr(DrumOnsets, "to_midi", lambda self, path: full_disk(path, self))
    result = run("drums", tone("a.wav"), "--out", "o")
    assert result.exit_code == 2 and "free some space" in result.stderr and found(".") == ["a.wav"]


def test_drums_refuse_what_is_bad_and_go_on(run, quick):
    Path("bad.wav").write_text("no sound at all")
    result = run("drums", "bad.wav", tone("b.wav"), "--out", "o")
    assert (
        result.exit_code == 2
        and len(result.stderr.splitlines()) == 1
        and "bad.wav" in result.stderr
    )
    assert found("o") == sorted(f"b/{name}" for name in DRUMS)
    tone("kick.wav")
    result = run("drums", "kick.wav", "--out", ".")
    assert result.exit_code == 2 and "is an input" in result.stderr
    result = run("drums", "kick.wav", "--method", "sfnmf")
    assert (
        result.exit_code == 2
        and "sfnmf finds no drum hits, it finds the melody; choose one of best, drum-cnn"
        in result.stderr
    )

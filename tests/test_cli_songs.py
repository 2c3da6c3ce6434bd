"""`melodylab melody`, `separate` and `drums`: what they write and where."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from command_tools import SR, found, tone

import melodylab
from melodylab import api
from melodylab.errors import InputError
from melodylab.io import audio as sound
from melodylab.records import DrumOnsets, Melody

# --- melody ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_melody_writes_every_frame_with_signs(run):
    tone("a.wav", f0_hz=330.0)
    result = run("melody", "a.wav", "--method", "sfnmf")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n" and result.stderr == ""
    about, header, *rows = Path("a.melody.csv").read_text().splitlines()
    assert about == (
        f"# method=sfnmf, version=melodylab {melodylab.__version__}, threshold=0.5, song=a, "
        f"sha256={api.load_song('a.wav').sha256}"
    )
    times_s, f0_hz = np.array([[float(x) for x in row.split(",")] for row in rows]).T
    assert header == "# time_s,f0_hz"
    assert len(times_s) == 1 + SR // 256 and np.allclose(np.diff(times_s), 256 / SR, atol=2e-6)
    inner = f0_hz[10:-10]
    assert (
        np.mean(np.abs(1200 * np.log2(np.abs(inner) / 330)) < 50) > 0.95
        and np.mean(inner > 0) > 0.5
    )


def test_signs_and_voicing_in_the_csv(run, quick):
    tone("a.wav")
    run("melody", "a.wav")
    rows = ["0.000000,220.000", "0.010000,-220.000", "0.020000,0.000"]
    assert Path("a.melody.csv").read_text().splitlines()[1:] == ["# time_s,f0_hz", *rows]
    run("melody", "a.wav", "--voicing", "--out", "b.csv", "--threshold", "0.25")
    about, header, *rows = Path("b.csv").read_text().splitlines()
    assert "threshold=0.25," in about and header == "# time_s,f0_hz,voicing"
    assert [float(row.split(",")[2]) for row in rows] == [1, 0, 0]


@pytest.mark.parametrize(
    "inputs, options, outputs",
    [
        (["a.wav"], [], ["a.melody.csv"]),
        (["x/a.wav", "b.wav"], [], ["a.melody.csv", "b.melody.csv"]),
        (["a.wav"], ["--out", "new/line.csv"], ["new/line.csv"]),
        (["a.wav"], ["--out", "line.txt", "--midi"], ["line.txt", "line.mid"]),
        (["a.wav"], ["--out", "line.mid", "--midi"], ["line.csv", "line.mid"]),
        (["a.wav"], ["--out", "line.midi"], ["line.csv", "line.midi"]),
        (["a.wav"], ["--method", "sfnmf"], ["a.melody.csv"]),
        (
            ["a.wav"],
            ["--method", "sfnmf", "--method", "pyin", "--midi"],
            [f"a.{m}.melody.{e}" for m in ("sfnmf", "pyin") for e in ("csv", "mid")],
        ),
        (
            ["a.wav", "x/a.wav"],
            ["--method", "sfnmf", "--method", "pyin", "--out", "o"],
            [f"o/{n}.{m}.csv" for n in ("a", "a-2") for m in ("sfnmf", "pyin")],
        ),
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


@pytest.mark.slow
def test_midi_holds_the_notes(run):
    import pretty_midi

    assert (
        run("melody", tone("a.wav", 2, f0_hz=440.0), "--midi", "--method", "sfnmf").exit_code == 0
    )
    notes = pretty_midi.PrettyMIDI("a.melody.mid").instruments[0].notes
    assert notes and {note.pitch for note in notes} == {69}


def test_midi_bends_has_a_tempo_and_tells_the_tuning(run):
    import pretty_midi

    tone("a.wav", 3, f0_hz=440 * 2 ** (0.4 / 12))
    result = run("melody", "a.wav", "--bends", "--tempo", "90", "--method", "sfnmf")
    assert result.exit_code == 0 and result.stdout.split() == ["a.melody.csv", "a.melody.mid"]
    cents = int(result.stderr.split("is tuned ")[1].split()[0])
    assert 35 <= cents <= 45 and len(result.stderr.splitlines()) == 1
    score = pretty_midi.PrettyMIDI("a.melody.mid")
    assert score.instruments[0].notes and score.instruments[0].pitch_bends
    assert score.get_tempo_changes()[1][0] == pytest.approx(90, rel=1e-4)


def test_melody_by_a_network(run, random_weights):
    result = run("melody", tone("a.wav"), "--method", "cqt-crnn-1")
    assert result.exit_code == 0 and result.stdout == "a.melody.csv\n" and result.stderr == ""
    assert len(Path("a.melody.csv").read_text().splitlines()) == 3 + SR // 256


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


# --- separate -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stems_add_up_to_the_input_at_its_rate_and_channels(run, rng):
    y = (rng.standard_normal((44100, 2)) * 0.1).astype(np.float32)
    sf.write("a.wav", y, 44100, subtype="FLOAT")
    result = run("separate", "a.wav", "--out", "stems", "--method", "sfnmf")
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
        (["a.wav"], ["--method", "sfnmf", "--method", "unet"], ["a-stems/sfnmf", "a-stems/unet"]),
    ],
)
def test_where_stems_go(run, quick, inputs, options, folders):
    for name in inputs:
        tone(name, 0.1)
    assert run("separate", *inputs, *options).exit_code == 0
    outputs = [f"{folder}/{name}.wav" for folder in folders for name in ("melody", "accompaniment")]
    assert found(".") == sorted([*inputs, *outputs])


def test_both_stems_or_none(run, quick, monkeypatch):
    writer, calls = sound.writer, []

    @contextlib.contextmanager
    def full_disk(path, sr, shape):
        calls.append(path)
        with writer(path, sr, shape) as put:
            yield put
            if len(calls) == 2:
                raise InputError(f"cannot write {path} (no space left); free some space")

    monkeypatch.setattr(sound, "writer", full_disk)
    result = run("separate", tone("a.wav"), "--out", "o")
    assert result.exit_code == 2 and len(calls) == 2 and not list(Path("o").glob("*"))
    assert "no space left" in result.stderr


# --- drums ----------------------------------------------------------------------------------------

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
    assert rows[0].startswith("# method=drum-cnn, version=melodylab ") and "sha256=" in rows[0]
    assert rows[1:] == ["# time_s,class,velocity", "0.010000,kick,1.0000", "0.020000,snare,0.5000"]


@pytest.mark.slow
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
    assert result.exit_code == 2 and "sfnmf finds no drum hits, it " in result.stderr


# --- nothing is lost ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, there",
    [
        ("melody a.wav", "a.melody.csv"),
        ("melody a.wav --midi", "a.melody.mid"),
        ("melody a.wav --out o", "o/a.csv"),
        ("melody a.wav --out o.mid --midi", "o.csv"),
        ("melody a.wav --method sfnmf --method pyin", "a.pyin.melody.csv"),
        ("separate a.wav --out mine", "mine/melody.wav"),
        ("separate a.wav", "a-stems/accompaniment.wav"),
        ("drums a.wav --out mine", "mine/toms.wav"),
    ],
)
def test_what_exists_is_overwritten_on_demand_only(run, quick, monkeypatch, command, there):
    tone("a.wav", 0.1)
    Path(there).parent.mkdir(exist_ok=True)
    Path(there).write_text("mine")
    load, before = api.load_song, found(".")
    monkeypatch.setattr(api, "load_song", None)  # refused before the song is read
    result = run(*command.split())
    assert result.exit_code == 2 and found(".") == before and Path(there).read_text() == "mine"
    (line,) = [
        line for line in result.stderr.splitlines() if " is harm" not in line and "+" not in line
    ]
    assert line.startswith("melodylab: ") and there in line and "--force" in line
    monkeypatch.setattr(api, "load_song", load)
    assert run(*command.split(), "--force").exit_code == 0
    assert Path(there).read_bytes() != b"mine"


def test_an_old_midi_beside_a_new_csv_is_told(run, quick):
    tone("a.wav", 0.1)
    run("melody", "a.wav", "--midi")
    result = run("melody", "a.wav", "--force")
    assert result.exit_code == 0 and "a.melody.mid is of an earlier run" in result.stderr


def test_a_name_that_is_too_long_is_refused_before_the_work(run, quick, monkeypatch):
    name = f"{'a' * 248}.wav"
    tone(name, 0.1)
    monkeypatch.setattr(api, "load_song", None)
    result = run("melody", name)
    assert result.exit_code == 2 and "give a shorter one with --out" in result.stderr
    assert found(".") == [name] and "fault in melodylab" not in result.stderr


# --- many songs -----------------------------------------------------------------------------------


def test_a_folder_stands_for_the_songs_in_it(run, quick):
    for name in ("songs/b.wav", "songs/a.flac", "songs/.hidden.wav", "songs/deeper/c.wav"):
        tone(name, 0.1) if name.endswith("wav") else sf.write(name, np.zeros(99), SR)
    Path("songs/notes.txt").write_text("no song")
    assert run("melody", "songs", "songs/b.wav").stdout.split() == ["a.melody.csv", "b.melody.csv"]
    assert run("separate", "songs", "--out", "o").exit_code == 0
    assert found("o") == [f"{n}/{s}.wav" for n in "ab" for s in ("accompaniment", "melody")]
    Path("empty").mkdir()
    result = run("melody", "empty")
    assert result.exit_code == 2 and "empty is a folder" in result.stderr


def test_songs_of_which_nothing_comes_get_a_remark(run):
    sf.write("silent.wav", np.zeros(SR // 2), SR)
    for command in ("melody", "separate", "drums"):
        result = run(command, "silent.wav")
        assert result.exit_code == 0 and "silent.wav is silent" in result.stderr, command


def test_progress_is_told_of_work_on_a_terminal(run, quick, monkeypatch):
    from melodylab import progress
    from melodylab.cli import batch

    seen = []

    class Bar:
        def __init__(self, **options):
            seen.append(("bar", options["desc"], options["disable"]))

        def set_description_str(self, text, refresh):
            seen.append(("step", text))

        def refresh(self):
            seen.append((self.n, self.total))

        def close(self):
            seen.append("closed")

    def extract_melody(song, method, **options):
        assert list(progress.steps("ab", "listening")) == ["a", "b"]
        return Melody([0.0], [220.0], [1.0])

    monkeypatch.setattr(batch, "tqdm", Bar)
    monkeypatch.setattr(api, "extract_melody", extract_melody)
    run("melody", tone("a.wav", 0.1))
    step = ("step", "a.wav: listening")
    steps = [part for n in range(3) for part in (step, (n, 2))]
    assert seen == [("bar", "a.wav", True), *steps, "closed"]
    assert list(progress.steps([1, 2], "unheard")) == [1, 2] and len(seen) == 8


def test_the_salience_is_written_on_demand(run):
    result = run("melody", tone("a.wav", 1.0), "--method", "sfnmf", "--salience")
    assert result.stdout.split() == ["a.melody.csv", "a.melody.npz"]
    held, song = np.load("a.melody.npz"), api.load_song("a.wav")
    salience = api.salience(song, "sfnmf")
    for name in ("values", "freqs_hz", "times_s", "unvoiced"):
        np.testing.assert_array_equal(held[name], getattr(salience, name))
    result = run("melody", "a.wav", "--method", "pyin", "--salience", "--out", "b.csv")
    assert result.exit_code == 2 and "pyin has no salience" in result.stderr


@pytest.mark.slow
def test_a_threshold_moves_the_sign(run):
    rows = {}
    for threshold in ("0", "0.5", "1"):
        arguments = ("--method", "sfnmf", "--threshold", threshold, "--out", f"{threshold}.csv")
        assert run("melody", tone("a.wav", 1.0), *arguments).exit_code == 0
        rows[threshold] = np.loadtxt(f"{threshold}.csv", delimiter=",")[:, 1]
    np.testing.assert_array_equal(*(np.abs(rows[t]) for t in ("0", "1")))
    shares = [np.mean(rows[t] > 0) for t in ("0", "0.5", "1")]
    assert shares[0] > 0.95 and shares[0] >= shares[1] > shares[2]
    result = run("melody", "a.wav", "--threshold", "7")
    assert result.exit_code == 2 and "0<=x<=1" in result.stderr

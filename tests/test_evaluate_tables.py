"""Tables of a folder of songs, with methods whose mistakes are known."""

import csv
import types

import numpy as np
import pytest

import melodylab
from melodylab.dsp import stft
from melodylab.errors import InputError
from melodylab.evaluate import (
    Table,
    evaluate_folder,
    tables,
)
from melodylab.io import audio
from melodylab.records import DrumOnsets, Melody


def the_mix(song, method, melody=None):
    return {"melody": song.audio, "accompaniment": song.audio}


@pytest.fixture
def folder(tmp_path, rng):
    """Songs a, b with truth, c without audio, d without truth; a sings in its 21st s only."""
    for name, seconds in (("a", 21), ("b", 2), ("d", 1)):
        t_s = np.arange(seconds * 8000) / 8000
        lead = np.where((t_s >= seconds - 1), 0.5 * np.sin(2 * np.pi * 220 * t_s), 0)
        audio.write(tmp_path / name / "mix.wav", lead + 0.1 * rng.standard_normal(len(t_s)), 8000)
        if name != "d":
            audio.write(tmp_path / name / "melody.wav", lead, 8000)
            times_s = np.arange(seconds * 100) / 100
            truth = np.where(times_s >= seconds - 1, 220.0, 0)
            Melody.from_signed(times_s, truth).to_csv(tmp_path / name / "melody.csv")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mix.wav").write_text("not audio")
    return tmp_path


def constant(song, method):
    """A flat line at 220 Hz; stumbles where told to, and proves that it gets no truth."""
    assert song.melody is None
    assert song.stems == {}
    if method == "stumbles" and song.name == "a":
        raise ZeroDivisionError("lost\ncount")
    times_s = np.arange(int(100 * song.duration_s)) / 100
    return Melody(
        times_s,
        np.full(len(times_s), 220.0 if method != "octave" else 440.0),
        np.ones(len(times_s)),
    )


def test_a_table_of_melodies(folder):
    table = evaluate_folder(folder, "melody", ["flat", "octave", "flat"], extract=constant)
    assert table.columns == ("song", "method", "OA", "RPA", "RCA", "VR", "VFA")
    assert [row[:2] for row in table.rows] == [
        ("a", "flat"),
        ("a", "octave"),
        ("b", "flat"),
        ("b", "octave"),
    ]
    assert table.rows[2][2:] == (0.5, 1, 1, 1, 1)
    assert table.mean("octave") == {"OA": 0, "RPA": 0, "RCA": 1, "VR": 1, "VFA": 1}
    assert table.mean("flat")["OA"] == pytest.approx((1 / 21 + 1 / 2) / 2)
    assert len(table.failures) == 2
    assert table.failures[0].startswith("c: ")
    assert "holds no audio" in table.failures[0]
    assert "Error" not in table.failures[0]
    assert "d holds no melody2.csv or melody.csv" in table.failures[1]
    with pytest.raises(KeyError, match="absent"):
        table.mean("absent")


def test_a_method_that_stumbles_costs_its_row_only(folder):
    table = evaluate_folder(folder, "melody", ["stumbles", "flat"], extract=constant)
    assert [row[:2] for row in table.rows] == [("a", "flat"), ("b", "stumbles"), ("b", "flat")]
    assert table.failures[0] == "a, stumbles: ZeroDivisionError: lost count"


def test_a_table_of_separations(folder):
    seen = []

    def separate(song, method, melody=None):
        assert song.melody is None
        assert song.stems == {}
        assert (song.sr, song.channels) == (22050, 1)
        seen.append((song.name, round(song.duration_s, 2), melody and melody.voiced.sum()))
        if song.name == "b" and method == "oracle":
            mono, _ = audio.read(folder / "b" / "melody.wav")
            lead = stft.resample(mono, 8000, 22050)
            return {"melody": lead, "accompaniment": song.audio - lead}
        return the_mix(song, method)

    table = evaluate_folder(folder, "separation", ["oracle", "mix"], separate=separate)
    assert table.columns[2:] == (
        "lead_sdr_db",
        "accompaniment_sdr_db",
        "lead_si_sdr_db",
        "accompaniment_si_sdr_db",
    )
    labels = ["oracle", "mix", "oracle (true melody)", "mix (true melody)"]
    assert [row[:2] for row in table.rows] == [(song, label) for song in "ab" for label in labels]
    assert set(seen) == {
        ("a", 20.0, None),
        ("a", 20.0, 0),
        ("b", 2.0, None),
        ("b", 2.0, 100),
    }  # voiced frames of the truth
    figures = {row[:2]: row[2:] for row in table.rows}
    assert np.isnan(figures["a", "mix"][0])
    assert (
        figures["a", "mix"][1] > 60
    )  # nothing is sung in the first 20 s: the mix is the accompaniment
    assert min(figures["b", "oracle"]) > 80
    assert -10 < figures["b", "mix"][1] < figures["b", "mix"][0] < 20
    assert (
        table.mean("mix")["lead_sdr_db"] == figures["b", "mix"][0]
    )  # the song without a lead stays out
    assert [line[:2] for line in table.failures] == ["c:", "d:"]
    assert "no stem of the melody" in table.failures[1]


@pytest.fixture
def drum_folder(tmp_path, rng):
    """loop: stems, five classes; song: drums.wav, MDB Drums' classes, a cymbal; none: no truth."""
    stems = {
        name: 0.1 * rng.standard_normal(8000).astype(np.float32)
        for name in ("kick", "open_hihat", "closed_hihat")
    }
    for name, stem in stems.items():
        audio.write(tmp_path / "loop" / f"{name}.wav", stem, 8000)
    audio.write(tmp_path / "loop" / "snare.wav", np.zeros(8000), 8000)
    for name in ("loop", "song", "none"):
        audio.write(
            tmp_path / name / "mix.wav", sum(stems.values()) + (0.5 if name == "song" else 0), 8000
        )
    audio.write(tmp_path / "song" / "drums.wav", sum(stems.values()), 8000)
    (tmp_path / "loop" / "onsets.csv").write_text(
        "time_s,class,midi,velocity\n0.1,kick,36,100\n0.2,open_hihat,46,50\n"
        "0.4,closed_hihat,42,60\n0.6,kick,36,127\n"
    )
    (tmp_path / "song" / "drums.csv").write_text("0.1,KD\n0.2,HH\n0.4,HH\n0.5,CY\n0.6,KD\n")
    return tmp_path


def test_a_table_of_drums(drum_folder):
    seen = []

    def separate_drums(song, method, onsets=None):
        assert song.onsets is None and song.stems == {}
        seen.append((song.name, float(np.abs(song.audio).max()) < 0.9, onsets is None))
        found = onsets or DrumOnsets(
            [0.1, 0.2, 0.41, 0.9], ("kick", "closed_hihat", "closed_hihat", "toms"), np.ones(4)
        )
        stems = {"kick": song.audio, "snare": 0 * song.audio, "toms": 0 * song.audio}
        return types.SimpleNamespace(
            onsets=found, stems=stems | {"open_hihat": song.audio, "closed_hihat": song.audio}
        )

    table = evaluate_folder(drum_folder, "drums", ["beats"], separate_drums=separate_drums)
    assert [row[:2] for row in table.rows] == [
        ("loop", "beats"),
        ("loop", "beats (true onsets)"),
        ("song", "beats"),
    ]
    assert [line[:5] for line in table.failures] == [
        "none:"
    ] and "add the true hits" in table.failures[0]
    assert set(seen) == {
        ("loop", True, True),
        ("loop", True, False),
        ("song", True, True),
    }  # the song's drums, not its mix
    loop, led, song = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (
        loop["F_kick"] == pytest.approx(2 / 3)
        and loop["F_open_hihat"] == 0
        and loop["F_closed_hihat"] == pytest.approx(2 / 3)
    )
    assert loop["F_hihat"] == 1 and np.isnan(loop["F_toms"]) and np.isnan(loop["F_snare"])
    assert loop["F"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3) and led["F"] == 1
    assert -6 < loop["si_sdr_db"] < 0 and np.isnan(
        loop["snare_si_sdr_db"]
    )  # one of three in the mix
    assert loop["si_sdr_db"] == pytest.approx(
        np.mean([loop[f"{n}_si_sdr_db"] for n in ("kick", "open_hihat", "closed_hihat")])
    )
    assert (
        song["F_hihat"] == 1
        and song["F_kick"] == pytest.approx(2 / 3)
        and np.isnan(song["F_snare"])
    )
    assert song["F"] == pytest.approx((1 + 2 / 3) / 2) and np.isnan(song["si_sdr_db"])


@pytest.mark.slow
def test_songs_side_by_side_give_the_same_table(folder):
    tables = [
        evaluate_folder(folder, "melody", ["flat"], extract=constant, n_jobs=n) for n in (1, 2)
    ]
    assert str(tables[0]) == str(tables[1])


def test_wrong_orders_are_refused_in_a_sentence(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(melodylab.weights, "FOLDER", tmp_path)
    for task, methods, words in (
        ("drums", "known", "no method 'known'; choose one of"),
        ("lyrics", "known", "no task 'lyrics'; choose drums or melody or separation"),
        ("melody", "unknown", "no method 'unknown'; choose one of sfnmf"),
        ("separation", "sfnfm", "no method 'sfnfm'; did you mean sfnmf"),
        (
            "separation",
            "pyin",
            "pyin takes no song apart, it finds the melody; choose one of sfnmf",
        ),
        ("melody", "sf-cnn", "no trained weights for sf-cnn"),
        ("melody", [], "name at least one"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate_folder(folder, task, methods)
    with pytest.raises(InputError, match="is not a folder"):
        evaluate_folder(folder / "absent", "melody", "sfnmf")


def test_progress_goes_to_standard_error_only_when_asked(folder, capsys):
    evaluate_folder(folder, "melody", ["flat"], extract=constant)
    assert capsys.readouterr() == ("", "")
    evaluate_folder(folder, "melody", ["flat"], extract=constant, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "4/4" in err


@pytest.fixture
def table():
    rows = (
        ("a, b", "one", 0.5, -1.0),
        ("c", "one", float("nan"), -3.0),
        ("c", "second", float("nan"), float("-inf")),
    )
    return Table(("song", "method", "OA", "x_db"), rows, ("d: gone",))


def test_a_table_as_text(table):
    assert str(table).splitlines() == [
        "song    method       OA    x_db",
        "a, b    one       0.500   -1.00",
        "c       one         nan   -3.00",
        "c       second      nan    -inf",
        "mean    one       0.500   -2.00",
        "mean    second      nan    -inf",
        "d: gone",
    ]
    assert repr(table) == str(table)


def test_a_table_without_rows_is_its_header():
    assert str(Table(("song", "method", "OA"), ())) == "song    method    OA"


def test_a_table_as_csv_is_complete_or_absent(table, tmp_path, monkeypatch):
    path = tmp_path / "new" / "table.csv"
    table.to_csv(path)
    with open(path, newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows[:2] == [["song", "method", "OA", "x_db"], ["a, b", "one", "0.5", "-1.0"]]
    assert rows[4] == ["mean", "one", "0.5", "-2.0"]
    assert len(rows) == 6

    def full_disc(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables.csv, "writer", full_disc)
    with pytest.raises(InputError, match="no space left"):
        table.to_csv(tmp_path / "half" / "table.csv")
    assert list((tmp_path / "half").iterdir()) == []


@pytest.mark.slow
def test_the_mix_itself_on_the_development_songs(dev_songs):
    # the figure published beside the data, from the toolbox, to one decimal
    table = evaluate_folder(dev_songs, "separation", "mix", separate=the_mix)
    assert not table.failures
    assert table.mean("mix")["lead_sdr_db"] == pytest.approx(-3.0, abs=0.05)


def test_a_table_shows_itself_in_a_notebook(table):
    html = table._repr_html_()
    assert html.count("<table>") == 2 and html.count("<tr>") == 7  # six rows, one failure
    assert "<th>song" in html.replace('<th style="text-align: left;">', "<th>") and "a, b" in html
    spiteful = Table(("song", "method", "OA"), (("<b>x</b>", "one", 0.5),))
    assert "<b>" not in spiteful._repr_html_()


def test_labels_of_others_are_scored_and_unknown_ones_named(tmp_path):
    hits = "0.1,Kick\n0.2,Hi-Hat Closed\n0.4,Gong\n0.5,Crash\n0.6,BD\n"
    audio.write(tmp_path / "loop" / "mix.wav", np.zeros(8000), 8000)
    (tmp_path / "loop" / "onsets.csv").write_text("time_s,class\n" + hits)

    def perfect(song, method):
        found = DrumOnsets([0.1, 0.2, 0.6], ("kick", "closed_hihat", "kick"), np.ones(3))
        return types.SimpleNamespace(onsets=found, stems={})

    with pytest.warns(UserWarning, match="no drum here is called 'Gong', and these hits") as told:
        table = evaluate_folder(tmp_path, "drums", "perfect", separate_drums=perfect)
    assert len(told) == 1
    mean = table.mean("perfect")
    assert mean["F_kick"] == mean["F_closed_hihat"] == mean["F"] == 1

"""CSV files of our own and of other programs: each is read right, or refused by line or column."""

import mir_eval
import numpy as np
import pytest

from melodylab.errors import InputError
from melodylab.io import csv
from melodylab.records import DrumOnsets, Melody

TIMES_S = np.arange(6) * 0.01
SIGNED_HZ = [220, -110, 0, 231, 232, 0]
VOICING = [0.9, 0.2, 0, 0.5, 0.7, 0]


def table(*columns, sign=",", header=None, point="."):
    """A text of these columns, cells as they are or with another decimal point."""
    rows = [
        sign.join(str(c).replace(".", point) for c in row) for row in zip(*columns, strict=True)
    ]
    return "\n".join([*([header] if header is not None else []), *rows]) + "\n"


def read(tmp_path, text, name="m.csv"):
    (tmp_path / name).write_bytes(text.encode())
    return Melody.from_csv(tmp_path / name)


N = range(6)
HZ = [220, -110, 0, 231, 232, 0]
OF_OTHERS = {
    "mir_eval, tabs": table(TIMES_S, HZ, sign="\t"),
    "mir_eval, blanks": table(TIMES_S, HZ, sign="   "),
    "two tabs": table(TIMES_S, HZ, sign="\t\t"),
    "a comma at the end": table(TIMES_S, HZ, [""] * 6),
    "semicolons": table(TIMES_S, HZ, sign=";"),
    "semicolons, decimal commas": table(TIMES_S, HZ, sign=";", point=","),
    "tabs, decimal commas": table(TIMES_S, HZ, sign="\t", point=","),
    "blanks, decimal commas": table(TIMES_S, [float(f) for f in HZ], sign=" ", point=","),
    "byte order mark": "\ufeff" + table(TIMES_S, HZ),
    "byte order mark and header": "\ufeff" + table(TIMES_S, HZ, header="time,frequency"),
    "pandas with index": table(N, TIMES_S, HZ, header=",time,frequency"),
    "pandas with index, nameless": table(N, TIMES_S, HZ, header=",0,1"),
    "pandas with index, no header": table(N, TIMES_S, HZ),
    "pandas without index": table(TIMES_S, HZ, header="time,f0"),
    "columns the other way round": table(HZ, TIMES_S, header="frequency,time"),
    "no value": table(TIMES_S, [220, -110, "", 231, 232, "NaN"], header="time,f0"),
    "Sonic Visualiser with labels": table(TIMES_S, HZ, [f'"New, {n}"' for n in N]),
    "Sonic Visualiser with header": table(TIMES_S, HZ, ["", *"abcde"], header="TIME,VALUE,LABEL"),
    "Sonic Annotator": table(['"a.wav"', *[""] * 5], TIMES_S, HZ),
    "names with units": table(TIMES_S, HZ, header="Time (s),Frequency [Hz]"),
    "names nobody knows": table(TIMES_S, HZ, header="zeit,tonhoehe"),
    "Matlab's remark": "% by hand\n" + table(TIMES_S, HZ, sign=" "),
    "old Mac lines": table(TIMES_S, HZ).replace("\n", "\r"),
}


@pytest.mark.parametrize("name", OF_OTHERS)
def test_what_others_write_is_read_right(tmp_path, name):
    melody = read(tmp_path, OF_OTHERS[name])
    np.testing.assert_allclose(melody.times_s, TIMES_S)
    np.testing.assert_array_equal(melody.signed_hz, SIGNED_HZ)


@pytest.mark.parametrize("header", ["time,frequency,confidence", "time,f0,voiced_prob", None])
def test_a_confidence_becomes_the_voicing(tmp_path, header):
    melody = read(tmp_path, table(TIMES_S, np.full(6, 220.0), VOICING, header=header))
    np.testing.assert_allclose(melody.voicing, VOICING)
    np.testing.assert_array_equal(melody.f0_hz, np.full(6, 220.0))
    flags = table(
        TIMES_S, HZ, [True, False] * 3, [0.3] * 6, header="time,f0,voiced_flag,voiced_prob"
    )
    assert read(tmp_path, flags).voiced.tolist() == [True, False, False, False, True, False]


RWC = table([f"{n} {n + 1} m 220.0 60" for n in N])
REFUSED = {
    "words": ("0,220\nhello\n", "line 2: expected time_s,f0_hz"),
    "one number": ("0,220\n1\n", "line 2"),
    "nothing": ("", "has no rows"),
    "remarks only": ("# only a comment\n", "has no rows"),
    "header only": ("time,f0\n", "has no rows"),
    "a time twice": ("0,220\n0,221\n", r"do not rise \(line 2\)"),
    "times backwards": ("1,220\n\n0,221\n", r"do not rise \(line 3\)"),
    "NaN as time": ("0,220\nnan,221\n0.02,222\n", "line 2"),
    "infinite pitch": ("0,220\n0.01,inf\n", "line 2"),
    "no time": ("0,220\n,221\n", "line 2"),
    "confidence of 7": (table(TIMES_S, HZ, [7] * 6, header="time,f0,confidence"), "line 2.*0..1"),
    "three columns": (table(TIMES_S, HZ, [7] * 6), "three columns without names"),
    "notes": (table([0.3, 0.8, 1.3], [0.8, 1.3, 1.9], [261.6, 329.6, 392.0], sign=" "), "notes"),
    "Tony's notes": (table([0.3, 0.81, 2.3], [261.6, 329.6, 392.0], [0.5, 0.42, 0.6]), "notes"),
    "Sonic Visualiser's notes": (
        table([0.3, 0.8], [261.6, 329.6], [0.5, 0.4], header="TIME,VALUE,DURATION"),
        "notes .column duration",
    ),
    "named notes": (table([0.3], [0.8], [261.6], header="onset,offset,pitch"), "column onset"),
    "RWC": (RWC, "three columns without names"),
    "milliseconds": (table(10 * np.arange(6), HZ), "rise by 10 .*milliseconds"),
    "named milliseconds": (table(N, HZ, header="time_ms,f0"), "time_ms, f0: none is a time in sec"),
    "MIDI notes": (table(TIMES_S, [60] * 6, header="time,midi"), "none is a pitch in Hz"),
    "no pitch": (table(TIMES_S, N, N, header="time,loudness,energy"), "loudness.*pitch in Hz"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_in_a_sentence(tmp_path, name):
    text, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as refusal:
        read(tmp_path, text)
    assert "m.csv" in str(refusal.value) and ";" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def sung(n=40):
    """A file's frames: sung but for frames 0 to 4, 10 to 19 and 30 on."""
    times_s = np.arange(n) * 0.01
    voiced = (np.arange(n) >= 5) & (np.arange(n) // 10 % 2 == 0)
    return times_s, np.where(voiced, 220.0, 0)


def test_a_file_of_sung_rows_only_gets_its_pauses_back(tmp_path):
    times_s, signed_hz = sung()
    text = table(times_s[signed_hz > 0], signed_hz[signed_hz > 0])
    melody = read(tmp_path, text)
    assert len(melody) == 15
    again = melody.resampled(times_s).voiced  # each end of a pause is held for a frame
    assert not again[11:19].any() and again[20:30].all()
    with pytest.warns(UserWarning, match="leaves out frames in 2 places, first after 0.00 s; they"):
        whole = Melody.from_csv(tmp_path / "m.csv", duration_s=0.399)
    np.testing.assert_allclose(whole.times_s, times_s, atol=1e-9)
    np.testing.assert_array_equal(whole.signed_hz, signed_hz)


def test_a_file_of_every_frame_is_left_as_it_is(tmp_path, recwarn):
    times_s, signed_hz = sung()
    np.testing.assert_allclose(read(tmp_path, table(times_s, signed_hz)).times_s, times_s)
    jitter_s = TIMES_S + [0, 0.003, -0.002, 0, 0.004, 0]  # by a clock that is not even
    assert len(read(tmp_path, table(jitter_s, np.full(6, 220)))) == 6
    assert len(Melody.from_csv(tmp_path / "m.csv", duration_s=0.055)) == 6
    assert not recwarn.list


HEADER = {"method": "pyin", "version": "1.2", "threshold": 0.5, "song sha256": "ab12"}


@pytest.mark.parametrize("voicing", [False, True])
@pytest.mark.parametrize("header", [None, HEADER])
def test_a_melody_comes_back_with_remarks_above_it(tmp_path, voicing, header):
    graded = Melody(TIMES_S, np.full(6, 220.0), [0.9, 0.4999999, 0.5, 0.25, 1, 0])
    graded.to_csv(tmp_path / "m.csv", voicing=voicing, header=header)
    lines = (tmp_path / "m.csv").read_text().splitlines()
    about = ["# method=pyin, version=1.2, threshold=0.5, song sha256=ab12"] if header else []
    names = "# time_s,f0_hz,voicing" if voicing else "# time_s,f0_hz"
    assert lines[: len(about) + 1] == [*about, names]
    assert lines[len(about) + 1] == "0.000000,220.000" + voicing * ",0.900000"
    back = Melody.from_csv(tmp_path / "m.csv")
    np.testing.assert_array_equal(back.f0_hz, graded.f0_hz)
    np.testing.assert_array_equal(back.voiced, graded.voiced)
    if voicing:
        np.testing.assert_allclose(back.voicing, graded.voicing, atol=1e-6)


def test_a_remark_stays_in_its_line(tmp_path):
    Melody([0.0], [220.0], [1.0]).to_csv(tmp_path / "m.csv", header={"song": "a\n0,1"})
    assert (tmp_path / "m.csv").read_text().splitlines()[0] == "# song=a 0,1"


def test_melodies_and_hits_load_in_mir_eval(tmp_path):
    Melody(TIMES_S, np.full(6, 220.0), VOICING).to_csv(tmp_path / "m.csv", header=HEADER)
    times_s, signed_hz = mir_eval.io.load_time_series(str(tmp_path / "m.csv"), delimiter=",")
    np.testing.assert_allclose(times_s, TIMES_S)
    np.testing.assert_array_equal(signed_hz, [220, -220, -220, 220, 220, -220])
    DrumOnsets([0.1, 0.2], ["kick", "snare"], [1, 0.5]).to_csv(tmp_path / "o.csv", header=HEADER)
    columns = mir_eval.io.load_delimited(
        str(tmp_path / "o.csv"), [float, str, float], delimiter=","
    )
    assert columns == ([0.1, 0.2], ["kick", "snare"], [1.0, 0.5])


def test_hits_come_back_with_remarks_above_them(tmp_path):
    given = DrumOnsets([0.1234567, 1.0], ["kick", "toms"], [0.5, 1])
    given.to_csv(tmp_path / "o.csv", header={"method": "drum-cnn"})
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert lines[:2] == ["# method=drum-cnn", "# time_s,class,velocity"] and len(lines) == 4
    back = DrumOnsets.from_csv(tmp_path / "o.csv")
    assert back.classes == given.classes
    np.testing.assert_allclose(back.times_s, given.times_s, atol=1e-6)
    np.testing.assert_array_equal(back.velocity, given.velocity)
    DrumOnsets([], [], []).to_csv(tmp_path / "o.csv")
    assert len(DrumOnsets.from_csv(tmp_path / "o.csv").times_s) == 0


@pytest.mark.parametrize(
    "text",
    [
        "time_s,class,velocity\n0.1,kick,0.5\n0.2,snare,1\n",
        "velocity;label;time\n0,5;kick;0,1\n1;snare;0,2\n",
        ",time_s,class,velocity\n0,0.1,kick,0.5\n1,0.2,snare,1\n",
        "0.1\tkick\t0.5\n0.2\tsnare\t1\n",
        "\ufeff# time_s,velocity,class\n0.1,0.5,kick\n0.2,1,snare\n",
    ],
    ids=["old header", "semicolons", "pandas", "tabs", "remark"],
)
def test_hits_of_others_are_read_right(tmp_path, text):
    (tmp_path / "o.csv").write_text(text)
    hits = DrumOnsets.from_csv(tmp_path / "o.csv")
    np.testing.assert_array_equal(hits.times_s, [0.1, 0.2])
    assert hits.classes == ("kick", "snare") and hits.velocity.tolist() == [0.5, 1]


def test_missing_and_binary_melody_files_are_refused(tmp_path):
    (tmp_path / "sound.csv").write_bytes(bytes(range(256)))
    for name in ("sound.csv", "none.csv"):
        with pytest.raises(InputError, match=f"cannot read the melody file .*{name}"):
            Melody.from_csv(tmp_path / name)


def test_onsets_without_a_header_and_shares_as_velocity(tmp_path):
    path = tmp_path / "drums.csv"
    path.write_text("\ufeff0.010000,KD\n\n# remark\n0.57,SD\n0.57,KD\n")
    onsets = csv.read_onsets(path)
    assert onsets.classes == ("KD", "SD", "KD")
    assert onsets.velocity.tolist() == [1, 1, 1]
    path.write_text("time_s,class,velocity\n0.1,kick,0.5\n0.2,kick,1\n")
    assert csv.read_onsets(path).velocity.tolist() == [0.5, 1]
    path.write_text("time_s,class,velocity\n")
    assert len(csv.read_onsets(path).times_s) == 0


@pytest.mark.parametrize(
    "text",
    [
        "0.1\n",
        "0.1,kick\nsoon,kick\n",
        "-1,kick\n",
        "nan,kick\n",
        "0.1,\n",
        "0.1,kick,200\n",
        "time_s,class\n,kick\n",
    ],
)
def test_onsets_that_cannot_be_read_name_the_line(tmp_path, text):
    path = tmp_path / "onsets.csv"
    path.write_text(text)
    with pytest.raises(
        InputError,
        match=rf"onsets.csv, line {text.strip().count(chr(10)) + 1}: expected time_s,class",
    ):
        csv.read_onsets(path)


def test_onsets_without_classes_or_without_text_are_refused(tmp_path):
    path = tmp_path / "onsets.csv"
    path.write_text("time_s,velocity\n0.1,1\n")
    with pytest.raises(InputError, match="no column class"):
        csv.read_onsets(path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot read the drum hits"):
        csv.read_onsets(path)

"""Scores against planted truths: what is right is known before anything is scored."""

import csv
import sys
import types
import warnings

import mir_eval
import numpy as np
import pytest

import melodylab
from melodylab import evaluate
from melodylab.dsp import stft
from melodylab.errors import InputError
from melodylab.evaluate import (
    Table,
    bss_eval_sdr,
    evaluate_folder,
    frame_errors,
    onset_f_measure,
    pitch_errors,
    score_melody,
    si_sdr,
)
from melodylab.io import audio
from melodylab.records import DrumOnsets, Melody

FRAMES, HOP_S = 400, 256 / 22050


@pytest.fixture
def truth():
    """A slow glide with vibrato, every fourth block of 50 frames silent: 300 voiced frames, 100 without melody."""
    times_s = np.arange(FRAMES) * HOP_S
    f0_hz = 220 * 2 ** (times_s / 10 + 0.02 * np.sin(2 * np.pi * 2 * times_s))
    return Melody.from_signed(times_s, np.where(np.arange(FRAMES) // 50 % 4 == 3, 0, f0_hz))


def guess(truth, *, factor=1.0, voicing=None):
    """The truth with a guess also in its silent frames, all voiced unless said otherwise."""
    f0_hz = factor * np.where(truth.voiced, truth.f0_hz, 220)
    return Melody(truth.times_s, f0_hz, np.ones(len(truth)) if voicing is None else voicing)


def random_melody(rng, *, frames, hop_s, start_s=0.0):
    signed_hz = 220 * 2 ** rng.uniform(-0.1, 1.1, frames) * rng.choice([-1, 0, 1, 1], frames)
    return Melody.from_signed(start_s + np.arange(frames) * hop_s, signed_hz)


# --- melodies


def test_the_truth_scores_one(truth):
    assert score_melody(truth, truth) == {"OA": 1, "RPA": 1, "RCA": 1, "VR": 1, "VFA": 0}


def test_an_octave_off_keeps_the_chroma(truth):
    scores = score_melody(guess(truth, factor=2, voicing=truth.voicing), truth)
    assert scores == {"OA": 0.25, "RPA": 0, "RCA": 1, "VR": 1, "VFA": 0}


@pytest.mark.parametrize(("cents", "right"), [(49, 1), (-49, 1), (51, 0), (-51, 0)])
def test_half_a_semitone_is_the_border(truth, cents, right):
    scores = score_melody(guess(truth, factor=2 ** (cents / 1200), voicing=truth.voicing), truth)
    assert (scores["RPA"], scores["RCA"]) == (right, right)


def test_guesses_in_frames_called_unvoiced_count_for_pitch_alone(truth):
    scores = score_melody(guess(truth, voicing=np.full(FRAMES, 0.49)), truth)
    assert scores == {"OA": 0.25, "RPA": 1, "RCA": 1, "VR": 0, "VFA": 0}


def test_voicing_of_a_half_is_voiced(truth):
    scores = score_melody(guess(truth, voicing=np.full(FRAMES, 0.5)), truth)
    assert scores == {"OA": 0.75, "RPA": 1, "RCA": 1, "VR": 1, "VFA": 1}


def test_no_guess_at_all_is_right_where_nothing_is_sung(truth):
    nothing = Melody(truth.times_s, np.full(FRAMES, np.nan), np.zeros(FRAMES))
    expected = {"OA": 0.25, "RPA": 0, "RCA": 0, "VR": 0, "VFA": 0}
    assert score_melody(nothing, truth) == expected
    assert score_melody(Melody([], [], []), truth) == expected


def test_another_hop_and_an_offset_clock_cost_only_the_edges(truth):
    times_s = 0.003 + np.arange(470) * 0.01
    voiced = np.interp(times_s, truth.times_s, truth.voicing) >= 0.5
    f0_hz = 220 * 2 ** (times_s / 10 + 0.02 * np.sin(2 * np.pi * 2 * times_s))
    scores = score_melody(Melody(times_s, f0_hz, voiced.astype(float)), truth)
    assert scores["RPA"] == 1
    assert min(scores["OA"], scores["VR"], 1 - scores["VFA"]) > 0.96


def test_a_share_of_nothing_is_nan(truth):
    silent = Melody(truth.times_s, np.full(FRAMES, np.nan), np.zeros(FRAMES))
    scores = score_melody(guess(truth, voicing=truth.voicing), silent)
    assert np.isnan([scores[key] for key in ("RPA", "RCA", "VR")]).all()
    assert (scores["OA"], scores["VFA"]) == (0.25, 0.75)
    scores = score_melody(truth, guess(truth))
    assert np.isnan(scores["VFA"])
    assert scores["OA"] == scores["VR"] == 0.75
    assert np.isnan(list(score_melody(truth, Melody([], [], [])).values())).all()
    assert (
        len(frame_errors(truth, Melody([], [], []))[1])
        == len(pitch_errors(truth, Melody([], [], []))[1])
        == 0
    )


def test_dropped_frames_are_scored_as_sung_and_warned_of(truth):
    keep = truth.voiced
    dropped = Melody(truth.times_s[keep], truth.f0_hz[keep], truth.voicing[keep])
    with pytest.warns(UserWarning, match="leaves out frames in 1 places, first after 1.73 s"):
        scores = score_melody(dropped, truth)
    assert scores["VFA"] > 0.98
    early = Melody(truth.times_s[:100], truth.f0_hz[:100], truth.voicing[:100])
    with pytest.warns(UserWarning, match="ends at 1.15 s"):
        assert score_melody(early, truth)["VR"] == 1  # held to the end


@pytest.mark.parametrize(("hop_s", "start_s"), [(0.01, 0.0), (0.01, 0.004), (0.0058, 0.0)])
def test_scores_equal_mir_eval_on_the_written_file(tmp_path, rng, hop_s, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01)
    estimate = random_melody(rng, frames=300, hop_s=hop_s, start_s=start_s)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the third estimate ends early
        scores = score_melody(estimate, reference)
    for name, melody in (("estimate", estimate), ("reference", reference)):
        melody.to_csv(tmp_path / f"{name}.csv")
    columns = [
        np.loadtxt(tmp_path / f"{name}.csv", delimiter=",").T for name in ("reference", "estimate")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mir_eval.melody.evaluate(*columns[0], *columns[1])
    names = (
        "Overall Accuracy",
        "Raw Pitch Accuracy",
        "Raw Chroma Accuracy",
        "Voicing Recall",
        "Voicing False Alarm",
    )
    np.testing.assert_allclose(
        list(scores.values()), [expected[name] for name in names], atol=1e-12
    )
    assert all(type(value) is float for value in scores.values())
    assert 0 < scores["RPA"] < scores["RCA"] < 1


@pytest.mark.parametrize(("hop_s", "start_s"), [(0.01, 0.0), (0.0058, 0.003)])
def test_other_thresholds_score_as_if_decoded_anew(rng, hop_s, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01, start_s=0.02)
    base = random_melody(rng, frames=700, hop_s=hop_s, start_s=start_s)
    graded = np.where(np.isnan(base.f0_hz), 0.0, rng.uniform(0, 1, 700))
    thresholds = np.array([0.1, 0.2, 0.5, 0.9, 1.0])
    found = evaluate.other_thresholds(
        Melody(base.times_s, base.f0_hz, graded), reference, thresholds
    )
    for threshold, OA in zip(thresholds, found["OAs"], strict=True):
        moved = Melody(base.times_s, base.f0_hz, (graded >= threshold).astype(float))
        assert pytest.approx(score_melody(moved, reference)["OA"], abs=1e-12) == OA
    assert len(set(found["OAs"])) == 5


def test_area_under_voicing_of_planted_orders(truth):
    def area(voicing):
        return evaluate.other_thresholds(guess(truth, voicing=voicing), truth, [0.5])["AUC"]

    sung = truth.voicing
    assert (
        area(0.2 + 0.1 * sung) == 1
        and area(0.4 - 0.1 * sung) == 0
        and area(np.full(FRAMES, 0.7)) == 0.5
    )
    half = np.where(sung > 0, np.where(np.arange(FRAMES) % 2, 0.9, 0.1), 0.5)
    assert area(half) == pytest.approx(0.5)
    always = Melody(truth.times_s, np.full(FRAMES, 220.0), np.ones(FRAMES))
    assert np.isnan(evaluate.other_thresholds(always, always, [0.5])["AUC"])


def test_frame_errors_of_a_line_written_by_hand():
    def melody(*signed_hz):
        return Melody.from_signed(0.01 * np.arange(len(signed_hz)), signed_hz)

    reference = melody(100, 100, 100, 100, 100, 100, 100, 0, 0, 0)
    estimate = melody(
        102.9, 103.0, 200, 51.45, 51.5, -100, 0, 100, -100, 0
    )  # 49.5 and 51.2 cents sharp, in two octaves
    times_s, labels = frame_errors(estimate, reference)
    assert labels[:5].tolist() == ["right", "wrong", "octave", "octave", "wrong"]
    assert labels[5:].tolist() == ["missed", "missed", "false", "silence", "silence"]
    np.testing.assert_array_equal(times_s, reference.times_s)


@pytest.mark.parametrize("start_s", [0.0, 0.02])
def test_frame_errors_agree_with_the_figures(rng, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01, start_s=start_s)
    estimate = random_melody(rng, frames=600, hop_s=0.005)
    times_s, labels = frame_errors(estimate, reference)
    share = {
        name: np.mean(labels == name)
        for name in ("right", "octave", "wrong", "missed", "false", "silence")
    }
    scores = score_melody(estimate, reference)
    assert sum(share.values()) == pytest.approx(1)
    assert min(share.values()) > 0
    assert share["right"] + share["silence"] == pytest.approx(scores["OA"])
    assert share["false"] / (share["false"] + share["silence"]) == pytest.approx(scores["VFA"])
    assert len(times_s) == len(labels) == 300 + (start_s > 0)
    assert times_s[0] == 0


def test_pitch_errors_of_a_line_written_by_hand():
    def melody(*signed_hz):
        return Melody.from_signed(0.01 * np.arange(len(signed_hz)), signed_hz)

    up = 100 * 2 ** (np.array([0.49, 0.51, -1, 1.49, 1.51, -2.49, 2.51, 12.3, -24, 11.4, 7]) / 12)
    times_s, labels = pitch_errors(melody(*up, -100, 0, 100, -100), melody(*[100] * 13, 0, 0))
    assert labels[:3].tolist() == ["right", "semitone", "semitone"]
    assert labels[3:7].tolist() == ["semitone", "tone", "tone", "other"]
    assert labels[7:11].tolist() == ["octave", "octave", "other", "other"]
    assert labels[11:].tolist() == [
        "right",
        "other",
    ]  # a guess called unvoiced counts, none is wrong; silence is left out
    np.testing.assert_array_equal(times_s, 0.01 * np.arange(13))


@pytest.mark.parametrize("start_s", [0.0, 0.02])
def test_pitch_errors_agree_with_the_figures(rng, start_s):
    reference = random_melody(rng, frames=300, hop_s=0.01, start_s=start_s)
    estimate = random_melody(rng, frames=600, hop_s=0.005)
    _, labels = pitch_errors(estimate, reference)
    scores = score_melody(estimate, reference)
    assert len(labels) == reference.voiced.sum() + (start_s > 0)  # the frame at 0 s is as the first
    assert np.mean(labels == "right") == pytest.approx(scores["RPA"])
    assert np.mean(np.isin(labels, ["right", "octave"])) == pytest.approx(scores["RCA"])
    assert set(labels) == {"right", "semitone", "tone", "octave", "other"}


def test_nobodys_arrays_are_changed(truth):
    estimate = guess(truth, voicing=np.linspace(0, 1, FRAMES))
    arrays = [
        getattr(m, name) for m in (truth, estimate) for name in ("times_s", "f0_hz", "voicing")
    ]
    before = [array.copy() for array in arrays]
    score_melody(estimate, truth)
    frame_errors(estimate, truth)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)


# --- hits


def test_onsets_match_once_within_the_window():
    assert onset_f_measure([1, 2, 3], [3.04, 1.04, 2.04]) == 1
    assert onset_f_measure([1, 2], [1.06, 2]) == 0.5
    assert onset_f_measure([1, 2], [1.06, 2], window_s=0.1) == 1
    assert onset_f_measure([1], [0.99, 1.01]) == pytest.approx(2 / 3)
    assert onset_f_measure([1], []) == onset_f_measure([], [1]) == 0
    assert np.isnan(onset_f_measure([], []))


# --- separation


def test_si_sdr_by_hand():
    # twice the reference (energy 4 x 9) and an error at right angles to it (energy 16)
    assert si_sdr([3, 0], [6, 4]) == pytest.approx(10 * np.log10(36 / 16))
    assert si_sdr([3, 0], [6e-9, 4e-9]) == pytest.approx(10 * np.log10(36 / 16))
    assert si_sdr([[3, 0], [0, 0]], [[6, 4], [0, 0]]) == pytest.approx(10 * np.log10(36 / 16))
    assert si_sdr([1, 1], [2, 0]) == pytest.approx(
        0
    )  # with the mean removed there would be nothing left of the target


@pytest.mark.parametrize("ratio", [si_sdr, lambda r, e: bss_eval_sdr(r, e)[0]])
def test_ratios_at_silence_perfection_and_nonsense(ratio, rng):
    signal, silence = rng.standard_normal(1000), np.zeros(1000)
    assert ratio(signal, signal) > 200
    assert ratio(signal, silence) == -np.inf
    assert np.isnan(ratio(silence, signal))
    assert np.isnan(ratio(silence, silence))
    assert ratio([1.0], [1.0]) > 200
    assert ratio(1e-200 * signal, 1e200 * signal) > 200
    with pytest.raises(ValueError, match=r"reference \(1000,\) and estimate \(999,\)"):
        ratio(signal, signal[1:])
    with pytest.raises(ValueError, match="not be empty"):
        ratio([], [])
    with pytest.raises(ValueError, match="NaN"):
        ratio(signal, np.append(signal[1:], np.nan))


def test_transposed_sources_are_refused(rng):
    with pytest.raises(ValueError, match="transpose"):
        bss_eval_sdr(rng.standard_normal((1000, 2)), rng.standard_normal((1000, 2)))


def test_sdr_forgives_any_filter_of_512_taps_and_no_longer_one(rng):
    reference = np.append(
        rng.standard_normal(3000), np.zeros(600)
    )  # room for the filter to ring in
    for delay, forgiven in ((0, True), (511, True), (512, False), (560, False)):
        estimate = np.convolve(reference, np.eye(1, 600, delay)[0])[: len(reference)]
        assert (bss_eval_sdr(reference, estimate)[0] > 100) == forgiven
    taps = rng.standard_normal(512) * 0.99 ** np.arange(512)
    assert bss_eval_sdr(reference, np.convolve(reference, taps)[: len(reference)])[0] > 100


def test_sdr_is_its_definition(rng):
    reference, estimate = rng.standard_normal((2, 900))
    estimate += 0.3 * reference
    delayed = np.stack([np.pad(reference, (lag, 511 - lag)) for lag in range(512)], axis=1)
    padded = np.append(estimate, np.zeros(511))
    target = delayed @ np.linalg.lstsq(delayed, padded, rcond=None)[0]
    expected = 10 * np.log10(np.sum(target**2) / np.sum((padded - target) ** 2))
    assert bss_eval_sdr(reference, estimate)[0] == pytest.approx(expected, abs=1e-6)
    assert bss_eval_sdr(reference, 1e3 * estimate)[0] == pytest.approx(expected, abs=1e-6)
    assert bss_eval_sdr(1e-3 * reference, estimate)[0] == pytest.approx(expected, abs=1e-6)


def test_sdr_of_a_tone_that_fades_is_not_lost_in_rounding():
    n = np.arange(100_000)
    reference, error = np.hanning(len(n)) * np.sin(0.05 * n), np.hanning(len(n)) * np.sin(0.3 * n)
    # no filter turns one tone into the other: all of the error is distortion
    assert bss_eval_sdr(reference, 0.5 * reference + 0.01 * error)[0] == pytest.approx(
        20 * np.log10(50), abs=0.01
    )


def golden_signals():
    """Two sources and five ways to spoil them, without a random generator so that the recipe stands for ever."""
    n = np.arange(6000)
    noise = [2 * ((np.sin(12.9898 * n + seed) * 43758.5453) % 1) - 1 for seed in range(3)]
    smooth = np.convolve(noise[0], 0.9 ** np.arange(60))[:6000]
    tone = np.sin(2 * np.pi * (0.01 + 1e-6 * n) * n) + 0.1 * noise[1]
    references = np.stack([smooth, tone])
    echo = np.zeros(700)
    echo[[0, 300, 650]] = 1, 0.5, 0.3  # the last echo lies beyond 512 taps
    return references, {
        "leak": references + 0.3 * references[::-1],
        "noise": references + 0.02 * noise[2],
        "echo": np.stack([np.convolve(r, echo)[:6000] for r in references]),
        "clipped": np.clip(references, -0.7, 0.7),
        "early": np.stack([np.append(r[5:], np.zeros(5)) for r in references]),
    }


GOLDEN_SDR_DB = {  # mir_eval 0.8.2: separation.bss_eval_sources(references, estimates, compute_permutation=False)[0]
    "leak": [16.4964, 5.2872],
    "noise": [41.8208, 36.0706],
    "echo": [11.5045, 11.8204],
    "clipped": [6.4544, 17.2261],
    "early": [-1.3490, 17.8944],
}


@pytest.mark.parametrize("name", GOLDEN_SDR_DB)
def test_sdr_equals_the_toolbox(name):
    references, estimates = golden_signals()
    np.testing.assert_allclose(
        bss_eval_sdr(references, estimates[name]), GOLDEN_SDR_DB[name], atol=0.001
    )


def test_sdr_of_one_source_does_not_depend_on_the_others():
    references, estimates = golden_signals()
    together = bss_eval_sdr(references, estimates["leak"])
    assert together[1] == pytest.approx(bss_eval_sdr(references[1], estimates["leak"][1])[0])


def test_the_mix_itself_on_the_development_songs(dev_songs):
    # the figure published beside the data, from the toolbox, to one decimal
    table = evaluate_folder(dev_songs, "separation", "mix", separate=the_mix)
    assert not table.failures
    assert table.mean("mix")["lead_sdr_db"] == pytest.approx(-3.0, abs=0.05)


# --- tables


def the_mix(song, method, melody=None):
    return {"melody": song.audio, "accompaniment": song.audio}


@pytest.fixture
def folder(tmp_path, rng):
    """Songs a and b with truth, c whose mix is no audio, d without truth; a is 21 s long and sings in the last only."""
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
    """loop: stems and five classes; song: drums.wav and the three classes of MDB Drums, a cymbal among them; none: no truth."""
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
        "time_s,class,midi,velocity\n0.1,kick,36,100\n0.2,open_hihat,46,50\n0.4,closed_hihat,42,60\n0.6,kick,36,127\n"
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


def test_songs_side_by_side_give_the_same_table(folder):
    tables = [
        evaluate_folder(folder, "melody", ["flat"], extract=constant, n_jobs=n) for n in (1, 2)
    ]
    assert str(tables[0]) == str(tables[1])


def test_wrong_orders_are_refused_in_a_sentence(folder, monkeypatch, tmp_path):
    def check(method):
        raise InputError(f"there is no method {method!r}; choose one of splits")

    api = types.SimpleNamespace(
        METHODS={"known": ""},
        DRUM_METHODS={"beats": ""},
        is_drum_method=lambda method: False,
        separate_drums=None,
        check_separation_method=check,
        extract_melody=lambda song, method: constant(song, method),
        separate=None,
        is_network=lambda method: method == "sf-cnn",
    )
    monkeypatch.setitem(sys.modules, "melodylab.api", api)
    monkeypatch.setattr(melodylab, "api", api, raising=False)
    monkeypatch.setattr(melodylab.weights, "FOLDER", tmp_path)
    assert len(evaluate_folder(folder, "melody", "known").rows) == 2
    for task, methods, words in (
        ("drums", "known", "no method 'known'; choose from beats"),
        ("lyrics", "known", "no task 'lyrics'; choose drums or melody or separation"),
        ("melody", "unknown", "no method 'unknown'; choose from known"),
        ("separation", "known", "no method 'known'; choose one of splits"),
        ("melody", "sf-cnn", "no trained weights for sf-cnn"),
        ("melody", [], "name at least one"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate_folder(folder, task, methods)
    with pytest.raises(InputError, match="is not a folder"):
        evaluate_folder(folder / "absent", "melody", "known")


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
        "song  method     OA   x_db",
        "a, b  one     0.500  -1.00",
        "c     one       nan  -3.00",
        "c     second    nan   -inf",
        "mean  one     0.500  -2.00",
        "mean  second    nan   -inf",
        "d: gone",
    ]
    assert repr(table) == str(table)


def test_a_table_without_rows_is_its_header():
    assert str(Table(("song", "method", "OA"), ())) == "song  method  OA"


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

    monkeypatch.setattr(evaluate.csv, "writer", full_disc)
    with pytest.raises(InputError, match="no space left"):
        table.to_csv(tmp_path / "half" / "table.csv")
    assert list((tmp_path / "half").iterdir()) == []


def test_each_hit_is_told_right_missed_or_false_and_used_once():
    true = DrumOnsets(np.array([0.1, 0.5, 0.5]), ("kick", "kick", "toms"), np.ones(3))
    found = DrumOnsets(np.array([0.12, 0.14, 0.9]), ("kick", "kick", "snare"), np.ones(3))
    times_s, classes, labels = evaluate.hit_errors(found, true)
    told = sorted(zip(times_s.tolist(), classes, labels, strict=True))
    assert told in (
        [
            (0.12, "kick", a),
            (0.14, "kick", b),
            (0.5, "kick", "missed"),
            (0.5, "toms", "missed"),
            (0.9, "snare", "false"),
        ]
        for a, b in (("right", "false"), ("false", "right"))
    )
    nothing = DrumOnsets(np.zeros(0), (), np.zeros(0))
    assert evaluate.hit_errors(nothing, nothing)[1:] == ((), ())

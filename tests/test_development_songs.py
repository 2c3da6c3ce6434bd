"""What the released settings reach on the development songs; constants were chosen on these, so the floors sit a little below."""

import numpy as np
import pytest

from melodylab import evaluate, separate, weights
from melodylab.io import folders
from melodylab.records import Song

FIGURES = {"OA", "RPA", "RCA", "VR", "VFA"}


def test_the_melody_beats_the_anchors(dev_songs):
    """Anchors: Melodia OA 0.530, plain argmax of the published salience RPA 0.462."""
    table = evaluate.evaluate_folder(dev_songs, "melody", ["sfnmf"])
    print(table)
    mean = table.mean("sfnmf")
    assert not table.failures and set(mean) >= FIGURES
    assert mean["RPA"] >= 0.62 and mean["OA"] >= 0.58
    assert mean["RCA"] >= mean["RPA"] and 0 < mean["VFA"] < mean["VR"] < 1


@pytest.mark.parametrize(
    "name", [name for name in weights.names() if "OA" in weights.card(name)["scores"]]
)
def test_a_network_scores_what_its_card_says(dev_songs, name):
    card = weights.card(name)
    table = evaluate.evaluate_folder(dev_songs, "melody", [name])
    print(table)
    told = card["scores"]["best_constant"]  # the decoding that it came with
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert not table.failures and {row["song"] for row in rows} | {"mean"} == set(told)
    for row in rows:
        measured, expected = (
            {figure: scores[figure] for figure in FIGURES} for scores in (row, told[row["song"]])
        )
        assert measured == pytest.approx(expected, abs=0.02), row["song"]
    assert table.mean(name)["OA"] == pytest.approx(told["mean"]["OA"], abs=0.005)


def test_the_lead_is_cleaner_than_the_mix(dev_songs):
    """Anchors: REPET-SIM 2.3 dB; the best possible mask on 128 mel bands 12.2 dB."""
    table = evaluate.evaluate_folder(dev_songs, "separation", ["sfnmf"])
    print(table)
    assert not table.failures
    assert table.mean("sfnmf (true melody)")["lead_sdr_db"] >= 7.0
    assert table.mean("sfnmf")["lead_sdr_db"] >= 2.5
    assert np.isfinite(table.mean("sfnmf")["accompaniment_sdr_db"])


def test_drums_are_found_and_taken_apart(dev_data):
    """Anchors, eight loops of one General MIDI kit: mix -10.8 dB, true hits with one pace a class 9.2 dB, ideal mask 14.5 dB."""
    table = evaluate.evaluate_folder(dev_data / "drumloops", "drums", ["drum-cnn"])
    print(table)
    assert not table.failures
    assert table.mean("drum-cnn (true onsets)")["si_sdr_db"] >= 10.9
    assert table.mean("drum-cnn")["si_sdr_db"] >= 7.3
    assert table.mean("drum-cnn")["F"] >= 0.88


def test_hits_on_real_drums(dev_songs):
    """Anchor: every onset that librosa finds, called all three classes, has a mean F of 0.625."""
    table = evaluate.evaluate_folder(dev_songs, "drums", ["drum-cnn"])
    print(table)
    mean = table.mean("drum-cnn")
    assert not table.failures
    assert np.mean([mean["F_kick"], mean["F_snare"], mean["F_hihat"]]) >= 0.89


REPET_SIM_DB = {  # librosa's recipe on the same excerpts
    "80sRock": 3.92,
    "Britpop": -7.58,
    "Reggae": 10.02,
    "Rock": 5.27,
    "Rockabilly": 4.06,
    "Shadows": -3.61,
    "Zeppelin": 2.54,
}


def test_the_unet_is_better_than_repetition_and_better_still_when_it_is_led(dev_songs):
    table = evaluate.evaluate_folder(dev_songs, "separation", ["unet", "unet+best", "unet-mel"])
    print(table)
    assert not table.failures
    alone = {row[0]: row[2] for row in table.rows if row[1] == "unet"}
    assert sum(alone[name] > REPET_SIM_DB[name] for name in alone) >= 5
    mean = {
        name: table.mean(name)["lead_sdr_db"]
        for name in ("unet", "unet+harmonic-crnn", "unet (true melody)", "unet-mel")
    }
    assert mean["unet"] >= 3.5 and mean["unet+harmonic-crnn"] >= 4.5
    assert mean["unet-mel"] < mean["unet"] < mean["unet+harmonic-crnn"] < mean["unet (true melody)"]


def test_without_a_melody_the_unet_gives_next_to_nothing(dev_songs):
    for folder in folders.song_folders(dev_songs):
        song = evaluate.separation_excerpt(folders.read_song(folder))
        rest = Song(song.audio - song.stems["melody"], song.sr, song.name)
        stems = separate(rest, "unet")
        np.testing.assert_allclose(sum(stems.values()), rest.audio, atol=1e-4)
        level_db = 10 * np.log10(np.mean(stems["melody"] ** 2) / np.mean(rest.audio**2))
        print(f"{song.name:12s} {level_db:6.1f} dB")
        assert level_db <= -15, song.name

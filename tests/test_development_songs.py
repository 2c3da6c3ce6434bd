"""What the released settings reach on the development songs; constants were chosen on these, so the floors sit a little below."""

import numpy as np
import pytest

from melodylab import evaluate, weights

FIGURES = {"OA", "RPA", "RCA", "VR", "VFA"}


def test_the_melody_beats_the_anchors(dev_songs):
    """Anchors: Melodia OA 0.530, plain argmax of the published salience RPA 0.462."""
    table = evaluate.evaluate_folder(dev_songs, "melody", ["sfnmf"])
    print(table)
    mean = table.mean("sfnmf")
    assert not table.failures and FIGURES <= set(mean)
    assert mean["RPA"] >= 0.62 and mean["OA"] >= 0.58
    assert mean["RCA"] >= mean["RPA"] and 0 < mean["VFA"] < mean["VR"] < 1


@pytest.mark.parametrize("name", [name for name in weights.names() if "OA" in weights.card(name)["scores"]])
def test_a_network_scores_what_its_card_says(dev_songs, name):
    card = weights.card(name)
    table = evaluate.evaluate_folder(dev_songs, "melody", [name])
    print(table)
    told = card["scores"]["best_constant"]  # the decoding that it came with
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert not table.failures and {row["song"] for row in rows} | {"mean"} == set(told)
    for row in rows:
        measured, expected = ({figure: scores[figure] for figure in FIGURES} for scores in (row, told[row["song"]]))
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

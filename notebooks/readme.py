#!/usr/bin/env python
"""Write the README's numbers from cards and recorded experiments: `python notebooks/readme.py`.

What stands between `<!-- numbers: NAME -->` and `<!-- end of numbers -->` is replaced.
Networks tell their scores in their cards; what has no card (baselines, comparisons, separations)
stands in `weights.experiments()["development"]`. No number is written by hand.
"""

import re
from pathlib import Path

from melodylab import weights

README = Path(__file__).resolve().parents[1] / "README.md"
FIGURES = ("OA", "RPA", "RCA", "VR", "VFA")
CLASSES = ("kick", "snare", "open_hihat", "closed_hihat", "toms")
FOREIGN = {  # what is no method of ours, or needs a word
    "pyin": "`pyin` on the mix",
    "melodia-essentia": "for comparison: Melodia in Essentia 2.1b6",
    "bosch-gomez": "for comparison: Bosch and Gomez 2016, a classifier trained on MedleyDB",
    weights.BEST: f"`{weights.BEST}` (`best`), our own",
}


def recorded(task, method):
    """{song: row} of what was measured without a card; song "mean" among them."""
    rows = weights.experiments()["development"]
    return {r["song"]: r for r in rows if (r["task"], r["method"]) == (task, method)}


def networks():
    """{name: card's scores} of every network that finds a melody, best OA first."""
    scores = {name: weights.card(name)["scores"] for name in weights.names()}
    scores = {name: told for name, told in scores.items() if "OA" in told}
    return dict(sorted(scores.items(), key=lambda item: -item[1]["OA"]))


def grid(head, rows):
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def number(value, digits):
    """With a fixed count of digits; nothing where nothing was measured, and no -0.0."""
    return "" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def figures(row):
    return [number(row.get(name), 3) for name in FIGURES]


def melody_means():
    rows = []
    for name, told in networks().items():
        area = number(told["as_published"]["mean"]["AUC"], 3)
        rows.append((told["OA"], [FOREIGN.get(name, f"`{name}`"), *figures(told), area]))
    for name in ("sfnmf", "pyin"):
        mean = recorded("melody", name)["mean"]
        rows.append((mean["OA"], [FOREIGN.get(name, f"`{name}`"), *figures(mean), ""]))
    rows = [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    for name in ("melodia-essentia", "bosch-gomez"):
        rows.append([FOREIGN[name], *figures(recorded("melody", name)["mean"]), ""])
    return grid(["method", *FIGURES, "AUC of the voicing"], rows)


def melody_songs(name, songs):
    rows = [[song, *figures(row)] for song, row in songs.items()]
    return grid([f"song, `{name}`", *FIGURES], rows)


def melody_text():
    cards = {name: weights.card(name) for name in networks()}
    one = number(cards["sf-crnn-1"]["scores"]["best_constant"]["mean"]["OA"], 3)
    return (
        "`melodylab evaluate FOLDER --task melody --method sfnmf --method pyin`, means over the "
        "songs. The voicing threshold of\neach song was chosen on the six others; for `sfnmf` that "
        "gives the same threshold seven times, so the command prints the same\nscores, for "
        "networks it does not: with the one threshold that it ships with, chosen on all seven, "
        f"`sf-crnn-1` has an OA of {one}.\n`{weights.BEST}` learned from 660 synthetic songs, "
        "mixed afresh at every step, the others from 97 to 300;\nAUC is how often a sung frame has "
        "more voicing than one without melody."
    )


def each_network():
    tables = [melody_songs(name, told["leave_one_out"]) for name, told in networks().items()]
    return "\n\n".join(tables)


SEPARATIONS = {
    "unet-mel": "`unet-mel`",
    "sfnmf": "`sfnmf`",
    "unet": "`unet`",
    "unet+best": "`unet+best`",
    "sfnmf+best": "`sfnmf+best`",
    "unet (true melody)": "`unet`, true melody",
    "sfnmf (true melody)": "`sfnmf`, true melody",
    "repet-sim": "REPET-SIM",
}


def separation():
    told = {name: recorded("separation", name) for name in SEPARATIONS}
    empty = {name: recorded("without melody", name) for name in ("unet", "unet-mel")}
    rows = [
        [
            song,
            *(number(rows[song]["lead_sdr_db"], 1) for rows in told.values()),
            *(number(rows[song]["removed_db"], 1) for rows in empty.values()),
        ]
        for song in told["unet"]
    ]
    rest = [number(rows["mean"].get("accompaniment_sdr_db"), 1) for rows in told.values()]
    rows.append(["mean of the accompaniment", *rest, "", ""])
    head = ["lead SDR in dB", *SEPARATIONS.values(), "without melody: `unet`", "`unet-mel`"]
    return grid(head, rows)


def separation_text():
    def lead(name):
        return number(recorded("separation", name)["mean"]["lead_sdr_db"], 1)

    unet, mel = weights.card("unet"), weights.card("unet-mel")
    songs = unet["recipe"]["data"]["songs"]
    return (
        f"The ideal ratio mask on a spectrum reaches {lead('ideal mask')} dB, on 128 mel bands "
        f"{lead('ideal mel mask')} dB, the mix itself {lead('mix')} dB. `unet` grew from "
        f"`{unet['started_from'] if isinstance(unet['started_from'], str) else weights.BEST}`\n"
        f"on {songs} synthetic songs. `unet-mel` is the report's network at an eighth of its width "
        f"({mel['parameters']:,} of 31,044,080 numbers), trained as\nit says, with one stabiliser: "
        "without clipping the gradient its last ReLU died, and the mask with it."
    )


def loops():
    def cell(row, name):
        share, ratio = ("F", "si_sdr_db") if name == "mean" else (f"F_{name}", f"{name}_si_sdr_db")
        told = [number(row.get(share), 2), number(row.get(ratio), 1)]
        return "; ".join(filter(None, told))

    columns = (*CLASSES, "mean")
    rows = [
        [song, *(cell(row, name) for name in columns)]
        for song, row in recorded("loops", "drum-cnn").items()
    ]
    led = recorded("loops", "drum-cnn (true onsets)")["mean"]
    rows.append(["mean, true onsets", *(cell(led, name) for name in columns)])
    names = ["kick", "snare", "open hi-hat", "closed hi-hat", "toms", "mean"]
    return grid(["F of the onsets (50 ms); SI-SDR in dB", *names], rows)


def loops_text():
    def ratio(name):
        return number(recorded("loops", name)["mean"]["si_sdr_db"], 1)

    return (
        f"For comparison: the mix itself {ratio('mix')} dB, an ideal ratio mask "
        f"{ratio('ideal mask')} dB; a single decay per class with the true onsets "
        f"{ratio('one decay a class (true onsets)')} dB."
    )


def real_drums():
    columns = ("F_kick", "F_snare", "F_hihat", "F")
    rows = [
        [song, *(number(row.get(name), 2) for name in columns)]
        for song, row in recorded("real drums", "drum-cnn").items()
    ]
    every = number(recorded("real drums", "every onset")["mean"]["F"], 2)
    note = f"Every onset that librosa finds called all three classes gives {every}."
    return grid(["F, real drums", "kick", "snare", "hi-hat", "mean"], rows) + "\n\n" + note


def drums_text():
    loop, real = (recorded(task, "drum-cnn")["mean"] for task in ("loops", "real drums"))
    led = recorded("loops", "drum-cnn (true onsets)")["mean"]["si_sdr_db"]
    mix = recorded("loops", "mix")["mean"]["si_sdr_db"]
    F = {name: number(value, 2) for name, value in loop.items() if name.startswith("F")}
    R = {name: number(value, 2) for name, value in real.items() if name.startswith("F")}
    return (
        f"On eight development loops of one General MIDI kit it reaches an onset F of {F['F']} "
        f"(kick {F['F_kick']}, snare {F['F_snare']}, open hi-hat {F['F_open_hihat']}, "
        f"closed {F['F_closed_hihat']},\ntoms {F['F_toms']}) and a mean SI-SDR of "
        f"{number(loop['si_sdr_db'], 1)} dB; led by the true hits {number(led, 1)} dB, the mix "
        f"itself has {number(mix, 1)} dB. On the drum tracks of the seven\nsongs F is {R['F']} "
        f"(kick {R['F_kick']}, snare {R['F_snare']}, hi-hat {R['F_hihat']}). It learned from "
        "synthetic loops alone, which also chose its threshold."
    )


PARTS = {
    "drums in short": drums_text,
    "melody in short": melody_text,
    "melody": melody_means,
    "sfnmf": lambda: melody_songs("sfnmf", recorded("melody", "sfnmf")),
    "every network": each_network,
    "separation": separation,
    "separation in short": separation_text,
    "loops": loops,
    "loops in short": loops_text,
    "real drums": real_drums,
}
MARKED = re.compile(r"(<!-- numbers: (.+?) -->\n).*?(\n<!-- end of numbers -->)", re.DOTALL)


def written(text):
    """The README's text with every number as it is told now. KeyError for a part nobody knows."""
    return MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")

#!/usr/bin/env python
"""Draw notebooks/tour.png, the picture in the README: `python notebooks/picture.py`."""

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

import melodylab as ml
from melodylab import plot
from melodylab.dsp import features


def draw():
    """Figure: the demo song's spectrum, the salience with the melody found and the true one, and
    the stems.
    """
    song = ml.demo_song(seed=0, seconds=12)
    salience = ml.salience(song)
    melody = ml.extract_melody(song)
    stems = ml.separate(song, melody=melody)
    figure, (top, middle, bottom) = plt.subplots(
        3,
        figsize=(9, 9),
        sharex=True,
        layout="constrained",
        gridspec_kw={"height_ratios": [3, 4, 2.6]},
    )
    spectrum = features.power_spectrogram(song, win_samples=2048, hop_samples=256)
    plot.spectrogram(spectrum, ax=top, fmax_hz=2400, db_range=45, colorbar=False)
    plot.salience_map(salience, melody=melody, reference=song.melody, ax=middle, colorbar=False)
    plot.waveforms({"song": song.audio, **stems}, song.sr, ax=bottom)
    top.set_title("A song", loc="left")
    middle.set_title("Which pitch could be the melody? Found (thin) and true (dashed)", loc="left")
    bottom.set_title("Taken apart", loc="left")
    for ax in (top, middle):
        ax.set_xlabel("")
    return figure


if __name__ == "__main__":
    drawn = io.BytesIO()
    draw().savefig(drawn, dpi=100)
    few_colours = Image.open(drawn).convert("RGB").quantize(96)  # a third of the size
    few_colours.save(Path(__file__).with_name("tour.png"), optimize=True)

"""Correct uses of the public face, for pyright alone: nothing here runs."""

from pathlib import Path

import numpy as np

import melodylab as ml


def uses() -> None:
    """What a reader of the README would write."""
    song: ml.Song = ml.demo_song(0, 3)
    melody: ml.Melody = ml.extract_melody(song, "sfnmf", seed=1, threshold=0.6)
    melody = ml.extract_melody(Path("a.wav"), method=Path("my-network"))
    stems: dict[str, np.ndarray] = ml.separate("a.wav", melody="a.csv", gated=False)
    salience: ml.Salience = ml.salience(song)
    ml.extract_melody(song, heard=salience)
    kit: ml.DrumParts = ml.separate_drums(song, threshold={"kick": 0.5}, onsets=song.onsets)
    scores: dict[str, float] = ml.score_melody(estimate=melody, reference="truth.csv")
    melody.to_csv("out.csv", voicing=True, header={"method": "sfnmf"})
    own = ml.Song.from_array(np.zeros((2, 44100)), 44100)
    print(stems, kit.onsets, scores, own.duration_s, ml.load_model("sf-crnn-1"), ml.METHODS)
    print(ml.features.cqt(song).values, ml.synth.drum_loop(seed=3).name, ml.grids, ml.plot)

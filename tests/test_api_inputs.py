"""What is taken where nothing is asked for, and how songs and melodies may be given."""

from pathlib import Path

import numpy as np
import pytest

import melodylab as ml
from melodylab import api, sfnmf
from melodylab.io import audio
from melodylab.models import inputs

SR = 22050
FAST = sfnmf.Settings(iterations=4, n_accompaniment=5)


@pytest.fixture(scope="module")
def two(request):
    """Two seconds of the demo song."""
    return request.getfixturevalue("demo").excerpt(2.5, 4.5)


@pytest.fixture(scope="module")
def loop():
    """Two and a half seconds of drums."""
    return ml.synth.drum_loop(seed=3, seconds=2.5)


def test_the_defaults_are_the_best_of_ours(two):
    best = ml.extract_melody(two, "best")
    assert np.array_equal(ml.extract_melody(two).f0_hz, best.f0_hz, equal_nan=True)
    assert np.array_equal(ml.salience(two).values, ml.salience(two, "best").values)
    led = ml.separate(two, "sfnmf", melody=best, settings=FAST)
    assert np.array_equal(ml.separate(two, settings=FAST)["melody"], led["melody"])
    assert np.array_equal(ml.separate(two, "best", settings=FAST)["melody"], led["melody"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_as_good_as_a_song(two, loop, tmp_path, kind):
    for song, name in ((two, "two.wav"), (loop, "loop.wav")):
        audio.write(tmp_path / name, song.audio, song.sr)
    two.melody.to_csv(tmp_path / "two.csv")
    path, beat, line = (kind(tmp_path / name) for name in ("two.wav", "loop.wav", "two.csv"))
    found = ml.extract_melody(path)
    assert np.array_equal(found.f0_hz, ml.extract_melody(two).f0_hz, equal_nan=True)
    assert np.array_equal(ml.salience(path).values, ml.salience(two).values)
    told = ml.separate(path, "sfnmf", melody=line, settings=FAST)
    given = ml.separate(two, "sfnmf", melody=ml.Melody.from_csv(line), settings=FAST)
    assert np.array_equal(told["melody"], given["melody"]) and told["melody"].any()
    hits = api.transcribe_drums(beat)
    assert len(hits.times_s) and hits.classes == ml.separate_drums(beat).onsets.classes


@pytest.mark.slow
def test_what_listens_to_a_song_takes_its_path(two, loop, tmp_path):
    audio.write(tmp_path / "two.wav", two.audio, two.sr)
    path, melody = str(tmp_path / "two.wav"), two.melody
    ears = [
        ml.features.cqt,
        ml.features.mel,
        ml.features.stereo_mel,
        ml.features.log_magnitudes,
        inputs.FRONT_ENDS[ml.load_model("ftanet-thin").card["front_end"]],
    ]
    for ear in ears:
        assert np.array_equal(ear(path).values, ear(two).values)
    told = [ml.separation.lead_by_sfnmf(one, melody, FAST) for one in (path, two)]
    assert np.array_equal(*told)
    audio.write(tmp_path / "loop.wav", loop.audio, loop.sr)
    kit = ml.separate_drums(loop)
    shots = [ml.drums.best_hit(one, kit, "snare") for one in (str(tmp_path / "loop.wav"), loop)]
    assert np.array_equal(shots[0].audio, shots[1].audio)


def test_what_is_neither_song_nor_path_is_refused_in_a_sentence(two):
    for call in (ml.extract_melody, ml.salience, ml.separate, ml.separate_drums):
        with pytest.raises(ml.InputError, match="a ndarray was given; give a path"):
            call(np.zeros(SR))
    with pytest.raises(ml.InputError, match="a tuple was given; give a Melody"):
        ml.separate(two, melody=(1, 2))


def test_settings_of_another_method_are_refused(two):
    for call in (ml.extract_melody, ml.salience):
        with pytest.raises(ml.InputError, match="settings belong to sfnmf and not to harmonic"):
            call(two, settings=FAST)
    with pytest.raises(ml.InputError, match="settings belong to sfnmf and not to unet"):
        ml.separate(two, "unet", settings=FAST)


def test_a_threshold_says_from_where_on_a_frame_counts_as_sung(two):
    plain = ml.extract_melody(two)
    for threshold in (0.0, 0.2, 0.5, 0.9, 1.0):
        melody = ml.extract_melody(two, threshold=threshold)
        heard = np.isfinite(plain.f0_hz)
        assert np.array_equal(melody.voiced[heard], plain.voicing[heard] >= threshold)
        assert np.all(np.diff(melody.voicing[np.argsort(plain.voicing)]) >= -1e-12)
    with pytest.raises(ml.InputError, match="threshold is 1.5; give a number from 0 to 1"):
        ml.extract_melody(two, threshold=1.5)

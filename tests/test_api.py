"""The front door: every method by name, songs from files, sentences for what does not exist."""

import json
from pathlib import Path

import librosa
import numpy as np
import pytest

import melodylab as ml
from melodylab import api, models, sfnmf, weights
from melodylab.dsp import grids, stft
from melodylab.errors import InputError
from melodylab.io import audio
from melodylab.melody import ranges
from melodylab.models import inputs, run
from melodylab.records import Melody, Song

SR = 22050
FAST = sfnmf.Settings(iterations=4, n_accompaniment=5)


def tone(f0_hz, seconds, sr=SR):
    t_s = np.arange(round(seconds * sr)) / sr
    return 0.2 * sum(np.sin(2 * np.pi * h * f0_hz * t_s) / h for h in range(1, 8))


@pytest.fixture(scope="module")
def two(request):
    """Two seconds of the demo song."""
    return request.getfixturevalue("demo").excerpt(2.5, 4.5)


@pytest.mark.parametrize("method", api.METHODS)
def test_every_method_gives_every_frame_with_a_guess(method, two):
    options = {"settings": FAST} if method == "sfnmf" else {}
    melody = ml.extract_melody(two, method=method, **options)
    assert isinstance(melody, Melody)
    hop_s = melody.times_s[1]
    assert hop_s in (80 / 8000, 160 / 16000, 256 / SR, 512 / SR), "10, 11.6 or 23.2 ms"
    np.testing.assert_allclose(
        melody.times_s, hop_s * np.arange(1 + int(two.duration_s / hop_s + 1e-9)), rtol=1e-12
    )
    assert np.isfinite(melody.f0_hz).mean() > 0.99 and melody.voiced.mean() > 0
    assert api.METHODS[method].strip(), "a method says in a line what it is"


@pytest.mark.slow
@pytest.mark.parametrize("method", api.METHODS)
def test_silence_has_no_melody(method):
    melody = ml.extract_melody(Song.from_array(np.zeros(SR // 2), SR), method=method)
    assert not melody.voicing.any() and np.isnan(melody.f0_hz).all()


@pytest.mark.parametrize("call", [ml.extract_melody, ml.separate, ml.salience])
def test_an_unknown_method_is_named_and_others_are_offered(call, two):
    with pytest.raises(ml.InputError, match=r"'sfnmff'.*sfnmf\b"):
        call(two, method="sfnmff")


def test_a_method_that_cannot_separate_is_refused_even_with_a_melody(two):
    with pytest.raises(ml.InputError, match="pyin takes no song apart.*sfnmf"):
        ml.separate(two, method="pyin", melody=two.melody)


def test_a_method_without_salience_says_so(two):
    with pytest.raises(ml.InputError, match="pyin"):
        ml.salience(two, method="pyin")


@pytest.mark.slow
def test_pyin_follows_a_lone_tone():
    y = np.concatenate([np.zeros(SR // 2), tone(220, 1.0), np.zeros(SR // 2)])
    melody = ml.extract_melody(Song.from_array(y, SR), method="pyin")
    inside = (melody.times_s > 0.6) & (melody.times_s < 1.4)
    assert np.abs(grids.offset_cents(melody.f0_hz[inside], 220)).max() < 15
    assert melody.voiced[inside].all()
    assert not melody.voiced[(melody.times_s < 0.4) | (melody.times_s > 1.6)].any()


@pytest.mark.slow
def test_pyin_is_voiced_where_librosas_path_says_so(two):
    options = {"fmin": 55.0, "fmax": 1760.0, "sr": SR, "frame_length": 2048, "hop_length": 256}
    _, voiced, probability = librosa.pyin(two.mono, **options)
    assert np.mean(voiced != (probability >= 0.5)) > 0.05, "a threshold alone would not do"
    assert np.array_equal(
        ml.extract_melody(two, method="pyin").voiced, voiced[: stft.n_frames(len(two.mono), 256)]
    )


@pytest.mark.parametrize("samples", [1, 300, 3000])
def test_pyin_takes_the_shortest_songs(samples):
    melody = ml.extract_melody(Song.from_array(tone(220, 1)[:samples], SR), method="pyin")
    assert len(melody) == stft.n_frames(samples, 256)


def test_the_melody_is_viterbi_on_the_salience(two):
    melody = ml.extract_melody(two, "sfnmf", settings=FAST, seed=3)
    again = ml.decode.viterbi(ml.salience(two, "sfnmf", settings=FAST, seed=3))
    assert np.array_equal(melody.f0_hz, again.f0_hz, equal_nan=True) and np.array_equal(
        melody.voicing, again.voicing
    )


def test_a_seed_reaches_the_method(two):
    voicings = [
        ml.extract_melody(two, "sfnmf", settings=FAST, seed=seed).voicing for seed in (0, 0, 1)
    ]
    assert np.array_equal(voicings[0], voicings[1]) and not np.array_equal(voicings[0], voicings[2])


@pytest.mark.slow
def test_separate_follows_the_given_melody_or_finds_its_own(two):
    own = ml.separate(two, "sfnmf", settings=FAST)
    told = ml.separate(two, melody=two.melody, settings=FAST)
    for stems in (own, told):
        assert list(stems) == ["melody", "accompaniment"]
        np.testing.assert_allclose(stems["melody"] + stems["accompaniment"], two.audio, atol=1e-6)
    truth = two.stems["melody"]
    assert (
        ml.evaluate.si_sdr(reference=truth, estimate=told["melody"])
        > ml.evaluate.si_sdr(reference=truth, estimate=two.audio) + 5
    )


def test_separate_does_not_look_for_another_melody_than_the_given(two):
    nothing = Melody(two.melody.times_s, two.melody.f0_hz, np.zeros(len(two.melody)))
    assert not ml.separate(two, melody=nothing, settings=FAST)["melody"].any()


@pytest.mark.slow
def test_separate_keeps_rate_and_channels(rng):
    song = Song.from_array(
        np.stack([tone(330, 0.5, 44100), 0.1 * rng.standard_normal(22050)]), 44100
    )
    stems = ml.separate(song, "sfnmf", settings=FAST)
    assert {(stem.shape, stem.dtype) for stem in stems.values()} == {
        ((2, 22050), np.dtype("float32"))
    }


# --- networks -------------------------------------------------------------------------------------


def decode_by(folder, name, **decoding):
    """Write options of decoding into a card."""
    path = Path(folder) / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoding": decoding}))
    api._trained.cache_clear()


MELODY_NETWORKS = [
    name for name, declared in models.NETWORKS.items() if declared.file not in ("unet", "drum_cnn")
]


@pytest.mark.slow
def test_a_network_becomes_a_method_with_its_weights(random_weights):
    assert set(ml.METHODS) == {"best", "sfnmf", "pyin", *MELODY_NETWORKS}
    assert all(ml.METHODS.values())
    for ending in (".safetensors", ".json"):
        (random_weights / f"sf-cnn{ending}").unlink()
    assert set(ml.METHODS) == {"best", "sfnmf", "pyin", *MELODY_NETWORKS} - {"sf-cnn"}


@pytest.mark.parametrize("name", ["unet", "unet-mel"])
def test_a_network_that_separates_is_asked_for_no_melody(name, two, random_weights):
    with pytest.raises(
        InputError, match=f"{name} finds no melody, it separates; choose one of best"
    ):
        ml.extract_melody(two, method=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MELODY_NETWORKS)
def test_a_network_goes_from_its_front_end_to_its_salience_and_each_frame_decides_alone(
    name, two, random_weights, monkeypatch
):
    monkeypatch.setattr(
        ranges, "within", lambda melody, song, range_hz: melody
    )  # noise has no pitch
    melody, salience = ml.extract_melody(two, method=name), ml.salience(two, method=name)
    model = ml.load_model(name)
    end = inputs.FRONT_ENDS[models.NETWORKS[name].front_end]
    y = run.logits(model, end(two))
    assert salience.made_by == name and salience.values.shape == (model.grid.n_bins, len(melody))
    n_frames = stft.n_frames(two.audio.shape[1] * end.sr // SR, end.hop_samples)
    assert np.array_equal(melody.times_s, grids.frame_times_s(n_frames, end.hop_samples, end.sr))
    if models.NETWORKS[name].file not in ("crnn", "deep_salience"):
        return  # first numbers give these no opinion
    if model.has_unvoiced_class:  # as published
        assert np.array_equal(melody.voiced, y.argmax(axis=0) != 0)
    else:
        assert np.array_equal(melody.voiced, (1 / (1 + np.exp(-y))).max(axis=0) >= 0.3)
    best_hz = model.grid.bin_hz(y[-model.grid.n_bins :].argmax(axis=0))
    known = np.isfinite(melody.f0_hz)
    assert known.mean() > 0.9
    finer_than_notes = model.grid.bins_per_octave > 12  # then decoding reads between bins
    assert np.abs(grids.offset_cents(melody.f0_hz, best_hz))[known].max() <= (
        40 if finer_than_notes else 1e-6
    )


@pytest.mark.slow
def test_the_card_says_how_to_decode_and_the_caller_has_the_last_word(two, random_weights):
    for gain, share in ((0.0, 1), (1e8, 0)):
        decode_by(random_weights, "cqt-crnn-2", unvoiced_gain=gain)
        assert ml.extract_melody(two, method="cqt-crnn-2").voiced.mean() == share
    for threshold, share in ((0.0, 1), (1.0, 0)):
        melody = ml.extract_melody(two, method="cqt-crnn-2", threshold=threshold)
        assert melody.voiced.mean() == share
    decode_by(random_weights, "deep-salience", threshold=1.0)
    assert not ml.extract_melody(two, method="deep-salience").voiced.any()


@pytest.mark.slow
def test_a_seed_reaches_the_front_end(two, random_weights):
    values = [ml.salience(two, method="sf-crnn-1", seed=seed).values for seed in (0, 0, 1)]
    assert np.array_equal(values[0], values[1]) and not np.array_equal(values[0], values[2])


def test_weights_are_read_once(two, random_weights, monkeypatch):
    read, load = [], weights.load_model
    monkeypatch.setattr(weights, "load_model", lambda name: read.append(name) or load(name))
    for _ in range(2):
        ml.extract_melody(two, method="cqt-crnn-1")
    assert read == ["cqt-crnn-1"]


@pytest.mark.slow
@pytest.mark.parametrize("front_end", ["sf", "cqt", "hcqt"])
@pytest.mark.parametrize("samples", [1, 300, 3000])
def test_networks_take_the_shortest_songs_and_silence(front_end, samples, random_weights):
    name = {"sf": "sf-crnn-1", "cqt": "cqt-crnn-1", "hcqt": "deep-salience"}[front_end]
    melody = ml.extract_melody(Song.from_array(tone(220, 1)[:samples], SR), method=name)
    assert len(melody) == stft.n_frames(samples, 256)
    silent = ml.extract_melody(Song.from_array(np.zeros(samples), SR), method=name)
    assert len(silent) == len(melody) and not silent.voicing.any() and np.isnan(silent.f0_hz).all()


@pytest.mark.parametrize("call", [ml.extract_melody, ml.salience])
def test_a_network_without_weights_is_refused_in_a_sentence(call, two, random_weights):
    for ending in (".safetensors", ".json"):
        (random_weights / f"sf-cnn{ending}").unlink()
    with pytest.raises(
        ml.InputError, match="no trained weights for sf-cnn; train it with `melodylab train`"
    ):
        call(two, method="sf-cnn")


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["/mine", "/mine/mine.safetensors", "/mine/mine.json"])
def test_weights_of_ones_own_are_a_method_by_their_path(two, random_weights, tmp_path, ending):
    folder = tmp_path / "mine"
    ml.weights.save(
        ml.load_model("sf-crnn-1"),
        {**ml.weights.card("sf-crnn-1"), "decoding": {"unvoiced_gain": 1e6}},
        folder,
        "mine",
    )
    own, shipped = (
        ml.extract_melody(two, method=f"{tmp_path}{ending}"),
        ml.extract_melody(two, method="sf-crnn-1"),
    )
    assert np.array_equal(own.f0_hz, shipped.f0_hz, equal_nan=True)
    assert not own.voiced.any()  # the card's own decoding


def test_a_path_without_weights_is_refused_in_a_sentence(two, tmp_path):
    with pytest.raises(ml.InputError, match="nothing.safetensors"):
        ml.extract_melody(two, method=str(tmp_path / "nothing.safetensors"))


@pytest.mark.parametrize("call", [ml.extract_melody, ml.salience])
def test_a_network_for_something_else_finds_no_melody(call, two, random_weights):
    with pytest.raises(
        ml.InputError, match="drum-cnn finds no melody, it finds drum hits; choose one of"
    ):
        call(two, method="drum-cnn")


# --- drums ----------------------------------------------------------------------------------------

STEMS = ["kick", "snare", "open_hihat", "closed_hihat", "toms"]


@pytest.fixture(scope="module")
def loop():
    return ml.synth.drum_loop(seed=3, seconds=2.5)


def test_drums_are_taken_apart_and_add_up(loop):
    kit = ml.separate_drums(loop)
    assert isinstance(kit, ml.DrumParts) and list(kit.stems) == STEMS
    assert np.abs(sum(kit.stems[name].astype(float) for name in STEMS) - loop.audio).max() < 1e-6
    assert len(kit.onsets.times_s) > 3 and kit.activations.shape[1] == len(kit.times_s)
    assert ml.separate_drums(loop, threshold=0.999).onsets.classes == ()


def test_edited_hits_lead_without_the_network(loop, monkeypatch):
    monkeypatch.setattr(api, "_trained", None)
    quick = ml.drums.Settings(iterations=20)
    kit = ml.separate_drums(loop, onsets=loop.onsets, settings=quick)
    assert kit.onsets.times_s.tolist() == loop.onsets.times_s.tolist()


def test_silence_has_no_hits():
    kit = ml.separate_drums(Song.from_array(np.zeros(SR, np.float32), SR))
    assert not len(kit.onsets.times_s) and not any(kit.stems[name].any() for name in STEMS)


def test_a_hit_at_one_second_is_found_at_one_second():
    y, kick = (
        np.zeros(2 * 44100, np.float32),
        next(s for s in ml.synth.kit_shots(3) if s.kind == "kick"),
    )
    y[44100 : 44100 + len(kick.audio)] = kick.audio[: len(y) - 44100]
    found = ml.separate_drums(Song.from_array(y, 44100)).onsets
    assert "kick" in found.classes and np.min(np.abs(found.of_class("kick") - 1.0)) < 0.015


@pytest.mark.parametrize(
    "method, words",
    [
        ("sf-crnn-1", "finds no drum hits, it finds the melody; choose one of best, drum-cnn"),
        ("sfnmf", "sfnmf finds no drum hits, it .*; choose one of best, drum-cnn"),
        ("drumcnn", "no method 'drumcnn'; did you mean drum-cnn"),
    ],
)
def test_a_method_that_knows_no_drums_is_refused(loop, method, words):
    with pytest.raises(ml.InputError, match=words):
        ml.separate_drums(loop, method=method)


# --- separation -----------------------------------------------------------------------------------


def test_a_network_separates_nothing_yet(two, random_weights):
    with pytest.raises(
        ml.InputError, match="sf-crnn-1 takes no song apart, .*; choose one of best, sfnmf"
    ):
        ml.separate(two, method="sf-crnn-1")


# --- loading --------------------------------------------------------------------------------------


def test_a_file_is_loaded_as_it_is(tmp_path):
    y = np.stack([tone(330, 0.2, 48000), 0.5 * tone(330, 0.2, 48000)]).astype(np.float32)
    audio.write(tmp_path / "two channels.wav", y, 48000)
    song = ml.load_song(tmp_path / "two channels.wav")
    assert song.sr == 48000 and song.name == "two channels" and np.array_equal(song.audio, y)


def test_librosas_example_is_loaded_from_a_folder_without_a_network(dev_data, monkeypatch):
    monkeypatch.setenv("LIBROSA_DATA_DIR", str(dev_data / "librosa"))
    song = ml.load_song("librosa:fishin").excerpt(20, 23)
    assert song.channels in (1, 2) and song.sr == 44100 and song.duration_s == pytest.approx(3)
    melody = ml.extract_melody(song, "sfnmf", settings=FAST)
    assert 0.1 < melody.voiced.mean() <= 1


def test_an_example_that_does_not_exist_is_an_input_error():
    with pytest.raises(ml.InputError, match="nosuchsong.*LIBROSA_DATA_DIR"):
        ml.load_song("librosa:nosuchsong")


def test_an_example_that_is_not_here_and_cannot_be_fetched_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setenv("LIBROSA_DATA_DIR", str(tmp_path))
    with pytest.raises(ml.InputError, match="brahms"):
        ml.load_song("librosa:brahms")

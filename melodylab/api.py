"""What `import melodylab as ml` shows: from a file to a melody and to stems, one function each."""

import functools
from pathlib import Path

import librosa

from melodylab import drums, models, separation, sfnmf, synth, weights
from melodylab.errors import InputError
from melodylab.io import audio
from melodylab.melody import decode, pyin
from melodylab.methods import DRUM_METHODS, METHODS, SEPARATION_METHODS, TRAINED_SEPARATORS
from melodylab.models import inputs, run
from melodylab.records import Song

demo_song = synth.demo_song
DRUM_CLASSES = synth.DRUM_CLASSES


def load_song(path):
    """A `Song` from an audio file of any rate and channel count, as it is (nothing resampled, mixed or scaled).

    "librosa:NAME" takes one of librosa's example recordings, such as librosa:fishin (fetched once, CC BY; the folder in
    the variable LIBROSA_DATA_DIR serves without a network). Raises InputError: see `audio.read`.
    """
    if str(path).startswith("librosa:"):
        path = _librosa_example(str(path).removeprefix("librosa:"))
    samples, sr = audio.read(path)
    return Song(samples, sr, name=Path(path).stem)


def _librosa_example(name):
    try:
        return librosa.ex(name, hq=True)
    except Exception as error:  # librosa and pooch raise many kinds: an unknown name, no network, no place to store
        raise InputError(
            f"librosa's example {name!r} cannot be had ({type(error).__name__}); check the name at librosa.util.list_examples() "
            "and the network, or name a folder that holds it in LIBROSA_DATA_DIR"
        ) from None


def salience(song, method="sfnmf", **options):
    """The pitch salience that a method computes before it decides. Salience. Methods: those of METHODS but pyin.

    Options go to the method: to `sfnmf.salience`, or `seed` to a network's front end and the rest to `models.run.salience`.
    """
    if method == "sfnmf":
        return sfnmf.salience(song, **options)
    if is_network(method):
        return _salience_by_network(song, method, **options)
    raise InputError(
        f"the method {method!r} has no salience; use {' or '.join(name for name in METHODS if name != 'pyin')}"
    )


def extract_melody(song, method="sfnmf", **options):
    """The melody of a song. Melody with a pitch guess in every frame that is not silent, voicing 0..1 (>= 0.5: voiced).

    method: a name in METHODS ("best" is an alias), or the path of weights that you trained; a network without weights is
    refused. Silence gives an all-unvoiced melody. Options go to the method (`seed`, `settings`...).
    """
    if is_network(
        method
    ):  # as published, each frame decides alone; decode.viterbi takes the same salience
        return decode.peak(salience(song, method, **options))
    _check(method, METHODS)
    return _MELODY[method](song, **options)


def is_network(method):
    """Is this a network's name or the path of weights (a file, or a folder with one pair), rather than another method?"""
    method = weights.resolved(method)
    return method not in _MELODY and (
        method in models.NETWORKS or len(Path(method).parts) > 1 or Path(method).exists()
    )


def separate(song, method="sfnmf", *, melody=None, **options):
    """The song as {"melody", "accompaniment"}: float32 (channels, samples) at the song's rate, their sum is the song.

    method: a name in SEPARATION_METHODS, or "unet+best": one of them led by the melody that another method finds. melody: what to
    follow; without one, sfnmf follows the melody that it extracts itself, and unet finds its own way. unet-mel cannot be led.
    Frames without melody and all that lies above the method's band go to the accompaniment. Silence gives silent stems.
    Options: `separation.lead_by_sfnmf`; for the networks gated=False, to hear what comes out where there is no melody.
    """
    own, leader = check_separation_method(method)
    if melody is None and leader:
        melody = extract_melody(song, leader)
    if own in TRAINED_SEPARATORS:
        lead = _lead_by_network(song, own, melody, **options)
    else:
        lead = separation.lead_by_sfnmf(
            song, extract_melody(song, own) if melody is None else melody, **options
        )
    return {"melody": lead, "accompaniment": separation.rest(song, lead)}


def separate_drums(song, method="drum-cnn", *, onsets=None, threshold=None, **options):
    """Drums taken apart: `DrumParts` with stems "kick", "snare", "open_hihat", "closed_hihat", "toms" that sum to the song.

    method: "drum-cnn", or the path of weights that you trained; it finds the hits unless `onsets` gives them, such as those of an
    earlier result, edited. threshold: how sure it must be of one, 0..1, or a dict by class; None takes what its card says.
    Silence, and a song without a hit: no onsets, all of the song in "toms". Options: those of `drums.Settings`, or `velocities` as
    in `drums.separate`.
    """
    if onsets is None:
        onsets = transcribe_drums(song, method, threshold=threshold)
    return drums.separate(song, onsets, **options)


def transcribe_drums(song, method="drum-cnn", *, threshold=None):
    """The hits that a drum network finds, `DrumOnsets` with velocities 1: measured when the song is taken apart."""
    if not is_drum_method(method):
        raise InputError(
            f"{method!r} finds no drum hits; choose one of {', '.join(DRUM_METHODS)} or weights of your own"
        )
    model = _trained(method) if method in models.NETWORKS else weights.load_model(method)
    known = model.card["decoding"].get("threshold", drums.THRESHOLD)
    return drums.transcribe(song, model, threshold=known if threshold is None else threshold)


def is_drum_method(method):
    """Is this a name in DRUM_METHODS, or the path of weights of a network that learned hits?"""
    return method in DRUM_METHODS or (
        is_network(method) and weights.card(method)["model"] in DRUM_METHODS
    )


def check_separation_method(method):
    """("unet", "best") from "unet+best", ("unet", "") from "unet". Raises InputError for what does not exist or cannot be led."""
    own, _, leader = method.partition("+")
    _check(own, SEPARATION_METHODS)
    if leader:
        if own in separation.UNLED:
            raise InputError(f"{own} cannot be led by a melody; take {own} alone or unet+{leader}")
        if not is_network(leader):
            _check(leader, METHODS)
    return own, weights.resolved(leader)


def _check(method, known):
    if method not in known:
        raise InputError(f"there is no method {method!r}; choose one of {', '.join(known)}")


def _melody_by_sfnmf(song, *, seed=0, **options):
    return decode.viterbi(sfnmf.salience(song, seed=seed, **options))


@functools.lru_cache(maxsize=3)
def _trained(name):
    return weights.load_model(name)


def _salience_by_network(song, name, *, seed=0, **options):
    name = weights.resolved(name)
    model = _trained(name) if name in models.NETWORKS else weights.load_model(name)
    if getattr(model, "learns", "melody") != "melody":
        finds = {"mask": "it separates", "hits": "it finds drum hits"}[model.learns]
        raise InputError(
            f"{model.name} finds no melody, {finds}; choose one of {', '.join(METHODS)}"
        )
    features = inputs.FRONT_ENDS[model.card["front_end"]](song, seed=seed)
    return run.salience(model, features, **model.card["decoding"] | options)


def _lead_by_network(song, name, melody, *, gated=True):
    model = _trained(name)
    features = inputs.FRONT_ENDS[model.card["front_end"]](song)
    mask, gate = run.mask(model, features, melody)
    return separation.lead_by_mask(song, mask, gate if gated else None)


_MELODY = {"sfnmf": _melody_by_sfnmf, "pyin": pyin.extract}

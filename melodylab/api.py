"""What `import melodylab as ml` shows: from a file to a melody and to stems, one function each."""

import functools
from pathlib import Path

import librosa

from melodylab import drums, methods, separation, sfnmf, synth, weights
from melodylab.errors import InputError
from melodylab.io import audio
from melodylab.melody import decode, pyin
from melodylab.methods import METHODS
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
    found = methods.find(method, "melody")
    if found.by == "sfnmf":
        return sfnmf.salience(song, **options)
    if found.by == "network":
        return _salience_by_network(song, found, **options)
    raise InputError(
        f"the method {method!r} has no salience; use {' or '.join(name for name in METHODS if name != 'pyin')}"
    )


def extract_melody(song, method="sfnmf", **options):
    """The melody of a song. Melody with a pitch guess in every frame that is not silent, voicing 0..1 (>= 0.5: voiced).

    method: a name in METHODS ("best" is an alias), or the path of weights that you trained; a network without weights is
    refused. Silence gives an all-unvoiced melody. Options go to the method (`seed`, `settings`...).
    """
    return _melody(song, methods.find(method, "melody"), **options)


def _melody(song, method, **options):
    if (
        method.by == "network"
    ):  # as published, each frame decides alone; decode.viterbi takes the same salience
        return decode.peak(_salience_by_network(song, method, **options))
    return _MELODY[method.by](song, **options)


def separate(song, method="sfnmf", *, melody=None, **options):
    """The song as {"melody", "accompaniment"}: float32 (channels, samples) at the song's rate, their sum is the song.

    method: a name in SEPARATION_METHODS, or "unet+best": one of them led by the melody that another method finds. melody: what to
    follow; without one, sfnmf follows the melody that it extracts itself, and unet finds its own way. unet-mel cannot be led.
    Frames without melody and all that lies above the method's band go to the accompaniment. Silence gives silent stems.
    Options: `separation.lead_by_sfnmf`; for the networks gated=False, to hear what comes out where there is no melody.
    """
    found = methods.find(method, "separation")
    if melody is None and found.leader:
        melody = _melody(song, found.leader)
    if found.by == "network":
        lead = _lead_by_network(song, found, melody, **options)
    else:
        lead = separation.lead_by_sfnmf(
            song, extract_melody(song, "sfnmf") if melody is None else melody, **options
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
    model = _model(methods.find(method, "drums"))
    known = model.card["decoding"].get("threshold", drums.THRESHOLD)
    return drums.transcribe(song, model, threshold=known if threshold is None else threshold)


def _melody_by_sfnmf(song, *, seed=0, **options):
    return decode.viterbi(sfnmf.salience(song, seed=seed, **options))


@functools.lru_cache(maxsize=3)
def _trained(name):
    return weights.load_model(name)


def _model(method):
    """The network of a method; shipped ones are kept, one's own may change between two calls."""
    known = method.weights in weights.names()
    return _trained(method.weights) if known else weights.load_model(method.weights)


def _salience_by_network(song, method, *, seed=0, **options):
    model = _model(method)
    features = inputs.FRONT_ENDS[model.card["front_end"]](song, seed=seed)
    return run.salience(model, features, **model.card["decoding"] | options)


def _lead_by_network(song, method, melody, *, gated=True):
    model = _model(method)
    features = inputs.FRONT_ENDS[model.card["front_end"]](song)
    mask, gate = run.mask(model, features, melody)
    return separation.lead_by_mask(song, mask, gate if gated else None)


_MELODY = {"sfnmf": _melody_by_sfnmf, "pyin": pyin.extract}

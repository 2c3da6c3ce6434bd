"""What `import melodylab as ml` shows: from a file to a melody and to stems, one function each.

Conventions: a song may be a `Song` or the path of one. Methods are named as in `methods`, and a
network that you trained by the path of its weights.
"""

import functools
import numbers
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from melodylab import drums, methods, separation, sfnmf, synth, weights
from melodylab.errors import InputError
from melodylab.io import songs
from melodylab.io.songs import SongOrPath, as_melody, as_song
from melodylab.melody import decode, pyin, ranges
from melodylab.models import inputs, run
from melodylab.records import DrumOnsets, DrumParts, Melody, Salience

demo_song = synth.demo_song
load_song = songs.load_song
DRUM_CLASSES = synth.DRUM_CLASSES
METHODS, SEPARATION_METHODS = methods.METHODS, methods.SEPARATION_METHODS
DRUM_METHODS = methods.DRUM_METHODS


def salience(
    song: SongOrPath,
    method: str | os.PathLike[str] = methods.DEFAULT["melody"],
    *,
    seed: int = 0,
    settings: sfnmf.Settings | None = None,
    hearing: sfnmf.Hearing | None = None,
) -> Salience:
    """The pitch salience that a method computes before it decides.

    Parameters
    ----------
    song : Song, str or path
        What to listen to.
    method : str or path
        A melody method of `methods` other than pyin, or the path of weights that you trained.
    seed : int
        Of the random start of source-filter NMF, also where it is a network's front end.
    settings, hearing : Settings, Hearing, optional
        Of `sfnmf`; for that method alone.

    Returns
    -------
    Salience
        (freq, time), with the evidence for "no melody"; zeros at silence.

    Raises
    ------
    InputError
        For a song that cannot be read, and a method that does not exist or has no salience.
    """
    found = methods.find(method, "melody")
    given: dict[str, Any] = {"settings": settings, "hearing": hearing}
    given = {name: value for name, value in given.items() if value is not None}
    if given and found.by != "sfnmf":
        raise InputError(
            f"{' and '.join(given)} belong to sfnmf and not to {found.name}; leave them out or "
            'take method="sfnmf"'
        )
    if found.by == "sfnmf":
        return sfnmf.salience(as_song(song), seed=seed, **given)
    if found.by != "network":
        raise InputError(
            f"the method {found.name!r} has no salience; use "
            f"{' or '.join(n for n, m in methods.of_task('melody').items() if m.by != found.by)}"
        )
    model = _loaded(found.weights)
    features = inputs.FRONT_ENDS[model.card["front_end"]](as_song(song), seed=seed)
    return run.salience(model, features, **model.card["decoding"])


def extract_melody(
    song: SongOrPath,
    method: str | os.PathLike[str] = methods.DEFAULT["melody"],
    *,
    seed: int = 0,
    threshold: float | None = None,
    settings: sfnmf.Settings | None = None,
    hearing: sfnmf.Hearing | None = None,
    heard: Salience | None = None,
) -> Melody:
    """The melody of a song.

    Parameters
    ----------
    song : Song, str or path
        What to listen to.
    method : str or path
        A melody method of `methods` ("best" is an alias), or the path of weights that you trained.
    seed : int
        Of the random start of source-filter NMF, also where it is a network's front end.
    threshold : float, optional
        How sure of a sung note a frame must be to count as sung, 0..1; larger finds less. Without
        one it is 0.5, to which every method is calibrated.
    settings, hearing : Settings, Hearing, optional
        Of `sfnmf`; for that method alone.
    heard : Salience, optional
        What `salience` found with the same method, so that it is not computed twice.

    Returns
    -------
    Melody
        A pitch guess in every frame that is not silent, voicing 0..1 (>= 0.5: sung). Silence gives
        no guess and nothing sung; so do, but for the guess, pitches outside the method's range.

    Raises
    ------
    InputError
        For a song that cannot be read, a method that does not exist, a network without weights, and
        a threshold beyond 0..1.
    """
    found, song = methods.find(method, "melody"), as_song(song)
    if found.by == "pyin":
        if settings is not None or hearing is not None:
            raise InputError("settings and hearing belong to sfnmf; leave them out with pyin")
        melody = pyin.extract(song)
    else:
        if heard is None:
            heard = salience(song, method, seed=seed, settings=settings, hearing=hearing)
        # as published, a network's frames decide alone; decode.viterbi takes the same salience
        melody = decode.viterbi(heard) if found.by == "sfnmf" else decode.peak(heard)
        del heard  # of an hour it is large
    if threshold is not None:
        melody = with_threshold(melody, threshold)
    return ranges.within(melody, song, found.range_hz)


def with_threshold(melody: Melody, threshold: float) -> Melody:
    """The same melody where a frame must be surer, or less sure, to count as sung.

    Parameters
    ----------
    melody : Melody
        Frames with a voicing in 0..1.
    threshold : float
        The voicing from which on a frame counts as sung, 0..1: 0.5 changes nothing, 0 calls
        everything sung that has a pitch.

    Returns
    -------
    Melody
        Its voicing is bent so that `threshold` comes to lie at 0.5; order and ends stay.

    Raises
    ------
    InputError
        For a threshold beyond 0..1.
    """
    if not isinstance(threshold, numbers.Real) or not 0 <= threshold <= 1:
        raise InputError(f"the threshold is {threshold!r}; give a number from 0 to 1")
    old = melody.voicing
    above = 0.5 + 0.5 * (old - threshold) / max(1 - threshold, 1e-12)
    below = np.minimum(0.5 * old / max(threshold, 1e-12), np.nextafter(0.5, 0))
    voicing = np.clip(np.where(old >= threshold, above, below), 0, 1)
    return Melody(melody.times_s, melody.f0_hz, np.where(np.isnan(melody.f0_hz), 0, voicing))


def separate(
    song: SongOrPath,
    method: str | os.PathLike[str] = methods.DEFAULT["separation"],
    *,
    melody: Melody | str | os.PathLike[str] | None = None,
    seed: int = 0,
    settings: sfnmf.Settings | None = None,
    width_bins: int = 2,
    unvoiced: bool = False,
    gated: bool = True,
) -> dict[str, np.ndarray]:
    """A song taken apart into its melody and the rest.

    Parameters
    ----------
    song : Song, str or path
        What to take apart.
    method : str or path
        A separation method of `methods`, or "unet+best": one of them led by the melody that another
        method finds. Alone, sfnmf follows the melody that it finds itself, unet finds its own way.
    melody : Melody, str or path, optional
        What to follow, also as the path of a CSV file. unet-mel cannot be led.
    seed : int
        Of the random start of source-filter NMF.
    settings : Settings, optional
        Of `sfnmf`'s second pass; for that method alone.
    width_bins : int
        sfnmf: how many bins beside the melody belong to it.
    unvoiced : bool
        sfnmf: look for breath and consonants, too (see `separation.lead_by_sfnmf`).
    gated : bool
        Networks: False lets through what they find where they hear no melody.

    Returns
    -------
    dict
        {"melody", "accompaniment"}: float32 (channels, samples) at the song's rate; their sum is
        the song. Frames without melody and what lies above the method's band are accompaniment.
        Silence gives silent stems.

    Raises
    ------
    InputError
        For a song or melody that cannot be read, and a method that does not exist or be led.
    """
    song = as_song(song)
    pieces = separate_pieces(
        song,
        method,
        melody=melody,
        seed=seed,
        settings=settings,
        width_bins=width_bins,
        unvoiced=unvoiced,
        gated=gated,
    )
    stems = {name: np.empty_like(song.audio) for name in ("melody", "accompaniment")}
    begin = 0
    for piece in pieces:
        for name, block in piece.items():
            stems[name][:, begin : begin + block.shape[1]] = block
        begin += piece["melody"].shape[1]
    return stems


def separate_pieces(
    song: SongOrPath,
    method: str | os.PathLike[str] = methods.DEFAULT["separation"],
    *,
    melody: Melody | str | os.PathLike[str] | None = None,
    seed: int = 0,
    settings: sfnmf.Settings | None = None,
    width_bins: int = 2,
    unvoiced: bool = False,
    gated: bool = True,
) -> Iterator[dict[str, np.ndarray]]:
    """As `separate`, piece by piece, for songs of an hour whose stems go to files at once.

    Parameters
    ----------
    song, method, melody, seed, settings, width_bins, unvoiced, gated
        As in `separate`.

    Yields
    ------
    dict
        {"melody", "accompaniment"} of the next stretch of the song, float32 (channels, samples);
        one stretch follows the other without a gap. sfnmf gives the whole song at once.

    Raises
    ------
    InputError
        As in `separate`.
    """
    found = methods.find(method, "separation")
    song = as_song(song)
    for begin, lead in _lead(found, song, melody, seed, settings, width_bins, unvoiced, gated):
        mixture = song.audio[:, begin : begin + lead.shape[1]]
        yield {"melody": lead, "accompaniment": mixture - lead}


def _lead(found, song, melody, seed, settings, width_bins, unvoiced, gated):
    if melody is not None:
        melody = as_melody(melody)
    elif found.leader is not None:
        melody = extract_melody(song, found.leader.weights or found.leader.name, seed=seed)
    elif found.by == "sfnmf":
        melody = extract_melody(song, "sfnmf", seed=seed)
    if found.by == "sfnmf":
        options: dict[str, Any] = {} if settings is None else {"settings": settings}
        options |= {"width_bins": width_bins, "unvoiced": unvoiced, "seed": seed}
        yield 0, separation.lead_by_sfnmf(song, melody, **options)
        return
    if settings is not None:
        raise InputError(f"settings belong to sfnmf and not to {found.name}; leave them out")
    model = _loaded(found.weights)
    features = inputs.heard_by(model, song)
    mask, gate = run.mask(model, features, melody)
    del features
    yield from separation.lead_blocks(song, mask, gate if gated else None)


def separate_drums(
    song: SongOrPath,
    method: str | os.PathLike[str] = methods.DEFAULT["drums"],
    *,
    onsets: DrumOnsets | str | os.PathLike[str] | None = None,
    threshold: float | Mapping[str, float] | None = None,
    settings: drums.Settings | None = None,
    velocities: bool | None = None,
) -> DrumParts:
    """Drums taken apart by what was played.

    Parameters
    ----------
    song : Song, str or path
        A drum loop or track.
    method : str or path
        A drum method of `methods`, or the path of weights that you trained.
    onsets : DrumOnsets or path of a CSV, optional
        The hits, such as those of an earlier result, edited; without them the method finds them.
    threshold : float or mapping, optional
        How sure the method must be of a hit, 0..1, or so by class; without one what its card says.
    settings : Settings, optional
        Of `drums`.
    velocities : bool, optional
        As in `drums.separate`.

    Returns
    -------
    DrumParts
        Stems "kick", "snare", "open_hihat", "closed_hihat", "toms" that sum to the song, and what
        was learned. Silence, and a song without a hit: no onsets, all of the song in "toms".

    Raises
    ------
    InputError
        For a song or hits that cannot be read, and a method that does not exist.
    """
    song = as_song(song)
    if onsets is None:
        onsets = transcribe_drums(song, method, threshold=threshold)
    elif isinstance(onsets, str | os.PathLike):
        onsets = DrumOnsets.from_csv(onsets)
    elif not isinstance(onsets, DrumOnsets):
        raise InputError(
            f"onsets are DrumOnsets or the path of their CSV, not a {type(onsets).__name__}"
        )
    return drums.separate(song, onsets, settings or drums.SETTINGS, velocities=velocities)


def transcribe_drums(
    song: SongOrPath,
    method: str | os.PathLike[str] = methods.DEFAULT["drums"],
    *,
    threshold: float | Mapping[str, float] | None = None,
) -> DrumOnsets:
    """The hits that a drum network finds.

    Parameters
    ----------
    song : Song, str or path
        A drum loop or track.
    method : str or path
        A drum method of `methods`, or the path of weights that you trained.
    threshold : float or mapping, optional
        How sure the method must be of a hit, 0..1, or so by class; without one what its card says.

    Returns
    -------
    DrumOnsets
        With velocities 1: they are measured when the song is taken apart. Silence has none.

    Raises
    ------
    InputError
        For a song that cannot be read, and a method that does not exist.
    """
    model = _loaded(methods.find(method, "drums").weights)
    known = model.card["decoding"].get("threshold", drums.THRESHOLD)
    return drums.transcribe(
        as_song(song), model, threshold=known if threshold is None else threshold
    )


@functools.lru_cache(maxsize=3)
def _trained(name):
    return weights.load_model(name)


def _loaded(name):
    """A network: shipped ones are read once, one's own may change between two calls."""
    return _trained(name) if name in weights.names() else weights.load_model(name)

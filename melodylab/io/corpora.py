"""The user's own copies of published corpora, read in their own layout. Nothing is downloaded.

    medleydb   Audio/NAME/NAME_MIX.wav, Audio/NAME/NAME_STEMS/*.wav,
               Annotations/Melody_Annotations/MELODY2/NAME_MELODY2.csv (or 1)    Bittner 2014
    ikala      Wavfile/NAME.wav, PitchLabel/NAME.pv every 32 ms                  Chan 2015
    mir-1k     Wavfile/NAME.wav, PitchLabel/NAME.pv every 20 ms                  Hsu 2010
    adc2004    NAME.wav, NAMEREF.txt                                             MIREX 2004
    mirex05    train01.wav, train01REF.txt                                       MIREX 2005
    dsd100     Mixtures/Dev/NAME/mixture.wav, Sources/Dev/NAME/vocals.wav...     SiSEC 2016
    musdb18    train/NAME.stem.mp4 (through ffmpeg), train/NAME/mixture.wav...   Rafii 2017
    mdb-drums  audio/full_mix/NAME_MIX.wav, annotations/class/NAME_class.txt     Southall 2017

Conventions: the voice is the stem "melody", everything else together "accompaniment". Songs are
named as in the corpus. ikala and mir-1k have the band on the left and the voice on the right, the
mix is their sum, and their labels are semitones, 0 where unvoiced.
"""

import difflib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.io import audio, folders
from melodylab.records import DrumOnsets, Melody, Song

Annotation = Literal["melody1", "melody2"]
_Reader = Callable[[bool], Song]  # reads one song, with its stems or without
_MUSDB_STREAMS = ("mixture", "drums", "bass", "other", "vocals")  # in this order in NAME.stem.mp4


def song_names(corpus: str, folder: str | os.PathLike[str]) -> list[str]:
    """The songs of a corpus that are there.

    Parameters
    ----------
    corpus : str
        One of `CORPORA`.
    folder : str or path
        Your copy, unpacked as it came.

    Returns
    -------
    list of str
        Sorted names, at least one.

    Raises
    ------
    InputError
        For an unknown corpus, and a folder without the layout above.
    """
    return sorted(_readers(corpus, folder, "melody2"))


def read_song(
    corpus: str,
    folder: str | os.PathLike[str],
    name: str,
    *,
    stems: bool = True,
    annotation: Annotation = "melody2",
) -> Song:
    """Read one song of a corpus.

    Parameters
    ----------
    corpus, folder
        As in `song_names`.
    name : str
        One of `song_names`.
    stems : bool
        Read the stems, too, where the corpus has them.
    annotation : {"melody1", "melody2"}
        Which line of MedleyDB: of one source, or the most prominent one at each time.

    Returns
    -------
    Song
        With stems, melody and onsets as far as the corpus has them.

    Raises
    ------
    InputError
        For an unknown corpus or song, and a file that cannot be read.
    """
    readers = _readers(corpus, folder, annotation)
    if name not in readers:
        raise InputError(f"{folder} holds no song {name!r}{_like(name, readers)}")
    return readers[name](stems)


def read_songs(
    corpus: str,
    folder: str | os.PathLike[str],
    *,
    stems: bool = True,
    annotation: Annotation = "melody2",
) -> Iterator[Song]:
    """Read the songs of a corpus one after the other.

    Parameters
    ----------
    corpus, folder, stems, annotation
        As in `read_song`.

    Yields
    ------
    Song
        In order of their names; one at a time is in memory.

    Raises
    ------
    InputError
        As `read_song`.
    """
    for _, reader in sorted(_readers(corpus, folder, annotation).items()):
        yield reader(stems)


def _readers(
    corpus: str, folder: str | os.PathLike[str], annotation: Annotation
) -> dict[str, _Reader]:
    if corpus not in CORPORA:
        raise InputError(f"there is no reader for the corpus {corpus!r}{_like(corpus, CORPORA)}")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give your copy of {corpus}")
    find, expected = CORPORA[corpus]
    found = find(folder, annotation)
    if not found:
        raise InputError(
            f"{folder} does not look like {corpus}: {expected} is missing; give the folder that "
            "holds it"
        )
    return found


def _like(name: str, known: dict) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; choose one of {', '.join(sorted(known))}"


def _song(
    name: str,
    mix: Path,
    stems: dict[str, Path],
    melody: Path | None,
    onsets: Path | None,
    wanted: bool,
) -> Song:
    """A song whose parts lie in files of their own."""
    y, sr = audio.read(mix)
    parts = {n: folders.read_stem(p, y.shape, sr) for n, p in stems.items()} if wanted else {}
    return _made(name, y, sr, parts, melody, onsets)


def _made(
    name: str,
    mix: np.ndarray,
    sr: int,
    parts: dict[str, np.ndarray],
    melody: Path | None = None,
    onsets: Path | None = None,
) -> Song:
    if "vocals" in parts:
        voice = parts.pop("vocals")
        rest = np.sum(list(parts.values()), axis=0)
        parts = {"melody": voice, "accompaniment": rest, **parts}
    mix.flags.writeable = False  # nobody else holds it, so that the song need not copy it
    return Song(
        mix,
        sr,
        name,
        parts,
        melody and Melody.from_csv(melody, duration_s=mix.shape[1] / sr),
        onsets and DrumOnsets.from_csv(onsets),
    )


def _medleydb(folder: Path, annotation: Annotation) -> dict[str, _Reader]:
    kind = annotation.upper()
    found = {}
    for mix in sorted(folder.glob("Audio/*/*_MIX.wav")):
        name = mix.parent.name
        lines = folder.glob(f"Annotations/Melody_Annotations/{kind}/{name}_{kind}.csv")
        stems = {
            path.stem.removeprefix(f"{name}_").lower(): path
            for path in sorted(mix.parent.glob(f"{name}_STEMS/*.wav"))
        }
        found[name] = partial(_song, name, mix, stems, next(lines, None), None)
    return found


def _karaoke(
    folder: Path, annotation: Annotation, *, hop_s: float, first_s: float
) -> dict[str, _Reader]:
    """Band on the left, voice on the right, semitones beside them."""

    def read(path: Path, wanted: bool) -> Song:
        sides, sr = audio.read(path)
        if len(sides) != 2:
            raise InputError(
                f"{path} has {len(sides)} channel(s) instead of the band on the left and the voice "
                "on the right; unpack the corpus again"
            )
        labels = folder / "PitchLabel" / f"{path.stem}.pv"
        song = _made(path.stem, sides.sum(axis=0, keepdims=True), sr, {})
        if wanted:
            parts = {"melody": sides[1:], "accompaniment": sides[:1]}
            song = Song(song.audio, sr, song.name, parts)
        if not labels.is_file():
            return song
        melody = _semitones(labels, hop_s, first_s)
        return Song(song.audio, sr, song.name, song.stems, melody)

    return {path.stem: partial(read, path) for path in sorted(folder.glob("Wavfile/*.wav"))}


def _semitones(path: Path, hop_s: float, first_s: float) -> Melody:
    """A pitch label a line, in semitones; 0 is unvoiced."""
    try:
        labels = np.array([float(line) for line in path.read_text(encoding="utf-8").split()])
        if not np.isfinite(labels).all():
            raise ValueError("a label is not finite")
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read the pitch labels {path} ({error}); unpack the corpus again"
        ) from None
    hz = np.where(labels > 0, grids.midi_to_hz(labels), 0.0)
    return Melody.from_signed(first_s + hop_s * np.arange(len(labels)), hz)


def _with_references(folder: Path, annotation: Annotation) -> dict[str, _Reader]:
    """NAME.wav and NAMEREF.txt side by side, in the folder or one below it."""
    found = {}
    for reference in sorted([*folder.glob("*REF.txt"), *folder.glob("*/*REF.txt")]):
        name = reference.name.removesuffix("REF.txt")
        mix = reference.parent / f"{name}.wav"
        if mix.is_file():
            found[name] = partial(_song, name, mix, {}, reference, None)
    return found


def _dsd100(folder: Path, annotation: Annotation) -> dict[str, _Reader]:
    found = {}
    for mix in sorted(folder.glob("Mixtures/*/*/mixture.wav")):
        part, name = mix.parts[-3:-1]
        stems = {p.stem: p for p in sorted((folder / "Sources" / part / name).glob("*.wav"))}
        found[name] = partial(_song, name, mix, stems, None, None)
    return found


def _musdb18(folder: Path, annotation: Annotation) -> dict[str, _Reader]:
    def read(path: Path, name: str, wanted: bool) -> Song:
        mix, sr = audio.read_stream(path, 0)
        parts = {}
        for stream, part in enumerate(_MUSDB_STREAMS):
            if stream and wanted:
                stem, _ = audio.read_stream(path, stream)
                parts[part] = folders.fitted(stem, mix.shape)
        return _made(name, mix, sr, parts)

    found = {}
    for path in sorted(folder.glob("t*/*.stem.mp4")):
        name = path.name.removesuffix(".stem.mp4")
        found[name] = partial(read, path, name)
    for mix in sorted(folder.glob("t*/*/mixture.wav")):
        stems = {p.stem: p for p in sorted(mix.parent.glob("*.wav")) if p != mix}
        found[mix.parent.name] = partial(_song, mix.parent.name, mix, stems, None, None)
    return found


def _mdb_drums(folder: Path, annotation: Annotation) -> dict[str, _Reader]:
    found = {}
    for mix in sorted(folder.glob("audio/full_mix/*_MIX.wav")):
        name = mix.name.removesuffix("_MIX.wav")
        hits = folder / "annotations" / "class" / f"{name}_class.txt"
        drums = folder / "audio" / "drum_only" / f"{name}_Drum.wav"
        stems = {"drums": drums} if drums.is_file() else {}
        found[name] = partial(_song, name, mix, stems, None, hits if hits.is_file() else None)
    return found


CORPORA: dict[str, tuple[Callable[[Path, Annotation], dict[str, _Reader]], str]] = {
    "medleydb": (_medleydb, "Audio/NAME/NAME_MIX.wav"),
    "ikala": (partial(_karaoke, hop_s=0.032, first_s=0.016), "Wavfile/NAME.wav"),
    "mir-1k": (partial(_karaoke, hop_s=0.02, first_s=0.02), "Wavfile/NAME.wav"),
    "adc2004": (_with_references, "NAME.wav beside NAMEREF.txt"),
    "mirex05": (_with_references, "train01.wav beside train01REF.txt"),
    "dsd100": (_dsd100, "Mixtures/Dev/NAME/mixture.wav"),
    "musdb18": (_musdb18, "train/NAME.stem.mp4"),
    "mdb-drums": (_mdb_drums, "audio/full_mix/NAME_MIX.wav"),
}

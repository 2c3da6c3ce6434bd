"""Readers for local folders of songs. Nothing is downloaded, nothing is written.

A song is a folder: `mix.*` (any format `audio.read` reads), and beside it whatever truth is known:

    melody2.csv, melody.csv or melody1.csv   time_s,f0_hz; 0 or negative = unvoiced; the first one
                                             of the three that is there
    onsets.csv or drums.csv                  time_s,class[,velocity], further columns by name
    any other audio file                     a stem named by its file, melody.flac -> "melody"

Conventions: stems come out like the mix, float32 (channels, samples) at its rate. A velocity column
that goes beyond 1 is MIDI's 0..127; without one every hit has velocity 1. Stem names are lower
case; files that start with a dot are ignored. CSVs: see `io.csv`.
"""

import os
from pathlib import Path

import numpy as np

from melodylab.dsp import stft
from melodylab.errors import InputError
from melodylab.io import audio
from melodylab.io.songs import STEM_ENDINGS
from melodylab.records import DrumOnsets, Melody, Song

_MELODIES = ("melody2.csv", "melody.csv", "melody1.csv")


_ONSETS = ("onsets.csv", "drums.csv")


_SLACK_S = 1.0  # exports of one session differ by a fade or a codec's padding, not by more


def song_folders(folder: str | os.PathLike[str]) -> list[Path]:
    """The songs of a folder.

    Parameters
    ----------
    folder : str or path
        Holds one folder a song, or is one.

    Returns
    -------
    list of Path
        Those that hold a `mix.*`, sorted, `folder` itself among them if it does.

    Raises
    ------
    InputError
        Where there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder that holds one folder a song")
    songs = [
        f for f in (folder, *sorted(_entries(folder))) if f.is_dir() and "mix" in _audio_files(f)
    ]
    if not songs:
        raise InputError(
            f"{folder} holds no song; put each song into a folder of its own and name its audio "
            "mix.wav"
        )
    return songs


def read_song(folder: str | os.PathLike[str], stems: bool = True) -> Song:
    """Read one song folder.

    Stems at another rate are resampled, missing channels are filled from the mean of the stem's,
    up to a second too much or too little is cut or padded with silence. A melody's file that
    leaves out what is not sung gets it back, with a warning.

    Parameters
    ----------
    folder : str or path
        Holds the files named above.
    stems : bool
        Read the stems, too. Where there is a stem "melody" but no "accompaniment", mix - melody
        becomes that stem.

    Returns
    -------
    Song
        Named as the folder, with stems, melody and onsets as far as they are there.

    Raises
    ------
    InputError
        For a missing mix, a file that cannot be read, a stem that does not fit.
    """
    folder = Path(folder)
    paths = _audio_files(folder) if folder.is_dir() else {}
    if "mix" not in paths:
        raise InputError(
            f"{folder} holds no mix; name the song's audio file mix.wav (or .flac, .mp3, ...)"
        )
    mix, sr = audio.read(paths.pop("mix"))
    mix.flags.writeable = False  # nobody else holds it, so that the song need not copy it
    parts = (
        {name: read_stem(path, mix.shape, sr) for name, path in sorted(paths.items())}
        if stems
        else {}
    )
    if "melody" in parts and "accompaniment" not in parts:
        parts["accompaniment"] = _finite(mix) - parts["melody"]
    melody, onsets = (
        next((folder / n for n in names if (folder / n).is_file()), None)
        for names in (_MELODIES, _ONSETS)
    )
    return Song(
        mix,
        sr,
        folder.resolve().name,
        parts,
        melody and Melody.from_csv(melody, duration_s=mix.shape[1] / sr),
        onsets and DrumOnsets.from_csv(onsets),
    )


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a folder that may not be opened, such as lost+found, holds no song for us
        return []


def is_audio(path: Path) -> bool:
    """Is this a file with the ending of a sound, and not hidden?

    Parameters
    ----------
    path : Path
        A file or a folder.

    Returns
    -------
    bool
        False for folders.
    """
    return path.suffix.lower() in STEM_ENDINGS and not path.name.startswith(".") and path.is_file()


def _audio_files(folder: Path) -> dict[str, Path]:
    """{lower-case name without suffix: Path}, one file a name."""
    found = {}
    for path in _entries(folder):
        if is_audio(path):
            rank = STEM_ENDINGS.index(path.suffix.lower())
            name = path.stem.lower()
            found[name] = min(found.get(name, (rank, path)), (rank, path))
    return {name: path for name, (_, path) in found.items()}


def _finite(samples: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(samples), samples, np.float32(0))


def read_stem(path: str | os.PathLike[str], shape: tuple[int, int], sr: int) -> np.ndarray:
    """Read a stem so that it fits its mix.

    Parameters
    ----------
    path : str or path
        An audio file of any rate.
    shape : tuple of int
        (channels, samples) of the mix. Missing channels are filled from the mean of the stem's, up
        to a second too much or too little is cut or padded with silence.
    sr : int
        Rate of the mix in Hz.

    Returns
    -------
    ndarray of shape (channels, samples)
        Float32; NaN and infinity are 0.

    Raises
    ------
    InputError
        For a file that cannot be read, or that lasts more than a second more or less.
    """
    stem, stem_sr = audio.read(path)
    stem = stft.resample(_finite(stem), stem_sr, sr)
    if abs(stem.shape[1] - shape[1]) > _SLACK_S * sr:
        lengths = f"it lasts {stem.shape[1] / sr:.1f} s and the mix {shape[1] / sr:.1f} s"
        raise InputError(
            f"the stem {path} does not fit: {lengths}; export it at the mix's length or move it "
            "elsewhere"
        )
    return fitted(stem, shape)


def fitted(stem: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A stem in the shape of its mix.

    Parameters
    ----------
    stem : ndarray of shape (channels, samples)
        Any number of both.
    shape : tuple of int
        (channels, samples) of the mix.

    Returns
    -------
    ndarray of that shape
        Cut or padded with silence; other channels than asked become their mean.
    """
    channels, samples = shape
    if len(stem) != channels:
        stem = np.repeat(stem.mean(axis=0, keepdims=True), channels, axis=0)
    return np.pad(stem[:, :samples], ((0, 0), (0, max(0, samples - stem.shape[1]))))

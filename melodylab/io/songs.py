"""Songs from files: every function that takes a song takes a path, too, through `as_song`."""

import os
from pathlib import Path

from melodylab.errors import InputError
from melodylab.io import audio
from melodylab.records import Melody, Song

# of a song's parts: where one name comes in several formats, the first in this row is read
STEM_ENDINGS = (".wav", ".flac", ".aiff", ".aif", ".au", ".caf", ".w64", ".ogg", ".oga", ".opus")
STEM_ENDINGS += (".mp3", ".m4a", ".aac", ".mp4", ".wma")
# of what a folder of songs may hold besides
AUDIO_ENDINGS = (*STEM_ENDINGS, ".aifc", ".rf64", ".mka", ".mkv", ".webm", ".mov", ".avi")
SongOrPath = Song | str | os.PathLike[str]


def load_song(path: str | os.PathLike[str]) -> Song:
    """A song from an audio file, as it is: nothing resampled, mixed or scaled.

    Parameters
    ----------
    path : str or path
        Any format, rate and channel count that `io.audio.read` takes. "librosa:NAME" is one of
        librosa's example recordings, such as librosa:fishin (fetched once, CC BY; the folder in
        the variable LIBROSA_DATA_DIR serves without a network).

    Returns
    -------
    Song
        Named as the file, without ending.

    Raises
    ------
    InputError
        For a file that is missing or holds no audio, and an example that cannot be had.
    """
    if str(path).startswith("librosa:"):
        path = _librosa_example(str(path).removeprefix("librosa:"))
    samples, sr = audio.read(path)
    samples.flags.writeable = False  # nobody else holds it, so that the song need not copy it
    return Song(samples, sr, name=Path(path).stem)


def as_song(song: SongOrPath) -> Song:
    """The song itself, or the one in the file of that name.

    Parameters
    ----------
    song : Song, str or path
        A song, or what `load_song` takes.

    Returns
    -------
    Song
        The same object where it is one.

    Raises
    ------
    InputError
        For a file that cannot be read, and anything that is neither song nor path.
    """
    if isinstance(song, Song):
        return song
    if isinstance(song, (str, os.PathLike)):
        return load_song(song)
    raise InputError(
        f"a song was expected and a {type(song).__name__} was given; give a path, what "
        "ml.load_song returns, or ml.Song.from_array(y, sr)"
    )


def as_melody(melody: Melody | str | os.PathLike[str]) -> Melody:
    """The melody itself, or the one in the CSV file of that name.

    Parameters
    ----------
    melody : Melody, str or path
        A melody, or what `Melody.from_csv` takes.

    Returns
    -------
    Melody
        The same object where it is one.

    Raises
    ------
    InputError
        For a file that cannot be read, and anything that is neither melody nor path.
    """
    if isinstance(melody, Melody):
        return melody
    if isinstance(melody, (str, os.PathLike)):
        return Melody.from_csv(melody)
    if melody is None:
        raise InputError(
            "there is no melody here, None was given; give a Melody or the path of a CSV file "
            "(a song that was loaded from a file knows no true melody)"
        )
    raise InputError(
        f"a melody was expected and a {type(melody).__name__} was given; give a Melody, such as "
        "ml.extract_melody returns, or the path of a CSV file"
    )


def _librosa_example(name):
    import librosa  # slow to load, and hardly a command needs it

    try:
        return librosa.ex(name, hq=True)
    except Exception as error:  # librosa and pooch raise many kinds: unknown, no network, no place
        raise InputError(
            f"librosa's example {name!r} cannot be had ({type(error).__name__}); check the name at "
            "librosa.util.list_examples() and the network, or name a folder that holds it in "
            "LIBROSA_DATA_DIR"
        ) from None

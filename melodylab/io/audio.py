"""Sound in, sound out: files of any kind into float32 arrays, and float32 arrays into WAV.

Conventions: audio is float32 (channels, samples), full scale 1, never rescaled.
"""

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import ArrayLike

from melodylab import files
from melodylab.errors import InputError
from melodylab.io import decoding

_MOST_WAV_BYTES = 4e9


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a sound file.

    libsndfile decodes WAV, FLAC, OGG, MP3, AIFF...; what it refuses goes to ffmpeg where that is
    installed (m4a, wma, video). A file that breaks off is kept as far as it decodes, with a
    warning. Integer formats are scaled to -1..1; floats stay as they are. What is longer than six
    minutes of stereo lies in a temporary file while it is in use.

    Parameters
    ----------
    path : str or path
        A sound file of any rate and channel count.

    Returns
    -------
    ndarray of shape (channels, samples)
        Float32; read-only where it is mapped from a file.
    int
        The sampling rate in Hz.

    Raises
    ------
    InputError
        For a folder, a pipe, a missing or an empty file, and for one without sound: one sentence
        with the file and the next step.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"an audio file is asked for by its path, not by a {type(path).__name__}")
    path = Path(path)
    try:
        found = path.stat()
    except ValueError as error:  # a null character
        raise InputError(f"{str(path)!r} is no path ({error}); check the name") from None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = "does not exist" if missing else f"cannot be read ({error.strerror})"
        raise InputError(f"{path} {reason}; check the name") from None
    if stat.S_ISDIR(found.st_mode):
        if not os.access(path, os.R_OK | os.X_OK):
            raise InputError(f"the folder {path} may not be opened; change its permissions")
        raise InputError(f"{path} is a folder; give an audio file in it")
    if stat.S_ISFIFO(found.st_mode):  # sound is read more than once, and from a pipe only once
        raise InputError(f"{path} is a pipe; save it to a file first")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is no regular file; save its sound to a file first")
    if found.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); record or export it again")
    try:
        audio, sr = decoding.decode(path)
    except PermissionError:
        raise InputError(
            f"{path} cannot be opened (permission denied); change its permissions or copy it"
        ) from None
    except (sf.SoundFileError, OSError, ValueError):
        audio, sr = _decode_with_ffmpeg(path)
    if audio.shape[1] == 0:
        raise InputError(f"{path} holds no audio that could be decoded; record or export it again")
    return audio, sr


def read_stream(path: str | os.PathLike[str], stream: int) -> tuple[np.ndarray, int]:
    """Read one of several sounds in a file, such as a stem of a multitrack .mp4, through ffmpeg.

    Parameters
    ----------
    path : str or path
        A file of several sounds.
    stream : int
        Which sound, from 0.

    Returns
    -------
    ndarray of shape (channels, samples)
        Float32.
    int
        The sampling rate in Hz.

    Raises
    ------
    InputError
        Where the file is missing, ffmpeg is not installed, or there is no such sound.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is no file; check the name")
    return _decode_with_ffmpeg(Path(path), stream)


def _decode_with_ffmpeg(path: Path, stream: int = 0) -> tuple[np.ndarray, int]:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise InputError(
            f"{path} is in no format that libsndfile reads; install ffmpeg and try again, "
            "or export it as WAV or FLAC"
        )
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "decoded.wav"
        # the file: prefix keeps names such as "concat:x" names
        command = [ffmpeg, "-v", "error", "-nostdin", "-protocol_whitelist", "file"]
        command += ["-i", f"file:{path}", "-map", f"0:a:{stream}", "-c:a", "pcm_f32le", str(wav)]
        done = subprocess.run(command, capture_output=True)
        if b"matches no streams" in done.stderr and stream:
            raise InputError(f"{path} has no sound number {stream}; count from 0")
        if b"matches no streams" in done.stderr:
            raise InputError(f"{path} has pictures but no sound; choose a file with an audio track")
        if not wav.exists() or wav.stat().st_size == 0:
            raise InputError(
                f"{path} holds no audio that libsndfile or ffmpeg can decode; "
                "export it as WAV or FLAC"
            )
        if done.returncode or done.stderr:
            warnings.warn(f"{path} is damaged: what ffmpeg could decode is used", stacklevel=4)
        with sf.SoundFile(str(wav)) as sound:
            return decoding.all_of(sound)[0], sound.samplerate


def write(path: str | os.PathLike[str], audio: ArrayLike, sr: int) -> None:
    """Write 32-bit float WAV: no clipping, no rescaling; complete or absent.

    The same samples make the same file, byte for byte.

    Parameters
    ----------
    path : str or path
        The file; beyond 4 GB it becomes RF64, which plain WAV cannot count.
    audio : array_like of shape (channels, samples) or (samples,)
        The samples, of any level.
    sr : int
        The sampling rate in Hz.

    Raises
    ------
    InputError
        If the place cannot be written or the disk is full.
    """
    audio = np.atleast_2d(np.asarray(audio, dtype=np.float32))
    with writer(path, sr, audio.shape) as put:
        put(audio)


@contextlib.contextmanager
def writer(
    path: str | os.PathLike[str], sr: int, shape: tuple[int, int]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a sound as `write` does, piece by piece: complete or absent.

    Parameters
    ----------
    path : str or path
        The file, as in `write`.
    sr : int
        The sampling rate in Hz.
    shape : tuple of int
        (channels, samples) of the whole.

    Yields
    ------
    callable
        Takes the next (channels, samples) of it, float32.

    Raises
    ------
    InputError
        If the place cannot be written or the disk is full.
    """
    if not 1 <= sr < 2**31 or not 1 <= shape[0] <= 1024:
        raise InputError(
            f"a WAV file takes a rate from 1 Hz and up to 1024 channels, not {sr} Hz and "
            f"{shape[0]} channels"
        )
    layout = "RF64" if 4 * shape[0] * shape[1] > _MOST_WAV_BYTES else "WAV"
    with files.complete_or_absent(path) as temporary:
        try:
            with sf.SoundFile(
                str(temporary), "w", int(sr), shape[0], format=layout, subtype="FLOAT"
            ) as sound:

                def put(audio):
                    for start in range(0, audio.shape[1], 2**20):  # libsndfile wants its own copy
                        sound.write(audio[:, start : start + 2**20].T)

                yield put
        except sf.SoundFileError as error:  # a full disk, which libsndfile calls a system error
            raise OSError(str(error)) from None
        _forget_the_time(temporary)


def _forget_the_time(path: Path) -> None:
    """Set the time of day to 0 that libsndfile writes into the PEAK chunk of float files."""
    for name, _, at in decoding.chunks(path):
        if name == b"PEAK":
            with open(path, "r+b") as stream:
                stream.seek(at + 4)  # behind the chunk's version
                stream.write(bytes(4))
        if name == b"data":
            return

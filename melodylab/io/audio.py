"""Sound in, sound out: files of any kind into float32 arrays, and float32 arrays into WAV.

Conventions: audio is float32 (channels, samples), full scale 1, never rescaled.
"""

import contextlib
import io
import os
import re
import shutil
import stat
import struct
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

_BLOCK_SAMPLES = 1024
_MOST_WAV_BYTES = 4e9
_MOST_PACKED = 32  # samples in a byte of a file; a header that claims more is believed later


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a sound file.

    libsndfile decodes WAV, FLAC, OGG, MP3, AIFF...; what it refuses goes to ffmpeg where that is
    installed (m4a, wma, video). A file that breaks off is kept as far as it decodes, with a
    warning. Integer formats are scaled to -1..1; floats stay as they are.

    Parameters
    ----------
    path : str or path
        A sound file of any rate and channel count.

    Returns
    -------
    ndarray of shape (channels, samples)
        Float32.
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
        audio, sr = _decode(path)
    except PermissionError:
        raise InputError(
            f"{path} cannot be opened (permission denied); change its permissions or copy it"
        ) from None
    except (sf.SoundFileError, OSError, ValueError):
        audio, sr = _decode_with_ffmpeg(path)
    if audio.shape[1] == 0:
        raise InputError(f"{path} holds no audio that could be decoded; record or export it again")
    return audio, sr


class _Forward(sf.SoundFile):
    """Reads on without the seek that soundfile makes after every block.

    In MP3s of varying bitrate that seek lands elsewhere.
    """

    def seekable(self) -> bool:
        return False


class _SaidToBeLonger(io.FileIO):
    """A file that gives its length as a hundred times what it is, and otherwise behaves."""

    at_end = False

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at_end = whence == io.SEEK_END
        return super().seek(offset, whence)

    def tell(self) -> int:
        return super().tell() * (100 if self.at_end else 1)


class _WithItsSize(io.FileIO):
    """A WAV file whose header tells the size of its data, whatever is written there."""

    def __init__(self, path: Path, data_at: int):
        super().__init__(path)
        size = os.fstat(self.fileno()).st_size
        fields = {4: size - 8, data_at - 4: size - data_at}
        self.patches = {
            at: struct.pack("<I", min(value, 0xFFFFFFFF)) for at, value in fields.items()
        }

    def readinto(self, buffer: bytearray) -> int:
        start = super().tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for at, patch in self.patches.items():
            for n in range(4):
                if start <= at + n < start + count:
                    view[at + n - start] = patch[n]
        return count

    def read(self, size: int = -1) -> bytes:
        size = os.fstat(self.fileno()).st_size - super().tell() if size < 0 else size
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])


def _chunks(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF file: name, size of the content as told, where the content begins."""
    with open(path, "rb") as stream:
        if stream.read(4) not in (b"RIFF", b"RF64"):
            return
        at = 12
        while True:
            stream.seek(at)
            head = stream.read(8)
            if len(head) < 8:
                return
            name, size = head[:4], struct.unpack("<I", head[4:])[0]
            yield name, size, at + 8
            at += 8 + size + size % 2


def _unfinished_data(path: Path) -> int | None:
    """Where the samples of a WAV begin whose recorder died before it wrote their number; or None.

    An empty recording has nothing but chunks behind its empty data.
    """
    end, data_at = path.stat().st_size, None
    stop = 0
    for name, size, at in _chunks(path):
        stop = at + size
        if data_at is None and name == b"data":
            if size:
                return None
            data_at = at
    return data_at if data_at is not None and data_at < end and stop not in (end, end + 1) else None


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Decode with libsndfile block by block.

    So a header that lies costs no memory, and a broken file loses one block at most.
    """
    data_at = _unfinished_data(path)
    with sf.SoundFile(str(path)) as sound:
        guessed = "bitrate mode   : constant" in sound.extra_info
    # An MP3 without a table of contents: libsndfile guesses its length from the first frame and
    # the size of the file and would stop there, after a tenth of the sound if the bitrate varies.
    # With a guess that is too long it reads to the end.
    opened = contextlib.nullcontext(str(path))
    if guessed:
        opened = _SaidToBeLonger(path)
    elif data_at is not None:
        opened = _WithItsSize(path, data_at)
    with opened as source, _Forward(source) as sound:
        sr, channels, claimed, decoded, broken = (
            sound.samplerate,
            sound.channels,
            sound.frames,
            0,
            data_at is not None,
        )
        believable = _MOST_PACKED * path.stat().st_size // channels
        audio = np.empty(
            (channels, max(min(claimed, believable), _BLOCK_SAMPLES)), dtype=np.float32
        )
        while True:
            try:
                block = sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
            except sf.SoundFileError:
                broken = True
                break
            if not len(block):
                break
            if decoded + len(block) > audio.shape[1]:
                audio = np.concatenate([audio[:, :decoded], np.empty_like(audio)], axis=1)
            audio[:, decoded : decoded + len(block)] = block.T
            decoded += len(block)
        broken = (
            broken
            or _log_tells_of_break(sound.extra_info)
            or sound.format == "OGG"
            and _ogg_breaks_off(path)
        )
    if decoded < audio.shape[1]:
        audio = audio[:, :decoded].copy()
    # streams do not always know their length; a claim beyond a day is libsndfile's way to say so
    if decoded and (broken or not guessed and decoded < claimed < 86400 * sr):
        warnings.warn(
            f"{path} breaks off: {decoded / sr:.2f} s could be decoded and are used", stacklevel=3
        )
    return audio, sr


def _log_tells_of_break(log: str) -> bool:
    """True if libsndfile's log of a file says that sound is missing: a size beyond the file."""
    for claimed, present in re.findall(
        r"^(?!RIFF|FORM).*: (\d+) \(should be (\d+)\)$", log, flags=re.MULTILINE
    ):
        # recorders that write to a pipe put a number just below 2 or 4 GiB for "unknown"; such a
        # file is whole
        unknown = any(limit - 2**16 <= int(claimed) < limit for limit in (2**31, 2**32))
        if int(claimed) > int(present) and not unknown:
            return True
    return False


def _ogg_breaks_off(path: Path) -> bool:
    """True unless an Ogg file ends with a whole page that is marked as the last.

    libsndfile's log also blames sound files.
    """
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - 2**17))  # a page has 64 KiB at most
        tail = stream.read()
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    if len(page) < 27 or not page[5] & 4:
        return True
    header = 27 + page[26]
    return len(page) < header + sum(page[27:header])


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
            return sound.read(dtype="float32", always_2d=True).T.copy(), sound.samplerate


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
    for name, _, at in _chunks(path):
        if name == b"PEAK":
            with open(path, "r+b") as stream:
                stream.seek(at + 4)  # behind the chunk's version
                stream.write(bytes(4))
        if name == b"data":
            return

"""Sound files as libsndfile reads them, also those that lie about their length or break off.

Conventions as in `io.audio`, which asks here.
"""

import contextlib
import io
import os
import re
import struct
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

_BLOCK_SAMPLES = 1024
_IN_MEMORY_BYTES = 2**27  # six minutes of stereo


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


def chunks(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF file.

    Parameters
    ----------
    path : Path
        A file that exists; one of another kind has none.

    Yields
    ------
    bytes
        The chunk's name, of four letters.
    int
        Size of its content in bytes, as told.
    int
        Where its content begins, in bytes.
    """
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
    for name, size, at in chunks(path):
        stop = at + size
        if data_at is None and name == b"data":
            if size:
                return None
            data_at = at
    return data_at if data_at is not None and data_at < end and stop not in (end, end + 1) else None


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Decode with libsndfile block by block.

    So a header that lies costs no memory, and a broken file loses one block at most.

    Parameters
    ----------
    path : Path
        A file that exists.

    Returns
    -------
    ndarray of shape (channels, samples)
        Float32; read-only where it is mapped from a file.
    int
        The sampling rate in Hz.

    Raises
    ------
    soundfile.SoundFileError, OSError, ValueError
        For what libsndfile does not read.
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
        sr, claimed = sound.samplerate, sound.frames
        audio, broken = all_of(sound)
        broken |= data_at is not None or _log_tells_of_break(sound.extra_info)
        broken |= sound.format == "OGG" and _ogg_breaks_off(path)
    decoded = audio.shape[1]
    # streams do not always know their length; a claim beyond a day is libsndfile's way to say so
    if decoded and (broken or not guessed and decoded < claimed < 86400 * sr):
        warnings.warn(
            f"{path} breaks off: {decoded / sr:.2f} s could be decoded and are used", stacklevel=3
        )
    return audio, sr


def all_of(sound: sf.SoundFile) -> tuple[np.ndarray, bool]:
    """The samples of an open file.

    Parameters
    ----------
    sound : soundfile.SoundFile
        Read from where it stands to its end.

    Returns
    -------
    ndarray of shape (channels, samples)
        As in `decode`.
    bool
        Whether it broke off.
    """
    collected, broken = _Collected(sound.channels), False
    while True:
        try:
            block = sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
        except sf.SoundFileError:
            broken = True
            break
        if not len(block):
            break
        collected.add(block)
    return collected.samples(), broken


class _Collected:
    """Puts blocks (samples, channels) together as one array (channels, samples).

    What is longer than `_IN_MEMORY_BYTES` lies in a temporary file that goes away with the array,
    mapped to be read; in memory, too, where the disk has no room.
    """

    def __init__(self, channels: int):
        self.channels, self.blocks, self.waiting_bytes = channels, [], 0
        self.most_bytes, self.file, self.written = float(_IN_MEMORY_BYTES), None, 0

    def add(self, block: np.ndarray) -> None:
        self.blocks.append(block)
        self.waiting_bytes += block.nbytes
        if self.waiting_bytes > self.most_bytes:
            self._move_to_disk()

    def samples(self) -> np.ndarray:
        if self.file is not None and self.blocks:
            self._move_to_disk()
        if self.file is None:
            empty = np.empty((0, self.channels), np.float32)
            return np.ascontiguousarray(np.concatenate([empty, *self.blocks]).T)
        with self.file:
            shape = (self.written // self.channels, self.channels)
            return np.asarray(np.memmap(self.file, np.float32, "r", shape=shape)).T

    def _move_to_disk(self) -> None:
        waiting = np.concatenate([block.ravel() for block in self.blocks])
        try:
            if self.file is None:
                self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives on
            waiting.tofile(self.file)
        except OSError:  # no room, or no place that may be written: all of it into memory
            if self.file is not None:
                with self.file:
                    self.file.seek(0)
                    waiting = np.r_[np.fromfile(self.file, np.float32, self.written), waiting]
            self.blocks, self.file = [waiting.reshape(-1, self.channels)], None
            self.most_bytes = np.inf
            return
        self.written += len(waiting)
        self.blocks, self.waiting_bytes, self.most_bytes = [], 0, _IN_MEMORY_BYTES / 8


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

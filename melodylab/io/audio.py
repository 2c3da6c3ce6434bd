"""Sound in, sound out, and the short-time Fourier transform. Nothing drawn, nothing played.

Conventions: audio is float32 (channels, samples), full scale 1, never rescaled. Frame n of every transform is centred on
sample `n * hop_samples` of the whole recording, also when only a block of it is transformed.
"""

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import soundfile as sf

from melodylab import files
from melodylab.errors import InputError

_BLOCK_SAMPLES = 1024


_MOST_PACKED = (
    32  # samples in a byte of a file; a header that claims more is believed when they come
)


def read(path):
    """Read a sound file: (audio float32 (channels, samples), sr).

    libsndfile decodes WAV, FLAC, OGG, MP3, AIFF...; what it refuses goes to ffmpeg where that is installed (m4a, wma, video).
    A file that breaks off is kept as far as it decodes, with a warning. Integer formats are scaled to -1..1; floats stay.
    Raises InputError, one sentence with the file and the next step, for a folder, a missing or empty file, or no audio.
    """
    path = Path(path)
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        reason = (
            "does not exist"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read ({error.strerror})"
        )
        raise InputError(f"{path} {reason}; check the name") from None
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an audio file in it")
    if empty:
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
    """Reads on without the seek that soundfile makes after every block: in MP3s of varying bitrate it lands elsewhere."""

    def seekable(self):
        return False


class _SaidToBeLonger(io.FileIO):
    """A file that gives its length as a hundred times what it is, and otherwise behaves."""

    at_end = False

    def seek(self, offset, whence=io.SEEK_SET):
        self.at_end = whence == io.SEEK_END
        return super().seek(offset, whence)

    def tell(self):
        return super().tell() * (100 if self.at_end else 1)


def _decode(path):
    """Decode with libsndfile block by block: a header that lies costs no memory, a broken file loses one block at most."""
    with sf.SoundFile(str(path)) as sound:
        guessed = "bitrate mode   : constant" in sound.extra_info
    # An MP3 without a table of contents: libsndfile guesses its length from the first frame and the size of the file and
    # would stop there, after a tenth of the sound if the bitrate varies. With a guess that is too long it reads to the end.
    opened = _SaidToBeLonger(path) if guessed else contextlib.nullcontext(str(path))
    with opened as source, _Forward(source) as sound:
        sr, channels, claimed, decoded, broken = (
            sound.samplerate,
            sound.channels,
            sound.frames,
            0,
            False,
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


def _log_tells_of_break(log):
    """True if libsndfile's log of a file says that sound is missing: a size beyond the file."""
    for claimed, present in re.findall(
        r"^(?!RIFF|FORM).*: (\d+) \(should be (\d+)\)$", log, flags=re.MULTILINE
    ):
        # recorders that write to a pipe put a number just below 2 or 4 GiB for "unknown"; such a file is whole
        unknown = any(limit - 2**16 <= int(claimed) < limit for limit in (2**31, 2**32))
        if int(claimed) > int(present) and not unknown:
            return True
    return False


def _ogg_breaks_off(path):
    """True unless an Ogg file ends with a whole page that is marked as the last (libsndfile's log also blames sound files)."""
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - 2**17))  # a page has 64 KiB at most
        tail = stream.read()
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    if len(page) < 27 or not page[5] & 4:
        return True
    header = 27 + page[26]
    return len(page) < header + sum(page[27:header])


def _decode_with_ffmpeg(path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise InputError(
            f"{path} is in no format that libsndfile reads; install ffmpeg and try again, or export it as WAV or FLAC"
        )
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "decoded.wav"
        # the file: prefix keeps names such as "concat:x" names
        command = [
            ffmpeg,
            "-v",
            "error",
            "-nostdin",
            "-protocol_whitelist",
            "file",
            "-i",
            f"file:{path}",
        ]
        done = subprocess.run(
            [*command, "-map", "0:a:0", "-c:a", "pcm_f32le", str(wav)], capture_output=True
        )
        if not wav.exists() or wav.stat().st_size == 0:
            raise InputError(
                f"{path} holds no audio that libsndfile or ffmpeg can decode; export it as WAV or FLAC"
            )
        if done.returncode or done.stderr:
            warnings.warn(f"{path} is damaged: what ffmpeg could decode is used", stacklevel=4)
        with sf.SoundFile(str(wav)) as sound:
            return sound.read(dtype="float32", always_2d=True).T.copy(), sound.samplerate


def write(path, audio, sr):
    """Write (channels, samples) or (samples,) as 32-bit float WAV: no clipping, no rescaling; complete or absent."""
    audio = np.atleast_2d(np.asarray(audio, dtype=np.float32))
    layout = "RF64" if audio.nbytes > 4e9 else "WAV"  # plain WAV cannot count beyond 4 GiB
    with files.complete_or_absent(path) as temporary:
        try:
            with sf.SoundFile(
                str(temporary), "w", int(sr), len(audio), format=layout, subtype="FLOAT"
            ) as sound:
                for start in range(
                    0, audio.shape[1], 2**20
                ):  # in pieces, since libsndfile wants its own copy
                    sound.write(audio[:, start : start + 2**20].T)
        except sf.SoundFileError as error:  # a full disk, which libsndfile calls a system error
            raise OSError(str(error)) from None

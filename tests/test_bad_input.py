"""Difficult, broken and unreadable files through the commands, with the real methods.

Whatever decodes gives complete and finite results; whatever does not gives exit status 2, one line
that names the file and the next step, and no file at all. Where the sound itself is difficult the
method runs all its updates; where only the file is, two of them.
"""

import functools
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from melodylab import api, cli, sfnmf

SR = 22050
COMMANDS = ("melody", "separate", "drums")
STEMS = {"separate": ("stems", ("melody", "accompaniment")), "drums": ("drums", api.DRUM_CLASSES)}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def two_updates(monkeypatch):
    settings = sfnmf.Settings(iterations=2)
    quick = functools.partial(api.separate_pieces, settings=settings)
    monkeypatch.setattr(api, "separate_pieces", quick)


def run(*arguments):
    result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for line in result.stderr.splitlines():
        assert line.startswith("melodylab: ")
    return result


def found(folder="."):
    return {p.as_posix() for p in Path(folder).rglob("*") if p.is_file()}


def voice(seconds=0.5, sr=SR, channels=1):
    """(samples, channels): ten harmonics of 220 Hz, another loudness in each channel."""
    t = np.arange(round(seconds * sr)) / sr
    y = sum(np.sin(2 * np.pi * 220 * h * t) / h for h in range(1, 11)) * 0.1
    return np.stack([y / (c + 1) for c in range(channels)], axis=1)


def wav(y, sr=SR, subtype="FLOAT"):
    return lambda path: sf.write(path, y, sr, subtype=subtype, format="WAV")


def encoded(**options):
    return lambda path: sf.write(path, voice(), SR, **options)


def cut(write, keep):
    """The file that `write` makes, broken off after a share of its bytes."""

    def write_part(path):
        write(path)
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[: int(len(data) * keep)])

    return write_part


def raw(data):
    return lambda path: Path(path).write_bytes(data)


def claims_4_gb(path):
    body = (voice() * 32767).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SR, 2 * SR, 2, 16)
    size = 2**32 - 2**20
    sizes = struct.pack("<I", size), struct.pack("<I", size - 36)
    Path(path).write_bytes(b"RIFF" + sizes[0] + b"WAVE" + form + b"data" + sizes[1] + body)


CLICKS = np.zeros(SR // 2)
CLICKS[1000::4000] = 1.0
NOT_FINITE = voice()
NOT_FINITE[100], NOT_FINITE[200], NOT_FINITE[300] = np.nan, np.inf, -np.inf

DIFFICULT_SOUND = {
    "silence.wav": wav(np.zeros(SR)),
    "silence stereo.wav": wav(np.zeros((44100, 2)), 44100),
    "clicks.wav": wav(CLICKS),
    "dc.wav": wav(np.full(SR // 2, 0.5)),
    "nan.wav": wav(NOT_FINITE),
    "only nan.wav": wav(np.full(5000, np.nan)),
    "very loud.wav": wav(voice() * 1e6),
    "very soft.wav": wav(voice() * 1e-12),
    "one sample.wav": wav(np.full(1, 0.5)),
    "two samples stereo.wav": wav(np.full((2, 2), 0.5)),
    "30 ms.wav": wav(voice(0.03)),
}
DIFFICULT_FILES = {
    **{
        f"{sr} hz.wav": wav(voice(sr=sr), sr)
        for sr in (8000, 11025, 16000, 44100, 48000, 96000, 192000)
    },
    **{f"{c} channels.wav": wav(voice(channels=c)) for c in (2, 3, 6, 8)},
    **{
        f"{s}.wav": wav(voice(), subtype=s)
        for s in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "DOUBLE", "ULAW")
    },
    "a.flac": encoded(),
    "a.ogg": encoded(),
    "a.opus": lambda path: sf.write(path, voice(sr=48000), 48000, format="OGG", subtype="OPUS"),
    "a.mp3": encoded(),
    "a.aiff": encoded(),
    "a.au": encoded(),
    "mp3 called.wav": encoded(format="MP3"),
    'it\'s a "song" & more.wav': wav(voice()),
    "歌 é ю.wav": wav(voice()),
    "100% {name}.wav": wav(voice()),
    "name.with.dots.wav": wav(voice()),
    "claims 4 GB.wav": claims_4_gb,
}
BROKEN_OFF = {
    "half.wav": cut(wav(voice()), 0.5),
    "half.flac": cut(encoded(), 0.5),
    "half.aiff": cut(encoded(), 0.5),
    "half.ogg": cut(lambda path: sf.write(path, voice(5), SR), 0.6),
    "half.mp3": cut(lambda path: sf.write(path, voice(5), SR), 0.6),
}
M4A = b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + bytes(2000)
UNREADABLE = {
    **{f"empty.{kind}": raw(b"") for kind in ("wav", "mp3", "flac", "ogg", "aiff", "m4a")},
    "text.wav": raw(b"Dear student,\nthis is not a sound.\n" * 50),
    "noise.mp3": raw(np.random.default_rng(0).bytes(300)),
    "no samples.wav": wav(np.zeros((0, 1))),
    "header.wav": cut(wav(voice()), 30 / 44144),
    "header.flac": cut(encoded(), 0.001),
    "header.ogg": cut(encoded(), 0.01),
    "broken.m4a": raw(M4A),
    "a folder.wav": os.mkdir,
    "missing.wav": lambda path: None,
    f"{'long' * 70}.wav": lambda path: None,
}


def check_results(command, name):
    """Results are complete and finite, stems add up to what was read. The melody or first stem."""
    stem = name.rpartition(".")[0]
    if command == "melody":
        rows = np.loadtxt(f"{stem}.melody.csv", delimiter=",", ndmin=2)
        assert np.isfinite(rows).all() and len(rows) >= 1 and np.all(np.diff(rows[:, 0]) > 0)
        return rows[:, 1]
    ending, names = STEMS[command]
    (first, sr), *others = (sf.read(f"{stem}-{ending}/{n}.wav", always_2d=True) for n in names)
    together = first + sum(other for other, _ in others)
    y, input_sr = sf.read(name, always_2d=True) if name not in BROKEN_OFF else (together, sr)
    y = np.where(np.isfinite(y), y, 0)
    assert {first.shape, y.shape} == {other.shape for other, _ in others} | {
        first.shape
    } and sr == input_sr
    np.testing.assert_allclose(together, y, atol=1e-6 * max(1, np.abs(y).max()))
    if command == "drums":
        assert Path(f"{stem}-drums/onsets.csv").read_text().count("# time_s,class,velocity")
        assert Path(f"{stem}-drums/drums.mid").is_file()
    return first


def check_remarks(name, errors, something_found):
    """A line for samples that are no numbers, one where nothing was found, and no other."""
    remarks = [line for line in errors.splitlines() if "NaN" not in line]
    assert ("NaN" in errors) == ("nan" in name) and len(remarks) <= 1
    if "silence" in name or name == "only nan.wav":
        assert f"{name} is silent" in remarks[0]
    elif not something_found:
        assert f"{name}: no" in remarks[0]


@pytest.mark.parametrize("name", DIFFICULT_SOUND)
@pytest.mark.parametrize("command", COMMANDS)
def test_difficult_sound(command, name):
    DIFFICULT_SOUND[name](name)
    result = run(command, name)
    assert result.exit_code == 0, result.stderr
    values = check_results(command, name)
    check_remarks(name, result.stderr, bool(np.any(values > 0)) or command == "drums")
    if "silence" in name or name == "only nan.wav":
        assert np.all(values <= 0), "silence has no voiced frame and no sound in a stem"


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFICULT_SOUND)
@pytest.mark.parametrize(
    "method", ["sf-crnn-1", "deep-salience"]
)  # both kinds of network and of front end
def test_difficult_sound_for_networks(method, name, random_weights):
    DIFFICULT_SOUND[name](name)
    result = run("melody", name, "--method", method)
    assert result.exit_code == 0, result.stderr
    values = check_results("melody", name)
    check_remarks(name, result.stderr, bool(np.any(values > 0)))
    if "silence" in name or name == "only nan.wav":
        assert np.all(values <= 0), "silence has no voiced frame"


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFICULT_FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_difficult_files(command, name, two_updates):
    DIFFICULT_FILES[name](name)
    result = run(command, name)
    assert result.exit_code == 0, result.stderr
    check_results(command, name)
    if name != "claims 4 GB.wav":
        assert "warning" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN_OFF)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_decodes_of_a_broken_file_is_kept(command, name, two_updates):
    BROKEN_OFF[name](name)
    result = run(command, name)
    assert result.exit_code == 0, result.stderr
    assert len(check_results(command, name)) > 5
    if name != "half.mp3":  # an MP3 is a row of frames: nothing in it says how many there were
        assert (
            sum("warning" in line for line in result.stderr.splitlines()) == 1
            and name in result.stderr
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("command", COMMANDS)
def test_unreadable(command, name):
    UNREADABLE[name](name)
    before = found()
    result = run(command, name)
    assert result.exit_code == 2 and result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert name in line and ";" in line, "the file, and after a semicolon the next step"
    assert "fault in melodylab" not in line
    assert found() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_phone_recording_without_ffmpeg(command, monkeypatch):
    Path("phone.m4a").write_bytes(M4A)
    monkeypatch.setenv("PATH", "")
    result = run(command, "phone.m4a")
    assert result.exit_code == 2 and found() == {"phone.m4a"}
    (line,) = result.stderr.splitlines()
    assert "phone.m4a" in line and "install ffmpeg" in line


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_phone_recording_with_ffmpeg(command, two_updates):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    sf.write("a.wav", voice(1), SR)
    subprocess.run(["ffmpeg", "-v", "error", "-i", "a.wav", "phone.m4a"], check=True)
    result = run(command, "phone.m4a")
    assert result.exit_code == 0 and "warning" not in result.stderr
    assert found() > {"a.wav", "phone.m4a"}


@pytest.mark.parametrize("out", ["a.wav/below", "a.wav/below/line.csv"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written(command, out):
    wav(voice())("a.wav")
    before = Path("a.wav").read_bytes()
    result = run(command, "a.wav", "--out", out)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "a.wav" in result.stderr and ";" in result.stderr
    assert found() == {"a.wav"} and Path("a.wav").read_bytes() == before


def test_an_output_that_is_a_folder_already():
    wav(voice())("a.wav")
    for folder in ("line.csv/x", "stems/accompaniment.wav"):
        Path(folder).mkdir(parents=True)
    for command, out in (("melody", "a.melody.csv"), ("separate", "stems")):
        Path("a.melody.csv").mkdir(exist_ok=True)
        result = run(command, "a.wav", *(["--out", out] if command == "separate" else []))
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert found() == {"a.wav"}


def own_process(*arguments, **options):
    root = Path(cli.__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "melodylab.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_in_the_middle(command, rng):
    y = rng.standard_normal(SR * 120) * 0.1
    y[0] = np.nan  # its warning tells when reading is over and the long part begins
    wav(y)("long.wav")
    # a test run in the background would hand on that Ctrl-C is to be ignored
    process = own_process(
        command, "long.wav", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    assert "warning" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and output == ""
    assert len(errors.splitlines()) == 1 and errors.startswith("melodylab: stopped")
    assert found() == {"long.wav"}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the limit is set the POSIX way")
@pytest.mark.parametrize(
    "command, limit_bytes", [("melody", 500), ("separate", 30_000), ("drums", 30_000)]
)
def test_a_full_disk(command, limit_bytes):
    import resource

    wav(voice())("a.wav")  # 44 kB a stem; the limit breaks off the writing

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    process = own_process(command, "a.wav", preexec_fn=limit)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and output == ""
    assert len(errors.splitlines()) == 1 and "cannot write" in errors
    assert found() == {"a.wav"}

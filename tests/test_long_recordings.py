"""Recordings too long for memory: they lie in a temporary file, and nothing else changes."""

import mmap
import tempfile

import numpy as np
import pytest
import soundfile as sf
import torch

import melodylab as ml
from melodylab.dsp import mixing, stretches
from melodylab.io import audio, decoding
from melodylab.models import harmonic_crnn, run, unet
from melodylab.records import Features, Song

SR = 22050


@pytest.fixture
def recording(tmp_path, rng):
    """A stereo file of 6 s, of which 2 s oppose each other, and what is in it."""
    y = 0.1 * rng.standard_normal((2, 6 * SR)).astype(np.float32)
    y[1, 2 * SR : 4 * SR] = -y[0, 2 * SR : 4 * SR]
    sf.write(tmp_path / "long.wav", y.T, SR, subtype="FLOAT")
    return tmp_path / "long.wav", y


@pytest.fixture
def long(monkeypatch):
    """From here on 60,000 bytes are too long for memory, and stretches are short."""
    monkeypatch.setattr(decoding, "_IN_MEMORY_BYTES", 60_000)


def lies_in(array):
    """What holds an array's numbers."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array


def test_a_long_recording_is_mapped_and_its_song_the_same(recording, long):
    path, y = recording
    song, whole = ml.load_song(path), Song.from_array(y, SR)
    assert isinstance(lies_in(song.audio), mmap.mmap) and not song.audio.flags.writeable
    np.testing.assert_array_equal(song.audio, y)
    assert song.sha256 == whole.sha256
    np.testing.assert_array_equal(song.mono, whole.mono)
    assert np.abs(song.mono[2 * SR + 2048 : 4 * SR - 2048]).max() > 0.1  # nothing cancelled
    np.testing.assert_array_equal(song.excerpt(1, 2).audio, y[:, SR : 2 * SR])
    for name, stem in ml.separate(song, "unet").items():
        np.testing.assert_array_equal(stem, ml.separate(whole, "unet")[name], name)


def test_a_short_recording_lies_in_memory(recording):
    assert lies_in(audio.read(recording[0])[0]) is None


@pytest.mark.parametrize("error", ["no place", "no room"])
def test_without_room_on_the_disk_it_lies_in_memory(recording, long, monkeypatch, error):
    path, y = recording

    class Full:
        """A file that takes two blocks and then no more."""

        def __init__(self, **how):
            if error == "no place":
                raise FileNotFoundError("no usable temporary directory")
            self.file, self.room = original(**how), 2

        def fileno(self):
            self.room -= 1
            if self.room < 0:
                self.room = 9
                raise OSError(28, "No space left on device")
            return self.file.fileno()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    original = tempfile.TemporaryFile
    monkeypatch.setattr(decoding.tempfile, "TemporaryFile", Full)
    read, sr = audio.read(path)
    assert lies_in(read) is None and sr == SR
    np.testing.assert_array_equal(read, y)


def test_letting_go_loses_nothing(tmp_path):
    np.arange(3000, dtype=np.float32).tofile(tmp_path / "numbers")
    for mode in ("r", "c", "r+"):
        mapped = np.memmap(tmp_path / "numbers", np.float32, mode, shape=(1500, 2)).T
        if mode != "r":
            mapped[0, 7] = -1
        expected = mapped.copy()
        parts = [part.copy() for _, part in stretches.stretches(mapped, samples=700)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)
        np.testing.assert_array_equal(mapped, expected)
    assert [start for start, _ in stretches.stretches(np.zeros((2, 1500)), samples=700)] == [
        0,
        700,
        1400,
    ]


def test_the_mix_does_not_depend_on_how_it_is_read(recording, monkeypatch):
    _, y = recording
    whole = mixing.mix_down(y)
    monkeypatch.setattr(stretches.stretches, "__kwdefaults__", {"samples": 1000})
    np.testing.assert_allclose(mixing.mix_down(y), whole, rtol=0, atol=1e-7)


def test_a_mask_is_shown_the_mirrored_ends(monkeypatch):
    """Block by block the network sees what it would see of the whole picture."""
    model = unet.UNet(channels=(2, 2, 2, 2), units=4)
    n = 37
    values = np.random.default_rng(1).random((2, 312, n), np.float32)
    heard = Features(values, harmonic_crnn.SPECTRA.freqs_hz, np.arange(n) * 0.02, "spectra")
    f0_hz = np.where(np.arange(n) < 20, 220.0, np.nan)
    melody = ml.Melody(heard.times_s, f0_hz, np.isfinite(f0_hz).astype(float))
    seen = []

    def forward(x):
        seen.append(x.numpy())
        return torch.zeros(len(x), 313, x.shape[3])

    monkeypatch.setattr(model, "forward", forward)
    run.mask(model, heard, melody)
    whole = np.concatenate([values, unet.lead_picture(melody.sung_hz)])
    whole = np.pad(whole, ((0, 0), (0, 0), (6, 6)), mode="symmetric")
    whole = np.pad(whole, ((0, 0), (0, 0), (10, 10)))
    np.testing.assert_array_equal(seen[0][0, :, :, : n + 32], whole)

"""Sound in and out: planted tones through every format, damage that is told, refusals that help."""

import os
import shutil
import struct
import subprocess
import time
import warnings

import librosa
import numpy as np
import pytest
import soundfile as sf

from melodylab.dsp import stft
from melodylab.errors import InputError
from melodylab.io import audio

SR = 22050
LEVELS = np.array([0.5, 0.25])  # of the two channels of every planted file


def tone(seconds=3.0, sr=SR, f_hz=440.0):
    return np.sin(2 * np.pi * f_hz * np.arange(round(seconds * sr)) / sr)


def planted(seconds=3.0, sr=SR):
    """(2, samples): the same tone, the right channel half as loud."""
    return LEVELS[:, None] * tone(seconds, sr)


def levels_and_pitch(y, sr, margin_s=0.1):
    """Amplitude of each channel (from its RMS), frequency of the strongest line; ends left out."""
    y = y[:, round(margin_s * sr) : -round(margin_s * sr)]
    spectrum = np.abs(np.fft.rfft(y[0] * np.hanning(y.shape[1])))
    return np.sqrt(2 * np.mean(y**2, axis=1)), np.argmax(spectrum) * sr / y.shape[1]


FORMATS = [  # name, format, subtype, rate, largest error of the level (lossy ones may err a little)
    ("u8.wav", "WAV", "PCM_U8", SR, 0.01),
    ("16.wav", "WAV", "PCM_16", SR, 1e-4),
    ("24.wav", "WAV", "PCM_24", SR, 1e-4),
    ("32.wav", "WAV", "PCM_32", SR, 1e-4),
    ("float.wav", "WAV", "FLOAT", SR, 1e-4),
    ("double.wav", "WAV", "DOUBLE", SR, 1e-4),
    ("extensible.wav", "WAVEX", "PCM_24", SR, 1e-4),
    ("large.wav", "RF64", "PCM_16", SR, 1e-4),
    ("a.flac", "FLAC", "PCM_16", SR, 1e-4),
    ("a.ogg", "OGG", "VORBIS", SR, 0.02),
    ("opus.ogg", "OGG", "OPUS", 48000, 0.02),
    ("a.mp3", "MP3", "MPEG_LAYER_III", SR, 0.02),
    ("a.aiff", "AIFF", "PCM_16", SR, 1e-4),
]


@pytest.mark.parametrize(
    ("name", "layout", "subtype", "sr", "tolerance"), FORMATS, ids=[f[0] for f in FORMATS]
)
def test_every_format_gives_the_planted_tone_at_its_level(
    tmp_path, name, layout, subtype, sr, tolerance
):
    sf.write(tmp_path / name, planted(sr=sr).T, sr, format=layout, subtype=subtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a whole file gives no warning
        y, rate = audio.read(tmp_path / name)
    assert (y.dtype, y.shape, rate) == (np.float32, (2, 3 * sr), sr)
    levels, f_hz = levels_and_pitch(y, rate)
    np.testing.assert_allclose(levels, LEVELS, atol=tolerance)
    assert abs(f_hz - 440) < 1


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_one_to_eight_channels_keep_their_order(tmp_path, channels, suffix):
    sf.write(
        tmp_path / f"a{suffix}", (np.arange(1, channels + 1)[:, None] / 10 * np.ones(100)).T, SR
    )
    y, _ = audio.read(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(y[:, 0], np.arange(1, channels + 1) / 10, atol=1e-4)
    assert y.shape == (channels, 100) and y.flags.c_contiguous


def test_float_files_beyond_full_scale_are_not_rescaled(tmp_path):
    sf.write(tmp_path / "loud.wav", np.array([3.0, -2.5]), SR, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(tmp_path / "loud.wav")[0], [[3.0, -2.5]])


CUT = [
    ("16.wav", 0.5),
    ("float.wav", 0.5),
    ("large.wav", 0.5),
    ("a.aiff", 0.5),
    ("a.flac", 0.5),
    ("a.mp3", 0.5),
    ("a.ogg", 0.9),
]


@pytest.mark.parametrize(("name", "share"), CUT, ids=[name for name, _ in CUT])
def test_a_file_that_breaks_off_warns_and_keeps_what_decodes(tmp_path, name, share):
    layout, subtype = next((f, s) for n, f, s, *_ in FORMATS if n == name)
    whole, cut = tmp_path / "whole", tmp_path / name
    sf.write(whole, planted().T, SR, format=layout, subtype=subtype)
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.warns(UserWarning, match=rf"{name} breaks off: \d\.\d\d s") as told:
        y, sr = audio.read(cut)
    assert len(told) == 1
    assert 0.8 * share < y.shape[1] / (3 * SR) < 1.05 * share
    levels, f_hz = levels_and_pitch(y, sr)
    np.testing.assert_allclose(levels, LEVELS, atol=0.02)
    assert abs(f_hz - 440) < 1


def wav_with_sizes(path, riff_bytes, data_bytes):
    """A whole WAV file whose header gives other sizes."""
    sf.write(path, planted().T, SR, subtype="PCM_16")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data")
    raw[4:8], raw[at + 4 : at + 8] = struct.pack("<I", riff_bytes), struct.pack("<I", data_bytes)
    path.write_bytes(raw)


def test_a_header_that_claims_4_gb_costs_no_memory(tmp_path):
    import tracemalloc

    wav_with_sizes(tmp_path / "lie.wav", 4_000_000_036, 4_000_000_000)
    tracemalloc.start()
    with pytest.warns(UserWarning, match="breaks off: 3.00 s"):
        y, _ = audio.read(tmp_path / "lie.wav")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert y.shape == (2, 3 * SR)
    assert peak_bytes < 10e6


@pytest.mark.parametrize("placeholder", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_recording_made_through_a_pipe_is_whole_though_its_size_says_unknown(
    tmp_path, placeholder
):
    wav_with_sizes(tmp_path / "piped.wav", placeholder, placeholder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert audio.read(tmp_path / "piped.wav")[0].shape == (2, 3 * SR)


def test_a_wrong_outer_size_alone_is_no_damage(tmp_path):
    wav_with_sizes(tmp_path / "odd.wav", 10**6, planted().size * 2)  # 16 bits a sample
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert audio.read(tmp_path / "odd.wav")[0].shape == (2, 3 * SR)


def without_sizes(path, riff_bytes, tail=b""):
    """A WAV whose recorder died: the size of its data is 0, the samples are there."""
    wav_with_sizes(path, riff_bytes, 0)
    path.write_bytes(path.read_bytes() + tail)


@pytest.mark.parametrize("riff_bytes", [0, 36, 4088])
@pytest.mark.parametrize("tail", [b"", bytes([1, 2, 3])], ids=["whole", "torn"])
def test_a_recorder_that_died_leaves_all_its_samples(tmp_path, monkeypatch, riff_bytes, tail):
    monkeypatch.setenv("PATH", "")  # no ffmpeg needed
    without_sizes(tmp_path / "died.wav", riff_bytes, tail)
    with pytest.warns(UserWarning, match=r"died.wav breaks off: 3.00 s"):
        y, sr = audio.read(tmp_path / "died.wav")
    assert y.shape == (2, 3 * SR) and sr == SR
    levels, f_hz = levels_and_pitch(y, sr)
    np.testing.assert_allclose(levels, LEVELS, atol=1e-3)
    assert abs(f_hz - 440) < 1


def test_an_empty_recording_is_no_broken_one(tmp_path):
    sf.write(tmp_path / "none.wav", np.zeros((0, 2)), SR, subtype="PCM_16")
    raw = (tmp_path / "none.wav").read_bytes()
    (tmp_path / "none.wav").write_bytes(raw + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(InputError, match="none.wav holds no audio"):
        audio.read(tmp_path / "none.wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_refused_with_the_way_out(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="pipe.wav is a pipe; save it to a file first"):
        audio.read(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="is no regular file; save its sound"):
        audio.read(os.devnull)


def test_a_video_without_sound_is_told_as_that(tmp_path):
    made = tmp_path / "silent.mp4"
    with_ffmpeg("-f", "lavfi", "-i", "color=size=16x16:duration=0.2", made)
    with pytest.raises(InputError, match="silent.mp4 has pictures but no sound; choose"):
        audio.read(made)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["WAV", "RF64"])
def test_the_same_samples_make_the_same_file(tmp_path, monkeypatch, layout):
    if layout == "RF64":
        monkeypatch.setattr(audio, "_MOST_WAV_BYTES", 0)
    audio.write(tmp_path / "a.wav", planted(), SR)
    time.sleep(1.1)  # libsndfile's clock counts seconds
    audio.write(tmp_path / "b.wav", planted(), SR)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert (tmp_path / "a.wav").read_bytes()[:4] == (b"RIFF" if layout == "WAV" else b"RF64")
    np.testing.assert_array_equal(audio.read(tmp_path / "b.wav")[0], planted().astype(np.float32))


def test_an_mp3_of_varying_bitrate_is_read_straight_through(tmp_path, rng):
    # noise bursts make the bitrate vary; the reader works in blocks: compare with one read
    y = np.where(np.arange(12 * SR) // SR % 2, 0.3 * rng.standard_normal(12 * SR), 0.1 * tone(12.0))
    sf.write(tmp_path / "vbr.mp3", y, SR, bitrate_mode="VARIABLE", compression_level=0.5)
    whole, _ = sf.read(tmp_path / "vbr.mp3", dtype="float32", always_2d=True)
    np.testing.assert_allclose(audio.read(tmp_path / "vbr.mp3")[0], whole.T, atol=1e-6)


def with_ffmpeg(*arguments):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    subprocess.run([ffmpeg, "-v", "error", "-y", *map(str, arguments)], check=True)


def test_an_mp3_without_table_of_contents_is_read_to_its_end(tmp_path):
    sf.write(tmp_path / "a.wav", planted().T, SR)
    with_ffmpeg("-i", tmp_path / "a.wav", "-q:a", "4", "-write_xing", "0", tmp_path / "a.mp3")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, sr = audio.read(tmp_path / "a.mp3")
    assert 3.0 <= y.shape[1] / sr < 3.1
    np.testing.assert_allclose(levels_and_pitch(y, sr)[0], LEVELS, atol=0.02)


def test_a_flac_of_unknown_length_is_read_to_its_last_sample(tmp_path):
    sf.write(tmp_path / "a.flac", planted().T, SR)
    raw = bytearray((tmp_path / "a.flac").read_bytes())
    raw[21] &= 0xF0  # the 36-bit count of samples in the STREAMINFO block: 0 means unknown
    raw[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert audio.read(tmp_path / "a.flac")[0].shape == (2, 3 * SR)


def test_m4a_is_read_through_ffmpeg(tmp_path):
    sf.write(tmp_path / "a.wav", planted().T, SR)
    with_ffmpeg("-i", tmp_path / "a.wav", tmp_path / "a.m4a")
    y, sr = audio.read(tmp_path / "a.m4a")
    levels, f_hz = levels_and_pitch(y, sr, margin_s=0.2)
    np.testing.assert_allclose(levels, LEVELS, atol=0.02)
    assert (
        (sr, y.dtype) == (SR, np.float32) and abs(f_hz - 440) < 1 and abs(y.shape[1] / sr - 3) < 0.2
    )


def test_m4a_without_ffmpeg_is_refused_with_the_next_step(tmp_path, monkeypatch):
    sf.write(tmp_path / "a.wav", planted().T, SR)
    with_ffmpeg("-i", tmp_path / "a.wav", tmp_path / "a.m4a")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"a\.m4a .*install ffmpeg"):
        audio.read(tmp_path / "a.m4a")


@pytest.mark.parametrize("path_is_empty", [False, True], ids=["as installed", "without ffmpeg"])
def test_text_with_the_name_of_a_sound_is_refused(tmp_path, monkeypatch, path_is_empty):
    if path_is_empty:
        monkeypatch.setenv("PATH", "")
    (tmp_path / "notes.wav").write_text("these are words, not samples\n" * 100)
    with pytest.raises(InputError, match=r"notes\.wav .*(export it as WAV or FLAC)"):
        audio.read(tmp_path / "notes.wav")


def test_a_folder_a_missing_and_an_empty_file_are_refused_by_name(tmp_path):
    (tmp_path / "empty.wav").touch()
    for path, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "no.wav", "does not exist"),
        (tmp_path / "empty.wav", "is empty"),
    ]:
        with pytest.raises(InputError, match=words) as refusal:
            audio.read(path)
        assert (
            str(path) in str(refusal.value)
            and ";" in str(refusal.value)
            and "\n" not in str(refusal.value)
        )


def test_a_file_of_no_samples_and_a_flac_cut_inside_its_first_frame_are_refused(tmp_path):
    sf.write(tmp_path / "none.wav", np.zeros((0, 2)), SR)
    sf.write(tmp_path / "a.flac", planted().T, SR)
    (tmp_path / "stub.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:200])
    for name in ("none.wav", "stub.flac"):
        with warnings.catch_warnings(), pytest.raises(InputError, match=f"{name} holds no audio"):
            warnings.simplefilter("error")  # the refusal is enough
            audio.read(tmp_path / name)


@pytest.mark.parametrize("shape", [(1000,), (1, 1000), (2, 1000), (8, 1000)])
def test_what_is_written_is_read_back_bit_for_bit(tmp_path, rng, shape):
    y = (3 * rng.standard_normal(shape)).astype(np.float32)
    audio.write(tmp_path / "new" / "y.wav", y, 44100)
    back, sr = audio.read(tmp_path / "new" / "y.wav")
    assert sr == 44100 and sf.info(tmp_path / "new" / "y.wav").subtype == "FLOAT"
    np.testing.assert_array_equal(back, np.atleast_2d(y))


@pytest.mark.parametrize("sr_to", [8000, 22050, 44100, 48000, 192000])
def test_resampling_keeps_pitch_level_and_place(sr_to):
    y = planted(1.0, 32000).astype(np.float32)
    z = stft.resample(y, 32000, sr_to)
    assert z.dtype == np.float32 and z.shape == (2, sr_to)
    levels, f_hz = levels_and_pitch(z, sr_to)
    np.testing.assert_allclose(levels, LEVELS, atol=1e-3)
    middle = slice(sr_to // 4, sr_to // 2)
    np.testing.assert_allclose(
        z[0, middle], planted(1.0, sr_to)[0, middle], atol=2e-3
    )  # not a sample late


def test_resampling_to_the_same_rate_changes_nothing(rng):
    y = rng.standard_normal((2, 100)).astype(np.float32)
    np.testing.assert_array_equal(stft.resample(y, 44100, 44100), y)


@pytest.mark.parametrize("samples", [1, 100, 22050])
@pytest.mark.parametrize(("length", "hop"), [(1024, 256), (1024, 512), (2048, 128), (768, 192)])
def test_the_inverse_transform_gives_the_sound_back(rng, samples, length, hop):
    y = rng.standard_normal((2, samples)).astype(np.float32)
    for window in (stft.sine_window(length), np.hanning(length + 1)[:-1]):
        spectra = stft.stft(y, window=window, hop_samples=hop)
        assert (
            spectra.shape == (2, length // 2 + 1, stft.n_frames(samples, hop))
            and spectra.dtype == np.complex64
        )
        back = stft.istft(spectra, window=window, hop_samples=hop, samples=samples)
        covered = samples - samples % hop
        np.testing.assert_allclose(back[:, :covered], y[:, :covered], atol=1e-5)
        np.testing.assert_allclose(
            back, y, atol=1e-3
        )  # behind the last centre the window fades, rounding errors grow


@pytest.mark.parametrize(
    ("first", "frames"), [(0, 5), (7, 11), (80, 7), (86, 1), (86, 20), (200, 3)]
)
def test_a_block_equals_the_same_columns_of_the_whole(rng, first, frames):
    y = rng.standard_normal(22050).astype(np.float32)
    window = stft.sine_window(1024)
    whole = stft.stft(
        np.pad(y, (0, 256 * 300)), window=window, hop_samples=256
    )  # zeros behind: frames beyond the end
    block = stft.stft(y, window=window, hop_samples=256, first_frame=first, frames=frames)
    np.testing.assert_allclose(block, whole[:, first : first + frames], atol=1e-5)


def test_frames_are_centred_on_multiples_of_the_hop():
    y = np.zeros(5000, dtype=np.float32)
    y[7 * 256] = 1
    energy = np.abs(stft.stft(y, window=stft.sine_window(1024), hop_samples=256)[0])
    assert np.argmax(energy) == 7
    np.testing.assert_allclose(
        energy[5:10], [0, 2**-0.5, 1, 2**-0.5, 0], atol=1e-6
    )  # the window around its middle


@pytest.mark.parametrize("shape", [(1,), (999,), (2, 44_101), (3, 8_000)])
def test_resampling_gives_the_samples_of_librosa(shape):
    y = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for to_sr in (8_000, 22_050, 48_000):
        expected = librosa.resample(y, orig_sr=44_100, target_sr=to_sr, res_type="soxr_hq")
        np.testing.assert_array_equal(stft.resample(y, 44_100, to_sr), expected)

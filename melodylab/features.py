"""Four pictures of a sound: power spectrogram, mel, constant-Q (CQT) and harmonic constant-Q (HCQT). librosa does the work.

Conventions: a `Song` of any rate, length and channel count goes in; its mono mix is resampled to the working rate `sr`.
A `Features` record comes out: values float32 (channel, freq, time), centre frequencies in Hz, frame centres in seconds.
Frame n sits at sample `n * hop_samples` of the working rate and there are `1 + samples // hop_samples` frames, so all
pictures of one song with one hop lie exactly on top of each other. Beyond its ends a song is silent.
Silence gives zeros, never NaN. Bins above what the recording holds carry nothing.

Notebook 01_representations explains this module.
"""

import librosa
import numpy as np

from melodylab import audio, grids
from melodylab.files import InputError
from melodylab.records import Features

HARMONICS = (0.5, 1, 2, 3, 4, 5)  # the six layers of an HCQT, in this order
_BLOCK_FRAMES = 2048  # spectra held at a time; the result does not depend on it


def power_spectrogram(song, *, sr=None, win_samples=2048, hop_samples=512, window="hann"):
    """Squared magnitude of the short-time Fourier transform, kind "stft": (1, 1 + win_samples // 2, time), linear in Hz.

    sr: working rate, None keeps the song's own. window: any name that `scipy.signal.get_window` knows.
    Row k lies at k * sr / win_samples Hz. A steady sine of amplitude a gives (a * sum(window) / 2) ** 2 in its row.
    """
    y, sr = _mono_at(song, sr)
    shape = np.asarray(librosa.filters.get_window(window, win_samples), dtype=np.float32)
    frames = audio.n_frames(len(y), hop_samples)
    power = np.empty((1, 1 + win_samples // 2, frames), dtype=np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - first)
        spectra = audio.stft(y, window=shape, hop_samples=hop_samples, first_frame=first, frames=count)
        power[0, :, first : first + count] = spectra.real**2 + spectra.imag**2
    freqs_hz = np.arange(1 + win_samples // 2) * sr / win_samples
    return Features(power, freqs_hz, grids.frame_times_s(frames, hop_samples, sr), "stft")


def mel(song, *, sr=22050, n_mels=128, fmin_hz=0.0, fmax_hz=None, win_samples=2048, hop_samples=512):
    """Power summed in `n_mels` overlapping triangles on the mel scale, kind "mel": (1, n_mels, time).

    Linear below 1 kHz, logarithmic above; each triangle has unit area (librosa's default, Slaney's scale).
    fmax_hz: upper end, None for sr / 2. `freqs_hz` are the tips of the triangles.
    """
    fmax_hz = sr / 2 if fmax_hz is None else fmax_hz
    power = power_spectrogram(song, sr=sr, win_samples=win_samples, hop_samples=hop_samples)
    triangles = librosa.filters.mel(sr=sr, n_fft=win_samples, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz)
    tips_hz = librosa.mel_frequencies(n_mels + 2, fmin=fmin_hz, fmax=fmax_hz)[1:-1]
    return Features((triangles @ power.values[0])[None], tips_hz, power.times_s, "mel")


def cqt(song, *, sr=22050, hop_samples=256, fmin_hz=55.0, bins_per_octave=60, n_bins=301):
    """Magnitude of the constant-Q transform, kind "cqt": (1, n_bins, time), bin k at fmin_hz * 2 ** (k / bins_per_octave).

    The defaults (55 Hz to 1760 Hz, 20 cents a bin) are the grid of the source-filter NMF.
    Raises InputError if the top bin does not fit under sr / 2. A hop with many factors of two is many times faster, because
    low octaves are then computed at lower rates.
    Source: Brown 1991; Schoerkhuber & Klapuri 2010 (the octave-wise computation in librosa).
    """
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    y, sr = _mono_at(song, sr)
    times_s = grids.frame_times_s(audio.n_frames(len(y), hop_samples), hop_samples, sr)
    return Features(_constant_q(y, sr, hop_samples, grid)[None], grid.freqs_hz, times_s, "cqt")


def hcqt(song, *, sr=22050, hop_samples=256, fmin_hz=32.7, bins_per_octave=60, n_bins=360, harmonics=HARMONICS):
    """Harmonic CQT, kind "hcqt": (harmonic, n_bins, time) in 0..1, the input of Deep Salience.

    Layer h is a CQT that starts at h * fmin_hz: row k of every layer belongs to the pitch freqs_hz[k], and a note with that
    pitch is bright in the same row of all layers. Decibels below the loudest cell of all layers of the whole song, cut off
    at 80 dB and scaled: 1 is that cell, 0 is 80 dB below it or silence.
    Source: Bittner et al. 2017.
    """
    grid = grids.PitchGrid(fmin_hz, bins_per_octave, n_bins)
    y, sr = _mono_at(song, sr)
    frames = audio.n_frames(len(y), hop_samples)
    values = np.empty((len(harmonics), n_bins, frames), dtype=np.float32)
    for layer, h in enumerate(harmonics):
        values[layer] = _constant_q(y, sr, hop_samples, grids.PitchGrid(h * fmin_hz, bins_per_octave, n_bins))
    peak = values.max()
    if peak > 0:
        values /= peak
        np.maximum(values, 1e-4, out=values)  # -80 dB
        np.log10(values, out=values)
        values /= 4  # 20 log10(x) / 80
        values += 1
    return Features(values, grid.freqs_hz, grids.frame_times_s(frames, hop_samples, sr), "hcqt")


def _mono_at(song, sr):
    sr = song.sr if sr is None else int(sr)
    return audio.resample(song.mono, song.sr, sr), sr


def _constant_q(y, sr, hop_samples, grid):
    """CQT magnitudes (freq, time) of `1 + len(y) // hop_samples` frames, for any len(y) >= 1."""
    if grid.freqs_hz[-1] * 2 ** (1 / grid.bins_per_octave) > sr / 2:
        raise InputError(
            f"a constant-Q transform up to {grid.freqs_hz[-1]:.0f} Hz needs a working rate above twice that, not {sr} Hz; "
            "raise sr or take fewer bins"
        )
    # The longest filter lasts Q periods of the lowest bin. Each block sees that much sound, or silence, on either side, and
    # some more for the halving of the rate from octave to octave; so blocks fit together and the shortest song has room.
    longest = sr / grid.fmin_hz / (2 ** (1 / grid.bins_per_octave) - 1)
    context_frames = int(2 ** np.ceil(np.log2(longest)) / 2 // hop_samples) + 32
    context = context_frames * hop_samples
    frames = audio.n_frames(len(y), hop_samples)
    magnitude = np.empty((grid.n_bins, frames), dtype=np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - first)
        start, stop = first * hop_samples - context, (first + count) * hop_samples + context
        part = np.pad(y[max(start, 0) : stop], (max(-start, 0), max(stop - len(y), 0)))
        spectra = librosa.cqt(
            part,
            sr=sr,
            hop_length=hop_samples,
            fmin=grid.fmin_hz,
            n_bins=grid.n_bins,
            bins_per_octave=grid.bins_per_octave,
        )
        magnitude[:, first : first + count] = np.abs(spectra[:, context_frames : context_frames + count])
    return magnitude

"""What the networks hear: a `Song` of any rate and length in, `Features` (channel, freq, time) on
their grid out.

    sf        (1, 301, time)  activations H_F0 of source-filter NMF, frames of sum 1; Basaran 2018
    cqt       (1, 301, time)  constant-Q transform in dB below the loudest cell, 0..1; grid as sf
    hcqt      (6, 360, time)  the same for six harmonics at once; Bittner 2017
    cfp       (3, 320, time)  spectrum, its transform's transform, its cepstrum, each 0..1; Yu 2021
    spectra   (2, 312, time)  log-frequency spectra, windows of 186 and 46 ms, as cqt; our own
    mel       (2, 128, time)  mel power of two channels, in multiples of its mean; Sheehan's report
    wave      (1, 160, time)  the waveform in columns of one hop, at an RMS of 0.1; Chen 2019
    drum-mel  (1, 512, time)  mel spectrogram in dB below the loudest cell, 0..1; Koretzky 2021

The first three run at 22,050 Hz with a frame every 256 samples (11.6 ms), spectra with one every
512, cfp at 8 kHz and wave at 16 kHz with one every 10 ms. drum-mel has the rate and the hop of the
first three: 344 frames of the paper at a hop of 512 would be 8 s, but an onset is to be told within
10 ms. Its windows are 46 ms long for the same reason, and padded so that 512 bands find a bin each.
Silent frames are all zero. The release of Basaran 2018 does not say how its CQT was scaled; ours is
scaled like the HCQT.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from melodylab import sfnmf
from melodylab.dsp import cfp, features, grids, levels, stft
from melodylab.errors import InputError
from melodylab.io.songs import as_song
from melodylab.models import crnn, deep_salience, ftanet, harmonic_crnn, multires, unet
from melodylab.models.base import Network
from melodylab.records import Features, Song

_SR, _HOP_SAMPLES = 22050, 256


DRUM_SR = _SR


@dataclass(frozen=True)
class FrontEnd:
    """`front_end(song)` gives Features of `channels` pictures on `grid`. seed: start of the
    source-filter NMF, else unused.

    magnitudes: for a front end that is nothing but these, scaled: the magnitudes (channel, freq,
    time) of a song, so that sounds can be mixed after they were analysed. scale: what makes the
    picture of magnitudes, which it may overwrite, and their peak. grid: of the rows, where one step
    is the same interval everywhere, so that a song moved up by some rows is that song in another
    key; None for mel bands and for a waveform, whose rows are the samples of one hop.
    """

    name: str
    channels: int
    grid: grids.PitchGrid | None
    compute: Callable
    sr: int = _SR
    hop_samples: int = _HOP_SAMPLES
    magnitudes: Callable | None = None
    scale: Callable = features.decibels
    rows: np.ndarray | None = (
        None  # the rows' axis where there is no grid: Hz, or for a waveform the sample in the hop
    )

    @property
    def freqs_hz(self):
        return self.rows if self.grid is None else self.grid.freqs_hz

    def __call__(self, song, *, seed=0):
        song = as_song(song)
        return self.compute(song, seed)


def _sf(song, seed):
    settings = sfnmf.PUBLISHED
    y = sfnmf.working_signal(song.mono, song.sr, settings)
    n_frames = stft.n_frames(len(y), settings.hop_samples)
    shares = np.zeros((1, settings.grid.n_bins, n_frames), dtype=np.float32)
    silent = 2 * settings.n_freqs * settings.floor
    for first, stop, weight, power, factors in sfnmf.analyse(y, settings, seed=seed):
        share = factors.H_F0 / np.maximum(factors.H_F0.sum(axis=0), 1e-20)
        shares[0, :, first:stop] += weight * np.where(power.sum(axis=0) > silent, share, 0)
    times_s = grids.frame_times_s(n_frames, settings.hop_samples, settings.sr)
    return Features(shares, settings.grid.freqs_hz, times_s, "sf", scale="power")


def _hcqt(kind, grid, harmonics):
    def compute(song, seed):
        picture = features.hcqt(
            song,
            sr=_SR,
            hop_samples=_HOP_SAMPLES,
            fmin_hz=grid.fmin_hz,
            bins_per_octave=grid.bins_per_octave,
            n_bins=grid.n_bins,
            harmonics=harmonics,
        )
        return Features(
            picture.values, picture.freqs_hz, picture.times_s, kind, scale=picture.scale
        )

    return compute


def _cfp(song, seed):
    return cfp.cfp(song)


def _magnitudes(song, scaled=False):
    grid = harmonic_crnn.SPECTRA
    return features.log_magnitudes(
        song,
        sr=_SR,
        hop_samples=2 * _HOP_SAMPLES,
        fmin_hz=grid.fmin_hz,
        bins_per_octave=grid.bins_per_octave,
        n_bins=grid.n_bins,
        scaled=scaled,
    )


def _spectra(song, seed):
    return replace(_magnitudes(song, scaled=True), kind="spectra")


def _mel_magnitudes(song):
    made = features.stereo_mel(song)
    return Features(
        np.sqrt(made.values), unet.MEL_HZ, made.times_s, "magnitudes", scale="magnitude"
    )


def _mel_power(magnitudes, peak=None):
    """Their squares in multiples of the mean, so that loudness does not matter.

    The report takes them as they come. What stands out of the song counts less in the mean.
    """
    power = np.square(magnitudes, out=magnitudes)
    mean = power.mean()
    frames = np.sqrt(power.mean(axis=(0, 1)))
    loudest = levels.heard_peak(frames)
    if loudest < frames.max():
        mean = np.mean(np.minimum(frames, loudest) ** 2)
    return np.divide(power, mean, out=power) if mean > 0 else power


def _mel(song, seed):
    made = _mel_magnitudes(song)
    return Features(
        _mel_power(made.values.copy()), made.freqs_hz, made.times_s, "mel", scale="power"
    )


def _wave(song, seed):
    sr, hop_samples = multires.SR, multires.HOP_SAMPLES
    y = stft.resample(song.mono, song.sr, sr)
    n_frames = stft.n_frames(len(y), hop_samples)
    level = _usual_rms(y, hop_samples)
    columns = np.zeros(n_frames * hop_samples, dtype=np.float32)
    part = y[: len(columns) - hop_samples // 2]  # a column lies around its frame's centre
    columns[hop_samples // 2 :][: len(part)] = part * (0.1 / level if level > 1e-9 else 0)
    times_s = grids.frame_times_s(n_frames, hop_samples, sr)
    return Features(
        columns.reshape(1, n_frames, hop_samples).transpose(0, 2, 1),
        np.arange(hop_samples),
        times_s,
        "wave",
        scale="share",
    )


def _usual_rms(y, frame_samples):
    """Root mean square of a sound, in which frames that stand out of it count less."""
    level = np.sqrt(np.mean(np.square(y, dtype=float)))
    starts = np.arange(0, len(y), frame_samples)
    power = np.add.reduceat(np.square(y, dtype=float), starts)
    frames = np.sqrt(power / np.diff(starts, append=len(y)))
    loudest = levels.heard_peak(frames)
    if loudest < frames.max():
        level = np.sqrt(np.mean(np.minimum(frames, loudest) ** 2))
    return level


DRUM_BANDS = 512


_DRUM_WIN_SAMPLES, _DRUM_FFT = 1024, 4096


def drum_mel(song: Song, *, bands: int = DRUM_BANDS, beyond: int = 0) -> Features:
    """Mel spectrogram in dB below the song's loudest cell, for the drum network.

    A cell is the root of the power in a triangle of unit area on the mel scale, 0 to 11,025 Hz.

    Parameters
    ----------
    song : Song
        Any rate, length and channels; silence gives zeros.
    bands : int
        A divisor of 512; fewer bands than 512 are means of neighbouring ones.
    beyond : int
        So many frames more ahead of the song and after it, where it is silent; the windows of
        those next to it reach into it. They have times below 0 and beyond the song's end.

    Returns
    -------
    Features
        (1, bands, time) in 0..1, kind "drum-mel".
    """
    song = as_song(song)
    y = stft.resample(song.mono, song.sr, _SR)
    n_frames = stft.n_frames(len(y), _HOP_SAMPLES) + 2 * beyond
    window = np.zeros(_DRUM_FFT, dtype=np.float32)
    start = (_DRUM_FFT - _DRUM_WIN_SAMPLES) // 2
    window[start : start + _DRUM_WIN_SAMPLES] = np.hanning(_DRUM_WIN_SAMPLES + 1)[:-1]
    triangles, tips_hz = features.mel_triangles(_SR, _DRUM_FFT, DRUM_BANDS)
    values = np.empty((DRUM_BANDS, n_frames), dtype=np.float32)
    for first in range(0, n_frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, n_frames - first)
        spectra = stft.stft(
            y, window=window, hop_samples=_HOP_SAMPLES, first_frame=first - beyond, frames=count
        )
        values[:, first : first + count] = triangles @ (spectra.real**2 + spectra.imag**2)
    values = features.decibels(np.sqrt(values, out=values))
    values = values.reshape(bands, -1, n_frames).mean(axis=1) if bands < DRUM_BANDS else values
    times_s = grids.frame_times_s(n_frames, _HOP_SAMPLES, _SR) - beyond * _HOP_SAMPLES / _SR
    return Features(
        values[None], tips_hz.reshape(bands, -1).mean(axis=1), times_s, "drum-mel", scale="db"
    )


def _drum_mel(song, seed):
    return drum_mel(song)


_BLOCK_FRAMES = 512


_FINE = sfnmf.PUBLISHED.grid


assert _FINE.fmin_hz == crnn.NOTES.fmin_hz  # the class of a semitone and the bin at its centre


FRONT_ENDS = {
    "sf": FrontEnd("sf", 1, _FINE, _sf),
    "cqt": FrontEnd("cqt", 1, _FINE, _hcqt("cqt", _FINE, (1,))),
    "hcqt": FrontEnd(
        "hcqt", 6, deep_salience.BINS, _hcqt("hcqt", deep_salience.BINS, features.HARMONICS)
    ),
    "cfp": FrontEnd("cfp", 3, ftanet.BINS, _cfp, 8000, 80),
    "spectra": FrontEnd(
        "spectra", 2, harmonic_crnn.SPECTRA, _spectra, _SR, 2 * _HOP_SAMPLES, _magnitudes
    ),
    "mel": FrontEnd("mel", 2, None, _mel, 16000, 200, _mel_magnitudes, _mel_power, unet.MEL_HZ),
    "wave": FrontEnd(
        "wave",
        1,
        None,
        _wave,
        multires.SR,
        multires.HOP_SAMPLES,
        rows=np.arange(multires.HOP_SAMPLES),
    ),
    "drum-mel": FrontEnd(
        "drum-mel", 1, None, _drum_mel, rows=features.mel_tips_hz(_SR, DRUM_BANDS)
    ),
}


def heard_by(model: Network, song: Song) -> Features:
    """The picture that a network's own front end makes of a song.

    Parameters
    ----------
    model : Network
        From `models.create_model` or `weights.load_model`.
    song : Song
        Of any rate; silence gives zeros.

    Returns
    -------
    Features
        (channels, rows, frames).

    Raises
    ------
    InputError
        For a network that was made by its class, which does not know its front end.
    """
    if not model.front_end:
        raise InputError(
            "this network does not say what it hears; give its input: "
            "picture=inputs.FRONT_ENDS[...](song)"
        )
    return FRONT_ENDS[model.front_end](song)

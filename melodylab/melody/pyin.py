"""pYIN through librosa: for one voice alone, to show what a second instrument does to it."""

import librosa
import numpy as np

from melodylab.dsp import grids, stft
from melodylab.io.songs import as_song
from melodylab.records import Melody, Song


def extract(
    song: Song, *, hop_samples: int = 256, fmin_hz: float = 55.0, fmax_hz: float = 1760.0
) -> Melody:
    """The melody by librosa's pYIN at 22,050 Hz.

    Parameters
    ----------
    song : Song
        Any rate and channel count.
    hop_samples : int
        From frame to frame.
    fmin_hz, fmax_hz : float
        The range that pitches are looked for in, Hz.

    Returns
    -------
    Melody
        Voiced as its own path decides; silent frames have no pitch.
    """
    song = as_song(song)
    sr = 22050
    y = stft.resample(song.mono, song.sr, sr)
    n_frames = stft.n_frames(len(y), hop_samples)
    padded = np.pad(y, (0, max(0, 4096 - len(y))))  # pYIN needs a few of its own frames
    f0_hz, voiced, probability = librosa.pyin(
        padded,
        fmin=fmin_hz,
        fmax=fmax_hz,
        sr=sr,
        frame_length=2048,
        hop_length=hop_samples,
        fill_na=None,
    )
    f0_hz, voiced, probability = (x[:n_frames] for x in (f0_hz, voiced, probability))
    silent = (
        librosa.feature.rms(y=padded, frame_length=2048, hop_length=hop_samples)[0][:n_frames] == 0
    )
    # its own Viterbi path decides; the probability is put on the side of 0.5 that the path chose
    voicing = np.where(voiced, np.maximum(probability, 0.5), np.minimum(probability, 0.49))
    return Melody(
        grids.frame_times_s(n_frames, hop_samples, sr),
        np.where(silent, np.nan, f0_hz),
        np.where(silent, 0.0, voicing),
    )

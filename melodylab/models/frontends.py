"""What the networks hear: a `Song` of any rate and length in, `Features` (channel, freq, time) on their grid out.

    sf      activations H_F0 of the source-filter NMF, each frame summing to 1    (1, 301, time)   Basaran 2018
    cqt     constant-Q transform in dB below the song's loudest cell, 0..1        (1, 301, time)   same grid as sf
    hcqt    the same for six harmonics at once                                    (6, 360, time)   Bittner 2017

All run at 22,050 Hz with a frame every 256 samples (11.6 ms). Silent frames are all zero.
The release of Basaran 2018 does not say how its CQT was scaled; ours is scaled like the HCQT.
"""

from dataclasses import dataclass
from typing import Callable

import numpy as np

from melodylab import audio, features, grids, sfnmf
from melodylab.models import crnn, deep_salience
from melodylab.records import Features

_SR, _HOP_SAMPLES = 22050, 256


@dataclass(frozen=True)
class FrontEnd:
    """`front_end(song)` gives Features of `channels` pictures on `grid`. seed: start of the source-filter NMF, else unused."""

    name: str
    channels: int
    grid: grids.PitchGrid
    compute: Callable
    sr: int = _SR
    hop_samples: int = _HOP_SAMPLES

    def __call__(self, song, *, seed=0):
        return self.compute(song, seed)


def _sf(song, seed):
    settings = sfnmf.PUBLISHED
    y = sfnmf.working_signal(song.mono, song.sr, settings)
    n_frames = audio.n_frames(len(y), settings.hop_samples)
    shares = np.zeros((1, settings.grid.n_bins, n_frames), dtype=np.float32)
    silent = 2 * settings.n_freqs * settings.floor
    for first, stop, weight, power, factors in sfnmf.analyse(y, settings, seed=seed):
        share = factors.H_F0 / np.maximum(factors.H_F0.sum(axis=0), 1e-20)
        shares[0, :, first:stop] += weight * np.where(power.sum(axis=0) > silent, share, 0)
    times_s = grids.frame_times_s(n_frames, settings.hop_samples, settings.sr)
    return Features(shares, settings.grid.freqs_hz, times_s, "sf")


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
        return Features(picture.values, picture.freqs_hz, picture.times_s, kind)

    return compute


_FINE = sfnmf.PUBLISHED.grid
assert _FINE.fmin_hz == crnn.NOTES.fmin_hz  # the class of a semitone and the bin at its centre
FRONT_ENDS = {
    "sf": FrontEnd("sf", 1, _FINE, _sf),
    "cqt": FrontEnd("cqt", 1, _FINE, _hcqt("cqt", _FINE, (1,))),
    "hcqt": FrontEnd("hcqt", 6, deep_salience.BINS, _hcqt("hcqt", deep_salience.BINS, features.HARMONICS)),
}

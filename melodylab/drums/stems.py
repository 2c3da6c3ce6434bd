"""Wiener masks: five stems, rendered when they are asked for."""

from collections.abc import Mapping

import numpy as np

from melodylab import progress
from melodylab.dsp import stft
from melodylab.records import DRUM_CLASSES as CLASSES

REST = "toms"  # where a song goes in which nothing was hit
_KEEP_BYTES = 2**27  # of rendered stems; those of longer songs are made anew when asked for


class Stems(Mapping):
    """The five stems by name, float32 (channels, samples); made when asked for, kept if short."""

    def __init__(self, song, W, H, owners, power, window, hop):
        self.song, self.W, self.H, self.power, self.window, self.hop = (
            song,
            W,
            H,
            power,
            window,
            hop,
        )
        self.owners, self.made = np.array(owners, dtype=object), {}

    def __len__(self):
        return len(CLASSES)

    def __iter__(self):
        return iter(CLASSES)

    def __getitem__(self, name):
        if name in self.made:
            return self.made[name]
        if name not in CLASSES:
            raise KeyError(name)
        stem = self._rendered(name)
        stem.flags.writeable = False
        if stem.nbytes * len(CLASSES) <= _KEEP_BYTES:
            self.made[name] = stem
        return stem

    def _rendered(self, name, block=1024):
        song, hop, n_frames = self.song, self.hop, self.H.shape[1]
        playing = [kind for kind in CLASSES if self.W[:, self.owners == kind].any()]
        if name not in playing:
            return song.audio.copy() if not playing and name == REST else np.zeros_like(song.audio)
        if len(playing) == 1:
            return song.audio.copy()
        stem = np.zeros_like(song.audio)
        around = len(self.window) // self.hop  # frames on either side that reach into a block
        for first in progress.steps(range(0, n_frames, block), name):
            stop = min(first + block, n_frames)
            a, b = max(first - around, 0), min(stop + around, n_frames)
            spectra = stft.stft(
                song.audio, window=self.window, hop_samples=hop, first_frame=a, frames=b - a
            )
            spectra *= self._share(name, playing, slice(a, b))
            begin, end = first * hop, song.audio.shape[1] if stop == n_frames else stop * hop
            lead = begin - a * hop
            part = stft.istft(spectra, window=self.window, hop_samples=hop, samples=end - a * hop)
            stem[:, begin:end] = part[:, lead : lead + end - begin]
        return stem

    def _share(self, name, playing, frames):
        """Wiener mask of a class, float32 (freq, frames); those of all that play sum to 1."""
        total, mine = 0.0, None
        for kind in playing:
            own = self.owners == kind
            model = self.W[:, own].astype(np.float32) @ self.H[own, frames].astype(np.float32)
            power = (model + np.float32(1e-15)) ** np.float32(self.power)
            total = total + power
            mine = power if kind == name else mine
        return mine / total

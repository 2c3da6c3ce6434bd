"""Several channels into one, without losing what stands in opposite phase on two of them."""

import numpy as np
from scipy import fft

from melodylab.dsp.stretches import let_go, stretches

_HOP_SAMPLES = 1024  # half a window: 46 ms long at 44.1 kHz
_BLOCK_FRAMES = 512  # spectra held at a time, on a grid that starts at frame 0
_CONTEXT = 1  # a cell is judged together with so many frames on either side
_QUIET = 1e-6  # of the mean power: rounding and dither oppose each other, too, and nobody hears it


def mix_down(audio: np.ndarray, along: np.ndarray | None = None) -> np.ndarray:
    """The mean over channels, in which no source cancels because its phase differs between them.

    Channels are added one by one. Where a cell of a channel's short-time spectrum opposes what was
    added so far, that cell is turned over first; so a side that was wired the wrong way round is
    heard, and so is a voice. Where nothing is opposed the result is the plain mean, bit for bit;
    one channel comes back as it is. Silence stays silent.

    Parameters
    ----------
    audio : numpy.ndarray
        (channels, samples), any finite float values; cells are 46 ms wide at 44.1 kHz, of 2,048
        samples at any rate.
    along : numpy.ndarray, optional
        Another sound of that shape, such as a stem, to be mixed by the turns found in `audio`: so
        stems that sum to the song still do.

    Returns
    -------
    numpy.ndarray
        float32 (samples,).
    """
    audio = np.asarray(audio, dtype=np.float32)
    source = audio if along is None else np.asarray(along, dtype=np.float32)
    if len(audio) == 1:
        return source[0]
    mixed = np.empty(source.shape[1], np.float32)
    for start, part in stretches(source):
        part.mean(axis=0, out=mixed[start : start + part.shape[1]])
    if all((part[1:] == part[:1]).all() for _, part in stretches(audio)):
        return mixed
    window = np.sin(np.pi * (np.arange(2 * _HOP_SAMPLES) + 0.5) / (2 * _HOP_SAMPLES))
    window = window.astype(np.float32)
    peak = max(np.float32(1e-30), *(np.abs(part).max() for _, part in stretches(audio)))
    judged = window / peak  # squares stay in range
    power = sum(np.square(part / peak, dtype=float).sum() for _, part in stretches(audio))
    quiet = _QUIET * _HOP_SAMPLES * power / audio.size
    frames = 1 + -(-audio.shape[1] // _HOP_SAMPLES)
    for first in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - first)
        turned = _turned(audio, first, count, judged, quiet)
        if not turned.any():
            continue
        wrong = np.zeros(turned.shape[1:], np.complex64)
        for channel, turn in zip(source, turned, strict=True):
            wrong += turn * _spectra(channel, first, count, window)
        parts = fft.irfft(wrong * np.float32(-2 / len(source)), len(window)) * window
        _overlap(mixed, parts, first)
        let_go(audio)
    return mixed


def _turned(audio, first, count, window, quiet):
    """Where each channel opposes the sum of those before it: bool (channels, frames, frequency).

    Opposed is what would lose three quarters of its power: |a + b|^2 < (|a|^2 + |b|^2) / 2.
    """
    total = _spectra(audio[0], first - _CONTEXT, count + 2 * _CONTEXT, window)
    turned = np.zeros((len(audio), count, total.shape[1]), bool)
    for n, channel in enumerate(audio[1:], start=1):
        spectra = _spectra(channel, first - _CONTEXT, count + 2 * _CONTEXT, window)
        power = _power(total) + _power(spectra)
        kept = 2 * _power(total + spectra) - power
        kept[power < quiet] = 0
        near = kept[: -2 * _CONTEXT].copy()
        for late in range(1, 2 * _CONTEXT + 1):
            near += kept[late : late + count]
        turned[n] = near < 0
        if n + 1 < len(audio):
            turn = np.pad(turned[n], ((_CONTEXT, _CONTEXT), (0, 0)), mode="edge")
            total += np.where(turn, -spectra, spectra)
    return turned


def _power(spectra):
    return spectra.real**2 + spectra.imag**2


def _spectra(y, first, count, window):
    """Spectra (frames, frequency) of frames centred on multiples of half a window; 0 beyond y."""
    hop = len(window) // 2
    start, stop = (first - 1) * hop, (first + count) * hop
    part = y[max(start, 0) : max(stop, 0)]
    part = np.pad(part, (max(-start, 0), stop - max(start, 0) - len(part)))
    cut = np.lib.stride_tricks.sliding_window_view(part, 2 * hop)[::hop]
    return fft.rfft(cut * window)


def _overlap(y, parts, first):
    """Add windowed parts (frames, samples) to y in place, the first centred on frame `first`."""
    hop = parts.shape[1] // 2
    for late in (0, 1):  # every second part meets the next one's end
        row = parts[late::2].ravel()
        start = (first - 1 + late) * hop
        row = row[max(-start, 0) :]
        start = max(start, 0)
        y[start : start + len(row)] += row[: len(y) - start]

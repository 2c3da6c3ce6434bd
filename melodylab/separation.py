"""A lead and its accompaniment as sound.

Conventions: both have the song's rate, channels and length, and sum to the song. A method decides
which share of each time-frequency cell is the lead's; the cell keeps the mixture's phase; the
accompaniment is the exact rest.
"""

from collections.abc import Iterator

import numpy as np
from scipy import signal

from melodylab import progress, sfnmf
from melodylab.dsp import features, grids, stft
from melodylab.dsp.stretches import let_go
from melodylab.io.songs import as_song
from melodylab.records import Mask, Melody, Song


def lead_by_sfnmf(
    song: Song,
    melody: Melody,
    settings: sfnmf.Settings = sfnmf.LED,
    *,
    width_bins: int = 2,
    unvoiced: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """The lead of a song as source-filter NMF finds it along a melody.

    Second pass: H_F0 may be active only near the melody in voiced frames; multiplicative updates
    keep zeros. A tone that never moves fits W_B as well as a comb and mostly stays in the
    accompaniment. Each channel is filtered by its own Wiener share of the lead. What lies above the
    working band is not in the lead.

    Parameters
    ----------
    song : Song
        Any rate and channel count.
    melody : Melody
        What to follow, on any frames.
    settings : Settings
        Of the factorisation.
    width_bins : int
        How far from the melody H_F0 may be active.
    unvoiced : bool
        A white source joins the combs in voiced frames, for breath and consonants, while H_gamma
        stays; it lets cymbals in, too (development songs, true melody: 7.6 dB without, 7.3 with).
    seed : int
        Of the random start.

    Returns
    -------
    numpy.ndarray
        float32 (channels, samples) at the song's own rate; silent where nothing is voiced.

    Notes
    -----
    Source: Durrieu 2011 and his separation code (there: quarter tone).
    """
    song = as_song(song)
    mixed = sfnmf.working_signal(song.audio, song.sr, settings)
    n_samples = mixed.shape[1]
    n_frames = stft.n_frames(n_samples, settings.hop_samples)
    times_s = grids.frame_times_s(n_frames, settings.hop_samples, settings.sr)
    near = sfnmf.near_melody(melody.resampled(times_s), settings.grid, width_bins)
    lead = np.zeros_like(mixed)
    blocks = sfnmf.block_frames(n_frames, settings)
    parts = list(enumerate(zip(blocks, sfnmf.block_weights(blocks), strict=True)))
    for b, ((first, stop), weight) in progress.steps(parts, "taking apart"):
        if not near[:, first:stop].any():
            continue
        spectra = stft.stft(
            mixed,
            window=settings.window,
            hop_samples=settings.hop_samples,
            first_frame=first,
            frames=stop - first,
        )
        share = sfnmf.lead_share(
            np.abs(spectra) ** 2, near[:, first:stop], settings, unvoiced, seed + 1000 * b
        )
        begin, end = first * settings.hop_samples, min(stop * settings.hop_samples, n_samples)
        part = stft.istft(
            spectra * share * weight,
            window=settings.window,
            hop_samples=settings.hop_samples,
            samples=end - begin,
        )
        lead[:, begin:end] += part
    del mixed  # a long song has its peak of memory here, so channels go one by one
    upsampled = np.zeros_like(song.audio)
    for channel, row in zip(lead, upsampled, strict=True):
        channel = stft.resample(channel, settings.sr, song.sr)[: len(row)]
        row[: len(channel)] = channel
    upsampled /= sfnmf.peak_gain(song.audio, song.sr)
    return upsampled


_WINDOW_S = 0.0929  # 2,048 samples at 22,050 Hz
_BLOCK_FRAMES, _CONTEXT_FRAMES = 1000, 4  # a sample hears frames up to two away


def lead_by_mask(song: Song, mask: Mask, gate: np.ndarray | None = None) -> np.ndarray:
    """The lead of a song by a mask on any axes: what `lead_blocks` gives, put together.

    Parameters
    ----------
    song : Song
        Any rate and channel count.
    mask : Mask
        (freq, time) in 0..1.
    gate : numpy.ndarray, optional
        (time,) in 0..1 on the mask's frames, by which it is weighed.

    Returns
    -------
    numpy.ndarray
        float32 (channels, samples) at the song's own rate; silence stays silent.
    """
    song = as_song(song)
    lead = np.zeros_like(song.audio)
    for begin, block in lead_blocks(song, mask, gate):
        lead[:, begin : begin + block.shape[1]] = block
    return lead


def lead_blocks(
    song: Song, mask: Mask, gate: np.ndarray | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """The lead of a song by a mask on any axes, block by block, so that no second song is held.

    The mask is read between its rows and frames, and weighs the spectra of every channel, which
    keep their phases. What lies above its highest row is not in the lead.

    Parameters
    ----------
    song : Song
        Any rate and channel count.
    mask : Mask
        (freq, time) in 0..1.
    gate : numpy.ndarray, optional
        (time,) in 0..1 on the mask's frames, by which it is weighed.

    Yields
    ------
    int
        The block's first sample; blocks follow one another without a gap.
    numpy.ndarray
        float32 (channels, samples of the block) at the song's own rate; silence stays silent.
    """
    song = as_song(song)
    hop_samples = max(round(_WINDOW_S * song.sr / 4), 1)
    window = signal.get_window("hann", 4 * hop_samples).astype(np.float32)
    freqs_hz, samples = np.arange(2 * hop_samples + 1) * song.sr / len(window), song.audio.shape[1]
    rows, row_weights = _between(freqs_hz, mask.freqs_hz)
    row_weights[:, freqs_hz > mask.freqs_hz[-1]] = 0
    n_frames = stft.n_frames(samples, hop_samples)
    for first in progress.steps(range(0, n_frames, _BLOCK_FRAMES), "taking apart"):
        stop = min(first + _BLOCK_FRAMES, n_frames)
        start, end = max(first - _CONTEXT_FRAMES, 0), min(stop + _CONTEXT_FRAMES, n_frames)
        frames, frame_weights = _between(
            grids.frame_times_s(end, hop_samples, song.sr)[start:], mask.times_s
        )
        if gate is not None:
            frame_weights = frame_weights * np.asarray(gate, np.float32)[frames]
        near = sum(
            mask.values[:, frames[k]] * frame_weights[k] for k in (0, 1)
        )  # (rows, frames of the block)
        shares = sum(
            near[rows[k]] * row_weights[k][:, None] for k in (0, 1)
        )  # (freq, frames of the block)
        begin, until = first * hop_samples, min(stop * hop_samples, samples)
        block = np.empty((song.channels, max(until - begin, 0)), np.float32)
        for channel, out in zip(song.audio, block, strict=True):
            spectra = stft.stft(
                channel,
                window=window,
                hop_samples=hop_samples,
                first_frame=start,
                frames=end - start,
            )
            spectra *= shares
            length = min(end * hop_samples, samples) - start * hop_samples
            part = stft.istft(spectra, window=window, hop_samples=hop_samples, samples=length)
            out[:] = part[begin - start * hop_samples :][: until - begin]
        let_go(song.audio)
        yield begin, block


def _between(places, axis):
    """The two entries of a rising axis around each place (2, places), and their weights.

    The ends are held.
    """
    after = np.clip(np.searchsorted(axis, places), 1, max(len(axis) - 1, 1))
    after = np.minimum(after, len(axis) - 1)
    before = np.maximum(after - 1, 0)
    span = np.maximum(axis[after] - axis[before], 1e-12)
    share = np.clip((places - axis[before]) / span, 0, 1).astype(np.float32)
    return np.stack([before, after]), np.stack([1 - share, share])


def sharper(mask: Mask, exponent: float) -> Mask:
    """The mask whose shares stand in the ratio m ** exponent to (1 - m) ** exponent.

    A share of one half stays, and the sharper mask's complement is the sharper complement.

    Parameters
    ----------
    mask : Mask
        (freq, time).
    exponent : float
        1 changes nothing, np.inf makes the mask binary.

    Returns
    -------
    Mask
        On the same axes.
    """
    values = mask.values.astype(float)
    if np.isinf(exponent):
        return Mask(np.heaviside(values - 0.5, 0.5), mask.freqs_hz, mask.times_s)
    ours, others = values**exponent, (1 - values) ** exponent
    return Mask(ours / (ours + others), mask.freqs_hz, mask.times_s)


def by_mel_inversion(
    song: Song, mask: np.ndarray, *, iterations: int = 32, seed: int = 0
) -> dict[str, np.ndarray]:
    """Both stems the way of Sheehan's report, which do not sum to the song.

    mask x mel power is the melody; mixture minus melody, cut off at zero, the accompaniment. Each
    is spread over the bins of a spectrum, gets phases from Griffin-Lim and is resampled. What lies
    above 8 kHz is lost. Notebook 06_unet_masking hears what else.

    Parameters
    ----------
    song : Song
        Any rate and channel count.
    mask : numpy.ndarray
        (2, bands, time), not below zero, on the axes of `features.stereo_mel`.
    iterations : int
        Of Griffin-Lim.
    seed : int
        Of its phases.

    Returns
    -------
    dict
        {"melody", "accompaniment"}: float32 (channels, samples) at the song's rate; silence stays
        silent.
    """
    song = as_song(song)
    sr, win_samples, hop_samples, samples = 16000, 400, 200, song.audio.shape[1]
    power = features.stereo_mel(
        song, sr=sr, win_samples=win_samples, hop_samples=hop_samples
    ).values
    power, mask = (
        x if song.channels == 2 else x[:1] for x in (power, np.asarray(mask, np.float32))
    )  # a mono song is there twice
    melody, window, made = (
        mask * power,
        signal.get_window("hann", win_samples).astype(np.float32),
        {},
    )
    for name, mel in {"melody": melody, "accompaniment": np.maximum(power - melody, 0)}.items():
        magnitudes = features.mel_to_magnitudes(mel, sr=sr, win_samples=win_samples) * window.sum()
        options = {"samples": -(-samples * sr // song.sr), "iterations": iterations, "seed": seed}
        sound = stft.resample(
            stft.griffin_lim(magnitudes, window=window, hop_samples=hop_samples, **options),
            sr,
            song.sr,
        )
        made[name] = np.zeros_like(song.audio)
        made[name][:, : sound.shape[1]] = sound[:, :samples]
    return made


def rest(song: Song, lead: np.ndarray) -> np.ndarray:
    """What is left of the song without the lead: the accompaniment as the exact rest.

    Parameters
    ----------
    song : Song
        Any rate and channel count.
    lead : numpy.ndarray
        (channels, samples) at its rate.

    Returns
    -------
    numpy.ndarray
        float32 (channels, samples).
    """
    return song.audio - lead

"""A lead and its accompaniment as sound.

Conventions: both have the song's rate, channels and length, and sum to the song. A method decides which share of each
time-frequency cell is the lead's; the cell keeps the mixture's phase; the accompaniment is the exact rest.
"""

import numpy as np

from melodylab import audio, grids, sfnmf


def lead_by_sfnmf(song, melody, settings=sfnmf.LED, *, width_bins=2, unvoiced=False, seed=0):
    """The lead of a song as audio, float32 (channels, samples) at the song's own rate; what is left is the accompaniment.

    Second pass: H_F0 may be active only within `width_bins` of the melody in voiced frames; multiplicative updates keep zeros.
    With `unvoiced`, a white source joins the combs in voiced frames, for breath and consonants, while H_gamma stays; it lets
    cymbals in, too (development songs, true melody: 7.6 dB without, 7.3 dB with), so it has to be asked for.
    A tone that never moves fits W_B as well as a comb and mostly stays in the accompaniment.
    Each channel is filtered by its own Wiener share of the lead. What lies above the working band is not in the lead.
    Source: Durrieu 2011 and his separation code (there: quarter tone).
    """
    mixed = sfnmf.working_signal(song.audio, song.sr, settings)
    n_samples = mixed.shape[1]
    n_frames = audio.n_frames(n_samples, settings.hop_samples)
    times_s = grids.frame_times_s(n_frames, settings.hop_samples, settings.sr)
    near = sfnmf.near_melody(melody.resampled(times_s), settings.grid, width_bins)
    lead = np.zeros_like(mixed)
    blocks = sfnmf.block_frames(n_frames, settings)
    for b, ((first, stop), weight) in enumerate(zip(blocks, sfnmf.block_weights(blocks), strict=True)):
        if not near[:, first:stop].any():
            continue
        spectra = audio.stft(
            mixed, window=settings.window, hop_samples=settings.hop_samples, first_frame=first, frames=stop - first
        )
        share = sfnmf.lead_share(np.abs(spectra) ** 2, near[:, first:stop], settings, unvoiced, seed + 1000 * b)
        begin, end = first * settings.hop_samples, min(stop * settings.hop_samples, n_samples)
        part = audio.istft(
            spectra * share * weight, window=settings.window, hop_samples=settings.hop_samples, samples=end - begin
        )
        lead[:, begin:end] += part
    del mixed  # the peak of memory for a long song lies here, so what is done with goes, and channels go one by one
    upsampled = np.zeros_like(song.audio)
    for channel, row in zip(lead, upsampled, strict=True):
        channel = audio.resample(channel, settings.sr, song.sr)[: len(row)]
        row[: len(channel)] = channel
    upsampled /= sfnmf.peak_gain(song.audio)
    return upsampled


def rest(song, lead):
    """What is left of the song without the lead: the accompaniment as the exact rest, float32 (channels, samples)."""
    return song.audio - lead

"""From features to a salience or a mask: a network over a song of any length, block by block on an
absolute grid.

Conventions: blocks begin at frames 0, 500, 1000...; what becomes of the rest behind the last whole
one, the network says (`Network.last_block`), and so it does how many frames of the song it sees on
either side of a block, so that no border shows. A shorter song is one shorter block. How many
blocks are computed at once changes nothing.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional as F

from melodylab import progress
from melodylab.errors import InputError
from melodylab.models.base import Network
from melodylab.records import Features, Mask, Melody, Salience


def logits(
    model: Network, features: Features, *, blocks_at_once: int = 1, device: str = "cpu"
) -> np.ndarray:
    """A network's output for a whole song before softmax or sigmoid.

    Parameters
    ----------
    model : Network
        In any mode: it is heard as it would decide, and left as it was.
    features : Features
        (channels, rows, time) as the model's front end makes them.
    blocks_at_once : int
        So many blocks of equal length share one call.
    device : str
        Where the model's numbers lie, such as "cpu" or "cuda".

    Returns
    -------
    np.ndarray
        float32 (classes, time), or more axes before the time.

    Raises
    ------
    InputError
        If the features do not fit the model.
    """
    values = check_fit(model, features)
    return _answers(model, values.shape[2], lambda a, b: values[:, :, a:b], blocks_at_once, device)


def _answers(model, n_frames, picture, blocks_at_once, device):
    """The output for so many frames, of which `picture` gives (channels, rows, start..end)."""
    out, waiting = None, []
    with evaluating(model), torch.inference_mode():
        for block in progress.steps(list(blocks(model, n_frames)), model.name or "network"):
            waiting.append(block)
            if len(waiting) < blocks_at_once and block[1] < n_frames:
                continue
            for same in _of_equal_length(waiting):
                x = torch.from_numpy(np.stack([picture(*block[2:]) for block in same]))
                y = answer(model, x.to(device)).float().cpu().numpy()
                out = np.empty((*y.shape[1:-1], n_frames), np.float32) if out is None else out
                for (first, stop, start, _), told in zip(same, y, strict=True):
                    out[..., first:stop] = told[..., first - start : stop - start]
            waiting = []
    return out


def forward(
    model: Network, values: np.ndarray, spans: list[tuple[int, int]], *, device: str = "cpu"
) -> torch.Tensor:
    """What a network makes of some stretches of a song of equal length; the gradient and its mode
    are the caller's.

    Parameters
    ----------
    model : Network
        As it is.
    values : np.ndarray
        (channels, rows, time) of a song.
    spans : list of tuple
        (start, end) of each stretch in frames.
    device : str
        Where the model's numbers lie.

    Returns
    -------
    torch.Tensor
        (stretches, ..., time), as long as a stretch.
    """
    x = torch.from_numpy(np.stack([values[:, :, start:end] for start, end in spans]))
    return answer(model, x.to(device))


def answer(model: Network, x: torch.Tensor) -> torch.Tensor:
    """The same of stretches as a tensor, with whatever gradient is asked for.

    Parameters
    ----------
    model : Network
        As it is.
    x : torch.Tensor
        (stretches, channels, rows, time).

    Returns
    -------
    torch.Tensor
        (stretches, ..., time), as long as they are.
    """
    frames = x.shape[3]
    x = F.pad(x, (0, heard_frames(model, frames) - frames))
    return model(x.contiguous(memory_format=torch.channels_last))[..., :frames]


def heard_frames(model: Network, frames: int) -> int:
    """How many frames a network is given for a stretch of so many.

    Parameters
    ----------
    model : Network
        Which may ask for whole blocks, filled with zeros.
    frames : int
        Length of the stretch.

    Returns
    -------
    int
        At least `frames`.
    """
    return max(frames, model.block_frames) if model.last_block == "filled" else frames


def check_fit(model: Network, features: Features) -> np.ndarray:
    """The values of features, once it is clear that the network can hear them.

    Parameters
    ----------
    model : Network
        Whose `misfit` is asked.
    features : Features
        As a front end makes them.

    Returns
    -------
    np.ndarray
        (channels, rows, time).

    Raises
    ------
    InputError
        If they have other channels or rows than the network hears.
    """
    values = features.values
    if heard := model.misfit(values.shape):
        raise InputError(
            f"features of shape {values.shape} do not fit the network {model.name} (it hears "
            f"{heard}); use its own front end"
        )
    return values


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; then every module is back in its own, for they may differ.

    Parameters
    ----------
    model : torch.nn.Module
        In any mode; only its modes change.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def blocks(model: Network, n_frames: int) -> list[tuple[int, int, int, int]]:
    """The blocks of a song, with what the network sees of the song around each.

    Parameters
    ----------
    model : Network
        Which says how long they are, and what becomes of the rest.
    n_frames : int
        Length of the song.

    Returns
    -------
    list of tuple
        (first, stop, start, end): frames first..stop are answered, start..end are heard. With
        "overlap" the last block begins before the end of the one ahead of it, and its answers
        overwrite.
    """
    length, context, firsts = model.block_frames, model.context_frames, []
    firsts = list(range(0, max(n_frames, 1), length))
    if model.last_block == "overlap" and n_frames > length:
        firsts[-1] = n_frames - length
    spans = [(first, min(first + length, n_frames)) for first in firsts]
    return [(a, b, max(a - context, 0), min(b + context, n_frames)) for a, b in spans]


def _of_equal_length(waiting):
    """Groups of neighbouring blocks that one tensor can hold."""
    groups = []
    for block in waiting:
        if groups and groups[-1][-1][3] - groups[-1][-1][2] == block[3] - block[2]:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def salience(
    model: Network,
    features: Features,
    *,
    unvoiced_gain: float = 1.0,
    threshold: float = 0.3,
    blocks_at_once: int = 1,
    device: str = "cpu",
) -> Salience:
    """A network's salience, with what it says for "no melody".

    Parameters
    ----------
    model : Network
        One that learns melodies.
    features : Features
        (channels, rows, time) as the model's front end makes them. Frames of all zeros (silence)
        have no evidence.
    unvoiced_gain : float
        Weighs p("no melody"), for networks that have the class; at 1 a frame is voiced where
        another class wins, as published. One that asks for the voicing apart gives the best pitch
        all of p("some melody").
    threshold : float
        0..1, for networks without that class.
    blocks_at_once, device
        As in `logits`.

    Returns
    -------
    Salience
        (pitches, time) in 0..1 with `unvoiced` (time,).

    Raises
    ------
    InputError
        If the features do not fit the model.
    """
    y = logits(model, features, blocks_at_once=blocks_at_once, device=device)
    if model.has_unvoiced_class:  # in place: an hour of song has a gigabyte of logits
        y -= y.max(axis=0)
        np.exp(y, out=y)
        y /= y.sum(axis=0)
        pitches, unvoiced = y[1:], unvoiced_gain * y[0]
        if model.voicing_apart:  # "is there any" shall not depend on how sure the pitch is
            pitches *= (1 - y[0]) / np.maximum(pitches.max(axis=0), 1e-12)
    else:
        pitches = torch.from_numpy(y).sigmoid_().numpy()
        unvoiced = np.full(y.shape[1], threshold, np.float32)
    heard = np.any([channel.any(axis=0) for channel in features.values], axis=0)
    pitches[:, ~heard] = 0
    return Salience(
        pitches, model.grid.freqs_hz, features.times_s, unvoiced=unvoiced, made_by=model.name
    )


# What a mask's network is shown beyond either end of a song: its mirror image, then silence. SDR of
# unet's lead in pieces cut out of the development songs, in dB (silence alone; 6 mirrored; 16; the
# whole song's mask): first 50 ms 1.3, 3.4, 3.5, 4.4; last 50 ms 4.0, 5.2, 4.9, 6.3; in between 5.9,
# 5.9, 5.7, 5.9. From 8 on the gate of a song without melody opens further (Rock, 2.8 dB).
_MIRRORED_FRAMES, _SILENT_FRAMES = 6, 10
_BEYOND_FRAMES = _MIRRORED_FRAMES + _SILENT_FRAMES


def _beyond_ends(n_frames):
    """The frames of a song with what lies beyond its ends, which a network of masks is shown.

    Places (16 + n_frames + 16,): of frames of the song, mirrored next to it; -1 is silence.
    """
    mirrored = np.pad(np.arange(n_frames), _MIRRORED_FRAMES, mode="symmetric")
    return np.pad(mirrored, _SILENT_FRAMES, constant_values=-1)


def mask(
    model: Network,
    features: Features,
    melody: Melody | None = None,
    *,
    blocks_at_once: int = 1,
    device: str = "cpu",
) -> tuple[Mask, np.ndarray]:
    """A network's mask for the melody, and how far its gate is open.

    Parameters
    ----------
    model : Network
        One that learns masks.
    features : Features
        (channels, rows, time) as the model's front end makes them. Frames of all zeros (silence)
        have the share 0.
    melody : Melody or None
        One to follow, for networks that can be told.
    blocks_at_once, device
        As in `logits`.

    Returns
    -------
    Mask
        (freq, time); a share above one is cut to one, and rows that the front end cannot hear are
        left out.
    np.ndarray
        The gate, (time,) in 0..1.

    Raises
    ------
    InputError
        If the features do not fit the model, and for a melody where the network cannot be told.
    """
    values = check_fit(model, features)
    sung_hz = None if melody is None else melody.resampled(features.times_s).sung_hz
    places = _beyond_ends(values.shape[2])

    def picture(start, end):  # put together block by block: whole, it is three times the song's
        at = places[start:end]
        shown = values[:, :, at]
        if sung_hz is not None:
            shown = np.concatenate([shown, model.lead_picture(sung_hz[at])])
        shown[:, :, at < 0] = 0
        return shown

    y = _answers(model, len(places), picture, blocks_at_once, device)
    y = y[..., _BEYOND_FRAMES:-_BEYOND_FRAMES]
    shares = np.minimum(model.shares(torch.from_numpy(y))[0].numpy(), 1)
    shares *= np.any([channel.any(axis=0) for channel in features.values], axis=0)
    frames_per_s = 1 / np.diff(features.times_s[:2]).mean() if len(features.times_s) > 1 else 1.0
    gate = model.gate(features.values, shares, frames_per_s)
    heard = features.freqs_hz <= model.highest_hz
    return Mask(shares[heard], features.freqs_hz[heard], features.times_s), gate

"""From features to a salience or a mask: a network over a song of any length, block by block on an absolute grid.

Conventions: blocks begin at frames 0, 500, 1000...; the last incomplete one is replaced by the last 500 frames of the song, whose
predictions overwrite (Basaran 2018). A shorter song is one shorter block. Networks without memory see `context_frames`
of the song on either side of a block, so that no border shows. How many blocks are computed at once changes nothing.
"""

import contextlib
from dataclasses import replace

import numpy as np
import torch

from melodylab.errors import InputError
from melodylab.records import Mask, Salience


def logits(model, features, *, blocks_at_once=1, device="cpu"):
    """A network's output for a whole song before softmax or sigmoid: float32 (classes, time), or more axes before the time.

    features: (channels, freq, time) as the model's front end makes them. Raises InputError if they do not fit the model.
    """
    values = features.values
    n_frames, context = values.shape[2], model.context_frames
    out, waiting = None, []
    try:
        with evaluating(model), torch.inference_mode():
            for first, stop in block_frames(n_frames, model.block_frames):
                start, end = max(first - context, 0), min(stop + context, n_frames)
                waiting.append((first, stop, start, end))
                if len(waiting) < blocks_at_once and stop < n_frames:
                    continue
                for same in _of_equal_length(waiting):
                    x = torch.from_numpy(np.stack([values[:, :, a:b] for _, _, a, b in same])).to(
                        device
                    )
                    y = model(x.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()
                    out = np.empty((*y.shape[1:-1], n_frames), np.float32) if out is None else out
                    for (block_first, block_stop, a, _), block in zip(same, y, strict=True):
                        out[..., block_first:block_stop] = block[
                            ..., block_first - a : block_stop - a
                        ]
                waiting = []
    except RuntimeError as error:
        raise InputError(
            f"features of shape {values.shape} do not fit the network ({error}); use its own front end"
        ) from None
    return out


@contextlib.contextmanager
def evaluating(model):
    """Evaluation mode for a while; then every module is back in its own, for they may differ."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def block_frames(n_frames, length):
    """Blocks of `length` frames from frame 0 on, [(first, stop)]; the last one ends with the song and may overlap."""
    if n_frames <= length:
        return [(0, n_frames)]
    blocks = [(first, first + length) for first in range(0, n_frames - length + 1, length)]
    if blocks[-1][1] < n_frames:
        blocks.append((n_frames - length, n_frames))
    return blocks


def _of_equal_length(blocks):
    """Groups of neighbouring blocks that one tensor can hold."""
    groups = []
    for block in blocks:
        if groups and groups[-1][-1][3] - groups[-1][-1][2] == block[3] - block[2]:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def salience(model, features, *, unvoiced_gain=1.0, threshold=0.3, blocks_at_once=1, device="cpu"):
    """A network's salience, (pitches, time) in 0..1, with `unvoiced` (time,): its class "no melody", or one threshold for all frames.

    unvoiced_gain: weighs p("no melody"), for networks that have the class; at 1 a frame is voiced where another class wins,
    as published; a network that asks for the voicing apart gives the best pitch all of p("some melody"). threshold: for networks
    without one. Frames of all-zero features (silence) have no evidence at all.
    """
    y = logits(model, features, blocks_at_once=blocks_at_once, device=device)
    if (
        model.has_unvoiced_class
    ):  # in place, here and below: an hour of song has a gigabyte of logits
        y -= y.max(axis=0)
        np.exp(y, out=y)
        y /= y.sum(axis=0)
        pitches, unvoiced = y[1:], unvoiced_gain * y[0]
        if getattr(
            model, "voicing_apart", False
        ):  # its answer to "is there any" shall not depend on how sure the pitch is
            pitches *= (1 - y[0]) / np.maximum(pitches.max(axis=0), 1e-12)
    else:
        pitches, unvoiced = (
            torch.from_numpy(y).sigmoid_().numpy(),
            np.full(y.shape[1], threshold, np.float32),
        )
    heard = np.any([channel.any(axis=0) for channel in features.values], axis=0)
    pitches[:, ~heard] = 0
    return Salience(
        pitches,
        model.grid.freqs_hz,
        features.times_s,
        unvoiced=unvoiced,
        made_by=getattr(model, "name", ""),
    )


def mask(model, features, melody=None, *, blocks_at_once=1, device="cpu"):
    """A network's mask for the melody, and how far its gate is open: (Mask (freq, time), gate (time,) in 0..1).

    melody: one to follow, for networks that can be told (`model.led`). A share above one is cut to one. Rows that the front end
    cannot hear are left out. Frames of all-zero features (silence) have the share 0. Raises InputError for a melody where the
    network cannot be told.
    """
    values = features.values
    if melody is not None:
        if not model.led:
            raise InputError(f"{model.name} cannot be told a melody; leave it out, or take unet")
        told = model.lead_picture(melody.resampled(features.times_s).sung_hz)
        values = np.concatenate([values, told])
    y = logits(
        model, replace(features, values=values), blocks_at_once=blocks_at_once, device=device
    )
    shares = np.minimum(model.shares(torch.from_numpy(y))[0].numpy(), 1)
    shares *= np.any([channel.any(axis=0) for channel in features.values], axis=0)
    frames_per_s = 1 / np.diff(features.times_s[:2]).mean() if len(features.times_s) > 1 else 1.0
    gate = model.gate(features.values, shares, frames_per_s)
    heard = features.freqs_hz <= model.highest_hz
    return Mask(shares[heard], features.freqs_hz[heard], features.times_s), gate

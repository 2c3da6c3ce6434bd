"""Reach into a network: channels switched off, features exchanged, and what it then says."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.explain.taps import _at_each_call, _channels_last
from melodylab.records import Features, Melody


def pitch_line(activation: Features, channel: int | None = None, semitones: float = 0.0) -> Melody:
    """The strongest row of each frame: what this layer alone would call the melody.

    Parameters
    ----------
    activation : Features
        With pitches, such as one of `activations` or a network's input.
    channel : int or None
        One of its channels; None takes their mean.
    semitones : float
        Added to the line, for a layer may write a pitch some rows off (see `clearest_reading`).

    Returns
    -------
    Melody
        Every frame voiced; one whose rows are all alike, as in silence, has no pitch (NaN) and
        voicing 0.

    Raises
    ------
    InputError
        Where rows have no pitch, and for a channel that does not exist.
    """
    _need_pitches(activation)
    if channel is not None and not 0 <= channel < len(activation.values):
        last = len(activation.values) - 1
        raise InputError(
            f"{activation.kind} has channels 0 to {last}, not {channel}; choose one of these"
        )
    values = activation.values.mean(axis=0) if channel is None else activation.values[channel]
    heard = np.ptp(values, axis=0) > 0
    f0_hz = activation.freqs_hz[values.argmax(axis=0)] * 2 ** (semitones / 12)
    return Melody(activation.times_s, np.where(heard, f0_hz, np.nan), heard.astype(float))


class Reading(NamedTuple):
    """Which channel to read, and how many semitones to add to what it says."""

    channel: int
    semitones: int


def clearest_reading(activation: Features, melody: Melody) -> Reading:
    """Where a layer shows a true melody best: `pitch_line(activation, *clearest_reading(...))`.

    Convolutions may write a pitch some rows off, always the same number, because what follows can
    read any row. So the channel and the transposition are chosen together: the two with which most
    voiced frames are right (within 50 cents). They are chosen with the truth at hand; to compare
    layers, choose on one song and count on another.

    Parameters
    ----------
    activation : Features
        With pitches, such as one of `activations`.
    melody : Melody
        The truth.

    Returns
    -------
    Reading
        Of equals the transposition nearest to none.

    Raises
    ------
    InputError
        Where rows have no pitch.
    """
    _need_pitches(activation)
    lines_hz = activation.freqs_hz[activation.values.argmax(axis=1)]  # (channels, time)
    offsets = grids.offset_cents(melody.resampled(activation.times_s).sung_hz, lines_hz) / 100
    offsets[np.ptp(activation.values, axis=1) == 0] = np.nan
    best, reading = -1, Reading(0, 0)
    for semitones in sorted(range(-60, 61), key=abs):  # of equals the nearest
        right = np.sum(np.abs(offsets - semitones) < 0.5, axis=1)
        if right.max() > best:
            best, reading = right.max(), Reading(int(right.argmax()), semitones)
    return reading


def _need_pitches(activation):
    if np.isnan(activation.freqs_hz).any():
        raise InputError(
            f"the rows of {activation.kind} are no pitches; take a layer of the convolutional part"
        )


def _last(module):
    while isinstance(module, nn.Sequential):
        module = module[-1]
    return module


# --- reaching in ----------------------------------------------------------------------------------


def ablate(
    model: nn.Module, name: str, channel: int | Sequence[int], value: str | float = "zero"
) -> contextlib.AbstractContextManager[None]:
    """While it lasts, one channel of a layer says the same everywhere: `with ablate(model, "gru",
    3): ...`.

    After a batch norm 0 is about the channel's average, after a ReLU it is silence.

    Parameters
    ----------
    model : nn.Module
        Left as it was.
    name : str
        As in `taps`; "pool[1]" is the second call of a layer that is called several times.
    channel : int or sequence of int
        A number or several of them.
    value : "zero", "mean" or float
        The mean is that of the channel over all frames, rows and songs of the call.

    Returns
    -------
    context manager
        For `with`.

    Raises
    ------
    InputError
        For an unknown layer or value, and, when the model runs, for a channel that the layer does
        not have.
    """
    if value not in ("zero", "mean") and (isinstance(value, str) or not np.isfinite(value)):
        raise InputError(
            f'a channel can be set to "zero", "mean" or a number, not to {value!r}; choose one of '
            "these"
        )

    def change(tensor, axis):
        tensor, channels = tensor.clone(), _chosen(name, tensor.shape[axis], channel)
        for c in channels:
            part = tensor.select(axis, c)
            part.fill_(0.0 if value == "zero" else part.mean().item() if value == "mean" else value)
        return tensor

    return _changed(model, name, change)


def patch(
    model: nn.Module,
    name: str,
    activation: torch.Tensor,
    channel: int | Sequence[int] | None = None,
) -> contextlib.AbstractContextManager[None]:
    """While it lasts, a layer hands on another song's activation in place of its own.

    Parameters
    ----------
    model : nn.Module
        Left as it was.
    name : str
        As in `taps`.
    activation : torch.Tensor
        As `taps` collects it, from one call, of the same shape as the layer's own: so take songs of
        one length and of at most one block (500 frames, 5.8 s, of a CRNN).
    channel : int, sequence of int or None
        Put in only this one, or these.

    Returns
    -------
    context manager
        For `with`.

    Raises
    ------
    InputError
        For an unknown layer and, when the model runs, for another shape or a channel that the layer
        does not have.
    """

    def change(tensor, axis):
        if tensor.shape != activation.shape:
            raise InputError(
                f"{name} makes {tuple(tensor.shape)} of this song, the activation to put in is "
                f"{tuple(activation.shape)}; "
                "take two songs of the same length, at most one block long"
            )
        other = activation.to(tensor)
        if channel is None:
            return other
        tensor = tensor.clone()
        for c in _chosen(name, tensor.shape[axis], channel):
            tensor.select(axis, c).copy_(other.select(axis, c))
        return tensor

    return _changed(model, name, change)


def _changed(model, name, change):
    """While it lasts, the named layers hand on change(output, axis of its channels)."""
    last = _channels_last(model)

    def act(layer, number, output):
        tensor = output[0] if isinstance(output, tuple) else output
        changed = change(tensor, tensor.ndim - 1 if last[layer] and tensor.ndim < 4 else 1)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return _at_each_call(model, name, act)


def _chosen(name, n, channel):
    channels = np.atleast_1d(channel)
    if wrong := [int(c) for c in channels if not 0 <= c < n]:
        raise InputError(f"{name} has channels 0 to {n - 1}, not {wrong[0]}; choose one of these")
    return [int(c) for c in channels]

"""Attention maps and the responses of learned kernels."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from melodylab.errors import InputError
from melodylab.explain.attribution import _frame_at, _heard_frames
from melodylab.explain.reach import _changed, _last
from melodylab.explain.taps import _forward, _named, taps
from melodylab.models import multires, run
from melodylab.models.base import Network
from melodylab.records import Features

# --- attention and kernels ------------------------------------------------------------------------


class AttentionMaps(NamedTuple):
    """Where one level of FTANet looks in one block; None for what a variant lacks. Weights are
    above 0.

    frequency: (channels, rows), each channel's sum 1, on freqs_hz. time: (channels, frames),
    likewise, on times_s. fusion: (channels, maps), how much of each map goes on; the maps are, in
    order, "itself", then "time" and "frequency" where they are.
    """

    frequency: np.ndarray | None
    freqs_hz: np.ndarray
    time: np.ndarray | None
    times_s: np.ndarray
    fusion: np.ndarray | None
    maps: tuple


def attention(model: Network, features: Features, time_s: float, level: int = 1) -> AttentionMaps:
    """Where one level of an FTANet looks, in the block of 128 frames that a time lies in.

    Levels 2 and 5 have half the rows and frames, 3 and 4 a quarter; a pooled row or frame is given
    the middle of what it holds. A song's last block is filled with silence, which stands there,
    too.

    Parameters
    ----------
    model : Network
        An FTANet or one of its variants.
    features : Features
        (3, 320, time) as its front end makes them.
    time_s : float
        Within the song.
    level : int
        1 to 7.

    Returns
    -------
    AttentionMaps
        None for what a variant lacks.

    Raises
    ------
    InputError
        For a network without these maps, a level or a time that does not exist, unfitting features.
    """
    names = [name for name, _ in model.named_modules()]
    if f"level{level}.attend" not in names:
        held = [name.removesuffix(".attend") for name in names if name.endswith(".attend")]
        there = f"levels {held[0][5:]} to {held[-1][5:]}" if held else "no attention maps"
        raise InputError(
            f"this network has {there}, not level {level!r}; choose "
            f"{'one of these' if held else 'an FTANet'}"
        )
    wanted = {
        kind: f"level{level}.{kind}"
        for kind in ("attend.frequency_map", "attend.time_map", "fuse.softmax")
    }
    first, stop = _heard_frames(model, features, _frame_at(features, time_s))
    inputs = f"level{level}.attend.norm"
    asked = [inputs, *(name for name in wanted.values() if name in names)]
    with run.evaluating(model), torch.inference_mode(), taps(model, asked) as seen:
        _forward(model, features, first, stop)
    rows, frames = seen[inputs].shape[2:]
    freqs_hz, times_s = features.freqs_hz, features.times_s[first:stop]
    pooled = len(freqs_hz) // rows
    found = {kind: seen[name][0].numpy() if name in seen else None for kind, name in wanted.items()}
    kinds = [kind for kind in ("time", "frequency") if found[f"attend.{kind}_map"] is not None]
    return AttentionMaps(
        found["attend.frequency_map"],
        np.exp(np.log(freqs_hz[: rows * pooled]).reshape(rows, pooled).mean(axis=1)),
        found["attend.time_map"],
        times_s[0]
        + (np.arange(frames) * pooled + (pooled - 1) / 2) * np.median(np.diff(features.times_s)),
        found["fuse.softmax"],
        ("itself", *kinds),
    )


def uniform(
    model: nn.Module, names: str | Sequence[str], share: float = 1.0
) -> contextlib.AbstractContextManager[None]:
    """While it lasts, weights of a softmax are drawn towards all being equal: `with uniform(...)`.

    Parameters
    ----------
    model : nn.Module
        Left as it was.
    names : str or sequence of str
        As in `taps`: layers that end in a softmax, such as "*.time_map".
    share : float
        0 leaves the weights, 1 makes them equal, between is a blend; their sum stays 1.

    Returns
    -------
    context manager
        For `with`.

    Raises
    ------
    InputError
        For a share outside 0..1 and for layers that do not end in a softmax.
    """
    if not 0 <= share <= 1:
        raise InputError(f"a blend to uniform lies between 0 and 1, not at {share!r}")
    last = {name: _last(module) for name, module in _named(model, names).items()}
    if wrong := [name for name, module in last.items() if not isinstance(module, nn.Softmax)]:
        raise InputError(
            f"{wrong[0]} does not end in a softmax; name layers such as *.time_map or "
            "*.frequency_map"
        )
    dims = {module.dim for module in last.values()}
    if len(dims) > 1:
        raise InputError(
            "these layers sum to 1 over different axes; name those of one kind at a time"
        )
    (dim,) = dims

    def change(tensor, axis):
        return (1 - share) * tensor + share / tensor.shape[dim]

    return _changed(model, names, change)


class KernelResponses(NamedTuple):
    """A bank of learned filters. kernels: (n, samples); levels_db: (n, freqs), below each kernel's
    own maximum; Hz and seconds.
    """

    kernels: np.ndarray
    times_s: np.ndarray
    levels_db: np.ndarray
    freqs_hz: np.ndarray
    centres_hz: np.ndarray
    bandwidths_hz: np.ndarray


def filter_banks(model: nn.Module) -> dict[str, multires.FilterBank]:
    """The learned filter banks that a network begins with, by name.

    Parameters
    ----------
    model : nn.Module
        Any; only the multires networks have some.

    Returns
    -------
    dict
        "short", "long" or both; empty where there is none.
    """
    kinds = model.named_children()
    return {name: part for name, part in kinds if isinstance(part, multires.FilterBank)}


def kernel_responses(model: nn.Module, length: str = "long") -> KernelResponses:
    """What the learned kernels of a multires network let through, in the network's own order.

    Parameters
    ----------
    model : nn.Module
        A multires network.
    length : str
        "short" (64 samples) or "long" (960).

    Returns
    -------
    KernelResponses
        times_s: from the kernel's middle. centres_hz: where a kernel responds most. bandwidths_hz:
        the width of a rectangle as high as the maximum with the same area under the squared
        response.

    Raises
    ------
    InputError
        For a network without that bank.
    """
    held = filter_banks(model)
    if length not in held:
        there = f"banks {' and '.join(held)}" if held else "no filter banks"
        raise InputError(
            f"this network has {there}, not {length!r}; choose "
            f"{'one of these' if held else 'a multires network'}"
        )
    bank = held[length]
    kernels = bank.conv.weight.detach()[:, 0].float().numpy()
    n = kernels.shape[1]
    freqs_hz, magnitudes = (part.double().numpy() for part in bank.responses())
    power = magnitudes**2
    top = power.max(axis=1, keepdims=True)
    return KernelResponses(
        kernels,
        (np.arange(n) - (n - 1) / 2) / multires.SR,
        10 * np.log10(np.maximum(power / np.maximum(top, 1e-30), 1e-10)),
        freqs_hz,
        freqs_hz[power.argmax(axis=1)],
        (power / np.maximum(top, 1e-30)).sum(axis=1) * freqs_hz[1],
    )

"""What a layer hands on, in words, read from what it made of some frames."""

from typing import NamedTuple

import torch
from torch import nn

from melodylab.models.base import EXAMPLE_FRAMES, Network


class Call(NamedTuple):
    """One time that a layer ran: its name, the place among all calls, what it handed on."""

    name: str
    place: int
    tensor: torch.Tensor

    @property
    def channels_last(self) -> bool:
        """Are its channels in the last dimension, behind the time?"""
        shape = self.tensor.shape
        return len(shape) == 3 and shape[1] == EXAMPLE_FRAMES != shape[2]

    @property
    def channels(self) -> int:
        """How many channels, units or classes it has."""
        return self.tensor.shape[-1 if self.channels_last else 1]


def words_for(
    model: Network, module: nn.Module, call: Call, calls: dict[str, list[Call]], y: torch.Tensor
) -> str:
    """What a layer hands on.

    Parameters
    ----------
    model : Network
        Whose layer it is.
    module : nn.Module
        The layer.
    call : Call
        One time that it ran.
    calls : dict
        Those of all layers.
    y : torch.Tensor
        What the model gave in the end.

    Returns
    -------
    str
        In some words, with the number of its channels.
    """
    n, many = call.channels, _count(call.channels)
    if _is(call, y) and model.learns == "melody":
        low_hz, high_hz = model.grid.freqs_hz[[0, -1]]
        none = 'class 0 "no melody", then ' if model.has_unvoiced_class else ""
        return f"{y.shape[1]} logits: {none}{low_hz:.0f} to {high_hz:.0f} Hz"
    match module:
        case nn.Conv2d():
            freq, time = module.kernel_size
            return f"convolution {freq} x {time} (freq x time), {many}"
        case nn.ConvTranspose2d():
            freq, time = module.stride
            return f"a map {freq} x {time} times as large (freq x time), {many}"
        case nn.Conv1d():
            return f"convolution {module.kernel_size[0]}, {many}"
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return f"batch norm of {many}, each around 0"
        case nn.ReLU():
            return f"positive part of {many}"
        case nn.SELU():
            return f"SELU of {many}: what is negative becomes small, not 0"
        case nn.Softmax():
            return f"weights of {many}, above 0, with a sum of 1"
        case nn.MaxPool2d():
            return f"the largest of {_window(module.kernel_size)}, {many}"
        case nn.MaxUnpool2d():
            return f"rows back where they were the largest, {many}"
        case nn.ZeroPad2d():
            return "zeros added at the edges"
        case nn.Dropout():
            return f"{many} as they came: dropout works in training alone"
        case nn.GRU() if module.bidirectional:
            return f"{n // 2} units forwards in time, then as many backwards"
        case nn.GRU():
            return f"{n} units forwards in time"
        case nn.Linear():
            units = "1 unit" if n == 1 else f"{n} units"
            return f"{units} a frame" if call.channels_last else f"{units} for the whole block"
    return _of_parts(module, call, calls) or f"{many} of {type(module).__name__.lstrip('_')}"


def _of_parts(module, call, calls):
    """Where a container hands on what one of its parts made last: that part."""
    inside = {f"{call.name}.{name}" for name, _ in module.named_children()}
    before = [c for name in inside for c in calls.get(name, ()) if c.place < call.place]
    last = max(before, key=lambda c: c.place, default=None)
    return f"the output of {last.name}" if last and last.tensor is call.tensor else ""


def _is(call, y):
    """Is this what the model gave in the end, but for the order of its dimensions?"""
    x = call.tensor.transpose(1, 2) if call.channels_last else call.tensor
    return x.numel() == y.numel() and torch.equal(x.float().reshape(y.shape), y)


def _window(size):
    rows, frames = (size, size) if isinstance(size, int) else size
    return f"{rows} rows" if frames == 1 else f"{rows} x {frames} cells"


def _count(channels):
    return "1 channel" if channels == 1 else f"{channels} channels"

"""Activations by name."""

import contextlib
import difflib
import fnmatch
import re

import numpy as np
import torch
from torch import nn

from melodylab.errors import InputError
from melodylab.models import run
from melodylab.records import Features

NO_MELODY = "no melody"  # the class of that meaning, as a target of `attribution`


# --- looking --------------------------------------------------------------------------------------


def tap_names(model):
    """What can be looked at: {name: what this layer hands on}, in the order of the definition, the model itself left out."""
    found, channels, last = {}, None, None
    for name, module in model.named_modules():
        if not name:
            continue
        channels = (
            _channels(module) or channels
        )  # what has no channels of its own keeps those of the layer before
        if isinstance(module, nn.Conv2d):
            freq, time = module.kernel_size
            found[name] = f"convolution {freq} x {time} (freq x time), {_count(channels)}"
        elif isinstance(module, nn.Conv1d):
            found[name] = f"convolution {module.kernel_size[0]}, {_count(channels)}"
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            found[name] = f"batch norm of {_count(channels)}, each around 0"
        elif isinstance(module, nn.ReLU):
            found[name] = f"positive part of {_count(channels)}"
        elif isinstance(module, nn.SELU):
            found[name] = f"SELU of {_count(channels)}: what is negative becomes small, not 0"
        elif isinstance(module, nn.Softmax):
            found[name] = f"weights of {_count(channels)}, above 0, with a sum of 1"
        elif isinstance(module, nn.MaxPool2d):
            found[name] = f"the largest of {module.kernel_size[0]} rows, {_count(channels)}"
        elif isinstance(module, nn.MaxUnpool2d):
            found[name] = f"rows back where they were the largest, {_count(channels)}"
        elif isinstance(module, nn.ZeroPad2d):
            found[name] = "zeros added at the edges"
        elif isinstance(module, nn.GRU):
            ways = (
                "forwards in time, then as many backwards"
                if module.bidirectional
                else "forwards in time"
            )
            found[name] = f"{module.hidden_size} units {ways}"
        elif isinstance(module, nn.Linear):
            found[name] = f"{channels} units a frame"
        else:
            parts = [part for part, _ in module.named_children()]
            found[name] = f"the output of {name}.{parts[-1]}" if parts else type(module).__name__
        last = name if isinstance(module, nn.Linear) else last
    if last and model.has_unvoiced_class:
        low_hz, high_hz = model.grid.freqs_hz[[0, -1]]
        found[last] = (
            f'{1 + model.grid.n_bins} logits: class 0 "no melody", then {low_hz:.0f} to {high_hz:.0f} Hz'
        )
    return found


def _count(channels):
    return "1 channel" if channels == 1 else f"{channels} channels"


def _channels(module):
    if isinstance(module, nn.GRU):
        return module.hidden_size * (2 if module.bidirectional else 1)
    return next(
        (
            getattr(module, a)
            for a in ("out_channels", "num_features", "out_features")
            if hasattr(module, a)
        ),
        None,
    )


def _named(model, names):
    """{name: module} of all that match a pattern or a list of them, or a sentence with the nearest names."""
    modules = {name: module for name, module in model.named_modules() if name}
    found = {}
    for pattern in [names] if isinstance(names, str) else list(names):
        hits = fnmatch.filter(modules, pattern)
        if not hits:
            near = (
                difflib.get_close_matches(re.sub(r"[*?\[\]]", "", pattern), modules, 3, 0.5)
                or list(modules)[:3]
            )
            raise InputError(
                f"no layer is called {pattern!r}; nearest: {', '.join(near)} (explain.tap_names lists all)"
            )
        found |= {name: modules[name] for name in hits}
    return found


def is_there_a_melody(model, features):
    """What a network that draws masks answers to this question, (time,) in 0..1, frame by frame; ones if nobody asked it.

    Not what its mask goes through: that is the gate of `models.run.mask`.
    """
    return model.shares(torch.from_numpy(run.logits(model, features)))[1].numpy()


@contextlib.contextmanager
def taps(model, names="*"):
    """Collect what named layers hand on while the model runs: `with taps(model, "cnn.*.relu") as seen: model(x)`.

    seen: {name: float32 tensor on the CPU, a copy without gradient}, in the order of computation, each of the shape that the
    layer made; the sequence alone of a GRU. Several calls: the last one counts. What is not named is not kept, so name few
    layers of a long song. In a CRNN convolutions give (batch * patches, channels, freq, 25): `as_picture` puts them back on
    the clock. Raises InputError for a name that fits nothing.
    """
    seen = {}

    def keep(name):
        def hook(module, inputs, output):
            tensor = output[0] if isinstance(output, tuple) else output
            with (
                torch.inference_mode(False),
                torch.no_grad(),
            ):  # a plain tensor that may be used anywhere
                seen.pop(name, None)
                seen[name] = torch.empty_like(tensor, dtype=torch.float32, device="cpu").copy_(
                    tensor
                )

        return hook

    with contextlib.ExitStack() as hooks:
        for name, module in _named(model, names).items():
            hooks.callback(module.register_forward_hook(keep(name)).remove)
        yield seen


def as_picture(activation, channels_last=True):
    """A layer's output for one song as an array on the song's own frames: (channels, freq, time).

    activation: (patches, channels, freq, frames of a patch), joined in order, which (1, channels, freq, time) is a case of;
    or (1, time, units), as a GRU or a dense layer gives it, which becomes (units, 1, time); with channels_last=False
    (1, channels, time), as a convolution in one dimension gives it. A CRNN fills its last patch up, so the picture may be up
    to 24 frames longer than the song. For a batch of songs: `activation.unflatten(0, (batch, -1))[n]`.
    """
    values = np.asarray(activation)
    if values.ndim == 4:
        return values.transpose(1, 2, 0, 3).reshape(*values.shape[1:3], -1)
    if values.ndim == 3 and len(values) == 1:
        return values[0].T[:, None] if channels_last else values[0][:, None]
    raise InputError(
        f"an activation of shape {values.shape} is no picture of one song; give one song's at a time"
    )


def activations(model, features, names):
    """What named layers make of a whole song: {name: Features (channels, freq, time)} on the song's own clock.

    features: as the model's front end makes them. names: as in `taps`. freqs_hz: the rows' pitches (61 semitones or 301 bins
    in a CRNN), after pooling those in the middle of what was pooled; NaN where a layer's rows have none, such as the kernels of
    a filter bank or the single row of GRU units and output classes. Frames that were pooled are repeated. kind: the layer's
    name. Computed block by block like `models.run.salience`, in evaluation mode; memory: channels * freq * time * 4 bytes
    a layer (CNN2's first: 13 MB for each second of song). Raises InputError for unknown names, unfitting features, and layers
    that are not on the song's frames, such as FTANet's attention over frequency (see `attention`).
    """
    n_frames, pictures = run.check_fit(model, features).shape[2], {}
    if timeless := [
        n for n in _named(model, names) for p in model.timeless if fnmatch.fnmatchcase(n, p)
    ]:
        raise InputError(
            f"{timeless[0]} is not on the song's frames; look at one block with taps or `explain.attention`"
        )
    last = _channels_last(model)
    with run.evaluating(model), torch.inference_mode(), taps(model, names) as seen:
        for first, stop, start, end in run.blocks(model, n_frames):
            _forward(model, features, start, end)
            for name, tensor in seen.items():
                block = as_picture(tensor, last[name])
                pooled = -(-run.heard_frames(model, end - start) // block.shape[2])
                block = np.repeat(block, pooled, axis=2)
                if name not in pictures:
                    pictures[name] = np.empty((*block.shape[:2], n_frames), np.float32)
                pictures[name][:, :, first:stop] = block[:, :, first - start : stop - start]
    return {
        name: Features(values, _rows_hz(model, features, values.shape[1]), features.times_s, name)
        for name, values in pictures.items()
    }


def _forward(model, features, start, end):
    return run.forward(model, run.check_fit(model, features), [(start, end)])


def _rows_hz(model, features, n_rows):
    if model.rows_are_pitches and n_rows > 1:
        for freqs_hz in (features.freqs_hz, model.grid.freqs_hz):
            if n_rows == len(freqs_hz):
                return freqs_hz
        for freqs_hz in (model.grid.freqs_hz, features.freqs_hz):
            if len(freqs_hz) // n_rows * n_rows in range(len(freqs_hz) - 3, len(freqs_hz) + 1):
                pooled = len(freqs_hz) // n_rows  # neighbours in one
                return np.exp(np.log(freqs_hz[: n_rows * pooled]).reshape(n_rows, -1).mean(axis=1))
    return np.full(n_rows, np.nan)


def _channels_last(model):
    """{name: whether its output has its channels in the last dimension}: a GRU's and a dense layer's, and what follows these."""
    found, last = {}, False
    for name, module in model.named_modules():
        leaves = [
            part
            for part in module.modules()
            if isinstance(part, nn.GRU) or not list(part.children())
        ]
        kinds = [isinstance(leaf, nn.GRU | nn.Linear) for leaf in leaves if _channels(leaf)]
        last = (
            kinds[-1] if kinds else last
        )  # what has no channels of its own keeps the order of the layer before
        found[name] = last
    return found

"""Activations by name."""

import contextlib
import difflib
import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from melodylab.errors import InputError
from melodylab.explain.words import Call, words_for
from melodylab.models import run
from melodylab.models.base import Network
from melodylab.records import Features

# --- looking --------------------------------------------------------------------------------------


def tap_names(model: Network) -> dict[str, str]:
    """What can be looked at, as the network makes it of some frames of zeros.

    Parameters
    ----------
    model : Network
        In any mode; it is left as it was.

    Returns
    -------
    dict
        Name -> what this layer hands on, in the order of the definition, the model itself left out.
        A layer that is called several times stands there as "pool[0]", "pool[1]"...; one that is
        never called, or hands on several maps at once, is left out.
    """
    calls, y = _calls(model)
    found = {}
    for name, module in model.named_modules():
        made = calls.get(name, ())
        for number, call in enumerate(made):
            full = f"{name}[{number}]" if len(made) > 1 else name
            found[full] = words_for(model, module, call, calls, y)
    return found


def _calls(model):
    """({name: [Call, one for each time that it ran]}, the model's output) of some frames of
    noise.
    """
    calls, taken = {}, []
    with run.evaluating(model), torch.inference_mode(), contextlib.ExitStack() as hooks:
        for name, module in model.named_modules():

            def hook(module, inputs, output, name=name):
                tensor = _one(output)
                if name and tensor is not None:
                    calls.setdefault(name, []).append(Call(name, len(taken), tensor))
                    taken.append(name)

            hooks.callback(module.register_forward_hook(hook).remove)
        y = model(model.example())
    return calls, y


def _one(output):
    """The tensor that a layer hands on, the sequence alone of a GRU; None for several maps at
    once.
    """
    output = output[0] if isinstance(output, tuple) else output
    return output if isinstance(output, torch.Tensor) else None


def _named(model, names):
    """{name: module} of all that match a pattern or a list of them, or a sentence with the nearest
    names.

    "pool[1]" names the second call of "pool" in a run; it stays in the key.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    found = {}
    for pattern in [names] if isinstance(names, str) else list(names):
        numbered = _NUMBERED.fullmatch(pattern)
        if numbered and numbered[1] in modules:
            found[pattern] = modules[numbered[1]]
            continue
        hits = fnmatch.filter(modules, pattern)
        if not hits:
            bare = re.sub(r"[*?\[\]]", "", pattern)
            near = difflib.get_close_matches(bare, modules, 3, 0.5) or list(modules)[:3]
            raise InputError(
                f"no layer is called {pattern!r}; nearest: {', '.join(near)} (explain.tap_names "
                "lists all)"
            )
        found |= {name: modules[name] for name in hits}
    return found


_NUMBERED = re.compile(r"(.+)\[(\d+)\]")


@contextlib.contextmanager
def _at_each_call(model, names, act: Callable) -> Iterator[None]:
    """While it lasts, act(name, number of the call in this run, output) may replace what the named
    layers hand on.
    """
    counts, wanted = Counter(), {}
    for name, module in _named(model, names).items():
        numbered = _NUMBERED.fullmatch(name)
        layer, number = (numbered[1], int(numbered[2])) if numbered else (name, None)
        if number is not None and dict(model.named_modules()).get(name) is module:
            layer, number = name, None  # a layer that is really called so
        wanted.setdefault(layer, (module, set()))[1].add(number)

    def hook_of(layer, numbers):
        def hook(module, inputs, output):
            number, counts[layer] = counts[layer], counts[layer] + 1
            if None in numbers or number in numbers:
                return act(layer, number, output)
            return None

        return hook

    with contextlib.ExitStack() as hooks:
        hooks.callback(model.register_forward_pre_hook(lambda *_: counts.clear()).remove)
        for layer, (module, numbers) in wanted.items():
            hooks.callback(module.register_forward_hook(hook_of(layer, numbers)).remove)
        yield


def is_there_a_melody(model: Network, features: Features) -> np.ndarray:
    """What a network that draws masks answers to this question; ones if nobody asked it.

    Not what its mask goes through: that is the gate of `models.run.mask`.

    Parameters
    ----------
    model : Network
        One that learns masks.
    features : Features
        (channels, rows, time) as the model's front end makes them.

    Returns
    -------
    np.ndarray
        (time,) in 0..1, frame by frame.
    """
    return model.shares(torch.from_numpy(run.logits(model, features)))[1].numpy()


@contextlib.contextmanager
def taps(model: nn.Module, names: str | Sequence[str] = "*") -> Iterator[dict[str, torch.Tensor]]:
    """Collect what named layers hand on while the model runs: `with taps(model, "cnn.*.relu") as
    seen: model(x)`.

    What is not named is not kept, so name few layers of a long song. In a CRNN convolutions give
    (batch * patches, channels, freq, 25): `as_picture` puts them back on the clock.

    Parameters
    ----------
    model : nn.Module
        Left as it was, also after an error.
    names : str or sequence of str
        As `tap_names` lists them, or patterns such as "cnn.*.relu".

    Yields
    ------
    dict
        {name: float32 tensor on the CPU, a copy without gradient}, in the order of computation,
        each of the shape that the layer made; the sequence alone of a GRU. Of several runs the last
        one counts. A layer that is called several times in a run gives "pool[0]", "pool[1]"...; one
        that hands on several maps at once gives nothing.

    Raises
    ------
    InputError
        For a name that fits nothing.
    """
    seen, several = {}, set()

    def keep(name, number, output):
        tensor = _one(output)
        if tensor is None:
            return
        if number and name in seen:  # it was thought to be called once
            kept = [(f"{key}[0]" if key == name else key, old) for key, old in seen.items()]
            seen.clear()
            seen.update(kept)
        if number:
            several.add(name)
        key = f"{name}[{number}]" if name in several else name
        with torch.inference_mode(False), torch.no_grad():  # a tensor that may be used anywhere
            seen.pop(key, None)
            seen[key] = torch.empty_like(tensor, dtype=torch.float32, device="cpu").copy_(tensor)

    with _at_each_call(model, names, keep):
        yield seen


def as_picture(activation: torch.Tensor, channels_last: bool = True) -> np.ndarray:
    """A layer's output for one song as an array on the song's own frames.

    A CRNN fills its last patch up, so the picture may be up to 24 frames longer than the song. For
    a batch of songs: `activation.unflatten(0, (batch, -1))[n]`.

    Parameters
    ----------
    activation : torch.Tensor
        (patches, channels, freq, frames of a patch), joined in order, which (1, channels, freq,
        time) is a case of; or (1, time, units), as a GRU or a dense layer gives it.
    channels_last : bool
        False where it is (1, channels, time), as a convolution in one dimension gives it.

    Returns
    -------
    np.ndarray
        (channels, freq, time); freq is 1 for units.

    Raises
    ------
    InputError
        For an activation of another shape.
    """
    values = np.asarray(activation)
    if values.ndim == 4:
        return values.transpose(1, 2, 0, 3).reshape(*values.shape[1:3], -1)
    if values.ndim == 3 and len(values) == 1:
        return values[0].T[:, None] if channels_last else values[0][:, None]
    raise InputError(
        f"an activation of shape {values.shape} is no picture of one song; give one song's at a "
        "time"
    )


def activations(
    model: Network, features: Features, names: str | Sequence[str]
) -> dict[str, Features]:
    """What named layers make of a whole song, on the song's own clock.

    Computed block by block like `models.run.salience`, in evaluation mode; memory: channels * freq
    * time * 4 bytes a layer (CNN2's first: 13 MB for each second of song).

    Parameters
    ----------
    model : Network
        Left as it was.
    features : Features
        (channels, rows, time) as the model's front end makes them.
    names : str or sequence of str
        As in `taps`.

    Returns
    -------
    dict
        {name: Features (channels, freq, time)}, kind being the layer's name. freqs_hz: the rows'
        pitches (61 semitones or 301 bins in a CRNN), after pooling those in the middle of what was
        pooled; NaN where a layer's rows have none, such as the kernels of a filter bank or the
        single row of GRU units and output classes. Frames that were pooled are repeated.

    Raises
    ------
    InputError
        For unknown names, unfitting features, and layers that are not on the song's frames, such as
        FTANet's attention over frequency (see `attention`).
    """
    n_frames, pictures = run.check_fit(model, features).shape[2], {}
    if timeless := [
        n for n in _named(model, names) for p in model.timeless if fnmatch.fnmatchcase(n, p)
    ]:
        raise InputError(
            f"{timeless[0]} is not on the song's frames; look at one block with taps or "
            "`explain.attention`"
        )
    last = _channels_last(model)
    with run.evaluating(model), torch.inference_mode(), taps(model, names) as seen:
        for first, stop, start, end in run.blocks(model, n_frames):
            _forward(model, features, start, end)
            for name, tensor in seen.items():
                block = as_picture(tensor, last[_NUMBERED.sub(r"\1", name)])
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


_OF_CHANNELS = (
    nn.GRU, nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm1d, nn.BatchNorm2d
)  # fmt: skip


def _channels_last(model):
    """{name: whether its output has its channels in the last dimension}: a GRU's and a dense
    layer's, and what follows these.
    """
    found, last = {}, False
    for name, module in model.named_modules():
        leaves = [
            part
            for part in module.modules()
            if isinstance(part, nn.GRU) or not list(part.children())
        ]
        kinds = [
            isinstance(leaf, nn.GRU | nn.Linear)
            for leaf in leaves
            if isinstance(leaf, _OF_CHANNELS)
        ]
        last = (
            kinds[-1] if kinds else last
        )  # what has no channels of its own keeps the order of the layer before
        found[name] = last
    return found

"""Look inside a network and reach into it: activations by name, channels switched off, the input a decision rests on.

Conventions
- A layer bears the name it has in `model.named_modules()`, such as "cnn.layer1.norm" or "gru"; `tap_names` lists them.
  Names may hold wildcards ("cnn.*.relu"); a container such as "cnn.layer1" stands for what its last part hands on.
- Channel c of a layer is dimension 1 of a convolution's output and the last one of a GRU's or a dense layer's: units and
  classes are channels too, of one row each. So are the kernels of a filter bank.
- Everything here is a context manager or a function that leaves the model as it was: its own hooks are gone afterwards, also
  after an error, and mode, weights, gradients and other people's hooks are untouched.
- Interventions add up in the order in which they were entered; whoever looks after them sees their work. What is run
  inside, such as `models.run.salience` or `activations`, is run on the changed network.
- Silence is a picture of zeros. Signed values stay signed.
"""

import contextlib
import difflib
import fnmatch
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from melodylab import grids
from melodylab.files import InputError
from melodylab.models import multires, run
from melodylab.records import Features, Melody

NO_MELODY = "no melody"  # the class of that meaning, as a target of `attribution`


# --- looking --------------------------------------------------------------------------------------------------------------


def tap_names(model):
    """What can be looked at: {name: what this layer hands on}, in the order of the definition, the model itself left out."""
    found, channels, last = {}, None, None
    for name, module in model.named_modules():
        if not name:
            continue
        channels = _channels(module) or channels  # what has no channels of its own keeps those of the layer before
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
            ways = "forwards in time, then as many backwards" if module.bidirectional else "forwards in time"
            found[name] = f"{module.hidden_size} units {ways}"
        elif isinstance(module, nn.Linear):
            found[name] = f"{channels} units a frame"
        else:
            parts = [part for part, _ in module.named_children()]
            found[name] = f"the output of {name}.{parts[-1]}" if parts else type(module).__name__
        last = name if isinstance(module, nn.Linear) else last
    if last and getattr(model, "has_unvoiced_class", False):
        low_hz, high_hz = model.grid.freqs_hz[[0, -1]]
        found[last] = f'{1 + model.grid.n_bins} logits: class 0 "no melody", then {low_hz:.0f} to {high_hz:.0f} Hz'
    return found


def _count(channels):
    return "1 channel" if channels == 1 else f"{channels} channels"


def _channels(module):
    if isinstance(module, nn.GRU):
        return module.hidden_size * (2 if module.bidirectional else 1)
    return next((getattr(module, a) for a in ("out_channels", "num_features", "out_features") if hasattr(module, a)), None)


def _named(model, names):
    """{name: module} of all that match a pattern or a list of them, or a sentence with the nearest names."""
    modules = {name: module for name, module in model.named_modules() if name}
    found = {}
    for pattern in [names] if isinstance(names, str) else list(names):
        hits = fnmatch.filter(modules, pattern)
        if not hits:
            near = difflib.get_close_matches(re.sub(r"[*?\[\]]", "", pattern), modules, 3, 0.5) or list(modules)[:3]
            raise InputError(f"no layer is called {pattern!r}; nearest: {', '.join(near)} (explain.tap_names lists all)")
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
            with torch.inference_mode(False), torch.no_grad():  # a plain tensor that may be used anywhere
                seen.pop(name, None)
                seen[name] = torch.empty_like(tensor, dtype=torch.float32, device="cpu").copy_(tensor)

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
    raise InputError(f"an activation of shape {values.shape} is no picture of one song; give one song's at a time")


def activations(model, features, names):
    """What named layers make of a whole song: {name: Features (channels, freq, time)} on the song's own clock.

    features: as the model's front end makes them. names: as in `taps`. freqs_hz: the rows' pitches (61 semitones or 301 bins
    in a CRNN), after pooling those in the middle of what was pooled; NaN where a layer's rows have none, such as the kernels of
    a filter bank or the single row of GRU units and output classes. Frames that were pooled are repeated. kind: the layer's
    name. Computed block by block like `models.run.salience`, in evaluation mode; memory: channels * freq * time * 4 bytes
    a layer (CNN2's first: 13 MB for each second of song). Raises InputError for unknown names, unfitting features, and layers
    that are not on the song's frames, such as FTANet's attention over frequency (see `attention`).
    """
    n_frames, context, pictures = features.values.shape[2], model.context_frames, {}
    if timeless := [n for n in _named(model, names) for p in getattr(model, "timeless", ()) if fnmatch.fnmatchcase(n, p)]:
        raise InputError(f"{timeless[0]} is not on the song's frames; look at one block with taps or `explain.attention`")
    last = _channels_last(model)
    with run.evaluating(model), torch.inference_mode(), taps(model, names) as seen:
        for first, stop in run.block_frames(n_frames, model.block_frames):
            start, end = max(first - context, 0), min(stop + context, n_frames)
            _forward(model, features, start, end)
            for name, tensor in seen.items():
                block = as_picture(tensor, last[name])
                block = np.repeat(block, -(-(end - start) // block.shape[2]), axis=2)  # 1, or how many frames were pooled
                if name not in pictures:
                    pictures[name] = np.empty((*block.shape[:2], n_frames), np.float32)
                pictures[name][:, :, first:stop] = block[:, :, first - start : stop - start]
    return {
        name: Features(values, _rows_hz(model, features, values.shape[1]), features.times_s, name)
        for name, values in pictures.items()
    }


def _forward(model, features, start, end):
    x = torch.from_numpy(features.values[None, :, :, start:end].copy())
    try:
        return model(x.contiguous(memory_format=torch.channels_last))  # as in `models.run`, to the last bit
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"features of shape {features.values.shape} do not fit the network ({reason})") from None


def _rows_hz(model, features, n_rows):
    if getattr(model, "rows_are_pitches", True) and n_rows > 1:
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
        leaves = [part for part in module.modules() if isinstance(part, nn.GRU) or not list(part.children())]
        kinds = [isinstance(leaf, nn.GRU | nn.Linear) for leaf in leaves if _channels(leaf)]
        last = kinds[-1] if kinds else last  # what has no channels of its own keeps the order of the layer before
        found[name] = last
    return found


def pitch_line(activation, channel=None, semitones=0.0):
    """The strongest row of each frame as a Melody, every frame voiced: what this layer alone would call the melody.

    activation: Features with pitches, such as one of `activations` or a network's input. channel: one of them, or None for
    their mean. semitones: added to the line, for a layer may write a pitch some rows off (see `clearest_reading`). A frame
    whose rows are all alike, as in silence, has no pitch (NaN) and voicing 0. Raises InputError where rows have no pitch;
    the output's line is `decode.peak(models.run.salience(model, features))`.
    """
    _need_pitches(activation)
    if channel is not None and not 0 <= channel < len(activation.values):
        last = len(activation.values) - 1
        raise InputError(f"{activation.kind} has channels 0 to {last}, not {channel}; choose one of these")
    values = activation.values.mean(axis=0) if channel is None else activation.values[channel]
    heard = np.ptp(values, axis=0) > 0
    f0_hz = activation.freqs_hz[values.argmax(axis=0)] * 2 ** (semitones / 12)
    return Melody(activation.times_s, np.where(heard, f0_hz, np.nan), heard.astype(float))


class Reading(NamedTuple):
    """Which channel to read, and how many semitones to add to what it says."""

    channel: int
    semitones: int


def clearest_reading(activation, melody):
    """Where a layer shows a true melody best: `pitch_line(activation, *clearest_reading(activation, melody))`.

    Convolutions may write a pitch some rows off, always the same number, because what follows can read any row. So the
    channel and the transposition are chosen together: the two with which most voiced frames are right (within 50 cents).
    They are chosen with the truth at hand; to compare layers, choose on one song and count on another.
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
        raise InputError(f"the rows of {activation.kind} are no pitches; take a layer of the convolutional part")


# --- attention and kernels ------------------------------------------------------------------------------------------------


class AttentionMaps(NamedTuple):
    """Where one level of FTANet looks in one block; None for what a variant lacks. Weights are above 0.

    frequency: (channels, rows), each channel's sum 1, on freqs_hz. time: (channels, frames), likewise, on times_s. fusion:
    (channels, maps), how much of each map goes on; the maps are, in order, "itself", then "time" and "frequency" where they are.
    """

    frequency: np.ndarray | None
    freqs_hz: np.ndarray
    time: np.ndarray | None
    times_s: np.ndarray
    fusion: np.ndarray | None
    maps: tuple


def attention(model, features, time_s, level=1):
    """The `AttentionMaps` of level 1 to 7 of an FTANet for the block of 128 frames that time_s lies in.

    Levels 2 and 5 have half the rows and frames, 3 and 4 a quarter; a pooled row or frame is given the middle of what it
    holds. Raises InputError for a network without these maps, a level or a time that does not exist, unfitting features.
    """
    names = [name for name, _ in model.named_modules()]
    if f"level{level}.attend" not in names:
        held = [name.removesuffix(".attend") for name in names if name.endswith(".attend")]
        there = f"levels {held[0][5:]} to {held[-1][5:]}" if held else "no attention maps"
        raise InputError(f"this network has {there}, not level {level!r}; choose {'one of these' if held else 'an FTANet'}")
    wanted = {kind: f"level{level}.{kind}" for kind in ("attend.frequency_map", "attend.time_map", "fuse.softmax")}
    first, stop = _heard_frames(model, features, _frame_at(features, time_s))
    inputs = f"level{level}.attend.norm"
    with run.evaluating(model), torch.inference_mode():
        with taps(model, [inputs, *(name for name in wanted.values() if name in names)]) as seen:
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
        times_s[0] + (np.arange(frames) * pooled + (pooled - 1) / 2) * np.median(np.diff(features.times_s)),
        found["fuse.softmax"],
        ("itself", *kinds),
    )


def uniform(model, names, share=1.0):
    """While it lasts, weights that a softmax made are drawn towards all being equal: `with uniform(model, "*.time_map"): ...`.

    share: 0 leaves them, 1 makes them equal, between is a blend; their sum stays 1. Raises InputError for a share outside
    0..1 and for layers that do not end in a softmax.
    """
    if not 0 <= share <= 1:
        raise InputError(f"a blend to uniform lies between 0 and 1, not at {share!r}")
    last = {name: _last(module) for name, module in _named(model, names).items()}
    if wrong := [name for name, module in last.items() if not isinstance(module, nn.Softmax)]:
        raise InputError(f"{wrong[0]} does not end in a softmax; name layers such as *.time_map or *.frequency_map")
    dims = {module.dim for module in last.values()}
    if len(dims) > 1:
        raise InputError("these layers sum to 1 over different axes; name those of one kind at a time")
    (dim,) = dims

    def change(tensor, axis):
        return (1 - share) * tensor + share / tensor.shape[dim]

    return _changed(model, names, change)


def _last(module):
    while isinstance(module, nn.Sequential):
        module = module[-1]
    return module


class KernelResponses(NamedTuple):
    """A bank of learned filters. kernels: (n, samples); levels_db: (n, freqs), below each kernel's own maximum; Hz and seconds."""

    kernels: np.ndarray
    times_s: np.ndarray
    levels_db: np.ndarray
    freqs_hz: np.ndarray
    centres_hz: np.ndarray
    bandwidths_hz: np.ndarray


def kernel_responses(model, length="long"):
    """What the learned kernels of a multires network let through: `KernelResponses`, in the network's own order.

    length: "short" (64 samples) or "long" (960). times_s: from the kernel's middle. centres_hz: where a kernel responds most.
    bandwidths_hz: the width of a rectangle as high as the maximum with the same area under the squared response. Raises
    InputError for a network without that bank.
    """
    bank = getattr(model, str(length), None)
    if not isinstance(bank, multires.FilterBank):
        held = [name for name, module in model.named_children() if isinstance(module, multires.FilterBank)]
        there = f"banks {' and '.join(held)}" if held else "no filter banks"
        raise InputError(f"this network has {there}, not {length!r}; choose {'one of these' if held else 'a multires network'}")
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


# --- reaching in ----------------------------------------------------------------------------------------------------------


def ablate(model, name, channel, value="zero"):
    """While it lasts, one channel of a layer says the same everywhere: `with ablate(model, "cnn.layer4", 3): ...`.

    channel: a number or several of them. value: "zero", "mean" (of the channel over all frames, rows and songs of the call)
    or a number. After a batch norm 0 is about the channel's average, after a ReLU it is silence. Raises InputError for an
    unknown layer or value, and, when the model runs, for a channel the layer does not have.
    """
    if value not in ("zero", "mean") and (isinstance(value, str) or not np.isfinite(value)):
        raise InputError(f'a channel can be set to "zero", "mean" or a number, not to {value!r}; choose one of these')

    def change(tensor, axis):
        tensor, channels = tensor.clone(), _chosen(name, tensor.shape[axis], channel)
        for c in channels:
            part = tensor.select(axis, c)
            part.fill_(0.0 if value == "zero" else part.mean().item() if value == "mean" else value)
        return tensor

    return _changed(model, name, change)


def patch(model, name, activation, channel=None):
    """While it lasts, a layer hands on another song's activation in place of its own.

    activation: a tensor as `taps` collects it, from one call, of the same shape as the layer's own: so take songs of one
    length and of at most one block (500 frames, 5.8 s). channel: put in only this one, or these. Raises InputError for an
    unknown layer and, when the model runs, for another shape or a channel the layer does not have.
    """

    def change(tensor, axis):
        if tensor.shape != activation.shape:
            raise InputError(
                f"{name} makes {tuple(tensor.shape)} of this song, the activation to put in is {tuple(activation.shape)}; "
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


@contextlib.contextmanager
def _changed(model, name, change):
    """The named layers hand on change(output, axis of its channels) while this lasts."""
    last = _channels_last(model)

    def hook_of(layer):
        def hook(module, inputs, output):
            tensor = output[0] if isinstance(output, tuple) else output
            changed = change(tensor, tensor.ndim - 1 if last[layer] and tensor.ndim < 4 else 1)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return hook

    with contextlib.ExitStack() as hooks:
        for layer, module in _named(model, name).items():
            hooks.callback(module.register_forward_hook(hook_of(layer)).remove)
        yield


def _chosen(name, n, channel):
    channels = np.atleast_1d(channel)
    if wrong := [int(c) for c in channels if not 0 <= c < n]:
        raise InputError(f"{name} has channels 0 to {n - 1}, not {wrong[0]}; choose one of these")
    return [int(c) for c in channels]


# --- what a decision rests on ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Attribution(Features):
    """How much each cell of the input spoke for a decision, in nats of its log odds: values signed (channels, freq, time).

    time_s: of the frame in question. f_hz: the pitch in question, NaN for "no melody". score: its log odds with the whole
    input; baseline_score: the same with these cells silenced. Integrated gradients add up to the difference of the two.
    """

    time_s: float
    f_hz: float
    score: float
    baseline_score: float


def attribution(
    model,
    features,
    time_s,
    f_hz=None,
    *,
    method="integrated_gradients",
    around_s=1.0,
    steps=32,
    window_semitones=3.0,
    window_s=0.15,
):
    """Which cells of the input speak for a pitch at a time, and which against it? An `Attribution` on the input's axes.

    f_hz: the pitch (its nearest class is taken), "no melody", or None for what the network decided there. What is explained
    is the class's log odds against all others, log(p / (1 - p)). Silence, 0 everywhere, is the alternative to what was
    heard. method: "integrated_gradients" (gradients averaged over `steps` inputs between silence and the song; they add up)
    or "occlusion" (a window of window_semitones x window_s is silenced, place by place; what the log odds then lose).
    around_s: look this far to either side of the time, None: at the whole block of the network, beyond which it does not
    hear. Costs `steps` forward and backward runs, or one run for each place of the window. Raises InputError for a time or
    pitch outside the song or the network's range, and without the package captum, which does the work.
    Sources: Sundararajan et al. 2017; Zeiler and Fergus 2014.
    """
    attribute = _captum(method)
    if method == "occlusion" and features.kind == "wave":
        raise InputError("a waveform has no rows to cover; take integrated_gradients")
    frame = _frame_at(features, time_s)
    first, stop = _heard_frames(model, features, frame)
    block = torch.from_numpy(features.values[None, :, :, first:stop].copy())
    low, high = 0, stop - first
    if around_s is not None:
        inside = np.flatnonzero(np.abs(features.times_s[first:stop] - features.times_s[frame]) <= around_s + 1e-9)
        low, high = int(inside[0]), int(inside[-1]) + 1

    def score(part):
        left, right = (side.expand(len(part), -1, -1, -1) for side in (block[..., :low], block[..., high:]))
        logits = model(torch.cat([left, part, right], dim=3))[:, :, frame - first]
        if not model.has_unvoiced_class:
            return logits[:, target]
        others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
        return logits[:, target] - others.logsumexp(dim=1)

    with run.evaluating(model):
        with torch.no_grad():
            target = _target(model, f_hz, _forward(model, features, first, stop)[0, :, frame - first])
            part = block[..., low:high].clone()
            scores = [score(x).item() for x in (part, torch.zeros_like(part))]
        if method == "integrated_gradients":
            part.requires_grad_(True)  # or captum would remark that it has done so
            values = attribute(score).attribute(part, baselines=0.0, n_steps=steps, internal_batch_size=1)
        else:
            size = [
                round(window_semitones * np.log(2) / 12 / np.log(features.freqs_hz[1] / features.freqs_hz[0])),
                round(window_s / np.median(np.diff(features.times_s))),
            ]
            freq, time = (int(np.clip(n, 1, most)) for n, most in zip(size, part.shape[2:], strict=True))
            window = (part.shape[1], freq, time)  # moved on by its own size: half of it would cost four times as much
            with torch.no_grad():
                values = attribute(score).attribute(part, sliding_window_shapes=window, strides=window, baselines=0.0)
    unvoiced_class = int(model.has_unvoiced_class)
    class_hz = np.nan if target < unvoiced_class else float(model.grid.freqs_hz[target - unvoiced_class])
    times_s = features.times_s[first + low : first + high]
    values = values.detach().numpy()[0]
    return Attribution(
        values, features.freqs_hz, times_s, f"attribution by {method}", float(features.times_s[frame]), class_hz, *scores
    )


def _captum(method):
    classes = {"integrated_gradients": "IntegratedGradients", "occlusion": "Occlusion"}
    if method not in classes:
        raise InputError(f"there is no attribution method {method!r}; choose {' or '.join(classes)}")
    try:
        from captum import attr
    except ImportError:
        raise InputError('attribution needs the package captum; run: pip install "melodylab[lab]"') from None
    return getattr(attr, classes[method])


def _frame_at(features, time_s):
    end_s = features.times_s[-1]
    if not -0.1 <= time_s <= end_s + 0.1:
        raise InputError(f"the song lasts from 0 to {end_s:.2f} s, {time_s:g} s is outside; choose a time within")
    return int(np.argmin(np.abs(features.times_s - time_s)))


def _heard_frames(model, features, frame):
    """(first, stop) of the frames that the network hears for its decision at `frame`, as `models.run` feeds it."""
    n_frames = features.values.shape[2]
    first, stop = [(a, b) for a, b in run.block_frames(n_frames, model.block_frames) if a <= frame < b][-1]
    if getattr(model, "gru", None) is not None:
        return first, stop
    if context := model.context_frames:  # convolutions alone: this far to either side, and some frames for the eye
        return max(frame - context - _SEEN_FRAMES, 0), min(frame + context + _SEEN_FRAMES + 1, n_frames)
    if hasattr(model, "across_patches"):  # a CRNN without its memory: a patch of 25 frames and one on either side hold all it hears
        near = first + (frame - first) // 25 * 25
        first, stop = max(near - 25, first), min(near + 50, stop)
    return first, stop


_SEEN_FRAMES = 40


def _target(model, f_hz, logits):
    """The class in question, an int."""
    if f_hz is None:
        return int(logits.argmax())
    if f_hz == NO_MELODY:
        if model.has_unvoiced_class:
            return 0
        raise InputError('this network has no class "no melody"; give a pitch in Hz')
    if isinstance(f_hz, str) or (pitch := int(model.grid.nearest_bin(f_hz))) < 0:
        low_hz, high_hz = model.grid.freqs_hz[[0, -1]]
        raise InputError(f'this network knows {low_hz:.0f} to {high_hz:.0f} Hz, not {f_hz!r}; give a pitch or "{NO_MELODY}"')
    return pitch + int(model.has_unvoiced_class)

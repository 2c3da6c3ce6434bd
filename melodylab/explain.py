"""Look inside a network and reach into it: activations by name, channels switched off, the input a decision rests on.

Conventions
- A layer bears the name it has in `model.named_modules()`, such as "cnn.layer1.norm" or "gru"; `tap_names` lists them.
  Names may hold wildcards ("cnn.*.relu"); a container such as "cnn.layer1" stands for what its last part hands on.
- Channel c of a layer is dimension 1 of a convolution's output and the last one of a GRU's or a dense layer's: units and
  classes are channels too, of one row each.
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
from melodylab.models import run
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
        elif isinstance(module, nn.BatchNorm2d):
            found[name] = f"batch norm of {_count(channels)}, each around 0"
        elif isinstance(module, nn.ReLU):
            found[name] = f"positive part of {_count(channels)}"
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


def as_picture(activation):
    """A layer's output for one song as an array on the song's own frames: (channels, freq, time).

    activation: (patches, channels, freq, frames of a patch), joined in order, which (1, channels, freq, time) is a case of;
    or (1, time, units), as a GRU or a dense layer gives it, which becomes (units, 1, time). A CRNN fills its last patch up,
    so the picture may be up to 24 frames longer than the song. For a batch of songs:
    `activation.unflatten(0, (batch, -1))[n]`.
    """
    values = np.asarray(activation)
    if values.ndim == 4:
        return values.transpose(1, 2, 0, 3).reshape(*values.shape[1:3], -1)
    if values.ndim == 3 and len(values) == 1:
        return values[0].T[:, None]
    raise InputError(f"an activation of shape {values.shape} is no picture of one song; give one song's at a time")


def activations(model, features, names):
    """What named layers make of a whole song: {name: Features (channels, freq, time)} on the song's own clock.

    features: as the model's front end makes them. names: as in `taps`. freqs_hz: the rows' pitches (61 semitones or 301 bins
    in a CRNN); NaN where a layer's rows have none, such as the single row of GRU units and output classes. kind: the layer's
    name. Computed block by block like `models.run.salience`, in evaluation mode; memory: channels * freq * time * 4 bytes
    a layer (CNN2's first: 13 MB for each second of song). Raises InputError for unknown names and unfitting features.
    """
    n_frames, context, pictures = features.values.shape[2], model.context_frames, {}
    with run.evaluating(model), torch.inference_mode(), taps(model, names) as seen:
        for first, stop in run.block_frames(n_frames, model.block_frames):
            start, end = max(first - context, 0), min(stop + context, n_frames)
            _forward(model, features, start, end)
            for name, tensor in seen.items():
                block = as_picture(tensor)
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
    for freqs_hz in (features.freqs_hz, model.grid.freqs_hz):
        if n_rows == len(freqs_hz):
            return freqs_hz
    return np.full(n_rows, np.nan)


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


# --- reaching in ----------------------------------------------------------------------------------------------------------


def ablate(model, name, channel, value="zero"):
    """While it lasts, one channel of a layer says the same everywhere: `with ablate(model, "cnn.layer4", 3): ...`.

    channel: a number or several of them. value: "zero", "mean" (of the channel over all frames, rows and songs of the call)
    or a number. After a batch norm 0 is about the channel's average, after a ReLU it is silence. Raises InputError for an
    unknown layer or value, and, when the model runs, for a channel the layer does not have.
    """
    if value not in ("zero", "mean") and (isinstance(value, str) or not np.isfinite(value)):
        raise InputError(f'a channel can be set to "zero", "mean" or a number, not to {value!r}; choose one of these')

    def change(tensor):
        tensor, axis, channels = tensor.clone(), _channel_axis(tensor), _chosen(name, tensor, channel)
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

    def change(tensor):
        if tensor.shape != activation.shape:
            raise InputError(
                f"{name} makes {tuple(tensor.shape)} of this song, the activation to put in is {tuple(activation.shape)}; "
                "take two songs of the same length, at most one block long"
            )
        other = activation.to(tensor)
        if channel is None:
            return other
        tensor, axis = tensor.clone(), _channel_axis(tensor)
        for c in _chosen(name, tensor, channel):
            tensor.select(axis, c).copy_(other.select(axis, c))
        return tensor

    return _changed(model, name, change)


@contextlib.contextmanager
def _changed(model, name, change):
    """The named layers hand on change(output) while this lasts."""

    def hook(module, inputs, output):
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    with contextlib.ExitStack() as hooks:
        for module in _named(model, name).values():
            hooks.callback(module.register_forward_hook(hook).remove)
        yield


def _channel_axis(tensor):
    return 1 if tensor.ndim == 4 else tensor.ndim - 1


def _chosen(name, tensor, channel):
    channels, n = np.atleast_1d(channel), tensor.shape[_channel_axis(tensor)]
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
    if getattr(model, "gru", None) is None:  # no memory: its patch of 25 frames and one on either side hold all it hears
        near = first + (frame - first) // 25 * 25
        ends = (0, n_frames) if model.context_frames else (first, stop)
        first, stop = max(near - 25, ends[0]), min(near + 50, ends[1])
    return first, stop


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

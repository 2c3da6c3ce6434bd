"""What in the input a decision rests on."""

from dataclasses import dataclass

import numpy as np
import torch

from melodylab.errors import InputError, missing_package
from melodylab.explain.taps import _forward
from melodylab.models import run
from melodylab.models.base import Network
from melodylab.records import Features

NO_MELODY = "no melody"  # the class of that meaning, as a target

# --- what a decision rests on ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Attribution(Features):
    """How much each cell of the input spoke for a decision, in nats of its log odds: values signed
    (channels, freq, time).

    time_s: of the frame in question. f_hz: the pitch in question, NaN for "no melody". score: its
    log odds with the whole input; baseline_score: the same with these cells silenced. Integrated
    gradients add up to the difference of the two.
    """

    time_s: float
    f_hz: float
    score: float
    baseline_score: float


def attribution(
    model: Network,
    features: Features,
    time_s: float,
    f_hz: float | str | None = None,
    *,
    method: str = "integrated_gradients",
    around_s: float | None = 1.0,
    steps: int = 32,
    window_semitones: float = 3.0,
    window_s: float = 0.15,
) -> Attribution:
    """Which cells of the input speak for a pitch at a time, and which against it?

    What is explained is the class's log odds against all others, log(p / (1 - p)). Silence, 0
    everywhere, is the alternative to what was heard.

    Parameters
    ----------
    model : Network
        One that finds melodies; left as it was.
    features : Features
        (channels, rows, time) as the model's front end makes them.
    time_s : float
        Within the song.
    f_hz : float, "no melody" or None
        The pitch (its nearest class is taken); None for what the network decided there.
    method : str
        "integrated_gradients" (gradients averaged over `steps` inputs between silence and the song;
        they add up) or "occlusion" (a window is silenced, place by place; what the log odds then
        lose).
    around_s : float or None
        Look this far to either side of the time; None: at the whole block of the network, beyond
        which it does not hear.
    steps : int
        Of integrated gradients: so many forward and backward runs.
    window_semitones, window_s : float
        Of occlusion: one run for each place of the window.

    Returns
    -------
    Attribution
        On the input's axes.

    Raises
    ------
    InputError
        For a time or pitch outside the song or the network's range, and without the package captum,
        which does the work.

    Notes
    -----
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
        inside = np.flatnonzero(
            np.abs(features.times_s[first:stop] - features.times_s[frame]) <= around_s + 1e-9
        )
        low, high = int(inside[0]), int(inside[-1]) + 1

    def score(part):
        left, right = (
            side.expand(len(part), -1, -1, -1) for side in (block[..., :low], block[..., high:])
        )
        logits = run.answer(model, torch.cat([left, part, right], dim=3))[:, :, frame - first]
        if not model.has_unvoiced_class:
            return logits[:, target]
        others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
        return logits[:, target] - others.logsumexp(dim=1)

    with run.evaluating(model):
        with torch.no_grad():
            target = _target(
                model, f_hz, _forward(model, features, first, stop)[0, :, frame - first]
            )
            part = block[..., low:high].clone()
            scores = [score(x).item() for x in (part, torch.zeros_like(part))]
        if method == "integrated_gradients":
            part.requires_grad_(True)  # or captum would remark that it has done so
            values = attribute(score).attribute(
                part, baselines=0.0, n_steps=steps, internal_batch_size=1
            )
        else:
            size = [
                round(
                    window_semitones
                    * np.log(2)
                    / 12
                    / np.log(features.freqs_hz[1] / features.freqs_hz[0])
                ),
                round(window_s / np.median(np.diff(features.times_s))),
            ]
            freq, time = (
                int(np.clip(n, 1, most)) for n, most in zip(size, part.shape[2:], strict=True)
            )
            window = (
                part.shape[1],
                freq,
                time,
            )  # moved on by its own size: half of it would cost four times as much
            with torch.no_grad():
                values = attribute(score).attribute(
                    part, sliding_window_shapes=window, strides=window, baselines=0.0
                )
    unvoiced_class = int(model.has_unvoiced_class)
    class_hz = (
        np.nan if target < unvoiced_class else float(model.grid.freqs_hz[target - unvoiced_class])
    )
    times_s = features.times_s[first + low : first + high]
    values = values.detach().numpy()[0]
    return Attribution(
        values,
        features.freqs_hz,
        times_s,
        f"attribution by {method}",
        float(features.times_s[frame]),
        class_hz,
        *scores,
    )


def _captum(method):
    classes = {"integrated_gradients": "IntegratedGradients", "occlusion": "Occlusion"}
    if method not in classes:
        raise InputError(
            f"there is no attribution method {method!r}; choose {' or '.join(classes)}"
        )
    try:
        from captum import attr
    except ImportError:
        raise missing_package("attribution", "captum", "lab") from None
    return getattr(attr, classes[method])


def _frame_at(features, time_s):
    end_s = features.times_s[-1]
    if not -0.1 <= time_s <= end_s + 0.1:
        raise InputError(
            f"the song lasts from 0 to {end_s:.2f} s, {time_s:g} s is outside; choose a time within"
        )
    return int(np.argmin(np.abs(features.times_s - time_s)))


def _heard_frames(model, features, frame):
    """(first, stop) of the frames that the network hears for its decision at `frame`, as
    `models.run` feeds it.
    """
    n_frames = features.values.shape[2]
    block = [b for b in run.blocks(model, n_frames) if b[0] <= frame < b[1]][-1]
    first, _, start, end = block
    reach, patch = model.reach_frames, model.patch_frames
    if reach is None:
        return start, end
    if patch == 1:  # this far to either side, and some frames for the eye
        return max(frame - reach - _SEEN_FRAMES, 0), min(frame + reach + _SEEN_FRAMES + 1, n_frames)
    near = first + (frame - first) // patch * patch  # whole patches, in the block's own places
    return max(near - reach, start), min(near + patch + reach, end)


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
        raise InputError(
            f"this network knows {low_hz:.0f} to {high_hz:.0f} Hz, not {f_hz!r}; give a pitch or "
            f'"{NO_MELODY}"'
        )
    return pitch + int(model.has_unvoiced_class)

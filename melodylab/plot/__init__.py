"""Every picture: sound on its axes, melodies on top, errors by kind, factors in the layout of
their equation.

Conventions: a function takes `ax=None` and returns the Axes (`nmf_factors` a Figure). Without
`ax` it makes a pyplot figure, which a notebook shows by itself; nothing here calls `show`,
closes a figure or touches a global setting. However an axis is scaled, its data are seconds and
Hz: `ax.plot(times_s, f0_hz)` lands on the right row of any picture. Lines break where nothing
is sung. Colour maps are perceptual (diverging only for signed data) and colour never speaks
alone: lines differ in style and width, frames in marker, bars in hatching and number. Silent or
one-frame data give a dark picture, no error.
"""

from melodylab.plot.axes import ERRORS, ESTIMATE, INK, REFERENCE, note_name
from melodylab.plot.drums import (
    DRUMS,
    drum_factors,
    drum_templates,
    hit_map,
    mel_hits,
    profile_map,
)
from melodylab.plot.insight import attention, attribution_map, kernel_responses, learning_curve
from melodylab.plot.loops import replacement_chain, step_map
from melodylab.plot.melody import (
    level_difference,
    mask_map,
    melody_line,
    salience_map,
    spectrogram,
    waveforms,
)
from melodylab.plot.networks import (
    activation_map,
    activations,
    aligned,
)
from melodylab.plot.nmf import cost_curve, nmf_factors
from melodylab.plot.scores import PITCH_ERRORS, error_map, pitch_error_bars, score_bars

__all__ = [
    "DRUMS",
    "ERRORS",
    "ESTIMATE",
    "INK",
    "PITCH_ERRORS",
    "REFERENCE",
    "activation_map",
    "activations",
    "aligned",
    "attention",
    "attribution_map",
    "cost_curve",
    "drum_factors",
    "drum_templates",
    "error_map",
    "hit_map",
    "kernel_responses",
    "learning_curve",
    "level_difference",
    "mask_map",
    "mel_hits",
    "melody_line",
    "nmf_factors",
    "note_name",
    "pitch_error_bars",
    "profile_map",
    "replacement_chain",
    "salience_map",
    "score_bars",
    "spectrogram",
    "step_map",
    "waveforms",
]

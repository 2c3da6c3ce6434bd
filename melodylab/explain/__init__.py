"""Look inside a network and reach into it: activations by name, channels switched off, the input a
decision rests on.

Conventions - A layer bears the name it has in `model.named_modules()`, such as "cnn.layer1.norm" or
"gru"; `tap_names` lists them.
  Names may hold wildcards ("cnn.*.relu"); a container such as "cnn.layer1" stands for what its last
  part hands on.
- Channel c of a layer is dimension 1 of a convolution's output and the last one of a GRU's or a
dense layer's: units and
  classes are channels too, of one row each. So are the kernels of a filter bank.
- Everything here is a context manager or a function that leaves the model as it was: its own hooks
are gone afterwards, also
  after an error, and mode, weights, gradients and other people's hooks are untouched.
- Interventions add up in the order in which they were entered; whoever looks after them sees their
work. What is run
  inside, such as `models.run.salience` or `activations`, is run on the changed network.
- Silence is a picture of zeros. Signed values stay signed.
"""

from melodylab.explain.attribution import NO_MELODY, Attribution, attribution
from melodylab.explain.maps import (
    AttentionMaps,
    KernelResponses,
    attention,
    filter_banks,
    kernel_responses,
    uniform,
)
from melodylab.explain.reach import Reading, ablate, clearest_reading, patch, pitch_line
from melodylab.explain.taps import (
    activations,
    as_picture,
    is_there_a_melody,
    tap_names,
    taps,
)

__all__ = [
    "AttentionMaps",
    "Attribution",
    "KernelResponses",
    "NO_MELODY",
    "Reading",
    "ablate",
    "activations",
    "as_picture",
    "attention",
    "attribution",
    "clearest_reading",
    "filter_banks",
    "is_there_a_melody",
    "kernel_responses",
    "patch",
    "pitch_line",
    "tap_names",
    "taps",
    "uniform",
]

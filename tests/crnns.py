"""What the tests of the CRNNs and of Deep Salience share."""

import torch
from torch import nn

from melodylab import models

CHANNELS_AND_BINS = {"sf": (1, 301), "cqt": (1, 301), "hcqt": (6, 360)}


def shape_of_input(name, frames, batch=1):
    return (batch, *CHANNELS_AND_BINS[models.NETWORKS[name].front_end], frames)


def lively(model):
    """The model with other biases and scales than the plain first ones, and with running means and
    variances of noise.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for key, tensor in model.state_dict().items():
        if key.endswith(("bias", "bias_ih_l0", "bias_ih_l0_reverse")):
            tensor.normal_(0, 0.1)
        elif key.endswith("norm.weight"):
            tensor.uniform_(0.5, 2)
    for norm in norms:
        norm.momentum = None  # the plain mean of all it has seen
    with torch.no_grad():
        model.train()(torch.rand(shape_of_input(model.name, 50)))
    for norm in norms:
        norm.momentum = 0.01
    return model.eval()


def seen(model, x, *names):
    """Outputs of the named layers while the model works on x."""
    found, modules = {}, dict(model.named_modules())
    hooks = [
        modules[name].register_forward_hook(
            lambda _, __, out, name=name: found.__setitem__(name, out)
        )
        for name in names
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return [found[name] for name in names]

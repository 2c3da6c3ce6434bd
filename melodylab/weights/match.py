"""Do tensors belong to a network? What keeps them from it, and whose they are instead."""

import contextlib
from collections.abc import Mapping
from typing import Any

import torch

from melodylab import models


def network_of(tensors: Mapping[str, torch.Tensor], changes: Mapping[str, Any]) -> str | None:
    """Whose tensors are these?

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        By their names in the file.
    changes : mapping
        Arguments of the network that depart from the paper, as on its card.

    Returns
    -------
    str or None
        Name of the first network that they fit; None if there is none.
    """
    for name in models.NETWORKS:
        with (
            contextlib.suppress(Exception),
            torch.random.fork_rng(devices=[]),
        ):  # a change that makes no sense to this network
            if not misfits(models.create_model(name, **changes), tensors):
                return name
    return None


def misfits(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> str:
    """What keeps these tensors from being this model's, the first of each kind.

    Parameters
    ----------
    model : torch.nn.Module
        The network in question.
    tensors : mapping of str to torch.Tensor
        By their names in the file.

    Returns
    -------
    str
        A list in words, empty where they fit.
    """
    own = model.state_dict()
    shared = own.keys() & tensors.keys()
    held = {key for key, parameter in model.named_parameters() if not parameter.requires_grad}
    kinds = {
        "missing": [key for key in own if key not in tensors],
        "too many": [key for key in tensors if key not in own],
        "of another shape": [
            f"{key} {tuple(tensors[key].shape)} for {tuple(own[key].shape)}"
            for key in own
            if key in shared and tensors[key].shape != own[key].shape
        ],
        "not zero": [key for key in own if key in held & shared and tensors[key].any()],
    }
    return "; ".join(
        f"{kind}: {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
        for kind, keys in kinds.items()
        if keys
    )

"""The objectives by name."""

import torch

from melodylab.training.hits import Hits
from melodylab.training.masks import Masks
from melodylab.training.melodies import Melodies
from melodylab.training.objective import Objective

OBJECTIVES: dict[str, type[Objective]] = {"melody": Melodies, "mask": Masks, "hits": Hits}


def of(network: torch.nn.Module) -> type[Objective]:
    """The objective of a network.

    Parameters
    ----------
    network : torch.nn.Module
        One of `models.create_model`.

    Returns
    -------
    type
        A subclass of `Objective`, by what the network `learns`.
    """
    return OBJECTIVES[network.learns]

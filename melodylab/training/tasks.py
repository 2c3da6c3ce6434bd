"""What a network can be taught: melodies, masks or drum hits. The examples, the loss, the examination; `train` runs the loop.

A task is found by what its network `learns`. Each answers the same questions:

    bank        the dataclass of a recipe's table [data]
    source      examples without end, the same for the same (seed, step)
    batch       one step of them as tensors, the input first
    loss        of a network on a batch
    examinees   the songs to validate on, heard once
    examine     how a network does on one of them: a dict
    summary     the figures of a validation, from all of these; `score` names the one that the best checkpoint has most of
    scores      what the card tells of the finished network, and how its output is to be decoded

Sources: Basaran 2018 and Bittner 2017 for the melodies' losses. The masks' stand with their networks.
"""

from melodylab.training.hits import Hits
from melodylab.training.masks import Masks
from melodylab.training.melodies import Melodies, bumps, classes  # noqa: F401
from melodylab.training.shared import held_out, mean, names  # noqa: F401


def of(network):
    """The task of a network."""
    return TASKS[network.learns]


# --- melodies -------------------------------------------------------------------------------------


TASKS = {"melody": Melodies, "mask": Masks, "hits": Hits}

"""The networks by name, untrained, one file per paper; `run` takes them from features to a salience
or a mask.

A network is what a file in this folder declares: `NETWORKS` is gathered from there, and `base` says
what to write.
"""

import importlib
import inspect
import pkgutil

from melodylab.errors import InputError, did_you_mean
from melodylab.models.base import Declared, Network

_NO_MODELS = ("base", "inputs", "run")


def gather() -> dict[str, Declared]:
    """All networks that the files of this folder declare.

    Returns
    -------
    dict
        Name -> `Declared`, files in the order of their names.
    """
    found = {}
    for file in pkgutil.iter_modules(__path__):
        if file.name in _NO_MODELS:
            continue
        module = importlib.import_module(f"{__name__}.{file.name}")
        for declared in vars(module).get("NETWORKS", ()):
            if declared.name in found:
                raise ValueError(f"{file.name} declares a second network {declared.name!r}")
            found[declared.name] = declared
    return found


NETWORKS = gather()


def create_model(name: str, **changes: object) -> Network:
    """The network as published, untrained, in evaluation mode.

    Its first numbers come from torch's own generator: torch.manual_seed(seed) before it gives the
    same ones again.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    **changes : object
        Arguments of the network's class that depart from the paper, such as across_patches=True.
        Which there are, the class says: a name that it lacks is refused.

    Returns
    -------
    Network
        A torch module that knows its `name`, `changes` and `front_end`.

    Raises
    ------
    InputError
        For a name or an argument that does not exist.
    """
    if not isinstance(name, str) or name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; {did_you_mean(str(name), NETWORKS)}")
    declared = NETWORKS[name]
    known = inspect.signature(declared.network).parameters
    if unknown := [argument for argument in changes if argument not in known]:
        there_is = ", ".join(known) or "nothing of the kind"
        raise InputError(f"{name} has nothing called {unknown[0]} to change; it has {there_is}")
    model = declared.network(**{**declared.arguments, **changes}).eval()
    model.name, model.changes, model.front_end = name, dict(changes), declared.front_end
    return model

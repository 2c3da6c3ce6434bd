"""What batches of every kind share: (seed, step) determines each, features lie in one store."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch

from melodylab.models.inputs import FrontEnd
from melodylab.training.store import Arrays, Compute, Key, Store, fingerprint


class Batches(ABC):
    """Excerpts from a bank, in whatever order the steps are asked for.

    A kind of batches says how one excerpt is cut (`_cut`) and which keys its bank has (`_keys`).

    Parameters
    ----------
    front_end : FrontEnd
        An entry of `models.inputs.FRONT_ENDS`.
    compute : callable
        From a key to the arrays of one song of the bank, as `Store` takes it.
    settings : dict
        What else the features depend on, as JSON has it. Not how many songs the bank has: more of
        them join those that are there.
    batch_size : int
        Excerpts a batch.
    seed : int
        Another seed cuts other excerpts.
    cache : path or None
        Folder for the features; it may be shared and can be deleted.
    memory_gb : float
        How much of the features stays in memory, in gigabytes.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        compute: Compute,
        settings: dict,
        *,
        batch_size: int,
        seed: int,
        cache: str | Path | None,
        memory_gb: float,
    ):
        self.front_end, self.batch_size, self.seed = front_end, batch_size, seed
        folder = None if cache is None else Path(cache) / fingerprint(front_end, settings)
        self.store = Store(compute, folder, memory_gb)

    def parts(self, step: int) -> tuple[torch.Tensor, ...]:
        """All that is cut for one step, excerpts along the first axis.

        Parameters
        ----------
        step : int
            0 or more.

        Returns
        -------
        tuple of Tensor
        """
        rng = np.random.default_rng([self.seed, step])
        excerpts = [self._cut(rng, step) for _ in range(self.batch_size)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*excerpts, strict=True))

    def batch(self, step: int) -> tuple[torch.Tensor, ...]:
        """What a network learns from at one step: features and truth.

        Parameters
        ----------
        step : int
            0 or more.

        Returns
        -------
        tuple of Tensor
        """
        return self.parts(step)

    def prepare(self, *, progress: bool = False, n_jobs: int | None = None) -> None:
        """Compute the features that are missing (`Store.prepare`).

        Parameters
        ----------
        progress : bool
            Whether to show a bar.
        n_jobs : int or None
            Processes, as joblib counts them.
        """
        self.store.prepare(self._keys(), n_jobs=n_jobs, progress=progress)

    @abstractmethod
    def _keys(self) -> list[Key]:
        """All songs of the bank, as the store calls them."""

    @abstractmethod
    def _cut(self, rng: np.random.Generator, step: int) -> Arrays:
        """One excerpt and its truth."""

"""What a network can be taught, as the loop asks for it, and what all kinds share.

An objective is found by what its network `learns` (`objectives.of`). Sources: Basaran 2018 and
Bittner 2017 for the melodies' losses. The masks' stand with their networks.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from melodylab.records import Song
from melodylab.training.song_batches import Bank, SongBatches

if TYPE_CHECKING:
    from melodylab.training.recipe import Recipe

HELD_OUT_SONGS = 8


HELD_OUT_SEED = 500_000  # added to the bank's seed: songs that this training does not learn from


class Objective(ABC):
    """One thing that networks learn; its batches, its loss, its validation. Never made, only asked.

    Attributes
    ----------
    bank : type
        The dataclass of a recipe's table [data].
    needs_stems : bool
        Whether songs to validate on must come with their stems.
    score : str
        The figure of a validation that the best checkpoint has most of.
    """

    bank: ClassVar[type] = Bank
    needs_stems: ClassVar[bool] = False
    score: ClassVar[str]

    @staticmethod
    @abstractmethod
    def batches(recipe: "Recipe", devices: int, cache: str | Path | None) -> Any:
        """Batches without end, the same for the same (seed, step).

        Parameters
        ----------
        recipe : Recipe
            What to train, on what and how.
        devices : int
            How many share the training.
        cache : path or None
            Folder for the features.

        Returns
        -------
        SongBatches or LoopBatches
        """

    @staticmethod
    @abstractmethod
    def batch(batches: Any, step: int, network: torch.nn.Module) -> tuple[torch.Tensor, ...]:
        """One step's tensors.

        Parameters
        ----------
        batches : SongBatches or LoopBatches
            What `batches` gives.
        step : int
            0 or more.
        network : torch.nn.Module
            Whose targets they are.

        Returns
        -------
        tuple of Tensor
            The input (batch, channels, freq, frames), then what `loss` takes.
        """

    @staticmethod
    @abstractmethod
    def loss(network: torch.nn.Module, x: torch.Tensor, *target: torch.Tensor) -> torch.Tensor:
        """The loss of a network on a batch.

        Parameters
        ----------
        network : torch.nn.Module
            One that learns this.
        x, *target : Tensor
            What `batch` gives.

        Returns
        -------
        Tensor
            One number, 0 or more.
        """

    @staticmethod
    @abstractmethod
    def check(song: Song) -> None:
        """See that a song to validate on has its truth.

        Parameters
        ----------
        song : Song
            One that was given to validate on.

        Raises
        ------
        InputError
            If it lacks some.
        """

    @staticmethod
    @abstractmethod
    def validation_set(
        recipe: "Recipe",
        songs: list[Song] | None,
        cache: str | Path | None,
        n_jobs: int | None = None,
    ) -> list[tuple]:
        """The songs to validate on with their features, computed once.

        Parameters
        ----------
        recipe : Recipe
            Whose network and front end are validated.
        songs : list of Song or None
            None stands for synthetic ones that this training does not learn from.
        cache : path or None
            Folder for the features.
        n_jobs : int or None
            Processes, as joblib counts them.

        Returns
        -------
        list of tuple
            Of each song its name, then what `validate` needs.
        """

    @staticmethod
    @abstractmethod
    def validate(network: torch.nn.Module, item: tuple, device: torch.device) -> dict:
        """How a network does on one song.

        Parameters
        ----------
        network : torch.nn.Module
            One that learns this.
        item : tuple
            One of `validation_set`.
        device : torch.device
            Where the network is.

        Returns
        -------
        dict
            Figures of this song, for `summary`.
        """

    @classmethod
    @abstractmethod
    def summary(cls, found: list[dict], network: torch.nn.Module) -> dict:
        """The figures of a validation.

        Parameters
        ----------
        found : list of dict
            What `validate` gave, song by song.
        network : torch.nn.Module
            The one that was validated.

        Returns
        -------
        dict
            Numbers by name, `score` among them.
        """

    @staticmethod
    @abstractmethod
    def line(entry: dict) -> str:
        """The figures of a validation, in words.

        Parameters
        ----------
        entry : dict
            What `summary` gave.

        Returns
        -------
        str
        """

    @classmethod
    @abstractmethod
    def scores(
        cls, model: torch.nn.Module, items: list[tuple], device: torch.device
    ) -> tuple[dict, dict]:
        """What the card tells of a finished network.

        Parameters
        ----------
        model : torch.nn.Module
            The finished network.
        items : list of tuple
            The whole `validation_set`.
        device : torch.device
            Where to compute.

        Returns
        -------
        figures, decoding : dict
            The scores, and how the network's output is to be decoded.
        """


def held_out(recipe: "Recipe") -> Bank:
    """Songs that a recipe's training does not learn from.

    Parameters
    ----------
    recipe : Recipe
        Whose bank the songs are to be like.

    Returns
    -------
    Bank
        Of the same kind, `HELD_OUT_SONGS` songs.
    """
    seed = recipe.data.seed + HELD_OUT_SEED
    return dataclasses.replace(recipe.data, seed=seed, songs=HELD_OUT_SONGS, mixes=1)


def names(songs: list[Song] | None) -> list[str]:
    """Names of the songs to validate on.

    Parameters
    ----------
    songs : list of Song or None
        None stands for those held out.

    Returns
    -------
    list of str
    """
    if songs is None:
        return [f"held-out {n + 1}" for n in range(HELD_OUT_SONGS)]
    return [song.name for song in songs]


def song_batches(
    recipe: "Recipe", devices: int, cache: str | Path | None, *, without_lead: float = 0.0
) -> SongBatches:
    """The batches of a recipe that learns from songs.

    Parameters
    ----------
    recipe : Recipe
        What to train, on what and how.
    devices : int
        How many share the training.
    cache : path or None
        Folder for the features.
    without_lead : float
        Share of the excerpts without melody, 0..1.

    Returns
    -------
    SongBatches
    """
    plan = recipe.training
    return SongBatches(
        recipe.front_end,
        recipe.data,
        batch_size=plan.batch_size,
        frames=plan.frames,
        shift_semitones=plan.shift_semitones,
        equaliser_db=plan.equaliser_db,
        ambience=plan.ambience,
        stretch=plan.stretch,
        without_lead=without_lead,
        seed=plan.seed,
        steps=plan.steps * devices,
        cache=cache,
    )


def mean(values: Iterable[float]) -> float:
    """Of what is a number.

    Parameters
    ----------
    values : iterable of float
        NaN is left out.

    Returns
    -------
    float
        NaN where nothing is left.
    """
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan

"""The written interface of a network: what it tells about itself, declared once, with defaults.

A new network is a file in this folder with a class that derives from `Network` and a tuple
`NETWORKS` of what is `Declared`; its weights; its test. Nothing else names it: the list of
networks, the methods, the panels and the command line read what stands here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from melodylab.dsp.grids import PitchGrid
from melodylab.errors import InputError

# C#2 to F6: the lowest and the highest tone of the synthetic leads, moved by up to three semitones.
TAUGHT_HZ = (69.3, 1397.0)

EXAMPLE_FRAMES = 23  # no number of channels, so that the time can be told from them


class Network(nn.Module):
    """What all networks here tell; a class sets what departs from the defaults.

    Shapes: `forward` takes (batch, channels, rows, time) and gives logits with the time last. A
    network that learns a melody gives (batch, classes, time), a class a pitch of its grid, behind
    "no melody" where it has that class; one that learns hits (batch, drums, time); one that learns
    a mask what its `shares` reads.

    Attributes
    ----------
    learns : str
        "melody", "mask" (the lead's share of each cell) or "hits" (of drums).
    input_shape : tuple
        (channels, rows) of the picture that it hears; None stands for any number.
    grid : PitchGrid or None
        Pitches of its classes, or of its mask's rows; None where rows are no pitches.
    block_frames, context_frames : int
        A song is worked on in blocks of so many frames, with so many of the song on either side of
        a block.
    last_block : str
        What becomes of the rest behind the last whole block: "short", a shorter block; "overlap",
        the song's last `block_frames` frames, whose predictions overwrite (Basaran 2018); "filled",
        zeros up to the block's length.
    patch_frames : int
        Layers that look across no border of patches of so many frames; 1: there are none.
    has_unvoiced_class : bool
        Class 0 says "no melody", and a softmax decides; else each class has a sigmoid and a
        threshold decides.
    voicing_apart : bool
        "Is there any" was asked apart from "which pitch": voicing is the answer to the first
        question alone.
    led : bool
        It can be told a melody to follow, by `lead_picture`.
    highest_hz : float
        Rows of a mask above it are left out: the front end cannot hear them.
    gives_profile : bool
        Its output has every frame of its input, as all that follow a song must.
    regularises : bool
        It has a `penalty` of its own.
    rows_are_pitches : bool
        Rows of its maps are pitches, so that pictures of them can be drawn on an axis in Hz.
    timeless : tuple of str
        Patterns of layers whose output is not on the song's frames.
    name : str
        What `models.create_model` was asked for; empty for a network that was made by its class.
    changes : dict
        The arguments that depart from what is declared.
    front_end : str
        What it hears, a name in `models.inputs.FRONT_ENDS`; empty for a network that was made by
        its class.
    card : dict
        What `weights.load_model` read beside the weights; empty for an untrained network.
    """

    learns: ClassVar[str] = "melody"
    input_shape: tuple[int | None, int | None] = (None, None)
    grid: PitchGrid | None = None
    block_frames: int = 500
    context_frames: int = 0
    last_block: str = "short"
    patch_frames: int = 1
    has_unvoiced_class: bool = True
    voicing_apart: bool = False
    led: bool = False
    highest_hz: float = np.inf
    gives_profile: bool = True
    regularises: bool = False
    rows_are_pitches: bool = True
    timeless: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.name: str = ""
        self.changes: dict = {}
        self.front_end: str = ""
        self.card: dict = {}

    @property
    def reach_frames(self) -> int | None:
        """How far to either side a frame's answer depends on the input; None: on the whole block.

        A recurrent layer, and attention in a block without context, reach as far as the block does.
        """
        recurrent = any(isinstance(module, nn.RNNBase) for module in self.modules())
        return None if recurrent or not self.context_frames else self.context_frames

    def misfit(self, shape: tuple[int, ...]) -> str:
        """What it hears, in words, where a picture of another shape is given.

        Parameters
        ----------
        shape : tuple of int
            (channels, rows, time) of a picture.

        Returns
        -------
        str
            Empty where the picture fits.
        """
        fits = all(
            own in (None, given) for own, given in zip(self.input_shape, shape, strict=False)
        )
        channels, rows = ("any number of" if n is None else n for n in self.input_shape)
        return "" if fits else f"{channels} channels of {rows} rows"

    def example(self) -> torch.Tensor:
        """Some frames of noise that it can hear, always the same.

        Returns
        -------
        torch.Tensor
            (1, channels, rows, `EXAMPLE_FRAMES`).
        """
        channels, rows = self.input_shape
        rows = rows or (self.grid.n_bins if self.grid is not None else 64)
        made = torch.Generator().manual_seed(0)
        return torch.rand(1, channels or 1, rows, EXAMPLE_FRAMES, generator=made)

    def shares(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The lead's share of each cell, and whether there is a melody at all, of a network that
        learns a mask.

        Parameters
        ----------
        y : torch.Tensor
            What `forward` gave: (..., rows, time), by default logits of the shares.

        Returns
        -------
        tuple of torch.Tensor
            Shares (..., rows, time), not below 0; answers (..., time) in 0..1, ones where nobody
            asked.
        """
        return torch.sigmoid(y), torch.ones(y.shape[:-2] + y.shape[-1:])

    def gate(self, heard: np.ndarray, share: np.ndarray, frames_per_s: float) -> np.ndarray:
        """How far the lead's fader is open, for a network that learns a mask; by default all the
        way.

        Parameters
        ----------
        heard : np.ndarray
            The input (channels, rows, time).
        share : np.ndarray
            The lead's share of each cell, (rows, time) in 0..1.
        frames_per_s : float
            Frames in a second.

        Returns
        -------
        np.ndarray
            float32 (time,) in 0..1.
        """
        return np.ones(share.shape[-1], np.float32)

    def lead_picture(self, f0_hz: np.ndarray) -> np.ndarray:
        """A melody as the network is told it, if it can be led.

        Parameters
        ----------
        f0_hz : np.ndarray
            (time,) in Hz, NaN where nothing is sung.

        Returns
        -------
        np.ndarray
            Channels that join the input: float32 (channels, rows, time).

        Raises
        ------
        InputError
            If it cannot be led.
        """
        raise InputError(f"{self.name} cannot be told a melody; leave it out, or take unet")

    def loss(
        self, y: torch.Tensor, x: torch.Tensor, share: torch.Tensor, voiced: torch.Tensor
    ) -> torch.Tensor:
        """What the training of a mask makes smaller; by default the cross entropy of the shares.

        Parameters
        ----------
        y, x : torch.Tensor
            What `forward` gave, (batch, rows, time), and its input (batch, channels, rows, time).
        share : torch.Tensor
            The lead's true share of each cell, (batch, channels, rows, time) in 0..1.
        voiced : torch.Tensor
            (batch, time), 1 where there is a melody.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return nn.functional.binary_cross_entropy_with_logits(y, share.mean(dim=1))

    def penalty(self) -> torch.Tensor:
        """What the training adds to the loss where `regularises`; 0 by default.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return torch.zeros(())

    def start_again(self) -> None:
        """Called when a training begins with only a part of its tensors taken from other weights;
        nothing by default.
        """


@dataclass(frozen=True)
class Declared:
    """A network by name, as its model file declares it.

    Attributes
    ----------
    name : str
        What it is called everywhere.
    network : type
        Its class, a `Network`.
    front_end : str
        What it hears, a name in `models.inputs.FRONT_ENDS`.
    line : str
        What it is, in one line.
    paper : str
        Where it was published; empty for our own.
    year : int
        Of the publication.
    arguments : Mapping
        Of the class, where they depart from its defaults.
    range_hz : tuple or None
        The lowest and the highest pitch in Hz that it can be trusted with; None takes those pitches
        of its grid that training songs hold.
    instead : str
        A network that carries weights in place of this one, where this is too large to be trained
        or shipped here.
    """

    name: str
    network: type[Network]
    front_end: str
    line: str
    paper: str = ""
    year: int = 0
    arguments: Mapping[str, object] = field(default_factory=dict)
    range_hz: tuple[float, float] | None = None
    instead: str = ""

    @property
    def file(self) -> str:
        """Name of the model file that its class stands in."""
        return self.network.__module__.rpartition(".")[2]

    @property
    def reliable_hz(self) -> tuple[float, float] | None:
        """`range_hz`, or what its grid and the training songs share; None for a network that knows
        no pitches.
        """
        grid = self.network.grid
        if self.range_hz is not None or grid is None:
            return self.range_hz
        low_hz, high_hz = (float(f_hz) for f_hz in grid.freqs_hz[[0, -1]])
        return max(low_hz, TAUGHT_HZ[0]), min(high_hz, TAUGHT_HZ[1])

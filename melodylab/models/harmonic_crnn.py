"""Our own network: harmonics stacked by shifting one spectrum, a U-Net over frequency, a BiGRU at
its bottom, a head for voicing.

    harmonic-crnn    two log-frequency spectra

What it takes from whom: harmonics as channels from Deep Salience (Bittner 2017), but from one
spectrum shifted by each harmonic, which costs nothing; recurrence over whole frames from Basaran
2018; the U-Net over frequency from Doras 2019 and SegNet (Hsieh 2019). New is that pitch and
voicing are two questions: "which pitch, if any" (softmax over 156 bins, learned where something is
sung) and "is there any" (from the GRU's states). Their product is the output, so that cross entropy
over all classes is the sum of both losses. A melody's voicing is the answer to the second question
alone (`voicing_apart`): a wavering pitch is no sign of silence.

Shapes: (batch, channel, freq, time); kernels are (freq, time). Input: (batch, 2, 312, time),
windows of 186 and 46 ms, 36 bins an octave from an octave below D2. Output: logits (batch, 157,
time), already normalised; class 0 says "no melody", class c = 1..156 is the pitch 73.42 * 2 ** ((c
- 1) / 36) Hz.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from melodylab.dsp.grids import PitchGrid
from melodylab.models.base import Declared, Network

BINS = PitchGrid(440 * 2 ** (-31 / 12), 36, 156)  # D2 to F6
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10)
SPECTRA = PitchGrid(BINS.fmin_hz / 2, 36, 36 + 120 + 156)  # what all harmonics of all pitches need
_SHIFTS = [int(round(36 + 36 * np.log2(h))) for h in HARMONICS]


def double_convolution(n_in: int, n_out: int, bias: bool = False) -> nn.Sequential:
    """Twice: 3 x 3 convolution, batch norm, ReLU.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    bias : bool
        Of the convolutions, which batch norm makes idle.

    Returns
    -------
    nn.Sequential
        The picture keeps its size.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias),
            norm1=nn.BatchNorm2d(n_out),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(n_out, n_out, 3, padding=1, bias=bias),
            norm2=nn.BatchNorm2d(n_out),
            relu2=nn.ReLU(),
        )
    )


class HarmonicCRNN(Network):
    """channels: of the four levels. units: of the BiGRU in each direction."""

    input_shape, grid, voicing_apart = (2, 312), BINS, True
    # 46 s, and the GRU hears two seconds more on either side. On the development songs OA is 0.6856
    # so, 0.6800 with blocks of 1000 frames and 0.6815 where these see 400 more on either side.
    block_frames, context_frames = 2000, 100

    def __init__(self, channels=(24, 32, 48, 64), units=96):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.down1 = double_convolution(2 * len(HARMONICS), c1)
        self.down2 = double_convolution(c1, c2)
        self.down3 = double_convolution(c2, c3)
        self.bottom = double_convolution(c3, c4)
        self.gru = nn.GRU(13 * c4, units, batch_first=True, bidirectional=True)
        self.back = nn.Linear(2 * units, 13 * c4)
        self.up3 = double_convolution(c4 + c3, c3)
        self.up2 = double_convolution(c3 + c2, c2)
        self.up1 = double_convolution(c2 + c1, c1)
        self.pitch = nn.Conv2d(c1, 1, 1)
        self.voicing = nn.Linear(2 * units, 1)

    def forward(self, x):
        """Log-probabilities (batch, 157, time) of two spectra (batch, 2, 312, time)."""
        x, states = self.body(x)
        pitch = F.log_softmax(self.pitch(x).squeeze(1).float(), dim=1)  # (batch, 156, time)
        voicing = self.voicing(states).transpose(1, 2).float()  # (batch, 1, time)
        return torch.cat(
            [F.logsigmoid(-voicing), F.logsigmoid(voicing) + pitch], dim=1
        )  # (batch, 157, time)

    def body(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What both heads read.

        Parameters
        ----------
        x : torch.Tensor
            Two spectra, (batch, 2, 312, time).

        Returns
        -------
        tuple of torch.Tensor
            A map (batch, 24, 156, time) and the GRU's states (batch, time, 192).
        """
        x = torch.cat(
            [x[:, :, shift : shift + BINS.n_bins] for shift in _SHIFTS], dim=1
        )  # (batch, 18, 156, time)
        x1 = self.down1(x)  # (batch, 24, 156, time)
        x2 = self.down2(F.max_pool2d(x1, (3, 1)))  # (batch, 32, 52, time)
        x3 = self.down3(F.max_pool2d(x2, (2, 1)))  # (batch, 48, 26, time)
        x = self.bottom(F.max_pool2d(x3, (2, 1)))  # (batch, 64, 13, time)
        states = x.flatten(1, 2).transpose(1, 2)  # (batch, time, 64 * 13)
        with torch.autocast(
            x.device.type, enabled=False
        ):  # hundreds of steps in a row add up rounding
            states, _ = self.gru(states.float())  # (batch, time, 192)
        x = x + self.back(states).transpose(1, 2).unflatten(1, (-1, 13))  # (batch, 64, 13, time)
        x = self._up(self.up3, _higher(x, 2), x3)  # (batch, 48, 26, time)
        x = self._up(self.up2, _higher(x, 2), x2)  # (batch, 32, 52, time)
        x = self._up(self.up1, _higher(x, 3), x1)  # (batch, 24, 156, time)
        return x, states

    def _up(self, block, below, skip):
        return block(torch.cat([below, skip], dim=1))


def _higher(x, factor):
    """Each row `factor` times."""
    return F.interpolate(x, scale_factor=(factor, 1))


NETWORKS = (
    Declared(
        "harmonic-crnn",
        HarmonicCRNN,
        "spectra",
        "our own: stacked harmonics, a U-Net over frequency, a GRU, pitch and voicing apart",
    ),
)

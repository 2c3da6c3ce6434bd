"""SegNet for melodies, Hsieh, Su and Yang 2019: pooling remembers where its maxima were, unpooling
puts them back there.

    segnet    CFP    519,624 trainable numbers

Shapes: (batch, channel, freq, time), kernels (freq, time). Input: (batch, 3, 320, time), 20 cents a
bin from 31 Hz. Output: logits (batch, 321, time): class 0, "no melody", is the innermost map, one
number a frame; class c = 1..320 is the pitch of row c - 1.
Source: the paper and its release (msnet:MSnet/model.py). The release trains a sigmoid of the
softmax's output (trap T36); here the loss sees the logits.
"""

from collections import OrderedDict

import torch
from torch import nn

from melodylab.models.base import Declared, Network
from melodylab.models.ftanet import BINS


def _layer(n_in, n_out, padding=(2, 2)):
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(n_in),
            conv=nn.Conv2d(n_in, n_out, 5, padding=padding),
            selu=nn.SELU(),
        )
    )


class SegNet(Network):
    """Three layers down, the bottom, three layers up; only frequency is pooled."""

    input_shape, grid = (3, 320), BINS
    block_frames, context_frames = 430, 14  # seven convolutions that see two frames on either side

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.down3 = _layer(3, 32), _layer(32, 64), _layer(64, 128)
        self.bottom = _layer(128, 1, padding=(0, 2))
        self.up3, self.up2, self.up1 = _layer(128, 64), _layer(64, 32), _layer(32, 1)
        self.pool, self.unpool = nn.MaxPool2d((4, 1), return_indices=True), nn.MaxUnpool2d((4, 1))

    def forward(self, x):
        """Logits (batch, 321, time) of a CFP (batch, 3, 320, time)."""
        x, from1 = self.pool(self.down1(x))  # (batch, 32, 80, time)
        x, from2 = self.pool(self.down2(x))  # (batch, 64, 20, time)
        x, from3 = self.pool(self.down3(x))  # (batch, 128, 5, time)
        silent = self.bottom(x)  # (batch, 1, 1, time)
        x = self.up3(self.unpool(x, from3))  # (batch, 64, 20, time)
        x = self.up2(self.unpool(x, from2))  # (batch, 32, 80, time)
        x = self.up1(self.unpool(x, from1))  # (batch, 1, 320, time)
        return torch.cat([silent, x], dim=2).squeeze(1).float()  # (batch, 321, time)


NETWORKS = (
    Declared(
        "segnet",
        SegNet,
        "cfp",
        "pooling that remembers its places, on spectrum and cepstrum (SegNet)",
        "Hsieh, Su and Yang, ICASSP",
        2019,
    ),
)

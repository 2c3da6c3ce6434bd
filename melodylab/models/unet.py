"""U-Nets that answer, for each cell of a picture of a song: how much of this is the melody's?

    unet-mel   as the report wrote it (Sheehan): two channels of mel power, a mask without a bound
    unet       our repair: a share in 0..1 on log-frequency rows, a question of its own for "is there a melody at all",
               and, if it is known, the melody to follow

The report leaves open what the mask is compared with (we take mask x mixture against the melody's mel power, which is what its
text computes), and its last layers: a double convolution with ReLU at the end, an average pooling, and padding back. What the
repair mends: a share cannot exceed one; it is lifted to the spectra of the song's own channels, whose phases it keeps (see
`separation`); a song without melody is an example like others, and the gate learns to say so. Attention gates on the skips are the
report's proposal, after Oktay 2018; Jansson 2017, whom it names for them, has none (trap T50).

Shapes: (batch, channel, freq, time); kernels are (freq, time). Any number of frames and, for unet-mel, of bands.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from melodylab.models.harmonic_crnn import SPECTRA as BINS

_NEIGHBOURS = (1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 3)  # a partial of a tone has others of its kind at these multiples
_SHIFTS = [int(round(BINS.bins_per_octave * np.log2(ratio))) for ratio in _NEIGHBOURS]
_PARTIALS = np.arange(1, 25)


def _double(n_in, n_out, bias=False):
    """Twice: 3 x 3 convolution, batch norm, ReLU. bias: of the convolutions, which batch norm makes idle."""
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


class AttentionGate(nn.Module):
    """Lets through of a skip connection what the level below asks for: a weight in 0..1 a cell (Oktay 2018)."""

    def __init__(self, n_skip, n_below, n_between):
        super().__init__()
        self.skip = nn.Conv2d(n_skip, n_between, 1)
        self.below = nn.Conv2d(n_below, n_between, 1, bias=False)
        self.weight = nn.Conv2d(n_between, 1, 1)

    def forward(self, skip, below):
        """The skip, weighted. skip (batch, n_skip, freq, time), below (batch, n_below, freq, time) of the same size."""
        return skip * torch.sigmoid(self.weight(F.relu(self.skip(skip) + self.below(below))))


class UNet(nn.Module):
    """channels: of the five levels. units: of the BiGRU at the bottom in each direction. attention: gates on the skips.

    Input: (batch, 2, 312, time), the spectra that harmonic-crnn hears, 23 ms a frame; or with two channels more, `lead_picture`
    of a melody that is known. Output: logits (batch, 313, time): row 0 of the gate ("is there a melody?"), then the melody's
    share of each cell, rows as in the input.
    """

    learns, grid, led, highest_hz = "mask", BINS, True, 11025.0
    has_unvoiced_class = False
    block_frames, context_frames = 1000, 100  # as harmonic-crnn; both divisible by 4, which the pooling over time asks for

    def __init__(self, channels=(16, 32, 48, 64, 64), units=96, attention=False):
        super().__init__()
        c1, c2, c3, c4, c5 = channels
        self.down1 = _double(2 * len(_SHIFTS) + 2, c1)
        self.down2 = _double(c1, c2)
        self.down3 = _double(c2, c3)
        self.down4 = _double(c3, c4)
        self.bottom = _double(c4, c5)
        self.gru = nn.GRU(13 * c5, units, batch_first=True, bidirectional=True)
        self.back = nn.Linear(2 * units, 13 * c5)
        self.gate = nn.Linear(2 * units, 1)
        self.up4 = _double(c5 + c4, c4)
        self.up3 = _double(c4 + c3, c3)
        self.up2 = _double(c3 + c2, c2)
        self.up1 = _double(c2 + c1, c1)
        self.share = nn.Conv2d(c1, 1, 1)
        pairs = {"attend4": (c4, c5), "attend3": (c3, c4), "attend2": (c2, c3), "attend1": (c1, c2)}
        self.attend = nn.ModuleDict({k: AttentionGate(*ns, min(ns) // 2) for k, ns in pairs.items()} if attention else {})

    def forward(self, x):
        """Logits (batch, 313, time) of two spectra (batch, 2, 312, time), or of these and a lead's picture (batch, 4, 312, time)."""
        frames = x.shape[-1]
        x = F.pad(x, (0, -frames % 4, 0, 0, 0, 4 - x.shape[1]))  # (batch, 4, 312, time): nothing is known of the lead
        heard, lead = x[:, :2], x[:, 2:]
        x = torch.cat([*(_moved(heard, shift) for shift in _SHIFTS), lead], dim=1)  # (batch, 16, 312, time)
        x1 = self.down1(x)  # (batch, 16, 312, time)
        x2 = self.down2(F.max_pool2d(x1, 2))  # (batch, 32, 156, time / 2)
        x3 = self.down3(F.max_pool2d(x2, 2))  # (batch, 48, 78, time / 4)
        x4 = self.down4(F.max_pool2d(x3, (2, 1)))  # (batch, 64, 39, time / 4)
        x = self.bottom(F.max_pool2d(x4, (3, 1)))  # (batch, 64, 13, time / 4)
        states = x.flatten(1, 2).transpose(1, 2)  # (batch, time / 4, 64 * 13)
        with torch.autocast(x.device.type, enabled=False):  # hundreds of steps in a row add up rounding
            states, _ = self.gru(states.float())  # (batch, time / 4, 192)
        x = x + self.back(states).transpose(1, 2).unflatten(1, (-1, 13))  # (batch, 64, 13, time / 4)
        x = self._up("4", x, x4, (3, 1))  # (batch, 64, 39, time / 4)
        x = self._up("3", x, x3, (2, 1))  # (batch, 48, 78, time / 4)
        x = self._up("2", x, x2, (2, 2))  # (batch, 32, 156, time / 2)
        x = self._up("1", x, x1, (2, 2))  # (batch, 16, 312, time)
        share = self.share(x).squeeze(1).float()  # (batch, 312, time)
        gate = F.interpolate(self.gate(states).transpose(1, 2).float(), share.shape[-1], mode="linear")  # (batch, 1, time)
        return torch.cat([gate, share], dim=1)[..., :frames]  # (batch, 313, time)

    def loss(self, y, x, share, voiced):
        """Cross entropy of the shares, weighted by how loud a cell is, and of the gate; y as from `forward`, x its input.

        share (batch, 2, 312, time) for either window, of which the geometric mean is learned, 0.2 dB better on real songs than the
        plain one; voiced (batch, time), 1 where there is a melody.
        """
        heard = x[:, :2]
        loud = 10 ** (4 * (heard.mean(dim=1) - 1)) * (heard[:, 0] > 0)  # what decibels() took the logarithm of
        loud = loud / loud.mean(dim=(1, 2), keepdim=True).clamp_min(1e-9)
        target = share.clamp_min(1e-8).log().mean(dim=1).exp()
        cells = F.binary_cross_entropy_with_logits(y[:, 1:], target, reduction="none")
        return (loud * cells).mean() + 0.3 * F.binary_cross_entropy_with_logits(y[:, 0], voiced)

    def shares(self, y):
        """(share of each cell, gate) in 0..1, from logits (..., 313, time)."""
        y = torch.sigmoid(y)
        return y[..., 1:, :], y[..., 0, :]

    @staticmethod
    def lead_picture(f0_hz):
        """What `lead_picture` of this module draws."""
        return lead_picture(f0_hz)

    def _up(self, level, below, skip, factor):
        below = F.interpolate(below, scale_factor=factor)
        if self.attend:
            skip = self.attend[f"attend{level}"](skip, below)
        return getattr(self, f"up{level}")(torch.cat([below, skip], dim=1))


def _moved(x, rows):
    """Row r holds what row r + rows held; zeros come in."""
    return F.pad(x, (0, 0, max(-rows, 0), max(rows, 0)))[:, :, max(rows, 0) :][:, :, : x.shape[2]]


def lead_picture(f0_hz):
    """A known melody as the network is told it, float32 (..., 2, 312, time), from f0_hz (..., time), NaN = no melody here.

    First the partials of each pitch, a bump of about a quarter tone each; then 1 where there is a melody and -1 where there
    is none. All zero means that nothing is known.
    """
    f0_hz = np.asarray(f0_hz, dtype=float)
    row = BINS.nearest_bin(f0_hz)[..., None, :]  # (..., 1, time), -1 where there is none
    sung = np.isfinite(f0_hz)[..., None, :] & (row >= 0)
    away = np.arange(BINS.n_bins)[:, None] - row  # (..., 312, time)
    partials = np.where(sung, _COMB[np.clip(away, -1, BINS.n_bins) + 1], 0)
    told = np.broadcast_to(np.where(sung, 1.0, -1.0), partials.shape)
    return np.stack([partials, told], axis=-3).astype(np.float32)


_AWAY = np.arange(-1, BINS.n_bins + 1)[:, None]  # in rows from the pitch
_COMB = np.exp(-0.5 * ((_AWAY - BINS.bins_per_octave * np.log2(_PARTIALS)) / 0.8) ** 2).max(axis=1)  # (314,)

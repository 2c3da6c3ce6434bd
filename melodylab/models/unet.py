"""U-Nets that answer, for each cell of a picture of a song: how much of this is the melody's?

    unet-mel   as the report wrote it (Sheehan): two channels of mel power, a mask without a bound
    unet       our repair: a share in 0..1 on log-frequency rows, a question of its own for
               "is there a melody at all", and, if it is known, the melody to follow

The report leaves open what the mask is compared with (we take mask x mixture against the melody's
mel power, which is what its text computes), and its last layers: a double convolution with ReLU at
the end, an average pooling, and padding back. What the repair mends: a share cannot exceed one; it
is lifted to the spectra of the song's own channels, whose phases it keeps (see `separation`); a
song without melody is an example like others, and the gate learns to say so. Attention gates on the
skips are the report's proposal, after Oktay 2018; Jansson 2017, whom it names for them, has none
(trap T50).

Shapes: (batch, channel, freq, time); kernels are (freq, time). Any number of frames and, for
unet-mel, of bands.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from melodylab.models.base import TAUGHT_HZ, Declared, Network
from melodylab.models.harmonic_crnn import BINS, SPECTRA, HarmonicCRNN, double_convolution

MEL_HZ = 700 * (
    10 ** (np.arange(1, 129) * np.log10(1 + 8000 / 700) / 129) - 1
)  # tips of 128 triangles from 0 to 8 kHz
_MINUTE_S, _SHUT, _OPEN, _LEAST = 60.0, 0.25, 0.5, 0.3  # of the gate; _LEAST is -10 dB
_PARTIALS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20)  # of a tone, that a mask is drawn on
_SHIFTS = [int(round(36 + 36 * np.log2(h))) for h in _PARTIALS]


class AttentionGate(nn.Module):
    """Lets through of a skip connection what the level below asks for: a weight in 0..1 a cell
    (Oktay 2018).
    """

    def __init__(self, n_skip, n_below, n_between):
        super().__init__()
        self.skip = nn.Conv2d(n_skip, n_between, 1)
        self.below = nn.Conv2d(n_below, n_between, 1, bias=False)
        self.weight = nn.Conv2d(n_between, 1, 1)

    def forward(self, skip, below):
        """The skip, weighted. skip (batch, n_skip, freq, time), below (batch, n_below, freq, time)
        of the same size.
        """
        return skip * torch.sigmoid(self.weight(F.relu(self.skip(skip) + self.below(below))))


class MelUNet(Network):
    """The report's network, reading A: channels double from 64 to 1024. channels: of the levels,
    any number of them.

    Input: (batch, 2, bands, time), mel power of two channels. Output: a mask (batch, 2, bands,
    time) that is not below zero and may be anything above; mask x input is the melody's mel power.
    """

    learns, input_shape, highest_hz = "mask", (2, None), 8000.0
    has_unvoiced_class = False
    block_frames, context_frames = 1024, 96  # 12.8 s; divisible by 16

    def __init__(self, channels=(64, 128, 256, 512, 1024)):
        super().__init__()
        pairs = list(zip(channels[:-1], channels[1:], strict=True))
        self.down = nn.ModuleList(
            [
                double_convolution(n_in, n_out, bias=True)
                for n_in, n_out in [(2, channels[0]), *pairs]
            ]
        )
        self.higher = nn.ModuleList(
            [nn.ConvTranspose2d(n_below, n, 2, stride=2) for n, n_below in reversed(pairs)]
        )
        self.up = nn.ModuleList(
            [double_convolution(2 * n, n, bias=True) for n, _ in reversed(pairs)]
        )
        self.out = double_convolution(channels[0], 2, bias=True)

    def forward(self, x):
        """Mask (batch, 2, bands, time) of mel powers (batch, 2, bands, time)."""
        size, skips, least = x.shape[-2:], [], 2 ** len(self.up)
        x = _padded(x, [max(n, least) for n in size])  # something is left at the bottom
        for level, down in enumerate(self.down):
            x = down(
                F.max_pool2d(x, 2) if level else x
            )  # (batch, 64 * 2 ** level, bands / 2 ** level, time / 2 ** level)
            skips.append(x)
        for higher, up, skip in zip(self.higher, self.up, reversed(skips[:-1]), strict=True):
            x = up(
                torch.cat([skip, _padded(higher(x), skip.shape[-2:])], dim=1)
            )  # as wide and long as its skip
        x = self.out(x)  # (batch, 2, bands, time), not below zero
        x = _padded(
            F.avg_pool2d(x, 2, stride=1), x.shape[-2:]
        )  # the report's last step: what it takes at the edges comes back
        return x[..., : size[0], : size[1]]

    def loss(
        self, y: torch.Tensor, x: torch.Tensor, share: torch.Tensor, voiced: torch.Tensor
    ) -> torch.Tensor:
        """Mean squared error of the melody's mel power, mask x mixture.

        Parameters
        ----------
        y, x : torch.Tensor
            Mask and mel powers of the mixture, (batch, 2, bands, time).
        share : torch.Tensor
            The lead's true share, of the same shape.
        voiced : torch.Tensor
            (batch, time); not asked here.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return F.mse_loss(y * x, share * x)

    def shares(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mask, mean of both channels; whether there is a melody, this network does not ask.

        Parameters
        ----------
        y : torch.Tensor
            (..., 2, bands, time).

        Returns
        -------
        tuple of torch.Tensor
            The mask (..., bands, time), not below 0; ones (..., time).
        """
        return y.mean(dim=-3), torch.ones(y.shape[:-3] + y.shape[-1:])


def _padded(x, size):
    """Zeros after the last rows and frames up to a size."""
    return F.pad(x, (0, size[1] - x.shape[-1], 0, size[0] - x.shape[-2]))


class UNet(HarmonicCRNN):
    """channels, units: of harmonic-crnn's U-Net over frequency and of its BiGRU, which are the
    body. attention: gates on its skips.

    The body stacks the harmonics of each pitch; the way back spreads what it found at a pitch over
    that pitch's partials, where the mask is drawn. What the GRU knows of the singing becomes the
    gate.
    Input: (batch, 2, 312, time), the spectra that harmonic-crnn hears, 23 ms a frame; or with two
    channels more, `lead_picture` of a melody that is known. Output: logits (batch, 313, time): row
    0 of the gate ("is there a melody?"), then the melody's share of each cell, rows as in the
    input.
    """

    learns, grid, led, highest_hz = "mask", SPECTRA, True, 11025.0
    has_unvoiced_class = voicing_apart = False
    block_frames = 1000  # 23 s: its maps are twice as high as those of harmonic-crnn

    def misfit(self, shape: tuple[int, ...]) -> str:
        """What it hears, in words, where a picture of another shape is given: with a lead's
        picture, or without.

        Parameters
        ----------
        shape : tuple of int
            (channels, rows, time) of a picture.

        Returns
        -------
        str
            Empty where the picture fits.
        """
        return super().misfit((2, *shape[1:]) if shape[0] == 4 else shape)

    def __init__(self, channels=(24, 32, 48, 64), units=96, attention=False):
        super().__init__(channels, units)
        c1, c2, c3, c4 = channels
        del self.pitch
        self.partials = nn.Conv2d(c1, 3 * len(_PARTIALS), 1)
        self.cells = double_convolution(3 * len(_PARTIALS) + 4, 16)
        self.share = nn.Conv2d(16, 1, 1)
        gates = [
            AttentionGate(skip, below, skip // 2) for below, skip in ((c4, c3), (c3, c2), (c2, c1))
        ]
        self.attend = nn.ModuleList(gates if attention else [])

    def forward(self, x):
        """Logits (batch, 313, time) of two spectra (batch, 2, 312, time), or of these and a lead's
        picture (batch, 4, ...).
        """
        x = F.pad(
            x, (0, 0, 0, 0, 0, 4 - x.shape[1])
        )  # (batch, 4, 312, time); zeros: nothing is known of the lead
        found, states = self.body(x[:, :2])  # (batch, 24, 156, time), (batch, time, 192)
        found = self.partials(found).chunk(
            len(_PARTIALS), dim=1
        )  # a map (batch, 3, 156, time) for each partial
        spread = [_placed(each, shift) for each, shift in zip(found, _SHIFTS, strict=True)]
        cells = self.cells(torch.cat([*spread, x], dim=1))  # (batch, 16, 312, time)
        share = self.share(cells).squeeze(1).float()  # (batch, 312, time)
        gate = self.voicing(states).transpose(1, 2).float()  # (batch, 1, time)
        return torch.cat([gate, share], dim=1)  # (batch, 313, time)

    def _up(self, block, below, skip):
        if self.attend:
            skip = self.attend[(self.up3, self.up2, self.up1).index(block)](skip, below)
        return super()._up(block, below, skip)

    def loss(
        self, y: torch.Tensor, x: torch.Tensor, share: torch.Tensor, voiced: torch.Tensor
    ) -> torch.Tensor:
        """Cross entropy of the shares, weighted by how loud a cell is, and of the gate.

        Parameters
        ----------
        y, x : torch.Tensor
            Logits (batch, 313, time) and the input (batch, 2 or 4, 312, time).
        share : torch.Tensor
            The lead's true share for either window, (batch, 2, 312, time), of which the geometric
            mean is learned: as an ideal mask it is 0.2 dB better on real songs than the plain one.
        voiced : torch.Tensor
            (batch, time), 1 where there is a melody.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        heard = x[:, :2]
        loud = 10 ** (4 * (heard.mean(dim=1) - 1)) * (
            heard[:, 0] > 0
        )  # what decibels() took the logarithm of
        loud = loud / loud.mean(dim=(1, 2), keepdim=True).clamp_min(1e-9)
        target = share.clamp_min(1e-8).log().mean(dim=1).exp()
        cells = F.binary_cross_entropy_with_logits(y[:, 1:], target, reduction="none")
        return (loud * cells).mean() + 0.3 * F.binary_cross_entropy_with_logits(y[:, 0], voiced)

    def shares(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The share of each cell, and whether there is a melody.

        Parameters
        ----------
        y : torch.Tensor
            Logits (..., 313, time).

        Returns
        -------
        tuple of torch.Tensor
            Shares (..., 312, time) and answers (..., time), both in 0..1.
        """
        y = torch.sigmoid(y)
        return y[..., 1:, :], y[..., 0, :]

    def gate(self, heard: np.ndarray, share: np.ndarray, frames_per_s: float) -> np.ndarray:
        """How far the lead's fader is open.

        A network that separates a melody is sure of what it takes: cells that are half and half
        mean that it follows some other instrument, for want of a melody. So the mean share,
        weighted by what was taken, of the minute around each frame opens the gate; below _SHUT 10
        dB are taken off. Frame by frame it would cost 1 dB and more where there is a melody.

        Parameters
        ----------
        heard : np.ndarray
            The spectra (2, 312, time).
        share : np.ndarray
            (312, time) in 0..1.
        frames_per_s : float
            Frames in a second.

        Returns
        -------
        np.ndarray
            float32 (time,) in 0.3..1.
        """
        taken, of_that = np.zeros((2, share.shape[1]))
        for first in range(0, share.shape[1], self.block_frames):
            part = slice(first, first + self.block_frames)
            level = 10 ** (4 * (heard[:, :, part].mean(axis=0) - 1)) * (heard[0, :, part] > 0)
            power = (level * share[:, part]).astype(float)
            taken[part], of_that[part] = power.sum(axis=0), (power * share[:, part]).sum(axis=0)
        half = max(round(_MINUTE_S * frames_per_s / 2), 1)
        sure = _sum_around(of_that, half) / np.maximum(_sum_around(taken, half), 1e-9)
        opened = np.clip((sure - _SHUT) / (_OPEN - _SHUT), 0, 1)
        return (_LEAST + (1 - _LEAST) * opened).astype(np.float32)

    def lead_picture(self, f0_hz: np.ndarray) -> np.ndarray:
        """What `lead_picture` of this module draws.

        Parameters
        ----------
        f0_hz : np.ndarray
            (..., time) in Hz, NaN where nothing is sung.

        Returns
        -------
        np.ndarray
            float32 (..., 2, 312, time).
        """
        return lead_picture(f0_hz)


def _sum_around(values, half):
    """The sum of the values up to `half` places away, (n,)."""
    sums = np.concatenate([[0], np.cumsum(values)])
    n = np.arange(len(values))
    return sums[np.minimum(n + half + 1, len(values))] - sums[np.maximum(n - half, 0)]


def _placed(x, shift):
    """A map on pitches, moved up by so many rows onto the spectra's: (batch, n, 156, time) ->
    (batch, n, 312, time).
    """
    x = F.pad(x, (0, 0, shift, 0))[:, :, : SPECTRA.n_bins]
    return F.pad(x, (0, 0, 0, SPECTRA.n_bins - x.shape[2]))


def lead_picture(f0_hz: np.ndarray) -> np.ndarray:
    """A known melody as the network is told it.

    First the partials of each pitch, a bump of about a quarter tone each; then 1 where there is a
    melody and -1 where there is none. All zero means that nothing is known.

    Parameters
    ----------
    f0_hz : np.ndarray
        (..., time) in Hz, NaN = no melody here.

    Returns
    -------
    np.ndarray
        float32 (..., 2, 312, time).
    """
    f0_hz = np.asarray(f0_hz, dtype=float)
    row = SPECTRA.nearest_bin(f0_hz)[..., None, :]  # (..., 1, time), -1 where there is none
    sung = np.isfinite(f0_hz)[..., None, :] & (row >= 0)
    away = np.arange(SPECTRA.n_bins)[:, None] - row  # (..., 312, time)
    partials = np.where(sung, _COMB[np.clip(away, -_BELOW, SPECTRA.n_bins) + _BELOW], 0)
    told = np.broadcast_to(np.where(sung, 1.0, -1.0), partials.shape)
    return np.stack([partials, told], axis=-3).astype(np.float32)


_BELOW = 6  # rows below a pitch, where its bump has ended
_AWAY = np.arange(-_BELOW, SPECTRA.n_bins + 1)[:, None]  # in rows from the pitch
_COMB = np.exp(
    -0.5 * ((_AWAY - SPECTRA.bins_per_octave * np.log2(np.arange(1, 25))) / 0.8) ** 2
).max(axis=1)  # (319,)


NETWORKS = (
    Declared(
        "unet",
        UNet,
        "spectra",
        "U-Net with a bounded mask, a gate for songs without melody, and a melody to follow",
        range_hz=(float(BINS.freqs_hz[0]), TAUGHT_HZ[1]),
    ),
    Declared(
        "unet-mel",
        MelUNet,
        "mel",
        "U-Net on a mel spectrogram as a report wrote it: a mask without bound or gate",
        "Sheehan, report",
        range_hz=TAUGHT_HZ,
    ),
)

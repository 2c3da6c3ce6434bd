"""The two-stage model of Chen, Li and Chi 2019: learned filter banks of two lengths, then a 2-D
network with Inception blocks.

    multires                   both lengths, the stage that reads them
    multires-1d                the same first stage under a reader that is 1-D: trained first
    multires-no-pretraining    multires with that first training left out
    multires-short             kernels of 64 samples alone
    multires-long              kernels of 960 samples alone

The poster states: a waveform at the input; two parallel 1-D convolutions with kernels of 64 and 960
samples, which learn to be filter banks; a pre-training of a model of 1-D convolutions alone, since
the order of kernels is random and a 2-D kernel finds nothing on a shuffled axis; Inception modules
on the maps. It states no rate, hop, number of kernels, depth, pitch classes or loss, and no code of
it could be found. Chosen here: 16 kHz and a hop of 160 samples (10 ms; kernels of 4 and 60 ms); 128
kernels of each length, all centred on the frame's centre; magnitude, logarithm and batch norm after
them; after the pre-training the kernels are sorted by the frequency at which they respond most;
three Inception blocks; the pitch classes of SegNet and FTANet.

Shapes: (batch, channel, freq, time); in the first stage freq counts kernels. Input: (batch, 1, 160,
time), each column the samples around one frame's centre, so that columns side by side are the
waveform. Output: logits (batch, 321, time); class 0 says "no melody", class c = 1..320 is the pitch
31 * 2 ** ((c - 1) / 60) Hz.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from melodylab.models.base import Declared, Network
from melodylab.models.ftanet import BINS

SR, HOP_SAMPLES = 16000, 160
SHORT, LONG, STRIDE = 64, 960, 32  # samples
_HOPS = HOP_SAMPLES // STRIDE


class FilterBank(nn.Module):
    """A 1-D convolution on the waveform, read as a filter bank: log magnitudes (batch, kernels,
    time).

    Kernels of 64 samples step by 32 and the five magnitudes of a frame are averaged; a step of 160
    would jump over most samples. Those of 960 step by the hop. Tap: `norm`, what the second stage
    reads.
    """

    def __init__(self, kernels, length):
        super().__init__()
        self.length, self.stride = length, HOP_SAMPLES if length > HOP_SAMPLES else STRIDE
        self.conv = nn.Conv1d(1, kernels, length, self.stride, bias=False)
        self.norm = nn.BatchNorm1d(kernels)

    def forward(self, wave):
        """wave: (batch, 160 time)."""
        around = (
            self.length - self.stride
        ) // 2  # samples beyond either end: kernels sit on the middle of their step
        y = self.conv(
            F.pad(wave, (around, around))[:, None]
        ).abs()  # (batch, kernels, time or 5 time)
        if self.stride < HOP_SAMPLES:
            y = F.avg_pool1d(y, _HOPS)  # (batch, kernels, time)
        return self.norm(torch.log1p(100 * y))

    def responses(self) -> tuple[torch.Tensor, torch.Tensor]:
        """How strongly each kernel responds to what frequency.

        Returns
        -------
        tuple of torch.Tensor
            freqs_hz (freq,) and magnitudes (kernels, freq).
        """
        n_fft = 4 * LONG
        magnitudes = torch.fft.rfft(self.conv.weight.detach()[:, 0].float(), n_fft).abs()
        return torch.arange(n_fft // 2 + 1) * SR / n_fft, magnitudes

    def centres_hz(self) -> torch.Tensor:
        """The frequency at which each kernel responds most.

        Returns
        -------
        torch.Tensor
            (kernels,) in Hz.
        """
        freqs_hz, magnitudes = self.responses()
        return freqs_hz[magnitudes.argmax(dim=1)]

    @torch.no_grad()
    def sort(self) -> torch.Tensor:
        """Put the kernels in the order of their centres, lowest first.

        Returns
        -------
        torch.Tensor
            That order, (kernels,).
        """
        order = self.centres_hz().argsort(stable=True)
        self.conv.weight.copy_(self.conv.weight[order])
        for values in (
            self.norm.weight,
            self.norm.bias,
            self.norm.running_mean,
            self.norm.running_var,
        ):
            values.copy_(values[order])
        return order


class _TwoBanks(Network):
    """What both models share: the first stage, under names that carry over."""

    input_shape, grid = (1, HOP_SAMPLES), BINS
    rows_are_pitches = False  # but kernels
    timeless = ("short.conv",)  # five values a frame

    def __init__(self, kernels, lengths):
        super().__init__()
        self.short = FilterBank(kernels, SHORT) if "short" in lengths else None
        self.long = FilterBank(kernels, LONG) if "long" in lengths else None
        self.banks = len(lengths)

    def maps(self, x):
        """(batch, banks, kernels, time) of the waveform in columns (batch, 1, 160, time)."""
        wave = x.squeeze(1).transpose(1, 2).flatten(1)  # (batch, 160 time)
        return torch.stack(
            [bank(wave) for bank in (self.short, self.long) if bank is not None], dim=1
        )

    def start_again(self) -> None:
        """Sort both banks by frequency: what reads them must learn anew and may as well read them
        in order.
        """
        for bank in (self.short, self.long):
            if bank is not None:
                bank.sort()


class Multires1d(_TwoBanks):
    """For the pre-training: kernels have no order here, so none is needed."""

    context_frames = 7  # 3 of the first stage, 2 of each convolution

    def __init__(self, kernels=128, hidden=256):
        super().__init__(kernels, ("short", "long"))
        self.layer1 = nn.Sequential(
            OrderedDict(
                conv=nn.Conv1d(2 * kernels, hidden, 5, padding=2),
                relu=nn.ReLU(),
                norm=nn.BatchNorm1d(hidden),
            )
        )
        self.layer2 = nn.Conv1d(hidden, 1 + BINS.n_bins, 5, padding=2)

    def forward(self, x):
        """Logits (batch, 321, time)."""
        x = self.maps(x).flatten(1, 2)  # (batch, 2 kernels, time)
        x = self.layer1(x)  # (batch, hidden, time)
        return self.layer2(x).float()  # (batch, 321, time)


class Inception(nn.Module):
    """Kernels of five shapes side by side: points, two squares, tall ones for harmonies, wide ones
    for steadiness.
    """

    def __init__(self, n_in, n_each):
        super().__init__()
        shapes = {
            "point": (1, 1),
            "square3": (3, 3),
            "square5": (5, 5),
            "tall": (15, 1),
            "wide": (1, 15),
        }
        self.branches = nn.ModuleDict(
            {
                name: nn.Conv2d(n_in, n_each, (height, width), padding=(height // 2, width // 2))
                for name, (height, width) in shapes.items()
            }
        )
        self.relu, self.norm = nn.ReLU(), nn.BatchNorm2d(5 * n_each)

    def forward(self, x):
        """(batch, 5 n_each, freq, time)."""
        return self.norm(
            self.relu(torch.cat([branch(x) for branch in self.branches.values()], dim=1))
        )


class Multires(_TwoBanks):
    """Three Inception blocks over the maps of both banks, each halving the axis of kernels; then
    all kernels at once.

    kernels: of each length. each: channels of each of an Inception block's five branches. lengths:
    "short", "long" or both.
    """

    context_frames = 24  # 3 of the first stage, 7 of each block

    def __init__(self, kernels=128, each=8, *, lengths=("short", "long")):
        super().__init__(kernels, lengths)
        self.block1 = Inception(self.banks, each)
        self.block2 = Inception(5 * each, each)
        self.block3 = Inception(5 * each, each)
        self.squeeze = nn.Sequential(OrderedDict(conv=nn.Conv2d(5 * each, 8, 1), relu=nn.ReLU()))
        self.dense = nn.Conv1d(8 * (kernels // 4), 1 + BINS.n_bins, 1)

    def forward(self, x):
        """Logits (batch, 321, time)."""
        x = self.maps(x)  # (batch, banks, 128, time)
        x = self.block1(x)  # (batch, 40, 128, time)
        x = self.block2(F.max_pool2d(x, (2, 1)))  # (batch, 40, 64, time)
        x = self.block3(F.max_pool2d(x, (2, 1)))  # (batch, 40, 32, time)
        x = self.squeeze(x).flatten(1, 2)  # (batch, 8 * 32, time)
        return self.dense(x).float()  # (batch, 321, time)


_PAPER = "Chen, Li and Chi, ICASSP"
NETWORKS = (
    Declared(
        "multires",
        Multires,
        "wave",
        "learned filter banks of two lengths on the waveform, Inception blocks",
        _PAPER,
        2019,
    ),
    Declared(
        "multires-short",
        Multires,
        "wave",
        "multires with kernels of 64 samples alone",
        _PAPER,
        2019,
        {"lengths": ("short",)},
        instead="multires",
    ),
    Declared(
        "multires-long",
        Multires,
        "wave",
        "multires with kernels of 960 samples alone",
        _PAPER,
        2019,
        {"lengths": ("long",)},
        instead="multires",
    ),
    Declared(
        "multires-no-pretraining",
        Multires,
        "wave",
        "multires trained at once, its kernels in the order that the dice gave",
        _PAPER,
        2019,
    ),
    Declared(
        "multires-1d",
        Multires1d,
        "wave",
        "one-dimensional convolutions alone: the pre-training of multires",
        _PAPER,
        2019,
    ),
)

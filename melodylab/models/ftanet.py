"""FTANet, Yu, Sun, Yu and Li 2021: attention over frequency and over time, weighed against each
other by selective fusion.

    ftanet                 CFP    3,386,007 trainable numbers
    ftanet-thin                     850,975    half the channels, for weak machines
    ftanet-no-frequency           1,724,850    the branch with attention over frequency taken out
    ftanet-no-temporal            1,724,850    the branch with attention over time taken out
    ftanet-no-fusion              3,340,622    the three maps are simply added
    ftanet-no-detection           3,383,638    no branch that says "no melody"

Shapes: (batch, channel, freq, time); kernels are (freq, time), as in the release. Input: (batch, 3,
320, time), 20 cents a bin from 31 Hz. Output: logits (batch, 321, time); class 0 says "no melody",
class c = 1..320 is the pitch 31 * 2 ** ((c - 1) / 60) Hz, its own row of the input. (The release
labels a pitch with the first bin above it and reads it back one bin higher: traps T33, T34.) No
connection skips a level. Attention is a softmax over all frames of a block, so a block's length
belongs to the network: 128.
Source: the paper and its release (ftanet:network/ftanet.py; no licence, so: read, not copied).
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from melodylab.dsp.grids import PitchGrid
from melodylab.errors import InputError
from melodylab.models.base import Declared, Network

BINS = PitchGrid(31.0, 60, 320)  # B0 to 1235 Hz
BLOCK_FRAMES = 128  # 1.28 s at 8 kHz, hop 80; 0.74 s at 44.1 kHz, hop 256 (trap T27)
_EPS = 1e-3  # of Keras's batch norm; its momentum 0.99 is torch's 0.01


def _attention(n_in, n_out):
    """Where to look along one axis: (batch, n_in, positions) -> (batch, n_out, positions), each
    channel summing to 1.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv1d(n_in, n_out, 3, padding=1),
            selu1=nn.SELU(),
            conv2=nn.Conv1d(n_out, n_out, 3, padding=1),
            selu2=nn.SELU(),
            softmax=nn.Softmax(dim=2),
        )
    )


def _features(n_in, n_out):
    """What is there to see: 3 x 3 first, then 5 x 5, in both branches alike (trap T32)."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(n_in, n_out, 3, padding=1),
            selu1=nn.SELU(),
            conv2=nn.Conv2d(n_out, n_out, 5, padding=2),
            selu2=nn.SELU(),
        )
    )


class Attend(nn.Module):
    """Frequency-temporal attention: the input's own colour, and two views of it, each weighed along
    one axis.

    The weights multiply element by element, broadcast over the other axis (the paper says matrix
    multiplication, trap T31).
    Taps: `time_map` (batch, C, time) and `frequency_map` (batch, C, freq), the paper's A_t and A_f.
    """

    def __init__(self, n_in, n_out, frequency, temporal):
        super().__init__()
        self.norm = nn.BatchNorm2d(n_in, eps=_EPS, momentum=0.01)
        self.residual = nn.Sequential(OrderedDict(conv=nn.Conv2d(n_in, n_out, 1), relu=nn.ReLU()))
        if temporal:
            self.time_map, self.time_features = _attention(n_in, n_out), _features(n_in, n_out)
        if frequency:
            self.frequency_map, self.frequency_features = (
                _attention(n_in, n_out),
                _features(n_in, n_out),
            )
        self.frequency, self.temporal = frequency, temporal

    def forward(self, x):
        """Two or three maps (batch, C, freq, time)."""
        x = self.norm(x)  # (batch, C', freq, time)
        maps = [self.residual(x)]
        if self.temporal:
            where = self.time_map(x.mean(dim=2))  # (batch, C, time)
            maps.append(self.time_features(x) * where[:, :, None, :])
        if self.frequency:
            where = self.frequency_map(x.mean(dim=3))  # (batch, C, freq)
            maps.append(self.frequency_features(x) * where[:, :, :, None])
        return maps


class Fuse(nn.Module):
    """Selective fusion: how much of each map, channel by channel, decided from their averages.

    over: "channels", as released, normalises each map's weights over its channels: with one channel
    all weights are 1 and the block adds up (trap T30). "branches" normalises over the maps, as in
    the selective-kernel networks that the paper cites.
    Tap: `softmax`, the weights (batch, C, maps).
    """

    def __init__(self, n_maps, channels, over):
        super().__init__()
        hidden = max(channels // 4, 4)
        self.norm = nn.BatchNorm1d(channels, eps=_EPS, momentum=0.01)
        self.squeeze = nn.Sequential(OrderedDict(dense=nn.Linear(channels, hidden), selu=nn.SELU()))
        self.excite = nn.ModuleList(nn.Linear(hidden, channels) for _ in range(n_maps))
        self.softmax = nn.Softmax(dim={"channels": 1, "branches": 2}[over])

    def forward(self, maps):
        """(batch, C, freq, time) from as many maps of that shape as there are."""
        average = sum(maps).mean(dim=(2, 3))  # (batch, C)
        if self.training and len(average) == 1:
            raise InputError(
                "selective fusion takes statistics over a batch; train FTANet with a batch_size of "
                "2 or more"
            )
        hidden = self.squeeze(self.norm(average))  # (batch, max(C / 4, 4))
        weights = self.softmax(
            torch.stack([dense(hidden) for dense in self.excite], dim=2)
        )  # (batch, C, maps)
        return sum(weights[:, :, n, None, None] * part for n, part in enumerate(maps))


class _Level(nn.Module):
    """One attention block and its fusion."""

    def __init__(self, n_in, n_out, frequency, temporal, fusion):
        super().__init__()
        self.attend = Attend(n_in, n_out, frequency, temporal)
        self.fuse = Fuse(1 + frequency + temporal, n_out, fusion) if fusion != "sum" else None

    def forward(self, x):
        maps = self.attend(x)
        return sum(maps) if self.fuse is None else self.fuse(maps)


class FTANet(Network):
    """Seven attention blocks down and up again, and beside them a branch that asks whether there is
    a melody at all.

    width: channels of the first block, the others have 2, 4, 4, 2 and 1 times as many; 32 is
    published. frequency, temporal: with that attention and its convolutions. fusion: "channels" as
    released, "branches", or "sum". detection: with the branch for "no melody"; without it that
    class has the logit 0 (the paper does not say how its row "w/o MDB" decides on voicing). Raises
    InputError for a fusion that does not exist.
    """

    input_shape, grid = (3, 320), BINS
    block_frames, last_block = BLOCK_FRAMES, "filled"  # as released
    timeless = ("*.frequency_map*", "*.fuse.*")  # layers whose output is one for the whole block

    def __init__(
        self, width=32, *, frequency=True, temporal=True, fusion="channels", detection=True
    ):
        super().__init__()
        if fusion not in ("channels", "branches", "sum"):
            raise InputError(f"there is no fusion {fusion!r}; choose channels, branches or sum")
        self.norm = nn.BatchNorm2d(3, eps=_EPS, momentum=0.01)
        self.detection = _detection() if detection else None
        channels = (3, width, 2 * width, 4 * width, 4 * width, 2 * width, width, 1)
        for n in range(1, 8):
            setattr(
                self, f"level{n}", _Level(channels[n - 1], channels[n], frequency, temporal, fusion)
            )
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        """Logits (batch, 321, time) of a CFP (batch, 3, 320, time); frames beyond a multiple of 4
        are filled up with zeros.
        """
        frames = x.shape[3]
        x = F.pad(x, (0, -frames % 4))
        x = self.norm(x)  # (batch, 3, 320, time)
        y = self.level1(x)  # (batch, 32, 320, time)
        y = self.level2(F.max_pool2d(y, 2))  # (batch, 64, 160, time / 2)
        y = self.level3(F.max_pool2d(y, 2))  # (batch, 128, 80, time / 4)
        y = self.level4(y)
        y = self.level5(F.interpolate(y, scale_factor=2))  # (batch, 64, 160, time / 2)
        y = self.level6(F.interpolate(y, scale_factor=2))  # (batch, 32, 320, time)
        y = self.level7(y)  # (batch, 1, 320, time)
        silent = (
            torch.zeros_like(y[:, :, :1]) if self.detection is None else self.detection(x)
        )  # (batch, 1, 1, time)
        return torch.cat([silent, y], dim=2).squeeze(1)[:, :, :frames].float()  # (batch, 321, time)


def _detection():
    """One number a frame from the whole height of the input: strides as long as the kernels, in
    frequency alone.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 16, (4, 1), (4, 1)),  # (batch, 16, 80, time)
            selu1=nn.SELU(),
            conv2=nn.Conv2d(16, 16, (4, 1), (4, 1)),  # (batch, 16, 20, time)
            selu2=nn.SELU(),
            conv3=nn.Conv2d(16, 16, (4, 1), (4, 1)),  # (batch, 16, 5, time)
            selu3=nn.SELU(),
            conv4=nn.Conv2d(16, 1, (5, 1), (5, 1)),  # (batch, 1, 1, time)
            selu4=nn.SELU(),
        )
    )


_PAPER = "Yu, Sun, Yu and Li, ICASSP"
NETWORKS = (
    Declared(
        "ftanet",
        FTANet,
        "cfp",
        "attention over frequency and over time on spectrum and cepstrum (FTANet)",
        _PAPER,
        2021,
        instead="ftanet-thin",
    ),
    Declared(  # not in the paper: for weak machines
        "ftanet-thin",
        FTANet,
        "cfp",
        "FTANet with half the channels, for weak machines",
        arguments={"width": 16},
    ),
    Declared(
        "ftanet-no-frequency",
        FTANet,
        "cfp",
        "FTANet without its attention over frequency",
        _PAPER,
        2021,
        {"frequency": False},
        instead="ftanet-thin",
    ),
    Declared(
        "ftanet-no-temporal",
        FTANet,
        "cfp",
        "FTANet without its attention over time",
        _PAPER,
        2021,
        {"temporal": False},
        instead="ftanet-thin",
    ),
    Declared(
        "ftanet-no-fusion",
        FTANet,
        "cfp",
        "FTANet with its three maps simply added",
        _PAPER,
        2021,
        {"fusion": "sum"},
        instead="ftanet-thin",
    ),
    Declared(
        "ftanet-no-detection",
        FTANet,
        "cfp",
        "FTANet without its branch for 'no melody'",
        _PAPER,
        2021,
        {"detection": False},
        instead="ftanet-thin",
    ),
)

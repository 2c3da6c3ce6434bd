"""The CRNN family of Basaran, Essid and Peeters 2018: a convolutional net on each 25-frame patch, a
recurrent one over 20 patches.

    sf-crnn-1    CNN1 + BiGRU(128)    H_F0     307,199 trainable numbers
    sf-crnn-2    CNN2 + BiGRU(160)    H_F0     853,663    (854,319 with running statistics)
    cqt-crnn-2   CNN2 + BiGRU(160)    CQT      853,663
    sf-cnn       CNN2, no recurrence  H_F0     408,965

Shapes: (batch, channel, freq, time); kernels are (freq, time), as in the paper; its code has them
the other way round (trap T16).
Input: (batch, 1, 301, time), 20 cents a bin from 55 Hz. Output: logits (batch, 62, time); class 0
says "no melody", class c = 1..61 is the semitone 55 * 2 ** ((c - 1) / 12) Hz.
Sources: the paper and its release (crnn:CRNN/C-RNN_model1.py, MIT) for CNN1; the paper alone for
CNN2, no code of it was published.
"""

from collections import OrderedDict

import torch
from torch import nn

from melodylab.dsp.grids import PitchGrid
from melodylab.models.base import Declared, Network

NOTES = PitchGrid(55.0, 12, 61)  # A1 to A6
PATCH_FRAMES = 25  # 0.29 s
SEQUENCE_FRAMES = 500  # 20 patches, 5.8 s


def _layer(n_in, n_out, kernel, stride=(1, 1), norm=True):
    """Convolution, ReLU, then batch norm (trap T14); zero padding keeps the size, or the size over
    the stride.
    """
    parts = OrderedDict(
        conv=nn.Conv2d(n_in, n_out, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2)),
        relu=nn.ReLU(),
    )
    if kernel[0] % 2 == 0:  # 70 bins have no middle: 34 zeros below, 35 above
        parts = OrderedDict(pad=nn.ZeroPad2d((0, 0, (kernel[0] - 1) // 2, kernel[0] // 2))) | parts
        parts["conv"].padding = (0, kernel[1] // 2)
    if norm:
        parts["norm"] = nn.BatchNorm2d(
            n_out, eps=1e-3, momentum=0.01
        )  # Keras calls this momentum 0.99
    return nn.Sequential(parts)


def cnn1() -> nn.Sequential:
    """From 301 bins of 20 cents to 61 semitones: the first stride of 5 centres each output on a
    semitone.
    """
    return nn.Sequential(
        OrderedDict(
            layer1=_layer(1, 64, (5, 1), stride=(5, 1)),  # (64, 61, 25)
            layer2=_layer(64, 64, (5, 3)),
            layer3=_layer(64, 64, (3, 3)),
            layer4=_layer(64, 16, (15, 3)),  # (16, 61, 25)
            layer5=_layer(16, 1, (1, 1), norm=False),  # (1, 61, 25)
        )
    )


def cnn2() -> nn.Sequential:
    """The Deep Salience network (`deep_salience`) without norm on its input and with ReLU at its
    end: 301 bins throughout.
    """
    return nn.Sequential(
        OrderedDict(
            layer1=_layer(1, 128, (5, 5)),  # (128, 301, 25)
            layer2=_layer(128, 64, (5, 5)),  # (64, 301, 25)
            layer3=_layer(64, 64, (3, 3)),
            layer4=_layer(64, 64, (3, 3)),
            layer5=_layer(64, 8, (70, 3)),  # (8, 301, 25): 14 semitones at once
            layer6=_layer(8, 1, (1, 1), norm=False),  # (1, 301, 25)
        )
    )


class BiGRU(nn.GRU):
    """GRU in both directions with one bias per gate, as in Keras 2.0: torch's second one, bias_hh,
    is held at zero.

    What cannot be had from torch, and keeps weights from travelling (trap T12): Keras 2.0 resets
    before the recurrent product and uses hard sigmoids at its gates; torch resets after it and uses
    plain ones.
    """

    def __init__(self, n_in, units):
        super().__init__(n_in, units, batch_first=True, bidirectional=True)
        for name, parameter in self.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
                parameter.requires_grad = not name.startswith("bias_hh")
            elif name.startswith("weight_hh"):
                for gate in parameter.detach().chunk(3):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.xavier_uniform_(parameter)


class CRNN(Network):
    """Convolutions that never look across the border of a patch (trap T13), a BiGRU that does, a
    softmax over 62 classes.

    cnn: "cnn1" or "cnn2". units: of the BiGRU in each direction; 0 leaves it out. across_patches:
    True lets the convolutions see beyond their patch, a departure that costs nothing and that the
    paper did not take. The last incomplete patch is filled up with zeros for the time of the
    computation.
    """

    input_shape, grid, regularises = (1, 301), NOTES, True
    block_frames, last_block, patch_frames = SEQUENCE_FRAMES, "overlap", PATCH_FRAMES

    def __init__(self, cnn="cnn1", units=128, *, across_patches=False):
        super().__init__()
        self.across_patches = across_patches
        self.cnn, n_bins = (
            {"cnn1": (cnn1, 61), "cnn2": (cnn2, 301)}[cnn][0](),
            {"cnn1": 61, "cnn2": 301}[cnn],
        )
        self.gru = BiGRU(n_bins, units) if units else None
        self.dense = nn.Linear(2 * units if units else n_bins, 1 + NOTES.n_bins)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        """Logits (batch, 62, time) of H_F0 or CQT (batch, 1, 301, time), each frame as `frontends`
        makes it.
        """
        batch, channels, n_bins, frames = x.shape
        if not self.across_patches:
            x = nn.functional.pad(x, (0, -frames % PATCH_FRAMES))
            x = x.unflatten(3, (-1, PATCH_FRAMES)).permute(
                0, 3, 1, 2, 4
            )  # (batch, patch, 1, 301, 25)
            x = x.reshape(-1, channels, n_bins, PATCH_FRAMES)  # (batch * patch, 1, 301, 25)
        x = self.cnn(x)  # (batch * patch, 1, 61 or 301, 25)
        x = x.squeeze(1).transpose(1, 2)  # (batch * patch, 25, bins)
        x = x.reshape(batch, -1, x.shape[-1])[:, :frames]  # (batch, time, bins)
        if self.gru is not None:
            with torch.autocast(
                x.device.type, enabled=False
            ):  # hundreds of steps in a row add up rounding
                x, _ = self.gru(x.float())  # (batch, time, 2 units)
        return self.dense(x).float().transpose(1, 2)  # (batch, 62, time)

    @property
    def reach_frames(self) -> int | None:
        """Without memory the patches on either side hold all that a frame depends on."""
        return PATCH_FRAMES if self.gru is None else None

    def penalty(self) -> torch.Tensor:
        """The release's regularisers, to be added to the loss: L2 1e-5 on the first convolution and
        the output, L1 1e-4 and L2 1e-2 on what enters the GRU, L2 1e-2 on the output bias (traps
        T15). A scalar.
        """
        first = self.cnn.layer1.conv.weight
        total = (
            1e-5 * (first.square().sum() + self.dense.weight.square().sum())
            + 1e-2 * self.dense.bias.square().sum()
        )
        for name, weight in self.gru.named_parameters() if self.gru is not None else ():
            if name.startswith("weight_ih"):
                total = total + 1e-4 * weight.abs().sum() + 1e-2 * weight.square().sum()
        return total


_PAPER = "Basaran, Essid and Peeters, ISMIR"
NETWORKS = (
    Declared(
        "sf-crnn-1",
        CRNN,
        "sf",
        "convolutions and a GRU on the salience of source-filter NMF: small and quick",
        _PAPER,
        2018,
        {"cnn": "cnn1", "units": 128},
    ),
    Declared(
        "sf-crnn-2",
        CRNN,
        "sf",
        "the same with more convolutions, on every bin",
        _PAPER,
        2018,
        {"cnn": "cnn2", "units": 160},
    ),
    Declared(  # not in the paper: for comparison
        "cqt-crnn-1",
        CRNN,
        "cqt",
        "sf-crnn-1 on a constant-Q transform: what the NMF salience is worth to a small network",
        arguments={"cnn": "cnn1", "units": 128},
    ),
    Declared(
        "cqt-crnn-2",
        CRNN,
        "cqt",
        "sf-crnn-2 on a plain constant-Q transform: what the NMF salience is worth",
        _PAPER,
        2018,
        {"cnn": "cnn2", "units": 160},
    ),
    Declared(
        "sf-cnn",
        CRNN,
        "sf",
        "sf-crnn-2 without its GRU: what the memory is worth",
        _PAPER,
        2018,
        {"cnn": "cnn2", "units": 0},
    ),
)

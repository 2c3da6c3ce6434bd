"""Deep Salience, Bittner, McFee, Salamon, Li and Bello 2017: convolutions alone, from a harmonic
CQT to a salience of 360 bins.

    deep-salience    HCQT    406,253 trainable numbers

Shapes: (batch, channel, freq, time), kernels (freq, time). Input: (batch, 6, 360, time), one
channel a harmonic. Output: logits (batch, 360, time); their sigmoid is the salience of each bin, 20
cents apart from 32.7 Hz. Nothing says "no melody" here: a frame is voiced where the salience
reaches a threshold.
Source: the paper and its release (deepsal:deepsalience/experiment_datasets.py, MIT).
"""

from collections import OrderedDict

from torch import nn

from melodylab.dsp.grids import PitchGrid
from melodylab.models.base import Declared, Network

BINS = PitchGrid(32.7, 60, 360)  # C1 to almost C7
PATCH_FRAMES = 50  # of training, 0.58 s


def _layer(n_in, n_out, kernel, relu=True):
    """Batch norm, convolution with zero padding that keeps the size, ReLU."""
    tall = kernel[0] % 2 == 0  # 70 bins have no middle: 34 zeros below, 35 above
    parts = OrderedDict(
        norm=nn.BatchNorm2d(n_in, eps=1e-3, momentum=0.01)
    )  # Keras calls this momentum 0.99
    if tall:
        parts["pad"] = nn.ZeroPad2d((0, 0, (kernel[0] - 1) // 2, kernel[0] // 2))
    parts["conv"] = nn.Conv2d(
        n_in, n_out, kernel, padding=(0 if tall else kernel[0] // 2, kernel[1] // 2)
    )
    if relu:
        parts["relu"] = nn.ReLU()
    return nn.Sequential(parts)


class DeepSalience(Network):
    """Six convolutions; the fifth is 14 semitones high and sees an octave and more at once."""

    input_shape, grid, has_unvoiced_class = (6, 360), BINS, False
    context_frames = 7  # a frame depends on seven on either side: 2 + 2 + 1 + 1 + 1

    def __init__(self):
        super().__init__()
        self.layer1 = _layer(6, 128, (5, 5))
        self.layer2 = _layer(128, 64, (5, 5))
        self.layer3 = _layer(64, 64, (3, 3))
        self.layer4 = _layer(64, 64, (3, 3))
        self.layer5 = _layer(64, 8, (70, 3))
        self.layer6 = _layer(8, 1, (1, 1), relu=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        """Logits (batch, 360, time) of an HCQT (batch, 6, 360, time) in 0..1; the sigmoid is left
        to the reader.
        """
        x = self.layer1(x)  # (batch, 128, 360, time)
        x = self.layer2(x)  # (batch, 64, 360, time)
        x = self.layer3(x)
        x = self.layer4(x)
        x = self.layer5(x)  # (batch, 8, 360, time)
        x = self.layer6(x)  # (batch, 1, 360, time)
        return x.squeeze(1).float()


NETWORKS = (
    Declared(
        "deep-salience",
        DeepSalience,
        "hcqt",
        "convolutions alone on a harmonic constant-Q transform (Deep Salience)",
        "Bittner, McFee, Salamon, Li and Bello, ISMIR",
        2017,
    ),
)

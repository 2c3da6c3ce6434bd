"""The transcription network of Koretzky and Rajashekharappa 2021: a mel spectrogram in, the onsets
of five drums out.

    drum-cnn    mel    319,941 trainable numbers as printed, for 5 classes

The paper prints its layers and says that the network returns an onset profile per class; the two do
not meet. Three readings:

    R1    319,941    as printed: a sigmoid a class for 344 frames, "does it play in here?"
    R2    541,176    the last layer writes the profile, 5 x 344 numbers out of 128
    R5    287,045    pooling over frequency alone, and a 1 x 1 convolution to the classes in place
                     of the dense layers: a profile with all its frames, for music of any length

The shipped weights are R5 with 128 bands and two additions that the paper lacks, each an argument:
`norm`, batch norm before every ReLU, without which training takes many times longer, and `units`, a
GRU in both directions ahead of the classes. Six 3 x 3 convolutions see 70 ms to either side, and
what tells an open hi-hat from a closed one is whether it still rings after that.

Shapes: (batch, channel, freq, time). Input: (batch, 1, bands, time); where a multiple of `bands`
comes in, neighbours are averaged first. Output: logits (batch, classes, time), in R1 (batch,
classes).
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from melodylab.errors import InputError
from melodylab.models.base import Declared, Network
from melodylab.records import DRUM_CLASSES

CLASSES = DRUM_CLASSES  # the rows of the output
READINGS = ("R1", "R2", "R5")


def _pair(n_in, n_middle, n_out, norm):
    """Two 3 x 3 convolutions, each with a ReLU; the picture keeps its size."""
    layers = OrderedDict()
    for n, (a, b) in enumerate(((n_in, n_middle), (n_middle, n_out)), 1):
        layers[f"conv{n}"] = nn.Conv2d(a, b, 3, padding=1)
        if norm:
            layers[f"norm{n}"] = nn.BatchNorm2d(b)
        layers[f"relu{n}"] = nn.ReLU()
    return nn.Sequential(layers)


class DrumCNN(Network):
    """reading: "R1", "R2" or "R5" (above). bands, frames: of the input; R5 takes any number of
    frames. dropout: as printed, after the second pooling, after the third and before the last
    layer. norm, units (0 = none): what the paper lacks.

    Raises InputError for a reading that does not exist and for fewer than 125 bands or, but in R5,
    125 frames.
    """

    learns, has_unvoiced_class = "hits", False
    block_frames, context_frames = 1000, 200  # 12 s of R5; a GRU forgets within the 2 s around it

    def __init__(
        self,
        n_classes=5,
        reading="R1",
        bands=512,
        frames=344,
        *,
        dropout=(0.25, 0.5, 0.5),
        norm=False,
        units=0,
    ):
        super().__init__()
        if reading not in READINGS:
            raise InputError(
                f"there is no reading {reading!r} of the drum network; choose {', '.join(READINGS)}"
            )
        if bands < 125 or (frames < 125 and reading != "R5"):
            raise InputError(
                f"three poolings by 5 leave nothing of {bands} bands and {frames} frames; give at "
                "least 125 of each"
            )
        self.n_classes, self.reading, self.bands, self.frames = n_classes, reading, bands, frames
        self.gives_profile, self.input_shape = reading == "R5", (1, bands)
        self.block1 = _pair(1, 32, 32, norm)
        self.block2 = _pair(32, 128, 128, norm)
        self.block3 = _pair(128, 64, 32, norm)
        self.pool = nn.MaxPool2d(
            (5, 1) if reading == "R5" else 5
        )  # what does not fill a pool is dropped, as in Keras
        self.dropout1, self.dropout2, self.dropout3 = (nn.Dropout(p) for p in dropout)
        features = 32 * (bands // 125)
        if reading == "R5":
            self.gru = (
                nn.GRU(features, units, batch_first=True, bidirectional=True) if units else None
            )
            self.classes = nn.Conv1d(2 * units or features, n_classes, 1)
        else:
            self.dense = nn.Linear(features * (frames // 125), 128)
            self.classes = nn.Linear(128, n_classes * (frames if reading == "R2" else 1))

    def misfit(self, shape: tuple[int, ...]) -> str:
        """What it hears, in words, where a picture of another shape is given.

        Parameters
        ----------
        shape : tuple of int
            (channels, rows, time) of a picture.

        Returns
        -------
        str
            Empty where the picture fits: `bands` rows or a multiple, and but in R5 `frames` of
            them.
        """
        fits = shape[0] == 1 and shape[1] and shape[1] % self.bands == 0
        if fits and (self.gives_profile or shape[2] == self.frames):
            return ""
        frames = "" if self.gives_profile else f" and {self.frames} frames"
        return f"1 channel of {self.bands} rows or a multiple{frames}"

    def example(self) -> torch.Tensor:
        """Some frames of noise that it can hear; where it takes a fixed number of frames, that
        many.

        Returns
        -------
        torch.Tensor
            (1, 1, bands, time).
        """
        x = super().example()
        return x if self.gives_profile else F.interpolate(x, (self.bands, self.frames))

    def forward(self, x):
        """Logits (batch, classes, time) of a mel spectrogram (batch, 1, bands, time); (batch,
        classes) in R1. Sizes: 512 bands.
        """
        x = F.avg_pool2d(x, (x.shape[2] // self.bands, 1)) if x.shape[2] > self.bands else x
        x = self.pool(self.block1(x))  # (batch, 32, 102, 68), in R5 (batch, 32, 102, time)
        x = self.pool(self.block2(x))  # (batch, 128, 20, 13), (batch, 128, 20, time)
        x = self.pool(self.block3(self.dropout1(x)))  # (batch, 32, 4, 2), (batch, 32, 4, time)
        if self.reading == "R5":
            x = self.dropout2(x.flatten(1, 2))  # (batch, 128, time)
            if self.gru is not None:
                with torch.autocast(
                    x.device.type, enabled=False
                ):  # hundreds of steps in a row add up rounding
                    x = self.gru(x.transpose(1, 2).float())[0].transpose(
                        1, 2
                    )  # (batch, 2 units, time)
            return self.classes(self.dropout3(x)).float()  # (batch, classes, time)
        x = self.dropout2(x.flatten(1))  # (batch, 256)
        x = self.dropout3(F.relu(self.dense(x)))  # (batch, 128)
        x = self.classes(x).float()  # (batch, classes), in R2 (batch, classes * frames)
        return x.unflatten(1, (self.n_classes, self.frames)) if self.reading == "R2" else x


NETWORKS = (
    Declared(
        "drum-cnn",
        DrumCNN,
        "drum-mel",
        "a convolutional network that finds hits, then NMF led by them",
        "Koretzky and Rajashekharappa",
        2021,
    ),
)

"""What the tests of `melodylab.explain` share: a planted network, pictures of lines, of noise."""

import numpy as np
import torch
from torch import nn

from melodylab.dsp.grids import PitchGrid, frame_times_s
from melodylab.models.base import Network
from melodylab.models.crnn import CRNN, NOTES
from melodylab.records import Features

FINE = PitchGrid(55.0, 60, 301)


class Planted(Network):
    """61 semitones in; three channels: the line, the line an octave up and louder, nothing."""

    grid, block_frames = NOTES, 40

    def __init__(self):
        super().__init__()
        self.heard = nn.Conv2d(1, 3, (25, 1), padding=(12, 0))
        self.mix = nn.Conv2d(3, 1, (1, 1))
        nn.init.zeros_(self.heard.weight)
        for part in (self.heard.bias, self.mix.bias):
            nn.init.zeros_(part)
        with torch.no_grad():
            self.heard.weight[0, 0, 12] = self.heard.weight[1, 0, 0] = 1
            self.mix.weight[0, :, 0, 0] = torch.tensor([4.0, 8.0, 1.0])

    def forward(self, x):
        y = self.mix(self.heard(x)).squeeze(1)  # (batch, 61, time)
        return torch.cat([torch.ones_like(y[:, :1]), y], dim=1)


def features_of(rows, grid=NOTES, channels=1):
    """A line of ones in these rows (-1: silence) of a dark picture."""
    values = np.zeros((channels, grid.n_bins, len(rows)), np.float32)
    for n, row in enumerate(rows):
        if row >= 0:
            values[:, row, n] = 1
    return Features(values, grid.freqs_hz, frame_times_s(len(rows), 256, 22050), "sf")


def noise(rng, frames, grid=FINE, channels=1, level=1):
    values = level * rng.exponential(size=(channels, grid.n_bins, frames)).astype(np.float32)
    return Features(values, grid.freqs_hz, frame_times_s(frames, 256, 22050), "sf")


def first_crnn():
    """An sf-crnn-1 with statistics as after some training."""
    torch.manual_seed(0)
    model = CRNN("cnn1", 128)
    for module in model.modules():  # statistics as after some training
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, 0, 0.2)
    return model.eval()


def climbing():
    """90 frames of a line that climbs, with silence in frames 50 to 59."""
    return features_of([-1 if 50 <= n < 60 else 10 + n // 10 for n in range(90)])


def everything(model):
    """All that must be as it was: numbers, modes, gradients, hooks."""
    numbers = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    hooks = [list(module._forward_hooks.values()) for module in model.modules()]
    flags = [(p.requires_grad, p.grad) for p in model.parameters()]
    return numbers, hooks, flags, [module.training for module in model.modules()]


def assert_same(before, after):
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1:] == after[1:]

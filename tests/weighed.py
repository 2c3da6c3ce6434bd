"""What the tests of weights share: networks with an opinion, a card, the sentence of a refusal."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from melodylab import models, weights
from melodylab.errors import InputError
from melodylab.models import inputs

CARD = {
    "front_end": "sf",
    "decoding": {"unvoiced_gain": 1.3},
    "recipe": {"seed": 3, "songs": 400},
    "steps": 1000,
    "wall_time_s": 12.5,
    "device": "cpu",
    "scores": {"OA": 0.625, "RPA": 0.7},
    "licence": "MIT",
    "library_versions": {"torch": "2.13"},
}
SHIPPED = weights.FOLDER


def input_for(model, frames, batch=1):
    end = inputs.FRONT_ENDS[models.NETWORKS[model.name].front_end]
    return torch.rand(batch, end.channels, len(end.freqs_hz), frames)


def probabilities(model, x):
    with torch.no_grad():
        y = model(x)
    return y.softmax(dim=1) if model.has_unvoiced_class else y.sigmoid()


def decided(name, seed=0, **changes):
    """A network with an opinion on noise, as trained ones have on songs: norms that fit it, logits
    one or two apart.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = models.create_model(name, **changes)
        norms = [
            module
            for module in model.modules()
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        ]
        for norm in norms:
            norm.momentum = None
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias, 0, 0.1)
        with torch.no_grad():
            spread = model.train()(input_for(model, 50, batch=2)).std()
            last = model.layer6.conv if name == "deep-salience" else model.dense
            last.weight *= (1 if name == "deep-salience" else 2) / spread
        for norm in norms:
            norm.momentum = 0.01
        return model.eval()


def found(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def refusal(name_or_path, call=weights.load_model):
    """The one sentence with a next step."""
    with pytest.raises(InputError) as refused:
        call(name_or_path)
    text = str(refused.value)
    assert "\n" not in text and re.search("; .+", text), text
    return text

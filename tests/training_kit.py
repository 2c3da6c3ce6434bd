"""What the tests of the training share.

The smallest run there is, and how two runs are compared.
"""

import os
from pathlib import Path

import pytest
import torch

from melodylab import cli
from melodylab.training import Recipe

ROOT = Path(cli.__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def recipe(**training):
    """Six steps, a validation every two, on two songs of four seconds."""
    small = {
        "steps": 6,
        "validate_every": 2,
        "batch_size": 2,
        "frames": 50,
        "average": 0.9,
        "shift_semitones": 1,
    }
    data = {"songs": 2, "mixes": 1, "seconds": 4}
    return Recipe.from_dict(
        {"model": {"name": "sf-crnn-1"}, "data": data, "training": small | training}
    )


def tensors(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(first, second, tolerance=0.0):
    """Nested dicts, lists, numbers, tensors; paths by their names alone."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert [Path(k).name if isinstance(k, str) else k for k in first] == [
            Path(k).name if isinstance(k, str) else k for k in second
        ]
        first, second = list(first.values()), list(second.values())
    if isinstance(first, list | tuple):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b, tolerance)
    elif isinstance(first, torch.Tensor):
        torch.testing.assert_close(first, second, rtol=0, atol=tolerance)
    elif isinstance(first, float):
        assert first == pytest.approx(second, abs=tolerance, nan_ok=True)
    elif isinstance(first, str):
        assert Path(first).name == Path(second).name
    else:
        assert first == second


def without_times(history):
    return [{key: value for key, value in entry.items() if key != "wall_s"} for entry in history]

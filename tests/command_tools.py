"""What the tests of the commands share: a tone as a file, what lies in a folder, an environment."""

import os
from pathlib import Path

import numpy as np
import soundfile as sf

from melodylab import cli

SR = 22050
ROOT = Path(cli.__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # for processes started in any folder


def tone(path, seconds=1.0, sr=SR, f0_hz=220.0, channels=1):
    """A WAV file: ten harmonics, 35 cents of vibrato (what never moves is no voice to sfnmf)."""
    t = np.arange(round(seconds * sr)) / sr
    phase = 2 * np.pi * f0_hz * (t + 0.02 / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * t))
    y = sum(np.sin(h * phase) / h for h in range(1, 11)) * 0.1
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.stack([y] * channels, axis=1), sr, subtype="FLOAT")
    return path


def found(folder):
    """All files below a folder, hidden ones too, as sorted relative names."""
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())

"""The command line: `app` is the program, the other modules hold its commands."""

from melodylab.cli import batch, doctor, evaluate, lab, methods, songs, train
from melodylab.cli.app import main

__all__ = ["batch", "doctor", "evaluate", "lab", "main", "methods", "songs", "train"]

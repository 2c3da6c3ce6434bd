"""The command line: `app` holds its entry and the commands that work on songs, the others a command each."""

from melodylab.cli import doctor, lab, train
from melodylab.cli.app import main

__all__ = ["doctor", "lab", "main", "train"]

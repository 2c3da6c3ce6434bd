"""Run in an environment without any extra: everything that is promised is there, and what is
missing says so.

python tests/core_only.py
"""

import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import melodylab as ml

EXTRAS = ("lightning", "captum", "jupyterlab", "distributed", "pytest")


def main():
    present = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not present, f"this is no core install: {present}"
    for module in pkgutil.walk_packages(ml.__path__, "melodylab."):
        if not module.name.endswith(("__main__", "lightning_module")):  # the latter when training
            importlib.import_module(module.name)
    inspect.getmembers(ml)
    exec("from melodylab import *", {})
    help_text = subprocess.run(
        [sys.executable, "-c", "import melodylab; help(melodylab)"], capture_output=True, text=True
    )
    assert help_text.returncode == 0 and "extract_melody" in help_text.stdout, help_text.stderr
    song = ml.demo_song(seed=0, seconds=4)
    assert ml.score_melody(ml.extract_melody(song), song.melody)["RPA"] > 0.5
    assert set(ml.separate(song)) == {"melody", "accompaniment"}
    assert set(ml.separate_drums(song).stems) == set(ml.synth.DRUM_CLASSES)
    for call, package in (
        (lambda _: ml.training.Recipe.from_dict({"model": {"name": "cqt-crnn-1"}}), "pydantic"),
        (lambda folder: ml.evaluate.cluster("tcp://127.0.0.1:1").__enter__(), "distributed"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            try:
                call(Path(folder) / "new")
            except ml.InputError as error:
                assert package in str(error), error
            else:
                raise AssertionError(f"nothing said that {package} is missing")
    print("the core install does what it says")


if __name__ == "__main__":
    main()

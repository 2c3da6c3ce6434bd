"""The command `melodylab doctor`."""

import importlib.metadata
import importlib.util
import re
import shutil
import sys

import click

from melodylab import __version__
from melodylab.cli.app import _say, main
from melodylab.cli.lab import notebooks_folder
from melodylab.errors import InputError, missing_package

# --- doctor ---------------------------------------------------------------------------------------


@main.command()
def doctor():
    """Check this installation: a mark or the next step on each line; status 1 if it is wrong."""
    fancy = "utf" in (sys.stdout.encoding or "").lower()
    marks = {True: "✓" if fancy else "+", False: "✗" if fancy else "!", None: "-"}
    wrong = False
    for good, text in _findings():
        _say(f"{marks[good]} {text}")
        wrong |= good is False
    if wrong:
        click.get_current_context().exit(1)


def _findings():
    """Yield (True, what was found), (False, what is wrong), (None, what may be missing)."""
    pip = f"{sys.executable} -m pip install"
    yield True, f"melodylab {__version__}, Python {sys.version.split()[0]}"
    for name in [
        "numpy",
        "scipy",
        "soundfile",
        "librosa",
        "torch",
        "safetensors",
        "mir_eval",
        "matplotlib",
        "ipywidgets",
        "pretty_midi",
        "joblib",
    ]:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # a broken library may raise anything
            yield (
                False,
                f"{name} cannot be imported ({type(error).__name__}: {error}); "
                f"run: {pip} --force-reinstall {name}",
            )
            continue
        yield True, f"{name} {_version(name)}"
        if name == "soundfile":
            version, formats = module.__libsndfile_version__, module.available_formats()
            if "MP3" in formats:
                yield True, f"libsndfile {version} (reads WAV, FLAC, OGG, MP3, AIFF)"
            else:
                yield False, f"libsndfile {version} reads no MP3; run: {pip} --upgrade soundfile"
        if name == "torch":
            device = (
                f"GPU {module.cuda.get_device_name()}"
                if module.cuda.is_available()
                else "no GPU, none is needed"
            )
            yield True, f"torch counts to {module.arange(5).sum().item()}: {device}"
    yield from _widget_findings(pip)
    if shutil.which("ffmpeg"):
        yield True, "ffmpeg (for m4a, wma and video)"
    else:
        yield None, "ffmpeg is not installed; only m4a, wma and video need it"
    for program in ("jupyterlab", "jupytext", "voila"):
        version = _version(program)
        missing = str(missing_package("melodylab lab", program, "lab"))
        yield (True, f"{program} {version}") if version else (None, missing)
    try:
        folder = notebooks_folder()
        yield (
            True,
            f"notebooks in {folder}: "
            f"{', '.join(path.stem for path in sorted(folder.glob('*.ipynb')))}",
        )
    except InputError as error:
        yield False, str(error)
    try:
        from melodylab import api
    except Exception as error:
        yield (
            False,
            f"melodylab cannot be loaded ({type(error).__name__}: {error}); mend the lines above "
            "first",
        )
    else:
        yield True, f"methods {', '.join(api.METHODS)}"
        yield from _weight_findings()


def _weight_findings():
    """One line for each pair of weights that came with this copy."""
    from melodylab import weights

    if not weights.names():
        yield (
            None,
            "no trained weights in this copy; only networks need them, and melodylab train makes "
            "them",
        )
    for name in weights.names():
        try:
            card = weights.verify(name)
        except InputError as error:
            yield False, str(error)
            continue
        size_mb = (weights.FOLDER / f"{name}.safetensors").stat().st_size / 1e6
        scores = card["scores"] if isinstance(card["scores"], dict) else {}
        told = "".join(
            f", {key} {scores[key]:.3f}"
            for key in ("OA", "RPA", "F")
            if isinstance(scores.get(key), float)
        )
        yield True, f"weights of {name} present and verified: {size_mb:.1f} MB{told}"


def _widget_findings(pip):
    """ipywidgets names the versions of its other halves; with another one sliders stay blank."""
    for wanted in importlib.metadata.requires("ipywidgets") or [] if _version("ipywidgets") else []:
        match = re.match(r"(jupyterlab_widgets|widgetsnbextension)\D+(\d+)", wanted)
        if not match:
            continue
        name, major = match.groups()
        version = _version(name)
        if version and version.split(".")[0] == major:
            yield True, f"{name} {version} matches ipywidgets {_version('ipywidgets')}"
        else:
            found = f"is {version}" if version else "is missing"
            yield (
                False,
                f"{name} {found} where ipywidgets needs {major}; "
                f"run: {pip} --upgrade ipywidgets {name}",
            )


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

"""melodylab: find the melody in a song, take the song apart, and look inside while it happens.

`import melodylab as ml` is quick: modules and functions load on first use.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "api audio checks cli datasets decode drum_examples drums evaluate examples explain features files grids midi models nmf plot "
    "records separation sfnmf sonify steps synth tasks train weights widgets"
).split()
_FROM = {
    "api": "load_song extract_melody salience separate separate_drums demo_song METHODS",
    "evaluate": "score_melody",
    "models": "create_model",
    "weights": "load_model",
    "records": "Song Features Salience Melody Mask DrumOnsets DrumParts OneShot",
    "files": "InputError",
}
_HOME = {name: module for module, names in _FROM.items() for name in names.split()}
__all__ = [*_SUBMODULES, *_HOME, "__version__"]


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"melodylab.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"melodylab.{_HOME[name]}"), name)
    raise AttributeError(f"module 'melodylab' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)

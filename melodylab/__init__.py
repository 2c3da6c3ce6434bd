"""melodylab: find the melody in a song, take the song apart, and look inside while it happens.

`import melodylab as ml` is quick: modules and functions load on first use. What it shows, with its
types, stands in `__init__.pyi`.
"""

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*__all__, "__version__"]


def __dir__():
    return sorted(__all__)

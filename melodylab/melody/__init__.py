"""From a salience to a melody, and the baselines that need none."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["decode", "pyin", "ranges"]
)

"""What stands around the notebooks: panels and checks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["checks", "panel", "panels"]
)

"""Signal processing that knows nothing of songs' meaning: grids, transforms, pictures, NMF."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "cfp",
        "constant_q",
        "features",
        "grids",
        "levels",
        "mixing",
        "nmf",
        "pulse",
        "stft",
    ],
)

"""Files in and out: audio, CSV, MIDI, folders of songs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["audio", "columns", "corpora", "csv", "folders", "midi", "songs", "tables"],
)

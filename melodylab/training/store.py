"""The one store of features: in memory up to a limit, in a folder if one is given.

What the features depend on is hashed into the folder's name: the package's version, the source of
the front ends and of the synthetic songs, the versions of the libraries that compute, the settings
of the front end, and the bank. Whatever changes, the old features stay where they are and are not
read. Several processes may share a folder: a file is complete or absent, and one that cannot be
read is made anew.
"""

import functools
import hashlib
import importlib.metadata
import json
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path

import joblib
import numpy as np
from tqdm.auto import tqdm

from melodylab import __version__, files, sfnmf
from melodylab.models import inputs

Key = tuple[int, ...]
Arrays = tuple[np.ndarray, ...]
Compute = Callable[[Key], Arrays]

_SOURCES = ("dsp", "sfnmf", "synth", "models/inputs", "records")  # rooms and modules
_LIBRARIES = ("librosa", "numpy", "scipy", "soxr")
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


@functools.cache
def _code() -> str:
    """Hash of the source that songs and features come from."""
    room, found = Path(files.__file__).parent, hashlib.sha256()
    for name in _SOURCES:
        place = room / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            found.update(path.relative_to(room).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def _settings(front_end: object) -> dict[str, str]:
    """What a front end declares, as text that is the same in every process."""
    return {part.name: _text(getattr(front_end, part.name)) for part in fields(front_end)}


def _text(value: object) -> str:
    if isinstance(value, functools.partial):
        return f"{_text(value.func)} {_text(value.args)} {value.keywords}"
    if callable(value) and not is_dataclass(value):  # whose repr has its address
        return getattr(value, "__qualname__", type(value).__qualname__)
    return repr(value.tolist()) if isinstance(value, np.ndarray) else repr(value)


def fingerprint(front_end: inputs.FrontEnd, settings: dict) -> str:
    """Name of the folder for one front end's features of one bank.

    Parameters
    ----------
    front_end : FrontEnd
        An entry of `models.inputs.FRONT_ENDS`.
    settings : dict
        What else the features depend on, as JSON has it: the bank, the number of bands.

    Returns
    -------
    str
        The front end's name and 16 digits that differ wherever anything differs.
    """
    everything = {
        "version": __version__,
        "code": _code(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "front_end": _settings(front_end),
        "factorisation": repr(sfnmf.PUBLISHED),
        "settings": settings,
    }
    text = json.dumps(everything, sort_keys=True)
    return f"{front_end.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Store:
    """Arrays by key, computed where they are missing.

    Parameters
    ----------
    compute : callable
        From a key (a tuple of whole numbers) to a tuple of arrays; joblib sends it to workers.
    folder : path or None
        Where they are kept, one file a key; None keeps them in memory alone.
    memory_gb : float
        How much stays in memory, in gigabytes; the least recently used goes first.
    """

    def __init__(
        self,
        compute: Compute,
        folder: Path | None = None,
        memory_gb: float = 4.0,
    ):
        self.compute, self.folder, self.memory_bytes = compute, folder, memory_gb * 1e9
        self._memory: OrderedDict[Key, Arrays] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._memory or (self.folder is not None and self.path(key).is_file())

    def __getitem__(self, key: Key) -> Arrays:
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        arrays = self._read(key)
        if arrays is None:
            arrays = self.compute(key)
            self._write(key, arrays)
        self._remember(key, arrays)
        return arrays

    def path(self, key: Key) -> Path:
        """The file of a key.

        Parameters
        ----------
        key : tuple of int
            As `compute` takes it.

        Returns
        -------
        Path
            In the store's folder, whether it exists or not.
        """
        return Path(self.folder) / f"{'-'.join(f'{number:06d}' for number in key)}.npz"

    def prepare(
        self,
        keys: Iterable[Key],
        *,
        n_jobs: int | None = None,
        progress: bool = False,
    ) -> None:
        """Compute what is missing, through joblib (inside `evaluate.cluster` on a Dask cluster).

        Parameters
        ----------
        keys : iterable of tuple of int
            All that will be wanted. Those with the same first number go to one worker, one after
            the other, so that what they share is made once.
        n_jobs : int or None
            Processes, as joblib counts them.
        progress : bool
            Whether to show a bar on standard error.
        """
        groups: dict[int, list[Key]] = {}
        for key in keys:
            if key not in self:
                groups.setdefault(key[0], []).append(key)
        work = (joblib.delayed(_computed)(self.compute, group) for group in groups.values())
        found = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work)
        bar = tqdm(found, total=len(groups), unit="song", desc="features", disable=not progress)
        for group in bar:
            for key, arrays in group:
                self._write(key, arrays)
                self._remember(key, arrays)

    def _read(self, key: Key) -> Arrays | None:
        if self.folder is None or not self.path(key).is_file():
            return None
        try:
            with np.load(self.path(key)) as stored:
                return tuple(stored[f"arr_{n}"] for n in range(max(len(stored.files), 1)))
        except _UNREADABLE:  # half a file, or something else's
            return None

    def _write(self, key: Key, arrays: Arrays) -> None:
        if self.folder is not None:
            with (
                files.complete_or_absent(self.path(key)) as temporary,
                open(temporary, "wb") as file,
            ):
                np.savez(file, *arrays)

    def _remember(self, key: Key, arrays: Arrays) -> None:
        self._memory[key] = arrays
        while (
            sum(part.nbytes for kept in self._memory.values() for part in kept) > self.memory_bytes
            and len(self._memory) > 1
        ):
            self._memory.popitem(last=False)


def _computed(compute: Compute, group: list[Key]) -> list[tuple[Key, Arrays]]:
    """All of a group on one worker."""
    return [(key, compute(key)) for key in group]

"""The one registry: every method by name, with its task, what it is in one line, and how it runs.

The command line, the panels, the tables and every "there is no method ..., did you mean ..." read
it. A network is a method as soon as its weights are there: nothing else names it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from melodylab import models, weights
from melodylab.errors import InputError, did_you_mean

TASKS = ("melody", "separation", "drums")

# What is taken where nothing is asked for. Means over the development songs: sfnmf+best 5.22 dB SDR
# of the lead and 9.3
# of the accompaniment, unet+best 4.89 and 9.2.
DEFAULT = {"melody": "best", "separation": "sfnmf+best", "drums": "drum-cnn"}

_BEST = DEFAULT | {"melody": weights.BEST}
_FINDS = {  # (what another method cannot do, what one of this task does)
    "melody": ("finds no melody", "it finds the melody"),
    "separation": ("takes no song apart", "it separates"),
    "drums": ("finds no drum hits", "it finds drum hits"),
}
_TASK_OF = {"melody": "melody", "mask": "separation", "hits": "drums"}


@dataclass(frozen=True)
class Method:
    """A way to do a task.

    Attributes
    ----------
    name : str
        What it is asked for by, with aliases resolved: a name, the path of weights, or
        METHOD+MELODY.
    task : str
        "melody", "separation" or "drums".
    line : str
        What it is, in one line.
    paper : str
        Where it was published; empty for our own.
    year : int
        Of the publication, 0 for our own.
    range_hz : tuple or None
        The lowest and the highest pitch in Hz that it can be trusted with; None where there are no
        pitches.
    by : str
        How it runs: "sfnmf", "pyin" or "network".
    weights : str
        For a network what `weights.load_model` takes; else empty.
    led : bool
        A separation that a melody can lead.
    leader : Method or None
        The melody method that leads a separation, if one was asked for.
    """

    name: str
    task: str
    line: str
    paper: str = ""
    year: int = 0
    range_hz: tuple[float, float] | None = None
    by: str = "network"
    weights: str = ""
    led: bool = False
    leader: "Method | None" = None

    @property
    def source(self) -> str:
        """Paper and year, or "our own"."""
        return " ".join(filter(None, (self.paper, str(self.year or "")))) or "our own"

    def verify(self) -> None:
        """Compare its weights with the SHA-256 on their card, before the first song is read.

        Raises
        ------
        InputError
            If they are damaged.
        """
        if self.weights:
            weights.verify(self.weights)
        if self.leader is not None:
            self.leader.verify()


_NMF_PAPER = "Durrieu, David and Richard, IEEE JSTSP"
_NMF_HZ = (55.0, 1760.0)
_FORMULAS = (
    Method(
        "sfnmf",
        "melody",
        "source-filter NMF with the parameters of Basaran 2018: learns from the song alone",
        _NMF_PAPER,
        2011,
        _NMF_HZ,
        "sfnmf",
    ),
    Method(
        "pyin",
        "melody",
        "pYIN through librosa: for one voice without accompaniment, the baseline",
        "Mauch and Dixon, ICASSP",
        2014,
        (55.0, 1760.0),
        "pyin",
    ),
    Method(
        "sfnmf",
        "separation",
        "source-filter NMF led by a melody, Wiener filtering",
        _NMF_PAPER,
        2011,
        _NMF_HZ,
        "sfnmf",
        led=True,
    ),
)


def of_task(task: str) -> dict[str, Method]:
    """The methods of a task that can run: networks whose weights are there, and what needs none.

    Parameters
    ----------
    task : str
        "melody", "separation" or "drums".

    Returns
    -------
    dict
        Name -> `Method`; "best" comes first and is the method that it stands for.

    Raises
    ------
    InputError
        For a task that does not exist.
    """
    if task not in TASKS:
        raise InputError(f"there is no task {task!r}; choose {' or '.join(TASKS)}")
    found = {method.name: method for method in _FORMULAS if method.task == task}
    there = weights.names()
    for name, declared in models.NETWORKS.items():
        if name in there and _TASK_OF[declared.network.learns] == task:
            found[name] = _of_network(declared, name)
    own, _, leader = _BEST[task].partition("+")
    leaders = of_task("melody") if leader else {"": None}
    if own not in found or leader not in leaders:
        return found
    best = _led(found[own], leaders[leader]) if leader else found[own]
    line = f"the best of ours on real songs: {best.name}"
    return {"best": replace(best, line=line), **found}


def find(name: str | os.PathLike[str], task: str) -> Method:
    """The method of that name, or a sentence that offers others.

    Parameters
    ----------
    name : str or path
        A name of `of_task`, the path of weights that you trained (a file, or a folder with one
        pair), for a separation also METHOD+MELODY: led by the melody that another method finds.
        What bears the name of a method is that method; a folder of that name is "./NAME".
    task : str
        "melody", "separation" or "drums".

    Returns
    -------
    Method
        With aliases resolved: the `name` of "best" is that of the method it stands for.

    Raises
    ------
    InputError
        For a name that does not exist, a method of another task, a network without weights, weights
        that cannot be read, and a melody for a method that cannot be led.
    """
    known = of_task(task)
    if not isinstance(name, str | os.PathLike):
        raise InputError(
            f"a method is asked for by its name or by the path of weights, not by {name!r}; "
            f"there are {', '.join(known)}"
        )
    if isinstance(name, str) and name in known:
        return known[name]
    own, plus, leader = str(name).partition("+")
    if task == "separation" and plus and not os.path.exists(name):
        return _led(find(own, task), find(leader, "melody"))
    if isinstance(name, str):
        _refuse_known(name, task, known)
    if _is_path(name):
        return _own(name, task, known)
    raise InputError(f"there is no method {name!r}; {did_you_mean(str(name), known)}")


def _is_path(name):
    text = os.fspath(name)
    return (
        not isinstance(name, str)
        or any(mark and mark in text for mark in (os.sep, os.altsep, "/"))
        or Path(text).suffix in (".safetensors", ".json")
        or os.path.exists(text)
    )


def _of_network(declared, of_weights, name=None):
    return Method(
        name or declared.name,
        _TASK_OF[declared.network.learns],
        declared.line,
        declared.paper,
        declared.year,
        declared.reliable_hz,
        weights=of_weights,
        led=declared.network.led,
    )


def _led(method, leader):
    if not method.led:
        raise InputError(
            f"{method.name} cannot be led by a melody; take {method.name} alone or "
            f"unet+{leader.name}"
        )
    name, line = f"{method.name}+{leader.name}", f"{method.line}; led by {leader.name}"
    range_hz = leader.range_hz and method.range_hz
    if range_hz:
        range_hz = max(range_hz[0], leader.range_hz[0]), min(range_hz[1], leader.range_hz[1])
    return replace(method, name=name, line=line, range_hz=range_hz, leader=leader)


def _own(path, task, known):
    """One's own weights. Raises InputError for those of a network of another task."""
    declared = models.NETWORKS[weights.card(path)["model"]]
    method = _of_network(declared, os.fspath(path), os.fspath(path))
    if method.task != task:
        raise InputError(_of_another_task(f"{path} ({declared.name})", method.task, task, known))
    return method


def _refuse_known(name, task, known):
    """Raise InputError for a network without weights here and for what does another task."""
    tasks = {method.name: method.task for method in reversed(_FORMULAS)}
    tasks |= {n: _TASK_OF[declared.network.learns] for n, declared in models.NETWORKS.items()}
    if name in tasks and tasks[name] != task:
        raise InputError(_of_another_task(name, tasks[name], task, known))
    if name in tasks:
        instead = models.NETWORKS[name].instead
        take = f", or take {instead}" if instead in known else ""
        raise InputError(
            f"{name} is here untrained: this copy of melodylab has no trained weights for {name}; "
            "train "
            f"it with `melodylab train` and give the path of what that writes{take}"
        )


def _of_another_task(name, own, task, known):
    return f"{name} {_FINDS[task][0]}, {_FINDS[own][1]}; choose one of {', '.join(known)}"


class _Lines(Mapping):
    """{name: line} of the methods of a task that can run, as they are at the moment."""

    def __init__(self, task: str) -> None:
        self._task = task

    def __getitem__(self, name: str) -> str:
        return of_task(self._task)[name].line

    def __iter__(self) -> Iterator[str]:
        return iter(of_task(self._task))

    def __len__(self) -> int:
        return len(of_task(self._task))

    def __repr__(self) -> str:
        return repr(dict(self))


METHODS = _Lines("melody")
SEPARATION_METHODS = _Lines("separation")
DRUM_METHODS = _Lines("drums")

"""How far long work is: whoever loops tells it, whoever wants to know listens.

Conventions: work that may last tells its steps through `steps`; a caller listens within `told_to`.
Without a listener nothing happens.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
_LISTENER: ContextVar[Callable[[str, int, int], None] | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def told_to(listener: Callable[[str, int, int], None]) -> Iterator[None]:
    """Within the block, let `listener` hear how far the work is.

    Parameters
    ----------
    listener : callable
        Called as `listener(what, done, total)` before each step and after the last one.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def steps(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items one by one, while who listens hears how many are done.

    Parameters
    ----------
    items : sequence
        The steps, such as the blocks of a song.
    what : str
        What is done to them, in a word or two.

    Yields
    ------
    object
        Each item in turn.
    """
    listener = _LISTENER.get()
    for done, item in enumerate(items):
        if listener:
            listener(what, done, len(items))
        yield item
    if listener:
        listener(what, len(items), len(items))

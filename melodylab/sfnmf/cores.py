"""Threads on which the factorisation computes, one a core, whatever torch does elsewhere."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

_POOLS: dict[int, ThreadPoolExecutor] = {}
_POOLS_LOCK = threading.Lock()


def pool(n_threads: int) -> ThreadPoolExecutor:
    """Threads that compute alone, one a core; made once, for their making is felt by others.

    torch would rather split every small operation over the cores; on a machine that others use too,
    those thousands of meetings an iteration cost twenty times the work. But its number of threads,
    once set, is also what every new thread of the process begins with: so it is one for as long as
    these here start, and then what it was.

    Parameters
    ----------
    n_threads : int
        How many; also what torch's own number is set to.

    Returns
    -------
    concurrent.futures.ThreadPoolExecutor
        The same one at every call of a process; a forked child makes its own.
    """
    with _POOLS_LOCK:
        if n_threads not in _POOLS:
            everyone_started = threading.Barrier(n_threads)

            def start():
                torch.get_num_threads()  # else torch sets this thread's number at its first product
                torch.set_num_threads(1)
                everyone_started.wait()

            made = ThreadPoolExecutor(n_threads, thread_name_prefix="sfnmf")
            for started in [made.submit(start) for _ in range(n_threads)]:
                started.result()
            torch.set_num_threads(n_threads)
            _POOLS[n_threads] = made
        return _POOLS[n_threads]


def _forget_pools():
    global _POOLS_LOCK
    _POOLS.clear()
    _POOLS_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):  # a child has the pools of its parent, but not their threads
    os.register_at_fork(after_in_child=_forget_pools)

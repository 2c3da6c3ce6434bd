"""Factorising leaves torch's threads to the rest of the process, and goes on after a fork."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
import torch

from melodylab import sfnmf

SMALL = sfnmf.Settings(iterations=6, n_accompaniment=5, n_filters=4)


@pytest.fixture
def power(rng):
    return rng.random((1, SMALL.n_freqs, 120)).astype(np.float32)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_new_threads_see_as_many_cores_as_before(power, two_threads):
    sfnmf.factorise(power, SMALL)  # makes the pool, once
    ended, seen = threading.Event(), []

    def work():
        for _ in range(30):
            sfnmf.factorise(power, SMALL)
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not ended.is_set():
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
    worker.join()
    assert len(seen) > 50 and set(seen) == {2}


def test_the_number_of_threads_changes_nothing(power):
    before, made = torch.get_num_threads(), []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        made.append(sfnmf.factorise(power, SMALL).H_F0)
        assert torch.get_num_threads() == n_threads
    torch.set_num_threads(before)
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])


def _factorise_and_exit(power):
    sfnmf.factorise(power, SMALL)
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(power):
    sfnmf.factorise(power, SMALL)
    child = multiprocessing.get_context("fork").Process(target=_factorise_and_exit, args=[power])
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_a_sound_without_a_reciprocal_is_left_as_it_is():
    for peak in (0, 1e-42, 1e-39):
        assert sfnmf.peak_gain(np.full(500, peak, np.float32), 22050) == 1

"""The store of features: its key tells what they depend on; its files are whole or made anew."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from training_kit import ENVIRONMENT

from melodylab import sfnmf
from melodylab.models.inputs import FRONT_ENDS
from melodylab.training import store
from melodylab.training.loop_batches import LoopBatches, Loops
from melodylab.training.song_batches import Bank, SongBatches
from melodylab.training.store import Store, fingerprint

BANK = {"seed": 3, "seconds": 3.0}


def test_all_that_is_hashed_is_there():
    store._code.cache_clear()
    assert len(store._code()) == 64
    assert all(fingerprint(end, BANK).startswith(end.name) for end in FRONT_ENDS.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sf", "cqt", "drum-mel"])
def test_another_process_finds_the_same_features(name):
    program = (
        "from melodylab.training.store import fingerprint\n"
        "from melodylab.models.inputs import FRONT_ENDS\n"
        f"print(fingerprint(FRONT_ENDS[{name!r}], {BANK!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fingerprint(FRONT_ENDS[name], BANK)


def test_a_changed_setting_has_other_features(monkeypatch, tmp_path):
    end = FRONT_ENDS["spectra"]
    finer = dataclasses.replace(end.grid, n_bins=end.grid.n_bins + 1)
    keys = [
        fingerprint(end, BANK),
        fingerprint(end, {**BANK, "seed": 4}),
        fingerprint(dataclasses.replace(end, hop_samples=256), BANK),
        fingerprint(dataclasses.replace(end, sr=16000), BANK),
        fingerprint(dataclasses.replace(end, grid=finer), BANK),
        fingerprint(FRONT_ENDS["mel"], BANK),
    ]
    with monkeypatch.context() as changed:
        changed.setattr(store, "__version__", "9.9")
        keys.append(fingerprint(end, BANK))
    with monkeypatch.context() as changed:
        other = dataclasses.replace(sfnmf.PUBLISHED, hop_samples=512)
        changed.setattr(store.sfnmf, "PUBLISHED", other)
        keys.append(fingerprint(end, BANK))
    with monkeypatch.context() as changed:
        changed.setattr(store.importlib.metadata, "version", lambda name: "9.9")
        keys.append(fingerprint(end, BANK))
    with monkeypatch.context() as changed:  # another line anywhere in a front end's source
        changed.setattr(store, "_code", lambda: "another")
        keys.append(fingerprint(end, BANK))
    assert len(set(keys)) == len(keys) and fingerprint(end, BANK) == keys[0]


def test_the_code_is_that_of_songs_and_front_ends(monkeypatch, tmp_path):
    first = store._code()
    for name in store._SOURCES:
        monkeypatch.setattr(store, "_SOURCES", tuple(n for n in store._SOURCES if n != name))
        store._code.cache_clear()
        assert store._code() != first, f"{name} counts"
        monkeypatch.undo()
    store._code.cache_clear()


def counting(calls):
    def compute(key):
        calls.append(key)
        return np.arange(4) + key[0], np.full(3, key[-1], np.float32)

    return compute


def test_what_was_computed_is_read_and_what_is_damaged_is_made_anew(tmp_path):
    calls, key = [], (2, 1)
    whole = Store(counting(calls), tmp_path)[key]
    path = Store(None, tmp_path).path(key)
    again = Store(counting(calls), tmp_path)[key]
    assert calls == [key] and all(map(np.array_equal, whole, again))
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[data.index(b"NUMPY") + 130] ^= 1  # one bit of the numbers
    other = tmp_path / "other.npz"
    np.savez(other, features=np.zeros(3))
    damages = [b"", data[:100], data[:-30], b"half", bytes(flipped), other.read_bytes()]
    for n, damaged in enumerate(damages, 2):
        path.write_bytes(damaged)
        again = Store(counting(calls), tmp_path)[key]
        assert len(calls) == n and all(map(np.array_equal, whole, again))
        assert path.read_bytes() == data


TWO = """
import sys
import numpy as np
from melodylab.training.store import Store

def compute(key):
    return np.full((200, 200), key[0], np.float32), np.arange(3)

store = Store(compute, sys.argv[1])
for n in range(60):
    features, _ = store[(n,)]
    assert (features == n).all()
"""


@pytest.mark.slow
def test_two_processes_share_a_folder(tmp_path):
    """Both write the same files at the same time; neither ever reads half of one."""
    command = [sys.executable, "-c", TWO, str(tmp_path)]
    both = [subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) for _ in range(2)]
    for one in both:
        _, told = one.communicate()
        assert one.returncode == 0, told
    assert {path.name for path in tmp_path.iterdir()} == {f"{n:06d}.npz" for n in range(60)}
    kept = Store(None, tmp_path)
    assert all((kept[(n,)][0] == n).all() for n in range(60))


def test_songs_of_one_number_go_to_one_worker_and_nothing_is_made_twice(tmp_path, monkeypatch):
    groups, original = [], store._computed

    def watch(compute, group):
        groups.append(group)
        return original(compute, group)

    monkeypatch.setattr(store, "_computed", watch)
    calls, keys = [], [(n, mix) for n in range(2) for mix in range(2)]
    ours = Store(counting(calls), tmp_path)
    assert ours[0, 1] and (0, 1) in ours and (0, 0) not in ours
    ours.prepare(keys, n_jobs=1)
    assert groups == [[(0, 0)], [(1, 0), (1, 1)]] and len(calls) == 4
    Store(counting(calls), tmp_path).prepare(keys, n_jobs=1)
    assert len(calls) == 4 and len(groups) == 2


def test_the_bank_is_in_the_key_and_its_size_is_not(tmp_path):
    folders = {
        SongBatches("cqt", Bank(seed=seed, songs=songs), cache=tmp_path).store.folder
        for seed in (1, 2)
        for songs in (3, 4)
    }
    assert len(folders) == 2
    folders = {
        LoopBatches(Loops(loops=loops), bands=bands, cache=tmp_path).store.folder
        for bands in (64, 128)
        for loops in (3, 4)
    }
    assert len(folders) == 2

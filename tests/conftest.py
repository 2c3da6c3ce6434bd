"""What the tests share: development data beside the checkout, no network, no silent skips.

Set MELODYLAB_NO_SKIP=1 to turn every skipped test into a failure: none can vanish unseen.
"""

import getpass
import ipaddress
import os
import shutil
import socket
import tempfile
from pathlib import Path

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # tests share the cores already; NumPy and torch read it when they are imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Two processes that compile one function of librosa for two types at once can leave the code of
    # one under the name of the other in numba's cache, and pYIN then crashes or never ends.
    cache = f"melodylab-numba-{getpass.getuser()}-{worker}"
    os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(tempfile.gettempdir(), cache))

import numpy as np
import pytest
from needed_cells import needed

OTHER_NETWORKS = ("unet", "unet-mel", "drum-cnn")  # which find no melody
SMALL = {
    "drum-cnn": {"reading": "R5"},
    "unet-mel": {"channels": [4, 8]},
}  # 31 million parameters would cost minutes
ANSWERS = {"exercise", "solution"}  # tags of cells that differ in the notebooks with solutions
SHARED = Path(__file__).resolve().parents[2] / "shared"

# before anything imports matplotlib or librosa; kernels and commands that tests start inherit both
os.environ["MPLBACKEND"] = "Agg"
if (SHARED / "data" / "librosa").is_dir():
    os.environ.setdefault("LIBROSA_DATA_DIR", str(SHARED / "data" / "librosa"))


def _folder_or_skip(path):
    if not path.is_dir():
        pytest.skip(f"no development data at {path}")
    return path


@pytest.fixture
def rng():
    """A generator with a fixed seed, fresh for each test."""
    return np.random.default_rng(0)


@pytest.fixture
def ax():
    """Axes of a figure that pyplot does not know and that really draws."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


@pytest.fixture
def no_show(monkeypatch):
    """A test that shows a figure fails; afterwards none is open."""
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a plot function called show"))
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def dev_data():
    """Folder with musicdelta/, drumloops/ and librosa/."""
    return _folder_or_skip(SHARED / "data")


@pytest.fixture(scope="session")
def dev_songs():
    """Folder with seven real songs, one folder each."""
    return _folder_or_skip(SHARED / "data" / "musicdelta")


@pytest.fixture(scope="session")
def reference_dir():
    """Folder with outputs of the published programs."""
    return _folder_or_skip(SHARED / "reference")


@pytest.fixture(scope="session")
def demo():
    """Six seconds of the demo song with stems and truth; read-only, so all tests may share it."""
    from melodylab import synth

    return synth.demo_song(seed=0, seconds=6)


@pytest.fixture(scope="session")
def _random_pairs(tmp_path_factory):
    """Weights of every network, as torch's seed 0 gives them."""
    import torch

    from melodylab import models, weights

    folder = tmp_path_factory.mktemp("random_pairs")
    for name, declared in models.NETWORKS.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = models.create_model(name, **SMALL.get(name, {}))
        weights.save(
            model,
            dict.fromkeys(weights.TOLD) | {"front_end": declared.front_end, "decoding": {}},
            folder,
            name,
        )
    return folder


@pytest.fixture
def random_weights(_random_pairs, tmp_path_factory, monkeypatch):
    """Random weights of every network in place of the shipped ones, to be damaged at will."""
    from melodylab import api, weights

    folder = shutil.copytree(_random_pairs, tmp_path_factory.mktemp("weights"), dirs_exist_ok=True)
    monkeypatch.setattr(weights, "FOLDER", folder)
    api._trained.cache_clear()
    yield folder
    api._trained.cache_clear()


class NetworkRefused(ConnectionError):
    """Raised in place of a connection; a ConnectionError, as code meets it offline."""


def _is_local(address):
    if not isinstance(address, tuple):  # a path: Unix sockets stay on the machine
        return True
    host = str(address[0]).split("%")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


@pytest.fixture(scope="session", autouse=True)
def _no_network():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            original = getattr(socket.socket, name)

            def guarded(self, address, original=original):
                if not _is_local(address):
                    raise NetworkRefused(f"tests stay offline: connection to {address} refused")
                return original(self, address)

            patch.setattr(socket.socket, name, guarded)
        yield


def _skip_is_failure(report):
    if (
        os.environ.get("MELODYLAB_NO_SKIP") == "1"
        and report.skipped
        and not hasattr(report, "wasxfail")
    ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = (
            "failed",
            f"MELODYLAB_NO_SKIP=1 and this was skipped: {reason}",
        )
    return report


def pytest_collection_modifyitems(items, config):
    """By default notebooks run as a reader opens them; with `-m slow` the cells of the solutions
    and those that they need, for all others are a reader's, too.
    """
    solved = {}
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.parent.name == "solutions":
            item.add_marker(pytest.mark.slow)
            solved.setdefault(item.path, []).append(item)
    others = set()
    for cells in solved.values():
        answers = [n for n, item in enumerate(cells) if ANSWERS & set(_tags(item))]
        kept = needed([item.cell.source for item in cells], answers)
        others |= {item for n, item in enumerate(cells) if n not in kept}
    if others and "slow" in config.option.markexpr:
        config.hook.pytest_deselected(items=list(others))
        items[:] = [item for item in items if item not in others]


def _tags(item):
    return item.cell.metadata.get("tags", [])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _skip_is_failure((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _skip_is_failure((yield))


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `melodylab ...` in an empty folder; it must end with a status, not an exception."""
    from click.testing import CliRunner

    from melodylab import cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return run


@pytest.fixture
def quick(monkeypatch):
    """Methods that need no time: a melody of 220 Hz, and half of the song for each stem."""
    from melodylab import api
    from melodylab.records import DrumOnsets, DrumParts, Melody

    def extract_melody(song, method="best", threshold=None, heard=None):
        return Melody(
            np.arange(3) * 0.01, np.array([220.0, 220.0, np.nan]), np.array([1.0, 0.0, 0.0])
        )

    monkeypatch.setattr(api, "extract_melody", extract_melody)
    halves = ("melody", "accompaniment")
    monkeypatch.setattr(
        api,
        "separate_pieces",
        lambda song, method="best": iter([dict.fromkeys(halves, song.audio / 2)]),
    )
    onsets = DrumOnsets([0.01, 0.02], ("kick", "snare"), [1.0, 0.5])

    def separate_drums(song, method="drum-cnn", threshold=None):
        stems = dict.fromkeys(api.DRUM_CLASSES, song.audio / 5)
        return DrumParts(
            stems,
            onsets,
            np.zeros((2, 1)),
            np.zeros((1, 3)),
            np.arange(2.0),
            np.arange(3.0),
            ("kick",),
        )

    monkeypatch.setattr(api, "separate_drums", separate_drums)


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory):
    """Folder with `features` that all runs share and `songs` to validate on: one of 2 s."""
    import soundfile as sf

    from melodylab import synth

    folder = tmp_path_factory.mktemp("training")
    song = synth.demo_song(seed=1, seconds=6).excerpt(3, 5)
    assert 0.2 < song.melody.voiced.mean() < 0.9
    (folder / "songs" / "demo").mkdir(parents=True)
    sf.write(folder / "songs" / "demo" / "mix.wav", song.audio.T, song.sr, subtype="FLOAT")
    song.melody.to_csv(folder / "songs" / "demo" / "melody.csv")
    return folder


@pytest.fixture
def fit(training_folder):
    """`training.fit` on the CPU with what `training_folder` holds."""
    from melodylab import training

    def fit(plan, **options):
        defaults = {
            "features": training_folder / "features",
            "validate": training_folder / "songs",
            "device": "cpu",
        }
        return training.fit(plan, **defaults | options)

    return fit

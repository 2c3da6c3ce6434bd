"""The house: a module imports only from lower floors, and each library lives where the plan says.
Read from the source.
"""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import melodylab

PACKAGE = Path(melodylab.__file__).parent

FLOORS = [  # from the ground up; a name may be a module or a whole room
    "errors progress dsp.stretches",
    "files dsp.grids dsp.levels dsp.mixing dsp.nmf dsp.pulse io.tables io.columns io.segments",
    "io.midi io.csv",
    "records dsp.stft io.decoding",
    "io.audio",
    "io.songs",
    "synth dsp.cfp dsp.constant_q",
    "io.folders io.corpora dsp.features",
    "sfnmf melody.decode melody.pyin melody.ranges drums.steps",
    "models",
    "weights explain separation drums",
    "methods",
    "api",
    "evaluate sonify plot",
    "training",
    "course cli",
]
FLOOR = {place: number for number, places in enumerate(FLOORS) for place in places.split()}
ROOFS = {
    name.split(".")[0] for name in FLOOR if "." in name
}  # rooms whose modules stand on floors of their own

# library -> the rooms or modules that may import it; the standard library and NumPy are free
LIBRARIES = {
    "IPython": "sonify course.panel course.panels",
    "PIL": "course.panel",
    "captum": "explain.attribution",
    "click": "cli",
    "distributed": "evaluate.tables",
    "ipywidgets": "course.panel course.panels",
    "joblib": "evaluate.tables training",
    "lazy_loader": "io dsp melody course",
    "librosa": "dsp.stft dsp.features dsp.constant_q melody.decode melody.pyin io.songs",
    "lightning": "training",
    "matplotlib": "plot course.cards course.panel course.panels",
    "mir_eval": "evaluate",
    "nbformat": "cli.lab",
    "pretty_midi": "io.midi",
    "pydantic": "training",
    "safetensors": "weights",
    "scipy": "synth dsp sfnmf melody.decode melody.ranges separation drums evaluate",
    "soundfile": "io.decoding io.audio sonify",
    "soxr": "dsp.stft",
    "tabulate": "evaluate.tables",
    "tomli_w": "training",
    "torch": "sfnmf models weights explain training",
    "traitlets": "course.panels",
    "tqdm": "evaluate.tables training cli",
}


def place_of(name, places):
    """The longest of `places` that `name` stands in: "io.csv" in "io"; None if it stands in
    none.
    """
    parts = name.split(".")
    ways = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((way for way in ways if way in places), None)


def module_files():
    """{dotted name below the package: file}, the package's own __init__ left out."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name and parts[-1] != "__main__":  # runs when it is imported
            names[name] = path
    return names


def imports(source, name, is_package=False):
    """Absolute names of everything imported anywhere in `source`, the source of melodylab.`name`;
    functions included.

    `from a import b` gives "a.b": b may be a module.
    """
    parent = ["melodylab", *name.split(".")]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = parent[: len(parent) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def floor_faults(source, name, is_package=False):
    """What in this source breaks the plan, one string each."""
    room = name.split(".")[0]
    faults = []
    for imported in imports(source, name, is_package):
        library, _, rest = imported.partition(".")
        if library == "melodylab":
            mine, other = place_of(name, FLOOR), place_of(rest, FLOOR)
            if rest == "__version__" or rest.split(".")[0] == room:
                continue  # a room's modules may ask each other
            if other is None:
                faults.append(f"{name} imports {imported}: take it from its own module")
            elif mine is None or FLOOR[other] >= FLOOR[mine]:
                faults.append(f"{name} imports {other} from the same floor or above")
        elif library in sys.stdlib_module_names | {"numpy"}:
            continue
        elif place_of(name, LIBRARIES.get(library, "").split()) is None:
            faults.append(f"{name} imports {library}")
    return sorted(faults)


def test_the_plan_names_every_module_and_no_other():
    modules = module_files()
    assert {place_of(name, FLOOR) for name in modules if name not in ROOFS} == set(FLOOR)


@pytest.mark.slow
@pytest.mark.parametrize("name", module_files())
def test_a_module_imports_only_from_lower_floors_and_keeps_to_its_libraries(name):
    path = module_files()[name]
    assert floor_faults(path.read_text(encoding="utf-8"), name, path.name == "__init__.py") == []


@pytest.mark.parametrize(
    "source",
    [
        "import melodylab.api",
        "from melodylab import api",
        "from melodylab.api import load_song",
        "from . import api",
        "from .api import load_song",
        "def f():\n    from melodylab import api",
        "def f():\n    import melodylab.plot as p",
        "from melodylab import load_song",
        "import torch",
        "from matplotlib import pyplot",
        "if True:\n    import mir_eval.melody",
        "import requests",
    ],
)
def test_the_reader_of_imports_sees_every_kind_of_fault(source):
    assert len(floor_faults(source, "records")) == 1


def test_the_reader_of_imports_allows_what_is_allowed():
    assert (
        floor_faults(
            "import numpy as np\nfrom melodylab import files\nfrom melodylab.dsp import grids",
            "records",
        )
        == []
    )
    assert (
        floor_faults("from . import other\nfrom ..io import audio\nimport torch", "sfnmf.part")
        == []
    )
    assert floor_faults("from .. import api", "sfnmf.part") != []
    assert floor_faults("from . import other", "sfnmf", is_package=True) == []


def test_importing_the_package_loads_nothing_heavy():
    heavy = [
        "torch",
        "librosa",
        "matplotlib",
        "IPython",
        "scipy",
        "ipywidgets",
        "mir_eval",
        "pretty_midi",
        "numpy",
    ]
    code = f"import sys, melodylab; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", melodylab.__all__)
def test_every_promised_name_is_there(name):
    assert getattr(melodylab, name) is not None
    assert name in dir(melodylab)


def test_a_name_nobody_promised_is_refused():
    with pytest.raises(AttributeError, match="salience_of_nothing"):
        melodylab.salience_of_nothing  # noqa: B018


def public(module):
    """{name: object} of the functions and classes that a module defines for others."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", module_files())
def test_modules_and_their_public_parts_say_what_they_do(name):
    module = importlib.import_module(f"melodylab.{name}")
    assert module.__doc__
    silent = [part for part, thing in public(module).items() if not thing.__doc__]
    assert silent == []


@pytest.mark.parametrize("name", module_files())
def test_no_public_function_bears_a_modules_name(name):
    # else `from melodylab import x` would mean one or the other, depending on what was imported
    # before
    assert not set(public(importlib.import_module(f"melodylab.{name}"))) & {
        place.split(".")[0] for place in FLOOR
    }


def test_no_file_is_longer_than_its_reader_s_patience():
    files = [*PACKAGE.rglob("*.py"), *(Path(__file__).parent).glob("*.py")]
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > 400} == {}

"""The house: a module imports only from lower floors, and each library lives where the plan says. Read from the source."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import melodylab

PACKAGE = Path(melodylab.__file__).parent

FLOORS = [  # from the ground up; a name without a dot may be a module or a subpackage
    "files grids nmf",
    "midi",
    "records audio",
    "synth datasets features",
    "sfnmf decode steps",
    "models",
    "weights explain examples drum_examples separation drums",
    "api",
    "evaluate sonify plot",
    "tasks",
    "train",
    "widgets checks",
    "cli",
]
FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules.split()}

ROOMS = {  # library -> the modules that may import it; the standard library and NumPy are free
    "IPython": "sonify widgets",
    "PIL": "widgets",
    "captum": "explain",
    "click": "cli",
    "distributed": "evaluate",
    "ipywidgets": "widgets",
    "joblib": "features evaluate examples drum_examples",
    "librosa": "audio features decode api",
    "lightning": "train",
    "matplotlib": "plot widgets",
    "mir_eval": "evaluate",
    "nbformat": "cli",
    "pretty_midi": "midi",
    "safetensors": "weights",
    "scipy": "synth features sfnmf decode separation drums evaluate",
    "soundfile": "audio sonify",
    "soxr": "audio",
    "torch": "sfnmf models weights explain examples drum_examples tasks train",
    "traitlets": "widgets",
    "tqdm": "evaluate examples drum_examples train cli",
}


def module_files():
    """{dotted name below the package: file}, the package's own __init__ left out."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            names[name] = path
    return names


def imports(source, name, is_package=False):
    """Absolute names of everything imported anywhere in `source`, the source of melodylab.`name`; functions included.

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
            other = rest.split(".")[0]
            if other in FLOOR and other != room and FLOOR[other] >= FLOOR[room]:
                faults.append(f"{name} imports {other} from the same floor or above")
            elif other not in FLOOR and other not in ("", "__version__"):
                faults.append(f"{name} imports {imported}: take it from its own module")
        elif library not in sys.stdlib_module_names | {"numpy"} and room not in ROOMS.get(library, "").split():
            faults.append(f"{name} imports {library}")
    return sorted(faults)


def test_the_plan_names_every_module_and_no_other():
    assert {name.split(".")[0] for name in module_files()} == set(FLOOR)


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
    assert floor_faults("import os\nimport numpy as np\nfrom melodylab import files, grids\nfrom . import midi", "records") == []
    assert floor_faults("from . import other\nfrom .. import audio\nimport torch", "sfnmf.part") == []
    assert floor_faults("from .. import api", "sfnmf.part") != []
    assert floor_faults("from . import other", "sfnmf", is_package=True) == []


def test_importing_the_package_loads_nothing_heavy():
    heavy = ["torch", "librosa", "matplotlib", "IPython", "scipy", "ipywidgets", "mir_eval", "pretty_midi", "numpy"]
    code = f"import sys, melodylab; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", melodylab.__all__)
def test_every_promised_name_is_there(name):
    assert getattr(melodylab, name) is not None
    assert name in dir(melodylab)


def test_a_name_nobody_promised_is_refused():
    with pytest.raises(AttributeError, match="'melodylab' has no attribute 'salience_of_nothing'"):
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
    # else `from melodylab import x` would mean one or the other, depending on what was imported before
    assert not set(public(importlib.import_module(f"melodylab.{name}"))) & set(FLOOR)

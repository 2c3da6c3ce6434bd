"""The public face is typed and documented: every parameter annotated and named in a numpydoc
section.
"""

import importlib
import inspect

import pytest
from test_floors import module_files, public

pytestmark = pytest.mark.slow

# Functions that cannot name what they take: which arguments a network has, its own class says, and
# `create_model` refuses any other in a sentence that lists them; a panel's controls are its
# maker's.
WITH_ANY_NAME = {"create_model", "Panel.set", "Panel.draw"}


def faces(module):
    """{name: function} of a module's public functions and of its public classes' public methods."""
    found = {}
    for name, thing in public(module).items():
        if inspect.isfunction(thing):
            found[name] = thing
            continue
        for method, member in vars(thing).items():
            member = getattr(member, "__func__", member)  # what stands behind classmethod
            if method.startswith("_") or method == "forward" or inherited(thing, method):
                continue
            if inspect.isfunction(member):
                found[f"{name}.{method}"] = member
    return found


def inherited(kind, method):
    """Whether a base class of ours tells already what a method takes and gives."""
    return any(
        method in vars(base) and base.__module__.startswith("melodylab.")
        for base in kind.__mro__[1:]
    )


def parameters(function):
    """Names of a function's parameters, self and cls left out."""
    names = inspect.signature(function).parameters
    return [name for name in names if name not in ("self", "cls")]


def faults(function):
    """What a reader or a type checker misses of a function, one string each."""
    wanted, kinds = parameters(function), inspect.signature(function).parameters
    missing = [f"{n} has no annotation" for n in wanted if n not in function.__annotations__]
    if function.__qualname__ not in WITH_ANY_NAME:
        hide = [n for n in wanted if kinds[n].kind is kinds[n].VAR_KEYWORD]
        missing += [f"**{n} hides its names" for n in hide]
    if "return" not in function.__annotations__:
        missing.append("no annotation of what it returns")
    FunctionDoc = pytest.importorskip("numpydoc.docscrape", reason="the extra slow").FunctionDoc
    told = FunctionDoc(function)["Parameters"] + FunctionDoc(function)["Other Parameters"]
    named = {name.strip().lstrip("*") for entry in told for name in entry.name.split(",")}
    return missing + [f"{n} is not in Parameters" for n in wanted if n not in named]


@pytest.mark.parametrize("name", module_files())
def test_every_parameter_is_annotated_and_documented(name):
    module = importlib.import_module(f"melodylab.{name}")
    found = {part: faults(function) for part, function in faces(module).items()}
    assert {part: what for part, what in found.items() if what} == {}


def test_a_bare_function_is_found():
    def bare(x, *, depth_hz=1.0, **options):
        """Nothing said."""

    def told(x: float) -> float:
        """Twice.

        Parameters
        ----------
        x : float
            A number.
        """
        return 2 * x

    assert len(faults(bare)) == 8 and faults(told) == []

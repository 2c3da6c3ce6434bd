"""The recipe of a training: a TOML file, read strictly."""

import dataclasses
import difflib
import json
import math
import tomllib
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from melodylab import models
from melodylab.errors import InputError, missing_package
from melodylab.training import objectives, shipped
from melodylab.training.song_batches import Bank


def _number(default, low, high=math.inf):
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class Training:
    """How to train: table [training] of a recipe.

    Parameters
    ----------
    steps : int
        How many batches.
    batch_size : int
        Excerpts a batch.
    frames : int
        Length of an excerpt, in frames of the network's input.
    learning_rate : float
        Of the optimizer, at its highest.
    schedule : str
        Of the learning rate: "cosine" (down to zero), "constant", or "plateau" (a tenth whenever
        more than `plateau_patience` validations have brought no better score).
    plateau_patience : int
        For the schedule plateau.
    warmup_steps : int
        While the learning rate rises from zero; not with plateau.
    weight_decay : float
        Decoupled, as in AdamW.
    clip_norm : float
        Of the gradient; 0 = off.
    seed : int
        Of the first weights and of the batches.
    precision : str
        "32-true" or "bf16-mixed".
    average : float
        Decay of the exponential average of the weights; 0 = off.
    validate_every : int
        So many steps.
    patience : int
        Stop after so many validations without a better score; 0 = never.
    shift_semitones : float
        Excerpts move up or down by up to so much.
    stretch : float
        And are up to so much faster or slower (0.2: by a fifth).
    equaliser_db : float
        Spread of a random equaliser, where lead and rest are mixed afresh, and for drums.
    ambience : float
        Share of the excerpts with noise and reverberation, there.
    without_lead : float
        Share of the excerpts without melody, for masks.
    optimizer : str
        "adamw", or "sgd" with a momentum of 0.9.
    regularise : bool
        Add the model's own penalty to the loss.
    start_from : str
        Name or path of weights to begin with; what fits in name and shape is copied, and the new
        card tells their history.
    """

    steps: int = _number(4000, 1)
    batch_size: int = _number(16, 1)
    frames: int = _number(500, 1)
    learning_rate: float = _number(1e-3, 1e-12)
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    plateau_patience: int = _number(10, 0)
    warmup_steps: int = _number(0, 0)
    weight_decay: float = _number(0.0, 0)
    clip_norm: float = _number(1.0, 0)
    seed: int = _number(0, 0, 2**31 - 1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    average: float = _number(0.0, 0, 0.999999)
    validate_every: int = _number(200, 1)
    patience: int = _number(0, 0)
    shift_semitones: float = _number(3.0, 0, 24)
    stretch: float = _number(0.2, 0, 1)
    equaliser_db: float = _number(0.0, 0, 24)
    ambience: float = _number(0.0, 0, 1)
    without_lead: float = _number(0.12, 0, 1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    regularise: bool = False
    start_from: str = ""

    def __post_init__(self):
        for key in dataclasses.fields(self):
            value = getattr(self, key.name)
            low, high = key.metadata.get("range", (None, None))
            if low is not None and not (low <= value <= high and math.isfinite(value)):
                raise InputError(f"{key.name} is {value} and must be {_limits(low, high)}")
            choices = typing.get_args(key.type)
            if choices and value not in choices:
                raise InputError(f"{key.name} is {value!r}; choose {_one_of(choices)}")
        if self.warmup_steps and self.schedule == "plateau":
            raise InputError(
                "warmup_steps does not go with the schedule plateau; set it to 0 or choose cosine "
                "or constant"
            )


def _limits(low, high):
    return f"at least {low}" if high == math.inf else f"between {low} and {high}"


def _one_of(choices):
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


@dataclass(frozen=True)
class Recipe:
    """What to train on what, and how. `from_dict` and `read` make one.

    Parameters
    ----------
    model : str
        The network's name.
    changes : dict
        Further keys of [model]: arguments of `models.create_model`, such as across_patches.
    data : Bank or Loops
        What it learns from.
    training : Training
        How it learns.
    """

    model: str
    changes: dict = field(default_factory=dict)
    data: Any = field(default_factory=Bank)
    training: Training = field(default_factory=Training)

    @classmethod
    def read(cls, path: str | Path) -> "Recipe":
        """A recipe from a TOML file.

        Parameters
        ----------
        path : path
            Of the file, or the name of a recipe that comes with melodylab (`shipped.names`).

        Returns
        -------
        Recipe

        Raises
        ------
        InputError
            Naming the key, for whatever cannot be used.
        """
        place = shipped.path(path) if path in shipped.names() else path
        try:
            tables = tomllib.loads(Path(place).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            known = shipped.nearest(str(path))
            raise InputError(
                f"cannot read the recipe {path} ({error}); give a TOML file{known}"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"the recipe {path} is no valid TOML ({error}); mend that line"
            ) from None
        return cls.from_dict(tables, str(path))

    @classmethod
    def from_dict(cls, tables: dict, source: str = "the recipe") -> "Recipe":
        """A recipe from its tables.

        Parameters
        ----------
        tables : dict
            {"model": {"name": ...}, "data": {...}, "training": {...}}; only the name has no
            default.
        source : str
            What errors call it.

        Returns
        -------
        Recipe

        Raises
        ------
        InputError
            Naming the key, for whatever cannot be used.
        """
        _refuse_unknown(tables, ("model", "data", "training"), f"{source} has no table")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise InputError(
                    f"{source}: {name} must be a table; write [{name}] and its keys below"
                )
        changes = dict(tables.get("model", {}))
        name = changes.pop("name", None)
        if not isinstance(name, str) or name not in models.NETWORKS:
            wrong = "names no network" if name is None else f"name is {name!r}"
            raise InputError(f"{source}, [model] {wrong}; choose from {', '.join(models.NETWORKS)}")
        try:
            with torch.random.fork_rng(devices=[]):
                model = models.create_model(name, **changes)
        except InputError as error:
            raise InputError(f"{source}, [model]: {error}") from None
        except Exception as error:  # whatever the network makes of a wrong value
            raise InputError(
                f"{source}, [model]: {name} cannot be built so ({type(error).__name__}: {error})"
            ) from None
        training = _from_table(Training, tables.get("training", {}), source, "training")
        if training.regularise and not model.regularises:
            raise InputError(
                f"{source}, [training]: {name} has no penalty of its own; leave out regularise"
            )
        bank = objectives.of(model).bank
        data = _from_table(bank, tables.get("data", {}), source, "data")
        return cls(name, changes, data, training)

    @property
    def front_end(self) -> str:
        """Name of the network's front end."""
        return models.NETWORKS[self.model].front_end

    def create_model(self) -> torch.nn.Module:
        """The network, untrained.

        Returns
        -------
        torch.nn.Module
            What `models.create_model` gives.
        """
        return models.create_model(self.model, **self.changes)

    def as_dict(self) -> dict:
        """Its tables.

        Returns
        -------
        dict
            As `from_dict` takes it, complete with the defaults.
        """
        tables = {
            "data": dataclasses.asdict(self.data),
            "training": dataclasses.asdict(self.training),
        }
        tables = {"model": {"name": self.model, **self.changes}, **tables}
        return json.loads(json.dumps(tables))  # lists in place of tuples

    def as_toml(self) -> str:
        """The same as TOML.

        Returns
        -------
        str
            Text that `read` reads.
        """
        try:
            import tomli_w
        except ImportError:
            raise missing_package("writing a recipe", "tomli-w", "lab") from None
        return tomli_w.dumps(self.as_dict())


def fields_told(kind: type) -> Iterator[tuple[str, str]]:
    """What the keys of a recipe's table mean, for a help page.

    Parameters
    ----------
    kind : type
        Training, Bank, Loops or synth.Ingredients.

    Yields
    ------
    name, meaning : str
        The meaning as its docstring tells it, with range and default: "... [at least 1; 4000]".
    """
    lines = (kind.__doc__ or "").splitlines()
    at = {line.split(" : ")[0].strip(): n for n, line in enumerate(lines) if " : " in line}
    for key in dataclasses.fields(kind):
        if dataclasses.is_dataclass(key.type):
            continue  # a table of its own
        wanted = "true or false" if key.type is bool else ""
        if "range" in key.metadata:
            wanted = _limits(*key.metadata["range"])
        meaning = []
        for line in lines[at[key.name] + 1 :] if key.name in at else []:
            if not line.startswith("        "):
                break
            meaning.append(line.strip())
        limits = "; ".join(filter(None, [wanted, json.dumps(key.default)]))
        yield key.name, f"{' '.join(meaning)} [{limits}]".strip()


def _from_table(kind, table, source, name):
    """A dataclass from a table of a recipe, types checked strictly; nested tables likewise."""
    try:
        import pydantic
    except ImportError:
        raise missing_package("reading a recipe", "pydantic", "lab") from None
    _refuse_unknown_keys(kind, table, source, name)
    try:
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(table, default=str), strict=True)
    except pydantic.ValidationError as error:
        raise InputError(_sentence(error.errors()[0], kind, source, name)) from None


_WANTED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text in quotes",
}


def _sentence(fault, kind, source, name):
    """What pydantic found, in our words."""
    value, where = fault["input"], [name, *map(str, fault["loc"])]
    if fault["type"] == "value_error":  # a dataclass's own sentence
        return f"{source}, [{'.'.join(where)}]: {fault['ctx']['error']}"
    *tables, key = where
    for part in fault["loc"]:
        kind = _types(kind)[part]
    start, choices = f"{source}, [{'.'.join(tables)}]: {key} is", typing.get_args(kind)
    if choices and isinstance(value, str):
        return f"{start} {value!r}; choose {_one_of(choices)}"
    table = f"a table; write [{'.'.join(where)}] and its keys below"
    wanted = _WANTED.get(str if choices else kind, table)
    return f"{start} {json.dumps(value, default=str)} and must be {wanted}"


def _types(kind):
    return {key.name: key.type for key in dataclasses.fields(kind)}


def _refuse_unknown_keys(kind, table, source, name):
    types = _types(kind)
    _refuse_unknown(table, types, f"{source}, [{name}]: there is no key")
    for key, value in table.items():
        if dataclasses.is_dataclass(types[key]) and isinstance(value, dict):
            _refuse_unknown_keys(types[key], value, source, f"{name}.{key}")


def _refuse_unknown(table, known, what):
    for name in table:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
            raise InputError(f"{what} {name!r}; did you mean {nearest}?")


def flat(table: dict, path: str = "") -> dict:
    """Nested tables as one.

    Parameters
    ----------
    table : dict
        Tables may stand in tables, to any depth.
    path : str
        What every key begins with.

    Returns
    -------
    dict
        {dotted key: value}.
    """
    found = {}
    for name, value in table.items():
        found |= flat(value, f"{path}{name}.") if isinstance(value, dict) else {path + name: value}
    return found

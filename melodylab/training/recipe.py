"""The recipe of a training: a TOML file, read strictly."""

import dataclasses
import difflib
import json
import math
import tomllib
from dataclasses import dataclass, field

import torch

from melodylab import models
from melodylab.errors import InputError
from melodylab.training import examples, tasks

# --- recipe ---------------------------------------------------------------------------------------


def _number(default, low, high=math.inf):
    return field(default=default, metadata={"range": (low, high)})


def _choice(*names):
    return field(default=names[0], metadata={"choices": names})


@dataclass(frozen=True)
class Training:
    """Table [training] of a recipe.

    steps, batch_size, frames: how many steps of how many sequences of how many frames.
    schedule: "constant", "cosine" (down to zero) or "plateau" (a tenth of the rate whenever more than `plateau_patience`
    validations have brought no better score). warmup_steps: rising from zero; not with "plateau".
    weight_decay: decoupled (AdamW). clip_norm: of the gradient; 0 = off. precision: "32-true" or "bf16-mixed".
    average: decay of the exponential average of the weights; 0 = off. validate_every: in steps. patience: stop after so many
    validations without a better score; 0 = never. shift_semitones: examples move up or down by up to so much.
    stretch: and are up to so much faster or slower. equaliser_db, ambience: as in `examples.Examples`; without_lead likewise,
    for masks. optimizer: "adamw", or "sgd" with a momentum of 0.9.
    regularise: add the model's own penalty to the loss. start_from: name or path of weights to begin with; what fits in name
    and shape is copied, and the new card tells their history.
    """

    steps: int = _number(4000, 1)
    batch_size: int = _number(16, 1)
    frames: int = _number(500, 1)
    learning_rate: float = _number(1e-3, 1e-12)
    schedule: str = _choice("cosine", "constant", "plateau")
    plateau_patience: int = _number(10, 0)
    warmup_steps: int = _number(0, 0)
    weight_decay: float = _number(0.0, 0)
    clip_norm: float = _number(1.0, 0)
    seed: int = _number(0, 0, 2**31 - 1)
    precision: str = _choice("32-true", "bf16-mixed")
    average: float = _number(0.0, 0, 0.999999)
    validate_every: int = _number(200, 1)
    patience: int = _number(0, 0)
    shift_semitones: float = _number(3.0, 0, 24)
    stretch: float = _number(0.2, 0, 1)
    equaliser_db: float = _number(0.0, 0, 24)
    ambience: float = _number(0.0, 0, 1)
    without_lead: float = _number(0.12, 0, 1)
    optimizer: str = _choice("adamw", "sgd")
    regularise: bool = False
    start_from: str = ""

    def __post_init__(self):
        for key in dataclasses.fields(self):
            value = getattr(self, key.name)
            low, high = key.metadata.get("range", (None, None))
            if low is not None and not (low <= value <= high and math.isfinite(value)):
                limits = f"at least {low}" if high == math.inf else f"between {low} and {high}"
                raise InputError(f"{key.name} is {value} and must be {limits}")
            choices = key.metadata.get("choices", (value,))
            if value not in choices:
                raise InputError(
                    f"{key.name} is {value!r}; choose {', '.join(choices[:-1])} or {choices[-1]}"
                )
        if self.warmup_steps and self.schedule == "plateau":
            raise InputError(
                "warmup_steps does not go with the schedule plateau; set it to 0 or choose cosine or constant"
            )


@dataclass(frozen=True)
class Recipe:
    """What to train on what, and how. `from_dict(...)` and `read(path)` make one.

    model: the network's name. changes: further keys of [model], arguments of `models.create_model`, such as across_patches.
    """

    model: str
    changes: dict = field(default_factory=dict)
    data: examples.Bank = field(default_factory=examples.Bank)
    training: Training = field(default_factory=Training)

    @classmethod
    def read(cls, path):
        """From a TOML file. Raises InputError, naming the key, for whatever cannot be used."""
        try:
            with open(path, "rb") as source:
                tables = tomllib.load(source)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the recipe {path} ({error}); give a TOML file") from None
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"the recipe {path} is no valid TOML ({error}); mend that line"
            ) from None
        return cls.from_dict(tables, str(path))

    @classmethod
    def from_dict(cls, tables, source="the recipe"):
        """From {"model": {"name": ...}, "data": {...}, "training": {...}}; only the name has no default."""
        _refuse_unknown(tables, ("model", "data", "training"), f"{source} has no table")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise InputError(
                    f"{source}: {name} must be a table; write [{name}] and its keys below"
                )
        changes = dict(tables.get("model", {}))
        name = changes.pop("name", None)
        if name not in models.NETWORKS:
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
        training = _from_table(Training, tables.get("training", {}), f"{source}, [training]")
        if training.regularise and not model.regularises:
            raise InputError(
                f"{source}, [training]: {name} has no penalty of its own; leave out regularise"
            )
        return cls(
            name,
            changes,
            _from_table(tasks.of(model).bank, tables.get("data", {}), f"{source}, [data]"),
            training,
        )

    @property
    def front_end(self):
        return models.NETWORKS[self.model].front_end

    def create_model(self):
        return models.create_model(self.model, **self.changes)

    def as_dict(self):
        """Nested dict as `from_dict` takes it, complete with the defaults."""
        tables = {
            "data": dataclasses.asdict(self.data),
            "training": dataclasses.asdict(self.training),
        }
        tables = {"model": {"name": self.model, **self.changes}, **tables}
        return json.loads(json.dumps(tables))  # lists in place of tuples

    def as_toml(self):
        """The same as TOML text."""
        return "\n".join(_toml_lines(self.as_dict())).lstrip() + "\n"


def _from_table(kind, table, where):
    """A dataclass from a table of a recipe; each value must have the type of its default."""
    known = {key.name: key for key in dataclasses.fields(kind)}
    _refuse_unknown(table, known, f"{where}: there is no key")
    values = {}
    for name, value in table.items():
        default = known[name].default
        if default is dataclasses.MISSING:
            default = known[name].default_factory()
        if dataclasses.is_dataclass(default) and isinstance(value, dict):
            values[name] = _from_table(type(default), value, f"{where[:-1]}.{name}]")
            continue
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        elif isinstance(default, tuple) and type(value) is list:
            value = tuple(value)
        if type(value) is not type(default):
            names = {
                int: "a whole number",
                float: "a number",
                bool: "true or false",
                str: "text in quotes",
                tuple: "a list",
            }
            wanted = names.get(
                type(default),
                f"a table; write [{where.split('[')[1][:-1]}.{name}] and its keys below",
            )
            raise InputError(
                f"{where}: {name} is {json.dumps(value, default=str)} and must be {wanted}"
            )
        values[name] = value
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _refuse_unknown(table, known, what):
    for name in table:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
            raise InputError(f"{what} {name!r}; did you mean {nearest}?")


def _toml_lines(table, path=()):
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    if plain:
        yield from ["", f"[{'.'.join(path)}]"]
    for name, value in plain.items():
        yield f"{name} = {json.dumps(value)}"
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _toml_lines(value, (*path, name))


def _flat(table, path=""):
    """{dotted key: value} of nested tables."""
    flat = {}
    for name, value in table.items():
        flat |= _flat(value, f"{path}{name}.") if isinstance(value, dict) else {path + name: value}
    return flat

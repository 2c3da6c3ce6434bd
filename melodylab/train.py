"""Training a network on synthetic songs: a recipe in, weights with their card out. Lightning runs the loop, `tasks` says what is learned.

    OUT/recipe.toml                  the recipe, complete with its defaults
    OUT/log.csv                      one row a validation
    OUT/checkpoints/best.ckpt        the best validation so far
    OUT/checkpoints/last.ckpt        everything that `resume` needs
    OUT/features/                    the front end's features of the training songs, unless another place is named
    OUT/NAME.safetensors, NAME.json  weights and card of the best validation, at the end

Conventions
- Examples are indexed by (seed, step), and whatever draws at random inside a step is seeded by its number, so a run that was
  killed and resumed goes through the same steps to the same weights. Same seed, same machine: the same bits.
- With an average, that of the weights is what is validated and kept. Batch norm's statistics are measured for it each time.
- Each validation gives the figures of its task; the checkpoint with the most of the task's score wins. For melodies that is the
  best mean OA at the one constant for the voicing (`unvoiced_gain`, or `threshold` for networks without a class "no melody") that
  would have suited all validation songs best.
- Several devices: each takes its own examples of a step, so a step sees `batch_size` times as many.
"""

import contextlib
import copy
import csv
import dataclasses
import difflib
import functools
import importlib.metadata
import io
import json
import logging
import math
import os
import platform
import signal
import tempfile
import time
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from melodylab import __version__, datasets, evaluate, examples, files, models, tasks, weights
from melodylab.files import InputError

try:
    import lightning.pytorch as pl
    from lightning.fabric.utilities.warnings import PossibleUserWarning
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from lightning.pytorch.plugins.io import TorchCheckpointIO
except ImportError:
    raise InputError('training needs the package lightning; run: pip install "melodylab[lab]"') from None

_SONGS_FOR_ONE = 16  # more than these are worth the start of worker processes
_MEASURED_STEPS = 10  # whose examples give the running statistics that are validated and kept
_Norm = torch.nn.modules.batchnorm._BatchNorm
_HISTORY = ("model", "sha256", "recipe", "started_from", "steps", "steps_trained", "wall_time_s")  # of weights begun with


# --- recipe -----------------------------------------------------------------------------------------------------------


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
                raise InputError(f"{key.name} is {value!r}; choose {', '.join(choices[:-1])} or {choices[-1]}")
        if self.warmup_steps and self.schedule == "plateau":
            raise InputError("warmup_steps does not go with the schedule plateau; set it to 0 or choose cosine or constant")


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
            raise InputError(f"the recipe {path} is no valid TOML ({error}); mend that line") from None
        return cls.from_dict(tables, str(path))

    @classmethod
    def from_dict(cls, tables, source="the recipe"):
        """From {"model": {"name": ...}, "data": {...}, "training": {...}}; only the name has no default."""
        _refuse_unknown(tables, ("model", "data", "training"), f"{source} has no table")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise InputError(f"{source}: {name} must be a table; write [{name}] and its keys below")
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
            raise InputError(f"{source}, [model]: {name} cannot be built so ({type(error).__name__}: {error})") from None
        training = _from_table(Training, tables.get("training", {}), f"{source}, [training]")
        if training.regularise and not hasattr(model, "penalty"):
            raise InputError(f"{source}, [training]: {name} has no penalty of its own; leave out regularise")
        return cls(name, changes, _from_table(tasks.of(model).bank, tables.get("data", {}), f"{source}, [data]"), training)

    @property
    def front_end(self):
        return models.NETWORKS[self.model][3]

    def create_model(self):
        return models.create_model(self.model, **self.changes)

    def as_dict(self):
        """Nested dict as `from_dict` takes it, complete with the defaults."""
        tables = {"data": dataclasses.asdict(self.data), "training": dataclasses.asdict(self.training)}
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
            names = {int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes", tuple: "a list"}
            wanted = names.get(type(default), f"a table; write [{where.split('[')[1][:-1]}.{name}] and its keys below")
            raise InputError(f"{where}: {name} is {json.dumps(value, default=str)} and must be {wanted}")
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


class _Steps(torch.utils.data.Dataset):
    """Steps first..stop-1 of the examples with the network's targets, as one of `ranks` devices sees them."""

    def __init__(self, task, source, first, stop, network, rank=0, ranks=1):
        self.task, self.source, self.network = task, source, network
        self.first, self.stop, self.rank, self.ranks = first, stop, rank, ranks

    def __len__(self):
        return self.stop - self.first

    def __getitem__(self, index):
        return self.task.batch(self.source, (self.first + index) * self.ranks + self.rank, self.network)


# --- the loop ---------------------------------------------------------------------------------------------------------


class _Lesson(pl.LightningModule):
    """A network, its average, its examples and its examiners; whatever a resumed run needs is in its checkpoint."""

    def __init__(self, network, training, source, songs, out, on_step, on_validation):
        super().__init__()
        self.task = tasks.of(network)
        self.network = network.to(memory_format=torch.channels_last)  # five times faster on CPUs
        self.averaged = copy.deepcopy(self.network).requires_grad_(False) if training.average else None
        self.training_plan, self.source, self.songs, self.out = training, source, songs, out
        self.on_step, self.on_validation = on_step, on_validation
        self.history, self.losses, self.found = [], [], []
        self.plateau, self.plateau_state = None, {}
        self.earlier_s, self.began = 0.0, time.perf_counter()

    @property
    def judged(self):
        return self.network if self.averaged is None else self.averaged

    @property
    def wall_s(self):
        return self.earlier_s + time.perf_counter() - self.began

    def configure_optimizers(self):
        plan = self.training_plan
        optimizer = {"adamw": torch.optim.AdamW, "sgd": functools.partial(torch.optim.SGD, momentum=0.9)}[plan.optimizer](
            [p for p in self.network.parameters() if p.requires_grad], lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        if plan.schedule == "plateau":
            # stepped here: Lightning would do it after the checkpoint is written, and a resumed run would miss a step
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.1, plan.plateau_patience)
            self.plateau.load_state_dict(self.plateau_state)
            return optimizer

        def factor(step):
            rise = min(1.0, (step + 1) / (plan.warmup_steps + 1))
            return rise * (0.5 + 0.5 * math.cos(math.pi * min(step / plan.steps, 1)) if plan.schedule == "cosine" else 1.0)

        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}]

    def train_dataloader(self):
        plan, trainer = self.training_plan, self.trainer
        first = trainer.current_epoch * plan.validate_every
        stop = min(first + plan.validate_every, plan.steps)
        steps = _Steps(self.task, self.source, first, stop, self.network, trainer.global_rank, trainer.world_size)
        return torch.utils.data.DataLoader(steps, batch_size=None)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(range(len(self.songs)), batch_size=None)

    def on_train_batch_start(self, batch, batch_idx):
        # by the number of the step, so that a resumed run draws what the first one would have drawn
        torch.manual_seed(self.training_plan.seed + self.global_step * self.trainer.world_size + self.global_rank)

    def training_step(self, batch, batch_idx):
        x, *truth = batch
        loss = self.task.loss(self.network, x.contiguous(memory_format=torch.channels_last), *truth)
        return loss + self.network.penalty() if self.training_plan.regularise else loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        loss, step = float(outputs["loss"]), self.global_step
        if not math.isfinite(loss):
            raise InputError(f"the loss is no number any more at step {step}; lower learning_rate or set clip_norm")
        self.losses.append(loss)
        if self.averaged is not None:
            decay = min(self.training_plan.average, (1 + step) / (10 + step))  # or the random start would linger
            for kept, new in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(new, 1 - decay)
                else:
                    kept.copy_(new)
        if self.on_step:
            self.on_step(step, loss)

    def _measure_norms(self):
        """The running statistics of batch norm anew, from the last steps' examples and the weights as they are now.

        Those that run along lag a hundred steps behind, which spoiled the wide networks: raw pitch accuracy 0.57 in place of
        0.63 after 270 steps.
        """
        norms = [module for module in self.judged.modules() if isinstance(module, _Norm)]
        modes = [(module, module.training) for module in self.judged.modules()]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
        self.judged.train()
        for step in range(max(self.global_step - _MEASURED_STEPS, 0), self.global_step if norms else 0):
            x, *_ = self.task.batch(self.source, step * self.trainer.world_size + self.global_rank, self.network)
            self.judged(x.to(self.device).contiguous(memory_format=torch.channels_last))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            for statistic in (norm.running_mean, norm.running_var):
                statistic.copy_(self.trainer.strategy.reduce(statistic, reduce_op="mean"))
        for module, training in modes:
            module.training = training

    def validation_step(self, number, batch_idx):
        if batch_idx == 0:  # here the precision is the training's
            self._measure_norms()
        self.found.append(self.task.examine(self.judged, self.songs[int(number)], self.device))

    def on_validation_epoch_end(self):
        found, self.found = self.found, []
        entry = {
            "step": self.global_step,
            "loss": float(np.mean(self.losses)),
            "learning_rate": float(self.optimizers().param_groups[0]["lr"]),
            **self.task.summary(found, self.network),
            "wall_s": round(self.wall_s, 1),
        }
        entry = self.trainer.strategy.broadcast(entry)
        self.losses = []
        self.history.append(entry)
        score = entry[self.task.score]
        self.log(self.task.score, score)
        if self.plateau is not None:
            self.plateau.step(score)
        if self.trainer.is_global_zero:
            _write_log(self.out / "log.csv", self.history)
            if self.on_validation:
                self.on_validation(entry)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["melodylab"] = {
            "history": self.history,
            "wall_s": self.wall_s,
            "plateau": self.plateau.state_dict() if self.plateau is not None else {},
            "songs": [name for name, *_ in self.songs],
        }

    def on_load_checkpoint(self, checkpoint):
        self.history, self.plateau_state = checkpoint["melodylab"]["history"], checkpoint["melodylab"]["plateau"]
        self.earlier_s, self.began = checkpoint["melodylab"]["wall_s"], time.perf_counter()


class _CompleteOrAbsent(TorchCheckpointIO):
    def save_checkpoint(self, checkpoint, path, storage_options=None):
        buffer = io.BytesIO()  # torch reports a full disk in its own words, a plain write as an OSError
        torch.save(checkpoint, buffer)
        with files.complete_or_absent(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())


class _Checkpoint(ModelCheckpoint):
    """The best or the last, in a folder that may be moved between two runs."""

    def load_state_dict(self, state):
        def here(path):
            return path and os.path.join(self.dirpath, os.path.basename(path))

        paths = {key: here(state[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        best = {here(path): score for path, score in state["best_k_models"].items()}
        super().load_state_dict({**state, **paths, "best_k_models": best, "dirpath": self.dirpath})


class _Patience(EarlyStopping):
    """A run that stopped early and is resumed has nothing left to do."""

    def on_train_start(self, trainer, pl_module):
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class _Bar(pl.Callback):
    """One bar over all steps, on standard error."""

    def __init__(self, steps):
        self.steps, self.bar = steps, None

    def on_train_start(self, trainer, lesson):
        if trainer.is_global_zero:
            self.bar = tqdm(total=self.steps, initial=trainer.global_step, unit="step")

    def on_train_batch_end(self, trainer, lesson, outputs, batch, batch_idx):
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{float(outputs['loss']):.3f}", refresh=False)
            self.bar.update()

    def teardown(self, trainer, lesson, stage):
        if self.bar is not None:
            self.bar.close()


def fit(
    recipe,
    *,
    out=None,
    validate=None,
    resume=False,
    device="auto",
    features=None,
    dask=None,
    on_step=None,
    on_validation=None,
    progress=False,
):
    """Train by a recipe (a Recipe, or a dict of its tables): (model in eval mode with the best weights, history).

    history: one dict a validation: step, mean loss since the one before, learning_rate, the figures of the task, wall_s; for
    melodies RPA, RCA, AUC of the voicing, OA as published, best_OA at the one best constant, that constant. The weights of the
    best validation are the model's.
    out: folder for what the module's header lists; None keeps nothing. resume: go on from its last checkpoint.
    validate: folder of songs with melodies and, for masks, stems (see `datasets`), list of Songs, or None for synthetic songs
    that are held out.
    device: "cpu", "gpu", "gpu:2" (two of them) or "auto". features: folder for the bank's features, which several runs may
    share. dask: address of a cluster that computes them. on_step(step, loss), on_validation(entry): called as it goes.
    Raises InputError, one sentence, for whatever is given and cannot be used, for a full disk and for a loss of NaN.
    """
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.from_dict(recipe)
    plan = recipe.training
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet_lightning())
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        accelerator, devices = _accelerator(device)
        torch.manual_seed(plan.seed)
        network = recipe.create_model().train()
        task = tasks.of(network)
        songs = _songs(validate, task)
        earlier = weights.card(plan.start_from) if plan.start_from else None
        if out is None:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            out = _open_folder(out, recipe, resume) if first_process() else Path(out)
            features = features or out / "features"
        last = out / "checkpoints" / "last.ckpt"
        last = last if resume and last.exists() else None
        _check_checkpoint(last, songs)
        if plan.start_from and last is None:
            _warm_start(network, plan.start_from)

        each_epoch = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=devices,
            precision=plan.precision,
            max_epochs=-(-plan.steps // plan.validate_every),
            gradient_clip_val=plan.clip_norm or None,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            deterministic=None if accelerator == "cpu" else "warn",
            callbacks=[
                *([_Patience(task.score, mode="max", patience=plan.patience)] if plan.patience else []),
                *([_Bar(plan.steps)] if progress else []),
                _Checkpoint(out / "checkpoints", "best", monitor=task.score, mode="max", **each_epoch),
                _Checkpoint(out / "checkpoints", "last", **each_epoch),  # knows of the best, for it comes after it
            ],
            plugins=[_CompleteOrAbsent()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=out,
        )
        source = task.source(recipe, trainer.world_size, features)
        n_jobs = -1 if recipe.data.songs > _SONGS_FOR_ONE and not dask else None
        if first_process():
            with evaluate.cluster(dask) if dask else contextlib.nullcontext():
                source.prepare(progress=progress, n_jobs=n_jobs)
                heard = task.examinees(recipe, songs, features, n_jobs)
        else:
            heard = task.examinees(recipe, songs, features)

        lesson = _Lesson(network, plan, source, heard, out, on_step, on_validation)
        _train(trainer, lesson, last)

        model = recipe.create_model()
        best = torch.load(out / "checkpoints" / "best.ckpt", map_location="cpu", weights_only=True)
        kept = best["state_dict"]
        prefix = "averaged." if plan.average else "network."
        model.load_state_dict({name[len(prefix) :]: kept[name] for name in kept if name.startswith(prefix)})
        if trainer.is_global_zero:
            scores = task.scores(model, heard, trainer.strategy.root_device)
            weights.save(model, _card(recipe, earlier, best["global_step"], lesson, scores, trainer), out, recipe.model)
    return model, lesson.history


def first_process():
    """False in the further processes that Lightning starts where there are several devices."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))


def _train(trainer, lesson, checkpoint):
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(lesson, ckpt_path=checkpoint)
    except SystemExit:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from None
    finally:
        if signal.getsignal(signal.SIGINT) is not on_interrupt:
            signal.signal(signal.SIGINT, on_interrupt)


def _accelerator(device):
    """("cpu", 1) from "cpu", ("gpu", 2) from "gpu:2"; Lightning's words."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "gpu", "auto") or (number and not (number.isdecimal() and int(number) > 0)):
        raise InputError(f"there is no device {device!r}; choose cpu, gpu, gpu:2 for two of them, or auto")
    available = torch.cuda.device_count()
    if kind == "auto":
        kind = "gpu" if available else "cpu"
    number = int(number or 1)
    if kind == "gpu" and number > available:
        raise InputError(f"there is no such GPU ({device} was asked for, {available} are here); choose cpu or auto")
    return kind, number


def _open_folder(out, recipe, resume):
    """The run's folder as a Path, with its recipe in it; refuses one in use, or a resumed run by another recipe."""
    out, ours = Path(out), Path(out) / "recipe.toml"
    if resume:
        if not ours.is_file():
            raise InputError(f"{out} holds no training to resume; leave out --resume to begin there")
        old, new = _flat(Recipe.read(ours).as_dict()), _flat(recipe.as_dict())
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                raise InputError(
                    f"{key} is {json.dumps(new.get(key))} now and was {json.dumps(old.get(key))} when {out} was begun; "
                    f"resume by {ours} or begin in another folder"
                )
    else:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"{out} is not empty; go on with its training by --resume or choose a fresh folder")
        with files.complete_or_absent(ours) as temporary:
            temporary.write_text(recipe.as_toml(), encoding="utf-8")
    return out


def _check_checkpoint(last, songs):
    if last is None:
        return
    try:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        names = checkpoint["melodylab"]["songs"]
    except Exception as error:  # torch raises whatever its readers raise
        raise InputError(f"{last} cannot be read ({type(error).__name__}); begin again in a fresh folder") from None
    if names != tasks.names(songs):
        raise InputError(f"this training was validated on other songs ({', '.join(names)}); validate on the same again")


def _warm_start(network, name):
    given = weights.load_model(name).state_dict()
    own = network.state_dict()
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    network.load_state_dict({**own, **fitting})
    fresh = [key for key in own if key not in fitting]
    if not fitting:
        raise InputError(f"no tensor of {name} fits this network; leave out start_from or choose weights of its kind")
    if fresh:
        if hasattr(network, "sort_kernels"):
            network.sort_kernels()
        warnings.warn(f"{len(fitting)} tensors start from {name}, {len(fresh)} afresh: {', '.join(fresh)}")


@contextlib.contextmanager
def _quiet_lightning():
    """Without its hints on workers and hardware; what goes wrong is still told."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty", module=r"lightning\b")
            warnings.filterwarnings("ignore", message=".*LeafSpec", module=r"lightning\b")  # its own use of torch
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# --- validation -------------------------------------------------------------------------------------------------------


def _songs(validate, task):
    """Songs with their truth to validate on; None for songs that are still to be made."""
    songs = validate
    if isinstance(validate, str | os.PathLike):
        songs = [datasets.read_song(folder, stems=task.needs_stems) for folder in datasets.song_folders(validate)]
    for song in songs or ():
        task.check(song)
    if songs is not None and not songs:
        raise InputError("there is no song to validate on; give at least one, or None for synthetic ones")
    if songs is not None and len(set(tasks.names(songs))) < len(songs):
        raise InputError(f"some songs to validate on have the same name ({', '.join(tasks.names(songs))}); rename them")
    return songs


def _card(recipe, earlier, steps, lesson, scores, trainer):
    figures, decoding = scores
    device = trainer.strategy.root_device
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() + " CPU"
    number = trainer.world_size if device.type == "cuda" else torch.get_num_threads() * trainer.world_size
    libraries = ("torch", "lightning", "numpy", "scipy", "librosa", "mir_eval")
    return {
        "model": recipe.model,
        "front_end": recipe.front_end,
        "recipe": recipe.as_dict(),
        **({"started_from": {key: earlier[key] for key in _HISTORY if key in earlier}} if earlier else {}),
        "steps": steps,
        "steps_trained": lesson.history[-1]["step"],
        "wall_time_s": round(lesson.wall_s, 1),
        "device": f"{number} x {processor}" if device.type == "cuda" else f"{processor}, {number} threads",
        "scores": _tidy({**figures, "validations": lesson.history}),
        "decoding": _tidy(decoding),
        "licence": "MIT",
        "library_versions": {
            "melodylab": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in libraries},
        },
    }


def _tidy(value):
    """Four digits are enough for a reader, and JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _tidy(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_tidy(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def line(entry, steps):
    """A validation in one line."""
    task = next(task for task in tasks.TASKS.values() if task.score in entry)
    return f"step {entry['step']} of {steps}: loss {entry['loss']:.3f}, {task.line(entry)}, {entry['wall_s'] / 60:.1f} min"


def _write_log(path, history):
    with files.complete_or_absent(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as sink:
        rows = csv.DictWriter(sink, list(history[0]), lineterminator="\n")
        rows.writeheader()
        rows.writerows({name: f"{value:.6g}" for name, value in entry.items()} for entry in history)

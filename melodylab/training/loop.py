"""The loop: Lightning's trainer, checkpoints, validation, weights with their card at the end."""

import contextlib
import copy
import csv
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
import warnings
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from melodylab import __version__, evaluate, files, weights
from melodylab.errors import InputError
from melodylab.io import folders
from melodylab.training import tasks

try:
    import lightning.pytorch as pl
    from lightning.fabric.utilities.warnings import PossibleUserWarning
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from lightning.pytorch.plugins.io import TorchCheckpointIO
except ImportError:
    raise InputError(
        'training needs the package lightning; run: pip install "melodylab[lab]"'
    ) from None
from melodylab.training.recipe import Recipe, _flat

_SONGS_FOR_ONE = 16  # more than these are worth the start of worker processes


_MEASURED_STEPS = 10  # whose examples give the running statistics that are validated and kept


_Norm = torch.nn.modules.batchnorm._BatchNorm


_HISTORY = (
    "model",
    "sha256",
    "recipe",
    "started_from",
    "steps",
    "steps_trained",
    "wall_time_s",
)  # of weights begun with


class _Steps(torch.utils.data.Dataset):
    """Steps first..stop-1 of the examples with the network's targets, as one of `ranks` devices sees them."""

    def __init__(self, task, source, first, stop, network, rank=0, ranks=1):
        self.task, self.source, self.network = task, source, network
        self.first, self.stop, self.rank, self.ranks = first, stop, rank, ranks

    def __len__(self):
        return self.stop - self.first

    def __getitem__(self, index):
        return self.task.batch(
            self.source, (self.first + index) * self.ranks + self.rank, self.network
        )


# --- the loop -------------------------------------------------------------------------------------


class _Lesson(pl.LightningModule):
    """A network, its average, its examples and its examiners; whatever a resumed run needs is in its checkpoint."""

    def __init__(self, network, training, source, songs, out, on_step, on_validation):
        super().__init__()
        self.task = tasks.of(network)
        self.network = network.to(memory_format=torch.channels_last)  # five times faster on CPUs
        self.averaged = (
            copy.deepcopy(self.network).requires_grad_(False) if training.average else None
        )
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
        optimizer = {
            "adamw": torch.optim.AdamW,
            "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
        }[plan.optimizer](
            [p for p in self.network.parameters() if p.requires_grad],
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
        )
        if plan.schedule == "plateau":
            # stepped here: Lightning would do it after the checkpoint is written, and a resumed run would miss a step
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, "max", 0.1, plan.plateau_patience
            )
            self.plateau.load_state_dict(self.plateau_state)
            return optimizer

        def factor(step):
            rise = min(1.0, (step + 1) / (plan.warmup_steps + 1))
            return rise * (
                0.5 + 0.5 * math.cos(math.pi * min(step / plan.steps, 1))
                if plan.schedule == "cosine"
                else 1.0
            )

        return [optimizer], [
            {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}
        ]

    def train_dataloader(self):
        plan, trainer = self.training_plan, self.trainer
        first = trainer.current_epoch * plan.validate_every
        stop = min(first + plan.validate_every, plan.steps)
        steps = _Steps(
            self.task,
            self.source,
            first,
            stop,
            self.network,
            trainer.global_rank,
            trainer.world_size,
        )
        return torch.utils.data.DataLoader(steps, batch_size=None)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(range(len(self.songs)), batch_size=None)

    def on_train_batch_start(self, batch, batch_idx):
        # by the number of the step, so that a resumed run draws what the first one would have drawn
        torch.manual_seed(
            self.training_plan.seed + self.global_step * self.trainer.world_size + self.global_rank
        )

    def training_step(self, batch, batch_idx):
        x, *truth = batch
        loss = self.task.loss(self.network, x.contiguous(memory_format=torch.channels_last), *truth)
        return loss + self.network.penalty() if self.training_plan.regularise else loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        loss, step = float(outputs["loss"]), self.global_step
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is no number any more at step {step}; lower learning_rate or set clip_norm"
            )
        self.losses.append(loss)
        if self.averaged is not None:
            decay = min(
                self.training_plan.average, (1 + step) / (10 + step)
            )  # or the random start would linger
            for kept, new in zip(
                self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
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
        for step in range(
            max(self.global_step - _MEASURED_STEPS, 0), self.global_step if norms else 0
        ):
            x, *_ = self.task.batch(
                self.source, step * self.trainer.world_size + self.global_rank, self.network
            )
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
        self.history, self.plateau_state = (
            checkpoint["melodylab"]["history"],
            checkpoint["melodylab"]["plateau"],
        )
        self.earlier_s, self.began = checkpoint["melodylab"]["wall_s"], time.perf_counter()


class _CompleteOrAbsent(TorchCheckpointIO):
    def save_checkpoint(self, checkpoint, path, storage_options=None):
        buffer = (
            io.BytesIO()
        )  # torch reports a full disk in its own words, a plain write as an OSError
        torch.save(checkpoint, buffer)
        with files.complete_or_absent(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())


class _Checkpoint(ModelCheckpoint):
    """The best or the last, in a folder that may be moved between two runs."""

    def load_state_dict(self, state):
        def here(path):
            return path and os.path.join(self.dirpath, os.path.basename(path))

        paths = {
            key: here(state[key])
            for key in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
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
                *(
                    [_Patience(task.score, mode="max", patience=plan.patience)]
                    if plan.patience
                    else []
                ),
                *([_Bar(plan.steps)] if progress else []),
                _Checkpoint(
                    out / "checkpoints", "best", monitor=task.score, mode="max", **each_epoch
                ),
                _Checkpoint(
                    out / "checkpoints", "last", **each_epoch
                ),  # knows of the best, for it comes after it
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
        model.load_state_dict(
            {name[len(prefix) :]: kept[name] for name in kept if name.startswith(prefix)}
        )
        if trainer.is_global_zero:
            scores = task.scores(model, heard, trainer.strategy.root_device)
            weights.save(
                model,
                _card(recipe, earlier, best["global_step"], lesson, scores, trainer),
                out,
                recipe.model,
            )
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
    if kind not in ("cpu", "gpu", "auto") or (
        number and not (number.isdecimal() and int(number) > 0)
    ):
        raise InputError(
            f"there is no device {device!r}; choose cpu, gpu, gpu:2 for two of them, or auto"
        )
    available = torch.cuda.device_count()
    if kind == "auto":
        kind = "gpu" if available else "cpu"
    number = int(number or 1)
    if kind == "gpu" and number > available:
        raise InputError(
            f"there is no such GPU ({device} was asked for, {available} are here); choose cpu or auto"
        )
    return kind, number


def _open_folder(out, recipe, resume):
    """The run's folder as a Path, with its recipe in it; refuses one in use, or a resumed run by another recipe."""
    out, ours = Path(out), Path(out) / "recipe.toml"
    if resume:
        if not ours.is_file():
            raise InputError(
                f"{out} holds no training to resume; leave out --resume to begin there"
            )
        old, new = _flat(Recipe.read(ours).as_dict()), _flat(recipe.as_dict())
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                raise InputError(
                    f"{key} is {json.dumps(new.get(key))} now and was {json.dumps(old.get(key))} when {out} was begun; "
                    f"resume by {ours} or begin in another folder"
                )
    else:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(
                f"{out} is not empty; go on with its training by --resume or choose a fresh folder"
            )
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
        raise InputError(
            f"{last} cannot be read ({type(error).__name__}); begin again in a fresh folder"
        ) from None
    if names != tasks.names(songs):
        raise InputError(
            f"this training was validated on other songs ({', '.join(names)}); validate on the same again"
        )


def _warm_start(network, name):
    given = weights.load_model(name).state_dict()
    own = network.state_dict()
    fitting = {
        key: value for key, value in given.items() if key in own and own[key].shape == value.shape
    }
    network.load_state_dict({**own, **fitting})
    fresh = [key for key in own if key not in fitting]
    if not fitting:
        raise InputError(
            f"no tensor of {name} fits this network; leave out start_from or choose weights of its kind"
        )
    if fresh:
        network.start_again()
        warnings.warn(
            f"{len(fitting)} tensors start from {name}, {len(fresh)} afresh: {', '.join(fresh)}"
        )


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
            warnings.filterwarnings(
                "ignore", message="Checkpoint directory .* is not empty", module=r"lightning\b"
            )
            warnings.filterwarnings(
                "ignore", message=".*LeafSpec", module=r"lightning\b"
            )  # its own use of torch
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# --- validation -----------------------------------------------------------------------------------


def _songs(validate, task):
    """Songs with their truth to validate on; None for songs that are still to be made."""
    songs = validate
    if isinstance(validate, str | os.PathLike):
        songs = [
            folders.read_song(folder, stems=task.needs_stems)
            for folder in folders.song_folders(validate)
        ]
    for song in songs or ():
        task.check(song)
    if songs is not None and not songs:
        raise InputError(
            "there is no song to validate on; give at least one, or None for synthetic ones"
        )
    if songs is not None and len(set(tasks.names(songs))) < len(songs):
        raise InputError(
            f"some songs to validate on have the same name ({', '.join(tasks.names(songs))}); rename them"
        )
    return songs


def _card(recipe, earlier, steps, lesson, scores, trainer):
    figures, decoding = scores
    device = trainer.strategy.root_device
    processor = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() + " CPU"
    )
    number = (
        trainer.world_size
        if device.type == "cuda"
        else torch.get_num_threads() * trainer.world_size
    )
    libraries = ("torch", "lightning", "numpy", "scipy", "librosa", "mir_eval")
    return {
        "model": recipe.model,
        "front_end": recipe.front_end,
        "recipe": recipe.as_dict(),
        **(
            {"started_from": {key: earlier[key] for key in _HISTORY if key in earlier}}
            if earlier
            else {}
        ),
        "steps": steps,
        "steps_trained": lesson.history[-1]["step"],
        "wall_time_s": round(lesson.wall_s, 1),
        "device": f"{number} x {processor}"
        if device.type == "cuda"
        else f"{processor}, {number} threads",
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
    with (
        files.complete_or_absent(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as sink,
    ):
        rows = csv.DictWriter(sink, list(history[0]), lineterminator="\n")
        rows.writeheader()
        rows.writerows({name: f"{value:.6g}" for name, value in entry.items()} for entry in history)

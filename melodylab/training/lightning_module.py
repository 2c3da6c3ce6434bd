"""What Lightning runs: a network in training, its checkpoints, its progress bar.

Imported when a training begins, and not before.
"""

import copy
import functools
import io
import math
import os
import time
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from tqdm import tqdm

from melodylab import files
from melodylab.errors import InputError
from melodylab.training import objectives
from melodylab.training.card import write_log
from melodylab.training.recipe import Training

_MEASURED_STEPS = 10  # whose batches give the running statistics that are validated and kept


_Norm = torch.nn.modules.batchnorm._BatchNorm


class _Steps(torch.utils.data.Dataset):
    """Batches first..stop-1 with the network's targets, as one of `devices` sees them."""

    def __init__(self, objective, batches, first, stop, network, rank=0, devices=1):
        self.objective, self.batches, self.network = objective, batches, network
        self.first, self.stop, self.rank, self.devices = first, stop, rank, devices

    def __len__(self):
        return self.stop - self.first

    def __getitem__(self, index):
        step = (self.first + index) * self.devices + self.rank
        return self.objective.batch(self.batches, step, self.network)


class _Module(pl.LightningModule):
    """A network, its average, its batches, its validation; all that a resumed run needs."""

    def __init__(self, network, plan, batches, items, out, on_step, on_validation):
        super().__init__()
        self.objective = objectives.of(network)
        self.network = network.to(memory_format=torch.channels_last)  # five times faster on CPUs
        self.averaged = copy.deepcopy(self.network).requires_grad_(False) if plan.average else None
        self.plan, self.batches, self.items, self.out = plan, batches, items, out
        self.on_step, self.on_validation = on_step, on_validation
        self.history, self.losses, self.figures = [], [], []
        self.plateau, self.plateau_state = None, {}
        self.earlier_s, self.began = 0.0, time.perf_counter()

    @property
    def validated(self):
        return self.network if self.averaged is None else self.averaged

    @property
    def wall_s(self):
        return self.earlier_s + time.perf_counter() - self.began

    def configure_optimizers(self):
        plan = self.plan
        optimizer = {
            "adamw": torch.optim.AdamW,
            "sgd": functools.partial(torch.optim.SGD, momentum=0.9),
        }[plan.optimizer](
            [p for p in self.network.parameters() if p.requires_grad],
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
        )
        if plan.schedule == "plateau":
            # stepped here: Lightning would do it after the checkpoint is written, and a resumed run
            # would miss a step
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
        plan, trainer = self.plan, self.trainer
        first = trainer.current_epoch * plan.validate_every
        stop = min(first + plan.validate_every, plan.steps)
        steps = _Steps(
            self.objective,
            self.batches,
            first,
            stop,
            self.network,
            trainer.global_rank,
            trainer.world_size,
        )
        return torch.utils.data.DataLoader(steps, batch_size=None)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(range(len(self.items)), batch_size=None)

    def on_train_batch_start(self, batch, batch_idx):
        # by the number of the step, so that a resumed run draws what the first one would have drawn
        torch.manual_seed(
            self.plan.seed + self.global_step * self.trainer.world_size + self.global_rank
        )

    def training_step(self, batch, batch_idx):
        x, *truth = batch
        loss = self.objective.loss(
            self.network, x.contiguous(memory_format=torch.channels_last), *truth
        )
        return loss + self.network.penalty() if self.plan.regularise else loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        loss, step = float(outputs["loss"]), self.global_step
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is no number any more at step {step}; lower learning_rate or set "
                "clip_norm"
            )
        self.losses.append(loss)
        if self.averaged is not None:
            # or the random start would linger
            decay = min(self.plan.average, (1 + step) / (10 + step))
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
        """The running statistics of batch norm anew, from the last batches and the weights as now.

        Those that run along lag a hundred steps behind, which spoiled the wide networks: raw pitch
        accuracy 0.57 in place of 0.63 after 270 steps.
        """
        norms = [module for module in self.validated.modules() if isinstance(module, _Norm)]
        modes = [(module, module.training) for module in self.validated.modules()]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
        self.validated.train()
        first = max(self.global_step - _MEASURED_STEPS, 0)
        for step in range(first, self.global_step if norms else 0):
            number = step * self.trainer.world_size + self.global_rank
            x, *_ = self.objective.batch(self.batches, number, self.network)
            self.validated(x.to(self.device).contiguous(memory_format=torch.channels_last))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            for statistic in (norm.running_mean, norm.running_var):
                statistic.copy_(self.trainer.strategy.reduce(statistic, reduce_op="mean"))
        for module, training in modes:
            module.training = training

    def validation_step(self, number, batch_idx):
        if batch_idx == 0:  # here the precision is the training's
            self._measure_norms()
        item = self.items[int(number)]
        self.figures.append(self.objective.validate(self.validated, item, self.device))

    def on_validation_epoch_end(self):
        figures, self.figures = self.figures, []
        entry = {
            "step": self.global_step,
            "loss": float(np.mean(self.losses)),
            "learning_rate": float(self.optimizers().param_groups[0]["lr"]),
            **self.objective.summary(figures, self.network),
            "wall_s": round(self.wall_s, 1),
        }
        entry = self.trainer.strategy.broadcast(entry)
        self.losses = []
        self.history.append(entry)
        score = entry[self.objective.score]
        self.log(self.objective.score, score)
        if self.plateau is not None:
            self.plateau.step(score)
        if self.trainer.is_global_zero:
            write_log(self.out / "log.csv", self.history)
            if self.on_validation:
                self.on_validation(entry)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["melodylab"] = {
            "history": self.history,
            "wall_s": self.wall_s,
            "plateau": self.plateau.state_dict() if self.plateau is not None else {},
            "songs": [name for name, *_ in self.items],
        }

    def on_load_checkpoint(self, checkpoint):
        self.history, self.plateau_state = (
            checkpoint["melodylab"]["history"],
            checkpoint["melodylab"]["plateau"],
        )
        self.earlier_s, self.began = checkpoint["melodylab"]["wall_s"], time.perf_counter()


class _CompleteOrAbsent(TorchCheckpointIO):
    def save_checkpoint(self, checkpoint, path, storage_options=None):
        # torch reports a full disk in its own words, a plain write as an OSError
        buffer = io.BytesIO()
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

    def on_train_start(self, trainer, module):
        if trainer.is_global_zero:
            self.bar = tqdm(total=self.steps, initial=trainer.global_step, unit="step")

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{float(outputs['loss']):.3f}", refresh=False)
            self.bar.update()

    def teardown(self, trainer, module, stage):
        if self.bar is not None:
            self.bar.close()


def trainer(
    plan: Training,
    out: Path,
    score: str,
    *,
    accelerator: str,
    devices: int,
    progress: bool,
) -> pl.Trainer:
    """Lightning's trainer for a plan.

    Parameters
    ----------
    plan : Training
        Table [training] of a recipe.
    out : Path
        The run's folder; its checkpoints lie in out/checkpoints.
    score : str
        The figure of a validation whose best is kept.
    accelerator : str
        "cpu" or "gpu".
    devices : int
        How many of them.
    progress : bool
        Whether to show a bar on standard error.

    Returns
    -------
    lightning.pytorch.Trainer
    """
    each_epoch = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    callbacks = [
        _Checkpoint(out / "checkpoints", "best", monitor=score, mode="max", **each_epoch),
        _Checkpoint(
            out / "checkpoints", "last", **each_epoch
        ),  # knows of the best, as it comes after
    ]
    if progress:
        callbacks.insert(0, _Bar(plan.steps))
    if plan.patience:
        callbacks.insert(0, _Patience(score, mode="max", patience=plan.patience))
    return pl.Trainer(
        accelerator=accelerator,
        devices=devices,
        precision=plan.precision,
        max_epochs=-(-plan.steps // plan.validate_every),
        gradient_clip_val=plan.clip_norm or None,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        deterministic=None if accelerator == "cpu" else "warn",
        callbacks=callbacks,
        plugins=[_CompleteOrAbsent()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )

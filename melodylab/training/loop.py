"""The loop: Lightning's trainer, checkpoints, validation, weights with their card at the end.

A training's folder holds recipe.toml, log.csv (a row a validation), checkpoints/, features/ unless
they are kept elsewhere, and at the end NAME.safetensors with its card NAME.json.
"""

import contextlib
import json
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from melodylab import evaluate, files, weights
from melodylab.errors import InputError, missing_package
from melodylab.io import folders
from melodylab.records import Song
from melodylab.training import objectives, shipped
from melodylab.training.card import card, line
from melodylab.training.objective import names
from melodylab.training.recipe import Recipe, flat

__all__ = ["first_process", "fit", "line"]

_SONGS_FOR_ONE = 16  # more than these are worth the start of worker processes


def fit(
    recipe: Recipe | dict,
    *,
    out: str | Path | None = None,
    validate: str | Path | list[Song] | None = None,
    resume: bool = False,
    device: str = "auto",
    features: str | Path | None = None,
    dask: str | None = None,
    on_step: Callable[[int, float], None] | None = None,
    on_validation: Callable[[dict], None] | None = None,
    progress: bool = False,
) -> tuple[torch.nn.Module, list[dict]]:
    """Train a network by a recipe.

    Parameters
    ----------
    recipe : Recipe or dict
        A dict holds its tables.
    out : path, optional
        Folder for what this module's header lists; None keeps nothing.
    validate : path or list of Song, optional
        A folder of songs with melodies and, for masks, stems (`io.folders`), or songs, or None for
        synthetic ones that are held out.
    resume : bool
        Go on from the last checkpoint in `out`.
    device : str
        "cpu", "gpu", "gpu:2" (two of them) or "auto".
    features : path, optional
        Folder for the bank's features, which several runs may share.
    dask : str, optional
        Address of a cluster that computes them.
    on_step : callable, optional
        Called with step and loss.
    on_validation : callable, optional
        Called with each entry of the history.
    progress : bool
        Whether to show bars on standard error.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode, with the weights of the best validation.
    history : list of dict
        One a validation: step, mean loss since the one before, learning_rate, the objective's
        figures, wall_s; for melodies RPA, RCA, AUC of the voicing, OA as published, best_OA at the
        one best constant, that constant.

    Raises
    ------
    InputError
        One sentence, for whatever is given and cannot be used, for a missing package, for a full
        disk and for a loss of NaN.
    """
    lightning_module = _lightning_module()
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.from_dict(recipe)
    plan = recipe.training
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet_lightning())
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        accelerator, devices = _accelerator(device)
        torch.manual_seed(plan.seed)
        network = recipe.create_model().train()
        objective = objectives.of(network)
        songs = _songs(validate, objective)
        earlier = weights.card(_begin(plan.start_from)) if plan.start_from else None
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

        trainer = lightning_module.trainer(
            plan,
            out,
            objective.score,
            accelerator=accelerator,
            devices=devices,
            progress=progress,
        )
        batches = objective.batches(recipe, trainer.world_size, features)
        n_jobs = -1 if recipe.data.songs > _SONGS_FOR_ONE and not dask else None
        if first_process():
            with evaluate.cluster(dask) if dask else contextlib.nullcontext():
                batches.prepare(progress=progress, n_jobs=n_jobs)
                items = objective.validation_set(recipe, songs, features, n_jobs)
        else:
            items = objective.validation_set(recipe, songs, features)

        module = lightning_module._Module(
            network, plan, batches, items, out, on_step, on_validation
        )
        _train(trainer, module, last)

        model = recipe.create_model()
        best = torch.load(out / "checkpoints" / "best.ckpt", map_location="cpu", weights_only=True)
        kept = best["state_dict"]
        prefix = "averaged." if plan.average else "network."
        model.load_state_dict(
            {name[len(prefix) :]: kept[name] for name in kept if name.startswith(prefix)}
        )
        if trainer.is_global_zero:
            told = card(
                recipe,
                steps=best["global_step"],
                history=module.history,
                wall_s=module.wall_s,
                scores=objective.scores(model, items, trainer.strategy.root_device),
                earlier=earlier,
                device=trainer.strategy.root_device,
                devices=trainer.world_size,
            )
            weights.save(model, told, out, recipe.model)
    return model, module.history


def first_process() -> bool:
    """Whether this is the process that writes.

    Returns
    -------
    bool
        False in the further ones that Lightning starts where there are several devices.
    """
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))


def _lightning_module():
    """Our part for Lightning, imported here so that everything else works without the extra."""
    try:
        import lightning.pytorch  # noqa: F401
    except ImportError:
        raise missing_package("training", "lightning", "lab") from None
    from melodylab.training import lightning_module

    return lightning_module


def _train(trainer, module, checkpoint):
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=checkpoint)
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
            f"there is no such GPU ({device} was asked for, {available} are here); choose cpu or "
            "auto"
        )
    return kind, number


def _open_folder(out, recipe, resume):
    """The run's folder as a Path, its recipe in it; refuses one in use, or another recipe."""
    out, ours = Path(out), Path(out) / "recipe.toml"
    if resume:
        if not ours.is_file():
            raise InputError(
                f"{out} holds no training to resume; leave out --resume to begin there"
            )
        old, new = flat(Recipe.read(ours).as_dict()), flat(recipe.as_dict())
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                raise InputError(
                    f"{key} is {json.dumps(new.get(key))} now and was {json.dumps(old.get(key))} "
                    f"when {out} was begun; resume by {ours} or begin in another folder"
                )
    else:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(
                f"{out} is not empty; go on with its training by --resume or choose a fresh folder"
            )
        text = recipe.as_toml()
        with files.complete_or_absent(ours) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return out


def _check_checkpoint(last, songs):
    if last is None:
        return
    try:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        validated_on = checkpoint["melodylab"]["songs"]
    except Exception as error:  # torch raises whatever its readers raise
        raise InputError(
            f"{last} cannot be read ({type(error).__name__}); begin again in a fresh folder"
        ) from None
    if validated_on != names(songs):
        raise InputError(
            f"this training was validated on other songs ({', '.join(validated_on)}); validate on "
            "the same again"
        )


def _begin(name):
    """The weights to begin with; a stage that comes without its own is told."""
    if name in shipped.names() and name not in weights.names() and not os.path.exists(name):
        raise InputError(
            f"this training goes on from what {name} makes; run: melodylab train {name} --out "
            f"FOLDER, then give that folder by --start-from FOLDER"
        )
    return name


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
            f"no tensor of {name} fits this network; leave out start_from or choose weights of its "
            "kind"
        )
    if fresh:
        network.start_again()
        warnings.warn(
            f"{len(fitting)} tensors start from {name}, {len(fresh)} afresh: {', '.join(fresh)}",
            stacklevel=2,
        )


@contextlib.contextmanager
def _quiet_lightning():
    """Without its hints on workers and hardware; what goes wrong is still told."""
    from lightning.fabric.utilities.warnings import PossibleUserWarning

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
            warnings.filterwarnings(  # its own use of torch
                "ignore", message=".*LeafSpec", module=r"lightning\b"
            )
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _songs(validate, objective):
    """Songs with their truth to validate on; None for songs that are still to be made."""
    songs = validate
    if isinstance(validate, str | os.PathLike):
        songs = [
            folders.read_song(folder, stems=objective.needs_stems)
            for folder in folders.song_folders(validate)
        ]
    for song in songs or ():
        objective.check(song)
    if songs is not None and not songs:
        raise InputError(
            "there is no song to validate on; give at least one, or None for synthetic ones"
        )
    if songs is not None and len(set(names(songs))) < len(songs):
        raise InputError(
            f"some songs to validate on have the same name ({', '.join(names(songs))}); rename them"
        )
    return songs

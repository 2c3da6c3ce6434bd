"""Trained weights: NAME.safetensors, and beside it the card NAME.json that says what they are and
how they were made.

Conventions: large tensors of two and more dimensions are stored in half precision, all others
(biases, scales, running means and variances, small first and last layers) as they are; that moves a
probability by less than 1e-4 in the mean and by about 1e-3 at most. Nothing in either file is ever
executed. A pair that is loaded is whole: the SHA-256 on the card is that of the file, and the
tensors are those of the network. A `model` here is what `models.create_model` gives. Every failure
is one InputError that names the file and the next step.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch

from melodylab import files, models
from melodylab.errors import InputError
from melodylab.models.base import Network
from melodylab.models.drum_cnn import CLASSES
from melodylab.weights.match import misfits, network_of

FOLDER = Path(__file__).parent  # the shipped pairs
FORMAT = 1
# What "best" names: ours with the highest overall accuracy on the development songs.
BEST = "harmonic-crnn"
EXPERIMENTS = "experiments.json"  # in the same folder, and no card
_ENDINGS = (".safetensors", ".json")
# Where few products are summed, rounding does not average out: halving all matrices would make
# files smaller by a fifth and
# errors twice as large.
_LARGE = 40_000

# what the trainer says: the front end by its name in `models.frontends`, options for
# `models.run.salience`, provenance
TOLD = [
    "front_end",
    "decoding",
    "recipe",
    "steps",
    "wall_time_s",
    "device",
    "scores",
    "licence",
    "library_versions",
]
ADDED = ["format", "model", "changes", "parameters", "sha256"]  # what `save` finds out by itself
DECODING = {
    "unvoiced_gain",
    "threshold",
}  # the options that `decoding` may have: numbers, for drums one a class


def names() -> list[str]:
    """Names of the shipped weights, in order.

    Returns
    -------
    list of str
        One for each pair of files, also where half of it is missing.
    """
    return sorted(
        {
            path.stem
            for path in FOLDER.iterdir()
            if path.suffix in _ENDINGS and path.name != EXPERIMENTS
        }
    )


def resolved(name: str) -> str:
    """The network that an alias stands for.

    Parameters
    ----------
    name : str
        "best" is an alias.

    Returns
    -------
    str
        Any other name as it is.
    """
    return BEST if name == "best" else name


def experiments() -> dict[str, list[dict]]:
    """Scores on real songs after trainings that differ in one thing, means over the songs.

    Returns
    -------
    dict
        {experiment: [row]}. "ablation": rows with "change" (what was taken out of the training
        songs); "training_share": rows with "share" (of them, 0..1); "inputs": with "input",
        "recurrence" and "seed" (networks with CNN1); "wide": with "network" (those with CNN2);
        "multires", "ftanet": with "network", "changes" (arguments of `models.create_model`) and
        "seed", and with "VR" and "VFA". All with "OA", "RPA", "RCA" and "AUC". Voicing constants
        were chosen leave-one-song-out; AUC needs none.

    Raises
    ------
    InputError
        Where the file is missing or damaged.
    """
    path = FOLDER / EXPERIMENTS
    data = _bytes(path)
    try:
        return json.loads(data.decode("utf-8"))
    except ValueError:
        raise InputError(f"{path} is no JSON; {_restore(path)}") from None


def card(name_or_path: str | os.PathLike[str]) -> dict:
    """What the card says, the file with the tensors left unread.

    Parameters
    ----------
    name_or_path : str or path
        As in `load_model`.

    Returns
    -------
    dict
        Everything in `TOLD` and `ADDED`, and what else is told.

    Raises
    ------
    InputError
        As in `load_model`.
    """
    return _read_card(_pair(name_or_path)[1])


def verify(name_or_path: str | os.PathLike[str]) -> dict:
    """Compare the file with the SHA-256 on its card.

    Parameters
    ----------
    name_or_path : str or path
        As in `load_model`.

    Returns
    -------
    dict
        The card.

    Raises
    ------
    InputError
        As in `load_model`.
    """
    return _read(name_or_path)[1]


def load_model(name_or_path: str | os.PathLike[str]) -> models.Network:
    """A trained network; its card is in `model.card`.

    torch's random numbers go on as if nothing had been loaded.

    Parameters
    ----------
    name_or_path : str or path
        The name of shipped weights, "best" for the one that scored best, or the path of one's own:
        NAME.safetensors, NAME.json or a folder that holds one pair. What bears the name of a
        network means the shipped weights; a folder of that name is "./NAME".

    Returns
    -------
    Network
        In evaluation mode, float32, on the CPU.

    Raises
    ------
    InputError
        Unknown name, network without shipped weights, file missing, unreadable or damaged, made by
        a newer melodylab, or tensors that are not those of the network on the card.
    """
    data, found, path = _read(name_or_path)
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is no safetensors file ({error}); save the model again") from None
    try:
        with torch.random.fork_rng(devices=[]):
            model = models.create_model(found["model"], **found["changes"])
    except Exception as error:  # a card that was edited may ask for anything
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path.with_suffix('.json')} describes no network that can be built ({reason}); "
            f"{_restore(path)}"
        ) from None
    if faults := misfits(model, tensors):
        other = network_of(tensors, found["changes"])
        held = f" but {other}" if other else ""
        raise InputError(
            f"{path} does not hold the network {model.name} of its card{held}: {faults}; save the "
            "model again"
        )
    model.load_state_dict(tensors)
    model.card, model.front_end = found, found["front_end"]
    return model


def save(
    model: models.Network, card: Mapping[str, object], folder: str | os.PathLike[str], name: str
) -> Path:
    """Write folder/NAME.safetensors and folder/NAME.json: both or, where the disk is full, neither.

    Parameters
    ----------
    model : Network
        One of `models.create_model`.
    card : Mapping
        Everything in `TOLD` and whatever else is worth keeping; `ADDED` is filled in here.
    folder : str or path
        Made if need be; what bears these names there is replaced.
    name : str
        Without ending.

    Returns
    -------
    Path
        Of the tensors.

    Raises
    ------
    InputError
        If the card lacks something, the model is none of `create_model`'s or holds NaN or infinity,
        or the place cannot be written.
    """
    path = Path(folder) / f"{name}.safetensors"
    if not isinstance(model, Network) or model.name not in models.NETWORKS:
        raise InputError(
            f"{path} was not written: the model has no name; make it with create_model"
        )
    if missing := [key for key in TOLD if key not in card]:
        raise InputError(f"{path} was not written: the card lacks {', '.join(missing)}; add it")
    tensors = {key: _stored(tensor) for key, tensor in model.state_dict().items()}
    if broken := [key for key, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise InputError(
            f"{path} was not written: {broken[0]} holds numbers that are not finite or above "
            "65504; train again, with a "
            "lower learning rate"
        )
    data = safetensors.torch.save(tensors)
    text = json.dumps(
        {
            "format": FORMAT,
            "model": model.name,
            "changes": model.changes,
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        | {key: value for key, value in card.items() if key not in ADDED},
        indent=1,
        ensure_ascii=False,
    )
    path_of_card = path.with_name(f"{name}.json")
    with (
        files.complete_or_absent(path_of_card) as new_card,
        files.complete_or_absent(path) as new_tensors,
    ):
        new_tensors.write_bytes(data)
        new_card.write_text(text + "\n", encoding="utf-8")
        # Both are on the disk; what is left is to give them their names, the tensors first. A power
        # cut in between must
        # not leave new tensors beside an old card, which would look like damage: the old card goes
        # before either comes.
        path_of_card.unlink(missing_ok=True)
    return path


def _stored(tensor):
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.ndim >= 2 and tensor.numel() >= _LARGE else tensor.clone()


def _pair(name_or_path):
    """Paths of the tensors and of the card, whether they exist or not."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise InputError(
            f"weights are asked for by name or path, not by {name_or_path!r}{_or_one_of(names())}"
        )
    name_or_path = resolved(name_or_path)
    name = os.fspath(name_or_path)
    path = Path(name_or_path)
    if name in names() and isinstance(name_or_path, str):
        path = FOLDER / f"{name}.safetensors"
    elif name in models.NETWORKS and isinstance(name_or_path, str):
        raise InputError(
            f"this copy of melodylab has no trained weights for {name}; train it with "
            f"`melodylab train` and load what that writes by its path{_or_one_of(names())}"
        )
    elif os.path.isdir(path):
        pairs = sorted(path.glob("*.safetensors"))
        if len(pairs) != 1:
            held = ", ".join(p.name for p in pairs) or "no .safetensors file"
            raise InputError(f"the folder {path} holds {held}; name one file NAME.safetensors")
        (path,) = pairs
    elif path.suffix not in _ENDINGS or not any(
        os.path.exists(path.with_suffix(ending)) for ending in _ENDINGS
    ):
        raise InputError(
            f"{name!r} is neither the name of trained weights nor a file NAME.safetensors; give "
            "the path of one"
            f"{_or_one_of(names())}"
        )
    return path.with_suffix(".safetensors"), path.with_suffix(".json")


def _or_one_of(choices):
    return f", or take {' or '.join(choices)}" if choices else ""


def _read(name_or_path):
    """The bytes of the tensors, the card they were compared with, the path."""
    path, path_of_card = _pair(name_or_path)
    found = _read_card(path_of_card)
    data = _bytes(path)
    if hashlib.sha256(data).hexdigest() != found["sha256"]:
        raise InputError(
            f"{path} is damaged or not the file that {path_of_card.name} was written for (its "
            "SHA-256 differs); "
            f"{_restore(path)}"
        )
    return data, found, path


def _read_card(path):
    data = _bytes(path)
    try:
        found = json.loads(data.decode("utf-8"))
        newer = found["format"] > FORMAT
    except (
        ValueError,
        TypeError,
        LookupError,
        RecursionError,
    ):  # no text, no JSON, no object, no number
        raise InputError(f"{path} is no card of trained weights; {_restore(path)}") from None
    if newer:
        raise InputError(
            f"{path} has format {found['format']}, this melodylab reads {FORMAT}; install a newer "
            "melodylab"
        )
    if missing := [key for key in ADDED + TOLD if key not in found]:
        raise InputError(f"{path} lacks {', '.join(missing)}; {_restore(path)}")
    fits = {
        "model": found["model"]
        in list(models.NETWORKS),  # lists, because anything may stand in the file
        "changes": isinstance(found["changes"], dict),
        "front_end": found["front_end"]
        in [declared.front_end for declared in models.NETWORKS.values()],
        "decoding": isinstance(found["decoding"], dict)
        and found["decoding"].keys() <= DECODING
        and all(
            _is_number(value) or _is_number_a_class(value) for value in found["decoding"].values()
        ),
    }
    if odd := [key for key in fits if not fits[key]]:
        raise InputError(
            f"{path} has {found[odd[0]]!r} as {odd[0]}, which this melodylab does not know; "
            f"install a newer one or {_restore(path)}"
        )
    return found


def _is_number(value):
    return type(value) in (int, float) and 0 <= value < 1e9


def _is_number_a_class(value):
    return (
        isinstance(value, dict)
        and value.keys() == set(CLASSES)
        and all(map(_is_number, value.values()))
    )


def _bytes(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        reason = "is missing"
    except OSError as error:
        reason = f"cannot be read ({(error.strerror or str(error)).lower()})"
    raise InputError(f"{path} {reason}; {_restore(path)}")


def _restore(path):
    shipped = path.parent == FOLDER
    return (
        "install melodylab again"
        if shipped
        else "copy .safetensors and .json together from where they were written"
    )

"""The networks by name, untrained, one file per paper; `run` takes them from features to a salience or a mask."""

import importlib
import inspect

from melodylab.errors import InputError

# name -> (file here, class, arguments, front end)
NETWORKS = {
    "sf-crnn-1": ("crnn", "CRNN", {"cnn": "cnn1", "units": 128}, "sf"),
    "sf-crnn-2": ("crnn", "CRNN", {"cnn": "cnn2", "units": 160}, "sf"),
    "cqt-crnn-1": (
        "crnn",
        "CRNN",
        {"cnn": "cnn1", "units": 128},
        "cqt",
    ),  # not in the paper: for comparison
    "cqt-crnn-2": ("crnn", "CRNN", {"cnn": "cnn2", "units": 160}, "cqt"),
    "sf-cnn": ("crnn", "CRNN", {"cnn": "cnn2", "units": 0}, "sf"),
    "deep-salience": ("deep_salience", "DeepSalience", {}, "hcqt"),
    "ftanet": ("ftanet", "FTANet", {}, "cfp"),
    "ftanet-thin": (
        "ftanet",
        "FTANet",
        {"width": 16},
        "cfp",
    ),  # not in the paper: for weak machines
    "ftanet-no-frequency": ("ftanet", "FTANet", {"frequency": False}, "cfp"),
    "ftanet-no-temporal": ("ftanet", "FTANet", {"temporal": False}, "cfp"),
    "ftanet-no-fusion": ("ftanet", "FTANet", {"fusion": "sum"}, "cfp"),
    "ftanet-no-detection": ("ftanet", "FTANet", {"detection": False}, "cfp"),
    "harmonic-crnn": ("harmonic_crnn", "HarmonicCRNN", {}, "spectra"),
    "multires": ("multires", "Multires", {}, "wave"),
    "multires-short": ("multires", "Multires", {"lengths": ("short",)}, "wave"),
    "multires-long": ("multires", "Multires", {"lengths": ("long",)}, "wave"),
    "multires-no-pretraining": ("multires", "Multires", {}, "wave"),
    "multires-1d": ("multires", "Multires1d", {}, "wave"),
    "segnet": ("segnet", "SegNet", {}, "cfp"),
    "unet": ("unet", "UNet", {}, "spectra"),
    "unet-mel": ("unet", "MelUNet", {}, "mel"),
    "drum-cnn": ("drum_cnn", "DrumCNN", {}, "drum-mel"),
}


def create_model(name, **changes):
    """The network as published, untrained, in evaluation mode: a torch module with `name` and `changes`.

    Its first numbers come from torch's own generator: torch.manual_seed(seed) before it gives the same ones again.
    changes: arguments of the network's class that depart from the paper, such as across_patches=True.
    Raises InputError for a name or an argument that does not exist.
    """
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; choose one of {', '.join(NETWORKS)}")
    file, class_name, arguments, _ = NETWORKS[name]
    network = getattr(importlib.import_module(f"melodylab.models.{file}"), class_name)
    known = inspect.signature(network).parameters
    if unknown := [argument for argument in changes if argument not in known]:
        there_is = ", ".join(known) or "nothing of the kind"
        raise InputError(f"{name} has nothing called {unknown[0]} to change; it has {there_is}")
    model = network(**arguments | changes).eval()
    model.name, model.changes = name, dict(changes)
    return model

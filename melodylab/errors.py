"""The one exception a user is meant to read: one sentence, what is wrong and the next step."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What the caller gave cannot be used.

    Its text is one sentence that names the thing and the next step.
    """


def missing_package(what: str, package: str, extra: str) -> InputError:
    """The error to raise where something needs a package that a core install lacks.

    Parameters
    ----------
    what : str
        What needs it, as the sentence begins: "training".
    package : str
        Its name on the package index: "lightning".
    extra : str
        Extra of this project that brings it: "lab".

    Returns
    -------
    InputError
        "training needs the package lightning; run: pip install lightning (or, in a clone of
        melodylab, what else belongs to it, too: pip install ".[lab]")".
    """
    return InputError(
        f"{what} needs the package {package}; run: pip install {package} (or, in a clone of "
        f'melodylab, what else belongs to it, too: pip install ".[{extra}]")'
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The next step of a sentence on a name that does not exist.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        "did you mean sfnmf? There are best, sfnmf", or where nothing is near "choose one of best,
        sfnmf".
    """
    known = list(known)
    begun = [other for other in known if name and other.startswith(name)]
    near = begun or difflib.get_close_matches(name, known, 1)
    there = ", ".join(known)
    return f"did you mean {near[0]}? There are {there}" if near else f"choose one of {there}"

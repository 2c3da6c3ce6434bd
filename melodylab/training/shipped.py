"""The recipes of the shipped weights, one TOML file each in `recipes/`, written from their cards.

    python -m melodylab.training.recipes

writes them anew; a test compares. Weights that were trained in several stages have a recipe for
each: NAME.1, NAME.2, ..., NAME; a stage says in `start_from` which one it goes on from.
"""

import difflib
from pathlib import Path

from melodylab import files, weights

FOLDER = Path(__file__).parent / "recipes"


# what keys meant before they existed, where that is not their default
_BEFORE = {"stretch": 0.0}


def names() -> list[str]:
    """Names of the recipes.

    Returns
    -------
    list of str
        In order, the stages of a training one after the other.
    """
    found = [path.stem for path in FOLDER.glob("*.toml")]
    return sorted(found, key=lambda name: (name.partition(".")[0], name.partition(".")[2] or "~"))


def path(name: str) -> Path:
    """The file of a recipe.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    Path
    """
    return FOLDER / f"{name}.toml"


def headline(name: str) -> str:
    """What a recipe makes, in one line.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    str
        The first line of its comment.
    """
    with path(name).open(encoding="utf-8") as lines:
        return next(lines).strip("# \n")


def nearest(name: str) -> str:
    """The end of a sentence on a recipe that is not there.

    Parameters
    ----------
    name : str
        What was asked for.

    Returns
    -------
    str
        Which of `names` it may mean, or where they are listed.
    """
    close = difflib.get_close_matches(name, names(), 1)
    told = f", or did you mean {close[0]}?" if close else ""
    return told or " or a name that `melodylab train --list` shows"


def from_cards() -> dict[str, str]:
    """All recipes, as the cards of the shipped weights tell them.

    Returns
    -------
    dict
        {name: text of the TOML file}.
    """
    cards = {name: weights.card(name) for name in weights.names()}
    by_hash = {card["sha256"]: name for name, card in cards.items()}
    found = {}
    for name, card in cards.items():
        stages = [card]
        while "started_from" in stages[0] and stages[0]["started_from"]["sha256"] not in by_hash:
            stages.insert(0, stages[0]["started_from"])
        for number, stage in enumerate(stages, 1):
            before = stage.get("started_from", {}).get("sha256")
            begins = by_hash.get(before) or (f"{name}.{number - 1}" if number > 1 else "")
            title = name if number == len(stages) else f"{name}.{number}"
            found[title] = _text(title, stage, begins, card, number, len(stages))
    thin = cards["ftanet-thin"]
    wide = {**thin["recipe"], "model": {"name": "ftanet"}}
    lines = [
        "ftanet: as published, 3,386,007 numbers; for a GPU, or patience",
        "",
        "The recipe of ftanet-thin with another network. No weights were made by it.",
    ]
    found["ftanet"] = _toml(lines, wide, "")
    return found


def _text(title, stage, begins, card, number, stages):
    plan = stage["recipe"]["training"]
    trained, minutes = stage["steps_trained"], stage["wall_time_s"] / 60
    version, kept = card["library_versions"]["melodylab"], stage["steps"]
    part = f", stage {number} of {stages}" if stages > 1 else ""
    device = f" on {card['device']}" if number == stages else ""  # a card tells the last one's
    lines = [
        f"{title}: {trained:,} steps of {plan['batch_size']}{part}; {minutes:.0f} min{device}",
        "",
        f"By melodylab {version}; this file is written from the card.",
        f"The kept weights are those of step {kept:,}, the best on the songs it was validated on.",
        "Songs, front ends and libraries have changed since, so it gives weights of the same "
        "kind, not",
        "the same bits.",
    ]
    if trained < plan["steps"]:
        lines.append(f"It was stopped by hand at step {trained:,}: what comes after was never run.")
    if begins and begins.rpartition(".")[0] == title.partition(".")[0]:
        lines.append(
            f"It goes on from what {begins} makes: give that folder by --start-from FOLDER."
        )
    elif begins:
        lines.append(f"It goes on from the shipped weights {begins}.")
    return _toml(lines, stage["recipe"], begins)


def _toml(lines, recipe, begins):
    from melodylab.training.recipe import Recipe  # which asks this module for names

    plan = {**_BEFORE, **recipe["training"], "start_from": begins}
    comment = "\n".join(f"# {line}".rstrip() for line in lines)
    return f"{comment}\n\n{Recipe.from_dict({**recipe, 'training': plan}).as_toml()}"


def write() -> None:
    """Write all recipes anew."""
    for name, text in from_cards().items():
        with files.complete_or_absent(path(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")

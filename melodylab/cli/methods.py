"""The command `melodylab methods`, and what the other commands tell of methods."""

from collections.abc import Iterable

import click

from melodylab.cli.app import _complain, _say, main

TASKS = ("melody", "separation", "drums")


class MethodsCommand(click.Command):
    """A command whose help ends with the methods of its task."""

    task = "melody"

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the methods below the options.

        Parameters
        ----------
        ctx : Context
            Of the command.
        formatter : HelpFormatter
            Where to write.
        """
        rows = [(name, about) for name, about, _ in _rows(self.task)]
        with formatter.section("Methods"):
            formatter.write_dl(rows)


class SeparationCommand(MethodsCommand):
    """A command whose help ends with the methods that take a song apart."""

    task = "separation"


class DrumsCommand(MethodsCommand):
    """A command whose help ends with the methods for drums."""

    task = "drums"


def _rows(task):
    """[(name, line with range, paper)] of a task's methods."""
    from melodylab import methods

    found = methods.of_task(task).items()
    return [(name, _about(method), method.source) for name, method in found]


def _about(method):
    """Its line; the range of pitches in which it can be trusted; its paper."""
    if method.range_hz is None:
        return method.line
    return f"{method.line}; {method.range_hz[0]:.0f}-{method.range_hz[1]:.0f} Hz"


def checked(names: Iterable[str], task: str) -> list[str]:
    """The methods that were asked for, or the best; their weights are verified before any work.

    Parameters
    ----------
    names : iterable of str
        As they were given; what an alias stands for is said on standard error.
    task : str
        "melody", "separation" or "drums".

    Returns
    -------
    list of str
        The names by which results call them, each once.

    Raises
    ------
    InputError
        For a name that does not exist, offering one that is near, and for damaged weights.
    """
    from melodylab import methods

    wanted = list(names)
    found = [methods.find(name, task) for name in wanted or [methods.DEFAULT[task]]]
    for name, method in zip(wanted, found, strict=False):  # nothing wanted: the best
        if method.name != name:
            _complain(f"{name} is {method.name}")
    for method in found:
        method.verify()
    return list(dict.fromkeys(method.name for method in found))


@main.command("methods")
@click.option("--task", type=click.Choice(TASKS), help="Only the methods of this task.")
def list_methods(task):
    """List every method: its task, its name, what it is, its range of pitches, its paper.

    Outside its range (in Hz) a method cannot be trusted. "best" is what is taken where no method
    is asked for.
    """
    for one in TASKS if task is None else (task,):
        rows = _rows(one)
        width = max(len(name) for name, _, _ in rows)
        _say(one)
        for name, about, source in rows:
            _say(f"  {name:{width}}  {about} ({source})")

"""The program: how every command speaks, stops and is asked for.

Conventions: what a command made goes to standard output (paths of files, tables), everything else
to standard error, one line each, starting with "melodylab:". Exit status 0: all done; 1: `doctor`
found something wrong; 2: something given cannot be used (the other inputs are still worked on);
130: Ctrl-C. Files are complete or absent, an input is never written to, and what exists is not
overwritten without --force. What is slow to import is imported inside the command that needs it,
so that `melodylab --help` answers at once.
"""

import difflib
import sys
import warnings

import click
from tqdm import tqdm

from melodylab import __version__
from melodylab.errors import InputError


def _say(text, *, err=False):
    stream = sys.stderr if err else sys.stdout
    with tqdm.external_write_mode(stream):  # a progress bar steps aside
        click.echo(text, err=err)


def _complain(text):
    _say("melodylab: " + str(text).replace("\n", " "), err=True)


class _Commands(click.Group):
    """A group in which mistakes, warnings and Ctrl-C end as one line each, never a traceback."""

    def resolve_command(self, ctx, args):
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            meant = f"did you mean {near[0]}?" if near else "melodylab --help lists the commands"
            ctx.fail(f"there is no command {args[0]!r}; {meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # a name that the terminal cannot show must not stop the work
                stream.reconfigure(errors="backslashreplace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other libraries' remarks are for programmers
            warnings.filterwarnings("always", category=UserWarning, module=r"melodylab\b")
            warnings.showwarning = lambda message, *_: _complain(f"warning: {message}")
            try:
                return super().invoke(ctx)
            except InputError as error:
                _complain(error)
                ctx.exit(2)
            except PermissionError as error:  # of a folder that a path leads through
                _complain(
                    f"{error.filename} cannot be opened (permission denied); change its "
                    "permissions or choose another place"
                )
                ctx.exit(2)
            except KeyboardInterrupt:
                _complain("stopped; what was finished before is kept")
                ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="melodylab")
def main():
    """Find the melody in a song, take the song apart, and look inside while it happens."""

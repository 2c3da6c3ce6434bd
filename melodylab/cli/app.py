"""The commands: `melodylab lab`, `melody`, `separate`, `drums`, `evaluate`, `train`, `doctor`.

Conventions: what a command made goes to standard output (paths of files, tables), everything else to standard error, one
line each, starting with "melodylab:". Exit status 0: all done; 1: `doctor` found something wrong; 2: something given cannot
be used (the other inputs are still worked on); 130: Ctrl-C. Files are complete or absent, and an input is never written to.
What is slow to import is imported inside the command that needs it, so that `melodylab --help` answers at once.
"""

import contextlib
import dataclasses
import os
import sys
import warnings
from pathlib import Path

import click
from tqdm import tqdm

from melodylab import __version__, files
from melodylab.errors import InputError


def _say(text, *, err=False):
    stream = sys.stderr if err else sys.stdout
    with tqdm.external_write_mode(stream):  # a progress bar steps aside
        click.echo(text, err=err)


def _complain(text):
    _say("melodylab: " + str(text).replace("\n", " "), err=True)


class _Commands(click.Group):
    """A group in which mistakes, warnings and Ctrl-C end as one line each, never as a traceback."""

    def invoke(self, ctx):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(
                stream, "reconfigure"
            ):  # a name that the terminal cannot show must not stop the work
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
            except KeyboardInterrupt:
                _complain("stopped; what was finished before is kept")
                ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="melodylab")
def main():
    """Find the melody in a song, take the song apart, and look inside while it happens."""


# --- melody, separate -----------------------------------------------------------------------------

_audio_argument = click.argument("audio", nargs=-1, required=True)


_method_option = click.option(
    "--method",
    default="sfnmf",
    show_default=True,
    help="A name (an unknown one lists the choices); for melodies also weights of yours, for stems also unet+best, led by a melody.",
)


@main.command()
@_audio_argument
@_method_option
@click.option(
    "--out",
    metavar="FILE_OR_FOLDER",
    help="For one input a name with an ending is a file, else a folder.",
)
@click.option("--midi", is_flag=True, help="Write the notes as a MIDI file beside each CSV, too.")
def melody(audio, method, out, midi):
    """Find the melody of each AUDIO file and write it as CSV.

    One row a frame: time_s,f0_hz. Above 0 the pitch is sung, below 0 it is a guess where nothing is sung, 0 is no guess.
    Without --out the files go to the current folder as NAME.melody.csv; in a folder they are called NAME.csv.
    """
    from melodylab import api

    method = _checked_method(method, "melody")
    names = _unique_names(audio)
    as_file = out is not None and len(audio) == 1 and not _is_folder(out)

    def mixed_down(source):  # half the memory of stereo, and no method asks for more
        song = api.load_song(source)
        return api.Song.from_array(song.mono, song.sr, song.name)

    def work(source):
        if out is None:
            target = Path(f"{names[source]}.melody.csv")
        else:
            target = Path(out) if as_file else Path(out) / f"{names[source]}.csv"
        targets = [target, target.with_suffix(".mid")] if midi else [target]
        _refuse_early(targets, audio)
        found = api.extract_melody(mixed_down(source), method=method)
        found.to_csv(target)
        if midi:
            found.to_midi(targets[1])
        return targets

    _for_each(audio, work)


@main.command()
@_audio_argument
@_method_option
@click.option("--out", metavar="FOLDER", help="Several inputs get a folder each in it.")
def separate(audio, method, out):
    """Take each AUDIO file apart: melody.wav and accompaniment.wav, which together give the input back.

    32-bit float WAV at the input's rate, channels and length. Without --out they go to NAME-stems in the current folder.
    """
    from melodylab import api
    from melodylab.io import audio as sound

    method = _checked_method(method, "separation")
    names = _unique_names(audio)

    def work(source):
        if out is None:
            folder = Path(f"{names[source]}-stems")
        else:
            folder = Path(out) / names[source] if len(audio) > 1 else Path(out)
        targets = {stem: folder / f"{stem}.wav" for stem in ("melody", "accompaniment")}
        _refuse_early(targets.values(), audio)
        song = api.load_song(source)
        stems = api.separate(song, method=method)
        with contextlib.ExitStack() as both:  # no file gets its name before all are written
            for stem, target in targets.items():
                sound.write(
                    both.enter_context(files.complete_or_absent(target)), stems[stem], song.sr
                )
        return targets.values()

    _for_each(audio, work)


@main.command()
@_audio_argument
@click.option(
    "--method", default="drum-cnn", show_default=True, help="A name, or weights of yours."
)
@click.option("--out", metavar="FOLDER", help="Several inputs get a folder each in it.")
def drums(audio, method, out):
    """Take the drums of each AUDIO file apart: kick.wav, snare.wav, open_hihat.wav, closed_hihat.wav, toms.wav.

    32-bit float WAV at the input's rate, channels and length; together they give the input back. Beside them the hits: onsets.csv
    (time_s,class,velocity) and drums.mid. Without --out they go to NAME-drums in the current folder.
    """
    from melodylab import api
    from melodylab.io import audio as sound

    method = _checked_method(method, "drums")
    names = _unique_names(audio)

    def work(source):
        if out is None:
            folder = Path(f"{names[source]}-drums")
        else:
            folder = Path(out) / names[source] if len(audio) > 1 else Path(out)
        targets = {name: folder / f"{name}.wav" for name in api.DRUM_CLASSES} | {
            n: folder / n for n in ("onsets.csv", "drums.mid")
        }
        _refuse_early(targets.values(), audio)
        song = api.load_song(source)
        parts = api.separate_drums(song, method=method)
        with contextlib.ExitStack() as all_of_them:  # no file gets its name before all are written
            new = {
                name: all_of_them.enter_context(files.complete_or_absent(target))
                for name, target in targets.items()
            }
            for name in api.DRUM_CLASSES:
                sound.write(new[name], parts.stems[name], song.sr)
            parts.onsets.to_csv(new["onsets.csv"])
            parts.onsets.to_midi(new["drums.mid"])
        return targets.values()

    _for_each(audio, work)


def _for_each(sources, work):
    """`work(source)` returns the paths it wrote. What goes wrong with one source is told and the next one's turn comes."""
    failed = False
    for source in tqdm(
        dict.fromkeys(sources), unit="file", disable=len(sources) == 1 or not sys.stderr.isatty()
    ):
        try:
            written = work(source)
        except InputError as error:
            _complain(error if source in str(error) else f"{source}: {error}")
        except MemoryError:
            _complain(f"{source} needs more memory than there is; cut it into shorter files")
        except Exception as error:  # a fault of ours with one file must not cost the others
            _complain(
                f"{source}: {type(error).__name__}: {error}; this is a fault in melodylab, please report it"
            )
        else:
            for path in written:
                _say(click.format_filename(path))
            continue
        failed = True
    if failed:
        click.get_current_context().exit(2)


def _checked_method(name, task):
    """The name without alias, its weights verified before the first song is read; says what an alias stands for."""
    from melodylab import methods

    method = methods.find(name, task)
    if method.name != name:
        _say(f"{name}: {method.name}", err=True)
    method.verify()
    return method.name


def _unique_names(sources):
    """{source: name for its results}: the file's name without ending; -2, -3... where two inputs share one."""
    stems = {source: Path(source.removeprefix("librosa:")).stem for source in sources}
    originals, taken, names = {stem.casefold() for stem in stems.values()}, set(), {}
    for source, stem in stems.items():
        name, number = stem, 1
        while name.casefold() in taken or (number > 1 and name.casefold() in originals):
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names[source] = name
    return names


def _is_folder(out):
    return Path(out).is_dir() or out.endswith(("/", os.sep)) or not Path(out).suffix


def _refuse_early(targets, sources):
    """Raise InputError before minutes of work where a target is an input or its folder cannot be made."""
    for target in targets:
        for source in sources:
            if (
                os.path.exists(target)
                and os.path.exists(source)
                and os.path.samefile(target, source)
            ):
                raise InputError(
                    f"{source} is an input and would be overwritten; choose another place with --out"
                )
        ground = next(parent for parent in target.absolute().parents if os.path.exists(parent))
        if not ground.is_dir() or not os.access(ground, os.W_OK):
            reason = "may not be written to" if ground.is_dir() else "is not a folder"
            raise InputError(
                f"cannot write {target} ({ground} {reason}); choose another place with --out"
            )


# --- evaluate -------------------------------------------------------------------------------------


@main.command("evaluate")
@click.argument("folder")
@click.argument("more_methods", nargs=-1, metavar="")
@click.option(
    "--task",
    type=click.Choice(["melody", "separation", "drums"]),
    default="melody",
    show_default=True,
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME...",
    help="One or several. [default: sfnmf, for drums drum-cnn]",
)
@click.option("--out", metavar="TABLE.csv", help="Write the table to this file, too.")
@click.option(
    "--dask", metavar="ADDRESS", help="Score the songs on the Dask cluster at this address."
)
def evaluate_songs(folder, more_methods, task, methods, out, dask):
    """Score methods on every song of FOLDER: a row a song and method, then the means.

    FOLDER holds one folder a song: mix.wav (or .flac, .mp3...), melody2.csv or melody.csv, stems by name, onsets.csv or
    drums.csv.
    """
    from melodylab import evaluate as judge

    methods = dict.fromkeys(
        [*methods, *more_methods] or ["drum-cnn" if task == "drums" else "sfnmf"]
    )
    methods = dict.fromkeys(_checked_method(name, task) for name in methods)
    if out is not None:
        _refuse_early([Path(out)], [])
    where = os.path.abspath(folder) if dask else folder  # workers may stand elsewhere
    with judge.cluster(dask) if dask else contextlib.nullcontext():
        table = judge.evaluate_folder(where, task, list(methods), progress=sys.stderr.isatty())
    _say(str(dataclasses.replace(table, failures=())))
    if out is not None:
        table.to_csv(out)
    for line in table.failures:
        _complain(line)
    if table.failures:
        click.get_current_context().exit(2)

"""The commands: `melodylab lab`, `melody`, `separate`, `drums`, `evaluate`, `train`, `doctor`.

Conventions: what a command made goes to standard output (paths of files, tables), everything else to standard error, one
line each, starting with "melodylab:". Exit status 0: all done; 1: `doctor` found something wrong; 2: something given cannot
be used (the other inputs are still worked on); 130: Ctrl-C. Files are complete or absent, and an input is never written to.
What is slow to import is imported inside the command that needs it, so that `melodylab --help` answers at once.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import click
from tqdm import tqdm

from melodylab import __version__, files
from melodylab.files import InputError


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
            if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show must not stop the work
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


# --- melody, separate -------------------------------------------------------------------------------------------------

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
@click.option("--out", metavar="FILE_OR_FOLDER", help="For one input a name with an ending is a file, else a folder.")
@click.option("--midi", is_flag=True, help="Write the notes as a MIDI file beside each CSV, too.")
def melody(audio, method, out, midi):
    """Find the melody of each AUDIO file and write it as CSV.

    One row a frame: time_s,f0_hz. Above 0 the pitch is sung, below 0 it is a guess where nothing is sung, 0 is no guess.
    Without --out the files go to the current folder as NAME.melody.csv; in a folder they are called NAME.csv.
    """
    from melodylab import api

    method = _checked_melody_method(method)
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
    from melodylab import audio as sound

    _check_separation_method(method)
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
                sound.write(both.enter_context(files.complete_or_absent(target)), stems[stem], song.sr)
        return targets.values()

    _for_each(audio, work)


@main.command()
@_audio_argument
@click.option("--method", default="drum-cnn", show_default=True, help="A name, or weights of yours.")
@click.option("--out", metavar="FOLDER", help="Several inputs get a folder each in it.")
def drums(audio, method, out):
    """Take the drums of each AUDIO file apart: kick.wav, snare.wav, open_hihat.wav, closed_hihat.wav, toms.wav.

    32-bit float WAV at the input's rate, channels and length; together they give the input back. Beside them the hits: onsets.csv
    (time_s,class,velocity) and drums.mid. Without --out they go to NAME-drums in the current folder.
    """
    from melodylab import api
    from melodylab import audio as sound

    if not api.is_drum_method(method):
        _check_method(method, api.DRUM_METHODS)
    names = _unique_names(audio)

    def work(source):
        if out is None:
            folder = Path(f"{names[source]}-drums")
        else:
            folder = Path(out) / names[source] if len(audio) > 1 else Path(out)
        targets = {name: folder / f"{name}.wav" for name in api.DRUM_CLASSES} | {n: folder / n for n in ("onsets.csv", "drums.mid")}
        _refuse_early(targets.values(), audio)
        song = api.load_song(source)
        parts = api.separate_drums(song, method=method)
        with contextlib.ExitStack() as all_of_them:  # no file gets its name before all are written
            new = {name: all_of_them.enter_context(files.complete_or_absent(target)) for name, target in targets.items()}
            for name in api.DRUM_CLASSES:
                sound.write(new[name], parts.stems[name], song.sr)
            parts.onsets.to_csv(new["onsets.csv"])
            parts.onsets.to_midi(new["drums.mid"])
        return targets.values()

    _for_each(audio, work)


def _for_each(sources, work):
    """`work(source)` returns the paths it wrote. What goes wrong with one source is told and the next one's turn comes."""
    failed = False
    for source in tqdm(dict.fromkeys(sources), unit="file", disable=len(sources) == 1 or not sys.stderr.isatty()):
        try:
            written = work(source)
        except InputError as error:
            _complain(error if source in str(error) else f"{source}: {error}")
        except MemoryError:
            _complain(f"{source} needs more memory than there is; cut it into shorter files")
        except Exception as error:  # a fault of ours with one file must not cost the others
            _complain(f"{source}: {type(error).__name__}: {error}; this is a fault in melodylab, please report it")
        else:
            for path in written:
                _say(click.format_filename(path))
            continue
        failed = True
    if failed:
        click.get_current_context().exit(2)


def _check_method(name, choices):
    if name not in choices:
        raise click.BadParameter(f"{name!r} is not one of {', '.join(choices)}.", param_hint="--method")


def _check_separation_method(name):
    from melodylab import api

    own, _, leader = name.partition("+")
    _check_method(own, api.SEPARATION_METHODS)
    if leader:
        _checked_melody_method(leader)
    api.check_separation_method(name)


def _checked_melody_method(name):
    """The name without alias; says what an alias stands for."""
    from melodylab import api, weights

    if weights.resolved(name) != name:
        _say(f"{name}: {weights.resolved(name)}", err=True)
    if api.is_network(name):
        weights.verify(name)  # before the first song is read
    else:
        _check_method(name, api.METHODS)
    return weights.resolved(name)


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
            if os.path.exists(target) and os.path.exists(source) and os.path.samefile(target, source):
                raise InputError(f"{source} is an input and would be overwritten; choose another place with --out")
        ground = next(parent for parent in target.absolute().parents if os.path.exists(parent))
        if not ground.is_dir() or not os.access(ground, os.W_OK):
            reason = "may not be written to" if ground.is_dir() else "is not a folder"
            raise InputError(f"cannot write {target} ({ground} {reason}); choose another place with --out")


# --- evaluate ---------------------------------------------------------------------------------------------------------


@main.command("evaluate")
@click.argument("folder")
@click.argument("more_methods", nargs=-1, metavar="")
@click.option("--task", type=click.Choice(["melody", "separation", "drums"]), default="melody", show_default=True)
@click.option("--method", "methods", multiple=True, metavar="NAME...", help="One or several. [default: sfnmf, for drums drum-cnn]")
@click.option("--out", metavar="TABLE.csv", help="Write the table to this file, too.")
@click.option("--dask", metavar="ADDRESS", help="Score the songs on the Dask cluster at this address.")
def evaluate_songs(folder, more_methods, task, methods, out, dask):
    """Score methods on every song of FOLDER: a row a song and method, then the means.

    FOLDER holds one folder a song: mix.wav (or .flac, .mp3...), melody2.csv or melody.csv, stems by name, onsets.csv or
    drums.csv.
    """
    from melodylab import api
    from melodylab import evaluate as judge

    methods = dict.fromkeys([*methods, *more_methods] or ["drum-cnn" if task == "drums" else "sfnmf"])
    if task == "separation":
        for name in methods:
            _check_separation_method(name)
    elif task == "drums":
        for name in methods:
            if not api.is_drum_method(name):
                _check_method(name, api.DRUM_METHODS)
    else:
        methods = dict.fromkeys(_checked_melody_method(name) for name in methods)
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


# --- train ------------------------------------------------------------------------------------------------------------


@main.command("train")
@click.argument("recipe", metavar="RECIPE.toml")
@click.option("--out", metavar="FOLDER", required=True, help="A fresh folder for weights, card, log and checkpoints.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in FOLDER.")
@click.option("--validate", metavar="FOLDER", help="Songs as for `evaluate`. [default: synthetic songs, held out]")
@click.option("--device", default="auto", show_default=True, help="cpu, gpu, gpu:2 (two of them) or auto.")
@click.option("--features", metavar="FOLDER", help="Where the songs' features are kept; several runs may share them.")
@click.option("--dask", metavar="ADDRESS", help="Compute the songs' features on the Dask cluster at this address.")
def train_network(recipe, out, resume, validate, device, features, dask):
    """Train a network by RECIPE.toml on synthetic songs; write NAME.safetensors and its card NAME.json.

    \b
    [model]     name = "sf-crnn-1"
    [data]      seed, songs, mixes, seconds, and a table [data.ingredients]
    [training]  steps, batch_size, frames, learning_rate, schedule, precision, ...
    """
    from melodylab import train

    recipe = train.Recipe.read(recipe)

    def tell(entry):
        _complain(train.line(entry, recipe.training.steps))

    progress = sys.stderr.isatty()
    train.fit(
        recipe,
        out=out,
        validate=validate,
        resume=resume,
        device=device,
        features=features,
        dask=dask,
        on_validation=tell,
        progress=progress,
    )
    for ending in (".safetensors", ".json") if train.first_process() else ():
        _say(click.format_filename(Path(out) / f"{recipe.model}{ending}"))


# --- lab --------------------------------------------------------------------------------------------------------------

TOUR = "00_tour.ipynb"


@main.command()
@click.argument("folder", default="melodylab-notebooks")
@click.option("--solutions", is_flag=True, help="Copy the notebooks with solutions, too, into FOLDER/solutions.")
@click.option("--dated", is_flag=True, help="Add today's date to the folder's name: a fresh copy for each lesson.")
@click.option("--copy-only", is_flag=True, help="Copy and stop.")
@click.option("--app", is_flag=True, help="Open the tour as a page without code (Voila).")
def lab(folder, solutions, dated, copy_only, app):
    """Copy the notebooks into FOLDER (default melodylab-notebooks) and open JupyterLab on the tour.

    Copies what is missing and overwrites nothing: where you edited your copy, a newer edition comes beside it as
    NN_name.new.ipynb.
    """
    program = "voila" if app else "jupyterlab"
    if not copy_only and importlib.util.find_spec(program) is None:
        raise InputError(f'{program} is not installed; run: {sys.executable} -m pip install "melodylab[lab]"')
    shipped = notebooks_folder()
    if dated:
        folder = f"{folder.rstrip('/' + os.sep)}-{datetime.date.today().isoformat()}"
    folder = files.make_folder(folder)
    for part in [".", "solutions"] if solutions else ["."]:
        for notebook in sorted((shipped / part).glob("*.ipynb")):
            copy = _copy_beside(notebook, folder / part)
            if copy is not None:
                _say(click.format_filename(copy))
    if not copy_only:
        _open(program, folder)


def notebooks_folder():
    """Path of the notebooks: inside an installed package, or those of the checkout in an editable install."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_notebooks", package.parent / "notebooks"):
        if (folder / TOUR).is_file():
            return folder
    raise InputError("the notebooks did not come with this copy of melodylab; install it again from its repository")


def _copy_beside(notebook, folder):
    """Copy under the first free name of NN_name, NN_name.new, NN_name.new2...: its path, None where it is there already.

    A hidden record remembers which edition a folder has had, so that a copy that was edited brings no second one of the same.
    """
    record = folder / ".melodylab.json"
    had = _read_record(record)
    edition = hashlib.sha256(repr(_cells(notebook)).encode()).hexdigest()
    known = had.get(notebook.name) == edition
    for ending in ["", ".new", *(f".new{n}" for n in range(2, 1000))]:
        target = folder / f"{notebook.stem}{ending}.ipynb"
        if not target.exists():
            with files.complete_or_absent(target) as temporary:
                shutil.copyfile(notebook, temporary)
            _sign(target)
            break
        if known or _cells(target) == _cells(notebook):  # run or not, it is the same notebook
            target = None
            break
    if not known:
        with files.complete_or_absent(record) as temporary:
            temporary.write_text(json.dumps(had | {notebook.name: edition}, indent=1))
    return target


def _read_record(path):
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _cells(path):
    """What a notebook says, outputs left out; None for a file that is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sign(path):
    """Tell Jupyter that this copy is ours, so that its players and pictures show before the first run."""
    try:
        import nbformat
        from nbformat.sign import NotebookNotary
    except ImportError:  # copying works without the lab extra
        return
    with contextlib.suppress(OSError):  # no home to keep signatures in
        NotebookNotary().sign(nbformat.read(path, as_version=4))


def _open(program, folder):
    # containers and some class machines have no user but root; the server still asks for its token
    as_root = ["--allow-root"] if program == "jupyterlab" and getattr(os, "geteuid", lambda: 1)() == 0 else []
    # so that the address it prints leads to the tour as well, where no browser can be opened
    to_tour = [f"--LabApp.default_url=/lab/tree/{TOUR}"] if program == "jupyterlab" else []
    server = subprocess.Popen([sys.executable, "-m", program, TOUR, *to_tour, *as_root], cwd=folder)
    while True:
        try:
            status = server.wait()
            break
        except KeyboardInterrupt:  # reached the server, too, which asks whether to stop
            continue
    if status:
        raise InputError(f"{program} ended with status {status}; its own message stands above, melodylab doctor may help")


# --- doctor -----------------------------------------------------------------------------------------------------------


@main.command()
def doctor():
    """Check this installation: a mark or a sentence with the next step per line; status 1 if something is wrong."""
    fancy = "utf" in (sys.stdout.encoding or "").lower()
    marks = {True: "✓" if fancy else "+", False: "✗" if fancy else "!", None: "-"}
    wrong = False
    for good, text in _findings():
        _say(f"{marks[good]} {text}")
        wrong |= good is False
    if wrong:
        click.get_current_context().exit(1)


def _findings():
    """Yield (True, what was found), (False, what is wrong; next step) or (None, what is missing but not needed)."""
    pip = f"{sys.executable} -m pip install"
    yield True, f"melodylab {__version__}, Python {sys.version.split()[0]}"
    for name in "numpy scipy soundfile librosa torch safetensors mir_eval matplotlib ipywidgets pretty_midi joblib".split():
        try:
            module = importlib.import_module(name)
        except Exception as error:  # a broken library may raise anything
            yield False, f"{name} cannot be imported ({type(error).__name__}: {error}); run: {pip} --force-reinstall {name}"
            continue
        yield True, f"{name} {_version(name)}"
        if name == "soundfile":
            version, formats = module.__libsndfile_version__, module.available_formats()
            if "MP3" in formats:
                yield True, f"libsndfile {version} (reads WAV, FLAC, OGG, MP3, AIFF)"
            else:
                yield False, f"libsndfile {version} reads no MP3; run: {pip} --upgrade soundfile"
        if name == "torch":
            device = f"GPU {module.cuda.get_device_name()}" if module.cuda.is_available() else "no GPU, none is needed"
            yield True, f"torch counts to {module.arange(5).sum().item()}: {device}"
    yield from _widget_findings(pip)
    if shutil.which("ffmpeg"):
        yield True, "ffmpeg (for m4a, wma and video)"
    else:
        yield None, "ffmpeg is not installed; only m4a, wma and video need it"
    for program in ("jupyterlab", "jupytext", "voila"):
        version = _version(program)
        missing = f'{program} is not installed; run: {pip} "melodylab[lab]"'
        yield (True, f"{program} {version}") if version else (None, missing)
    try:
        folder = notebooks_folder()
        yield True, f"notebooks in {folder}: {', '.join(path.stem for path in sorted(folder.glob('*.ipynb')))}"
    except InputError as error:
        yield False, str(error)
    try:
        from melodylab import api
    except Exception as error:
        yield False, f"melodylab cannot be loaded ({type(error).__name__}: {error}); mend the lines above first"
    else:
        yield True, f"methods {', '.join(api.METHODS)}"
        yield from _weight_findings()


def _weight_findings():
    """One line for each pair of weights that came with this copy."""
    from melodylab import weights

    if not weights.names():
        yield None, "no trained weights in this copy; only networks need them, and melodylab train makes them"
    for name in weights.names():
        try:
            card = weights.verify(name)
        except InputError as error:
            yield False, str(error)
            continue
        size_mb = (weights.FOLDER / f"{name}.safetensors").stat().st_size / 1e6
        scores = card["scores"] if isinstance(card["scores"], dict) else {}
        told = "".join(f", {key} {scores[key]:.3f}" for key in ("OA", "RPA", "F") if isinstance(scores.get(key), float))
        yield True, f"weights of {name} present and verified: {size_mb:.1f} MB{told}"


def _widget_findings(pip):
    """ipywidgets names the versions of its two other halves; with another major version sliders stay blank."""
    for wanted in importlib.metadata.requires("ipywidgets") or [] if _version("ipywidgets") else []:
        match = re.match(r"(jupyterlab_widgets|widgetsnbextension)\D+(\d+)", wanted)
        if not match:
            continue
        name, major = match.groups()
        version = _version(name)
        if version and version.split(".")[0] == major:
            yield True, f"{name} {version} matches ipywidgets {_version('ipywidgets')}"
        else:
            found = f"is {version}" if version else "is missing"
            yield False, f"{name} {found} where ipywidgets needs {major}; run: {pip} --upgrade ipywidgets {name}"


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()

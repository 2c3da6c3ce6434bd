"""Several songs through one command: which they are, where results go, one after the other."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from tqdm import tqdm

from melodylab import files, progress
from melodylab.cli.app import _complain, _say
from melodylab.errors import InputError


def sources(audio: Iterable[str]) -> list[str]:
    """The songs that were asked for, each once: files as they are, of a folder all audio in it.

    Parameters
    ----------
    audio : iterable of str
        Paths of files and folders, "librosa:NAME".

    Returns
    -------
    list of str
        Without hidden files; a folder without audio stays, and is refused when its turn comes.
    """
    from melodylab.io.songs import AUDIO_ENDINGS

    found = []
    for one in audio:
        # a folder that may not be looked into is refused when its turn comes
        is_open = os.path.isdir(one) and os.access(one, os.R_OK | os.X_OK)
        inside = sorted(Path(one).iterdir()) if is_open else []
        sounds = [str(path) for path in inside if _is_audio(path, AUDIO_ENDINGS)]
        found += sounds or [one]
    return list(dict.fromkeys(found))


def _is_audio(path, endings):
    return path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file()


def unique_names(songs: Iterable[str]) -> dict[str, str]:
    """A name for the results of each song: the file's without ending.

    Parameters
    ----------
    songs : iterable of str
        Paths of the songs.

    Returns
    -------
    dict
        Path -> name; NAME-2, NAME-3... where two would share one.
    """
    paths = {source: Path(source.removeprefix("librosa:")) for source in songs}
    # "...wav" has the stem "..", which is a folder and no name
    stems = {s: path.stem if path.stem.strip(".") else "song" for s, path in paths.items()}
    originals, taken, names = {stem.casefold() for stem in stems.values()}, set(), {}
    for source, stem in stems.items():
        name, number = stem, 1
        while name.casefold() in taken or (number > 1 and name.casefold() in originals):
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names[source] = name
    return names


def labels(methods: Iterable[str]) -> dict[str, str]:
    """How file names call methods: by name, one's own weights by theirs.

    Parameters
    ----------
    methods : iterable of str
        Names, and paths of weights.

    Returns
    -------
    dict
        Method -> what stands in file names.
    """
    named = {method: Path(method.rstrip("/" + os.sep)).name for method in methods}
    short = {m: n.removesuffix(".safetensors").removesuffix(".json") for m, n in named.items()}
    return dict(zip(short, unique_names_of(short.values()), strict=True))


def unique_names_of(names: Iterable[str]) -> list[str]:
    """Names of which no two are the same.

    Parameters
    ----------
    names : iterable of str
        What they are called.

    Returns
    -------
    list of str
        As many; NAME-2, NAME-3... where two share one.
    """
    made: list[str] = []
    for name in names:
        number, free = 1, name
        while free in made:
            number += 1
            free = f"{name}-{number}"
        made.append(free)
    return made


def is_folder(out: str) -> bool:
    """Whether what was given as --out means a folder.

    Parameters
    ----------
    out : str
        As it was given.

    Returns
    -------
    bool
        For a folder that is there, a name that ends with a slash, and one without an ending.
    """
    return os.path.isdir(out) or out.endswith(("/", os.sep)) or not Path(out).suffix


def refuse_early(targets: Iterable[Path], songs: Iterable[str], force: bool) -> None:
    """Refuse what would be lost or could not be written, before minutes of work.

    Parameters
    ----------
    targets : iterable of Path
        The files to write.
    songs : iterable of str
        The inputs.
    force : bool
        Whether files that are no inputs may be overwritten.

    Raises
    ------
    InputError
        Where a target is an input, is there already, cannot be made or has too long a name.
    """
    targets, songs = list(targets), [song for song in songs if os.path.exists(song)]
    for target in targets:
        for song in songs:
            if os.path.exists(target) and os.path.samefile(target, song):
                raise InputError(
                    f"{song} is an input and would be overwritten; choose another place with --out"
                )
        ground = next(parent for parent in target.absolute().parents if os.path.exists(parent))
        if not ground.is_dir() or not os.access(ground, os.W_OK):
            reason = "may not be written to" if ground.is_dir() else "is not a folder"
            raise InputError(
                f"cannot write {target} ({ground} {reason}); choose another place with --out"
            )
    files.refuse_existing(targets, force)


def for_each(
    songs: list[str],
    targets_of: Callable[[str], list[Path]],
    work: Callable[[str], Iterable[Path]],
    force: bool,
) -> None:
    """Work on the songs one by one; what goes wrong with one is told and costs no other.

    Parameters
    ----------
    songs : list of str
        As `sources` gives them.
    targets_of : callable
        Song -> the files that its work writes. All are asked before any work begins.
    work : callable
        Song -> the files that it wrote.
    force : bool
        Whether files that exist may be overwritten.
    """
    good = [song for song in songs if _refused(song, songs, targets_of, force) is None]
    failed = len(good) < len(songs)
    for number, song in enumerate(good, 1):
        try:
            with _shown(f"[{number}/{len(good)}] {song}" if len(good) > 1 else song):
                written = list(work(song))
        except InputError as error:
            _complain(_named(error, song))
        except MemoryError:
            _complain(f"{song} needs more memory than there is; cut it into shorter files")
        except Exception as error:  # a fault of ours with one file must not cost the others
            _complain(
                f"{song}: {type(error).__name__}: {error}; this is a fault in melodylab, "
                "please report it"
            )
        else:
            for path in written:
                _say(click.format_filename(path))
            continue
        failed = True
    if failed:
        click.get_current_context().exit(2)


def _refused(song, songs, targets_of, force):
    """Say why a song's results cannot be written; None where they can."""
    try:
        return refuse_early(targets_of(song), songs, force)
    except InputError as error:
        _complain(_named(error, song))
        return error


def _named(error, song):
    return str(error) if song in str(error) else f"{song}: {error}"


class _shown:
    """While a song is worked on, show on a terminal how far it is."""

    def __init__(self, name):
        self.name, self.bar = name, None

    def __enter__(self):
        self.bar = tqdm(
            desc=self.name,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}% {elapsed}",
            total=1,
            disable=not sys.stderr.isatty(),
        )
        self.context = progress.told_to(self.tell)
        self.context.__enter__()

    def tell(self, what, done, total):
        self.bar.set_description_str(f"{self.name}: {what}", refresh=False)
        self.bar.total, self.bar.n = total, done
        self.bar.refresh()

    def __exit__(self, *error):
        self.context.__exit__(*error)
        self.bar.close()

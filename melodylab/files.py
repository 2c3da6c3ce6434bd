"""Files that are complete or absent, and never overwritten unasked.

Conventions: whoever writes a file writes it through `complete_or_absent`; a command asks
`refuse_existing` before it begins. Whoever meets something only the user can mend raises
`InputError` with one sentence: what is wrong, and the next step.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from melodylab.errors import InputError


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Create a folder with its parents.

    Parameters
    ----------
    folder : str or path
        The folder; it may be there already.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        Where a file is in the way or the place cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the folder {folder} ({_reason(error)}); choose another place"
        ) from None
    return folder


def refuse_existing(paths: Iterable[str | os.PathLike[str]], force: bool = False) -> None:
    """Refuse results that would replace a file or could not be written, before the work begins.

    Parameters
    ----------
    paths : iterable of str or path
        The files that are going to be written.
    force : bool
        Files that exist may be replaced; folders and impossible names are refused all the same.

    Raises
    ------
    InputError
        Names the first such file, how many more there are, and `--force`.
    """
    there = []
    for path in map(Path, paths):
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            raise InputError(f"cannot write {path}: it is {_kind(mode)}; give a file name")
        if mode is not None and not force:
            there.append(path)
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise InputError(
            f"{there[0]}{more} is there already; choose another place with --out, "
            "or overwrite it with --force"
        )


@contextlib.contextmanager
def complete_or_absent(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it on success, remove it on any failure.

    An old file survives a failure (Ctrl-C, a full disk, a power cut) untouched; a new one that
    takes its place keeps its permissions. A link stays a link: what it points at is replaced.

    Parameters
    ----------
    path : str or path
        The file to write; missing folders are made.

    Yields
    ------
    Path
        Where to write, with the same suffix, in the folder of the file.

    Raises
    ------
    InputError
        If the place cannot be written, the disk is full, or something other than a file is there.
    """
    path = Path(path)
    mode = _mode(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    make_folder(target.parent)
    if mode is not None and not stat.S_ISREG(mode):  # renaming onto a device would replace it
        raise InputError(f"cannot write {path}: it is {_kind(mode)}; give a file name")
    suffix = target.suffix if len(target.suffix) < 16 else ""
    temporary = target.parent / f".melodylab-{secrets.token_hex(8)}{suffix}"
    try:
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # 0o666: the system itself takes the umask away, so that no other thread's files are touched
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise InputError(f"cannot write {path} ({_reason(error)}); choose another place") from None
    try:
        yield temporary
        _flush(temporary)  # else a power cut could leave the new name on an empty file
        os.replace(temporary, target)
        if os.name != "nt":  # Windows opens no folders
            _flush(target.parent)
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({_reason(error)}); free some space or choose another place"
        ) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _flush(path: Path) -> None:
    """Wait until a file or a folder lies on the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot
            raise
    finally:
        os.close(handle)


def _mode(path: Path) -> int | None:
    """What `stat` says of a file, links followed; None where nothing is there."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(
                f"the name {path.name[:40]}... is too long for this disk; "
                "give a shorter one with --out"
            ) from None
        raise InputError(f"cannot write {path} ({_reason(error)}); choose another place") from None


def _kind(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "no regular file"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()

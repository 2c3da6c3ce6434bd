"""Files that are complete or absent, and the one exception a user is meant to read.

Conventions: whoever writes a file writes it through `complete_or_absent`. Whoever meets something only the user can mend
raises `InputError` with one sentence: what is wrong, and the next step.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from melodylab.errors import InputError


def make_folder(folder):
    """Create `folder` (and parents); return it as a `Path`. Raises InputError where a file is in the way."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the folder {folder} ({_reason(error)}); choose another place"
        ) from None
    return folder


@contextlib.contextmanager
def complete_or_absent(path):
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure (Ctrl-C included).

    An old file at `path` survives a failure untouched. Raises InputError if the place cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    if os.path.exists(path) and not os.path.isfile(
        path
    ):  # renaming onto a device would replace the device
        kind = "a folder" if os.path.isdir(path) else "no regular file"
        raise InputError(f"cannot write {path}: it is {kind}; give a file name")
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=".melodylab-", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise InputError(f"cannot write {path} ({_reason(error)}); choose another place") from None
    os.close(handle)
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(
        temporary, 0o666 & ~umask
    )  # mkstemp makes private files; a result is as readable as any other
    try:
        yield Path(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({_reason(error)}); free some space or choose another place"
        ) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _reason(error):
    return (error.strerror or str(error)).lower()

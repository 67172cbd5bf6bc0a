"""Writing a file so that nobody ever meets a part of it."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

StrPath = str | os.PathLike[str]


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Give a temporary file that takes the place of `path` only when all has gone well.

    The temporary file lies in the same folder. At the end of the block it is flushed to the disk
    and renamed over `path`; if the block raises anything (a full disk, KeyboardInterrupt) it is
    removed and the old `path` is as it was. Whoever reads `path` meets the old or the new file,
    never a part of one. A process that is killed may leave ``.graphembed-*.tmp`` behind.

    Parameters
    ----------
    path : str or path-like
        The file to be written; a symbolic link is followed. An existing file keeps its mode.

    Yields
    ------
    pathlib.Path
        The temporary file: exists, is empty, and is to be opened and closed within the block.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist; raised before the block runs.
    IsADirectoryError
        If `path` is a folder.
    PermissionError
        If the file or its folder may not be written.
    OSError
        If `path` is something else than a regular file, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    mode = _check_target(target)
    temporary = target.parent / f".graphembed-{secrets.token_hex(8)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    try:
        os.close(descriptor)
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        _sync(temporary)
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(target)  # "No space left on device" says where
        raise
    if os.name == "posix":
        _sync(target.parent)


def _check_target(target: Path) -> int | None:
    """Refuse what cannot be written before any work; return the mode of an existing file."""
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder to write into does not exist, create it first", str(target)
        )
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "only a regular file can be replaced", str(target))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return stat.S_IMODE(mode)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; their rename is as safe as it gets.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)

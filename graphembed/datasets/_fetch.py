"""Finding a file of a dataset: data folder, user cache, download.

Every byte that a loader gets has passed the sha256 of the registry: a file is opened once, hashed,
and handed over from the same handle.
"""

import hashlib
import os
import sys
from pathlib import Path

from graphembed._validation import boolean, check_params
from graphembed.datasets._download import download_file
from graphembed.datasets._registry import Entry, RemoteFile
from graphembed.exceptions import DatasetNotFoundError, FileFormatError

DATA_VARIABLE = "GRAPHEMBED_DATA"
CACHE_VARIABLE = "GRAPHEMBED_CACHE"


def fetch(entry: Entry, *, download: bool = True) -> dict[str, bytes]:
    """Give the contents of all files of a dataset, by file name, checked against the registry."""
    check_params({"download": download}, {"download": boolean()})
    return {Path(file.path).name: fetch_file(file, download=download) for file in entry.files}


def fetch_file(file: RemoteFile, *, download: bool = True) -> bytes:
    """Give the contents of one file, from where it is found first."""
    data = data_dir()
    cached = cache_dir() / file.path
    places = (cached,) if data is None else (data / file.path, cached)
    for path in places:
        if path.is_file():
            return _read_checked(path, file)
    if not download:
        looked = " nor ".join(repr(str(path)) for path in places)
        raise DatasetNotFoundError(
            f"{file.path} is not on this machine (there is no {looked}), and download=False: "
            f"{by_hand(file, cached)}"
        )
    download_file(file, cached, hint=by_hand(file, cached))
    return _read_checked(cached, file)


def by_hand(file: RemoteFile, cached: Path) -> str:
    """Tell how to provide a file without a download."""
    return (
        f"get it from {file.url} and put it at {str(cached)!r}, or set {DATA_VARIABLE} "
        f"to a folder that holds {file.path}"
    )


def data_dir() -> Path | None:
    """Folder named by GRAPHEMBED_DATA, or None."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_dir():
        raise DatasetNotFoundError(
            f"{DATA_VARIABLE} must name a folder, got {value!r}: correct it or unset it"
        )
    return path


def cache_dir() -> Path:
    """Folder for downloads: GRAPHEMBED_CACHE, or what the platform has for such files."""
    value = os.environ.get(CACHE_VARIABLE)
    if value:
        return Path(value).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if Path(xdg).is_absolute():  # the XDG rules say to ignore a relative one
        return Path(xdg) / "graphembed"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "graphembed"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "graphembed"
    return Path.home() / ".cache" / "graphembed"


def _read_checked(path: Path, file: RemoteFile) -> bytes:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.sha256:
            raise FileFormatError(
                f"{str(path)!r} is not the file of the registry: sha256 is {found}, expected "
                f"{file.sha256}; remove it, or get it again from {file.url}"
            )
        stream.seek(0)
        return stream.read()

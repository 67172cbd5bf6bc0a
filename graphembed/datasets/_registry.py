"""The registry of datasets: names, addresses, sizes, hashes, licences, citations."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True)
class RemoteFile:
    """A file of a dataset: where it lies, where it comes from, and what it must be."""

    path: str
    url: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if not _stays_inside(self.path):
            raise ValueError(f"path must stay inside the data folder, got {self.path!r}")
        if not self.url.startswith("https://"):
            raise ValueError(f"url must begin with https://, got {self.url!r}")
        if self.size <= 0:
            raise ValueError(f"size must be > 0, got {self.size!r}")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 must be 64 lower-case hex digits, got {self.sha256!r}")


@dataclass(frozen=True)
class Entry:
    """What the registry says about one dataset; `files` is empty where nothing is downloaded."""

    name: str
    description: str
    licence: str
    citation: str
    files: tuple[RemoteFile, ...] = ()


@cache
def registry() -> Mapping[str, Entry]:
    """Read the registry once."""
    text = files("graphembed.datasets").joinpath("registry.toml").read_text(encoding="utf-8")
    return parse_registry(text)


def parse_registry(text: str) -> Mapping[str, Entry]:
    """Turn the text of a registry into entries, in its order."""
    entries = {}
    for name, fields in tomllib.loads(text).items():
        remote = tuple(RemoteFile(**item) for item in fields.pop("files", ()))
        entries[name] = Entry(name=name, files=remote, **fields)
    return MappingProxyType(entries)


def _stays_inside(path: str) -> bool:
    """True for a plain relative path: no root, drive, ``..``, backslash or empty part."""
    parts = path.split("/")  # a leading slash makes an empty part
    return not re.search(r"[\\:\0]", path) and all(part not in ("", ".", "..") for part in parts)

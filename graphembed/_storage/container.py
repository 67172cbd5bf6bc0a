"""The file format of saved graphs and models: a JSON header, raw arrays, checksums, no pickle.

Layout (all integers little-endian)::

    8 bytes    magic: 89 "GEMB" 0D 0A 1A (the odd bytes betray a transfer in text mode)
    8 bytes    uint64 length of the header
    header     JSON: {"content": {...}, "content_sha256": hex, "data_sha256": hex}
    zeros      up to the next multiple of 64: here the data begin
    data       raw arrays in C order, each at a multiple of 64 bytes from the beginning of the data

``content`` holds ``format`` (version), ``kind``, ``graphembed`` (version of the writer), ``meta``,
``arrays`` (name -> dtype, shape, offset into the data) and ``data_size``. ``content_sha256`` is
taken over the JSON text of ``content``, ``data_sha256`` over every byte behind the header, and the
header must be spelled exactly as it is written here: so no bit of a file can change unnoticed.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from math import prod
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import numpy as np

from graphembed._storage.atomic import StrPath, atomic_path
from graphembed._storage.ids import dump_json, load_json
from graphembed._version import __version__
from graphembed.exceptions import FileFormatError

MAGIC = b"\x89GEMB\r\n\x1a"
FORMAT_VERSION = 1
MAX_HEADER = 100_000_000
ALIGNMENT = 64

_PREFIX = len(MAGIC) + 8
_CHUNK = 1 << 22  # bytes hashed and moved at a time; between two chunks Ctrl-C gets through
_MAX_BYTES = 2**63 - 1
_MAX_DIMS = 32  # what every supported numpy can hold
_DTYPES = frozenset(
    ["bool"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    + [f"float{bits}" for bits in (16, 32, 64)]
)


@dataclass(frozen=True)
class _Slot:
    """Where one array lies in the data."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def end(self) -> int:
        return self.offset + prod(self.shape) * self.dtype.itemsize

    def as_json(self) -> dict[str, Any]:
        return {"dtype": self.dtype.name, "shape": list(self.shape), "offset": self.offset}


def write_arrays(
    path: StrPath, *, kind: str, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write named arrays and a JSON-able mapping to one file, atomically.

    Parameters
    ----------
    path : str or path-like
        The file; an old one is replaced only when the new one is complete on the disk.
    kind : str
        What the file holds, such as ``"graph"``; `read_arrays` asks for the same word.
    meta : mapping of str
        Whatever JSON gives back unchanged: str keys, lists, str, bool, int, finite float, None.
    arrays : mapping of str to ndarray
        Arrays of bool, int8 ... int64, uint8 ... uint64, float16, float32 or float64, of any
        memory layout and byte order.

    Raises
    ------
    TypeError
        If an array has another dtype or `meta` holds what JSON does not know.
    ValueError
        If JSON would change `meta`, or the header would exceed 100 MB.
    OSError
        If the file cannot be written; see `atomic_path`.

    Notes
    -----
    One pass over the arrays in pieces of 4 MB: no copy of an array is made, whatever its layout.
    """
    checked = {name: _check_array(name, array) for name, array in arrays.items()}
    slots, data_size = _lay_out(checked)
    content = {
        "format": FORMAT_VERSION,
        "kind": kind,
        "graphembed": __version__,
        "meta": _check_meta(meta),
        "arrays": {slot.name: slot.as_json() for slot in slots},
        "data_size": data_size,
    }
    header = _header_bytes(content, hashlib.sha256().hexdigest())
    if len(header) > MAX_HEADER:
        raise ValueError(
            f"the header would have {len(header)} bytes, the limit is {MAX_HEADER}: "
            "put large values into arrays, not into meta"
        )
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(MAGIC + len(header).to_bytes(8, "little") + header)
        digest = hashlib.sha256()
        _write_data(file, slots, checked, digest)
        file.seek(_PREFIX)  # the digest is known only now; the header's length stays the same
        file.write(_header_bytes(content, digest.hexdigest()))


def _check_array(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.name not in _DTYPES:
        raise TypeError(
            f"array {name!r} must be of bool, an integer or a float of at most 64 bits, "
            f"got dtype {array.dtype}"
        )
    return array


def _check_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(meta)
    try:
        back = load_json(dump_json(plain))
    except (TypeError, ValueError) as error:
        raise type(error)(f"meta must be JSON: {error}") from error
    if back != plain:
        raise ValueError(f"JSON would change meta, use str keys and lists only, got {plain!r}")
    return plain


def _header_bytes(content: Mapping[str, Any], data_sha256: str) -> bytes:
    content_sha256 = hashlib.sha256(dump_json(content)).hexdigest()
    return dump_json(
        {"content": content, "content_sha256": content_sha256, "data_sha256": data_sha256}
    )


def _align(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def _lay_out(arrays: Mapping[str, np.ndarray]) -> tuple[list[_Slot], int]:
    slots: list[_Slot] = []
    end = 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        slots.append(_Slot(name, dtype, array.shape, _align(end)))
        end = slots[-1].end
    return slots, end


def _write_data(
    file: BufferedWriter, slots: Sequence[_Slot], arrays: Mapping[str, np.ndarray], digest: Any
) -> None:
    start = _align(file.tell())
    _write_piece(file, bytes(start - file.tell()), digest)
    for slot in slots:
        # nditer hands out C-ordered little-endian pieces, and copies only where it must.
        pieces = np.nditer(  # type: ignore[call-overload]  # numpy's stub misspells "contig"
            arrays[slot.name],
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=[["readonly", "contig"]],
            op_dtypes=[slot.dtype],
            order="C",
            casting="equiv",
            buffersize=_CHUNK // slot.dtype.itemsize,
        )
        _write_piece(file, bytes(start + slot.offset - file.tell()), digest)
        if slot.end > slot.offset:
            for piece in pieces:
                _write_piece(file, np.asarray(piece).view(np.uint8).data, digest)


def _write_piece(file: BufferedWriter, piece: bytes | memoryview, digest: Any) -> None:
    file.write(piece)
    digest.update(piece)


def read_arrays(
    path: StrPath, *, kind: str, mmap: bool = False, verify: bool = True
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file of `write_arrays`. Nothing in the file is ever executed.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : str
        What it must hold, such as ``"graph"``.
    mmap : bool, default=False
        Map the file instead of reading it: arrays are read-only and their pages are loaded on
        first use. The file must not be overwritten in place while they live (`write_arrays`
        never does: it puts a new file in the place of the old one).
    verify : bool, default=True
        Compare the checksum of the data. False still checks the header's checksum and every
        size, but a flipped bit in an array goes unnoticed.

    Returns
    -------
    meta : dict
        The mapping that was saved.
    arrays : dict of str to ndarray
        The arrays, C-contiguous, in native byte order, aligned to 64 bytes when mapped.

    Raises
    ------
    FileFormatError
        If the file is foreign, damaged, of another kind or of a newer format.
    OSError
        If the file cannot be read.

    Notes
    -----
    One pass over the file; with ``mmap=True, verify=True`` the whole file is read once for its
    checksum (in pieces of 4 MB), with ``mmap=True, verify=False`` the header only. Memory is
    allocated only after every size has been held against the length of the file.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        raw = _read_header(path, file, size)
        header = _parse_header(path, raw)
        content = header["content"]
        if content.get("kind") != kind:
            _fail(path, f"expected a {kind}, this file holds a {content.get('kind')!s:.50}")
        start = _align(_PREFIX + len(raw))
        slots = _parse_slots(path, content, size - start)
        digest = hashlib.sha256() if verify else None
        if mmap:
            if verify:
                _digest_rest(file, digest)
            arrays = _map_arrays(file, size, start, slots)
        else:
            arrays = _load_arrays(path, file, start, slots, digest)
    if digest is not None:
        if digest.hexdigest() != header["data_sha256"]:
            _fail(path, "checksum mismatch: the arrays were damaged after they were written")
        _check_bools(path, arrays)
    return content["meta"], {name: _native(array) for name, array in arrays.items()}


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _fail(path: Path, defect: str) -> NoReturn:
    raise FileFormatError(f"{path}: {defect}")


def _read_header(path: Path, file: BufferedReader, size: int) -> bytes:
    prefix = file.read(_PREFIX)
    if not MAGIC.startswith(prefix[: len(MAGIC)]):
        _fail(path, "not a graphembed file (wrong magic bytes)")
    if len(prefix) < _PREFIX:
        _fail(path, f"too short to be a graphembed file ({size} bytes)")
    length = int.from_bytes(prefix[len(MAGIC) :], "little")
    if length > MAX_HEADER:
        _fail(path, f"header too large: {length} bytes, the limit is {MAX_HEADER}")
    if length > size - _PREFIX:
        _fail(path, f"truncated: a header of {length} bytes in a file of {size} bytes")
    raw = file.read(length)
    if len(raw) != length:
        _fail(path, "truncated while it was read")
    return raw


def _parse_header(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = load_json(raw)
    except ValueError as error:
        raise FileFormatError(f"{path}: the header is not JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(content := header.get("content"), dict):
        _fail(path, "the header has no 'content'")
    version = content.get("format")
    if type(version) is not int or version < 1:
        _fail(path, f"unknown format version {version!r}")
    if version > FORMAT_VERSION:
        _fail(
            path,
            f"format version {version}, written by graphembed {content.get('graphembed')!s:.50}; "
            f"this graphembed {__version__} reads versions up to {FORMAT_VERSION}: upgrade it",
        )
    if not isinstance(header.get("data_sha256"), str) or raw != _spelled(header, content):
        _fail(path, "checksum mismatch: the header was damaged after it was written")
    if not isinstance(content.get("meta"), dict):
        _fail(path, "the header has no 'meta'")
    return header


def _spelled(header: Mapping[str, Any], content: Mapping[str, Any]) -> bytes | None:
    """Spell the header as `write_arrays` does, content checksum included."""
    try:
        return _header_bytes(content, header.get("data_sha256", ""))
    except (ValueError, RecursionError):  # NaN, which json reads but we do not write
        return None


def _parse_slots(path: Path, content: Mapping[str, Any], available: int) -> list[_Slot]:
    entries, data_size = content.get("arrays"), content.get("data_size")
    if not isinstance(entries, dict) or not _is_size(data_size):
        _fail(path, "the header has no 'arrays' and 'data_size'")
    if available < data_size:
        _fail(path, f"truncated: {data_size - available} bytes are missing at the end")
    if available > data_size:
        _fail(path, f"{available - data_size} bytes too many at the end")
    slots = [_parse_slot(path, name, entry, data_size) for name, entry in entries.items()]
    end = 0
    for slot in sorted(slots, key=lambda slot: (slot.offset, slot.end)):
        if slot.offset < end:
            _fail(path, f"array {slot.name!r} overlaps another one")
        end = slot.end
    return slots


def _parse_slot(path: Path, name: str, entry: Any, data_size: int) -> _Slot:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "offset"}:
        _fail(path, f"array {name!r} must have dtype, shape and offset, has {entry!r:.200}")
    dtype, shape, offset = entry["dtype"], entry["shape"], entry["offset"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _fail(path, f"array {name!r} has dtype {dtype!r:.200}, which is not allowed")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMS or not all(map(_is_size, shape)):
        _fail(path, f"array {name!r} has no valid shape: {shape!r:.200}")
    if not _is_size(offset) or offset % ALIGNMENT:
        _fail(path, f"array {name!r} has offset {offset!r:.200}, not a multiple of {ALIGNMENT}")
    slot = _Slot(name, np.dtype(dtype).newbyteorder("<"), tuple(shape), offset)
    # Zeros count as ones here: numpy multiplies the lengths of empty arrays, too.
    if prod(max(length, 1) for length in shape) * slot.dtype.itemsize > _MAX_BYTES:
        _fail(path, f"array {name!r} of shape {shape!r:.200} is larger than any memory")
    if slot.end > data_size:
        _fail(path, f"array {name!r} is out of bounds: ends at {slot.end} of {data_size} bytes")
    return slot


def _is_size(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MAX_BYTES


def _load_arrays(
    path: Path, file: BufferedReader, start: int, slots: Sequence[_Slot], digest: Any
) -> dict[str, np.ndarray]:
    arrays = {slot.name: np.empty(slot.shape, slot.dtype) for slot in slots}
    for slot in sorted(slots, key=lambda slot: (slot.offset, slot.end)):
        _digest_rest(file, digest, start + slot.offset)
        target = arrays[slot.name].reshape(-1).view(np.uint8)
        for at in range(0, target.size, _CHUNK):
            piece = target[at : at + _CHUNK]
            if file.readinto(piece.data) != piece.size:
                _fail(path, "truncated while it was read")
            if digest is not None:
                digest.update(piece)
    _digest_rest(file, digest)
    return arrays


def _digest_rest(file: BufferedReader, digest: Any, until: int | None = None) -> None:
    """Read on to the position `until`, or to the end of the file, for the checksum only."""
    if digest is None:
        if until is not None:
            file.seek(until)
        return
    while chunk := file.read(_CHUNK if until is None else min(_CHUNK, until - file.tell())):
        digest.update(chunk)


def _map_arrays(
    file: BufferedReader, size: int, start: int, slots: Sequence[_Slot]
) -> dict[str, np.ndarray]:
    data = np.asarray(np.memmap(file, np.uint8, "r", shape=(size,)))
    return {
        slot.name: data[start + slot.offset : start + slot.end].view(slot.dtype).reshape(slot.shape)
        for slot in slots
    }


def _check_bools(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
            _fail(path, f"array {name!r} is bool but holds other bytes than 0 and 1")

"""The formats of word2vec, text and binary, and the checks that every text format shares."""

import os
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from graphembed._storage import StrPath, atomic_path
from graphembed.exceptions import FileFormatError

NodeIds = np.ndarray | Sequence[Any]
DIGITS = {2: "%.5g", 4: "%.9g", 8: "%.17g"}  # by item size: enough for an exact round trip

_BLOCK = 1 << 20  # values formatted at a time
_READ = 1 << 22  # bytes read at a time


def write_word2vec(
    path: StrPath, node_ids: NodeIds, embedding: np.ndarray, *, binary: bool = False
) -> None:
    r"""Write an embedding in the format of word2vec, which gensim and many others read.

    The first line is ``"n_nodes n_components\n"``. A text line is ``"id v1 ... vd\n"``; a binary
    record is the id, a space and the little-endian float32 values, without a line end.

    Parameters
    ----------
    path : str or path-like
        The file.
    node_ids : ndarray or sequence of length n_nodes
        Written as ``str(id)``; the format holds no types.
    embedding : ndarray of shape (n_nodes, n_components)
        Floats; written as float32, which comes back exactly from both formats.
    binary : bool, default=False
        Write the binary format: smaller, and several times faster to write and read.

    Raises
    ------
    ValueError
        If an id is empty, holds whitespace, or reads like another id; if the shapes do not match.
    OSError
        If the file cannot be written.

    Notes
    -----
    O(n_nodes * n_components) time; memory for the ids as str and a block of values.
    """
    with atomic_path(path) as temporary:
        table = check_embedding(node_ids, embedding)
        words = as_words(node_ids)
        rows = rows_per_block(table)
        line = "%s " + " ".join([DIGITS[4]] * table.shape[1]) + "\n"
        with temporary.open("wb") as file:
            file.write(b"%d %d\n" % table.shape)
            for low in range(0, len(words), rows):
                block = table[low : low + rows].astype("<f4", copy=False)
                pairs = zip(words[low : low + rows], block, strict=True)
                if binary:
                    file.writelines(word.encode() + b" " + row.tobytes() for word, row in pairs)
                else:
                    file.writelines((line % (word, *row.tolist())).encode() for word, row in pairs)


def check_embedding(node_ids: NodeIds, embedding: np.ndarray) -> np.ndarray:
    """Refuse what is not a table of floats with a row per node id."""
    table = np.asarray(embedding)
    if table.dtype.kind != "f" or table.dtype.itemsize not in DIGITS:
        raise TypeError(f"embedding must be float16, float32 or float64, got {table.dtype}")
    if table.ndim != 2 or table.size == 0:
        raise ValueError(
            f"embedding must have shape (n_nodes, n_components), both >= 1, got {table.shape}"
        )
    if len(node_ids) != len(table):
        raise ValueError(
            f"embedding must have {len(node_ids)} rows like node_ids, got {len(table)}"
        )
    return table


def rows_per_block(table: np.ndarray) -> int:
    """Count the rows whose values are formatted at a time."""
    return max(1, _BLOCK // int(table.shape[1]))


def as_values(node_ids: NodeIds) -> list[Any]:
    """List the ids as Python values."""
    return node_ids.tolist() if isinstance(node_ids, np.ndarray) else list(node_ids)


def as_texts(node_ids: NodeIds) -> list[str]:
    """Spell every id as str; raise where two ids would become one or UTF-8 has no spelling."""
    values = as_values(node_ids)
    texts = [str(value) for value in values]
    check_encodable(texts)
    first: dict[str, int] = {}
    for position, text in enumerate(texts):
        known = first.setdefault(text, position)
        if known != position:
            raise ValueError(
                f"node ids {values[known]!r} (position {known}) and {values[position]!r} "
                f"(position {position}) both read {text!r} in a format that holds no types: "
                "rename one of them, or save the model, which keeps types"
            )
    return texts


def check_encodable(texts: Sequence[str]) -> None:
    """Refuse str that UTF-8 cannot spell: single surrogates."""
    for position, text in enumerate(texts):
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"node id {text!r} at position {position} cannot be written as UTF-8, rename it"
                ) from error


def as_words(node_ids: NodeIds) -> list[str]:
    """Spell every id as a word of the word2vec format; raise where it has whitespace."""
    texts = as_texts(node_ids)
    for position, text in enumerate(texts):
        if text.split() != [text]:
            raise ValueError(
                f"node id {text!r} at position {position} is empty or holds whitespace, which the "
                "word2vec format cannot hold: replace it (by '_', say), or write .csv or .npz"
            )
    return texts


def read_word2vec(path: StrPath, *, binary: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read a file in the format of word2vec, whoever wrote it.

    Parameters
    ----------
    path : str or path-like
        The file.
    binary : bool, optional
        Whether the file is in the binary format; None looks at its first record.

    Returns
    -------
    node_ids : ndarray of shape (n_nodes,), dtype=object
        The ids as str: the format holds no types.
    embedding : ndarray of shape (n_nodes, n_components), dtype=float32
        Row ``i`` belongs to ``node_ids[i]``.

    Raises
    ------
    FileFormatError
        If the file is damaged; the message names the line or the record.
    OSError
        If the file cannot be read.

    Notes
    -----
    O(n_nodes * n_components) time and memory. The sizes in the first line are held against the
    length of the file before anything is allocated.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        n_nodes, n_components = _read_sizes(path, file)
        rest = size - file.tell()
        # The shortest records are "a 1 2\n" (the last line end may be missing) and "a 12345678".
        _check_room(path, n_nodes * (2 + 2 * n_components) - 1, rest)
        if binary is None:
            binary = not _looks_like_text(file, n_components)
        if binary:
            _check_room(path, n_nodes * (2 + 4 * n_components), rest)
        embedding = np.empty((n_nodes, n_components), np.float32)
        words = (_read_binary if binary else _read_text)(path, file, embedding)
    return np.fromiter(_decode_words(path, words), object, n_nodes), embedding


def _read_sizes(path: Path, file: BufferedReader) -> tuple[int, int]:
    line = file.readline(64)
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or line[-1:] != b"\n":
        raise FileFormatError(
            f"{path}: line 1: expected the number of nodes and of components, got {line!r}"
        )
    n_nodes, n_components = int(fields[0]), int(fields[1])
    if n_nodes == 0 or n_components == 0:
        raise FileFormatError(
            f"{path}: line 1: there must be >= 1 node and >= 1 component, got {line!r}"
        )
    return n_nodes, n_components


def _check_room(path: Path, needed: int, rest: int) -> None:
    if needed > rest:
        raise FileFormatError(
            f"{path}: truncated: the sizes in line 1 need at least {needed} more bytes, "
            f"the file has {rest}"
        )


def _looks_like_text(file: BufferedReader, n_components: int) -> bool:
    """Tell by the first record; a text record with a slip in it still looks like text."""
    start = file.tell()
    line = file.readline(max(1 << 16, 64 * n_components))
    file.seek(start)
    try:
        fields = line.decode().split()
    except UnicodeDecodeError:
        return False
    try:
        if len(_parse_floats(fields[1:])) == n_components:
            return True
    except ValueError:
        pass  # no text, or text with a slip
    return line.endswith(b"\n") and all(map(str.isprintable, fields))


def _read_text(path: Path, file: BufferedReader, embedding: np.ndarray) -> list[bytes]:
    n_nodes, n_components = embedding.shape
    words = []
    for row in range(n_nodes):
        word, *rest = file.readline().split(None, 1) or [b""]
        fields = rest[0].decode("ascii", "backslashreplace").split() if rest else []
        if len(fields) != n_components:
            found = f"{len(fields)} values after {word[:80]!r}" if word else "nothing"
            raise FileFormatError(
                f"{path}: line {row + 2}: expected an id and {n_components} values, found {found}"
            )
        try:
            embedding[row] = _parse_floats(fields)
        except ValueError as error:
            raise FileFormatError(f"{path}: line {row + 2}: {error!s:.200}") from error
        words.append(word)
    if any(line.strip() for line in file):
        raise FileFormatError(f"{path}: more than the {n_nodes} nodes of the first line")
    return words


def _parse_floats(fields: Sequence[str]) -> np.ndarray:
    if "_" in "".join(fields):  # float() takes 1_0 for 10
        raise ValueError("could not convert a value with '_' to float")
    values = np.array([float(field) for field in fields])
    try:
        with np.errstate(over="raise"):
            return values.astype(np.float32)
    except FloatingPointError as error:
        raise ValueError(f"{np.abs(values).max()} is too large for float32") from error


def _read_binary(path: Path, file: BufferedReader, embedding: np.ndarray) -> list[bytes]:
    n_nodes, n_components = embedding.shape
    words = []
    data, at = b"", 0
    for row in range(n_nodes):
        while (space := data.find(b" ", at)) < 0 or len(data) - space - 1 < 4 * n_components:
            more = file.read(max(_READ, 4 * n_components))
            if not more or (space < 0 and len(data) - at > _READ):
                raise FileFormatError(f"{path}: record {row} of {n_nodes} is cut off or has no id")
            data, at = data[at:] + more, 0
        words.append(data[at:space].lstrip(b"\n"))  # word2vec.c ends a record with a line end
        embedding[row] = np.frombuffer(data, "<f4", n_components, space + 1)
        at = space + 1 + 4 * n_components
    if (data[at:] + file.read(_READ)).strip(b"\n"):
        raise FileFormatError(f"{path}: more than the {n_nodes} nodes of the first line")
    return words


def _decode_words(path: Path, words: Sequence[bytes]) -> list[str]:
    texts: dict[str, None] = {}
    for row, word in enumerate(words):
        try:
            text = word.decode()
        except UnicodeDecodeError as error:
            raise FileFormatError(
                f"{path}: the id of record {row} is not UTF-8: {error}"
            ) from error
        if not text or text in texts:
            what = "is empty" if not text else f"is {text!r:.200}, which came before"
            raise FileFormatError(f"{path}: id of record {row} {what}")
        texts[text] = None
    return list(texts)

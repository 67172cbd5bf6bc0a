"""Node ids as plain arrays and back, types kept: 1, "1", True and 1.0 stay four different ids."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np

from graphembed.exceptions import FileFormatError

_MAX_DEPTH = 32  # of tuples within tuples


def dump_json(value: Any) -> bytes:
    """Spell `value` as JSON in UTF-8, the shortest way; any str comes back as it was."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def load_json(data: bytes) -> Any:
    """Parse what `dump_json` spells; raises ValueError, also where the nesting is too deep."""
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def encode_ids(
    node_ids: np.ndarray | Sequence[Any],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Turn node ids into the `meta` and `arrays` of `write_arrays`, types kept.

    Parameters
    ----------
    node_ids : ndarray or sequence
        Ids of int, str, float, bool, None, bytes, and tuples of these, in any mixture; numpy
        scalars count as the Python values they stand for.

    Returns
    -------
    meta : dict
        ``{"node_ids": {"encoding": ..., "count": n}}``.
    arrays : dict of str to ndarray
        ``node_ids`` and, for str ids, ``node_ids_offsets``.

    Raises
    ------
    TypeError
        If an id has another type; the message names the id and its position.
    ValueError
        If tuples are nested deeper than 32 levels, or the array is not 1-D.

    Notes
    -----
    O(total length of the ids) time and memory; integer arrays are not copied. Three encodings:
    ``int64`` raw; ``utf8`` for str only, one blob and the offsets into it; ``json`` for the rest.
    """
    if isinstance(node_ids, np.ndarray) and node_ids.ndim != 1:
        raise ValueError(f"node_ids must be 1-D, got shape {node_ids.shape}")
    if isinstance(node_ids, np.ndarray) and _fits_int64(node_ids):
        whole = node_ids.astype(np.int64, copy=False)
        return _ids_meta("int64", whole), {"node_ids": whole}
    ids = [value.item() if isinstance(value, np.generic) else value for value in node_ids]
    if ids and all(type(value) is str for value in ids):
        texts = [value.encode("utf-8", "surrogatepass") for value in ids]
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        blob = np.frombuffer(b"".join(texts), np.uint8)
        return _ids_meta("utf8", ids), {"node_ids": blob, "node_ids_offsets": offsets}
    tagged = [_tag_id(value, position) for position, value in enumerate(ids)]
    return _ids_meta("json", ids), {"node_ids": np.frombuffer(dump_json(tagged), np.uint8)}


def _fits_int64(ids: np.ndarray) -> bool:
    return ids.dtype.kind in "iu" and (
        np.can_cast(ids.dtype, np.int64) or ids.size == 0 or int(ids.max()) < 2**63
    )


def _ids_meta(encoding: str, ids: Any) -> dict[str, Any]:
    return {"node_ids": {"encoding": encoding, "count": len(ids)}}


def _tag_id(value: Any, position: int, depth: int = 0) -> Any:
    """Spell one id in JSON; what JSON cannot tell apart becomes a pair [tag, text]."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the id at position {position} nests tuples deeper than {_MAX_DEPTH}")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is int:
        return value if value.bit_length() < 64 else ["int", hex(value)]
    if type(value) is float:
        return value if isfinite(value) else ["float", value.hex()]
    if type(value) is bytes:
        return ["bytes", value.hex()]
    if type(value) is tuple:
        return ["tuple", [_tag_id(part, position, depth + 1) for part in value]]
    raise TypeError(
        f"node id {value!r:.200} at position {position} has the type {type(value).__name__}, which "
        "cannot be saved: use int, str, float, bool, None, bytes or tuples of these"
    )


def decode_ids(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Turn what `encode_ids` made back into node ids.

    Parameters
    ----------
    meta : mapping
        As read from a file; entries of others are left alone.
    arrays : mapping of str to ndarray
        As read from a file; arrays of others are left alone.

    Returns
    -------
    ndarray of shape (n_nodes,)
        int64 where an integer array was saved, object otherwise.

    Raises
    ------
    FileFormatError
        If the ids are not what `encode_ids` makes.
    """
    entry, data = meta.get("node_ids"), arrays.get("node_ids")
    if not isinstance(entry, dict) or data is None:
        raise FileFormatError("the file holds no node ids")
    encoding, count = entry.get("encoding"), entry.get("count")
    if type(count) is not int or count < 0:
        raise FileFormatError(f"{count!r:.200} is not a number of node ids")
    if encoding == "int64":
        _check_ids_array(data, np.int64, "node_ids")
        if len(data) != count:
            raise FileFormatError(f"{count} node ids expected, the file holds {len(data)}")
        return data
    _check_ids_array(data, np.uint8, "node_ids")
    if encoding == "utf8":
        ids = _split_texts(data, arrays.get("node_ids_offsets"), count)
    elif encoding == "json":
        ids = _parse_tagged(data, count)
    else:
        raise FileFormatError(f"unknown encoding of node ids: {encoding!r:.200}")
    return np.fromiter(ids, object, count)


def _check_ids_array(array: np.ndarray, dtype: type, name: str) -> None:
    if array.dtype != dtype or array.ndim != 1:
        raise FileFormatError(
            f"array {name!r} must be 1-D of {np.dtype(dtype)}, is {array.ndim}-D of {array.dtype}"
        )


def _split_texts(data: np.ndarray, offsets: np.ndarray | None, count: int) -> list[str]:
    if offsets is None:
        raise FileFormatError("the file holds no 'node_ids_offsets'")
    _check_ids_array(offsets, np.int64, "node_ids_offsets")
    if len(offsets) != count + 1:
        raise FileFormatError(f"{count} node ids need {count + 1} offsets, not {len(offsets)}")
    if offsets[0] != 0 or offsets[-1] != data.size or (offsets[1:] < offsets[:-1]).any():
        raise FileFormatError("the offsets of the node ids must rise from 0 to the text's length")
    blob, bounds = data.tobytes(), offsets.tolist()
    try:
        return [blob[low:high].decode("utf-8", "surrogatepass") for low, high in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise FileFormatError(f"a node id is not valid UTF-8: {error}") from error


def _parse_tagged(data: np.ndarray, count: int) -> list[Any]:
    try:
        tagged = load_json(data.tobytes())
    except ValueError as error:
        raise FileFormatError(f"the node ids are not JSON: {error}") from error
    if not isinstance(tagged, list) or len(tagged) != count:
        raise FileFormatError(f"the node ids are not a list of {count}")
    return [_untag_id(value) for value in tagged]


def _untag_id(value: Any, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise FileFormatError(f"a node id nests tuples deeper than {_MAX_DEPTH}")
    if not isinstance(value, (list, dict)):
        return value
    match value:
        case ["tuple", [*parts]]:
            return tuple(_untag_id(part, depth + 1) for part in parts)
        case [("int" | "float" | "bytes") as tag, str(text)]:
            try:
                return _FROM_TEXT[tag](text)
            except (ValueError, OverflowError) as error:
                raise FileFormatError(f"bad node id {text!r:.200}: {error}") from error
    raise FileFormatError(f"bad node id {value!r:.200}")


_FROM_TEXT = {"int": lambda text: int(text, 16), "float": float.fromhex, "bytes": bytes.fromhex}

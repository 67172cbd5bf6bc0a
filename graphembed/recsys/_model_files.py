"""Files of fitted recommenders: parameters, ids, the train matrix and the model's own arrays."""

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._storage import StrPath, decode_ids, encode_ids, read_arrays, write_arrays
from graphembed.exceptions import FileFormatError
from graphembed.recsys.interactions import Interactions

_KIND: Final = "recommender"
_IDS: Final = "node_ids"  # the name that `encode_ids` gives
_PARTS: Final = (("indptr", np.int64), ("indices", np.int32), ("data", np.float32))
# Sizes of an array: "users", "items", or a letter that stands for the same number everywhere
Layout = Mapping[str, tuple[str, ...]]


class RecommenderFile(NamedTuple):
    """What a file holds."""

    estimator: str
    params: dict[str, Any]
    train: Interactions
    arrays: dict[str, NDArray[Any]]


def write_recommender(
    path: StrPath,
    *,
    estimator: str,
    params: Mapping[str, Any],
    train: Interactions,
    fitted: Mapping[str, Any],
) -> None:
    """Write a fitted model; `fitted` holds arrays and csr matrices."""
    meta: dict[str, Any] = {"estimator": estimator, "params": _plain(params)}
    arrays: dict[str, NDArray[Any]] = {}
    for side, ids in (("user", train.user_ids), ("item", train.item_ids)):
        id_meta, id_arrays = encode_ids(ids)
        meta |= {f"{side}_{name}": value for name, value in id_meta.items()}
        arrays |= {f"{side}_{name}": value for name, value in id_arrays.items()}
    for name, value in {"train": train.matrix, **fitted}.items():
        if isinstance(value, sp.csr_matrix):
            arrays |= {f"{name}.{part}": getattr(value, part).astype(t) for part, t in _PARTS}
            arrays[f"{name}.shape"] = np.array(value.shape, np.int64)
        else:
            arrays[name] = value
    write_arrays(path, kind=_KIND, meta=meta, arrays=arrays)


def read_recommender(path: StrPath) -> RecommenderFile:
    """Read what `write_recommender` wrote; FileFormatError if it is not that."""
    meta, arrays = read_arrays(path, kind=_KIND)
    try:
        estimator, params = meta.get("estimator"), meta.get("params")
        if not isinstance(estimator, str) or not isinstance(params, dict):
            raise FileFormatError("it has no estimator and params")
        users, items = (_read_ids(side, meta, arrays) for side in ("user", "item"))
        matrix = _matrix("train", arrays, (len(users), len(items)))
        train = Interactions.from_csr(matrix, user_ids=users, item_ids=items)
    except ValueError as error:  # also what the ids or the matrix are not allowed to be
        raise FileFormatError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error
    return RecommenderFile(estimator, params, train, arrays)


def read_fitted(file: RecommenderFile, layout: Layout) -> dict[str, Any]:
    """Return the arrays that `layout` names; FileFormatError if one has not that shape."""
    sizes = {"users": file.train.n_users, "items": file.train.n_items}
    fitted: dict[str, Any] = {}
    for name, wanted in layout.items():
        if f"{name}.shape" in file.arrays:
            shape = tuple(file.arrays[f"{name}.shape"].tolist())
        elif name in file.arrays:
            shape = file.arrays[name].shape
        else:
            raise FileFormatError(f"it has no array {name!r}")
        if len(shape) != len(wanted) or any(
            sizes.setdefault(word, size) != size for word, size in zip(wanted, shape, strict=True)
        ):
            raise FileFormatError(f"its array {name!r} of the shape {shape} does not fit the ids")
        if name in file.arrays and file.arrays[name].dtype != np.float32:
            raise FileFormatError(f"its array {name!r} is not of float32")
        fitted[name] = (
            file.arrays[name] if name in file.arrays else _matrix(name, file.arrays, shape)
        )
    return fitted


def _plain(value: Any) -> Any:
    """Parameters as JSON has them; what is left is refused by `write_arrays`."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _read_ids(
    side: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    start = f"{side}_"
    own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(f"{start}{_IDS}")}
    return decode_ids({_IDS: meta.get(start + _IDS)}, own)


def _matrix(name: str, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> sp.csr_matrix:
    """Put a csr matrix together again, checked so far that no index leads astray."""
    parts = []
    for part, dtype in _PARTS:
        array = arrays.get(f"{name}.{part}")
        if array is None or array.dtype != dtype or array.ndim != 1:
            raise FileFormatError(f"the {part} of its matrix {name!r} are missing or damaged")
        parts.append(array)
    indptr, indices, data = parts
    if (
        len(shape) != 2
        or len(indptr) != shape[0] + 1
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or len(indices) != len(data)
        or (indptr[1:] < indptr[:-1]).any()
        or (len(indices) and (indices.min() < 0 or indices.max() >= shape[1]))
    ):
        raise FileFormatError(f"its matrix {name!r} is no csr matrix of the shape {shape}")
    return sp.csr_matrix((data, indices, indptr), shape=shape)

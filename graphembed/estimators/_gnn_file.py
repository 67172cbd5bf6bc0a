"""Files of a `NodeClassifier`: tensors as safetensors, everything else as JSON in their header."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from graphembed._ingest.options import check_options
from graphembed._storage import StrPath, atomic_path
from graphembed._validation import check_params, int_at_least
from graphembed.estimators._gnn import find_device, make_model, session
from graphembed.estimators._settings import check, resolve
from graphembed.exceptions import FileFormatError

_KEY: Final = "graphembed"  # of the header among the metadata
_KIND: Final = "NodeClassifier"
_VERSION: Final = 1
_COLUMNS: Final = ("epoch", "seconds", "train_loss", "val_loss", "val_accuracy")
_CLASS_KINDS: Final = {"i": (int, np.int64), "U": (str, np.str_), "b": (bool, np.bool_)}


def save(path: StrPath, estimator: Any) -> None:
    """Write a fitted estimator."""
    tensors = {k: t.detach().cpu().contiguous() for k, t in estimator.model_.state_dict().items()}
    classes = estimator.classes_
    header = {
        "kind": _KIND,
        "version": _VERSION,
        "params": _plain_params(estimator.get_params(deep=False)),
        "door": _plain(estimator._door),
        "classes": classes.tolist(),
        "class_kind": "i" if classes.dtype.kind == "u" else classes.dtype.kind,
        "n_features": estimator.n_features_in_,
        "best_epoch": estimator.best_epoch_,
        "history": estimator.history_,
        "sha256": _checksum(tensors),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={_KEY: json.dumps(header, allow_nan=False)})


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}


def _plain_params(params: Mapping[str, Any]) -> dict[str, Any]:
    plain = _plain(params)
    plain["callbacks"] = None
    plain["device"] = str(plain["device"])
    if not isinstance(plain["random_state"], int):
        plain["random_state"] = None
    if plain["fanouts"] is not None:
        plain["fanouts"] = [int(k) for k in plain["fanouts"]]
    return plain


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def load(path: StrPath, cls: type[Any]) -> Any:
    """Read an estimator; nothing in the file is executed, and nothing is made larger than it."""
    with Path(path).open("rb"):  # no such file, or a folder: raises what the system says
        pass
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _restore(metadata, tensors, cls)
    except (SafetensorError, FileFormatError, ValueError) as error:
        raise FileFormatError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error


def _restore(metadata: Mapping[str, str], tensors: dict[str, Tensor], cls: type[Any]) -> Any:
    header = _read_header(metadata)
    params, history = header["params"], header["history"]
    unknown = set(params) ^ set(cls._get_param_names())
    if unknown:
        raise FileFormatError(f"its parameters do not fit, {sorted(unknown)[0]!r} does not")
    if params["callbacks"] is not None:
        raise FileFormatError("its callbacks must be null")
    check(params, _KIND)
    check_params(header, {"n_features": int_at_least(1), "best_epoch": int_at_least(1)})
    if params["n_layers"] > len(tensors):
        raise FileFormatError(f"it has {params['n_layers']} layers, but {len(tensors)} tensors")
    classes = _read_classes(header["class_kind"], header["classes"])
    if header["sha256"] != _checksum(tensors):
        raise FileFormatError("its tensors do not have the checksum of its header")
    _check_history(history, header["best_epoch"])
    _check_door(header["door"])
    settings = resolve(params, has_validation="val_loss" in history)
    with session(1), torch.device("meta"):  # which has shapes, but no memory
        model = make_model(settings, header["n_features"], len(classes))
    wanted = {name: (t.dtype, t.shape) for name, t in model.state_dict().items()}
    found = {name: (t.dtype, t.shape) for name, t in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise FileFormatError(
                f"its tensor {name!r} is {found.get(name)}, but the parameters need "
                f"{wanted.get(name)}"
            )
    model.load_state_dict(tensors, assign=True)
    estimator = cls(**params)
    model = model.to(_device(params["device"])).eval()
    best_epoch, n_features = header["best_epoch"], header["n_features"]
    estimator._set_fitted(model, classes, history, best_epoch, n_features, header["door"])
    return estimator


def _read_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise FileFormatError("it is not a model of graphembed")
    try:
        header = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"its header is not JSON: {error}") from error
    if not isinstance(header, dict) or header.get("kind") != _KIND:
        kind = header.get("kind") if isinstance(header, dict) else header
        raise FileFormatError(f"it holds {kind!r:.80}, not a {_KIND}")
    if header.get("version") != _VERSION:
        raise FileFormatError(
            f"it has version {header.get('version')!r:.80}, and this graphembed reads {_VERSION}"
        )
    kinds = {
        "params": dict,
        "classes": list,
        "class_kind": str,
        "n_features": int,
        "door": dict,
        "best_epoch": int,
        "history": dict,
        "sha256": str,
    }
    for name, kind in kinds.items():
        if not isinstance(header.get(name), kind):
            raise FileFormatError(f"its header has no {name!r} of the type {kind.__name__}")
    return header


def _read_classes(kind: str, values: list[Any]) -> NDArray[Any]:
    if kind not in _CLASS_KINDS:
        raise FileFormatError(f"its classes are of the unknown kind {kind!r:.80}")
    python_type, dtype = _CLASS_KINDS[kind]
    if len(values) < 2 or any(type(value) is not python_type for value in values):
        raise FileFormatError(f"its classes are not 2 or more of the type {python_type.__name__}")
    try:
        classes: NDArray[Any] = np.array(values, dtype=dtype)
    except OverflowError as error:
        raise FileFormatError("its classes do not fit into 64 bits") from error
    if (classes[1:] <= classes[:-1]).any():
        raise FileFormatError("its classes are not sorted")
    return classes


def _check_history(history: dict[str, Any], best_epoch: int) -> None:
    lengths = set()
    for name, column in history.items():
        numbers = isinstance(column, list) and all(
            type(v) in (int, float) and math.isfinite(v) for v in column
        )
        if name not in _COLUMNS or not numbers:
            raise FileFormatError(f"its history has no numbers in the column {name!r:.80}")
        lengths.add(len(column))
    if not {"epoch", "train_loss"} <= set(history) or len(lengths) != 1:
        raise FileFormatError("the columns of its history do not fit together")
    if best_epoch > lengths.pop():
        raise FileFormatError(f"its best epoch {best_epoch} is not one of its history")


def _check_door(door: dict[str, Any]) -> None:
    if set(door) != {"weight", "directed", "source", "target"}:
        raise FileFormatError("how its graph was read is not said in full")
    check_options(door["weight"], door["directed"])
    for name in ("source", "target"):
        if not isinstance(door[name], (str, int, type(None))):
            raise FileFormatError(f"its {name} must be the name of a column")


def _device(name: str) -> torch.device:
    """The device of the parameters, or another if this machine has none such."""
    try:
        return find_device(name)
    except ValueError:
        return find_device("auto")

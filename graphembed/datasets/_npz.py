"""Attributed graphs in npz files, as Shchur et al. 2018 publish them."""

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed._validation import boolean, check_params, one_of
from graphembed.datasets._csr import checked_csr, normalize_rows
from graphembed.datasets._dataset import NodeDataset
from graphembed.datasets._fetch import fetch
from graphembed.datasets._registry import registry
from graphembed.datasets._splits import split_per_class
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph

_PARTS = ("data", "indices", "indptr", "shape")
_KEYS = (*(f"{matrix}_{part}" for matrix in ("adj", "attr") for part in _PARTS), "labels")


def load_amazon(
    name: Literal["computers", "photo"],
    *,
    normalize: bool = True,
    random_state: Any = None,
    download: bool = True,
) -> NodeDataset:
    """Load goods of Amazon, joined where they are often bought together.

    ``"computers"`` has 13,752 nodes, 767 features and 10 classes; ``"photo"`` 7,650, 745 and 8.

    Parameters
    ----------
    name : {"computers", "photo"}
        Which graph.
    normalize : bool, default=True
        Divide every row of the features by its sum.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides about the masks: 20 nodes of every class to train on, 30 to validate, the others to
        test on, as in Shchur et al. 2018. No split was published with the data.
    download : bool, default=True
        Download the file (32 and 17 MB) if it is neither under GRAPHEMBED_DATA nor in the user
        cache.

    Returns
    -------
    NodeDataset
        See `load_npz`.

    Raises
    ------
    ValueError
        If there is no such graph.
    DatasetNotFoundError
        If the file is not on this machine and `download` is False.
    DownloadError
        If the download fails.
    FileFormatError
        If the file found is not the one of the registry.
    """
    check_params({"name": name}, {"name": one_of("computers", "photo")})
    return _registered(f"amazon-{name}", normalize, random_state, download)


def load_coauthor(
    name: Literal["cs", "physics"],
    *,
    normalize: bool = True,
    random_state: Any = None,
    download: bool = True,
) -> NodeDataset:
    """Load authors of the Microsoft Academic Graph, joined where they wrote a paper together.

    ``"cs"`` has 18,333 nodes, 6,805 features and 15 classes; ``"physics"`` 34,493, 8,415 and 5.

    Parameters
    ----------
    name : {"cs", "physics"}
        Which graph.
    normalize : bool, default=True
        Divide every row of the features by its sum.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides about the masks: 20 nodes of every class to train on, 30 to validate, the others to
        test on, as in Shchur et al. 2018. No split was published with the data.
    download : bool, default=True
        Download the file (13 and 16 MB) if it is neither under GRAPHEMBED_DATA nor in the user
        cache.

    Returns
    -------
    NodeDataset
        See `load_npz`.

    Raises
    ------
    ValueError
        If there is no such graph.
    DatasetNotFoundError
        If the file is not on this machine and `download` is False.
    DownloadError
        If the download fails.
    FileFormatError
        If the file found is not the one of the registry.
    """
    check_params({"name": name}, {"name": one_of("cs", "physics")})
    return _registered(f"coauthor-{name}", normalize, random_state, download)


def load_npz(
    path: str | os.PathLike[str], *, normalize: bool = True, random_state: Any = None
) -> NodeDataset:
    """Load any npz file of the form of Shchur et al. 2018.

    Parameters
    ----------
    path : str or path-like
        A file with ``adj_data``, ``adj_indices``, ``adj_indptr`` and ``adj_shape``, the same of
        ``attr``, and ``labels``. Others are ignored. Nothing in it is unpickled.
    normalize : bool, default=True
        Divide every row of the features by its sum.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides about the masks: 20 nodes of every class to train on, 30 to validate, the others to
        test on.

    Returns
    -------
    NodeDataset
        Undirected and unweighted: an arc in either direction is an edge, self-loops are dropped,
        isolated nodes are kept. ``x`` is sparse; what is above zero in it counts as 1. The
        authors keep the largest connected component only; PyTorch Geometric and this do not.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If it is not such a file, or its parts do not fit together.
    ValueError
        If a class has fewer than 50 nodes.
    """
    path = Path(path)
    return read_npz(
        path.read_bytes(),
        name=path.stem,
        description=f"graph, features and classes of {path}",
        normalize=normalize,
        random_state=random_state,
    )


def read_npz(
    content: bytes, *, name: str, description: str, normalize: bool = True, random_state: Any = None
) -> NodeDataset:
    """Turn the bytes of an npz file into a dataset."""
    check_params({"normalize": normalize}, {"normalize": boolean()})
    arrays = _read_arrays(content, name)
    adjacency, x = (_matrix(arrays, key, name) for key in ("adj", "attr"))
    n_nodes = x.shape[0]
    labels = arrays["labels"]
    if labels.shape != (n_nodes,) or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise FileFormatError(
            f"{name}: labels must be {n_nodes} integers >= 0, one per row of attr, got shape "
            f"{labels.shape} and dtype {labels.dtype}"
        )
    if adjacency.shape != (n_nodes, n_nodes):
        raise FileFormatError(
            f"{name}: adj must have shape {(n_nodes, n_nodes)}, got {adjacency.shape}"
        )
    x.data = (x.data > 0).astype(np.float32)
    x.eliminate_zeros()
    x = normalize_rows(x) if normalize else x
    graph = _undirected(adjacency)
    labels = labels.astype(np.int64)
    masks = split_per_class(
        labels, train=20, val=30, val_per_class=True, test=None, random_state=random_state
    )
    label_names = tuple(f"class {k}" for k in range(int(labels.max()) + 1))
    return NodeDataset(name, graph, labels, label_names, description, x, *masks)


def _registered(name: str, normalize: bool, random_state: Any, download: bool) -> NodeDataset:
    entry = registry()[name]
    (content,) = fetch(entry, download=download).values()
    return read_npz(
        content,
        name=name,
        description=entry.description,
        normalize=normalize,
        random_state=random_state,
    )


def _undirected(adjacency: sp.csr_array) -> Graph:
    adjacency.data = np.ones_like(adjacency.data)
    adjacency.setdiag(0)
    adjacency.eliminate_zeros()
    return Graph.from_scipy(adjacency + adjacency.T, directed=False, weighted=False)


def _matrix(arrays: dict[str, npt.NDArray[Any]], key: str, name: str) -> sp.csr_array:
    data, indices, indptr = (arrays[f"{key}_{part}"] for part in ("data", "indices", "indptr"))
    shape = arrays[f"{key}_shape"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise FileFormatError(f"{name}: {key}_shape must be two integers, got {shape!r}")
    return checked_csr(data, indices, indptr, (int(shape[0]), int(shape[1])), f"{name}: {key}")


def _read_arrays(content: bytes, name: str) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of `_KEYS`; nothing is allocated before its size is compared to the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            missing = [key for key in _KEYS if f"{key}.npy" not in members]
            if missing:
                raise FileFormatError(
                    f"{name} must hold the arrays {', '.join(_KEYS)}; it lacks {', '.join(missing)}"
                )
            return {key: _read_member(archive, members[f"{key}.npy"]) for key in _KEYS}
    except FileFormatError:
        raise
    except Exception as error:  # zipfile, zlib and numpy have about ten kinds of error
        raise FileFormatError(f"{name} is not an npz file, or is damaged: {error}") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{info.filename} has the version {version}")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, by_columns, dtype = read(stream)
        n_bytes = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.kind not in "biuf":
            raise ValueError(f"{info.filename} must hold numbers, got dtype {dtype}")
        if n_bytes != info.file_size - stream.tell():
            raise ValueError(f"{info.filename} does not have the size that its header says")
        data = stream.read()
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")

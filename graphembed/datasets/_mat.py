"""Graphs in MATLAB files: `network`, an adjacency matrix, and `group`, a node x label matrix."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse as sp

from graphembed.datasets._dataset import Dataset
from graphembed.datasets._fetch import fetch
from graphembed.datasets._registry import registry
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph

_KEYS = ("network", "group")


def load_blogcatalog(*, download: bool = True) -> Dataset:
    """Load BlogCatalog: 10,312 bloggers, 333,983 friendships, 39 groups (multi-label).

    Parameters
    ----------
    download : bool, default=True
        Download the file (1.3 MB) if it is neither under GRAPHEMBED_DATA nor in the user cache.

    Returns
    -------
    Dataset
        Undirected and unweighted; labels are a boolean matrix of shape (10312, 39).

    Raises
    ------
    DatasetNotFoundError
        If the file is not on this machine and `download` is False.
    DownloadError
        If the download fails.
    FileFormatError
        If the file found is not the one of the registry.
    """
    return _registered("blogcatalog", "blogcatalog.mat", download)


def load_ppi(*, download: bool = True) -> Dataset:
    """Load the protein interactions of the node2vec paper: 3,890 proteins, 50 labels.

    The matrix has 76,584 entries, and half of them, 38,292, is the figure usually given. 894 of the
    entries are self-loops, which are kept, so that the graph has 37,845 + 894 = 38,739 edges.

    Parameters
    ----------
    download : bool, default=True
        Download the file (1.0 MB) if it is neither under GRAPHEMBED_DATA nor in the user cache.

    Returns
    -------
    Dataset
        Undirected and unweighted; labels are a boolean matrix of shape (3890, 50).

    Raises
    ------
    DatasetNotFoundError
        If the file is not on this machine and `download` is False.
    DownloadError
        If the download fails.
    FileFormatError
        If the file found is not the one of the registry.
    """
    return _registered("ppi", "PPI.mat", download)


def load_mat(path: str | os.PathLike[str]) -> Dataset:
    """Load any MATLAB file that holds `network` and `group`.

    Parameters
    ----------
    path : str or path-like
        A file of MATLAB's version 4 to 7. `network` is a square matrix, sparse or dense, with
        weights >= 0; `group` has one row per node, one column per label, and holds 0 and 1.

    Returns
    -------
    Dataset
        Node ids are 0 to n - 1. Undirected if `network` is symmetric. Self-loops are kept.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If it is not such a MATLAB file, or `group` does not fit.
    GraphFormatError
        If `network` is not an adjacency matrix.
    """
    path = Path(path)
    return read_mat(path.read_bytes(), name=path.stem, description=f"graph and groups of {path}")


def read_mat(content: bytes, *, name: str, description: str) -> Dataset:
    """Turn the bytes of a MATLAB file into a dataset."""
    variables = _read_variables(content, name)
    graph = Graph.from_scipy(_as_sparse(variables["network"], "network", name))
    group = _as_sparse(variables["group"], "group", name)
    if group.shape[0] != graph.n_nodes:
        raise FileFormatError(
            f"{name}: group must have one row per node, {graph.n_nodes}, got shape {group.shape}"
        )
    if not np.isin(group.data, (0, 1)).all():
        bad = group.data[~np.isin(group.data, (0, 1))][0]
        raise FileFormatError(f"{name}: group must hold 0 and 1, got {bad!r}")
    labels = sp.csr_array(group.astype(bool))
    labels.eliminate_zeros()
    label_names = tuple(f"group {column}" for column in range(labels.shape[1]))
    return Dataset(name, graph, labels, label_names, description)


def _registered(name: str, file_name: str, download: bool) -> Dataset:
    entry = registry()[name]
    content = fetch(entry, download=download)[file_name]
    return read_mat(content, name=name, description=entry.description)


def _read_variables(content: bytes, name: str) -> dict[str, Any]:
    """Read the two variables and nothing else from the file."""
    stream: Any = io.BytesIO(content)
    try:
        variables: dict[str, Any] = scipy.io.loadmat(stream, variable_names=_KEYS)
    except NotImplementedError as error:
        raise FileFormatError(
            f"{name}: MATLAB 7.3 (HDF5) files are not read; save it with -v7"
        ) from error
    except Exception as error:  # scipy has about ten kinds of error for a damaged file
        raise FileFormatError(f"{name} is not a MATLAB file, or is damaged: {error}") from error
    missing = [key for key in _KEYS if key not in variables]
    if missing:
        stream.seek(0)
        found = ", ".join(item[0] for item in scipy.io.whosmat(stream))
        raise FileFormatError(
            f"{name} must hold the variables network and group; it lacks {' and '.join(missing)} "
            f"and has: {found or 'nothing'}"
        )
    return variables


def _as_sparse(value: Any, key: str, name: str) -> sp.csr_array:
    dtype = getattr(value, "dtype", np.dtype(object))
    if np.ndim(value) != 2 or dtype.kind not in "biuf":
        raise FileFormatError(
            f"{name}: {key} must be a matrix of real numbers, got a {type(value).__name__} of "
            f"dtype {dtype}"
        )
    return sp.csr_array(value)

"""Cora, CiteSeer and PubMed, from the raw files of Planetoid (Yang et al. 2016)."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed._validation import boolean, check_params, one_of
from graphembed.datasets._csr import normalize_rows
from graphembed.datasets._dataset import NodeDataset
from graphembed.datasets._fetch import fetch_file
from graphembed.datasets._pickles import read_array, read_lists, read_matrix
from graphembed.datasets._registry import registry
from graphembed.datasets._splits import Split, split_per_class
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph

IntArray = npt.NDArray[np.int64]

_FEATURES = ("allx", "tx")
_N_VAL = 500


def load_planetoid(
    name: Literal["cora", "citeseer", "pubmed"],
    *,
    split: Literal["public", "full", "complete", "random"] = "public",
    normalize: bool = True,
    features: bool = True,
    random_state: Any = None,
    download: bool = True,
) -> NodeDataset:
    """Load a citation graph with features, classes and the masks of its benchmark.

    ========  ======  ======  ========  =======  =================
    name      nodes   edges   features  classes  public split
    ========  ======  ======  ========  =======  =================
    cora      2,708   5,278   1,433     7        140 / 500 / 1,000
    citeseer  3,327   4,552   3,703     6        120 / 500 / 1,000
    pubmed    19,717  44,324  500       3        60 / 500 / 1,000
    ========  ======  ======  ========  =======  =================

    Parameters
    ----------
    name : {"cora", "citeseer", "pubmed"}
        Which graph.
    split : {"public", "full", "complete", "random"}, default="public"
        ``"public"``: Planetoid's, 20 nodes a class to train on. ``"full"``: the same validation and
        test nodes, and all others to train on. ``"complete"``: the last 500 nodes to test on, the
        500 before them to validate, all others to train on. ``"random"``: 20 nodes a class, 500
        and 1,000, drawn by `random_state`; for other numbers see `NodeDataset.with_split`.
    normalize : bool, default=True
        Divide every row of the features by its sum, as Kipf and Welling do.
    features : bool, default=True
        False leaves `x` away and needs no files of features.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides about the random split.
    download : bool, default=True
        Download files (0.6, 1.0 and 8.7 MB) that are neither under GRAPHEMBED_DATA nor in the user
        cache.

    Returns
    -------
    NodeDataset
        Undirected and unweighted, node ids 0 to n - 1; ``x`` is sparse.

    Raises
    ------
    ValueError
        If there is no such graph or split.
    DatasetNotFoundError
        If a file is not on this machine and `download` is False.
    DownloadError
        If a download fails.
    FileFormatError
        If a file found is not the one of the registry.

    Notes
    -----
    - The files list neighbours with repetitions, and CiteSeer and PubMed have 124 and 3 self-loops.
      Both are dropped, as in PyTorch Geometric. The 5,429, 4,732 and 44,338 "edges" of Kipf and
      Welling count the repeated or the looped ones too.
    - CiteSeer lacks the features and classes of 15 nodes among those to test on, although they have
      edges (48 other nodes have none). Their features are zeros and their class is -1, none (0 in
      PyTorch Geometric); they are in no mask, whatever the split.
    - The files are pickles. They are not unpickled but read as data, by a reader that cannot call
      anything, and only after their sha256 is checked.
    """
    check_params(
        {"name": name, "split": split},
        {
            "name": one_of("cora", "citeseer", "pubmed"),
            "split": one_of("public", "full", "complete", "random"),
        },
    )
    switches = {"normalize": normalize, "features": features, "download": download}
    check_params(switches, dict.fromkeys(switches, boolean()))
    entry = registry()[name]
    content = {}
    for file in entry.files:
        part = file.path.removeprefix(f"planetoid/ind.{name}.")
        if features or part not in _FEATURES:
            content[part] = fetch_file(file, download=download)
    return read_planetoid(
        content,
        name=name,
        description=entry.description,
        split=split,
        normalize=normalize,
        random_state=random_state,
    )


def read_planetoid(
    content: Mapping[str, bytes],
    *,
    name: str,
    description: str,
    split: str = "public",
    normalize: bool = True,
    random_state: Any = None,
) -> NodeDataset:
    """Turn the bytes of the files into a dataset.

    `content` holds graph, y, ally, ty, test.index, and allx and tx if there are to be features.
    File x is the first rows of allx and is not needed.
    """
    graph = _read_graph(content["graph"], f"{name}: graph")
    n_nodes = graph.n_nodes
    y, ally, ty = (_read_classes(content[key], f"{name}: {key}") for key in ("y", "ally", "ty"))
    if not np.array_equal(y, ally[: len(y)]):
        raise FileFormatError(f"{name}: y is not the beginning of ally")
    test = _read_test(content["test.index"], len(ally), n_nodes, f"{name}: test.index")
    _same_length(name, test=test, ty=ty)
    known = np.zeros(n_nodes, dtype=bool)
    known[: len(ally)] = True
    known[test] = True
    labels = np.full(n_nodes, -1, dtype=np.int64)
    labels[: len(ally)] = ally
    labels[test] = ty
    x = None
    if "allx" in content:
        allx, tx = (read_matrix(content[key], f"{name}: {key}") for key in _FEATURES)
        _same_length(name, ally=ally, allx=allx)
        _same_length(name, ty=ty, tx=tx)
        x = _stack(allx, tx, test, n_nodes, name)
        x = normalize_rows(x) if normalize else x
    if split == "random":
        masks = split_per_class(labels, random_state=random_state)
    else:
        masks = _fixed_split(split, len(y), len(ally), test, known, name)
    label_names = tuple(f"class {k}" for k in range(int(labels.max()) + 1))
    return NodeDataset(name, graph, labels, label_names, description, x, *masks)


def _read_graph(content: bytes, name: str) -> Graph:
    """Make a graph of the lists of neighbours, without repetitions and self-loops."""
    lengths, target = read_lists(content, name)
    n_nodes = len(lengths)
    if len(target) and not 0 <= target.min() <= target.max() < n_nodes:
        raise FileFormatError(
            f"{name}: neighbours must be in [0, {n_nodes}), got {target.min()} to {target.max()}"
        )
    source = np.repeat(np.arange(n_nodes), lengths)
    keep = source != target
    source, target = source[keep], target[keep]
    both = np.concatenate([source, target]), np.concatenate([target, source])
    matrix = sp.coo_array((np.ones(len(both[0]), np.int8), both), shape=(n_nodes, n_nodes))
    return Graph.from_scipy(matrix, directed=False, weighted=False)


def _read_classes(content: bytes, name: str) -> IntArray:
    """Turn rows with a single one into class numbers."""
    rows = read_array(content, name)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise FileFormatError(f"{name} must be a row of classes per node, got shape {rows.shape}")
    if not np.isin(rows, (0, 1)).all() or (rows.sum(axis=1) != 1).any():
        raise FileFormatError(f"{name}: every row must hold a single 1, and zeros")
    classes: IntArray = rows.argmax(axis=1).astype(np.int64)
    return classes


def _read_test(content: bytes, first: int, n_nodes: int, name: str) -> IntArray:
    try:
        test = [int(word) for word in content.split()]
    except ValueError as error:
        raise FileFormatError(f"{name}: {error}") from error
    if len(set(test)) != len(test) or not all(first <= node < n_nodes for node in test):
        raise FileFormatError(f"{name} must hold different numbers from {first} to {n_nodes - 1}")
    return np.array(test, dtype=np.int64)


def _same_length(name: str, **parts: Any) -> None:
    (a, first), (b, second) = parts.items()
    if first.shape[0] != second.shape[0]:
        raise FileFormatError(
            f"{name}: {a} and {b} must have as many rows, got {first.shape[0]} and "
            f"{second.shape[0]}"
        )


def _stack(
    allx: sp.csr_array, tx: sp.csr_array, test: IntArray, n_nodes: int, name: str
) -> sp.csr_array:
    """Put the rows of `tx` at the nodes `test`; nodes of neither file get an empty row."""
    if allx.shape[1] != tx.shape[1]:
        raise FileFormatError(
            f"{name}: allx and tx must have as many columns, got {allx.shape[1]} and {tx.shape[1]}"
        )
    n_known = allx.shape[0] + tx.shape[0]
    row = np.full(n_nodes, n_known)
    row[: allx.shape[0]] = np.arange(allx.shape[0])
    row[test] = allx.shape[0] + np.arange(len(test))
    empty = sp.csr_array((1, allx.shape[1]), dtype=np.float32)
    return sp.csr_array(sp.vstack([allx, tx, empty], format="csr")[row])


def _fixed_split(
    split: str, n_train: int, n_first: int, test: IntArray, known: npt.NDArray[np.bool_], name: str
) -> Split:
    """Make the masks that need no random numbers."""
    n_nodes = len(known)
    train, val, tested = (np.zeros(n_nodes, dtype=bool) for _ in range(3))
    if split == "complete":
        if n_nodes <= 2 * _N_VAL:
            raise FileFormatError(f"{name}: the complete split needs more than 1000 nodes")
        train[: -2 * _N_VAL] = val[-2 * _N_VAL : -_N_VAL] = tested[-_N_VAL:] = True
        masks = (train & known, val & known, tested & known)
    else:
        if n_first < n_train + _N_VAL:
            raise FileFormatError(
                f"{name}: ally must have {_N_VAL} nodes to validate on after the {n_train} of y, "
                f"got {n_first - n_train}"
            )
        val[n_train : n_train + _N_VAL] = tested[test] = True
        train[:n_train] = True
        masks = (known & ~val & ~tested if split == "full" else train, val, tested)
    return Split(*masks)

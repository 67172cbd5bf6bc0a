"""The actor graph (also called film) of Geom-GCN (Pei et al. 2020): two tables of text."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from graphembed._validation import boolean, check_params
from graphembed.datasets._csr import normalize_rows
from graphembed.datasets._dataset import NodeDataset
from graphembed.datasets._fetch import fetch
from graphembed.datasets._registry import registry
from graphembed.datasets._splits import split_fractions
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph

_EDGES, _NODES = "out1_graph_edges.txt", "out1_node_feature_label.txt"
_MAX_FEATURES = 1 << 20


def load_actor(
    *,
    directed: bool = False,
    normalize: bool = True,
    random_state: Any = None,
    download: bool = True,
) -> NodeDataset:
    """Load actors and who is on the same page of Wikipedia: a graph without homophily.

    7,600 nodes, 932 binary features, 5 classes. The file has 33,391 arcs, 30,019 of them different.

    Parameters
    ----------
    directed : bool, default=False
        Keep the arcs as they are, as Geom-GCN and PyTorch Geometric do. Otherwise an arc in either
        direction is an edge: 26,752, of which 93 are self-loops.
    normalize : bool, default=True
        Divide every row of the features by its sum.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Decides about the masks: 60, 20 and 20 percent of every class. The ten splits of Geom-GCN
        are other ones (48, 32 and 20 percent) and are not part of this.
    download : bool, default=True
        Download the files (0.5 MB) if they are neither under GRAPHEMBED_DATA nor in the user cache.

    Returns
    -------
    NodeDataset
        Unweighted, node ids 0 to n - 1, self-loops kept; ``x`` is sparse.

    Raises
    ------
    DatasetNotFoundError
        If a file is not on this machine and `download` is False.
    DownloadError
        If a download fails.
    FileFormatError
        If a file found is not the one of the registry.
    """
    switches = {"directed": directed, "normalize": normalize}
    check_params(switches, dict.fromkeys(switches, boolean()))
    entry = registry()["actor"]
    content = fetch(entry, download=download)
    return read_actor(
        content[_EDGES],
        content[_NODES],
        name="actor",
        description=entry.description,
        directed=directed,
        normalize=normalize,
        random_state=random_state,
    )


def read_actor(
    edges: bytes,
    nodes: bytes,
    *,
    name: str,
    description: str,
    directed: bool = False,
    normalize: bool = True,
    random_state: Any = None,
) -> NodeDataset:
    """Turn the bytes of the two tables into a dataset."""
    rows = _rows(nodes, 3, f"{name}: {_NODES}")
    ids = np.array([_integer(row[0], f"{name}: {_NODES}", len(rows)) for row in rows])
    if len(set(ids.tolist())) != len(rows):
        raise FileFormatError(f"{name}: {_NODES} must hold every node from 0 to {len(rows) - 1}")
    words = [
        [_integer(word, f"{name}: {_NODES}", _MAX_FEATURES) for word in row[1].split(b",")]
        for row in rows
    ]
    column = np.concatenate([np.array(found, dtype=np.int64) for found in words])
    labels = np.zeros(len(rows), dtype=np.int64)
    labels[ids] = [_integer(row[2], f"{name}: {_NODES}", len(rows)) for row in rows]
    x = sp.csr_array(
        (
            np.ones(len(column), dtype=np.float32),
            (np.repeat(ids, [len(found) for found in words]), column),
        ),
        shape=(len(rows), int(column.max()) + 1),
    )
    x.data[:] = 1  # a word that is named twice
    x = normalize_rows(x) if normalize else x
    arcs = np.array(
        [
            [_integer(node, f"{name}: {_EDGES}", len(rows)) for node in row]
            for row in _rows(edges, 2, f"{name}: {_EDGES}")
        ]
    )
    adjacency = sp.coo_array((np.ones(len(arcs)), tuple(arcs.T)), shape=(len(rows), len(rows)))
    both = adjacency if directed else adjacency + adjacency.T
    graph = Graph.from_scipy(both, directed=directed, weighted=False)
    label_names = tuple(f"class {k}" for k in range(int(labels.max()) + 1))
    masks = split_fractions(labels, random_state=random_state)
    return NodeDataset(name, graph, labels, label_names, description, x, *masks)


def _rows(content: bytes, n_columns: int, name: str) -> list[list[bytes]]:
    """Split a table at its tabs and leave out the line with the names."""
    rows = [line.split(b"\t") for line in content.splitlines()[1:]]
    if not rows:
        raise FileFormatError(f"{name}: there are no rows")
    for k, row in enumerate(rows):
        if len(row) != n_columns:
            raise FileFormatError(
                f"{name}: line {k + 2} must have {n_columns} columns, got {len(row)}"
            )
    return rows


def _integer(word: bytes, name: str, end: int) -> int:
    try:
        number = int(word)
    except ValueError as error:
        raise FileFormatError(f"{name}: {error}") from error
    if not 0 <= number < end:
        raise FileFormatError(f"{name}: numbers must be in [0, {end}), got {number}")
    return number

"""From edges to a graph: case = {input, path, share}.

The input is text, strings, gz or arrays; ours also has the two halves of text, parse and build.

The result is the adjacency matrix of an undirected graph in CSR form, parallel edges summed, with
a table from the ids to the rows where ids are strings; networkx makes its own graph.
The figure is edges per second. `share` is the part of the file a slow peer reads.
"""

import gzip
import io
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from worker import Unsupported

from contenders import Contender

Run = Callable[[int], Any]


def prepare(contender: Contender, case: dict[str, Any], threads: int) -> Run:
    """Bind the process to as many cores as it has threads; read once, so the file is in memory."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    run = contender.start(case, threads)
    run(0)
    return run


def finish(result: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Edges in the graph, each counted once."""
    if hasattr(result, "number_of_edges"):
        return {"work": result.number_of_edges()}
    if sp.issparse(result):
        return {"work": result.nnz // 2}
    return {"work": len(result.source) if hasattr(result, "source") else result.n_edges}


def _graphembed(case: dict[str, Any], threads: int) -> Run:
    from graphembed import Graph

    if case["input"] == "arrays":
        edges = np.load(case["path"])
        return lambda number: Graph.from_edges(edges)
    if case["input"] in ("parse", "build"):
        return _half(case)
    return lambda number: Graph.from_edge_list_file(case["path"])


def _half(case: dict[str, Any]) -> Run:
    """`Graph.from_edge_list_file` up to the columns of edges, or from there on."""
    from graphembed import Graph
    from graphembed._ingest.text import read_text

    def read(number: int) -> Any:
        return read_text(
            case["path"], directed=False, nodes=None, source=None, target=None, weight="weight",
            delimiter=None, header=None,
        )  # fmt: skip

    if case["input"] == "parse":
        return read
    columns = read(0)
    return lambda number: Graph._from_edge_list(columns)


def _matrix(source: Any, target: Any) -> sp.csr_matrix:
    """Symmetric CSR matrix of two columns of whole numbers."""
    n = int(max(source.max(), target.max())) + 1
    rows, columns = np.concatenate([source, target]), np.concatenate([target, source])
    return sp.coo_matrix((np.ones(len(rows), np.float32), (rows, columns)), (n, n)).tocsr()


def _pandas(case: dict[str, Any], threads: int) -> Run:
    import pandas as pd

    def run(number: int) -> sp.csr_matrix:
        frame = pd.read_csv(case["path"], sep=" ", header=None, engine="c")
        if case["input"] != "strings":
            return _matrix(frame[0].to_numpy(), frame[1].to_numpy())
        codes, _ = pd.factorize(pd.concat([frame[0], frame[1]], ignore_index=True))
        return _matrix(*codes.reshape(2, -1))

    return _read_by(run, case)


def _polars(case: dict[str, Any], threads: int) -> Run:
    import polars as pl

    def run(number: int) -> sp.csr_matrix:
        frame = pl.read_csv(case["path"], separator=" ", has_header=False)
        source, target = frame.get_columns()
        if case["input"] != "strings":
            return _matrix(source.to_numpy(), target.to_numpy())
        ids = pl.concat([source, target]).cast(pl.Categorical)
        return _matrix(*ids.to_physical().to_numpy().reshape(2, -1))

    return _read_by(run, case)


def _pyarrow(case: dict[str, Any], threads: int) -> Run:
    import pyarrow as pa
    from pyarrow import csv

    pa.set_cpu_count(threads)
    options = (
        csv.ReadOptions(autogenerate_column_names=True),
        csv.ParseOptions(delimiter=" "),
    )

    def run(number: int) -> sp.csr_matrix:
        table = csv.read_csv(case["path"], *options)
        source, target = table.columns
        if case["input"] != "strings":
            return _matrix(source.to_numpy(), target.to_numpy())
        ids = pa.chunked_array([*source.chunks, *target.chunks]).combine_chunks()
        return _matrix(*ids.dictionary_encode().indices.to_numpy().reshape(2, -1))

    return _read_by(run, case)


def _read_by(run: Run, case: dict[str, Any]) -> Run:
    """Arrays need no reader: there the time is that of scipy's CSR."""
    if case["input"] != "arrays":
        return run
    raise Unsupported("arrays are built by scipy alone")


def _scipy(case: dict[str, Any], threads: int) -> Run:
    if case["input"] != "arrays":
        raise Unsupported("reads no text")
    edges = np.load(case["path"])
    return lambda number: _matrix(edges[:, 0], edges[:, 1])


def _networkx(case: dict[str, Any], threads: int) -> Run:
    import networkx as nx

    if case["input"] == "arrays":
        edges: NDArray[Any] = np.load(case["path"])[: case["share"]]
        return lambda number: nx.Graph(edges.tolist())
    opened: Any = gzip.open if case["input"] == "gz" else open
    with opened(case["path"], "rb") as file:
        lines: Sequence[bytes] = list(itertools.islice(file, case["share"]))
    text = b"".join(lines)
    if case["input"] == "gz":
        text = gzip.compress(text)
    kind = str if case["input"] == "strings" else int

    def run(number: int) -> Any:
        stream: Any = io.BytesIO(text)
        if case["input"] == "gz":
            stream = gzip.GzipFile(fileobj=stream)
        return nx.read_edgelist(stream, nodetype=kind, data=False)

    return run


CONTENDERS = {
    "graphembed": Contender(_graphembed, ("graphembed",)),
    "polars + scipy": Contender(_polars, ("polars", "scipy")),
    "pyarrow + scipy": Contender(_pyarrow, ("pyarrow", "scipy")),
    "pandas + scipy": Contender(_pandas, ("pandas", "scipy")),
    "scipy": Contender(_scipy, ("scipy",)),
    "networkx": Contender(_networkx, ("networkx",)),
}

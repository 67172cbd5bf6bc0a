"""Graph objects of the peers, made of CSR arrays by the shortest way each of them has."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from graphs import Arrays


def grape_graph(arrays: Arrays) -> Any:
    """Graph of ensmallen: it reads files only; arcs are written sorted and both ways."""
    import polars as pl
    from ensmallen import Graph

    columns: dict[str, Any] = {"source": arrays.sources(), "target": arrays.indices}
    options: dict[str, Any] = {}
    if arrays.weights is not None:
        columns["weight"] = arrays.weights
        options["weights_column_number"] = 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "arcs.tsv")
        pl.DataFrame(columns).write_csv(path, include_header=False, separator="\t")
        return Graph.from_csv(
            directed=True, edge_path=str(path), edge_list_separator="\t", edge_list_header=False,
            sources_column_number=0, destinations_column_number=1,
            edge_list_numeric_node_ids=True, numeric_node_ids=True, minimum_node_id=0,
            number_of_nodes=arrays.n_nodes, number_of_edges=len(arrays.indices),
            edge_list_is_complete=True, edge_list_may_contain_duplicates=False,
            edge_list_is_sorted=True, edge_list_is_correct=True, verbose=False,
            name="benchmark", **options,
        )  # fmt: skip


def fastnode2vec_graph(arrays: Arrays) -> Any:
    """Graph of fastnode2vec without its constructor, which wants a Python tuple for each edge."""
    from fastnode2vec import Graph
    from fastnode2vec.graph import _csr_row_cumsum

    graph = Graph.__new__(Graph)
    graph.weighted = arrays.weights is not None
    graph.indptr, graph.indices = arrays.indptr, arrays.indices
    if arrays.weights is not None:
        rows = np.repeat(np.arange(arrays.n_nodes), np.diff(arrays.indptr))
        sums = np.bincount(rows, arrays.weights, arrays.n_nodes)
        graph.data = _csr_row_cumsum(arrays.indptr, arrays.weights / sums[rows])
    graph.node_names = np.arange(arrays.n_nodes)
    return graph


# Names of types that numpy 2 has dropped and that packages under PecanPy 2.0.9 and embiggen 0.11
# ask for.
_OLD_NUMPY_NAMES = {
    "bool8": "bool_", "object0": "object_", "int0": "intp", "uint0": "uintp", "float_": "float64",
    "longfloat": "longdouble", "singlecomplex": "complex64", "complex_": "complex128",
    "cfloat": "complex128", "clongfloat": "clongdouble", "longcomplex": "clongdouble",
    "void0": "void", "bytes0": "bytes_", "string_": "bytes_", "str0": "str_", "unicode_": "str_",
}  # fmt: skip


def restore_numpy_names() -> None:
    """Let a package that is older than numpy 2 be imported."""
    for old, new in _OLD_NUMPY_NAMES.items():
        if not hasattr(np, old):
            setattr(np, old, getattr(np, new))


def pecanpy_graph(
    arrays: Arrays, *, p: float, q: float, threads: int, seed: int | None = None
) -> Any:
    """Graph of PecanPy: the class its documentation names for p and q; none is made of CSR."""
    restore_numpy_names()
    from pecanpy import pecanpy

    unweighted = p == q == 1 and arrays.weights is None
    kind = pecanpy.FirstOrderUnweighted if unweighted else pecanpy.SparseOTF
    graph = kind(p, q, workers=threads, random_state=seed)
    graph.set_node_ids([str(i) for i in range(arrays.n_nodes)])
    graph.indptr = arrays.indptr.astype(np.uint32)
    graph.indices = arrays.indices.astype(np.uint32)
    weights = arrays.weights if arrays.weights is not None else np.ones(len(arrays.indices))
    graph.data = weights.astype(np.float32)
    return graph

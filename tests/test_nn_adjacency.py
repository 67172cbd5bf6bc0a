"""Adjacency: checks, orders of edges, the matrices of the layers, restriction, memory."""

import copy
import gc
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from graphembed import Graph
from graphembed.nn import _memory, _ops
from graphembed.nn.adjacency import Adjacency, as_adjacency
from graphembed.nn.sparse import SparseMatrix, as_sparse_matrix

# Unsorted, with a duplicate edge, self-loops (two at node 3), and the isolated node 4.
EDGES = torch.tensor([[0, 1, 2, 2, 0, 3, 3, 0], [1, 0, 1, 1, 3, 3, 3, 0]])
N = 5


def weights() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(EDGES.shape[1], dtype=torch.float64, generator=generator) + 0.5


def dense(edges: Tensor, values: Tensor | None, n: int = N) -> Tensor:
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for k, (source, target) in enumerate(edges.T.tolist()):
        matrix[target, source] += 1.0 if values is None else values[k]
    return matrix


def dense_gcn(values: Tensor | None, fill: float, add_self_loops: bool) -> Tensor:
    a = dense(EDGES, values)
    if add_self_loops:
        a.fill_diagonal_(0.0)
        for node in range(N):
            loops = [k for k in range(EDGES.shape[1]) if EDGES[:, k].tolist() == [node, node]]
            last = 1.0 if values is None else values[loops[-1]] if loops else 0.0
            a[node, node] = last if loops else fill
    degrees = a.sum(1)
    scale = torch.where(degrees > 0, degrees**-0.5, 0.0)
    return scale[:, None] * a * scale


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_edges_by_target(dtype: torch.dtype) -> None:
    w = weights()
    adjacency = Adjacency.from_edge_index(EDGES.to(dtype), N, edge_weight=w)
    torch.testing.assert_close(adjacency.matrix.to_dense(), dense(EDGES, w))
    order = adjacency.edge_order
    assert EDGES[0][order].tolist() == adjacency.matrix.indices.tolist()
    assert EDGES[1][order].tolist() == adjacency.matrix.rows.tolist()
    torch.testing.assert_close(adjacency.edge_values(w), adjacency.matrix.values)
    ordered = Adjacency.from_edge_index(EDGES[:, order].to(dtype), N)
    assert ordered.edge_order is None
    assert ordered.matrix.indices.tolist() == adjacency.matrix.indices.tolist()


@pytest.mark.parametrize(
    ("edges", "error", "message"),
    [
        ([[0, 1]], TypeError, "edge_index must be a torch tensor, got list"),
        (torch.zeros(2, 3), TypeError, r"dtype int64 or int32, got torch\.float32"),
        (torch.zeros(3, 2, dtype=torch.int64), ValueError, r"shape \(2, n_edges\), got \(3, 2\)"),
        (torch.tensor([[0, 5], [0, 1]]), IndexError, r"sources.*\[0, 5\), got 5 at position 1"),
        (torch.tensor([[0, 1], [0, -1]]), IndexError, r"targets.*\[0, 5\), got -1 at position 1"),
    ],
)
def test_wrong_edges_are_named(edges, error, message) -> None:
    with pytest.raises(error, match=message):
        Adjacency.from_edge_index(edges, N)
    with pytest.raises(error, match=message):
        as_adjacency(edges, None, N)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("improved", [False, True])
@pytest.mark.parametrize("add_self_loops", [False, True])
def test_gcn_matrix(weighted: bool, improved: bool, add_self_loops: bool) -> None:
    w = weights() if weighted else None
    adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=w)
    matrix = adjacency.gcn_matrix(improved, add_self_loops, dtype=torch.float64)
    expected = dense_gcn(w, 2.0 if improved else 1.0, add_self_loops)
    torch.testing.assert_close(matrix.to_dense(), expected)
    assert adjacency.gcn_matrix(improved, add_self_loops, dtype=torch.float64) is matrix


def test_gradient_of_the_weights() -> None:
    w = weights().requires_grad_()

    def matrices(w: Tensor) -> Tensor:
        adjacency = as_adjacency(EDGES, w, N)
        made = [
            adjacency.gcn_matrix(dtype=torch.float64),
            adjacency.cheb_matrix("sym", 2.0, dtype=torch.float64),
            adjacency.mean_matrix(dtype=torch.float64),
        ]
        return torch.cat([matrix.to_dense() for matrix in made])

    torch.autograd.gradcheck(matrices, (w,))


@pytest.mark.parametrize("normalization", [None, "sym", "rw"])
@pytest.mark.parametrize("lambda_max", [None, 1.7])
def test_cheb_matrix(normalization: str | None, lambda_max: float | None) -> None:
    w = weights()
    a = dense(EDGES, w).fill_diagonal_(0.0)
    degrees = a.sum(0)  # of the edges that leave a node
    inverse = torch.where(degrees > 0, 1 / degrees, 0.0)
    laplacian = {
        None: degrees.diag() - a,
        "rw": torch.eye(N) - a * inverse,
        "sym": torch.eye(N) - inverse.sqrt()[:, None] * a * inverse.sqrt(),
    }[normalization]
    largest = lambda_max
    if largest is None:  # of the entries, where the duplicate edge has two
        adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=w)
        largest = 2.0 * float(laplacian.max())
    adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=w)
    matrix = adjacency.cheb_matrix(normalization, lambda_max, dtype=torch.float64)
    torch.testing.assert_close(matrix.to_dense(), 2 * laplacian / largest - torch.eye(N))


def test_mean_and_self_looped() -> None:
    adjacency = Adjacency.from_edge_index(EDGES, N)
    a = dense(EDGES, None)
    torch.testing.assert_close(
        adjacency.mean_matrix(dtype=torch.float64).to_dense(), a / a.sum(1, True).clamp(min=1)
    )
    looped = adjacency.self_looped()
    assert adjacency.self_looped() is looped
    torch.testing.assert_close(
        looped.matrix.to_dense(torch.float64), a.fill_diagonal_(0.0) + torch.eye(N)
    )
    for entry, edge in enumerate(looped.edge_order.tolist()):
        row, column = int(looped.matrix.rows[entry]), int(looped.matrix.indices[entry])
        assert (edge == -1) == (row == column)
        assert edge == -1 or EDGES[:, edge].tolist() == [column, row]


@pytest.mark.parametrize("targets", [[3, 1], [4], [], [0, 1, 2, 3, 4]])
def test_restricted_rows_are_those_of_the_whole_graph(targets: list[int]) -> None:
    adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=weights())
    block, sources = adjacency.restrict(torch.tensor(targets, dtype=torch.int64))
    assert sources[: len(targets)].tolist() == targets
    assert len(set(sources.tolist())) == len(sources)
    assert (block.n_target, block.n_source) == (len(targets), len(sources))
    for matrix in (
        lambda a: a.matrix,
        lambda a: a.gcn_matrix(dtype=torch.float64),
        lambda a: a.cheb_matrix(dtype=torch.float64),
        lambda a: a.mean_matrix(dtype=torch.float64),
    ):
        whole, part = matrix(adjacency).to_dense(), torch.zeros(len(targets), N).double()
        part[:, sources] = matrix(block).to_dense()
        torch.testing.assert_close(part, whole[targets])
    looped = block.self_looped().matrix.to_dense()
    whole = adjacency.self_looped().matrix.to_dense()
    torch.testing.assert_close(looped, whole[targets][:, sources])
    kept = block.edge_order.tolist()
    assert [EDGES[1, k] for k in kept] == [targets[r] for r in block.matrix.rows.tolist()]
    assert [EDGES[0, k] for k in kept] == sources[block.matrix.indices.long()].tolist()


def test_wrong_targets_are_named() -> None:
    adjacency = Adjacency.from_edge_index(EDGES, N)
    with pytest.raises(IndexError, match=r"targets must be in \[0, 5\), got 5 at position 0"):
        adjacency.restrict(torch.tensor([5]))
    with pytest.raises(ValueError, match="targets must be distinct"):
        adjacency.restrict(torch.tensor([1, 1]))
    block = Adjacency.from_edge_index(torch.tensor([[0, 3], [0, 1]]), 4, 2)
    assert block.is_bipartite
    with pytest.raises(ValueError, match=r"restrict\(\)"):
        block.gcn_matrix()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_graph_to_adjacency(directed: bool, weighted: bool) -> None:
    edges = [(0, 1, 2.0), (2, 1, 3.0), (3, 3, 0.5), (0, 3, 1.5)]
    graph = Graph.from_edges(edges if weighted else [e[:2] for e in edges], directed=directed)
    adjacency = graph.to_adjacency()
    arcs = np.repeat(np.arange(graph.n_nodes), np.diff(graph.indptr)), graph.indices
    expected = torch.zeros(graph.n_nodes, graph.n_nodes)
    w = np.ones(len(graph.indices)) if graph.weights is None else graph.weights
    expected[arcs[1].copy(), arcs[0].copy()] = torch.tensor(w, dtype=torch.float32)
    torch.testing.assert_close(adjacency.matrix.to_dense(), expected)
    order = adjacency.edge_order
    order = np.arange(len(w)) if order is None else order.numpy()
    for entry, arc in enumerate(order):
        joined = {int(adjacency.matrix.rows[entry]), int(adjacency.matrix.indices[entry])}
        assert joined == {int(arcs[0][arc]), int(arcs[1][arc])}
    assert as_adjacency(graph, None, 4) is as_adjacency(graph, None, 4)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_torch_sparse_tensor_has_targets_as_rows() -> None:
    a = dense(EDGES, weights())
    for sparse in (a.to_sparse_csr(), a.to_sparse_coo(), a.to_sparse_coo().coalesce()):
        adjacency = as_adjacency(sparse, None, N)
        torch.testing.assert_close(adjacency.matrix.to_dense(), a)
        assert as_adjacency(sparse, None, N) is adjacency
        assert as_sparse_matrix(sparse) is as_sparse_matrix(sparse)
    with pytest.raises(ValueError, match="5 sources and 5 targets, but the features for 6 and 6"):
        as_adjacency(sparse, None, 6)


def test_what_is_made_of_a_tensor_is_remembered_while_it_lives_unchanged() -> None:
    gc.collect()
    before = len(_memory._MADE)
    edges, w = EDGES.clone(), weights()
    plain, weighted = as_adjacency(edges, None, N), as_adjacency(edges, w, N)
    assert as_adjacency(edges, None, N) is plain
    assert as_adjacency(edges, w, N) is weighted
    w[0] = 9.0
    assert 9.0 in as_adjacency(edges, w, N).matrix.values
    assert 9.0 not in weighted.matrix.values
    edges[1, 0] = 2
    changed = as_adjacency(edges, None, N)
    assert changed is not plain
    torch.testing.assert_close(changed.matrix.to_dense(torch.float64), dense(edges, None))
    with torch.inference_mode():
        assert as_adjacency(edges.clone(), None, N).n_target == N
    del edges, w, plain, weighted, changed
    gc.collect()
    assert len(_memory._MADE) == before


def test_sparse_matrix_checks() -> None:
    indptr, indices = torch.tensor([0, 1, 2]), torch.tensor([0, 2])
    with pytest.raises(IndexError, match=r"indices must be in \[0, 2\), got 2 at position 1"):
        SparseMatrix(indptr, indices, None, (2, 2))
    with pytest.raises(ValueError, match=r"indptr must have shape \(4,\)"):
        SparseMatrix(indptr, indices, None, (3, 3))
    with pytest.raises(ValueError, match="must not fall, but does after position 1"):
        SparseMatrix(torch.tensor([0, 3, 2]), indices, None, (2, 3))
    with pytest.raises(TypeError, match=r"floating dtype, got torch\.int64"):
        SparseMatrix(indptr, indices, torch.tensor([1, 2]), (2, 3))
    with pytest.raises(AttributeError, match="immutable"):
        SparseMatrix(indptr, indices, None, (2, 3)).values = None


def test_sparse_matrix_views() -> None:
    matrix = SparseMatrix.from_scipy(sp.random_array((6, 4), density=0.5, rng=0), torch.float64)
    dense = matrix.to_dense()
    pattern, order = matrix.transposed
    torch.testing.assert_close(pattern.with_values(matrix.values[order]).to_dense(), dense.T)
    assert matrix.with_values(None).transposed[1] is order
    rows = torch.tensor([3, 0, 3], dtype=torch.int32)
    torch.testing.assert_close(matrix.select_rows(rows).to_dense(), dense[[3, 0, 3]])
    torch.testing.assert_close(matrix.to_torch().to_dense(), dense)
    assert matrix.to(dtype=torch.float32).dtype == torch.float32
    assert matrix.to(dtype=torch.float32) is matrix.to(dtype=torch.float32)
    assert matrix.to(dtype=torch.float64) is matrix
    assert "shape=(6, 4)" in repr(matrix)


def test_sparse_matrix_is_copied_and_pickled() -> None:
    matrix = Adjacency.from_edge_index(EDGES, N).gcn_matrix()
    assert copy.deepcopy([matrix])[0] is matrix
    for again in (copy.copy(matrix), pickle.loads(pickle.dumps(matrix))):
        assert torch.equal(again.to_dense(), matrix.to_dense())
    adjacency = copy.deepcopy(Adjacency.from_edge_index(EDGES, N, edge_weight=weights()))
    assert torch.equal(adjacency.matrix.to_dense(), dense(EDGES, weights()))


def test_what_was_given_may_be_written_to_afterwards() -> None:
    indptr, indices = torch.tensor([0, 1, 2]), torch.tensor([0, 2], dtype=torch.int32)
    matrix = SparseMatrix(indptr, indices, None, (2, 3))
    edges = torch.tensor([[0, 2], [0, 1]])
    adjacency = Adjacency.from_edge_index(edges, 3)
    indptr[1], indices[0], edges[:] = 10**9, 10**9, 10**9
    assert matrix.to_dense().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert adjacency.matrix.to_dense().tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("backend", ["", "torch", "sparse"])
def test_what_was_made_in_inference_mode_can_be_trained_with(backend: str, monkeypatch) -> None:
    monkeypatch.setenv("GRAPHEMBED_BACKEND", backend)
    edges, w = EDGES.clone(), weights().float()
    features = SparseMatrix.from_scipy(sp.random_array((N, 3), density=0.5, rng=0))
    weight = torch.ones(2, 3, requires_grad=True)
    attention = torch.ones(N, 2, requires_grad=True)

    def forward() -> Tensor:
        adjacency = as_adjacency(edges, w, N)
        x = _ops.linear(features, weight)
        block, sources = adjacency.restrict(torch.tensor([1, 3]))
        out = (
            _ops.spmm(adjacency.gcn_matrix(), x).sum()
            + _ops.spmm(block.gcn_matrix(), x[sources]).sum()
        )
        out = out + _ops.spmm(adjacency.mean_matrix(), x).sum()
        looped = adjacency.self_looped().matrix
        if backend != "sparse":
            out = out + _ops.aggregate(adjacency.matrix, x, "max").sum()
            out = out + _ops.attention(looped, x[:, :, None], attention, attention)[0].sum()
        return out

    with torch.inference_mode():
        expected = float(forward())
    out = forward()
    out.backward()
    assert float(out.detach()) == pytest.approx(expected)
    assert weight.grad is not None


def test_other_data_of_the_same_tensor_is_seen() -> None:
    edges, w = EDGES.clone(), weights()
    as_adjacency(edges, w, N)
    for other in (w * 2, torch.ones(8).double(), torch.ones(8)):
        w.data = other
        assert torch.equal(as_adjacency(edges, w, N).matrix.to_dense(), dense(edges, w).to(w.dtype))
    edges.data = edges[:, :3].clone()
    assert as_adjacency(edges, None, N).matrix.n_entries == 3
    edges.data = edges.flip(0)
    torch.testing.assert_close(
        as_adjacency(edges, None, N).matrix.to_dense(torch.float64), dense(edges, None)
    )
    w.data = weights()
    first = as_adjacency(EDGES, w, N)
    address = w.data_ptr()
    w.data = w * 2
    w.data = w * 2  # no new storage may have got the first one's address
    assert w.data_ptr() != address
    assert not torch.equal(as_adjacency(EDGES, w, N).matrix.values, first.matrix.values)


def matrices_of(adjacency: Adjacency) -> list[SparseMatrix]:
    dtype = torch.float64
    return [
        adjacency.gcn_matrix(dtype=dtype),
        adjacency.cheb_matrix(dtype=dtype),
        adjacency.mean_matrix(dtype=dtype),
    ]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_look_without_gradients_freezes_no_weights(mode) -> None:
    w = weights().requires_grad_()
    by_target = EDGES[:, EDGES[1].argsort(stable=True)]
    adjacency = Adjacency.from_edge_index(by_target, N, edge_weight=w)
    block, _ = adjacency.restrict(torch.tensor([1, 3]))
    with mode():
        first = [m.to_dense() for a in (adjacency, block) for m in matrices_of(a)]
    with torch.no_grad():
        w.mul_(torch.arange(1.0, len(w) + 1))
    second = [m for a in (adjacency, block) for m in matrices_of(a)]
    for before, matrix in zip(first, second, strict=True):
        assert matrix.values.requires_grad
        assert not torch.equal(before, matrix.to_dense()) or matrix is second[-1]


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("coalesced", [False, True])
def test_a_coo_tensor_keeps_its_gradient_and_sums_repeated_entries(coalesced: bool) -> None:
    places, values = EDGES.flip(0), weights().requires_grad_()

    def entries(values: Tensor) -> Tensor:
        tensor = torch.sparse_coo_tensor(places, values, (N, N))
        tensor = tensor.coalesce() if coalesced else tensor
        return SparseMatrix.from_torch(tensor).values

    torch.autograd.gradcheck(entries, (values,))
    n_places = len(set(map(tuple, places.T.tolist())))
    assert len(entries(values)) == n_places < len(values)
    matrix = SparseMatrix.from_torch(torch.sparse_coo_tensor(places, values, (N, N)))
    torch.testing.assert_close(matrix.to_dense(), dense(EDGES, values))


@pytest.mark.filterwarnings("ignore:Sparse")
def test_values_that_were_given_may_be_written_to_afterwards() -> None:
    a = dense(EDGES, weights())
    csr, coo = a.to_sparse_csr(), a.to_sparse_coo()
    values = weights()
    pattern = Adjacency.from_edge_index(EDGES, N).matrix
    made = [
        SparseMatrix.from_torch(csr),
        SparseMatrix.from_torch(coo),
        as_sparse_matrix(csr),
        pattern.with_values(values),
        SparseMatrix(pattern.indptr, pattern.indices, values, pattern.shape),
    ]
    before = [matrix.to_dense() for matrix in made]
    for written in (csr.values(), coo.values(), values):
        written.mul_(10)
    for matrix, expected in zip(made, before, strict=True):
        assert torch.equal(matrix.to_dense(), expected)
    trained = weights().requires_grad_()
    assert pattern.with_values(trained).values is trained


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((2**31, 1), r"n_source must be an int in \[0, 2\*\*31\), got 2147483648"),
        ((5, 2**31), r"n_target must be an int in \[0, 2\*\*31\), got 2147483648"),
        ((-1, 5), r"n_source must be .* got -1"),
        ((5.0, 5), r"n_source must be an int .* got 5\.0"),
    ],
)
def test_wrong_numbers_of_nodes_are_named(sizes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Adjacency.from_edge_index(torch.zeros(2, 0, dtype=torch.int64), *sizes)


def test_a_part_of_a_graph_with_as_many_sources_as_targets_knows_no_degrees() -> None:
    whole = Adjacency.from_edge_index(EDGES, N)
    part = Adjacency(whole.matrix, whole.edge_order, is_block=True)
    for block in (part, part.with_weights(weights()), part.self_looped(), part.to("meta")):
        assert block.is_bipartite
        with pytest.raises(ValueError, match=r"NeighborLoader\(\.\.\., subgraph=True\)"):
            block.gcn_matrix()
    assert not whole.is_bipartite


@pytest.mark.parametrize("trained", [False, True])
def test_a_block_moves_without_its_graph(trained: bool) -> None:
    w = weights().requires_grad_(trained)
    adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=w)
    assert (adjacency.to("meta") is adjacency.to("meta")) == (not trained)
    block, _ = adjacency.restrict(torch.tensor([1, 3]))
    moved = block.to("meta")
    assert moved._full[0] is adjacency
    for ours, theirs in zip(matrices_of(block), matrices_of(moved), strict=True):
        assert theirs.device.type == "meta"
        assert theirs.shape == ours.shape
        assert theirs.values.requires_grad == trained


def test_nan_weights_are_not_hidden() -> None:
    w = weights()
    w[0] = torch.nan
    for normalization in ("sym", "rw", None):
        matrix = Adjacency.from_edge_index(EDGES, N, edge_weight=w).cheb_matrix(normalization)
        assert matrix.values.isnan().any()
    loops = torch.tensor([[0, 0], [0, 1]])
    adjacency = Adjacency.from_edge_index(loops, 2, edge_weight=torch.tensor([torch.nan, 1.0]))
    assert adjacency.cheb_matrix().values.isfinite().all()  # a self-loop is left out
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adjacency = Adjacency.from_edge_index(loops[:, 1:], 2, edge_weight=w)
    matrix = adjacency.cheb_matrix(None, dtype=torch.float64)  # L is zero
    torch.testing.assert_close(matrix.to_dense(), -torch.eye(2, dtype=torch.float64))
    assert torch.autograd.grad(matrix.values.sum(), w)[0].isfinite().all()


def test_features_of_edges_are_checked_early() -> None:
    adjacency = Adjacency.from_edge_index(EDGES, N)
    block, _ = adjacency.restrict(torch.tensor([1, 3]))
    assert torch.equal(block.edge_values(weights()), weights()[block.edge_order])
    for edges in (adjacency, block, block.to("meta"), block.restrict(torch.tensor([0]))[0]):
        with pytest.raises(ValueError, match=r"must have 8 rows, .* got shape \(7,\)"):
            edges.edge_values(weights()[:7].to(edges.device))
    looped = adjacency.self_looped()
    for edges in (looped, Adjacency(looped.matrix, looped.edge_order)):
        with pytest.raises(ValueError, match=r"edge_weight has no rows for the self-loops"):
            edges.with_weights(weights())
    with pytest.raises(ValueError, match=r"with_weights\(edge_weight\)\.restrict\(targets\)"):
        block.with_weights(weights())


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        (torch.full((8,), 8), IndexError, r"edge_order must be in \[0, 8\), got 8 at position 0"),
        (torch.zeros(7, dtype=torch.int64), ValueError, r"edge_order must have shape \(8,\)"),
        (torch.zeros(8), TypeError, "edge_order must be of dtype int64 or int32"),
    ],
)
def test_wrong_orders_of_edges_are_named(order, error, message) -> None:
    with pytest.raises(error, match=message):
        Adjacency(Adjacency.from_edge_index(EDGES, N).matrix, order)


def test_targets_that_are_no_sources_cannot_be_restricted_to() -> None:
    adjacency = Adjacency.from_edge_index(torch.tensor([[0, 1], [0, 3]]), 2, 4)
    with pytest.raises(ValueError, match="got 4 targets and 2 sources"):
        adjacency.restrict(torch.tensor([3]))


def test_so_many_matrices_are_kept() -> None:
    adjacency = Adjacency.from_edge_index(EDGES, N)
    for k in range(30):
        matrix = adjacency.cheb_matrix("sym", 1.5 + k)
        assert adjacency.cheb_matrix("sym", 1.5 + k) is matrix
    assert len(adjacency._kept) < 10

"""The operations of the layers: every backend against the dense formula, and its gradient."""

import os
import sys
import types

import pytest
import torch
from torch import Tensor

from graphembed.nn import _ops
from graphembed.nn.sparse import SparseMatrix

torch.manual_seed(0)


def faithful_torch_scatter() -> types.ModuleType:
    """A stand-in of torch-scatter: the signatures of its documentation, computed by torch."""
    module = types.ModuleType("torch_scatter")

    def spread(index: Tensor, src: Tensor, dim: int) -> Tensor:
        assert dim == 0
        return index.reshape(-1, *[1] * (src.dim() - 1)).expand_as(src)

    def scatter_add(src, index, dim=-1, out=None, dim_size=None):
        assert out is None
        zeros = src.new_zeros((dim_size, *src.shape[1:]))
        return zeros.scatter_add(0, spread(index, src, dim), src)

    def scatter_max(src, index, dim=-1, out=None, dim_size=None):
        assert out is None
        result = src.new_zeros((dim_size, *src.shape[1:]))
        places = torch.full_like(result, len(src), dtype=torch.int64)
        for row in index.unique().tolist():
            members = (index == row).nonzero()[:, 0]
            largest = src[members].max(0)
            result = result.index_put((torch.tensor([row]),), largest.values[None])
            places[row] = members[largest.indices]
        return result, places

    module.scatter_add, module.scatter_max = scatter_add, scatter_max
    return module


def force(backend: str, monkeypatch) -> str:
    if backend != "default":
        monkeypatch.setenv("GRAPHEMBED_BACKEND", backend)
    if backend == "scatter":
        monkeypatch.setitem(sys.modules, "torch_scatter", faithful_torch_scatter())
    return backend


@pytest.fixture(params=["default", *_ops.BACKENDS])
def backend(request, monkeypatch) -> str:
    return force(request.param, monkeypatch)


@pytest.fixture(params=["default", "kernels", "torch", "scatter"])
def able_backend(request, monkeypatch) -> str:
    """All but torch's CSR product, which can do products only."""
    return force(request.param, monkeypatch)


MATRICES = {
    "some": ([0, 2, 5, 5, 6, 9], [3, 0, 1, 1, 5, 2, 5, 4, 0], 6),  # unsorted, duplicate, empty row
    "no entries": ([0, 0, 0, 0], [], 2),
    "no rows": ([0], [], 3),
    "no columns": ([0, 0, 0], [], 0),
    "one": ([0, 1], [0], 1),
}


@pytest.fixture(params=MATRICES)
def matrix(request) -> SparseMatrix:
    indptr, indices, n_columns = MATRICES[request.param]
    values = torch.randn(len(indices), dtype=torch.float64)
    return SparseMatrix(
        torch.tensor(indptr),
        torch.tensor(indices, dtype=torch.int32),
        values,
        (len(indptr) - 1, n_columns),
    )


def doubles(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("d", [0, 1, 3])
def test_product_is_the_dense_one(matrix: SparseMatrix, d: int, backend: str) -> None:
    x = doubles(matrix.shape[1], d)
    torch.testing.assert_close(_ops.spmm(matrix, x), matrix.to_dense() @ x)
    ones = matrix.with_values(None)
    torch.testing.assert_close(_ops.spmm(ones, x), ones.to_dense(torch.float64) @ x)
    torch.autograd.gradcheck(lambda x: _ops.spmm(matrix, x), (x,))


def test_product_with_a_bias(matrix: SparseMatrix, backend: str) -> None:
    x, bias = doubles(matrix.shape[1], 3), doubles(3)
    torch.testing.assert_close(_ops.spmm(matrix, x, bias=bias), matrix.to_dense() @ x + bias)
    torch.autograd.gradcheck(lambda x, b: _ops.spmm(matrix, x, bias=b), (x, bias))


def test_gradient_of_the_product_in_its_values(matrix: SparseMatrix, backend: str) -> None:
    x, values = doubles(matrix.shape[1], 3), doubles(matrix.n_entries)
    torch.testing.assert_close(
        _ops.spmm(matrix, x, values), matrix.with_values(values).to_dense() @ x
    )
    torch.autograd.gradcheck(lambda x, v: _ops.spmm(matrix, x, v), (x, values))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_aggregate(matrix: SparseMatrix, reduce: str, able_backend: str) -> None:
    x = doubles(matrix.shape[1], 3)
    expected = torch.zeros(matrix.shape[0], 3, dtype=torch.float64)
    for row in range(matrix.shape[0]):
        entries = slice(int(matrix.indptr[row]), int(matrix.indptr[row + 1]))
        if entries.start == entries.stop:
            continue
        gathered = x[matrix.indices[entries].long()]
        weighted = gathered * matrix.values[entries, None]
        expected[row] = {
            "sum": weighted.sum(0),
            "mean": weighted.mean(0),
            "max": gathered.max(0).values,
        }[reduce]
    torch.testing.assert_close(_ops.aggregate(matrix, x, reduce), expected)
    torch.autograd.gradcheck(lambda x: _ops.aggregate(matrix, x, reduce), (x,))


def test_first_of_equal_maxima_has_the_gradient(able_backend: str) -> None:
    matrix = SparseMatrix(torch.tensor([0, 3]), torch.tensor([2, 0, 1]), None, (1, 3))
    x = torch.zeros(3, 1, requires_grad=True)
    _ops.aggregate(matrix, x, "max").sum().backward()
    assert x.grad.flatten().tolist() == [0.0, 0.0, 1.0]


def test_edge_softmax(matrix: SparseMatrix, able_backend: str) -> None:
    scores = doubles(matrix.n_entries, 2)
    expected = torch.zeros_like(scores)
    for row in range(matrix.shape[0]):
        entries = slice(int(matrix.indptr[row]), int(matrix.indptr[row + 1]))
        expected[entries] = scores[entries].softmax(0)
    torch.testing.assert_close(_ops.edge_softmax(matrix, scores), expected)
    torch.autograd.gradcheck(lambda s: _ops.edge_softmax(matrix, s), (scores,))


@pytest.mark.parametrize("with_edges", [False, True])
def test_attention(matrix: SparseMatrix, with_edges: bool, able_backend: str) -> None:
    n_target, n_source = matrix.shape
    x, source, target = doubles(n_source, 2, 3), doubles(n_source, 2), doubles(n_target, 2)
    edges = doubles(matrix.n_entries, 2) if with_edges else None
    given = (x, source, target) + ((edges,) if with_edges else ())
    out, none = _ops.attention(matrix, *given, negative_slope=0.3)
    assert none is None
    columns, rows = matrix.indices.long(), matrix.rows
    scores = source[columns] + target[rows] + (edges if with_edges else 0)
    alpha = _ops.edge_softmax(matrix, torch.where(scores > 0, scores, 0.3 * scores))
    expected = torch.zeros(n_target, 2, 3, dtype=torch.float64)
    expected = expected.index_add(0, rows, x[columns] * alpha[..., None])
    torch.testing.assert_close(out, expected)
    again, weights = _ops.attention(matrix, *given, negative_slope=0.3, return_alpha=True)
    torch.testing.assert_close(again, expected)
    torch.testing.assert_close(weights, alpha)
    torch.autograd.gradcheck(lambda *a: _ops.attention(matrix, *a, negative_slope=0.3)[0], given)


def test_sparse_features_times_weight(matrix: SparseMatrix, backend: str) -> None:
    weight, bias = doubles(4, matrix.shape[1]), doubles(4)
    expected = matrix.to_dense() @ weight.T + bias
    torch.testing.assert_close(_ops.linear(matrix, weight, bias), expected)
    torch.autograd.gradcheck(lambda w, b: _ops.linear(matrix, w, b), (weight, bias))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_scatter(reduce: str, able_backend: str) -> None:
    src = torch.tensor([[1.0, -2.0], [3.0, 4.0], [5.0, -6.0]], requires_grad=True)
    out = _ops.scatter(src, torch.tensor([2, 0, 2]), 3, reduce)
    last = {"sum": [6.0, -8.0], "mean": [3.0, -4.0], "max": [5.0, -2.0]}[reduce]
    assert out.tolist() == [[3.0, 4.0], [0.0, 0.0], last]


def test_a_forced_backend_that_cannot_is_an_error(monkeypatch) -> None:
    matrix = SparseMatrix(torch.tensor([0, 1]), torch.tensor([0]), None, (1, 1))
    monkeypatch.setenv("GRAPHEMBED_BACKEND", "fastest")
    with pytest.raises(ValueError, match="GRAPHEMBED_BACKEND must be one of"):
        _ops.spmm(matrix, torch.ones(1, 1))
    monkeypatch.setenv("GRAPHEMBED_BACKEND", "sparse")
    with pytest.raises(ValueError, match="cannot do the softmax"):
        _ops.edge_softmax(matrix, torch.ones(1, 1))
    monkeypatch.setenv("GRAPHEMBED_BACKEND", "scatter")
    monkeypatch.setitem(sys.modules, "torch_scatter", None)
    with pytest.raises(ImportError, match=r"graphembed\[scatter\]"):
        _ops.spmm(matrix, torch.ones(1, 1))
    assert "GRAPHEMBED_BACKEND" in os.environ


def test_wrong_arguments_are_named() -> None:
    matrix = SparseMatrix(torch.tensor([0, 1]), torch.tensor([1]), None, (1, 2))
    with pytest.raises(ValueError, match=r"x must have shape \(2, d\), got \(3, 1\)"):
        _ops.spmm(matrix, torch.ones(3, 1))
    with pytest.raises(
        TypeError, match=r"x must be a tensor of a floating dtype, got torch\.int64"
    ):
        _ops.spmm(matrix, torch.ones(2, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="x lies on meta, but the matrix on cpu"):
        _ops.spmm(matrix, torch.ones(2, 1, device="meta"))
    with pytest.raises(ValueError, match=r"values must have shape \(1,\), got \(2,\)"):
        _ops.spmm(matrix, torch.ones(2, 1), torch.ones(2))
    with pytest.raises(ValueError, match=r"bias must have shape \(1,\) and dtype torch.float32"):
        _ops.spmm(matrix, torch.ones(2, 1), bias=torch.ones(2))
    with pytest.raises(ValueError, match="reduce must be"):
        _ops.aggregate(matrix, torch.ones(2, 1), "median")
    with pytest.raises(IndexError, match=r"index must be in \[0, 2\), got 2 at position 1"):
        _ops.scatter(torch.ones(2, 1), torch.tensor([0, 2]), 2, "sum")


def test_no_entries_hide_what_is_not_a_number(able_backend: str) -> None:
    empty = SparseMatrix(torch.zeros(3, dtype=torch.int64), torch.zeros(0).int(), None, (2, 3))
    x = torch.full((3, 1), torch.inf, requires_grad=True)
    out = _ops.aggregate(empty, x, "max")
    assert out.tolist() == [[0.0], [0.0]]
    if able_backend != "scatter":  # what stands for torch-scatter here has no gradient
        out.sum().backward()
        assert x.grad.tolist() == [[0.0]] * 3


def test_a_wrong_weight_is_named() -> None:
    x = SparseMatrix(torch.tensor([0, 1]), torch.tensor([0]), None, (1, 3))
    with pytest.raises(
        ValueError, match=r"weight must have shape \(out_channels, 3\), .* \(2, 4\)"
    ):
        _ops.linear(x, torch.ones(2, 4))
    with pytest.raises(TypeError, match="weight must be a tensor of a floating dtype"):
        _ops.linear(x, torch.ones(2, 3).int())

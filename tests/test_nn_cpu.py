"""The kernels of the layers: plain torch is the reference, and the bits depend on nothing."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from graphembed import _threads
from graphembed._kernels import _sparse
from graphembed.nn import _cpu, _cpu_attention, _cpu_dropout, _ops, _torch
from graphembed.nn._pattern import Pattern, group
from graphembed.nn.sparse import SparseMatrix

WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 31, 33, 40, 71]
HEADS = [1, 2, 7, 8, 9, 17]


def skewed(n_rows: int = 150, n_columns: int = 130, seed: int = 0) -> SparseMatrix:
    """A hub, rows without entries, columns without entries, duplicates, in random order."""
    rng = np.random.default_rng(seed)
    degrees = rng.integers(0, 6, n_rows)
    degrees[::7], degrees[3] = 0, 400
    columns = (rng.random(degrees.sum()) ** 2 * (n_columns - 5)).astype(np.int32)
    return SparseMatrix(
        torch.from_numpy(np.concatenate([[0], degrees.cumsum()])),
        torch.from_numpy(columns),
        torch.from_numpy(rng.normal(size=len(columns))),
        (n_rows, n_columns),
    )


def doubles(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def same_with_gradients(
    ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *inputs: Tensor
) -> None:
    """Results and gradients of a random sum of them, in float64 and in float32."""
    expected = theirs(*inputs)
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        given = [tensor.detach().to(dtype).requires_grad_() for tensor in inputs]
        result = ours(*given)
        found = torch.autograd.grad((result * weights.to(dtype)).sum(), given)
        for a, b in zip((result, *found), (expected, *wanted), strict=True):
            scale = max(1.0, float(b.detach().abs().max())) if b.numel() else 1.0
            torch.testing.assert_close(a.double(), b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("width", WIDTHS)
def test_product(width: int) -> None:
    matrix = skewed()
    x, values, bias = doubles(matrix.shape[1], width), doubles(matrix.n_entries), doubles(width)
    same_with_gradients(
        lambda x, v, b: _cpu.spmm(matrix, x, v, b),
        lambda x, v, b: _torch.spmm(matrix, x, v) + b,
        *(x, values, bias),
    )
    same_with_gradients(
        lambda x: _cpu.spmm(matrix, x, None), lambda x: _torch.spmm(matrix, x, None), x
    )


@pytest.mark.parametrize("width", [1, 7, 8, 33])
@pytest.mark.parametrize("heads", HEADS)
def test_product_of_heads(heads: int, width: int) -> None:
    matrix = skewed()
    x, values = doubles(matrix.shape[1], heads, width), doubles(matrix.n_entries, heads)
    same_with_gradients(
        lambda x, v: _cpu.spmm(matrix, x, v), lambda x, v: _torch.spmm(matrix, x, v), x, values
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_sparse_linear(width: int) -> None:
    matrix = skewed()
    values, weight, bias = (
        doubles(matrix.n_entries),
        doubles(width, matrix.shape[1]),
        doubles(width),
    )
    same_with_gradients(
        lambda v, w, b: _cpu.linear(matrix, v, w, b),
        lambda v, w, b: _torch.spmm(matrix, w.t(), v) + b,
        *(values, weight, bias),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_maxima(width: int) -> None:
    matrix = skewed()
    x = doubles(matrix.shape[1], width).detach().round(decimals=1).requires_grad_()  # with ties
    same_with_gradients(
        lambda x: _cpu.aggregate_max(matrix, x), lambda x: _torch.aggregate_max(matrix, x), x
    )


def test_maxima_of_infinities_and_nan() -> None:
    matrix = SparseMatrix(torch.tensor([0, 3, 4, 4]), torch.tensor([0, 1, 2, 0]), None, (3, 3))
    nan, inf = float("nan"), float("inf")
    x = torch.tensor([[1.0, -inf, 1.0, 1.0], [nan, -inf, 2.0, inf], [nan, -inf, 3.0, inf]])
    for function in (_cpu.aggregate_max, _torch.aggregate_max):
        given = x.clone().requires_grad_()
        out = function(matrix, given)
        expected = torch.tensor([[nan, -inf, 3.0, inf], [1.0, -inf, 1.0, 1.0], [0.0] * 4])
        torch.testing.assert_close(out, expected, equal_nan=True)
        out[0].sum().backward()
        places = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]])
        assert torch.equal(given.grad, places)


@pytest.mark.parametrize("heads", HEADS)
def test_softmax(heads: int) -> None:
    matrix = skewed()
    scores = (doubles(matrix.n_entries, heads) * 20).detach().requires_grad_()
    same_with_gradients(
        lambda s: _cpu_attention.edge_softmax(matrix, s),
        lambda s: _torch.edge_softmax(matrix, s),
        scores,
    )


def test_softmax_of_extreme_scores() -> None:
    matrix = SparseMatrix(torch.tensor([0, 2, 4]), torch.tensor([0, 1, 0, 1]), None, (2, 2))
    scores = torch.tensor([[1e30], [-1e30], [3.0], [-float("inf")]])
    assert _cpu_attention.edge_softmax(matrix, scores)[:, 0].tolist() == pytest.approx([1, 0, 1, 0])
    scores[2] = float("nan")
    out = _cpu_attention.edge_softmax(matrix, scores)[:, 0]
    assert out[2:].isnan().all()
    assert not out[:2].isnan().any()


@pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("width", [1, 7, 8, 20])
@pytest.mark.parametrize("heads", HEADS)
def test_attention(heads: int, width: int, p: float) -> None:
    matrix = skewed()
    n_target, n_source = matrix.shape
    seed = 12345
    inputs = (
        doubles(n_source, heads, width),
        doubles(n_source, heads),
        doubles(n_target, heads),
        doubles(matrix.n_entries, heads),
    )
    # The mask of a dense tensor and that of the weights are the same function of the seed.
    mask = _cpu_dropout.drop(torch.ones(matrix.n_entries, heads, dtype=torch.float64), p, seed)

    def theirs(x: Tensor, source: Tensor, target: Tensor, edge: Tensor) -> Tensor:
        scores = source[matrix.indices.long()] + target[matrix.rows] + edge
        scores = torch.where(scores > 0, scores, 0.2 * scores)
        return _torch.spmm(matrix, x, _torch.edge_softmax(matrix, scores) * mask)

    def ours(*inputs: Tensor) -> Tensor:
        return _cpu_attention._Attention.apply(matrix, *inputs, 0.2, p, seed)

    same_with_gradients(ours, theirs, *inputs)
    without = (*inputs[:3], torch.zeros_like(inputs[3]))
    torch.testing.assert_close(
        _cpu_attention._Attention.apply(matrix, *inputs[:3], None, 0.2, p, seed), theirs(*without)
    )


def test_attention_may_be_differentiated_twice_in_a_row() -> None:
    matrix = skewed()
    x, source = doubles(matrix.shape[1], 2, 3), doubles(matrix.shape[1], 2)
    out = _cpu_attention.attention(matrix, x, source, doubles(matrix.shape[0], 2), None, 0.2, 0.5)
    first = torch.autograd.grad(out.sum(), (x, source), retain_graph=True)
    second = torch.autograd.grad(out.sum(), (x, source))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_product_has_a_gradient_of_the_gradient() -> None:
    matrix = skewed(6, 5)
    matrix = matrix.select_rows(torch.tensor([1, 2, 4]))
    inputs = (doubles(5, 2), doubles(matrix.n_entries))
    torch.autograd.gradgradcheck(lambda x, v: _cpu.spmm(matrix, x, v), inputs)
    torch.autograd.gradgradcheck(lambda x: _cpu_dropout.dropout(x, 0.0), inputs[:1])


def results(matrix: SparseMatrix, dtype: torch.dtype) -> list[Tensor]:
    """Of every operation, with the gradients."""
    torch.manual_seed(0)
    n_target, n_source = matrix.shape
    heads, width = 3, 11

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64).to(dtype).requires_grad_()

    x, x3 = draw(n_source, heads * width), draw(n_source, heads, width)
    source, target, edge = (
        draw(n_source, heads),
        draw(n_target, heads),
        draw(len(matrix.rows), heads),
    )
    weight, values = draw(9, n_source), draw(len(matrix.rows))
    kept = []
    for out in (
        _ops.spmm(matrix, x, values),
        _ops.aggregate(matrix, x, "max"),
        _ops.edge_softmax(matrix, edge),
        _ops.attention(matrix, x3, source, target, edge, dropout=0.3, training=True)[0],
        _ops.linear(matrix, weight),
        _ops.dropout(x, 0.4),
    ):
        inputs = [t for t in (x, x3, source, target, edge, weight, values)]
        grads = torch.autograd.grad(out.sin().sum(), inputs, allow_unused=True)
        kept += [out.detach(), *(g for g in grads if g is not None)]
    pattern, order = matrix.with_values(None).transposed
    return [*kept, pattern.indices, order]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_do_not_depend_on_threads_nor_on_the_instruction_set(dtype, monkeypatch) -> None:
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    n_threads, matrix = torch.get_num_threads(), skewed(700, 300)
    try:
        torch.set_num_threads(1)
        expected = results(matrix, dtype)
        for threads, openmp, plain in [
            (2, True, False),
            (4, True, False),
            (3, False, False),
            (2, True, True),
        ]:
            torch.set_num_threads(threads)
            monkeypatch.setattr(_threads, "_use_openmp", openmp and _threads._use_openmp)
            _sparse.use_baseline(plain)
            monkeypatch.setattr(_threads, "_WORK_PER_CALL", 2**12)  # in several calls
            fresh = SparseMatrix(matrix.indptr, matrix.indices, matrix.values, matrix.shape)
            found = results(fresh, dtype)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    finally:
        torch.set_num_threads(n_threads)
        _sparse.use_baseline(False)


def test_what_is_not_contiguous_is_copied() -> None:
    matrix = skewed()
    n_target, n_source = matrix.shape
    wide = torch.randn(7, n_source, dtype=torch.float64)
    expected = matrix.to_dense() @ wide.t()
    torch.testing.assert_close(_ops.spmm(matrix, wide.t()), expected)
    x = wide.t().detach().requires_grad_()
    grad = torch.randn(7, n_target, dtype=torch.float64).t()
    (found,) = torch.autograd.grad(_ops.spmm(matrix, x), x, grad)
    torch.testing.assert_close(found, matrix.to_dense().t() @ grad)
    expanded = torch.ones(1, 1, dtype=torch.float64).expand(n_target, 7)
    (found,) = torch.autograd.grad(_ops.spmm(matrix, x), x, expanded)
    torch.testing.assert_close(found, matrix.to_dense().t() @ expanded)
    strided = torch.randn(2 * matrix.n_entries, dtype=torch.float64)[::2]
    torch.testing.assert_close(
        _ops.spmm(matrix, x, strided), matrix.with_values(strided).to_dense() @ x
    )


def test_only_dropout_draws_from_the_generator_of_torch() -> None:
    matrix = skewed()
    x = torch.randn(matrix.shape[1], 3)
    before = torch.get_rng_state()
    _ops.spmm(matrix, x)
    _ops.aggregate(matrix, x, "max")
    _ops.dropout(x, 0.5, training=False)
    scores = torch.randn(matrix.shape[1], 1, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(matrix.shape[0], 1)
    _ops.attention(matrix, x[:, None], scores, targets, dropout=0.5, training=False)
    assert torch.equal(torch.get_rng_state(), before)
    _ops.dropout(x, 0.5)
    after_one = torch.get_rng_state()
    torch.set_rng_state(before)
    _cpu_dropout.draw_seed()
    assert torch.equal(torch.get_rng_state(), after_one)


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_group_is_a_stable_sort(n: int) -> None:
    index = torch.randint(0, 17, (n,))
    indptr, order = group(index, 20)
    assert order.tolist() == index.argsort(stable=True).tolist()
    assert indptr.diff().tolist() == torch.bincount(index, minlength=20).tolist()


def test_transpose_is_that_of_torch() -> None:
    matrix = skewed()
    pattern, order = matrix._pattern.transpose()
    expected = matrix.indices.argsort(stable=True)
    assert torch.equal(order.long(), expected)
    assert torch.equal(pattern.indices.long(), matrix.rows[expected])
    assert pattern.shape == matrix.shape[::-1]
    empty = Pattern(torch.zeros(3, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), (2, 4))
    assert empty.transpose()[0].indptr.tolist() == [0] * 5

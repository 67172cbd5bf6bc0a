"""The operations of the layers on a CUDA device: checks before any kernel, results of the CPU."""

import pytest
import torch
from torch import Tensor

from graphembed.nn import _ops
from graphembed.nn.adjacency import Adjacency, as_adjacency
from graphembed.nn.sparse import SparseMatrix

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

N, HEADS = 60, 3


def edges() -> Tensor:
    """Unsorted, with duplicates, self-loops and isolated nodes."""
    return torch.randint(0, N - 5, (2, 300), generator=torch.Generator().manual_seed(0))


def on_both(operation, *inputs: Tensor) -> None:
    """Results and gradients on the device are those of the CPU to 1e-4."""
    results = []
    for device in ("cpu", "cuda"):
        given = [tensor.detach().to(device).requires_grad_() for tensor in inputs]
        out = operation(*given)
        assert out.device.type == device
        results.append([out, *torch.autograd.grad(out.sin().sum(), given)])
    for on_cpu, on_cuda in zip(*results, strict=True):
        torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=1e-4, atol=1e-4)


def adjacency_on(device: torch.device) -> Adjacency:
    return as_adjacency(edges().to(device), None, N)


@pytest.mark.parametrize("backend", ["", "torch", "sparse"])
def test_products(backend: str, monkeypatch) -> None:
    monkeypatch.setenv("GRAPHEMBED_BACKEND", backend)

    def product(x: Tensor, values: Tensor) -> Tensor:
        adjacency = adjacency_on(x.device)
        matrices = (adjacency.gcn_matrix(), adjacency.cheb_matrix(), adjacency.mean_matrix())
        out = _ops.spmm(adjacency.matrix, x, values)
        return out + sum(_ops.spmm(matrix, x) for matrix in matrices)

    on_both(product, torch.randn(N, 16), torch.randn(edges().shape[1]))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_aggregate(reduce: str) -> None:
    on_both(lambda x: _ops.aggregate(adjacency_on(x.device).matrix, x, reduce), torch.randn(N, 7))


def test_softmax_and_attention() -> None:
    n = edges().shape[1]
    on_both(lambda s: _ops.edge_softmax(adjacency_on(s.device).matrix, s), torch.randn(n, HEADS))
    on_both(
        lambda *a: _ops.attention(adjacency_on(a[0].device).matrix, *a)[0],
        *(torch.randn(N, HEADS, 5), torch.randn(N, HEADS), torch.randn(N, HEADS)),
        torch.randn(n, HEADS),
    )


def test_sparse_features() -> None:
    features = torch.rand(N, 40).relu() * (torch.rand(N, 40) < 0.1)
    matrix = SparseMatrix.from_torch(features.to_sparse_coo())
    on_both(lambda w, b: _ops.linear(matrix.to(w.device), w, b), torch.randn(8, 40), torch.randn(8))


def test_dropout_draws_from_the_generator_of_the_device() -> None:
    x = torch.ones(1000, device="cuda")
    torch.cuda.manual_seed(0)
    first, second = _ops.dropout(x, 0.5), _ops.dropout(x, 0.5)
    torch.cuda.manual_seed(0)
    assert torch.equal(_ops.dropout(x, 0.5), first)
    assert not torch.equal(first, second)
    before = torch.get_rng_state()
    _ops.dropout(x, 0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_moving_gives_the_same_matrices() -> None:
    on_cpu = Adjacency.from_edge_index(edges(), N)
    block, sources = on_cpu.restrict(torch.arange(10))
    moved = on_cpu.to("cuda")
    assert moved.to("cuda") is moved
    block_there, sources_there = moved.restrict(torch.arange(10, device="cuda"))
    assert torch.equal(sources_there.cpu(), sources)
    for ours, theirs in ((on_cpu, moved), (block, block_there), (block, block.to("cuda"))):
        for name in ("gcn_matrix", "cheb_matrix", "mean_matrix"):
            torch.testing.assert_close(
                getattr(theirs, name)().to_dense().cpu(), getattr(ours, name)().to_dense()
            )


def test_wrong_indices_are_errors_before_any_kernel() -> None:
    with pytest.raises(IndexError, match=r"\[0, 5\), got 7 at position 1"):
        Adjacency.from_edge_index(torch.tensor([[0, 7], [0, 1]], device="cuda"), 5)
    with pytest.raises(IndexError, match=r"index must be in \[0, 2\), got -1 at position 0"):
        _ops.scatter(torch.ones(1, 1, device="cuda"), torch.tensor([-1], device="cuda"), 2, "sum")
    adjacency = adjacency_on(torch.device("cuda"))
    with pytest.raises(ValueError, match="x lies on cpu, but the matrix on cuda:0"):
        _ops.spmm(adjacency.matrix, torch.ones(N, 1))
    torch.cuda.synchronize()  # no kernel has failed

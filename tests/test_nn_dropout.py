"""Dropout: rate, scale, reproducibility, sparse features."""

import pytest
import torch

from graphembed.nn.dropout import Dropout
from graphembed.nn.sparse import SparseMatrix


def test_entries_are_dropped_or_scaled() -> None:
    torch.manual_seed(3)
    x = torch.ones(400, 50, requires_grad=True)
    out = Dropout(0.25)(x)
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(float((out == 0).float().mean()) - 0.25) < 5 * (0.25 * 0.75 / x.numel()) ** 0.5
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_same_seed_same_mask_and_the_next_call_another() -> None:
    x = torch.ones(100, 5)
    torch.manual_seed(0)
    first, second = Dropout()(x), Dropout()(x)
    torch.manual_seed(0)
    assert torch.equal(Dropout()(x), first)
    assert not torch.equal(first, second)


def test_outside_of_training_nothing_happens() -> None:
    x = torch.ones(3)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert not Dropout(1.0)(x).any()


def test_sparse_features_stay_sparse() -> None:
    n = 1000
    indptr, indices = torch.arange(n + 1), torch.zeros(n, dtype=torch.int32)
    for values in (None, torch.full((n,), 3.0)):
        matrix = SparseMatrix(indptr, indices, values, (n, 1))
        out = Dropout(0.5)(matrix)
        assert out.indices is matrix.indices
        assert set(out.values.unique().tolist()) == {0.0, 2.0 if values is None else 6.0}
        assert Dropout(0.5).eval()(matrix) is matrix


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_wrong_probability_is_named(p: float) -> None:
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\]"):
        Dropout(p)

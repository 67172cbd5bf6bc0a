"""Dropout: rate, scale, reproducibility, sparse features."""

import numpy as np
import pytest
import torch
from scipy import stats

from graphembed.nn import _cpu_dropout
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


# -- The mask ------------------------------------------------------------------------------------


def masks(p: float, n: int, seeds: range, dtype: torch.dtype = torch.float32) -> np.ndarray:
    ones = torch.ones(n, dtype=dtype)
    return np.stack([(_cpu_dropout.drop(ones, p, seed) != 0).numpy() for seed in seeds])


@pytest.mark.parametrize("p", [0.5, 0.1, 0.6, 0.999, 0.0001])
def test_rate_is_that_asked_for(p: float) -> None:
    kept = masks(p, 200_000, range(20))
    n_kept = kept.sum(1)
    z = (n_kept - kept.shape[1] * (1 - p)) / (kept.shape[1] * p * (1 - p)) ** 0.5
    assert stats.chi2.sf((z**2).sum(), len(z)) > 1e-4
    assert stats.chi2.cdf((z**2).sum(), len(z)) > 1e-4  # nor more even than chance


@pytest.mark.parametrize("p", [0.5, 0.6, 0.2])
@pytest.mark.parametrize("lag", [1, 2, 3, 7, 8, 16, 64, 4096])
def test_neighbours_are_independent(p: float, lag: int) -> None:
    kept = masks(p, 2**18, range(4)).astype(np.int64)
    pairs = np.bincount((2 * kept[:, :-lag] + kept[:, lag:]).ravel(), minlength=4)
    law = np.array([p * p, p * (1 - p), p * (1 - p), (1 - p) ** 2])
    # Overlapping pairs: three degrees of freedom are an upper bound of what they vary by twice.
    statistic = ((pairs - pairs.sum() * law) ** 2 / (pairs.sum() * law)).sum() / 2
    assert stats.chi2.sf(statistic, 3) > 1e-5


def test_words_of_eight_are_uniform() -> None:
    kept = masks(0.5, 2**20, range(8))
    words = np.packbits(kept.reshape(-1, 8), axis=1)
    assert stats.chisquare(np.bincount(words.ravel(), minlength=256)).pvalue > 1e-4


def test_masks_of_different_seeds_are_independent() -> None:
    n = 2**16
    kept = masks(0.5, n, range(12)) * 2.0 - 1
    for shift in (0, 1, 5):
        correlation = kept @ np.roll(kept, shift, axis=1).T / n**0.5
        others = correlation[~np.eye(12, dtype=bool)]
        assert np.abs(others).max() < 5.0
    # Far seeds, as torch's generator gives them, at any shift: by the spectrum.
    one, two = (masks(0.5, n, range(s, s + 1))[0] * 2.0 - 1 for s in (2**62 + 17, 987654321))
    shifted = np.fft.ifft(np.fft.fft(one) * np.fft.fft(two).conj()).real / n**0.5
    assert np.abs(shifted).max() < 6.0


def test_mask_does_not_depend_on_the_dtype() -> None:
    single, double = masks(0.3, 1000, range(3)), masks(0.3, 1000, range(3), torch.float64)
    assert np.array_equal(single, double)

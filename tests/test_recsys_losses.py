"""Losses against dense formulas in numpy, their gradients, and the laws of the negatives."""

import numpy as np
import pytest
import torch
from scipy import sparse, stats

from graphembed.recsys._losses import bpr, max_margin, sampled_softmax
from graphembed.recsys._negatives import SeenItems, draw_pool

B, P, H, D = 5, 7, 2, 4


@pytest.fixture
def vectors():
    generator = np.random.default_rng(0)
    shapes = {"query": (B, D), "positive": (B, D), "pool": (P, D), "hard": (B, H, D)}
    made = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    mask = generator.random((B, P)) < 0.3
    mask[1] = True  # this query has no negative in the pool
    return made, mask


def in_torch(made, *names):
    return [torch.tensor(made[name], requires_grad=True) for name in names]


def negatives_of(made, mask, row, *, hard):
    """Vectors of the negatives of one query, as the plainest code has them."""
    own = [made["pool"][j] for j in range(P) if mask is None or not mask[row, j]]
    return own + (list(made["hard"][row]) if hard else [])


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["max_margin", "bpr", "sampled_softmax"])
def test_losses_equal_the_formula(vectors, name, masked, hard):
    made, mask = vectors
    mask = mask if masked else None
    log_q = np.random.default_rng(1).normal(size=P)
    expected = []
    for row in range(B):
        query, own = made["query"][row], negatives_of(made, mask, row, hard=hard)
        positive = query @ made["positive"][row]
        scores = np.array([query @ vector for vector in own])
        if name == "max_margin":
            terms = np.maximum(0, scores - positive + 0.3)
        elif name == "bpr":
            terms = -np.log(1 / (1 + np.exp(-(positive - scores))))
        else:
            kept = [log_q[j] for j in range(P) if mask is None or not mask[row, j]]
            corrected = scores / 0.5 - np.array(kept + [0.0] * (H if hard else 0))
            total = np.exp(positive / 0.5) + np.exp(corrected).sum()
            expected.append(-np.log(np.exp(positive / 0.5) / total))
            continue
        expected.append(terms.mean() if len(terms) else 0.0)

    query, positive, pool = in_torch(made, "query", "positive", "pool")
    options = {
        "mask": None if mask is None else torch.tensor(mask),
        "hard": torch.tensor(made["hard"]) if hard else None,
    }
    if name == "max_margin":
        loss = max_margin(query, positive, pool, 0.3, **options)
    elif name == "bpr":
        loss = bpr(query, positive, pool, **options)
    else:
        loss = sampled_softmax(query, positive, pool, torch.tensor(log_q), 0.5, **options)
    assert float(loss.detach()) == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("loss", [max_margin, bpr, sampled_softmax])
@pytest.mark.parametrize("own_pools", [False, True])
def test_gradients(vectors, loss, own_pools):
    made, mask = vectors
    query, positive, pool, hard = in_torch(made, "query", "positive", "pool", "hard")
    if own_pools:
        pool = torch.randn(B, P, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        pool.requires_grad_()

    def value(query, positive, pool, hard):
        return loss(query, positive, pool, mask=torch.tensor(mask), hard=hard)

    assert torch.autograd.gradcheck(value, (query, positive, pool, hard))


@pytest.mark.parametrize("loss", [max_margin, bpr, sampled_softmax])
def test_a_pool_of_each_query_is_a_shared_one_where_they_are_equal(vectors, loss):
    made, mask = vectors
    query, positive, pool = in_torch(made, "query", "positive", "pool")
    mask = torch.tensor(mask)
    shared = loss(query, positive, pool, mask=mask)
    own = loss(query, positive, pool.expand(B, P, D), mask=mask)
    assert torch.allclose(shared, own, atol=1e-12)


@pytest.mark.parametrize("loss", [max_margin, bpr, sampled_softmax])
def test_masked_entries_have_no_gradient(vectors, loss):
    made, _ = vectors
    query, positive, pool = in_torch(made, "query", "positive", "pool")
    mask = torch.zeros(B, P, dtype=torch.bool)
    mask[:, 2] = True
    loss(query, positive, pool, mask=mask).backward()
    assert not pool.grad[2].any()
    assert pool.grad[3].any()


def test_a_pool_of_all_items_is_the_full_softmax(vectors):
    made, _ = vectors
    query, pool = in_torch(made, "query", "pool")
    items = torch.tensor([0, 3, 3, 6, 1])
    mask = torch.arange(P) == items[:, None]
    loss = sampled_softmax(query, pool[items], pool, temperature=0.2, mask=mask)
    full = torch.nn.functional.cross_entropy(query @ pool.t() / 0.2, items)
    assert torch.allclose(loss, full, atol=1e-12)


def test_the_correction_makes_the_sum_unbiased():
    """Averaged over pools, exp(score - log_q) sums to the sum over all items."""
    weights = np.array([5.0, 0.0, 1.0, 3.0, 1.0])
    exp_scores = np.exp(np.array([0.3, 9.0, -1.0, 0.7, 1.5]))
    sums = []
    for seed in range(4000):
        items, log_q = draw_pool(weights, 8, np.random.default_rng(seed))
        sums.append((exp_scores[items] * np.exp(-log_q.astype(float))).sum())
    expected = exp_scores[weights > 0].sum()
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - expected) < 4 * error


def test_pools_follow_their_weights():
    weights = np.array([0.0, 4.0, 1.0, 0.0, 5.0, 0.0])
    items, log_q = draw_pool(weights, 20_000, np.random.default_rng(0))
    counts = np.bincount(items, minlength=6)
    assert not counts[[0, 3, 5]].any()
    assert stats.chisquare(counts[[1, 2, 4]], [8000, 2000, 10_000]).pvalue > 1e-3
    assert np.exp(log_q[items == 2][0]) == pytest.approx(2000)
    items, log_q = draw_pool(5, 10_000, np.random.default_rng(0))
    assert stats.chisquare(np.bincount(items, minlength=5)).pvalue > 1e-3
    assert np.exp(log_q) == pytest.approx(2000)


@pytest.fixture
def seen():
    rows = [[0, 1, 4], [], [5], [0, 1, 2, 3, 4, 5], [1, 3, 5]]
    dense = np.zeros((len(rows), 6), np.float32)
    for user, items in enumerate(rows):
        dense[user, items] = 1
    return rows, SeenItems(sparse.csr_matrix(dense))


def test_negatives_are_uniform_over_the_unseen_items(seen):
    rows, items = seen
    users = np.array([4, 0, 1, 2, 3, 0])
    drawn = items.draw_unseen(users, 6000, np.random.default_rng(0))
    assert drawn.shape == (6, 6000)
    for user, found in zip(users, drawn, strict=True):
        if user == 3:  # has had everything
            assert (found == -1).all()
            continue
        counts = np.bincount(found, minlength=6)
        assert not counts[rows[user]].any()
        free = np.setdiff1d(np.arange(6), rows[user])
        assert stats.chisquare(counts[free]).pvalue > 1e-3


def test_seen_pairs(seen):
    rows, items = seen
    users, pool = np.array([3, 1, 0, 4]), np.array([5, 0, 5, 2, 1])
    expected = [[item in rows[user] for item in pool] for user in users]
    assert (items.are_seen(users, np.tile(pool, (4, 1))) == np.array(expected)).all()
    assert items.are_seen(users, users[:, None] + 1).tolist() == [[True], [False], [True], [True]]
    empty = SeenItems(sparse.csr_matrix((2, 3), dtype=np.float32))
    assert not empty.are_seen(np.array([0, 1]), np.array([[0], [2]])).any()
    assert (empty.draw_unseen(np.array([0, 1]), 4, np.random.default_rng(0)) < 3).all()

"""Losses of models that rank by dot products, over negatives that a batch shares.

All take rows of vectors: `query` and `positive` (b, d), and negatives either shared by the whole
batch, `pool` (p, d), or of each query alone, (b, p, d). `hard` (b, h, d) are more negatives of each
query alone, beside a shared pool. `mask` (b, p) is True where an entry of the pool is no negative
of that query (an accidental hit); such an entry counts nothing, neither in value nor in gradient.
A mask (b, p + h) is of the hard negatives, too.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["bpr", "max_margin", "sampled_softmax"]


def max_margin(
    query: Tensor,
    positive: Tensor,
    pool: Tensor,
    margin: float = 0.1,
    *,
    mask: Tensor | None = None,
    hard: Tensor | None = None,
) -> Tensor:
    """Mean of max(0, query.negative - query.positive + margin), Ying et al. 2018, eq. 1.

    The mean is taken over the negatives of each query, then over the queries: the expectation over
    the law of the negatives that the paper writes.
    """
    positive_scores, scores, mask = _scores(query, positive, pool, mask, hard)
    terms = F.relu(scores - positive_scores.unsqueeze(1) + margin)
    return _mean_over_negatives(terms, mask)


def bpr(
    query: Tensor,
    positive: Tensor,
    pool: Tensor,
    *,
    mask: Tensor | None = None,
    hard: Tensor | None = None,
) -> Tensor:
    """Mean of -log sigmoid(query.positive - query.negative), Rendle et al. 2009, taken likewise."""
    positive_scores, scores, mask = _scores(query, positive, pool, mask, hard)
    return _mean_over_negatives(F.softplus(scores - positive_scores.unsqueeze(1)), mask)


def sampled_softmax(
    query: Tensor,
    positive: Tensor,
    pool: Tensor,
    log_q: Tensor | None = None,
    temperature: float = 1.0,
    *,
    mask: Tensor | None = None,
    hard: Tensor | None = None,
) -> Tensor:
    """Mean of -log(exp(s+) / (exp(s+) + sum_j exp(s_j - log q_j))), s = query.item / temperature.

    `log_q` (p,) is the logarithm of how often an entry is expected in the pool: p times its
    probability for p draws with replacement. Then the sum estimates that over all items without
    bias (Bengio & Senécal 2008), and a pool of all items with ``log_q=None`` (or zeros) and the
    positives masked is the full softmax. `hard` negatives are not corrected.
    """
    positive_scores, scores, mask = _scores(query, positive, pool, mask, hard)
    logits = scores / temperature
    if log_q is not None:
        logits = logits - F.pad(log_q, (0, scores.shape[1] - len(log_q)))
    if mask is not None:
        logits = logits.masked_fill(mask, -torch.inf)
    positive_logits = positive_scores / temperature
    all_logits = torch.cat([positive_logits.unsqueeze(1), logits], dim=1)
    return (torch.logsumexp(all_logits, dim=1) - positive_logits).mean()


def _scores(
    query: Tensor, positive: Tensor, pool: Tensor, mask: Tensor | None, hard: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores (b,) of the positives and (b, p + h) of the negatives, and a mask of this shape."""
    positive_scores = (query * positive).sum(1)
    scores = query @ pool.t() if pool.dim() == 2 else _each(query, pool)
    if hard is not None:
        scores = torch.cat([scores, _each(query, hard)], dim=1)
        if mask is not None:
            mask = F.pad(mask, (0, scores.shape[1] - mask.shape[1]))
    return positive_scores, scores, mask


def _each(query: Tensor, rows: Tensor) -> Tensor:
    return (rows @ query.unsqueeze(2)).squeeze(2)


def _mean_over_negatives(terms: Tensor, mask: Tensor | None) -> Tensor:
    """A query without a negative counts as 0."""
    if mask is None:
        return terms.mean()
    counts = (~mask).sum(1).clamp(min=1)
    return (terms.masked_fill(mask, 0.0).sum(1) / counts).mean()

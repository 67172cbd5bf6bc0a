"""Factors of one forward pass: gradients at the z of every site, and the rows of its inputs.

Of the mean loss over n rows let ``g_ir`` be the gradient of the loss of row i at ``z_r``. Then
``A = sum_i u_i u_i^T / n`` and ``G = n / |P|^2 * sum_i sum_r E[g_ir g_ir^T] / n`` ("reduce",
u as in `input_rows`), or ``A = sum_r w_r a_r a_r^T / sum_r w_r`` and ``G = sum_i sum_r
E[g_ir g_ir^T] / n`` ("expand", ``w_r = sum_i P_ir^2``). With `fisher` "exact", one path and
"reduce", ``G = sum_i E[h_i h_i^T] / n`` with ``h_i = sum_r P_ir g_ir / sum_r P_ir^2``, the
gradient at the propagated z that fits best, and n without the rows of the loss that reach
nothing there. All three are the same in linear networks.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from graphembed.nn._sites import LinearSite
from graphembed.nn.sparse import SparseMatrix
from graphembed.optim._block import Observation
from graphembed.optim._fisher import hessian_root, sampled_gradient
from graphembed.optim._paths import PathCache, SiteCall, input_rows

Key = tuple[str, LinearSite]


def observe(
    sites: list[SiteCall],
    output: Tensor | None,
    loss_rows: SparseMatrix | None,
    weights: Tensor,
    *,
    approx: str,
    fisher: str,
    loss: str,
    cache: PathCache,
    generator: torch.Generator,
    loss_scale: float = 1.0,
) -> list[tuple[Key, Observation]]:
    """What a pass says about the factors of its sites.

    Parameters
    ----------
    sites : list of SiteCall
        From `trace`.
    output : Tensor, optional
        Of the model, with its graph; not needed by "empirical".
    loss_rows : SparseMatrix, optional
        Which rows of it count.
    weights : Tensor of shape (n,)
        Their weights, which take the place of 1 in every sum over i and in n.
    approx, fisher, loss
        As in `KFAC`.
    cache : PathCache
        Of the model.
    generator : torch.Generator
        For "mc".
    loss_scale : float
        For "empirical": its gradients are of the mean loss times this.

    Returns
    -------
    list of (name and site, Observation)
        One for each block of parameters.
    """
    mass = weights.sum()
    if fisher == "empirical":
        grams = [_empirical(site, mass / loss_scale) for site in sites]
    elif fisher == "mc":
        grams = _sampled(sites, output, loss_rows, loss, generator)
    else:
        grams = _exact(sites, output, loss_rows, weights, loss, approx)
    owners = _owners(sites)
    found: dict[int, tuple[Key, Observation]] = {}
    for site, (gram, is_projected) in zip(sites, grams, strict=True):
        if gram is None:
            continue
        rows, squares = input_rows(site, approx, cache, mass.dtype)
        place = _place(site)
        rows = _with_bias_of(owners[place], site.site, rows)
        by_rows = approx == "expand" or not site.paths
        a_mass, g_mass = (squares, mass) if by_rows else (mass, squares)
        if is_projected:
            g_mass = (weights * _reaches(site.paths[0])).sum()
        # Where nothing is reached, both factors are zero.
        seen = Observation([rows], a_mass.clamp(min=1e-30), gram, g_mass.clamp(min=1e-30))
        if place not in found:
            found[place] = ((site.name, owners[place]), seen)
            continue
        # The same weight again in this pass: its uses are further paths of the same rows.
        other = found[place][1]
        other.rows.append(rows)
        other.gram = other.gram + gram
        if by_rows:
            other.a_mass = other.a_mass + a_mass
        else:  # several uses are not projected
            other.g_mass = other.g_mass + g_mass
    return list(found.values())


def _place(site: SiteCall) -> int:
    """What tells whether two uses are of the same weight."""
    return id((site.site.weights or (site.site.bias,))[0])


def _owners(sites: list[SiteCall]) -> dict[int, LinearSite]:
    """Of every weight the site of a use, one with a bias if any has."""
    owners: dict[int, LinearSite] = {}
    for site in sites:
        place = _place(site)
        if place not in owners or owners[place].bias is None:
            owners[place] = site.site
    return owners


def _with_bias_of(owner: LinearSite, site: LinearSite, rows: Tensor) -> Tensor:
    """The rows of a use of a weight, zero at the bias if that is of another use only."""
    if site.bias is owner.bias:
        return rows
    own = rows if site.bias is None else rows[:, :-1]
    return torch.nn.functional.pad(own, (0, 1))


Gram = tuple[Tensor | None, bool]


def _gram(gradient: Tensor, dtype: torch.dtype) -> Tensor:
    rows = gradient.flatten(0, -2).to(dtype)
    return rows.t() @ rows


def _empirical(site: SiteCall, factor: Tensor) -> Gram:
    gradient = site.output.gradient
    if gradient is None:
        return None, False
    return _gram(gradient.to(factor.dtype) * factor, factor.dtype), False


def _sampled(
    sites: list[SiteCall],
    output: Any,
    loss_rows: Any,
    loss: str,
    generator: torch.Generator,
) -> list[Gram]:
    logits = output.detach().index_select(0, loss_rows.indices)
    roots = loss_rows.values
    logits = logits.to(roots.dtype)
    drawn = sampled_gradient(loss, logits, generator) * roots.unsqueeze(1)
    gradients = _backward(sites, output, loss_rows, drawn)
    return [(None if g is None else _gram(g, roots.dtype), False) for g in gradients]


def _exact(
    sites: list[SiteCall],
    output: Any,
    loss_rows: Any,
    weights: Tensor,
    loss: str,
    approx: str,
) -> list[Gram]:
    logits = output.detach().index_select(0, loss_rows.indices).to(weights.dtype)
    columns = hessian_root(loss, logits) * loss_rows.values[:, None]
    sums: list[Tensor | None] = [None] * len(sites)
    # With one path, the gradient of a row of the loss is projected on it.
    n_uses: dict[int, int] = {}
    for site in sites:
        key = id((site.site.weights or (site.site.bias,))[0])
        n_uses[key] = n_uses.get(key, 0) + 1
    projected = [
        approx == "reduce"
        and len(site.paths) == 1
        and n_uses[id((site.site.weights or (site.site.bias,))[0])] == 1
        for site in sites
    ]
    for i, column in _single_rows(columns):
        gradients = _backward(sites, output, loss_rows, column)
        for k, (site, gradient) in enumerate(zip(sites, gradients, strict=True)):
            if gradient is None:
                continue
            rows = gradient.flatten(0, -2).to(weights.dtype)
            if projected[k]:
                rows = _project(site.paths[0], i, rows) * weights[i].sqrt()
            gram = rows.t() @ rows
            before = sums[k]
            sums[k] = gram if before is None else before + gram
    return list(zip(sums, projected, strict=True))


def _single_rows(columns: Tensor) -> Iterator[tuple[int, Tensor]]:
    """One vector for every row and class, zero elsewhere."""
    for i in range(columns.shape[1]):
        for c in range(columns.shape[0]):
            single = torch.zeros_like(columns[c])
            single[i] = columns[c, i]
            yield i, single


def _reaches(path: SparseMatrix) -> Tensor:
    """Whether the rows of the loss reach anything: what does not has no projection."""
    values: Any = path.values
    squares = values.new_zeros(path.shape[0]).index_add(0, path.rows, values.square())
    return squares > 0


def _project(path: SparseMatrix, i: int, rows: Tensor) -> Tensor:
    """``sum_r P_ir g_r / sum_r P_ir^2``, as one row; zero if nothing is reached."""
    begin, end = int(path.indptr[i]), int(path.indptr[i + 1])
    values: Any = path.values
    p = values[begin:end]
    g = rows.index_select(0, path.indices[begin:end])
    square = p.square().sum()
    return (p @ g).unsqueeze(0) / square if float(square) > 0 else rows.new_zeros(1, rows.shape[1])


def _backward(
    sites: list[SiteCall], output: Any, loss_rows: SparseMatrix, gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients at the z of all sites, given those at the rows of the loss; nothing is freed."""
    whole = torch.zeros_like(output)
    whole = whole.index_add(0, loss_rows.indices, gradient.to(output.dtype))
    gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
        [output],
        [site.output.edge for site in sites],
        [whole],
        retain_graph=True,
        allow_unused=True,
    )
    return gradients

"""From the rows of the loss back to the rows of every linear site."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from graphembed.nn._sites import (
    MAX_PATHS,
    Hop,
    LinearSite,
    dense_product,
    selection,
    stack,
)
from graphembed.nn.sparse import SparseMatrix
from graphembed.optim._recorder import Call, Output


@dataclass(frozen=True, eq=False)
class Ways:
    """How some rows reach the rows of the loss.

    Attributes
    ----------
    paths : tuple of SparseMatrix, each of shape (n_loss_rows, n_rows)
        One for each way through the layers above; empty if these are not followed.
    weights : Tensor of shape (n_rows,), optional
        Instead of paths: how much every row counts. Without either, all rows count alike.
    """

    paths: tuple[SparseMatrix, ...] = ()
    weights: Tensor | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows; -1 if nothing is known of them."""
        if self.paths:
            return self.paths[0].shape[1]
        return -1 if self.weights is None else len(self.weights)


@dataclass(frozen=True)
class SiteCall:
    """One use of a linear site in a forward pass.

    Attributes
    ----------
    name : str
        Of the block of parameters.
    site : LinearSite
        The site.
    output : Output
        Its z.
    ways : Ways
        From the rows of z to those of the loss.
    """

    name: str
    site: LinearSite
    output: Output
    ways: Ways

    @property
    def paths(self) -> tuple[SparseMatrix, ...]:
        """Those of `ways`."""
        return self.ways.paths


class PathCache:
    """Products of paths and hops, remembered from one forward pass to the next.

    On a fixed graph nothing of them changes; what a pass has not used is forgotten after it.
    """

    def __init__(self) -> None:
        self._old: dict[Any, Any] = {}
        self._now: dict[Any, Any] = {}
        self._has_warned = False

    def turn(self) -> None:
        """Begin another pass."""
        self._old, self._now = self._now, {}

    def get(self, key: Any, kept: Any, make: Any) -> Any:
        """What `make` makes, which depends on the identity of `kept` and on `key` only."""
        ids = tuple(map(id, kept))
        place = (key, ids)
        if place not in self._now:
            found = self._old.get(place)
            self._now[place] = (kept, make()) if found is None else found
        return self._now[place][1]

    def after(self, hop: Hop, p: SparseMatrix) -> SparseMatrix | None:
        """The product of a path and a hop; None if it would be too large."""
        result: SparseMatrix | None = self.get(hop, (p,), lambda: hop.after_if_small(p))
        return result

    def before(self, hops: Sequence[Hop], ways: Ways) -> Ways:
        """The ways of the rows that the hops lead from."""
        weights = ways.weights
        if ways.paths and hops:
            if len(ways.paths) * len(hops) <= MAX_PATHS:
                found = [self.after(hop, path) for path in ways.paths for hop in hops]
                paths = tuple(path for path in found if path is not None)
                if len(paths) == len(found):
                    return Ways(paths)
                self._warn()
            weights = self.get("weights", ways.paths, lambda: _column_squares(ways.paths))
        if weights is None or not hops:
            return Ways()
        # One object as long as the hops are the same, as the paths are.
        result: Ways = self.get(
            ("ways", tuple(hops)),
            (weights,),
            lambda: Ways((), torch.stack([hop.weights_after(weights) for hop in hops]).sum(dim=0)),
        )
        return result

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                "KFAC: the propagation from an early layer to the rows of the loss has too many "
                "entries on this graph: from there on rows count as in approx='expand'. Batches of "
                "a NeighborLoader have fewer",
                stacklevel=2,
            )


def trace(calls: Sequence[Call], loss_rows: SparseMatrix, cache: PathCache) -> list[SiteCall]:
    """Follow the layers from the last to the first.

    The layers are taken for a chain in the order of their calls, with linear maps in between that
    act on every row alone. Where the numbers of rows show that they are none (a readout, a model
    of two branches), or where a layer mixes rows in an unknown way, the paths are given up from
    there on; where they become too many or too large, weights of rows take their place.

    Parameters
    ----------
    calls : sequence of Call
        In their order.
    loss_rows : SparseMatrix of shape (n_loss_rows, n_outputs)
        Which rows of the model's output the loss sees, times the root of their weight.
    cache : PathCache
        Of this model.

    Returns
    -------
    list of SiteCall
        From the last layer to the first.
    """
    ways = Ways((loss_rows,))
    hops: tuple[Hop, ...] | None = None
    found = []
    for call in reversed(calls):
        if hops is not None:
            ways = cache.before(hops, ways)
        if call.sites is None:
            ways, hops = Ways(), ()
            continue
        if call.n_returned != ways.n_rows:
            ways = Ways()
        layer = call.sites(*call.args, **call.kwargs)
        hops = layer.hops
        for k, published in enumerate(layer.sites):
            site = _trained(published)
            outputs = call.results.get(published.output, [])
            if site is None or len(outputs) <= site.nth:  # nothing of it takes a gradient
                continue
            name = call.name if len(layer.sites) == 1 else f"{call.name}[{k}]"
            output = outputs[site.nth]
            own = ways if site.to_output is None else cache.before((site.to_output,), ways)
            known = own if own.n_rows == output.n_rows else Ways()
            found.append(SiteCall(name, site, output, known))
    return found


def _trained(site: LinearSite) -> LinearSite | None:
    """A site without the parameters that are kept fixed; None if that are all."""
    if all(p.requires_grad for p in (*site.weights, *([] if site.bias is None else [site.bias]))):
        return site
    bias = site.bias if site.bias is not None and site.bias.requires_grad else None
    kept = [k for k, weight in enumerate(site.weights) if weight.requires_grad]
    if bias is None and not kept:
        return None
    return replace(
        site,
        weights=tuple(site.weights[k] for k in kept),
        bias=bias,
        parts=tuple(site.parts[k] for k in kept),
    )


def input_rows(call: SiteCall, approx: str, cache: PathCache, dtype: torch.dtype) -> Any:
    """Rows U of a site such that its input factor is ``U^T U / mass``.

    Parameters
    ----------
    call : SiteCall
        A use of the site.
    approx : {"reduce", "expand"}
        "reduce": one row ``u_i = sum_r P_ir [a_r, 1]`` per row of the loss and path. "expand": the
        rows ``[a_r, 1]`` times ``sqrt(sum_i P_ir^2)``.
    cache : PathCache
        Of this model.
    dtype : torch.dtype
        Of the result.

    Returns
    -------
    rows : Tensor of shape (m, d)
        The same object as in the last pass if nothing has changed.
    squares : Tensor
        ``sum_ir P_ir^2`` over all paths.
    """
    site = call.site
    q, squares = _row_map(call, approx, cache, dtype)
    hops = tuple(hop for hop, _ in site.parts)
    pulled = [cache.after(hop, q) for hop in hops]
    inputs = [x for _, x in site.parts]

    def make() -> Tensor:
        columns = [
            _product(q, hop, x) if p is None else dense_product(p, x)
            for p, hop, x in zip(pulled, hops, inputs, strict=True)
        ]
        if site.bias is not None:
            ones = torch.zeros(q.shape[0], dtype=dtype, device=q.device)
            columns.append(ones.index_add(0, q.rows, q.values).unsqueeze(1))
        return torch.cat(columns, dim=1)

    if any(_takes_gradient(x) for x in inputs):
        return make(), squares
    versions = tuple(map(_version, inputs))
    key = ("rows", site.bias is None, versions, hops if None in pulled else ())
    return cache.get(key, (*pulled, *inputs, q), make), squares


def _product(q: SparseMatrix, hop: Hop, x: Any) -> Tensor:
    """``q hop x`` where ``q hop`` is too large: from the right, or for some rows of q at a time."""
    if not isinstance(x, SparseMatrix):
        return dense_product(q, hop.of_rows(x.to(q.dtype)))
    p = hop.after(q) if q.shape[0] == 1 else hop.after_if_small(q)
    if p is not None:
        return dense_product(p, x)
    half = q.shape[0] // 2
    parts = _rows(q, 0, half), _rows(q, half, q.shape[0])
    return torch.cat([_product(part, hop, x) for part in parts])


def _rows(q: SparseMatrix, begin: int, end: int) -> SparseMatrix:
    indptr = q.indptr[begin : end + 1]
    first, last = int(indptr[0]), int(indptr[-1])
    values: Any = q.values
    shape = (end - begin, q.shape[1])
    return SparseMatrix._trusted(indptr - first, q.indices[first:last], values[first:last], shape)


def _column_squares(paths: Sequence[SparseMatrix]) -> Tensor:
    """``sum_i P_ir^2`` over all paths."""
    p = stack(paths)
    values: Any = p.values
    sums = torch.zeros(p.shape[1], dtype=values.dtype, device=p.device)
    return sums.index_add(0, p.indices.to(torch.int64), values.square())


def _row_map(
    call: SiteCall, approx: str, cache: PathCache, dtype: torch.dtype
) -> tuple[SparseMatrix, Tensor]:
    ways, n = call.ways, call.output.n_rows
    if not ways.paths and ways.weights is None:  # every row alike
        ones = torch.ones(n, dtype=dtype, device=call.output.device)
        return selection(torch.arange(n, device=ones.device), ones, n), ones.sum()

    def make() -> tuple[SparseMatrix, Tensor]:
        weights, squares = ways.weights, None
        if weights is None:
            p = stack(ways.paths)
            values: Any = p.values
            squares = values.square().sum()
            if approx == "reduce":
                return p, squares
            weights = _column_squares(ways.paths)
        active = weights.nonzero()[:, 0]
        squares = weights.sum() if squares is None else squares
        return selection(active, weights[active].sqrt(), n), squares

    result: tuple[SparseMatrix, Tensor] = cache.get(
        ("map", approx), ways.paths or (ways.weights,), make
    )
    return result


def _version(x: Any) -> int:
    """How often the values of rows have been changed in place."""
    values = x.values if isinstance(x, SparseMatrix) else x
    return 0 if values is None else int(values._version)


def _takes_gradient(x: Any) -> bool:
    if isinstance(x, SparseMatrix):
        return x.values is not None and x.values.requires_grad
    return bool(x.requires_grad)

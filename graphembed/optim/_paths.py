"""From the rows of the loss back to the rows of every linear site."""

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
    paths : tuple of SparseMatrix, each of shape (n_loss_rows, rows of z)
        How z reaches the rows of the loss, one for each way through the layers above; empty if that
        is not known.
    """

    name: str
    site: LinearSite
    output: Output
    paths: tuple[SparseMatrix, ...]


class PathCache:
    """Products of paths and hops, remembered from one forward pass to the next.

    On a fixed graph nothing of them changes; what a pass has not used is forgotten after it.
    """

    def __init__(self) -> None:
        self._old: dict[Any, Any] = {}
        self._now: dict[Any, Any] = {}

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

    def after(self, hop: Hop | None, p: SparseMatrix) -> SparseMatrix:
        """The product of a path and a hop."""
        if hop is None:
            return p
        result: SparseMatrix = self.get(hop, (p,), lambda: hop.after(p))
        return result


def trace(
    calls: Sequence[Call], loss_rows: SparseMatrix, n_outputs: int, cache: PathCache
) -> list[SiteCall]:
    """Follow the layers from the last to the first.

    The layers are taken for a chain in the order of their calls, with linear maps in between that
    act on every row alone. Where the numbers of rows show that they are none (a readout, a model
    of two branches), the paths are given up from there on.

    Parameters
    ----------
    calls : sequence of Call
        In their order.
    loss_rows : SparseMatrix of shape (n_loss_rows, n_outputs)
        Which rows of the model's output the loss sees, times the root of their weight.
    n_outputs : int
        Rows of the model's output.
    cache : PathCache
        Of this model.

    Returns
    -------
    list of SiteCall
        From the last layer to the first.
    """
    paths: tuple[SparseMatrix, ...] = (loss_rows,)
    n_rows = n_outputs
    found = []
    for call in reversed(calls):
        layer = call.sites(*call.args, **call.kwargs)
        if call.n_returned != n_rows:
            paths = ()
        for k, published in enumerate(layer.sites):
            site = _trained(published)
            outputs = call.results.get(published.output, [])
            if site is None or len(outputs) <= site.nth:  # nothing of it takes a gradient
                continue
            name = call.name if len(layer.sites) == 1 else f"{call.name}[{k}]"
            output = outputs[site.nth]
            reached = tuple(cache.after(site.to_output, path) for path in paths)
            if any(path.shape[1] != output.n_rows for path in reached):
                reached = ()
            found.append(SiteCall(name, site, output, reached))
        if len(paths) * len(layer.hops) > MAX_PATHS:
            paths = ()
        paths = tuple(cache.after(hop, path) for path in paths for hop in layer.hops)
        n_rows = paths[0].shape[1] if paths else -1
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
    pulled = [cache.after(hop, q) for hop, _ in site.parts]
    inputs = [x for _, x in site.parts]

    def make() -> Tensor:
        columns = [dense_product(p, x) for p, x in zip(pulled, inputs, strict=True)]
        if site.bias is not None:
            ones = torch.zeros(q.shape[0], dtype=dtype, device=q.device)
            columns.append(ones.index_add(0, q.rows, q.values).unsqueeze(1))
        return torch.cat(columns, dim=1)

    if any(_takes_gradient(x) for x in inputs):
        return make(), squares
    versions = tuple(x._version if isinstance(x, Tensor) else 0 for x in inputs)
    return cache.get(("rows", site.bias is None, versions), (*pulled, *inputs, q), make), squares


def _row_map(
    call: SiteCall, approx: str, cache: PathCache, dtype: torch.dtype
) -> tuple[SparseMatrix, Tensor]:
    def make() -> tuple[SparseMatrix, Tensor]:
        device = call.output.device
        if not call.paths:  # every row alike
            ones = torch.ones(call.output.n_rows, dtype=dtype, device=device)
            index = torch.arange(call.output.n_rows, device=device)
            return selection(index, ones, len(index)), ones.sum()
        p = stack(call.paths)
        values: Any = p.values
        squares = values.square().sum()
        if approx == "reduce":
            return p, squares
        n = p.shape[1]
        sums = torch.zeros(n, dtype=dtype, device=p.device)
        sums = sums.index_add(0, p.indices.to(torch.int64), values.square())
        active = sums.nonzero()[:, 0]
        return selection(active, sums[active].sqrt(), n), squares

    if not call.paths:
        return make()
    result: tuple[SparseMatrix, Tensor] = cache.get(("map", approx), call.paths, make)
    return result


def _takes_gradient(x: Any) -> bool:
    if isinstance(x, SparseMatrix):
        return x.values is not None and x.values.requires_grad
    return bool(x.requires_grad)

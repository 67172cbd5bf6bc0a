"""The linear sites of each layer, from its attributes: PyG's layers have the same ones."""

from typing import Any

import torch
from torch import Tensor

from graphembed.nn._inputs import Inputs, read_inputs
from graphembed.nn._memory import remember
from graphembed.nn._sites import Hop, LayerSites, LinearSite
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.sparse import SparseMatrix


def gcn(conv: Any, x: Any, edge_index: Any, edge_weight: Tensor | None = None) -> LayerSites:
    """W and b of a `GCNConv` act on the propagated rows."""
    inputs = read_inputs(x, edge_index, edge_weight)
    if hasattr(conv, "_matrix"):
        matrix = conv._matrix(inputs)
    elif conv.normalize:
        matrix = inputs.adjacency.gcn_matrix(conv.improved, conv.add_self_loops, dtype=inputs.dtype)
    else:
        matrix = inputs.adjacency.matrix
    hop = Hop(inputs.adjacency.n_source, matrix)
    site = LinearSite(conv, (conv.lin.weight,), conv.bias, ((hop, inputs.source),))
    return LayerSites((site,), (hop,))


def cheb(
    conv: Any,
    x: Any,
    edge_index: Any,
    edge_weight: Tensor | None = None,
    batch: Tensor | None = None,
    lambda_max: Any = None,
) -> LayerSites:
    """All W_k and b of a `ChebConv`, side by side, act on ``T_k(L^) x``."""
    inputs = read_inputs(x, edge_index, edge_weight)
    n_source, dtype = inputs.adjacency.n_source, inputs.dtype
    if isinstance(lambda_max, Tensor) and lambda_max.numel() > 1 and batch is not None:
        # L^ = (2 / lambda_max) L - I of every graph, from L - I.
        minus_one = inputs.adjacency.cheb_matrix(conv.normalization, 2.0, dtype=dtype)
        scale = (2 / lambda_max.detach().to(dtype))[batch][minus_one.rows]
        is_loop = (minus_one.rows == minus_one.indices).to(dtype)
        values: Any = minus_one.values
        matrix = minus_one.with_values(scale * (values.detach() + is_loop) - is_loop)
    else:
        largest = None if lambda_max is None else float(lambda_max)
        matrix = inputs.adjacency.cheb_matrix(conv.normalization, largest, dtype=dtype)
    hops = [Hop(n_source), *(Hop(n_source, matrix, k) for k in range(1, len(conv.lins)))]
    weights = tuple(lin.weight for lin in conv.lins)
    parts = tuple((hop, inputs.source) for hop in hops)
    return LayerSites((LinearSite(conv, weights, conv.bias, parts),), tuple(hops))


def sage(
    conv: Any,
    x: Any,
    edge_index: Any,
    edge_weight: Tensor | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> LayerSites:
    """W_l, W_r and b of a `SAGEConv` act on the aggregate and on the target's own row.

    Aggregates that are not linear count in the paths as the mean of the neighbours.
    """
    inputs = read_inputs(x, edge_index, edge_weight, size)
    adjacency, n_source = inputs.adjacency, inputs.adjacency.n_source
    is_sum = conv.aggr in ("sum", "add")
    matrix = adjacency.matrix if is_sum else adjacency.mean_matrix(dtype=inputs.dtype)
    hop = Hop(n_source, matrix)
    sites = []
    source = inputs.source
    if conv.project:
        rows = (Hop(n_source), source)
        lin = conv.lin
        sites.append(LinearSite(lin, (lin.weight,), lin.bias, (rows,), to_output=hop))
        with torch.no_grad():
            source = conv.lin(source).relu()
    if is_sum or conv.aggr == "mean":
        neighbors = (hop, source)
    else:
        with torch.no_grad():
            neighbors = (Hop(adjacency.n_target), conv._aggregate(adjacency, source))
    weights, parts = [conv.lin_l.weight], [neighbors]
    hops = [hop]
    if conv.root_weight and inputs.target is not None:
        weights.append(conv.lin_r.weight)
        parts.append(_own_rows(inputs))
        hops.append(Hop(n_source))
    output = conv.unscaled if conv.normalize else conv
    sites.append(LinearSite(output, tuple(weights), conv.lin_l.bias, tuple(parts)))
    return LayerSites(tuple(sites), tuple(hops))


def pinsage(conv: Any, x: Any, edge_index: Any, edge_weight: Tensor | None = None) -> LayerSites:
    """Q and q of a `PinSageConv` act on the sources, both parts of W and w on target and mean."""
    inputs = read_inputs(x, edge_index, edge_weight)
    adjacency, n_source = inputs.adjacency, inputs.adjacency.n_source
    if adjacency.matrix.values is None or not adjacency.matrix.values.requires_grad:
        matrix = remember(lambda: _means(adjacency, inputs.dtype), adjacency, key=inputs.dtype)
    else:
        matrix = _means(adjacency, inputs.dtype)
    mean = Hop(n_source, matrix)
    pool, own, neighbors = conv.lin_pool, conv.lin_self, conv.lin_neighbors
    with torch.no_grad():
        hidden = pool(inputs.source).relu()
    inner = LinearSite(
        pool, (pool.weight,), pool.bias, ((Hop(n_source), inputs.source),), to_output=mean
    )
    outer = LinearSite(
        neighbors,
        (own.weight, neighbors.weight),
        own.bias,
        (_own_rows(inputs), (mean, hidden)),
    )
    return LayerSites((inner, outer), (mean, Hop(n_source)))


def attention(
    conv: Any,
    x: Any,
    edge_index: Any,
    edge_attr: Tensor | None = None,
    size: tuple[int, int] | None = None,
    return_attention_weights: bool | None = None,
) -> LayerSites:
    """The projections of `GATConv` and `GATv2Conv` act on the rows themselves, b on ones.

    Their gradient includes the way through the attention. In the paths, the neighbours are attended
    to alike. The attention vectors and the weight of edge features have no site.
    """
    inputs = read_inputs(x, edge_index, None, size)
    adjacency = inputs.adjacency.self_looped() if conv.add_self_loops else inputs.adjacency
    n_source = adjacency.n_source
    mean = Hop(n_source, adjacency.mean_matrix(dtype=inputs.dtype))
    source = (Hop(n_source), inputs.source)
    names = ("lin_l", "lin_r") if hasattr(conv, "lin_l") else ("lin_src", "lin_dst")
    is_shared = getattr(conv, "lin", None) is not None or getattr(conv, "share_weights", False)
    first = conv.lin if getattr(conv, "lin", None) is not None else getattr(conv, names[0])
    sites = [_projection(first, source, to_output=mean)]
    if inputs.target is not None:
        target = _own_rows(inputs)
        is_sparse = isinstance(inputs.target, SparseMatrix)  # whose rows are all multiplied
        own = Hop(target[0].n_source if is_sparse else adjacency.n_target)
        if not is_shared:
            sites.append(_projection(getattr(conv, names[1]), target, to_output=own))
        elif inputs.target is not inputs.source:  # called once for each
            sites.append(_projection(first, target, to_output=own, nth=1))
        if conv.res is not None:
            sites.append(_projection(conv.res, target, to_output=own))
    if conv.bias is not None:
        sites.append(LinearSite(conv, (), conv.bias, ()))
    return LayerSites(tuple(sites), (mean,))


def attention_outputs(conv: Any) -> tuple[Any, ...]:
    """The projections of an attention layer, and the layer itself."""
    names = ("lin", "lin_src", "lin_dst", "lin_l", "lin_r", "res")
    found = [getattr(conv, name, None) for name in names]
    distinct = dict.fromkeys(lin for lin in found if lin is not None)
    return (*distinct, conv)


def _projection(lin: Any, rows: tuple[Hop, Any], *, to_output: Hop, nth: int = 0) -> LinearSite:
    return LinearSite(lin, (lin.weight,), lin.bias, (rows,), to_output=to_output, nth=nth)


def _own_rows(inputs: Inputs) -> tuple[Hop, Any]:
    """The rows of the targets; the first ones where sources and targets are one."""
    target: Any = inputs.target
    return Hop(target.shape[0]), target


def _means(adjacency: Adjacency, dtype: torch.dtype) -> SparseMatrix:
    """Rows divided by their sum; a row whose sum is zero stays zero."""
    matrix = adjacency.matrix.to(dtype=dtype)
    values = torch.ones(matrix.n_entries, dtype=dtype, device=matrix.device)
    if matrix.values is not None:
        values = matrix.values.detach()
    sums = torch.zeros(matrix.shape[0], dtype=dtype, device=matrix.device)
    sums = sums.index_add(0, matrix.rows, values)
    return matrix.with_values(values / sums.masked_fill(sums == 0, 1)[matrix.rows])

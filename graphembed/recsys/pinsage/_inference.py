"""Vectors of all items, or of new ones, layer by layer: each item once per layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphembed.nn.sparse import SparseMatrix
from graphembed.recsys.pinsage._batches import View
from graphembed.recsys.pinsage._model import PinSageModel
from graphembed.recsys.pinsage._training import adjacency, sparse

_ROWS = 2**14  # computed at a time


class Outputs(NamedTuple):
    """Outputs of the layers for some items.

    Attributes
    ----------
    inner : list of ndarray
        h^0 to h^(K-1): what neighbours read.
    z : ndarray of float32, shape (n, n_components)
        Vectors.
    """

    inner: list[NDArray[np.float32]]
    z: NDArray[np.float32]


def layerwise(
    model: PinSageModel,
    x: sp.csr_matrix | None,
    own: NDArray[np.float32] | None,
    view: View,
    *,
    known: Sequence[NDArray[np.float32]] = (),
    device: torch.device,
) -> Outputs:
    """Compute the outputs of all layers, one layer after the other.

    Parameters
    ----------
    model : PinSageModel
        On `device`.
    x : csr_matrix of shape (n, n_features), or None
        Features of the items to compute.
    own : ndarray of shape (n, width), or None
        Their own vectors, zero where there is none.
    view : View
        Neighbourhoods of all items, those that are known first.
    known : sequence of ndarray
        h^0 to h^(K-1) of items that stay as they are; those to compute are numbered after them.
    device : torch.device
        Where a batch of rows is computed; results lie on the CPU.

    Returns
    -------
    Outputs
        Of the items to compute.

    Notes
    -----
    O(n (hidden^2 + T hidden)) time for each layer. Memory: the outputs of all layers.
    """
    model.eval()
    n = x.shape[0] if x is not None else 0 if own is None else len(own)
    n_known = len(known[0]) if known else 0
    with torch.no_grad():
        first = _in_batches(lambda rows: _first(model, x, own, rows, device), n)
        inner, h = [], first
        for k in range(model.num_layers):
            inner.append(h)
            sources = np.concatenate([known[k], h]) if known else h

            def convolved(rows: NDArray[np.int64], k: int = k, sources: Any = sources) -> Tensor:
                block = view.block(rows + n_known, len(sources))
                read = torch.from_numpy(sources[block.sources]).to(device)
                return model.layer(k, read, adjacency(block.matrix, device))

            h = _in_batches(convolved, n)

        def ended(rows: NDArray[np.int64]) -> Tensor:
            top, bottom = (torch.from_numpy(part[rows]).to(device) for part in (h, first))
            return model.head(top, bottom)

        return Outputs(inner, _in_batches(ended, n))


def _first(
    model: PinSageModel,
    x: sp.csr_matrix | None,
    own: NDArray[np.float32] | None,
    rows: NDArray[np.int64],
    device: torch.device,
) -> Tensor:
    h = model.encode(
        None if x is None else sparse(x[rows], device),
        None if own is None else torch.from_numpy(own[rows]).to(device),
    )
    return h.to_dense() if isinstance(h, SparseMatrix) else h


def _in_batches(compute: Any, n: int) -> NDArray[np.float32]:
    parts = [
        compute(np.arange(begin, min(begin + _ROWS, n))).cpu().numpy()
        for begin in range(0, n, _ROWS)
    ]
    result: NDArray[np.float32] = np.concatenate(parts or [compute(np.arange(0)).cpu().numpy()])
    return result

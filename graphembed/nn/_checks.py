"""Checks of tensors that are indices or values, before any kernel sees them."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_index(index: Any, size: int, name: str) -> None:
    """Raise unless `index` is a vector of integers in [0, size)."""
    check_integers(index, name)
    if index.dim() != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {tuple(index.shape)}")
    check_range(index, size, name)


def check_integers(index: Any, name: str) -> None:
    """Raise unless `index` is a tensor of int64 or int32."""
    if not isinstance(index, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(index).__name__}")
    if index.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be of dtype int64 or int32, got {index.dtype}")


def check_range(index: Tensor, size: int, name: str) -> None:
    """Raise unless every number of a vector is in [0, size)."""
    if not index.numel():
        return
    low, high = index.aminmax()
    if int(low) < 0 or int(high) >= size:
        position = int(((index < 0) | (index >= size)).nonzero()[0, 0])
        raise IndexError(
            f"{name} must be in [0, {size}), got {int(index[position])} at position {position}"
        )


def check_size(size: Any, name: str) -> None:
    """Raise unless this many nodes can be numbered by int32."""
    if not isinstance(size, Integral) or not 0 <= int(size) < 2**31:
        raise ValueError(f"{name} must be an int in [0, 2**31), got {size!r}")


def check_csr(indptr: Tensor, indices: Tensor, shape: tuple[int, int]) -> None:
    """Raise unless these are rows of columns."""
    if len(shape) != 2 or not all(0 <= int(n) < 2**31 for n in shape):
        raise ValueError(f"shape must be two ints in [0, 2**31), got {tuple(shape)}")
    if not isinstance(indptr, Tensor) or indptr.dtype != torch.int64:
        what = indptr.dtype if isinstance(indptr, Tensor) else type(indptr).__name__
        raise TypeError(f"indptr must be a tensor of int64, got {what}")
    if indptr.shape != (shape[0] + 1,):
        raise ValueError(f"indptr must have shape ({shape[0] + 1},), got {tuple(indptr.shape)}")
    if isinstance(indices, Tensor) and indices.device != indptr.device:
        raise ValueError(f"indptr lies on {indptr.device}, but indices on {indices.device}")
    check_index(indices, int(shape[1]), "indices")
    if int(indptr[0]) != 0 or int(indptr[-1]) != len(indices):
        raise ValueError(
            f"indptr must go from 0 to the number of entries, {len(indices)}, "
            f"got {int(indptr[0])} to {int(indptr[-1])}"
        )
    falls = (indptr.diff() < 0).nonzero()
    if len(falls):
        raise ValueError(f"indptr must not fall, but does after position {int(falls[0, 0])}")


def check_values(values: Tensor, indices: Tensor) -> None:
    """Raise unless these are the values of entries with those columns."""
    if not isinstance(values, Tensor) or values.dtype not in _FLOATS:
        what = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"values must be a tensor of a floating dtype, got {what}")
    if values.shape != indices.shape:
        raise ValueError(f"values must have shape ({len(indices)},), got {tuple(values.shape)}")
    if values.device != indices.device:
        raise ValueError(f"indices lie on {indices.device}, but values on {values.device}")


def check_probability(p: float) -> None:
    """Raise unless p is in [0, 1]."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout must be in [0, 1], got {p!r}")


def check_x(matrix: Any, x: Any) -> None:
    """Raise unless the matrix can be multiplied by x."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        what = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x must be a tensor of a floating dtype, got {what}")
    if x.dim() != 2 or x.shape[0] != matrix.shape[1]:
        raise ValueError(f"x must have shape ({matrix.shape[1]}, d), got {tuple(x.shape)}")
    if x.device != matrix.device:
        raise ValueError(f"x lies on {x.device}, but the matrix on {matrix.device}")


def check_weight(weight: Any, matrix: Any) -> None:
    """Raise unless the matrix can be multiplied by the transposed weight."""
    width = matrix.shape[1]
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        what = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(f"weight must be a tensor of a floating dtype, got {what}")
    if weight.dim() != 2 or weight.shape[1] != width:
        raise ValueError(
            f"weight must have shape (out_channels, {width}), as x has {width} columns, "
            f"got {tuple(weight.shape)}"
        )
    if weight.device != matrix.device:
        raise ValueError(f"weight lies on {weight.device}, but x on {matrix.device}")


def check_bias(bias: Tensor | None, d: int, x: Tensor) -> None:
    """Raise unless the bias can be added to rows of d numbers like those of x."""
    if bias is None:
        return
    if bias.shape != (d,) or bias.dtype != x.dtype:
        raise ValueError(
            f"bias must have shape ({d},) and dtype {x.dtype}, got {tuple(bias.shape)} and "
            f"{bias.dtype}"
        )
    if bias.device != x.device:
        raise ValueError(f"bias lies on {bias.device}, but x on {x.device}")


def check_entries(matrix: Any, values: Any, name: str, dims: int) -> None:
    """Raise unless there is a number, or one for each head, for every entry."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        what = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a tensor of a floating dtype, got {what}")
    if values.dim() != dims or values.shape[0] != matrix.n_entries:
        rest = "" if dims == 1 else ", heads"
        raise ValueError(
            f"{name} must have shape ({matrix.n_entries}{rest or ','}), got {tuple(values.shape)}"
        )
    if values.device != matrix.device:
        raise ValueError(f"{name} lies on {values.device}, but the matrix on {matrix.device}")


def check_attention(
    matrix: Any,
    x: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    edge_scores: Tensor | None,
) -> None:
    """Raise unless features and scores are of the nodes, entries and heads."""
    n_target, n_source = matrix.shape
    if x.dim() != 3:
        raise ValueError(f"x must have shape ({n_source}, heads, channels), got {tuple(x.shape)}")
    heads = x.shape[1]
    wanted = {
        "x": (x, (n_source, heads, x.shape[2])),
        "source_scores": (source_scores, (n_source, heads)),
        "target_scores": (target_scores, (n_target, heads)),
        "edge_scores": (edge_scores, (matrix.n_entries, heads)),
    }
    _check_all(wanted, x.dtype, matrix.device)


def check_attention_v2(
    matrix: Any, x_source: Tensor, x_target: Tensor, edge_features: Tensor | None
) -> None:
    """Raise unless features are of the nodes, entries and heads."""
    n_target, n_source = matrix.shape
    if x_source.dim() != 3:
        raise ValueError(
            f"x_source must have shape ({n_source}, heads, channels), got {tuple(x_source.shape)}"
        )
    rest = tuple(x_source.shape[1:])
    wanted = {
        "x_source": (x_source, (n_source, *rest)),
        "x_target": (x_target, (n_target, *rest)),
        "edge_features": (edge_features, (matrix.n_entries, *rest)),
    }
    _check_all(wanted, x_source.dtype, matrix.device)


def _check_all(
    wanted: dict[str, tuple[Tensor | None, tuple[int, ...]]],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    for name, (given, shape) in wanted.items():
        if given is None:
            continue
        if given.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(given.shape)}")
        if given.dtype != dtype:
            raise TypeError(
                f"{name} must be of the dtype of the features, {dtype}, got {given.dtype}"
            )
        if given.device != device:
            raise ValueError(f"{name} lies on {given.device}, but the matrix on {device}")

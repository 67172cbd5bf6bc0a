"""The linear map inside every layer, for dense and sparse rows, with PyG's names and laws."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from torch.nn.parameter import UninitializedParameter, is_lazy

from graphembed._validation import Constraint, check_params, int_at_least
from graphembed.nn._ops import linear
from graphembed.nn.sparse import SparseMatrix

_WIDTH_OR_OPEN = Constraint(
    lambda v: v == -1 or int_at_least(1).holds(v), "an int >= 1, or -1 to take it from x"
)


class Linear(nn.Module):  # type: ignore[misc]
    """Rows times a weight: ``y = x W^T + b``.

    Shapes: x (n, in_channels), W (out_channels, in_channels), b (out_channels,).

    Parameters
    ----------
    in_channels : int
        Width of the rows; -1 takes it from the first rows that come.
    out_channels : int
        Width of the result.
    bias : bool, default=True
        Whether to learn b.
    weight_initializer : {"glorot"} or None, default=None
        "glorot" draws W from U(-a, a) with ``a = sqrt(6 / (in_channels + out_channels))`` (Glorot &
        Bengio 2010, eq. 16); None from U(-1 / sqrt(in_channels), 1 / sqrt(in_channels)), as
        `torch.nn.Linear`. b is always drawn in the latter way.

    Notes
    -----
    O(entries of x * out_channels) time, where a `SparseMatrix` has only those it stores.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bias: bool = True,
        weight_initializer: str | None = None,
    ) -> None:
        super().__init__()
        check_params(
            {"in_channels": in_channels, "out_channels": out_channels},
            {"in_channels": _WIDTH_OR_OPEN, "out_channels": int_at_least(1)},
        )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight_initializer = weight_initializer
        self.weight = (
            UninitializedParameter()
            if in_channels == -1
            else nn.Parameter(torch.empty(out_channels, in_channels))
        )
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_channels)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew; those of unknown width are drawn once it is known."""
        if self.in_channels == -1:
            return
        default = 1 / math.sqrt(self.in_channels)
        bound = glorot_bound(self.weight) if self.weight_initializer == "glorot" else default
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -default, default)

    def set_width(self, in_channels: int) -> None:
        """Fix an in_channels that was left open; another width is an error.

        Parameters
        ----------
        in_channels : int
            Width of the rows to come.

        Raises
        ------
        ValueError
            If the weight has another width.
        """
        if self.in_channels == in_channels:
            return
        if self.in_channels != -1:
            raise ValueError(
                f"x has {in_channels} channels, but the layer was made with "
                f"in_channels={self.in_channels}"
            )
        self.in_channels = in_channels
        self.weight.materialize((self.out_channels, in_channels))
        self.reset_parameters()

    def forward(self, x: Tensor | SparseMatrix, *, add_bias: bool = True) -> Tensor:
        """Multiply the rows.

        Parameters
        ----------
        x : Tensor or SparseMatrix of shape (n, in_channels)
            The rows.
        add_bias : bool, default=True
            False leaves b to the caller, who has still to aggregate the rows.

        Returns
        -------
        Tensor of shape (n, out_channels)
            The products.
        """
        self.set_width(x.shape[-1])
        return linear(x, self.weight, self.bias if add_bias else None)

    def __repr__(self) -> str:
        return f"Linear({self.in_channels}, {self.out_channels}, bias={self.bias is not None})"

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        # A weight of unknown width cannot be detached.
        super()._save_to_state_dict(destination, prefix, keep_vars or self.in_channels == -1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        weight = state_dict.get(prefix + "weight")
        if is_lazy(weight):  # of a layer that has seen no rows: this one has seen none either
            self.in_channels, self.weight = -1, UninitializedParameter()
        elif weight is not None and self.in_channels == -1:
            self.set_width(weight.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *args)


def pair_of_widths(in_channels: int | tuple[int, int]) -> tuple[int, int]:
    """Widths of the rows of sources and of targets.

    Parameters
    ----------
    in_channels : int or (int, int)
        One for both, or each.

    Returns
    -------
    tuple of int
        The two.

    Raises
    ------
    ValueError
        If there are more or fewer than two.
    """
    if not isinstance(in_channels, (tuple, list)):
        return in_channels, in_channels
    if len(in_channels) != 2:
        raise ValueError(
            f"in_channels must be an int or the two widths of sources and targets, "
            f"got {in_channels!r}"
        )
    return in_channels[0], in_channels[1]


def glorot_bound(weight: Tensor) -> float:
    """Bound of the uniform law of Glorot & Bengio 2010 (eq. 16), by the last two dimensions.

    Parameters
    ----------
    weight : Tensor
        What is to be drawn.

    Returns
    -------
    float
        ``sqrt(6 / (fan_in + fan_out))``.
    """
    return math.sqrt(6 / (weight.shape[-2] + weight.shape[-1]))


def multiply_all(linears: Sequence[Linear], x: Tensor | SparseMatrix) -> list[Tensor]:
    """Multiply the same rows by several weights, without their biases.

    One product with the weights on top of one another reads `x` once. Where hooks want to see the
    single products (or a module has been put in the place of a `Linear`), they are made one by one.

    Parameters
    ----------
    linears : sequence of Linear
        The weights.
    x : Tensor or SparseMatrix of shape (n, in_channels)
        The rows.

    Returns
    -------
    list of Tensor, each of shape (n, out_channels)
        One product per weight.
    """
    if _has_any_global_hook() or any(_is_watched(linear_) for linear_ in linears):
        return [linear_(x, add_bias=False) for linear_ in linears]
    for linear_ in linears:
        linear_.set_width(x.shape[1])
    weight = torch.cat([linear_.weight for linear_ in linears])
    return list(linear(x, weight).split([linear_.out_channels for linear_ in linears], dim=1))


def _is_watched(module: nn.Module) -> bool:
    """Whether calling the module does more than its `forward`, as `torch.nn.Module` decides it."""
    return type(module) is not Linear or bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )

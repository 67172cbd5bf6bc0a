"""The optimizer that an engine is attached to: what it must be, and how long its steps may be."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphembed.optim._block import Block


def check_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Raise if it has none of the model's parameters, or a penalty."""
    held = {p for group in optimizer.param_groups for p in group["params"]}
    if held.isdisjoint(model.parameters()):
        raise ValueError("KFAC.attach: optimizer must have parameters of the model, got none")
    for group in optimizer.param_groups:
        if group.get("weight_decay"):
            raise ValueError(
                "KFAC.attach: optimizer must have weight_decay=0, got "
                f"{group['weight_decay']!r}: give weight_decay to KFAC, which preconditions "
                "the penalty, too"
            )


def check_step(
    optimizer: torch.optim.Optimizer, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise if a step would compute other gradients, or has scaled ones."""
    if any(callable(value) for value in (*args[1:], *kwargs.values())):
        raise RuntimeError(
            "KFAC: an optimizer that it is attached to takes no closure: compute the gradients "
            "before step(), or use KFACSGD"
        )
    if getattr(optimizer, "grad_scale", None) is not None:  # it would unscale them itself
        raise RuntimeError(
            "KFAC: a fused optimizer gets scaled gradients from a GradScaler: call "
            "scaler.unscale_(optimizer) before scaler.step(optimizer), or say fused=False"
        )


def trust_region(
    pairs: Sequence[tuple[Block, Tensor, Tensor]],
    limit: float,
    lr: float | None,
    optimizer: torch.optim.Optimizer | None,
) -> Tensor | None:
    """Nu = min(1, sqrt(kl_clip / (lr^2 <v, V>))) (Ba et al. 2017, section 5).

    Parameters
    ----------
    pairs : sequence of (Block, Tensor, Tensor)
        Blocks with their gradients V and steps v.
    limit : float
        `kl_clip`.
    lr : float or None
        None: of each block that of the optimizer.
    optimizer : torch.optim.Optimizer or None
        Which has step sizes.

    Returns
    -------
    Tensor or None
        What all steps are multiplied by.
    """
    if not pairs:
        return None
    total: Any = None
    for block, gradient, value in pairs:
        product = torch.dot(value.flatten(), gradient.to(value.dtype).flatten())
        product.mul_((_rate(block, optimizer) if lr is None else float(lr)) ** 2 / limit)
        total = product if total is None else total.add_(product)
    scale: Tensor = total.clamp_(min=1).rsqrt_()
    return scale


def _rate(block: Block, optimizer: torch.optim.Optimizer | None) -> float:
    """Step size of a block: the largest that its parameters have."""
    mine = set(block.parameters)
    groups: Any = optimizer and optimizer.param_groups
    return max((float(g["lr"]) for g in groups if not mine.isdisjoint(g["params"])), default=0)

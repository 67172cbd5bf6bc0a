"""What an engine tells of itself."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from graphembed.optim._block import Block


def table(blocks: Iterable[Block], others: Sequence[str]) -> str:
    """One line for each block, and the parameters in none."""
    lines = [
        f"{'block':<28} {'d_out':>6} {'d_in':>6}  {'method':<9} {'updates':>7} {'inverses':>8}"
    ]
    for block in blocks:
        lines.append(
            f"{block.name:<28} {block.d_out:>6} {block.d_in:>6}  {block.method:<9} "
            f"{block.n_updates:>7} {block.n_inversions:>8}"
        )
    if others:
        lines.append(f"not preconditioned: {', '.join(others)}")
    return "\n".join(lines)


def figures(
    pairs: Iterable[tuple[Block, Tensor, Tensor]], scale: Any
) -> dict[str, dict[str, float]]:
    """Traces, condition numbers, cosine and scale of the blocks of a step."""
    found: dict[str, dict[str, float]] = {}
    for block, gradient, value in pairs:
        cosine = (gradient * value).sum() / (gradient.norm() * value.norm())
        found[block.name] = {
            "trace_a": float(block.a.trace()),
            "trace_g": float(block.g.trace()),
            **block.conditions(),
            "cosine": float(cosine.nan_to_num(0.0)),
            "scale": 1.0 if scale is None else float(scale),
        }
    return found

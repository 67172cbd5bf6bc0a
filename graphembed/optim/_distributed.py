"""Sums of factors over the processes of data-parallel training."""

from typing import Any

import torch
from torch import Tensor


class Processes:
    """The processes that share a model; one alone needs nothing of torch.distributed.

    Parameters
    ----------
    group : process group, optional
        By default all processes, once torch.distributed is initialised.
    """

    def __init__(self, group: Any = None) -> None:
        self.group = group

    @property
    def count(self) -> int:
        """Number of processes."""
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return 1
        return int(distributed.get_world_size(self.group))

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(torch.distributed.get_rank(self.group)) if self.count > 1 else 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes; the tensor itself if there is one."""
        if self.count == 1:
            return tensor
        total = tensor.clone()
        torch.distributed.all_reduce(total, group=self.group)
        return total

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, one after the other; they may have different numbers."""
        if self.count == 1:
            return rows
        size = torch.tensor([len(rows)], device=rows.device)
        sizes = [torch.empty_like(size) for _ in range(self.count)]
        torch.distributed.all_gather(sizes, size, group=self.group)
        lengths = [int(other) for other in sizes]
        padded = rows.new_zeros(max(lengths), rows.shape[1])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in lengths]
        torch.distributed.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

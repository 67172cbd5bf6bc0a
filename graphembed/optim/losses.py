"""Losses that training methods for graph networks are combined with."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from graphembed._validation import check_params, float_in

__all__ = ["pseudo_label_loss"]


def pseudo_label_loss(
    outputs: Tensor, y: Tensor, rows: Tensor, *, progress: float, gamma: float
) -> Tensor:
    """Cross-entropy of the labelled nodes, and of the others against the model's own predictions.

    ``mean_L CE(f_i, y_i) + progress^gamma mean_U CE(f_i, argmax f_i)``, with L the labelled nodes
    and U all others, the loss of Izadi et al. 2020. It has nothing to do with the natural gradient:
    compare optimizers with the same loss.

    Parameters
    ----------
    outputs : Tensor of shape (n_nodes, n_classes)
        Logits.
    y : Tensor of int64, shape (n_nodes,)
        Classes; only those of `rows` are looked at.
    rows : Tensor of bool, shape (n_nodes,), or of integers
        The labelled nodes.
    progress : float
        Share of the training that is done, in [0, 1]: epoch / n_epochs.
    gamma : float
        The larger, the later the predictions count.

    Returns
    -------
    Tensor
        The loss. No gradient flows through the predictions.
    """
    check_params(
        {"progress": progress, "gamma": gamma},
        {"progress": float_in(0, 1), "gamma": float_in(0, 1e6)},
        owner="pseudo_label_loss",
    )
    loss = F.cross_entropy(outputs[rows], y[rows])
    others = torch.ones(len(outputs), dtype=torch.bool, device=outputs.device)
    others[rows] = False
    unlabeled = outputs[others]
    if progress == 0 or not len(unlabeled):
        return loss
    predicted = unlabeled.detach().argmax(dim=1)
    return loss + progress**gamma * F.cross_entropy(unlabeled, predicted)

"""The likelihoods that losses stand for: draws of targets, and roots of the Hessian."""

import torch
from torch import Tensor

LOSSES = ("cross_entropy", "mse", "binary_cross_entropy")


def sampled_gradient(loss: str, outputs: Tensor, generator: torch.Generator) -> Tensor:
    """Gradient of each row's loss by the outputs, for targets drawn from the model itself.

    Its covariance is the Hessian of the loss by the outputs (Martens 2020, section 9).

    Parameters
    ----------
    loss : {"cross_entropy", "mse", "binary_cross_entropy"}
        As `torch.nn.functional` has them: the latter two are means over the columns.
    outputs : Tensor of shape (n, n_classes)
        Outputs without activation.
    generator : torch.Generator
        Of the device of `outputs`.

    Returns
    -------
    Tensor of shape (n, n_classes)
        The gradients.
    """
    if loss == "cross_entropy":
        p = outputs.softmax(dim=1)
        # The largest of p / exponential draws has the law p; unlike multinomial it never waits for
        # the device.
        noise = torch.empty_like(p).exponential_(generator=generator)
        drawn = (p / noise).argmax(dim=1, keepdim=True)
        return p.scatter_add(1, drawn, -torch.ones_like(drawn, dtype=p.dtype))
    n_columns = outputs.shape[1]
    if loss == "mse":
        noise = torch.empty_like(outputs).normal_(generator=generator)
        return noise * (2 / n_columns) ** 0.5
    p = outputs.sigmoid()
    uniform = torch.empty_like(p).uniform_(generator=generator)
    return (p - (uniform < p).to(p.dtype)) / n_columns**0.5


def hessian_root(loss: str, outputs: Tensor) -> Tensor:
    """Vectors whose squares sum to the Hessian of each row's loss by the outputs.

    Parameters
    ----------
    loss : {"cross_entropy", "mse", "binary_cross_entropy"}
        As in `sampled_gradient`.
    outputs : Tensor of shape (n, n_classes)
        Outputs without activation.

    Returns
    -------
    Tensor of shape (n_classes, n, n_classes)
        S with ``sum_c S[c, i] S[c, i]^T`` the Hessian at row i.
    """
    n_columns = outputs.shape[1]
    eye = torch.eye(n_columns, dtype=outputs.dtype, device=outputs.device).unsqueeze(1)
    if loss == "cross_entropy":  # sum_c p_c (e_c - p)(e_c - p)^T = diag(p) - p p^T
        p = outputs.softmax(dim=1)
        return p.t().sqrt().unsqueeze(2) * (eye - p)
    if loss == "mse":
        return (eye * (2 / n_columns) ** 0.5).expand(-1, len(outputs), -1)
    p = outputs.sigmoid()
    return eye * (p * (1 - p) / n_columns).sqrt()

"""Factors of a perceptron, whose rows share nothing: the definition, by explicit Jacobians."""

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import loss_hessians  # noqa: E402
from torch import nn  # noqa: E402

from graphembed.optim import KFAC  # noqa: E402

N_ROWS = 7


def perceptron():
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)]
    return nn.Sequential(*layers).double()


def definition(model, x, loss):
    """For every layer A, of inputs and a one, and G, of outputs: means over the rows.

    G is the mean of J^T H J with J the Jacobian of the row's outputs with respect to what the
    layer gives, and H the Hessian of its loss.
    """
    hessians = loss_hessians(loss, model(x).detach())
    factors = []
    for k, layer in enumerate(model):
        if not isinstance(layer, nn.Linear):
            continue
        inputs = model[:k](x).detach()
        ones = torch.cat([inputs, torch.ones(N_ROWS, 1, dtype=x.dtype)], dim=1)
        rest = model[k + 1 :]
        g = torch.zeros(layer.out_features, layer.out_features, dtype=x.dtype)
        for row, hessian in zip(layer(inputs).detach(), hessians, strict=True):
            jacobian = torch.autograd.functional.jacobian(rest, row)
            g += jacobian.t() @ hessian @ jacobian
        factors.append((ones.t() @ ones / N_ROWS, g / N_ROWS))
    return factors


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_factors_are_those_of_the_definition(loss, approx):
    model = perceptron()
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(N_ROWS, n, dtype=torch.float64, generator=generator) for n in (4, 3))
    wanted = definition(model, x, loss)
    with KFAC(model, approx=approx, fisher="exact", loss=loss, kl_clip=None) as pre:
        if loss == "mse":
            value = nn.functional.mse_loss(model(x), y)
        else:
            value = nn.functional.cross_entropy(model(x), y.argmax(1))
        value.backward()
        pre.step()
    by_size = {(block.d_out, block.d_in): block for block in pre.blocks}
    assert len(by_size) == len(wanted) == 3
    for a, g in wanted:
        direction = torch.randn(len(g), len(a), dtype=torch.float64, generator=generator)
        found = by_size[direction.shape].curvature(direction)
        torch.testing.assert_close(found, g @ direction @ a)

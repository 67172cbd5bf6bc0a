"""The engine on a CUDA device: the same updates, and only those of the factors wait for it."""

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import gcn, graph  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from graphembed.optim import KFACSGD  # noqa: E402

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
ROWS = torch.arange(5)
Y = torch.tensor([0, 1, 2, 0, 1])


def start(device, **options):
    edges, x = graph()
    model = gcn().to(device)
    optimizer = KFACSGD(model, rows=ROWS.to(device), **options)

    def step():
        optimizer.zero_grad()
        outputs = model(x_on, edges_on)[ROWS_ON]
        F.cross_entropy(outputs, y_on).backward()
        optimizer.step()

    x_on, edges_on, y_on, ROWS_ON = (t.to(device) for t in (x, edges, Y, ROWS))
    return model, optimizer.preconditioner, step


@pytest.mark.parametrize("method", ["dual", "cholesky", "eigh", "thor"])
def test_updates_are_those_of_the_cpu(method):
    found = []
    for device in ("cpu", "cuda"):
        model, _, step = start(device, method=method, fisher="exact", block_size=2)
        for _ in range(12):
            step()
        found.append([p.detach().cpu() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("fisher", ["mc", "empirical"])
@pytest.mark.parametrize("method", ["dual", "cholesky", "eigh", "thor"])
def test_steps_without_an_update_do_not_wait_for_the_device(method, fisher):
    preconditioner, step = start("cuda", method=method, fisher=fisher, cov_update_freq=50)[1:]
    step()  # the update of the factors, which does wait, and the last for fifty steps
    step()  # what torch itself does once
    before = [(block.n_updates, block.n_inversions) for block in preconditioner.blocks]
    assert preconditioner.n_steps + 20 < 50
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [(block.n_updates, block.n_inversions) for block in preconditioner.blocks]
    assert found == before == [(1, 1)] * 3


def test_waiting_for_the_device_is_noticed():
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            torch.ones(1, device="cuda").item()
    finally:
        torch.cuda.set_sync_debug_mode("default")

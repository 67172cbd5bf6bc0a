"""Data and states in which curvature is degenerate, lower precision, and several processes."""

import multiprocessing
import socket

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import Chain, gcn, graph  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from graphembed.optim import KFAC, KFACSGD  # noqa: E402
from graphembed.optim._factors import BlockFactor, RowFactor  # noqa: E402
from graphembed.optim._solvers import BlockInverse, split_damping  # noqa: E402

ROWS = torch.arange(5)
Y = torch.tensor([0, 1, 2, 0, 1])
METHODS = ("dual", "cholesky", "eigh", "thor")


def step(model, x, edges, rows=ROWS, y=Y, n_steps=3, **options):
    pre = KFAC(model, 0.1, rows=rows, cov_update_freq=1, inv_update_freq=1, **options)
    with pre:
        for _ in range(n_steps):
            model.zero_grad()
            F.cross_entropy(model(x, edges)[rows], y).backward()
            pre.step()
    return pre


def is_finite(model):
    return all(bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fisher", ["mc", "exact", "empirical"])
def test_degenerate_data_give_finite_updates(method, fisher):
    edges, x = graph()
    options = {"method": method, "fisher": fisher, "block_size": 2}
    none = torch.empty(2, 0, dtype=torch.int64)
    cases = {
        "one row": (gcn(), x, edges, ROWS[:1], Y[:1]),
        "one class": (gcn(dims=(4, 3, 1)), x, edges, ROWS, torch.zeros_like(Y)),
        "isolated nodes": (gcn(), x, none, ROWS, Y),
        "zero features": (gcn(), torch.zeros_like(x), edges, ROWS, Y),
        "equal features": (gcn(), torch.ones_like(x), edges, ROWS, Y),
    }
    for name, (model, features, e, rows, y) in cases.items():
        step(model.float(), features.float(), e, rows, y, **options)
        assert is_finite(model), name


@pytest.mark.parametrize("method", METHODS)
def test_dead_units_leave_a_zero_update(method):
    edges, x = graph()
    model = gcn(dims=(4, 3, 3))
    with torch.no_grad():
        model.layers[0].bias.fill_(-1e3)  # no unit is ever above zero
    step(model, x, edges, method=method)
    assert is_finite(model)
    assert float(model.layers[0].lin.weight.grad.abs().max()) == 0.0


def test_gradients_that_are_missing_are_left_out():
    edges, x = graph()

    class Branch(Chain):
        def forward(self, x, edge_index):
            return self.layers[1](x, edge_index)

    model = Branch([*gcn(dims=(4, 3, 3)).layers[:1], *gcn(dims=(4, 3)).layers])
    with pytest.warns(UserWarning, match=r"layers\.0\.bias, layers\.0\.lin\.weight"):
        step(model, x, edges)
    assert model.layers[0].lin.weight.grad is None


@pytest.mark.parametrize("method", METHODS)
def test_observations_that_are_not_finite_are_left_out(method):
    edges, x = graph()
    options = {"rows": ROWS, "fisher": "exact", "method": method, "interval_growth": 1.0}
    found = []
    for bad in ((), (0,), (1,)):  # the numbers of passes that are bad
        model = gcn()
        with KFAC(model, 0.1, **options) as pre:
            for n in range(1 + len(bad)):
                model.zero_grad()
                features = x * float("nan") if n in bad else x
                F.cross_entropy(model(features, edges)[ROWS], Y).backward()
                if n in bad:
                    for p in model.parameters():
                        p.grad.nan_to_num_()
                pre.step()
        assert is_finite(model)
        assert [block.n_updates for block in pre.blocks] == [1, 1, 1]
        found.append([(float(block.a.trace()), float(block.g.trace())) for block in pre.blocks])
    assert found[0] == found[1] == found[2]


def test_the_average_of_rows_is_that_of_matrices():
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(4, 40, dtype=torch.float64, generator=generator) for _ in range(4)]
    factor, wanted = RowFactor(40, 16), BlockFactor(40, 40)
    for n in range(30):  # of rank 16 in all, but of 120 rows
        rows, decay = batches[n % 4], min(1 - 1 / (n + 1), 0.9)
        factor.update(rows, decay)
        wanted.update(wanted.of_rows(rows), decay)
    found = factor.matrix().t() @ factor.matrix()
    assert len(factor.matrix()) == 16
    torch.testing.assert_close(found, wanted.value[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(factor.trace(), wanted.trace())
    vectors, values = factor.eigen()
    torch.testing.assert_close(vectors @ vectors.t(), values.diag(), rtol=1e-10, atol=1e-10)


def test_an_average_of_more_rows_than_fit_keeps_the_largest_eigenvalues():
    rows = torch.randn(30, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor = RowFactor(40, 12)
    for part in (rows[:10], rows[10:20], rows[20:]):
        factor.update(part, 0.5)
    assert len(factor.matrix()) == 12
    both = torch.cat([rows[10:20] * 0.5**0.5, rows[:10] * 0.5**0.5])
    _, s, v = torch.linalg.svd(both, full_matrices=False)
    kept = torch.cat([rows[20:] * 0.5**0.5, s[:12, None] * v[:12] * 0.5**0.5])
    _, s, v = torch.linalg.svd(kept, full_matrices=False)
    wanted = v[:12].t() @ torch.diag(s[:12] ** 2) @ v[:12]
    torch.testing.assert_close(factor.matrix().t() @ factor.matrix(), wanted)


def test_rows_that_changed_once_go_on_taking_the_place_of_the_first():
    edges, x = graph()
    found = []
    for method in ("dual", "cholesky"):
        model = gcn()
        with KFAC(model, 0.1, method=method, fisher="exact", interval_growth=1.0) as pre:
            for rows in (ROWS, *[ROWS + 5] * 6):
                pre.rows = rows
                model.zero_grad()
                F.cross_entropy(model(x, edges)[rows], Y).backward()
                pre.step()
        found.append([p.grad for p in model.parameters()])
    for dual, dense in zip(*found, strict=True):
        torch.testing.assert_close(dual, dense)


@pytest.mark.parametrize("method", ["dual", "cholesky"])
def test_inverses_wait_for_their_step_where_rows_change(method):
    edges, x = graph()
    model = gcn()
    options = {"method": method, "interval_growth": 1.0, "inv_update_freq": 5, "fisher": "exact"}
    with KFAC(model, 0.1, **options) as pre:
        for n in range(10):
            pre.rows = torch.tensor([n, n + 1])
            model.zero_grad()
            F.cross_entropy(model(x, edges)[pre.rows], Y[:2]).backward()
            pre.step()
    assert [block.n_updates for block in pre.blocks] == [10] * 3
    assert [block.n_inversions for block in pre.blocks] == [2] * 3


def test_a_factor_that_is_not_positive_is_inverted_all_the_same():
    factor = BlockFactor(3, 3)
    vectors = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    factor.value = (vectors @ torch.diag(torch.tensor([1.0, 1e-3, -1.0])) @ vectors.t())[None]
    inverse = BlockInverse.of(factor, torch.tensor(1e-6), None).value
    assert bool(inverse.isfinite().all())
    assert float(torch.linalg.eigvalsh(inverse[0]).min()) > 0  # still a descent direction
    # A little damping more is enough for rounding errors.
    factor.value = (vectors @ torch.diag(torch.tensor([1.0, 1e-3, -1e-8])) @ vectors.t())[None]
    inverse = BlockInverse.of(factor, torch.tensor(1e-9), None).value
    assert float(torch.linalg.eigvalsh(inverse[0]).min()) > 0


def test_damping_is_split_by_mean_eigenvalues():
    damping = torch.tensor(4.0)
    a, g = split_damping(damping, torch.tensor(9.0), torch.tensor(1.0))
    assert (float(a), float(g)) == (6.0, pytest.approx(2 / 3))
    for zero in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
        assert [float(v) for v in split_damping(damping, *map(torch.tensor, zero))] == [2.0, 2.0]


def test_found_inf_leaves_the_step_out():
    edges, x = graph()
    model = gcn().float()
    optimizer = KFACSGD(model, rows=ROWS)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    before = [p.detach().clone() for p in model.parameters()]
    for scale in (float("inf"), 1.0):
        optimizer.zero_grad()
        value = F.cross_entropy(model(x.float(), edges)[ROWS], Y)
        scaler.scale(value * scale).backward()
        scaler.step(optimizer)
        scaler.update()
        moved = [not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)]
        assert any(moved) == (scale == 1.0)
    assert optimizer.preconditioner.n_steps == 1


def test_scaled_and_unscaled_losses_take_the_same_step():
    edges, x = graph()
    found = []
    for is_scaled in (False, True):
        model = gcn().float()
        optimizer = KFACSGD(model, rows=ROWS)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=is_scaled)
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x.float(), edges)[ROWS], Y)).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append([p.detach() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_that_are_still_scaled_are_refused():
    edges, x = graph()
    model = gcn().float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    pre = KFAC(model, rows=ROWS).attach(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    scaler.scale(F.cross_entropy(model(x.float(), edges)[ROWS], Y)).backward()
    with pytest.raises(RuntimeError, match="unscale_"):
        scaler.step(optimizer)
    pre.close()


def test_bfloat16_has_factors_in_single_precision():
    x = torch.randn(14, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).to(torch.bfloat16)
    with KFAC(model, 0.1, rows=ROWS) as pre:
        F.cross_entropy(model(x.to(torch.bfloat16))[ROWS], Y).backward()
        pre.step()
    assert all(block.g.value.dtype == torch.float32 for block in pre.blocks)
    assert all(p.grad.dtype == torch.bfloat16 for p in model.parameters())
    assert is_finite(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        single = model.float()
        with KFAC(single, 0.1, rows=ROWS) as pre:
            single.zero_grad()
            F.cross_entropy(single(x)[ROWS], Y).backward()
            pre.step()
    assert is_finite(single)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_inside_autocast_is_that_outside(method):
    edges, x = graph()
    found = []
    for is_inside in (False, True):
        model = gcn().float()
        with KFAC(model, 0.1, rows=ROWS, method=method, damping=1e-5, kl_clip=None) as pre:
            F.cross_entropy(model(x.float(), edges)[ROWS], Y).backward()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_inside):
                pre.step()
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


# -- Several processes -------------------------------------------------------------------------


DISTRIBUTED = ("cholesky", "dual")


def rank(number, port, queue):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=2
    )
    try:
        queue.put((number, {method: distributed_steps(number, method) for method in DISTRIBUTED}))
    finally:
        torch.distributed.destroy_process_group()


def distributed_steps(number, method):
    """Three steps on the rows of one process, or of all if it is the only one."""
    edges, x = graph()
    model = gcn()
    mine = torch.tensor([[0, 1], [2, 3]])[number] if number is not None else torch.arange(4)
    wrapped = model
    if number is not None:
        wrapped = nn.parallel.DistributedDataParallel(model)
    optimizer = KFACSGD(
        model, rows=mine, fisher="exact", method=method, cov_update_freq=1, inv_update_freq=1
    )
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(wrapped(x, edges)[mine], Y[mine]).backward()
        optimizer.step()
    return [p.detach().tolist() for p in model.parameters()]


@pytest.fixture(scope="module")
def found_by_ranks():
    """Parameters that two processes find, by every method: one start of them for all."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=rank, args=(number, port, queue)) for number in range(2)]
    for process in processes:
        process.start()
    found = dict(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    return found


@pytest.mark.distributed
@pytest.mark.parametrize("method", DISTRIBUTED)
def test_two_processes_are_one(method, found_by_ranks):
    first, second = (found_by_ranks[number][method] for number in range(2))
    assert first == second
    alone = distributed_steps(None, method)
    for a, b in zip(first, alone, strict=True):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=1e-9, atol=1e-12)

"""The thin optimizers, the trace rule, adaptive damping and the loss of pseudo-labels."""

import copy
import io

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import gcn, graph  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from graphembed.optim import (  # noqa: E402
    KFAC,
    KFACSGD,
    NGD,
    THOR,
    KFACAdam,
    LevenbergMarquardt,
    TraceRule,
    pseudo_label_loss,
)

ROWS = torch.arange(5)
Y = torch.tensor([0, 1, 2, 0, 1])
OPTIMIZERS = {"kfacsgd": KFACSGD, "ngd": NGD, "thor": THOR, "kfacadam": KFACAdam}


def train(model, optimizer, x, edges, n_steps=20):
    values = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        value = F.cross_entropy(model(x, edges)[ROWS], Y)
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    return values


def parameters(model):
    return [p.detach().clone() for p in model.parameters()]


def assert_same(a, b):
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_learn_and_resume_with_the_same_bits(name):
    edges, x = graph()
    model, other = gcn(), gcn(seed=8)
    optimizer = OPTIMIZERS[name](model, rows=ROWS, weight_decay=1e-3)
    values = train(model, optimizer, x, edges)
    assert values[-1] < 0.98 * values[0]
    file = io.BytesIO()
    torch.save((optimizer.state_dict(), model.state_dict()), file)
    train(model, optimizer, x, edges, 7)
    file.seek(0)
    resumed = OPTIMIZERS[name](other, rows=ROWS, weight_decay=1e-3)
    for part, state in zip((resumed, other), torch.load(file), strict=True):
        part.load_state_dict(state)
    train(other, resumed, x, edges, 7)
    assert_same(parameters(model), parameters(other))


def test_natural_gradient_has_the_factors_of_every_step():
    edges, x = graph()
    model = gcn()
    optimizer = NGD(model, rows=ROWS)
    train(model, optimizer, x, edges, 7)
    pre = optimizer.preconditioner
    assert pre.n_steps == 7
    assert [block.n_updates for block in pre.blocks] == [7, 7, 7]
    assert optimizer.param_groups[0]["momentum"] == pre.ema == 0.0


def test_kfacsgd_is_kfac_around_sgd():
    edges, x = graph()
    one, two = gcn(), gcn()
    train(one, KFACSGD(one, 0.05, rows=ROWS, weight_decay=0.02), x, edges)
    optimizer = torch.optim.SGD(two.parameters(), lr=0.05, momentum=0.9)
    pre = KFAC(two, rows=ROWS, weight_decay=0.02).attach(optimizer)
    train(two, optimizer, x, edges)
    pre.close()
    assert_same(parameters(one), parameters(two))


def test_penalty_of_groups_comes_before():
    edges, x = graph()
    one, two = gcn(), gcn()
    groups = [
        {"params": one.layers[0].parameters(), "weight_decay": 0.3},
        {"params": [p for layer in one.layers[1:] for p in layer.parameters()]},
    ]
    train(one, KFACSGD(one, 0.03, rows=ROWS, params=groups), x, edges)
    optimizer = torch.optim.SGD(two.parameters(), lr=0.03, momentum=0.9)
    pre = KFAC(two, rows=ROWS, weight_decay=lambda name: 0.3 * name.startswith("layers.0"))
    pre.attach(optimizer)
    train(two, optimizer, x, edges)
    pre.close()
    assert_same(parameters(one), parameters(two))


def test_closures_and_schedulers_work():
    edges, x = graph()
    one, two = gcn(), gcn()
    first, second = KFACSGD(one, 0.03, rows=ROWS), KFACSGD(two, 0.03, rows=ROWS)
    schedulers = [torch.optim.lr_scheduler.StepLR(o, 2, 0.5) for o in (first, second)]

    def closure():
        first.zero_grad()
        value = F.cross_entropy(one(x, edges)[ROWS], Y)
        value.backward()
        return value

    for _ in range(5):
        assert float(first.step(closure).detach()) == train(two, second, x, edges, 1)[0]
        for scheduler in schedulers:
            scheduler.step()
    assert first.param_groups[0]["lr"] == pytest.approx(0.03 / 4)
    assert_same(parameters(one), parameters(two))


def test_optimizers_are_not_copied():
    with pytest.raises(TypeError, match="use state_dict"):
        copy.deepcopy(KFACSGD(gcn(), rows=ROWS))


# -- The trace rule ----------------------------------------------------------------------------


def test_rule_has_three_cases_and_a_guard():
    rule = TraceRule(w1=0.1, w2=0.01, min_updates=3)
    assert [rule.decide(change, 3) for change in (0.2, 0.1, 0.05, 0.01, 0.009, 0.0)] == [
        "update", "reuse", "reuse", "reuse", "freeze", "freeze",
    ]  # fmt: skip
    assert rule.decide(0.0, 2) == "update"
    with pytest.raises(ValueError, match="w2 must be at most w1"):
        TraceRule(w1=0.1, w2=0.2)
    with pytest.raises(ValueError, match="min_updates must be"):
        TraceRule(min_updates=0)


def test_change_of_trace_is_that_of_the_formula():
    edges, x = graph()
    model = gcn(dims=(4, 3, 3))
    seen = []

    class Watching(TraceRule):
        def decide(self, change, n_updates):
            seen.append(change)
            return "update"

    damping = 0.01
    options = {"rows": ROWS, "interval_growth": 1.0, "damping": damping}
    traces = []
    with KFAC(model, 0.1, trace_rule=Watching(), **options) as pre:
        for _ in range(2):
            F.cross_entropy(model(x, edges)[ROWS], Y).backward()
            pre.step()
            traces.append([float(b.a.trace() * b.g.trace()) for b in pre.blocks])
            with torch.no_grad():
                model.layers[0].lin.weight.mul_(2)
    for block, change, old, new in zip(pre.blocks, seen, *traces, strict=True):
        extra = damping * block.d_in * block.d_out
        assert change == pytest.approx(abs(new - old) / (old + extra))


def test_frozen_blocks_cost_nothing_and_stay():
    edges, x = graph()
    model = gcn()
    rule = TraceRule(w1=1e9, w2=1e9, min_updates=2)
    optimizer = THOR(model, rows=ROWS, trace_rule=rule, interval_growth=1.0)
    pre = optimizer.preconditioner
    train(model, optimizer, x, edges, 10)
    assert [block.n_updates for block in pre.blocks] == [2, 2, 2]
    assert [block.n_inversions for block in pre.blocks] == [2, 2, 2]
    assert all(block.is_frozen for block in pre.blocks)
    assert not pre._is_due()


def test_reused_factors_are_not_inverted_again():
    edges, x = graph()
    model = gcn()
    rule = TraceRule(w1=1e9, w2=0.0, min_updates=1)
    optimizer = THOR(model, rows=ROWS, trace_rule=rule, interval_growth=1.0)
    train(model, optimizer, x, edges, 10)
    for block in optimizer.preconditioner.blocks:
        assert (block.n_updates, block.n_inversions, block.is_frozen) == (1, 1, False)


def test_interval_grows():
    edges, x = graph()
    model = gcn()
    passes = []
    with KFAC(model, 0.01, rows=ROWS, cov_update_freq=1, interval_growth=2.0) as pre:
        for step in range(40):
            if pre._is_due():
                passes.append(step)
            F.cross_entropy(model(x, edges)[ROWS], Y).backward()
            pre.step()
    assert passes == [0, 2, 6, 14, 30]


# -- Damping -----------------------------------------------------------------------------------


def test_damping_follows_a_schedule():
    edges, x = graph()
    one, two = gcn(), gcn()
    train(one, KFACSGD(one, rows=ROWS, damping=lambda step: 1e-2), x, edges)
    train(two, KFACSGD(two, rows=ROWS, damping=1e-2), x, edges)
    assert_same(parameters(one), parameters(two))
    optimizer = KFACSGD(two, rows=ROWS, cov_update_freq=10, damping=lambda step: 0.5**step)
    train(two, optimizer, x, edges, 4)
    # Without new factors, other damping is a reason to invert again.
    assert [block.n_inversions for block in optimizer.preconditioner.blocks] == [4, 4, 4]
    assert [block.n_updates for block in optimizer.preconditioner.blocks] == [1, 1, 1]


def test_levenberg_marquardt_predicts_a_quadratic_loss_exactly():
    # A linear network of one layer under squared loss: A (x) G is the curvature.
    edges, x = graph()
    model = gcn(relu=False, dims=(4, 3))
    target = torch.randn(14, 3, generator=torch.Generator().manual_seed(4)).double()
    damping = LevenbergMarquardt(0.1, interval=1)
    options = {"loss": "mse", "fisher": "exact", "kl_clip": None, "damping": damping}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    with KFAC(model, cov_update_freq=1, **options) as pre:
        for _ in range(5):
            optimizer.zero_grad()
            value = F.mse_loss(model(x, edges), target)
            value.backward()
            pre.step(value)
            if pre.n_steps > 1:
                assert damping.ratio == pytest.approx(1.0, abs=1e-6)
            optimizer.step()
    assert damping.value == pytest.approx(0.1 * 0.95**4)


def test_levenberg_marquardt_predicts_the_loss_beside_a_penalty():
    edges, x = graph()
    model = gcn(relu=False, dims=(4, 3))
    target = torch.randn(14, 3, generator=torch.Generator().manual_seed(4)).double()
    damping = LevenbergMarquardt(0.1, interval=1)
    options = {"loss": "mse", "fisher": "exact", "damping": damping, "weight_decay": 0.5}
    optimizer = KFACSGD(model, 0.3, kl_clip=None, **options)

    def closure():
        optimizer.zero_grad()
        value = F.mse_loss(model(x, edges), target)
        value.backward()
        return value

    optimizer.step(closure)
    for _ in range(4):
        optimizer.step(closure)
        assert damping.ratio == pytest.approx(1.0, abs=1e-6)


def test_levenberg_marquardt_resumes_with_the_same_bits():
    edges, x = graph()

    def make(seed):
        model = gcn(seed=seed)
        damping = LevenbergMarquardt(1e-3, interval=3)
        pre = KFAC(model, rows=ROWS, kl_clip=None, damping=damping, interval_growth=1.2)
        return model, torch.optim.SGD(model.parameters(), lr=0.5), pre

    def go_on(model, optimizer, pre, n_steps):
        for _ in range(n_steps):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x, edges)[ROWS], Y)
            value.backward()
            pre.step(value)
            optimizer.step()

    first, second = make(3), make(9)
    go_on(*first, 4)  # a look is due in the next one
    file = io.BytesIO()
    torch.save([part.state_dict() for part in first], file)
    go_on(*first, 6)
    file.seek(0)
    for part, state in zip(second, torch.load(file), strict=True):
        part.load_state_dict(state)
    go_on(*second, 6)
    assert first[2].damping.value == second[2].damping.value != 1e-3
    assert first[2].damping.ratio == second[2].damping.ratio
    assert_same(parameters(first[0]), parameters(second[0]))


def test_levenberg_marquardt_is_refused_where_no_loss_comes():
    model = gcn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pre = KFAC(model, damping=LevenbergMarquardt())
    with pre, pytest.raises(ValueError, match="attach: damping=LevenbergMarquardt"):
        pre.attach(optimizer)
    with pytest.raises(ValueError, match="lowest must be at most highest"):
        LevenbergMarquardt(lowest=1.0, highest=0.1)


def test_levenberg_marquardt_follows_one_training():
    edges, x = graph()
    damping = LevenbergMarquardt(interval=1)
    states = []
    for _ in range(2):
        model = gcn()
        optimizer = KFACSGD(model, rows=ROWS, damping=damping)

        def closure(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x, edges)[ROWS], Y)
            value.backward()
            return value

        for _ in range(2):
            optimizer.step(closure)
        states.append(optimizer.state_dict())
        with pytest.raises(ValueError, match="damping must be a LevenbergMarquardt of its own"):
            KFAC(gcn(), damping=damping)
        with KFAC(gcn()) as pre:
            pre.damping = damping
            with pytest.raises(ValueError, match="of its own"):
                pre.step(1.0)
        damping = copy.deepcopy(damping)  # which belongs to none
    assert states[0]["preconditioner"]["damping"]["before"] is not None
    optimizer = KFACSGD(gcn(), rows=ROWS)
    with pytest.raises(ValueError, match=r"damping must be None: .* got 'dict'"):
        optimizer.load_state_dict(states[0])
    state = optimizer.state_dict()
    optimizer = KFACSGD(gcn(), rows=ROWS, damping=LevenbergMarquardt())
    with pytest.raises(ValueError, match=r"damping must be of a LevenbergMarquardt, .* got None"):
        optimizer.load_state_dict(state)
    with pytest.raises(ValueError, match=r"KFACSGD: damping=.* needs step\(closure\), got None"):
        optimizer.step()


def test_attach_twice_is_refused():
    model = gcn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        KFAC(model).attach(optimizer) as pre,
        pytest.raises(RuntimeError, match="attached already"),
    ):
        pre.attach(optimizer)


def test_levenberg_marquardt_damps_steps_that_are_too_long():
    edges, x = graph()
    model = gcn()
    damping = LevenbergMarquardt(1e-6, interval=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    with KFAC(model, rows=ROWS, kl_clip=None, damping=damping) as pre:
        for _ in range(4):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x, edges)[ROWS], Y)
            value.backward()
            pre.step(value)
            optimizer.step()
        assert damping.value > 1e-6
        with pytest.raises(ValueError, match=r"needs step\(loss\)"):
            pre.step()
    with pytest.raises(ValueError, match="interval must be"):
        LevenbergMarquardt(interval=0)


# -- Unlabelled nodes --------------------------------------------------------------------------


def test_unlabelled_rows_count_by_their_weight():
    _, x = graph()
    empty = torch.empty(2, 0, dtype=torch.int64)
    model = gcn(dims=(4, 3))
    for weight in (0.0, 0.25, 1.0):
        with KFAC(model, 0.1, rows=ROWS, unlabeled_weight=weight, fisher="exact") as pre:
            F.cross_entropy(model(x, empty)[ROWS], Y).backward()
            pre.step()
            (block,) = pre.blocks
            weights = torch.full((14, 1), weight, dtype=torch.float64)
            weights[ROWS] = 1.0
            rows = torch.cat([x, torch.ones(14, 1).double()], dim=1)
            wanted = (weights * rows).t() @ rows / weights.sum()
            torch.testing.assert_close(block.a.value[0], wanted)
            p = model(x, empty).softmax(1).detach()
            hessian = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
            wanted = (weights.unsqueeze(2) * hessian).sum(0) / weights.sum()
            torch.testing.assert_close(block.g.value[0], wanted)


def test_pseudo_label_loss_is_that_of_its_formula():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(9, 3, generator=generator, requires_grad=True)
    y = torch.randint(3, (9,), generator=generator)
    rows = torch.tensor([1, 4])
    mask = torch.zeros(9, dtype=torch.bool)
    mask[rows] = True
    labelled = F.cross_entropy(outputs[mask], y[mask])
    others = F.cross_entropy(outputs[~mask], outputs[~mask].argmax(1))
    for which in (rows, mask):
        found = pseudo_label_loss(outputs, y, which, progress=0.5, gamma=2.0)
        torch.testing.assert_close(found, labelled + 0.25 * others)
        start = pseudo_label_loss(outputs, y, which, progress=0.0, gamma=2.0)
        torch.testing.assert_close(start, labelled)
    everything = torch.ones(9, dtype=torch.bool)
    whole = pseudo_label_loss(outputs, y, everything, progress=1.0, gamma=1.0)
    torch.testing.assert_close(whole, F.cross_entropy(outputs, y))
    with pytest.raises(ValueError, match="progress must be"):
        pseudo_label_loss(outputs, y, rows, progress=1.5, gamma=1.0)

"""What a step makes of the passes before it: skipped, scaled, non-finite and accumulated ones."""

import gc

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import Chain, gcn, graph, seeded  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from graphembed.nn import GATConv, GCNConv  # noqa: E402
from graphembed.optim import KFAC, KFACSGD, TraceRule  # noqa: E402
from graphembed.optim._recorder import Output  # noqa: E402

ROWS = torch.arange(5)
Y = torch.tensor([0, 1, 2, 0, 1])
EDGES, X = graph()


def backward(model, x=X):
    model.zero_grad()
    F.cross_entropy(model(x, EDGES)[ROWS], Y).backward()


@pytest.mark.parametrize("fisher", ["mc", "exact", "empirical"])
def test_passes_are_not_kept(fisher):
    model = gcn()
    pre = KFAC(model, 0.01, rows=ROWS, fisher=fisher, interval_growth=1.0)
    counts = []
    for _ in range(3):
        for _ in range(5):
            backward(model)
            pre.step()
        gc.collect()
        counts.append(sum(type(kept) is Output for kept in gc.get_objects()))
    assert counts[0] == counts[1] == counts[2] < 8
    pre.close()


def test_a_change_that_is_no_number_freezes_nothing():
    rule = TraceRule(min_updates=1)
    assert rule.decide(float("nan"), 10) == "reuse"
    assert rule.decide(0.0, 10) == "freeze"
    model = gcn()
    options = {"trace_rule": TraceRule(w1=0.0, w2=0.0, min_updates=1), "interval_growth": 1.0}
    with KFAC(model, 0.1, rows=ROWS, **options) as pre:
        for features in (X, X, X * float("nan"), X):
            backward(model, features)
            pre.step()
    assert not any(block.is_frozen for block in pre.blocks)


def test_cosine_is_that_of_the_raw_gradient():
    model = seeded(lambda: Chain([GCNConv(4, 3, bias=False), GCNConv(3, 3)]))
    with KFAC(model, 0.1, rows=ROWS, damping=1e-4, kl_clip=None) as pre:
        backward(model)
        raw = model.layers[0].lin.weight.grad.clone()
        pre.step()
    wanted = F.cosine_similarity(raw.flatten(), model.layers[0].lin.weight.grad.flatten(), dim=0)
    assert float(wanted) < 0.99
    assert pre.metrics()["layers.0"]["cosine"] == pytest.approx(float(wanted))


@pytest.mark.parametrize(
    ("cov_update_freq", "wanted"),
    [
        (1, [0, 2, 4, 7, 12, 20, 31, 48, 74, 112, 170, 256]),
        (10, [0, 15, 37, 71, 122, 198, 298]),  # growth counts from the first update on
        (150, [0, 150, 300]),  # longer intervals than a hundred steps do not grow
    ],
)
def test_intervals_between_updates(cov_update_freq, wanted):
    model = gcn()
    due = []
    with KFAC(model, 0.01, rows=ROWS, cov_update_freq=cov_update_freq) as pre:
        for n in range(310):
            pre.n_steps = n
            if pre._is_due():
                backward(model)
                pre._curvature.update(n)
                due.append(n)
    assert due == wanted


@pytest.mark.parametrize("fisher", ["mc", "empirical"])
@pytest.mark.parametrize("zero_first", [True, False])
def test_passes_of_a_step_that_a_scaler_leaves_out_do_not_count(fisher, zero_first):
    model = gcn()
    optimizer = KFACSGD(model, rows=ROWS, fisher=fisher)
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    for scale in (float("inf"), float("inf"), 1.0):
        if zero_first:
            optimizer.zero_grad()
        value = F.cross_entropy(model(X, EDGES)[ROWS], Y) * scale
        optimizer.zero_grad()
        scaler.scale(value).backward()
        assert len(optimizer.preconditioner._curvature.passes) == 1
        scaler.step(optimizer)
        scaler.update(1.0)
    assert [block.n_updates for block in optimizer.preconditioner.blocks] == [1, 1, 1]


def test_passes_of_one_backward_pass_or_of_accumulated_gradients_all_count():
    model = gcn()
    with KFAC(model, 0.1, rows=ROWS) as pre:
        values = [F.cross_entropy(model(X, EDGES)[ROWS], Y) for _ in range(2)]
        sum(values).backward()
        assert len(pre._curvature.passes) == 2
        F.cross_entropy(model(X, EDGES)[ROWS], Y).backward()
        assert len(pre._curvature.passes) == 3
        pre.step()
        assert len(pre._curvature.passes) == 0


def test_passes_without_a_step_do_not_pile_up():
    model = gcn(dims=(4, 3))
    for fisher in ("mc", "exact", "empirical"):
        with KFAC(model, 0.1, rows=ROWS, fisher=fisher) as pre:
            for _ in range(10):
                model(X, EDGES)
            assert len(pre._curvature.passes) == 0


@pytest.mark.parametrize("fisher", ["exact", "empirical"])
def test_passes_without_a_backward_pass_do_not_count(fisher):
    found = []
    for n_extra in (0, 2):
        model = gcn()
        with KFAC(model, 0.1, rows=ROWS, fisher=fisher) as pre:
            for _ in range(n_extra):
                model(100 * X, EDGES)
            backward(model)
            pre.step()
            found.append([(float(b.a.trace()), float(b.g.trace())) for b in pre.blocks])
    assert found[0] == found[1]


@pytest.mark.parametrize("fisher", ["mc", "exact", "empirical"])
@pytest.mark.parametrize("method", ["dual", "cholesky"])
def test_a_pass_that_is_not_finite_does_not_hide_the_others(fisher, method):
    found = []
    for bad in (None, 0, 1):
        model = gcn()
        options = {"fisher": fisher, "method": method, "seed": 0}
        with KFAC(model, 0.1, rows=ROWS, **options) as pre:
            if bad == 0:
                spoil(model, pre)
            F.cross_entropy(model(X, EDGES)[ROWS], Y).backward()
            if bad == 1:
                spoil(model, pre)
            pre.step()
        assert [block.n_updates for block in pre.blocks] == [1, 1, 1]
        found.append([float(block.a.trace()) for block in pre.blocks])
        if fisher != "mc":  # whose draws are others, the second time
            found[-1] += [float(block.g.trace()) for block in pre.blocks]
    assert found[0] == found[1] == found[2]


def spoil(model, pre):
    """A pass that is not finite, whose gradients the loop throws away."""
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    F.cross_entropy(model(X * float("nan"), EDGES)[ROWS], Y).backward()
    for p, gradient in zip(model.parameters(), before, strict=True):
        p.grad.copy_(torch.full_like(p, 1e-9) if gradient is None else gradient)


def test_factors_are_made_on_the_device_of_the_data():
    model = gcn()
    with KFAC(model, 0.1, rows=ROWS) as pre:
        backward(model)
        with torch.device("meta"):  # what names no device would have no numbers
            pre.step()
    assert [block.n_updates for block in pre.blocks] == [1, 1, 1]


def test_empirical_factors_know_the_scale_of_the_loss():
    found = []
    for scale in (1.0, 2.0**12):
        model = gcn()
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        optimizer = KFACSGD(model, rows=ROWS, fisher="empirical", loss_scale=scaler.get_scale)
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(X, EDGES)[ROWS], Y)).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append([p.detach() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="loss_scale must be"):
        KFAC(gcn(), loss_scale=0.0)


def test_empirical_factors_of_unlabelled_rows_are_refused():
    with pytest.raises(ValueError, match="unlabeled_weight must be 0"):
        KFAC(gcn(), fisher="empirical", unlabeled_weight=0.5)


def test_parameters_that_are_fixed_later_leave_their_block():
    model, other = gcn(), gcn()
    other.layers[0].bias.requires_grad_(False)
    with KFAC(model, 0.1, rows=ROWS, fisher="exact", damping=1e-4, kl_clip=None) as pre:
        backward(model)
        pre.step()
        model.layers[0].bias.requires_grad_(False)
        backward(model)
        pre.step()
        assert [block.d_in for block in pre.blocks] == [4, 4, 4]
        model.layers[0].bias.requires_grad_(True)
    with KFAC(other, 0.1, rows=ROWS, fisher="exact", damping=1e-4, kl_clip=None) as pre:
        backward(other)
        pre.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        if b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("is_loaded", [False, True])
def test_layers_that_are_thawed_later_get_their_block_at_once(is_loaded):
    model = gcn()
    model.layers[0].requires_grad_(False)
    pre = KFAC(model, 0.1, rows=ROWS)
    due = []
    for n in range(14):
        if n == 10:
            if is_loaded:
                state = pre.state_dict()
                pre.close()
                pre = KFAC(model, 0.1, rows=ROWS)
                pre.load_state_dict(state)
            model.layers[0].requires_grad_(True)
        if pre._is_due():
            due.append(n)
        backward(model)
        pre.step()
    pre.close()
    assert due == [0, 2, 4, 7, 10]
    assert [block.name for block in pre.blocks] == ["layers.2", "layers.1", "layers.0"]


def test_a_checkpoint_without_a_block_gets_it_at_once():
    model = gcn()
    with KFAC(model, 0.1, rows=ROWS) as pre:
        backward(model)
        pre.step()
        state = pre.state_dict()
        assert not pre._is_due()
    del state["blocks"]["layers.1"]
    with KFAC(model, 0.1, rows=ROWS) as pre:
        pre.load_state_dict(state)
        assert pre._is_due()
        backward(model)
        pre.step()
        assert {block.name: block.n_updates for block in pre.blocks}["layers.1"] == 1


def test_parameters_that_never_have_a_block_ask_for_no_passes():
    model = seeded(lambda: Chain([GATConv(4, 3), GCNConv(3, 3)]))
    with KFAC(model, 0.1, rows=ROWS, skip=["att"]) as pre:
        backward(model)
        pre.step()
        assert not pre._is_due()
        state = pre.state_dict()
    assert state["left_out"] == ["layers.0.att_src", "layers.0.att_dst"]
    with KFAC(model, 0.1, rows=ROWS, skip=["att"]) as pre:
        pre.load_state_dict(state)
        assert not pre._is_due()


def test_a_parameter_without_gradient_does_not_leave_the_others_raw():
    model = gcn()
    with KFAC(model, 0.1, rows=ROWS, damping=1e-4, kl_clip=None) as pre:
        backward(model)
        model.layers[0].bias.grad = None
        raw = model.layers[0].lin.weight.grad.clone()
        pre.step()
    assert model.layers[0].bias.grad is None
    assert not torch.allclose(model.layers[0].lin.weight.grad, raw)


# -- Groups of parameters ----------------------------------------------------------------------


def test_groups_may_come_and_change_later():
    found = []
    for is_late in (False, True):
        model = gcn()
        first, *others = model.parameters()
        groups = [{"params": [first]}, {"params": others, "weight_decay": 0.3}]
        if is_late:
            optimizer = KFACSGD(model, rows=ROWS, params=groups[:1])
            optimizer.add_param_group(groups[1])
        else:
            optimizer = KFACSGD(model, rows=ROWS, params=groups, weight_decay=0.1)
            assert optimizer.param_groups[0]["weight_decay"] == 0.1
        optimizer.param_groups[0]["weight_decay"] = 0.2
        for _ in range(2):
            backward(model)
            optimizer.step()
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.3]
        found.append([p.detach() for p in model.parameters()])
    other = gcn()
    decay = dict.fromkeys([name for name, _ in other.named_parameters()], 0.3)
    decay[next(iter(decay))] = 0.2
    pre = KFAC(other, 0.03, rows=ROWS, weight_decay=decay.__getitem__)
    plain = torch.optim.SGD(other.parameters(), lr=0.03, momentum=0.9)
    for _ in range(2):
        backward(other)
        pre.step()
        plain.step()
    for a, b, c in zip(*found, other.parameters(), strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a, c.detach())


def test_hooks_of_a_step_run_once():
    model = gcn()
    torch.optim.SGD(model.parameters(), lr=0.1)  # torch wraps the step of its class
    optimizer = KFACSGD(model, rows=ROWS)
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    backward(model)
    optimizer.step()
    assert calls == ["before", "after"]


def test_kl_clip_takes_the_step_size_of_every_group():
    model = gcn()
    parts = [list(layer.parameters()) for layer in model.layers]
    groups = [{"params": p, "lr": lr} for p, lr in zip(parts, (0.1, 1.0, 5.0), strict=True)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    with KFAC(model, rows=ROWS, kl_clip=1e-4).attach(optimizer) as pre:
        backward(model)
        raw = [[p.grad.clone() for p in part] for part in parts]
        optimizer.step()
    products = [
        sum((p.grad * g).sum() for p, g in zip(part, grads, strict=True))
        for part, grads in zip(parts, raw, strict=True)
    ]
    # The gradients hold nu v, of which nu^2 lr^2 <v, V> is bounded.
    total = sum(lr**2 * v for lr, v in zip((0.1, 1.0, 5.0), products, strict=True))
    scale = pre.metrics()["layers.0"]["scale"]
    assert scale < 1
    assert float(scale * total) == pytest.approx(1e-4)


# -- What would wait for a device --------------------------------------------------------------


class Waiting(TorchDispatchMode):
    """The operations whose results or shapes are numbers that the host must know."""

    names = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in self.names:
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("fisher", ["mc", "empirical"])
@pytest.mark.parametrize("method", ["dual", "cholesky", "eigh", "thor"])
def test_only_updates_of_factors_would_wait_for_a_device(method, fisher):
    model = gcn()
    options = {"cov_update_freq": 3, "interval_growth": 1.0}
    optimizer = KFACSGD(model, rows=ROWS, method=method, fisher=fisher, **options)
    found = []
    for _ in range(6):
        with Waiting() as mode:
            backward(model)
            optimizer.step()
        found.append(bool(mode.seen))
    assert found == [True, False, False, True, False, False]

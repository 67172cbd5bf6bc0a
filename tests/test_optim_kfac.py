"""The engine around a training loop: what it keeps, refuses, survives and resumes."""

import copy
import io
import pickle
import warnings

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import N_NODES, Chain, gcn, graph  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from graphembed import Graph  # noqa: E402
from graphembed.estimators import NodeClassifier  # noqa: E402
from graphembed.nn import GCNConv, SparseMatrix  # noqa: E402
from graphembed.nn.models import GCN  # noqa: E402
from graphembed.optim import (  # noqa: E402
    KFAC,
    KFACSGD,
    Hop,
    KFACAdam,
    LayerSites,
    LinearSite,
    register_layer,
)

ROWS = torch.arange(5)
Y = torch.tensor([0, 1, 2, 0, 1])


def start(model, **options):
    options = {"rows": ROWS, "lr": 0.1} | options
    return KFAC(model, **options), torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def backward(model, x, edges):
    model.zero_grad()
    value = F.cross_entropy(model(x, edges)[ROWS], Y)
    value.backward()
    return float(value.detach())


def train(model, pre, optimizer, x, edges, n_steps):
    values = []
    for _ in range(n_steps):
        values.append(backward(model, x, edges))
        pre.step()
        optimizer.step()
    return values


def parameters(model):
    return [p.detach().clone() for p in model.parameters()]


def assert_same(a, b):
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("fisher", ["mc", "exact", "empirical"])
def test_it_learns_faster_than_gradient_descent(fisher):
    edges, x = graph()
    model, plain = gcn(), gcn()
    pre, optimizer = start(model, fisher=fisher, damping=1e-2)
    with pre:
        values = train(model, pre, optimizer, x, edges, 30)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        value = backward(plain, x, edges)
        optimizer.step()
    assert values[-1] < 0.7 * value


# -- What is refused and told ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("damping", 0.0, "damping must be"),
        ("ema", 1.0, "ema must be"),
        ("cov_update_freq", 0, "cov_update_freq must be"),
        ("approx", "sum", "approx must be"),
        ("fisher", "true", "fisher must be"),
        ("loss", "nll", "loss must be"),
        ("method", "lu", "method must be"),
        ("block_size", 0, "block_size must be"),
        ("kl_clip", -1.0, "kl_clip must be"),
        ("weight_decay", -1.0, "weight_decay must be"),
        ("seed", -1, "seed must be"),
    ],
)
def test_wrong_options_are_named(option, value, message):
    with pytest.raises(ValueError, match=message):
        KFAC(gcn(), **{option: value})


def test_a_model_without_sites_is_refused():
    with pytest.raises(ValueError, match="no layer with linear sites"):
        KFAC(nn.Sequential(nn.LayerNorm(3)))
    with pytest.raises(ValueError, match="no layer with linear sites"):
        KFAC(gcn(), skip=["GCNConv"])


def test_rows_are_checked():
    edges, x = graph()
    for rows, message in (
        (torch.zeros(N_NODES, dtype=torch.bool), "at least one row"),
        (torch.ones(3, dtype=torch.bool), "must have 14 entries"),
        (torch.tensor([99]), "rows"),
    ):
        model = gcn()
        with KFAC(model, rows=rows), pytest.raises((ValueError, IndexError), match=message):
            model(x, edges)


def test_wrong_types_are_named():
    edges, x = graph()
    for make in (KFAC, KFACSGD, KFACAdam):
        with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, .* got generator"):
            make(gcn().parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"skip must have regular expressions, got '\('"):
        KFAC(gcn(), skip=["("])
    with pytest.raises(TypeError, match="skip must be an iterable of str, got 1 in it"):
        KFAC(gcn(), skip=[1])
    with pytest.raises(TypeError, match="skip must be an iterable of str"):
        KFAC(gcn(), skip="layers.0")
    with pytest.raises(TypeError, match="trace_rule must be a TraceRule"):
        KFAC(gcn(), trace_rule=0.1)
    model = gcn()
    with (
        KFAC(model, rows=[0, 1]),
        pytest.raises(TypeError, match="rows must be a Tensor, got list"),
    ):
        model(x, edges)


@pytest.mark.parametrize(("option", "value"), [("damping", 0.0), ("ema", 1.0), ("kl_clip", -1.0)])
def test_what_schedules_give_is_checked(option, value):
    edges, x = graph()
    model = gcn()
    with KFAC(model, 0.1, rows=ROWS, method="dual", **{option: lambda step: value}) as pre:
        backward(model, x, edges)
        with pytest.raises(ValueError, match=f"{option} must be .*, got {value} .* at step 0"):
            pre.step()


@pytest.mark.parametrize("value", [float("nan"), -1.0, "a", None])
@pytest.mark.parametrize("option", ["lr", "weight_decay", "loss_scale"])
def test_what_other_callables_give_is_checked(option, value):
    edges, x = graph()
    model = gcn()
    options = {"lr": 0.1, "fisher": "empirical", option: lambda *_: value}
    message = f"{option} must be .*, got .*{value}.* at "
    with KFAC(model, rows=ROWS, **options) as pre:
        if option == "loss_scale":
            with pytest.raises(ValueError, match=message):
                model(x, edges)
            return
        backward(model, x, edges)
        before = [p.grad.clone() for p in model.parameters()]
        with pytest.raises(ValueError, match=message):
            pre.step()
    assert_same([p.grad for p in model.parameters()], before)


def test_a_schedule_may_begin_at_zero():
    edges, x = graph()
    model = gcn()
    with KFAC(model, lambda step: 0.1 * step, rows=ROWS) as pre:
        backward(model, x, edges)
        pre.step()
    assert pre.metrics()["layers.0"]["scale"] == 1.0


@pytest.mark.parametrize(
    ("option", "value"), [("damping", 0.0), ("ema", 2.0), ("lr", -1.0), ("kl_clip", -1.0)]
)
def test_options_that_are_set_anew_are_checked(option, value):
    with KFAC(gcn(), 0.1) as pre:
        with pytest.raises(ValueError, match=f"{option} must be .*, got {value}"):
            setattr(pre, option, value)
        assert getattr(pre, option) != value
        setattr(pre, option, 0.5)
        for fixed in ("fisher", "method", "unlabeled_weight", "cov_update_freq"):
            with pytest.raises(AttributeError, match=f"{fixed} cannot be set anew, only rows, lr"):
                setattr(pre, fixed, getattr(pre, fixed))


def test_schedules_are_of_the_step():
    edges, x = graph()
    constant = {"ema": 0.5, "kl_clip": 1e-4, "damping": 0.01, "lr": 0.3}
    found, steps = [], []
    for options in (constant, {name: at_steps(v, steps) for name, v in constant.items()}):
        model = gcn()
        pre, optimizer = start(model, interval_growth=1.0, **options)
        train(model, pre, optimizer, x, edges, 3)
        pre.close()
        found.append(parameters(model))
    assert_same(*found)
    assert set(steps) == {(v, step) for v in constant.values() for step in range(3)}
    free = gcn()
    pre, optimizer = start(free, kl_clip=lambda step: None if step else 1e-9)
    train(free, pre, optimizer, x, edges, 1)
    assert pre.metrics()["layers.0"]["scale"] < 1
    train(free, pre, optimizer, x, edges, 1)
    assert pre.metrics()["layers.0"]["scale"] == 1.0
    pre.close()


def at_steps(value, steps):
    def schedule(step):
        steps.append((value, step))
        return value

    return schedule


def test_layers_skipped_by_class_are_not_warned_of():
    edges, x = graph()
    model = Chain([GCNConv(4, 3), nn.Linear(3, 3)]).double()
    pre, _ = start(model, skip=["GCNConv"])
    backward(model, x, edges)
    pre.step()  # warnings are errors
    assert [block.name for block in pre.blocks] == ["layers.1"]
    pre.close()


def test_kl_clip_needs_a_step_size_and_step_a_pass():
    edges, x = graph()
    model = gcn()
    with KFAC(model, rows=ROWS, weight_decay=0.1) as pre:
        backward(model, x, edges)
        raw = [p.grad.clone() for p in model.parameters()]
        with pytest.raises(ValueError, match="kl_clip needs lr"):
            pre.step()
        assert_same([p.grad for p in model.parameters()], raw)
    with KFAC(model, 0.1, rows=ROWS) as pre:
        model.layers[2](model.layers[1](model.layers[0](x, edges), edges), edges).sum().backward()
        with pytest.raises(RuntimeError, match=r"called as model\(\.\.\.\), not by its parts"):
            pre.step()


def test_parameters_without_a_site_are_named_once():
    edges, x = graph()

    class WithNorm(Chain):
        def __init__(self):
            super().__init__([GCNConv(4, 3), GCNConv(3, 3)])
            self.norm = nn.LayerNorm(3)

        def forward(self, x, edge_index):
            return self.norm(super().forward(x, edge_index))

    model = WithNorm().double()
    pre, optimizer = start(model)
    backward(model, x, edges)
    before = model.norm.weight.grad.clone()
    with pytest.warns(UserWarning, match=r"norm\.weight, norm\.bias"):
        pre.step()
    assert torch.equal(model.norm.weight.grad, before)
    train(model, pre, optimizer, x, edges, 3)  # warnings are errors
    assert "not preconditioned: norm.weight, norm.bias" in pre.summary()
    pre.close()
    with KFAC(model, 0.1, rows=ROWS, skip=["^norm"]) as pre:
        backward(model, x, edges)
        pre.step()


def test_all_rows_are_doubted_where_few_have_a_gradient():
    edges, x = graph()
    model = gcn()
    pre, _ = start(model, rows=None)
    backward(model, x, edges)
    with pytest.warns(UserWarning, match="9 of 14 rows"):
        pre.step()
    pre.close()


def test_skipped_layers_keep_their_gradients():
    edges, x = graph()
    model = gcn()
    pre, _ = start(model, skip=[r"layers\.0"], weight_decay=0.0)
    backward(model, x, edges)
    before = [p.grad.clone() for p in model.layers[0].parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pre.step()
    assert_same(before, [p.grad for p in model.layers[0].parameters()])
    assert len(pre.blocks) == 2
    pre.close()


def test_summary_and_metrics():
    edges, x = graph()
    model = gcn()
    pre, optimizer = start(model)
    train(model, pre, optimizer, x, edges, 2)
    assert "layers.2" in pre.summary()
    assert "cholesky" in pre.summary()
    figures = pre.metrics()["layers.1"]
    assert figures["trace_a"] > 0
    assert figures["condition_g"] >= 1
    assert -1 <= figures["cosine"] <= 1
    assert 0 < figures["scale"] <= 1
    pre.damping, pre.inv_update_freq = 1e6, 1
    backward(model, x, edges)
    pre.step()
    assert pre.metrics()["layers.1"]["cosine"] > 0.999  # damping has switched it off
    pre.close()


# -- Hooks -------------------------------------------------------------------------------------


def test_hooks_change_nothing_before_step_and_are_gone_after_close():
    edges, x = graph()
    model, plain = gcn(), gcn()
    pre, _ = start(model)
    assert backward(model, x, edges) == backward(plain, x, edges)
    assert_same([p.grad for p in model.parameters()], [p.grad for p in plain.parameters()])
    pre.close()
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_evaluation_and_passes_without_gradients_are_not_seen():
    edges, x = graph()
    model = gcn()
    pre, _ = start(model, fisher="empirical")
    backward(model, x, edges)
    seen = len(pre._curvature.passes)
    model.eval()
    model(x, edges)
    model.train()
    with torch.no_grad():
        model(x, edges)
    assert len(pre._curvature.passes) == seen == 1
    pre.close()


def test_outputs_may_be_written_to():
    edges, x = graph()

    class InPlace(Chain):
        def forward(self, x, edge_index):
            for layer in self.layers[:-1]:
                x = layer(x, edge_index).relu_()
            return self.layers[-1](x, edge_index)

    for fisher in ("mc", "empirical"):
        found = []
        for kind in (InPlace, Chain):
            model = kind(gcn().layers)
            pre, optimizer = start(model, fisher=fisher)
            train(model, pre, optimizer, x, edges, 3)
            pre.close()
            found.append(parameters(model))
        assert_same(*found)


def test_copies_and_files_of_the_model_have_no_hooks_that_work():
    edges, x = graph()
    model = gcn()
    pre, optimizer = start(model)
    train(model, pre, optimizer, x, edges, 1)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.train()
        other(x, edges)
    assert not len(pre._curvature.passes)
    pre.close()


def test_dropout_before_a_layer_is_looked_behind():
    edges, x = graph()
    model = GCN(4, 3, 3, dropout=0.5).double()
    sparse = SparseMatrix.from_torch(x.to_sparse_csr())
    for features in (x, sparse):
        pre, _ = start(model, cov_update_freq=1, method="dual")
        for _ in range(3):
            backward(model, features, edges)
            pre.step()
        first = pre.blocks[-1]
        assert first.a.is_constant  # the same rows in every pass
        clean, _ = start(model.eval().train(), method="dual")
        model.dropout.p = 0.0
        backward(model, features, edges)
        clean.step()
        torch.testing.assert_close(first.a.matrix(), clean.blocks[-1].a.matrix())
        model.dropout.p = 0.5
        clean.close()
        pre.close()


@pytest.mark.parametrize("is_sparse", [True, False])
def test_features_that_are_changed_in_place_are_looked_at_again(is_sparse):
    edges, x = graph()
    model = gcn(dims=(4, 3))
    features = SparseMatrix.from_torch(x.to_sparse_csr()) if is_sparse else x
    pre, _ = start(model, ema=0.0, interval_growth=1.0)
    traces = []
    for factor in (1, 1, 10):
        (features.values if is_sparse else features).mul_(factor)
        backward(model, features, edges)
        pre.step()
        traces.append(float(pre.blocks[0].a.trace()))
    pre.close()
    assert traces[0] == traces[1]
    assert traces[2] > 10 * traces[1]


# -- Passes and steps --------------------------------------------------------------------------


@pytest.mark.parametrize("fisher", ["exact", "empirical"])
@pytest.mark.parametrize("method", ["cholesky", "dual"])
def test_two_passes_of_half_the_rows_are_one(fisher, method):
    edges, x = graph()
    options = {"fisher": fisher, "method": method, "kl_clip": None}
    whole, halves = gcn(dims=(4, 3, 3)), gcn(dims=(4, 3, 3))
    rows = torch.tensor([0, 1, 2, 3])
    y = Y[:4]
    if fisher == "empirical":  # its mixed terms of neighbours are others in other passes
        edges = torch.empty(2, 0, dtype=torch.int64)
    pre, _ = start(whole, rows=rows, **options)
    F.cross_entropy(whole(x, edges)[rows], y).backward()
    pre.step()
    pre.close()
    pre, _ = start(halves, loss_scale=0.5, **options)
    for part in (slice(0, 2), slice(2, 4)):
        pre.rows = rows[part]
        value = F.cross_entropy(halves(x, edges)[rows[part]], y[part])
        (value / 2).backward()
    pre.step()
    pre.close()
    for a, b in zip(whole.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_penalty_comes_before_and_by_name():
    edges, x = graph()
    model, other = gcn(), gcn()
    pre, _ = start(model, weight_decay=lambda name: 0.3 if "layers.0" in name else 0.0)
    backward(model, x, edges)
    pre.step()
    pre.close()
    pre, _ = start(other)
    value = F.cross_entropy(other(x, edges)[ROWS], Y)
    penalty = sum(p.square().sum() for p in other.layers[0].parameters())
    (value + 0.15 * penalty).backward()
    pre.step()
    pre.close()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_kl_clip_bounds_the_step():
    edges, x = graph()
    model = gcn()
    pre, _ = start(model, kl_clip=1e-4, lr=lambda step: 2.0)
    backward(model, x, edges)
    raw = [p.grad.clone() for p in model.parameters()]
    pre.step()
    product = sum((p.grad * g).sum() for p, g in zip(model.parameters(), raw, strict=True))
    scale = pre.metrics()["layers.0"]["scale"]
    assert scale < 1
    assert float(4 * scale * product) == pytest.approx(1e-4)
    pre.close()


def test_attached_it_steps_before_the_optimizer():
    edges, x = graph()
    model, other = gcn(), gcn()
    pre, optimizer = start(model)
    train(model, pre, optimizer, x, edges, 4)
    pre.close()
    attached, optimizer = start(other, lr=None)
    attached.attach(optimizer)
    for _ in range(4):
        backward(other, x, edges)
        optimizer.step()
    assert_same(parameters(model), parameters(other))
    attached.close()
    optimizer.step()
    assert attached.n_steps == 4


def test_attached_it_is_called_by_the_optimizer_only():
    edges, x = graph()
    model = gcn()
    pre, optimizer = start(model)
    pre.attach(optimizer)
    backward(model, x, edges)
    with pytest.raises(RuntimeError, match="attached to an optimizer"):
        pre.step()
    with pytest.raises(RuntimeError, match="takes no closure"):
        optimizer.step(lambda: None)
    with pytest.raises(RuntimeError, match="takes no closure"):
        optimizer.step(closure=lambda: None)
    assert pre.n_steps == 0
    optimizer.step()
    assert pre.n_steps == 1
    pre.close()


def test_optimizers_that_do_not_fit_are_not_attached_to():
    model = gcn()
    pre, _ = start(model)
    with pytest.raises(ValueError, match=r"weight_decay=0, got 0\.01: give weight_decay to KFAC"):
        pre.attach(torch.optim.AdamW(model.parameters(), 0.1))
    with pytest.raises(ValueError, match="must have parameters of the model, got none"):
        pre.attach(torch.optim.SGD(gcn().parameters(), 0.1))
    pre.close()
    with pytest.raises(RuntimeError, match="has been closed"):
        pre.step()
    with pytest.raises(RuntimeError, match="has been closed"):
        pre.attach(torch.optim.SGD(model.parameters(), 0.1))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_engine_is_not_copied(copied):
    with KFAC(gcn(), 0.1) as pre, pytest.raises(TypeError, match=r"use state_dict\(\)"):
        copied(pre)


@pytest.mark.parametrize("method", ["dual", "cholesky", "eigh", "thor"])
def test_it_resumes_with_the_same_bits(method):
    edges, x = graph()
    options = {"method": method, "block_size": 2, "cov_update_freq": 3, "inv_update_freq": 4}
    model = gcn()
    pre, optimizer = start(model, **options)
    train(model, pre, optimizer, x, edges, 5)
    file = io.BytesIO()
    torch.save((pre.state_dict(), optimizer.state_dict(), model.state_dict()), file)
    train(model, pre, optimizer, x, edges, 7)
    pre.close()
    other = gcn(seed=9)
    resumed, optimizer = start(other, **options)
    file.seek(0)
    for part, state in zip((resumed, optimizer, other), torch.load(file), strict=True):
        part.load_state_dict(state)
    train(other, resumed, optimizer, x, edges, 7)
    resumed.close()
    assert_same(parameters(model), parameters(other))


def as_single(state):
    if isinstance(state, dict):
        return {key: as_single(value) for key, value in state.items()}
    is_wide = isinstance(state, torch.Tensor) and state.dtype == torch.float64
    return state.float() if is_wide else state


def block_of(state):
    return state["blocks"]["layers.1"]


WRONG_STATES = {
    "no dict": (lambda s: [s], "state must be a dict .* got list"),
    "no field": (lambda s: s.pop("interval") and s, "the state has no field 'interval'"),
    "another field": (lambda s: s | {"lr": 0.1}, "the state has an unknown field 'lr'"),
    "steps": (lambda s: s | {"n_steps": -1}, "n_steps must be an int >= 0, got -1"),
    "interval": (lambda s: s | {"interval": 3}, "interval must be .*, got 3"),
    "draws": (lambda s: s | {"generator": torch.zeros(5)}, "generator must be a Tensor of uint8"),
    "damping": (lambda s: s | {"damping": {"value": 1}}, "damping must be None: .* got 'dict'"),
    "endless interval": (lambda s: s | {"interval": [float("inf"), 3]}, "interval must be"),
    "left out": (lambda s: s | {"left_out": ["w"]}, "left_out must be names of .* got 'w'"),
    "not finite": (
        lambda s: block_of(s)["g"]["value"].fill_(float("nan")) is None or s,
        "layer 'layers.1': g: value must be of finite numbers",
    ),
    "half of the inverses": (
        lambda s: block_of(s).update(g_inverse=None) or s,
        "layer 'layers.1': g_inverse must be a dict, got None",
    ),
    "the other half": (
        lambda s: block_of(s).update(a_inverse=None) or s,
        "layer 'layers.1': g_inverse must be None beside this a_inverse",
    ),
    "inverted": (
        lambda s: block_of(s).update(inverted=("x", "y")) or s,
        "inverted must be None or an int and a number",
    ),
    "no updates": (
        lambda s: block_of(s).update(n_updates=0) or s,
        "a: value must be None, as there were no updates",
    ),
    "single precision": (as_single, "blocks must be of torch.float64, got torch.float32"),
    "another layer": (
        lambda s: s["blocks"].update({"conv": block_of(s)}) or s,
        "no layer 'conv' with linear sites, only 'layers.0'",
    ),
    "twice": (
        lambda s: s["blocks"].update({"layers.0[1]": dict(block_of(s))}) or s,
        r"layer 'layers\.0\[1\]': .* must be in one block only",
    ),
    "parameter": (
        lambda s: block_of(s).update(weights=["w"]) or s,
        "layer 'layers.1': the model has no parameter 'w'",
    ),
    "a vector": (
        lambda s: block_of(s).update(weights=["layers.1.bias"], bias=None) or s,
        r"layer 'layers.1': layers\.1\.bias must be a matrix, got '1 dimensions'",
    ),
    "no name": (lambda s: block_of(s).update(bias=3) or s, "bias must be a str or None, got 3"),
    "no block": (lambda s: s["blocks"].update({"layers.1": 3}) or s, "'layers.1' must be a dict"),
    "method": (
        lambda s: block_of(s).update(method="eigh") or s,
        "layer 'layers.1': method must be 'cholesky', got 'eigh'",
    ),
    "shape": (
        lambda s: block_of(s)["g"].update(value=torch.eye(4)[None]) or s,
        r"layer 'layers.1': g: value must be a Tensor of shape \(1, 3, 3\), got \(1, 4, 4\)",
    ),
    "number of blocks": (
        lambda s: block_of(s)["a"].update(value=torch.zeros(2, 4, 4)) or s,
        r"a: value must be a Tensor of shape \(1, 4, 4\), got \(2, 4, 4\)",
    ),
    "missing": (
        lambda s: block_of(s)["a"].update(value=None) or s,
        "a: value must be a Tensor .* got None",
    ),
    "kind": (
        lambda s: block_of(s).update(a_inverse={"vectors": torch.eye(4)}) or s,
        "a_inverse has no field 'value'",
    ),
    "dtype": (
        lambda s: block_of(s)["g"].update(value=torch.eye(3, dtype=torch.int64)[None]) or s,
        "g: value must be of float32 or float64, got torch.int64",
    ),
    "two dtypes": (
        lambda s: block_of(s)["g"].update(value=torch.eye(3, dtype=torch.float32)[None]) or s,
        "blocks must be of one dtype, got 'torch.float32, torch.float64'",
    ),
}


@pytest.mark.parametrize("name", WRONG_STATES)
def test_a_wrong_state_is_named_and_changes_nothing(name):
    spoil, message = WRONG_STATES[name]
    edges, x = graph()
    model, other = gcn(), gcn(seed=9)
    pre, optimizer = start(model, method="cholesky")
    train(model, pre, optimizer, x, edges, 3)
    pre.close()
    same, optimizer = start(other, method="cholesky")
    train(other, same, optimizer, x, edges, 2)
    before = copy.deepcopy(same.state_dict())
    kind = TypeError if name == "no dict" else ValueError
    with pytest.raises(kind, match=message):
        same.load_state_dict(spoil(copy.deepcopy(pre.state_dict())))
    assert_equal(same.state_dict(), before)
    same.load_state_dict(pre.state_dict())
    assert same.n_steps == 3
    same.close()


def assert_equal(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_a_state_of_blocks_of_another_size_is_refused():
    edges, x = graph()
    for method, size in (("thor", 3), ("dual", 2)):
        model = gcn()
        pre, optimizer = start(model, method="thor", block_size=2)
        train(model, pre, optimizer, x, edges, 1)
        pre.close()
        with (
            KFAC(gcn(), 0.1, method=method, block_size=size) as other,
            pytest.raises(
                ValueError, match=r"layers\.2': (block_size must be 3|method must be 'd)"
            ),
        ):
            other.load_state_dict(pre.state_dict())


def test_an_optimizer_with_a_wrong_state_stays_as_it_was():
    edges, x = graph()
    model = gcn()
    optimizer = KFACSGD(model, 0.1, rows=ROWS)
    backward(model, x, edges)
    optimizer.step()
    wrong = copy.deepcopy(optimizer.state_dict())
    wrong["param_groups"][0]["lr"] = 9.0
    wrong["preconditioner"]["n_steps"] = None
    with pytest.raises(ValueError, match="n_steps must be"):
        optimizer.load_state_dict(wrong)
    assert optimizer.param_groups[0]["lr"] == 0.1
    with pytest.raises(ValueError, match="no field 'optimizer'"):
        optimizer.load_state_dict(torch.optim.SGD(model.parameters(), 0.1).state_dict())


def test_an_optimizer_takes_no_state_of_another_class():
    edges, x = graph()
    model = gcn()
    optimizer, other = KFACSGD(model, rows=ROWS), KFACAdam(gcn(), rows=ROWS)
    backward(model, x, edges)
    optimizer.step()
    with pytest.raises(ValueError, match="must be of KFACAdam, got 'KFACSGD'"):
        other.load_state_dict(optimizer.state_dict())
    assert other.preconditioner.n_steps == 0


def test_a_layer_exchanged_later_is_named():
    edges, x = graph()
    model = gcn()
    pre, _ = start(model)
    backward(model, x, edges)
    pre.step()
    model.layers[0] = GCNConv(4, 3).double()
    with pytest.raises(RuntimeError, match=r"layer 'layers\.0' .* make a new KFAC"):
        pre.state_dict()
    pre.close()


def test_same_seed_same_bits_and_torchs_generators_are_left_alone():
    edges, x = graph()
    found = []
    for seed in (1, 1, 2):
        model = gcn()
        pre, optimizer = start(model, seed=seed)
        state = torch.get_rng_state()
        train(model, pre, optimizer, x, edges, 3)
        assert torch.equal(state, torch.get_rng_state())
        pre.close()
        found.append(parameters(model))
    assert_same(found[0], found[1])
    assert not torch.equal(found[0][0], found[2][0])


def test_nothing_grows_from_step_to_step():
    edges, x = graph()
    model = gcn()
    pre, optimizer = start(model, cov_update_freq=1, method="dual")
    train(model, pre, optimizer, x, edges, 30)
    sizes = [len(block.a.rows) for block in pre.blocks]
    train(model, pre, optimizer, x, edges, 30)
    assert [len(block.a.rows) for block in pre.blocks] == sizes
    assert len(pre._curvature._cache._old) + len(pre._curvature._cache._now) < 60
    assert not len(pre._curvature.passes)
    pre.close()


# -- Layers of others --------------------------------------------------------------------------


def test_registered_layers_are_known():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 4))

        def forward(self, x):
            return 2 * x @ self.weight.t()

    model = nn.Sequential(Scaled())
    with pytest.raises(ValueError, match="register_layer"):
        KFAC(model)

    def sites(module, x):
        hop = Hop(len(x))
        return LayerSites((LinearSite(module, (module.weight,), None, ((hop, 2 * x),)),), (hop,))

    register_layer(Scaled, sites)
    with KFAC(model, 0.1) as pre:
        F.cross_entropy(model(torch.randn(5, 4)), Y).backward()
        pre.step()
        assert pre.blocks[0].d_in == 4
    with pytest.raises(TypeError, match="layer must be"):
        register_layer(Scaled(), sites)


@pytest.mark.parametrize("optimizer", ["kfac", "ngd", "thor"])
def test_a_fitted_classifier_has_a_model_without_hooks(optimizer):
    edges, x = graph()
    fitted = NodeClassifier(optimizer=optimizer, epochs=2, random_state=0)
    fitted.fit(Graph.from_edges(edges.t().numpy(), nodes=range(N_NODES)), x.numpy(), [0, 1] * 7)
    for model in (fitted.model_, copy.deepcopy(fitted.model_)):
        for module in model.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
            assert not module._forward_hooks_with_kwargs
    copied = pickle.loads(pickle.dumps(fitted.model_))
    for a, b in zip(copied.parameters(), fitted.model_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_fit_that_ends_early_leaves_no_hooks():
    edges, x = graph()
    seen = []

    def stop(model, record):
        seen.append(model)
        raise KeyboardInterrupt

    classifier = NodeClassifier(optimizer="kfac", epochs=2, random_state=0, callbacks=[stop])
    g = Graph.from_edges(edges.t().numpy(), nodes=range(N_NODES))
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(g, x.numpy(), [0, 1] * 7)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in seen[0].modules())

"""PinSage against the paper's algorithms in numpy, and what it may not see."""

import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

torch = pytest.importorskip("torch")

from graphembed.exceptions import FileFormatError  # noqa: E402
from graphembed.nn import PinSageConv  # noqa: E402
from graphembed.recsys import (  # noqa: E402
    ContentKNN,
    Interactions,
    cold_item_split,
    evaluate,
    make_interactions,
)
from graphembed.recsys.pinsage import PinSage  # noqa: E402
from graphembed.recsys.pinsage._batches import Batches, BatchSettings, View  # noqa: E402
from graphembed.recsys.pinsage._features import FeatureSpace, read_features, read_links  # noqa: E402
from graphembed.recsys.pinsage._inference import layerwise  # noqa: E402
from graphembed.recsys.pinsage._model import PinSageModel  # noqa: E402
from graphembed.recsys.pinsage._neighbors import Neighbors, alike, visited  # noqa: E402
from graphembed.recsys.pinsage._queries import medoids, merged  # noqa: E402
from graphembed.recsys.pinsage._training import Training, adjacency, make_loss, sparse  # noqa: E402

CPU = torch.device("cpu")
DATA = make_interactions(120, 80, n_blocks=4, random_state=0)
TRAIN = DATA.interactions


def small(**changes: Any) -> PinSage:
    settings = {
        "n_components": 16, "hidden": 8, "n_epochs": 2, "batch_size": 256, "n_neighbors": 5,
        "random_state": 0, "device": "cpu", "learning_rate": 0.01,
    }  # fmt: skip
    return PinSage(**{**settings, **changes})


@pytest.fixture(scope="module")
def fitted() -> PinSage:
    return small(id_vectors=True).fit(TRAIN, DATA.item_tags)


def random_neighbors(rng: np.random.Generator, n: int, top: int) -> Neighbors:
    """Lists of different lengths, some of them empty."""
    index = np.full((n, top), -1, np.int32)
    for i in range(n):
        others = rng.permutation(np.delete(np.arange(n), i))[: rng.integers(top + 1)]
        index[i, : len(others)] = others
    return Neighbors(index, np.where(index >= 0, rng.random((n, top)) + 0.1, 0).astype(np.float32))


# -- The paper's algorithms, item by item ----------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x)
    return x / length if length else x


def convolve(p: dict[str, np.ndarray], k: int, h: np.ndarray, i: int, nb: Neighbors) -> np.ndarray:
    """Algorithm 1 for one item."""
    at = f"convs.{k}."
    q_weight, q = p[at + "lin_pool.weight"], p[at + "lin_pool.bias"]
    w_weight = np.hstack([p[at + "lin_self.weight"], p[at + "lin_neighbors.weight"]])
    n = np.zeros(len(q))
    total = 0.0
    for j, a in zip(nb.index[i], nb.weight[i], strict=True):
        if j >= 0:
            n += a * relu(q_weight @ h[j] + q)
            total += a
    n = n / total if total else n
    return unit(relu(w_weight @ np.concatenate([h[i], n]) + p[at + "lin_self.bias"]))


def oracle(model: PinSageModel, first: np.ndarray, nb: Neighbors) -> np.ndarray:
    """Algorithm 2 for all items: convolutions, then the head."""
    p = {k: v.detach().numpy().astype(np.float64) for k, v in model.named_parameters()}
    h = first
    for k in range(model.num_layers):
        h = np.array([convolve(p, k, h, i, nb) for i in range(len(first))])
    z = np.array([p["G2.weight"] @ relu(p["G1.weight"] @ row + p["G1.bias"]) for row in h])
    return np.array([unit(a + b) for a, b in zip(first, z, strict=True)]) if model.residual else z


def make_model(residual: bool, *, n_layers: int = 2, seed: int = 0, **options: Any) -> Any:
    """A model with random weights everywhere, features, own vectors and neighbourhoods."""
    rng = np.random.default_rng(seed)
    x = sp.random(30, 12, 0.4, random_state=1, format="csr", dtype=np.float32)
    own = rng.standard_normal((30, 6)).astype(np.float32)
    widths = (10, 6) if residual else (0, 0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PinSageModel(12, widths, 7, 16, n_layers, residual=residual, **options)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return model, x, own if residual else None, random_neighbors(rng, 30, 4)


def input_of(model: PinSageModel, x: sp.csr_matrix, own: np.ndarray | None) -> np.ndarray:
    dense = x.toarray().astype(np.float64)
    if own is None:
        return dense
    content = dense @ model.basis.weight.detach().numpy().astype(np.float64).T
    return np.array(
        [unit(np.concatenate([unit(c), unit(e)])) for c, e in zip(content, own, strict=True)]
    )


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_vectors_are_those_of_the_paper(residual: bool, n_layers: int) -> None:
    model, x, own, nb = make_model(residual, n_layers=n_layers)
    expected = oracle(model, input_of(model, x, own), nb)
    outputs = layerwise(model, x, own, View(nb, None), device=CPU)
    np.testing.assert_allclose(outputs.z, expected, atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
def test_a_batch_gives_its_items_the_same_vectors(residual: bool) -> None:
    model, x, own, nb = make_model(residual)
    view, nodes, blocks = View(nb, None), np.array([17, 3, 29, 8]), []
    for _ in range(2):
        block = view.block(nodes, 30)
        blocks.insert(0, adjacency(block.matrix, CPU))
        nodes = block.sources
    mine = None if own is None else torch.from_numpy(own[nodes])
    z = model(sparse(x[nodes], CPU), mine, blocks).detach().numpy()
    expected = oracle(model, input_of(model, x, own), nb)[[17, 3, 29, 8]]
    np.testing.assert_allclose(z, expected, atol=1e-5)


def pooled(conv: PinSageConv, x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    p = {k: v.detach().numpy() for k, v in conv.named_parameters()}
    rows = []
    for i, weights in enumerate(matrix):
        near = [
            relu(p["lin_pool.weight"] @ x[j] + p["lin_pool.bias"]) for j in np.flatnonzero(weights)
        ]
        n = np.zeros(conv.hidden_channels)
        if near:
            n = np.max(near, axis=0) if conv.pooling == "max" else np.mean(near, axis=0)
        out = p["lin_self.weight"] @ x[i] + p["lin_self.bias"] + p["lin_neighbors.weight"] @ n
        rows.append(unit(relu(out)))
    return np.array(rows)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_other_poolings_do_not_look_at_importances(pooling: str) -> None:
    torch.manual_seed(0)
    conv = PinSageConv(5, 6, 4, pooling).double()
    rng = np.random.default_rng(0)
    x, matrix = rng.standard_normal((8, 5)), sp.random(8, 8, 0.4, random_state=2, format="csr")
    block = adjacency(matrix, CPU)
    found = conv(torch.from_numpy(x), block).detach().numpy()
    np.testing.assert_allclose(found, pooled(conv, x, matrix.toarray()), atol=1e-12)
    y = torch.from_numpy(x).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: conv(y, block), (y,))


def test_sites_of_other_poolings() -> None:
    x, block = torch.ones(3, 5), adjacency(sp.eye(3, format="csr", dtype=np.float32) * 3, CPU)
    assert len(PinSageConv(5, 6, 4, "mean").linear_sites(x, block).sites) == 2
    with pytest.raises(NotImplementedError, match="pooling='max'"):
        PinSageConv(5, 6, 4, "max").linear_sites(x, block)
    with pytest.raises(ValueError, match="pooling must be one of"):
        PinSageConv(5, 6, 4, "median")


@pytest.mark.parametrize("residual", [False, True])
def test_gradients_are_right_in_float64(residual: bool) -> None:
    model, x, own, nb = make_model(residual)
    model.double()
    view, nodes, blocks = View(nb, None), np.arange(6), []
    for _ in range(2):
        block = view.block(nodes, 30)
        blocks.insert(0, adjacency(block.matrix, CPU))
        nodes = block.sources
    names = [name for name, _ in model.named_parameters()]
    tensors = [p.detach().clone().requires_grad_() for p in model.parameters()]
    mine = None
    if own is not None:
        mine = torch.from_numpy(own[nodes]).double().requires_grad_()
        tensors.append(mine)

    def function(*values: Any) -> Any:
        arguments = (sparse(x[nodes], CPU), values[-1] if own is not None else None, blocks)
        named = dict(zip(names, values, strict=False))
        return torch.func.functional_call(model, named, arguments)

    assert torch.autograd.gradcheck(function, tuple(tensors))


# -- Layer-wise inference --------------------------------------------------------------------------


def test_every_layer_is_computed_once_for_every_item(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, own, nb = make_model(True, n_layers=3)
    whole = layerwise(model, x, own, View(nb, None), device=CPU)
    rows = [0, 0, 0]
    for k, conv in enumerate(model.convs):

        def count(_: Any, __: Any, out: Any, k: int = k) -> None:
            rows[k] += len(out)

        conv.register_forward_hook(count)
    monkeypatch.setattr("graphembed.recsys.pinsage._inference._ROWS", 7)
    parts = layerwise(model, x, own, View(nb, None), device=CPU)
    assert rows == [30, 30, 30]
    np.testing.assert_allclose(parts.z, whole.z, atol=1e-6)


# -- What may be seen ------------------------------------------------------------------------------


def test_held_out_items_and_others_do_not_see_each_other() -> None:
    index = np.array([[1, 2], [0, 2], [0, 1], [0, -1]], np.int32)
    nb = Neighbors(index, np.where(index >= 0, 0.5, 0).astype(np.float32))
    view = View(nb, None, held=np.array([False, True, True, False]))
    assert view.rows(np.arange(4)).index.tolist() == [[-1, -1], [-1, 2], [-1, 1], [0, -1]]
    block = view.block(np.array([1, 3]), 4)
    assert block.sources.tolist() == [1, 3, 0, 2]
    assert block.matrix.toarray().tolist() == [[0, 0, 0, 0.5], [0, 0, 0.5, 0]]


def test_items_treated_as_new_are_nobodys_neighbours() -> None:
    rng = np.random.default_rng(0)
    nb, content = random_neighbors(rng, 40, 6), random_neighbors(rng, 40, 6)
    cold = rng.random(40) < 0.3
    seen = View(nb, content, cold=cold).rows(np.arange(40)).index
    assert not np.isin(seen, np.flatnonzero(cold)).any()
    for i in np.flatnonzero(cold):  # their own neighbours are those by content
        assert set(seen[i]) - {-1} == set(content.index[i]) - {-1} - set(np.flatnonzero(cold))


def settings(**changes: Any) -> BatchSettings:
    values = {
        "pairs": "users", "n_layers": 2, "batch_size": 64, "holdout": 0.3,
        "neighbor_dropout": 0.5, "n_negatives": 30, "hard_negatives": 0, "popularity_power": 0.0,
        "max_history": 50,
    }  # fmt: skip
    return BatchSettings(**{**values, **changes})


def make_batches(unguarded: bool = False, **changes: Any) -> Batches:
    window = changes.pop("window", None)
    nb = visited(TRAIN, np.arange(80), top=10, n_walks=None, beta=0.0, n_jobs=1)
    x = FeatureSpace.of(DATA.item_tags, None, 1.0).rows(DATA.item_tags, None, 80)
    content = alike(x, x, np.arange(80), top=10, n_jobs=1, own=np.arange(80))
    kind = Unguarded if unguarded else Batches
    return kind(settings(**changes), TRAIN.matrix, x, nb, content, window, 5)


class Unguarded(Batches):
    """The same, but the edge to be found can be seen."""

    def _view(self, held: Any, cold: Any) -> View:
        return View(self._visited, self._content, cold=cold)


@pytest.mark.parametrize("pairs", ["users", "items"])
def test_batches_hold_pairs_whose_edge_is_nowhere(pairs: str) -> None:
    batches, hidden_at_all = make_batches(pairs=pairs, neighbor_dropout=0.0), 0
    open_batches = make_batches(pairs=pairs, neighbor_dropout=0.0, unguarded=True)
    for number in range(4):
        batch, other = batches.make(0, number), open_batches.make(0, number)
        batch_items = batch.nodes
        for b, positive in zip(batch.owner, batch.positive, strict=True):
            query = batch.shares[b].indices
            assert positive not in query
            for block in batch.blocks:
                n_rows = block.shape[0]
                if positive < n_rows:
                    assert not set(query) & set(block[positive].indices)
                for q in query[query < n_rows]:
                    assert positive not in block[q].indices
        assert np.allclose(batch.shares.sum(axis=1), 1)
        assert len(np.unique(batch_items)) == len(batch_items)
        hidden_at_all += other.blocks[-1].nnz - batch.blocks[-1].nnz
    assert hidden_at_all > 0


def test_batches_are_pairs_of_a_user_and_do_not_change() -> None:
    batches = make_batches()
    first, again = batches.make(1, 2), make_batches().make(1, 2)
    np.testing.assert_array_equal(first.positive, again.positive)
    np.testing.assert_array_equal(first.nodes, again.nodes)
    assert (first.x != again.x).nnz == 0
    assert not np.array_equal(first.positive, batches.make(2, 2).positive)
    nodes, dense = first.nodes, TRAIN.matrix.toarray() > 0
    for b, positive, mask in zip(first.owner, first.positive, first.mask, strict=True):
        query = nodes[first.shares[b].indices]
        users = dense[:, query].all(axis=1) & dense[:, nodes[positive]]
        assert users.any()
        wanted = dense[users][:, nodes[first.pool]]
        assert (wanted == mask).all(axis=1).any()
    assert first.cold[first.positive].any()
    assert not first.cold[first.positive].all()


def test_hard_negatives_are_of_the_window_and_come_one_by_one() -> None:
    ranked = visited(TRAIN, np.arange(80), top=30, n_walks=None, beta=0.0, n_jobs=1)
    batches = make_batches(pairs="items", hard_negatives=2, window=ranked.ranks(10, 30))
    assert batches.make(0, 0).hard is None
    assert batches.make(1, 0).hard.shape[1] == 1
    assert batches.make(7, 0).hard.shape[1] == 2
    batch, dense = batches.make(2, 0), TRAIN.matrix.toarray() > 0
    in_window, missing = 0, batch.mask[:, len(batch.pool) :]
    assert set(batch.hard[~missing]) <= set(batch.pool)  # as there are less than n_negatives
    assert missing.mean() < 0.15
    rows = zip(batch.owner, batch.positive, batch.hard, missing, strict=True)
    for b, positive, hard, gone in rows:
        query = batch.nodes[batch.shares[b].indices[0]]
        users = dense[:, query] & dense[:, batch.nodes[positive]]
        negatives = batch.nodes[hard[~gone]]
        assert (~dense[users][:, negatives]).all(axis=1).any()
        in_window += np.isin(negatives, ranked.index[query, 10:]).sum()
    assert in_window > 0.6 * (~missing).sum()


def test_hard_negatives_are_never_the_positive() -> None:
    dense = np.zeros((3, 6), np.float32)
    dense[0], dense[1, :3], dense[2, 2:5] = 1, 1, 1
    matrix = sp.csr_matrix(dense)
    nb = visited(Interactions.from_csr(matrix), np.arange(6), top=5, n_walks=None, beta=0, n_jobs=1)
    options = settings(pairs="items", hard_negatives=2, holdout=0.5)
    batches, n_missing = Batches(options, matrix, None, nb, None, nb.ranks(0, 5), 0), 0
    for number in range(30):
        batch = batches.make(3, number)
        missing = batch.mask[:, len(batch.pool) :]
        own = batch.hard == batch.positive[:, np.newaxis]
        assert not (own & ~missing).any()
        n_missing += missing.sum()
    assert n_missing > 0  # of the user who has had all


def matching(n_pairs: int) -> sp.csr_matrix:
    """Users with two items each, which nobody else has."""
    indices = np.arange(2 * n_pairs)
    ones = np.ones(2 * n_pairs, np.float32)
    return sp.csr_matrix((ones, indices, np.arange(0, 2 * n_pairs + 1, 2)))


def only(matrix: sp.csr_matrix, users: np.ndarray) -> sp.csr_matrix:
    rows = sp.csr_matrix(sp.diags(users.astype(np.float32)) @ matrix)
    rows.eliminate_zeros()
    return rows


@pytest.mark.parametrize("unguarded", [False, True])
def test_canary_the_target_edge_does_not_give_itself_away(unguarded: bool) -> None:
    """The partner of an item can be told by the edge alone; pairs are learned, others are asked."""
    matrix, rng = matching(200), np.random.default_rng(0)
    x = sp.csr_matrix(rng.standard_normal((400, 8)), dtype=np.float32)
    nb = visited(
        Interactions.from_csr(matrix), np.arange(400), top=2, n_walks=None, beta=0.0, n_jobs=1
    )
    assert (nb.index[0::2, 0] == np.arange(1, 400, 2)).all()
    kind = Unguarded if unguarded else Batches
    options = settings(pairs="items", holdout=0.5, neighbor_dropout=0.0, n_negatives=100)
    known, asked = (
        kind(options, only(matrix, users), x, nb, None, None, 0)
        for users in (np.arange(200) < 120, np.arange(200) >= 120)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PinSageModel(8, (0, 0), 32, 16, 2, residual=False)
        loss = make_loss("softmax", margin=0.1, temperature=0.2)
        training = Training(
            model, None, known, loss, learning_rate=0.01, weight_decay=0.0, device=CPU
        )
        for epoch in range(1, 40):
            training.epoch(epoch)
    better = []
    for number in range(20):
        batch = asked.make(0, number)
        z, query = (part.detach().numpy() for part in training.vectors(batch))
        scores = query[batch.owner] @ z[batch.pool].T
        own = (query[batch.owner] * z[batch.positive]).sum(1, keepdims=True)
        better.append(((scores > own) & ~batch.mask).sum(1) / (~batch.mask).sum(1))
    share = float(np.concatenate(better).mean())  # of negatives that are ranked before
    assert share < 0.2 if unguarded else 0.42 < share < 0.58


def test_canary_without_the_edge_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(0)
    matrix, x = matching(100), rng.standard_normal((200, 8))
    hidden = np.zeros(200, np.float32)
    hidden[1::4] = 1
    test = sp.csr_matrix(matrix @ sp.diags(hidden))
    train = sp.csr_matrix(matrix - test)
    for part in (train, test):
        part.eliminate_zeros()
    model = small(id_vectors=True).fit(train, x)
    assert evaluate(model, train, test, (50,))["recall@50"] < 0.45  # 50 of 199


# -- The recommender -------------------------------------------------------------------------------


def test_new_items_are_found_by_content() -> None:
    data = make_interactions(600, 400, n_blocks=5, n_tags=12, per_user=30, random_state=3)
    split = cold_item_split(data.interactions, val=0.1, test=0.2, random_state=0)
    model = small(n_components=64, neighbor_dropout=1.0, learning_rate=0.003)
    model.fit(split.train, data.item_tags)
    found = evaluate(model, split.train, split.test, items=split.items)["recall@20"]
    content = ContentKNN().fit(split.train, data.item_tags)
    reference = evaluate(content, split.train, split.test, items=split.items)["recall@20"]
    assert found > 0.9 * reference > 2 * 20 / len(split.items)


@pytest.mark.parametrize(
    "changes",
    [
        {"residual": False},
        {"pooling": "max", "n_layers": 1},
        {"pooling": "mean", "loss": "bpr", "temperature": 1.0},
        {"pairs": "items", "loss": "max_margin", "hard_negatives": 2, "hard_window": (5, 30)},
        {"n_layers": 0, "popularity_power": 0.75},
        {"n_walks": 200, "beta": 0.5, "fallback": False},
    ],
)
def test_settings_matter_and_training_lowers_the_loss(
    changes: dict[str, Any], fitted: PinSage
) -> None:
    model = small(**changes, n_epochs=6).fit(TRAIN, DATA.item_tags)
    loss = model.history_["loss"]
    if "hard_negatives" not in changes:  # which become more from epoch to epoch
        assert loss[-1] < loss[0]
    plain = small(n_epochs=6).fit(TRAIN, DATA.item_tags)
    assert not np.array_equal(model.item_vectors, plain.item_vectors)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_bits_do_not_depend_on_threads(n_jobs: int, fitted: PinSage) -> None:
    other = small(id_vectors=True, n_jobs=n_jobs).fit(TRAIN, DATA.item_tags)
    np.testing.assert_array_equal(other.item_vectors, fitted.item_vectors)
    np.testing.assert_array_equal(other.neighbors_.index, fitted.neighbors_.index)
    new = TRAIN.matrix[:, :5]
    np.testing.assert_array_equal(
        other.transform(DATA.item_tags[:5], new), fitted.transform(DATA.item_tags[:5], new)
    )


def test_torch_is_left_alone_and_seeds_decide() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    one, same = (small().fit(TRAIN, DATA.item_tags).item_vectors for _ in range(2))
    other = small(random_state=1).fit(TRAIN, DATA.item_tags).item_vectors
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_early_stopping_keeps_the_best_epoch() -> None:
    split = cold_item_split(TRAIN, val=0.2, test=0.1, random_state=0)
    model = small(n_epochs=6, learning_rate=0.05, patience=2)
    model.fit(split.train, DATA.item_tags, validation=split.val, validation_items=split.val_items)
    scores = model.history_["ndcg@20"]
    assert model.best_epoch_ == 1 + int(np.argmax(scores))
    found = evaluate(model, split.train, split.val, items=split.val_items)["ndcg@20"]
    assert found == pytest.approx(max(scores))


def neighbor_lists(vectors: np.ndarray, others: np.ndarray, k: int) -> list[set[int]]:
    products = vectors @ others.T
    return [set(row) for row in np.argsort(-products, axis=1)[:, :k].tolist()]


@pytest.mark.parametrize(("id_vectors", "wanted"), [(False, 0.9), (True, 0.8)])
def test_a_new_item_comes_to_where_a_fit_with_it_puts_it(id_vectors: bool, wanted: float) -> None:
    """Two fits with other seeds agree no better."""
    data = make_interactions(600, 400, n_blocks=20, n_tags=12, per_user=30, random_state=3)
    new = np.arange(0, 400, 10)
    old = np.delete(np.arange(400), new)
    matrix = data.interactions.matrix
    options = {"n_components": 256, "learning_rate": 0.0003, "id_vectors": id_vectors}
    part = small(**options).fit(sp.csr_matrix(matrix[:, old]), data.item_tags[old])
    whole = small(**options).fit(matrix, data.item_tags)
    before = part.item_vectors.copy()
    vectors = part.transform(data.item_tags[new], sp.csr_matrix(matrix[:, new]))
    np.testing.assert_array_equal(part.item_vectors, before)
    mine = neighbor_lists(vectors, part.item_vectors, 10)
    theirs = neighbor_lists(whole.item_vectors[new], whole.item_vectors[old], 10)
    overlap = np.mean([len(a & b) / 10 for a, b in zip(mine, theirs, strict=True)])
    assert overlap >= wanted


def test_transform_of_what_was_fitted_is_what_was_fitted() -> None:
    model = small().fit(TRAIN, DATA.item_tags)
    alone = model.transform(DATA.item_tags)  # without interactions: by content alone
    assert alone.shape == model.item_vectors.shape
    assert (alone * model.item_vectors).sum(1).min() > 0.5
    few = model.transform(DATA.item_tags[3:5])
    np.testing.assert_allclose(alone[3:5], few, atol=1e-6)
    np.testing.assert_array_equal(few, model.transform(DATA.item_tags[3:5]))


def test_files(tmp_path: Any, fitted: PinSage) -> None:
    path = tmp_path / "model.gemb"
    fitted.save(path)
    drawn = torch.get_rng_state()
    again = PinSage.load(path)
    assert torch.equal(torch.get_rng_state(), drawn), "torch's own generator is left alone"
    np.testing.assert_array_equal(again.item_vectors, fitted.item_vectors)
    np.testing.assert_array_equal(again.recommend(None, 5)[0], fitted.recommend(None, 5)[0])
    new = TRAIN.matrix[:, :5]
    np.testing.assert_array_equal(
        again.transform(DATA.item_tags[:5], new), fitted.transform(DATA.item_tags[:5], new)
    )


@pytest.mark.parametrize("changes", [{"residual": False}, {"query": "last"}, {"n_layers": 0}])
def test_files_of_other_kinds(tmp_path: Any, changes: dict[str, Any]) -> None:
    model = small(**changes).fit(TRAIN, DATA.item_tags.toarray())
    model.save(tmp_path / "model.gemb")
    again = PinSage.load(tmp_path / "model.gemb")
    np.testing.assert_array_equal(again.recommend(None, 5)[0], model.recommend(None, 5)[0])
    np.testing.assert_array_equal(
        again.transform(DATA.item_tags[:4].toarray()), model.transform(DATA.item_tags[:4].toarray())
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"inner": lambda state: state.inner[:1]},
        {"features": lambda state: state.features[:-1]},
        {"weights": lambda state: state.weights[:, :7]},
        {"parameters": lambda state: {k: v for k, v in state.parameters.items() if "G1" not in k}},
    ],
)
def test_damaged_files_are_refused(tmp_path: Any, changes: dict[str, Any]) -> None:
    model = small().fit(TRAIN, DATA.item_tags)
    state = model._state
    model._state = replace(state, **{name: damage(state) for name, damage in changes.items()})
    model.save(tmp_path / "model.gemb")
    with pytest.raises(FileFormatError, match="cannot be loaded"):
        PinSage.load(tmp_path / "model.gemb")


# -- Queries ---------------------------------------------------------------------------------------


def test_users_are_the_mean_of_their_items(fitted: PinSage) -> None:
    history = TRAIN.matrix[7]
    expected = unit(fitted.item_vectors[history.indices].mean(0))
    np.testing.assert_allclose(fitted.user_vectors[7], expected, atol=1e-6)
    ids, scores = fitted.recommend(histories=history, k=4)
    np.testing.assert_array_equal(ids[0], fitted.recommend(7, 4)[0])
    np.testing.assert_allclose(scores[0], fitted.item_vectors[ids[0]] @ expected, atol=1e-5)


def test_the_last_item_recommends() -> None:
    model = small(query="last").fit(TRAIN, DATA.item_tags)
    row = slice(TRAIN.matrix.indptr[7], TRAIN.matrix.indptr[8])
    last = TRAIN.matrix.indices[row][np.argmax(TRAIN.times[row])]
    np.testing.assert_allclose(model.user_vectors[7], model.item_vectors[last], atol=1e-6)
    with pytest.raises(ValueError, match="needs interactions with times"):
        small(query="last").fit(TRAIN.matrix, DATA.item_tags)
    with pytest.raises(NotImplementedError, match="needs times"):
        model.recommend(histories=TRAIN.matrix[:2])


def test_medoids_recommend_the_best_of_each() -> None:
    model = small(query="medoids", n_medoids=2).fit(TRAIN, DATA.item_tags)
    owner, items = medoids(TRAIN.matrix, model.item_vectors, 2)
    ids, scores = model.recommend(None, 6)
    vectors = model.item_vectors
    for user in range(TRAIN.n_users):
        own = items[owner == user]
        assert set(own) <= set(TRAIN.matrix[user].indices)
        best = (vectors[own] @ vectors.T).max(axis=0)
        best[TRAIN.matrix[user].indices] = -np.inf
        np.testing.assert_allclose(scores[user], np.sort(best)[::-1][:6], atol=1e-5)
        np.testing.assert_allclose(best[ids[user]], scores[user], atol=1e-5)
    np.testing.assert_allclose(
        model._all_scores(np.array([4]))[0], (vectors[items[owner == 4]] @ vectors.T).max(0),
        atol=1e-5,
    )  # fmt: skip
    with pytest.raises(AttributeError, match="several vectors"):
        _ = model.user_vectors


def test_medoids_are_one_of_each_group() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0.9, 0], [0, 1], [0.1, 1]], np.float32)
    owner, items = medoids(sp.csr_matrix(np.ones((1, 5))), vectors, 2)
    assert owner.tolist() == [0, 0]
    assert {item < 3 for item in items.tolist()} == {True, False}


def test_medoids_are_computed_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As sums of other orders have other bits."""
    entered = []

    @contextmanager
    def recorded() -> Iterator[None]:
        entered.append(True)
        yield

    monkeypatch.setattr("graphembed.recsys.pinsage._queries.one_blas_thread", recorded)
    medoids(TRAIN.matrix[:3], np.eye(80, dtype=np.float32), 2)
    assert entered


def test_merged_lists_name_an_item_once() -> None:
    index = np.array([[4, 2], [2, 5], [1, -1]], np.int32)
    scores = np.array([[0.9, 0.5], [0.8, 0.8], [0.1, -np.inf]], np.float32)
    top, best = merged(np.array([0, 0, 2]), index, scores, n=3)
    assert top.tolist() == [[4, 2], [-1, -1], [1, -1]]
    np.testing.assert_allclose(best, [[0.9, 0.8], [-np.inf] * 2, [0.1, -np.inf]])


# -- Features --------------------------------------------------------------------------------------


def test_text_arrays_and_links() -> None:
    links = sp.csr_matrix(np.kron(np.eye(40), [[0, 1], [0, 0]]))
    by_text = small().fit(TRAIN, DATA.item_text, item_edges=links)
    vectors = by_text.transform(DATA.item_text[:3], item_edges=links[:3])
    assert vectors.shape == (3, 16)
    assert not np.array_equal(vectors, by_text.transform(DATA.item_text[:3]))
    from_links = small().fit(TRAIN, item_edges=links)
    assert from_links._state.features[0].indices.tolist() == [0, 1]
    assert small().fit(TRAIN).transform(interactions=TRAIN.matrix[:, :3]).shape == (3, 16)


def test_what_is_given_stays_as_it_is() -> None:
    tags = sp.csr_matrix(
        (np.arange(4.0, dtype=np.float32), np.array([3, 1, 3, 3]), np.array([0, 2] + [4] * 79)),
        shape=(80, 5),
    )
    links = sp.csr_matrix(sp.random(80, 80, 0.05, random_state=0, dtype=np.float32))
    for given in (links, -links):
        new_tags, new_links, added = tags[:3], given[:3], TRAIN.matrix[:, :3] * 2
        matrices = (tags, given, new_tags, new_links, added, train := TRAIN.matrix * 3)
        before = [[a.copy() for a in (m.data, m.indices, m.indptr)] for m in matrices]
        model = small(query="medoids", hard_negatives=1, hard_window=(2, 9))
        model.fit(train, tags, item_edges=given, validation=train)
        model.transform(new_tags, added, item_edges=new_links)
        for matrix, arrays in zip(matrices, before, strict=True):
            for a, b in zip((matrix.data, matrix.indices, matrix.indptr), arrays, strict=True):
                np.testing.assert_array_equal(a, b)


def test_links_of_any_weight_and_direction_are_links() -> None:
    links = sp.csr_matrix((np.array([1.0, -1.0]), ([0, 1], [1, 0])), shape=(3, 3))
    expected = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert read_links(links, np.arange(3)).toarray().tolist() == expected
    minus = sp.csr_matrix((np.array([-1.0]), ([0], [0])), shape=(3, 3))
    assert read_links(minus, np.arange(3)).toarray().tolist() == np.eye(3).tolist()
    zero = sp.csr_matrix((np.array([0.0]), ([0], [1])), shape=(3, 3))
    assert read_links(zero, np.arange(3)).toarray().tolist() == np.eye(3).tolist()


def test_an_entry_of_0_is_no_entry() -> None:
    zero = sp.csr_matrix((np.float32([1, 0, 1]), ([0, 1, 1], [0, 0, 1])), shape=(2, 2))
    weights = FeatureSpace.of(read_features(zero, 2)[0], None, 1.0).weights
    assert weights.data[0] == weights.data[1]


def test_transform_of_links_alone_and_of_no_items(fitted: PinSage) -> None:
    assert fitted.transform(DATA.item_tags[:0]).shape == (0, 16)
    links = sp.random(80, 80, 0.05, random_state=0, format="csr")
    model = small().fit(TRAIN, item_edges=links)
    assert model.transform(interactions=TRAIN.matrix[:, :3]).shape == (3, 16)
    assert model.transform(item_edges=links[:0]).shape == (0, 16)


@pytest.mark.parametrize("kind", ["array", "objects", "series"])
def test_texts_of_other_kinds(kind: str) -> None:
    texts: Any = np.array(DATA.item_text)
    if kind == "objects":
        texts = texts.astype(object)
    elif kind == "series":
        texts = pytest.importorskip("pandas").Series(texts, index=np.arange(80)[::-1])
    expected = read_features(DATA.item_text, 80)[0]
    assert (read_features(texts, 80)[0] != expected).nnz == 0


def test_validation_items() -> None:
    with pytest.raises(ValueError, match="validation_items needs validation"):
        small().fit(TRAIN, DATA.item_tags, validation_items=[1, 2])
    dense = TRAIN.matrix.toarray()
    dense[:, 1:] = 0
    for items in ([], [1, 2]):
        with pytest.raises(ValueError, match="must have an interaction in validation"):
            small().fit(
                TRAIN,
                DATA.item_tags,
                validation=sp.csr_matrix(dense),
                validation_items=TRAIN.item_ids[items],
            )


def test_train_without_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="train must have users with two items"):
        small().fit(sp.eye(80, format="csr"), DATA.item_tags)


def test_neighbors_are_their_own_arrays() -> None:
    model = small(hard_negatives=1, hard_window=(2, 30)).fit(TRAIN, DATA.item_tags)
    assert model.neighbors_.index.base is None
    assert model.neighbors_.weight.base is None


def test_weights_of_columns() -> None:
    counts = sp.csr_matrix(np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), dtype=np.float32)
    space = FeatureSpace.of(counts, None, 2.0)
    idf = np.log(3 / np.array([2, 3])) + 1
    expected = np.array([[2 * idf[0] ** 2, idf[1] ** 2], [0, idf[1] ** 2]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(space.rows(counts, None, 2).toarray(), expected, rtol=1e-5)
    unknown = sp.csr_matrix(np.array([[0.0, 0.0, 5.0]]), dtype=np.float32)
    assert space.rows(unknown, None, 1).nnz == 0
    assert read_features([[1.0, 2.0]], 1)[1] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"item_features": DATA.item_tags[:5]}, "must have 80 rows"),
        ({"item_features": "one text"}, "a text for each item"),
        ({"item_features": np.full((80, 2), np.nan)}, "row 0 is not"),
        ({"item_features": np.zeros(80)}, "must be a matrix"),
        ({"item_features": np.zeros((80, 3))}, "must not be all 0"),
        ({"item_edges": sp.eye(80) * np.nan}, "must not be NaN, but row 0 is"),
        ({"item_edges": sp.eye(79)}, "item_edges must have the shape"),
        ({"validation": sp.csr_matrix((120, 80))}, "at least one interaction"),
    ],
)
def test_wrong_data_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small().fit(TRAIN, **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id_vectors": False}, "there must be id_vectors"),
        ({"holdout": 1.0}, "holdout must be"),
        ({"hard_window": (5, 5)}, r"hard_window\[1\] must be"),
        ({"hard_window": ("5", 5)}, r"hard_window\[0\] must be"),
        ({"hard_window": (1,)}, "hard_window must be a pair"),
        ({"hard_window": 5}, "hard_window must be a pair"),
        ({"pooling": "sum"}, "pooling must be one of"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_wrong_parameters_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes).fit(TRAIN)


def test_features_from_a_data_frame() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"text": ["tag"] * TRAIN.n_items})
    with pytest.raises(ValueError, match="pass one column of texts"):
        PinSage(8, n_epochs=1).fit(TRAIN, frame)


def test_transform_refuses_what_does_not_fit(fitted: PinSage) -> None:
    with pytest.raises(ValueError, match="columns of fit"):
        fitted.transform(DATA.item_tags[:2, :3])
    with pytest.raises(ValueError, match="users of fit"):
        fitted.transform(DATA.item_tags[:2], sp.csr_matrix(np.ones((3, 2))))
    with pytest.raises(ValueError, match="item_edges were not given in fit"):
        fitted.transform(DATA.item_tags[:2], item_edges=sp.csr_matrix((2, 80)))
    with pytest.raises(ValueError, match="item_features must be given"):
        fitted.transform(interactions=TRAIN.matrix[:, :2])
    with pytest.raises(ValueError, match="got none"):
        fitted.transform()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees() -> None:
    model, x, own, nb = make_model(True)
    here = layerwise(model, x, own, View(nb, None), device=CPU)
    there = layerwise(model.cuda(), x, own, View(nb, None), device=torch.device("cuda"))
    np.testing.assert_allclose(there.z, here.z, atol=1e-4)
    found = small(device="cuda").fit(TRAIN, DATA.item_tags)
    assert evaluate(found, TRAIN, TRAIN, filter_seen=False)["recall@20"] > 0.4


@pytest.mark.parametrize("name", ["pinsage_cold_start.py", "recsys_movielens.py"])
def test_examples(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(Path(__file__).parents[1] / "examples" / name)
    monkeypatch.setattr("sys.argv", [script, "--epochs", "1"])
    runpy.run_path(script, run_name="__main__")
    shown = capsys.readouterr().out
    assert "PinSage" in shown
    if name.startswith("pinsage"):
        assert "transform of 3 later items" in shown
        assert "n_items=997" in shown  # the train part

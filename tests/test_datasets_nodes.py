"""Datasets with features and masks, and ESOL: real files where they are, small ones everywhere."""

import dataclasses
import hashlib
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import planetoid_files as form
import pytest
import scipy.sparse as sp

from graphembed import datasets
from graphembed.datasets import NodeDataset, _planetoid
from graphembed.datasets._actor import read_actor
from graphembed.datasets._csr import normalize_rows
from graphembed.datasets._esol import molecule, read_esol
from graphembed.datasets._npz import read_npz
from graphembed.datasets._planetoid import read_planetoid
from graphembed.datasets._registry import Entry, RemoteFile, registry
from graphembed.exceptions import DatasetNotFoundError, FileFormatError


def sizes(data: NodeDataset) -> list[int]:
    return [int(mask.sum()) for mask in (data.train_mask, data.val_mask, data.test_mask)]


def check(data: NodeDataset) -> None:
    """What every dataset of nodes must be."""
    n_nodes = data.graph.n_nodes
    masks = (data.train_mask, data.val_mask, data.test_mask)
    assert sum(mask.astype(int) for mask in masks).max() <= 1
    assert np.array_equal(data.graph.node_ids, np.arange(n_nodes))
    assert data.y is data.labels
    assert data.y.dtype == np.int64
    assert np.array_equal(np.unique(data.y[data.y >= 0]), np.arange(data.n_labels))
    assert (data.y[sum(masks).astype(bool)] >= 0).all()
    assert not data.graph.is_weighted
    if data.x is not None:
        assert isinstance(data.x, sp.csr_array)
        assert data.x.dtype == np.float32
        assert data.x.has_canonical_format
        assert data.x.shape == (n_nodes, data.n_features)


# --- Planetoid: the real files ----------------------------------------------------------------

SHAPES = {
    "cora": (2708, 5278, 1433, 7, [140, 500, 1000]),
    "citeseer": (3327, 4552, 3703, 6, [120, 500, 1000]),
    "pubmed": (19717, 44324, 500, 3, [60, 500, 1000]),
}


@pytest.mark.data
@pytest.mark.parametrize("name", SHAPES)
def test_planetoid_has_the_published_sizes(data_dir: Path, name: str) -> None:
    features = (data_dir / "planetoid" / f"ind.{name}.allx").is_file()
    data = datasets.load_planetoid(name, features=features, download=False)
    check(data)
    n_nodes, n_edges, n_features, n_classes, parts = SHAPES[name]
    assert (data.graph.n_nodes, data.graph.n_edges) == (n_nodes, n_edges)
    assert not data.graph.directed
    assert data.graph.to_scipy().diagonal().sum() == 0
    assert data.n_labels == n_classes
    assert sizes(data) == parts
    assert np.bincount(data.y[data.train_mask]).tolist() == [20] * n_classes
    if features:
        assert data.n_features == n_features


@pytest.mark.data
@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_planetoid_is_what_pyg_reads(data_dir: Path, name: str) -> None:
    pytest.importorskip("torch_geometric")
    from torch_geometric.io import read_planetoid_data
    from torch_geometric.transforms import NormalizeFeatures

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        true = read_planetoid_data(str(data_dir / "planetoid"), name)
    data = datasets.load_planetoid(name, normalize=False, download=False)
    assert np.array_equal(data.x.toarray(), true.x.numpy())
    assert np.array_equal(np.maximum(data.y, 0), true.y.numpy())  # PyG has no -1
    for key in ("train_mask", "val_mask", "test_mask"):
        assert np.array_equal(getattr(data, key), true[key].numpy())
    arcs = data.graph.to_scipy().nonzero()
    theirs = true.edge_index.numpy()
    order = np.lexsort((theirs[1], theirs[0]))
    assert np.array_equal(np.stack(arcs), theirs[:, order])
    normalized = datasets.load_planetoid(name, download=False)
    expected = NormalizeFeatures()(true).x.numpy()
    np.testing.assert_allclose(normalized.x.toarray(), expected, rtol=1e-6)


@pytest.mark.data
def test_nodes_of_citeseer_without_features(data_dir: Path) -> None:
    data = datasets.load_planetoid("citeseer", download=False)
    unknown = np.flatnonzero(np.diff(data.x.indptr) == 0)
    assert len(unknown) == 15
    assert unknown.min() >= 2312
    assert np.array_equal(np.flatnonzero(data.y == -1), unknown)
    assert (data.graph.degrees == 0).sum() == 48
    assert data.graph.degrees[unknown].tolist() == [1] * 8 + [2] + [1] * 6
    for split in ("public", "full", "complete", "random"):
        masked = datasets.load_planetoid("citeseer", split=split, random_state=0, download=False)
        check(masked)
        inside = masked.train_mask | masked.val_mask | masked.test_mask
        assert not inside[unknown].any()


@pytest.mark.data
def test_splits_of_cora(data_dir: Path) -> None:
    def load(split: str, seed: int = 0) -> NodeDataset:
        return datasets.load_planetoid("cora", split=split, random_state=seed, download=False)

    public, full, complete, drawn = map(load, ("public", "full", "complete", "random"))
    assert sizes(full) == [1208, 500, 1000]
    assert np.array_equal(full.val_mask, public.val_mask)
    assert np.array_equal(full.test_mask, public.test_mask)
    assert np.flatnonzero(complete.train_mask).tolist() == list(range(1708))
    assert np.flatnonzero(complete.test_mask).tolist() == list(range(2208, 2708))
    assert sizes(drawn) == [140, 500, 1000]
    assert np.bincount(drawn.y[drawn.train_mask]).tolist() == [20] * 7
    assert np.array_equal(drawn.train_mask, load("random").train_mask)
    assert not np.array_equal(drawn.train_mask, load("random", 1).train_mask)


@pytest.mark.data
def test_missing_features_of_pubmed_are_named(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (data_dir / "planetoid" / "ind.pubmed.allx").is_file():
        pytest.skip("PubMed is complete here")
    monkeypatch.setenv("GRAPHEMBED_CACHE", str(tmp_path))
    with pytest.raises(DatasetNotFoundError) as caught:
        datasets.load_planetoid("pubmed", download=False)
    for place in (data_dir, tmp_path):
        assert str(place / "planetoid" / "ind.pubmed.allx") in str(caught.value)
    data = datasets.load_planetoid("pubmed", features=False, download=False)
    assert data.x is None
    assert data.n_features == 0


# --- Planetoid: files of the same form --------------------------------------------------------

N_TRAIN, N_FIRST, N_NODES = 6, 520, 530
TEST = np.array([527, 521, 529, 520, 522, 523, 525, 528])  # 524 and 526 have no features


def toy() -> tuple[sp.csr_array, np.ndarray, dict[int, list[int]]]:
    rng = np.random.default_rng(1)
    x = sp.random_array((N_NODES, 50), density=0.2, rng=rng, format="csr", dtype=np.float32)
    classes = rng.integers(0, 3, N_NODES)
    classes[[524, 526]] = -1
    empty = np.ones(N_NODES)
    empty[[524, 526]] = 0
    x = sp.csr_array(sp.diags_array(empty).tocsr().astype(np.float32) @ x)
    x.eliminate_zeros()
    pairs = rng.integers(0, 524, (800, 2))
    neighbours: dict[int, list[int]] = {node: [] for node in range(N_NODES)}
    for a, b in pairs.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    return x, classes, neighbours


def toy_files() -> dict[str, bytes]:
    return form.planetoid_files(*toy(), n_train=N_TRAIN, n_first=N_FIRST, test=TEST)


@pytest.mark.parametrize("normalize", [True, False])
def test_read_planetoid(normalize: bool) -> None:
    x, classes, neighbours = toy()
    data = read_planetoid(toy_files(), name="toy", description="", normalize=normalize)
    check(data)
    expected = x.toarray()
    if normalize:
        expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(data.x.toarray(), expected, rtol=1e-6)
    assert np.array_equal(data.y, classes)
    edges = {(min(a, b), max(a, b)) for a, row in neighbours.items() for b in row if a != b}
    assert set(map(tuple, np.argwhere(np.triu(data.graph.to_scipy().toarray())))) == edges
    assert data.graph.n_edges == len(edges)
    assert np.flatnonzero(data.train_mask).tolist() == list(range(N_TRAIN))
    assert np.flatnonzero(data.val_mask).tolist() == list(range(N_TRAIN, N_TRAIN + 500))
    assert np.flatnonzero(data.test_mask).tolist() == sorted(TEST)


def test_pubmed_by_a_registry_with_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of the loader, for the dataset whose largest file is not everywhere."""
    files = []
    for part, content in toy_files().items():
        path = f"planetoid/ind.pubmed.{part}"
        digest = hashlib.sha256(content).hexdigest()
        files.append(RemoteFile(path, f"https://nowhere.invalid/{part}", len(content), digest))
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    entry = Entry("pubmed", "a toy", "", "", tuple(files))
    monkeypatch.setattr(_planetoid, "registry", lambda: MappingProxyType({"pubmed": entry}))
    monkeypatch.setenv("GRAPHEMBED_DATA", str(tmp_path))
    monkeypatch.setenv("GRAPHEMBED_CACHE", str(tmp_path / "cache"))
    data = datasets.load_planetoid("pubmed", download=False)
    assert repr(data) == (
        f"<NodeDataset 'pubmed': 530 nodes, {data.graph.n_edges} undirected edges, 3 classes, "
        "50 features, 6/500/8 to train/validate/test>"
    )
    allx = tmp_path / "planetoid" / "ind.pubmed.allx"
    allx.write_bytes(allx.read_bytes()[:-1] + b"!")
    with pytest.raises(FileFormatError, match="is not the file of the registry: sha256"):
        datasets.load_planetoid("pubmed", download=False)
    assert datasets.load_planetoid("pubmed", features=False, download=False).x is None
    allx.unlink()
    with pytest.raises(DatasetNotFoundError, match=r"ind\.pubmed\.allx"):
        datasets.load_planetoid("pubmed", download=False)


def test_the_registry_is_checked_before_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for reader in ("read_lists", "read_array", "read_matrix"):
        monkeypatch.setattr(_planetoid, reader, lambda *_, **__: seen.append("read"))
    for file in registry()["cora"].files:
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).write_bytes(b"cos\nsystem\n")
    monkeypatch.setenv("GRAPHEMBED_DATA", str(tmp_path))
    with pytest.raises(FileFormatError, match="sha256"):
        datasets.load_planetoid("cora")
    assert seen == []


def one_hot(rows: list[list[int]]) -> bytes:
    return form.file(form.array(np.array(rows, dtype=np.int32)))


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("test.index", b"520 x", "test.index: invalid literal"),
        ("test.index", b"520 520 521 522 523 525 527 528", "different numbers from 520 to 529"),
        ("test.index", b"0 521 522 523 525 527 528 529", "different numbers from 520 to 529"),
        ("test.index", b"530 521 522 523 525 527 528 529", "different numbers"),
        ("test.index", b"9" * 4000, "different numbers"),
        ("test.index", b"9" * 9000, "test.index: "),
        ("test.index", b"520 521", "test and ty must have as many rows, got 2 and 8"),
        ("y", one_hot([[1, 1, 0]]), "y: every row must hold a single 1"),
        ("y", one_hot([[0, 0, 0]]), "y: every row must hold a single 1"),
        ("y", one_hot([[2, -1, 0]]), "y: every row must hold a single 1"),
        ("y", one_hot([[]]), "y must be a row of classes per node"),
        ("y", form.file(form.array(np.ones(3, np.int32))), "y must be a row of classes"),
        ("y", one_hot([[0, 0, 1]] * 30), "y is not the beginning of ally"),
        ("graph", form.file(form.lists({0: [1]})), r"neighbours must be in \[0, 1\)"),
        ("graph", form.file(form.lists({0: [-1]})), r"neighbours must be in \[0, 1\)"),
        ("graph", form.file(form.lists({0: []})), "test.index must hold different numbers"),
        ("allx", form.file(form.matrix(sp.csr_array((3, 50), dtype=np.float32))), "ally and allx"),
        ("tx", form.file(form.matrix(sp.csr_array((3, 50), dtype=np.float32))), "ty and tx"),
        ("tx", form.file(form.matrix(sp.csr_array((8, 5), dtype=np.float32))), "as many columns"),
    ],
)
def test_planetoid_files_that_do_not_fit(part: str, content: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_planetoid(toy_files() | {part: content}, name="toy", description="")


def test_too_few_nodes_for_a_split() -> None:
    files = toy_files()
    with pytest.raises(FileFormatError, match="complete split needs more than 1000"):
        read_planetoid(files, name="toy", description="", split="complete")
    with pytest.raises(ValueError, match="val and test must leave enough nodes: 468 are left"):
        read_planetoid(files, name="toy", description="", split="random")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dblp"}, "name must be one of 'cora', 'citeseer', 'pubmed', got 'dblp'"),
        ({"split": "geom"}, "split must be one of 'public'"),
        ({"normalize": 1}, "normalize must be True or False, got 1"),
        ({"features": None}, "features must be True or False, got None"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.load_planetoid(**({"name": "cora"} | arguments))


# --- NodeDataset, splits ----------------------------------------------------------------------


def test_node_dataset_checks_its_parts() -> None:
    data = read_planetoid(toy_files(), name="toy", description="")
    with pytest.raises(ValueError, match="x must have one row per node, 530, got shape"):
        dataclasses.replace(data, x=data.x[:10])
    with pytest.raises(ValueError, match=r"val_mask must be bool of shape \(530,\), got int64 of"):
        dataclasses.replace(data, val_mask=np.zeros(530, np.int64))
    with pytest.raises(ValueError, match="test_mask must be bool"):
        dataclasses.replace(data, test_mask=np.zeros(3, bool))
    overlap = "train_mask and test_mask must not overlap, but both have 8 nodes, the first is node"
    with pytest.raises(ValueError, match=overlap):
        data.with_split((data.test_mask.copy(), data.val_mask, data.test_mask))
    assert all(a.flags.writeable for a in (data.y, data.train_mask, data.val_mask, data.test_mask))


def test_with_split_exchanges_the_masks_only() -> None:
    data = read_planetoid(toy_files(), name="toy", description="")
    split = datasets.split_fractions(data.y, random_state=1)
    other = data.with_split(split)
    check(other)
    assert other.graph is data.graph
    assert other.x is data.x
    assert other.train_mask is split.train
    assert other.test_mask is split.test


LABELS = np.repeat([0, 1, 2, -1], [40, 30, 50, 7])


def test_split_per_class() -> None:
    split = datasets.split_per_class(LABELS, train=10, val=20, test=30, random_state=5)
    assert [int(mask.sum()) for mask in split] == [30, 20, 30]
    assert np.bincount(LABELS[split.train]).tolist() == [10, 10, 10]
    assert sum(mask.astype(int) for mask in split).max() == 1
    assert not any(mask[LABELS == -1].any() for mask in split)
    again = datasets.split_per_class(LABELS, train=10, val=20, test=30, random_state=5)
    assert all(np.array_equal(a, b) for a, b in zip(split, again, strict=True))


def test_split_per_class_of_shchur() -> None:
    split = datasets.split_per_class(
        LABELS, train=10, val=15, val_per_class=True, test=None, random_state=5
    )
    assert np.bincount(LABELS[split.val]).tolist() == [15, 15, 15]
    assert (split.train | split.val | split.test).tolist() == (LABELS >= 0).tolist()


def test_every_node_is_drawn_as_often() -> None:
    """30 of 120 are trained on, 25 of the rest tested: uniform within a class, over the seeds."""
    n_seeds = 2000
    train, test = np.zeros(127), np.zeros(127)
    for seed in range(n_seeds):
        split = datasets.split_per_class(LABELS, train=10, val=5, test=25, random_state=seed)
        train += split.train
        test += split.test
    for k, size in enumerate((40, 30, 50)):
        members = np.isin(LABELS, k)
        p = 10 / size
        bound = 5 * np.sqrt(n_seeds * p * (1 - p))
        assert np.abs(train[members] - n_seeds * p).max() < bound
        p = (1 - p) * 25 / 90
        assert np.abs(test[members] - n_seeds * p).max() < 5 * np.sqrt(n_seeds * p * (1 - p))


def test_split_fractions() -> None:
    split = datasets.split_fractions(LABELS, train=0.6, val=0.2, random_state=1)
    assert np.bincount(LABELS[split.train]).tolist() == [24, 18, 30]
    assert np.bincount(LABELS[split.val]).tolist() == [8, 6, 10]
    assert np.bincount(LABELS[split.test]).tolist() == [8, 6, 10]
    assert not any(mask[LABELS == -1].any() for mask in split)


def test_split_indices() -> None:
    parts = datasets.split_indices(1128, random_state=0)
    assert [len(part) for part in parts] == [902, 113, 113]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1128))
    assert [len(part) for part in datasets.split_indices(0)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.split_per_class(LABELS, train=31), "class 1 has 30 left, got 31"),
        (lambda: datasets.split_per_class(LABELS, train=0), "train must be an int >= 1"),
        (lambda: datasets.split_per_class(LABELS, val=-1), "val must be an int >= 0"),
        (
            lambda: datasets.split_per_class(LABELS, train=20, val=25, val_per_class=True),
            "val must be at most the nodes of every class: class 0 has 20 left, got 25",
        ),
        (lambda: datasets.split_per_class(LABELS, train=10, val=91, test=0), "90 are left"),
        (lambda: datasets.split_per_class(LABELS, train=10, val=50, test=41), "90 are left"),
        (lambda: datasets.split_per_class([[0]]), "labels must be one row of integers"),
        (lambda: datasets.split_fractions([0.5]), "labels must be one row of integers"),
        (lambda: datasets.split_fractions(LABELS, train=0.9, val=0.1), r"train \+ val must be < 1"),
        (lambda: datasets.split_fractions(LABELS, train=1.0), "train must be a finite number in"),
        (lambda: datasets.split_indices(-1), "n must be an int >= 0"),
    ],
)
def test_bad_splits(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_normalize_rows() -> None:
    matrix = sp.csr_array(np.array([[1, 3, 0], [0, 0, 0], [0, 5, 0], [1, -1, 0]], np.float32))
    expected = [[0.25, 0.75, 0], [0, 0, 0], [0, 1, 0], [1, -1, 0]]
    assert normalize_rows(matrix).toarray().tolist() == expected
    assert matrix.toarray()[0].tolist() == [1, 3, 0]


# --- npz --------------------------------------------------------------------------------------

ADJACENCY = sp.csr_array(np.triu(np.ones((150, 150), np.float32), k=140))
CLASSES = np.repeat([0, 1], [70, 80])


def npz_arrays() -> dict[str, object]:
    adjacency = ADJACENCY.tolil()
    adjacency[3, 3] = adjacency[20, 10] = 1
    adjacency[10, 20] = 7
    adjacency = adjacency.tocsr()
    words = sp.random_array((150, 9), density=0.5, rng=1, format="csr", dtype=np.float32)
    words.data[0] = 0
    arrays: dict[str, object] = {"labels": CLASSES, "class_names": np.array(["a", "b"], object)}
    for key, matrix in (("adj", adjacency), ("attr", words)):
        arrays |= {f"{key}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
        arrays[f"{key}_shape"] = np.array(matrix.shape)
    return arrays


def save_npz(path: Path, arrays: dict[str, object]) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_load_npz(tmp_path: Path, compressed: bool) -> None:
    arrays = npz_arrays()
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "toy.npz", **arrays)
    data = datasets.load_npz(tmp_path / "toy.npz", normalize=False, random_state=0)
    check(data)
    assert data.name == "toy"
    edges = {(a, b) for a in range(10) for b in range(140 + a, 150)} | {(10, 20)}
    assert set(map(tuple, np.argwhere(np.triu(data.graph.to_scipy().toarray())))) == edges
    assert not data.graph.directed
    words = sp.csr_array(tuple(arrays[f"attr_{p}"] for p in ("data", "indices", "indptr")))
    assert np.array_equal(data.x.toarray(), (words.toarray() > 0).astype(np.float32))
    assert np.array_equal(data.y, CLASSES)
    assert sizes(data) == [40, 60, 50]
    normalized = datasets.load_npz(tmp_path / "toy.npz", random_state=0)
    sums = normalized.x.toarray().sum(axis=1)
    np.testing.assert_allclose(sums, data.x.toarray().any(axis=1), rtol=1e-6)
    assert np.array_equal(normalized.val_mask, data.val_mask)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "it lacks labels"),
        ({"adj_data": None, "attr_shape": None}, "it lacks adj_data, attr_shape"),
        ({"labels": CLASSES[:9]}, "labels must be 150 integers >= 0"),
        ({"labels": CLASSES - 1}, "labels must be 150 integers >= 0"),
        ({"labels": CLASSES / 1}, "labels must be 150 integers >= 0"),
        ({"labels": CLASSES.astype(object)}, "must hold numbers, got dtype object"),
        ({"adj_shape": np.array([150])}, "adj_shape must be two integers"),
        ({"adj_shape": np.array([150, 160])}, r"adj must have shape \(150, 150\), got"),
        ({"attr_shape": np.array([150, 3])}, r"attr: indices must be in \[0, 3\)"),
        ({"attr_shape": np.array([10**12, 9])}, "attr: the shape of a matrix"),
        ({"attr_indptr": np.zeros(151, np.int64)}, "attr: indptr ends with 0, but there are"),
        ({"adj_data": np.full(57, np.inf)}, "adj: "),
        ({"adj_data": np.array(["x"] * 57)}, "must hold numbers, got dtype <U1"),
    ],
)
def test_npz_with_defects(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    arrays = {k: v for k, v in (npz_arrays() | changes).items() if v is not None}
    with pytest.raises(FileFormatError, match=message):
        datasets.load_npz(save_npz(tmp_path / "bad.npz", arrays))


def test_damaged_npz(tmp_path: Path) -> None:
    whole = save_npz(tmp_path / "a.npz", npz_arrays()).read_bytes()
    for content in (
        b"",
        b"text",
        whole[:1000],
        whole[:-10],
        whole.replace(b"\x93NUMPY", b"\x93NUMBY"),
    ):
        with pytest.raises(FileFormatError, match=r"^b is not an npz file, or is damaged"):
            read_npz(content, name="b", description="")
    with pytest.raises(FileNotFoundError):
        datasets.load_npz(tmp_path / "nowhere.npz")


def test_npz_header_that_promises_more(tmp_path: Path) -> None:
    """A header with a huge shape is refused before anything is allocated."""
    path = save_npz(tmp_path / "a.npz", npz_arrays())
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % 10**15
    header += b" " * (117 - len(header)) + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.npz", "w") as new:
        for info in old.infolist():
            new.writestr(info, member if info.filename == "labels.npy" else old.read(info))
    with pytest.raises(FileFormatError, match="does not have the size that its header says"):
        datasets.load_npz(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("amazon-photo", lambda **k: datasets.load_amazon("photo", **k)),
        ("amazon-computers", lambda **k: datasets.load_amazon("computers", **k)),
        ("coauthor-cs", lambda **k: datasets.load_coauthor("cs", **k)),
        ("coauthor-physics", lambda **k: datasets.load_coauthor("physics", **k)),
    ],
)
def test_npz_of_the_registry(
    name: str, load: Callable[..., NodeDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = registry()[name].files
    monkeypatch.setenv("GRAPHEMBED_DATA", str(tmp_path))
    monkeypatch.setenv("GRAPHEMBED_CACHE", str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=str(tmp_path / file.path)):
        load(download=False)
    path = tmp_path / file.path
    path.parent.mkdir()
    save_npz(path, npz_arrays())
    with pytest.raises(FileFormatError, match="sha256"):
        load(download=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = dataclasses.replace(registry()[name], files=(dataclasses.replace(file, sha256=digest),))
    monkeypatch.setattr("graphembed.datasets._npz.registry", lambda: {name: entry})
    data = load(download=False, random_state=3)
    check(data)
    assert data.name == name


def test_names_of_npz() -> None:
    with pytest.raises(ValueError, match="name must be one of 'computers', 'photo', got 'cs'"):
        datasets.load_amazon("cs")
    with pytest.raises(ValueError, match="name must be one of 'cs', 'physics', got 'photo'"):
        datasets.load_coauthor("photo")


# --- Actor ------------------------------------------------------------------------------------


@pytest.mark.data
def test_actor(data_dir: Path) -> None:
    data = datasets.load_actor(random_state=0, download=False)
    check(data)
    assert (data.graph.n_nodes, data.graph.n_edges) == (7600, 26752)
    assert (data.n_features, data.n_labels) == (932, 5)
    assert not data.graph.directed
    assert data.graph.to_scipy().diagonal().sum() == 93
    assert sizes(data) == [4560, 1520, 1520]
    arcs = datasets.load_actor(directed=True, normalize=False, random_state=0, download=False)
    assert (arcs.graph.directed, arcs.graph.n_arcs) == (True, 30019)  # as PyG counts
    assert set(arcs.x.data.tolist()) == {1.0}
    assert np.array_equal(arcs.train_mask, data.train_mask)


ACTOR_EDGES = b"node_id\tnode_id\n0\t1\n1\t0\n2\t2\n0\t1\n3\t0\n"
ACTOR_NODES = b"node_id\tfeature\tlabel\n1\t2,0\t0\n0\t1\t1\n2\t0,0\t1\n3\t1\t0\n4\t3\t0\n"


@pytest.mark.parametrize("directed", [False, True])
def test_read_actor(directed: bool) -> None:
    data = read_actor(
        ACTOR_EDGES,
        ACTOR_NODES,
        name="toy",
        description="",
        directed=directed,
        normalize=False,
        random_state=0,
    )
    check(data)
    arcs = {(0, 1), (1, 0), (2, 2), (3, 0)} | (set() if directed else {(0, 3)})
    assert set(map(tuple, np.argwhere(data.graph.to_scipy().toarray()))) == arcs
    assert data.graph.directed == directed
    assert data.x.toarray().tolist() == [
        [0, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
    ]
    assert data.y.tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("edges", "nodes", "message"),
    [
        (b"", ACTOR_NODES, "out1_graph_edges.txt: there are no rows"),
        (ACTOR_EDGES, b"head\n", "out1_node_feature_label.txt: there are no rows"),
        (ACTOR_EDGES + b"1\t2\t3\n", ACTOR_NODES, "line 7 must have 2 columns, got 3"),
        (ACTOR_EDGES + b"1\t5\n", ACTOR_NODES, r"numbers must be in \[0, 5\), got 5"),
        (ACTOR_EDGES + b"1\tx\n", ACTOR_NODES, "invalid literal"),
        (ACTOR_EDGES, ACTOR_NODES.replace(b"4\t3", b"3\t3"), "must hold every node from 0 to 4"),
        (ACTOR_EDGES, ACTOR_NODES.replace(b"\t3\t", b"\t-3\t"), "numbers must be in"),
        (ACTOR_EDGES, ACTOR_NODES.replace(b"\t3\t", b"\t99999999\t"), "numbers must be in"),
        (ACTOR_EDGES, ACTOR_NODES.replace(b"\t3\t", b"\t\t"), "invalid literal"),
    ],
)
def test_bad_actor_tables(edges: bytes, nodes: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_actor(edges, nodes, name="toy", description="")


# --- ESOL -------------------------------------------------------------------------------------

SMILES = [
    "CCO",
    "C",
    "c1ccccc1",
    "C[C@H](N)C(=O)O",
    "F/C=C/F",
    "[NH4+].[Cl-]",
    "C#N",
    "[CH3]",
    "O=S(=O)(O)O",
    "FS(F)(F)(F)(F)F",
    "[Na+].[O-]c1ccccc1",
    "C1CC1=C",
]


@pytest.mark.parametrize("smiles", SMILES)
def test_molecules_are_what_pyg_makes(smiles: str) -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("torch_geometric")
    from torch_geometric.utils import from_smiles

    ours, theirs = molecule(smiles, 1.5), from_smiles(smiles)
    assert np.array_equal(ours.x, theirs.x.numpy())
    assert np.array_equal(ours.edge_index, theirs.edge_index.numpy())
    assert np.array_equal(ours.edge_attr, theirs.edge_attr.numpy())
    assert (ours.name, ours.y) == (smiles, 1.5)
    assert {ours.x.dtype, ours.edge_index.dtype, ours.edge_attr.dtype} == {np.dtype(np.int64)}


@pytest.mark.data
def test_esol(data_dir: Path) -> None:
    pytest.importorskip("rdkit")
    data = datasets.load_esol(download=False)
    assert repr(data) == "<GraphDataset 'esol': 1128 graphs>"
    assert len(data) == len(list(data)) == 1128
    assert data.y.mean() == pytest.approx(-3.0501, abs=1e-4)
    assert data[0].name.startswith("OCC3OC")
    assert repr(data[1]) == "<GraphSample 'Cc1occc1C(=O)Nc2ccccc2': 15 nodes, 32 arcs, y=-3.3>"
    n_atoms = np.mean([len(graph.x) for graph in data])
    n_arcs = np.mean([graph.edge_index.shape[1] for graph in data])
    assert (round(n_atoms, 1), round(n_arcs, 1)) == (13.3, 27.4)  # the figures of MoleculeNet


@pytest.mark.data
def test_every_molecule_of_esol_is_what_pyg_makes(data_dir: Path) -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("torch_geometric")
    from torch_geometric.utils import from_smiles

    for graph in datasets.load_esol(download=False):
        theirs = from_smiles(graph.name)
        assert np.array_equal(graph.x, theirs.x.numpy())
        assert np.array_equal(graph.edge_index, theirs.edge_index.numpy())
        assert np.array_equal(graph.edge_attr, theirs.edge_attr.numpy())


HEAD = b"measured log solubility in mols per litre,smiles\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must have the columns"),
        (b"smiles\nC\n", "must have the columns"),
        (HEAD + b"x,C\n", "line 2: could not convert"),
        (HEAD + b"1,C\n1\n", "line 3: "),
        (HEAD + b"1,C1\n", "line 2: rdkit cannot read the SMILES 'C1'"),
    ],
)
def test_bad_tables_of_molecules(content: bytes, message: str) -> None:
    pytest.importorskip("rdkit")
    with pytest.raises(FileFormatError, match=message):
        read_esol(content, name="toy", description="")


def test_esol_without_rdkit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blocker:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "rdkit":
                raise ModuleNotFoundError("No module named 'rdkit'", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "rdkit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Blocker(), *sys.meta_path])
    with pytest.raises(ImportError, match=r"pip install 'graphembed\[molecules\]'"):
        read_esol(HEAD + b"1,C\n", name="toy", description="")

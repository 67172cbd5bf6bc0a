"""plotting: what is in the picture, and what must not change outside it."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy import sparse

import graphembed._validation as validation
from graphembed.plotting import plot_confusion_matrix, plot_embedding, plot_learning_curve


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)


def n_points(ax):
    return sum(len(c.get_offsets()) for c in ax.collections)


def legend_lines(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def colors_by_point(ax):
    """Map each drawn point to its colour."""
    out = {}
    for collection in ax.collections:
        colors = np.broadcast_to(collection.get_facecolors(), (len(collection.get_offsets()), 4))
        for xy, color in zip(collection.get_offsets(), colors, strict=True):
            out[tuple(np.round(xy, 6))] = to_hex(color)
    return out


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_draws_every_point_once(vectors, method):
    ax = plot_embedding(vectors, np.arange(120) % 3, method=method, random_state=0)
    assert isinstance(ax, Axes)
    assert n_points(ax) == 120
    assert legend_lines(ax) == ["0 (40)", "1 (40)", "2 (40)"]
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    title = ax.get_title(loc="left")
    assert "120 nodes" in title
    assert {"tsne": "t-SNE", "pca": "PCA"}[method] in title


def test_pca_separates_two_clouds_in_their_colours():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 30)
    cloud = rng.normal(scale=0.05, size=(60, 6))
    cloud[:30, 0] += 1.0
    cloud[30:, 1] += 1.0
    ax = plot_embedding(cloud, labels, method="pca", random_state=0)
    side = {}
    for (x, _), color in colors_by_point(ax).items():
        side.setdefault(color, set()).add(x > 0)
    assert sorted(len(s) for s in side.values()) == [1, 1]
    assert set.union(*side.values()) == {True, False}


def test_large_embeddings_are_sampled_by_the_seed(vectors):
    def drawn(seed):
        ax = plot_embedding(vectors, max_points=50, method="pca", random_state=seed)
        return {tuple(xy) for c in ax.collections for xy in np.asarray(c.get_offsets())}, ax

    first, ax = drawn(3)
    assert len(first) == 50
    assert "50 of 120 nodes" in ax.get_title(loc="left")
    assert drawn(3)[0] == first
    assert drawn(4)[0] != first


def test_the_legend_counts_all_nodes_of_a_sample(vectors):
    labels = np.repeat([0, 1], [119, 1])
    ax = plot_embedding(vectors, labels, max_points=10, method="pca", random_state=0)
    assert n_points(ax) == 10
    assert legend_lines(ax) == ["0 (119)", "1 (1)"]


def test_tsne_is_reproducible(vectors):
    first, second = (
        colors_by_point(plot_embedding(vectors[:40], random_state=5)) for _ in range(2)
    )
    assert first == second


def test_many_classes_share_a_grey(vectors):
    labels = np.repeat(np.arange(15), 8)
    labels[:7] = 14  # class 0 keeps one node: it is the smallest
    ax = plot_embedding(vectors, labels, method="pca", random_state=0)
    lines = legend_lines(ax)
    assert lines[0] == "14 (15)"
    assert lines[-1] == f"6 others ({5 * 8 + 1})"
    assert len(lines) == 10
    assert len(set(colors_by_point(ax).values())) == 10


def test_unlabelled_nodes_are_named_as_such(vectors):
    labels = np.zeros(120, dtype=int)
    labels[:20] = -1
    ax = plot_embedding(vectors, labels, label_names=["club"], method="pca")
    assert legend_lines(ax) == ["club (100)", "no label (20)"]


def test_all_nodes_unlabelled(vectors):
    ax = plot_embedding(vectors, np.full(120, -1), method="pca")
    assert legend_lines(ax) == ["no label (120)"]


def test_string_labels(vectors):
    labels = np.array(["red"] * 50 + ["blue"] * 70)
    assert legend_lines(plot_embedding(vectors, labels, method="pca")) == ["blue (70)", "red (50)"]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_several_labels_take_the_most_frequent(vectors, kind):
    indicator = np.zeros((120, 3), dtype=bool)
    indicator[:80, 1] = True
    indicator[70:110, 2] = True  # ten of them have label 1 too
    labels = sparse.csr_matrix(indicator) if kind == "sparse" else indicator
    ax = plot_embedding(vectors, labels, label_names=["a", "b", "c"], method="pca")
    assert legend_lines(ax) == ["b (80)", "c (30)", "no label (10)"]


def test_names_that_mean_something_to_matplotlib(vectors):
    names = ["_private", "$x_", "n" * 60]
    ax = plot_embedding(vectors, np.arange(120) % 3, label_names=names, method="pca")
    ax.figure.draw_without_rendering()
    lines = legend_lines(ax)
    assert lines[:2] == ["_private (40)", "$x_ (40)"]
    assert lines[2].startswith("nnn")
    assert len(lines[2]) < 40


def test_the_legend_lies_outside_the_axes_and_inside_the_figure(vectors):
    ax = plot_embedding(vectors, np.arange(120) % 12, method="pca")
    ax.figure.draw_without_rendering()
    legend, axes, figure = (
        ax.get_legend().get_window_extent(),
        ax.get_window_extent(),
        ax.figure.bbox,
    )
    assert legend.x0 >= axes.x1
    assert legend.x1 <= figure.x1
    assert legend.y0 >= figure.y0


def test_no_labels_no_legend(vectors):
    ax = plot_embedding(vectors, method="pca")
    assert ax.get_legend() is None
    assert n_points(ax) == 120


def test_draws_on_the_axes_it_is_given(vectors):
    ax = Figure().add_subplot()
    assert plot_embedding(vectors, method="pca", ax=ax) is ax


def test_arguments_are_not_changed(vectors):
    labels, copy = np.arange(120) % 4, vectors.copy()
    vectors.flags.writeable = labels.flags.writeable = False
    plot_embedding(vectors, labels, method="pca")
    np.testing.assert_array_equal(vectors, copy)


@pytest.mark.parametrize(
    ("embedding", "method"),
    [
        (np.ones((1, 1)), "pca"),
        (np.zeros((3, 5)), "pca"),
        (np.ones((6, 3)), "tsne"),
        (np.arange(4.0)[:, None], "tsne"),
    ],
)
def test_degenerate_embeddings_are_drawn(embedding, method):
    ax = plot_embedding(embedding, method=method, random_state=0)
    assert n_points(ax) == len(embedding)
    for collection in ax.collections:
        assert np.isfinite(np.asarray(collection.get_offsets())).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "umap"}, "method must be one of 'tsne', 'pca', got 'umap'"),
        ({"max_points": 0}, "max_points must be an int >= 1 .* got 0"),
        ({"labels": [0, 1]}, "labels must have one row for each of the 5 rows.*got 2"),
        ({"labels": np.zeros((5, 1, 1))}, "labels must be 1-D or 2-D"),
        ({"labels": np.full(5, 0.5)}, "labels must be whole numbers or strings"),
        ({"labels": [0, 1, 2, 1, 0], "label_names": ["a"]}, "label_names must name label 2"),
        ({"embedding": np.ones(5)}, r"embedding must be a 2-D array.*\(5,\)"),
        ({"embedding": np.ones((0, 5))}, "at least one row"),
        ({"embedding": np.array([[1.0], [np.nan]])}, "embedding must be finite.*row 1"),
        ({"embedding": np.ones((3, 2)), "method": "tsne"}, "needs at least 4 rows, got 3"),
        ({"random_state": -1}, "random_state must be"),
    ],
)
def test_bad_arguments(kwargs, message):
    arguments = {"embedding": np.eye(5), "method": "pca"} | kwargs
    with pytest.raises(ValueError, match=message):
        plot_embedding(arguments.pop("embedding"), arguments.pop("labels", None), **arguments)


def test_without_matplotlib_the_error_tells_the_remedy(monkeypatch, vectors):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

    monkeypatch.setattr(validation.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'graphembed\[plot\]'"):
        plot_embedding(vectors)


def test_no_global_state_is_touched(tmp_path):
    """In a fresh interpreter: no pyplot, and the settings and generators stay as they were."""
    code = """
import sys
import matplotlib, numpy as np
def state():
    # dict.__getitem__: rcParams["backend"] itself would choose a backend
    settings = {key: dict.__getitem__(matplotlib.rcParams, key) for key in matplotlib.rcParams}
    return settings, np.random.get_state()[1].tolist()
before = state()
from graphembed.plotting import plot_confusion_matrix, plot_embedding, plot_learning_curve
ax = plot_embedding(np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3)
ax.figure.savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
assert state() == before
"""
    path = tmp_path / "picture.png"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120)
    assert path.read_bytes().startswith(b"\x89PNG")


# -- How a training went ---------------------------------------------------------------------

HISTORY = {
    "epoch": [1, 2, 3],
    "seconds": [0.1, 0.1, 0.1],
    "train_loss": [2.0, 1.0, 0.5],
    "val_loss": [2.1, 1.5, 1.6],
    "val_accuracy": [0.2, 0.7, 0.6],
}


def test_learning_curve_draws_every_column():
    loss, accuracy = plot_learning_curve(HISTORY, best_epoch=2)
    assert [line.get_ydata().tolist() for line in loss.lines[:2]] == [
        HISTORY["train_loss"],
        HISTORY["val_loss"],
    ]
    assert accuracy.lines[0].get_ydata().tolist() == HISTORY["val_accuracy"]
    assert accuracy.lines[0].get_color() == loss.lines[1].get_color() != loss.lines[0].get_color()
    assert [ax.lines[-1].get_xdata()[0] for ax in (loss, accuracy)] == [2, 2]
    assert legend_lines(loss) == ["training", "validation", "epoch 2"]
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy")
    assert loss.figure is accuracy.figure
    assert len(loss.figure.axes) == 2


def test_learning_curve_without_validation():
    (loss,) = plot_learning_curve({"epoch": [1, 2], "train_loss": [1.0, 0.5]})
    assert legend_lines(loss) == ["training"]
    assert loss.get_xlabel() == "epoch"


@pytest.mark.parametrize(
    ("history", "best_epoch", "message"),
    [
        ({}, None, "history must have 'epoch', got nothing"),
        ({"epoch": [1]}, None, "history must have 'train_loss', got epoch"),
        ({**HISTORY, "val_loss": [1.0]}, None, r"history\['val_loss'\] .* each epoch.*\(1,\)"),
        ({"epoch": [], "train_loss": []}, None, "one number for each epoch"),
        (HISTORY, 9, "best_epoch must be an epoch of history, got 9"),
        (HISTORY, 0, "best_epoch must be None or an int >= 1 .* got 0"),
    ],
)
def test_bad_histories(history, best_epoch, message):
    with pytest.raises(ValueError, match=message):
        plot_learning_curve(history, best_epoch=best_epoch)


def test_confusion_matrix_counts():
    true = np.array(["a", "a", "a", "b", "b", "c"])
    predicted = np.array(["a", "a", "b", "b", "b", "a"])
    ax = plot_confusion_matrix(true, predicted, class_names={"a": "$x_", "b": "B"})
    ax.figure.draw_without_rendering()
    cells = {
        tuple(int(v) for v in reversed(text.get_position())): text.get_text() for text in ax.texts
    }
    assert cells == {(0, 0): "2", (0, 1): "1", (1, 1): "2", (2, 0): "1"}
    np.testing.assert_allclose(ax.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [1, 0, 0]])
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["$x_", "B", "c"]
    assert "66.7% of 6 nodes" in ax.get_title(loc="left")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_confusion_matrix_leaves_out_nodes_without_a_class():
    ax = plot_confusion_matrix([0, 1, -1, 1], [0, 1, 0, 0], class_names=["none", "some"])
    assert "66.7% of 3 nodes" in ax.get_title(loc="left")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["none", "some"]
    ax = plot_confusion_matrix(["a", None, "b"], ["a", "a", "b"])
    assert "100.0% of 2 nodes" in ax.get_title(loc="left")
    with pytest.raises(ValueError, match="not empty"):
        plot_confusion_matrix([None, None], ["a", "a"])


def test_none_is_no_label(vectors):
    ax = plot_embedding(vectors, ["a", None] * 60, method="pca")
    assert legend_lines(ax) == ["a (60)", "no label (60)"]


def test_one_epoch():
    axes = plot_learning_curve({"epoch": [1], "train_loss": [0.5]})
    assert axes[0].get_title(loc="left") == "1 epoch"


@pytest.mark.parametrize(
    ("true", "predicted"), [([], []), ([0, 1], [0]), ([[0, 1]], [[0, 1]]), (0, 0)]
)
def test_bad_classes(true, predicted):
    with pytest.raises(ValueError, match="1-D, of the same length and not empty, got shapes"):
        plot_confusion_matrix(true, predicted)


@pytest.mark.parametrize(
    "draw", [lambda: plot_learning_curve(HISTORY), lambda: plot_confusion_matrix([0], [0])]
)
def test_pictures_of_training_without_matplotlib(monkeypatch, draw):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

    monkeypatch.setattr(validation.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'graphembed\[plot\]'"):
        draw()

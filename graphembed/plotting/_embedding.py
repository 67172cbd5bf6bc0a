"""Draw an embedding as a picture: two dimensions, one colour per class, a readable legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from graphembed._validation import check_params, draw_seed, import_optional, int_at_least, one_of
from graphembed.plotting._style import PALETTE, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OTHER: Final = "#B0B0B0"
_UNLABELLED: Final = "#E0E0E0"
_MIN_POINTS_FOR_THREADS: Final = 1000
_METHOD_NAMES: Final = {"tsne": "t-SNE", "pca": "PCA"}
_CONSTRAINTS: Final = {"method": one_of(*_METHOD_NAMES), "max_points": int_at_least(1)}


@dataclass(frozen=True)
class _Classes:
    """Colour group of each point, and the groups' names from the largest to the smallest."""

    group: npt.NDArray[np.int64]  # (n_points,) index into `names`
    names: list[str]
    colors: list[str]


def plot_embedding(
    embedding: npt.ArrayLike,
    labels: Any = None,
    *,
    label_names: Sequence[str] | None = None,
    method: Literal["tsne", "pca"] = "tsne",
    max_points: int = 5000,
    ax: "Axes | None" = None,
    random_state: Any = None,
) -> "Axes":
    """Scatter an embedding in two dimensions, coloured by label.

    Rows are scaled to length one first, so that distances in the picture follow the cosine
    similarity that `most_similar` ranks by. The nine largest classes get a colour of their own,
    from a palette that is safe for colour-blind readers; the others share a grey. A node with
    several labels is drawn in the colour of its most frequent one.

    Parameters
    ----------
    embedding : array-like of shape (n_nodes, n_components)
        Row `i` is the vector of node `i`.
    labels : array-like of shape (n_nodes,) or (n_nodes, n_labels), optional
        One label a node (whole numbers, where a negative one means no label, or strings, where
        None does), or an indicator matrix, dense or sparse, for several labels a node. None draws
        one colour.
    label_names : sequence of str, optional
        Name of label 0, 1, ...; default: the label itself.
    method : {"tsne", "pca"}, default="tsne"
        Projection to two dimensions; "tsne" needs at least 4 points.
    max_points : int, default=5000
        Larger embeddings are sampled down to this many rows, by a rule that depends on
        `random_state` only.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: the axes of a new figure, to be saved by
        ``ax.figure.savefig(path)``.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, optional
        Seed of the sample, of t-SNE and of the order in which points are drawn.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If a parameter is out of range, or the shapes of `embedding` and `labels` do not agree.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    With n points drawn, O(n * log(n)) time and O(n * n_components) memory.
    """
    import_optional("matplotlib.figure", extra="plot")
    check_params({"method": method, "max_points": max_points}, _CONSTRAINTS, owner="plot_embedding")
    vectors = _check_embedding(embedding, method)
    n_nodes = vectors.shape[0]
    classes = _group_labels(labels, label_names, n_nodes)
    rng = np.random.default_rng(draw_seed(random_state))
    shown = np.sort(rng.permutation(n_nodes)[:max_points])
    group = classes.group[shown]
    points = _project(vectors[shown], method, seed=int(rng.integers(2**31)))
    if ax is None:
        ax = new_figure(8.4, 6.2).add_subplot()
    _scatter(ax, points, group, classes, order=rng.permutation(len(points)))
    if labels is not None:
        _add_legend(ax, classes)
    total = "" if len(points) == n_nodes else f" of {n_nodes:,}"
    ax.set_title(f"{_METHOD_NAMES[method]}, {len(points):,}{total} nodes", loc="left")
    return ax


def _check_embedding(embedding: npt.ArrayLike, method: str) -> npt.NDArray[np.float64]:
    vectors = np.array(embedding, dtype=np.float64)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(
            f"embedding must be a 2-D array with at least one row and one column, "
            f"got shape {vectors.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise ValueError(f"embedding must be finite, got {vectors[bad[0]]!r} in row {bad[0]}")
    if method == "tsne" and len(vectors) < 4:
        raise ValueError(
            f"method='tsne' needs at least 4 rows, got {len(vectors)}; use method='pca'"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def _group_labels(labels: Any, label_names: Sequence[str] | None, n_nodes: int) -> _Classes:
    """Give each of the largest classes a group of its own; then "other" and "no label"."""
    if labels is None:
        return _Classes(np.zeros(n_nodes, dtype=np.int64), ["nodes"], [PALETTE[0]])
    codes, names = _encode_labels(labels)
    if len(codes) != n_nodes:
        raise ValueError(
            f"labels must have one row for each of the {n_nodes} rows of embedding, "
            f"got {len(codes)}"
        )
    if label_names is not None:
        if len(label_names) <= codes.max(initial=-1):
            raise ValueError(
                f"label_names must name label {codes.max()}, got {len(label_names)} names"
            )
        names = [str(name) for name in label_names]
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    largest = [int(c) for c in np.argsort(-sizes, kind="stable") if sizes[c]]
    named, rest = largest[: len(PALETTE)], largest[len(PALETTE) :]
    group_of = np.full(len(names) + 1, -1, dtype=np.int64)  # the last entry is for code -1
    group_of[named] = np.arange(len(named))
    group_names = [shorten(names[c]) for c in named]
    colors = list(PALETTE[: len(named)])
    if rest:
        group_of[rest] = len(group_names)
        group_names.append(f"{len(rest)} other{'s' if len(rest) > 1 else ''}")
        colors.append(_OTHER)
    if (codes < 0).any():
        group_of[-1] = len(group_names)
        group_names.append("no label")
        colors.append(_UNLABELLED)
    return _Classes(group_of[np.maximum(codes, -1)], group_names, colors)


def _encode_labels(labels: Any) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Turn labels of any accepted kind into one code a node, -1 = none, and the codes' names."""
    if sparse.issparse(labels) or np.ndim(labels) == 2:
        indicator = sparse.csr_array(labels, dtype=bool)
        sizes = indicator.sum(axis=0, dtype=np.int64)
        codes = np.full(indicator.shape[0], -1, dtype=np.int64)
        # from the rarest label to the most frequent one: the last to write wins
        for label in np.argsort(sizes, kind="stable"):
            codes[indicator[:, [label]].nonzero()[0]] = label
        return codes, [str(label) for label in range(indicator.shape[1])]
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"labels must be 1-D or 2-D, got shape {array.shape}")
    if array.dtype.kind in "iu":
        codes = np.maximum(array.astype(np.int64), -1)
        return codes, [str(label) for label in range(codes.max(initial=-1) + 1)]
    if array.dtype.kind not in "UOb":
        raise ValueError(f"labels must be whole numbers or strings, got dtype {array.dtype}")
    known = np.array([label is not None and label == label for label in array.tolist()], dtype=bool)
    codes = np.full(len(array), -1, dtype=np.int64)
    names, codes[known] = np.unique(array[known].astype(str), return_inverse=True)
    return codes, names.tolist()


def _project(
    vectors: npt.NDArray[np.float64], method: str, *, seed: int
) -> npt.NDArray[np.float64]:
    """Map the rows to two dimensions."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n_points, n_columns = vectors.shape
    n_kept = min(50 if method == "tsne" else 2, n_points, n_columns)
    if np.ptp(vectors, axis=0).max() == 0:  # all rows equal: PCA would divide by no variance
        reduced = np.zeros((n_points, n_kept))
    else:
        reduced = PCA(n_components=n_kept, random_state=seed).fit_transform(vectors)
    start = np.zeros((n_points, 2))
    start[:, : min(2, n_kept)] = reduced[:, :2]
    if method == "pca":
        return start
    spread = start[:, 0].std()
    tsne = TSNE(
        perplexity=min(30.0, (n_points - 1) / 3),
        init=start / spread * 1e-4 if spread > 0 else "random",
        random_state=seed,
    )
    # few points: threads would only wait for each other; the result does not depend on them
    with threadpool_limits(limits=1 if n_points < _MIN_POINTS_FOR_THREADS else None):
        points: npt.NDArray[np.float64] = tsne.fit_transform(reduced).astype(np.float64)
    return points


def _scatter(
    ax: "Axes",
    points: npt.NDArray[np.float64],
    group: npt.NDArray[np.int64],
    classes: _Classes,
    *,
    order: npt.NDArray[np.int64],
) -> None:
    """Draw grey points first, then the coloured ones in random order: no class hides another."""
    colors = np.array(classes.colors)
    grey = np.isin(colors, (_OTHER, _UNLABELLED))[group]
    size = float(np.clip(14_000 / len(points), 5.0, 110.0))
    for chosen in (order[grey[order]], order[~grey[order]]):
        ax.scatter(
            points[chosen, 0],
            points[chosen, 1],
            s=size,
            c=colors[group[chosen]],
            alpha=0.85,
            linewidths=0.3 if size > 20 else 0.0,
            edgecolors="white",
        )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal", adjustable="datalim")
    for side in ax.spines.values():
        side.set_color("#CCCCCC")


def _add_legend(ax: "Axes", classes: _Classes) -> None:
    """List the groups with their numbers of nodes, drawn or not, beside the axes."""
    lines = import_optional("matplotlib.lines", extra="plot")
    handles = [
        lines.Line2D([], [], linestyle="", marker="o", markersize=8, color=color)
        for color in classes.colors
    ]
    legend = ax.legend(
        handles,
        [str(g) for g in range(len(handles))],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        frameon=False,
        handletextpad=0.3,
    )
    # set afterwards: to legend() itself a name with a leading "_" or a "$" means something
    counts = np.bincount(classes.group)
    for text, name, count in zip(legend.get_texts(), classes.names, counts, strict=True):
        text.set_parse_math(False)
        text.set_text(f"{name} ({count:,})")

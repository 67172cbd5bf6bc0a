"""How a training went, and where a classifier errs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from graphembed._validation import check_params, import_optional, int_at_least, optional
from graphembed.plotting._style import PALETTE, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES: Final = {  # column of the history: panel, name, colour
    "train_loss": ("loss", "training", PALETTE[0]),
    "val_loss": ("loss", "validation", PALETTE[1]),
    "val_accuracy": ("accuracy", "validation", PALETTE[1]),
}


def plot_learning_curve(
    history: Mapping[str, Sequence[float]], *, best_epoch: int | None = None
) -> "tuple[Axes, ...]":
    """Draw loss and accuracy over the epochs.

    Parameters
    ----------
    history : mapping of str to sequence of float
        ``history_`` of a `NodeClassifier`: "epoch", "train_loss" and, where there were validation
        nodes, "val_loss" and "val_accuracy".
    best_epoch : int, optional
        An epoch to be marked, such as ``best_epoch_``.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The panel of the losses and, below it, that of the accuracy if there is one; to be saved by
        ``axes[0].figure.savefig(path)``.

    Raises
    ------
    ValueError
        If `history` lacks a column, or its columns differ in length; if `best_epoch` is no epoch.
    ImportError
        If matplotlib is not installed.
    """
    import_optional("matplotlib.figure", extra="plot")
    epochs, columns = _check_history(history, best_epoch)
    panels = dict.fromkeys(_LINES[name][0] for name in columns)
    figure = new_figure(7.0, 2.2 + 2.0 * len(panels))
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    axes = dict(zip(panels, rows, strict=True))
    for name, values in columns.items():
        panel, label, color = _LINES[name]
        axes[panel].plot(epochs, values, color=color, linewidth=1.6, label=label)
    for panel, ax in axes.items():
        ax.set_ylabel(panel)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.margins(x=0.01)
        if best_epoch is not None:
            ax.axvline(best_epoch, color="#666666", linestyle=":", label=f"epoch {best_epoch:,}")
    axes["loss"].set_ylim(bottom=0)
    axes["loss"].legend(frameon=False)
    list(axes.values())[-1].set_xlabel("epoch")
    axes["loss"].set_title(f"{len(epochs):,} epoch{'s' * (len(epochs) != 1)}", loc="left")
    return tuple(axes.values())


def _check_history(
    history: Mapping[str, Sequence[float]], best_epoch: int | None
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]:
    check_params(
        {"best_epoch": best_epoch},
        {"best_epoch": optional(int_at_least(1))},
        owner="plot_learning_curve",
    )
    for name in ("epoch", "train_loss"):
        if name not in history:
            raise ValueError(f"history must have {name!r}, got {', '.join(history) or 'nothing'}")
    epochs = np.asarray(history["epoch"], dtype=np.float64)
    columns = {k: np.asarray(history[k], dtype=np.float64) for k in _LINES if k in history}
    for name, values in columns.items():
        if values.shape != epochs.shape or values.ndim != 1 or not len(values):
            raise ValueError(
                f"history[{name!r}] must have one number for each epoch, got shape {values.shape} "
                f"and {epochs.shape} epochs"
            )
    if best_epoch is not None and best_epoch not in epochs:
        raise ValueError(f"best_epoch must be an epoch of history, got {best_epoch}")
    return epochs, columns


def plot_confusion_matrix(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    class_names: Mapping[Any, str] | Sequence[str] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how often each class was taken for each.

    Parameters
    ----------
    y_true : array-like of shape (n_nodes,)
        The true classes, of the nodes that are to be counted: ``y[test_mask]``. Nodes without one
        (None; NaN; -1 among integers) are left out.
    y_pred : array-like of shape (n_nodes,)
        The predicted classes of the same nodes.
    class_names : mapping of class to str, or sequence of str, optional
        What to call the classes; of a sequence the names of 0, 1, ...; default: as they are.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: the axes of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on: rows are true classes, columns predicted ones. A cell shows its number of
        nodes; its colour is their share of the row.

    Raises
    ------
    ValueError
        If the arrays differ in shape, or no node has a class.
    ImportError
        If matplotlib is not installed.
    """
    import_optional("matplotlib.figure", extra="plot")
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim == 1 and true.shape == predicted.shape:
        known = _has_class(true)
        true, predicted = true[known], predicted[known]
    if true.ndim != 1 or true.shape != predicted.shape or not len(true):
        raise ValueError(
            "y_true and y_pred must be 1-D, of the same length and not empty, got shapes "
            f"{true.shape} and {predicted.shape}"
        )
    classes, codes = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    k = len(classes)
    counts = np.bincount(codes[: len(true)] * k + codes[len(true) :], minlength=k * k)
    counts = counts.reshape(k, k)
    if ax is None:
        ax = new_figure(3.4 + 0.55 * k, 2.4 + 0.5 * k).add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        ax.text(
            column,
            row,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.55 else "black",
        )
    named = class_names if isinstance(class_names, Mapping) else dict(enumerate(class_names or ()))
    names = [shorten(str(named.get(c, c))) for c in classes.tolist()]
    ax.set_xticks(range(k), names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(k), names)
    for text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        text.set_parse_math(False)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    ax.set_title(f"{np.mean(true == predicted):.1%} of {len(true):,} nodes right", loc="left")
    return ax


def _has_class(y: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if y.dtype.kind in "iu":
        known: npt.NDArray[np.bool_] = y != -1
        return known
    return np.array([label is not None and label == label for label in y.tolist()], dtype=bool)

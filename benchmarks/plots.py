"""Pictures of the results."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt  # after the choice of the backend
from matplotlib.ticker import LogLocator, NullFormatter

Row = dict[str, Any]

# Okabe and Ito's colours, told apart with any eyes; ours is the strong one.
COLOURS = {
    "graphembed": "#d55e00",
    "our walks + gensim": "#0072b2",
    "gensim, no file": "#56b4e9",
    "hierarchical softmax": "#e69f00",
    "gensim hs, no file": "#0072b2",
    "LINE first": "#8c8c8c",
    "LINE second": "#444444",
    "LINE both": "#009e73",
    "grape": "#009e73",
    "torch_cluster": "#cc79a7",
    "torch_cluster + gensim": "#cc79a7",
    "fastnode2vec": "#e69f00",
    "csrgraph": "#56b4e9",
    "pecanpy": "#8c8c8c",
    "scikit-network": "#444444",
    "scipy": "#cc79a7",
    "polars + scipy": "#0072b2",
    "pyarrow + scipy": "#009e73",
    "pandas + scipy": "#e69f00",
    "networkx": "#8c8c8c",
    "PyG": "#0072b2",
    "PyG, CSR features": "#56b4e9",
    "graphembed, script": "#e69f00",
    "graphembed, dense x": "#8c8c8c",
}


def bars(
    path: Path,
    rows: Sequence[Row],
    *,
    group: Callable[[Row], str],
    value: Callable[[Row], float],
    label: str,
    note: Callable[[Row], str] = lambda row: "",
) -> None:
    """Horizontal bars on a logarithmic axis, grouped; what is written beside them is the value."""
    if not rows:
        return
    groups = list(dict.fromkeys(map(group, rows)))
    lines = len(rows) + 0.8 * len(groups)
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.19 * lines), layout="constrained")
    y, ticks, seen = 0.0, [], set()
    for name in groups:
        members = [row for row in rows if group(row) == name]
        ticks.append(y + (len(members) - 1) / 2)
        for row in members:
            who = row["contender"]
            axes.barh(
                y, value(row), height=0.85, color=COLOURS.get(who, "#000000"),
                label=None if who in seen else who,
            )  # fmt: skip
            seen.add(who)
            axes.text(value(row), y, f" {value(row):.3g}{note(row)}", va="center", fontsize=7)
            y += 1
        y += 0.8
    axes.set_yticks(ticks, groups, fontsize=8)
    axes.set_ylim(y - 0.5, -1)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    low, high = min(map(value, rows)), max(map(value, rows))
    axes.set_xlim(low / 2, high * (4 if any(map(note, rows)) else 2))
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    save(figure, path)


def plain_numbers(axis: Any) -> None:
    """0.1, 1, 20 rather than powers of ten, on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def save(figure: Any, path: Path) -> None:
    """Write the picture; no date in it, so that the same results give the same file."""
    figure.savefig(path.with_suffix(".png"), dpi=130, metadata={"Software": None})
    plt.close(figure)


def scatter(path: Path, rows: Sequence[Row]) -> None:
    """Seconds against micro-F1, one panel for each graph: up and to the left is better."""
    if not rows:
        return
    graphs = list(dict.fromkeys(row["graph"] for row in rows))
    figure, panels = plt.subplots(
        1, len(graphs), figsize=(5.5 * len(graphs), 4.2), squeeze=False, layout="constrained"
    )
    for axes, graph in zip(panels[0], graphs, strict=True):
        members = [row for row in rows if row["graph"] == graph]
        for row in members:
            axes.plot(
                row["wall_seconds"], row["micro_f1"], "o", label=row["contender"],
                color=COLOURS.get(row["contender"], "#000000"),
            )  # fmt: skip
        for row in members:
            x, y = row["wall_seconds"], row["micro_f1"]
            distance = {r["contender"]: abs(math.log(r["wall_seconds"] / x)) for r in members}
            near = min(members, key=lambda r: distance[r["contender"]] or math.inf)
            right, up = x >= near["wall_seconds"], y >= near["micro_f1"]  # away from it
            axes.annotate(
                f"{x:.3g} s, {y:.1f}", (x, y), xytext=(3 if right else -3, 5 if up else -11),
                textcoords="offset points", ha="left" if right else "right", fontsize=7,
            )  # fmt: skip
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
        axes.margins(x=0.25, y=0.15)
        axes.set_title(graph)
        axes.set_xlabel(f"seconds, {members[0]['threads']} threads")
        axes.grid(alpha=0.3, which="both")
    panels[0][0].set_ylabel("micro-F1 in %, half the nodes for training")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    save(figure, path)

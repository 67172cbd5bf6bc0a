"""What the benchmarks share: the machine's description, result files, generated graphs."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import graphembed
from graphembed import Graph

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Describe processor, cores and package versions."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    packages = {name: version(name) for name in ("numpy", "scipy", "gensim")}
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "graphembed": graphembed.__version__,
        **packages,
    }


def write_result(name: str, rows: list[dict[str, Any]]) -> Path:
    """Write the rows and the machine to results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    return path


def chung_lu(n_nodes: int, n_edges: int, *, exponent: float = 2.5, seed: int = 0) -> Graph:
    """Power-law graph: both ends of an edge drawn in proportion to a Pareto weight."""
    rng = np.random.default_rng(seed)
    weights = (np.arange(n_nodes) + 10.0) ** (-1.0 / (exponent - 1.0))
    cumulative = np.cumsum(weights / weights.sum())
    label = rng.permutation(n_nodes).astype(np.int32)
    keys = np.empty(0, np.int64)
    while len(keys) < n_edges:  # a repeated edge is dropped, so draw until there are enough
        ends = label[np.searchsorted(cumulative, rng.random((n_edges - len(keys), 2)))]
        low, high = ends.min(axis=1).astype(np.int64), ends.max(axis=1)
        keys = np.unique(np.concatenate([keys, (low * n_nodes + high)[low != high]]))
    edges = np.column_stack([keys // n_nodes, keys % n_nodes])
    del keys
    return Graph.from_edges(edges, nodes=range(n_nodes))

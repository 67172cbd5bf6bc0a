"""Quality and time beside gensim: the same walks, the same splits, in one run.

    GRAPHEMBED_DATA=... python benchmarks/quality.py [--splits 10] [--seeds 3] [--threads 4]

Node classification by the DeepWalk protocol at 50 % training nodes. For every setting and seed the
same walks are trained by graphembed and by gensim, one after the other. The paper's figures are
macro-F1 at 50 % from table 2 of Grover and Leskovec 2016.
"""

import argparse
import time
from typing import Any

import numpy as np
from common import write_result

from graphembed import Node2Vec
from graphembed.datasets import Dataset, load_blogcatalog, load_ppi
from graphembed.evaluation import node_classification

# (dataset, p, q, macro-F1 in the node2vec paper)
SETTINGS = [
    ("blogcatalog", 1.0, 1.0, 0.2110),
    ("blogcatalog", 0.25, 0.25, 0.2581),
    ("ppi", 1.0, 1.0, 0.1768),
    ("ppi", 4.0, 1.0, 0.1791),
]


def run(data: Dataset, p: float, q: float, trainer: str, seed: int, args: Any) -> dict[str, Any]:
    """Fit one model and score it."""
    model = Node2Vec(p=p, q=q, trainer=trainer, random_state=seed, n_jobs=args.threads)
    cpu, wall = time.process_time(), time.perf_counter()
    model.fit(data.graph)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    scores = node_classification(
        model.embedding_,
        data.labels,
        train_ratios=(0.5,),
        n_splits=args.splits,
        random_state=0,
        n_jobs=args.threads,
    )
    return {
        "dataset": data.name,
        "p": p,
        "q": q,
        "trainer": trainer,
        "seed": seed,
        "strategy": model.training_stats_["strategy"],
        "fit_seconds": round(wall, 2),
        "fit_cpu_seconds": round(cpu, 2),
        "micro_f1": scores.micro_f1[0].tolist(),
        "macro_f1": scores.macro_f1[0].tolist(),
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """One line: mean over seeds and splits, standard deviation over splits."""
    micro = 100 * np.array([row["micro_f1"] for row in rows])
    macro = 100 * np.array([row["macro_f1"] for row in rows])
    seconds = np.median([row["fit_seconds"] for row in rows])
    cpu = np.median([row["fit_cpu_seconds"] for row in rows])
    return (
        f"micro {micro.mean():5.2f} ({micro.std(axis=1).mean():.2f})  "
        f"macro {macro.mean():5.2f} ({macro.std(axis=1).mean():.2f})  "
        f"{seconds:6.1f} s, {cpu:6.1f} CPU s"
    )


def main() -> None:
    """Run all settings, print a table, write results/quality.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    args = parser.parse_args()
    datasets = {"blogcatalog": load_blogcatalog(), "ppi": load_ppi()}
    rows = []
    for name, p, q, paper in SETTINGS:
        print(f"{name}, p = {p}, q = {q} (macro-F1 in the node2vec paper: {100 * paper:.2f})")
        ours, peers = [], []
        for seed in range(args.seeds):
            ours.append(run(datasets[name], p, q, "graphembed", seed, args))
            peers.append(run(datasets[name], p, q, "gensim", seed, args))
        print(f"  graphembed  {summary(ours)}\n  gensim      {summary(peers)}", flush=True)
        rows += ours + peers
    print(f"written to {write_result('quality', rows)}")


if __name__ == "__main__":
    main()

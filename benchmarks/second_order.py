"""Second-order training of a GCN beside Adam: epochs and CPU time to the same validation loss.

    make bench BENCH=second_order [ARGS="--quick"]
    python benchmarks/second_order.py --protocol paper

"default": Kipf and Welling's GCN on the public splits, L2 on the first layer, dropout before both
layers, trained on the blocks that its labelled nodes read. Targets are the mean best validation
loss of Adam with lr 0.01 (T1) and of Adam with the best lr (T2); a run that does not reach one
counts as all its epochs. "complete": all nodes but 1000 labelled, to a loss of 0.50 on Cora.
"paper": Izadi et al. 2020, that is L2 on all parameters, dropout before the last layer alone, and
the test accuracy at the best validation loss, with and without the loss of pseudo-labels.
All contenders take turns, seed by seed, in one process on one thread. Time is CPU time of the
training steps alone.
"""

import statistics
import time
from typing import Any

import torch
from common import Row, common_options, parse, print_table, write_result
from torch.nn import functional as F  # noqa: N812

from graphembed.datasets import load_planetoid
from graphembed.nn import SparseMatrix
from graphembed.nn.models import GCN
from graphembed.nn.training import Part, evaluate, make_optimizer, parameter_groups
from graphembed.optim import KFACSGD, NGD, THOR, KFACAdam, pseudo_label_loss

EPOCHS = 200
ADAM_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
GAMMAS = {"cora": 1.0, "citeseer": 5.0, "pubmed": 1.0}  # best of Adam's on the validation nodes
SECOND_ORDER = {"kfac": KFACSGD, "ngd": NGD, "thor": THOR, "kfac-adam": KFACAdam}
# Name of a contender: optimizer, options.
DEFAULT: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"adam {lr}": ("adam", {"lr": lr}) for lr in ADAM_RATES},
    "sgd 0.01": ("sgd", {"lr": 0.01}),
    "kfac": ("kfac", {}),
    "kfac, every step": ("kfac", {"interval_growth": 1.0}),
    "kfac, blocks": ("kfac", {"method": "thor", "block_size": 32}),
    "kfac, empirical": ("kfac", {"fisher": "empirical"}),
    "kfac, expand": ("kfac", {"approx": "expand"}),
    "kfac-adam": ("kfac-adam", {"lr": 0.05, "damping": 1e-2}),
    "ngd": ("ngd", {}),
    "thor, no rule": ("thor", {"trace_rule": None, "interval_growth": 1.0}),
    "thor": ("thor", {}),
}
COMPLETE = {name: DEFAULT[name] for name in ("adam 0.01", "adam 0.05", "adam 0.1", "kfac", "thor")}
PAPER = {name: DEFAULT[name] for name in ("adam 0.01", "kfac", "kfac-adam")}


class PaperGCN(GCN):
    """Without dropout of the features."""

    def layer(self, k: int, x: Any, edges: Any) -> Any:
        """Apply a layer, the first one without dropout."""
        p, self.dropout.p = self.dropout.p, self.dropout.p if k else 0.0
        out = super().layer(k, x, edges)
        self.dropout.p = p
        return out


class Problem:
    """A dataset, and what each part of its nodes reads."""

    def __init__(self, name: str, protocol: str) -> None:
        split = "complete" if protocol == "complete" else "public"
        data = load_planetoid(name, split=split)
        self.name = name
        self.is_paper = protocol == "paper"
        self.x, self.edges = SparseMatrix.from_scipy(data.x), data.graph.to_adjacency()
        self.y, self.n_classes = torch.tensor(data.y), data.n_labels
        self.rows = {
            part: torch.tensor(getattr(data, f"{part}_mask")).nonzero()[:, 0]
            for part in ("train", "val", "test")
        }
        model = self.model()
        self.parts = {
            part: Part.of(model, self.x, self.edges, self.y, rows)
            for part, rows in self.rows.items()
        }

    def model(self) -> GCN:
        """A model with new parameters."""
        return (PaperGCN if self.is_paper else GCN)(self.x.shape[1], 16, self.n_classes)

    def loss(self, model: GCN, gamma: float | None, epoch: int) -> Any:
        """Cross-entropy of the labelled nodes, with `gamma` also of the predicted classes."""
        if gamma is None:
            part = self.parts["train"]
            return F.cross_entropy(part.logits(model), part.y)
        return pseudo_label_loss(
            model(self.x, self.edges), self.y, self.rows["train"],
            progress=epoch / EPOCHS, gamma=gamma,
        )  # fmt: skip


def make(problem: Problem, model: GCN, kind: str, options: dict[str, Any], seed: int) -> Any:
    """An optimizer; L2 as the protocol has it."""
    decay = "all" if problem.is_paper else "first"
    if kind not in SECOND_ORDER:
        return make_optimizer(model, kind, decay=decay, **options)
    groups = parameter_groups(model, weight_decay=5e-4, decay=decay)
    return SECOND_ORDER[kind](model, params=groups, seed=seed, **options)


def run(problem: Problem, contender: Any, seed: int, n_epochs: int, gamma: float | None) -> Row:
    """Train once; the loss and the accuracies after every epoch."""
    kind, options = contender
    torch.manual_seed(seed)
    model = problem.model()
    optimizer = make(problem, model, kind, options, seed)
    if gamma is not None and kind in SECOND_ORDER:
        optimizer.preconditioner.rows = problem.rows["train"]
    seconds, losses, tests, total = [], [], [], 0.0
    for epoch in range(1, n_epochs + 1):
        begin = time.process_time()
        model.train()
        optimizer.zero_grad()
        loss = problem.loss(model, gamma, epoch)
        loss.backward()
        optimizer.step()
        total += time.process_time() - begin
        seconds.append(total)
        losses.append(evaluate(model, problem.parts["val"])[0])
        tests.append(evaluate(model, problem.parts["test"])[1])
    row: Row = {"seconds": seconds, "val_loss": losses, "test": tests}
    if kind in SECOND_ORDER:
        blocks = optimizer.preconditioner.blocks
        row["updates"] = sum(block.n_updates for block in blocks) / len(blocks)
    return row


def summary(runs: list[Row], targets: list[float]) -> Row:
    """Medians over the seeds; means of the best loss and of the accuracy at it."""
    best = [min(range(len(r["val_loss"])), key=r["val_loss"].__getitem__) for r in runs]
    accuracy = [r["test"][k] for r, k in zip(runs, best, strict=True)]
    first = [r["seconds"][0] for r in runs]
    later = [(r["seconds"][-1] - r["seconds"][0]) / max(1, len(r["seconds"]) - 1) for r in runs]
    row: Row = {
        "best_val_loss": statistics.mean(min(r["val_loss"]) for r in runs),
        "at_epoch": statistics.mean(best) + 1,
        "test": statistics.mean(accuracy),
        "test_std": statistics.pstdev(accuracy),
        "ms_per_epoch": 1e3 * statistics.median(later),
        "ms_first": 1e3 * statistics.median(first),
        "updates": statistics.mean(r["updates"] for r in runs) if "updates" in runs[0] else None,
    }
    for name, target in zip(("t1", "t2"), targets, strict=False):
        hits = [
            next((k for k, loss in enumerate(r["val_loss"]) if loss <= target), None) for r in runs
        ]
        ends = [len(r["seconds"]) - 1 if k is None else k for r, k in zip(runs, hits, strict=True)]
        row[name] = target
        row[f"hits_{name}"] = sum(k is not None for k in hits)
        row[f"epochs_{name}"] = statistics.median(EPOCHS if k is None else k + 1 for k in hits)
        row[f"ms_{name}"] = 1e3 * statistics.median(
            r["seconds"][k] for r, k in zip(runs, ends, strict=True)
        )
    return row


def compare(name: str, protocol: str, n_seeds: int, n_epochs: int) -> list[Row]:
    """All contenders on one dataset, seed by seed."""
    problem = Problem(name, protocol)
    table = {"default": DEFAULT, "complete": COMPLETE, "paper": PAPER}[protocol]
    contenders = {label: (contender, None) for label, contender in table.items()}
    if protocol == "paper":
        gamma = GAMMAS[name]
        contenders |= {f"{k}, gamma {gamma:g}": (c, gamma) for k, (c, _) in contenders.items()}
    runs: dict[str, list[Row]] = {label: [] for label in contenders}
    run(problem, table["kfac"], 0, 3, None)  # warm
    for seed in range(n_seeds):
        for label, (contender, gamma) in contenders.items():
            runs[label].append(run(problem, contender, seed, n_epochs, gamma))
    means = {k: statistics.mean(min(r["val_loss"]) for r in found) for k, found in runs.items()}
    targets = [means["adam 0.01"], min(v for k, v in means.items() if k.startswith("adam"))]
    if protocol == "complete":
        targets = [0.5] if name == "cora" else targets[:1]
    if protocol == "paper":
        targets = []
    return [
        {
            "protocol": protocol, "dataset": name, "contender": label, "seeds": n_seeds,
            **summary(found, targets),
        }
        for label, found in runs.items()
    ]  # fmt: skip


def print_rows(rows: list[Row]) -> None:
    """One line for each contender."""
    header = ["contender", "val loss", "at", "test %", "+-", "ms/epoch", "first", "updates"]
    names = [name for name in ("t1", "t2") if name in rows[0]]
    for name in names:
        header += [f"hits {name}", "epochs", "ms"]
    cells = []
    for row in rows:
        line = [
            row["contender"], f"{row['best_val_loss']:.4f}", round(row["at_epoch"]),
            f"{100 * row['test']:.2f}", f"{100 * row['test_std']:.2f}",
            f"{row['ms_per_epoch']:.2f}", f"{row['ms_first']:.0f}",
            "" if row["updates"] is None else f"{row['updates']:.0f}",
        ]  # fmt: skip
        for name in names:
            line += [row[f"hits_{name}"], row[f"epochs_{name}"], f"{row[f'ms_{name}']:.0f}"]
        cells.append(line)
    targets = ", ".join(f"{name} {rows[0][name]:.4f}" for name in names)
    print(f"\n{rows[0]['dataset']}, {rows[0]['protocol']}, {rows[0]['seeds']} seeds. {targets}")
    print_table(header, cells)


def main() -> None:
    """Run the protocols, print a table for each dataset, write results/second_order.json."""
    parser = common_options(__doc__)
    parser.add_argument("--protocol", choices=("default", "complete", "paper"), nargs="*")
    parser.add_argument("--dataset", choices=tuple(GAMMAS), nargs="*")
    parser.add_argument("--seeds", type=int, default=10)
    args = parse(parser)
    torch.set_num_threads(1)
    n_seeds, n_epochs = (2, 30) if args.quick else (args.seeds, EPOCHS)
    rows: list[Row] = []
    for protocol in args.protocol or ("default", "complete", "paper"):
        for name in args.dataset or ("cora", "citeseer"):
            found = compare(name, protocol, n_seeds, n_epochs)
            print_rows(found)
            rows += found
            path = write_result("second_order", rows, args)
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()

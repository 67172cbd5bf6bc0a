"""The arguments of the command `graphembed`; nothing here imports what does the work."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from graphembed._validation import float_in, int_at_least, n_jobs_like
from graphembed._version import __version__
from graphembed.cli._recsys_options import add_recsys_commands
from graphembed.cli._values import COUNT, FRACTION, POSITIVE, checked

DATASETS: Final = ("python-imports", "karate", "blogcatalog", "ppi", "facebook", "lastfm")
NODE_DATASETS: Final = (
    "cora",
    "citeseer",
    "pubmed",
    "amazon-computers",
    "amazon-photo",
    "coauthor-cs",
    "coauthor-physics",
    "actor",
)
_TASKS: Final = ("node-classification", "link-prediction")
_WALKS: Final = ("walk_length", "n_walks", "window", "loss", "epochs", "trainer")
METHODS: Final = {  # the options of each that not all have
    "node2vec": ("p", "q", *_WALKS),
    "deepwalk": _WALKS,
    "line": ("order", "n_samples"),
}
LOSSES: Final = {"ns": ("negative",), "hs": ()}  # likewise
_GRAPH_HELP: Final = "edge list (csv, tsv or blank-separated, plain or .gz) or saved graph"


class Parser(argparse.ArgumentParser):
    """A parser whose usage errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"graphembed: error: {message} (try: {self.prog} --help)\n")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show every default, except a None: there the help says what happens."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        prog="graphembed",
        description="Embed graphs: Node2Vec, DeepWalk and LINE vectors from an edge list.",
    )
    parser.add_argument("--version", action="version", version=f"graphembed {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_: str) -> Parser:
        command = commands.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            formatter_class=_HelpFormatter,
        )
        command.add_argument(
            "--verbose", action="store_true", help="show progress bars and log messages on stderr"
        )
        command.add_argument(
            "--debug", action="store_true", help="show the traceback when the command fails"
        )
        return command

    embed = add("embed", "learn a vector for every node of a graph")
    embed.add_argument("edges", metavar="EDGES", type=Path, help=_GRAPH_HELP)
    embed.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        help="where to, by suffix: .csv .tsv .npz .parquet, .txt .w2v (word2vec text), "
        ".bin (word2vec binary), .gemb (graphembed model)",
    )
    embed.add_argument(
        "--update",
        metavar="MODEL",
        type=Path,
        help="a .gemb model whose graph has grown to EDGES: only what has changed is trained",
    )
    add_graph_options(embed)
    add_training_options(embed)
    add_run_options(embed)

    evaluate = add("evaluate", "score vectors by node classification or link prediction")
    evaluate.add_argument(
        "target",
        metavar="TARGET",
        help=f"node classification: a dataset ({', '.join(DATASETS)}), which is embedded first, "
        "or a file of vectors as written by embed; link prediction: a dataset or an edge list, "
        "which is embedded without the edges to be predicted",
    )
    evaluate.add_argument(
        "labels",
        metavar="LABELS",
        nargs="?",
        type=Path,
        help="with a file of vectors: lines of a node id and a label",
    )
    evaluate.add_argument("--task", choices=_TASKS, default=_TASKS[0], help="what is scored")
    add_evaluation_options(evaluate)
    add_graph_options(evaluate)
    add_training_options(evaluate)
    add_run_options(evaluate)

    info = add("info", "print the size, degrees and components of a graph")
    info.add_argument("graph", metavar="GRAPH", type=Path, help=_GRAPH_HELP)
    add_graph_options(info)

    train = add("train", "classify the nodes of a dataset by a graph neural network")
    add_model_options(train)
    add_run_options(train)

    add_recsys_commands(add, add_run_options)

    demo = add("demo", "embed, evaluate and draw a real graph")
    demo.add_argument(
        "--dataset",
        choices=DATASETS,
        default=DATASETS[0],
        help="the graph; the first two need no download",
    )
    demo.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("graphembed-demo"),
        help="where the picture goes",
    )
    add_run_options(demo)
    return parser, commands.choices


def given_names(parser: Parser, command: Parser, argv: Sequence[str] | None) -> set[str]:
    """Names of the arguments that the command line itself has, be it with a default value.

    The defaults of `command` are lost.
    """
    absent = object()
    names = vars(parser.parse_args(argv))
    command.set_defaults(**dict.fromkeys(names, absent))
    given = vars(parser.parse_args(argv))
    return {name for name in names if given[name] is not absent}


def add_graph_options(parser: Parser) -> None:
    group = parser.add_argument_group("the edge list")
    group.add_argument("--directed", action="store_true", help="edges have a direction")
    group.add_argument(
        "--weighted",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use the weights, if there are any",
    )
    group.add_argument(
        "--source",
        metavar="NAME",
        help="source column (default: a known name, else the first)",
    )
    group.add_argument(
        "--target",
        metavar="NAME",
        dest="target_column",
        help="target column (default: a known name, else the second)",
    )
    group.add_argument(
        "--weight",
        metavar="NAME",
        default="weight",
        help="weight column; without a header the third, if there is one",
    )
    group.add_argument(
        "--format",
        choices=("auto", "csv", "tsv", "space"),
        default="auto",
        help="what separates the columns",
    )


def add_training_options(parser: Parser) -> None:
    group = parser.add_argument_group("walks and training")
    add = group.add_argument
    add("--method", choices=tuple(METHODS), default="node2vec", help="the model")
    add("--p", metavar="X", type=POSITIVE, default=1.0, help="return parameter of node2vec")
    add("--q", metavar="X", type=POSITIVE, default=1.0, help="in-out parameter of node2vec")
    add("--n-components", metavar="N", type=COUNT, default=128, help="length of a vector")
    add("--walk-length", metavar="N", type=COUNT, default=80, help="nodes of a walk")
    add("--n-walks", metavar="N", type=COUNT, default=10, help="walks from every node")
    add("--window", metavar="N", type=COUNT, default=10, help="context on each side of a node")
    add(
        "--loss",
        choices=tuple(LOSSES),
        default="ns",
        help="negative sampling or hierarchical softmax",
    )
    add("--negative", metavar="N", type=COUNT, default=5, help="negative samples a pair")
    add("--epochs", metavar="N", type=COUNT, default=1, help="passes, each with new walks")
    add("--order", choices=("both", "first", "second"), default="both", help="proximity of line")
    add("--n-samples", metavar="N", type=COUNT, help="edges of line (default: 75 for every arc)")
    add(
        "--trainer",
        choices=("graphembed", "gensim"),
        default="graphembed",
        help="who trains on the walks",
    )


def add_model_options(parser: Parser) -> None:
    """Add what `train` has; None is left to the recipe of the model."""
    add = parser.add_argument
    add("--dataset", choices=NODE_DATASETS, default="cora", help="the graph, with its split")
    add(
        "--split",
        choices=("public", "full", "complete", "random"),
        default="public",
        help="cora, citeseer and pubmed: which nodes train, validate and test",
    )
    add("--model", choices=("gcn", "cheb", "gat", "sage"), default="gcn", help="the model")
    add("--hidden", metavar="N", type=COUNT, help="width of the hidden layers (default: 16 or 64)")
    add("--n-layers", metavar="N", type=COUNT, default=2, help="number of layers")
    add(
        "--dropout",
        metavar="X",
        type=checked(float, float_in(0, 1, "left")),
        help="dropout before every layer (default: 0.5, of gat 0.6)",
    )
    add("--heads", metavar="N", type=COUNT, help="attention heads of gat (default: 8)")
    add("--K", metavar="N", type=COUNT, help="polynomials of cheb (default: 3)")
    add(
        "--optimizer",
        choices=("adam", "adamw", "sgd", "kfac", "ngd", "thor"),
        default="adam",
        help="how parameters are changed",
    )
    add(
        "--lr",
        metavar="X",
        type=POSITIVE,
        help="step size (default: 0.01, of gat 0.005; of kfac and thor 0.05, of ngd 0.1)",
    )
    add(
        "--weight-decay",
        metavar="X",
        type=checked(float, float_in(0, 1e6)),
        help="L2 penalty (default: 5e-4)",
    )
    add(
        "--epochs",
        metavar="N",
        type=COUNT,
        help="epochs at most (default: 200, with early stopping of gat 1000)",
    )
    add(
        "--early-stopping",
        choices=("loss", "accuracy", "both", "no"),
        help="keep the best epoch on the validation nodes (default: no, of gat both)",
    )
    add(
        "--patience",
        metavar="N",
        type=COUNT,
        default=100,
        help="with early stopping: epochs to wait",
    )
    add("--batch-size", metavar="N", type=COUNT, help="train in batches (default: all at once)")
    add("--device", metavar="NAME", default="auto", help="cpu, cuda, cuda:1, ...")
    add("-o", "--output", metavar="OUT", type=Path, help="where the model goes (.safetensors)")
    add(
        "--predictions",
        metavar="OUT",
        type=Path,
        help="where the predicted classes of all nodes go, .csv or .tsv (default: nowhere)",
    )


def add_evaluation_options(parser: Parser) -> None:
    group = parser.add_argument_group("evaluation")
    group.add_argument(
        "--train-ratios",
        metavar="X",
        nargs="+",
        type=FRACTION,
        default=[0.1, 0.5, 0.9],
        help="node classification: fractions of the labelled nodes to learn from",
    )
    group.add_argument(
        "--n-splits",
        metavar="N",
        type=COUNT,
        default=10,
        help="node classification: random splits for every ratio",
    )
    group.add_argument(
        "--test-fraction",
        metavar="X",
        type=FRACTION,
        default=0.5,
        help="link prediction: fraction of the edges to remove and predict",
    )


def add_run_options(parser: Parser) -> None:
    parser.add_argument(
        "--seed",
        metavar="N",
        type=checked(int, int_at_least(0)),
        default=0,
        help="the same seed gives the same result, for any number of threads",
    )
    parser.add_argument(
        "--n-jobs",
        metavar="N",
        type=checked(int, n_jobs_like()),
        default=-1,
        help="threads; -1 means all cores",
    )

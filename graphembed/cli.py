"""The command `graphembed`: arguments in, lines out; the work is done in the modules below.

Exit codes: 0 done, 1 failed (bad input, files), 2 wrong usage, 130 interrupted by Ctrl-C.
"""

import argparse
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from graphembed._validation import (
    Constraint,
    float_in,
    int_at_least,
    n_jobs_like,
    positive_float,
)
from graphembed._version import __version__

# The names are repeated here so that --help need not import what does the work.
_DATASETS: Final = ("python-imports", "karate", "blogcatalog", "ppi", "facebook", "lastfm")
_TASKS: Final = ("node-classification", "link-prediction")
# What a bad input or a broken file raises; anything else is a fault of ours and shows its trace.
_EXPECTED_ERRORS: Final = (
    ValueError,
    TypeError,
    KeyError,
    OSError,
    ImportError,
    NotImplementedError,
    MemoryError,
)
_GRAPH_HELP: Final = "edge list (csv, tsv or blank-separated, plain or .gz) or saved graph"


class _Parser(argparse.ArgumentParser):
    """A parser whose usage errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"graphembed: error: {message} (try: {self.prog} --help)\n")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Show every default, except a None: there the help says what happens."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default: those of this process.

    Returns
    -------
    int
        The exit code: 0, 1 or 130. Wrong usage raises SystemExit(2), as argparse does.
    """
    parser, subparsers = _build_parser()
    args = parser.parse_args(argv)
    try:
        with _messages(verbose=args.verbose):
            args.run(args, subparsers[args.command])
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("graphembed: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # whoever read our output has left; keep Python from flushing into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _EXPECTED_ERRORS as error:
        if args.debug:
            raise
        print(f"graphembed: error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _messages(*, verbose: bool) -> Iterator[None]:
    """Show warnings, and with `verbose` the log, as single lines on stderr."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"graphembed: warning: {message}", file=sys.stderr)

    logger = logging.getLogger("graphembed")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("graphembed: %(message)s"))
    level = logger.level
    if verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        text = f"out of memory: {error}" if str(error) else "out of memory"
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


# -- Arguments -------------------------------------------------------------------------------


def _checked(read: Callable[[str], Any], constraint: Constraint) -> Callable[[str], Any]:
    """Make a `type=` that reads a number and checks it before any work is done."""

    def parse(text: str) -> Any:
        try:
            value = read(text)
        except ValueError:
            value = None
        if value is None or not constraint.holds(value):
            raise argparse.ArgumentTypeError(f"must be {constraint.wish}, got {text!r}")
        return value

    return parse


_COUNT: Final = _checked(int, int_at_least(1))
_POSITIVE: Final = _checked(float, positive_float())
_FRACTION: Final = _checked(float, float_in(0, 1, "neither"))


def _build_parser() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="graphembed",
        description="Embed graphs: Node2Vec and DeepWalk vectors from an edge list.",
    )
    parser.add_argument("--version", action="version", version=f"graphembed {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace, _Parser], None], help_: str) -> _Parser:
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
        command.set_defaults(run=run)
        return command

    embed = add("embed", _embed, "learn a vector for every node of a graph")
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
    _add_graph_options(embed)
    _add_training_options(embed)
    _add_run_options(embed)

    evaluate = add("evaluate", _evaluate, "score vectors by node classification or link prediction")
    evaluate.add_argument(
        "target",
        metavar="TARGET",
        help=f"node classification: a dataset ({', '.join(_DATASETS)}), which is embedded first, "
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
    _add_evaluation_options(evaluate)
    _add_graph_options(evaluate)
    _add_training_options(evaluate)
    _add_run_options(evaluate)

    info = add("info", _info, "print the size, degrees and components of a graph")
    info.add_argument("graph", metavar="GRAPH", type=Path, help=_GRAPH_HELP)
    _add_graph_options(info)

    demo = add("demo", _demo, "embed, evaluate and draw a real graph")
    demo.add_argument(
        "--dataset",
        choices=_DATASETS,
        default=_DATASETS[0],
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
    _add_run_options(demo)
    return parser, commands.choices


def _add_graph_options(parser: _Parser) -> None:
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


def _add_training_options(parser: _Parser) -> None:
    group = parser.add_argument_group("walks and training")
    add = group.add_argument
    add("--method", choices=("node2vec", "deepwalk"), default="node2vec", help="the model")
    add("--p", metavar="X", type=_POSITIVE, default=1.0, help="return parameter of node2vec")
    add("--q", metavar="X", type=_POSITIVE, default=1.0, help="in-out parameter of node2vec")
    add("--n-components", metavar="N", type=_COUNT, default=128, help="length of a vector")
    add("--walk-length", metavar="N", type=_COUNT, default=80, help="nodes of a walk")
    add("--n-walks", metavar="N", type=_COUNT, default=10, help="walks from every node")
    add("--window", metavar="N", type=_COUNT, default=10, help="context on each side of a node")
    add("--negative", metavar="N", type=_COUNT, default=5, help="negative samples a pair")
    add("--epochs", metavar="N", type=_COUNT, default=1, help="passes, each with new walks")
    add(
        "--trainer",
        choices=("graphembed", "gensim"),
        default="graphembed",
        help="who trains on the walks",
    )


def _add_evaluation_options(parser: _Parser) -> None:
    group = parser.add_argument_group("evaluation")
    group.add_argument(
        "--train-ratios",
        metavar="X",
        nargs="+",
        type=_FRACTION,
        default=[0.1, 0.5, 0.9],
        help="node classification: fractions of the labelled nodes to learn from",
    )
    group.add_argument(
        "--n-splits",
        metavar="N",
        type=_COUNT,
        default=10,
        help="node classification: random splits for every ratio",
    )
    group.add_argument(
        "--test-fraction",
        metavar="X",
        type=_FRACTION,
        default=0.5,
        help="link prediction: fraction of the edges to remove and predict",
    )


def _add_run_options(parser: _Parser) -> None:
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_checked(int, int_at_least(0)),
        default=0,
        help="the same seed gives the same result, for any number of threads",
    )
    parser.add_argument(
        "--n-jobs",
        metavar="N",
        type=_checked(int, n_jobs_like()),
        default=-1,
        help="threads; -1 means all cores",
    )


# -- Commands --------------------------------------------------------------------------------


def _embed(args: argparse.Namespace, parser: _Parser) -> None:
    from graphembed import _files

    _check_method(args, parser)
    _files.check_output(args.output, source=args.edges)
    model = _make_estimator(args).fit(_read_graph(args, args.edges))
    _files.write_fitted(args.output, model)
    stats = model.training_stats_
    n_nodes, n_components = model.embedding_.shape
    print(
        f"{args.output}: {n_nodes:,} vectors of {n_components} components "
        f"({stats['n_pairs']:,} pairs trained in {stats['train_seconds']:.1f} s)"
    )


def _evaluate(args: argparse.Namespace, parser: _Parser) -> None:
    _check_method(args, parser)
    if args.task == "link-prediction":
        _evaluate_links(args, parser)
    elif args.labels is not None:
        _evaluate_file(args, parser)
    else:
        _evaluate_dataset(args, parser)


def _evaluate_file(args: argparse.Namespace, parser: _Parser) -> None:
    from graphembed import _files

    reason = "the vectors of EMBEDDING are trained already"
    _refuse(args, parser, [_add_graph_options, _add_training_options], reason)
    _refuse_option(args, parser, "test_fraction", "it belongs to --task link-prediction")
    node_ids, embedding = _files.read_embedding(Path(args.target))
    labels = _files.read_labels(args.labels, node_ids)
    _print_node_scores(args, embedding, labels.indicator)


def _evaluate_dataset(args: argparse.Namespace, parser: _Parser) -> None:
    from graphembed.demo import load_dataset

    if args.target not in _DATASETS:
        raise ValueError(
            f"{args.target!r} is no dataset ({', '.join(_DATASETS)}); "
            "to score a file of vectors, name the file of LABELS after it"
        )
    _refuse(args, parser, [_add_graph_options], "a dataset is no edge list")
    _refuse_option(args, parser, "test_fraction", "it belongs to --task link-prediction")
    data = load_dataset(args.target)
    model = _make_estimator(args).fit(data.graph)
    _print_node_scores(args, model.embedding_, data.labels)


def _evaluate_links(args: argparse.Namespace, parser: _Parser) -> None:
    from graphembed.demo import load_dataset
    from graphembed.evaluation import link_prediction, split_edges

    if args.labels is not None:
        parser.error("LABELS is not used by --task link-prediction")
    for name in ("train_ratios", "n_splits"):
        _refuse_option(args, parser, name, "it belongs to --task node-classification")
    if args.target in _DATASETS and not Path(args.target).exists():
        _refuse(args, parser, [_add_graph_options], "a dataset is no edge list")
        graph = load_dataset(args.target).graph
    else:
        graph = _read_graph(args, Path(args.target))
    split = split_edges(graph, test_fraction=args.test_fraction, random_state=args.seed)
    model = _make_estimator(args).fit(split.train_graph)
    print(link_prediction(model.embedding_, split, random_state=args.seed))


def _info(args: argparse.Namespace, parser: _Parser) -> None:
    from graphembed._summary import summarize

    print(summarize(_read_graph(args, args.graph)))


def _demo(args: argparse.Namespace, parser: _Parser) -> None:
    from graphembed.demo import run_demo

    run_demo(
        args.dataset,
        args.output,
        random_state=args.seed,
        n_jobs=args.n_jobs,
        verbose=int(args.verbose),
        echo=lambda line: print(line, flush=True),
    )


def _check_method(args: argparse.Namespace, parser: _Parser) -> None:
    if args.method == "deepwalk":
        for name in ("p", "q"):
            _refuse_option(args, parser, name, "it belongs to --method node2vec")


def _refuse(
    args: argparse.Namespace,
    parser: _Parser,
    groups: Sequence[Callable[[_Parser], None]],
    reason: str,
) -> None:
    """Accept no option that would have no effect."""
    for add_options in groups:
        probe = _Parser(add_help=False)
        add_options(probe)
        for name in vars(probe.parse_args([])):
            _refuse_option(args, parser, name, reason)


def _refuse_option(args: argparse.Namespace, parser: _Parser, name: str, reason: str) -> None:
    if getattr(args, name) != parser.get_default(name):
        flag = "--" + name.removesuffix("_column").replace("_", "-")
        parser.error(f"argument {flag} has no effect here: {reason}")


def _read_graph(args: argparse.Namespace, path: Path) -> Any:
    from graphembed import _files

    return _files.read_graph(
        path,
        directed=args.directed,
        weighted=args.weighted,
        source=args.source,
        target=args.target_column,
        weight=args.weight,
        file_format=args.format,
    )


def _make_estimator(args: argparse.Namespace) -> Any:
    from graphembed.estimators import DeepWalk, Node2Vec

    names = ["n_components", "walk_length", "n_walks", "window", "negative", "epochs", "trainer"]
    params = {name: getattr(args, name) for name in names}
    params |= {"random_state": args.seed, "n_jobs": args.n_jobs, "verbose": int(args.verbose)}
    if args.method == "deepwalk":
        return DeepWalk(**params)
    return Node2Vec(**params, p=args.p, q=args.q)


def _print_node_scores(args: argparse.Namespace, embedding: Any, labels: Any) -> None:
    from graphembed.evaluation import node_classification

    result = node_classification(
        embedding,
        labels,
        train_ratios=args.train_ratios,
        n_splits=args.n_splits,
        random_state=args.seed,
        n_jobs=args.n_jobs,
    )
    print(result)


if __name__ == "__main__":
    raise SystemExit(main())

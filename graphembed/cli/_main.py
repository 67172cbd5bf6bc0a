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
from typing import Any, Final, TextIO

from graphembed.cli._options import (
    DATASETS,
    LOSSES,
    METHODS,
    Parser,
    add_graph_options,
    add_training_options,
    build_parser,
    given_names,
)
from graphembed.cli._recsys_options import add_table_options

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
    parser, subparsers = build_parser()
    args = parser.parse_args(argv)
    args.given = given_names(parser, subparsers[args.command], argv)
    try:
        with _messages(verbose=args.verbose):
            _COMMANDS[args.command](args, subparsers[args.command])
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


def _embed(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.cli import _files
    from graphembed.io import check_node_ids

    if args.update is None:
        _check_choices(args, parser)
    else:
        reason = "the model has its own"
        _refuse(args, parser, [add_training_options], reason)
        _refuse_option(args, parser, "seed", reason)
    _files.check_output(args.output, source=args.edges)
    model = _make_estimator(args) if args.update is None else _files.read_growing(args.update)
    graph = _read_graph(args, args.edges)
    check_node_ids(args.output, graph.node_ids)
    if args.update is None:
        model.fit(graph)
    else:
        model.set_params(n_jobs=args.n_jobs, verbose=int(args.verbose)).partial_fit(graph)
    _files.write_fitted(args.output, model)
    n_nodes, n_components = model.embedding_.shape
    print(
        f"{args.output}: {n_nodes:,} vectors of {n_components} components "
        f"({_summary(model.training_stats_)})"
    )


def _summary(stats: dict[str, Any]) -> str:
    if "n_new" in stats:
        return f"{stats['n_new']:,} new, {stats['n_trained']:,} trained"
    # another trainer does not tell how many pairs it made
    pairs = "" if stats["n_pairs"] is None else f"{stats['n_pairs']:,} pairs "
    return f"{pairs}trained in {stats['train_seconds']:.1f} s"


def _evaluate(args: argparse.Namespace, parser: Parser) -> None:
    _check_choices(args, parser)
    if args.task == "link-prediction":
        _evaluate_links(args, parser)
    elif args.labels is not None:
        _evaluate_file(args, parser)
    else:
        _evaluate_dataset(args, parser)


def _evaluate_file(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.cli import _files
    from graphembed.io import read_embedding

    reason = "the vectors of TARGET are trained already"
    _refuse(args, parser, [add_graph_options, add_training_options], reason)
    _refuse_option(args, parser, "test_fraction", "it belongs to --task link-prediction")
    node_ids, embedding = read_embedding(Path(args.target))
    labels = _files.read_labels(args.labels, node_ids)
    _print_node_scores(args, embedding, labels.indicator)


def _evaluate_dataset(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.demo import load_dataset

    if args.target not in DATASETS:
        raise ValueError(
            f"{args.target!r} is no dataset ({', '.join(DATASETS)}); "
            "to score a file of vectors, name the file of LABELS after it"
        )
    _refuse(args, parser, [add_graph_options], "a dataset is no edge list")
    _refuse_option(args, parser, "test_fraction", "it belongs to --task link-prediction")
    data = load_dataset(args.target)
    model = _make_estimator(args).fit(data.graph)
    _print_node_scores(args, model.embedding_, data.labels)


def _evaluate_links(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.demo import load_dataset
    from graphembed.evaluation import link_prediction, split_edges

    if args.labels is not None:
        parser.error("LABELS is not used by --task link-prediction")
    for name in ("train_ratios", "n_splits"):
        _refuse_option(args, parser, name, "it belongs to --task node-classification")
    if args.target in DATASETS and not Path(args.target).exists():
        _refuse(args, parser, [add_graph_options], "a dataset is no edge list")
        graph = load_dataset(args.target).graph
    else:
        graph = _read_graph(args, Path(args.target))
    split = split_edges(graph, test_fraction=args.test_fraction, random_state=args.seed)
    model = _make_estimator(args).fit(split.train_graph)
    print(link_prediction(model.embedding_, split, random_state=args.seed))


def _info(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.cli._summary import summarize

    print(summarize(_read_graph(args, args.graph)))


def _train(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.cli._train import train

    if not args.dataset.startswith(("cora", "citeseer", "pubmed")):
        _refuse_option(args, parser, "split", f"{args.dataset} has random splits only")
    for option, model in (("heads", "gat"), ("K", "cheb")):
        if args.model != model:
            _refuse_option(args, parser, option, f"it belongs to --model {model}")
    stops = args.early_stopping or ("both" if args.model == "gat" else "no")
    if stops == "no":
        _refuse_option(args, parser, "patience", "it belongs to --early-stopping")
    if args.n_layers == 1:
        for option in ("hidden", "heads"):
            _refuse_option(args, parser, option, "a model of one layer has no hidden one")
    train(args)


def _recommend(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.cli import _recsys

    if _recsys.is_saved(args.source):
        reason = "the model is fitted already"
        _refuse(args, parser, [add_table_options], reason)
        for name in ("model", "params", "save", "seed"):
            _refuse_option(args, parser, name, reason)
    else:
        _refuse_columns(args, parser, args.source)
    _recsys.recommend(args)


def _compare(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.cli import _recsys

    _refuse_columns(args, parser, args.table)
    if args.test is not None:
        for name in ("split", "test_fraction"):
            _refuse_option(args, parser, name, "--test holds the test part")
    elif args.split == "leave-one-out":
        for name in ("test_fraction", "val_fraction"):
            _refuse_option(args, parser, name, "leave-one-out takes one of each user")
    _recsys.evaluate(args)


def _refuse_columns(args: argparse.Namespace, parser: Parser, path: Path) -> None:
    from graphembed.cli._recsys import format_of

    kind = format_of(path, args.format)
    if kind in ("lightgcn", "movielens"):
        for name in ("user", "item", "rating", "time"):
            _refuse_option(args, parser, name, f"a file of the format {kind} has no named columns")
    if kind == "lightgcn":
        _refuse_option(args, parser, "min_rating", f"a file of the format {kind} has no ratings")
    elif kind in ("csv", "parquet") and args.rating is None:
        _refuse_option(args, parser, "min_rating", "--rating must name the column of the ratings")


def _demo(args: argparse.Namespace, parser: Parser) -> None:
    from graphembed.demo import run_demo

    run_demo(
        args.dataset,
        args.output,
        random_state=args.seed,
        n_jobs=args.n_jobs,
        verbose=int(args.verbose),
        echo=lambda line: print(line, flush=True),
    )


def _check_choices(args: argparse.Namespace, parser: Parser) -> None:
    """Accept no option that the chosen method or loss does not use."""
    for choice, table in (("method", METHODS), ("loss", LOSSES)):
        chosen = getattr(args, choice)
        for name in sorted({name for names in table.values() for name in names}):
            if name not in table[chosen]:
                owners = " or ".join(owner for owner, names in table.items() if name in names)
                reason = f"it belongs to --{choice} {owners}, not {chosen}"
                _refuse_option(args, parser, name, reason)


def _refuse(
    args: argparse.Namespace,
    parser: Parser,
    groups: Sequence[Callable[[Parser], None]],
    reason: str,
) -> None:
    """Accept no option that would have no effect."""
    for add_options in groups:
        probe = Parser(add_help=False)
        add_options(probe)
        for name in vars(probe.parse_args([])):
            _refuse_option(args, parser, name, reason)


def _refuse_option(args: argparse.Namespace, parser: Parser, name: str, reason: str) -> None:
    if name in args.given:
        flag = "--" + name.removesuffix("_column").replace("_", "-")
        parser.error(f"argument {flag} has no effect here: {reason}")


def _read_graph(args: argparse.Namespace, path: Path) -> Any:
    from graphembed.cli import _files

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
    from graphembed.estimators import LINE, DeepWalk, Node2Vec

    names = ("n_components", "negative", *METHODS[args.method])
    params = {name: getattr(args, name) for name in names}
    params |= {"random_state": args.seed, "n_jobs": args.n_jobs, "verbose": int(args.verbose)}
    return {"node2vec": Node2Vec, "deepwalk": DeepWalk, "line": LINE}[args.method](**params)


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


_COMMANDS: Final = {
    "embed": _embed,
    "evaluate": _evaluate,
    "info": _info,
    "train": _train,
    "recommend": _recommend,
    "recsys": _compare,
    "demo": _demo,
}

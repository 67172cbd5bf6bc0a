"""The arguments of `graphembed recommend` and `graphembed recsys`."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from graphembed._validation import float_in, int_at_least
from graphembed.cli._values import COUNT, FRACTION, checked

MODELS: Final = {  # those that need no features
    "popularity": "Popularity",
    "itemknn": "ItemKNN",
    "rp3beta": "RP3beta",
    "ease": "EASE",
    "puresvd": "PureSVD",
    "gfcf": "GFCF",
    "ials": "IALS",
    "node2vec": "Node2VecRecommender",
    "deepwalk": "DeepWalkRecommender",
    "line": "LINERecommender",
    "lightgcn": "LightGCN",
}
SPLITS: Final = ("random", "leave-one-out", "user-time", "global-time")
LIST_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet")
TABLE_SUFFIXES: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".inter": "recbole",
    ".dat": "movielens",
    ".data": "movielens",
    ".txt": "lightgcn",
}
_TABLE_HELP: Final = (
    "interactions, plain or .gz: .csv .tsv .parquet with columns, .inter (RecBole), .dat .data "
    "(MovieLens), .txt (adjacency lists, as LightGCN has them)"
)


def add_recsys_commands(
    add: Callable[[str, str], Any], add_run_options: Callable[[Any], None]
) -> None:
    """Add the commands to the parser."""
    _add_recommend(add, add_run_options)
    _add_evaluate(add, add_run_options)


def _add_recommend(add: Callable[[str, str], Any], add_run_options: Callable[[Any], None]) -> None:
    recommend = add("recommend", "recommend items to users, by a table or a saved model")
    recommend.add_argument(
        "source", metavar="SOURCE", type=Path, help=f"a saved model (.gemb), or {_TABLE_HELP}"
    )
    recommend.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help=f"where the lists go, by suffix: {' '.join(LIST_SUFFIXES)} (default: printed as csv)",
    )
    recommend.add_argument("--model", choices=tuple(MODELS), default="gfcf", help="what is fitted")
    recommend.add_argument("--k", metavar="N", type=COUNT, default=20, help="items of a list")
    recommend.add_argument(
        "--users", metavar="ID", nargs="+", help="whom to recommend to (default: all users)"
    )
    recommend.add_argument(
        "--filter-seen",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out what a user has already",
    )
    recommend.add_argument(
        "--save", metavar="MODEL", type=Path, help="where the fitted model goes (.gemb)"
    )
    _add_params(recommend, "NAME=VALUE", "parameters of the model, such as n_components=64")
    add_table_options(recommend)
    add_run_options(recommend)


def _add_evaluate(add: Callable[[str, str], Any], add_run_options: Callable[[Any], None]) -> None:
    recsys = add("recsys", "compare recommenders on interactions that were held back")
    recsys.add_argument("task", choices=("evaluate",), help="what to do")
    recsys.add_argument("table", metavar="TABLE", type=Path, help=_TABLE_HELP)
    recsys.add_argument(
        "--models",
        metavar="NAMES",
        type=_names,
        default="popularity,itemknn,gfcf",
        help=f"names between commas: {', '.join(MODELS)}",
    )
    recsys.add_argument("--split", choices=SPLITS, default="random", help="what is held back")
    recsys.add_argument(
        "--test-fraction",
        metavar="X",
        type=FRACTION,
        default=0.2,
        help="how much is; not of leave-one-out, which holds back one interaction of each user",
    )
    recsys.add_argument(
        "--val-fraction",
        metavar="X",
        type=checked(float, float_in(0, 1, "left")),
        default=None,
        help="likewise for validation, which stops the training of lightgcn (default: 0.1, with "
        "--test 0)",
    )
    recsys.add_argument(
        "--test",
        metavar="TABLE",
        type=Path,
        help="a test part in a file of its own, instead of --split",
    )
    recsys.add_argument(
        "--ks", metavar="N,N", type=_lengths, default="10,20", help="lengths of the lists"
    )
    _add_params(recsys, "MODEL.NAME=VALUE", "parameters of models, such as ease.l2=100")
    add_table_options(recsys)
    add_run_options(recsys)


def add_table_options(parser: Any) -> None:
    """Add what says how a table is read."""
    group = parser.add_argument_group("the table")
    group.add_argument(
        "--format",
        choices=tuple(dict.fromkeys(TABLE_SUFFIXES.values())),
        help="what the file is (default: by its suffix)",
    )
    for name, usual in (("user", "user"), ("item", "item")):
        group.add_argument(
            f"--{name}",
            metavar="NAME",
            help=f"column of the {name}s (default: {usual}; of .inter {name}_id)",
        )
    group.add_argument(
        "--rating", metavar="NAME", help="column of the ratings (default: none; of .inter rating)"
    )
    group.add_argument(
        "--time", metavar="NAME", help="column of the times (default: none; of .inter timestamp)"
    )
    group.add_argument(
        "--min-rating",
        metavar="X",
        type=checked(float, float_in(0, 1e30)),
        help="leave out what is rated lower (default: keep all)",
    )
    group.add_argument(
        "--k-core",
        metavar="N",
        type=COUNT,
        help="keep users and items with N interactions each (default: all)",
    )
    group.add_argument(
        "--implicit",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="every interaction that is left counts as 1, whatever its rating",
    )


def _add_params(parser: Any, metavar: str, help_: str) -> None:
    parser.add_argument(
        "--params", metavar=metavar, nargs="+", type=_parameter, default=None, help=help_
    )


def _parameter(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"must be a name, '=' and a value, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in MODELS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MODELS)}")
    return list(dict.fromkeys(names))


def _lengths(text: str) -> list[int]:
    wish = int_at_least(1)
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        lengths = [0]
    if not all(map(wish.holds, lengths)):
        raise argparse.ArgumentTypeError(f"must be whole numbers >= 1 between commas, got {text!r}")
    return lengths

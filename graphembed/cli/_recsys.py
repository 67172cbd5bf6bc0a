"""The commands `graphembed recommend` and `graphembed recsys`."""

import argparse
import csv
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphembed import recsys
from graphembed._storage import MAGIC, atomic_path
from graphembed._validation import import_optional
from graphembed.cli._files import check_writable
from graphembed.cli._recsys_options import LIST_SUFFIXES, MODELS, TABLE_SUFFIXES
from graphembed.io import MODEL_SUFFIX
from graphembed.recsys import Interactions

_USERS_PER_BLOCK = 2**14  # whose lists are held at a time
_VAL_FRACTION = 0.1  # unless the test part is a file of its own


def is_saved(path: Path) -> bool:
    """Tell whether a file is a saved model."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def format_of(path: Path, chosen: str | None) -> str:
    """Name the format of a table."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if chosen is None and suffix not in TABLE_SUFFIXES:
        raise ValueError(
            f"{str(path)!r} must end in one of {', '.join(TABLE_SUFFIXES)}, or --format must say "
            "what it is"
        )
    return chosen or TABLE_SUFFIXES[suffix]


def recommend(args: argparse.Namespace) -> None:
    """Fit or load a model, and write the lists."""
    _check_outputs(args)
    if is_saved(args.source):
        model = recsys.Recommender.load(args.source).set_params(n_jobs=args.n_jobs)
        table = model.train_
    else:
        model = _make(args.model, args, _params(args))
        table = _read_whole(args, args.source)
    users = table.user_ids
    if args.users is not None:
        users = users[table.user_index(_typed(args.users, users))]
    if not hasattr(model, "train_"):
        model.fit(table)
    if args.save is not None:
        model.save(args.save)
        print(f"{args.save}: the model", file=sys.stderr if args.output is None else sys.stdout)
    write = _WRITERS[".csv" if args.output is None else args.output.suffix.lower()]
    with _opened(args.output) as file:
        write(file, _blocks(model, users, args))
    if args.output is not None:
        print(f"{args.output}: lists of {args.k} items for {len(users):,} users")


def evaluate(args: argparse.Namespace) -> None:
    """Split the table, fit the models, and print how they compare."""
    given = _params(args)
    strangers = [key for key in given if key.partition(".")[0] not in args.models]
    if strangers:
        known = ", ".join(args.models)
        raise ValueError(f"--params {strangers[0]}: it must begin with one of {known}")
    models = {}
    for name in args.models:
        own = {key: value for key, value in given.items() if key.startswith(f"{name}.")}
        params = {key.removeprefix(f"{name}."): value for key, value in own.items()}
        models[name] = _make(name, args, params)
    with _option_names():
        train, val, test = _parts(
            args, takes_validation=any(map(_takes_validation, models.values()))
        )
    print(
        f"train {train.n_interactions:,}, validation {val.n_interactions:,}, test "
        f"{test.n_interactions:,} interactions of {train.n_users:,} users with "
        f"{train.n_items:,} items",
        flush=True,
    )
    validation = val if val.n_interactions else None
    print(recsys.compare(models, train, test, ks=args.ks, validation=validation), flush=True)


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise, before any work is done, if a result cannot be written."""
    for path, suffixes in ((args.output, LIST_SUFFIXES), (args.save, (MODEL_SUFFIX,))):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise ValueError(f"{str(path)!r} must end in {' or '.join(suffixes)}")
        check_writable(path)
        if path.exists() and path.samefile(args.source):
            raise ValueError(f"the output would overwrite the input {str(path)!r}")
    if args.output is not None and args.output.suffix.lower() == ".parquet":
        import_optional("pyarrow", extra="recsys")


@contextmanager
def _option_names() -> Iterator[None]:
    """Let errors name options where Python has arguments."""
    try:
        yield
    except ValueError as error:
        text = re.sub(r"\b(user|item|rating|time)=", r"--\1", str(error))
        text = text.replace("min_rating=", "--min-rating ")
        raise type(error)(text) from error


def _read(args: argparse.Namespace, path: Path) -> Interactions:
    with _option_names():
        return _read_format(args, path)


def _read_format(args: argparse.Namespace, path: Path) -> Interactions:
    kind = format_of(path, args.format)
    names = {name: getattr(args, name) for name in ("user", "item", "rating", "time")}
    if kind == "recbole":
        named = {name: value for name, value in names.items() if value is not None}
        table = Interactions.from_recbole(path, **named)
    elif kind == "lightgcn":
        table = Interactions.from_lightgcn(path)
    elif kind == "movielens":
        table = Interactions.from_movielens(path)
    else:
        names |= {"user": args.user or "user", "item": args.item or "item"}
        if kind == "parquet":
            frame = import_optional("pyarrow.parquet", extra="recsys").read_table(path)
            table = Interactions.from_frame(frame, **names)
        else:
            table = Interactions.from_csv(path, **names)
    if args.min_rating is not None:
        table = table.filter(min_rating=args.min_rating)
    return table.implicit() if args.implicit else table


def _read_whole(args: argparse.Namespace, path: Path) -> Interactions:
    table = _read(args, path)
    return table if args.k_core is None else table.k_core(args.k_core)


def _parts(
    args: argparse.Namespace, *, takes_validation: bool
) -> tuple[Interactions, Interactions, Interactions]:
    """Train, validation and test."""
    table = _read_whole(args, args.table)
    if args.test is not None:
        table, test = _with_one_typing(table, _read(args, args.test))
        nothing = table.select(np.zeros(table.n_interactions, bool))
        split = recsys.Split(table, nothing, test)
        if args.val_fraction and takes_validation:
            cut = recsys.random_split(table, val=args.val_fraction, test=0, random_state=args.seed)
            split = recsys.Split(cut.train, cut.val, test)
        return split.train, split.val, split.test
    val = _VAL_FRACTION if args.val_fraction is None else args.val_fraction
    if args.split == "random":
        split = recsys.random_split(table, val=val, test=args.test_fraction, random_state=args.seed)
    elif args.split == "leave-one-out":
        split = recsys.leave_one_out(table, random_state=args.seed)
    else:
        by_time = {"user-time": recsys.user_time_split, "global-time": recsys.global_time_split}
        split = by_time[args.split](table, val=val, test=args.test_fraction)
    return split.train, split.val, split.test


def _with_one_typing(train: Interactions, test: Interactions) -> tuple[Interactions, ...]:
    """Align two tables, the numbers of one taken as text where the other has text."""
    parts = [train, test]
    for kind in ("user_ids", "item_ids"):
        if getattr(train, kind).dtype != getattr(test, kind).dtype:
            parts = [_spelled(part, kind) for part in parts]
    return parts[0].align(parts[1])


def _spelled(table: Interactions, kind: str) -> Interactions:
    ids = {name: getattr(table, name) for name in ("user_ids", "item_ids")}
    ids[kind] = np.array([str(value) for value in ids[kind].tolist()], object)
    return Interactions.from_csr(table.matrix, **ids, times=table.times)


def _takes_validation(model: Any) -> bool:
    return "validation" in inspect.signature(model.fit).parameters


def _params(args: argparse.Namespace) -> dict[str, Any]:
    """What --params gives, each name once."""
    params: dict[str, Any] = {}
    for name, value in args.params or ():
        if name in params:
            raise ValueError(f"--params {name} is given twice")
        params[name] = value
    return params


def _make(name: str, args: argparse.Namespace, params: dict[str, Any]) -> Any:
    model = getattr(recsys, MODELS[name])()
    known = model.get_params()
    unknown = [key for key in params if key not in known]
    if unknown:
        raise ValueError(f"{name} has no parameter {unknown[0]!r}, only {', '.join(known)}")
    run = {"random_state": args.seed, "n_jobs": args.n_jobs, "verbose": int(args.verbose)}
    model.set_params(**{key: run[key] for key in run if key in known} | params)
    model._check()
    return model


def _typed(texts: list[str], ids: Any) -> list[Any]:
    """Read ids as what those of the model are."""
    if ids.dtype == object:
        return texts
    return [int(text) if text.removeprefix("-").isdecimal() else text for text in texts]


# ---------------------------------------------------------------- lists

_Block = tuple[Any, Any, Any]  # users; items and scores, a row for each user


def _blocks(model: Any, users: Any, args: argparse.Namespace) -> Iterator[_Block]:
    """Recommend to some users after the other."""
    for start in range(0, len(users), _USERS_PER_BLOCK):
        block = users[start : start + _USERS_PER_BLOCK]
        yield block, *model.recommend(block, k=args.k, filter_seen=args.filter_seen)


def _rows(blocks: Iterator[_Block]) -> Iterator[tuple[Any, list[Any], list[float]]]:
    """Users with their items and scores; a list ends where there is no more item."""
    for users, items, scores in blocks:
        counts = np.isfinite(scores).sum(axis=1).tolist()
        columns = (users.tolist(), items.tolist(), scores.tolist(), counts)
        for user, row, values, count in zip(*columns, strict=True):
            yield user, row[:count], values[:count]


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[Any]]:
    """Open a file that appears when it is complete, or standard output."""
    if path is None:
        yield sys.stdout
        return
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            with temporary.open("wb") as raw:
                yield raw
        else:
            with temporary.open("w", newline="", encoding="utf-8") as text:
                yield text


def _write_csv(file: IO[str], blocks: Iterator[_Block], delimiter: str = ",") -> None:
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["user", "item", "rank", "score"])
    for user, items, scores in _rows(blocks):
        rows = enumerate(zip(items, scores, strict=True), 1)
        writer.writerows((user, item, rank, f"{score:.7g}") for rank, (item, score) in rows)


def _write_tsv(file: IO[str], blocks: Iterator[_Block]) -> None:
    _write_csv(file, blocks, "\t")


def _write_jsonl(file: IO[str], blocks: Iterator[_Block]) -> None:
    for user, items, scores in _rows(blocks):
        line = {"user": user, "items": items, "scores": scores}
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_parquet(file: IO[bytes], blocks: Iterator[_Block]) -> None:
    pyarrow = import_optional("pyarrow", extra="recsys")
    parquet = import_optional("pyarrow.parquet", extra="recsys")
    writer = None
    for users, items, scores in blocks:
        row, rank = np.nonzero(np.isfinite(scores))
        columns = {
            "user": pyarrow.array(users[row]),
            "item": pyarrow.array(items[row, rank]),
            "rank": pyarrow.array(rank + 1, pyarrow.int32()),
            "score": pyarrow.array(scores[row, rank]),
        }
        table = pyarrow.table(columns)
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


_WRITERS: dict[str, Callable[[Any, Iterator[_Block]], None]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}

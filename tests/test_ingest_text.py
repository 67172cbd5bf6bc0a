"""Edge lists in files: how they may be written, and errors that name the line."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphembed._ingest import pieces
from graphembed.exceptions import GraphFormatError
from graphembed.graph import Graph

ABC = Graph.from_any([("a", "b", 2.0), ("b", "c", 1.0)])
NUMBERS = Graph.from_any([(1, 2, 2.0), (2, 3, 1.0)])
BARE = Graph.from_any([(1, 2), (2, 3)])

GOOD: dict[str, tuple[str, dict[str, Any], Graph]] = {
    "blanks": ("a b 2\nb c 1\n", {}, ABC),
    "many blanks": ("  a   b \t2\n\tb c 1   \n".replace("\t", " "), {}, ABC),
    "no newline at the end": ("1 2 2\n2 3 1", {}, NUMBERS),
    "windows": ("1,2,2\r\n2,3,1\r\n", {}, NUMBERS),
    "windows tsv": ("1\t2\t2\r\n2\t3\t1\r\n", {}, NUMBERS),
    "byte order mark": ("\ufeff1,2,2\n2,3,1\n", {}, NUMBERS),
    "blanks after commas": ("a, b, 2\nb , c, 1\n", {}, ABC),
    "semicolons": ("a;b;2\nb;c;1\n", {}, ABC),
    "comments": ("# x y\n%z\n\n1 2 2\n  # in between\n2 3 1\n\n", {}, NUMBERS),
    "quotes": ('"a","b",2\n"b",c,1\n', {}, ABC),
    "no weights": ("1 2\n2 3\n", {}, BARE),
    "weights ignored": ("1 2 x\n2 3 y\n", {"weight": None}, BARE),
    "further columns ignored": ("1 2 x 9\n2 3 y 9\n", {"weight": None}, BARE),
    "known header": ("source,target,weight\na,b,2\nb,c,1\n", {}, ABC),
    "header of Gephi": ("Source;Target;Type;Weight\na;b;U;2\nb;c;U;1\n", {}, ABC),
    "header in another order": ("weight,to,from\n2,b,a\n1,c,b\n", {"header": True}, ABC),
    "names above numbers": ("id_1,id_2\n1,2\n2,3\n", {}, BARE),
    "name above weights": ("x,y,weight\na,b,2\nb,c,1\n", {}, ABC),
    "named columns": (
        "n,x,y,w\n7,a,b,2\n8,b,c,1\n",
        {"source": "x", "target": "y", "weight": "w"},
        ABC,
    ),
    "weight by another name": ("u v cost\na b 2\nb c 1\n", {"weight": "cost"}, ABC),
    "header without weight": ("source,target,kind\n1,2,x\n2,3,y\n", {}, BARE),
    "the same name twice": ("node\tnode\n1\t2\n2\t3\n", {}, BARE),
    "scientific": ("1 2 20e-1\n2 3 1.\n", {}, NUMBERS),
}


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "edges.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("chunk", [pieces.PIECE, 12])
def test_ways_to_write_an_edge_list(
    tmp_path: Path, name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, options, expected = GOOD[name]
    monkeypatch.setattr(pieces, "PIECE", chunk)
    if options.get("header"):
        assert Graph.from_edge_list_file(write(tmp_path, content), **options) == expected
        return
    assert Graph.from_any(write(tmp_path, content), **options) == expected
    assert (
        Graph.from_any(str(write(tmp_path, gzip.compress(content.encode()))), **options) == expected
    )


def test_a_header_can_be_denied_or_demanded(tmp_path: Path) -> None:
    path = write(tmp_path, "u,v\na,b\n")
    assert Graph.from_edge_list_file(path).n_nodes == 2
    assert Graph.from_edge_list_file(path, header=False).n_nodes == 4
    path = write(tmp_path, "x,y\na,b\n")
    assert Graph.from_edge_list_file(path).n_nodes == 4
    assert Graph.from_edge_list_file(path, header=True).n_nodes == 2


def test_the_delimiter_can_be_given(tmp_path: Path) -> None:
    graph = Graph.from_edge_list_file(write(tmp_path, "a,b|c d\n"), delimiter="|")
    assert graph.node_ids.tolist() == ["a,b", "c d"]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ("10 9\n-3 10\n", [-3, 9, 10]),
        ("10 9\n007 10\n", ["10", "9", "007"]),
        ("10 9\n+7 10\n", ["10", "9", "+7"]),
        ("-0 9\n", ["-0", "9"]),
        ("1.0 2\n", ["1.0", "2"]),
        ("1_0 2\n", ["1_0", "2"]),
        ("٣ 2\n", ["٣", "2"]),  # an Arabic digit is not written as an integer
        ("b a\na c\n", ["b", "a", "c"]),
    ],
)
def test_ids_are_integers_if_all_are_written_so(
    tmp_path: Path, content: str, ids: list[Any]
) -> None:
    graph = Graph.from_any(write(tmp_path, content))
    assert graph.node_ids.tolist() == ids
    assert graph.node_ids.dtype == (np.int64 if isinstance(ids[0], int) else object)


def test_nodes_and_direction(tmp_path: Path) -> None:
    graph = Graph.from_any(write(tmp_path, "5 3\n3 5\n"), nodes=[9, 5], directed=True)
    assert graph.node_ids.tolist() == [9, 5, 3]
    assert graph.indices.tolist() == [2, 1]
    assert graph.n_edges == 2


BAD: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "one column": ("1\n2\n", {}, "line 1: 2 or 3 columns wanted, got 1"),
    "four columns": ("1 2 3 4\n", {}, "line 1: 2 or 3 columns wanted, got 4"),
    "ragged": ("# c\n1 2\n\n3 4 5\n", {}, "line 4: 2 columns wanted, got 3"),
    "missing field": ("1,2,3\n4,5\n", {}, "line 2: 3 columns wanted, got 2"),
    "empty id": ("a,b\n,c\n", {}, "line 2: an empty id"),
    "weight is a word": ("1 2 3\n1 2 x\n", {}, "line 2: the weight must be a number, got 'x'"),
    "weight is empty": ("1,2,3\n1,2,\n", {}, "line 2: the weight must be a number"),
    "weight is NaN": ("1 2 3\n1 2 nan\n", {}, "line 2: the weight must be finite"),
    "weight is negative": ("# c\n1 2 -3\n", {}, "line 2: the weight must be finite and >= 0"),
    "weight is infinite": ("1 2 1e999\n", {}, "line 1: the weight must be finite"),
    "not UTF-8": (b"a b\n\xff\xfe c\n", {}, "line 2: not UTF-8"),
    "NUL": (b"a b\nc \0\n", {}, "line 2: a NUL byte"),
    "gzip cut off": (gzip.compress(b"1 2\n" * 9999)[:-20], {}, "gzip stream is damaged"),
    "gzip head cut off": (gzip.compress(b"1 2\n" * 9999)[:15], {}, "near its start: the gzip"),
    "quote left open": ('a,"b\nc,d\n', {}, "line 1: unexpected end"),
    "matrix market": ("%%MatrixMarket matrix\n2 2 1\n1 2\n", {}, "scipy.io.mmread"),
    "saved graph": (b"\x89GEMB\r\n\x1a....", {}, "Graph.load"),
    "no such column": ("u,v\n1,2\n", {"source": "x", "target": "v"}, "line 1: no column 'x'"),
    "no such weight": ("u,v\n1,2\n", {"weight": "w"}, "line 1: no column 'w'"),
    "weight name without header": ("1 2 3\n", {"weight": "w"}, "no header"),
    "source is target": ("u,v\n1,2\n", {"source": "u", "target": "u"}, "two columns"),
    "weight is target": ("source,target\n1,2\n", {"weight": "target"}, "own, got 'target'"),
    "weight is source": ("source,target,x\n1,2,3\n", {"weight": "source"}, "own, got 'source'"),
    "target is weight": ("u,weight\n1,2\n", {"source": "u", "target": "weight"}, "own, got 'wei"),
    "weight in capitals": ("u,V,x\n1,2,3\n", {"weight": "v"}, "column of its own, got 'V'"),
    "header of one column": ("x\n1\n", {"source": "x", "target": "x"}, "two columns"),
    "id beyond int64": ("1 2\n3 9999999999999999999\n", {}, "9999999999999999999"),
    "empty": ("", {}, "no nodes"),
    "comments only": ("# a b\n", {}, "no nodes"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_errors_name_the_line(tmp_path: Path, name: str) -> None:
    content, options, message = BAD[name]
    with pytest.raises(GraphFormatError, match=message) as error:
        Graph.from_any(write(tmp_path, content), **options)
    assert "edges.txt" in str(error.value) or "no nodes" in message


def test_lines_are_counted_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 100)
    path = write(tmp_path, "# head\n" + "1 2 3\n" * 500 + "\n1 2 x\n")
    with pytest.raises(GraphFormatError, match="line 503"):
        Graph.from_any(path)


# Windows has none
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    keep_open = os.open(path, os.O_RDWR)  # so that opening it to read does not wait
    try:
        os.write(keep_open, b"1 2\n")
        with pytest.raises(GraphFormatError, match="is a pipe, which cannot be read twice: write"):
            Graph.from_edge_list_file(path)
    finally:
        os.close(keep_open)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        Graph.from_any(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "a"}, "both source= and target="),
        ({"source": "a", "target": "b", "header": False}, "header=False"),
        ({"delimiter": "::"}, "one character"),
        ({"header": "yes"}, "header must be None or True or False"),
    ],
)
def test_options_that_contradict(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Graph.from_edge_list_file(write(tmp_path, "a b\n"), **options)

"""The parser of text files against a slow reader, on any number of threads and cut anywhere."""

import csv
import gzip
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphembed import _threads
from graphembed._ingest import pieces, text, threads, words
from graphembed._ingest.rows import Layout
from graphembed.exceptions import GraphFormatError
from graphembed.graph import Graph

INTEGER = re.compile(r"0|-?[1-9][0-9]*")


@pytest.fixture(params=[1, 2, 3, 4])
def n_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "usable_cores", lambda: request.param)
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    return request.param


def slow_reader(content: bytes, delimiter: str, width: int) -> list[tuple[Any, ...]] | int:
    """Edges of a file without header, line by line; or the number of the first bad line."""
    rows: list[tuple[Any, ...]] = []
    for number, line in enumerate(content.decode().split("\n"), 1):
        line = line.strip(" \r")
        if not line or line.isspace() or line[0] in "#%":
            continue
        if delimiter == " ":
            fields = line.split()
        elif '"' in line:
            fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
        else:
            fields = line.split(delimiter)
        fields = [field.strip() for field in fields]
        try:
            weight = [float(fields[2])] if width == 3 else []
        except (ValueError, IndexError):
            return number
        if (
            len(fields) != width
            or not all(fields[:2])
            or not all(0 <= w < math.inf for w in weight)
        ):
            return number
        rows.append((*fields[:2], *weight))
    if all(INTEGER.fullmatch(end) for row in rows for end in row[:2]):
        return [(int(row[0]), int(row[1]), *row[2:]) for row in rows]
    return rows


def check(path: Path, content: bytes, delimiter: str, width: int) -> None:
    path.write_bytes(content)
    expected = slow_reader(content, delimiter, width)
    read = {"delimiter": delimiter, "header": False}
    if isinstance(expected, int):
        with pytest.raises(GraphFormatError, match=f"line {expected}:"):
            Graph.from_edge_list_file(path, **read)
        return
    graph = Graph.from_edge_list_file(path, directed=True, **read)
    assert graph == Graph.from_edges(expected, directed=True)


IDS = {
    "dense": ["0", "1", "2", "3", "10", "77"],
    "scattered": [
        *("12345678", "-5", "99999999", "100000000", "9223372036854775807", "4294967296"),
        *("-9223372036854775808", "1234567890123456", "12345678901234567"),
    ],
    "odd integers": ["007", "-0", "+1", "1_0", "1.0", "00", "12345678x", "18446744073709551616"],
    "words": [
        "a",
        "bc",
        "defghijk",
        "defghijkl",
        "Ä",
        "日本語",
        "x\u2013y",
        "#",
        "%",
        "e5",
        "user\xa0x",
    ],
}
BLANKS = {" ": [" ", "  ", "\t", " \x0b", "\u2003"], "\t": ["\t", " \t", "\t "], ",": [",", ", "]}
WEIGHTS = ["1", "0", "2.5", "1e3", "1E-3", ".5", "7.", "+2", "0.1", "123456789.123456789"]
WEIGHTS += ["0.30000000000000004", "1_0", "00.25", "0.00000000000000000001", "9" * 25, "3e-0010"]
FILLERS = ["", "   ", "# 1 2", "  % x", "\t\t", "#", "\x1c"]


def random_file(rng: random.Random, delimiter: str, width: int, kinds: list[str]) -> bytes:
    ids = [end for kind in kinds for end in IDS[kind]]
    lines = [delimiter.join(["9", "8", "0.5"][:width])]
    for _ in range(rng.randrange(1, 30)):
        ends = [rng.choice(ids).strip() for _ in range(2)]
        if delimiter == ",":
            ends = [f'"{end}"' if rng.random() < 0.05 else end for end in ends]
        fields = ends + [rng.choice(WEIGHTS)] * (width == 3)
        line = "".join(f + rng.choice(BLANKS[delimiter]) for f in fields[:-1]) + fields[-1]
        lines.append(rng.choice(["", "", " "]) + line + rng.choice(["", "", " ", "\r"]))
        if rng.random() < 0.1:
            lines.append(rng.choice(FILLERS))
        if rng.random() < 0.02:
            lines.append(rng.choice(["1", "1 2 3 4", ",", "1\t", "1,2,nan", "1 2 -1", "1 2 x"]))
    return "\n".join(lines).encode() + rng.choice([b"", b"\n", b"\r\n"])


@pytest.mark.parametrize("seed", range(150))
def test_random_files_are_read_as_the_slow_reader_does(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(threads, "usable_cores", lambda: rng.randint(1, 4))
    monkeypatch.setattr(pieces, "PIECE", rng.choice([1, 7, 64, 1000]))
    kinds = rng.choice([["dense"], ["dense", "scattered"], ["words"], list(IDS), ["odd integers"]])
    delimiter, width = rng.choice([" ", "\t", ","]), rng.choice([2, 3])
    check(tmp_path / "edges", random_file(rng, delimiter, width, kinds), delimiter, width)


@pytest.mark.parametrize("seed", range(150))
def test_the_kernel_reads_columns_in_any_order_as_the_rules_do(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    delimiter, width = rng.choice([" ", "\t", ","]), rng.randint(2, 5)
    names = ["a", "b", "c", "d", "e"][:width]
    source, target, *others = rng.sample(names, width)
    options = {"source": source, "target": target, "weight": rng.choice([None, *others])}
    ids = [end for kind in rng.choice([["dense"], ["scattered"], list(IDS)]) for end in IDS[kind]]
    lines = [delimiter.join(names)]
    for _ in range(30):
        row = {name: rng.choice([*WEIGHTS, "1", "x"]) for name in names}
        row |= {source: rng.choice(ids).strip("#% "), target: rng.choice(ids).strip("#% ")}
        if options["weight"]:
            row[options["weight"]] = rng.choice([*WEIGHTS, *["1"] * 9])
        lines.append(delimiter.join(row.values()))
    path = tmp_path / "edges"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def outcome() -> Graph | str:
        try:
            return Graph.from_edge_list_file(path, directed=True, header=True, **options)
        except GraphFormatError as error:
            return str(error)

    found = outcome()
    monkeypatch.setattr(text, "_PLAIN_DELIMITERS", "")  # the kernel leaves every line
    assert found == outcome()


SMALL = {
    "integers": b"# head\r\n1 2 0.5\n\n 33 4 1e1\r\n12345678 -9 7\n5 6 1_0\n5 5 2",
    "words": 'a,b\n# c\n"a",ü\r\n\n12345678,b \nb,\u2003c\n1,2'.encode(),
}


@pytest.mark.parametrize("name", list(SMALL))
def test_pieces_may_end_at_every_byte(
    tmp_path: Path, name: str, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(SMALL[name])
    packed.write_bytes(gzip.compress(SMALL[name]))
    expected = Graph.from_any(plain)
    assert expected.n_nodes == {"integers": 8, "words": 7}[name]
    for size in range(1, len(SMALL[name]) + 2):
        monkeypatch.setattr(pieces, "PIECE", size)
        assert Graph.from_any(plain) == expected
        assert Graph.from_any(packed) == expected


@pytest.mark.parametrize("bad", [b"1 2 3\n", b"1\n", b"\xff 2\n", b"1 \0\n"])
def test_the_line_of_an_error_does_not_depend_on_threads_or_pieces(
    tmp_path: Path, bad: bytes, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edges"
    path.write_bytes(b"# x\n\n" + b"1 2\n" * 50 + bad + b"3 4\n" * 9 + b"one line too many\n")
    for size in (1, 10, 100, 1000):
        monkeypatch.setattr(pieces, "PIECE", size)
        with pytest.raises(GraphFormatError, match="line 53:"):
            Graph.from_any(path)


def columns_of(path: Path) -> Any:
    with path.open("rb") as raw:
        layout = text.read_layout(
            path, raw, source=None, target=None, weight="weight", delimiter=None, header=None
        )
        assert layout is not None
        return text._read_integers(raw, layout)


def decimals(rng: random.Random) -> Iterator[str]:
    for _ in range(4000):
        yield repr(rng.random() * 10.0 ** rng.randint(-30, 30))
        yield f"{rng.getrandbits(rng.randint(1, 64))}e{rng.randint(-60, 40)}"
        yield f"{rng.random() * 10.0 ** rng.randint(-60, 60):.{rng.randint(0, 18)}e}"
        yield f"{2**54 + 2 * rng.randrange(2**53) + 1}e{rng.randint(-2, 2)}"  # halfway
        yield f"{(2**53 + rng.randrange(2**53)) / 8 + 0.0625:.3f}"
        yield f"{rng.random() * 1000:.{rng.randint(0, 12)}f}"


def test_weights_are_rounded_as_float_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = list(decimals(random.Random(1)))
    path = tmp_path / "edges"
    path.write_text("".join(f"1 2 {token}\n" for token in tokens))
    left: list[bytes] = []
    read = Layout.read

    def spy(self: Layout, line: bytes, number: int) -> Any:
        left.append(line)
        return read(self, line, number)

    monkeypatch.setattr(Layout, "read", spy)
    weights = columns_of(path).weights
    np.testing.assert_array_equal(weights, list(map(float, tokens)))
    assert len(left) < 0.1 * len(tokens)  # the kernel read the others


def test_plain_lines_are_not_left_to_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: Layout, line: bytes, number: int) -> Any:
        pytest.fail(f"the kernel left {line!r}")

    monkeypatch.setattr(Layout, "read", read)
    for content in (
        "#c\n1\t2\n3\t-4\r\n\n9223372036854775807\t5 \n",
        "source,target,weight\n1,2,.5\n3,4,1e-05\n",
        "from;x;weight;to\na;z;0.5;b\nb;z;1;é\n",
    ):
        path = tmp_path / "edges"
        path.write_text(content, newline="")
        header = "from" in content or None
        assert Graph.from_edge_list_file(path, header=header).n_edges >= 2


# ---------------------------------------------------------------- hostile files


@pytest.mark.parametrize("seed", range(60))
def test_random_bytes_are_refused_or_read(tmp_path: Path, seed: int, n_threads: int) -> None:
    rng = random.Random(seed)
    alphabet = rng.choice(
        [bytes(range(256)), b'0123456789 \n\t,".-e#', b"a1 \n\xc3\xa9\xe2\x80\x83"]
    )
    path = tmp_path / "edges"
    path.write_bytes(bytes(rng.choice(alphabet) for _ in range(rng.randrange(2000))))
    try:
        graph = Graph.from_any(path)
    except GraphFormatError:
        return
    assert graph.n_nodes > 0


def test_a_gzip_stream_may_be_cut_anywhere(tmp_path: Path, n_threads: int) -> None:
    packed = gzip.compress(b"1 2\n3 4\n" * 20) + gzip.compress(b"5 6\n")
    path = tmp_path / "edges.gz"
    for length in range(3, len(packed)):
        path.write_bytes(packed[:length])
        if length == len(gzip.compress(b"1 2\n3 4\n" * 20)):
            continue  # a whole stream
        with pytest.raises(GraphFormatError, match="gzip stream is damaged"):
            Graph.from_any(path)
    for padding in (b"", b"\0" * 7, b"\0" * 300_000):
        path.write_bytes(packed + padding)
        assert Graph.from_any(path).n_edges == 3
    for damaged in (packed + b"x", packed[:30] + b"\xff" + packed[31:]):
        path.write_bytes(damaged)
        with pytest.raises(GraphFormatError, match="gzip stream is damaged"):
            Graph.from_any(path)


def test_huge_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 1000)
    path = tmp_path / "edges"
    word = "x" * 100_000
    path.write_text(f"{word} b\nb c\n")
    assert Graph.from_any(path).node_ids.tolist() == [word, "b", "c"]
    path.write_text("1 2\n3 " + "9" * 100_000 + "\n")
    with pytest.raises(GraphFormatError, match="must fit int64, got 999") as error:
        Graph.from_any(path)
    assert len(str(error.value)) < 500
    path.write_text("1 2 3\n3 4 " + "9" * 100_000 + "\n")
    with pytest.raises(GraphFormatError, match="line 2: the weight must be finite") as error:
        Graph.from_any(path)
    assert len(str(error.value)) < 500
    monkeypatch.setattr(pieces, "_LONGEST", 50_000)
    with pytest.raises(GraphFormatError, match="longer than 50000 bytes"):
        Graph.from_any(path)


@pytest.mark.slow
def test_a_line_of_100_mb(tmp_path: Path) -> None:
    path = tmp_path / "edges"
    path.write_bytes(b"1 2\n" + b"a," * 50_000_000 + b"\n3 4\n")
    with pytest.raises(GraphFormatError, match="line 2: 2 columns wanted, got 1") as error:
        Graph.from_any(path)
    assert len(str(error.value)) < 500


def test_a_file_that_shrinks_while_it_is_read(
    tmp_path: Path, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 4000)
    path = tmp_path / "edges"
    path.write_bytes(b"1 2\n" * 100_000)
    parse = text._Parser._parse

    def shrink(self: Any, piece: Any) -> Any:
        path.write_bytes(b"")
        return parse(self, piece)

    monkeypatch.setattr(text._Parser, "_parse", shrink)
    graph = Graph.from_any(path)  # what had been read
    assert graph.node_ids.tolist() == [1, 2]
    assert 1 <= graph.to_scipy()[0, 1] < 100_000


# ---------------------------------------------------------------- words


def test_words_are_numbered_by_first_appearance() -> None:
    rng = random.Random(5)
    pool = ["".join(rng.choices("abc", k=rng.randrange(1, 20))) for _ in range(30_000)] + ["é" * 9]
    table = words.WordTable()
    seen: dict[str, int] = {}
    for _ in range(3):
        some = rng.choices(pool, k=20_000)
        raw = [word.encode() for word in some]
        blob = np.frombuffer(b"".join(raw), np.uint8)
        lengths = np.array(list(map(len, raw)))
        spans = np.column_stack([np.cumsum(lengths) - lengths, lengths])
        numbers = table.number(blob, spans, table.hashes(blob, spans))
        assert numbers.tolist() == [seen.setdefault(word, len(seen)) for word in some]
    assert table.words() == list(seen)
    assert len(table) == len(seen) > 2**12  # so that the tables have grown


def test_equal_hashes_are_told_apart() -> None:
    table = words.WordTable()
    blob = np.frombuffer(b"ab" * 50, np.uint8)
    spans = np.array([(i % 2, 1 + i % 40) for i in range(60)])
    texts = [bytes(blob[a : a + n]) for a, n in spans.tolist()]
    numbers = table.number(blob, spans, np.full(60, 7, np.uint64))
    seen: dict[bytes, int] = {}
    assert numbers.tolist() == [seen.setdefault(word, len(seen)) for word in texts]

"""The word2vec formats: exact values, gensim on both ends, damaged files."""

import numpy as np
import pytest

from graphembed.exceptions import FileFormatError
from graphembed.io import read_word2vec, write_embedding, write_word2vec

BOTH = pytest.mark.parametrize("binary", [False, True])
IDS = ["a", "b", "é", "日本", "1_0", "0.5", "'", '"', "-1", "nan"]


def table(n=10, d=5, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@BOTH
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("d", [1, 2, 5, 128, 3000])
@pytest.mark.parametrize("n", [1, 10])
def test_round_trip(tmp_path, binary, told, n, d):
    path = tmp_path / "file"
    write_word2vec(path, IDS[:n], table(n, d), binary=binary)
    ids, back = read_word2vec(path, binary=binary if told else None)
    assert ids.dtype == object
    assert ids.tolist() == IDS[:n]
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, table(n, d))


@BOTH
def test_every_kind_of_float32_comes_back_exactly(tmp_path, binary):
    bits = np.random.default_rng(1).integers(0, 2**32, 20_000, dtype=np.uint32)
    special = np.array([0x0, 0x80000000, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000], np.uint32)
    values = np.concatenate([bits, special, special]).view(np.float32)
    values[np.isnan(values)] = np.nan
    values = values[: len(values) // 10 * 10].reshape(-1, 10)
    write_word2vec(tmp_path / "file", np.arange(len(values)), values, binary=binary)
    _, back = read_word2vec(tmp_path / "file", binary=binary)
    np.testing.assert_array_equal(back, values)
    np.testing.assert_array_equal(np.signbit(back), np.signbit(values))


@BOTH
@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4"])
def test_other_floats_are_rounded_to_float32(tmp_path, binary, dtype):
    values = table().astype(dtype)
    write_word2vec(tmp_path / "file", IDS, values[:, ::-1], binary=binary)
    _, back = read_word2vec(tmp_path / "file")
    np.testing.assert_array_equal(back, values[:, ::-1].astype(np.float32))


@BOTH
def test_more_than_one_block_and_ids_that_are_not_str(tmp_path, binary):
    values = table(3000, 700)  # blocks of 1497 rows; 8 MB of binary, read in pieces of 4 MB
    write_word2vec(tmp_path / "file", np.arange(3000), values, binary=binary)
    ids, back = read_word2vec(tmp_path / "file")
    assert ids.tolist() == [str(i) for i in range(3000)]
    np.testing.assert_array_equal(back, values)


def test_the_bytes_written(tmp_path):
    values = np.array([[1, -0.1], [3e10, 0]], np.float32)
    write_word2vec(tmp_path / "text", ["é", 7], values)
    assert (tmp_path / "text").read_text() == "2 2\né 1 -0.100000001\n7 3.0000001e+10 0\n"
    write_word2vec(tmp_path / "binary", ["é", 7], values, binary=True)
    expected = b"2 2\n\xc3\xa9 " + values[0].tobytes() + b"7 " + values[1].tobytes()
    assert (tmp_path / "binary").read_bytes() == expected


@BOTH
def test_gensim_reads_what_we_write(tmp_path, binary):
    gensim = pytest.importorskip("gensim.models.keyedvectors")
    path = tmp_path / "file"
    write_word2vec(path, [*IDS, 5], table(11, 300), binary=binary)
    vectors = gensim.KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert vectors.index_to_key == [*IDS, "5"]
    np.testing.assert_array_equal(vectors.vectors, table(11, 300))


@BOTH
def test_we_read_what_gensim_writes(tmp_path, binary):
    gensim = pytest.importorskip("gensim.models.keyedvectors")
    vectors = gensim.KeyedVectors(7)
    vectors.add_vectors(IDS, table(10, 7))
    path = tmp_path / "file"
    vectors.save_word2vec_format(str(path), binary=binary)
    ids, back = read_word2vec(path)
    assert ids.tolist() == IDS
    np.testing.assert_array_equal(back, table(10, 7))


def test_we_read_what_the_first_word2vec_writes(tmp_path):
    """A space before the line end in text, a line end behind each record in binary."""
    values = table(2, 3)
    records = [b"a " + values[0].tobytes(), b"b " + values[1].tobytes()]
    (tmp_path / "binary").write_bytes(b"2 3\n" + b"\n".join(records) + b"\n")
    lines = [
        "2 3",
        *(f"{i} {' '.join(map(str, row.tolist()))} " for i, row in zip("ab", values, strict=True)),
    ]
    for end in ("\n", "\r\n"):
        (tmp_path / "text").write_bytes(end.join([*lines, ""]).encode())
        for name in ("binary", "text"):
            ids, back = read_word2vec(tmp_path / name)
            assert ids.tolist() == ["a", "b"]
            np.testing.assert_array_equal(back, values)


def test_a_last_line_without_its_end(tmp_path):
    (tmp_path / "file").write_bytes(b"2 1\na 1\nb 2")
    assert read_word2vec(tmp_path / "file")[1].tolist() == [[1], [2]]


@BOTH
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b c"], "'b c' at position 1 is empty or holds whitespace.*replace it"),
        (["", "b"], "'' at position 0 is empty"),
        (["a\n", "b"], "holds whitespace.*write .csv or .npz"),
        (["a", "\u00a0"], "position 1"),
        ([1, (2, 3)], r"'\(2, 3\)' at position 1"),
        ([1, "1"], r"1 \(position 0\) and '1' \(position 1\) both read '1'.*rename one"),
        ([True, "True"], "both read 'True'"),
        (["x", "x"], "both read 'x'"),
        (["a", "\ud800"], "position 1 cannot be written as UTF-8"),
        (["a"], "embedding must have 1 rows like node_ids, got 2"),
    ],
)
def test_ids_the_format_cannot_hold(tmp_path, binary, ids, message):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        write_word2vec(path, ids, table(2), binary=binary)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("embedding", "error", "message"),
    [
        (
            np.zeros((2, 3), int),
            TypeError,
            "embedding must be float16, float32 or float64, got int",
        ),
        (np.zeros((2, 3), complex), TypeError, "got complex128"),
        (np.zeros((2, 3), np.longdouble), TypeError, "embedding must be float16"),
        (np.array([["a"], ["b"]]), TypeError, "got <U1"),
        (np.zeros(2), ValueError, r"shape \(n_nodes, n_components\), both >= 1, got \(2,\)"),
        (np.zeros((2, 0)), ValueError, r"got \(2, 0\)"),
        (np.zeros((2, 1, 1)), ValueError, r"got \(2, 1, 1\)"),
    ],
)
def test_what_is_no_embedding(tmp_path, embedding, error, message):
    for name in ("a.txt", "a.bin", "a.csv", "a.tsv", "a.npz"):
        with pytest.raises(error, match=message):
            write_embedding(tmp_path / name, ["a", "b"], embedding)
    assert list(tmp_path.iterdir()) == []


TWO = np.array([[1, 2]], "<f4").tobytes()
DAMAGED = {
    "empty": (b"", "line 1: expected the number of nodes"),
    "no header": (b"a 1 2\nb 3 4\n", "line 1: expected the number of nodes"),
    "header of one number": (b"5\n", "line 1: expected"),
    "header of words": (b"a b\n", "line 1: expected"),
    "negative sizes": (b"-1 2\n", "line 1: expected"),
    "float sizes": (b"1.0 2\n", "line 1: expected"),
    "header without end": (b"1 2", "line 1: expected"),
    "endless header": (b"1" * 10**6, "line 1: expected"),
    "no nodes": (b"0 2\n", ">= 1 node"),
    "no components": (b"1 0\na\n", ">= 1 component"),
    "giant sizes": (b"99999999999999999999 99999999999999999999\na 1\n", "truncated: the sizes"),
    "sizes that overflow": (b"4294967296 4294967296\na 1\n", "truncated: the sizes"),
    "giant dimension": (b"1 %d\na 1\n" % 2**62, "truncated: the sizes"),
    "too few values": (b"2 2\na 1 2\nb 1   \n", "line 3: expected an id and 2 values, found 1"),
    "too many values": (b"2 2\na 1 2\nb 1 2 3\n", "line 3: .* found 3 values after b'b'"),
    "no value": (b"1 2\nabcdefghij\n", "line 2: .* found 0 values"),
    "blank line": (b"2 2\na 1 2\n\nb 1 2\n", "line 3: .* found nothing"),
    "missing line": (b"3 1\na 1000\nb 1000\n", "line 4: .* found nothing"),
    "line too many": (b"1 1\na 1\nb 2\n", "more than the 1 nodes of the first line"),
    "a word for a value": (b"1 2\na 1 x\n", "line 2: could not convert"),
    "an underscore": (b"1 2\na 1 1_0\n", "line 2: could not convert"),
    "a value beyond float32": (b"2 1\na 1\nb 1e39\n", r"line 3: 1e\+39 is too large"),
    "an id twice": (b"2 1\na 1\na 2\n", "record 1 is 'a', which came before"),
    "bytes for a value": (b"2 1\na 1\nb \xff\xfe\n", "line 3: could not convert"),
    "text id not UTF-8": (b"2 1\na 1\n\xff 2\n", "record 1 is not UTF-8"),
    "binary cut off": (b"2 2\na " + TWO + b"bcdefgh " + TWO[:-1], "record 1 of 2 is cut off"),
    "binary without space": (b"1 2\n" + b"\0" * 99, "record 0 of 1 .* has no id"),
    "binary too long": (b"1 2\na " + TWO + b"b " + TWO, "more than the 1 nodes"),
    "binary sizes too large": (b"2 2\na " + TWO + b"b", "truncated: the sizes"),
    "binary id empty": (b"2 2\nabcd " + TWO + b" " + TWO, "id of record 1 is empty"),
    "binary id not UTF-8": (b"1 2\n\xff " + TWO, "record 0 is not UTF-8"),
    "binary id twice": (b"2 2\na " + TWO + b"a " + TWO, "record 1 is 'a', which came before"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(tmp_path, name):
    data, message = DAMAGED[name]
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_word2vec(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


def test_endless_binary_without_space_is_given_up_early(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.write(b"1 1\n")
        file.truncate(2**33)  # sparse: takes no room
    with pytest.raises(FileFormatError, match="has no id"):
        read_word2vec(tmp_path / "file")


def test_every_truncation_of_a_binary_file_is_detected(tmp_path):
    path = tmp_path / "file"
    write_word2vec(path, IDS, table(), binary=True)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        for binary in (True, None):
            with pytest.raises(FileFormatError):
                read_word2vec(path, binary=binary)


def test_lines_lost_from_a_text_file_are_detected(tmp_path):
    path = tmp_path / "file"
    write_word2vec(path, IDS, table())
    lines = path.read_bytes().splitlines(keepends=True)
    for lost in range(len(lines)):
        path.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
        with pytest.raises(FileFormatError):
            read_word2vec(path)


@BOTH
def test_random_damage_never_does_worse_than_a_file_format_error(tmp_path, binary):
    path = tmp_path / "file"
    write_word2vec(path, IDS, table(), binary=binary)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(1000):
        damaged = bytearray(whole)
        at = int(rng.integers(len(whole)))
        damaged[at : at + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(0, 9)))
        path.write_bytes(damaged)
        try:
            ids, back = read_word2vec(path)
        except FileFormatError:
            refused += 1
        else:
            assert len(ids) == len(back) == len(set(ids))
    assert refused > 200


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_word2vec(tmp_path / "no")

"""Interactions: every door makes the same table, and names what is wrong."""

import gzip
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph
from graphembed.recsys import Interactions, _text

DATA = Path(os.environ.get("GRAPHEMBED_DATA", "nowhere"))
USERS = ["bob", "ann", "bob", "cem"]
ITEMS = [7, 7, 3, 9]
RATINGS = [5.0, 3.5, 1.0, 2.0]
TIMES = [40, 10, 30, 20]


def table(**options):
    return Interactions.from_arrays(USERS, ITEMS, RATINGS, TIMES, **options)


def entries(data: Interactions) -> set:
    """Every interaction with the caller's ids."""
    coo = data.matrix.tocoo()
    times = [None] * coo.nnz if data.times is None else data.times.tolist()
    return set(
        zip(
            data.user_ids[coo.row].tolist(),
            data.item_ids[coo.col].tolist(),
            coo.data.tolist(),
            times,
            strict=True,
        )
    )


# ---------------------------------------------------------------- arrays


def test_ids_values_and_times_stay_together():
    data = table()
    assert data.user_ids.tolist() == ["bob", "ann", "cem"]  # by first appearance
    assert data.item_ids.tolist() == [3, 7, 9]  # ascending
    assert data.item_ids.dtype == np.int64
    assert entries(data) == set(zip(USERS, ITEMS, RATINGS, TIMES, strict=True))
    assert repr(data) == (
        "Interactions(n_users=3, n_items=3, n_interactions=4, weighted, with times)"
    )


def test_the_matrix_is_canonical_float32_and_read_only():
    data = table()
    matrix = data.matrix
    assert isinstance(matrix, sp.csr_matrix)
    assert matrix.dtype == np.float32
    assert sp.csr_matrix(matrix.toarray()).indices.tolist() == matrix.indices.tolist()
    for array in (matrix.data, matrix.indices, matrix.indptr, data.times, data.user_ids):
        assert not array.flags.writeable
    with pytest.raises(AttributeError, match="immutable"):
        data.times = None
    with pytest.raises(TypeError, match="no constructor"):
        Interactions()


def test_given_ids_fix_the_rows_and_columns():
    data = table(user_ids=["x", "cem", "bob", "ann"], item_ids=[9, 7, 3, 1])
    assert data.matrix.shape == (4, 4)
    assert entries(data) == entries(table())
    assert data.user_index(["ann", "x"]).tolist() == [3, 0]
    with pytest.raises(ValueError, match=r"items\[2\] is 3, which is not among item_ids"):
        table(item_ids=[7, 9])
    with pytest.raises(ValueError, match="user_ids must be distinct, got 'bob' twice"):
        table(user_ids=["bob", "ann", "cem", "bob"])


def test_an_unknown_id_is_named():
    data = table()
    assert data.item_index([9, 3]).tolist() == [2, 0]
    with pytest.raises(KeyError, match="there is no user 'dan'"):
        data.user_index(["ann", "dan"])
    with pytest.raises(KeyError, match="there is no item 8"):
        data.item_index(np.array([3, 8]))


def test_repeated_pairs():
    users, items, ratings = [1, 2, 1, 1], [5, 5, 5, 5], [1.0, 2.0, 4.0, 8.0]
    last = Interactions.from_arrays(users, items, ratings)
    assert last.matrix.toarray().tolist() == [[8.0], [2.0]]
    timed = Interactions.from_arrays(users, items, ratings, [3, 0, 9, 1])
    assert timed.matrix.toarray().tolist() == [[4.0], [2.0]]
    assert timed.times.tolist() == [9, 0]
    tied = Interactions.from_arrays(users, items, ratings, [9, 0, 9, 1])
    assert tied.matrix.toarray().tolist() == [[4.0], [2.0]]  # of equal times the last in order
    total = Interactions.from_arrays(users, items, ratings, [3, 0, 9, 1], duplicates="sum")
    assert total.matrix.toarray().tolist() == [[13.0], [2.0]]
    assert total.times.tolist() == [9, 0]
    counts = Interactions.from_arrays(users, items, duplicates="sum")
    assert counts.matrix.toarray().tolist() == [[3.0], [1.0]]
    with pytest.raises(ValueError, match=r"the pair \(1, 5\) occurs more than once"):
        Interactions.from_arrays(users, items, duplicates="error")
    with pytest.raises(ValueError, match="duplicates must be one of"):
        Interactions.from_arrays(users, items, duplicates="mean")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(-3, 3), st.integers(1, 9), st.integers(0, 4)),
        min_size=1,
    )
)
def test_last_and_sum_agree_with_dictionaries(rows):
    users, items, ratings, times = map(list, zip(*rows, strict=True))
    last, total = {}, {}
    for user, item, rating, time in sorted(rows, key=lambda row: row[3]):
        last[user, item] = (rating, time)
        total[user, item] = (total.get((user, item), (0, 0))[0] + rating, time)
    for how, wanted in (("last", last), ("sum", total)):
        data = Interactions.from_arrays(users, items, ratings, times, duplicates=how)
        assert entries(data) == {(*pair, *values) for pair, values in wanted.items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1]), "users and items must be equally many, got 2 and 1"),
        (([], []), "at least one user and one item"),
        (([1, None], [1, 2]), r"users\[1\]: an id must not be None"),
        (([1, 2], [1, 2], [1, 0]), r"ratings must be > 0, got ratings\[1\] = 0"),
        (([1, 2], [1, 2], [1, np.nan]), r"ratings must be finite, got ratings\[1\] = nan"),
        (([1, 2], [1, 2], [1]), "ratings must be 2 real numbers"),
        (([1, 2], [1, 2], ["a", "b"]), "ratings must be 2 real numbers"),
        (([1, 2], [1, 2], [1, 1e300]), r"the pair \(2, 2\) has the value 1e\+300"),
        (([1, 2], [1, 2], None, [1, np.inf]), r"times must be finite, got times\[1\] = inf"),
        (([1, 2], [1, 2], None, np.array(["2020-01-01", "NaT"], "M8[D]")), r"times\[1\] is no"),
    ],
)
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Interactions.from_arrays(*arguments)


def test_dates_become_microseconds():
    dates = np.array(["2020-01-02", "2020-01-01"], "M8[D]")
    data = Interactions.from_arrays([1, 2], [1, 2], times=dates)
    assert data.times.dtype == np.int64
    assert int(data.times[0] - data.times[1]) == 24 * 3600 * 10**6


def test_inputs_are_neither_kept_nor_changed():
    ratings, matrix = np.array(RATINGS), sp.csr_matrix(np.eye(3, dtype=np.float32))
    ids = np.array([4, 5, 6])
    data = Interactions.from_csr(matrix, user_ids=ids)
    Interactions.from_arrays(USERS, ITEMS, ratings)
    ids[0] = matrix.data[0] = ratings[0] = 77
    assert data.user_ids.tolist() == [4, 5, 6]
    assert data.matrix.data.tolist() == [1, 1, 1]


# ---------------------------------------------------------------- matrices


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array, sp.coo_array, sp.lil_matrix])
def test_every_sparse_matrix_is_read(kind):
    dense = np.array([[0, 2, 0], [1, 0, 0.5], [0, 0, 0]])
    data = Interactions.from_csr(kind(dense), item_ids=["a", "b", "c"])
    assert data.matrix.toarray().tolist() == dense.tolist()
    assert data.user_ids.tolist() == [0, 1, 2]
    assert entries(data) == {(0, "b", 2.0, None), (1, "a", 1.0, None), (1, "c", 0.5, None)}


def test_times_go_with_the_stored_entries():
    unsorted = sp.csr_matrix(([1.0, 2.0, 0.0, 3.0], [2, 0, 1, 1], [0, 3, 4]), shape=(2, 3))
    data = Interactions.from_csr(unsorted, times=[10, 20, 30, 40])
    assert data.matrix.data.tolist() == [2, 1, 3]
    assert data.times.tolist() == [20, 10, 40]


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.eye(2), {}, "must be a scipy sparse matrix, got ndarray"),
        (sp.csr_matrix([[1.0, -2.0]]), {}, r"matrix.data must be >= 0, got matrix.data\[1\]"),
        (sp.csr_matrix((0, 3)), {}, "at least one user"),
        (sp.csr_matrix([[1.0, 2.0]]), {"item_ids": [1]}, "item_ids must name every row"),
        (sp.csr_matrix([[1.0, 2.0]]), {"times": [1]}, "times must be 2 real numbers"),
    ],
)
def test_bad_matrices_are_refused(matrix, options, message):
    with pytest.raises(ValueError, match=message):
        Interactions.from_csr(matrix, **options)


# ---------------------------------------------------------------- data frames


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames(library):
    module = pytest.importorskip(library)
    columns = {"who": USERS, "what": ITEMS, "stars": RATINGS, "at": TIMES}
    frame = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    data = Interactions.from_frame(frame, user="who", item="what", rating="stars", time="at")
    assert data == table()
    assert data.user_ids.dtype == object
    bare = Interactions.from_frame(frame, user="who", item="what")
    assert bare == Interactions.from_arrays(USERS, ITEMS)
    with pytest.raises(ValueError, match="no column 'when'; say with time= which one it is"):
        Interactions.from_frame(frame, user="who", item="what", time="when")


def test_dates_of_a_frame_and_missing_values():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"u": [1, 2], "i": [3, 4], "t": pandas.to_datetime(["2020-01-02", "2020-01-01"])}
    )
    data = Interactions.from_frame(frame, user="u", item="i", time="t")
    assert data.times[0] > data.times[1]
    frame.loc[1, "i"] = None
    with pytest.raises(ValueError, match="column 'i' has a missing value in row 1"):
        Interactions.from_frame(frame, user="u", item="i")
    with pytest.raises(ValueError, match="not a data frame"):
        Interactions.from_frame([[1, 2]], user="u", item="i")


# ---------------------------------------------------------------- files


def write(folder: Path, text: str | bytes, name: str = "file.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_adjacency_lists(tmp_path):
    path = write(tmp_path, "5 30 10\n\n7\r\n2 10 10 20 \n")
    data = Interactions.from_lightgcn(path)
    assert data.user_ids.tolist() == [2, 5, 7]  # 7 has no interactions, but is a user
    assert entries(data) == {(5, 30, 1, None), (5, 10, 1, None), (2, 10, 1, None), (2, 20, 1, None)}
    packed = write(tmp_path, gzip.compress(path.read_bytes()), "file.gz")
    assert Interactions.from_lightgcn(packed) == data
    words = Interactions.from_lightgcn(write(tmp_path, "5 30 10\n007 30\n"))
    assert words.user_ids.tolist() == ["5", "007"]
    assert words.item_ids.tolist() == [10, 30]


def test_triples_are_no_adjacency_lists(tmp_path):
    path = write(tmp_path, "1 10 57\n2 10 3\n\n1 11 80\n2 12 5\n")
    message = r"line 4: the user 1 had a line before, .* with from_movielens"
    with pytest.raises(FileFormatError, match=message):
        Interactions.from_lightgcn(path)
    assert Interactions.from_movielens(path).n_interactions == 4


def test_a_test_file_shares_the_ids_of_its_train_file(tmp_path):
    train = Interactions.from_lightgcn(write(tmp_path, "0 1 2\n3 4\n"))
    test = Interactions.from_lightgcn(write(tmp_path, "3 2 1\n"), like=train)
    assert test.matrix.shape == train.matrix.shape
    assert entries(test) == {(3, 2, 1, None), (3, 1, 1, None)}
    path = write(tmp_path, "3 2\n0 1 9\n")
    message = r"file.txt, line 2: the item 9 is not in the table .* align\(\)"
    with pytest.raises(ValueError, match=message):
        Interactions.from_lightgcn(path, like=train)
    one, two = train.align(Interactions.from_lightgcn(path))
    assert one.item_ids.tolist() == two.item_ids.tolist() == [1, 2, 4, 9]
    assert entries(one) == entries(train)
    assert (0, 9, 1, None) in entries(two)


def test_numbers_in_a_file_are_words_where_the_other_file_has_words(tmp_path):
    train = Interactions.from_movielens(write(tmp_path, "a\t1\nb\t007\n"))
    test = Interactions.from_movielens(write(tmp_path, "b\t1\n"), like=train)
    assert entries(test) == {("b", "1", 1, None)}


def test_words_begin_late(tmp_path, monkeypatch):
    monkeypatch.setattr("graphembed.recsys._text._PIECE", 8)
    path = write(tmp_path, "10\t5\n-3\t5\n10\t6\nx\t5\n10\tÿ\n")
    data = Interactions.from_movielens(path)
    assert data.user_ids.tolist() == ["10", "-3", "x"]
    assert data.item_ids.tolist() == ["5", "6", "ÿ"]
    assert entries(data) == {
        ("10", "5", 1, None),
        ("-3", "5", 1, None),
        ("10", "6", 1, None),
        ("x", "5", 1, None),
        ("10", "ÿ", 1, None),
    }


@pytest.mark.parametrize(
    "text",
    [
        "1::10::5::100\n2::20::3.5::50\n",
        "1\t10\t5\t100\n2\t20\t3.5\t50\n",
        "userId,movieId,rating,timestamp\n1,10,5.0,100\n2,20,3.5,50\n",
        "\ufeff1,10,5e0,100\r\n2,20,3.5,50",
        "1 10 5 100\n\n2  20 3.5 50\n",
    ],
)
def test_movielens(tmp_path, text):
    data = Interactions.from_movielens(write(tmp_path, text))
    assert entries(data) == {(1, 10, 5, 100), (2, 20, 3.5, 50)}
    assert data.times.dtype == np.int64


def test_weights_in_scientific_notation(tmp_path):
    data = Interactions.from_movielens(write(tmp_path, "1\t2\t3.2466e+05\r\n1\t3\t57\r\n"))
    assert data.matrix.data.tolist() == [324660.0, 57.0]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.decimals(0, 10**8, allow_nan=False, places=4).map(str),
            st.floats(0, 1e9).map(repr),
            st.integers(0, 10**20).map(str),
            st.sampled_from(
                [".5", "5.", "0.0", "007.5", "1e3", "+2", "-0.25", "123456789.1234567"]
            ),
        ),
        min_size=1,
    )
)
def test_numbers_are_those_of_python(words):
    blob = ("\n".join(words) + "\n").encode()
    fields, _ = _text.split_blanks(_text.Piece(Path("file"), 1, np.frombuffer(blob, np.uint8)))
    assert _text.parse_numbers(fields, "a number").tolist() == [float(word) for word in words]


@pytest.mark.parametrize("word", ["1.2.3", ".", "1,5", "1.x", "--1", "0x1p3"])
def test_what_is_no_number(word):
    piece = _text.Piece(Path("file"), 1, np.frombuffer(f"1.5\n{word}\n".encode(), np.uint8))
    with pytest.raises(FileFormatError, match="file, line 2: a number wanted, got"):
        _text.parse_numbers(_text.split_blanks(piece)[0], "a number wanted")


def test_recbole(tmp_path):
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tnote:token_seq\n"
    path = write(tmp_path, head + '1\tB07 x\t4\t881250949\t"good one\n2\tB07 x\t5\t881250950\t\n')
    data = Interactions.from_recbole(path)
    assert entries(data) == {(1, "B07 x", 4, 881250949), (2, "B07 x", 5, 881250950)}
    assert not Interactions.from_recbole(path, rating=None).is_weighted
    bare = Interactions.from_recbole(write(tmp_path, "item_id:token\tuser_id:token\n3\t4\n"))
    assert entries(bare) == {(4, 3, 1, None)}
    path = write(tmp_path, head + "1\t2\t3\t4\tx\n")
    with pytest.raises(FileFormatError, match="'note' must have the type float, got token_seq"):
        Interactions.from_recbole(path, rating="note")
    with pytest.raises(ValueError, match="no column 'stars'; say with rating= which one"):
        Interactions.from_recbole(path, rating="stars")
    with pytest.raises(FileFormatError, match="line 1: a header of name:type"):
        Interactions.from_recbole(write(tmp_path, "user_id\titem_id\n1\t2\n"))


def test_csv(tmp_path):
    text = 'at;who;"what";stars\n40;bob;7;5.0\n10;"ann";7;3.5\n30;bob;3;1\n20;cem;9;2\n'
    options = {"user": "who", "item": "what", "rating": "stars", "time": "at"}
    assert Interactions.from_csv(write(tmp_path, text), **options) == table()
    quoted = write(tmp_path, 'u,i\n"a, b","say ""x"""\n')
    assert entries(Interactions.from_csv(quoted, user="u", item="i")) == {
        ("a, b", 'say "x"', 1, None)
    }
    with pytest.raises(ValueError, match="no column 'item'"):
        Interactions.from_csv(quoted, user="u", item="item")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b"1::2::3::4\n1::2::3\n", "line 2: 4 columns wanted, got 3"),
        (b"1\t2\t3\n1\t2\tx\n", "line 2: the rating must be a number, got 'x'"),
        (b"1\t2\t3\n\n1\t2\t\n", "line 3: the rating must be a number, got ''"),
        (b"1\t2\t3\n1\t2\t0\n", "line 2: the rating must be finite and > 0"),
        (b"1\t2\t3\n1\t2\tnan\n", "line 2: the rating must be finite and > 0"),
        (b"1\t2\t3\t4\n1\t2\t3\t-\n", "line 2: the time must be a number, got '-'"),
        (b"1\t2\t3\t4\n1\t2\t3\tinf\n", "line 2: the time must be finite, got 'inf'"),
        (b"1\t2\t3\n\t2\t3\n", "line 2: an id must not be empty"),
        (b"1\t2\t3\n1\t2\0\t3\n", "line 2: a NUL byte"),
        (b"1\t2\t3\n1\t\xff\t3\n", "not UTF-8"),
        (b"1\t2\t3\t4\t5\n", "line 1: user, item, rating and time wanted"),
        (b"\x1f\x8b\x08\x00broken", "gzip stream is damaged"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, message):
    with pytest.raises(FileFormatError, match=message):
        Interactions.from_movielens(write(tmp_path, text))


def test_an_error_in_a_later_piece_names_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr("graphembed.recsys._text._PIECE", 10)
    path = write(tmp_path, "1\t2\t3\n" * 50 + "1\t2\tx\n")
    with pytest.raises(FileFormatError, match="line 51: the rating must be a number"):
        Interactions.from_movielens(path)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**17), 10**17),
            st.text("ab01-\u00fc", min_size=1, max_size=4),
            st.floats(1e-3, 1e6),
            st.floats(-1e9, 1e9),
        ),
        min_size=1,
    ),
    st.sampled_from(["::", "\t"]),
    st.integers(5, 60),
)
def test_text_comes_back_whatever_the_pieces(tmp_path_factory, rows, delimiter, piece):
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphembed.recsys._text._PIECE", piece)
        data = Interactions.from_movielens(path)
    users, items, ratings, times = zip(*rows, strict=True)
    canonical = all(re.fullmatch(r"0|-?[1-9][0-9]*", item) for item in items)
    wanted = Interactions.from_arrays(
        list(users), [int(x) for x in items] if canonical else list(items), ratings, times
    )
    assert entries(data) == entries(wanted)


# ---------------------------------------------------------------- other tables


def test_select_filter_implicit_and_with_matrix():
    data = table()
    assert entries(data.select(data.times >= 30)) == {("bob", 7, 5, 40), ("bob", 3, 1, 30)}
    liked = data.filter(min_rating=2)
    assert entries(liked) == {row for row in entries(data) if row[2] >= 2}
    assert liked.user_ids.tolist() == data.user_ids.tolist()
    assert not data.implicit().is_weighted
    assert data.implicit().times.tolist() == data.times.tolist()
    twice = data.with_matrix(2 * data.matrix)
    assert twice.matrix.data.tolist() == (2 * data.matrix.data).tolist()
    assert twice.times is None
    highest = data.matrix.data.max()
    assert data.filter(min_rating=highest).n_interactions
    with pytest.raises(ValueError, match=f"min_rating=9 leaves .* highest value is {highest:g}"):
        data.filter(min_rating=9)
    with pytest.raises(ValueError, match=r"min_rating=2 leaves .*filter before implicit"):
        data.implicit().filter(min_rating=2)
    with pytest.raises(ValueError, match="mask must be 4 bools"):
        data.select([0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"must have the shape \(3, 3\), got \(2, 2\)"):
        data.with_matrix(sp.eye(2).tocsr())


@settings(deadline=None, max_examples=60)
@given(
    st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_k_core_is_the_largest_part_with_enough_on_both_sides(pairs, k, k_items):
    left = set(pairs)
    while True:
        users = [u for u, _ in left]
        items = [i for _, i in left]
        rest = {(u, i) for u, i in left if users.count(u) >= k and items.count(i) >= k_items}
        if rest == left:
            break
        left = rest
    data = Interactions.from_arrays(*map(list, zip(*sorted(pairs), strict=True)))
    if not left:
        with pytest.raises(ValueError, match="no user is left"):
            data.k_core(k, k_items)
        return
    core = data.k_core(k, k_items)
    assert {(u, i) for u, i, _, _ in entries(core)} == left
    assert core.user_ids.tolist() == sorted({u for u, _ in left})
    assert core.item_ids.tolist() == sorted({i for _, i in left})


def test_k_core_keeps_values_times_and_order():
    rng = np.random.default_rng(0)
    data = Interactions.from_arrays(
        rng.integers(0, 40, 300), rng.integers(0, 30, 300), 1 + rng.random(300), rng.random(300)
    )
    core = data.k_core(5, 4)
    assert core.n_users < data.n_users
    assert entries(core) < entries(data)
    assert core.matrix.has_sorted_indices
    assert (np.diff(core.matrix.indptr) >= 5).all()


@pytest.mark.parametrize("weighted", [True, False])
def test_the_graph_is_the_one_of_the_edges(weighted):
    data = table() if weighted else table().implicit()
    graph = data.to_graph()
    coo = data.matrix.tocoo()
    edges = [
        (("user", data.user_ids[i]), ("item", int(data.item_ids[j])), float(w))
        for i, j, w in zip(coo.row, coo.col, coo.data, strict=True)
    ]
    kinds = [("user", u) for u in data.user_ids.tolist()]
    kinds += [("item", i) for i in data.item_ids.tolist()]
    wanted = Graph.from_any(edges, nodes=kinds, node_types=[kind for kind, _ in kinds])
    assert graph == wanted
    assert graph.is_weighted == weighted
    assert Graph.from_csr(graph.indptr, graph.indices, graph.weights, directed=False).n_edges == 4


def test_copies_and_equality():
    data = table()
    assert pickle.loads(pickle.dumps(data)) == data
    assert data != table().implicit()
    assert data != "data"
    numbers = Interactions.from_arrays([1], [2])
    assert numbers != Interactions.from_arrays(["1"], [2])
    with pytest.raises(TypeError, match="unhashable"):
        hash(data)


# ---------------------------------------------------------------- the real files


@pytest.mark.data
@pytest.mark.skipif(not DATA.joinpath("ml-1m_m1").is_dir(), reason="needs GRAPHEMBED_DATA")
def test_movielens_1m():
    train = Interactions.from_lightgcn(DATA / "ml-1m_m1" / "train.txt")
    test = Interactions.from_lightgcn(DATA / "ml-1m_m1" / "test.txt", like=train)
    assert train.matrix.shape == (6022, 3043)
    assert (train.n_interactions, test.n_interactions) == (796_244, 99_455)
    assert train.matrix.multiply(test.matrix).nnz == 0


@pytest.mark.data
@pytest.mark.skipif(not DATA.joinpath("lastfm").is_dir(), reason="needs GRAPHEMBED_DATA")
def test_lastfm_and_movielens_100k():
    parts = [Interactions.from_movielens(DATA / "lastfm" / f"{n}1.txt") for n in ("data", "test")]
    train, test = parts[0].align(parts[1])
    assert train.n_items == 4489
    assert (train.n_interactions, test.n_interactions) == (42_135, 10_533)
    ratings = Interactions.from_recbole(DATA / "ml-100k" / "ml-100k.inter")
    assert ratings.matrix.shape == (943, 1682)
    assert ratings.n_interactions == 100_000
    assert set(ratings.matrix.data.tolist()) == {1, 2, 3, 4, 5}
    assert ratings.times.dtype == np.int64


def test_numbers_and_their_texts_are_not_aligned():
    numbers = Interactions.from_arrays([1, 2, 3], [10, 20, 30])
    words = Interactions.from_arrays([1, 2, 3], ["10", "20", "x"])
    for pair in ((numbers, words), (words, numbers)):
        with pytest.raises(ValueError, match="ids are numbers in one table, text in the other"):
            pair[0].align(pair[1])
    others = Interactions.from_arrays([1], ["tea"])
    assert numbers.align(others)[0].item_ids.tolist() == [10, 20, 30, "tea"]


ISO = ["2024-05-01", "2024-05-01T12:00:00+02:00", "2024-05-01 10:00:01.5", "2024-05-02T00:00:00Z"]
MICROSECONDS = np.array(
    ["2024-05-01", "2024-05-01T10:00", "2024-05-01T10:00:01.5", "2024-05-02"], "M8[us]"
).astype(np.int64)


def test_iso_dates(tmp_path):
    lines = "".join(f"u,{k},{time}\n" for k, time in enumerate(ISO))
    path = write(tmp_path, "user,item,at\n" + lines)
    found = Interactions.from_csv(path, user="user", item="item", time="at")
    assert found.times.tolist() == MICROSECONDS.tolist()
    assert Interactions.from_arrays(["u"] * 4, range(4), times=ISO).times.tolist() == (
        MICROSECONDS.tolist()
    )
    frame = pytest.importorskip("pandas").DataFrame({"user": 1, "item": range(4), "at": ISO})
    found = Interactions.from_frame(frame, user="user", item="item", time="at")
    assert found.times.tolist() == MICROSECONDS.tolist()
    with pytest.raises(ValueError, match=r"times\[1\] is 'noon', neither a number nor an ISO date"):
        Interactions.from_arrays([1, 2], [1, 2], times=["2024-05-01", "noon"])
    mixed = write(tmp_path, "user,item,at\nu,1,2024-05-01\nu,2,17\n")
    with pytest.raises(FileFormatError, match="line 3: the time must be an ISO date"):
        Interactions.from_csv(mixed, user="user", item="item", time="at")


def test_errors_name_the_class_of_the_caller():
    with pytest.raises(TypeError, match=r"^Interactions.from_frame\(\) missing"):
        Interactions.from_frame({})

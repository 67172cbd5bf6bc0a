"""The laws of the splits, and that one who breaks them is caught."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphembed.recsys import (
    Interactions,
    Split,
    cold_item_split,
    cold_user_split,
    global_time_split,
    leave_one_out,
    make_interactions,
    random_split,
    user_time_split,
)

SPLITS = {
    "random": lambda data, seed: random_split(data, random_state=seed),
    "random-by-user": lambda data, seed: random_split(data, by_user=True, random_state=seed),
    "leave-one-out": lambda data, seed: leave_one_out(data, random_state=seed),
    "user-time": lambda data, seed: user_time_split(data),
    "global-time": lambda data, seed: global_time_split(data),
    "cold-items": lambda data, seed: cold_item_split(data, random_state=seed),
    "cold-users": lambda data, seed: cold_user_split(data, random_state=seed),
    "cold-users-told": lambda data, seed: cold_user_split(data, history=0.5, random_state=seed),
}


def rows(part: Interactions) -> list:
    """(user, item, value, time) of every interaction, with the caller's ids."""
    coo = part.matrix.tocoo()
    times = [None] * coo.nnz if part.times is None else part.times.tolist()
    users, items = part.user_ids[coo.row].tolist(), part.item_ids[coo.col].tolist()
    return list(zip(users, items, coo.data.tolist(), times, strict=True))


def parts_of(split: Split) -> list[Interactions]:
    parts = [split.train, split.val, split.test]
    return parts if split.history is None else [*parts, split.history]


def check_laws(data: Interactions, split: Split) -> None:
    """Nothing is lost, nothing is twice, ids and values are those of the table."""
    together = [row for part in parts_of(split) for row in rows(part)]
    assert sorted(together) == sorted(rows(data))
    for part in parts_of(split):
        assert part.user_ids.tolist() == data.user_ids.tolist()
        assert part.item_ids.tolist() == data.item_ids.tolist()
    assert split.train.n_interactions


def check_times(earlier: list, later: list) -> None:
    if earlier and later:
        assert max(row[3] for row in earlier) < min(row[3] for row in later)


@st.composite
def tables(draw):
    pairs = draw(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=20, max_size=60))
    pairs = sorted(pairs)
    times = draw(st.lists(st.integers(0, 12), min_size=len(pairs), max_size=len(pairs)))
    users, items = zip(*pairs, strict=True)
    names = [f"u{user}" for user in users]
    return Interactions.from_arrays(names, list(items), None, times, item_ids=range(11))


@pytest.mark.parametrize("name", SPLITS)
@settings(deadline=None, max_examples=25)
@given(data=tables(), seed=st.integers(0, 5))
def test_every_split_keeps_the_laws(name, data, seed):
    try:
        split = SPLITS[name](data, seed)
    except ValueError:  # the times may be too much alike; test_bad_sizes_are_refused looks at it
        assume(False)
    check_laws(data, split)
    again = SPLITS[name](data, seed)
    assert all(a == b for a, b in zip(parts_of(split), parts_of(again), strict=True))
    if name == "global-time":
        check_times(rows(split.train), rows(split.val))
        check_times(rows(split.val), rows(split.test))
    if name in ("user-time", "cold-users-told"):
        in_order = [split.train, split.history, split.val, split.test]
        for user in data.user_ids.tolist():
            own = [[r for r in rows(part) if r[0] == user] for part in in_order if part is not None]
            for earlier, later in combinations(own, 2):
                check_times(earlier, later)


def test_the_laws_catch_a_split_that_leaks():
    data = make_interactions(20, 15, per_user=8, random_state=0).interactions
    good = global_time_split(data)
    leak = np.zeros(data.n_interactions, bool)
    leak[np.argmax(data.times)] = True  # the last of the test goes into train
    late = data.select(leak)
    mixed = good.train.with_matrix(good.train.matrix + late.matrix)
    with pytest.raises(ValueError, match=r"1 interactions are in train and in test, such as \("):
        Split(mixed, good.val, good.test)
    with pytest.raises(ValueError, match="interactions are in val and in test"):
        Split(good.train, good.test, good.test)
    smaller = good.train.k_core(2)
    with pytest.raises(ValueError, match=r"train and val have different .* train.align\(val\)"):
        Split(smaller, good.val, good.test)
    with pytest.raises(AssertionError):
        check_times(rows(data.select(data.times >= data.times.min())), rows(good.test))
    lost = Split(good.train, good.val, good.test.select(good.test.times < good.test.times.max()))
    with pytest.raises(AssertionError):
        check_laws(data, lost)


# ---------------------------------------------------------------- what each one is for


def test_random_parts_have_their_sizes_and_every_interaction_its_chance():
    data = make_interactions(40, 30, per_user=10, random_state=0).interactions
    n = data.n_interactions
    hits = np.zeros((40, 30))
    for seed in range(300):
        split = random_split(data, val=0.25, test=0.5, random_state=seed)
        assert split.val.n_interactions == round(0.25 * n)
        assert split.test.n_interactions == round(0.5 * n)
        hits += split.test.matrix != 0
    share = np.asarray(hits[data.matrix.nonzero()]).ravel() / 300
    assert abs(share - 0.5).max() < 5 * np.sqrt(0.25 / 300)
    assert random_split(data, random_state=0).test != random_split(data, random_state=1).test


def test_by_user_every_user_gives_the_same_share():
    data = make_interactions(60, 50, per_user=12, random_state=0).interactions
    split = random_split(data, val=0.1, test=0.2, by_user=True, random_state=0)
    lengths = np.diff(data.matrix.indptr)
    assert np.diff(split.test.matrix.indptr).tolist() == np.floor(0.2 * lengths + 0.5).tolist()
    assert np.diff(split.val.matrix.indptr).tolist() == np.floor(0.1 * lengths + 0.5).tolist()


def test_one_part_may_be_empty():
    data = make_interactions(30, 20, random_state=0).interactions
    for split in (
        random_split(data, val=0, test=0.3, random_state=0),
        leave_one_out(data, val=0, random_state=0),
        global_time_split(data, val=0),
    ):
        assert split.val.n_interactions == 0
        check_laws(data, split)
    only_val = random_split(data, val=0.3, test=0, random_state=0)
    assert only_val.test.n_interactions == 0
    assert only_val.val.n_interactions == round(0.3 * data.n_interactions)


def test_leave_one_out_takes_the_last_and_spares_who_has_little():
    users = ["a"] * 4 + ["b"] * 3 + ["c"] * 2
    items = [0, 1, 2, 3, 0, 1, 2, 0, 1]
    data = Interactions.from_arrays(users, items, None, [5, 9, 7, 1, 3, 2, 1, 8, 9])
    split = leave_one_out(data)
    assert {row[:2] for row in rows(split.test)} == {("a", 1), ("b", 0)}
    assert {row[:2] for row in rows(split.val)} == {("a", 2), ("b", 1)}
    assert {row[:2] for row in rows(split.train)} >= {("c", 0), ("c", 1)}
    more = leave_one_out(data, val=0, test=2)
    assert {row[:2] for row in rows(more.test)} == {("a", 1), ("a", 2), ("b", 0), ("b", 1)}


def test_leave_one_out_chooses_fairly_between_equal_times_and_without_any():
    pairs = [("a", item) for item in range(5)]
    timed = Interactions.from_arrays(*zip(*pairs, strict=True), None, [1, 7, 7, 7, 0])
    untimed = Interactions.from_arrays(*zip(*pairs, strict=True))
    for data, wanted in ((timed, {1, 2, 3}), (untimed, {0, 1, 2, 3, 4})):
        taken = [rows(leave_one_out(data, random_state=seed).test)[0][1] for seed in range(200)]
        assert set(taken) == wanted
        counts = np.unique(taken, return_counts=True)[1]
        assert counts.min() > 0.6 * 200 / len(wanted)


def test_equal_times_stay_together_in_the_earlier_part():
    users, times = ["a"] * 6, [1, 2, 3, 5, 5, 6]
    data = Interactions.from_arrays(users, range(6), None, times)
    split = user_time_split(data, val=0.2, test=0.35)  # of 6: 1 and 2, but the second has a twin
    assert [row[3] for row in rows(split.test)] == [6]
    assert sorted(row[3] for row in rows(split.val)) == [5, 5]
    same = Interactions.from_arrays(users + ["b"] * 4, [*range(6), *range(4)], None, [9] * 10)
    with pytest.raises(ValueError, match=r"(test|val) would be empty"):
        user_time_split(same)
    with pytest.raises(ValueError, match="val would be empty"):
        global_time_split(same)


def test_global_time_has_about_the_sizes_asked_for():
    data = make_interactions(200, 100, random_state=0).interactions
    split = global_time_split(data, val=0.1, test=0.2)
    n = data.n_interactions
    assert split.test.n_interactions == pytest.approx(0.2 * n, abs=5)
    assert split.val.n_interactions == pytest.approx(0.1 * n, abs=5)


def test_cold_items_are_the_candidates():
    data = make_interactions(100, 50, random_state=0).interactions
    split = cold_item_split(data, val=0.1, test=0.2, random_state=0)
    assert len(split.items) == 10
    assert len(split.val_items) == 5
    for part, items in ((split.test, split.items), (split.val, split.val_items)):
        assert {row[1] for row in rows(part)} == set(items.tolist())
    seen = {row[1] for row in rows(split.train)}
    assert not seen & {*split.items.tolist(), *split.val_items.tolist()}


def test_cold_users_are_nowhere_else_and_history_comes_first():
    data = make_interactions(100, 50, random_state=0).interactions
    split = cold_user_split(data, val=0.1, test=0.2, random_state=0)
    who = [{row[0] for row in rows(part)} for part in parts_of(split)]
    assert [len(users) for users in who] == [70, 10, 20]
    assert split.history is None
    told = cold_user_split(data, val=0.1, test=0.2, history=0.75, random_state=0)
    assert {row[0] for row in rows(told.test)} == who[2]
    assert {row[0] for row in rows(told.history)} == who[1] | who[2]
    for user in sorted(who[2]):
        before = [row[3] for row in rows(told.history) if row[0] == user]
        after = [row[3] for row in rows(told.test) if row[0] == user]
        assert max(before) < min(after)
        assert len(before) == int(0.75 * (len(before) + len(after)) + 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: random_split(d, val=0.5, test=0.5), r"val \+ test must be in \(0, 1\)"),
        (lambda d: random_split(d, val=0, test=0), r"val \+ test must be in \(0, 1\)"),
        (lambda d: random_split(d, val=-0.1), "val must be a finite number in"),
        (lambda d: random_split(d, val=0.001), "val would be empty: val=0.001"),
        (lambda d: random_split(d, by_user=1), "by_user must be True or False"),
        (lambda d: leave_one_out(d, val=0, test=0), "nothing to take"),
        (lambda d: leave_one_out(d, test=0.2), "test must be an int"),
        (lambda d: leave_one_out(d, test=99), "val would be empty"),
        (user_time_split, "have no times: name the column"),
        (global_time_split, "have no times: name the column"),
        (lambda d: cold_item_split(d, test=1), "test must be a finite number in"),
        (lambda d: cold_user_split(d, history=1), "history must be a finite number in"),
    ],
)
def test_bad_sizes_are_refused(call, message):
    data = Interactions.from_arrays([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])
    with pytest.raises(ValueError, match=message):
        call(data)

"""Planted interactions have the laws they promise; the loader of citeulike-a reads its format."""

import os
from pathlib import Path

import numpy as np
import pytest

from graphembed.exceptions import FileFormatError
from graphembed.recsys import load_citeulike, make_interactions

DATA = Path(os.environ.get("GRAPHEMBED_DATA", "nowhere"))


def shares(data):
    """How much of the interactions and of the tags is the own taste's."""
    coo = data.interactions.matrix.tocoo()
    tags = data.item_tags.tocoo()
    own_item = data.user_blocks[coo.row] == data.item_blocks[coo.col]
    own_tag = data.item_blocks[tags.row] == tags.col // 20
    return own_item.mean(), own_tag.mean(), own_item, coo


def test_tastes_popularity_ratings_and_content():
    data = make_interactions(2000, 400, n_blocks=4, per_user=10, random_state=0)
    own_items, own_tags, own, coo = shares(data)
    assert 0.8 < own_items < 0.88  # 0.8 + 0.2 / 4 of the draws, of which more come twice
    assert 0.8 < own_tags < 0.86  # 0.8 + 0.2 / 5 of the draws
    assert coo.data[own].mean() == pytest.approx(4, abs=0.1)
    assert coo.data[~own].mean() == pytest.approx(2.5, abs=0.1)
    counts = np.sort(data.interactions.matrix.getnnz(axis=0))[::-1]
    assert counts[:40].sum() > 0.3 * counts.sum()
    assert data.interactions.matrix.shape == (2000, 400)
    assert data.interactions.times.min() >= 0


def test_without_loyalty_and_content_nothing_is_told():
    data = make_interactions(
        2000, 400, n_blocks=4, per_user=10, loyalty=0, content=0, popularity=0, random_state=0
    )
    own_items, own_tags, *_ = shares(data)
    assert own_items == pytest.approx(0.25, abs=0.02)
    assert own_tags == pytest.approx(0.2, abs=0.02)
    full = make_interactions(200, 40, n_blocks=4, loyalty=1, content=1, random_state=0)
    assert shares(full)[:2] == (1, 1)


def test_the_seed_decides_everything():
    one, two = (make_interactions(50, 40, random_state=7) for _ in range(2))
    assert one.interactions == two.interactions
    assert one.item_text == two.item_text
    assert make_interactions(50, 40, random_state=8).interactions != one.interactions


def test_text_and_tags_say_the_same():
    data = make_interactions(20, 30, random_state=1)
    for row, text in zip(data.item_tags, data.item_text, strict=True):
        assert [f"tag{tag}" for tag in row.indices.tolist()] == text.split()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_items": 3}, "n_blocks must be <= n_items = 3, got 4"),
        ({"loyalty": 1.5}, "loyalty must be"),
        ({"per_user": 0}, "per_user must be"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_interactions(**options)


FILES = {
    "tags.dat": "red\nblue\n",
    "item-tag.dat": "1 0\n0\n2 1 0\n",
    "users.dat": "2 0 2\n1 1\n",
    "citations.dat": "2 1 0\n0\n1 1\n",
}


def write(folder, **changed):
    for name, text in FILES.items():
        folder.joinpath(name).write_text(changed.get(name.partition(".")[0], text))
    return folder


def test_citeulike(tmp_path):
    data = load_citeulike(write(tmp_path))
    assert data.interactions.matrix.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert data.tags.toarray().tolist() == [[1, 0], [0, 0], [1, 1]]
    assert data.tag_names.tolist() == ["red", "blue"]
    assert data.citations.n_edges == 2  # 0-1 and 1-2; that an article cites itself is left out
    assert data.citations.node_ids.tolist() == [0, 1, 2]
    assert not data.citations.directed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"users": "2 0 2\n2 1\n"}, r"users.dat, line 2: the line holds 1 numbers .* got '2'"),
        ({"users": "2 0 2\n1 3\n"}, r"users.dat, line 2: numbers must be below 3, got 3"),
        ({"users": "2 0 x\n"}, r"users.dat, line 1: a whole number wanted, got 'x'"),
        ({"users": "1 0\n\n1 1\n"}, r"users.dat: a blank line"),
        ({"citations": "0\n0\n"}, r"citations.dat: 3 lines wanted, got 2"),
    ],
)
def test_bad_files_of_citeulike_are_refused(tmp_path, changed, message):
    with pytest.raises(FileFormatError, match=message):
        load_citeulike(write(tmp_path, **changed))


@pytest.mark.data
@pytest.mark.skipif(not DATA.joinpath("citeulike-a").is_dir(), reason="needs GRAPHEMBED_DATA")
def test_citeulike_a():
    data = load_citeulike(DATA / "citeulike-a")
    assert data.interactions.matrix.shape == (5551, 16_980)
    assert data.interactions.n_interactions == 204_986
    assert data.tags.shape == (16_980, 46_391)
    assert data.tags.nnz == 239_253
    assert int((data.tags.getnnz(axis=1) == 0).sum()) == 3461
    assert data.citations.n_edges == 44_661  # 44,757 with 96 articles that cite themselves

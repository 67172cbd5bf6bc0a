"""The dataset citeulike-a (Wang, Chen & Li, IJCAI 2013): articles with tags and citations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed._storage import StrPath
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph
from graphembed.recsys._readers import read_lists
from graphembed.recsys.interactions import Interactions


@dataclass(frozen=True, eq=False)
class CiteULike:
    """Libraries of articles, and what is known of the articles.

    Attributes
    ----------
    interactions : Interactions
        Users and the articles in their libraries; ids are 0, 1, 2, ...
    tags : scipy.sparse.csr_matrix of float32, shape (n_items, n_tags)
        1 where an article was given a tag; rows in the order of ``interactions.item_ids``.
    tag_names : ndarray of str objects, shape (n_tags,)
        The tags.
    citations : Graph
        Pairs of articles one of which cites the other, undirected and without weights; node ids
        are item ids, and every item is a node.
    """

    interactions: Interactions
    tags: sp.csr_matrix
    tag_names: npt.NDArray[np.object_]
    citations: Graph


def load_citeulike(folder: StrPath) -> CiteULike:
    """Read the folder of citeulike-a; the data are not part of graphembed.

    Parameters
    ----------
    folder : str or path-like
        Holds ``users.dat``, ``item-tag.dat``, ``tags.dat`` and ``citations.dat``, as they are at
        github.com/js05212/citeulike-a.

    Returns
    -------
    CiteULike
        Interactions, tags and citations.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    FileFormatError
        If a file is not what it should be; the message names file and line.

    Notes
    -----
    Tags were given by those who had the article: for a test on new articles they tell a little
    more than a new article has; citations do not.
    """
    folder = Path(folder)
    tag_names = (folder / "tags.dat").read_text(encoding="utf-8").split("\n")
    names = np.array([name.strip() for name in tag_names if name.strip()], object)
    tags = _read(folder / "item-tag.dat", None, len(names))
    n_items = tags.shape[0]
    users = _read(folder / "users.dat", None, n_items)
    cited = _read(folder / "citations.dat", n_items, n_items)
    either = ((cited + cited.T) > 0).astype(np.float32).tocoo()
    others = either.row != either.col
    pairs = np.vstack([either.row[others], either.col[others]])
    return CiteULike(
        interactions=Interactions.from_csr(users),
        tags=tags,
        tag_names=names,
        citations=Graph.from_edge_index(pairs, num_nodes=n_items, directed=False),
    )


def _read(path: Path, n_rows: int | None, n_columns: int) -> sp.csr_matrix:
    """Read lists of columns; one that is listed twice counts once."""
    indptr, indices = read_lists(path)
    if n_rows is not None and len(indptr) - 1 != n_rows:
        raise FileFormatError(f"{path}: {n_rows} lines wanted, got {len(indptr) - 1}")
    outside = (indices < 0) | (indices >= n_columns)
    if outside.any():
        k = int(np.argmax(outside))
        line = int(np.searchsorted(indptr, k, side="right"))
        raise FileFormatError(
            f"{path}, line {line}: numbers must be below {n_columns}, got {int(indices[k])}"
        )
    ones = np.ones(len(indices), np.float32)
    matrix = sp.csr_matrix((ones, indices, indptr), shape=(len(indptr) - 1, n_columns))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix

"""Graphs with labels: found on disk, downloaded, or made of the running Python.

`Dataset` is a graph with labels, `NodeDataset` one with features and masks too, `GraphDataset` many
small graphs with targets. The floor below: numpy and scipy only, no torch.
"""

from collections.abc import Callable, Mapping

from graphembed._validation import boolean, check_params, one_of
from graphembed.datasets._actor import load_actor
from graphembed.datasets._dataset import Dataset, GraphDataset, GraphSample, NodeDataset
from graphembed.datasets._esol import load_esol
from graphembed.datasets._karate import load_karate
from graphembed.datasets._mat import load_blogcatalog, load_mat, load_ppi
from graphembed.datasets._musae import load_musae
from graphembed.datasets._npz import load_amazon, load_coauthor, load_npz
from graphembed.datasets._planetoid import load_planetoid
from graphembed.datasets._python_imports import load_python_imports
from graphembed.datasets._splits import Split, split_fractions, split_indices, split_per_class

__all__ = [
    "Dataset",
    "GraphDataset",
    "GraphSample",
    "NodeDataset",
    "Split",
    "available",
    "load",
    "load_actor",
    "load_amazon",
    "load_blogcatalog",
    "load_coauthor",
    "load_esol",
    "load_karate",
    "load_mat",
    "load_musae",
    "load_npz",
    "load_planetoid",
    "load_ppi",
    "load_python_imports",
    "split_fractions",
    "split_indices",
    "split_per_class",
]

_LOADERS: Mapping[str, Callable[[bool], Dataset]] = {
    "blogcatalog": lambda download: load_blogcatalog(download=download),
    "ppi": lambda download: load_ppi(download=download),
    "musae-facebook": lambda download: load_musae("facebook", download=download),
    "musae-lastfm": lambda download: load_musae("lastfm", download=download),
    "karate": lambda download: load_karate(),
    "python-imports": lambda download: load_python_imports(),
    "cora": lambda download: load_planetoid("cora", download=download),
    "citeseer": lambda download: load_planetoid("citeseer", download=download),
    "pubmed": lambda download: load_planetoid("pubmed", download=download),
    "amazon-computers": lambda download: load_amazon("computers", download=download),
    "amazon-photo": lambda download: load_amazon("photo", download=download),
    "coauthor-cs": lambda download: load_coauthor("cs", download=download),
    "coauthor-physics": lambda download: load_coauthor("physics", download=download),
    "actor": lambda download: load_actor(download=download),
}


def available() -> tuple[str, ...]:
    """Names that `load` knows.

    Returns
    -------
    tuple of str
        The names, in the order of the registry.
    """
    return tuple(_LOADERS)


def load(name: str, *, download: bool = True) -> Dataset:
    """Load a dataset of one graph by its name.

    Parameters
    ----------
    name : str
        One of `available`.
    download : bool, default=True
        Download files that are neither under GRAPHEMBED_DATA nor in the user cache.

    Returns
    -------
    Dataset
        The graph, its labels, and their names; a `NodeDataset` where there are features. Masks that
        are drawn at random are different ones every time: the loader of the dataset takes a
        `random_state`.

    Raises
    ------
    ValueError
        If there is no dataset of this name.
    DatasetNotFoundError
        If a file is not on this machine and `download` is False.
    DownloadError
        If a download fails.
    """
    check_params({"name": name}, {"name": one_of(*_LOADERS)})
    check_params({"download": download}, {"download": boolean()})
    return _LOADERS[name](download)

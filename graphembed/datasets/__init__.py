"""Graphs with labels: found on disk, downloaded, or made of the running Python."""

from collections.abc import Callable, Mapping

from graphembed._validation import boolean, check_params, one_of
from graphembed.datasets._dataset import Dataset
from graphembed.datasets._karate import load_karate
from graphembed.datasets._mat import load_blogcatalog, load_mat, load_ppi
from graphembed.datasets._musae import load_musae
from graphembed.datasets._python_imports import load_python_imports

__all__ = [
    "Dataset",
    "available",
    "load",
    "load_blogcatalog",
    "load_karate",
    "load_mat",
    "load_musae",
    "load_ppi",
    "load_python_imports",
]

_LOADERS: Mapping[str, Callable[[bool], Dataset]] = {
    "blogcatalog": lambda download: load_blogcatalog(download=download),
    "ppi": lambda download: load_ppi(download=download),
    "musae-facebook": lambda download: load_musae("facebook", download=download),
    "musae-lastfm": lambda download: load_musae("lastfm", download=download),
    "karate": lambda download: load_karate(),
    "python-imports": lambda download: load_python_imports(),
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
    """Load a dataset by its name.

    Parameters
    ----------
    name : str
        One of `available`.
    download : bool, default=True
        Download files that are neither under GRAPHEMBED_DATA nor in the user cache.

    Returns
    -------
    Dataset
        The graph, its labels, and their names.

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

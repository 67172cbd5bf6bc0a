"""Turn a dataset's raw files into one graph file, and its labels into a table.

    python datasets/convert.py blogcatalog blogcatalog.graph --labels blogcatalog.labels.tsv
    python datasets/convert.py path/to/other.mat other.graph

`graphembed.Graph.load` reads (or maps) the graph file. The table has one line ``id<TAB>label`` for
every label of a node; a node without labels has none.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from graphembed import datasets

_logger = logging.getLogger("convert")


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one dataset; give the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    names = ", ".join(datasets.available())
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", metavar="NAME", help=f"{names}, or a .mat file")
    parser.add_argument("out", metavar="OUT", type=Path, help="graph file to write")
    parser.add_argument("--labels", metavar="TSV", type=Path, help="table of labels to write")
    parser.add_argument("--no-download", action="store_true", help="use files on disk only")
    options = parser.parse_args(arguments)
    try:
        if options.name.endswith(".mat"):
            dataset = datasets.load_mat(options.name)
        else:
            dataset = datasets.load(options.name, download=not options.no_download)
        dataset.graph.save(options.out)
        if options.labels is not None:
            text = "".join(f"{node}\t{label}\n" for node, label in label_rows(dataset))
            options.labels.write_text(text, encoding="utf-8")
    except (OSError, ValueError, ImportError) as error:
        _logger.error("convert: %s", error)
        return 1
    _logger.info("%r -> %s", dataset, os.fspath(options.out))
    return 0


def label_rows(dataset: datasets.Dataset) -> Iterator[tuple[object, str]]:
    """Give (node id, label name) for every label of every node."""
    if dataset.multilabel:
        rows, columns = dataset.labels.nonzero()
    else:
        rows = np.flatnonzero(dataset.labels >= 0)
        columns = dataset.labels[rows]
    for row, column in zip(rows, columns, strict=True):
        yield dataset.graph.node_ids[row], dataset.label_names[column]


if __name__ == "__main__":
    sys.exit(main())

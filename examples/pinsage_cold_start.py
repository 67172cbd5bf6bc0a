"""Recommend articles that nobody has read yet: PinSage beside content-kNN.

    python examples/pinsage_cold_start.py                      # made-up data, some seconds
    python examples/pinsage_cold_start.py path/to/citeulike-a  # articles with tags and citations

A fifth of the items loses all interactions, and users are recommended these items alone. Then items
that were not there at all are placed by `transform`, with no training. citeulike-a is not part of
graphembed: github.com/js05212/citeulike-a.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from graphembed.recsys import (
    ContentKNN,
    Interactions,
    PinSage,
    cold_item_split,
    evaluate,
    load_citeulike,
    make_interactions,
)


def read(folder: Path | None) -> tuple[Interactions, sp.csr_matrix, Any]:
    """Interactions, tags of items, and links between items if there are any."""
    if folder is None:
        data = make_interactions(1500, 1000, n_blocks=25, n_tags=8, random_state=0)
        return data.interactions, data.item_tags, None
    articles = load_citeulike(folder)
    return articles.interactions, articles.tags, articles.citations


def new_items(model: PinSage, tags: sp.csr_matrix) -> None:
    """Items that were not in `fit`, with the tags of the first three."""
    began = time.perf_counter()
    vectors = model.transform(tags[:3])
    seconds = time.perf_counter() - began
    scores = vectors @ model.item_vectors.T
    print(f"\ntransform of 3 new items: {seconds:.2f} s; nearest of the items of fit:")
    for number, row in enumerate(scores):
        nearest = model.train_.item_ids[np.argsort(-row)[:5]]
        print(f"  tags of item {number}: {', '.join(map(str, nearest))}")


def main() -> None:
    """Fit, compare, place new items."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="citeulike-a")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()

    interactions, tags, links = read(arguments.folder)
    split = cold_item_split(interactions, random_state=arguments.seed)
    print(f"{split.train!r}, {len(split.items)} new items")
    began = time.perf_counter()
    pinsage = PinSage(
        n_layers=arguments.layers,
        neighbor_dropout=1.0,  # what is to be ranked is new
        idf_power=1.5,
        n_epochs=arguments.epochs,
        random_state=arguments.seed,
    )
    pinsage.fit(
        split.train,
        tags,
        item_edges=links,
        validation=split.val,
        validation_items=split.val_items,
    )
    print(f"PinSage: fitted in {time.perf_counter() - began:.0f} s")
    models = {"content-kNN": ContentKNN().fit(split.train, tags), "PinSage": pinsage}
    print(f"\n{'new items':12s} recall@20  ndcg@20")
    for name, model in models.items():
        scores = evaluate(model, split.train, split.test, items=split.items)
        print(f"{name:12s} {scores['recall@20']:9.3f} {scores['ndcg@20']:8.3f}")
    new_items(pinsage, tags)


if __name__ == "__main__":
    main()

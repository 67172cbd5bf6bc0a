"""Recommend articles that nobody has read yet: PinSage beside content-kNN.

    python examples/pinsage_cold_start.py                      # made-up data, some seconds
    python examples/pinsage_cold_start.py path/to/citeulike-a  # articles with tags and citations

A fifth of the items loses all interactions, and users are recommended these items alone. Three more
items are not there at all until `transform` places them, with no training. citeulike-a is not part
of graphembed: github.com/js05212/citeulike-a.
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

LATER = 3  # items that come after the training


def read(folder: Path | None) -> tuple[Interactions, sp.csr_matrix, Any]:
    """Interactions, tags of items, and links between items if there are any."""
    if folder is None:
        data = make_interactions(1500, 1000, n_blocks=25, n_tags=8, random_state=0)
        return data.interactions, data.item_tags, None
    articles = load_citeulike(folder)
    return articles.interactions, articles.tags, articles.citations.to_scipy()


def without_the_last(
    interactions: Interactions, tags: sp.csr_matrix, links: Any
) -> tuple[Interactions, sp.csr_matrix, Any]:
    """The same of all items but the last LATER."""
    known = Interactions.from_csr(
        interactions.matrix[:, :-LATER],
        user_ids=interactions.user_ids,
        item_ids=interactions.item_ids[:-LATER],
    )
    return known, tags[:-LATER], None if links is None else links[:-LATER, :-LATER]


def later_items(model: PinSage, item_ids: Any, tags: sp.csr_matrix) -> None:
    """Place items that were not in `fit`, by their tags."""
    began = time.perf_counter()
    vectors = model.transform(tags)
    seconds = time.perf_counter() - began
    scores = vectors @ model.item_vectors.T
    print(f"\ntransform of {len(item_ids)} later items: {seconds:.2f} s; nearest items of fit:")
    for item, row in zip(item_ids, scores, strict=True):
        nearest = model.train_.item_ids[np.argsort(-row)[:5]]
        print(f"  {item}: {', '.join(map(str, nearest))}")


def main() -> None:
    """Fit, compare, place new items."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="citeulike-a")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()

    interactions, all_tags, links = read(arguments.folder)
    later = interactions.item_ids[-LATER:]
    interactions, tags, links = without_the_last(interactions, all_tags, links)
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
    later_items(pinsage, later, all_tags[-LATER:])


if __name__ == "__main__":
    main()

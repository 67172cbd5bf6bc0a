"""Films for users: the table of ratings, a split, models side by side, recommendations.

    python examples/recsys_movielens.py                        # made-up ratings, some seconds
    python examples/recsys_movielens.py path/to/ml-100k.inter  # RecBole's file
    python examples/recsys_movielens.py path/to/u.data         # GroupLens's, also ratings.dat or
                                                               # ratings.csv, or their folder

Each user's last tenth of ratings is tested on. MovieLens is not part of graphembed:
grouplens.org/datasets/movielens.
"""

import argparse
from pathlib import Path

from graphembed.recsys import (
    EASE,
    GFCF,
    Interactions,
    ItemKNN,
    LightGCN,
    PinSage,
    Popularity,
    compare,
    make_interactions,
    user_time_split,
)


def read(path: Path | None) -> Interactions:
    """Ratings of a file, or made-up ones."""
    if path is None:
        return make_interactions(400, 300, n_blocks=6, random_state=0).interactions
    if path.is_dir():
        names = ("*.inter", "u.data", "ratings.dat", "ratings.csv")
        found = [file for name in names for file in sorted(path.glob(name))]
        if not found:
            raise SystemExit(f"{path} holds none of {', '.join(names)}")
        path = found[0]
    if path.suffix == ".inter":
        return Interactions.from_recbole(path)
    return Interactions.from_movielens(path)


def main() -> None:
    """Read, split, compare, recommend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, nargs="?", help="file of ratings, or its folder")
    parser.add_argument("--epochs", type=int, default=20, help="of the neural models")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    ratings = read(arguments.path).filter(min_rating=3).k_core(5)
    split = user_time_split(ratings, val=0.1, test=0.1)
    print(split.train)
    neural = {"n_epochs": arguments.epochs, "random_state": arguments.seed}
    lightgcn = LightGCN(**neural)
    pinsage = PinSage(64, neighbor_dropout=0.0, n_layers=1, **neural)
    models = [Popularity(), ItemKNN(), EASE(), GFCF(), lightgcn, pinsage]
    print(compare(models, split.train, split.test, (20,), validation=split.val))

    user = split.train.user_ids[0]
    ids, scores = lightgcn.recommend(user, k=5)
    print(
        f"\nfor user {user}:", ", ".join(f"{i} ({s:.2f})" for i, s in zip(ids, scores, strict=True))
    )
    item = ids[0]
    print(f"like item {item}:", ", ".join(map(str, lightgcn.similar_items(item, k=5)[0])))


if __name__ == "__main__":
    main()

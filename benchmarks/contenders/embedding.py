"""Node embeddings: case = {graph folder, p, q, n_walks, walk_length, window, dimensions, save}.

Everybody makes the walks and trains skip-gram with 5 negatives, 1 epoch, the rate falling from
0.025, unless said otherwise. Timed from the graph in memory to the vectors in memory; beside it,
`train_seconds` is the training alone, with our walks, which are made as it goes. If the case has
`save`, the vectors are saved in that folder for the parent to score. "our walks + gensim" makes the
walks with us and trains from a file, which is gensim's fastest way; writing the file counts.
"""

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from graphs import Arrays, load_arrays
from numpy.typing import NDArray
from worker import Unsupported

from contenders import Contender

NEGATIVE = 5
LEARNING_RATE, MIN_LEARNING_RATE = 0.025, 0.0001

# Vectors, and figures about the run.
Result = tuple[NDArray[np.float32], dict[str, Any]]
Run = Callable[[int], Result]


def prepare(contender: Contender, case: dict[str, Any], threads: int) -> Run:
    """Build the peer's graph and compile; nothing is trained."""
    return contender.start(load_arrays(Path(case["graph"])), case, threads)


def finish(result: Result, case: dict[str, Any]) -> dict[str, Any]:
    """Save the vectors for the parent to score, if it will."""
    vectors, figures = result
    if not case.get("save"):
        return figures
    with tempfile.NamedTemporaryFile(dir=case["save"], suffix=".npy", delete=False) as file:
        np.save(file, np.asarray(vectors, np.float32))
    return figures | {"vectors": file.name}


def _graphembed(
    arrays: Arrays,
    case: dict[str, Any],
    threads: int,
    trainer: str = "graphembed",
    loss: str = "ns",
) -> Run:
    from graphembed import Graph, Node2Vec, sample_walks

    graph = Graph.from_csr(arrays.indptr, arrays.indices, directed=False)
    sample_walks([(0, 1)], random_state=0)

    def run(number: int) -> Result:
        model = Node2Vec(
            case["dimensions"], n_walks=case["n_walks"], walk_length=case["walk_length"],
            window=case["window"], p=case["p"], q=case["q"], negative=NEGATIVE,
            learning_rate=LEARNING_RATE, min_learning_rate=MIN_LEARNING_RATE,
            random_state=number, n_jobs=threads, trainer=trainer, loss=loss,
        ).fit(graph)  # fmt: skip
        stats = model.training_stats_
        figures = {
            key: stats[key] for key in ("strategy", "n_pairs", "walk_seconds", "train_seconds")
        }
        if stats["n_pairs"] is None:  # gensim does not count them
            del figures["n_pairs"]
        figures["graph_and_tables_mb"] = (arrays.nbytes + 2 * model.embedding_.nbytes) / 1e6
        return model.embedding_, figures

    return run


def _line(arrays: Arrays, case: dict[str, Any], threads: int, order: str) -> Run:
    from graphembed import LINE, Graph

    graph = Graph.from_csr(arrays.indptr, arrays.indices, directed=False)

    def run(number: int) -> Result:
        model = LINE(
            case["dimensions"], order=order, negative=NEGATIVE, learning_rate=LEARNING_RATE,
            n_samples=case.get("n_samples"), random_state=number, n_jobs=threads,
        ).fit(graph)  # fmt: skip
        return model.embedding_, model.training_stats_

    return run


def _train_gensim(
    write_corpus: Callable[[Path], None],
    n_nodes: int,
    case: dict[str, Any],
    threads: int,
    seed: int,
) -> Result:
    """Train gensim from a corpus file, which is its fastest way (no queue under the GIL)."""
    from gensim.models import Word2Vec

    with tempfile.TemporaryDirectory() as folder:
        path, begin = Path(folder, "walks.txt"), time.perf_counter()
        write_corpus(path)
        written, cpu = time.perf_counter(), time.process_time()
        model = Word2Vec(
            corpus_file=str(path), vector_size=case["dimensions"], window=case["window"], sg=1,
            negative=NEGATIVE, sample=0, min_count=0, workers=threads, epochs=1, seed=seed,
            alpha=LEARNING_RATE, min_alpha=MIN_LEARNING_RATE,
        )  # fmt: skip
        trained = time.perf_counter()
        figures = {
            "walk_seconds": written - begin,
            "train_seconds": trained - written,
            "train_cpu_seconds": time.process_time() - cpu,
        }
    return model.wv[[str(i) for i in range(n_nodes)]], figures


def write_walks(path: Path, walks: NDArray[Any]) -> None:
    """One walk a line; -1 ends a walk."""
    names = np.array([str(i) for i in range(int(walks.max()) + 1)], dtype=object)
    with path.open("w") as file:
        for walk in walks:
            file.write(" ".join(names[walk[walk >= 0]]) + "\n")


def _gensim(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    from graphembed import Graph, sample_walks

    graph = Graph.from_csr(arrays.indptr, arrays.indices, directed=False)

    def run(number: int) -> Result:
        def write(path: Path) -> None:
            walks = sample_walks(
                graph, n_walks=case["n_walks"], walk_length=case["walk_length"], p=case["p"],
                q=case["q"], random_state=number, n_jobs=threads,
            )  # fmt: skip
            np.random.default_rng(number).shuffle(walks)
            write_walks(path, walks)

        return _train_gensim(write, arrays.n_nodes, case, threads, number)

    return run


def _torch_cluster(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    if case["q"] < max(1.0, case["p"]):
        raise Unsupported("walks uniformly if 1/q is the largest of 1/p, 1, 1/q")
    import torch
    import torch_cluster  # noqa: F401  # registers the operator

    torch.set_num_threads(threads)
    indptr, indices = torch.from_numpy(arrays.indptr), torch.from_numpy(arrays.indices).long()
    starts = torch.arange(arrays.n_nodes).repeat(case["n_walks"])
    steps, p, q = case["walk_length"] - 1, float(case["p"]), float(case["q"])

    def run(number: int) -> Result:
        def write(path: Path) -> None:
            torch.manual_seed(number)
            walk = torch.ops.torch_cluster.random_walk
            shuffled = starts[torch.randperm(len(starts))]
            write_walks(path, walk(indptr, indices, shuffled, steps, p, q)[0].numpy())

        return _train_gensim(write, arrays.n_nodes, case, threads, number)

    return run


def _pecanpy(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    from contenders.peer_graphs import pecanpy_graph

    def run(number: int) -> Result:
        graph = pecanpy_graph(arrays, p=case["p"], q=case["q"], threads=threads, seed=number)
        vectors = graph.embed(
            dim=case["dimensions"], num_walks=case["n_walks"],
            walk_length=case["walk_length"] - 1, window_size=case["window"], epochs=1,
        )  # fmt: skip
        return vectors, {}

    warm = pecanpy_graph(arrays, p=case["p"], q=case["q"], threads=threads, seed=0)
    warm.simulate_walks(1, 2)
    return run


def _fastnode2vec(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    from fastnode2vec import Node2Vec

    from contenders.peer_graphs import fastnode2vec_graph

    graph = fastnode2vec_graph(arrays)
    graph.node_names = np.array([str(i) for i in range(arrays.n_nodes)])
    graph.generate_random_walk(case["walk_length"], float(case["p"]), float(case["q"]), 0)

    def run(number: int) -> Result:
        model = Node2Vec(
            graph, dim=case["dimensions"], walk_length=case["walk_length"],
            window=case["window"], p=float(case["p"]), q=float(case["q"]), workers=threads,
            negative=NEGATIVE, sample=0, alpha=LEARNING_RATE, min_alpha=MIN_LEARNING_RATE,
        )  # fmt: skip
        np.random.seed(number)  # noqa: NPY002  # the peer's; its own seed= repeats every batch
        model.train(epochs=case["n_walks"], verbose=False)
        return model.wv[graph.node_names.tolist()], {}

    return run


def _grape(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    if case["p"] != 1 or case["q"] != 1:
        raise Unsupported("not by node2vec's law; ends its process for q != 1")
    from contenders.peer_graphs import grape_graph, restore_numpy_names

    restore_numpy_names()
    from embiggen.embedders import DeepWalkSkipGramEnsmallen

    graph = grape_graph(arrays)
    most_neighbours = int(np.diff(arrays.indptr).max())  # its default of 100 thins out hubs

    def run(number: int) -> Result:
        # One epoch at its default rate of 0.01, which it multiplies by 0.9 after each of 30.
        model = DeepWalkSkipGramEnsmallen(
            embedding_size=case["dimensions"], epochs=1, walk_length=case["walk_length"],
            iterations=case["n_walks"], window_size=case["window"], max_neighbours=most_neighbours,
            number_of_negative_samples=NEGATIVE, random_state=number, verbose=False,
        )  # fmt: skip
        result = model.fit_transform(graph, return_dataframe=False)
        return result.get_node_embedding_from_index(0), {}

    return run


def _scikit_network(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    import scipy.sparse as sp
    from sknetwork.embedding import Spectral

    shape = (arrays.n_nodes, arrays.n_nodes)
    matrix = sp.csr_matrix((np.ones(len(arrays.indices)), arrays.indices, arrays.indptr), shape)
    # No walks: its spectral embedding, the nearest thing it has.
    return lambda number: (Spectral(case["dimensions"]).fit_transform(matrix), {})


CONTENDERS = {
    "graphembed": Contender(_graphembed, ("graphembed",)),
    "our walks + gensim": Contender(_gensim, ("graphembed", "gensim")),
    # Fed by a generator of walks: slower, but on small graphs better than from a corpus file.
    "gensim, no file": Contender(
        functools.partial(_graphembed, trainer="gensim"), ("graphembed", "gensim")
    ),
    "hierarchical softmax": Contender(functools.partial(_graphembed, loss="hs"), ("graphembed",)),
    "gensim hs, no file": Contender(
        functools.partial(_graphembed, trainer="gensim", loss="hs"), ("graphembed", "gensim")
    ),
    **{
        f"LINE {order}": Contender(functools.partial(_line, order=order), ("graphembed",))
        for order in ("first", "second", "both")
    },
    "torch_cluster + gensim": Contender(_torch_cluster, ("torch_cluster", "gensim")),
    "pecanpy": Contender(_pecanpy, ("pecanpy", "gensim")),
    "fastnode2vec": Contender(_fastnode2vec, ("fastnode2vec", "gensim")),
    "grape": Contender(_grape, ("embiggen", "ensmallen")),
    "scikit-network": Contender(_scikit_network, ("scikit-network",)),
}

"""gensim's Word2Vec as a second trainer over the same walks."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from graphembed._validation import import_optional
from graphembed.estimators._grid import SkipGramConfig
from graphembed.estimators._skipgram import TrainingStats, count_corpus
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.walker import walks_per_block

MAX_WALK_LENGTH = 10_000  # gensim cuts longer sentences off without a word


class _Sentences:
    """One pass over the sentences is one epoch of the corpus."""

    def __init__(self, corpus: WalkCorpus, bar: "tqdm[Any]") -> None:
        self.corpus = corpus
        self.bar = bar
        self.epoch = 0
        self.stopped = False

    def __iter__(self) -> Iterator[list[int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        for _, walks in self.corpus.blocks(epoch, walks_per_block(self.corpus.walk_length)):
            for walk in walks:
                if self.stopped:
                    return
                yield walk[walk >= 0].tolist()
            self.bar.update(walks.size)


def train_gensim(
    corpus: WalkCorpus, config: SkipGramConfig, *, verbose: int = 0
) -> tuple[NDArray[np.float32], TrainingStats]:
    """Train gensim's skip-gram on all epochs of `corpus`; row i is the vector of node i.

    gensim's result repeats only on one thread: its worker threads race. It does not count pairs.
    """
    word2vec = import_optional("gensim.models.word2vec", extra="gensim")
    stats = TrainingStats()
    visits = count_corpus(corpus, stats, verbose)
    begin = time.perf_counter()
    model = word2vec.Word2Vec(
        vector_size=config.n_components,
        window=config.window,
        sg=1,
        hs=int(config.loss == "hs"),
        negative=0 if config.loss == "hs" else config.negative,
        ns_exponent=config.ns_exponent,
        alpha=config.learning_rate,
        min_alpha=config.min_learning_rate,
        epochs=config.epochs,
        shrink_windows=config.shrink_windows,
        sample=0,
        min_count=0,
        sorted_vocab=0,
        workers=corpus.n_threads,
        seed=corpus.seed % 2**32,
    )
    model.build_vocab_from_freq(dict(enumerate(visits.tolist())), corpus_count=len(visits))
    total = config.epochs * corpus.n_walks * corpus.n_starts * corpus.walk_length
    with (
        tqdm(
            total=total, desc="training by gensim", unit="steps", unit_scale=True,
            disable=not verbose,
        ) as bar,
        ThreadPoolExecutor(1) as pool,
    ):  # fmt: skip
        sentences = _Sentences(corpus, bar)
        future = pool.submit(
            model.train,
            corpus_iterable=sentences,
            total_examples=corpus.n_walks * corpus.n_starts,
            epochs=config.epochs,
        )
        try:
            future.result()
        except BaseException:  # Ctrl-C: gensim's threads would wait for more sentences for ever
            sentences.stopped = True
            raise
    stats.train_seconds = time.perf_counter() - begin
    rows = [model.wv.key_to_index[node] for node in range(corpus.n_nodes)]
    return np.ascontiguousarray(model.wv.vectors[rows], dtype=np.float32), stats

"""Words get numbers in the order in which they appear first."""

import secrets
from collections.abc import Sequence

import numpy as np

from graphembed._ingest.edge_list import Array, check_n_nodes
from graphembed._kernels import _tables

_WORDS_PER_CALL = 2**18  # between two calls Ctrl-C is heard
_SLOTS = 2**12
_STORE = 2**14


class WordTable:
    """A hash table from words, as bytes, to their numbers.

    Memory: 32 to 64 bytes for every distinct word, and once to twice its bytes, padded to 8, with 8
    more; while a table grows, the old one beside the new.
    """

    def __init__(self) -> None:
        self._seed = secrets.randbits(64)
        self._slots = np.zeros((_SLOTS, 2), np.uint64)
        self._store = np.empty(_STORE, np.uint64)
        self._used = np.zeros(2, np.int64)

    def __len__(self) -> int:
        return int(self._used[0])

    def hashes(self, text: Array, spans: Array) -> Array:
        """Hash the words with (begin, length) `spans` in a text."""
        hashes = np.empty(len(spans), np.uint64)
        self.hash_some(text, spans, hashes, 0, len(spans))
        return hashes

    def hash_some(self, text: Array, spans: Array, hashes: Array, begin: int, end: int) -> None:
        """Hash the words begin .. end - 1."""
        _tables.hash_words(text, spans, hashes, self._seed, begin, end)

    def number(self, text: Array, spans: Array, hashes: Array) -> Array:
        """Number words that lie in a text.

        Parameters
        ----------
        text : ndarray of uint8
            The text.
        spans : ndarray of int64, shape (n_words, 2)
            Begin and length of every word in it.
        hashes : ndarray of uint64, shape (n_words,)
            What `hashes` gave.

        Returns
        -------
        ndarray of int32, shape (n_words,)
            Their numbers.
        """
        numbers = np.empty(len(spans), np.int32)
        done = 0
        while done < len(spans):
            end = min(done + _WORDS_PER_CALL, len(spans))
            done = _tables.number_words(
                text, spans, hashes, self._slots, self._store, self._used, numbers, done, end
            )
            if done < end:
                self._grow(int(spans[done, 1]))
        return numbers

    def _grow(self, n_bytes: int) -> None:
        """Make room for a word of n_bytes."""
        if 2 * len(self) >= len(self._slots):
            check_n_nodes(len(self) + 1)
            slots = np.zeros((2 * len(self._slots), 2), np.uint64)
            _tables.move_slots(self._slots, slots, self._seed, True)
            self._slots = slots
        used = int(self._used[1])
        if used + n_bytes // 8 + 2 > len(self._store):
            store = np.empty(2 * used + n_bytes // 8 + 2, np.uint64)
            store[:used] = self._store[:used]
            self._store = store

    def words(self) -> list[str]:
        """All words in the order of their numbers."""
        ends = np.empty(len(self), np.int64)
        text = np.empty(8 * int(self._used[1]) + 1, np.uint8)
        _tables.unpack_words(self._store, text, ends)
        stops: Sequence[int] = ends.tolist()
        blob = text[: stops[-1] if stops else 0].tobytes()
        starts = [0, *stops][: len(stops)]
        if blob.isascii():
            whole = blob.decode("ascii")
            return [whole[a:b] for a, b in zip(starts, stops, strict=True)]
        return [blob[a:b].decode("utf-8") for a, b in zip(starts, stops, strict=True)]

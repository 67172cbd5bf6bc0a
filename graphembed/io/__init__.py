"""Embeddings and models as files: word2vec, csv, npz, parquet, and graphembed's own format.

Every writer is atomic: the old file stays as it was until the new one is complete on the disk.
"""

from graphembed.io._models import ModelFile, load_model, save_model, to_keyed_vectors
from graphembed.io._read import MODEL_SUFFIX, read_embedding
from graphembed.io._word2vec import read_word2vec, write_word2vec
from graphembed.io._write import EMBEDDING_SUFFIXES, check_node_ids, write_embedding

__all__ = [
    "EMBEDDING_SUFFIXES",
    "MODEL_SUFFIX",
    "ModelFile",
    "check_node_ids",
    "load_model",
    "read_embedding",
    "read_word2vec",
    "save_model",
    "to_keyed_vectors",
    "write_embedding",
    "write_word2vec",
]

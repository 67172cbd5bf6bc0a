"""Files without pickle: atomic writes, arrays with checksums, node ids of any type."""

from graphembed._storage.atomic import StrPath, atomic_path
from graphembed._storage.container import MAGIC, read_arrays, write_arrays
from graphembed._storage.ids import decode_ids, encode_ids

__all__ = [
    "MAGIC",
    "StrPath",
    "atomic_path",
    "decode_ids",
    "encode_ids",
    "read_arrays",
    "write_arrays",
]

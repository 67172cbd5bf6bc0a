"""Files as Python 2 pickled them, written by hand: the opcodes that Planetoid uses."""

import struct

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    return b"J" + struct.pack("<i", value)


def text(value: bytes) -> bytes:
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


def shape(value: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(number(n) for n in value) + b"t"


RECONSTRUCT = (
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + shape((0,)) + text(b"b") + b"\x87R"
)


def dtype(kind: bytes, order: bytes = b"<") -> bytes:
    made = b"cnumpy\ndtype\n" + text(kind) + number(0) + number(1) + b"\x87R"
    state = b"(" + number(3) + text(order) + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    return made + state


def array(value: npt.NDArray[np.generic], by_columns: bool = False) -> bytes:
    kind = value.dtype.str[1:].encode()
    data = text(value.tobytes(order="F" if by_columns else "C"))
    flag = b"\x88" if by_columns else b"\x89"
    state = b"(" + number(1) + shape(value.shape) + dtype(kind) + flag + data + b"t"
    return RECONSTRUCT + state + b"b"


def matrix(value: sp.csr_array) -> bytes:
    parts = {
        b"format": text(b"csr"),
        b"_shape": shape(value.shape),
        b"indptr": array(value.indptr.astype(np.int32)),
        b"indices": array(value.indices.astype(np.int32)),
        b"data": array(value.data),
        b"maxprint": number(50),
    }
    state = b"".join(text(key) + part for key, part in parts.items())
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + state + b"ub"


def lists(value: dict[int, list[int]]) -> bytes:
    made = b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R("
    rows = (
        number(key) + b"](" + b"".join(number(n) for n in row) + b"e" for key, row in value.items()
    )
    return made + b"".join(rows) + b"u"


def file(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def planetoid_files(
    x: sp.csr_array,
    classes: npt.NDArray[np.int64],
    neighbours: dict[int, list[int]],
    *,
    n_train: int,
    n_first: int,
    test: npt.NDArray[np.int64],
) -> dict[str, bytes]:
    """Lay a dataset out as Planetoid does: nodes of `test`, in this order, are in tx and ty."""
    one_hot = np.eye(classes.max() + 1, dtype=np.int32)[classes]
    return {
        "x": file(matrix(x[:n_train])),
        "allx": file(matrix(x[:n_first])),
        "tx": file(matrix(x[test])),
        "y": file(array(one_hot[:n_train], by_columns=True)),
        "ally": file(array(one_hot[:n_first])),
        "ty": file(array(one_hot[test])),
        "graph": file(lists(neighbours)),
        "test.index": "".join(f"{node}\n" for node in test).encode(),
    }

"""Reading the pickles of Planetoid without unpickling them.

A pickle is a program for a stack machine, and Python's machine can call whatever it is told to.
The one below knows only the instructions that Python 2 wrote for arrays, sparse matrices and dicts
of lists (protocol 2), and only six names, which stand for themselves: nothing is imported, called
or given attributes. What a file asks to be called becomes a `_Record` of name, arguments and
state, and the arrays are made from these records here, after everything in them is checked.

Memory stays within some hundred times the size of the file: every value costs at least one byte
of it, no length is believed before that many bytes are there, and nothing is copied by reference.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphembed.datasets._csr import checked_csr
from graphembed.exceptions import FileFormatError

IntArray = npt.NDArray[np.int64]


class _Name(Enum):
    """The names a file may use."""

    CSR_MATRIX = b"scipy.sparse.csr csr_matrix"
    RECONSTRUCT = b"numpy.core.multiarray _reconstruct"
    NDARRAY = b"numpy ndarray"
    DTYPE = b"numpy dtype"
    DEFAULTDICT = b"collections defaultdict"
    LIST = b"__builtin__ list"


@dataclass(eq=False)
class _Record:
    """What the file would have called, with which arguments; and what it did to the result."""

    name: _Name
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


_MARK = object()
_DTYPES = {
    (b"i4", b"<"): "<i4",
    (b"i8", b"<"): "<i8",
    (b"f4", b"<"): "<f4",
    (b"f8", b"<"): "<f8",
}


def read_matrix(content: bytes, name: str) -> sp.csr_array:
    """Give the sparse matrix that a file holds."""
    value = _Machine(content, name).run()
    if not _is_record(value, _Name.CSR_MATRIX, ()) or type(value.state) is not dict:
        raise _refusal(name, "it does not hold a scipy csr_matrix")
    parts = [value.state.get(key) for key in (b"data", b"indices", b"indptr")]
    data, indices, indptr = (_array(part, name) for part in parts)
    shape = _shape(value.state.get(b"_shape"), name)
    return checked_csr(data, indices, indptr, shape, name)


def read_array(content: bytes, name: str) -> npt.NDArray[Any]:
    """Give the array that a file holds."""
    return _array(_Machine(content, name).run(), name)


def read_lists(content: bytes, name: str) -> tuple[IntArray, IntArray]:
    """Give the lists of neighbours that a file holds: their lengths, and all of them in a row.

    The keys are 0 to n - 1, in any order; neighbours are not checked, but for being numbers.
    """
    value = _Machine(content, name).run()
    if not _is_record(value, _Name.DEFAULTDICT, (_Name.LIST,)):
        raise _refusal(name, "it does not hold a defaultdict of lists")
    lists = value.items
    if any(type(key) is not int for key in lists) or sorted(lists) != list(range(len(lists))):
        raise _refusal(name, f"its keys are not the numbers 0 to {len(lists) - 1}")
    rows = [lists[node] for node in range(len(lists))]
    if any(type(row) is not list for row in rows):
        raise _refusal(name, "it holds something else than lists")
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    if lengths.sum() > len(content):  # one list under many keys
        raise _refusal(name, "it is too small for the number of its neighbours")
    if any(type(node) is not int for node in chain.from_iterable(rows)):
        raise _refusal(name, "it holds a neighbour that is no number")
    return lengths, np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))


def _refusal(name: str, reason: str) -> FileFormatError:
    return FileFormatError(f"{name} is not a file of Planetoid: {reason}")


def _is_record(value: Any, name: _Name, arguments: tuple[Any, ...]) -> bool:
    return type(value) is _Record and value.name is name and value.arguments == arguments


def _shape(value: Any, name: str) -> tuple[int, ...]:
    if type(value) is not tuple or not 1 <= len(value) <= 2:
        raise _refusal(name, "the shape of an array must be one or two numbers")
    if any(type(n) is not int or n < 0 for n in value):
        raise _refusal(name, "the shape of an array must be numbers >= 0")
    return value


def _array(value: Any, name: str) -> npt.NDArray[Any]:
    """Make the array that ``_reconstruct`` and ``__setstate__`` of numpy would have made."""
    if not _is_record(value, _Name.RECONSTRUCT, (_Name.NDARRAY, (0,), b"b")):
        raise _refusal(name, "it does not hold a numpy array")
    if type(value.state) is not tuple or len(value.state) != 5:
        raise _refusal(name, "the state of an array must have 5 parts")
    _, shape, dtype, by_columns, data = value.state
    shape = _shape(shape, name)
    if type(data) is not bytes or type(by_columns) is not bool:
        raise _refusal(name, "the contents of an array must be bytes")
    if type(dtype) is not _Record or dtype.name is not _Name.DTYPE:
        raise _refusal(name, "an array has no dtype")
    state = dtype.state if type(dtype.state) is tuple else ()
    kind = (*dtype.arguments[:1], *state[1:2])
    if not all(type(part) is bytes for part in kind) or kind not in _DTYPES:
        raise _refusal(name, "its numbers must be 4 or 8 bytes wide, little-endian")
    numbers = np.frombuffer(data, _DTYPES[kind]) if len(data) % int(kind[0][1:]) == 0 else None
    if numbers is None or numbers.size != math.prod(shape):
        raise _refusal(name, f"an array of shape {shape} cannot have {len(data)} bytes")
    return numbers.reshape(shape, order="F" if by_columns else "C")


class _Machine:
    """The stack machine: values are numbers, bytes, None, tuples, lists, dicts and records."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        self.name = name
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Follow the file to its end and give the one value that is left."""
        while True:
            start = self.position
            code = self.take(1)
            if code == b".":
                break
            step = _STEPS.get(code)
            if step is None:
                raise self.error(f"unknown instruction {code!r} at byte {start}")
            step(self)
        if len(self.stack) != 1 or self.position != len(self.content):
            raise self.error("it does not end where its value does")
        return self.pop()

    def error(self, reason: str) -> FileFormatError:
        return _refusal(self.name, reason)

    def take(self, n_bytes: int) -> bytes:
        end = self.position + n_bytes
        if end > len(self.content):
            raise self.error(f"it ends after {len(self.content)} bytes, too early")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def number(self, n_bytes: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(n_bytes), "little", signed=signed)

    def pop(self) -> Any:
        """Take the topmost value, which must be one."""
        if not self.stack or self.stack[-1] is _MARK:
            raise self.error(f"a value is missing at byte {self.position}")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Take the values above the last mark, and the mark."""
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                values = self.stack[start + 1 :]
                del self.stack[start:]
                return values
        raise self.error(f"a mark is missing at byte {self.position}")

    def top(self) -> Any:
        self.stack.append(self.pop())
        return self.stack[-1]

    def protocol(self) -> None:
        if (version := self.number(1)) != 2:
            raise self.error(f"it has the protocol {version}, not 2")

    def find_name(self) -> None:
        """GLOBAL: two lines, a module and a name in it."""
        end = self.position
        for _ in range(2):
            end = self.content.find(b"\n", end, end + 100) + 1
            if end == 0:
                raise self.error(f"a name at byte {self.position} does not end")
        module, name = self.take(end - self.position).split(b"\n")[:2]
        try:
            self.stack.append(_Name(module + b" " + name))
        except ValueError:
            called = b".".join((module, name)).decode("ascii", "backslashreplace")
            raise self.error(f"it asks for {called}, which it has no need of") from None

    def make(self) -> None:
        """REDUCE and NEWOBJ: note the call; nothing is called."""
        arguments, name = self.pop(), self.pop()
        if type(name) is not _Name or type(arguments) is not tuple:
            raise self.error(f"a call of something else than a name at byte {self.position}")
        self.stack.append(_Record(name, arguments))

    def set_state(self) -> None:
        """BUILD."""
        state, record = self.pop(), self.top()
        if type(record) is not _Record or record.state is not None:
            raise self.error(f"a state for something that has none at byte {self.position}")
        record.state = state

    def set_items(self, pairs: list[Any]) -> None:
        target = self.top()
        items = target.items if type(target) is _Record else target
        if type(items) is not dict or len(pairs) % 2:
            raise self.error(f"items for something that has none at byte {self.position}")
        if any(type(key) not in (int, bytes) for key in pairs[::2]):
            raise self.error(f"a key that is no number and no text at byte {self.position}")
        items.update(zip(pairs[::2], pairs[1::2], strict=True))

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise self.error(f"values for something else than a list at byte {self.position}")
        target.extend(values)

    def pop_some(self, n_values: int) -> list[Any]:
        return [self.pop() for _ in range(n_values)][::-1]

    def remember(self, n_bytes: int) -> None:
        self.memo[self.number(n_bytes)] = self.top()

    def recall(self, n_bytes: int) -> None:
        if (key := self.number(n_bytes)) not in self.memo:
            raise self.error(f"an unknown reference at byte {self.position}")
        self.stack.append(self.memo[key])


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"c": _Machine.find_name,
    b"R": _Machine.make,
    b"\x81": _Machine.make,
    b"b": _Machine.set_state,
    b"q": lambda m: m.remember(1),
    b"r": lambda m: m.remember(4),
    b"h": lambda m: m.recall(1),
    b"j": lambda m: m.recall(4),
    b"(": lambda m: m.stack.append(_MARK),
    b"K": lambda m: m.stack.append(m.number(1)),
    b"M": lambda m: m.stack.append(m.number(2)),
    b"J": lambda m: m.stack.append(m.number(4, signed=True)),
    b"U": lambda m: m.stack.append(m.take(m.number(1))),
    b"T": lambda m: m.stack.append(m.take(m.number(4))),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b")": lambda m: m.stack.append(()),
    b"\x85": lambda m: m.stack.append(tuple(m.pop_some(1))),
    b"\x86": lambda m: m.stack.append(tuple(m.pop_some(2))),
    b"\x87": lambda m: m.stack.append(tuple(m.pop_some(3))),
    b"t": lambda m: m.stack.append(tuple(m.pop_to_mark())),
    b"]": lambda m: m.stack.append([]),
    b"}": lambda m: m.stack.append({}),
    b"a": lambda m: m.extend(m.pop_some(1)),
    b"e": lambda m: m.extend(m.pop_to_mark()),
    b"s": lambda m: m.set_items(m.pop_some(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
}

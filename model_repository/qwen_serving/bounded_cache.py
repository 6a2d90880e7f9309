"""Answers kept up to a number of bytes; those not asked for the longest go first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by key; 0 bytes keep nothing. For one thread."""

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"a cache cannot hold {max_bytes} bytes")
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._entries: OrderedDict[bytes, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Value | None:
        """The value, which counts as used now; None when it is not kept."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: bytes, value: Value, size_bytes: int) -> None:
        """Keep a value; one that is larger than the cache leaves the others alone."""
        if size_bytes > self.max_bytes:
            return
        self._drop(key)
        while self.size_bytes + size_bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))
        self._entries[key] = value, size_bytes
        self.size_bytes += size_bytes

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self.size_bytes = 0

    def _drop(self, key: bytes) -> None:
        if key in self._entries:
            self.size_bytes -= self._entries.pop(key)[1]


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Of names, dtypes, shapes and bytes; the order of the names does not matter."""
    hashed = hashlib.blake2b(digest_size=32)
    for name, array in sorted(arrays.items()):
        # The heading fixes how many bytes follow, so no two requests share a stream of bytes.
        hashed.update(repr((name, array.dtype.str, array.shape)).encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.digest()

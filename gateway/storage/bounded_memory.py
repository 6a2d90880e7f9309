"""What was used last, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class HasBytes(Protocol):
    """Knows how much memory it holds; pictures, instances and arrays do."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=HasBytes)


class BoundedMemory(Generic[T]):
    """Values by key, which are not to change; those not used for the longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, T] = OrderedDict()
        self.nbytes = 0
        """Of all values together."""

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def peek(self, key: str) -> T | None:
        """The value; that does not count as use."""
        return self._entries.get(key)

    def use(self, key: str) -> T | None:
        """The value, which counts as used now."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, value: T) -> None:
        """Keep a value, or as many bytes as are allowed of those used last."""
        self.drop(key)
        self._entries[key] = value
        self.nbytes += value.nbytes
        while self.nbytes > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        """Forget a value, which need not be there."""
        value = self._entries.pop(key, None)
        if value is not None:
            self.nbytes -= value.nbytes

"""A bound in bytes, whatever is put, used and dropped."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.bounded_memory import BoundedMemory

MOST = 10


@dataclass(frozen=True)
class Value:
    nbytes: int


steps = st.lists(
    st.tuples(st.sampled_from(["put", "use", "drop"]), st.sampled_from("abcd"), st.integers(0, 12))
)


@given(steps)
def test_it_holds_what_was_used_last_within_its_bound(taken: list[tuple[str, str, int]]) -> None:
    memory: BoundedMemory[Value] = BoundedMemory(MOST)
    kept: dict[str, Value] = {}  # the plain statement of it: the last one used comes last
    for what, key, size in taken:
        before = kept.pop(key, None)
        if what == "use" and before:
            kept[key] = before
            assert memory.use(key) is before
        elif what == "put":
            kept[key] = Value(size)
            memory.put(key, kept[key])
            while sum(value.nbytes for value in kept.values()) > MOST:
                del kept[next(iter(kept))]
        elif what == "drop":
            memory.drop(key)
        assert memory.nbytes == sum(value.nbytes for value in kept.values()) <= MOST
        assert {name: memory.peek(name) for name in "abcd" if name in memory} == kept


def test_a_look_is_no_use() -> None:
    memory: BoundedMemory[Value] = BoundedMemory(2)
    memory.put("a", Value(1))
    memory.put("b", Value(1))
    memory.peek("a")
    memory.put("c", Value(1))
    assert "a" not in memory
    assert "b" in memory

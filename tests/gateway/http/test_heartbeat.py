"""A stream says that it is still there, at moments that many share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.http.heartbeat import next_turn_s, with_heartbeats


async def test_beats_come_between_events_and_take_none_away() -> None:
    async def two() -> AsyncIterator[int]:
        for number in (1, 2):
            await asyncio.sleep(0.3)
            yield number

    seen = [event async for event in with_heartbeats(two(), 0.1)]
    assert [event for event in seen if event is not None] == [1, 2]
    assert seen.index(1) >= 1, "one came before the first event"
    assert seen.index(2) > seen.index(1) + 1


@pytest.mark.parametrize("interval_s", [0.5, 5.0, 10.0])
async def test_turns_of_one_tenth_come_together(interval_s: float) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(20):
        await asyncio.sleep(0.003)
        turn_s = next_turn_s(interval_s)
        assert 0.89 * interval_s < turn_s <= interval_s
        turns = (loop.time() + turn_s) / (interval_s / 10)
        assert turns == pytest.approx(round(turns), abs=0.05)

"""Streams that say now and then that they are still there, so that proxies keep them open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")
_TOGETHER = 0.1
"""Of the interval: streams whose turns come within so much of it have them at one moment."""


async def with_heartbeats(
    events: AsyncIterator[T], interval_s: float
) -> AsyncGenerator[T | None, None]:
    """The events, and None whenever none came for `interval_s`, or up to a tenth less."""
    pending: asyncio.Future[T] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({pending}, timeout=next_turn_s(interval_s))
            if not done:
                yield None
                continue
            event, pending = pending.result(), None
            yield event
    except StopAsyncIteration:
        return
    finally:
        if pending is not None:
            pending.cancel()


def next_turn_s(interval_s: float) -> float:
    """Seconds to wait for an event; a loop that wakes once for many streams costs far less."""
    now = asyncio.get_running_loop().time()
    latest = now + interval_s
    return latest - latest % (_TOGETHER * interval_s) - now

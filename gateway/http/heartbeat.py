"""Streams that say now and then that they are still there, so that proxies keep them open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def with_heartbeats(
    events: AsyncIterator[T], interval_s: float
) -> AsyncGenerator[T | None, None]:
    """The events, and None whenever none came for `interval_s`."""
    pending: asyncio.Future[T] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({pending}, timeout=interval_s)
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

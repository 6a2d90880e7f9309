from __future__ import annotations

import asyncio
import contextvars
import os
import threading

import pytest

from gateway.process.image_work import image_work

OWNER = contextvars.ContextVar("owner", default="nobody")


async def test_work_gets_its_arguments_and_its_requests_context() -> None:
    def work(first: int, *, second: int) -> tuple[int, str, str]:
        return first + second, OWNER.get(), threading.current_thread().name

    OWNER.set("me")
    total, owner, thread = await image_work(work, 1, second=2)
    assert (total, owner) == (3, "me")
    assert thread.startswith("image-work")


async def test_a_failure_is_the_callers() -> None:
    def work() -> None:
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        await image_work(work)


async def test_no_more_is_at_work_than_there_are_processors() -> None:
    processors = max(2, os.cpu_count() or 1)
    together = threading.Barrier(processors + 1)
    waiting = [asyncio.create_task(image_work(together.wait, 0.5)) for _ in range(processors + 1)]
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, threading.BrokenBarrierError) for one in done)

"""Threads for work on pictures: as many as there are processors, and no more inside of them.

More would not be faster. They would keep the event loop, which wants a processor for a moment and
often, waiting in line with them: with six threads on two processors, each with OpenCV's own
threads, it woke three times later than with two.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import ParamSpec, TypeVar

import cv2

from gateway.process.processor_turns import give_way

P = ParamSpec("P")
R = TypeVar("R")


async def image_work(work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """As `asyncio.to_thread`, in one of those threads."""
    here = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), partial(here.run, work, *args, **options))


def keep_opencv_to_one_thread() -> None:
    """For a process that serves; call it before there is work."""
    cv2.setNumThreads(1)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, os.cpu_count() or 1), "image-work", initializer=give_way)

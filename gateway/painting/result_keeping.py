"""What was painted is not thrown away because it cannot be stored now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.errors import StorageFullError, StoreUnavailableError

logger = logging.getLogger(__name__)
T = TypeVar("T")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


async def insistently(store: Callable[[], Awaitable[T]]) -> T:
    """Store something, again and again while the store is full or the database away.

    The job's deadline ends it, a cancel, or an end of the process: then the job starts again.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await store()
        except (StorageFullError, StoreUnavailableError) as error:
            logger.warning("%s The result waits.", error.message, extra={"event": "result_waits"})
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

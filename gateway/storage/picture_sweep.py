"""Removes stored pictures that are old and that no job needs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time

from gateway.errors import RetouchError
from gateway.storage.file_removals import SWEEP_AT_MOST_S, FileRemovals
from gateway.storage.image_store import ImageStore

logger = logging.getLogger(__name__)
_SOON_S = 60.0


class PictureSweep:
    """Looks through the whole store now and then; may run in every process at once."""

    def __init__(
        self, store: ImageStore, removals: FileRemovals, *, ttl_s: float, period_s: float = 3600.0
    ) -> None:
        """`ttl_s`: how long a picture stays after its last upload."""
        self._store = store
        self._removals = removals
        self._ttl_s = ttl_s
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._rounds(), name="picture-sweep")

    async def stop(self) -> None:
        """Stop; a removal that is under way is ended by a later sweep."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> int:
        """Remove what is old and not needed; how many pictures."""
        await self._removals.tidy()
        moment = time.time() - self._ttl_s
        # What a running job has made so far, it refers to only when it has ended.
        moment = min(moment, await self._removals.oldest_work() or moment)
        removed, seen = 0, set[str]()
        async for image_id in self._store.unchanged_since(moment):
            if image_id not in seen:
                seen.add(image_id)
                removed += await self._removed(image_id, moment)
        return removed

    async def _removed(self, image_id: str, moment: float) -> bool:
        if not await self._is_old(image_id, moment) or not await self._removals.doom(image_id):
            return False
        # What fails from here on leaves it doomed: it is unknown what of it is gone.
        async with asyncio.timeout(SWEEP_AT_MOST_S):
            # Again, now that nobody can begin to need it.
            if not await self._is_old(image_id, moment):
                await self._removals.spare(image_id)
                return False
            await self._store.erase(image_id)
        await self._removals.note_removed(image_id)
        return True

    async def _is_old(self, image_id: str, moment: float) -> bool:
        put_at = await self._store.last_put_at(image_id)
        return put_at is not None and put_at < moment

    async def _rounds(self) -> None:
        # Processes that start together do not all look through the store at once.
        await asyncio.sleep(random.uniform(0, min(_SOON_S, self._period_s)))
        while True:
            await self._guarded()
            await asyncio.sleep(self._period_s)

    async def _guarded(self) -> None:
        try:
            removed = await self.sweep()
        except (RetouchError, TimeoutError) as error:
            logger.warning("picture sweep: %s", error, extra={"event": "picture_sweep"})
        except Exception:
            logger.exception("the picture sweep failed", extra={"event": "picture_sweep"})
        else:
            if removed:
                logger.info("%d old pictures removed", removed, extra={"event": "picture_sweep"})

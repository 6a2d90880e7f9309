"""Jobs midway: latents kept beside the pictures while a job paints, to go on after a restart."""

from __future__ import annotations

import io
import logging
import time
from zipfile import BadZipFile

import numpy as np

from gateway.errors import RetouchError
from gateway.inference import SavedState
from gateway.storage.object_store import ObjectStore

logger = logging.getLogger(__name__)
_PREFIX = "states/"
_FORGOTTEN_AFTER_S = 86_400.0
"""A job that was canceled, or has failed, after a restart leaves its states; so long."""
_TIDY_EVERY_S = 3600.0


class SavedStates:
    """The latest state of each picture of the jobs that paint; losing one costs time alone."""

    def __init__(self, store: ObjectStore, *, every: int) -> None:
        """`every`: steps between two states of a picture; 0: none are kept or looked for."""
        self._store = store
        self.every = every
        self._tidied_at = float("-inf")

    async def keep(self, job_id: str, picture: int, state: SavedState) -> None:
        """Replace the state of a picture; when that fails, the earlier one stays."""
        try:
            await self._tidy()
            key = f"{_PREFIX}{job_id}/{picture}"
            await self._store.write(key, _packed(state), media_type="application/octet-stream")
        except RetouchError as error:
            logger.warning("job %s: a state is not kept: %s", job_id, error.message)

    async def latest(self, job_id: str, picture: int) -> SavedState | None:
        """What was kept last; None when nothing was, or it cannot be had."""
        if not self.every:
            return None
        try:
            data = await self._store.read(f"{_PREFIX}{job_id}/{picture}")
        except RetouchError as error:
            logger.warning("job %s begins anew: %s", job_id, error.message)
            return None
        return None if data is None else _unpacked(data)

    async def forget(self, job_id: str, pictures: int) -> None:
        """The job has its pictures."""
        if not self.every:
            return
        try:
            for picture in range(pictures):
                await self._store.delete(f"{_PREFIX}{job_id}/{picture}")
        except RetouchError as error:
            logger.warning("job %s leaves a state behind: %s", job_id, error.message)

    async def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._tidied_at < _TIDY_EVERY_S:
            return
        self._tidied_at = now
        long_ago = time.time() - _FORGOTTEN_AFTER_S
        async for key, written_at in self._store.listed(_PREFIX):
            if written_at < long_ago:
                await self._store.delete(key)


def _packed(state: SavedState) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, step=state.step, of=state.of, latents=state.latents)
    return buffer.getvalue()


def _unpacked(data: bytes) -> SavedState | None:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            return SavedState(int(parts["step"]), parts["latents"], str(parts["of"]))
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        logger.warning("a state cannot be read: %s", error)
        return None

"""Pictures by content: the same bytes have the same id, and are kept once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.errors import NotFoundError
from gateway.file_removals import FileRemovals
from gateway.keys.owner import current_owner
from gateway.object_store import ObjectStore

_QUICK_BYTES = 256 * 1024
_ID = re.compile(r"file_[0-9a-f]{40}")
_KEY = re.compile(r"files/[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{40})(?:\.json)?")


@dataclass(frozen=True)
class StoredImage:
    """What is known of a stored picture without opening it."""

    id: str
    sha256: str
    width: int
    height: int
    format: str
    """"png", "jpeg", "webp", ..., or "cube" for a colour transform."""
    bytes: int
    warnings: tuple[str, ...] = ()
    """What was left out or changed when it was read, e.g. further frames."""

    @property
    def media_type(self) -> str:
        """Content type of the bytes."""
        return "text/plain" if self.format == "cube" else f"image/{self.format}"


class ImageStore:
    """Pictures in an object store: a local folder, S3, or memory in tests.

    Keys: `files/ab/cd/HASH` has the bytes, `.json` beside it the record, `owners/HASH/KEY` says
    who may see it, `touched/HASH` when it was put again.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        removals: FileRemovals | None = None,
        presign_s: float = 0,
    ) -> None:
        """`removals`: those of the sweeps on this store; None where there are none."""
        self._store = store
        self._removals = removals
        self._presign_s = presign_s

    @classmethod
    def at(
        cls, url: str, *, removals: FileRemovals | None = None, presign_s: float = 0
    ) -> ImageStore:
        """Keep pictures at `s3://bucket/prefix`, or in a folder, which is made when absent.

        `presign_s`: for so long a download's address is good; 0: downloads go through us.
        """
        return cls(ObjectStore.at(url), removals=removals, presign_s=presign_s)

    @classmethod
    def in_folder(cls, folder: Path) -> ImageStore:
        """Keep pictures under `folder`, which is made when absent."""
        return cls.at(str(folder))

    async def put(
        self, data: bytes, *, width: int, height: int, format: str, warnings: tuple[str, ...] = ()
    ) -> StoredImage:
        """Keep a picture; of two equal ones the first stays.

        Raises:
            StorageFullError: the disk is full; nothing was kept.
            StoreUnavailableError: the job database cannot say whether a sweep has it in hand.
        """
        digest = await _digest(data)
        image = StoredImage(
            f"file_{digest[:40]}", digest, width, height, format, len(data), warnings
        )
        await self._keep(image, data)
        if self._removals:
            while done := await self._removals.settled(image.id, current_owner.get()):
                # What a removal took that is done now, is written again.
                await self._keep(image, data)
                if await self._removals.note_back(done):
                    break
        return image

    async def _keep(self, image: StoredImage, data: bytes) -> None:
        # The record is written last: a picture without one does not exist yet.
        record = json.dumps(asdict(image)).encode()
        content_key, record_key = _content_key(image.id), _record_key(image.id)
        is_new = await self._store.create(content_key, data, media_type=image.media_type)
        is_new &= await self._store.create(record_key, record, media_type="application/json")
        if owner := current_owner.get():
            await self._store.create(_owner_key(image.id, owner), b"", media_type="text/plain")
        if not is_new:
            await self._store.write(_touched_key(image.id), b"", media_type="text/plain")

    async def info(self, image_id: str) -> StoredImage:
        """The record of a picture.

        Raises:
            NotFoundError: no such picture.
        """
        record: Mapping[str, Any] = json.loads(await self._read(_record_key(image_id), image_id))
        return StoredImage(**{**record, "warnings": tuple(record["warnings"])})

    async def content(self, image_id: str) -> bytes:
        """The bytes that were put.

        Raises:
            NotFoundError: no such picture.
        """
        return await self._read(_content_key(image_id), image_id)

    async def delete(self, image_id: str) -> None:
        """Forget a picture; of one that others have too, the asking owner's share.

        Raises:
            NotFoundError: no such picture.
            FileInUseError: a job that has not ended needs it.
            StoreUnavailableError: it cannot be done now; part of it may be.
        """
        while True:
            await self.info(image_id)
            if self._removals is None:
                return await self._give_up(image_id)
            async with self._removals.withdrawn(image_id, current_owner.get()) as mine:
                if mine:
                    return await self._give_up(image_id)

    async def _give_up(self, image_id: str) -> None:
        owner = current_owner.get()
        if not owner:
            return await self.erase(image_id)
        await self._store.delete(_owner_key(image_id, owner))
        if self._removals is None:
            return None if await self._has_owner(image_id) else await self.erase(image_id)
        # Another job may need it, from when keys were off: then a sweep removes it later.
        if await self._has_owner(image_id) or not await self._removals.doom_unneeded(image_id):
            return None
        if await self._has_owner(image_id):  # someone sent it in between
            return await self._removals.spare(image_id)
        await self.erase(image_id)
        return await self._removals.note_removed(image_id)

    async def _has_owner(self, image_id: str) -> bool:
        return await self._store.any_under(_owner_key(image_id, ""))

    async def require_visible(self, image_id: str) -> None:
        """Check that a picture is one of whoever asks; without keys every picture is.

        Raises:
            NotFoundError: it is another key's, or not there.
        """
        owner = current_owner.get()
        if owner and await self._store.written_at(_owner_key(image_id, owner)) is None:
            raise NotFoundError(f"There is no file {image_id!r}.")

    async def download_url(self, image_id: str) -> str | None:
        """Where the store itself hands the bytes out, for a while; None: only `content` does.

        Raises:
            NotFoundError: it is another key's, or not there.
        """
        if not self._presign_s:
            return None
        await self.info(image_id)
        return await self._store.signed_url(_content_key(image_id), self._presign_s)

    async def unchanged_since(self, moment: float) -> AsyncIterator[str]:
        """Ids of what was written before `moment`, whosever it is; some come twice."""
        async for key, written_at in self._store.listed("files/"):
            if written_at < moment and (named := _KEY.fullmatch(key)):
                yield f"file_{named[1]}"

    async def last_put_at(self, image_id: str) -> float | None:
        """When it was put last, whosever it is; None: nothing of it is there."""
        keys = (_content_key(image_id), _record_key(image_id), _touched_key(image_id))
        times = [await self._store.written_at(key) for key in keys]
        return max((time for time in times if time is not None), default=None)

    async def erase(self, image_id: str) -> None:
        """Remove a picture from all its owners."""
        owners = [key async for key, _ in self._store.listed(_owner_key(image_id, ""))]
        for key in (_record_key(image_id), _content_key(image_id), *owners):
            await self._store.delete(key)
        await self._store.delete(_touched_key(image_id))

    async def _read(self, key: str, image_id: str) -> bytes:
        if not _ID.fullmatch(image_id):
            raise NotFoundError(f"There is no file {image_id[:80]!r}.")
        await self.require_visible(image_id)
        data = await self._store.read(key)
        if data is None:
            raise NotFoundError(f"There is no file {image_id!r}.")
        return data


async def _digest(data: bytes) -> str:
    """SHA-256; of large files in a thread: 25 MB would hold the event loop up for 30 to 60 ms."""
    if len(data) < _QUICK_BYTES:
        return hashlib.sha256(data).hexdigest()
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())


def _content_key(image_id: str) -> str:
    digest = image_id.removeprefix("file_")
    return f"files/{digest[:2]}/{digest[2:4]}/{digest}"


def _owner_key(image_id: str, owner: str) -> str:
    return f"owners/{image_id.removeprefix('file_')}/{owner}"


def _record_key(image_id: str) -> str:
    return _content_key(image_id) + ".json"


def _touched_key(image_id: str) -> str:
    return f"touched/{image_id.removeprefix('file_')}"

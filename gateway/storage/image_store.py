"""Pictures by content: the same bytes have the same id, and are kept once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import NotFoundError
from gateway.keys.owner import current_owner
from gateway.storage.file_removals import FileRemovals
from gateway.storage.object_store import NewObject, ObjectStore
from gateway.storage.picture_keys import (
    ID,
    content_key,
    owner_key,
    picture_at,
    record_key,
    touched_key,
)
from gateway.storage.recent_images import RecentImages
from gateway.storage.stored_image import BegunPut, NewImage, StoredImage, described_png

__all__ = ["BegunPut", "ImageStore", "NewImage", "StoredImage"]

LATELY_S = 60.0
"""Sweeps take what was put an hour ago and more (`Settings.file_ttl_s`)."""
GLANCE_S = 5.0
"""A form's pictures are put, and asked for four times until its job is in line."""


class ImageStore:
    """Pictures in an object store: a local folder, S3, or memory in tests."""

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
        self._recent = RecentImages()

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
        new = NewImage(data=data, width=width, height=height, format=format, warnings=warnings)
        (image,) = await self.end_put(await asyncio.to_thread(self.begin_put, [new]))
        return image

    def begin_put(self, news: Sequence[NewImage]) -> BegunPut:
        """The first half of `put`, for many, from a thread that is at work anyway; blocks.

        In a folder they are written then; what waits for a network is left to `end_put`.

        Raises:
            StorageFullError: the disk is full; some may have been kept.
        """
        news, images = tuple(news), tuple(new.described() for new in news)
        if self._store.is_remote:
            return BegunPut(images, news, is_written=False, removed=frozenset())
        for image, new in zip(images, news, strict=True):
            self._write_here(image, new)
        removed: frozenset[str] = frozenset()
        if self._removals:
            # Now that it is written: a removal that begins later is of what is there.
            removed = self._removals.look([i.id for i in images], current_owner.get())
        return BegunPut(images, news, is_written=True, removed=removed)

    def _write_here(self, image: StoredImage, new: NewImage) -> None:
        """Nothing to do where all of it is there and too new for any sweep."""
        objects, touched = _objects(image, new), touched_key(image.id)
        put_at, *times = self._store.times_here([touched, *(o.key for o in objects)])
        # All are written together, an owner's note when it is this owner's first time.
        newest = max(put_at or 0, times[0] or 0)
        if None in times or newest < time.time() - LATELY_S:
            self._store.create_all_here(objects, otherwise=touched)

    async def end_put(self, begun: BegunPut) -> tuple[StoredImage, ...]:
        """The second half; from now on the pictures are kept.

        Raises:
            StorageFullError, StoreUnavailableError: as `put`.
        """
        for image, new in zip(begun.images, begun.news, strict=True):
            if not begun.is_written:
                await self._keep(image, new)
            if not begun.is_written or image.id in begun.removed:
                await self._outlive_removals(image, new)
            self._recent.note_seen(image)
        return begun.images

    async def _outlive_removals(self, image: StoredImage, new: NewImage) -> None:
        if self._removals is None:
            return
        while done := await self._removals.settled(image.id, current_owner.get()):
            # What a removal took that is done now, is written again.
            await self._keep(image, new)
            if await self._removals.note_back(done):
                break

    async def _keep(self, image: StoredImage, new: NewImage) -> None:
        await self._store.create_all(_objects(image, new), otherwise=touched_key(image.id))

    async def info(self, image_id: str) -> StoredImage:
        """The record of a picture.

        Raises:
            NotFoundError: no such picture.
        """
        data = await self._find(record_key(image_id), image_id)
        if data is not None:
            record: Mapping[str, Any] = json.loads(bytes(data))
            image = StoredImage(**{**record, "warnings": tuple(record["warnings"])})
        else:
            content = await self.view(image_id)
            if (described := await asyncio.to_thread(described_png, content)) is None:
                raise _not_found(image_id)  # its record is not there yet, or not any more
            image = described
        self._recent.note_seen(image)
        return image

    async def glance(self, image_id: str) -> StoredImage:
        """As `info`, by a look that is `GLANCE_S` old at the most, for one who needs it next.

        What another process has removed since is found out then: when it is read, or when a job
        with it gets in line.

        Raises:
            NotFoundError: no such picture.
        """
        return self._recent.seen(image_id, within_s=GLANCE_S) or await self.info(image_id)

    def recall(self, image_id: str) -> StoredImage | None:
        """The record that whoever asks put or had before, without a look; call `require_here` then.

        None where it is not remembered, and in a store that is no folder.
        """
        return self._recent.seen(image_id) if self._store.is_folder else None

    def require_here(self, image_id: str) -> None:
        """Check that a recalled picture is still there, and the asker's; blocks.

        Raises:
            NotFoundError: it is not.
        """
        keys = [content_key(image_id)]
        if owner := current_owner.get():
            keys.append(owner_key(image_id, owner))
        if None in self._store.times_here(keys):
            raise _not_found(image_id)

    async def content(self, image_id: str) -> bytes:
        """The bytes that were put.

        Raises:
            NotFoundError: no such picture.
        """
        data = await self.view(image_id)
        return data if isinstance(data, bytes) else await asyncio.to_thread(bytes, data)

    async def view(self, image_id: str) -> bytes | memoryview:
        """As `content`, without copying, which the event loop would wait for.

        Raises:
            NotFoundError: no such picture.
        """
        return await self._read(content_key(image_id), image_id)

    async def delete(self, image_id: str) -> None:
        """Forget a picture; of one that others have too, the asking owner's share.

        Raises:
            NotFoundError: no such picture.
            FileInUseError: a job that has not ended needs it.
            StoreUnavailableError: it cannot be done now; part of it may be.
        """
        while True:
            await self.info(image_id)
            self._recent.forget(image_id)
            if self._removals is None:
                return await self._give_up(image_id)
            async with self._removals.withdrawn(image_id, current_owner.get()) as mine:
                if mine:
                    return await self._give_up(image_id)

    async def _give_up(self, image_id: str) -> None:
        owner = current_owner.get()
        if not owner:
            return await self.erase(image_id)
        await self._store.delete(owner_key(image_id, owner))
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
        return await self._store.any_under(owner_key(image_id, ""))

    async def require_visible(self, image_id: str) -> None:
        """Check that a picture is one of whoever asks; without keys every picture is.

        Raises:
            NotFoundError: it is another key's, or not there.
        """
        owner = current_owner.get()
        if owner and await self._store.written_at(owner_key(image_id, owner)) is None:
            raise _not_found(image_id)

    async def download_url(self, image_id: str) -> str | None:
        """Where the store itself hands the bytes out, for a while; None: only `content` does.

        Raises:
            NotFoundError: it is another key's, or not there.
        """
        if not self._presign_s:
            return None
        await self.info(image_id)
        return await self._store.signed_url(content_key(image_id), self._presign_s)

    async def unchanged_since(self, moment: float) -> AsyncIterator[str]:
        """Ids of what was written before `moment`, whosever it is; some come twice."""
        async for key, written_at in self._store.listed("files/"):
            if written_at < moment and (image_id := picture_at(key)):
                yield image_id

    async def last_put_at(self, image_id: str) -> float | None:
        """When it was put last, whosever it is; None: nothing of it is there."""
        keys = (content_key(image_id), record_key(image_id), touched_key(image_id))
        times = [await self._store.written_at(key) for key in keys]
        return max((time for time in times if time is not None), default=None)

    async def erase(self, image_id: str) -> None:
        """Remove a picture from all its owners."""
        owners = [key async for key, _ in self._store.listed(owner_key(image_id, ""))]
        for key in (record_key(image_id), content_key(image_id), *owners):
            await self._store.delete(key)
        await self._store.delete(touched_key(image_id))

    async def _read(self, key: str, image_id: str) -> bytes | memoryview:
        data = await self._find(key, image_id)
        if data is None:
            raise _not_found(image_id)
        return data

    async def _find(self, key: str, image_id: str) -> bytes | memoryview | None:
        """What is under a key of a picture; None also where it is not the asker's."""
        if not ID.fullmatch(image_id):
            raise _not_found(image_id)
        owner = current_owner.get()
        beside = owner_key(image_id, owner) if owner else None
        return await self._store.view(key, beside=beside)


def _not_found(image_id: str) -> NotFoundError:
    return NotFoundError(f"There is no file {image_id[:80]!r}.")


def _objects(image: StoredImage, new: NewImage) -> list[NewObject]:
    """What a picture is; a record it needs after its bytes: without one it does not exist yet."""
    objects = [NewObject(content_key(image.id), new.data, image.media_type)]
    if new.needs_record:
        record = json.dumps(vars(image)).encode()
        objects.append(NewObject(record_key(image.id), record, "application/json"))
    if owner := current_owner.get():
        objects.append(NewObject(owner_key(image.id, owner), b"", "text/plain"))
    return objects

"""Pictures by content: the same bytes have the same id, and are kept once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.exceptions import NotFoundError as ObjectNotFoundError
from obstore.store import LocalStore, MemoryStore

from gateway.errors import NotFoundError, StorageFullError
from gateway.keys.owner import current_owner

_QUICK_BYTES = 256 * 1024
_ID = re.compile(r"file_[0-9a-f]{40}")


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
    """Pictures in an object store: a local folder, or memory in tests."""

    def __init__(self, store: LocalStore | MemoryStore) -> None:
        self._store = store

    @classmethod
    def in_folder(cls, folder: Path) -> ImageStore:
        """Keep pictures under `folder`, which is made when absent."""
        return cls(LocalStore(folder, mkdir=True))

    async def put(
        self, data: bytes, *, width: int, height: int, format: str, warnings: tuple[str, ...] = ()
    ) -> StoredImage:
        """Keep a picture; of two equal ones the first stays.

        Raises:
            StorageFullError: the disk is full; nothing was kept.
        """
        digest = await _digest(data)
        image = StoredImage(
            f"file_{digest[:40]}", digest, width, height, format, len(data), warnings
        )
        # The record is written last: a picture without one does not exist yet.
        await self._create(_content_key(image.id), data)
        await self._create(_record_key(image.id), json.dumps(asdict(image)).encode())
        if owner := current_owner.get():
            await self._create(_owner_key(image.id, owner), b"")
        return image

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
        """Forget a picture.

        Raises:
            NotFoundError: no such picture.
        """
        await self.info(image_id)
        if owner := current_owner.get():
            await obstore.delete_async(self._store, _owner_key(image_id, owner))
            if await self._has_owners(image_id):
                return
        for key in (_record_key(image_id), _content_key(image_id)):
            await obstore.delete_async(self._store, key)

    async def _has_owners(self, image_id: str) -> bool:
        listing = obstore.list(self._store, prefix=_owner_key(image_id, ""), chunk_size=1)
        return bool(await listing.collect_async())

    async def require_visible(self, image_id: str) -> None:
        """Check that a picture is one of whoever asks; without keys every picture is.

        Raises:
            NotFoundError: it is another key's, or not there.
        """
        if owner := current_owner.get():
            try:
                await obstore.head_async(self._store, _owner_key(image_id, owner))
            except (ObjectNotFoundError, FileNotFoundError):
                raise NotFoundError(f"There is no file {image_id!r}.") from None

    async def _create(self, key: str, data: bytes) -> None:
        try:
            await obstore.put_async(self._store, key, data, mode="create")
        except AlreadyExistsError:
            return
        except Exception as error:
            if "No space left" in str(error):
                raise StorageFullError("The image store has no room left.") from error
            raise

    async def _read(self, key: str, image_id: str) -> bytes:
        if not _ID.fullmatch(image_id):
            raise NotFoundError(f"There is no file {image_id[:80]!r}.")
        await self.require_visible(image_id)
        try:
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())
        except (ObjectNotFoundError, FileNotFoundError):
            raise NotFoundError(f"There is no file {image_id!r}.") from None


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

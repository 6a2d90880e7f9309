"""Objects by key in a local folder, an S3-compatible store or, in tests, in memory."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError
from obstore.exceptions import NotFoundError as ObjectNotFoundError
from obstore.store import LocalStore, MemoryStore, S3Store

from gateway.errors import StorageFullError, StoreUnavailableError
from gateway.storage.whole_files import write_whole

logger = logging.getLogger(__name__)
_GONE = (ObjectNotFoundError, FileNotFoundError)
_FULL = re.compile(
    r"No space left|quota exceeded|QuotaExceeded|StorageFull|Insufficient Storage", re.IGNORECASE
)
"""Of the system; of S3-compatible stores (RFC 4918 has 507, MinIO XMinioStorageFull)."""
_NO_CONDITIONS = re.compile(r"NotImplemented|501 Not Implemented")


@dataclass(frozen=True)
class NewObject:
    """What is to be written."""

    key: str
    data: bytes
    media_type: str


class ObjectStore:
    """The few calls that pictures need."""

    def __init__(
        self, store: LocalStore | MemoryStore | S3Store, *, folder: Path | None = None
    ) -> None:
        """`folder`: where a local store keeps its objects, each in a file named as its key."""
        self._store = store
        self._folder = folder
        self.is_remote = isinstance(store, S3Store)
        """Whether a call goes over a network; else it takes microseconds."""
        self._is_conditional = True

    @classmethod
    def at(cls, url: str) -> ObjectStore:
        """Open `s3://bucket/prefix`, or a folder, which is made when absent.

        Credentials, region and endpoint of S3 come from the environment: `AWS_ACCESS_KEY_ID`,
        `AWS_ENDPOINT_URL` and so on, as in every client of it.
        """
        if not url.startswith("s3://"):
            return cls(LocalStore(Path(url), mkdir=True), folder=Path(url))
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        return cls(
            S3Store(
                bucket,
                prefix=prefix.strip("/") or None,
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
            )
        )

    @property
    def is_folder(self) -> bool:
        """Whether `times_here` can tell."""
        return self._folder is not None

    async def create(self, key: str, data: bytes, *, media_type: str) -> bool:
        """Write an object unless there is one, in one step; whether it was written.

        Raises:
            StorageFullError: there is no room; nothing was written.
        """
        if not self._is_conditional:
            return await self._create_without_conditions(key, data, media_type)
        try:
            await self._put(key, data, media_type, create=True)
        except AlreadyExistsError:
            return False
        except _NoConditionsError:
            logger.warning(
                "The image store knows no conditional writes: of two equal pictures that arrive "
                "at once the last one's record stays."
            )
            self._is_conditional = False
            return await self._create_without_conditions(key, data, media_type)
        return True

    async def create_all(self, objects: Sequence[NewObject], *, otherwise: str) -> None:
        """Write objects in this order, each unless there is one.

        Args:
            objects: what to write.
            otherwise: written, empty, when there was any.

        Raises:
            StorageFullError: there is no room; those before may have been written.
        """
        news = [await self.create(o.key, o.data, media_type=o.media_type) for o in objects]
        if not all(news):
            await self.write(otherwise, b"", media_type="text/plain")

    def create_all_here(self, objects: Sequence[NewObject], *, otherwise: str) -> None:
        """The same in a folder or in memory, from whichever thread; blocks.

        Raises:
            StorageFullError: as `create_all`.
        """
        news = [self._put_here(o.key, o.data, create=True) for o in objects]
        if not all(news):
            self._put_here(otherwise, b"", create=False)

    async def write(self, key: str, data: bytes, *, media_type: str) -> None:
        """Write an object over what is there.

        Raises:
            StorageFullError: there is no room; nothing was written.
        """
        await self._put(key, data, media_type, create=False)

    async def read(self, key: str) -> bytes | None:
        """The bytes; None when there is no such object."""
        data = await self.view(key)
        return None if data is None else bytes(data)

    async def view(self, key: str, *, beside: str | None = None) -> bytes | memoryview | None:
        """As `read`, not copied from where they were read to: bytes where the store is a folder.

        None also where there is no object `beside` it and one is named.
        """
        if not self.is_remote:
            return await asyncio.to_thread(self._view_here, key, beside)
        if beside is not None and await self.written_at(beside) is None:
            return None
        with self._answering():
            try:
                result = await obstore.get_async(self._store, key)
                return memoryview(await result.bytes_async())
            except _GONE:
                return None

    async def written_at(self, key: str) -> float | None:
        """When it was last written, epoch seconds by the store's clock; None: not there."""
        with self._answering():
            try:
                return (await obstore.head_async(self._store, key))["last_modified"].timestamp()
            except _GONE:
                return None

    async def delete(self, key: str) -> None:
        """Remove an object, which need not be there."""
        with self._answering(), suppress(*_GONE):
            await obstore.delete_async(self._store, key)

    async def any_under(self, prefix: str) -> bool:
        """Whether there is an object under a prefix."""
        with self._answering():
            listing = obstore.list(self._store, prefix=prefix, chunk_size=1)
            return bool(await listing.collect_async())

    async def listed(self, prefix: str) -> AsyncIterator[tuple[str, float]]:
        """Keys under a prefix, and when each was last written; in no order."""
        chunks = obstore.list(self._store, prefix=prefix, chunk_size=1000)
        while True:
            with self._answering():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            for entry in chunk:
                yield entry["path"], entry["last_modified"].timestamp()

    async def signed_url(self, key: str, expires_s: float) -> str | None:
        """An address that anyone may read the object at for so long; None in a local store."""
        if not isinstance(self._store, S3Store):
            return None
        return await obstore.sign_async(self._store, "GET", key, timedelta(seconds=expires_s))

    async def _create_without_conditions(self, key: str, data: bytes, media_type: str) -> bool:
        if await self.written_at(key) is not None:
            return False
        await self.write(key, data, media_type=media_type)
        return True

    async def _put(self, key: str, data: bytes, media_type: str, *, create: bool) -> None:
        # Of a downloaded object the store tells the type itself; folders keep none.
        attributes = {"Content-Type": media_type} if self.is_remote else None
        with self._writing(create=create):
            await obstore.put_async(
                self._store,
                key,
                data,
                mode="create" if create else "overwrite",
                attributes=attributes,
                use_multipart=False,
            )

    def times_here(self, keys: Sequence[str]) -> list[float | None]:
        """When each of these was last written to the folder, epoch seconds; blocks, for 1 us each.

        None of those that are not there; of all where the store is no folder.
        """
        # The library takes 40 us in a thread for the same.
        return [_modified(f"{self._folder}/{key}") if self._folder else None for key in keys]

    def _put_here(self, key: str, data: bytes, *, create: bool) -> bool:
        with self._writing(create=create):
            if self._folder is not None:
                return write_whole(self._folder / key, data, create=create)
            mode: Literal["create", "overwrite"] = "create" if create else "overwrite"
            try:
                obstore.put(self._store, key, data, mode=mode, use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def _view_here(self, key: str, beside: str | None) -> bytes | memoryview | None:
        try:
            if beside is not None:
                obstore.head(self._store, beside)
            if self._folder is not None:
                # What the library gives would have to be copied for who wants bytes, and all
                # threads would wait for that.
                return Path(self._folder, key).read_bytes()
            return memoryview(obstore.get(self._store, key).bytes())
        except _GONE:
            return None

    @contextmanager
    def _writing(self, *, create: bool) -> Iterator[None]:
        """What a write fails with, as our errors.

        Raises:
            StorageFullError: there is no room.
            StoreUnavailableError: an S3 store is away, or refuses us.
        """
        try:
            yield
        except AlreadyExistsError:
            raise
        except Exception as error:
            if _FULL.search(str(error)):
                raise StorageFullError("The image store has no room left.") from error
            if create and _knows_no_conditions(error):
                raise _NoConditionsError from error
            with self._answering():
                raise

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What an S3 store fails with is told as one error; a folder fails as it is.

        Raises:
            StoreUnavailableError: it is away, or refuses us.
        """
        try:
            yield
        except BaseError as error:
            if not self.is_remote:
                raise
            logger.warning("image store: %s", error, extra={"event": "image_store"})
            raise StoreUnavailableError("The image store does not answer.") from error


class _NoConditionsError(Exception):
    """The store refuses conditional writes."""


def _knows_no_conditions(error: Exception) -> bool:
    return isinstance(error, NotSupportedError) or _NO_CONDITIONS.search(str(error)) is not None


def _modified(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116
    except OSError:
        return None

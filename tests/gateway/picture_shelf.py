"""Stored pictures beside a job database, for tests of what removes them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import NotFoundError
from gateway.jobs import job_store, job_submission
from gateway.jobs.job import Fence, Job, NewJob
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_rows import ticket_for
from gateway.keys.owner import current_owner
from gateway.storage.file_removals import FileRemovals
from gateway.storage.image_store import ImageStore, StoredImage
from gateway.storage.picture_sweep import PictureSweep

DAY_S = 86_400.0


class Shelf:
    """A folder of pictures, a job database, and sweeps of what is older than a day."""

    def __init__(self, folder: Path, database: JobDatabase) -> None:
        self.folder = folder
        self.database = database
        self.removals = FileRemovals(database)
        self.store = ImageStore.at(str(folder), removals=self.removals)
        self.sweep = PictureSweep(self.store, self.removals, ttl_s=DAY_S).sweep

    async def put(self, data: bytes = b"a picture") -> StoredImage:
        return await self.store.put(data, width=3, height=2, format="png")

    async def put_long_ago(self, data: bytes = b"a picture") -> StoredImage:
        stored = await self.put(data)
        self.age(stored.id)
        return stored

    def age(self, image_id: str) -> None:
        """Everything of it was written two days ago."""
        digest = image_id.removeprefix("file_")
        for path in self.folder.rglob(f"{digest}*"):
            os.utime(path, (time.time() - 2 * DAY_S,) * 2)

    def submit(self, *file_ids: str) -> Job:
        new = NewJob(task="edit", model="m", request={}, files=file_ids, owner=current_owner.get())
        return job_submission.submit(self.database, new, max_queued=1000).job

    def begin(self, job: Job) -> Fence:
        begun = job_store.begin(self.database, ticket_for(job), "w", max_attempts=3)
        assert begun is not None
        return Fence(begun.id, begun.ticket, begun.attempts)

    async def is_there(self, image: StoredImage) -> bool:
        try:
            await self.store.content(image.id)
            return await self.store.info(image.id) == image
        except NotFoundError:
            return False


@contextmanager
def open_shelf(folder: Path, url: str) -> Iterator[Shelf]:
    database = JobDatabase(url)
    database.prepare()
    yield Shelf(folder, database)
    database.close()

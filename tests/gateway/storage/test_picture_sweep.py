"""Old pictures go; what a job needs, or someone uploads meanwhile, stays."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import NotFoundError
from gateway.jobs import job_store, job_submission
from gateway.jobs.job import JobResult, JobStatus, NewJob
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_tables import doomed_files
from gateway.keys.owner import current_owner
from gateway.storage.file_removals import FileRemovals
from gateway.storage.image_store import ImageStore
from gateway.storage.picture_sweep import PictureSweep
from tests.gateway.picture_shelf import DAY_S, Shelf

pytestmark = pytest.mark.timeout(120)


async def test_an_old_picture_that_no_job_needs_is_removed_and_a_young_one_stays(
    shelf: Shelf,
) -> None:
    old, young = await shelf.put_long_ago(b"old"), await shelf.put(b"young")
    assert await shelf.sweep() == 1
    assert not await shelf.is_there(old)
    assert await shelf.is_there(young)
    assert [path for path in shelf.folder.rglob("*") if old.sha256[:40] in path.name] == []


async def test_it_goes_from_all_its_owners(shelf: Shelf) -> None:
    for owner in ("one", "two"):
        token = current_owner.set(owner)
        image = await shelf.put_long_ago()
        current_owner.reset(token)
    shelf.age(image.id)
    assert await shelf.sweep() == 1
    assert [path for path in shelf.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("status", ["queued", "running", "succeeded"])
async def test_what_a_job_refers_to_stays_until_the_job_is_gone(shelf: Shelf, status: str) -> None:
    image = await shelf.put_long_ago(b"input")
    job = shelf.submit(image.id)
    results = []
    if status != "queued":
        fence = shelf.begin(job)
        made, cube = await shelf.put_long_ago(b"made"), await shelf.put_long_ago(b"cube")
        results = [made, cube]
    if status == "succeeded":
        entry = {"file_id": made.id, "cube_url": f"/v1/files/{cube.id}/content"}
        result = JobResult(output=(entry,))
        assert job_store.end(
            shelf.database, job.id, JobStatus.SUCCEEDED, result=result, fence=fence
        )
    if status == "running":  # refers to no result yet
        for made in results:
            os.utime(next(shelf.folder.rglob(made.sha256[:40])))
    assert await shelf.sweep() == 0
    for kept in (image, *results):
        assert await shelf.is_there(kept)
    if status == "succeeded":
        job_store.delete(shelf.database, job.id)
        assert await shelf.sweep() == 3


async def test_what_a_long_job_has_made_so_far_stays(shelf: Shelf) -> None:
    job = shelf.submit()
    shelf.begin(job)
    began = time.time() - 3 * DAY_S
    with shelf.database.writing() as connection:
        connection.execute(sa.text("UPDATE retouch_jobs SET started_at = :at"), {"at": began})
    made = await shelf.put_long_ago()
    assert await shelf.sweep() == 0
    job_store.end(shelf.database, job.id, JobStatus.CANCELED)
    assert await shelf.sweep() == 1
    assert not await shelf.is_there(made)


async def test_a_picture_that_was_sent_again_stays(shelf: Shelf) -> None:
    image = await shelf.put_long_ago()
    await shelf.put()
    assert await shelf.sweep() == 0
    assert await shelf.is_there(image)


async def test_a_picture_sent_again_just_before_it_is_doomed_stays(shelf: Shelf) -> None:
    class SentBefore(FileRemovals):
        async def doom(self, file_id: str) -> bool:
            await shelf.put()
            return await super().doom(file_id)

    image = await shelf.put_long_ago()
    sweep = PictureSweep(shelf.store, SentBefore(shelf.database), ttl_s=DAY_S)
    assert await sweep.sweep() == 0
    assert await shelf.is_there(image)
    assert await shelf.removals.settled(image.id) == {}


async def test_no_job_is_accepted_with_a_picture_that_was_removed(shelf: Shelf) -> None:
    image = await shelf.put_long_ago()
    await shelf.sweep()
    with pytest.raises(NotFoundError, match=f"File {image.id} has expired"):
        shelf.submit(image.id)
    assert await shelf.put() == image
    shelf.submit(image.id)
    assert await shelf.is_there(image)


async def test_a_picture_sent_during_its_removal_is_there_afterwards(shelf: Shelf) -> None:
    image = await shelf.put_long_ago()
    assert await shelf.removals.doom(image.id)
    sent = asyncio.create_task(shelf.put())
    await asyncio.sleep(0.2)
    assert not sent.done()
    await shelf.store.erase(image.id)
    await shelf.removals.note_removed(image.id)
    assert await sent == image
    assert await shelf.is_there(image)
    assert await shelf.removals.settled(image.id) == {}


async def test_an_upload_hears_of_a_removal_that_began_elsewhere_after_the_last_one(
    shelf: Shelf,
) -> None:
    image = await shelf.put_long_ago()
    for _ in range(2):  # the second finds that nothing has changed
        assert not shelf.removals.look([image.id])
    elsewhere = JobDatabase(shelf.database.url)
    assert await FileRemovals(elsewhere).doom(image.id)
    elsewhere.close()
    assert shelf.removals.look([image.id]) == {image.id}


async def test_a_removal_whose_process_died_is_ended_by_a_later_sweep(shelf: Shelf) -> None:
    image = await shelf.put_long_ago()
    with shelf.database.writing() as connection:
        long_ago = {"file_id": image.id, "doomed_at": time.time() - DAY_S}
        connection.execute(doomed_files.insert().values(long_ago))
    assert await shelf.sweep() == 0
    assert await shelf.put() == image
    shelf.submit(image.id)
    assert await shelf.is_there(image)


async def test_uploads_submits_and_sweeps_at_once_lose_nothing(shelf: Shelf) -> None:
    accepted = refused = removed = 0
    for number in range(30):
        data = f"picture {number}".encode()
        image = await shelf.put_long_ago(data)
        needed, wanted = await shelf.put_long_ago(data + b"needed"), bool(number % 2)

        async def upload(data: bytes = data) -> None:
            await asyncio.sleep(random.uniform(0, 0.02))
            await shelf.put(data)

        async def submit(file_id: str = needed.id) -> bool:
            await asyncio.sleep(random.uniform(0, 0.02))
            try:
                await asyncio.to_thread(shelf.submit, file_id)
            except NotFoundError:
                return False
            return True

        work = [shelf.sweep(), shelf.sweep(), submit(), *([upload()] if wanted else [])]
        gone, gone_too, ok, *_ = await asyncio.gather(*work)
        removed += gone + gone_too
        accepted, refused = accepted + bool(ok), refused + (not ok)
        assert await shelf.is_there(image) or not wanted
        assert await shelf.is_there(needed) is bool(ok)
    assert accepted + refused == 30
    assert removed > 0


async def test_pictures_in_s3_are_swept_alike(tmp_path: Path, s3_url: str) -> None:
    database = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    database.prepare()
    removals = FileRemovals(database)
    store = ImageStore.at(s3_url, removals=removals)
    free = await store.put(b"free", width=1, height=1, format="png")
    needed = await store.put(b"needed", width=1, height=1, format="png")
    new = NewJob(task="edit", model="m", request={}, files=(needed.id,))
    job_submission.submit(database, new, max_queued=10)
    await asyncio.sleep(1.1)  # S3 tells times in whole seconds
    assert await PictureSweep(store, removals, ttl_s=0).sweep() == 1
    assert await store.content(needed.id) == b"needed"
    with pytest.raises(NotFoundError):
        await store.info(free.id)
    assert await store.put(b"free", width=1, height=1, format="png") == free
    assert await store.content(free.id) == b"free"
    database.close()

"""A file goes when its owner says so, unless a job that has not ended needs it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import FileInUseError, NotFoundError, StoreUnavailableError
from gateway.inference_fake import FakeBackend
from gateway.jobs import job_store
from gateway.jobs.job import JobStatus
from gateway.jobs.job_tables import doomed_files
from gateway.keys.owner import current_owner
from gateway.storage.file_removals import FileRemovals
from gateway.storage.image_store import ImageStore, StoredImage
from tests.gateway.conftest import serve
from tests.gateway.picture_shelf import DAY_S, Shelf
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo

pytestmark = pytest.mark.timeout(120)


@contextmanager
def asked_by(owner: str) -> Iterator[None]:
    token = current_owner.set(owner)
    try:
        yield
    finally:
        current_owner.reset(token)


def nothing_is_left(shelf: Shelf) -> bool:
    return [path for path in shelf.folder.rglob("*") if path.is_file()] == []


async def test_a_file_of_a_job_at_work_is_refused_with_the_jobs_id(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.05)) as gateway:
        file_id = await gateway.upload(photo())
        job = await gateway.submit(
            task="edit", prompt="a cat", image=file_id, num_inference_steps=100
        )
        response = await gateway.client.delete(f"/v1/files/{file_id}")
        assert response.status_code == 409
        problem = assert_problem(response, further={"job_id"})
        assert (problem["code"], problem["job_id"]) == ("file_in_use", job["id"])
        assert job["id"] in problem["detail"]
        assert (await gateway.client.get(f"/v1/files/{file_id}/content")).content == photo()
        await gateway.client.post(job["urls"]["cancel"])
        assert (await gateway.client.delete(f"/v1/files/{file_id}")).status_code == 204
        assert (await gateway.client.get(f"/v1/files/{file_id}")).status_code == 404


@pytest.mark.parametrize("status", ["queued", "running"])
async def test_it_goes_when_the_job_has_ended(shelf: Shelf, status: str) -> None:
    image = await shelf.put()
    job = shelf.submit(image.id)
    if status == "running":
        shelf.begin(job)
    with pytest.raises(FileInUseError, match=job.id):
        await shelf.store.delete(image.id)
    assert await shelf.is_there(image)
    job_store.end(shelf.database, job.id, JobStatus.CANCELED)
    await shelf.store.delete(image.id)
    assert nothing_is_left(shelf)


async def test_a_job_that_comes_too_late_is_refused_until_the_file_is_sent_again(
    shelf: Shelf,
) -> None:
    image = await shelf.put()
    await shelf.store.delete(image.id)
    with pytest.raises(NotFoundError, match=f"File {image.id} has expired"):
        shelf.submit(image.id)
    assert await shelf.put() == image
    shelf.submit(image.id)
    assert await shelf.is_there(image)


async def test_another_owners_job_holds_nothing_up_and_keeps_the_file(shelf: Shelf) -> None:
    with asked_by("one"):
        image = await shelf.put()
        job = shelf.submit(image.id)
    with asked_by("two"):
        assert await shelf.put() == image
        await shelf.store.delete(image.id)
        with pytest.raises(NotFoundError):
            await shelf.store.content(image.id)
        with pytest.raises(NotFoundError, match=f"File {image.id} has expired"):
            shelf.submit(image.id)
    with asked_by("one"):
        assert await shelf.is_there(image)
        with pytest.raises(FileInUseError, match=job.id):
            await shelf.store.delete(image.id)
        job_store.end(shelf.database, job.id, JobStatus.CANCELED)
        await shelf.store.delete(image.id)
    assert nothing_is_left(shelf)


async def test_a_job_from_before_there_were_keys_keeps_the_bytes(shelf: Shelf) -> None:
    image = await shelf.put()
    job = shelf.submit(image.id)
    with asked_by("one"):
        await shelf.put()
        await shelf.store.delete(image.id)
        with pytest.raises(NotFoundError):
            await shelf.store.info(image.id)
    assert await shelf.is_there(image)
    job_store.end(shelf.database, job.id, JobStatus.CANCELED)
    job_store.delete(shelf.database, job.id)
    shelf.age(image.id)
    assert await shelf.sweep() == 1


async def test_two_deletions_at_once_end_and_one_of_them_finds_it(shelf: Shelf) -> None:
    image = await shelf.put()
    both = [shelf.store.delete(image.id) for _ in range(2)]
    found = await asyncio.gather(*both, return_exceptions=True)
    assert found.count(None) >= 1
    assert all(error is None or isinstance(error, NotFoundError) for error in found)
    assert nothing_is_left(shelf)


async def test_a_deletion_that_failed_can_be_tried_again(shelf: Shelf) -> None:
    class Broken(ImageStore):
        async def erase(self, image_id: str) -> None:
            raise StoreUnavailableError("The image store cannot be reached.")

    image = await shelf.put()
    broken = Broken.at(str(shelf.folder), removals=shelf.removals)
    with pytest.raises(StoreUnavailableError):
        await broken.delete(image.id)
    await shelf.store.delete(image.id)
    assert nothing_is_left(shelf)


async def test_a_deletion_waits_for_a_sweep_and_removes_what_that_has_spared(shelf: Shelf) -> None:
    image = await shelf.put()
    assert await shelf.removals.doom(image.id)
    deletion = asyncio.create_task(shelf.store.delete(image.id))
    await asyncio.sleep(0.2)
    assert not deletion.done()
    await shelf.removals.spare(image.id)
    await deletion
    assert nothing_is_left(shelf)


async def test_a_file_sent_again_while_it_is_deleted_once_more_is_whole(shelf: Shelf) -> None:
    """The second deletion begins after the upload looked at the first one."""

    class DeletedAgain(FileRemovals):
        async def note_back(self, done: dict[str, float]) -> bool:
            if not again:
                again.append(asyncio.create_task(shelf.store.delete(image.id)))
                await asyncio.sleep(0.2)
            return await super().note_back(done)

    again: list[asyncio.Task[None]] = []
    image = await shelf.put()
    await shelf.store.delete(image.id)
    store = ImageStore.at(str(shelf.folder), removals=DeletedAgain(shelf.database))
    assert await store.put(b"a picture", width=3, height=2, format="png") == image
    await again[0]
    assert await shelf.is_there(image)
    shelf.submit(image.id)


async def test_a_deletion_whose_process_died_is_ended_by_a_later_sweep(shelf: Shelf) -> None:
    with asked_by("one"):
        image = await shelf.put()
        with shelf.database.writing() as connection:
            mark = {"file_id": f"one/{image.id}", "doomed_at": time.time() - DAY_S}
            connection.execute(doomed_files.insert().values(mark))
    await shelf.sweep()
    with asked_by("one"):
        assert await shelf.put() == image
        shelf.submit(image.id)
        assert await shelf.is_there(image)


@pytest.mark.parametrize("owner", ["", "one"])
async def test_submits_and_deletions_at_once_leave_no_job_without_its_file(
    shelf: Shelf, owner: str
) -> None:
    async def submit(image: StoredImage) -> bool:
        await asyncio.sleep(random.uniform(0, 0.01))
        try:
            await shelf.store.info(image.id)
            await asyncio.to_thread(shelf.submit, image.id)
        except NotFoundError:
            return False
        return True

    async def delete(image: StoredImage) -> bool:
        await asyncio.sleep(random.uniform(0, 0.01))
        try:
            await shelf.store.delete(image.id)
        except FileInUseError:
            return False
        return True

    outcomes = set()
    with asked_by(owner):
        for number in range(40):
            image = await shelf.put(f"picture {number}".encode())
            accepted, deleted = await asyncio.gather(submit(image), delete(image))
            assert await shelf.is_there(image) is accepted
            assert accepted is not deleted
            outcomes.add(accepted)
    assert outcomes == {True, False}


async def test_uploads_and_deletions_at_once_leave_a_file_whole_or_gone(shelf: Shelf) -> None:
    for number in range(30):
        data = f"picture {number}".encode()
        image = await shelf.put(data)

        async def later(work: object) -> object:
            await asyncio.sleep(random.uniform(0, 0.01))
            return await work  # type: ignore[misc]

        work = (shelf.store.delete(image.id), shelf.put(data), shelf.store.delete(image.id))
        found = await asyncio.gather(*(later(part) for part in work), return_exceptions=True)
        failed = [part for part in found if isinstance(part, BaseException)]
        assert all(isinstance(error, NotFoundError) for error in failed), failed
        if await shelf.is_there(image):
            shelf.submit(image.id)
        else:
            with pytest.raises(NotFoundError):
                await shelf.store.info(image.id)

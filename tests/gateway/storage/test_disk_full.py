"""A disk that fills up: 507, and nothing that was accepted is lost. On a real, tiny one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.inference_fake import FakeBackend
from gateway.jobs.job_engine_dbos import DbosEngine
from tests.gateway.conftest import Gateway, serve, until
from tests.gateway.problems import assert_problem
from tests.odd_pictures import jpeg, photo

pytestmark = pytest.mark.timeout(120)
CAT = {"task": "generate", "prompt": "a cat", "num_inference_steps": 3}


class TinyDisk:
    """A file system of a few megabytes in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("ab", buffering=0) as filler:
            for size in (65_536, 4096, 1):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[TinyDisk]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"a file system of its own needs root: {mounted.stderr.strip()}")
    yield TinyDisk(tmp_path)
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


async def test_an_upload_without_room_is_refused_and_the_earlier_ones_stay(
    disk: TinyDisk,
) -> None:
    async with serve(disk.folder) as gateway:
        earlier = await gateway.upload(photo())
        disk.fill()
        refused = await gateway.client.post("/v1/files", files={"file": jpeg()})
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        assert_problem(refused)
        kept = await gateway.client.get(f"/v1/files/{earlier}/content")
        assert kept.content == photo()
        disk.free()
        again = await gateway.upload(jpeg())
        assert (await gateway.client.get(f"/v1/files/{again}/content")).content == jpeg()


@pytest.mark.parametrize("engine", ["memory", "dbos"])
async def test_jobs_accepted_before_the_disk_was_full_end_when_there_is_room(
    disk: TinyDisk, engine: str
) -> None:
    durable = None
    if engine == "dbos":
        url = f"sqlite:///{disk.folder}/jobs.db"
        models = ["qwen_image", "qwen_image_edit"]
        durable = DbosEngine(url, worker_id="w", models=models, jobs_per_model=1)
    async with serve(
        disk.folder, FakeBackend(step_s=0.3), engine=durable, jobs_per_model=1, worker_id="w"
    ) as gateway:
        accepted = [await gateway.submit(**CAT, seed=seed) for seed in range(3)]
        await until(lambda: _is_running(gateway, accepted), timeout_s=20)
        disk.fill()
        refused = await gateway.client.post("/v1/jobs", json=CAT)
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        await asyncio.sleep(2)  # the first one is painted, and waits
        for job in accepted:
            now = (await gateway.client.get(job["urls"]["self"])).json()
            assert now["status"] in ("queued", "running")
        disk.free()
        for job in accepted:
            address = job["urls"]["self"]
            ended = (await gateway.client.get(address, params={"wait": 60})).json()
            assert ended["status"] == "succeeded", ended["error"]
            assert (await gateway.result(job)).startswith(b"\x89PNG")
        assert (await gateway.finish(**CAT))["status"] == "succeeded"


async def _is_running(gateway: Gateway, jobs: list[dict]) -> bool:
    now = [(await gateway.client.get(job["urls"]["self"])).json() for job in jobs]
    return any(job["step"] > 0 for job in now)

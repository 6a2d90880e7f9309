"""States of jobs midway: kept, found again, gone with the picture; losing one costs time alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import StoreUnavailableError
from gateway.inference import SavedState
from gateway.inference_fake import FakeBackend
from gateway.painting.saved_states import SavedStates
from gateway.storage.object_store import ObjectStore
from tests.gateway.conftest import serve, until
from tests.gateway.frames import parse

STATE = SavedState(6, np.arange(8, dtype=np.float32).reshape(4, 2), "a checkpoint")
CAT = {"task": "generate", "prompt": "a cat", "num_inference_steps": 40, "n": 2}


@pytest.fixture
def states(tmp_path: Path) -> SavedStates:
    return SavedStates(ObjectStore.at(str(tmp_path)), every=2)


async def test_the_latest_state_of_each_picture_comes_back(states: SavedStates) -> None:
    await states.keep("job_1", 0, SavedState(2, STATE.latents + 1, "a checkpoint"))
    await states.keep("job_1", 0, STATE)
    found = await states.latest("job_1", 0)
    assert found is not None
    assert (found.step, found.of) == (6, "a checkpoint")
    assert found.latents.dtype == np.float32
    assert (found.latents == STATE.latents).all()
    assert await states.latest("job_1", 1) is None
    await states.forget("job_1", 2)
    assert await states.latest("job_1", 0) is None


async def test_a_damaged_state_is_left_aside(states: SavedStates, tmp_path: Path) -> None:
    await states.keep("job_1", 0, STATE)
    path = tmp_path / "states" / "job_1" / "0"
    for damaged in (b"", b"nonsense", path.read_bytes()[:-30]):
        path.write_bytes(damaged)
        assert await states.latest("job_1", 0) is None


async def test_states_of_long_ago_go(states: SavedStates, tmp_path: Path) -> None:
    await states.keep("job_1", 0, STATE)
    os.utime(tmp_path / "states" / "job_1" / "0", (time.time() - 2 * 86_400,) * 2)
    again = SavedStates(ObjectStore.at(str(tmp_path)), every=2)
    await again.keep("job_2", 0, STATE)
    assert await again.latest("job_1", 0) is None
    assert await again.latest("job_2", 0) is not None


async def test_a_store_that_is_away_fails_nothing(tmp_path: Path) -> None:
    class Away(ObjectStore):
        async def write(self, key: str, data: bytes, *, media_type: str) -> None:
            raise StoreUnavailableError("The image store cannot be reached.")

        async def read(self, key: str) -> bytes | None:
            raise StoreUnavailableError("The image store cannot be reached.")

        async def delete(self, key: str) -> None:
            raise StoreUnavailableError("The image store cannot be reached.")

    states = SavedStates(Away.at(str(tmp_path)), every=2)
    await states.keep("job_1", 0, STATE)
    assert await states.latest("job_1", 0) is None
    await states.forget("job_1", 1)


async def test_a_job_handed_back_at_a_stop_goes_on_from_its_states(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.02), save_latents_every=4) as gateway:
        job = await gateway.submit(**CAT)

        async def is_midway() -> bool:
            return (await gateway.client.get(job["urls"]["self"])).json()["step"] >= 10

        await until(is_midway, timeout_s=20)
    async with serve(tmp_path, FakeBackend(), save_latents_every=4) as gateway:
        ended = (await gateway.client.get(job["urls"]["self"], params={"wait": 20})).json()
        assert ended["status"] == "succeeded"
        assert all(painted.saved is not None for painted in gateway.backend.painted)
        done = min(painted.saved.step for painted in gateway.backend.painted if painted.saved)
        assert done >= 8
        frames = parse(await gateway.events(job))
        again = [frame.name for frame in frames].index("started", 2)
        steps = [frame.data["step"] for frame in frames[again:] if frame.name == "progress"]
        assert steps[0] == done + 1
        assert steps[-1] == 40
        assert [frame.id for frame in frames] == list(range(1, len(frames) + 1))
    assert [path for path in (tmp_path / "images" / "states").rglob("*") if path.is_file()] == []


async def test_without_the_setting_nothing_is_kept(tmp_path: Path) -> None:
    async with serve(tmp_path) as gateway:
        assert (await gateway.finish(**CAT))["status"] == "succeeded"
        assert all(painted.save_every == 0 for painted in gateway.backend.painted)
    assert not (tmp_path / "images" / "states").exists()

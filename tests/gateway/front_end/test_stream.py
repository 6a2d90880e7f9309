"""The bytes and the order of a task's stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.errors import InferenceError
from gateway.inference_fake import FakeBackend
from gateway.routes import frontend
from tests.gateway.conftest import Gateway, serve
from tests.gateway.front_end.conftest import frames, submit


async def test_frames_tell_the_whole_story(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.02), jobs_per_model=1) as gateway:
        first = await submit(gateway.client)
        second = await submit(gateway.client)
        story = frames((await gateway.client.get(f"/api/generate/stream/{second}")).text)
        late = frames((await gateway.client.get(f"/api/generate/stream/{first}")).text)
    states = [frame["status"] for frame in story]
    assert [state for i, state in enumerate(states) if state != states[i - 1]] == [
        "queued",
        "loading_pipeline",
        "processing",
        "done",
    ]
    steps = [frame["current_step"] for frame in story if frame["status"] == "processing"]
    assert steps == [1, 2, 3, 4]
    progress = [frame["progress"] for frame in story if frame["status"] == "processing"]
    assert progress == sorted(progress)
    assert 0.3 < progress[0] < progress[-1] == 0.95
    assert story[1]["loading_message"]
    assert [frame["status"] for frame in late] == ["done"]


async def test_a_quiet_stream_repeats_its_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontend, "REPEAT_S", 0.02)
    async with serve(tmp_path, FakeBackend(step_s=0.1)) as gateway:
        task = await submit(gateway.client)
        story = frames((await gateway.client.get(f"/api/generate/stream/{task}")).text)
    assert len(story) > 10
    assert [frame["status"] for frame in story].count("done") == 1


async def test_a_failure_is_the_last_frame(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceError("Model qwen_image_edit failed.")
    task = await submit(gateway.client)
    last = frames((await gateway.client.get(f"/api/generate/stream/{task}")).text)[-1]
    assert (last["status"], last["error"]) == ("error", "Model qwen_image_edit failed.")


async def test_a_restart_in_mid_task_ends_in_a_last_frame(tmp_path: Path) -> None:
    """The task goes on or has failed; the stream of a client that comes back ends either way."""
    async with serve(tmp_path, FakeBackend(step_s=0.3)) as gateway:
        task = await submit(gateway.client)
    async with serve(tmp_path) as gateway:
        async with asyncio.timeout(20):
            text = (await gateway.client.get(f"/api/generate/stream/{task}")).text
    assert frames(text)[-1]["status"] in ("done", "error", "cancelled")


async def test_a_task_that_is_gone_ends_in_a_last_frame(gateway: Gateway) -> None:
    """So it is for a client that comes back after its task was forgotten."""
    response = await gateway.client.get("/api/generate/stream/job_gone")
    assert response.status_code == 200
    (only,) = frames(response.text)
    assert only["status"] == "error"
    assert "not found" in only["error"]

"""The stream of a job's events, whole and in pieces."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gateway.errors import InferenceError
from gateway.inference_fake import FakeBackend
from gateway.routes import jobs as routes
from tests.gateway.conftest import Gateway, serve, serve_on_a_port, until
from tests.gateway.frames import Frame, parse

CAT = {"task": "generate", "prompt": "a cat", "num_inference_steps": 4}


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


async def test_the_stream_tells_everything_and_closes(gateway: Gateway) -> None:
    job = await gateway.submit(**CAT)
    response = await gateway.client.get(job["urls"]["events"])
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    frames = parse(response.text)
    assert [frame.id for frame in frames] == list(range(1, len(frames) + 1))
    assert names(frames) == [
        "queued",
        "started",
        "progress",
        "progress",
        "preview",
        "progress",
        "progress",
        "preview",
        "succeeded",
    ]


async def test_progress_rises_to_the_end(gateway: Gateway) -> None:
    job = await gateway.submit(**CAT, n=2)
    frames = parse(await gateway.events(job))
    steps = [frame.data for frame in frames if frame.name == "progress"]
    assert [(step["step"], step["total_steps"]) for step in steps] == [(i, 4) for i in range(1, 5)]
    progress = [step["progress"] for step in steps]
    assert progress == sorted(progress)
    assert progress[-1] < 1


async def test_a_preview_is_a_small_jpeg(gateway: Gateway) -> None:
    job = await gateway.submit(**CAT)
    preview = next(f for f in parse(await gateway.events(job)) if f.name == "preview")
    assert preview.data["b64_json"].startswith("/9j/")
    assert (preview.data["step"], preview.data["width"], preview.data["height"]) == (2, 8, 8)


async def test_a_late_stream_tells_the_same(gateway: Gateway) -> None:
    job = await gateway.submit(**CAT)
    assert await gateway.events(job) == await gateway.events(job)


@pytest.mark.parametrize("seen", [0, 1, 5, 9, 1000])
async def test_a_stream_goes_on_behind_the_last_event_id(gateway: Gateway, seen: int) -> None:
    job = await gateway.finish(**CAT)
    frames = parse(await gateway.events(job, **{"Last-Event-ID": str(seen)}))
    assert [frame.id for frame in frames] == list(range(seen + 1, 10))


async def test_the_stream_of_a_failed_job_ends_with_its_error(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceError("Model qwen_image failed.")
    job = await gateway.submit(**CAT)
    last = parse(await gateway.events(job))[-1]
    assert last.name == "failed"
    assert last.data == {"code": "backend_error", "message": "Model qwen_image failed."}


async def test_a_quiet_stream_has_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.02)
    async with serve(tmp_path, FakeBackend(step_s=0.07)) as gateway:
        job = await gateway.submit(**CAT)
        text = await gateway.events(job)
    assert ": still here\n\n" in text
    assert [frame.id for frame in parse(text)] == list(range(1, 10))


async def first_frames(client: httpx.AsyncClient, url: str, count: int, after: int = 0) -> str:
    """Read so many frames and hang up; all frames when there are fewer."""
    text = ""
    headers = {"Last-Event-ID": str(after)}
    async with client.stream("GET", url, headers=headers) as response:
        async for piece in response.aiter_text():
            text += piece
            if len(parse(text)) >= count:
                break
    return text


async def test_a_client_that_hangs_up_and_comes_back_misses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    async with (
        serve(tmp_path, FakeBackend(step_s=0.03)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        job = (await client.post("/v1/jobs", json=CAT)).json()
        seen: list[Frame] = []
        while not (seen and seen[-1].name == "succeeded"):
            after = seen[-1].id if seen else 0
            seen += parse(await first_frames(client, job["urls"]["events"], 2, after))
    assert [frame.id for frame in seen] == list(range(1, 10))


async def test_frames_arrive_while_the_job_runs(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, FakeBackend(step_s=5)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        job = (await client.post("/v1/jobs", json=CAT)).json()
        text = await first_frames(client, job["urls"]["events"], 2)
        assert names(parse(text)) == ["queued", "started"]


async def test_hanging_up_does_not_cancel_the_job(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, FakeBackend(step_s=0.05)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        job = (await client.post("/v1/jobs", json=CAT)).json()
        await first_frames(client, job["urls"]["events"], 1)
        ended = (await client.get(job["urls"]["self"], params={"wait": 20})).json()
        assert ended["status"] == "succeeded"


async def test_a_cancel_ends_the_stream(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, FakeBackend(step_s=5)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        job = (await client.post("/v1/jobs", json=CAT)).json()
        await until(lambda: _is_painting(gateway))
        text = ""
        async with client.stream("GET", job["urls"]["events"]) as response:
            async for piece in response.aiter_text():
                text += piece
                if names(parse(text))[-1] == "started":
                    await client.post(job["urls"]["cancel"])
        assert names(parse(text)) == ["queued", "started", "canceled"]


async def _is_painting(gateway: Gateway) -> bool:
    return gateway.backend.painting > 0

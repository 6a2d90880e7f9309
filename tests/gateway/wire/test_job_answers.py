"""What is kept of a job's text is what the whole text would say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.http.dependencies import Services
from gateway.inference_fake import FakeBackend
from gateway.wire.job_view import view_at
from preprocessing.codec import encode_mask_png, encode_png
from tests.gateway.conftest import Gateway, serve
from tests.gateway.edits import MASK, PHOTO

JOB = {"task": "generate", "prompt": 'a ,"queue_position":7,"created_at":8 lighthouse'}
NAMES = {"queue_position": "a", "created_at": "b"}


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with serve(tmp_path, FakeBackend(step_s=0.01), jobs_per_model=1) as gateway:
        yield gateway


async def both(gateway: Gateway, job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer to one who polls, and the whole view, made one after the other."""
    services: Services = gateway.app.state.services
    seen = await services.jobs.glance(job["id"])
    answer = await services.answers.of(seen)
    view = await view_at(seen.job, seen.queue_position, services.jobs, services.pictures)
    assert dict(answer.headers)[b"content-length"] == b"%d" % len(answer.body)
    return json.loads(answer.body), view.model_dump(mode="json")


def without_forecast(view: dict[str, Any]) -> dict[str, Any]:
    """It is another one a moment later."""
    return {name: value for name, value in view.items() if not name.startswith("eta_")}


async def test_the_answer_is_the_view_from_the_line_to_the_end(slow: Gateway) -> None:
    jobs = [await slow.submit(**JOB, metadata=NAMES, num_inference_steps=10) for _ in range(4)]
    seen = set()
    while not (seen and seen <= {"succeeded"}):
        seen = set()
        for job in jobs:
            answer, view = await both(slow, job)
            assert list(answer) == list(view)
            assert without_forecast(answer) == without_forecast(view)
            seen.add(answer["status"])
    assert [(await both(slow, job))[0]["queue_position"] for job in jobs] == [None] * 4


async def test_a_place_in_line_moves_while_the_job_stays_as_it_is(slow: Gateway) -> None:
    jobs = [await slow.submit(**JOB, num_inference_steps=100) for _ in range(3)]
    last = jobs[-1]
    assert (await both(slow, last))[0]["queue_position"] == 1
    await slow.client.post(jobs[1]["urls"]["cancel"])
    assert (await both(slow, last))[0]["queue_position"] == 0


async def test_what_is_foretold_goes_on_while_the_job_stays_as_it_is(slow: Gateway) -> None:
    for _ in range(4):
        await slow.finish(**JOB, num_inference_steps=40)
    jobs = [await slow.submit(**JOB, num_inference_steps=40) for _ in range(4)]
    told = []
    while len(set(told)) < 3:
        answer, view = await both(slow, jobs[3])
        if None in (answer["eta_s"], view["eta_s"]):  # a new job is not foretold at once
            await asyncio.sleep(0.02)
            continue
        assert answer["eta_s"] == pytest.approx(view["eta_s"], abs=5)
        assert answer["eta_p90_s"] >= answer["eta_s"]
        told.append(answer["eta_s"])


async def test_a_mask_that_was_deleted_is_not_told_of_from_memory(slow: Gateway) -> None:
    image, mask = [await slow.upload(data) for data in (encode_png(PHOTO), encode_mask_png(MASK))]
    job = await slow.finish(task="inpaint", prompt="a hat", image=image, mask=mask)
    before, _ = await both(slow, job)
    assert before["mask"]["bbox"] is not None
    await slow.client.delete(f"/v1/files/{mask}")
    after, view = await both(slow, job)
    assert after == view
    assert after["mask"]["bbox"] is None

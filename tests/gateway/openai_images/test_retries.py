"""Clients that lose patience: one execution, however often the SDK sends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import openai
import pytest

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import until
from tests.gateway.openai_images.conftest import Sdk, file, sdk_for
from tests.odd_pictures import photo


async def test_a_client_timeout_of_one_second_leads_to_one_execution(tmp_path: Path) -> None:
    async with sdk_for(tmp_path, FakeBackend(step_s=1.1)) as sdk:
        impatient = sdk.client.with_options(timeout=1.0, max_retries=4)
        answer = await impatient.images.generate(prompt="a cat")
        assert answer.data is not None
        assert len(sdk.gateway.backend.painted) == 1
        jobs = (await sdk.http.get("/v1/jobs")).json()["data"]
    assert [job["status"] for job in jobs] == ["succeeded"]


async def test_so_it_is_with_forms_whose_boundary_changes(tmp_path: Path) -> None:
    async with sdk_for(tmp_path, FakeBackend(step_s=0.5)) as sdk:
        impatient = sdk.client.with_options(timeout=1.0, max_retries=4)
        await impatient.images.edit(image=file(photo()), prompt="x")
        assert len(sdk.gateway.backend.painted) == 1


async def test_two_requests_that_are_no_retries_are_two_jobs(sdk: Sdk) -> None:
    await asyncio.gather(*(sdk.client.images.generate(prompt="a cat") for _ in range(2)))
    assert len(sdk.gateway.backend.painted) == 2


async def test_an_idempotency_key_makes_one_job(sdk: Sdk) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first, second = [
        await sdk.client.images.with_raw_response.generate(prompt="a cat", extra_headers=headers)
        for _ in range(2)
    ]
    assert len(sdk.gateway.backend.painted) == 1
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert first.parse().data == second.parse().data
    error = await sdk.refused("generate", prompt="a dog", extra_headers=headers)
    assert (error.status_code, error.code) == (422, "idempotency_mismatch")


async def test_a_client_that_gives_up_cancels_its_job(tmp_path: Path) -> None:
    async with sdk_for(tmp_path, FakeBackend(step_s=5), retry_grace_s=0.2) as sdk:
        with pytest.raises(openai.APITimeoutError):
            await sdk.client.with_options(timeout=0.5).images.generate(prompt="a cat")

        async def canceled() -> bool:
            jobs = (await sdk.http.get("/v1/jobs")).json()["data"]
            return [job["status"] for job in jobs] == ["canceled"]

        await until(canceled)
        await until(lambda: _nothing_painted(sdk))  # the worker hears of it behind the database


async def test_a_client_that_hangs_up_on_a_stream_cancels_its_job(tmp_path: Path) -> None:
    async with sdk_for(tmp_path, FakeBackend(step_s=0.3), retry_grace_s=0.1) as sdk:
        stream = await sdk.client.images.generate(
            prompt="a cat", stream=True, partial_images=3, extra_body={"num_inference_steps": 40}
        )
        await anext(aiter(stream))
        await stream.close()
        await until(lambda: _nothing_painted(sdk))


async def test_a_job_somebody_follows_by_its_id_runs_on(tmp_path: Path) -> None:
    async with sdk_for(tmp_path, FakeBackend(step_s=0.1), retry_grace_s=0.05) as sdk:
        answer = await sdk.http.post(
            "/v1/images/generations",
            json={"prompt": "a cat"},
            headers={"Prefer": "respond-async"},
        )
        job = (await sdk.http.get(answer.headers["location"], params={"wait": 20})).json()
    assert job["status"] == "succeeded"


async def _nothing_painted(sdk: Sdk) -> bool:
    return sdk.gateway.backend.painting == 0

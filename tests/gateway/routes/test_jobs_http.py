"""`/v1/jobs`: submit, wait, fetch, cancel, list."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import InferenceError
from gateway.inference_fake import FakeBackend
from preprocessing.codec import decode_image
from tests.gateway.conftest import Gateway, serve, until
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo

CAT = {"task": "generate", "prompt": "a cat"}


async def test_a_job_is_accepted_with_its_defaults_and_its_urls(gateway: Gateway) -> None:
    response = await gateway.client.post("/v1/jobs", json=CAT)
    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == job["urls"]["self"] == f"/v1/jobs/{job['id']}"
    assert job["status"] in ("queued", "running")
    assert job["model"] == "qwen_image"
    parameters = job["parameters"]
    assert (parameters["width"], parameters["height"]) == (64, 64)
    assert parameters["num_inference_steps"] == 4
    assert 0 <= parameters["seed"] < 2**31


async def test_a_generated_picture_is_a_file_of_the_size_asked_for(gateway: Gateway) -> None:
    job = await gateway.finish(**CAT, seed=7, size="96x64", num_inference_steps=2)
    assert (job["status"], job["progress"], job["step"], job["total_steps"]) == (
        "succeeded",
        1.0,
        2,
        2,
    )
    (output,) = job["output"]
    response = await gateway.client.get(job["urls"]["result"])
    assert response.headers["content-type"] == "image/png"
    assert response.headers["etag"] == f'"{output["sha256"]}"'
    assert (decode_image(response.content).pixels == 7).all()
    assert (output["width"], output["height"], output["seed"]) == (96, 64, 7)
    assert (await gateway.client.get(output["url"])).content == response.content


async def test_prefer_wait_answers_when_the_job_ends(gateway: Gateway) -> None:
    headers = {"Prefer": "respond-async, wait=20"}
    response = await gateway.client.post("/v1/jobs", json=CAT, headers=headers)
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.json()["status"] == "succeeded"


async def test_prefer_wait_gives_up_and_leaves_the_job_at_work(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=5)) as gateway:
        response = await gateway.client.post("/v1/jobs", json=CAT, headers={"Prefer": "wait=1"})
        assert response.status_code == 202
        assert response.json()["status"] == "running"


async def test_a_get_may_wait_too(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.02)) as gateway:
        job = await gateway.submit(**CAT)
        early = (await gateway.client.get(job["urls"]["self"], params={"wait": 0.01})).json()
        late = (await gateway.client.get(job["urls"]["self"], params={"wait": 20})).json()
        assert early["status"] in ("queued", "running")
        assert late["status"] == "succeeded"


@pytest.mark.parametrize("wait", ["-1", "121", "nan", "x"])
async def test_a_wait_out_of_range_is_refused(gateway: Gateway, wait: str) -> None:
    job = await gateway.submit(**CAT)
    response = await gateway.client.get(job["urls"]["self"], params={"wait": wait})
    assert response.status_code == 422
    assert assert_problem(response)["errors"][0]["pointer"] == "/wait"


async def test_accepting_a_picture_waits_for_it(gateway: Gateway) -> None:
    headers = {"Accept": "image/png"}
    response = await gateway.client.post("/v1/jobs", json={**CAT, "seed": 7}, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert (decode_image(response.content).pixels == 7).all()
    job = (await gateway.client.get(response.headers["location"])).json()
    assert await gateway.result(job) == response.content


async def test_accepting_a_picture_gets_a_problem_when_there_is_none(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceError("Model qwen_image failed.")
    headers = {"Accept": "image/png"}
    response = await gateway.client.post("/v1/jobs", json=CAT, headers=headers)
    assert response.status_code == 502
    assert assert_problem(response)["detail"] == "Model qwen_image failed."


async def test_three_pictures_have_three_seeds(gateway: Gateway) -> None:
    job = await gateway.finish(**CAT, seed=7, n=3)
    assert [output["seed"] for output in job["output"]] == [7, 8, 9]
    assert len({output["sha256"] for output in job["output"]}) == 3


async def test_a_form_means_the_same_as_json(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/jobs",
        files={"image": photo()},
        data={"task": "edit", "prompt": "[a] {cat}", "seed": "7", "size": "64x64"},
    )
    assert response.status_code == 202, response.text
    parameters = response.json()["parameters"]
    assert (parameters["prompt"], parameters["seed"]) == ("[a] {cat}", 7)
    assert parameters["image"] == await gateway.upload(photo())


async def test_references_of_a_form_may_come_one_by_one(gateway: Gateway) -> None:
    parts = [("image", photo()), ("reference[]", photo()), ("reference[]", photo())]
    response = await gateway.client.post(
        "/v1/jobs", files=parts, data={"task": "edit", "prompt": "a cat"}
    )
    assert response.status_code == 202, response.text
    assert len(response.json()["parameters"]["references"]) == 2


async def test_the_error_of_the_model_server_is_the_jobs(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceError("Model qwen_image failed: out of memory.")
    job = await gateway.finish(**CAT)
    assert job["status"] == "failed"
    assert job["error"] == {
        "code": "backend_error",
        "message": "Model qwen_image failed: out of memory.",
    }
    response = await gateway.client.get(job["urls"]["result"])
    assert response.status_code == 502
    assert assert_problem(response)["detail"] == job["error"]["message"]


async def test_an_unfinished_job_has_no_result(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=5)) as gateway:
        job = await gateway.submit(**CAT)
        await until(lambda: _has_status(gateway, job, "running"))
        response = await gateway.client.get(job["urls"]["result"])
        assert response.status_code == 409
        assert assert_problem(response)["code"] == "job_running"


async def _has_status(gateway: Gateway, job: dict[str, Any], status: str) -> bool:
    return (await gateway.client.get(job["urls"]["self"])).json()["status"] == status


async def test_a_canceled_job_stops_the_work_and_has_no_result(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=5)) as gateway:
        job = await gateway.submit(**CAT, n=2)
        await until(lambda: _is_painting(gateway, 2))
        canceled = (await gateway.client.post(job["urls"]["cancel"])).json()
        assert canceled["status"] == "canceled"
        await until(lambda: _is_painting(gateway, 0))
        response = await gateway.client.get(job["urls"]["result"])
        assert (response.status_code, response.json()["code"]) == (409, "job_canceled")


async def _is_painting(gateway: Gateway, pictures: int) -> bool:
    return gateway.backend.painting == pictures


async def test_canceling_an_ended_job_changes_nothing(gateway: Gateway) -> None:
    job = await gateway.finish(**CAT)
    for _ in range(2):
        response = await gateway.client.post(job["urls"]["cancel"])
        assert (response.status_code, response.json()) == (200, job)


async def test_the_list_is_newest_first_and_paged(gateway: Gateway) -> None:
    ids = [(await gateway.finish(**CAT, seed=seed))["id"] for seed in range(3)]
    first = (await gateway.client.get("/v1/jobs", params={"limit": 2})).json()
    assert [job["id"] for job in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"]
    rest = (await gateway.client.get("/v1/jobs", params={"limit": 2, "after": ids[1]})).json()
    assert [job["id"] for job in rest["data"]] == [ids[0]]
    assert not rest["has_more"]
    failed = (await gateway.client.get("/v1/jobs", params={"status": "failed"})).json()
    assert failed["data"] == []


async def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    slow = FakeBackend(step_s=5)
    async with serve(tmp_path, slow, jobs_per_model=1, max_queued_jobs=1) as gateway:
        first = await gateway.submit(**CAT)
        await until(lambda: _has_status(gateway, first, "running"))
        second = await gateway.submit(**CAT)
        assert second["queue_position"] == 0
        response = await gateway.client.post("/v1/jobs", json=CAT)
        assert response.status_code == 429
        assert assert_problem(response)["code"] == "queue_full"
        assert response.headers["retry-after"].isdecimal()


async def test_a_job_for_a_model_that_is_not_ready_is_refused(gateway: Gateway) -> None:
    gateway.backend.loaded.discard("qwen_image")
    await asyncio.sleep(0.15)
    response = await gateway.client.post("/v1/jobs", json=CAT)
    assert response.status_code == 503
    assert assert_problem(response)["code"] == "model_loading"
    assert "retry-after" in response.headers


async def test_jobs_of_two_at_once_do_not_mix(gateway: Gateway) -> None:
    jobs = await asyncio.gather(*(gateway.finish(**CAT, seed=seed) for seed in range(20)))
    for seed, job in enumerate(jobs):
        assert (decode_image(await gateway.result(job)).pixels == seed).all()


async def test_shutting_down_cancels_what_runs(tmp_path: Path) -> None:
    backend = FakeBackend(step_s=5)
    async with serve(tmp_path, backend) as gateway:
        await gateway.submit(**CAT)
        await until(lambda: _is_painting(gateway, 1))
    assert backend.painting == 0


async def test_the_metadata_is_the_owners(gateway: Gateway) -> None:
    job = await gateway.submit(**CAT, metadata={"order": "1"})
    assert job["metadata"] == {"order": "1"}
    assert np.isfinite(job["created_at"])

"""Try again, forget, and what is left of a job whose time is over."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import OverloadedError
from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve, until
from tests.gateway.problems import assert_problem

CAT = {"task": "generate", "prompt": "a cat", "num_inference_steps": 1}


async def test_a_failed_job_is_tried_again_as_a_new_one_and_only_once(gateway: Gateway) -> None:
    gateway.backend.failure = OverloadedError("Model qwen_image is busy.")
    failed = await gateway.finish(**CAT, seed=3)
    gateway.backend.failure = None
    answers = [await gateway.client.post(failed["urls"]["retry"]) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {202}
    first, second = (answer.json() for answer in answers)
    assert first["id"] == second["id"] != failed["id"]
    ended = (await gateway.client.get(first["urls"]["self"], params={"wait": 10})).json()
    assert (ended["status"], ended["output"][0]["seed"]) == ("succeeded", 3)
    assert (await gateway.client.get(failed["urls"]["self"])).json()["status"] == "failed"


async def test_a_job_that_succeeded_is_not_tried_again(gateway: Gateway) -> None:
    job = await gateway.finish(**CAT)
    answer = await gateway.client.post(job["urls"]["retry"])
    assert answer.status_code == 409
    assert_problem(answer)


async def test_a_deleted_job_is_unknown_and_its_work_stops(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=5)) as gateway:
        job = await gateway.submit(**CAT)
        await until(lambda: _paints(gateway, 1))
        assert (await gateway.client.delete(job["urls"]["self"])).status_code == 204
        await until(lambda: _paints(gateway, 0))
        for url in (job["urls"]["self"], job["urls"]["events"]):
            assert (await gateway.client.get(url)).status_code == 404
        assert (await gateway.client.delete(job["urls"]["self"])).status_code == 404


async def _paints(gateway: Gateway, pictures: int) -> bool:
    return gateway.backend.painting == pictures


async def test_an_expired_job_is_gone_but_known(tmp_path: Path) -> None:
    async with serve(tmp_path, job_ttl_s=0.05, retention_interval_s=0.05) as gateway:
        job = await gateway.finish(**CAT)
        assert job["expires_at"] > job["completed_at"]
        await until(lambda: _is_expired(gateway, job["urls"]["self"]))
        for method, url in [
            ("GET", job["urls"]["result"]),
            ("GET", job["urls"]["events"]),
            ("POST", job["urls"]["cancel"]),
            ("POST", job["urls"]["retry"]),
        ]:
            answer = await gateway.client.request(method, url)
            assert answer.status_code == 410, url
            assert assert_problem(answer)["code"] == "expired"


async def _is_expired(gateway: Gateway, url: str) -> bool:
    return (await gateway.client.get(url)).json()["status"] == "expired"

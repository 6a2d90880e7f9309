"""`Idempotency-Key`: one job per key, whatever happens at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve
from tests.gateway.problems import assert_problem

CAT = {"task": "generate", "prompt": "a cat", "num_inference_steps": 1}
KEY = {"Idempotency-Key": "order 7"}


async def test_a_hundred_at_once_make_one_job(gateway: Gateway) -> None:
    answers = await asyncio.gather(
        *(gateway.client.post("/v1/jobs", json=CAT, headers=KEY) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None, *["true"] * 99]
    assert len((await gateway.client.get("/v1/jobs")).json()["data"]) == 1


async def test_the_same_key_with_another_body_is_refused(gateway: Gateway) -> None:
    await gateway.client.post("/v1/jobs", json=CAT, headers=KEY)
    answer = await gateway.client.post("/v1/jobs", json={**CAT, "seed": 1}, headers=KEY)
    assert answer.status_code == 422
    assert assert_problem(answer)["code"] == "idempotency_mismatch"


async def test_a_replay_is_the_job_as_it_is_now_and_survives_a_restart(tmp_path: Path) -> None:
    async with serve(tmp_path) as gateway:
        first = (await gateway.client.post("/v1/jobs", json=CAT, headers=KEY)).json()
        await gateway.client.get(first["urls"]["self"], params={"wait": 10})
    async with serve(tmp_path, FakeBackend()) as gateway:
        again = await gateway.client.post("/v1/jobs", json=CAT, headers=KEY)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (again.json()["id"], again.json()["status"]) == (first["id"], "succeeded")


async def test_without_a_key_every_request_is_a_job(gateway: Gateway) -> None:
    ids = {(await gateway.submit(**CAT))["id"] for _ in range(3)}
    assert len(ids) == 3

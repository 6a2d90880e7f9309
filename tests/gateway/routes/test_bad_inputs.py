"""The table of bad inputs against the gateway; every problem has all its fields."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.bad_inputs import BAD_INPUTS, BadInput
from tests.gateway.conftest import Gateway, serve
from tests.gateway.problems import assert_problem


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One for all: a bad input must not harm the next request."""
    async with serve(tmp_path_factory.mktemp("data")) as served:
        yield served


def test_the_table_is_long_and_its_names_differ() -> None:
    assert len(BAD_INPUTS) >= 30
    assert len({case.name for case in BAD_INPUTS}) == len(BAD_INPUTS)


async def send(gateway: Gateway, case: BadInput) -> httpx.Response:
    ids = {name: await gateway.upload(make()) for name, make in case.uploads.items()}
    return await gateway.client.request(**case.request(ids))


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.name)
async def test_a_bad_input_gets_its_answer(gateway: Gateway, case: BadInput) -> None:
    response = await send(gateway, case)
    assert response.status_code == case.status, response.text
    if not case.code:
        assert case.says in response.text
        return
    problem = assert_problem(response)
    assert problem["code"] == case.code
    assert case.says in problem["detail"]


async def test_nothing_of_it_left_the_gateway_unready(gateway: Gateway) -> None:
    assert (await gateway.client.get("/health/ready")).status_code == 200
    jobs = (await gateway.client.get("/v1/jobs", params={"status": "failed"})).json()
    assert jobs["data"] == []


async def test_a_last_event_id_that_is_no_number_is_refused(gateway: Gateway) -> None:
    job = await gateway.finish(task="generate", prompt="a cat")
    for bad in ("x", "-1", "1.5", "", "9" * 5000):
        response = await gateway.client.get(job["urls"]["events"], headers={"Last-Event-ID": bad})
        assert response.status_code == 400, bad[:9]
        assert "Last-Event-ID must be" in assert_problem(response)["detail"]

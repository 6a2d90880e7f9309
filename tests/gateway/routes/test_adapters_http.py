"""LoRA adapters of a job: checked when it is submitted, handed to the model as they came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo

CAT = {"task": "generate", "prompt": "a cat"}
KNOWN = ("lightning", "removal")


@pytest.fixture
async def adapted(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with serve(tmp_path, FakeBackend(adapters=KNOWN)) as served:
        yield served


async def test_a_job_takes_its_adapters_along(adapted: Gateway) -> None:
    wanted = {"removal": 1.0, "lightning": 0.5}
    job = await adapted.finish(**CAT, adapters=wanted, n=2)
    assert job["status"] == "succeeded"
    assert job["parameters"]["adapters"] == wanted
    assert [request.adapters for request in adapted.backend.painted] == [wanted, wanted]


async def test_a_job_without_adapters_has_the_base_model(adapted: Gateway) -> None:
    job = await adapted.finish(**CAT)
    assert job["parameters"]["adapters"] == {}
    assert adapted.backend.painted[0].adapters == {}


async def test_a_form_names_adapters_too(adapted: Gateway) -> None:
    fields = {"task": "edit", "prompt": "remove it", "adapters": '{"removal": 1}'}
    response = await adapted.client.post("/v1/jobs", data=fields, files={"image": photo()})
    assert response.status_code == 202, response.text
    assert response.json()["parameters"]["adapters"] == {"removal": 1.0}


async def test_an_unknown_adapter_is_refused_with_those_known(adapted: Gateway) -> None:
    wanted = {"removal": 1, "sepia": 1}
    response = await adapted.client.post("/v1/jobs", json={**CAT, "adapters": wanted})
    problem = assert_problem(response)
    assert (response.status_code, problem["code"]) == (400, "unsupported_value")
    assert problem["errors"][0]["pointer"] == "/adapters/sepia"
    assert problem["detail"] == (
        "Model qwen_image has no adapter 'sepia'; it has: lightning, removal."
    )
    assert adapted.backend.painted == []


async def test_a_model_without_adapters_says_so(gateway: Gateway) -> None:
    response = await gateway.client.post("/v1/jobs", json={**CAT, "adapters": {"removal": 1}})
    assert response.status_code == 400
    assert assert_problem(response)["detail"].endswith("it has: none.")


@pytest.mark.parametrize(
    "adapters",
    [
        {"removal": -0.1},
        {"removal": 2.1},
        {"removal": "much"},
        {"removal": None},
        {"": 1},
        {"Removal": 1},
        {"removal\n": 1},
        {"../removal": 1},
        {"x" * 65: 1},
        dict.fromkeys("abcde", 1.0),
        ["removal"],
        "removal",
    ],
)
async def test_what_is_no_set_of_scales_is_refused(adapted: Gateway, adapters: Any) -> None:
    response = await adapted.client.post("/v1/jobs", json={**CAT, "adapters": adapters})
    assert response.status_code == 422
    assert assert_problem(response)["errors"][0]["pointer"].startswith("/adapters")


@pytest.mark.parametrize("scale", ["NaN", "Infinity", "1e999"])
async def test_a_scale_is_finite(adapted: Gateway, scale: str) -> None:
    body = f'{{"task": "generate", "prompt": "a cat", "adapters": {{"removal": {scale}}}}}'
    headers = {"Content-Type": "application/json"}
    response = await adapted.client.post("/v1/jobs", content=body, headers=headers)
    assert response.status_code == 422
    assert_problem(response)


@pytest.mark.parametrize("scale", [0, 2])
async def test_the_limits_themselves_are_allowed(adapted: Gateway, scale: float) -> None:
    job = await adapted.submit(**CAT, adapters={"removal": scale})
    assert job["parameters"]["adapters"] == {"removal": scale}


async def test_models_show_their_adapters(adapted: Gateway) -> None:
    model = (await adapted.client.get("/v1/models/qwen_image")).json()
    assert model["adapters"] == list(KNOWN)


async def test_a_model_without_adapters_shows_none(gateway: Gateway) -> None:
    model = (await gateway.client.get("/v1/models/qwen_image")).json()
    assert model["adapters"] == []

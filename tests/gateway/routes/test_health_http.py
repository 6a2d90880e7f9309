"""`/health` and `/v1/models`: what the last canaries said."""

from __future__ import annotations

import pytest

from gateway.routes import health
from tests.gateway.conftest import Gateway, until
from tests.gateway.problems import assert_problem


async def test_live_answers_whatever_the_models_do(gateway: Gateway) -> None:
    gateway.backend.loaded.clear()
    response = await gateway.client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "live"})


async def test_ready_names_every_model(gateway: Gateway) -> None:
    response = await gateway.client.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["models"].keys() == {"fastsam", "qwen_image", "qwen_image_edit"}


async def _ready_is(gateway: Gateway, status: int) -> bool:
    return (await gateway.client.get("/health/ready")).status_code == status


async def test_ready_tells_which_model_is_missing_and_why(gateway: Gateway) -> None:
    gateway.backend.loaded.discard("qwen_image")
    await until(lambda: _ready_is(gateway, 503))
    body = (await gateway.client.get("/health/ready")).json()
    assert body["status"] == "not_ready"
    assert body["models"]["qwen_image"]["ready"] is False
    assert "not loaded" in body["models"]["qwen_image"]["detail"]
    assert body["models"]["fastsam"] == {"ready": True, "detail": ""}


async def test_a_model_that_comes_back_makes_it_ready_again(gateway: Gateway) -> None:
    gateway.backend.loaded.discard("fastsam")
    await until(lambda: _ready_is(gateway, 503))
    gateway.backend.loaded.add("fastsam")
    await until(lambda: _ready_is(gateway, 200))


async def test_old_canaries_do_not_count(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STALE_S", 0.0)
    assert await _ready_is(gateway, 503)


async def test_the_models_say_what_they_do(gateway: Gateway) -> None:
    body = (await gateway.client.get("/v1/models")).json()
    tasks = {model["id"]: model["tasks"] for model in body["data"]}
    assert tasks == {
        "fastsam": ["mask"],
        "qwen_image": ["generate", "inpaint"],
        "qwen_image_edit": ["edit", "insert", "remove", "white_balance"],
    }


async def test_one_model_tells_its_defaults(gateway: Gateway) -> None:
    model = (await gateway.client.get("/v1/models/qwen_image")).json()
    assert (model["object"], model["ready"], model["demo"]) == ("model", True, True)
    assert model["defaults"] == {"size": [64, 64], "num_inference_steps": 4, "true_cfg_scale": 1.0}


async def test_an_unknown_model_is_not_found(gateway: Gateway) -> None:
    response = await gateway.client.get("/v1/models/gpt")
    assert response.status_code == 404
    assert "no model 'gpt'" in assert_problem(response)["detail"]

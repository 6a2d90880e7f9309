"""The front end's health, and what the framework itself refuses on `/api`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve
from tests.gateway.front_end.conftest import ORIGIN


@pytest.mark.parametrize("url", ["/api/health", "/api/system/health"])
async def test_health_is_in_the_front_ends_words(gateway: Gateway, url: str) -> None:
    health = (await gateway.client.get(url)).json()
    assert health["status"] == "healthy"
    assert health["services"].keys() == {
        "generation",
        "segmentation",
        "image_utils",
        "job_manager",
    }
    assert all(service == {"status": "healthy"} for service in health["services"].values())


async def test_health_is_degraded_without_a_model(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(loaded={"fastsam"})) as gateway:
        health = (await gateway.client.get("/api/health")).json()
    assert health["status"] == "degraded"
    assert health["services"]["generation"] == {"status": "unavailable"}


@pytest.mark.parametrize(
    ("method", "url", "status"), [("GET", "/api/nothing", 404), ("PUT", "/api/health", 405)]
)
async def test_what_the_framework_refuses_has_a_string_too(
    gateway: Gateway, method: str, url: str, status: int
) -> None:
    response = await gateway.client.request(method, url, headers=ORIGIN)
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]

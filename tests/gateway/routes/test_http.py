"""What all routes share: problems, request ids, CORS, the limit of a body."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Gateway, serve, serve_on_a_port
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo

ORIGIN = {"Origin": "http://localhost:3000"}


async def fail(gateway: Gateway, **headers: str) -> httpx.Response:
    """A fault of ours: the backend raises what it never should."""
    unexpected: Any = ZeroDivisionError("/opt/secret.py")
    gateway.backend.failure = unexpected
    body = {"image": await gateway.upload(photo()), "everything": True}
    return await gateway.client.post("/v1/masks", json=body, headers=headers)


async def test_an_unknown_route_is_a_problem(gateway: Gateway) -> None:
    response = await gateway.client.get("/nothing")
    assert response.status_code == 404
    assert assert_problem(response)["detail"] == "GET /nothing: Not Found"


async def test_a_wrong_method_tells_the_right_ones(gateway: Gateway) -> None:
    response = await gateway.client.delete("/v1/masks")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert_problem(response)


async def test_a_fault_of_ours_tells_nothing_but_its_request_id(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await fail(gateway, **ORIGIN)
    assert response.status_code == 500
    problem = assert_problem(response)
    assert problem["code"] == "internal_error"
    assert "secret" not in response.text
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert any(problem["request_id"] in record.getMessage() for record in caplog.records)


async def test_a_request_id_is_echoed(gateway: Gateway) -> None:
    for url, status in (("/health/live", 200), ("/nothing", 404)):
        response = await gateway.client.get(url, headers={"X-Request-Id": "abc-1"})
        assert (response.status_code, response.headers["x-request-id"]) == (status, "abc-1")


async def test_a_request_without_an_id_gets_one(gateway: Gateway) -> None:
    responses = [await gateway.client.get("/health/live") for _ in range(2)]
    first, second = (response.headers["x-request-id"] for response in responses)
    assert first
    assert first != second


async def test_a_long_request_id_is_cut(gateway: Gateway) -> None:
    response = await gateway.client.get("/health/live", headers={"X-Request-Id": "x" * 500})
    assert response.headers["x-request-id"] == "x" * 64


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/masks", 405),
        ("POST", "/v1/masks", 400),
    ],
)
async def test_the_front_end_may_read_every_answer(
    gateway: Gateway, method: str, url: str, status: int
) -> None:
    response = await gateway.client.request(method, url, headers=ORIGIN)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    exposed = response.headers["access-control-expose-headers"]
    assert {"Location", "Server-Timing", "X-Request-Id"} <= set(exposed.split(", "))


async def test_another_origin_may_not(gateway: Gateway) -> None:
    headers = {"Origin": "http://evil.example"}
    response = await gateway.client.get("/health/live", headers=headers)
    assert "access-control-allow-origin" not in response.headers


async def test_a_preflight_is_answered(gateway: Gateway) -> None:
    headers = {
        **ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "prefer, content-type",
    }
    response = await gateway.client.options("/v1/jobs", headers=headers)
    assert response.status_code == 200
    assert "prefer" in response.headers["access-control-allow-headers"]


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with serve(tmp_path, max_body_bytes=1000) as gateway:
        yield gateway


BODIES = {
    "application/json": b" ",
    "multipart/form-data; boundary=x": (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    ),
}


async def pieces(start: bytes) -> AsyncIterator[bytes]:
    yield start
    for _ in range(20):
        yield b" " * 100


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("url", ["/v1/jobs", "/v1/masks", "/v1/files"])
async def test_a_body_over_the_limit_is_refused_announced_or_not(
    small: Gateway, announced: bool, url: str
) -> None:
    kind, start = list(BODIES.items())[url == "/v1/files"]
    content = start.ljust(2000) if announced else pieces(start)
    response = await small.client.post(url, content=content, headers={"Content-Type": kind})
    assert response.status_code == 413
    assert "limit of 1000 bytes" in assert_problem(response)["detail"]


async def test_a_body_over_the_limit_is_refused_through_a_socket(small: Gateway) -> None:
    async with serve_on_a_port(small) as client:
        response = await client.post("/v1/jobs", content=bytes(8 * 2**20), headers=ORIGIN)
        assert response.status_code == 413
        assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        assert_problem(response)


async def test_a_body_at_the_limit_is_read(small: Gateway) -> None:
    body = b'{"task": "generate", "prompt": "a cat"}'.ljust(1000)
    response = await small.client.post(
        "/v1/jobs", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 202

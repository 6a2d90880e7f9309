"""Every answer says who it is for, how long it took and what a browser must not do; each once."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from tests.gateway.conftest import Gateway, Keyed

ONCE = {
    "x-request-id",
    "server-timing",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cache-control",
    "content-security-policy",
    "vary",
}
ORIGIN = {"Origin": "http://localhost:3000"}


def said(response: httpx.Response) -> Counter[str]:
    return Counter(name for name, _ in response.headers.multi_items())


@pytest.mark.parametrize("headers", [{}, ORIGIN], ids=["no page", "a page"])
async def test_every_answer_says_it_once(gateway: Gateway, headers: dict[str, str]) -> None:
    job = await gateway.finish(task="generate", prompt="a lighthouse")
    asked = [
        ("GET", "/health/live", 200),
        ("GET", job["urls"]["self"], 200),
        ("GET", job["urls"]["result"], 200),
        ("GET", job["urls"]["events"], 200),
        ("GET", "/v1/jobs/job_0", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/masks", 405),
        ("POST", "/v1/masks", 400),
    ]
    for method, path, status in asked:
        response = await gateway.client.request(method, path, headers=headers)
        assert response.status_code == status, path
        times = said(response)
        assert {name: times[name] for name in ONCE} == dict.fromkeys(ONCE, 1), path
        assert ("access-control-allow-origin" in times) == bool(headers)
        assert "Origin" in response.headers["vary"]


async def test_what_an_answer_says_itself_stays(gateway: Gateway) -> None:
    job = await gateway.finish(task="generate", prompt="a lighthouse")
    stream = await gateway.client.get(job["urls"]["events"])
    assert stream.headers["cache-control"] == "no-cache"
    view = await gateway.client.get(job["urls"]["self"])
    assert view.headers["cache-control"] == "no-store"
    assert "request;dur" not in view.headers["server-timing"]  # the job's own stages


async def test_who_is_turned_away_gets_the_same_head(keyed: Keyed) -> None:
    response = await keyed.client.get("/v1/jobs/job_0")
    assert response.status_code == 401
    assert {name: said(response)[name] for name in ONCE} == dict.fromkeys(ONCE, 1)

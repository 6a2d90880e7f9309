"""The API reference is served whole by the gateway itself."""

from __future__ import annotations

import re

import pytest

from gateway.reference.page import ASSETS
from tests.gateway.conftest import Gateway

TYPES = {"js": "text/javascript", "css": "text/css", "png": "image/png"}


async def test_the_page_names_files_of_this_server_alone(gateway: Gateway) -> None:
    page = await gateway.client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {name.removeprefix("docs/") for name in named} == set(ASSETS)
    assert "<script>" not in page.text
    assert "<style" not in page.text


async def test_its_policy_lets_nothing_in_from_elsewhere(gateway: Gateway) -> None:
    policy = (await gateway.client.get("/docs")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("name", sorted(ASSETS))
async def test_each_of_its_files_is_there(gateway: Gateway, name: str) -> None:
    answer = await gateway.client.get(f"/docs/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
    assert answer.headers["cache-control"] == "no-cache"
    again = await gateway.client.get(f"/docs/{name}", headers={"If-None-Match": "*"})
    assert again.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("path", ["/docs/", "/docs/nothing.js", "/docs/../app.py", "/redoc"])
async def test_nothing_else_is(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.get(path)
    assert answer.status_code == 404
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_no_validator_elsewhere_is_asked(gateway: Gateway) -> None:
    start = (await gateway.client.get("/docs/start.js")).text
    assert "validatorUrl: null" in start
    assert "http" not in start

"""The playground's files as the gateway serves them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from gateway.playground.pages import STATIC
from tests.gateway.conftest import Gateway, Keyed, serve

SCRIPT_LIMIT = 300_000


@pytest.mark.parametrize("path", ["/", "/admin"])
async def test_a_page_needs_no_key_and_names_its_policy(keyed: Keyed, path: str) -> None:
    answer = await keyed.client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert (await keyed.client.head(path)).status_code == 200


async def test_keys_still_guard_the_rest(keyed: Keyed) -> None:
    assert (await keyed.client.get("/playground/js/main.js")).status_code == 200
    assert (await keyed.client.get("/playground/../v1/models")).status_code == 401
    assert (await keyed.client.get("/playground/%2e%2e/pages.py")).status_code == 404


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with serve(tmp_path, playground=False) as gateway:
        for path in ("/", "/admin", "/playground/js/main.js"):
            assert (await gateway.client.get(path)).status_code == 404


@pytest.mark.parametrize("name", ["index.html", "admin.html"])
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(name: str) -> None:
    page = (STATIC / name).read_text()
    assert not re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?://", page)
    for path in re.findall(r'(?:src|href)="(/playground/[^"]+)"', page):
        assert (STATIC / path.removeprefix("/playground/")).is_file()


async def test_scripts_are_small_and_travel_compressed(gateway: Gateway) -> None:
    scripts = [*STATIC.glob("js/*.js"), *STATIC.glob("vendor/*.js")]
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) < SCRIPT_LIMIT
    headers = {"Accept-Encoding": "gzip"}
    answer = await gateway.client.get("/playground/vendor/konva.min.js", headers=headers)
    assert answer.headers["content-encoding"] == "gzip"
    etag = answer.headers["etag"]
    again = await gateway.client.get(
        "/playground/vendor/konva.min.js", headers=headers | {"If-None-Match": etag}
    )
    assert again.status_code == 304


async def test_models_name_the_bounds_that_are_checked(gateway: Gateway) -> None:
    models = (await gateway.client.get("/v1/models")).json()["data"]
    limits = next(model["limits"] for model in models if "generate" in model["tasks"])
    most = limits["num_inference_steps"]["maximum"]
    for steps, status in ((most, 202), (most + 1, 422)):
        job = {"task": "generate", "prompt": "a boat", "num_inference_steps": steps}
        answer = await gateway.client.post("/v1/jobs", json=job)
        assert answer.status_code in (status, 400 if status == 422 else status)

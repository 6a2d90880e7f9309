"""Clicks through the gateway: an HTTP client with connections that stay open."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Sequence
from enum import StrEnum

import httpx

from benchmarks.workloads.clicks import TIMEOUT_S, ClickRun


class Call(StrEnum):
    """What the client asks for."""

    FIRST = "gateway, new picture"
    """The picture is uploaded with the click, and the gateway has never seen it."""
    AGAIN = "gateway, same picture, uploaded again"
    """As FIRST, but the gateway keeps the picture's features."""
    BY_ID = "gateway, same picture, by file id"
    """As AGAIN, without the upload: what a person's second click is."""
    LIVE = "gateway, GET /health/live"
    """No work: the floor under every call."""


def run_gateway(
    url: str, call: Call, pictures: Sequence[bytes], click: tuple[int, int], concurrency: int
) -> ClickRun:
    """Send one call per picture, from `concurrency` tasks of this process."""
    return asyncio.run(_run(url, call, pictures, click, concurrency))


def run_empty(url: str, calls: int) -> list[float]:
    """Seconds of each call of a route that does nothing, with a body like a cached click's."""
    return asyncio.run(_run_empty(url, calls))


async def _run_empty(url: str, calls: int) -> list[float]:
    """By the client that `run_gateway` has, its requests built beforehand too."""
    body = {"image": f"file_{'0' * 40}", "prompts": [{"points": [[1, 1]]}]}
    latencies = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
        requests = [client.build_request("POST", "/", json=body) for _ in range(calls)]
        (await client.post("/", json=body)).raise_for_status()
        for request in requests:
            started = time.perf_counter()
            (await client.send(request)).raise_for_status()
            latencies.append(time.perf_counter() - started)
    return latencies


async def _run(
    url: str, call: Call, pictures: Sequence[bytes], click: tuple[int, int], concurrency: int
) -> ClickRun:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
        requests = await _requests(client, call, pictures, click)
        await _warm_up(client, concurrency)
        queue = iter(list(enumerate(requests)))
        latencies = [0.0] * len(requests)
        answers: list[httpx.Response | None] = [None] * len(requests)

        async def send_in_turn() -> None:
            for index, request in queue:
                started = time.perf_counter()
                answers[index] = await client.send(request)
                latencies[index] = time.perf_counter() - started

        started, processor = time.perf_counter(), time.process_time()
        await asyncio.gather(*(send_in_turn() for _ in range(concurrency)))
        wall, processor = time.perf_counter() - started, time.process_time() - processor
    masks = [_checked_mask(call, answer) for answer in answers if answer is not None]
    return ClickRun(latencies, wall, processor, [mask for mask in masks if mask])


async def _requests(
    client: httpx.AsyncClient, call: Call, pictures: Sequence[bytes], click: tuple[int, int]
) -> list[httpx.Request]:
    """Requests with their bodies already built."""
    if call is Call.LIVE:
        return [client.build_request("GET", "/health/live") for _ in pictures]
    if call is Call.FIRST:
        return [_upload(client, picture, click) for picture in pictures]
    seen = await client.send(_upload(client, pictures[0], click))
    if call is Call.AGAIN:
        return [_upload(client, picture, click) for picture in pictures]
    body = {"image": seen.json()["image_id"], "prompts": [{"points": [click]}]}
    return [client.build_request("POST", "/v1/masks", json=body) for _ in pictures]


def _upload(client: httpx.AsyncClient, picture: bytes, click: tuple[int, int]) -> httpx.Request:
    fields = {"prompts": json.dumps([{"points": [click]}])}
    files = {"image": ("picture.jpg", picture, "image/jpeg")}
    request = client.build_request("POST", "/v1/masks", data=fields, files=files)
    request.read()
    return request


async def _warm_up(client: httpx.AsyncClient, concurrency: int) -> None:
    """Open the connections."""
    await asyncio.gather(*(client.get("/health/live") for _ in range(concurrency)))


def _checked_mask(call: Call, answer: httpx.Response) -> str:
    """SHA-256 of the mask's PNG.

    Raises:
        RuntimeError: the call failed, or a picture was new or known against expectation.
    """
    if answer.status_code != 200:
        raise RuntimeError(f"{call}: {answer.status_code} {answer.text[:500]}")
    if call is Call.LIVE:
        return ""
    body = answer.json()
    if body["cached"] is (call is Call.FIRST):
        raise RuntimeError(f"{call}: the answer says cached: {body['cached']}")
    return hashlib.sha256(base64.b64decode(body["masks"][0]["png"])).hexdigest()

"""Clicks over HTTP that any server can answer: a picture and a pixel in, a mask's PNG out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from benchmarks.workloads.clicks import TIMEOUT_S, ClickRun


@dataclass(frozen=True, kw_only=True)
class MaskServer:
    """Where and how a server wants its clicks."""

    name: str
    url: str
    """Of the route."""
    fields: Mapping[str, str]


def gateway_server(url: str, click: tuple[int, int]) -> MaskServer:
    """The product's own route."""
    prompts = json.dumps([{"points": [click]}])
    return MaskServer(name="gateway", url=f"{url}/v1/masks", fields={"prompts": prompts})


def peer_server(name: str, url: str, click: tuple[int, int]) -> MaskServer:
    """One of `peers/`."""
    fields = {"x": str(click[0]), "y": str(click[1])}
    return MaskServer(name=name, url=f"{url}/masks", fields=fields)


def run_clicks(server: MaskServer, pictures: Sequence[bytes], concurrency: int) -> ClickRun:
    """Send one click per picture, from `concurrency` tasks of this process.

    Raises:
        RuntimeError: a click was not answered with a PNG.
    """
    return asyncio.run(_run(server, pictures, concurrency))


async def _run(server: MaskServer, pictures: Sequence[bytes], concurrency: int) -> ClickRun:
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    latencies, masks = [0.0] * len(pictures), [""] * len(pictures)
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S, limits=limits) as client:
        requests = [_request(client, server, picture) for picture in pictures]
        queue = iter(list(enumerate(requests)))

        async def send_in_turn() -> None:
            for index, request in queue:
                started = time.perf_counter()
                answer = await client.send(request)
                latencies[index] = time.perf_counter() - started
                masks[index] = _checked(server, answer)

        started, processor = time.perf_counter(), time.process_time()
        await asyncio.gather(*(send_in_turn() for _ in range(concurrency)))
        wall, processor = time.perf_counter() - started, time.process_time() - processor
    return ClickRun(latencies, wall, processor, masks)


def _request(client: httpx.AsyncClient, server: MaskServer, picture: bytes) -> httpx.Request:
    files = {"image": ("picture.jpg", picture, "image/jpeg")}
    headers = {"Accept": "image/png"}
    request = client.build_request(
        "POST", server.url, data=dict(server.fields), files=files, headers=headers
    )
    request.read()
    return request


def _checked(server: MaskServer, answer: httpx.Response) -> str:
    if answer.status_code != 200 or not answer.content.startswith(b"\x89PNG"):
        raise RuntimeError(f"{server.name}: {answer.status_code} {answer.text[:300]}")
    return hashlib.sha256(answer.content).hexdigest()

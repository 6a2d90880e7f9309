"""Polls of a crowd wait for each other, and each is answered as if it had come alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.http.gathered_polls import A_CROWD, PollGathering
from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve, serve_on_a_port, until
from tests.gateway.http.test_hostile_clients import raw

EVERY_S = 0.5
JOB = {"task": "generate", "prompt": "a lighthouse"}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Crowd:
    """A served gateway with jobs in line, and those who poll."""

    gateway: Gateway
    served: httpx.AsyncClient
    gathering: PollGathering
    connections: list[Connection]
    job_ids: list[str]

    async def ask(self, n: int) -> bytes:
        """Send a poll; its bytes."""
        poll = b"GET /v1/jobs/%b HTTP/1.1\r\nHost: a\r\n\r\n" % self.job_ids[n].encode()
        self.connections[n][1].write(poll)
        return poll

    async def gather(self) -> None:
        """All poll once, which makes them a crowd."""
        for n in range(len(self.connections)):
            await self.ask(n)
        for reader, _ in self.connections:
            await answer(reader)
        await until(self._is_crowd)

    async def kept(self, count: int) -> None:
        async def are_kept() -> bool:
            return len(self.gathering) == count

        await until(are_kept)

    async def _is_crowd(self) -> bool:
        return self.gathering.is_crowd


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, Any]]:
    """The head and the JSON of one answer."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        return head, json.loads(await reader.readexactly(int(length[1])))


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    gathering = PollGathering(every_s=EVERY_S)
    async with AsyncExitStack() as stack:
        backend = FakeBackend(step_s=30)
        gateway = await stack.enter_async_context(serve(tmp_path, backend, jobs_per_model=1))
        served = await stack.enter_async_context(serve_on_a_port(gateway, gathering=gathering))
        count = A_CROWD + 2
        connections = [await stack.enter_async_context(raw(served)) for _ in range(count)]
        job_ids = [(await gateway.submit(**JOB))["id"] for _ in range(count)]
        crowd = Crowd(gateway, served, gathering, connections, job_ids)
        await crowd.gather()
        yield crowd


async def test_each_of_a_crowd_gets_its_answer(crowd: Crowd) -> None:
    for _ in range(2):
        for n in range(len(crowd.connections)):
            await crowd.ask(n)
        await crowd.kept(len(crowd.connections))
        seen = [(await answer(reader))[1] for reader, _ in crowd.connections]
        assert [job["id"] for job in seen] == crowd.job_ids


async def test_the_time_it_waited_is_part_of_what_it_took(crowd: Crowd) -> None:
    await crowd.ask(1)
    head, _ = await answer(crowd.connections[1][0])
    took = re.search(rb"server-timing: request;dur=([\d.]+)", head)
    assert took is not None
    assert 500 * EVERY_S < float(took[1]) < 60_000


async def test_what_happens_while_it_waits_shows(crowd: Crowd) -> None:
    await crowd.ask(3)
    await crowd.kept(1)
    await crowd.gateway.client.post(f"/v1/jobs/{crowd.job_ids[3]}/cancel")
    _, job = await answer(crowd.connections[3][0])
    assert job["status"] == "canceled"


async def test_nothing_but_polls_waits(crowd: Crowd) -> None:
    await crowd.ask(0)
    await crowd.kept(1)
    for path in ("/health/live", f"/v1/jobs/{crowd.job_ids[2]}?wait=0", "/v1/jobs?limit=1"):
        assert (await crowd.served.get(path)).status_code == 200
        await crowd.kept(1)
    assert (await answer(crowd.connections[0][0]))[1]["id"] == crowd.job_ids[0]


async def test_what_comes_behind_a_poll_waits_for_nobody(crowd: Crowd) -> None:
    reader, writer = crowd.connections[4]
    poll = await crowd.ask(4)
    await crowd.kept(1)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n" + poll)
    bodies = [(await answer(reader))[1] for _ in range(3)]
    assert bodies[0]["id"] == bodies[2]["id"] == crowd.job_ids[4]
    assert bodies[1] == {"status": "live"}


async def test_bytes_of_a_body_are_no_poll(crowd: Crowd) -> None:
    reader, writer = crowd.connections[5]
    poll = b"GET /v1/jobs/%b HTTP/1.1\r\nHost: a\r\n\r\n" % crowd.job_ids[5].encode()
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % (2 * len(poll)))
    for _ in range(2):
        await asyncio.sleep(0.05)
        assert not len(crowd.gathering)
        writer.write(poll)
    assert (await answer(reader))[1]["status"] == 400


async def test_a_poll_in_pieces_is_answered(crowd: Crowd) -> None:
    reader, writer = crowd.connections[6]
    writer.write(b"GET /v1/jobs/%b HTTP/1.1\r\nHo" % crowd.job_ids[6].encode())
    await asyncio.sleep(0.05)
    writer.write(b"st: a\r\n\r\n")
    assert (await answer(reader))[1]["id"] == crowd.job_ids[6]


async def test_one_who_goes_away_takes_nobody_along(crowd: Crowd) -> None:
    for n in range(3):
        await crowd.ask(n)
    await crowd.kept(3)
    crowd.connections[1][1].transport.abort()
    for n in (0, 2):
        assert (await answer(crowd.connections[n][0]))[1]["id"] == crowd.job_ids[n]


async def test_those_who_waited_are_counted_and_refused_as_all_are(crowd: Crowd) -> None:
    crowd.job_ids[7] = "job_0"
    for n in (7, 8):
        await crowd.ask(n)
    await crowd.kept(2)
    head, problem = await answer(crowd.connections[7][0])
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert b"application/problem+json" in head
    assert (await answer(crowd.connections[8][0]))[1]["id"] == crowd.job_ids[8]
    text = (await crowd.gateway.client.get("/metrics")).text
    counted = 'retouch_http_requests_total{method="GET",route="/v1/jobs/{job_id}",status="%d"} %d.0'
    assert counted % (404, 1) in text
    assert counted % (200, len(crowd.connections) + 1) in text


async def test_a_few_wait_for_nobody(crowd: Crowd) -> None:
    await asyncio.sleep(2.5 * EVERY_S)
    await crowd.ask(0)
    assert (await answer(crowd.connections[0][0]))[1]["id"] == crowd.job_ids[0]
    assert not crowd.gathering.is_crowd


async def test_who_waits_when_the_server_ends_is_answered(tmp_path: Path) -> None:
    gathering = PollGathering(every_s=EVERY_S)
    async with AsyncExitStack() as stack:
        backend = FakeBackend(step_s=30)
        gateway = await stack.enter_async_context(serve(tmp_path, backend, jobs_per_model=1))
        job_id = (await gateway.submit(**JOB))["id"]
        async with serve_on_a_port(gateway, gathering=gathering) as served:
            connections = [await stack.enter_async_context(raw(served)) for _ in range(A_CROWD + 2)]
            job_ids = [job_id] * len(connections)
            crowd = Crowd(gateway, served, gathering, connections, job_ids)
            await crowd.gather()
            await crowd.ask(0)
            await crowd.kept(1)
        assert (await answer(connections[0][0]))[1]["id"] == job_id

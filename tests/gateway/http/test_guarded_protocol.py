"""What a connection may send before, behind and instead of a request: bounded in time and size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway.conftest import Gateway, serve_on_a_port
from tests.gateway.http.test_hostile_clients import closed_within, raw

GET = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMIT = 4096


@pytest.fixture
async def guarded(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    limits = {"header_timeout_s": 0.5, "write_stall_s": 1.0, "max_header_bytes": LIMIT}
    async with serve_on_a_port(gateway, **limits) as client:
        yield client


def head(size: int) -> bytes:
    start = b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: "
    return start + b"x" * (size - len(start))


@pytest.mark.parametrize(
    "request_",
    [
        head(LIMIT + 100) + b"\r\n\r\n",
        head(LIMIT + 1500),
        b"GET /" + b"x" * LIMIT + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (LIMIT // 6 + 20),
    ],
    ids=["one header", "a header without an end", "address", "many headers"],
)
async def test_large_headers_are_431(guarded: httpx.AsyncClient, request_: bytes) -> None:
    async with raw(guarded) as (reader, writer):
        for start in range(0, len(request_), 1000):
            if not writer.is_closing():
                writer.write(request_[start : start + 1000])
            await asyncio.sleep(0.02)
        assert (await closed_within(reader, 10)).startswith(b"HTTP/1.1 431 ")


async def test_headers_within_the_limit_pass(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(head(LIMIT - 100) + b"\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b'"live"}')


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00 hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_no_request_is_400(guarded: httpx.AsyncClient, request_: bytes) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(request_)
        assert (await closed_within(reader, 10)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "behind",
    [b"5;" + b"x" * 3 * LIMIT, b"0\r\nX: " + b"x" * 3 * LIMIT, b"0\r\n" + b"A: b\r\n" * LIMIT],
    ids=["extension of a chunk", "trailer", "trailers"],
)
async def test_what_is_no_body_has_the_limit_of_headers(
    guarded: httpx.AsyncClient, behind: bytes
) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(CHUNKED)
        for start in range(0, len(behind), 1000):
            if not writer.is_closing():
                writer.write(behind[start : start + 1000])
            await asyncio.sleep(0.01)
        assert b" 202 " not in await closed_within(reader, 10)


async def test_an_old_request_needs_no_host(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.0\r\n\r\n")
        assert (await closed_within(reader, 10)).startswith(b"HTTP/1.1 200")


async def test_a_hundred_requests_at_once_are_too_many(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(GET * 100)
        assert (await closed_within(reader, 10)).count(b"HTTP/1.1 200") < 20


async def test_a_few_are_answered_in_their_order(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(GET * 3 + GET.replace(b"/live", b"/nothing"))
        answers = [await reader.readuntil(b'"live"}') for _ in range(3)]
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")


async def test_empty_lines_win_no_time(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b'"live"}')
        writer.write(b"\r\n")
        assert await closed_within(reader, 10) == b""


async def test_a_body_behind_its_answer_has_an_end(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(b"POST /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405")

        async def drip() -> None:
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        await closed_within(reader, 10)
        dripping.cancel()


async def test_an_offered_upgrade_is_passed_over(guarded: httpx.AsyncClient) -> None:
    """As Java's client offers it with every first request, with bodies too."""
    body = b'{"task": "generate", "prompt": "x"}'
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAA\r\n"
    length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with raw(guarded) as (reader, writer):
        writer.write(b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\n" + offer + length + body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")
        await asyncio.sleep(0.1)
        writer.write(GET)
        assert b"HTTP/1.1 200" in await reader.readuntil(b'"live"}')

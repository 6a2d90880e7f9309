"""Clients that mean harm: odd ids, bombs, bytes at a crawl. Bounded, refused, and survived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import Gateway, serve, serve_on_a_port
from tests.odd_pictures import photo

TRAVERSALS = [
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "file_" + "../" * 13 + "a",
    "file_%00",
    "....//....//x",
    "job_x%0d%0aSet-Cookie:a=b",
    "x" * 150,
]
URLS = [
    ("GET", "/v1/files/{id}"),
    ("GET", "/v1/files/{id}/content"),
    ("DELETE", "/v1/files/{id}"),
    ("GET", "/v1/jobs/{id}"),
    ("GET", "/v1/jobs/{id}/events"),
    ("GET", "/v1/jobs/{id}/result"),
    ("POST", "/v1/jobs/{id}/cancel"),
    ("GET", "/v1/jobs?after={id}"),
    ("GET", "/v1/models/{id}"),
    ("POST", "/v1/models/{id}/load"),
    ("GET", "/api/generate/status/{id}"),
    ("GET", "/api/generate/result/{id}"),
    ("GET", "/api/generate/result-image/{id}"),
    ("POST", "/api/generate/async/cancel/{id}"),
]


@pytest.mark.parametrize("name", TRAVERSALS)
async def test_no_id_leads_out_of_its_place(gateway: Gateway, name: str) -> None:
    for method, url in URLS:
        response = await gateway.client.request(method, url.replace("{id}", name))
        assert response.status_code in (404, 405), (method, url)
        assert "root:" not in response.text
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "file_../../x", "/etc/passwd", "\x00", "file_"]
)
async def test_no_id_in_a_body_leads_out_either(gateway: Gateway, name: str) -> None:
    bodies = {
        "/v1/jobs": {"task": "edit", "prompt": "x", "image": name},
        "/v1/masks": {"image": name, "everything": True},
        "/v1/images/edits": {"prompt": "x", "images": [{"file_id": name}]},
        "/api/smart-mask": {"image_id": name, "bbox": [1, 1, 9, 9]},
    }
    for url, body in bodies.items():
        response = await gateway.client.post(url, json=body)
        assert response.status_code == 404, url


async def test_an_uploads_name_is_not_looked_at(gateway: Gateway) -> None:
    files = {"file": ("../../../etc/\x00evil.html", photo(), "text/html")}
    file_id = (await gateway.client.post("/v1/files", files=files)).json()["id"]
    response = await gateway.client.get(f"/v1/files/{file_id}/content")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


def parts(count: int, *, is_file: bool) -> bytes:
    name = '; filename="a"' if is_file else ""
    part = f'--x\r\nContent-Disposition: form-data; name="image"{name}\r\n\r\n1\r\n'
    return part.encode() * count + b"--x--\r\n"


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize("url", ["/v1/files", "/v1/jobs", "/v1/masks", "/v1/images/edits"])
@pytest.mark.parametrize(
    "body",
    [
        parts(10_000, is_file=True),
        parts(10_000, is_file=False),
        b"--x\r\n" + b"A: " + b"b" * 600_000 + b"\r\n\r\n1\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 100_000 + b"\r\n1\r\n--x--\r\n",
        b"no boundary at all",
    ],
    ids=["files", "fields", "long header", "many headers", "no boundary"],
)
async def test_form_bombs_are_refused(gateway: Gateway, url: str, body: bytes) -> None:
    response = await gateway.client.post(url, content=body, headers=FORM)
    assert 400 <= response.status_code < 500
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [b'{"a":' * 100_000, b"[" * 100_000, b'{"prompt": "\\ud800", "image": 1e999}', b"\xff\xfe{}"],
    ids=["objects", "lists", "surrogate", "bytes"],
)
@pytest.mark.parametrize(
    "url", ["/v1/jobs", "/v1/images/generations", "/v1/images/edits", "/api/smart-mask"]
)
async def test_json_bombs_are_refused(gateway: Gateway, url: str, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = await gateway.client.post(url, content=content, headers=headers)
    assert 400 <= response.status_code < 500
    assert response.json()["detail"]


@asynccontextmanager
async def raw(
    client: httpx.AsyncClient,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = client.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def closed_within(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """What came until the server closed the connection."""
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    except ConnectionError:
        return b""


@pytest.fixture
async def guarded(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serve_on_a_port(gateway, header_timeout_s=0.5, write_stall_s=0.5) as client:
        yield client


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_headers_at_a_crawl_are_dropped(guarded: httpx.AsyncClient, start: bytes) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(start)
        assert await closed_within(reader, 10) == b""


async def test_a_drip_of_headers_wins_no_time(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\n")

        async def drip() -> None:
            while not writer.is_closing():
                writer.write(b"A: b\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await closed_within(reader, 10) == b""
        dripping.cancel()


async def test_a_second_request_has_its_own_deadline(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        request = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(2):
            writer.write(request)
            assert b"200" in await reader.readuntil(b'"live"}')
            await asyncio.sleep(0.7)
        writer.write(request[:20])
        assert await closed_within(reader, 10) == b""


async def test_a_body_at_a_crawl_is_408(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, body_pause_s=0.4) as gateway,
        serve_on_a_port(gateway) as client,
        raw(client) as (reader, writer),
    ):
        writer.write(b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
        answer = await closed_within(reader, 10)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"problem+json" in answer


async def test_a_client_that_leaves_in_mid_upload_is_no_fault_of_ours(
    guarded: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    form = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 99999\r\n\r\n--x\r\n"
    async with raw(guarded) as (_, writer):
        writer.write(b"POST /v1/masks HTTP/1.1\r\nHost: a\r\n" + form)
        await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)
    told = [r for r in caplog.records if getattr(r, "event", "") in ("request", "request_failed")]
    assert [(r.levelname, getattr(r, "status", None)) for r in told] == [("INFO", 499)]


async def test_a_client_that_reads_nothing_is_dropped(
    gateway: Gateway, guarded: httpx.AsyncClient
) -> None:
    file_id = await gateway.upload(photo() + bytes(24 * 2**20))
    async with raw(guarded) as (reader, writer):
        writer.write(f"GET /v1/files/{file_id}/content HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await asyncio.sleep(2)
        received = len(await closed_within(reader, 20))
    assert received < 24 * 2**20


async def test_headers_have_a_limit(guarded: httpx.AsyncClient) -> None:
    async with raw(guarded) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 20_000)
        answer = await closed_within(reader, 10)
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""


async def test_a_hundred_crawlers_keep_nobody_out(guarded: httpx.AsyncClient) -> None:
    crawlers = [
        await asyncio.open_connection("127.0.0.1", guarded.base_url.port) for _ in range(100)
    ]
    for _, writer in crawlers:
        writer.write(b"GET / HTTP/1.1\r\nX: ")
    response = await guarded.get("/health/live")
    assert response.status_code == 200
    for reader, writer in crawlers:
        assert await closed_within(reader, 10) == b""
        writer.close()

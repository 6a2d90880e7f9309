"""Hostile HTTP, forms and JSON on a real socket: an answer each, and the next request is served."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import serve, serve_on_a_port
from tests.odd_pictures import grey, photo


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    data = tmp_path_factory.mktemp("data")
    async with serve(data) as gateway, serve_on_a_port(gateway) as connected:
        yield connected
        assert (await connected.get("/health/ready")).status_code == 200


def part(name: str, content: bytes, filename: bytes = b"p.png", boundary: bytes = b"x") -> bytes:
    head = b'Content-Disposition: form-data; name="' + name.encode() + b'"'
    head += b'; filename="' + filename + b'"' if filename else b""
    return b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


@dataclass(frozen=True)
class HostileForm:
    name: str
    body: bytes
    status: set[int]
    content_type: str = "multipart/form-data; boundary=x"


_END = b"--x--\r\n"
_BOUNDARY_OF_70_KB = "multipart/form-data; boundary=" + "b" * 70_000
_ODD_CHARSET = "multipart/form-data; boundary=x; charset=utf-7"
_LONG_HEAD = b"--x\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"

FORMS = [
    HostileForm("no boundary", part("file", photo()), {400}, "multipart/form-data"),
    HostileForm("boundary of 70 kB", b"--x--", {400, 413, 431}, _BOUNDARY_OF_70_KB),
    HostileForm("10000 parts", part("file", b"a") * 10_000 + _END, {400}),
    HostileForm("10000 fields", part("file", b"a", b"") * 10_000 + _END, {400}),
    HostileForm(
        "form in a form",
        part("file", b"Content-Type: multipart/form-data; boundary=y\r\n\r\n--y--") + _END,
        {415},
    ),
    HostileForm("file twice", part("file", photo()) + part("file", photo()) + _END, {201}),
    HostileForm("not a form", photo(), {400, 422}),
    HostileForm("field for a file", part("file", b"hello", b"") + _END, {422}),
    HostileForm("charset", part("file", photo()) + _END, {201}, _ODD_CHARSET),
    HostileForm("headers of 600 kB", _LONG_HEAD + _END, {400, 413}),
]
NAMES = [
    b"../../etc/passwd",
    b"a\0b.png",
    b"x" * 5000,
    "\u202egnp.exe".encode(),
    b"CON",
    b"",
    b"\xff\xfe",
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
async def test_forms(client: httpx.AsyncClient, form: HostileForm) -> None:
    headers = {"Content-Type": form.content_type}
    response = await client.post("/v1/files", content=form.body, headers=headers)
    assert response.status_code in form.status, response.text
    assert "Traceback" not in response.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_form_without_an_end(client: httpx.AsyncClient) -> None:
    """Starlette leaves the unfinished part's temporary file to the garbage collector."""
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await client.post("/v1/files", content=part("file", photo()), headers=headers)
    assert response.status_code in (400, 422), response.text
    gc.collect()


@pytest.mark.parametrize("name", NAMES, ids=repr)
async def test_the_name_of_a_file_goes_nowhere(client: httpx.AsyncClient, name: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = part("file", photo(), name or b"") + _END
    response = await client.post("/v1/files", content=body, headers=headers)
    assert response.status_code in (201, 400, 422), response.text
    assert "etc" not in response.text
    if response.status_code == 201:
        assert response.json()["id"].startswith("file_")


async def answer_to(client: httpx.AsyncClient, raw: bytes, *, close: bool = False) -> bytes:
    """What a bare socket gets; empty where the server hangs up."""
    port = client.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        await writer.drain()
        if close:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read(400)
    finally:
        writer.close()


HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BODY = b'{"task": "generate", "prompt": "x"}'


async def test_a_body_shorter_than_announced(client: httpx.AsyncClient) -> None:
    said = await answer_to(client, HEAD + b"Content-Length: 500\r\n\r\n" + BODY, close=True)
    assert not said.startswith(b"HTTP/1.1 2")
    assert not said.startswith(b"HTTP/1.1 5")


async def test_a_body_longer_than_announced(client: httpx.AsyncClient) -> None:
    length = str(len(BODY)).encode()
    raw = HEAD + b"Content-Length: " + length + b"\r\nConnection: close\r\n\r\n" + BODY + b"JUNK"
    assert (await answer_to(client, raw)).startswith((b"HTTP/1.1 202", b"HTTP/1.1 400"))


async def test_two_lengths_smuggle_nothing(client: httpx.AsyncClient) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    raw = HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + hidden
    said = await answer_to(client, raw)
    assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 422"))


async def test_a_negative_length(client: httpx.AsyncClient) -> None:
    assert (await answer_to(client, HEAD + b"Content-Length: -5\r\n\r\n")).startswith(
        b"HTTP/1.1 400"
    )


async def test_squeezed_bodies_are_not_unpacked(client: httpx.AsyncClient) -> None:
    squeezed = gzip.compress(b'{"task": "generate", "prompt": "' + b"x" * 10**7 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await client.post("/v1/jobs", content=squeezed, headers=headers)
    assert response.status_code == 400


async def test_a_charset_that_is_none(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json; charset=utf-99"}
    response = await client.post("/v1/jobs", content=BODY, headers=headers)
    assert response.status_code in (202, 400, 415)


TEXTS: list[tuple[str, Any, set[int]]] = [
    ("deep list", "[" * 100_000 + "]" * 100_000, {400}),
    ("deep metadata", '{"a":' * 100_000 + "1" + "}" * 100_000, {400}),
    ("NaN", '{"task":"generate","prompt":"x","true_cfg_scale":NaN}', {400, 422}),
    ("infinity", '{"task":"generate","prompt":"x","true_cfg_scale":1e999}', {400, 422}),
    ("huge integer", '{"task":"generate","prompt":"x","seed":' + "9" * 4000 + "}", {400, 422}),
    ("twice the same key", '{"task":"generate","prompt":"x","task":"paint"}', {422}),
    ("lone surrogate", '{"task":"generate","prompt":"\\ud800"}', {422}),
    ("prompt of 1 MB", json.dumps({"task": "generate", "prompt": "x" * 2**20}), {422}),
    ("NUL in the prompt", json.dumps({"task": "generate", "prompt": "a\0b"}), {202, 400, 422}),
    ("steps of true", '{"task":"generate","prompt":"x","num_inference_steps":true}', {422}),
    ("steps of 2.5", '{"task":"generate","prompt":"x","num_inference_steps":2.5}', {422}),
    ("steps of 2^31", '{"task":"generate","prompt":"x","num_inference_steps":2147483648}', {422}),
    ("size of 0", '{"task":"generate","prompt":"x","size":"0x0"}', {422}),
    ("size below 0", '{"task":"generate","prompt":"x","size":"-1x64"}', {422}),
    ("bad base64", '{"task":"edit","prompt":"x","image":"data:image/png;base64,@@@@"}', {400}),
    ("huge bad base64", '{"task":"edit","prompt":"x","image":"data:image/png;base64,'
     + "A" * 2**22 + '"}', {415}),
    ("blob URL", '{"task":"edit","prompt":"x","image":"blob:http://localhost/1"}', {404}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "status"), TEXTS, ids=[name for name, *_ in TEXTS])
async def test_json(client: httpx.AsyncClient, name: str, text: str, status: set[int]) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/v1/jobs", content=text, headers=headers)
    assert response.status_code in status, response.text[:500]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (grey(0), "mask_empty"),
        (grey(255), "mask_full"),
        (grey(255, 300, 90), "mask_size"),
        (lambda: b"mask", "unsupported_format"),
    ],
)
async def test_masks(client: httpx.AsyncClient, make: Any, code: str) -> None:
    response = await client.post(
        "/v1/jobs",
        data={"task": "remove"},
        files={"image": photo(), "mask": make()},
    )
    assert response.status_code in (400, 415), response.text
    assert response.json()["code"] == code

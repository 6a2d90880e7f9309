"""Webhooks: signed, tried again, replayed, and never sent to a private address."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import InvalidRequestError
from gateway.jobs.job_database import JobDatabase
from gateway.webhooks import webhook_store
from gateway.webhooks.webhook_guard import WebhookGuard
from tests.gateway.conftest import serve, until
from tests.gateway.problems import assert_problem

KEY = b"a key of at least 24 bytes"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
CAT = {"task": "generate", "prompt": "a cat", "num_inference_steps": 1}


@dataclass
class Receiver:
    """An HTTP server that answers with `statuses`, then 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    location: str = ""
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.messages.append((headers, body))
        status = self.statuses.pop(0) if self.statuses else 204
        location = f"Location: {self.location}\r\n" if status == 307 else ""
        writer.write(f"HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[Receiver]:
    found = Receiver(statuses=list(statuses))
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=1"
    async with server:
        yield found


async def arrived(hook: Receiver, count: int) -> None:
    async def enough() -> bool:
        return len(hook.messages) >= count

    await until(enough, timeout_s=10)


def settings(**others: Any) -> dict[str, Any]:
    return {"webhook_secret": SECRET, "webhook_allow_private": True, **others}


async def test_the_end_of_a_job_is_told_and_signed(tmp_path: Path) -> None:
    async with receiver() as hook, serve(tmp_path, **settings()) as gateway:
        job = await gateway.finish(**CAT, webhook=hook.url)
        await arrived(hook, 1)
    headers, body = hook.messages[0]
    message = json.loads(body)
    assert message["type"] == "job.succeeded"
    assert message["data"]["job"]["output"] == job["output"]
    assert headers["webhook-id"] == message["id"]
    signed = f"{message['id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    # header values were lowered by the receiver
    assert headers["webhook-signature"] == f"v1,{expected}".lower()


async def test_a_message_that_was_refused_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_store, "DELAYS_S", (0.01, 0.01))
    async with receiver(500, 503) as hook, serve(tmp_path, **settings()) as gateway:
        await gateway.finish(**CAT, webhook=hook.url)
        await arrived(hook, 3)
    assert len({headers["webhook-id"] for headers, _ in hook.messages}) == 1


async def test_after_its_last_try_a_message_waits_for_its_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_store, "DELAYS_S", (0.01,))
    async with receiver(500, 500) as hook, serve(tmp_path, **settings()) as gateway:
        job = await gateway.finish(**CAT, webhook=hook.url)
        await arrived(hook, 2)
        await asyncio.sleep(1.5)
        assert len(hook.messages) == 2
        database = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
        webhook_store.replay(database, job["id"])
        await arrived(hook, 3)
        database.close()


async def test_a_redirect_is_checked_like_an_address(tmp_path: Path) -> None:
    async with receiver(307) as hook, serve(tmp_path, **settings()) as gateway:
        hook.location = "/elsewhere"
        await gateway.finish(**CAT, webhook=hook.url)
        await arrived(hook, 2)
    async with receiver(307) as hook, serve(tmp_path, **settings()) as gateway:
        hook.location = "ftp://example.com/"
        await gateway.finish(**CAT, webhook=hook.url)
        await arrived(hook, 1)
        await asyncio.sleep(0.3)
        assert len(hook.messages) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https://user:word@example.com/",
        "https://127.0.0.1/",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fd00::1]/",
        "https://example.com:99999/",
    ],
)
async def test_a_private_or_odd_address_is_refused_at_submission(tmp_path: Path, url: str) -> None:
    async with serve(tmp_path, webhook_secret=SECRET) as gateway:
        answer = await gateway.client.post("/v1/jobs", json={**CAT, "webhook": url})
        assert answer.status_code == 400
        assert assert_problem(answer)["errors"][0]["pointer"] == "/webhook"


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.1"])
async def test_a_name_for_a_private_address_is_refused_when_it_is_resolved(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"not a public address|no address"):
        await WebhookGuard().resolve(f"https://{name}/")


async def test_without_a_secret_webhooks_are_off(tmp_path: Path) -> None:
    async with serve(tmp_path) as gateway:
        body = {**CAT, "webhook": "https://example.com/"}
        answer = await gateway.client.post("/v1/jobs", json=body)
        assert answer.status_code == 400
        assert assert_problem(answer)["code"] == "unsupported_value"


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_YWJj", "?"])
def test_a_secret_that_is_none_is_refused_at_the_start(secret: str) -> None:
    from gateway.settings import Settings

    with pytest.raises(ValueError, match="webhook secret"):
        Settings(webhook_secret=secret)

"""The gateway in this process, on a model server in memory."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.http.gathered_polls import PollGathering
from gateway.http.http_server import server_options
from gateway.inference_fake import FakeBackend
from gateway.jobs.job_engine import JobEngine
from gateway.jobs.job_engine_memory import MemoryEngine
from gateway.keys.api_key import KeyScope
from gateway.keys.key_store import KeyStore
from gateway.settings import Settings
from tests.gateway.held_jobs import close_queues
from tests.gateway.log_watch import LogWatch
from tests.gateway.picture_shelf import Shelf, open_shelf
from tests.private_postgres import PrivatePostgres
from tests.private_s3 import PrivateS3


@dataclass(frozen=True)
class Gateway:
    """A running app, a client of it, and the backend behind it."""

    app: FastAPI
    backend: FakeBackend
    client: httpx.AsyncClient

    async def upload(self, data: bytes) -> str:
        response = await self.client.post("/v1/files", files={"file": data})
        assert response.status_code == 201, response.text
        return response.json()["id"]

    async def submit(self, **fields: Any) -> dict[str, Any]:
        response = await self.client.post("/v1/jobs", json=fields)
        assert response.status_code == 202, response.text
        return response.json()

    async def finish(self, **fields: Any) -> dict[str, Any]:
        """Submit and wait for the end."""
        job = await self.submit(**fields)
        return (await self.client.get(job["urls"]["self"], params={"wait": 20})).json()

    async def result(self, job: dict[str, Any]) -> bytes:
        return (await self.client.get(job["urls"]["result"])).content

    async def events(self, job: dict[str, Any], **headers: str) -> str:
        return (await self.client.get(job["urls"]["events"], headers=headers)).text


@asynccontextmanager
async def serve(
    data_dir: Path,
    backend: FakeBackend | None = None,
    *,
    engine: JobEngine | None = None,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """The app with its lifespan, after the first canary round."""
    backend = backend or FakeBackend()
    defaults = {"canary_interval_s": 0.05, "drain_s": 0, "progress_interval_s": 0}
    chosen = Settings(data_dir=data_dir, **defaults | settings)
    engine = engine or MemoryEngine(jobs_per_model=chosen.jobs_per_model)
    app = create_app(chosen, backend=backend, engine=engine)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://retouch", timeout=30) as client,
    ):
        gateway = Gateway(app, backend, client)
        await until(lambda: _canaries_sent(app))
        yield gateway


@asynccontextmanager
async def serve_on_a_port(
    gateway: Gateway, *, gathering: PollGathering | None = None, **limits: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The same app through a socket as `retouch serve` does it; streams arrive in pieces."""
    guards = server_options(Settings(**limits))
    guards["http"].gathering = gathering if gathering is not None else PollGathering()
    config = uvicorn.Config(
        gateway.app, port=0, lifespan="off", log_level="warning", log_config=None, **guards
    )
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: _true(server.started))
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        await serving


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = 5.0) -> None:
    """Ask again and again, as a client would."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _canaries_sent(app: FastAPI) -> bool:
    return app.state.services.catalog.age_s is not None


async def _true(value: bool) -> bool:
    return value


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_log() -> Iterator[LogWatch]:
    """Over the whole run: keys and pictures are in no log line of ours."""
    watch = LogWatch()
    ours = logging.getLogger("gateway")
    level = ours.level
    ours.addHandler(watch)
    ours.setLevel(logging.DEBUG)
    yield watch
    ours.removeHandler(watch)
    ours.setLevel(level)
    assert not watch.leaks


@pytest.fixture(scope="session")
def private_s3() -> Iterator[PrivateS3]:
    """An S3-compatible store with a bucket `retouch`."""
    store = PrivateS3()
    try:
        store.make_bucket("retouch")
        yield store
    finally:
        store.stop()


@pytest.fixture
def s3_url(private_s3: PrivateS3, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty image store there, with what its clients read in the environment."""
    for name, value in private_s3.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://retouch/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def private_postgres() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a job database of each kind, without tables."""
    if request.param == "postgres":
        server: PrivatePostgres = request.getfixturevalue("private_postgres")
        return server.url(f"s{uuid.uuid4().hex}")
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def shelf(store_url: str, tmp_path: Path) -> Iterator[Shelf]:
    """Stored pictures beside a job database of each kind."""
    with open_shelf(tmp_path / "images", store_url) as opened:
        yield opened


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with serve(tmp_path) as served:
        yield served


@dataclass(frozen=True)
class Keyed:
    """A gateway that needs keys; headers of three holders, and of nobody."""

    gateway: Gateway
    texts: dict[str, str]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.gateway.client

    def headers(self, who: str) -> dict[str, str]:
        text = self.texts.get(who)
        return {"Authorization": f"Bearer {text}"} if text else {}


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Keyed]:
    store = KeyStore.in_folder(tmp_path)
    texts = {
        "ann": store.create("ann")[1],
        "bob": store.create("bob")[1],
        "admin": store.create("admin", scope=KeyScope.ADMIN)[1],
        "slow": store.create("slow", requests_per_minute=3)[1],
        "small": store.create("small", megapixels_per_minute=0.01)[1],
    }
    store.close()
    async with serve(tmp_path, FakeBackend(step_s=0.01)) as gateway:
        yield Keyed(gateway, texts)


@pytest.fixture(autouse=True)
async def _queues_closed() -> AsyncIterator[None]:
    yield
    await close_queues()

"""The supervisor over a backend in memory: what is mended, what is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.errors import ModelUnavailableError, RetouchError
from gateway.inference import ModelHealth
from gateway.inference_fake import FakeBackend
from gateway.model_catalog import ModelCatalog
from gateway.triton.triton_errors import NO_VERSION
from gateway.triton.triton_supervisor import TritonSupervisor


class Recorded(FakeBackend):
    """Notes loads, and answers canaries as told."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.slow: set[str] = set()
        self.failures: dict[str, RetouchError] = {}
        self.hiccups: list[str] = []
        """Models that fail one canary."""

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        if model in self.slow:
            return ModelHealth(model, ready=False, detail="no answer", slow=True)
        if model in self.hiccups:
            self.hiccups.remove(model)
            return ModelHealth(model, ready=False, detail="version 1 is not found")
        return await super().check(model, timeout_s=timeout_s)

    async def load(self, model: str) -> None:
        self.loads.append(model)
        if model in self.failures:
            raise self.failures[model]
        await super().load(model)


class AliveServer:
    """A server that runs; only what the supervisor asks of it."""

    grpc_url = http_url = metrics_url = "127.0.0.1:1"
    pid = 1
    restarts = 0

    def is_alive(self) -> bool:
        return True

    def restart(self) -> None:
        self.restarts += 1

    def stop(self) -> None:
        """Nothing runs."""


@asynccontextmanager
async def watched(
    backend: Recorded, folder: Path
) -> AsyncIterator[tuple[ModelCatalog, TritonSupervisor, AliveServer]]:
    catalog, server = ModelCatalog(), AliveServer()
    supervisor = TritonSupervisor(
        backend,
        catalog,
        server,  # type: ignore[arg-type]
        card=folder / "triton.json",
        interval_s=0.01,
        timeout_s=1,
    )
    supervisor.start()
    try:
        await asyncio.sleep(0.05)
        yield catalog, supervisor, server
    finally:
        await supervisor.stop()


async def test_a_dead_model_is_loaded_again(tmp_path: Path) -> None:
    backend = Recorded()
    async with watched(backend, tmp_path) as (catalog, _, _):
        backend.loaded.discard("fastsam")
        await asyncio.sleep(0.1)
        assert backend.loads == ["fastsam"]
        assert catalog.ready


async def test_a_slow_model_is_left_at_work_and_stays_ready(tmp_path: Path) -> None:
    backend = Recorded()
    async with watched(backend, tmp_path) as (catalog, _, _):
        backend.slow.add("qwen_image")
        await asyncio.sleep(0.05)
        assert backend.loads == []
        assert catalog.ready
        entry = catalog.get("qwen_image")
        assert entry is not None
        assert entry.detail == "no answer"


async def test_a_model_slow_for_too_long_is_reloaded(tmp_path: Path) -> None:
    backend = Recorded()
    async with watched(backend, tmp_path) as (_, _, server):
        backend.slow.add("qwen_image")
        await asyncio.sleep(0.6)
        assert "qwen_image" in backend.loads
        assert server.restarts >= 1


async def test_what_an_operator_unloaded_stays_unloaded(tmp_path: Path) -> None:
    backend = Recorded()
    async with watched(backend, tmp_path) as (catalog, supervisor, _):
        await supervisor.unload("fastsam")
        await asyncio.sleep(0.1)
        assert backend.loads == []
        assert not catalog.ready
        await supervisor.load("fastsam")
        await asyncio.sleep(0.05)
        assert catalog.ready


async def test_a_model_without_a_version_is_left_alone_until_it_was_promoted(
    tmp_path: Path,
) -> None:
    backend = Recorded()
    backend.loaded.discard("qwen_image")
    backend.failures["qwen_image"] = ModelUnavailableError("nothing there", code=NO_VERSION)
    async with watched(backend, tmp_path) as (catalog, _, server):
        await asyncio.sleep(0.1)
        assert (backend.loads, server.restarts) == (["qwen_image"], 0)
        assert not catalog.ready
        backend.failures.clear()
        backend.loaded.add("qwen_image")
        await asyncio.sleep(0.05)
        assert catalog.ready
        backend.loaded.discard("qwen_image")
        await asyncio.sleep(0.1)
        assert backend.loads == ["qwen_image"] * 2
        assert catalog.ready


async def test_the_server_is_not_restarted_for_a_model_that_never_answered(tmp_path: Path) -> None:
    backend = Recorded()
    backend.loaded.discard("fastsam")
    backend.failures["fastsam"] = ModelUnavailableError("no such file")
    async with watched(backend, tmp_path) as (_, _, server):
        await asyncio.sleep(0.1)
        assert len(backend.loads) > 3
        assert server.restarts == 0


async def test_a_model_that_fails_one_canary_is_left_at_work(tmp_path: Path) -> None:
    """As when a promotion takes a version away that the last manifest names."""
    backend = Recorded()
    async with watched(backend, tmp_path) as (catalog, _, _):
        backend.hiccups.append("fastsam")
        await asyncio.sleep(0.1)
        assert backend.hiccups == []
        assert backend.loads == []
        assert catalog.ready

"""Keeps the model server alive: starts it, loads models, sends canaries, mends what died.

A killed model process is never restarted by Triton, and its ready probe stays green. A canary
tells, or, where a model has several processes, a look at them twice a second. Then: unload and
load the model; if that fails twice in a row, restart the server. A server that exited is restarted
at once. A model that never answered is loaded again and again, but the server is not restarted for
it: a repository may lack it. One that has no version there is left alone until it was promoted.
With an external Triton only the canaries are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

from gateway.errors import RetouchError
from gateway.inference import InferenceBackend, ModelHealth
from gateway.model_catalog import ModelCatalog
from gateway.triton.model_processes import ModelProcesses, processes_of
from gateway.triton.triton_errors import NO_VERSION
from gateway.triton.triton_server import TritonServer

logger = logging.getLogger(__name__)
_TRIES_BEFORE_RESTART = 2
_SLOW_ROUNDS_BEFORE_RELOAD = 12
"""A stage at work on a large picture leaves canaries waiting; reloading it would fail its jobs.
With the default timeout of 10 s a model that hangs is reloaded after two minutes."""
_LOOK_S = 0.5
"""Time between two looks at the processes."""
_EXCHANGE_S = 0.5
"""The instances of a model that is unloaded or loaded end and begin one after the other."""
_LEFT_OVER_LOOKS = 20
"""What the other instances had at work is done by then."""


class TritonSupervisor:
    """Background tasks that watch a backend and, when it is ours, its server.

    `card` is a file that says where our server listens and which process it is.
    """

    def __init__(
        self,
        backend: InferenceBackend,
        catalog: ModelCatalog,
        server: TritonServer | None,
        *,
        card: Path,
        interval_s: float,
        timeout_s: float,
    ) -> None:
        self._backend = backend
        self.catalog = catalog
        self._server = server
        self._processes = ModelProcesses()
        self._card = card
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._reloads: Counter[str] = Counter()
        self._slow_rounds: Counter[str] = Counter()
        self._unloaded: set[str] = set()
        """Models an operator unloaded: they are left alone."""
        self._absent: set[str] = set()
        """Models of which the repository has no version."""
        self._proven: set[str] = set()
        """Models that have answered a canary."""
        self._mending = asyncio.Lock()
        """Held while models are unloaded and loaded."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch; models load in the background."""
        self._write_card()
        self._tasks = [asyncio.create_task(self._watch(), name="triton-supervisor")]
        if self._server is not None:
            watch = self._watch_processes(self._server)
            self._tasks.append(asyncio.create_task(watch, name="triton-processes"))

    async def stop(self) -> None:
        """Stop watching, then stop the server when it is ours."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    async def load(self, model: str) -> None:
        """Load a model on behalf of an operator."""
        await self._backend.load(model)
        self._unloaded.discard(model)

    async def unload(self, model: str) -> None:
        """Unload a model on behalf of an operator; it stays so until it is loaded again."""
        self._unloaded.add(model)
        await self._backend.unload(model)

    async def _watch(self) -> None:
        while True:
            try:
                await self._round()
            except RetouchError as error:
                logger.warning("watching failed: %s", error.message, extra={"event": "watch"})
            except Exception:
                logger.exception("watching failed", extra={"event": "watch"})
            await asyncio.sleep(self._interval_s)

    async def _round(self) -> None:
        if self._server is not None and not self._server.is_alive():
            await self._restart("it exited")
        health = await self._health()
        self.catalog.update(health)
        self._proven.update(entry.name for entry in health if entry.ready)
        self._absent -= self._proven
        left_alone = self._unloaded | self._absent
        sick = [e.name for e in health if not e.ready and e.name not in left_alone]
        if self._server is not None and sick:
            async with self._mending:
                await self._mend(sick)
        self._reloads = Counter({name: self._reloads[name] for name in sick})

    async def _health(self) -> list[ModelHealth]:
        """One round; a model that was well and fails is asked a second time.

        A promotion in the middle of a round unloads versions that the round's manifests still
        name; loading their model again would fail the jobs of the new ones.
        """
        health = [self._with_patience(entry) for entry in await self._check_all()]
        well = {entry.name for entry in self.catalog.models if entry.ready}
        if all(entry.ready or entry.slow or entry.name not in well for entry in health):
            return health
        again = {entry.name: entry for entry in await self._check_all() if not entry.slow}
        return [again.get(entry.name, entry) for entry in health]

    async def _watch_processes(self, server: TritonServer) -> None:
        """Load models anew that lost a process; their canaries may be answered by another one."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                bereaved = await self._bereaved(server)
                if bereaved:
                    await asyncio.sleep(_EXCHANGE_S)
                    bereaved &= await self._bereaved(server)
                for name in sorted(bereaved & self._proven - self._unloaded):
                    await self._exchange(server, name)
            except Exception:
                logger.exception("watching failed", extra={"event": "watch"})

    async def _bereaved(self, server: TritonServer) -> set[str]:
        if server.pid is None:
            return set()
        return await asyncio.to_thread(self._processes.bereaved, server.pid)

    async def _exchange(self, server: TritonServer, name: str) -> None:
        logger.warning("%s lost a process", name, extra={"event": "process_lost", "model": name})
        async with self._mending:
            old = await asyncio.to_thread(processes_of, name, server.pid or 0)
            self._processes.forget(name)
            await self._load_anew(name, unload=True)
        await self._end_left_over(server, name, old)

    async def _end_left_over(self, server: TritonServer, name: str, old: set[int]) -> None:
        """Triton keeps a process while it still counts a request of the one that died."""
        for _ in range(_LEFT_OVER_LOOKS):
            await asyncio.sleep(_EXCHANGE_S)
            old &= await asyncio.to_thread(processes_of, name, server.pid or 0)
            if not old:
                return
        for pid in old:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _with_patience(self, entry: ModelHealth) -> ModelHealth:
        """A model that is slow stays what it was, until it has been slow for too long."""
        self._slow_rounds[entry.name] = self._slow_rounds[entry.name] + 1 if entry.slow else 0
        before = self.catalog.get(entry.name)
        if not entry.slow or before is None:
            return entry
        if self._slow_rounds[entry.name] >= _SLOW_ROUNDS_BEFORE_RELOAD:
            return entry
        return replace(before, detail=entry.detail)

    async def _check_all(self) -> list[ModelHealth]:
        """Pipelines first, since what they say tells how to ask the stages."""
        names = await self._backend.model_names()
        return [await self._backend.check(name, timeout_s=self._timeout_s) for name in names]

    async def _mend(self, sick: list[str]) -> None:
        in_vain = {name for name in sick if self._reloads[name] >= _TRIES_BEFORE_RESTART}
        if in_vain & self._proven:
            await self._restart(f"{', '.join(sick)} did not recover")
            return
        await asyncio.gather(*(self._reload(name) for name in sick))
        self.catalog.update(await self._check_all())

    async def _reload(self, name: str) -> None:
        """Unload what may be half dead, then load."""
        known = self._reloads[name] > 0 or any(entry.manifest for entry in self.catalog.models)
        self._reloads[name] += 1
        logger.info("loading %s", name, extra={"event": "model_load", "model": name})
        await self._load_anew(name, unload=known)

    async def _load_anew(self, name: str, *, unload: bool) -> None:
        try:
            if unload:
                await self._backend.unload(name)
            await self._backend.load(name)
        except RetouchError as error:
            logger.warning("%s: %s", name, error.message, extra={"event": "model_load_failed"})
            if error.code == NO_VERSION:
                self._absent.add(name)

    async def _restart(self, reason: str) -> None:
        assert self._server is not None  # noqa: S101
        logger.error("restarting Triton: %s", reason, extra={"event": "triton_restart"})
        self.catalog.update([])
        self._reloads.clear()
        await asyncio.to_thread(self._server.restart)
        self._write_card()

    def _write_card(self) -> None:
        """Say where the server listens, for perf_analyzer and the curious."""
        if self._server is None:
            return
        addresses = {
            "grpc": self._server.grpc_url,
            "http": self._server.http_url,
            "metrics": self._server.metrics_url,
            "pid": self._server.pid,
        }
        self._card.write_text(json.dumps(addresses, indent=1))

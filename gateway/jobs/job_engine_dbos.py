"""The line as DBOS Transact keeps it, in SQLite or PostgreSQL; nothing else imports `dbos`.

A ticket is a workflow whose id is the job's and the ticket's number: to put it in line twice
is to put it in line once. DBOS is one instance per process, and so is this.

What of DBOS is not used: its streams and its cancel, since events and ends must be written in
one transaction with the job; its recovery of a dead peer's work, which the free edition lacks
(`job_upkeep.py` does it); its counting of attempts, which a resumed workflow loses.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from dbos._dbos import _get_dbos_instance
from dbos._error import DBOSException
from sqlalchemy.exc import DBAPIError

from gateway.errors import StoreUnavailableError
from gateway.jobs.empty_looks import spare_empty_looks
from gateway.jobs.job import Ticket
from gateway.jobs.job_engine import Run
from gateway.jobs.prepared_statements import prepare_statements
from gateway.jobs.queue_bells import QueueBells

P = ParamSpec("P")
R = TypeVar("R")
APPLICATION_VERSION = "1"
"""Of the workflow below. DBOS hands a workflow only to workers with the same one."""
POLLING_S = 0.1
QUIET_POLLING_S = 0.5
"""Of all workers, while no job is live: looking costs each of them processor time."""
_LIVE = ["ENQUEUED", "DELAYED", "PENDING"]
_ENDED = ["SUCCESS", "ERROR", "CANCELLED"]
_FORGET_AT_ONCE = 1000
_running: dict[str, Run] = {}
"""How this process works on a ticket, under the key "run" while it does."""


@DBOS.workflow(name="retouch_job", max_recovery_attempts=None)
async def _retouch_job(job_id: str, number: int, model: str, order: int) -> None:
    run = _running.get("run")
    if run is None:
        # Claimed in the moment of stopping: it stays pending, and the next start recovers it.
        raise asyncio.CancelledError
    await run(Ticket(job_id, number, model, order))


class DbosEngine:
    """Queues `jobs-<model>` in the job database."""

    def __init__(
        self,
        url: str,
        *,
        worker_id: str,
        models: Iterable[str],
        jobs_per_model: int,
        polling_s: float = POLLING_S,
    ) -> None:
        self._url = url
        self._worker_id = worker_id
        self._models = tuple(models)
        self._jobs_per_model = jobs_per_model
        self._polling_s = polling_s
        self._threads = ThreadPoolExecutor(4, "job-engine")
        self._quiet = False
        self._launched = False
        self._bells: QueueBells | None = None
        """Of the queues that this process works on."""

    async def start(self, run: Run | None) -> None:
        """Launch DBOS, which recovers what a process with this worker id left behind."""
        if run is not None:
            _running["run"] = run
        config: DBOSConfig = {
            "name": "retouch",
            "system_database_url": self._url,
            "executor_id": self._worker_id,
            "application_version": APPLICATION_VERSION,
            "log_level": "ERROR",
            "sys_db_pool_size": 8,
            "db_engine_kwargs": _engine_options(self._url),
        }
        DBOS(config=config)
        DBOS.listen_queues([_queue(model) for model in self._models] if run else [])
        with _translated(), _undone_on_failure():
            # On the loop's own thread, so that workflows run on this loop; nothing waits yet.
            DBOS.launch()
            system = _get_dbos_instance()._sys_db
            prepare_statements(system)
            spare_empty_looks(system)
            await self._in_thread(self._register_queues)
            if run is not None:
                self._bells = QueueBells(_get_dbos_instance(), map(_queue, self._models))
        self._launched = True

    async def enqueue(self, ticket: Ticket) -> None:
        """Put a ticket in line."""
        await self.pace(quiet=False)
        await self._in_thread(_enqueue, ticket)
        if self._bells is not None:
            self._bells.ring(_queue(ticket.model))

    async def claimed_by(self, workers: Collection[str]) -> list[Ticket]:
        """Workflows that these executors took."""
        return await self._in_thread(_claimed_by, list(workers))

    async def lost(self, tickets: Collection[Ticket]) -> list[Ticket]:
        """Workflows that are unknown or have ended."""
        return await self._in_thread(_lost, list(tickets))

    async def forget_used(self, *, older_than_s: float) -> None:
        """Delete workflows that ended; DBOS itself keeps them for ever."""
        await self._in_thread(_forget_used, older_than_s)

    async def pace(self, *, quiet: bool) -> None:
        """Set how often workers look; DBOS keeps it in the database, for all of them."""
        if quiet != self._quiet:
            interval_s = max(self._polling_s, QUIET_POLLING_S) if quiet else self._polling_s
            await self._in_thread(_set_polling, self._models, interval_s)
            self._quiet = quiet

    async def stop(self, *, drain_s: float) -> None:
        """Stop the queues' threads, wait for workflows, let go of the database."""
        if self._launched:
            self._launched = False
            stopping = asyncio.get_running_loop().run_in_executor(
                self._threads,
                lambda: DBOS.destroy(workflow_completion_timeout_sec=int(drain_s)),
            )
            await stopping
        _running.clear()
        self._threads.shutdown(wait=False)

    def _register_queues(self) -> None:
        for model in self._models:
            DBOS.register_queue(
                _queue(model),
                worker_concurrency=self._jobs_per_model,
                polling_interval_sec=self._polling_s,
                on_conflict="always_update",
            )

    async def _in_thread(self, work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        def translated() -> R:
            with _translated():
                return work(*args, **options)

        return await asyncio.get_running_loop().run_in_executor(self._threads, translated)


class _Unflushed(sqlite3.Connection):
    """Commits wait for the disk only together with those of the job store, which are for good.

    Both write to one log. If the machine loses its power, what is left of that is as if every
    process had been killed a moment earlier; what clients were told is in the store's commits.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.execute("PRAGMA synchronous=NORMAL")


def _engine_options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"factory": _Unflushed}}
    return {"pool_pre_ping": True}  # a server may have closed a connection


def _queue(model: str) -> str:
    return f"jobs-{model}"


def _workflow_id(ticket: Ticket) -> str:
    return f"{ticket.job_id}:{ticket.number}"


def _enqueue(ticket: Ticket) -> None:
    with SetWorkflowID(_workflow_id(ticket)), SetEnqueueOptions(priority=ticket.order):
        DBOS.enqueue_workflow(
            _queue(ticket.model),
            _retouch_job,
            ticket.job_id,
            ticket.number,
            ticket.model,
            ticket.order,
        )


def _set_polling(models: tuple[str, ...], interval_s: float) -> None:
    for model in models:
        if queue := DBOS.retrieve_queue(_queue(model)):
            queue.set_polling_interval_sec(interval_s)


def _claimed_by(workers: list[str]) -> list[Ticket]:
    found = DBOS.list_workflows(
        status="PENDING", executor_id=workers, queues_only=True, load_output=False
    )
    return [Ticket(*workflow.input["args"]) for workflow in found if workflow.input]


def _lost(tickets: list[Ticket]) -> list[Ticket]:
    ids = [_workflow_id(ticket) for ticket in tickets]
    live = DBOS.list_workflows(workflow_ids=ids, status=_LIVE, load_input=False, load_output=False)
    known = {workflow.workflow_id for workflow in live}
    return [ticket for ticket in tickets if _workflow_id(ticket) not in known]


def _forget_used(older_than_s: float) -> None:
    before = datetime.now(UTC) - timedelta(seconds=older_than_s)
    used = DBOS.list_workflows(
        status=_ENDED,
        end_time=before.isoformat(),
        limit=_FORGET_AT_ONCE,
        load_input=False,
        load_output=False,
    )
    if used:
        DBOS.delete_workflows([workflow.workflow_id for workflow in used])


@contextmanager
def _undone_on_failure() -> Iterator[None]:
    try:
        yield
    except Exception:
        DBOS.destroy()
        raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, DBOSException) as error:
        raise StoreUnavailableError("The job queue's database cannot be reached.") from error

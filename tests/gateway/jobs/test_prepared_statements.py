"""Statements prepared for SQLite write what DBOS' own write, and leave what is not ours."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos._dbos import _get_dbos_instance

from gateway.jobs import job_engine_dbos
from gateway.jobs.job import Ticket
from gateway.jobs.job_engine_dbos import DbosEngine
from gateway.jobs.prepared_statements import _Statement
from tests.gateway.conftest import until

pytestmark = pytest.mark.timeout(60)
SOON_S = 10.0
SELDOM_S = 30.0
"""The engine's own thread takes nothing that was not said to be there."""
ALWAYS_ANOTHER = {
    "created_at",
    "updated_at",
    "started_at_epoch_ms",
    "completed_at",
    "retention_timestamp",
    "creator_xid",
    "owner_xid",
}


class Held:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.let_go = asyncio.Event()

    async def run(self, ticket: Ticket) -> None:
        self.begun.put_nowait(ticket.job_id)
        await self.let_go.wait()


@asynccontextmanager
async def engine(
    folder: Path, held: Held, *, places: int = 1, polling_s: float = 0.1
) -> AsyncIterator[DbosEngine]:
    opened = DbosEngine(
        f"sqlite:///{folder}/jobs.db",
        worker_id="w",
        models=["m"],
        jobs_per_model=places,
        polling_s=polling_s,
    )
    await opened.start(held.run)
    try:
        yield opened
    finally:
        held.let_go.set()
        await opened.stop(drain_s=0)


def system() -> Any:
    return _get_dbos_instance()._sys_db


def rows(table: sa.Table) -> list[dict[str, Any]]:
    with system().engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def without_what_is_always_another(row: dict[str, Any]) -> dict[str, Any]:
    """With the size of a number in its place, so that seconds are no milliseconds."""
    return {
        name: len(str(value)) if name in ALWAYS_ANOTHER else value for name, value in row.items()
    }


def count_prepared(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of those that are prepared is executed."""
    counts: Counter[str] = Counter()
    run = _Statement.run

    def counted(statement: _Statement, *args: Any) -> Any:
        counts[statement._sql] += 1
        return run(statement, *args)

    monkeypatch.setattr(_Statement, "run", counted)
    return counts


async def ended(workflow: str) -> None:
    async def has_ended() -> bool:
        return system().get_workflow_status(workflow)["status"] != "PENDING"  # type: ignore[no-any-return]

    await until(has_ended, timeout_s=SOON_S)


async def written_by_two_jobs(folder: Path) -> list[Any]:
    """All rows while one runs and the other waits, and when both have ended."""
    held, seen = Held(), []
    async with engine(folder, held) as line:
        tables = system().tables
        looked_at = [tables.workflow_status, tables.workflow_input, tables.workflow_output]
        await line.enqueue(Ticket("a", 1, "m", 7))
        async with asyncio.timeout(SOON_S):
            await held.begun.get()
        await line.enqueue(Ticket("b", 1, "m", 8))  # for which there is no place
        seen.append([rows(table) for table in looked_at])
        held.let_go.set()
        await ended("a:1")
        async with asyncio.timeout(SOON_S):
            await held.begun.get()
        await ended("b:1")
        seen.append([rows(table) for table in looked_at])
    return [
        [[without_what_is_always_another(row) for row in table] for table in moment]
        for moment in seen
    ]


async def test_rows_are_those_that_dbos_writes_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prepared", "own"):
        (tmp_path / name).mkdir()
    executed = count_prepared(monkeypatch)
    prepared = await written_by_two_jobs(tmp_path / "prepared")
    # In line with its arguments, taken, ended with its result.
    assert executed.total() >= 2 * 5
    executed.clear()
    monkeypatch.setattr(job_engine_dbos, "prepare_statements", lambda _system: None)
    own = await written_by_two_jobs(tmp_path / "own")
    assert not executed
    assert prepared == own
    (running, waiting), _, _ = prepared[0]
    assert (running["status"], waiting["status"]) == ("PENDING", "ENQUEUED")
    assert {row["status"] for row in prepared[1][0]} == {"SUCCESS"}
    assert len(prepared[1][2]) == 2


async def test_what_waits_is_taken_by_order_room_and_version(tmp_path: Path) -> None:
    held = Held()
    async with engine(tmp_path, held, places=3, polling_s=SELDOM_S) as line:
        await line.enqueue(Ticket("first", 1, "m", 1))
        async with asyncio.timeout(SOON_S):
            await held.begun.get()
        queue = system().get_queue("jobs-m")
        mine: dict[str, Any] = {"owner_xid": "me", "is_latest_version": True}
        for name, order in [("late", 9), ("soon", 2), ("middle", 5), ("other", 7)]:
            job_engine_dbos._enqueue(Ticket(name, 1, "m", order))
        taken, full = system().start_queued_workflows(queue, "x", "1", None, 1, **mine)
        assert (taken, full) == (["soon:1", "middle:1"], None)
        none, full = system().start_queued_workflows(queue, "x", "1", None, 3, **mine)
        assert (none, full) == ([], "worker_concurrency")
        none, _ = system().start_queued_workflows(queue, "x", "another version", None, 1, **mine)
        assert none == []
        table = system().tables.workflow_status
        values = {"application_version": None, "workflow_timeout_ms": 5000}
        with system().engine.begin() as connection:
            waiting = sa.update(table).where(table.c.status == "ENQUEUED")
            connection.execute(waiting.values(values))
        old = {**mine, "is_latest_version": False}
        none, _ = system().start_queued_workflows(queue, "x", "another version", None, 2, **old)
        assert none == []
        taken, _ = system().start_queued_workflows(queue, "x", "another version", None, 2, **mine)
        assert taken == ["other:1"]
        row = system().get_workflow_status("other:1")
        left_ms = row["workflow_deadline_epoch_ms"] - 1000 * time.time()
        assert 0 < left_ms <= 5000


async def test_only_who_has_a_workflow_writes_its_end(tmp_path: Path) -> None:
    held = Held()
    async with engine(tmp_path, held) as line:
        await line.enqueue(Ticket("a", 1, "m", 1))
        async with asyncio.timeout(SOON_S):
            await held.begun.get()
        end = system().update_workflow_outcome
        assert not end("a:1", "SUCCESS", output="theirs", owner_xid="another")
        assert not end("unknown:1", "SUCCESS", output="theirs", owner_xid=None)
        assert rows(system().tables.workflow_output) == []
        assert end("a:1", "ERROR", error="mine", owner_xid=None)
        assert not end("a:1", "SUCCESS", output="twice", owner_xid=None)
        (kept,) = rows(system().tables.workflow_output)
        assert (kept["workflow_uuid"], kept["error"], kept["output"]) == ("a:1", "mine", None)


async def test_a_queue_with_a_limit_of_all_workers_is_left_to_dbos(tmp_path: Path) -> None:
    held = Held()
    async with engine(tmp_path, held, polling_s=SELDOM_S) as line:
        await line.enqueue(Ticket("a", 1, "m", 1))
        async with asyncio.timeout(SOON_S):
            await held.begun.get()
        job_engine_dbos._enqueue(Ticket("b", 1, "m", 2))
        queue = system().get_queue("jobs-m")
        queue._concurrency = 1
        found = system().start_queued_workflows(queue, "x", "1", None, 0, is_latest_version=True)
        assert found == ([], "concurrency")

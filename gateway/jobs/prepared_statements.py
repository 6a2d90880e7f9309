"""Has DBOS put its statements together once on SQLite too, as it does on PostgreSQL.

Each job costs it half a dozen statements, which it builds and compiles anew on SQLite: several
times what SQLite takes for them. Here the statements of a new workflow go through a cache, and the
claim and the end of one are prepared. They say what DBOS' own say, put together from its tables and
its predicates; the claim is one statement for a look and a change. There is no public hook for
that: these are methods of the release that is pinned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

Values = Mapping[str, Any]


def prepare_statements(system: Any) -> None:
    """Prepare those of a launched DBOS; on PostgreSQL it has done it.

    Args:
        system: its system database, whose methods are replaced.

    Raises:
        AttributeError: it is of another release, which has no such methods.
    """
    if system.engine.dialect.name != "sqlite":
        return
    replaced = {
        "_execute_prepared": _Prepared(system.engine).execute,
        "_update_workflow_outcome_in_transaction": _Ends(system).write,
        "start_queued_workflows": _Claims(system).take,
    }
    for name, own in replaced.items():
        getattr(system, name)  # another release may have none: then nothing would be replaced
        setattr(system, name, own)


class _Statement:
    """One that is compiled; what is bound to no name in it is part of it."""

    def __init__(self, engine: sa.Engine, built: Any, columns: list[str] | None = None) -> None:
        """`columns`: those that an INSERT gets; None for its own or another statement."""
        schemas = engine.get_execution_options().get("schema_translate_map")
        compiled = built.compile(
            dialect=engine.dialect,
            column_keys=columns,
            schema_translate_map=schemas,
            render_schema_translate=bool(schemas),
        )
        self._sql = str(compiled)
        self._names = tuple(compiled.positiontup)
        binds = {name: compiled.binds[name] for name in self._names}
        self._constants = {name: bind.value for name, bind in binds.items()}
        processors = {
            name: bind.type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
            for name, bind in binds.items()
        }
        self._processors = {name: made for name, made in processors.items() if made is not None}

    def run(self, connection: sa.Connection, values: Values) -> sa.CursorResult[Any]:
        """Execute with these values by name."""
        bound = {**self._constants, **values}
        for name, processor in self._processors.items():
            bound[name] = processor(bound[name])
        return connection.exec_driver_sql(self._sql, tuple(bound[name] for name in self._names))


class _Prepared:
    """Statements by name and columns, as DBOS asks for them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._statements: dict[tuple[str, ...], _Statement] = {}

    def execute(
        self,
        connection: Any,
        name: str,
        values: Values,
        build: Callable[[], Any],
        *,
        insert_columns: bool = True,
    ) -> Any:
        """As DBOS' own on PostgreSQL; `connection` may be a session of somebody else's engine."""
        own = connection.connection() if isinstance(connection, Session) else connection
        if own.engine is not self._engine:
            return connection.execute(build(), values)
        key = (name, *values)
        statement = self._statements.get(key)
        if statement is None:
            columns = list(values) if insert_columns else None
            statement = self._statements[key] = _Statement(self._engine, build(), columns)
        return statement.run(own, values)


class _Ends:
    """How a workflow's end is written."""

    def __init__(self, system: Any) -> None:
        self._engine: sa.Engine = system.engine
        status, output = system.tables.workflow_status, system.tables.workflow_output
        now_ms = system._now_ms_sql()
        mine = sa.update(status).where(
            status.c.workflow_uuid == sa.bindparam("workflow"), status.c.status == "PENDING"
        )
        owned = mine.where(status.c.owner_xid == sa.bindparam("owner"))
        ended = {
            "status": sa.bindparam("ended"),
            "deduplication_id": None,
            "owner_xid": None,
            "updated_at": now_ms,
            "completed_at": now_ms,
        }
        self._end = _Statement(self._engine, mine.values(ended))
        self._end_owned = _Statement(self._engine, owned.values(ended))
        insert = system.dialect.insert(output)
        kept = insert.on_conflict_do_update(
            index_elements=["workflow_uuid"],
            set_={"output": insert.excluded.output, "error": insert.excluded.error},
        )
        self._keep = _Statement(self._engine, kept, ["workflow_uuid", "output", "error"])

    def write(
        self,
        workflow_id: str,
        status: str,
        *,
        output: str | None,
        error: str | None,
        owner_xid: str | None,
    ) -> bool:
        """Whether it was this owner's to write: another one may have taken or ended it."""
        end = self._end if owner_xid is None else self._end_owned
        mine = {"workflow": workflow_id, "ended": status, "owner": owner_xid}
        with self._engine.begin() as connection:
            if not end.run(connection, mine).rowcount:
                return False
            kept = {"workflow_uuid": workflow_id, "output": output, "error": error}
            self._keep.run(connection, kept)
            return True


class _Claims:
    """How a worker takes what is next in a queue, as many as it has room for."""

    def __init__(self, system: Any) -> None:
        self._engine: sa.Engine = system.engine
        self._system = system
        self._full_claim = system.start_queued_workflows
        status = system.tables.workflow_status
        application = status.c.application_name
        ours = sa.or_(application == system.app_name, application.is_(None))
        waits = sa.and_(status.c.status == "ENQUEUED", ours)
        version = status.c.application_version
        any_version = sa.and_(version.is_(None), sa.bindparam("latest"))
        timeout, deadline = status.c.workflow_timeout_ms, status.c.workflow_deadline_epoch_ms
        runs_out = sa.case(
            (
                sa.and_(timeout.is_not(None), deadline.is_(None)),
                sa.bindparam("now_ms", type_=sa.BigInteger) + timeout,
            ),
            else_=deadline,
        )
        next_ones = (
            sa.select(status.c.workflow_uuid)
            .where(
                waits,
                status.c.queue_name == sa.bindparam("queue"),
                system._in_flight_status_prover(),  # SQLite's index of live workflows is enough
                sa.or_(version == sa.bindparam("version"), any_version),
            )
            .order_by(status.c.priority, status.c.created_at)
            .limit(sa.bindparam("room"))
        )
        now_ms = system._now_ms_sql()
        taken = (
            sa.update(status)
            .where(status.c.workflow_uuid.in_(next_ones), waits)
            .values(
                status="PENDING",
                owner_xid=sa.bindparam("owner"),
                application_version=sa.bindparam("version"),
                executor_id=sa.bindparam("executor"),
                application_name=system.app_name,
                started_at_epoch_ms=now_ms,
                rate_limited=False,
                recovery_attempts=status.c.recovery_attempts + 1,
                updated_at=now_ms,
                workflow_deadline_epoch_ms=runs_out,
            )
            .returning(status.c.priority, status.c.created_at, status.c.workflow_uuid)
        )
        self._take = _Statement(self._engine, taken)

    def take(
        self,
        queue: Any,
        executor_id: str,
        app_version: str,
        queue_partition_key: str | None,
        local_running_count: int = 0,
        *args: Any,
        owner_xid: str | None = None,
        is_latest_version: bool | None = None,
    ) -> tuple[list[str], str | None]:
        """Ids of what was taken, in the queue's order, and the limit that left no room for any.

        DBOS' own is asked where a queue has limits that ours have not.
        """
        if queue._worker_concurrency is None or _has_other_limits(queue, queue_partition_key):
            return self._full_claim(  # type: ignore[no-any-return]
                queue,
                executor_id,
                app_version,
                queue_partition_key,
                local_running_count,
                *args,
                owner_xid=owner_xid,
                is_latest_version=is_latest_version,
            )
        room = queue._worker_concurrency - local_running_count
        if room <= 0:
            return [], "worker_concurrency"
        if is_latest_version is None:
            is_latest_version = self._system._is_latest_version(app_version)
        values = {
            "queue": queue.name,
            "latest": is_latest_version,
            "version": app_version,
            "room": room,
            "owner": owner_xid,
            "executor": executor_id,
            "now_ms": int(time.time() * 1000),
        }
        with self._engine.begin() as connection:
            taken = self._take.run(connection, values).all()
        return [workflow_id for *_, workflow_id in sorted(map(tuple, taken))], None


def _has_other_limits(queue: Any, partition: str | None) -> bool:
    return partition is not None or any(
        limit is not None
        for limit in (
            queue._concurrency,
            queue._limiter,
            queue._partition_concurrency,
            queue._partition_worker_concurrency,
            queue._partition_limiter,
        )
    )

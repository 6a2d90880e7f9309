"""Tables of the job store, and the steps that bring an older database up to date."""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 3
"""1: jobs, results, events, files, workers. 2: webhooks. 3: times of doomed files, durations."""
_Sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")

metadata = sa.MetaData()

versions = sa.Table("retouch_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))

jobs = sa.Table(
    "retouch_jobs",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("webhook", sa.Text),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("lap", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("total_steps", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("completed_at", sa.Double),
    sa.Column("expires_at", sa.Double),
    sa.Column("keep_s", sa.Double, nullable=False),
    sa.Column("deadline_s", sa.Double),
    sa.Column("deadline_at", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("ticket", sa.Integer, nullable=False),
    sa.Column("in_line", sa.Integer, nullable=False),  # the ticket that the engine knows of
    sa.Column("worker", sa.String(128)),
    sa.Column("events", sa.Integer, nullable=False),  # id of the last event
    sa.Column("idempotency_key", sa.String(256)),
    sa.Column("fingerprint", sa.String(64)),
    sa.UniqueConstraint("owner", "idempotency_key"),
    sa.Index("retouch_jobs_in_line", "status", "model", "rank", "lap", "seq"),
    sa.Index("retouch_jobs_laps", "model", "rank", "lap"),
    sa.Index("retouch_jobs_owner", "owner", "status"),
    sa.Index("retouch_jobs_expiry", "expires_at"),
)

results = sa.Table(
    "retouch_results",
    metadata,
    # The primary key is what makes a job end once.
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("output", sa.JSON, nullable=False),
    sa.Column("preservation", sa.JSON),
    sa.Column("warnings", sa.JSON, nullable=False),
    sa.Column("timings", sa.JSON, nullable=False),
    sa.Column("error", sa.JSON),
)

events = sa.Table(
    "retouch_events",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)

files = sa.Table(
    "retouch_job_files",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("file_id", sa.String(64), primary_key=True),
    sa.Index("retouch_job_files_file", "file_id"),
)

doomed_files = sa.Table(
    "retouch_doomed_files",
    metadata,
    sa.Column("file_id", sa.String(64), primary_key=True),
    sa.Column("doomed_at", sa.Double, nullable=False),
    sa.Column("removed_at", sa.Double),  # none: a sweep is at it
)

workers = sa.Table(
    "retouch_workers",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)

webhooks = sa.Table(
    "retouch_webhooks",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False, unique=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Double),  # none: delivered, or given up
    sa.Column("delivered_at", sa.Double),
    sa.Column("last_error", sa.Text),
    sa.Index("retouch_webhooks_due", "due_at"),
)

durations = sa.Table(
    "retouch_durations",
    metadata,
    sa.Column("seq", _Sequence, primary_key=True, autoincrement=True),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("pixels", sa.BigInteger, nullable=False),
    sa.Column("steps", sa.Double, nullable=False),
    sa.Column("pictures", sa.Integer, nullable=False),
    sa.Column("guided", sa.Boolean, nullable=False),
    sa.Column("beside", sa.Integer, nullable=False),  # others of its model, when it ended
    sa.Column("seconds", sa.Double, nullable=False),
)


def migrate(connection: sa.Connection) -> None:
    """Make the tables, or bring those of an older release up to date; all or nothing.

    Raises:
        ValueError: a newer release made this database.
    """
    if connection.dialect.name == "postgresql":
        # Two gateways that start together take turns.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7236551)"))
    metadata.create_all(connection)
    found = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar()
    if found is None:
        connection.execute(versions.insert().values(version=SCHEMA_VERSION))
        return
    if found > SCHEMA_VERSION:
        raise ValueError(f"its schema is version {found}, this release knows {SCHEMA_VERSION}")
    if found < 3:  # nothing wrote to this table before
        doomed_files.drop(connection)
        doomed_files.create(connection)
    if found < SCHEMA_VERSION:  # the other steps only added tables, which are there now
        connection.execute(versions.insert().values(version=SCHEMA_VERSION))

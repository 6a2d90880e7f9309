"""`retouch jobs`: look at the jobs in the database and mend them, beside running gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

from gateway.commands.whole_column import whole
from gateway.errors import RetouchError, StoreUnavailableError
from gateway.jobs.job import Job, JobResult, JobStatus, Ticket
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_engine_memory import MemoryEngine
from gateway.jobs.job_queue import JobQueue, JobReporter
from gateway.settings import Settings
from gateway.webhooks import webhook_store

jobs = typer.Typer(no_args_is_help=True, help="Jobs in RETOUCH_DATABASE_URL.")
T = TypeVar("T")
_COLOURS = {
    JobStatus.QUEUED: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
}
JobId = Annotated[str, typer.Argument(help="A job's id.")]


class _NoLine(MemoryEngine):
    """This process has no line; a gateway or worker sees within a second what was put in."""

    async def enqueue(self, ticket: Ticket) -> None:
        """Leave it to others."""
        raise StoreUnavailableError(f"Job {ticket.job_id} is left to the workers.")


@jobs.command("list")
def list_jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only those.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
) -> None:
    """Newest first."""
    found = _with_queue(lambda queue: queue.latest(status=status, limit=limit, after=None))
    table = Table(whole("id"), whole("status"), "progress", "task", "starts", "age", "owner")
    for job in found:
        table.add_row(
            job.id,
            _coloured(job.status),
            ProgressBar(total=1.0, completed=job.progress, width=20),
            job.task,
            str(job.attempts),
            _age(time.time() - job.created_at),
            job.owner or "-",
        )
    Console().print(table)


@jobs.command()
def show(job_id: JobId) -> None:
    """A job with all its events."""

    async def read(queue: JobQueue) -> tuple[Job, list[tuple[int, str, str]]]:
        job = await queue.get(job_id)
        events = await queue.past_events(job_id)
        return job, [(event.id, event.name, str(dict(event.data))[:80]) for event in events]

    job, events = _with_queue(read)
    table = Table(show_header=False)
    for name in ("id", "owner", "task", "model", "attempts", "error", "request"):
        table.add_row(name, str(getattr(job, name)))
    table.add_row("status", _coloured(job.status))
    table.add_row("progress", ProgressBar(total=1.0, completed=job.progress, width=40))
    for number, name, data in events:
        table.add_row(f"event {number}", f"{name} {data if name != 'preview' else ''}")
    Console().print(table)


@jobs.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job, wherever it waits or runs."""
    Console().print(_coloured(_with_queue(lambda queue: queue.cancel(job_id)).status))


@jobs.command()
def retry(job_id: JobId) -> None:
    """The request of a job that failed or was canceled, as a new job; prints its id."""
    Console().print(_with_queue(lambda queue: queue.retry(job_id)).id)


@jobs.command("replay-webhook")
def replay_webhook(job_id: JobId) -> None:
    """Deliver a job's webhook once more."""

    async def replay(queue: JobQueue) -> None:
        await queue.database.call(webhook_store.replay, job_id)

    _with_queue(replay)


def _with_queue(work: Callable[[JobQueue], Awaitable[T]]) -> T:
    """Open the database, do the work; an error of ours is a sentence and exit code 1."""

    async def run() -> T:
        queue = JobQueue(
            _never,
            database=JobDatabase(Settings().job_database_url),
            engine=_NoLine(jobs_per_model=1),
            worker_id="",
            works=False,
        )
        await queue.database.call(JobDatabase.prepare)
        try:
            return await work(queue)
        finally:
            queue.database.close()

    try:
        return asyncio.run(run())
    except RetouchError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error


async def _never(_job: Job, _report: JobReporter) -> JobResult:
    raise AssertionError("no job runs here")


def _coloured(status: JobStatus) -> str:
    return f"[{_COLOURS.get(status, 'dim')}]{status}[/]"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

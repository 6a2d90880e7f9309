"""`retouch`: serve, worker, doctor, keys, jobs, and calls of a running gateway."""

from __future__ import annotations

import os
from typing import Annotated

# Requests run beside each other; BLAS threads inside one only spin (a mask took 1.2 ms, not 0.6).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer
import uvicorn
from rich.console import Console
from rich.table import Table

from gateway.app import create_app
from gateway.commands.cli_keys import keys
from gateway.commands.doctor import diagnose
from gateway.commands.edit_commands import app as edit_commands
from gateway.commands.job_cli import jobs
from gateway.commands.picture_commands import app as picture_commands
from gateway.http.http_server import server_options
from gateway.keys.setup import KeysMissingError, require_keys_beyond_loopback
from gateway.observability.logs import set_up_logs
from gateway.process.interpreter import settle_memory
from gateway.process.preparation import prepare_process
from gateway.settings import Settings
from gateway.worker import work
from gateway.wrong_settings import wrong_settings

# A traceback with variables would show passwords.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
app.add_typer(keys, name="keys")
app.add_typer(jobs, name="jobs")
app.registered_commands += picture_commands.registered_commands
app.registered_commands += edit_commands.registered_commands


@app.callback()
def main() -> None:
    """Retouch: a self-hosted image-editing server."""
    complaints = wrong_settings()
    for line in complaints:
        typer.echo(line, err=True)
    if complaints:
        raise typer.Exit(2)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
    worker: Annotated[
        bool, typer.Option(help="Run jobs here too; without, `retouch worker` has to.")
    ] = True,
) -> None:
    """Serve over HTTP, with an embedded Triton unless RETOUCH_TRITON_URL names one."""
    overrides = {k: v for k, v in {"host": host, "port": port}.items() if v is not None}
    settings = Settings(**overrides)  # type: ignore[arg-type]
    try:
        require_keys_beyond_loopback(settings)
    except KeysMissingError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(2) from error
    _prepare_process(settings)
    gateway = create_app(settings, works=worker)
    settle_memory()
    uvicorn.run(
        gateway,
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=10,
        log_config=None,
        server_header=False,
        **server_options(settings),
    )


@app.command("worker")
def worker_alone() -> None:
    """Run jobs of RETOUCH_DATABASE_URL, without HTTP; give each worker a RETOUCH_WORKER_ID."""
    settings = Settings()
    _prepare_process(settings)
    work(settings)


def _prepare_process(settings: Settings) -> None:
    set_up_logs(settings.log_format)
    prepare_process()


@app.command()
def doctor() -> None:
    """Say what is there, what is missing, and what to do about it."""
    findings = diagnose(Settings())
    table = Table("", "what", "found", "do")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]no[/]"
        table.add_row(mark, finding.name, finding.detail, finding.advice or "")
    Console().print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()

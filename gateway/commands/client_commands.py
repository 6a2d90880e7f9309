"""What the commands that call a running gateway share: options, the bar, sentences for errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from retouch_client import Job, JobFailedError, Retouch, RetouchClientError, UnreachableError

console = Console(stderr=True)
DEFAULT_URL = "http://127.0.0.1:8080"
Photo = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the result goes.")]
Url = Annotated[
    str, typer.Option(envvar="RETOUCH_URL", help="The running gateway.", show_default=True)
]
Key = Annotated[str | None, typer.Option(envvar="RETOUCH_API_KEY", help="Where keys are needed.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same picture.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps.")]
At = Annotated[list[str], typer.Option(help="x,y on the object; may be given several times.")]
Box = Annotated[str | None, typer.Option(help="x0,y0,x1,y1 around the object.")]


@contextmanager
def gateway_at(url: str, key: str | None) -> Iterator[Retouch]:
    """A client; a failure ends the command with a sentence instead of a traceback."""
    try:
        with Retouch(url, api_key=key) as retouch:
            yield retouch
    except UnreachableError as error:
        _say(f"No gateway answers at {url}; `retouch serve` starts one.")
        raise typer.Exit(1) from error
    except RetouchClientError as error:
        _say(str(error))
        raise typer.Exit(1) from error


def follow(retouch: Retouch, job: Job) -> Job:
    """Show a bar until the job has ended; Ctrl-C cancels the job.

    Raises:
        JobFailedError: it has no picture.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
            bar = progress.add_task("queued", total=None)
            for event in retouch.events(job):
                if event.name == "progress":
                    total, done = event.data["total_steps"], event.data["step"]
                    progress.update(bar, description="painting", total=total, completed=done)
                elif event.name != "preview":
                    progress.update(bar, description=event.name)
    except KeyboardInterrupt:
        with suppress(RetouchClientError):
            retouch.cancel(job)
        raise
    ended = retouch.job(job.id)
    if ended.status != "succeeded":
        error = ended.error or {"message": "", "code": ended.status}
        words = f"The job {ended.status}. {error['message']}".strip()
        raise JobFailedError(words, job_id=job.id, code=error["code"])
    return ended


def points_of(at: list[str]) -> list[tuple[float, float]]:
    """What `--at` names."""
    return [(x, y) for x, y in (_numbers(text, 2, "--at") for text in at)]


def box_of(box: str | None) -> tuple[float, float, float, float] | None:
    """What `--box` names."""
    if box is None:
        return None
    x0, y0, x1, y1 = _numbers(box, 4, "--box")
    return x0, y0, x1, y1


def _numbers(text: str, count: int, option: str) -> list[float]:
    """Numbers with commas between; a usage error where they are not so many."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise typer.BadParameter(f"{option} needs {count} numbers with commas; got {text!r}.")
    return found


def _say(sentence: str) -> None:
    console.print(sentence, style="red", markup=False, highlight=False)

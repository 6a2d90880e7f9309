"""`retouch generate` and `retouch mask`: calls of a running gateway, with progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from retouch_client import Job, Retouch, RetouchClientError

app = typer.Typer()
console = Console(stderr=True)
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the result goes.")]
Url = Annotated[str, typer.Option(envvar="RETOUCH_URL", help="The running gateway.")]
Key = Annotated[str | None, typer.Option(envvar="RETOUCH_API_KEY", help="Where keys are needed.")]
_DEFAULT_URL = "http://127.0.0.1:8080"


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to paint, in words.")],
    out: Out,
    size: Annotated[str, typer.Option(help="WxH in steps of 16, or auto.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    url: Url = _DEFAULT_URL,
    key: Key = None,
) -> None:
    """Paint a picture from words."""
    fields: dict[str, Any] = {"size": size, "seed": seed, "num_inference_steps": steps}
    with _reported(), Retouch(url, api_key=key) as retouch:
        job = retouch.submit("generate", prompt=prompt, **fields)
        _follow(retouch, job)
        out.write_bytes(retouch.result(job))


@app.command()
def mask(
    photo: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture.")],
    out: Out,
    at: Annotated[list[str], typer.Option(help="x,y on the object; several times.")] = [],  # noqa: B006
    box: Annotated[str | None, typer.Option(help="x0,y0,x1,y1 around the object.")] = None,
    url: Url = _DEFAULT_URL,
    key: Key = None,
) -> None:
    """Find an object; the mask is white where it is."""
    points = [(x, y) for x, y in (_numbers(text, 2) for text in at)]
    around = _numbers(box, 4) if box else None
    with _reported(), Retouch(url, api_key=key) as retouch:
        found = retouch.masks(
            photo,
            points=points,
            box=(around[0], around[1], around[2], around[3]) if around else None,
            everything=not points and around is None,
        )
        out.write_bytes(found[0].png)
        console.print(f"{len(found)} found; the first: score {found[0].score}, box {found[0].bbox}")


def _follow(retouch: Retouch, job: Job) -> None:
    """Show a bar until the job has ended; Ctrl-C cancels the job."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        bar = bars.add_task("queued", total=None)
        try:
            for step, total in retouch.progress(job):
                bars.update(bar, description="painting", completed=step, total=total)
        except KeyboardInterrupt:
            retouch.cancel(job)
            raise


def _numbers(text: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise typer.BadParameter(f"{text!r} must be {count} numbers with commas between.")
    return numbers


@contextmanager
def _reported() -> Iterator[None]:
    """A failure is a sentence and a status of 1, not a traceback."""
    try:
        yield
    except RetouchClientError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error

"""`retouch edit`, `extract` and `white-balance`: the HTTP calls for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.errors import RetouchError
from gateway.gateway_client import GatewayClient
from preprocessing import codec
from preprocessing.arrays import Image

app = typer.Typer()
console = Console(stderr=True)

Photo = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the result goes.")]
Url = Annotated[
    str, typer.Option(envvar="RETOUCH_URL", help="The running gateway.", show_default=True)
]
At = Annotated[list[str], typer.Option(help="x,y on the object; may be given several times.")]
Box = Annotated[str | None, typer.Option(help="x0,y0,x1,y1 around the object.")]
MaskFile = Annotated[
    Path | None, typer.Option(exists=True, help="A mask instead of points; white = edit.")
]
Key = Annotated[str | None, typer.Option(envvar="RETOUCH_API_KEY", help="Where keys are needed.")]
_DEFAULT_URL = "http://127.0.0.1:8080"
_SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


@app.command()
def edit(  # noqa: PLR0913
    photo: Photo,
    out: Out,
    prompt: Annotated[str, typer.Option(help="What to do, in words.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is marked.")] = False,
    insert: Annotated[
        Path | None, typer.Option(exists=True, help="A picture of an object to insert.")
    ] = None,
    inpaint: Annotated[bool, typer.Option("--inpaint", help="Repaint what is marked.")] = False,
    white_balance: Annotated[
        bool, typer.Option("--white-balance", help="Let the model propose the colours.")
    ] = False,
    at: At = [],  # noqa: B006
    box: Box = None,
    mask: MaskFile = None,
    grow: Annotated[int, typer.Option(help="Pixels to widen the mask found by.")] = 0,
    feather: Annotated[int, typer.Option(help="Pixels of blending inside the edge.")] = 8,
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    url: Url = _DEFAULT_URL,
    key: Key = None,
) -> None:
    """Edit a picture: by words alone, or remove, insert or repaint what is marked."""
    task = _task(
        remove=remove, insert=insert is not None, inpaint=inpaint, white_balance=white_balance
    )
    _form_of(out)
    fields: dict[str, Any] = {"task": task, "prompt": prompt, "feather": feather}
    fields |= {"seed": seed} if seed is not None else {}
    fields |= {"num_inference_steps": steps} if steps is not None else {}
    pictures = {"image": photo} | ({"reference": insert} if insert else {})
    with _reported(), GatewayClient(url, key=key) as client:
        marked = _marked(at, box, mask, grow=grow)
        pictures |= {"mask": mask} if mask else {}
        job = client.post("/v1/jobs", fields | marked, pictures)
        ended = _follow(client, job)
        _save(out, client.content(ended["urls"]["result"]))
        _say_preserved(ended)


@app.command()
def extract(
    photo: Photo,
    out: Out,
    at: At = [],  # noqa: B006
    box: Box = None,
    mask: MaskFile = None,
    url: Url = _DEFAULT_URL,
    key: Key = None,
) -> None:
    """Cut an object out onto a white square."""
    _form_of(out)
    with _reported(), GatewayClient(url, key=key) as client:
        marked = _marked(at, box, mask, grow=0)
        pictures = {"image": photo} | ({"mask": mask} if mask else {})
        cut = client.post("/v1/images/extract", marked, pictures)
        _save(out, client.content(cut["image"]["url"]))


@app.command("white-balance")
def correct_colours(
    photo: Photo,
    out: Out,
    temperature: Annotated[
        float | None, typer.Option(help="Of the light in kelvin; estimated when left out.")
    ] = None,
    tint: Annotated[float | None, typer.Option(help="Positive for a greener light.")] = None,
    cube: Annotated[Path | None, typer.Option(help="Where the transform goes.")] = None,
    url: Url = _DEFAULT_URL,
    key: Key = None,
) -> None:
    """Correct the colours of a photograph at its full resolution."""
    wanted = {"temperature_k": temperature, "tint": tint}
    fields: dict[str, Any] = {name: v for name, v in wanted.items() if v is not None}
    form = _form_of(out)
    fields |= {"output_format": form} if form != "webp" else {}
    with _reported(), GatewayClient(url, key=key) as client:
        done = client.post("/v1/images/white-balance", fields, {"image": photo})
        data = client.content(done["image"]["url"])
        out.write_bytes(data) if form != "webp" else _save(out, data)
        if cube is not None:
            cube.write_bytes(client.content(done["cube_url"]))
        light = done["light"]
        console.print(f"light {light['temperature_k']:.0f} K, tint {light['tint']:+.1f}")


@contextmanager
def _reported() -> Iterator[None]:
    """End with the sentence of an error instead of a traceback."""
    try:
        yield
    except RetouchError as error:
        console.print(f"[red]{error.message}[/]", highlight=False)
        raise typer.Exit(1) from error


def _task(**wanted: bool) -> str:
    chosen = [name for name, is_wanted in wanted.items() if is_wanted]
    if len(chosen) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise typer.BadParameter(f"Choose one of {names}.")
    return chosen[0] if chosen else "edit"


def _marked(at: list[str], box: str | None, mask: Path | None, *, grow: int) -> dict[str, Any]:
    """The request's mask by prompt; nothing where a file is the mask or nothing is marked."""
    if mask is not None:
        if at or box:
            raise typer.BadParameter("Mark with --mask, or with --at and --box, not both.")
        return {}
    if not at and not box:
        return {}
    prompt: dict[str, Any] = {"points": [_numbers(point, 2, "--at") for point in at]}
    prompt |= {"box": _numbers(box, 4, "--box")} if box else {}
    prompt |= {"grow": grow} if grow else {}
    return {"mask": prompt}


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise typer.BadParameter(f"{option} needs {count} numbers with commas; got {text!r}.")
    return numbers


def _follow(client: GatewayClient, job: Mapping[str, Any]) -> dict[str, Any]:
    """Show a bar until the job has ended; Ctrl-C cancels the job."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
            bar = progress.add_task("queued", total=None)
            for name, data in client.events(job):
                if name == "progress":
                    total, done = data["total_steps"], data["step"]
                    progress.update(bar, description="painting", total=total, completed=done)
                elif name != "preview":
                    progress.update(bar, description=name)
    except KeyboardInterrupt:
        client.cancel(job)
        raise
    ended = client.get(job["urls"]["self"])
    if ended["status"] != "succeeded":
        reason = (ended["error"] or {}).get("message", "")
        raise RetouchError(f"The job {ended['status']}. {reason}".strip())
    return ended


def _save(out: Path, data: bytes) -> None:
    """Write a picture in the format that the file's name asks for."""
    form = _form_of(out)
    if form == codec.probe(data).format:
        out.write_bytes(data)
        return
    pixels = codec.decode_image(data).pixels
    encoders: dict[str, Callable[[Image], bytes]] = {
        "png": codec.encode_png,
        "jpeg": codec.encode_jpeg,
        "webp": codec.encode_webp,
    }
    out.write_bytes(encoders[form](pixels))


def _form_of(out: Path) -> str:
    form = _SUFFIXES.get(out.suffix.lower())
    if form is None:
        names = ", ".join(_SUFFIXES)
        raise typer.BadParameter(f"The result's name must end in one of {names}; it is {out.name}.")
    return form


def _say_preserved(job: Mapping[str, Any]) -> None:
    kept = job["preservation"]
    if kept is not None:
        exact = "equal" if kept["outside_equal"] else f"up to {kept['outside_max_abs']} levels off"
        console.print(f"outside the mask: {exact}; mask {kept['mask_coverage']:.1%} of the picture")
    for warning in job["warnings"]:
        console.print(f"[yellow]{warning}[/]", highlight=False)

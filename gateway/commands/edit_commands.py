"""`retouch edit`, `extract` and `white-balance`: the HTTP calls for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands.client_commands import (
    DEFAULT_URL,
    At,
    Box,
    Key,
    Out,
    Photo,
    Seed,
    Steps,
    Url,
    box_of,
    console,
    follow,
    gateway_at,
    points_of,
)
from preprocessing import codec
from preprocessing.arrays import Image
from retouch_client import Job

app = typer.Typer()

MaskFile = Annotated[
    Path | None, typer.Option(exists=True, help="A mask instead of points; white = edit.")
]
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
    feather: Annotated[
        int | None, typer.Option(help="Pixels of blending inside the edge; 8 when left out.")
    ] = None,
    seed: Seed = None,
    steps: Steps = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Edit a picture: by words alone, or remove, insert or repaint what is marked."""
    task = _task(
        remove=remove, insert=insert is not None, inpaint=inpaint, white_balance=white_balance
    )
    _form_of(out)
    wanted = {"feather": feather, "seed": seed, "num_inference_steps": steps}
    fields: dict[str, Any] = {"task": task, "prompt": prompt} | _given(wanted)
    pictures = {"image": photo} | ({"reference": insert} if insert else {})
    with gateway_at(url, key) as client:
        marked = _marked(at, box, mask, grow=grow)
        pictures |= {"mask": mask} if mask else {}
        job = Job.of(client.post("/v1/jobs", fields | marked, pictures))
        ended = follow(client, job)
        _save(out, client.result(ended))
        _say_preserved(ended.raw)


@app.command()
def extract(
    photo: Photo,
    out: Out,
    at: At = [],  # noqa: B006
    box: Box = None,
    mask: MaskFile = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Cut an object out onto a white square."""
    _form_of(out)
    with gateway_at(url, key) as client:
        marked = _marked(at, box, mask, grow=0)
        pictures = {"image": photo} | ({"mask": mask} if mask else {})
        cut = client.post("/v1/images/extract", marked, pictures)
        _save(out, client.picture(cut["image"]["url"]))


@app.command("white-balance")
def correct_colours(
    photo: Photo,
    out: Out,
    temperature: Annotated[
        float | None, typer.Option(help="Of the light in kelvin; estimated when left out.")
    ] = None,
    tint: Annotated[float | None, typer.Option(help="Positive for a greener light.")] = None,
    cube: Annotated[Path | None, typer.Option(help="Where the transform goes.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Correct the colours of a photograph at its full resolution."""
    fields = _given({"temperature_k": temperature, "tint": tint})
    form = _form_of(out)
    fields |= {"output_format": form} if form != "webp" else {}
    with gateway_at(url, key) as client:
        done = client.post("/v1/images/white-balance", fields, {"image": photo})
        data = client.picture(done["image"]["url"])
        out.write_bytes(data) if form != "webp" else _save(out, data)
        if cube is not None:
            cube.write_bytes(client.picture(done["cube_url"]))
        light = done["light"]
        console.print(f"light {light['temperature_k']:.0f} K, tint {light['tint']:+.1f}")


def _given(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller said something of."""
    return {name: value for name, value in wanted.items() if value is not None}


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
    prompt = {"points": points_of(at), "box": box_of(box), "grow": grow or None}
    return {"mask": _given(prompt)}


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

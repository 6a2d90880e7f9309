"""`retouch generate` and `retouch mask`: calls of a running gateway, with progress."""

from __future__ import annotations

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

app = typer.Typer()


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to paint, in words.")],
    out: Out,
    size: Annotated[str, typer.Option(help="WxH in steps of 16, or auto.")] = "auto",
    seed: Seed = None,
    steps: Steps = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Paint a picture from words."""
    fields: dict[str, Any] = {"size": size, "seed": seed, "num_inference_steps": steps}
    with gateway_at(url, key) as retouch:
        job = retouch.submit("generate", prompt=prompt, **fields)
        out.write_bytes(retouch.result(follow(retouch, job)))


@app.command()
def mask(
    photo: Photo,
    out: Out,
    at: At = [],  # noqa: B006
    box: Box = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Find an object; the mask is white where it is."""
    points, around = points_of(at), box_of(box)
    with gateway_at(url, key) as retouch:
        found = retouch.masks(
            photo,
            points=points,
            box=around,
            everything=not points and around is None,
        )
        out.write_bytes(found[0].png)
        console.print(f"{len(found)} found; the first: score {found[0].score}, box {found[0].bbox}")

"""`retouch generate` and `retouch mask`: calls of a running gateway, with progress."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.client_commands import (
    DEFAULT_URL,
    At,
    Box,
    Key,
    Out,
    Photo,
    Url,
    console,
    follow,
    gateway_at,
    numbers,
)

app = typer.Typer()


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to paint, in words.")],
    out: Out,
    size: Annotated[str, typer.Option(help="WxH in steps of 16, or auto.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
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
    points = [(x, y) for x, y in (numbers(text, 2, "--at") for text in at)]
    around = numbers(box, 4, "--box") if box else None
    with gateway_at(url, key) as retouch:
        found = retouch.masks(
            photo,
            points=points,
            box=(around[0], around[1], around[2], around[3]) if around else None,
            everything=not points and around is None,
        )
        out.write_bytes(found[0].png)
        console.print(f"{len(found)} found; the first: score {found[0].score}, box {found[0].bbox}")

"""Prompts from the wire, with the pictures they name, in the words of the use case."""

from __future__ import annotations

import asyncio

from gateway.rejections import rejections
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from gateway.wire.mask_schemas import MaskPrompt, Point
from preprocessing.arrays import Mask
from preprocessing.prompts import Prompt
from preprocessing.strokes import draw_strokes


async def read_prompt(
    prompt: MaskPrompt, image: StoredImage, pictures: Pictures, *, pointer: str
) -> Prompt:
    """The prompt with its scribble drawn and its hint fetched; labels left out are all 1.

    Raises:
        RetouchError: a stroke leaves the image, or a picture cannot be read.
    """
    return Prompt(
        points=tuple(prompt.points),
        labels=tuple(prompt.labels or [1] * len(prompt.points)),
        box=prompt.box,
        scribble=await _scribble(prompt, image, pictures, f"{pointer}/scribble"),
        mask_hint=await _picture(prompt.mask_hint, pictures, f"{pointer}/mask_hint"),
        auto=prompt.auto,
        text=prompt.text.strip(),
    )


async def _scribble(
    prompt: MaskPrompt, image: StoredImage, pictures: Pictures, pointer: str
) -> Mask | None:
    if prompt.scribble is None or isinstance(prompt.scribble, str):
        return await _picture(prompt.scribble, pictures, pointer)
    strokes = _strokes(prompt.scribble)

    def draw() -> Mask:
        with rejections(pointer):
            return draw_strokes(strokes, prompt.scribble_width, (image.width, image.height))

    return await asyncio.to_thread(draw)


def _strokes(scribble: list[Point] | list[list[Point]]) -> list[list[Point]]:
    """One stroke is a list of points, several are a list of those."""
    several = [stroke for stroke in scribble if isinstance(stroke, list)]
    return several or [[point for point in scribble if isinstance(point, tuple)]]


async def _picture(reference: str | None, pictures: Pictures, pointer: str) -> Mask | None:
    if reference is None:
        return None
    stored = await pictures.resolve(reference, pointer=pointer)
    return await pictures.mask(stored.id, pointer=pointer)

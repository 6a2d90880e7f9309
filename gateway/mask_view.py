"""A mask as the wire wants it; the PNG that jobs use is stored on the way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pybase64

from gateway.errors import UnsupportedValueError
from gateway.mask_schemas import Output, RunLengths
from gateway.pictures import Pictures
from preprocessing import codec, masks
from preprocessing.arrays import Mask, Plane
from preprocessing.rle import encode_rle


@dataclass(frozen=True)
class RenderedMask:
    """The stored PNG's bytes, and the members of the answer that all masks have."""

    png: bytes
    members: dict[str, Any]


async def show_mask(levels: Mask | Plane, output: Output, pictures: Pictures) -> RenderedMask:
    """Store a mask and describe it.

    Raises:
        UnsupportedValueError: a soft edge in an output that has none.
    """
    if levels.dtype != np.bool_ and output in ("rle", "polygon"):
        raise UnsupportedValueError(
            f"{output} has no soft edges: leave feather and blur out, or ask for png or png_alpha.",
            pointer="/output",
        )
    png, members = await asyncio.to_thread(_render, levels, output)
    height, width = levels.shape
    stored = await pictures.keep_png(png, (width, height))
    return RenderedMask(png, {"mask_id": stored.id, **members})


def _render(levels: Mask | Plane, output: Output) -> tuple[bytes, dict[str, Any]]:
    mask, white = masks.hard(levels), masks.white(levels)
    png = codec.encode_png(white)
    members: dict[str, Any] = {"area": masks.area(mask), "bbox": masks.bounding_box(mask)}
    if output == "png":
        members["png"] = pybase64.b64encode(png).decode()
    elif output == "png_alpha":
        members["polarity"] = "transparent"
        members["png"] = pybase64.b64encode(_transparent(white)).decode()
    elif output == "rle":
        members["rle"] = RunLengths(size=(mask.shape[0], mask.shape[1]), counts=encode_rle(mask))
    else:
        members["polygon"] = [list(ring) for ring in masks.polygons(mask)]
    return png, members


def _transparent(white: Plane) -> bytes:
    """Black, and transparent where the mask is white."""
    black = np.zeros((*white.shape, 3), np.uint8)
    return codec.encode_png(black, alpha=np.asarray(255 - white, np.uint8))

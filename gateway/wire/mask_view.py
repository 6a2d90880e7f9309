"""Masks as the wire wants them; the PNGs that jobs use are stored on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pybase64

from gateway.errors import UnsupportedValueError
from gateway.storage.image_store import BegunPut, NewImage
from gateway.storage.pictures import Pictures
from gateway.wire.mask_schemas import Output, RunLengths
from preprocessing import codec, masks
from preprocessing.arrays import Mask, Plane
from preprocessing.boxed_mask import BoxedMask
from preprocessing.rle import encode_rle


@dataclass(frozen=True)
class RenderedMask:
    """The stored PNG's bytes, and the members of the answer that all masks have."""

    png: bytes
    members: dict[str, Any]


@dataclass(frozen=True)
class RenderedMasks:
    """Masks on their way into the store."""

    masks: tuple[RenderedMask, ...]
    put: BegunPut

    async def kept(self, pictures: Pictures) -> tuple[RenderedMask, ...]:
        """Each with its `mask_id`, now that it is a file."""
        images = await pictures.store.end_put(self.put)
        return tuple(
            replace(mask, members={"mask_id": image.id, **mask.members})
            for mask, image in zip(self.masks, images, strict=True)
        )


def render_masks(
    boxed_masks: Sequence[BoxedMask], output: Output, pictures: Pictures
) -> RenderedMasks:
    """Describe masks and begin to store them; blocks.

    Raises:
        UnsupportedValueError: a soft edge in an output that has none.
    """
    masks_, news = [], []
    for boxed in boxed_masks:
        mask = _render(boxed, output)
        height, width = boxed.shape_hw
        masks_.append(mask)
        news.append(NewImage(data=mask.png, width=width, height=height, format="png"))
    return RenderedMasks(tuple(masks_), pictures.store.begin_put(news))


async def show_mask(levels: Mask | Plane, output: Output, pictures: Pictures) -> RenderedMask:
    """Store a mask and describe it.

    Raises:
        UnsupportedValueError: as `render_masks`.
    """
    rendered = await asyncio.to_thread(render_masks, [BoxedMask.of(levels)], output, pictures)
    (mask,) = await rendered.kept(pictures)
    return mask


def _render(boxed: BoxedMask, output: Output) -> RenderedMask:
    if boxed.levels.dtype != np.bool_ and output in ("rle", "polygon"):
        raise UnsupportedValueError(
            f"{output} has no soft edges: leave feather and blur out, or ask for png or png_alpha.",
            pointer="/output",
        )
    png = codec.encode_boxed_mask(boxed)
    members: dict[str, Any] = {"area": masks.area(masks.hard(boxed.levels)), "bbox": _box(boxed)}
    if output == "png":
        members["png"] = pybase64.b64encode(png).decode()
    elif output == "png_alpha":
        members["polarity"] = "transparent"
        members["png"] = pybase64.b64encode(_transparent(masks.white(boxed.spread()))).decode()
    elif output == "rle":
        counts = encode_rle(masks.hard(boxed.spread()))
        members["rle"] = RunLengths(size=boxed.shape_hw, counts=counts)
    else:
        rings = masks.polygons(masks.hard(boxed.spread()))
        members["polygon"] = [list(ring) for ring in rings]
    return RenderedMask(png, members)


def _box(boxed: BoxedMask) -> tuple[int, int, int, int] | None:
    """In the picture."""
    found = masks.bounding_box(masks.hard(boxed.levels))
    if found is None:
        return None
    (x0, y0, x1, y1), (left, top, _, _) = found, boxed.box
    return left + x0, top + y0, left + x1, top + y1


def _transparent(white: Plane) -> bytes:
    """Black, and transparent where the mask is white."""
    black = np.zeros((*white.shape, 3), np.uint8)
    return codec.encode_png(black, alpha=np.asarray(255 - white, np.uint8))

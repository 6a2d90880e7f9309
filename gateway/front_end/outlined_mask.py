"""The front end's wish for a mask along the object it covers: FastSAM draws it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.edits.job_masks import MaskDesk, UsedMask
from gateway.errors import RetouchError
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing import masks
from preprocessing.arrays import Mask
from preprocessing.prompts import Prompt

MIN_OVERLAP = 0.5
"""Intersection over union with what was drawn; below it, another object was found."""
EDGE_PX = 4
"""What an outline is widened by: drawn exactly it would leave the object's soft edge behind."""
_FOUND = "BiRefNet is not installed; FastSAM drew the mask along the object."
_KEPT = "The mask is used as it was drawn; no object was found that fills it."


async def outlined(
    used: UsedMask, image: StoredImage, pictures: Pictures, desk: MaskDesk
) -> UsedMask:
    """The mask of the object that a drawn mask covers, or the drawn one; a note says which."""
    drawn = await pictures.mask(used.file_id)
    try:
        found = await desk.find([Prompt(mask_hint=drawn)], image, grow_px=EDGE_PX)
    except RetouchError:  # the wish is no reason to refuse the task
        return _noted(used, _KEPT)
    shape = await pictures.mask(found.file_id)
    if await asyncio.to_thread(_overlap, drawn, shape) < MIN_OVERLAP:
        return _noted(used, _KEPT)
    return _noted(replace(found, polarity=used.polarity, notes=used.notes), _FOUND)


def _noted(used: UsedMask, note: str) -> UsedMask:
    return replace(used, notes=(*used.notes, note))


def _overlap(one: Mask, other: Mask) -> float:
    union = masks.area(masks.union(one, other))
    return masks.area(masks.intersect(one, other)) / union if union else 0.0

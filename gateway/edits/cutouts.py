"""Use cases around one object of a picture: cut it out, preview its shadow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.process.image_work import image_work
from gateway.rejections import rejections
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing.arrays import Image, Plane
from preprocessing.cutout import cut_out, cut_out_mask
from preprocessing.masks import binarise
from preprocessing.shadow import expanded_mask, with_shadow


@dataclass(frozen=True)
class PictureWithMask:
    """Two pictures of one size."""

    image: StoredImage
    mask: StoredImage


async def extract(pictures: Pictures, image_id: str, mask_id: str) -> PictureWithMask:
    """The object on a white square, and its mask there: what an insertion takes as reference.

    Args:
        pictures: where both are kept.
        image_id: a stored picture.
        mask_id: a stored mask of its size, white = object.

    Raises:
        ImageInvalidError: mask_empty, mask_size.
        NotFoundError: a file is unknown.
    """
    image, levels = await _both(pictures, image_id, mask_id)
    square = await image_work(_checked_cut, image, levels)
    shape = await image_work(cut_out_mask, binarise(levels))
    shape_levels = np.where(shape, np.uint8(255), np.uint8(0))
    return PictureWithMask(await pictures.keep(square), await pictures.keep(shape_levels))


async def preview_shadow(pictures: Pictures, image_id: str, mask_id: str) -> PictureWithMask:
    """The picture with the shadow hint of an object at the mask, and the expanded mask.

    Raises:
        NotFoundError: a file is unknown.
    """
    image, levels = await _both(pictures, image_id, mask_id)
    inside = binarise(levels)
    hinted = await image_work(with_shadow, image, inside)
    expanded = await image_work(expanded_mask, inside)
    return PictureWithMask(await pictures.keep(hinted), await pictures.keep(expanded))


async def _both(pictures: Pictures, image_id: str, mask_id: str) -> tuple[Image, Plane]:
    decoded = await pictures.decoded(image_id)
    return decoded.pixels, await pictures.levels(mask_id)


def _checked_cut(image: Image, levels: Plane) -> Image:
    with rejections("/mask"):
        return cut_out(image, levels)

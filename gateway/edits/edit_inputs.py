"""Use case: from an order's pictures to what the model gets to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.edits.prefilling import prefill
from gateway.inference import InferenceBackend
from gateway.painting.painting_order import PaintingOrder
from gateway.process.image_work import image_work
from gateway.storage.pictures import Pictures
from preprocessing import compose, conditions
from preprocessing.arrays import Image, Mask, Plane
from preprocessing.codec import DecodedImage
from preprocessing.masks import resize_levels
from preprocessing.sizes import fit_area

MAX_CONDITION_AREA = 4 * 2**20
"""Larger condition images are reduced: the edit pipeline itself reduces them to a megapixel."""


@dataclass(frozen=True, eq=False)
class EditInputs:
    """The pictures of an order and what becomes of them."""

    original: DecodedImage | None = None
    levels: Plane | None = None
    """(H, W) mask at the original's size, 255 = edit."""
    images: tuple[Image, ...] = ()
    """Condition images, in the order of the task's recipe."""
    labels: tuple[str, ...] = ()
    """What each of them is."""
    mask: Plane | None = None
    """(height, width), 255 = repaint; for the generator's inpainting."""
    placed: Mask | None = None
    """(height, width): where the reference's shape was put."""


async def edit_inputs(
    order: PaintingOrder, pictures: Pictures, backend: InferenceBackend
) -> EditInputs:
    """Decode an order's pictures, cut out its crop and build its task's conditions.

    Raises:
        NotFoundError: a picture has been deleted since.
    """
    if order.image is None:
        return EditInputs()
    original = await pictures.decoded(order.image)
    levels = await pictures.levels(order.mask) if order.mask else None
    references = [(await pictures.decoded(name)).pixels for name in order.references]
    part = await image_work(_part, original.pixels, levels, order)
    if order.task == "inpaint" and not references:
        assert part.levels is not None  # noqa: S101
        return EditInputs(original, levels, (part.image,), ("image",), part.mask)
    built = await _conditions(order, part, references, pictures, backend)
    return EditInputs(original, levels, built.images, built.labels, None, built.placed)


@dataclass(frozen=True, eq=False)
class _Part:
    """What of the picture is painted, at the size it is painted."""

    image: Image
    levels: Plane | None

    @property
    def mask(self) -> Plane | None:
        """The levels without anything between."""
        if self.levels is None:
            return None
        return np.where(self.levels >= 128, np.uint8(255), np.uint8(0))


def _part(pixels: Image, levels: Plane | None, order: PaintingOrder) -> _Part:
    x0, y0, x1, y1 = order.crop or (0, 0, pixels.shape[1], pixels.shape[0])
    image, size_wh = pixels[y0:y1, x0:x1], (order.width, order.height)
    small = None if levels is None else resize_levels(levels[y0:y1, x0:x1], size_wh)
    if order.task == "edit" and order.crop is None:
        return _Part(_bounded(image), small)  # the edit pipeline resizes as it was trained
    return _Part(compose.resized(np.ascontiguousarray(image), size_wh), small)


def _bounded(image: Image) -> Image:
    height, width = image.shape[:2]
    if width * height <= MAX_CONDITION_AREA:
        return image
    return compose.resized(image, fit_area((width, height), MAX_CONDITION_AREA, multiple=1))


async def _conditions(
    order: PaintingOrder,
    part: _Part,
    references: list[Image],
    pictures: Pictures,
    backend: InferenceBackend,
) -> conditions.Conditions:
    if order.task == "white_balance":
        return await image_work(conditions.white_balance, part.image)
    references = [await image_work(_bounded, reference) for reference in references]
    if order.task == "edit":
        return conditions.edit(part.image, references)
    assert part.levels is not None  # noqa: S101
    if order.task == "inpaint":
        return await image_work(conditions.inpaint, part.image, part.levels, references)
    if order.task == "remove":
        hole = part.levels >= 128
        guess = await prefill(backend, part.image, hole, grow_px=order.prefill_grow)
        return await image_work(conditions.removal, part.image, part.levels, guess)
    shape = await pictures.mask(order.reference_mask) if order.reference_mask else None
    return await image_work(
        conditions.insertion,
        part.image,
        part.levels,
        reference=references[0] if references else None,
        reference_mask=shape,
    )

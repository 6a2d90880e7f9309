"""Use case: whatever a request gives as its mask becomes one stored mask, white = edit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import InvalidRequestError
from gateway.image_store import StoredImage
from gateway.pictures import Pictures
from gateway.rejections import rejections
from gateway.segmentation import Question, Segmenter
from preprocessing import masks
from preprocessing.mask_input import MaskInput, MaskSemantics, read_mask
from preprocessing.prompts import Prompt


@dataclass(frozen=True)
class UsedMask:
    """The mask that a job works with."""

    file_id: str
    polarity: str
    """How it was read: white, black, transparent or opaque."""
    notes: tuple[str, ...] = ()


class MaskDesk:
    """Reads masks and finds them by prompt."""

    def __init__(self, pictures: Pictures, segmenter: Segmenter) -> None:
        self._pictures = pictures
        self._segmenter = segmenter

    async def read(
        self,
        mask_id: str,
        image: StoredImage,
        *,
        semantics: MaskSemantics = MaskSemantics.WHITE,
        grow_px: int = 0,
        pointer: str = "/mask",
    ) -> UsedMask:
        """Read a stored file as the mask of a picture, and store it as it was understood.

        Args:
            mask_id: a stored picture.
            image: the picture it belongs to.
            semantics: what in it means edit.
            grow_px: pixels to widen it by.
            pointer: the field of the request, for errors.

        Raises:
            ImageInvalidError: mask_size, mask_empty, mask_full, mask_no_alpha.
            NotFoundError: no such file.
        """
        data = await self._pictures.store.content(mask_id)
        read = await asyncio.to_thread(self._decode, data, image, semantics, pointer)
        levels = read.levels
        if grow_px:
            levels = await asyncio.to_thread(masks.grow_levels, levels, grow_px)
        stored = await self._pictures.keep_levels(levels)
        return UsedMask(stored.id, read.polarity.value, read.warnings)

    async def find(
        self, prompts: Sequence[Prompt], image: StoredImage, *, grow_px: int = 0
    ) -> UsedMask:
        """Find the objects that prompts describe; together they are the mask.

        Raises:
            ImageInvalidError: mask_not_found.
            ValidationFailedError: a prompt is not on the picture.
            InferenceError: the model server failed.
        """
        pointer = "/mask" if len(prompts) == 1 else "/mask/{index}"
        found = await self._segmenter.segment(image, Question(prompts=prompts, pointer=pointer))
        mask = found.masks[0].mask
        for further in found.masks[1:]:
            mask = mask | further.mask
        if grow_px:
            mask = await asyncio.to_thread(masks.grow, mask, grow_px)
        stored, _ = await self._pictures.keep_mask(mask)
        return UsedMask(stored.id, MaskSemantics.WHITE.value)

    async def shape(self, mask_id: str) -> str:
        """Check a reference's own mask; it may have another size than its reference.

        Raises:
            InvalidRequestError: it selects nothing.
            NotFoundError: no such file.
        """
        mask = await self._pictures.mask(mask_id)
        if not mask.any():
            raise InvalidRequestError(
                f"The mask must select at least 1 pixel; it selects 0 of {mask.size}.",
                code="mask_empty",
                pointer="/reference_mask",
            )
        return mask_id

    def _decode(
        self, data: bytes, image: StoredImage, semantics: MaskSemantics, pointer: str
    ) -> MaskInput:
        with rejections(pointer):
            return read_mask(
                data,
                (image.width, image.height),
                semantics=semantics,
                limits=self._pictures.limits,
            )

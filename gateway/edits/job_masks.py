"""Use case: whatever a request gives as its mask becomes one stored mask, white = edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.errors import InvalidRequestError
from gateway.masks.segmentation import Segmenter
from gateway.masks.smart_masks import Question
from gateway.process.image_work import image_work
from gateway.rejections import rejections
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import MaskExtent, Pictures
from preprocessing import masks
from preprocessing.mask_input import MaskInput, MaskSemantics, read_mask, understand
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
        grey = await self._pictures.grey(mask_id)
        reader: Callable[..., MaskInput]
        if grey is not None:
            reader = partial(understand, grey)
        else:
            data = await self._pictures.store.content(mask_id)
            reader = partial(read_mask, data, limits=self._pictures.limits)
        reader = partial(reader, (image.width, image.height), semantics=semantics)
        read = await image_work(_accepted, reader, pointer)
        levels = read.levels
        if grow_px:
            levels = await image_work(masks.grow_levels, levels, grow_px)
        if levels is grey:  # the file as it came is the mask
            used = self._pictures.have_levels(mask_id, levels)
        else:
            used = await self._pictures.keep_levels(levels)
        if levels is read.levels:
            self._pictures.have_extent(used, MaskExtent(read.coverage, read.box))
        return UsedMask(used, read.polarity.value, read.warnings)

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
            mask = await image_work(masks.grow, mask, grow_px)
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


def _accepted(reader: Callable[[], MaskInput], pointer: str) -> MaskInput:
    with rejections(pointer):
        return reader()

"""Use case: masks of one size become one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.errors import PayloadTooLargeError, ValidationFailedError
from gateway.rejections import rejections
from gateway.storage.pictures import Pictures
from gateway.wire.mask_schemas import ComposeRequest, RunLengths
from preprocessing import masks
from preprocessing.arrays import Mask, Plane
from preprocessing.operations import apply_operations
from preprocessing.rle import decode_rle

_COMBINE: dict[str, Callable[..., Mask]] = {
    "union": masks.union,
    "intersect": masks.intersect,
    "subtract": masks.subtract,
}


async def compose_masks(wanted: ComposeRequest, pictures: Pictures) -> Mask | Plane:
    """Read the masks, combine them, and do the operations.

    Raises:
        NotFoundError: there is no such mask.
        ImageInvalidError: a mask cannot be read, or has another size than the first.
        PayloadTooLargeError: run lengths of more pixels than a picture may have.
    """
    read = [
        await _read(source, pictures, f"/masks/{index}")
        for index, source in enumerate(wanted.masks)
    ]
    height, width = read[0].shape
    for index, mask in enumerate(read):
        with rejections(f"/masks/{index}"):
            masks.require_size(mask, (width, height))

    def combine() -> Mask | Plane:
        with rejections("/ops"):
            return apply_operations(
                _COMBINE[wanted.operation](*read),
                [operation.as_operation() for operation in wanted.ops],
            )

    return await asyncio.to_thread(combine)


async def _read(source: str | RunLengths, pictures: Pictures, pointer: str) -> Mask:
    if isinstance(source, str):
        stored = await pictures.resolve(source, pointer=pointer)
        return await pictures.mask(stored.id, pointer=pointer)
    height, width = source.size
    if height < 1 or width < 1:
        raise ValidationFailedError(
            f"A mask has at least 1 x 1 pixels; it is {width} x {height}.", pointer=pointer
        )
    if height * width > pictures.max_pixels:
        raise PayloadTooLargeError(
            f"A mask may have at most {pictures.max_pixels} pixels; it is {width} x {height}.",
            pointer=pointer,
        )

    def decode() -> Mask:
        with rejections(pointer):
            return decode_rle(source.counts, (height, width))

    return await asyncio.to_thread(decode)

"""Pictures that people send: checked in full when they arrive, decoded when they are used."""

from __future__ import annotations

import binascii
import re
from collections import OrderedDict
from dataclasses import dataclass

import pybase64

from gateway.errors import ImageInvalidError
from gateway.process.image_work import image_work
from gateway.rejections import rejections
from gateway.storage.bounded_memory import BoundedMemory
from gateway.storage.image_store import BegunPut, ImageStore, NewImage, StoredImage
from preprocessing import codec, masks
from preprocessing.arrays import Image, Mask, Plane
from preprocessing.codec import DecodedImage, GreyImage
from preprocessing.crop import Box
from preprocessing.image_header import ImageLimits
from preprocessing.patched import PatchedImage

_DATA_URL = re.compile(r"data:[\w.+/-]*(;[\w=.+-]+)*;base64,", re.ASCII)
_MOST_EXTENTS = 1024


@dataclass(frozen=True)
class MaskExtent:
    """What a mask selects, from mid-grey on."""

    coverage: float
    """Share of the picture, 0 to 1."""
    box: Box | None
    """xyxy, right and bottom exclusive; None for an empty mask."""

    @property
    def shown_coverage(self) -> float:
        """For people: six digits."""
        return round(self.coverage, 6)

    @property
    def is_all(self) -> bool:
        """Whether it leaves no pixel."""
        return self.coverage == 1


class Pictures:
    """Takes pictures in and hands their pixels out."""

    def __init__(self, store: ImageStore, limits: ImageLimits, *, cache_bytes: int = 0) -> None:
        self.store = store
        self.limits = limits
        self._recent: BoundedMemory[DecodedImage | GreyImage] = BoundedMemory(cache_bytes)
        """Pixels of the pictures used last: an upload is followed by its first click."""
        self._recent_levels: BoundedMemory[Plane] = BoundedMemory(cache_bytes // 4)
        """The masks used last: a job looks at its mask three times."""
        self._extents: OrderedDict[str, MaskExtent] = OrderedDict()
        """Of the masks that were asked about last: whoever polls a job asks again and again."""

    @property
    def max_pixels(self) -> int:
        """Most pixels a picture may have."""
        return self.limits.max_pixels

    async def take_in(self, data: bytes, *, pointer: str | None = None) -> StoredImage:
        """Check a picture in full and keep its bytes as they came.

        Raises:
            RetouchError: it cannot be read, or is over a limit; nothing was kept.
        """
        read, begun = await image_work(self._begin_taking_in, data, pointer)
        (stored,) = await self.store.end_put(begun)
        self._recent.put(stored.id, read)
        return stored

    async def resolve(self, reference: str, *, pointer: str | None = None) -> StoredImage:
        """The picture behind a file id, or behind a data URL, which is taken in first."""
        if reference.startswith("data:"):
            data = await image_work(_decode_data_url, reference, pointer)
            return await self.take_in(data, pointer=pointer)
        return await self.store.glance(reference)

    async def decoded(self, image_id: str) -> DecodedImage:
        """Pixels of a stored picture, upright RGB; not to be written to."""
        recent = self._recent.peek(image_id)
        if recent is not None:
            await self.store.require_visible(image_id)
        if isinstance(recent, DecodedImage):
            self._recent.use(image_id)
            return recent
        if recent is not None:
            decoded = await image_work(recent.in_colours)
        else:
            data = await self.store.content(image_id)
            decoded = await image_work(self._decode, data, None)
        self._recent.put(image_id, decoded)
        return decoded

    async def mask(self, image_id: str, *, pointer: str = "/mask") -> Mask:
        """A stored picture read as a mask: white = edit, from mid-grey on."""
        levels = await self.levels(image_id, pointer=pointer)
        return await image_work(masks.binarise, levels)

    async def mask_extent(self, image_id: str) -> MaskExtent:
        """How much of its picture a stored mask covers, and where."""
        known = self._extents.get(image_id)
        if known is not None:
            await self.store.require_visible(image_id)
            return known
        extent = await image_work(_extent, await self.levels(image_id))
        self.have_extent(image_id, extent)
        return extent

    def have_extent(self, image_id: str, extent: MaskExtent) -> None:
        """Say what a stored mask selects."""
        self._extents[image_id] = extent
        if len(self._extents) > _MOST_EXTENTS:
            self._extents.popitem(last=False)

    def known_extent(self, image_id: str) -> MaskExtent | None:
        """The same where it is known; nothing is looked at."""
        return self._extents.get(image_id)

    async def levels(self, image_id: str, *, pointer: str = "/mask") -> Plane:
        """A stored picture read as a soft mask: (H, W) uint8, white = edit; not written to."""
        levels = self._recent_levels.peek(image_id)
        if levels is None:
            data = await self.store.content(image_id)
            levels = await image_work(self._decode_mask, data, pointer)
            self._recent_levels.put(image_id, levels)
        await self.store.require_visible(image_id)
        return levels

    async def grey(self, image_id: str) -> Plane | None:
        """The levels of a grey PNG that was taken in just now; None: its bytes must be read."""
        recent = self._recent.peek(image_id)
        if recent is None or recent.grey is None:
            return None
        await self.store.require_visible(image_id)
        return recent.grey

    async def keep_levels(self, levels: Plane) -> str:
        """Store a soft mask as PNG; its id, which is that of a mask where it is hard after all."""
        stored, _ = await self.keep_mask(levels)
        self._recent_levels.put(stored.id, levels)
        return stored.id

    def have_levels(self, image_id: str, levels: Plane) -> str:
        """Say what the levels of a stored mask are; its id."""
        self._recent_levels.put(image_id, levels)
        return image_id

    async def keep_mask(self, mask: Mask | Plane) -> tuple[StoredImage, bytes]:
        """Store a mask as PNG; the record and the bytes."""
        data = await image_work(codec.encode_mask_png, mask)
        height, width = mask.shape
        return await self.store.put(data, width=width, height=height, format="png"), data

    async def keep(self, pixels: Image | Plane, *, alpha: Plane | None = None) -> StoredImage:
        """Store a picture, or the levels of a soft mask, as PNG."""
        begun = await image_work(self.begin_keeping, pixels, alpha=alpha)
        (stored,) = await self.store.end_put(begun)
        return stored

    def begin_keeping(
        self, picture: Image | Plane | PatchedImage, *, alpha: Plane | None = None
    ) -> BegunPut:
        """The first half of `keep`, in the thread that made the pixels; blocks.

        The second is the store's `end_put`.
        """
        data = codec.encode_png(picture, alpha=alpha)
        height, width = picture.shape[:2]
        return self.store.begin_put([NewImage(data=data, width=width, height=height, format="png")])

    async def forget(self, image_id: str) -> None:
        """Delete a picture.

        Raises:
            NotFoundError: no such picture.
        """
        self._recent.drop(image_id)
        self._recent_levels.drop(image_id)
        self._extents.pop(image_id, None)
        await self.store.delete(image_id)

    def _begin_taking_in(
        self, data: bytes, pointer: str | None
    ) -> tuple[DecodedImage | GreyImage, BegunPut]:
        """In the thread that decodes it, which has it at hand."""
        read = self._decode_grey(data, pointer) or self._decode(data, pointer)
        new = NewImage(
            data=data,
            width=read.width,
            height=read.height,
            format=read.header.format,
            warnings=read.warnings,
        )
        return read, self.store.begin_put([new])

    def _decode(self, data: bytes, pointer: str | None) -> DecodedImage:
        with rejections(pointer):
            return codec.decode_image(data, self.limits)

    def _decode_grey(self, data: bytes, pointer: str | None) -> GreyImage | None:
        with rejections(pointer):
            return codec.decode_grey(data, self.limits)

    def _decode_mask(self, data: bytes, pointer: str) -> Plane:
        with rejections(pointer):
            return codec.decode_mask(data, self.limits)


def _extent(levels: Plane) -> MaskExtent:
    mask = masks.binarise(levels)
    return MaskExtent(masks.coverage(mask), masks.bounding_box(mask))


def _decode_data_url(url: str, pointer: str | None) -> bytes:
    prefix = _DATA_URL.match(url)
    if prefix is None:
        message = "A data URL must look like data:image/png;base64,... ."
        raise ImageInvalidError(message, pointer=pointer)
    try:
        return pybase64.b64decode(url[prefix.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"The data URL does not hold valid base64: {error}."
        raise ImageInvalidError(message, pointer=pointer) from error

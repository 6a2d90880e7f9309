"""Use case: from what the model painted to the pictures of a finished job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.edits.edit_inputs import EditInputs
from gateway.edits.white_balancing import WhiteBalancer
from gateway.painting.painting_order import PaintingOrder
from gateway.process.image_work import image_work
from gateway.storage.image_store import BegunPut, StoredImage
from gateway.storage.pictures import Pictures
from preprocessing.arrays import Image, Plane
from preprocessing.codec import DecodedImage
from preprocessing.compose import Preserve, resized
from preprocessing.patched import PatchedImage
from preprocessing.stitch import Stitched, stitch


@dataclass(frozen=True)
class FinishedPicture:
    """A picture that a job hands out."""

    stored: StoredImage
    preservation: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    cube: StoredImage | None = None
    """The colour transform of a white balance."""


async def finish(
    order: PaintingOrder,
    inputs: EditInputs,
    painted: Image,
    pictures: Pictures,
    balancer: WhiteBalancer,
) -> FinishedPicture:
    """Give a painted picture the size of its original and leave what is outside the mask alone.

    A white balance becomes a colour transform of the original; nothing painted is left in it.
    """
    if inputs.original is None:
        return FinishedPicture(await pictures.keep(painted))
    if order.task == "white_balance":
        assert order.image is not None  # noqa: S101
        balanced = await balancer.by_example(order.image, painted)
        return FinishedPicture(balanced.stored, None, balanced.warnings, balanced.cube)
    done, begun = await image_work(
        _stitch_and_keep, order, inputs.original, inputs.levels, painted, pictures
    )
    (stored,) = await pictures.store.end_put(begun)
    kept = asdict(done.preservation) if done.preservation else None
    return FinishedPicture(stored, kept, done.warnings)


def _stitch_and_keep(
    order: PaintingOrder,
    original: DecodedImage,
    levels: Plane | None,
    painted: Image,
    pictures: Pictures,
) -> tuple[Stitched, BegunPut]:
    done = _stitched(order, original, levels, painted)
    alpha = original.alpha if order.keep_alpha else None
    return done, pictures.begin_keeping(done.picture, alpha=alpha)


def _stitched(
    order: PaintingOrder, original: DecodedImage, levels: Plane | None, painted: Image
) -> Stitched:
    if not order.keep_size and (levels is None or order.preserve == "none"):
        return Stitched(PatchedImage(painted), None)
    if levels is None:
        at_size = resized(painted, (original.width, original.height))
        return Stitched(PatchedImage(at_size), None)
    return stitch(
        original.pixels,
        painted,
        levels,
        crop=order.crop,
        preserve=Preserve(order.preserve),
        feather_px=order.feather,
    )

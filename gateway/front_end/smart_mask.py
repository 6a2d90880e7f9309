"""The front end's smart mask over the segmenter."""

from __future__ import annotations

import asyncio
import base64
import uuid

from gateway.errors import ImageInvalidError, InvalidRequestError, NotFoundError
from gateway.front_end.fields import SmartMaskFields, SmartMaskResult
from gateway.front_end.pictures_in import take_in_base64
from gateway.masks.segmentation import Segmenter
from gateway.masks.smart_masks import Question
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing import codec
from preprocessing.operations import Operation, OperationKind
from preprocessing.prompts import Prompt


class SmartMasks:
    """Finds masks, and lets the finding be canceled by the client's request id."""

    def __init__(self, segmenter: Segmenter, pictures: Pictures) -> None:
        self._segmenter = segmenter
        self._pictures = pictures
        self._underway: dict[tuple[str, str], asyncio.Task[SmartMaskResult]] = {}

    async def find(self, fields: SmartMaskFields, owner: str) -> SmartMaskResult:
        """The mask that fits best.

        Raises:
            InvalidRequestError: nothing to go by, nothing found, or canceled meanwhile.
            NotFoundError: the picture's id is unknown.
        """
        request_id = fields.request_id or uuid.uuid4().hex
        task = asyncio.ensure_future(self._find(fields, request_id))
        key = (owner, request_id)
        self._underway[key] = task
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise InvalidRequestError("The request was canceled.", code="canceled") from None
        finally:
            task.cancel()
            self._underway.pop(key, None)

    def cancel(self, request_id: str, owner: str) -> bool:
        """Whether there was something to cancel."""
        task = self._underway.pop((owner, request_id), None)
        return task is not None and task.cancel()

    async def _find(self, fields: SmartMaskFields, request_id: str) -> SmartMaskResult:
        image = await self._image(fields)
        try:
            prompt = await self._prompt(fields, image)
            found = await self._segmenter.segment_into(
                image,
                Question(prompts=[prompt], operations=_operations(fields), pointer=""),
                lambda found: codec.encode_boxed_mask(found[0].boxed),
            )
        except ImageInvalidError as error:
            if error.code != "mask_not_found":
                raise
            message = f"The segmentation did not generate a mask: {error.message}"
            raise ImageInvalidError(message, code=error.code) from error
        other = fields.model_type.lower() not in ("", "fastsam")
        note = f"{fields.model_type[:40]} is not installed; FastSAM answered."
        return SmartMaskResult(
            success=True,
            mask_base64=base64.b64encode(found.masks).decode(),
            image_id=image.id,
            request_id=request_id,
            warnings=[note] if other else [],
        )

    async def _prompt(self, fields: SmartMaskFields, image: StoredImage) -> Prompt:
        stroke = None
        if fields.mask:
            stored = await take_in_base64(fields.mask, "mask", self._pictures)
            stroke = await self._pictures.mask(stored.id, pointer="/mask")
        is_guided = bool(fields.bbox or fields.points or fields.mask)
        if not is_guided and not fields.auto_detect:
            message = "Send bbox, points, mask or auto_detect."
            raise InvalidRequestError(message, pointer="/bbox")
        return Prompt(
            points=tuple(fields.points),
            labels=(1,) * len(fields.points),
            box=_in_picture(fields.bbox, image) if fields.bbox else None,
            scribble=stroke,
            auto=not is_guided,
        )

    async def _image(self, fields: SmartMaskFields) -> StoredImage:
        if fields.image:
            return await take_in_base64(fields.image, "image", self._pictures)
        if not fields.image_id:
            raise InvalidRequestError("Send image or image_id.", pointer="/image")
        try:
            return await self._pictures.store.info(fields.image_id)
        except NotFoundError as error:
            message = f"Image ID not found or expired: {fields.image_id[:80]}"
            raise NotFoundError(message) from error


def _in_picture(
    box: tuple[float, float, float, float], image: StoredImage
) -> tuple[float, float, float, float]:
    """A box dragged in any direction; what a pointer overshoots by less than a pixel is cut."""
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    return (
        0.0 if -1 < x0 < 0 else x0,
        0.0 if -1 < y0 < 0 else y0,
        float(image.width) if image.width < x1 < image.width + 1 else x1,
        float(image.height) if image.height < y1 < image.height + 1 else y1,
    )


def _operations(fields: SmartMaskFields) -> list[Operation]:
    """Border moved, then the edge softened."""
    operations = []
    if fields.border_adjustment:
        operations.append(Operation(OperationKind.BORDER_ADJUSTMENT, fields.border_adjustment))
    if fields.use_blur:
        operations.append(Operation(OperationKind.BLUR))
    return operations

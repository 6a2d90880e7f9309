"""From a job request on the wire to one whose pictures are file ids."""

from __future__ import annotations

from typing import Any

from gateway.edits.job_masks import MaskDesk, UsedMask
from gateway.errors import InvalidRequestError
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from gateway.wire.mask_prompts import read_prompt
from gateway.wire.mask_schemas import MaskPrompt
from gateway.wire.schemas import JobMask, JobRequest
from preprocessing.mask_input import MaskSemantics


async def resolve_pictures(
    wanted: JobRequest, pictures: Pictures, mask_desk: MaskDesk
) -> dict[str, Any]:
    """Take in data URLs, find masks by prompt, and read masks by the request's semantics.

    Raises:
        RetouchError: a picture or mask is missing, cannot be read, or does not fit.
    """
    # What was left out stays so: a default is no wish that a task could refuse.
    unsaid = {"preserve", "feather"} - wanted.model_fields_set
    fields = wanted.model_dump(exclude={"metadata", "mask", "mask_semantics", *unsaid})
    image = await pictures.resolve(wanted.image, pointer="/image") if wanted.image else None
    fields["image"] = image.id if image else None
    fields["reference"] = [
        (await pictures.resolve(name, pointer="/reference")).id for name in wanted.reference
    ]
    if wanted.reference_mask:
        shape = await pictures.resolve(wanted.reference_mask, pointer="/reference_mask")
        fields["reference_mask"] = await mask_desk.shape(shape.id)
    if wanted.mask:
        if image is None:
            raise InvalidRequestError("A mask needs an image.", pointer="/image")
        semantics = wanted.mask_semantics
        used = await mask_of(wanted.mask, image, pictures, mask_desk, semantics=semantics)
        fields |= {"mask": used.file_id, "mask_polarity": used.polarity, "notes": used.notes}
    if isinstance(wanted.mask, JobMask) and wanted.mask.feather is not None:
        if "feather" in wanted.model_fields_set:
            message = "Send the feather with the mask or with the job, not with both."
            raise InvalidRequestError(message, pointer="/feather")
        fields["feather"] = wanted.mask.feather
    return fields


async def mask_of(
    wanted: str | JobMask,
    image: StoredImage,
    pictures: Pictures,
    mask_desk: MaskDesk,
    *,
    semantics: MaskSemantics,
) -> UsedMask:
    """The mask behind a file id, a data URL or a prompt; raises as `MaskDesk` does."""
    if isinstance(wanted, str):
        stored = await pictures.resolve(wanted, pointer="/mask")
        return await mask_desk.read(stored.id, image, semantics=semantics)
    several = wanted.prompts
    if several and wanted.model_fields_set & MaskPrompt.model_fields.keys():
        message = "Send prompts, or the prompt of one object, not both."
        raise InvalidRequestError(message, pointer="/mask/prompts")
    prompts = [
        await read_prompt(prompt, image, pictures, pointer="/mask")
        for prompt in several or [wanted]
    ]
    return await mask_desk.find(prompts, image, grow_px=wanted.grow)

"""A submission of the front end in the words of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.edits.edit_tasks import TASKS, prompt_of
from gateway.edits.job_masks import MaskDesk
from gateway.front_end.fields import SubmitFields
from gateway.front_end.outlined_mask import outlined
from gateway.front_end.pictures_in import take_in_base64
from gateway.front_end.prompt_words import with_view
from gateway.front_end.unmet import unmet_wishes
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing.sizes import MULTIPLE

_TASKS = {"insertion": "insert", "removal": "remove", "white-balance": "white_balance"}
_BOX_PREFILL_GROW_PX = 0
"""A box holds the object and its shadow; what a brush leaves out is guessed over too."""


async def painting_order(
    fields: SubmitFields, pictures: Pictures, masks: MaskDesk
) -> dict[str, Any]:
    """What `Painter.accept` takes; every picture is checked here, before the task is queued.

    Raises:
        RetouchError: a picture cannot be read, or a mask selects nothing.
    """
    task = _TASKS[fields.task_type]
    image = await take_in_base64(fields.input_image, "input_image", pictures)
    conditions = [
        await take_in_base64(text, f"conditional_images/{number}", pictures)
        for number, text in enumerate(fields.conditional_images)
    ]
    if fields.mask_image:
        legacy = await take_in_base64(fields.mask_image, "mask_image", pictures)
        conditions = conditions or [legacy]
    order: dict[str, Any] = {
        "task": task,
        "prompt": fields.prompt,
        "negative_prompt": fields.negative_prompt or "",
        "image": image.id,
        "size": _size(fields),
        "num_inference_steps": fields.num_inference_steps,
        # Guidance below 1 is none at all, as 1 is.
        "true_cfg_scale": max(1.0, fields.true_cfg_scale),
        "seed": None if fields.seed in (None, -1) else fields.seed,
        "notes": tuple(unmet_wishes(fields)),
    }
    if "mask" not in TASKS[task].refuses and conditions:
        used = await masks.read(conditions[0].id, image, pointer="/mask")
        if task == "remove" and fields.refine_mask_with_birefnet:
            used = await outlined(used, image, pictures, masks)
        notes = (*used.notes, *order["notes"])
        order |= {"mask": used.file_id, "mask_polarity": used.polarity, "notes": notes}
    if task == "remove" and fields.mask_tool_type == "box":
        order["prefill_grow"] = _BOX_PREFILL_GROW_PX
    order |= await _references(fields, conditions[1:], pictures, masks)
    return order | {"prompt": _prompt(fields, order)}


def _prompt(fields: SubmitFields, order: Mapping[str, Any]) -> str:
    """The prompt with the chosen view; without words of its own, the task's with the view."""
    chosen = (fields.angle or "").strip() or (fields.background_preset or "").strip()
    if not chosen or fields.task_type == "white-balance":
        return fields.prompt
    view = {"angle": fields.angle, "background": fields.background_preset}
    return with_view(prompt_of(order), **view)


async def _references(
    fields: SubmitFields, conditions: list[StoredImage], pictures: Pictures, masks: MaskDesk
) -> dict[str, Any]:
    """What the task takes of the further pictures; the client sends them whatever the task."""
    room = TASKS[_TASKS[fields.task_type]].max_references
    if fields.reference_image:
        reference = await take_in_base64(fields.reference_image, "reference_image", pictures)
        conditions = [reference, *conditions]
    found: dict[str, Any] = {"reference": [picture.id for picture in conditions[:room]]}
    if fields.reference_mask_R and found["reference"]:
        shape = await take_in_base64(fields.reference_mask_R, "reference_mask_R", pictures)
        found["reference_mask"] = await masks.shape(shape.id)
    return found


def _size(fields: SubmitFields) -> str:
    """What is painted; the result always has the size of the input.

    Of an original in full only what is around the mask is painted, at a size that fits it.
    """
    if fields.width is None or fields.height is None or fields.input_quality == "original":
        return "auto"
    sides = (max(MULTIPLE, round(s / MULTIPLE) * MULTIPLE) for s in (fields.width, fields.height))
    return "x".join(str(side) for side in sides)

"""A submission of the front end in the words of a job."""

from __future__ import annotations

from typing import Any

from gateway.front_end.fields import SubmitFields
from gateway.front_end.pictures_in import take_in_base64
from gateway.generation import TASK_MODELS
from gateway.image_store import StoredImage
from gateway.pictures import Pictures
from preprocessing.sizes import MULTIPLE

_PROMPTS = {"insertion": "", "removal": "remove object", "white-balance": "white balance"}
TASKS = {"insertion": "insert", "removal": "remove", "white-balance": "white_balance"}


async def painting_order(fields: SubmitFields, pictures: Pictures) -> dict[str, Any]:
    """What `Painter.accept` takes; every picture is checked here, before the task is queued.

    Raises:
        RetouchError: a picture cannot be read.
    """

    async def taken(text: str | None, name: str) -> str | None:
        return (await take_in_base64(text, name, pictures)).id if text else None

    image: StoredImage = await take_in_base64(fields.input_image, "input_image", pictures)
    conditions = [
        await taken(text, f"conditional_images/{number}")
        for number, text in enumerate(fields.conditional_images)
    ]
    legacy_mask = await taken(fields.mask_image, "mask_image")
    mask = conditions[0] if conditions else legacy_mask
    reference = await taken(fields.reference_image, "reference_image")
    references = [reference, *conditions[1:]] if reference else conditions[1:]
    optional = {"reference_mask": await taken(fields.reference_mask_R, "reference_mask_R")}
    return {
        "task": TASKS[fields.task_type] if TASKS[fields.task_type] in TASK_MODELS else "edit",
        "prompt": fields.prompt or _PROMPTS[fields.task_type],
        "negative_prompt": fields.negative_prompt or "",
        "image": image.id,
        "mask": mask if fields.task_type != "white-balance" else None,
        "reference": [name for name in references if name],
        "size": _size(fields),
        "num_inference_steps": fields.num_inference_steps,
        # Guidance below 1 is none at all, as 1 is.
        "true_cfg_scale": max(1.0, fields.true_cfg_scale),
        "seed": None if fields.seed in (None, -1) else fields.seed,
        **{name: value for name, value in optional.items() if value},
    }


def _size(fields: SubmitFields) -> str:
    """What is painted; the result always has the size of the input."""
    if fields.width is None or fields.height is None:
        return "auto"
    sides = (max(MULTIPLE, round(s / MULTIPLE) * MULTIPLE) for s in (fields.width, fields.height))
    return "x".join(str(side) for side in sides)

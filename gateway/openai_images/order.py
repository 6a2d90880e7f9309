"""A request of the Images API in the words of a job."""

from __future__ import annotations

from typing import Any

from gateway.edits.job_masks import MaskDesk, UsedMask
from gateway.errors import (
    ImageInvalidError,
    InvalidRequestError,
    NotFoundError,
    UnsupportedValueError,
)
from gateway.model_catalog import ModelCatalog
from gateway.openai_images.body import ImageBody
from gateway.openai_images.fields import ImageEditFields, ImageFields
from gateway.painting.generation import TASK_MODELS
from gateway.storage.pictures import Pictures
from gateway.wire.mask_prompts import read_prompt
from preprocessing.mask_input import MaskSemantics

MAX_CONDITIONS = 4
"""Pictures that the edit model looks at in one job."""
_OPENAI_NAMES = ("gpt-image-", "chatgpt-image-", "dall-e-")
"""What clients of OpenAI send; here it means the route's own model."""
_SHARE_OF_STEPS = {"low": 0.25, "medium": 0.5, "standard": 0.5, "high": 1.0, "hd": 1.0}


class OrderTranslator:
    """Turns checked fields and pictures into what `Painter.accept` takes."""

    def __init__(self, pictures: Pictures, masks: MaskDesk, catalog: ModelCatalog) -> None:
        self._pictures = pictures
        self._masks = masks
        self._catalog = catalog

    async def generation(self, fields: ImageFields) -> dict[str, Any]:
        """The order of `/v1/images/generations`.

        Raises:
            NotFoundError: there is no such model.
            UnsupportedValueError: the model does not do this task.
        """
        return self._shared(fields, "generate", fields.size)

    async def edit(self, fields: ImageEditFields, body: ImageBody) -> dict[str, Any]:
        """The order of `/v1/images/edits`.

        Raises:
            InvalidRequestError: no picture, or more than one way to say the mask.
            UnsupportedValueError: a task there is not, or more pictures than it takes.
        """
        if fields.task not in TASK_MODELS or fields.task == "generate":
            known = ", ".join(name for name in TASK_MODELS if name != "generate")
            message = f"There is no task {fields.task!r} for edits; there are: {known}."
            raise UnsupportedValueError(message, pointer="/task")
        if not body.images:
            raise InvalidRequestError("An edit needs an image.", pointer="/image")
        if len(body.images) > MAX_CONDITIONS:
            message = f"The model looks at {MAX_CONDITIONS} pictures; {len(body.images)} came."
            raise UnsupportedValueError(message, pointer="/image")
        first = await self._pictures.store.info(body.images[0])
        mask = await self._mask(fields, body)
        fits = fields.size == f"{first.width}x{first.height}"
        order = self._shared(fields, fields.task, "auto" if fits else fields.size)
        if mask is not None and fields.preserve != "none" and order["size"] != "auto":
            message = (
                f"What is outside the mask stays as it is, so the size is the image's, "
                f"{first.width}x{first.height}; send auto, or preserve: none."
            )
            raise UnsupportedValueError(message, pointer="/size")
        optional = {
            "preserve": fields.preserve,
            "feather": fields.feather,
            "strength": fields.strength,
        }
        return {
            **order,
            **{name: value for name, value in optional.items() if value is not None},
            "image": body.images[0],
            "reference": list(body.images[1:]),
            **_of_mask(mask),
            "keep_size": order["size"] == "auto",
        }

    def _shared(self, fields: ImageFields, task: str, size: str) -> dict[str, Any]:
        model = self._model(fields.model, task)
        steps = fields.num_inference_steps
        defaults = self._catalog.defaults(model)
        if fields.quality != "auto" and defaults is not None:
            share = _SHARE_OF_STEPS[fields.quality]
            steps = max(1, round(defaults.num_inference_steps * share))
        elif defaults is not None:
            steps = steps or defaults.num_inference_steps
        return {
            "task": task,
            "prompt": fields.prompt,
            "negative_prompt": fields.negative_prompt,
            "size": size,
            "n": fields.n,
            "seed": fields.seed,
            "num_inference_steps": steps,
            "true_cfg_scale": fields.true_cfg_scale or fields.guidance_scale,
            "adapters": fields.adapters,
            "priority": fields.priority,
            "determinism": fields.determinism,
            "deadline_s": fields.deadline_s,
            "preview_every": _preview_every(fields, steps),
        }

    def _model(self, name: str | None, task: str) -> str:
        model = TASK_MODELS[task]
        if name in (None, "", "auto", model) or str(name).startswith(_OPENAI_NAMES):
            return model
        if any(entry.name == name for entry in self._catalog.models):
            message = f"Model {name} does not do {task}; {model} does."
            raise UnsupportedValueError(message, pointer="/model")
        message = f"There is no model {str(name)[:80]!r}; /v1/models has them."
        raise NotFoundError(message, code="model_not_found", pointer="/model")

    async def _mask(self, fields: ImageEditFields, body: ImageBody) -> UsedMask | None:
        """The mask of the first picture."""
        ways = [body.mask, body.mask_image, fields.mask_prompt]
        if sum(way is not None for way in ways) > 1:
            message = "Send one of mask, mask_image and mask_prompt."
            raise InvalidRequestError(message, pointer="/mask")
        image = await self._pictures.store.info(body.images[0])
        if fields.mask_prompt is not None:
            prompt = await read_prompt(
                fields.mask_prompt, image, self._pictures, pointer="/mask_prompt"
            )
            return await self._masks.find([prompt], image, grow_px=fields.grow)
        sent = body.mask or body.mask_image
        if sent is None:
            return None
        usual = MaskSemantics.TRANSPARENT if body.mask else MaskSemantics.WHITE
        try:
            return await self._masks.read(
                sent,
                image,
                semantics=fields.mask_semantics or usual,
                grow_px=fields.grow,
                pointer="/mask" if body.mask else "/mask_image",
            )
        except ImageInvalidError as error:
            if error.code != "mask_no_alpha" or fields.mask_semantics is not None:
                raise
            message = f"{error.message} Send a mask that is white where to edit as mask_image."
            raise ImageInvalidError(message, code=error.code, pointer="/mask") from error


def _of_mask(mask: UsedMask | None) -> dict[str, Any]:
    if mask is None:
        return {"mask": None}
    return {"mask": mask.file_id, "mask_polarity": mask.polarity, "notes": mask.notes}


def _preview_every(fields: ImageFields, steps: int | None) -> int:
    """Steps between previews so that there is one for each partial picture."""
    if not fields.stream or not fields.partial_images:
        return 0
    return max(1, (steps or 1) // (fields.partial_images + 1))

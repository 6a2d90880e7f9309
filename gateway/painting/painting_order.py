"""What a job asks for, checked and with its defaults filled in before it is queued."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.edits.edit_tasks import (
    TASKS,
    model_of,
    prompt_of,
    require_adapters,
    require_parts,
    with_task_adapter,
)
from gateway.errors import ModelUnavailableError
from gateway.model_catalog import ModelCatalog, ModelDefaults
from gateway.process.image_work import image_work
from gateway.rejections import rejections
from gateway.storage.pictures import Pictures
from preprocessing import masks
from preprocessing.arrays import Plane
from preprocessing.crop import Box, plan_crop
from preprocessing.prefill import BRUSH_GROW_PX
from preprocessing.sizes import check_size, fit_area

TASK_MODELS = {task: rule.model for task, rule in TASKS.items()}


@dataclass(frozen=True, kw_only=True)
class PaintingOrder:
    """A checked request with its defaults filled in; pictures by file id."""

    task: str
    model: str
    prompt: str
    negative_prompt: str
    image: str | None
    references: tuple[str, ...]
    mask: str | None
    width: int
    height: int
    num_inference_steps: int
    true_cfg_scale: float
    strength: float
    seed: int
    n: int
    preserve: str
    feather: int
    adapters: Mapping[str, float] = field(default_factory=dict)
    priority: str = "interactive"
    determinism: str = "batched"
    """exact: the picture does not depend on the jobs that run beside this one."""
    deadline_s: float | None = None
    """Seconds from the submission to the end."""
    keep_size: bool = True
    """Whether an edit comes back at the size of its picture rather than as it was painted."""
    preview_every: int | None = None
    """Steps between two previews; None for the gateway's own setting."""
    reference_mask: str | None = None
    crop: Box | None = None
    """What of a large photograph is painted, xyxy; None for all of it."""
    mask_polarity: str = "white"
    """How the mask was read that became `mask`."""
    prefill_grow: int = BRUSH_GROW_PX
    keep_alpha: bool = False
    notes: tuple[str, ...] = ()
    """Warnings about what came in."""

    def __post_init__(self) -> None:
        if self.crop is not None:  # a list where the order was kept as JSON
            x0, y0, x1, y1 = self.crop
            object.__setattr__(self, "crop", (x0, y0, x1, y1))

    @property
    def files(self) -> tuple[str, ...]:
        """Every stored picture the order cannot do without."""
        named = (self.image, self.mask, self.reference_mask, *self.references)
        return tuple(name for name in named if name)


class OrderDesk:
    """Checks requests against the models and the pictures there are."""

    def __init__(
        self, pictures: Pictures, catalog: ModelCatalog, *, default_deadline_s: float | None = None
    ) -> None:
        self._pictures = pictures
        self._catalog = catalog
        self._default_deadline_s = default_deadline_s

    async def accept(self, wanted: Mapping[str, Any]) -> PaintingOrder:
        """Check a request whose pictures are file ids, and fill in its defaults.

        Raises:
            InvalidRequestError: a picture or a prompt is missing, or does not go with the task.
            UnsupportedValueError: a part that the task has no use for, a size that the model does
                not paint, an adapter it has not.
            ModelUnavailableError: the task's model is not there.
            NotFoundError: a file is unknown.
        """
        task = wanted["task"]
        model = model_of(wanted)
        defaults = self._catalog.defaults(model)
        if defaults is None:
            raise ModelUnavailableError(f"Model {model} is not ready yet; see /health/ready.")
        require_parts(wanted)
        prompt = prompt_of(wanted)
        known = self._catalog.adapters(model)
        adapters = with_task_adapter(task, wanted.get("adapters") or {}, known)
        require_adapters(model, adapters, known)
        crop = await self._crop(wanted, defaults.area) if wanted.get("mask") else None
        width, height = await self._size(task, wanted, defaults, crop)
        return PaintingOrder(
            task=task,
            model=model,
            prompt=prompt,
            negative_prompt=wanted.get("negative_prompt") or "",
            image=wanted.get("image"),
            references=tuple(wanted.get("reference") or ()),
            mask=wanted.get("mask"),
            width=width,
            height=height,
            num_inference_steps=wanted.get("num_inference_steps") or defaults.num_inference_steps,
            true_cfg_scale=_first(wanted.get("true_cfg_scale"), defaults.true_cfg_scale),
            strength=_first(wanted.get("strength"), 0.9 if task == "inpaint" else 1.0),
            seed=_first(wanted.get("seed"), secrets.randbelow(2**31)),
            n=wanted.get("n") or 1,
            preserve=wanted.get("preserve") or "exact",
            feather=_first(wanted.get("feather"), 8),
            adapters=adapters,
            priority=wanted.get("priority") or "interactive",
            determinism=wanted.get("determinism") or "batched",
            deadline_s=_first(wanted.get("deadline_s"), self._default_deadline_s),
            keep_size=wanted.get("keep_size", True),
            preview_every=wanted.get("preview_every"),
            reference_mask=wanted.get("reference_mask"),
            crop=crop,
            mask_polarity=wanted.get("mask_polarity") or "white",
            prefill_grow=_first(wanted.get("prefill_grow"), BRUSH_GROW_PX),
            keep_alpha=bool(wanted.get("keep_alpha")),
            notes=tuple(wanted.get("notes") or ()),
        )

    async def _size(
        self,
        task: str,
        wanted: Mapping[str, Any],
        defaults: ModelDefaults,
        crop: Box | None,
    ) -> tuple[int, int]:
        size = wanted.get("size") or "auto"
        if size != "auto":
            width, height = (int(side) for side in size.split("x"))
            with rejections("/size"):
                check_size((width, height), multiple=defaults.size_multiple)
            return width, height
        if task == "generate":
            return defaults.size_wh
        image = await self._pictures.store.glance(wanted["image"])
        x0, y0, x1, y1 = crop or (0, 0, image.width, image.height)
        return fit_area((x1 - x0, y1 - y0), defaults.area, multiple=defaults.size_multiple)

    async def _crop(self, wanted: Mapping[str, Any], area: int) -> Box | None:
        """Check the mask, and plan what of the picture is painted."""
        image = await self._pictures.store.glance(wanted["image"])
        levels = await self._pictures.levels(wanted["mask"])
        image_wh = image.width, image.height
        box = self._known_box(wanted["mask"], levels, image_wh)
        if box is None:
            box = await image_work(_box_of, levels, image_wh)
        is_off = wanted.get("crop") == "off" or (wanted.get("size") or "auto") != "auto"
        return None if is_off else plan_crop(box, image_wh, area)

    def _known_box(self, mask_id: str, levels: Plane, image_wh: tuple[int, int]) -> Box | None:
        """Where a mask is that has just been read as one of the picture; None: look."""
        known = self._pictures.known_extent(mask_id)
        if known is None or known.is_all or levels.shape != image_wh[::-1]:
            return None
        return known.box


def _box_of(levels: Plane, image_wh: tuple[int, int]) -> Box:
    """Where a mask is, once it has proven to be one of the picture."""
    mask = masks.binarise(levels)
    with rejections("/mask"):
        masks.require_size(mask, image_wh)
        masks.require_usable(mask)
    return masks.bounding_box(mask) or (0, 0, *image_wh)


def _first(value: Any, default: Any) -> Any:
    return default if value is None else value

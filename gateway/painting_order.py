"""What a job asks for, checked and with its defaults filled in before it is queued."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import InvalidRequestError, ModelUnavailableError, UnsupportedValueError
from gateway.inference import EDIT_MODEL, GENERATION_MODEL
from gateway.model_catalog import ModelCatalog, ModelDefaults
from gateway.pictures import Pictures
from gateway.rejections import rejections
from preprocessing import masks
from preprocessing.sizes import check_size, fit_area

TASK_MODELS = {"generate": GENERATION_MODEL, "edit": EDIT_MODEL, "inpaint": GENERATION_MODEL}


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
            UnsupportedValueError: a size that the model does not paint, an adapter it has not.
            ModelUnavailableError: the task's model is not there.
            NotFoundError: a file is unknown.
        """
        task = wanted["task"]
        model = TASK_MODELS[task]
        defaults = self._catalog.defaults(model)
        if defaults is None:
            raise ModelUnavailableError(f"Model {model} is not ready yet; see /health/ready.")
        _require_parts(task, wanted)
        adapters = wanted.get("adapters") or {}
        _require_adapters(model, adapters, self._catalog.adapters(model))
        width, height = await self._size(task, wanted, defaults)
        if wanted.get("mask"):
            await self._check_mask(wanted["mask"], wanted["image"])
        return PaintingOrder(
            task=task,
            model=model,
            prompt=wanted["prompt"],
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
        )

    async def _size(
        self, task: str, wanted: Mapping[str, Any], defaults: ModelDefaults
    ) -> tuple[int, int]:
        size = wanted.get("size") or "auto"
        if size != "auto":
            width, height = (int(side) for side in size.split("x"))
            with rejections("/size"):
                check_size((width, height), multiple=defaults.size_multiple)
            return width, height
        if task == "generate":
            return defaults.size_wh
        image = await self._pictures.store.info(wanted["image"])
        return fit_area(
            (image.width, image.height),
            defaults.size_wh[0] * defaults.size_wh[1],
            multiple=defaults.size_multiple,
        )

    async def _check_mask(self, mask_id: str, image_id: str) -> None:
        image = await self._pictures.store.info(image_id)
        mask = await self._pictures.mask(mask_id)
        with rejections("/mask"):
            masks.require_size(mask, (image.width, image.height))
            masks.require_usable(mask)


def _require_parts(task: str, wanted: Mapping[str, Any]) -> None:
    """Each task has pictures it cannot do without and pictures it has no use for."""
    needs = {"generate": (), "edit": ("image",), "inpaint": ("image", "mask")}[task]
    for part in needs:
        if not wanted.get(part):
            raise InvalidRequestError(f"Task {task} needs {part}.", pointer=f"/{part}")
    useless = {"generate": ("image", "mask", "reference"), "inpaint": ("reference",), "edit": ()}
    for part in useless[task]:
        if wanted.get(part):
            raise UnsupportedValueError(f"Task {task} takes no {part}.", pointer=f"/{part}")
    if task != "inpaint" and wanted.get("strength") is not None:
        raise UnsupportedValueError(f"Task {task} takes no strength.", pointer="/strength")
    if not str(wanted.get("prompt") or "").strip():
        raise InvalidRequestError(f"Task {task} needs a prompt; it is empty.", pointer="/prompt")


def _require_adapters(model: str, wanted: Iterable[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            there_are = ", ".join(known) or "none"
            message = f"Model {model} has no adapter {name!r}; it has: {there_are}."
            raise UnsupportedValueError(message, pointer=f"/adapters/{name}")


def _first(value: Any, default: Any) -> Any:
    return default if value is None else value

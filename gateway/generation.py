"""Use case: a job becomes a picture.

`Painter.accept` checks a request and fills in every default, so that what is queued is what
runs; `Painter.run` is the queue's runner.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gateway.errors import (
    InvalidRequestError,
    ModelUnavailableError,
    UnsupportedValueError,
)
from gateway.inference import (
    EDIT_MODEL,
    GENERATION_MODEL,
    InferenceBackend,
    PaintEvent,
    PictureDone,
    PictureRequest,
    StepDone,
)
from gateway.job import Job, JobResult
from gateway.jobs import JobReporter
from gateway.model_catalog import ModelCatalog
from gateway.pictures import Pictures
from gateway.rejections import rejections
from preprocessing import codec, compose, masks
from preprocessing.arrays import Image, Mask
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


class Painter:
    """Checks requests and paints them through the model server."""

    def __init__(
        self,
        backend: InferenceBackend,
        pictures: Pictures,
        catalog: ModelCatalog,
        *,
        preview_every: int,
    ) -> None:
        self._backend = backend
        self._pictures = pictures
        self._catalog = catalog
        self._preview_every = preview_every

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
        width, height = await self._size(task, wanted, defaults.size_wh)
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
        )

    async def run(self, job: Job, report: JobReporter) -> JobResult:
        """Paint the job's pictures; those of one job share batches like those of several."""
        order = PaintingOrder(**job.request)
        original = (await self._pictures.decoded(order.image)) if order.image else None
        mask = await self._pictures.mask(order.mask) if order.mask else None
        requests = await self._requests(order, original, mask)
        progress = _SharedProgress(report, len(requests))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._paint(request, index, progress))
                    for index, request in enumerate(requests)
                ]
        except ExceptionGroup as failures:  # the queue knows our errors, not groups of them
            raise failures.exceptions[0] from failures
        done = [task.result() for task in tasks]
        return await self._deliver(order, requests, done, original, mask)

    async def _size(
        self, task: str, wanted: Mapping[str, Any], default_wh: tuple[int, int]
    ) -> tuple[int, int]:
        size = wanted.get("size") or "auto"
        if size != "auto":
            width, height = (int(side) for side in size.split("x"))
            with rejections("/size"):
                check_size((width, height))
            return width, height
        if task == "generate":
            return default_wh
        image = await self._pictures.store.info(wanted["image"])
        return fit_area((image.width, image.height), default_wh[0] * default_wh[1])

    async def _check_mask(self, mask_id: str, image_id: str) -> None:
        image = await self._pictures.store.info(image_id)
        mask = await self._pictures.mask(mask_id)
        with rejections("/mask"):
            masks.require_size(mask, (image.width, image.height))
            masks.require_usable(mask)

    async def _requests(
        self, order: PaintingOrder, original: codec.DecodedImage | None, mask: Mask | None
    ) -> list[PictureRequest]:
        size_wh = order.width, order.height
        images: tuple[Image, ...] = ()
        painted_mask = None
        if original is not None and order.task == "inpaint" and mask is not None:
            images = (await asyncio.to_thread(compose.resized, original.pixels, size_wh),)
            painted_mask = np.where(masks.resize_mask(mask, size_wh), np.uint8(255), np.uint8(0))
        elif original is not None:
            others = [await self._pictures.decoded(name) for name in order.references]
            images = (original.pixels, *(other.pixels for other in others))
        return [
            PictureRequest(
                model=order.model,
                prompt=order.prompt,
                negative_prompt=order.negative_prompt,
                width=order.width,
                height=order.height,
                num_inference_steps=order.num_inference_steps,
                true_cfg_scale=order.true_cfg_scale,
                seed=order.seed + index,
                strength=order.strength,
                adapters=order.adapters,
                preview_every=self._preview_every,
                images=images,
                mask=painted_mask,
            )
            for index in range(order.n)
        ]

    async def _paint(
        self, request: PictureRequest, index: int, progress: _SharedProgress
    ) -> PictureDone:
        events: AsyncIterator[PaintEvent] = self._backend.paint(request)
        # Closing the stream is what cancels the work in the model server.
        async with aclosing(events) as stream:  # type: ignore[type-var]
            async for event in stream:
                if isinstance(event, PictureDone):
                    return event
                progress.step_done(index, event)
        raise ModelUnavailableError(f"Model {request.model} ended without a picture.")

    async def _deliver(
        self,
        order: PaintingOrder,
        requests: list[PictureRequest],
        done: list[PictureDone],
        original: codec.DecodedImage | None,
        mask: Mask | None,
    ) -> JobResult:
        output: list[Mapping[str, Any]] = []
        preservation: Mapping[str, Any] | None = None
        for request, picture in zip(requests, done, strict=True):
            finished, kept = await asyncio.to_thread(_finish, picture.image, order, original, mask)
            stored = await self._pictures.keep(finished)
            preservation = asdict(kept) if kept else None
            output.append(
                {
                    "file_id": stored.id,
                    "url": f"/v1/files/{stored.id}/content",
                    "width": stored.width,
                    "height": stored.height,
                    "format": stored.format,
                    "sha256": stored.sha256,
                    "seed": request.seed,
                }
            )
        return JobResult(
            output=tuple(output),
            preservation=preservation,
            warnings=original.warnings if original else (),
            timings={"inference_s": max(picture.total_s for picture in done)},
        )


class _SharedProgress:
    """Progress of a job that paints several pictures at once: the slowest one counts."""

    def __init__(self, report: JobReporter, pictures: int) -> None:
        self._report = report
        self._steps = [0] * pictures
        self._reported = 0

    def step_done(self, index: int, event: StepDone) -> None:
        self._steps[index] = event.step
        if min(self._steps) > self._reported:
            self._reported = min(self._steps)
            self._report.step_done(self._reported, event.total_steps)
        if event.preview is not None and index == 0:
            jpeg = base64.b64encode(codec.encode_jpeg(event.preview)).decode()
            height, width = event.preview.shape[:2]
            picture = {"step": event.step, "format": "jpeg", "width": width, "height": height}
            self._report.preview({**picture, "b64_json": jpeg})


def _finish(
    painted: Image, order: PaintingOrder, original: codec.DecodedImage | None, mask: Mask | None
) -> tuple[Image, compose.Preservation | None]:
    """Bring an edit back to the original's size and leave what is outside the mask alone."""
    if original is None:
        return painted, None
    if mask is None or order.preserve == "none":
        return compose.resized(painted, (original.width, original.height)), None
    return compose.paste(original.pixels, painted, mask, feather_px=order.feather)


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

"""Use case: a job becomes a picture.

`Painter.accept` checks a request and fills in every default (`painting_order.py`), so that what
is queued is what runs; `Painter.run` is the queue's runner.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from gateway.edits.edit_inputs import EditInputs, edit_inputs
from gateway.edits.edit_results import FinishedPicture, finish
from gateway.edits.white_balancing import WhiteBalancer
from gateway.errors import ModelUnavailableError
from gateway.inference import (
    InferenceBackend,
    PictureDone,
    PictureRequest,
    StepDone,
)
from gateway.jobs.job import Job, JobResult
from gateway.jobs.job_queue import JobReporter
from gateway.keys.owner import current_owner
from gateway.model_catalog import ModelCatalog
from gateway.painting.painting_order import TASK_MODELS, OrderDesk, PaintingOrder
from gateway.painting.result_keeping import insistently
from gateway.painting.resumed_painting import paint_on
from gateway.painting.saved_states import SavedStates
from gateway.storage.pictures import Pictures
from preprocessing import codec

__all__ = ["TASK_MODELS", "Painter", "PaintingOrder"]


class Painter:
    """Checks requests and paints them through the model server."""

    def __init__(
        self,
        backend: InferenceBackend,
        pictures: Pictures,
        catalog: ModelCatalog,
        *,
        states: SavedStates,
        preview_every: int,
        default_deadline_s: float | None = None,
    ) -> None:
        self._backend = backend
        self._pictures = pictures
        self._balancer = WhiteBalancer(pictures)
        self._desk = OrderDesk(pictures, catalog, default_deadline_s=default_deadline_s)
        self._states = states
        self._preview_every = preview_every

    async def accept(self, wanted: Mapping[str, Any]) -> PaintingOrder:
        """Check a request whose pictures are file ids; raises what `OrderDesk.accept` raises."""
        return await self._desk.accept(wanted)

    async def run(self, job: Job, report: JobReporter) -> JobResult:
        """Paint the job's pictures; those of one job share batches like those of several."""
        current_owner.set(job.owner)
        order = PaintingOrder(**job.request)
        inputs = await edit_inputs(order, self._pictures, self._backend)
        requests = self._requests(order, inputs, deadline_s=_left(job))
        progress = _SharedProgress(report, len(requests))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._paint(job, request, index, progress))
                    for index, request in enumerate(requests)
                ]
        except ExceptionGroup as failures:  # the queue knows our errors, not groups of them
            raise failures.exceptions[0] from failures
        done = [task.result() for task in tasks]
        result = await self._deliver(order, requests, done, inputs)
        await self._states.forget(job.id, len(requests))
        return result

    def _requests(
        self, order: PaintingOrder, inputs: EditInputs, *, deadline_s: float | None
    ) -> list[PictureRequest]:
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
                preview_every=self._preview_every
                if order.preview_every is None
                else order.preview_every,
                images=inputs.images,
                mask=inputs.mask,
                is_batch=order.priority == "batch",
                exact=order.determinism == "exact",
                deadline_s=deadline_s,
            )
            for index in range(order.n)
        ]

    async def _paint(
        self, job: Job, request: PictureRequest, index: int, progress: _SharedProgress
    ) -> PictureDone:
        events: Any = paint_on(self._backend, request, self._states, job, index)
        async with aclosing(events) as stream:
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
        inputs: EditInputs,
    ) -> JobResult:
        finished = [
            await insistently(
                partial(finish, order, inputs, picture.image, self._pictures, self._balancer)
            )
            for picture in done
        ]
        output = [
            {**_entry(picture), "seed": request.seed}
            for request, picture in zip(requests, finished, strict=True)
        ]
        warnings = (*(inputs.original.warnings if inputs.original else ()), *order.notes)
        for picture in finished:
            warnings += picture.warnings
        return JobResult(
            output=tuple(output),
            preservation=finished[-1].preservation,
            warnings=tuple(dict.fromkeys(warnings)),
            timings={
                "inference_s": max(picture.total_s for picture in done),
                "stages": _sum_stages(picture.stages for picture in done),
            },
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


def _entry(picture: FinishedPicture) -> dict[str, Any]:
    stored = picture.stored
    entry: dict[str, Any] = {
        "file_id": stored.id,
        "url": f"/v1/files/{stored.id}/content",
        "width": stored.width,
        "height": stored.height,
        "format": stored.format,
        "sha256": stored.sha256,
    }
    if picture.cube is not None:
        entry["cube_url"] = f"/v1/files/{picture.cube.id}/content"
    return entry


def _left(job: Job) -> float | None:
    """Seconds until the job's deadline."""
    if job.deadline_s is None:
        return None
    return max(0.001, job.created_at + job.deadline_s - time.time())


def _sum_stages(pictures: Iterable[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Timings by stage over all pictures of a job."""
    sums: dict[str, dict[str, float]] = {}
    for stages in pictures:
        for stage, figures in stages.items():
            entry = sums.setdefault(stage, dict.fromkeys(figures, 0))
            for name, value in figures.items():
                entry[name] += value
    return sums

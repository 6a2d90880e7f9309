"""What the model was shown, for the front end's debug panel."""

from __future__ import annotations

import asyncio
import base64

import numpy as np

from gateway.edits.edit_inputs import EditInputs, edit_inputs
from gateway.errors import NotFoundError
from gateway.front_end.fields import DebugInfo
from gateway.inference import InferenceBackend
from gateway.jobs.job import Job
from gateway.painting.generation import PaintingOrder
from gateway.storage.pictures import Pictures
from preprocessing import codec


async def debug_info(job: Job, pictures: Pictures, backend: InferenceBackend) -> DebugInfo | None:
    """The condition pictures, built again as the job built them; None when one is gone."""
    try:
        inputs = await edit_inputs(PaintingOrder(**job.request), pictures, backend)
    except NotFoundError:  # deleted since
        return None
    return await asyncio.to_thread(_shown, job, inputs)


def _shown(job: Job, inputs: EditInputs) -> DebugInfo:
    original = inputs.original
    placed = inputs.placed
    adapters = ", ".join(job.request.get("adapters") or ())
    levels = None if placed is None else np.where(placed, np.uint8(255), np.uint8(0))
    return DebugInfo(
        conditional_images=[_base64(codec.encode_png(image)) for image in inputs.images],
        conditional_labels=list(inputs.labels),
        input_image_size=f"{original.width}x{original.height}" if original else "",
        output_image_size=f"{job.output[0]['width']}x{job.output[0]['height']}",
        lora_adapter=adapters or None,
        positioned_mask_R=None if levels is None else _base64(codec.encode_png(levels)),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""What the model was shown, for the front end's debug panel."""

from __future__ import annotations

import asyncio
import base64

from gateway.errors import NotFoundError
from gateway.front_end.fields import DebugInfo
from gateway.job import Job
from gateway.pictures import Pictures
from preprocessing import codec


async def debug_info(job: Job, pictures: Pictures) -> DebugInfo:
    """Condition pictures in their order, with their names."""
    order = job.request
    references = [(f"reference {n}", name) for n, name in enumerate(order["references"], start=1)]
    shown = [("input", order["image"]), ("mask", order["mask"]), *references]
    images, labels = [], []
    for label, file_id in shown:
        picture = await _png(file_id, pictures) if file_id else None
        if picture is not None:
            images.append(picture)
            labels.append(label)
    adapters = ", ".join(order.get("adapters") or ())
    original = await pictures.store.info(order["image"])
    return DebugInfo(
        conditional_images=images,
        conditional_labels=labels,
        input_image_size=f"{original.width}x{original.height}",
        output_image_size=f"{job.output[0]['width']}x{job.output[0]['height']}",
        lora_adapter=adapters or None,
        positioned_mask_R=None,
    )


async def _png(file_id: str, pictures: Pictures) -> str | None:
    try:
        decoded = await pictures.decoded(file_id)
    except NotFoundError:  # deleted since
        return None
    data = await asyncio.to_thread(codec.encode_png, decoded.pixels)
    return base64.b64encode(data).decode()

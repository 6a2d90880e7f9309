"""`/v1/masks`: a click, a box or everything becomes masks."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from gateway.dependencies import PicturesDep, SegmenterDep
from gateway.errors import ValidationFailedError
from gateway.job_pictures import as_prompt
from gateway.multipart import read_body
from gateway.pictures import Pictures
from gateway.schemas import FoundMask, MaskRequest, MaskResponse
from gateway.segmentation import SmartMask
from preprocessing import masks

router = APIRouter(prefix="/v1/masks", tags=["masks"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/MaskRequest"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "string", "format": "binary"},
                        "prompts": {"type": "string", "example": '[{"points": [[412, 300]]}]'},
                        "everything": {"type": "boolean"},
                        "output": {"type": "string", "enum": ["png", "polygon"]},
                    },
                }
            },
        },
    }
}


@router.post("", response_model=MaskResponse, openapi_extra=_BODY)
async def create_masks(
    request: Request,
    response: Response,
    pictures: PicturesDep,
    segmenter: SegmenterDep,
    accept: Annotated[str, Header(description="image/png: the first mask itself.")] = "",
) -> MaskResponse | Response:
    """Find objects on a picture. A second call on the same picture costs no inference."""
    started = time.perf_counter()
    wanted = await read_body(request, MaskRequest, pictures)
    if not wanted.prompts and not wanted.everything:
        raise ValidationFailedError("Send prompts, or everything: true.", pointer="/prompts")
    image = await pictures.resolve(wanted.image, pointer="/image")
    read = time.perf_counter()
    found = await segmenter.segment(
        image,
        [as_prompt(prompt) for prompt in wanted.prompts],
        everything=wanted.everything,
        multimask=wanted.multimask,
        max_masks=wanted.max_masks,
    )
    if accept.startswith("image/") and found.masks:
        stored, png = await pictures.keep_mask(found.masks[0].mask)
        return Response(png, headers={"X-Mask-Id": stored.id}, media_type="image/png")
    shown = await asyncio.gather(*(_show(pictures, m, wanted.output) for m in found.masks))
    total = time.perf_counter() - started
    timings = {"read": read - started, **found.timings, "total": total}
    response.headers["Server-Timing"] = ", ".join(
        f"{name};dur={seconds * 1000:.2f}" for name, seconds in timings.items()
    )
    return MaskResponse(
        id=f"mask_{uuid.uuid4().hex}",
        image_id=image.id,
        width=image.width,
        height=image.height,
        masks=list(shown),
        cached=found.cached,
        timings={name: round(seconds, 6) for name, seconds in timings.items()},
        warnings=list(image.warnings),
    )


async def _show(pictures: Pictures, found: SmartMask, output: str) -> FoundMask:
    stored, png = await pictures.keep_mask(found.mask)
    polygons = await asyncio.to_thread(masks.polygons, found.mask) if output == "polygon" else None
    return FoundMask(
        mask_id=stored.id,
        score=round(found.score, 4),
        area=masks.area(found.mask),
        bbox=masks.bounding_box(found.mask),
        prompt_index=found.prompt_index,
        alternatives=found.alternatives,
        png=base64.b64encode(png).decode() if output == "png" else None,
        polygon=[list(ring) for ring in polygons] if polygons is not None else None,
    )

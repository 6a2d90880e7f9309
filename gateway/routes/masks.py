"""`/v1/masks`: prompts become masks, masks become others."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from gateway.errors import ValidationFailedError
from gateway.http.dependencies import PicturesDep, ServicesDep
from gateway.http.multipart import read_body
from gateway.masks.mask_composing import compose_masks
from gateway.masks.smart_masks import Question, SmartMask
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from gateway.wire.mask_prompts import read_prompt
from gateway.wire.mask_schemas import (
    ComposedMask,
    ComposeRequest,
    FoundMask,
    MaskAlternative,
    MaskRequest,
    MaskResponse,
    Output,
    form_fields,
)
from gateway.wire.mask_view import RenderedMask, RenderedMasks, render_masks, show_mask
from preprocessing.prompts import Prompt

router = APIRouter(prefix="/v1/masks", tags=["masks"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/MaskRequest"}},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["image"], "properties": form_fields()}
            },
        },
    }
}


@router.post("", response_model=MaskResponse, openapi_extra=_BODY)
async def create_masks(
    request: Request,
    services: ServicesDep,
    accept: Annotated[str, Header(description="image/png: the first mask itself.")] = "",
) -> Response:
    """Find objects on a picture. A second call on the same picture costs no inference."""
    started = time.perf_counter()
    pictures = services.pictures
    wanted = await read_body(request, MaskRequest, pictures)
    if not wanted.prompts and not wanted.everything:
        raise ValidationFailedError("Send prompts, or everything: true.", pointer="/prompts")
    recalled = pictures.store.recall(wanted.image)
    image = recalled or await pictures.resolve(wanted.image, pointer="/image")
    prompts = await _prompts(wanted, image, pictures)
    read = time.perf_counter()
    is_picture = accept.startswith("image/")
    output: Output = "png" if is_picture else wanted.output

    def show(masks: Sequence[SmartMask]) -> tuple[Sequence[SmartMask], RenderedMasks]:
        if recalled:
            pictures.store.require_here(image.id)
        shown = masks[:1] if is_picture else masks
        return shown, render_masks([mask.boxed for mask in shown], output, pictures)

    found = await services.segmenter.segment_into(image, _question(wanted, prompts), show)
    masks, rendered = found.masks
    shown = await rendered.kept(pictures)
    if is_picture and shown:
        headers = {"X-Mask-Id": shown[0].members["mask_id"]}
        return Response(shown[0].png, headers=headers, media_type="image/png")
    total = time.perf_counter() - started
    stages = {"read": read - started, **found.timings}
    timings = {**stages, "encode": total - sum(stages.values()), "total": total}
    answer = MaskResponse(
        id=f"mask_{uuid.uuid4().hex}",
        image_id=image.id,
        width=image.width,
        height=image.height,
        masks=[_found(*both) for both in zip(masks, shown, strict=True)],
        cached=found.cached,
        timings={name: round(seconds, 6) for name, seconds in timings.items()},
        warnings=list(image.warnings),
    )
    # Written out here: FastAPI would check it once more first, while every other request waits.
    return Response(
        answer.model_dump_json(by_alias=True),
        headers={"Server-Timing": _server_timing(timings, cached=found.cached)},
        media_type="application/json",
    )


@router.post("/compose")
async def compose(wanted: ComposeRequest, pictures: PicturesDep) -> ComposedMask:
    """Unite, intersect or subtract masks, and work on the result."""
    levels = await compose_masks(wanted, pictures)
    shown = await show_mask(levels, wanted.output, pictures)
    height, width = levels.shape
    return ComposedMask(width=width, height=height, **shown.members)


async def _prompts(wanted: MaskRequest, image: StoredImage, pictures: Pictures) -> list[Prompt]:
    return [
        await read_prompt(prompt, image, pictures, pointer=f"/prompts/{index}")
        for index, prompt in enumerate(wanted.prompts)
    ]


def _question(wanted: MaskRequest, prompts: Sequence[Prompt]) -> Question:
    return Question(
        prompts=prompts,
        everything=wanted.everything,
        multimask=wanted.multimask,
        max_masks=wanted.max_masks,
        operations=[operation.as_operation() for operation in wanted.ops],
    )


def _server_timing(timings: dict[str, float], *, cached: bool) -> str:
    """Milliseconds; whether the network had seen the picture is said of its stage."""
    notes = {"features": f';desc="{"cached" if cached else "network"}"'}
    return ", ".join(
        f"{name};dur={seconds * 1000:.2f}{notes.get(name, '')}" for name, seconds in timings.items()
    )


def _found(mask: SmartMask, shown: RenderedMask) -> FoundMask:
    return FoundMask(
        **shown.members,
        score=round(mask.score, 4),
        prompt_index=mask.prompt_index,
        alternatives=[
            MaskAlternative(score=round(other.score, 4), bbox=other.box)
            for other in mask.alternatives
        ],
    )

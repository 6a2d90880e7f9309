"""`/api`: the existing front end's smart masks and cut-outs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pybase64
from fastapi import APIRouter, Path

from gateway.edits.cutouts import extract
from gateway.front_end.fields import (
    Extracted,
    ExtractFields,
    SmartMaskFields,
    SmartMaskResult,
)
from gateway.front_end.pictures_in import take_in_base64
from gateway.http.dependencies import MaskDeskDep, ServicesDep
from gateway.http.json_body import JsonRoute
from gateway.keys.owner import current_owner

router = APIRouter(prefix="/api", tags=["front end"], route_class=JsonRoute)


@router.post("/smart-mask")
async def smart_mask(fields: SmartMaskFields, services: ServicesDep) -> SmartMaskResult:
    """The object under a box, points or a stroke, as a mask of the picture's size."""
    return await services.smart_masks.find(fields, current_owner.get())


@router.post("/smart-mask/cancel/{request_id}")
async def cancel_smart_mask(
    request_id: Annotated[str, Path(max_length=200)], services: ServicesDep
) -> dict[str, Any]:
    """Cancel a request that named its `request_id`; one that has ended is no error."""
    canceled = services.smart_masks.cancel(request_id, current_owner.get())
    message = "The request was canceled." if canceled else "The request has ended already."
    return {"success": True, "message": message, "request_id": request_id}


@router.post("/image-utils/extract-object")
async def extract_object(
    fields: ExtractFields, services: ServicesDep, masks: MaskDeskDep
) -> Extracted:
    """Cut what is under the mask out onto a white square."""
    image = await take_in_base64(fields.image, "image", services.pictures)
    sent = await take_in_base64(fields.mask, "mask", services.pictures)
    used = await masks.read(sent.id, image, pointer="/mask")
    cut = await extract(services.pictures, image.id, used.file_id)
    data = await services.pictures.store.content(cut.image.id)
    encoded = await asyncio.to_thread(pybase64.b64encode_as_string, data)
    return Extracted(success=True, extracted_image=encoded)

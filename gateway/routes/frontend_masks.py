"""`/api`: the existing front end's smart masks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from gateway.dependencies import ServicesDep
from gateway.front_end.fields import SmartMaskFields, SmartMaskResult
from gateway.keys.owner import current_owner

router = APIRouter(prefix="/api", tags=["front end"])


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

"""`/health`: whether the process lives, and whether it can do its work."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gateway.http.dependencies import CatalogDep

router = APIRouter(prefix="/health", tags=["health"])
STALE_S = 60.0
"""Without a canary round for so long, nothing is known of the models."""


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready", responses={503: {"description": "A model did not answer its canary."}})
async def ready(catalog: CatalogDep, response: Response) -> dict[str, Any]:
    """Every model answered its last canary."""
    fresh = catalog.age_s is not None and catalog.age_s < STALE_S
    is_ready = catalog.ready and fresh
    response.status_code = 200 if is_ready else 503
    return {
        "status": "ready" if is_ready else "not_ready",
        "models": {
            entry.name: {"ready": entry.ready, "detail": entry.detail} for entry in catalog.models
        },
    }

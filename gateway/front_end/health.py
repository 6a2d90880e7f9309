"""Health in the front end's words."""

from __future__ import annotations

from gateway.front_end.fields import SystemHealth
from gateway.inference import EDIT_MODEL, SEGMENTATION_MODEL
from gateway.model_catalog import ModelCatalog


def system_health(catalog: ModelCatalog) -> SystemHealth:
    """What the last canaries said; asks nobody, so it answers at once."""

    def status_of(model: str) -> dict[str, str]:
        entry = catalog.get(model)
        ready = entry is not None and entry.ready
        return {"status": "healthy" if ready else "unavailable"}

    services = {
        "generation": status_of(EDIT_MODEL),
        "segmentation": status_of(SEGMENTATION_MODEL),
        "image_utils": {"status": "healthy"},
        "job_manager": {"status": "healthy"},
    }
    healthy = all(service["status"] == "healthy" for service in services.values())
    return SystemHealth(status="healthy" if healthy else "degraded", services=services)

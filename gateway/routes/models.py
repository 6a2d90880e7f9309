"""`/v1/models`: what is served, and whether it answers."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.errors import NotFoundError
from gateway.http.dependencies import CatalogDep, ServicesDep
from gateway.inference import SEGMENTATION_MODEL, ModelHealth
from gateway.model_catalog import ModelCatalog
from gateway.painting.generation import TASK_MODELS
from gateway.wire.request_limits import job_limits
from gateway.wire.schemas import ModelList, ModelView

router = APIRouter(prefix="/v1/models", tags=["models"])
_DEFAULTS = ("default_size", "default_num_inference_steps", "default_true_cfg_scale")


@router.get("")
async def list_models(catalog: CatalogDep) -> ModelList:
    """Models and their stages."""
    return ModelList(data=[_view(entry) for entry in catalog.models])


@router.get("/{name}")
async def get_model(catalog: CatalogDep, name: str) -> ModelView:
    """One model."""
    return _view(_entry(catalog, name))


@router.post("/{name}/load")
async def load(services: ServicesDep, name: str) -> ModelView:
    """Load a model, or load it again; needs an admin key where keys are needed."""
    entry = _entry(services.catalog, name)
    await services.supervisor.load(entry.name)
    return _view(entry)


@router.post("/{name}/unload")
async def unload(services: ServicesDep, name: str) -> ModelView:
    """Unload a model, until `load` brings it back or the gateway starts again."""
    entry = _entry(services.catalog, name)
    await services.supervisor.unload(entry.name)
    return _view(entry)


def _entry(catalog: ModelCatalog, name: str) -> ModelHealth:
    entry = catalog.get(name)
    if entry is None:
        raise NotFoundError(f"There is no model {name[:80]!r}.")
    return entry


def _view(entry: ModelHealth) -> ModelView:
    tasks = [task for task, model in TASK_MODELS.items() if model == entry.name]
    return ModelView(
        id=entry.name,
        ready=entry.ready,
        detail=entry.detail,
        demo=bool(entry.manifest.get("demo", False)),
        source=entry.manifest.get("source"),
        tasks=["mask"] if entry.name == SEGMENTATION_MODEL else tasks,
        adapters=list(entry.manifest.get("adapters") or ()),
        defaults={
            name.removeprefix("default_"): entry.manifest[name]
            for name in _DEFAULTS
            if name in entry.manifest
        },
        limits=job_limits() if tasks else {},
    )

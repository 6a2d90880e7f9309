"""`/v1/models`: what is served, and whether it answers."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.dependencies import CatalogDep
from gateway.errors import NotFoundError
from gateway.generation import TASK_MODELS
from gateway.inference import SEGMENTATION_MODEL, ModelHealth
from gateway.schemas import ModelList, ModelView

router = APIRouter(prefix="/v1/models", tags=["models"])
_DEFAULTS = ("default_size", "default_num_inference_steps", "default_true_cfg_scale")


@router.get("")
async def list_models(catalog: CatalogDep) -> ModelList:
    """Models and their stages."""
    return ModelList(data=[_view(entry) for entry in catalog.models])


@router.get("/{name}")
async def get_model(catalog: CatalogDep, name: str) -> ModelView:
    """One model."""
    for entry in catalog.models:
        if entry.name == name:
            return _view(entry)
    raise NotFoundError(f"There is no model {name[:80]!r}.")


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
    )

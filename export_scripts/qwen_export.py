"""`retouch-export qwen`: a real checkpoint, its adapters and its record into the repository."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from export_scripts.checkpoint import COMPONENTS, Checkpoint, sha256
from export_scripts.export_errors import ExportError
from export_scripts.qwen_repository import EDIT, GENERATION, QwenModel, install_checkpoint

MODELS = {model.name: model for model in (GENERATION, EDIT)}
PIPELINES = {
    "QwenImagePipeline": GENERATION,
    "QwenImageEditPlusPipeline": EDIT,
    "QwenImageEditPipeline": EDIT,
}
PRESETS: dict[str, dict[str, Any]] = {
    "quality": {"default_num_inference_steps": 40, "default_true_cfg_scale": 4.0},
    "lightning-8": {"default_num_inference_steps": 8, "default_true_cfg_scale": 1.0},
    "lightning-4": {"default_num_inference_steps": 4, "default_true_cfg_scale": 1.0},
}
"""Steps and guidance; the distilled ones are for checkpoints or adapters made for so few steps."""
_ADAPTER_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_PACKAGES = ("torch", "diffusers", "transformers", "safetensors")
_VLM_SIDE = 384
"""Side to which diffusers' edit pipeline scales what the text encoder sees."""
_DISK_MARGIN = 1.05


def export_qwen(  # noqa: PLR0913
    checkpoint: Checkpoint,
    repository: Path,
    *,
    model: QwenModel | None = None,
    adapters: Mapping[str, Path] | None = None,
    preset: str = "quality",
    vae_graphs: bool = False,
    default_side: int = 1024,
    reference_side: int = 1024,
) -> dict[str, Any]:
    """Install a checkpoint; the manifest that was written.

    Args:
        checkpoint: from `find_checkpoint`.
        repository: Triton's model repository.
        model: which of the product's models; by default the one its pipeline class stands for.
        adapters: LoRA files (.safetensors, diffusers format) by the name requests use.
        preset: one of `PRESETS`.
        vae_graphs: serve the VAE through ONNX Runtime, for machines without a GPU.
        default_side: side in pixels of the area that pictures get by default.
        reference_side: the same for the condition images of an edit; each costs as many tokens
            as a picture of that size. diffusers' own is 1024.

    Raises:
        ExportError: the checkpoint does not fit the model, an adapter is no LoRA file, a shared
            stage would change under another model, or disk or memory do not suffice.
    """
    model = _model_of(checkpoint, model)
    adapters = dict(adapters or {})
    _check_adapters(adapters)
    _check_room(checkpoint, repository, adapters)
    digests = {part: checkpoint.digests(part) for part in COMPONENTS}
    _check_shared(repository, model, digests)
    details = {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "demo": False,
        "pipeline": checkpoint.pipeline,
        "default_size": [default_side, default_side],
        **PRESETS[preset],
        "condition_areas": {"text_encoder": _VLM_SIDE**2, "vae": reference_side**2},
        "adapters": sorted(adapters),
        "adapter_files": {name: sha256(path) for name, path in adapters.items()},
        "files": digests,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "exported_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    install_checkpoint(
        checkpoint.folder, repository, model, details, vae_graphs=vae_graphs, adapters=adapters
    )
    return details


def _model_of(checkpoint: Checkpoint, wanted: QwenModel | None) -> QwenModel:
    found = PIPELINES.get(checkpoint.pipeline)
    if found is None:
        known = ", ".join(PIPELINES)
        raise ExportError(f"The checkpoint is a {checkpoint.pipeline}; known are {known}.")
    if wanted is not None and wanted != found:
        raise ExportError(f"A {checkpoint.pipeline} is served as {found.name}, not {wanted.name}.")
    return found


def _check_adapters(adapters: Mapping[str, Path]) -> None:
    from safetensors import SafetensorError, safe_open

    for name, path in adapters.items():
        if not _ADAPTER_NAME.fullmatch(name):
            raise ExportError(f"Adapter name {name!r} must be 1 to 64 of a-z, 0-9, _ and -.")
        try:
            with safe_open(path, framework="np") as file:
                keys = list(file.keys())
        except (OSError, SafetensorError) as error:
            raise ExportError(f"Adapter {name}: {path} cannot be read: {error}.") from error
        if not any("lora" in key.lower() for key in keys):
            raise ExportError(f"Adapter {name}: {path} holds no LoRA tensors.")


def _check_room(checkpoint: Checkpoint, repository: Path, adapters: Mapping[str, Path]) -> None:
    """The old version stays until the new one is whole, so all of it must fit beside."""
    sizes = {part: checkpoint.size_bytes(part) for part in COMPONENTS}
    needed = sum(sizes.values()) + sizes["vae"]  # both halves of the VAE keep a copy
    needed = int((needed + sum(p.stat().st_size for p in adapters.values())) * _DISK_MARGIN)
    free = shutil.disk_usage(repository).free
    if needed > free:
        raise ExportError(
            f"The export needs {_gib(needed)} in {repository}; {_gib(free)} are free."
        )
    memory = psutil.virtual_memory().available
    if sizes["vae"] * 4 > memory:
        raise ExportError(
            f"Fitting the previews needs {_gib(sizes['vae'] * 4)} of memory; "
            f"{_gib(memory)} are available."
        )


def _check_shared(
    repository: Path, model: QwenModel, digests: Mapping[str, Mapping[str, str]]
) -> None:
    """Text encoder and VAE serve both models: another's must not change under it."""
    for other in MODELS.values():
        path = repository / other.name / "1" / "pipeline" / "retouch.json"
        if other == model or not path.exists():
            continue
        manifest = json.loads(path.read_text())
        if manifest.get("demo"):
            continue
        for part in ("text_encoder", "vae"):
            if manifest["files"][part] != digests[part]:
                raise ExportError(
                    f"{other.name} is served from {manifest['source']} with another {part}; both "
                    f"models share that stage. Export checkpoints of one family, or use a "
                    f"repository of its own."
                )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"

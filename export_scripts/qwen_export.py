"""`retouch-export qwen`: a real checkpoint, its adapters and its record into the repository."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from export_scripts.checkpoint import COMPONENTS, Checkpoint
from export_scripts.export_errors import ExportError
from export_scripts.qwen_models import (
    EDIT,
    EDIT_2,
    GENERATION,
    GENERATION_2,
    SINGLE_STREAM,
    QwenModel,
    StageOptions,
)
from export_scripts.qwen_repository import install_checkpoint

PIPELINES = {
    "QwenImagePipeline": (GENERATION,),
    "QwenImageEditPlusPipeline": (EDIT,),
    "QwenImageEditPipeline": (EDIT,),
    SINGLE_STREAM: (GENERATION_2, EDIT_2),
}
"""The product's models that a checkpoint can become, by the class its model_index.json names."""
_DISTILLED_SCHEDULER = {"base_shift": math.log(3), "max_shift": math.log(3), "shift_terminal": None}
"""What Qwen-Image-Lightning was distilled with, says its model card: the shift is 3 at any size."""


def _distilled(steps: int) -> dict[str, Any]:
    return {
        "default_num_inference_steps": steps,
        "default_true_cfg_scale": 1.0,
        "sigmas": [1 - step / steps for step in range(steps)],
        "scheduler": _DISTILLED_SCHEDULER,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "quality": {"default_num_inference_steps": 40, "default_true_cfg_scale": 4.0},
    "lightning-8": _distilled(8),
    "lightning-4": _distilled(4),
}
"""Steps, guidance, sigmas and scheduler; the distilled ones are for checkpoints or adapters made
for so few steps. `sigmas` are used by jobs of as many steps."""
DISTILLED_ADAPTER = "distilled"
"""Name of the step-distilled LoRA, which every job runs with unless it sets the scale itself."""
_ADAPTER_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_PACKAGES = ("torch", "diffusers", "transformers", "safetensors")
_VLM_SIDE = 384
"""Side to which diffusers' edit pipeline scales what the text encoder sees."""
_DISK_MARGIN = 1.05


def export_qwen(  # noqa: PLR0913
    checkpoint: Checkpoint,
    repository: Path,
    *,
    model: str | None = None,
    adapters: Mapping[str, Path] | None = None,
    distilled: Path | None = None,
    preset: str = "quality",
    options: StageOptions | None = None,
    tolerance: int | None = None,
    default_side: int = 1024,
    reference_side: int = 1024,
) -> tuple[str, int]:
    """Add a checkpoint to a repository as a version that waits for its promotion.

    Args:
        checkpoint: from `find_checkpoint`.
        repository: Triton's model repository.
        model: which of the product's models; by default the first its pipeline class stands for.
        adapters: LoRA files (.safetensors, diffusers format) by the name requests use.
        distilled: a step-distilled LoRA that every job runs with; goes with a preset of few steps.
        preset: one of `PRESETS`.
        options: precision, engines, compilation and warm-up of the stages.
        tolerance: grey levels that verification accepts; by default that of the precision.
        default_side: side in pixels of the area that pictures get by default.
        reference_side: the same for the condition images of an edit; each costs as many tokens
            as a picture of that size. diffusers' own is 1024.

    Returns:
        Name and version of the pipeline model.

    Raises:
        ExportError: the checkpoint does not fit the model or the options, an adapter is no LoRA
            file, disk or memory do not suffice, or a graph differs from torch.
    """
    target = _model_of(checkpoint, model)
    options = options or StageOptions()
    adapters = {**(adapters or {}), **({DISTILLED_ADAPTER: distilled} if distilled else {})}
    _check_adapters(adapters)
    _check_engines(options, adapters, target)
    _check_room(checkpoint, repository, adapters)
    details = {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "demo": False,
        "pipeline": checkpoint.pipeline,
        "default_size": [default_side, default_side],
        **PRESETS[preset],
        **_own_sigmas(checkpoint, preset),
        "condition_areas": {"text_encoder": _VLM_SIDE**2, "vae": reference_side**2},
        "adapters": sorted(adapters),
        "default_adapters": {DISTILLED_ADAPTER: 1.0} if distilled else {},
        "tolerance": tolerance,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "exported_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    version = install_checkpoint(
        checkpoint.folder, repository, target, details, options=options, adapters=adapters
    )
    return target.name, version


def _model_of(checkpoint: Checkpoint, wanted: str | None) -> QwenModel:
    targets = PIPELINES.get(checkpoint.pipeline)
    if targets is None:
        known = ", ".join(PIPELINES)
        raise ExportError(f"The checkpoint is a {checkpoint.pipeline}; known are {known}.")
    for target in targets:
        if wanted in (None, target.name):
            return target
    names = " or ".join(target.name for target in targets)
    raise ExportError(f"A {checkpoint.pipeline} is served as {names}, not {wanted}.")


def _own_sigmas(checkpoint: Checkpoint, preset: str) -> dict[str, Any]:
    """The steps that the author of a checkpoint wrote into it, for the preset that adds none."""
    sigmas = checkpoint.index.get("sample_sigmas")
    if preset != "quality" or not sigmas:
        return {}
    return {"sigmas": sigmas, "default_num_inference_steps": len(sigmas)}


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


def _check_engines(options: StageOptions, adapters: Mapping[str, Path], target: QwenModel) -> None:
    if options.onnx and target.pipeline == SINGLE_STREAM:
        raise ExportError(f"There are no ONNX graphs of a {SINGLE_STREAM}; leave it to torch.")
    if adapters and "transformer" in options.onnx:
        raise ExportError("An ONNX transformer takes no adapters; leave it to torch.")
    in_onnx = sorted(options.onnx & {"transformer", "text_encoder"})
    if in_onnx and options.precision not in ("auto", "fp32"):
        raise ExportError(
            f"ONNX parts ({', '.join(in_onnx)}) compute in fp32; got precision {options.precision}."
        )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"

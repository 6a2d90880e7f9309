"""An exported model in plain diffusers: what a served picture must equal."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import diffusers  # noqa: E402
import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from diffusers.pipelines.qwenimage import (  # noqa: E402
    pipeline_qwenimage_edit_plus as edit_plus,
)

from export_scripts.qwen_models import SINGLE_STREAM  # noqa: E402
from export_scripts.version_store import VersionStore, stage_of  # noqa: E402
from qwen_serving.precision import dtype_of  # noqa: E402


@cache
def load_pipeline(
    repository: Path,
    model: str,
    version: int | None = None,
    *,
    device: str = "cpu",
    inpaint: bool = False,
    adapter: str | None = None,
) -> Any:
    """The diffusers pipeline of a model, made of what its stages serve.

    Args:
        repository: Triton's model repository.
        model: a pipeline model with an export in it.
        version: of the model; by default the one that is served.
        device: of torch; it computes in what the export's transformer computes in there.
        inpaint: the class that serves requests with a mask instead.
        adapter: a LoRA adapter of the export to load; the export's default ones come with it.
    """
    transformers.utils.logging.disable_progress_bar()
    store = VersionStore(repository)
    version = version or store.served(model)[-1]
    folder = store.folder(model, version) / "pipeline"
    manifest = store.manifest(model, version)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    modules = {
        "scheduler": scheduler,
        **_networks(store, manifest, device),
    }
    if (folder / "tokenizer").is_dir():
        modules["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
    if (folder / "processor").is_dir():
        modules["processor"] = transformers.AutoProcessor.from_pretrained(folder / "processor")
    _set_condition_areas(manifest)
    name = manifest["inpaint_pipeline" if inpaint else "pipeline"]
    pipeline = getattr(diffusers, name)(**modules).to(device)
    pipeline.set_progress_bar_config(disable=True)
    _load_adapters(pipeline, store, manifest, adapter)
    return pipeline


def own_arguments(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a call takes besides, by the pipeline's class."""
    if manifest["pipeline"] != SINGLE_STREAM:
        return {}
    return {"output_resolution": math.isqrt(manifest["condition_areas"]["vae"])}


def opaque(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """RGB 0..1 of a picture with or without alpha, as served: on white."""
    colours, alpha = image[..., :3], image[..., 3:]
    return colours * alpha + (1 - alpha) if alpha.size else colours


def _networks(store: VersionStore, manifest: dict[str, Any], device: str) -> dict[str, Any]:
    """All in one type, since a diffusers pipeline takes no mixture; 8-bit weights as they were."""
    stages = manifest["stages"]
    served = manifest.get("settings", {}).get("transformer", {})
    precision = "fp32" if served.get("engine") == "onnx" else served.get("precision", "auto")
    dtype = dtype_of(precision, torch.device(device))

    def load(library: Any, stage: str) -> Any:
        """The class that the stage's own config names."""
        folder = store.folder(*stage_of(stages[stage])) / "weights"
        config = json.loads((folder / "config.json").read_text())
        name = config.get("_class_name") or config["architectures"][0]
        return getattr(library, name).from_pretrained(folder, dtype=dtype).eval()

    return {
        "transformer": load(diffusers, "transformer"),
        "vae": load(diffusers, "vae_decoder"),
        "text_encoder": _with_token_types(load(transformers, "text_encoder")),
    }


def _load_adapters(
    pipeline: Any, store: VersionStore, manifest: dict[str, Any], wanted: str | None
) -> None:
    scales = {**manifest.get("default_adapters", {}), **({wanted: 1.0} if wanted else {})}
    folder = store.folder(*stage_of(manifest["stages"]["transformer"])) / "weights" / "adapters"
    for name in scales:
        pipeline.load_lora_weights(folder / name, adapter_name=name)
    if scales:
        pipeline.set_adapters(list(scales), list(scales.values()))


def _with_token_types(encoder: Any) -> Any:
    """As served: with the positions of pictures, which diffusers 0.42 drops on the way."""
    forward = encoder.forward

    def with_token_types(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("image_grid_thw") is not None:
            is_image = kwargs["input_ids"] == encoder.config.image_token_id
            kwargs["mm_token_type_ids"] = is_image.int()
        return forward(*args, **kwargs)

    encoder.forward = with_token_types
    return encoder


def _set_condition_areas(manifest: dict[str, Any]) -> None:
    """Areas to which the edit pipeline scales its references; module constants in diffusers."""
    areas = manifest.get("condition_areas")
    if areas is None:
        return
    edit_plus.CONDITION_IMAGE_SIZE = areas["text_encoder"]
    edit_plus.VAE_IMAGE_SIZE = areas["vae"]

"""Put a Qwen-Image checkpoint into the model repository: stages get weights, pipelines configs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export_scripts.latent_projection import fit_latent_projection
from export_scripts.vae_graph import export_vae_halves

_PIPELINE_FOLDERS = ("scheduler", "tokenizer", "processor")
_CONFIG_FOLDERS = ("transformer", "vae", "text_encoder")


@dataclass(frozen=True)
class QwenModel:
    """One of the product's pipeline models and where its parts go."""

    name: str
    pipeline: str
    """diffusers class of the loop."""
    inpaint_pipeline: str | None
    transformer: str
    """Stage model of the denoiser."""

    @property
    def stages(self) -> dict[str, str]:
        """Stage model of each part; all but the transformer are shared."""
        return {
            "transformer": self.transformer,
            "text_encoder": "qwen_text_encoder",
            "vae_encoder": "qwen_vae_encoder",
            "vae_decoder": "qwen_vae_decoder",
        }


GENERATION = QwenModel(
    "qwen_image", "QwenImagePipeline", "QwenImageInpaintPipeline", "qwen_image_transformer"
)
EDIT = QwenModel(
    "qwen_image_edit", "QwenImageEditPlusPipeline", None, "qwen_image_edit_transformer"
)


def install_checkpoint(
    checkpoint: Path,
    repository: Path,
    model: QwenModel,
    details: Mapping[str, Any],
    *,
    vae_graphs: bool = False,
    adapters: Mapping[str, Path] | None = None,
) -> None:
    """Copy a checkpoint in the hub's layout into `repository`.

    Everything is written beside its place and renamed into it at the end, so that a broken run
    leaves the old version whole.

    Args:
        checkpoint: folder with model_index.json and one folder per component.
        repository: Triton's model repository.
        model: which of the product's models it becomes.
        details: what the manifest says besides: source, demo, default_size, ...
        vae_graphs: also write the VAE's halves as ONNX graphs, which are served then instead of
            torch: for machines without a GPU.
        adapters: LoRA files by name, put beside the transformer's weights.
    """
    weights = {
        repository / stage / "1" / "weights": "vae" if part.startswith("vae") else part
        for part, stage in model.stages.items()
    }
    graphs = [
        repository / f"qwen_vae_{half}" / "1" / "model.onnx" for half in ("encoder", "decoder")
    ]
    pipeline = repository / model.name / "1" / "pipeline"
    for target, component in weights.items():
        shutil.copytree(checkpoint / component, _empty_staging(target))
    for name, path in (adapters or {}).items():
        beside = _staging(repository / model.transformer / "1" / "weights") / "adapters" / name
        beside.mkdir(parents=True)
        shutil.copy(path, beside / "pytorch_lora_weights.safetensors")
    if vae_graphs:
        export_vae_halves(checkpoint / "vae", *map(_empty_staging, graphs))
    _write_pipeline(checkpoint, _empty_staging(pipeline), model, details)
    for target in (*weights, *(graphs if vae_graphs else ()), pipeline):
        _swap(target)
    if not vae_graphs:
        for graph in graphs:
            graph.unlink(missing_ok=True)


def _write_pipeline(
    checkpoint: Path, folder: Path, model: QwenModel, details: Mapping[str, Any]
) -> None:
    """What a pipeline model loads: configs, tokenizer, and the manifest in retouch.json."""
    projection = fit_latent_projection(checkpoint / "vae")
    manifest = {
        "model": model.name,
        "pipeline": model.pipeline,
        "inpaint_pipeline": model.inpaint_pipeline,
        "stages": model.stages,
        "dimensions": _dimensions(checkpoint),
        "latent_rgb": [[round(value, 6) for value in row] for row in projection],
        **details,
    }
    for name in _PIPELINE_FOLDERS:
        if (checkpoint / name).is_dir():
            shutil.copytree(checkpoint / name, folder / name)
    for name in _CONFIG_FOLDERS:
        (folder / name).mkdir(parents=True)
        shutil.copy(checkpoint / name / "config.json", folder / name)
    shutil.copy(checkpoint / "model_index.json", folder)
    (folder / "retouch.json").write_text(json.dumps(manifest, indent=1))


def _staging(target: Path) -> Path:
    return target.with_name(target.name + ".partial")


def _empty_staging(target: Path) -> Path:
    """Where to write what will become `target`, without what an earlier run left there."""
    staging = _staging(target)
    _remove(staging)
    return staging


def _swap(target: Path) -> None:
    old = target.with_name(target.name + ".old")
    _remove(old)
    if target.exists():
        target.rename(old)
    _staging(target).rename(target)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _dimensions(checkpoint: Path) -> dict[str, int]:
    """Widths a client needs to speak to the stages directly."""
    transformer = json.loads((checkpoint / "transformer" / "config.json").read_text())
    vae = json.loads((checkpoint / "vae" / "config.json").read_text())
    return {
        "latents": transformer["in_channels"],
        "text": transformer["joint_attention_dim"],
        "z": vae["z_dim"],
    }

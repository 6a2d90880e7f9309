"""Put a Qwen-Image checkpoint into the model repository: stages get weights, pipelines configs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export_scripts.checkpoint import sha256
from export_scripts.latent_projection import fit_latent_projection
from export_scripts.qwen_models import QwenModel, StageOptions
from export_scripts.version_store import VersionStore

_PIPELINE_FOLDERS = ("scheduler", "tokenizer", "processor")
_CONFIG_FOLDERS = ("transformer", "vae", "text_encoder")
_SHOWN = ("engine", "precision", "compile")


@dataclass(frozen=True)
class _Source:
    """What the stages are made of."""

    checkpoint: Path
    adapters: Mapping[str, Path] = field(default_factory=dict)
    options: StageOptions = field(default_factory=StageOptions)


def install_checkpoint(
    checkpoint: Path,
    repository: Path,
    model: QwenModel,
    details: Mapping[str, Any],
    *,
    options: StageOptions | None = None,
    adapters: Mapping[str, Path] | None = None,
) -> int:
    """Add a checkpoint in the hub's layout as a new version that is not served yet.

    A stage that the repository has already, with the same files and settings, is shared. A
    broken run leaves no version behind that is not whole; running it again takes up the stages
    that were done.

    Args:
        checkpoint: folder with model_index.json and one folder per component.
        repository: Triton's model repository.
        model: which of the product's models it becomes.
        details: what the manifest says besides: source, demo, default_size, ...
        options: how the stages run.
        adapters: LoRA files by name, put beside the transformer's weights.

    Returns:
        The version of the pipeline model.

    Raises:
        ExportError: `repository` is no model repository, or a graph differs from torch.
    """
    store = VersionStore(repository)
    store.require_models([model.name, *model.stages.values()])
    source = _Source(checkpoint, adapters or {}, options or StageOptions())
    records = {part: _record(part, source) for part in model.stages}
    stages = {
        part: {"model": stage, "version": _install_stage(store, stage, records[part], source)}
        for part, stage in model.stages.items()
    }
    files = {_component(part): record["files"] for part, record in records.items()}
    settings = {part: {name: records[part][name] for name in _SHOWN} for part in records}
    details = {"stages": stages, "files": files, "settings": settings, **details}
    draft = store.draft(model.name)
    _write_pipeline(checkpoint, draft / "pipeline", model, details)
    return store.keep(model.name, draft)


def _install_stage(
    store: VersionStore, stage: str, record: Mapping[str, Any], source: _Source
) -> int:
    """Its version; found by digest where the repository has it."""
    part = record["part"]
    for version in [*store.served(stage), *store.stored(stage)]:
        path = store.folder(stage, version) / "stage.json"
        if path.exists() and json.loads(path.read_text())["digest"] == record["digest"]:
            return version
    draft = store.draft(stage)
    shutil.copytree(source.checkpoint / _component(part), draft / "weights")
    if part == "transformer":
        for name, path in source.adapters.items():
            folder = draft / "weights" / "adapters" / name
            folder.mkdir(parents=True)
            shutil.copy(path, folder / "pytorch_lora_weights.safetensors")
    if part in source.options.onnx:
        _write_graph(part, draft)
    (draft / "stage.json").write_text(json.dumps(record, indent=1))
    return store.keep(stage, draft)


def _record(part: str, source: _Source) -> dict[str, Any]:
    root = source.checkpoint / _component(part)
    files = {
        str(path.relative_to(root)): sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    record: dict[str, Any] = {"part": part, **source.options.settings(part), "files": files}
    if part == "transformer":
        record["adapters"] = {name: sha256(path) for name, path in source.adapters.items()}
    text = json.dumps(record, sort_keys=True)
    return {**record, "digest": hashlib.sha256(text.encode()).hexdigest()}


def _component(part: str) -> str:
    """Folder of a checkpoint that holds a part."""
    return "vae" if part.startswith("vae") else part


def _write_graph(part: str, draft: Path) -> None:
    """The part as `model.onnx`, compared with torch on the way."""
    weights, graph = draft / "weights", draft / "model.onnx"
    if part == "transformer":
        from export_scripts.transformer_graph import export_transformer

        export_transformer(weights, graph)
    elif part == "text_encoder":
        from export_scripts.text_encoder_graph import export_text_encoder

        export_text_encoder(weights, graph)
    else:
        from export_scripts.vae_graph import export_vae_half

        export_vae_half(weights, graph, half=part.removeprefix("vae_"))


def _write_pipeline(
    checkpoint: Path,
    folder: Path,
    model: QwenModel,
    details: Mapping[str, Any],
) -> None:
    """What a pipeline model loads: configs, tokenizer, and the manifest in retouch.json."""
    projection = fit_latent_projection(checkpoint / "vae")
    manifest = {
        "model": model.name,
        "pipeline": model.pipeline,
        "inpaint_pipeline": model.inpaint_pipeline,
        "latent_px": model.latent_px,
        "packs_latents": model.packs_latents,
        "size_multiple": model.size_multiple,
        "dimensions": _dimensions(checkpoint, model),
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
    _override_scheduler(folder, details.get("scheduler") or {})
    (folder / "retouch.json").write_text(json.dumps(manifest, indent=1))


def _override_scheduler(folder: Path, settings: Mapping[str, Any]) -> None:
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}, indent=2))


def _dimensions(checkpoint: Path, model: QwenModel) -> dict[str, int]:
    """Widths a client needs to speak to the stages directly."""
    transformer = json.loads((checkpoint / "transformer" / "config.json").read_text())
    vae = json.loads((checkpoint / "vae" / "config.json").read_text())
    return {
        "latents": transformer["in_channels"],
        "text": transformer.get("joint_attention_dim") or transformer["context_in_dim"],
        "z": vae["z_dim"],
        "picture": vae.get("in_channels") or vae.get("input_channels", 3),
        # The single-stream network takes tokens in groups of 2 x 2.
        "slot_side": 1 if model.packs_latents else 2,
    }

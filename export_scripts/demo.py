"""The demo models: a trained small segmenter and tiny random Qwen-Image checkpoints."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from export_scripts.promotion import serve_offline
from export_scripts.qwen_models import EDIT, GENERATION, MODELS, STAGES, StageOptions
from export_scripts.version_store import VersionStore

SEGMENTER = Path(__file__).parent / "demo" / "fastsam_demo.onnx"
_NEWEST_OUTPUT = b"PROTOTYPES_FINE"
"""Of the segmenter's graph; one without it is older than the model's config and cannot load."""
_DETAILS = {
    "source": "retouch demo, seeded random weights",
    "demo": True,
    "default_size": [256, 256],
    "default_num_inference_steps": 8,
    "default_true_cfg_scale": 1.0,
}


def install_demo_segmenter(repository: Path) -> None:
    """Copy the committed segmenter into the repository, as version 1; a newer export goes on."""
    target = repository / "fastsam" / "1" / "model.onnx"
    partial = target.with_suffix(".partial")
    shutil.copy(SEGMENTER, partial)
    partial.replace(target)


def install_demo_generators(repository: Path) -> None:
    """Build both tiny checkpoints and serve them; about 20 seconds with the imports.

    Earlier demo models are replaced; a real checkpoint stays, retired, for a rollback.
    """
    from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
    from export_scripts.qwen_repository import install_checkpoint

    # ONNX Runtime starts faster than torch, and runs the VAE faster on a CPU.
    options = StageOptions(onnx=frozenset({"vae_encoder", "vae_decoder"}))
    areas = {"text_encoder": 128 * 128, "vae": 256 * 256}
    edit_details = {**_DETAILS, "condition_areas": areas}

    _clear_demo(VersionStore(repository))
    with tempfile.TemporaryDirectory(prefix="retouch-demo-") as scratch:
        generation, edit = Path(scratch) / "qwen-image", Path(scratch) / "qwen-image-edit"
        save_generation_checkpoint(generation)
        save_edit_checkpoint(edit)
        for checkpoint, model, details in (
            (generation, GENERATION, _DETAILS),
            (edit, EDIT, edit_details),
        ):
            version = install_checkpoint(checkpoint, repository, model, details, options=options)
            serve_offline(repository, model.name, version)


def _clear_demo(store: VersionStore) -> None:
    """Delete what an earlier run installed, unless a real checkpoint is among it."""
    versions = [
        (name, version)
        for name in (*MODELS, *STAGES)
        for version in [*store.served(name), *store.stored(name)]
    ]
    pipelines = [entry for entry in versions if entry[0] in MODELS]
    if all(store.manifest(*entry).get("demo") for entry in pipelines):
        for entry in versions:
            store.remove(*entry)
        store.clear_history()


def is_installed(repository: Path) -> bool:
    """Whether every model that `demo` writes is there, be it the demo's or a real one."""
    graphs = repository.glob("fastsam/[0-9]*/model.onnx")
    return any(_NEWEST_OUTPUT in graph.read_bytes() for graph in graphs) and all(
        _is_served(VersionStore(repository), model) for model in MODELS
    )


def _is_served(store: VersionStore, model: str) -> bool:
    """Exports from before stages had versions do not count."""
    stages = [
        entry
        for version in store.served(model)
        for entry in store.manifest(model, version)["stages"].values()
    ]
    return bool(stages) and not any(isinstance(entry, str) for entry in stages)

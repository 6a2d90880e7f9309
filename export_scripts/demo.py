"""The demo models: a trained small segmenter and tiny random Qwen-Image checkpoints."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

SEGMENTER = Path(__file__).parent / "demo" / "fastsam_demo.onnx"
_DETAILS = {
    "source": "retouch demo, seeded random weights",
    "demo": True,
    "default_size": [256, 256],
    "default_num_inference_steps": 8,
    "default_true_cfg_scale": 1.0,
}


def install_demo_segmenter(repository: Path) -> None:
    """Copy the committed segmenter into the repository."""
    target = repository / "fastsam" / "1" / "model.onnx"
    partial = target.with_suffix(".partial")
    shutil.copy(SEGMENTER, partial)
    partial.replace(target)


def install_demo_generators(repository: Path) -> None:
    """Build both tiny checkpoints and install them; about 20 seconds with the imports."""
    from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
    from export_scripts.qwen_repository import EDIT, GENERATION, install_checkpoint

    with tempfile.TemporaryDirectory(prefix="retouch-demo-") as scratch:
        generation, edit = Path(scratch) / "qwen-image", Path(scratch) / "qwen-image-edit"
        save_generation_checkpoint(generation)
        save_edit_checkpoint(edit)
        install_checkpoint(generation, repository, GENERATION, _DETAILS, vae_graphs=True)
        areas = {"text_encoder": 128 * 128, "vae": 256 * 256}
        details = {**_DETAILS, "condition_areas": areas}
        install_checkpoint(edit, repository, EDIT, details, vae_graphs=True)


def is_installed(repository: Path) -> bool:
    """Whether every model that `demo` writes is there, be it the demo's or a real one."""
    needed = [repository / "fastsam/1/model.onnx"]
    needed += [
        repository / name / "1/pipeline/retouch.json" for name in ("qwen_image", "qwen_image_edit")
    ]
    return all(path.exists() for path in needed)

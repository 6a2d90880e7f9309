"""A model repository whose denoising steps take as long as they need to weigh something on a CPU.

The demo's transformers are so small that most of a step is overhead. Here they have the same
architecture at a width of 512: a step of a 256 x 256 edit takes 50 ms or more on 2 cores. Text
encoder and VAE are the demo's. The weights are random: time does not depend on them. On a GPU,
where such a step is still mostly overhead, take the width of the published checkpoint instead.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDE: dict[str, Any] = {
    "num_layers": 2,
    "num_attention_heads": 8,
    "attention_head_dim": 64,
    "axes_dims_rope": (8, 28, 28),
}
PUBLISHED_WIDTH: dict[str, Any] = {
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "axes_dims_rope": (16, 56, 56),
}
"""Of Qwen-Image, which has 60 layers of this."""
_DELAY = re.compile(r"(max_queue_delay_microseconds: )\d+")


@contextmanager
def wide_repository(
    builder: Executor, shape: dict[str, Any] = WIDE, precision: str = "auto"
) -> Iterator[Path]:
    """Build the repository in a process of `builder`, which then has torch; delete it at last.

    Args:
        builder: runs one process.
        shape: what of the transformers' config differs from the demo's.
        precision: of the export; by itself bf16 on a GPU and fp32 elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-wide-") as scratch:
        yield builder.submit(build, Path(scratch), shape, precision).result()


def build(scratch: Path, shape: dict[str, Any], precision: str) -> Path:
    """Export both checkpoints as `retouch-export init` and `qwen` do, and serve them."""
    from export_scripts.checkpoint import find_checkpoint
    from export_scripts.demo import install_demo_segmenter
    from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
    from export_scripts.promotion import serve_offline
    from export_scripts.qwen_export import export_qwen
    from export_scripts.qwen_models import StageOptions
    from export_scripts.repository_skeleton import create_repository

    repository = scratch / "model_repository"
    create_repository(repository)
    install_demo_segmenter(repository)
    for name, save in (("generation", save_generation_checkpoint), ("edit", save_edit_checkpoint)):
        folder = scratch / name
        save(folder)
        _widen(folder / "transformer", shape)
        model, version = export_qwen(
            find_checkpoint(str(folder)),
            repository,
            default_side=256,
            reference_side=256,
            options=StageOptions(precision=precision),
        )
        serve_offline(repository, model, version)
    return repository


def set_queue_delay(repository: Path, stage: str, delay_ms: float) -> None:
    """How long Triton's batcher holds a request of a stage for company, from its next load on.

    Raises:
        ValueError: the stage's config has no such setting.
    """
    config = repository / stage / "config.pbtxt"
    text, count = _DELAY.subn(rf"\g<1>{round(delay_ms * 1000)}", config.read_text())
    if not count:
        raise ValueError(f"{config} has no max_queue_delay_microseconds")
    config.write_text(text)


def _widen(folder: Path, shape: dict[str, Any]) -> None:
    """Replace a transformer by one of the same architecture that is wider."""
    import torch
    from diffusers import QwenImageTransformer2DModel

    old = dict(QwenImageTransformer2DModel.load_config(folder))
    torch.manual_seed(0)
    settings = {key: value for key, value in old.items() if not key.startswith("_")}
    QwenImageTransformer2DModel(**(settings | shape)).save_pretrained(folder)

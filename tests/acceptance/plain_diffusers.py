"""The served checkpoints in plain diffusers, in this process: what served pictures must equal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from export_scripts.plain_pipeline import load_pipeline

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


def paint(
    prompt: str,
    *,
    seed: int,
    steps: int = 8,
    size_wh: tuple[int, int] = (256, 256),
    true_cfg_scale: float = 1.0,
    negative_prompt: str = "",
    images: list[Image.Image] | None = None,
    mask: Image.Image | None = None,
    strength: float = 0.9,
) -> npt.NDArray[np.uint8]:
    """Run the pipeline class that serves such a request."""
    arguments: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": (negative_prompt or " ") if true_cfg_scale > 1 else None,
        "true_cfg_scale": true_cfg_scale,
        "width": size_wh[0],
        "height": size_wh[1],
        "num_inference_steps": steps,
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "np",
    }
    if mask is not None and images:
        arguments |= {"image": images[0], "mask_image": mask, "strength": strength}
    elif images:
        arguments["image"] = images
    model = "qwen_image_edit" if images and mask is None else "qwen_image"
    pipeline = load_pipeline(REPOSITORY, model, inpaint=mask is not None)
    picture = pipeline(**arguments).images[0]
    return (picture * 255).round().astype(np.uint8)


def difference(served_png: bytes, expected: npt.NDArray[np.uint8]) -> int:
    """Largest difference of a channel, in grey levels."""
    served = np.asarray(Image.open(io.BytesIO(served_png)).convert("RGB")).astype(int)
    assert served.shape == expected.shape
    return int(np.abs(served - expected.astype(int)).max())

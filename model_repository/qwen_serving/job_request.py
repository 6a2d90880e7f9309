"""What a job asks of a pipeline model, read from its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qwen_serving.adapters import read_adapters
from qwen_serving.request_values import array_of, number_of, text_of
from qwen_serving.saved_state import SavedState, read_saved

MAX_CONDITION_IMAGES = 4
MAX_AREA = 4 * 1024 * 1024
MAX_STEPS = 200


@dataclass(frozen=True)
class JobRequest:
    """One picture to make; names as in diffusers."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    num_inference_steps: int
    true_cfg_scale: float
    seed: int
    strength: float
    preview_every: int
    """Send a preview every so many steps; 0 for none."""
    adapters: Mapping[str, float | None]
    """Scales of LoRA adapters by name, None for an adapter's default."""
    images: tuple[npt.NDArray[np.uint8], ...]
    """Condition images, RGB (H, W, 3), in the order the checkpoint expects."""
    mask: npt.NDArray[np.uint8] | None
    """Inpainting mask (height, width), 255 = repaint; with it `images[0]` is the picture."""
    priority: int = 0
    """0 = interactive, 1 = batch; lower goes first in the line."""
    exact: bool = False
    """Whether the picture must not depend on what else is in the stages' batches."""
    save_every: int = 0
    """Send the latents every so many steps, but the last; 0 for never."""
    saved: SavedState | None = None
    """Where it goes on; None for the beginning."""


def read_request(request: Any) -> JobRequest:
    """Read and check a Triton request.

    Raises:
        ValueError: a value is out of range; the message names the limit and the value.
    """
    images = [array_of(request, f"IMAGE_{n}") for n in range(1, MAX_CONDITION_IMAGES + 1)]
    job = JobRequest(
        prompt=text_of(request, "PROMPT"),
        negative_prompt=text_of(request, "NEGATIVE_PROMPT"),
        width=int(number_of(request, "WIDTH", 1024)),
        height=int(number_of(request, "HEIGHT", 1024)),
        num_inference_steps=int(number_of(request, "NUM_INFERENCE_STEPS", 50)),
        true_cfg_scale=float(number_of(request, "TRUE_CFG_SCALE", 4.0)),
        seed=int(number_of(request, "SEED", 0)),
        strength=float(number_of(request, "STRENGTH", 1.0)),
        preview_every=int(number_of(request, "PREVIEW_EVERY", 0)),
        adapters=read_adapters(text_of(request, "ADAPTERS")),
        images=tuple(image for image in images if image is not None),
        mask=array_of(request, "MASK"),
        priority=int(number_of(request, "PRIORITY", 0)),
        exact=bool(number_of(request, "EXACT", False)),
        save_every=int(number_of(request, "SAVE_EVERY", 0)),
        saved=read_saved(request),
    )
    _check(job)
    return job


def check_model(job: JobRequest, manifest: Mapping[str, Any]) -> None:
    """Check what depends on the exported checkpoint.

    Raises:
        ValueError: its pipeline paints no such size, does not inpaint, misses a picture, or has
            no use for one.
    """
    multiple = manifest.get("size_multiple", 16)
    if job.width % multiple or job.height % multiple:
        raise ValueError(f"sides are multiples of {multiple}, got {job.width}x{job.height}")
    pipeline = manifest.get("pipeline", "")
    if job.mask is not None and not manifest["inpaint_pipeline"]:
        raise ValueError(f"a {pipeline} paints no masks")
    if "Edit" in pipeline and not job.images:
        raise ValueError("an edit needs IMAGE_1, got no picture")
    if pipeline == "QwenImagePipeline" and job.images and job.mask is None:
        raise ValueError(f"a {pipeline} takes IMAGE_1 with a MASK alone, got {len(job.images)}")


def _check(job: JobRequest) -> None:
    if job.width % 16 or job.height % 16 or min(job.width, job.height) < 16:
        raise ValueError(f"sides are multiples of 16, got {job.width}x{job.height}")
    if job.width * job.height > MAX_AREA:
        raise ValueError(f"at most {MAX_AREA} pixels, got {job.width}x{job.height}")
    _check_steps(job)
    if not 0 < job.strength <= 1:
        raise ValueError(f"strength is above 0 and at most 1, got {job.strength}")
    if not math.isfinite(job.true_cfg_scale):
        raise ValueError(f"true_cfg_scale is a finite number, got {job.true_cfg_scale}")
    if job.priority not in (0, 1):
        raise ValueError(f"priority is 0 (interactive) or 1 (batch), got {job.priority}")
    if job.mask is not None:
        _check_mask(job.mask, job.images)


def _check_steps(job: JobRequest) -> None:
    steps = job.num_inference_steps
    if not 0 <= steps <= MAX_STEPS:
        raise ValueError(f"num_inference_steps is 0 to {MAX_STEPS}, got {steps}")
    if job.saved is not None and job.saved.step >= steps:
        raise ValueError(f"a job of {steps} steps cannot go on behind step {job.saved.step}")


def _check_mask(mask: npt.NDArray[np.uint8], images: tuple[npt.NDArray[np.uint8], ...]) -> None:
    if len(images) != 1:
        raise ValueError(
            f"a mask needs the picture it belongs to in IMAGE_1 and no other, got {len(images)}"
        )
    mask_size, image_size = (
        "x".join(map(str, shape[1::-1])) for shape in (mask.shape, images[0].shape)
    )
    if mask_size != image_size:
        raise ValueError(f"MASK is as large as IMAGE_1, {image_size}; got {mask_size}")

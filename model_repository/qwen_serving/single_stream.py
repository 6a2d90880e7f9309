"""What the 2.x line (QwenImage21Pipeline) does otherwise than the first.

Text and pictures are one sequence: IMG_MASK says which places of the text stand for pictures, each
for 2 x 2 latents, and the output comes last. Every step computes the whole sequence; diffusers'
cache of the text's keys and values would tie a job to one instance and keep it out of batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from qwen_serving.stage_settings import SIDE_MULTIPLE, Bucket
from qwen_serving.warm_up import Example, step_example

SLOT_TOKENS = 4
"""Latents that one place of the text stands for."""


def arguments(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline takes besides; `output_resolution` is the side of condition images."""
    area = manifest["condition_areas"]["vae"]
    return {"use_kv_cache": False, "output_resolution": math.isqrt(area)}


def layout_of(inputs: Mapping[str, torch.Tensor]) -> tuple[bool, ...] | None:
    """Which places of a request's text stand for pictures; None in the first line."""
    mask = inputs.get("IMG_MASK")
    return None if mask is None else tuple(mask[0].tolist())


def predict(
    network: Any, common: Mapping[str, Any], masks: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """One forward pass over requests of one layout.

    Args:
        network: QwenImage21Transformer2DModel.
        common: arguments that both lines have.
        masks: IMG_MASK (1, M) of each request.

    Returns:
        Noise (S, C) of the output's tokens, for each request.
    """
    output = network(**common, img_mask=torch.cat(list(masks)))[0]
    tokens = math.prod(common["img_shapes"][0][-1])
    return [row[-tokens:] for row in output]


def example(bucket: Bucket, *, channels: int, text_width: int) -> Example:
    """A step on noise for the warm-up; condition images stand before the text."""
    step = step_example(bucket, channels=channels, text_width=text_width)
    slots = bucket.height * bucket.width // SIDE_MULTIPLE**2 // SLOT_TOKENS
    text = step["ENCODER_HIDDEN_STATES"]
    pictures = np.repeat(text[:, :1], bucket.conditions * slots, axis=1)
    places = [True] * (bucket.conditions * slots) + [False] * text.shape[1] + [True] * slots
    return step | {
        "ENCODER_HIDDEN_STATES": np.concatenate([pictures, text], axis=1),
        "IMG_MASK": np.array([places]),
    }

"""Requests of denoising steps and what a stage answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.model_repository.backend_utils import InferenceRequest
from tests.model_repository.in_process import answers, request

Shapes = tuple[tuple[int, int], ...]


def step(
    seed: int = 0,
    *,
    tokens: int = 5,
    shapes: Shapes = ((4, 4),),
    adapters: dict[str, float] | None = None,
    width: int = 32,
    **others: Any,
) -> InferenceRequest:
    """A step of one job; `shapes` in latent patches, the output first."""
    rng = np.random.default_rng(seed)
    patches = sum(height * width for height, width in shapes)
    if adapters is not None:
        others["ADAPTERS"] = np.array([[json.dumps(adapters).encode()]], object)
    return request(
        HIDDEN_STATES=rng.standard_normal((1, patches, 64), np.float32),
        TIMESTEP=rng.random((1, 1), np.float32),
        ENCODER_HIDDEN_STATES=rng.standard_normal((1, tokens, width), np.float32),
        IMG_SHAPES=np.array([[(1, height, width) for height, width in shapes]], np.int32),
        **others,
    )


def predictions(model: Any, batch: list[InferenceRequest]) -> list[np.ndarray]:
    return answers(model, batch, "NOISE_PRED")

"""A painting request as the tensors of a pipeline model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.inference import PictureRequest, SavedState, StepDone
from gateway.triton.triton_canaries import Inputs


def paint_inputs(request: PictureRequest) -> Inputs:
    """Inputs of a pipeline model by name."""
    inputs: Inputs = {
        "PROMPT": np.array([request.prompt.encode()], object),
        "NEGATIVE_PROMPT": np.array([request.negative_prompt.encode()], object),
        "WIDTH": np.array([request.width], np.int32),
        "HEIGHT": np.array([request.height], np.int32),
        "NUM_INFERENCE_STEPS": np.array([request.num_inference_steps], np.int32),
        "TRUE_CFG_SCALE": np.array([request.true_cfg_scale], np.float64),
        "SEED": np.array([request.seed], np.int64),
        "STRENGTH": np.array([request.strength], np.float64),
        "PREVIEW_EVERY": np.array([request.preview_every], np.int32),
    }
    if request.is_batch:
        inputs["PRIORITY"] = np.array([1], np.int32)
    if request.exact:
        inputs["EXACT"] = np.array([True])
    if request.adapters:
        wanted = json.dumps(dict(request.adapters))
        inputs["ADAPTERS"] = np.array([wanted.encode()], object)
    if request.save_every:
        inputs["SAVE_EVERY"] = np.array([request.save_every], np.int32)
    if request.saved is not None:
        told = json.dumps({"step": request.saved.step, "of": request.saved.of})
        inputs["RESUME"] = np.array([told.encode()], object)
        inputs["RESUME_LATENTS"] = request.saved.latents
    for number, image in enumerate(request.images, start=1):
        inputs[f"IMAGE_{number}"] = image
    if request.mask is not None:
        inputs["MASK"] = request.mask
    return inputs


def step_of(event: Mapping[str, Any], result: Any) -> StepDone:
    """A pipeline model's answer after a step."""
    latents, state = result.as_numpy("LATENTS"), None
    if latents is not None:
        state = SavedState(event["step"], latents, event["of"])
    return StepDone(event["step"], event["total_steps"], result.as_numpy("PREVIEW"), state)

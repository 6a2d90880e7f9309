"""The smallest request each model answers: proof of life that costs about a millisecond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Inputs = dict[str, npt.NDArray[Any]]

STAGE_MODELS = (
    "qwen_text_encoder",
    "qwen_vae_encoder",
    "qwen_vae_decoder",
    "qwen_image_transformer",
    "qwen_image_edit_transformer",
)


def segmentation_canary() -> Inputs:
    """A grey picture with the smallest side the network takes."""
    return {"IMAGES": np.full((1, 160, 160, 3), 114, np.uint8)}


def text_canary() -> Inputs:
    """One letter for CLIP's text half."""
    return {"TEXT": np.array([[b"a"]], object)}


def picture_canary(side: int) -> Inputs:
    """One grey picture for CLIP's image half."""
    return {"IMAGES": np.full((1, side, side, 3), 114, np.uint8)}


def pipeline_canary() -> Inputs:
    """No steps: the pipeline answers with its manifest."""
    return {
        "PROMPT": np.array([b""], object),
        "NUM_INFERENCE_STEPS": np.array([0], np.int32),
    }


def called_stages(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of `STAGE_MODELS` that a pipeline calls."""
    called = {entry["model"] for manifest in manifests for entry in manifest["stages"].values()}
    return [model for model in STAGE_MODELS if model in called]


def stage_canaries(model: str, manifests: Iterable[Mapping[str, Any]]) -> dict[str, Inputs]:
    """One canary for each version of a stage model that a pipeline calls, by version.

    Args:
        model: one of `STAGE_MODELS`.
        manifests: what the pipeline models that are served say of themselves.
    """
    return {
        str(entry["version"]): stage_canary(model, manifest["dimensions"])
        for manifest in manifests
        for entry in manifest["stages"].values()
        if entry["model"] == model
    }


def stage_canary(model: str, dimensions: Mapping[str, int]) -> Inputs:
    """One token, one latent patch or 16 x 16 pixels.

    Args:
        model: one of `STAGE_MODELS`.
        dimensions: of the exported checkpoint: `latents` (packed channels), `text` (width of
            the embeddings), `z` (channels of the VAE), `picture` (channels of its pictures) and
            `slot_side` (latents a side that one place of the 2.x line's sequence stands for).
    """
    match model:
        case "qwen_text_encoder":
            return {"INPUT_IDS": np.zeros((1, 1), np.int64)}
        case "qwen_vae_encoder":
            return {"IMAGE": np.zeros((1, dimensions.get("picture", 3), 1, 16, 16), np.float32)}
        case "qwen_vae_decoder":
            return {"LATENTS": np.zeros((1, dimensions["z"], 1, 2, 2), np.float32)}
    return _denoising_step(dimensions)


def _denoising_step(dimensions: Mapping[str, int]) -> Inputs:
    side = dimensions.get("slot_side", 1)
    step = {
        "HIDDEN_STATES": np.zeros((1, side * side, dimensions["latents"]), np.float32),
        "TIMESTEP": np.ones((1, 1), np.float32),
        "ENCODER_HIDDEN_STATES": np.zeros((1, 1, dimensions["text"]), np.float32),
        "IMG_SHAPES": np.array([[[1, side, side]]], np.int32),
    }
    if side > 1:  # a token of text, then the place that stands for the latents
        step["IMG_MASK"] = np.array([[False, True]])
    return step

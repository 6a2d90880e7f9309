"""The class that serves a stage, by the settings of its version.

Modules are imported only when they are chosen: the VAE's ONNX halves start without torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from qwen_serving.stage_settings import StageSettings

_CLASSES = {
    ("transformer", "torch"): ("denoiser", "TritonPythonModel"),
    ("transformer", "onnx"): ("onnx_denoiser", "TritonPythonModel"),
    ("text_encoder", "torch"): ("text_encoder", "TritonPythonModel"),
    ("text_encoder", "onnx"): ("onnx_text_encoder", "TritonPythonModel"),
    ("vae_encoder", "torch"): ("vae", "Encoder"),
    ("vae_encoder", "onnx"): ("onnx_half", "TritonPythonModel"),
    ("vae_decoder", "torch"): ("vae", "Decoder"),
    ("vae_decoder", "onnx"): ("onnx_half", "TritonPythonModel"),
}


def model_class(part: str, version: Path) -> type[Any]:
    """Class for Triton's Python backend.

    Args:
        part: transformer, text_encoder, vae_encoder or vae_decoder.
        version: folder of the version.

    Raises:
        StageSettingsError: the version's `stage.json` is not valid.
    """
    module, name = _CLASSES[part, StageSettings.read(version).engine]
    found: type[Any] = getattr(import_module(f"qwen_serving.{module}"), name)
    return found

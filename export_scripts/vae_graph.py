"""The two halves of AutoencoderKLQwenImage as ONNX graphs, for servers without a GPU.

ONNX Runtime loads without torch, and was measured 2 to 6 times faster than torch on these
halves of the demo VAE on 2 cores. One frame, any batch and size.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from diffusers import AutoencoderKLQwenImage  # noqa: E402

from export_scripts.export_errors import ExportError  # noqa: E402

TOLERANCE = 1e-4
"""Largest difference to torch that is accepted; a grey level is 8e-3 on the scale -1..1."""


class _Encoder(torch.nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        moments: torch.Tensor = self.vae.encode(image).latent_dist.parameters
        return moments


class _Decoder(_Encoder):
    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        image: torch.Tensor = self.vae.decode(latents, return_dict=False)[0]
        return image


def export_vae_half(weights: Path, target: Path, *, half: str) -> None:
    """Write a half's graph and compare it with torch at sizes it was not traced at.

    Args:
        weights: the VAE's folder in a checkpoint.
        target: `.onnx` file; of the encoder: IMAGE (B, 3, 1, H, W) -> MOMENTS
            (B, 2z, 1, H/8, W/8); of the decoder: LATENTS (B, z, 1, h, w) -> IMAGE
            (B, 3, 1, 8h, 8w).
        half: "encoder" or "decoder".

    Raises:
        ExportError: the graph differs from torch by more than `TOLERANCE`.
    """
    vae = _traceable(AutoencoderKLQwenImage.from_pretrained(weights).eval())
    if half == "encoder":
        _export(_Encoder(vae), torch.randn(2, 3, 1, 64, 96), target, {"IMAGE": "MOMENTS"})
        _compare(_Encoder(vae), torch.randn(1, 3, 1, 128, 64), target)
        return
    z = vae.config.z_dim
    _export(_Decoder(vae), torch.randn(2, z, 1, 8, 12), target, {"LATENTS": "IMAGE"})
    _compare(_Decoder(vae), torch.randn(3, z, 1, 16, 6), target)


def export_vae_halves(weights: Path, encoder: Path, decoder: Path) -> None:
    """Both halves' graphs; see `export_vae_half`."""
    export_vae_half(weights, encoder, half="encoder")
    export_vae_half(weights, decoder, half="decoder")


def _traceable(vae: Any) -> Any:
    """ONNX 17 has no nearest-exact; at the factor of 2 plain nearest picks the same pixels."""
    vae = copy.deepcopy(vae)
    for module in vae.modules():
        if getattr(module, "mode", None) == "nearest-exact":
            module.mode = "nearest"
    return vae


def _export(
    half: torch.nn.Module, example: torch.Tensor, output: Path, names: Mapping[str, str]
) -> None:
    ((source, target),) = names.items()
    axes = {0: "batch", 3: "height", 4: "width"}
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracer warns of every shape it reads; `_compare` tests that none was frozen.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            half,
            (example,),
            str(output),
            dynamo=False,
            opset_version=17,
            input_names=[source],
            output_names=[target],
            dynamic_axes={source: axes, target: axes},
        )
    onnx.checker.check_model(str(output), full_check=True)


def _compare(half: torch.nn.Module, example: torch.Tensor, graph: Path) -> None:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    with torch.inference_mode():
        expected = half(example).numpy()
    actual = session.run(None, {name: example.numpy()})[0]
    difference = float(np.abs(actual - expected).max())
    if difference > TOLERANCE:
        raise ExportError(f"{graph.name} differs from torch by {difference:.1e}, over {TOLERANCE}")

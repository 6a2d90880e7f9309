"""FastSAM as it is served: pixels in, best candidates and mask prototypes out, one ONNX graph."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import onnx  # noqa: E402
import torch  # noqa: E402

CANDIDATES = 300
"""Rows kept per picture, by score, before suppression; ultralytics keeps as many after it."""


class ServedFastSam(torch.nn.Module):
    """Wraps a YOLO-seg network with one class for Triton.

    IMAGES uint8 (B, H, W, 3) RGB -> DETECTIONS (B, K, 37): cx, cy, w, h in pixels, score,
    32 coefficients, best score first; PROTOTYPES (B, 32, H/4, W/4); IMAGE_SIZE (B, 1), the side
    the export was made for, so that a client learns it from any answer.
    """

    def __init__(self, network: Any, image_size: int) -> None:
        super().__init__()
        head = network.model[-1]
        head.export, head.format, head.dynamic = True, "onnx", True
        self.network = network
        self.image_size = image_size

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scale, run, keep the best."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        raw, prototypes = self.network(pixels)
        rows = raw.transpose(1, 2)
        best = torch.topk(rows[..., 4], CANDIDATES, dim=1).indices
        detections = torch.gather(rows, 1, best[..., None].expand(-1, -1, rows.shape[-1]))
        size = torch.full_like(images[:, :1, 0, 0], 1, dtype=torch.int32) * self.image_size
        return detections, prototypes, size


def load_network(weights: Path) -> Any:
    """Load a FastSAM or YOLO-seg checkpoint, fused and in evaluation mode."""
    checkpoint = torch.load(weights, map_location="cpu", weights_only=False)
    return checkpoint["model"].float().fuse().eval()


def export_onnx(network: Any, output: Path, *, image_size: int, licence: str) -> None:
    """Write and check the graph; batch, height and width stay dynamic (sides multiple of 32).

    Args:
        network: from `load_network`.
        output: the `.onnx` file.
        image_size: side of the square that clients letterbox into, in pixels.
        licence: recorded in the graph's metadata.
    """
    served = ServedFastSam(network, image_size).eval()
    example = torch.randint(0, 256, (2, image_size, image_size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter that dynamo=False asks for is deprecated, and the tracer warns of shapes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            (example,),
            str(output),
            dynamo=False,
            opset_version=17,
            input_names=["IMAGES"],
            output_names=["DETECTIONS", "PROTOTYPES", "IMAGE_SIZE"],
            dynamic_axes={
                "IMAGES": {0: "batch", 1: "height", 2: "width"},
                "DETECTIONS": {0: "batch"},
                "PROTOTYPES": {0: "batch", 2: "prototype_height", 3: "prototype_width"},
                "IMAGE_SIZE": {0: "batch"},
            },
        )
    graph = onnx.load(output)
    onnx.helper.set_model_props(graph, {"license": licence, "image_size": str(image_size)})
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, output)

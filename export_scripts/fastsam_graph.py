"""FastSAM as it is served: pixels in, best candidates and mask prototypes out, one ONNX graph.

The answer for a picture of 640 x 640 is 0.86 MB: 300 candidates in float32, prototypes as bytes.
Who has them for nothing, as over shared memory, may ask for a second byte of each.
"""

from __future__ import annotations

import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import onnx  # noqa: E402
import torch  # noqa: E402
from ultralytics.utils.tal import dist2bbox, make_anchors  # noqa: E402

from export_scripts.export_errors import ExportError  # noqa: E402

CANDIDATES = 300
"""Rows kept per picture, by score, before suppression; ultralytics keeps as many after it."""
OUTPUTS = ("DETECTIONS", "PROTOTYPES", "PROTOTYPE_LEVELS", "IMAGE_SIZE")
FINE = "PROTOTYPES_FINE"
OPSET = 17


class ServedFastSam(torch.nn.Module):
    """Wraps a YOLO-seg network with one class for Triton.

    IMAGES uint8 (B, H, W, 3) RGB -> DETECTIONS (B, K, 37): cx, cy, w, h in pixels, score,
    32 coefficients, best score first; PROTOTYPES uint8 (B, 32, H/4, W/4), which times
    PROTOTYPE_LEVELS (B, 32, 2)[..., 0] plus [..., 1] are the network's; IMAGE_SIZE (B, 1), the
    side the export was made for, so that a client learns it from any answer; PROTOTYPES_FINE, like
    PROTOTYPES, to which it adds -0.5 to 0.5 in 255 steps.
    """

    def __init__(self, network: Any, image_size: int) -> None:
        super().__init__()
        head = network.model[-1]
        head.export, head.format, head.dynamic = True, "onnx", True
        head._inference = partial(_best, head)
        self.network = network
        self.image_size = image_size

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Scale, run, keep the best."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        best, prototypes = self.network(pixels)
        size = torch.full_like(images[:, :1, 0, 0], 1, dtype=torch.int32) * self.image_size
        coarse, levels, fine = _as_bytes(prototypes)
        return best, coarse, levels, size, fine


def _best(head: Any, found: dict[str, torch.Tensor]) -> torch.Tensor:
    """In the place of the head's own decoding: that of the rows with the highest scores alone.

    Decoding all of them first took a tenth of the demo's pass. Rows of zeros where a small picture
    has too few.

    Args:
        head: a `Segment`.
        found: what its layers make of a picture, each (B, channels, anchors).

    Returns:
        (B, CANDIDATES, 37).
    """
    anchors, strides = make_anchors(found["feats"], head.stride, 0.5)
    every = torch.nn.functional.pad(found["scores"][:, 0].sigmoid(), (0, CANDIDATES))
    scores, best = torch.topk(every, CANDIDATES, dim=1)
    boxes, coefficients = (
        _padded(found[name].transpose(1, 2)).gather(1, _over(best, found[name].shape[1]))
        for name in ("boxes", "mask_coefficient")
    )
    anchors, strides = (_padded(of_all[None])[0][best] for of_all in (anchors, strides))
    distances = head.dfl(boxes.transpose(1, 2))
    pixels = dist2bbox(distances, anchors.transpose(1, 2), xywh=True, dim=1).transpose(1, 2)
    return torch.cat([pixels * strides, scores[..., None], coefficients], -1)


def _padded(rows: torch.Tensor) -> torch.Tensor:
    """(B, N, C) and rows of zeros."""
    return torch.nn.functional.pad(rows, (0, 0, 0, CANDIDATES))


def _over(index: torch.Tensor, channels: int) -> torch.Tensor:
    """(B, K) for `gather` of rows: (B, K, channels)."""
    return index[..., None].expand(-1, -1, channels)


def _as_bytes(prototypes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each prototype in 256 levels between its lowest and highest value, and what that leaves."""
    low, high = prototypes.amin((2, 3)), prototypes.amax((2, 3))
    step = ((high - low) / 255).clamp(min=1e-12)
    levels = (prototypes - low[..., None, None]) / step[..., None, None]
    coarse = levels.round().clamp(0, 255)
    fine = ((levels - coarse + 0.5) * 255).round().clamp(0, 255)
    return coarse.to(torch.uint8), torch.stack([step, low], -1), fine.to(torch.uint8)


def load_network(weights: Path) -> Any:
    """Load a FastSAM or YOLO-seg checkpoint, fused and in evaluation mode.

    Raises:
        ExportError: it is no such checkpoint, or has other than one class or 32 coefficients.
    """
    try:
        checkpoint = torch.load(weights, map_location="cpu", weights_only=False)
        network = (checkpoint.get("ema") or checkpoint["model"]).float().fuse().eval()
        head = network.model[-1]
        shape = (type(head).__name__, head.nc, head.nm)
    except Exception as error:
        raise ExportError(f"{weights} is no FastSAM checkpoint of ultralytics: {error}") from error
    if shape != ("Segment", 1, 32):
        raise ExportError(
            f"{weights} must segment 1 class with 32 coefficients; it is {shape[0]} with "
            f"{shape[1]} classes and {shape[2]} coefficients."
        )
    return network


def export_onnx(network: Any, output: Path, *, image_size: int, licence: str) -> ServedFastSam:
    """Write and check the graph; batch, height and width stay dynamic (sides multiple of 32).

    Args:
        network: from `load_network`.
        output: the `.onnx` file.
        image_size: longer side of the frame that clients letterbox into, in pixels.
        licence: recorded in the graph's metadata.

    Returns:
        The torch module that the graph was made of.
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
            opset_version=OPSET,
            input_names=["IMAGES"],
            output_names=[*OUTPUTS, FINE],
            dynamic_axes={
                "IMAGES": {0: "batch", 1: "height", 2: "width"},
                "DETECTIONS": {0: "batch"},
                "PROTOTYPES": {0: "batch", 2: "prototype_height", 3: "prototype_width"},
                "PROTOTYPE_LEVELS": {0: "batch"},
                "IMAGE_SIZE": {0: "batch"},
                FINE: {0: "batch", 2: "prototype_height", 3: "prototype_width"},
            },
        )
    describe(output, {"license": licence, "image_size": str(image_size), "precision": "fp32"})
    return served


def describe(graph: Path, properties: dict[str, str]) -> None:
    """Add properties to a graph's metadata, over those of the same name, and check it in full."""
    model = onnx.load(graph)
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**known, **properties})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, graph)

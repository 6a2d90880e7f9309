"""How far a served graph is from torch, and a lower precision from float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from export_scripts.export_errors import ExportError
from export_scripts.fastsam_graph import FINE, OUTPUTS, ServedFastSam
from preprocessing.fastsam import Instances, decode_detections, instance_mask
from preprocessing.letterbox import letterbox, plan_letterbox

BOX_TOLERANCE_PX = 0.05
SCORE_TOLERANCE = 1e-3
MIN_AGREEMENT = 0.5
"""Mean mask IoU below which a precision has broken the network instead of rounding it."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TorchDifference:
    """Largest differences between ONNX Runtime and torch over all shapes tried."""

    box_px: float
    score: float
    coefficient: float
    prototype: float
    shapes: tuple[tuple[int, int, int], ...]
    """(batch, height, width)."""


@dataclass(frozen=True)
class Agreement:
    """What a lower precision finds of what float32 finds, over some pictures."""

    instances: int
    mean_iou: float
    """Of each float32 mask with its best match; 0 for one that is not found."""


def compare_with_torch(graph: Path, served: ServedFastSam, image_size: int) -> TorchDifference:
    """Run both on noise at several shapes and batch sizes.

    Raises:
        ExportError: they differ by more than rounding.
    """
    session = open_session(graph)
    small = max(160, image_size // 2 // 32 * 32)
    shapes = ((1, image_size, image_size), (3, small, small), (2, small, image_size))
    rng = np.random.default_rng(0)
    worst = np.max([_difference(session, served, shape, rng) for shape in shapes], axis=0)
    box_px, score, coefficient, prototype = (float(value) for value in worst)
    difference = TorchDifference(box_px, score, coefficient, prototype, shapes)
    if not (difference.box_px <= BOX_TOLERANCE_PX and difference.score <= SCORE_TOLERANCE):
        raise ExportError(
            f"{graph.name} differs from torch by {difference.box_px:.2g} px in boxes (at most "
            f"{BOX_TOLERANCE_PX}) and {difference.score:.2g} in scores (at most {SCORE_TOLERANCE})."
        )
    return difference


def compare_precisions(
    exact: Path, rounded: Path, pictures: Sequence[npt.NDArray[np.uint8]], image_size: int
) -> Agreement:
    """Masks of both graphs on pictures.

    Raises:
        ExportError: the rounded one finds something else.
    """
    sessions = open_session(exact), open_session(rounded)
    ious: list[float] = []
    for picture in pictures:
        wanted, found = (_masks(run(session, picture, image_size)) for session in sessions)
        ious += [max((_iou(one, mask) for mask in found), default=0.0) for one in wanted]
    agreement = Agreement(len(ious), float(np.mean(ious)) if ious else 1.0)
    if agreement.mean_iou < MIN_AGREEMENT:
        raise ExportError(
            f"{rounded.name} finds other masks than float32: mean IoU {agreement.mean_iou:.2f} "
            f"over {agreement.instances} masks, at least {MIN_AGREEMENT} is needed."
        )
    return agreement


def open_session(graph: Path) -> Any:
    """On the CPU."""
    return onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])


def run(session: Any, picture: npt.NDArray[np.uint8], image_size: int) -> Instances:
    """The network and its post-processing, without a server."""
    plan = plan_letterbox((picture.shape[1], picture.shape[0]), image_size, stride=32)
    outputs = session.run(OUTPUTS[:3], {"IMAGES": letterbox(picture, plan)[None]})
    detections, prototypes, levels = (output[0] for output in outputs)
    return decode_detections(detections, prototypes, plan, levels=levels)


def _difference(
    session: Any, served: ServedFastSam, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[float, ...]:
    images = rng.integers(0, 256, (*shape, 3), np.uint8)
    with torch.inference_mode():
        right = [part.numpy() for part in served(torch.from_numpy(images))]
    answer = session.run([*OUTPUTS, FINE], {"IMAGES": images})
    if [part.shape for part in answer] != [part.shape for part in right]:
        raise ExportError(f"The graph's outputs have other shapes than torch's for {shape}.")
    boxes, scores, coefficients = np.split(_row_differences(answer[0], right[0]), [4, 5])
    prototypes = np.abs(_exact(answer) - _exact(right)).max()
    return boxes.max(), scores.max(), coefficients.max(), prototypes


def _row_differences(rows: Array, others: Array) -> Array:
    """Largest difference (37,) of each value, with rows of nearly equal score in any order."""
    worst = np.zeros(rows.shape[-1])
    for ours, theirs in zip(rows[:, :100], others, strict=True):
        apart = np.abs(ours[:, None] - theirs[None])
        nearest = apart.max(-1).argmin(1)
        worst = np.maximum(worst, apart[np.arange(len(ours)), nearest].max(0))
    return worst


def _exact(outputs: Sequence[Array]) -> Array:
    """Prototypes by both their bytes."""
    _, coarse, levels, _, fine = outputs
    step, low = levels[..., 0, None, None], levels[..., 1, None, None]
    return np.asarray((coarse + fine / 255 - 0.5) * step + low)


def _masks(instances: Instances) -> list[npt.NDArray[np.bool_]]:
    return [instance_mask(instances, index) for index in range(len(instances))]


def _iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))

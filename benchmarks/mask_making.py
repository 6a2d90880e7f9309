"""What one mask costs in process, and all masks of a picture, against the textbook way."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from preprocessing.fastsam import Instances, decode_detections, instance_mask, instance_patch
from preprocessing.letterbox import plan_letterbox

SIDES = (64, 150, 300, 600)
_IMAGE, _NETWORK = 1024, 640


@dataclass(frozen=True)
class MaskFigures:
    """Medians."""

    one_ms: Mapping[int, float]
    """By the side of the mask's box in pixels."""
    all_ms: float
    naive_ms: float
    """Every mask's logits enlarged to the whole picture, then cut to its box."""
    lowest_iou: float


def measure_masks(repeats: int = 10) -> MaskFigures:
    """On made-up outputs of a 640 px network for a picture of 1024 x 1024."""
    rng = np.random.default_rng(0)
    one = {side: _instances(rng, np.full((1, 2), side)) for side in SIDES}
    hundred = _instances(rng, rng.uniform(40, 400, (100, 2)))
    ours = [instance_mask(hundred, index) for index in range(len(hundred))]
    theirs = _naive(hundred)
    return MaskFigures(
        one_ms={
            side: _median_ms(lambda i=i: instance_patch(i, 0), 6 * repeats)
            for side, i in one.items()
        },
        all_ms=_median_ms(
            lambda: [instance_patch(hundred, index) for index in range(len(hundred))], repeats
        ),
        naive_ms=_median_ms(lambda: _naive(hundred), (repeats + 1) // 2),
        lowest_iou=min(_iou(a, b) for a, b in zip(ours, theirs, strict=True)),
    )


def _instances(rng: np.random.Generator, sides: Any) -> Instances:
    """Instances with boxes of these sides (N, 2) on smooth prototypes."""
    scale, cells = _NETWORK / _IMAGE, _NETWORK // 4
    noise = rng.standard_normal((32, cells, cells)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), cells / 16) for plane in noise])
    low, high = smooth.min((1, 2)), smooth.max((1, 2))
    levels = np.stack([(high - low) / 255, low], 1).astype(np.float32)
    prototypes = ((smooth - low[:, None, None]) / levels[:, :1, None]).round().astype(np.uint8)
    count = len(sides)
    margin = sides * scale / 2
    centres = rng.uniform(margin, _NETWORK - margin)
    scores = np.full((count, 1), 0.9)
    coefficients = rng.standard_normal((count, 32))
    rows = np.hstack([centres, sides * scale, scores, coefficients]).astype(np.float32)
    plan = plan_letterbox((_IMAGE, _IMAGE), _NETWORK)
    return decode_detections(rows, prototypes, plan, levels=levels, max_iou=1.0)


def _naive(instances: Instances) -> list[Any]:
    flat = instances.prototypes.reshape(len(instances.prototypes), -1).astype(np.float32)
    logits = instances.coefficients @ flat + instances.offsets[:, None]
    masks = []
    shape = instances.prototypes.shape[1:]
    for row, (x0, y0, x1, y1) in zip(logits, instances.pixel_boxes(), strict=True):
        large = cv2.resize(row.reshape(shape), (_IMAGE, _IMAGE), interpolation=cv2.INTER_LINEAR) > 0
        mask = np.zeros_like(large)
        mask[y0:y1, x0:x1] = large[y0:y1, x0:x1]
        masks.append(mask)
    return masks


def _median_ms(work: Callable[[], object], repeats: int) -> float:
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations) * 1000


def _iou(first: Any, second: Any) -> float:
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 1.0

"""What one mask costs in process, and all masks of a picture, against enlarging each in full."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from preprocessing.fastsam import Instances, decode_detections, instance_mask, instance_patch
from preprocessing.letterbox import plan_letterbox

SIDES = (64, 150, 300, 600)
PICTURES = ((640, 640), (1024, 1024), (4000, 3000))
_NETWORK, _COUNT = 640, 100


@dataclass(frozen=True)
class AllMasks:
    """All 100 masks of one picture, each as large as the picture; medians."""

    picture_wh: tuple[int, int]
    ours_ms: float
    ultralytics_ms: float
    """`process_mask_native`, as its predictor does with `retina_masks`: torch, all its threads."""
    opencv_ms: float
    """Every mask's logits enlarged to the whole picture by OpenCV, then cut to its box."""
    lowest_iou: float
    """Of ours and ultralytics' masks."""


@dataclass(frozen=True)
class MaskFigures:
    """Medians."""

    one_ms: Mapping[int, float]
    """By the side of the mask's box in pixels."""
    all: tuple[AllMasks, ...]


def measure_masks(repeats: int = 10, pictures: Sequence[tuple[int, int]] = PICTURES) -> MaskFigures:
    """On made-up outputs of a 640 px network; one mask of a picture of 1024 x 1024."""
    rng = np.random.default_rng(0)
    one = {side: made_up(rng, (1024, 1024), np.full((1, 2), side)) for side in SIDES}
    return MaskFigures(
        one_ms={
            side: _median_ms(lambda i=i: instance_patch(i, 0), 6 * repeats)
            for side, i in one.items()
        },
        all=tuple(_measure_all(rng, picture_wh, repeats) for picture_wh in pictures),
    )


def made_up(rng: np.random.Generator, picture_wh: tuple[int, int], sides: Any) -> Instances:
    """Instances with boxes of these sides (N, 2) on smooth prototypes."""
    plan = plan_letterbox(picture_wh, _NETWORK, stride=32)
    shape = (32, plan.frame_wh[1] // 4, plan.frame_wh[0] // 4)
    noise = rng.standard_normal(shape).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), _NETWORK / 64) for plane in noise])
    low, high = smooth.min((1, 2)), smooth.max((1, 2))
    levels = np.stack([(high - low) / 255, low], 1).astype(np.float32)
    prototypes = ((smooth - low[:, None, None]) / levels[:, :1, None]).round().astype(np.uint8)
    sides = sides * plan.scale
    centres = rng.uniform(sides / 2, np.asarray(plan.frame_wh) - sides / 2)
    scores = np.full((len(sides), 1), 0.9)
    coefficients = rng.standard_normal((len(sides), 32))
    rows = np.hstack([centres, sides, scores, coefficients]).astype(np.float32)
    return decode_detections(rows, prototypes, plan, levels=levels, max_iou=1.0)


def _measure_all(rng: np.random.Generator, picture_wh: tuple[int, int], repeats: int) -> AllMasks:
    """Boxes of 40 to 400 pixels on a picture of 1024, as much larger as the picture is."""
    sides = rng.uniform(40, 400, (_COUNT, 2)) * max(picture_wh) / 1024
    found = made_up(rng, picture_wh, sides)
    ultralytics = _ultralytics(found)
    few = max(2, repeats * 1024**2 // (picture_wh[0] * picture_wh[1]))
    theirs = ultralytics()
    lowest = min(_iou(instance_mask(found, i), theirs[i] > 0) for i in range(len(found)))
    del theirs
    return AllMasks(
        picture_wh=picture_wh,
        ours_ms=_median_ms(lambda: _each(instance_mask(found, i) for i in range(len(found))), few),
        ultralytics_ms=_median_ms(ultralytics, few),
        opencv_ms=_median_ms(lambda: _each(_enlarged(found)), few),
        lowest_iou=lowest,
    )


def _ultralytics(instances: Instances) -> Callable[[], Any]:
    """Their way on the same numbers, which come to it as float32."""
    import torch
    from ultralytics.utils.ops import process_mask_native

    cells = instances.prototypes.astype(np.float32)
    # The offset as a prototype of its own.
    prototypes = torch.from_numpy(np.concatenate([cells, np.ones_like(cells[:1])]))
    coefficients = torch.from_numpy(
        np.hstack([instances.coefficients, instances.offsets[:, None]]).astype(np.float32)
    )
    boxes = torch.from_numpy(instances.boxes)
    width, height = instances.plan.image_wh
    return lambda: process_mask_native(prototypes, coefficients, boxes, (height, width)).numpy()


def _enlarged(instances: Instances) -> Iterator[Any]:
    flat = instances.prototypes.reshape(len(instances.prototypes), -1).astype(np.float32)
    logits = instances.coefficients @ flat + instances.offsets[:, None]
    shape, picture_wh = instances.prototypes.shape[1:], instances.plan.image_wh
    for row, (x0, y0, x1, y1) in zip(logits, instances.pixel_boxes(), strict=True):
        large = cv2.resize(row.reshape(shape), picture_wh, interpolation=cv2.INTER_LINEAR) > 0
        mask = np.zeros_like(large)
        mask[y0:y1, x0:x1] = large[y0:y1, x0:x1]
        yield mask


def _each(masks: Iterator[Any]) -> None:
    """One after the other, as an answer is made of them."""
    for _ in masks:
        pass


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

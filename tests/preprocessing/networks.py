"""Made-up network outputs with known answers."""

from __future__ import annotations

import cv2
import numpy as np

from preprocessing.fastsam import Instances, decode_detections
from preprocessing.letterbox import plan_letterbox
from preprocessing.masks import bounding_box


def smooth_prototypes(rng: np.random.Generator, cells: int, count: int = 32) -> np.ndarray:
    noise = rng.standard_normal((count, cells, cells)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), cells / 16) for plane in noise])


def random_outputs(
    rng: np.random.Generator, image_wh: tuple[int, int], size: int = 256, rows: int = 24
) -> Instances:
    """Instances with random boxes on smooth random prototypes; nothing is suppressed."""
    centres, sides = rng.uniform(0, size, (rows, 2)), rng.uniform(8, size, (rows, 2))
    scores = np.sort(rng.uniform(0.3, 1, (rows, 1)))[::-1]
    coefficients = rng.standard_normal((rows, 32))
    detections = np.hstack([centres, sides, scores, coefficients]).astype(np.float32)
    plan = plan_letterbox(image_wh, size)
    return decode_detections(detections, smooth_prototypes(rng, size // 4), plan, max_iou=1.0)


def known_instances(
    masks: list[np.ndarray], scores: list[float] | None = None, size: int = 256
) -> Instances:
    """What a perfect network would say of these (H, W) masks: one prototype per mask."""
    height, width = masks[0].shape
    plan = plan_letterbox((width, height), size)
    cells, rows = np.full((len(masks), size // 4, size // 4), -6, np.float32), []
    for number, mask in enumerate(masks):
        square = np.zeros((size, size), np.float32)
        left, top, (across, down) = plan.left, plan.top, plan.content_wh
        square[top : top + down, left : left + across] = cv2.resize(
            mask.astype(np.float32), plan.content_wh, interpolation=cv2.INTER_AREA
        )
        small = cv2.resize(square, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        cells[number] = small * 12 - 6
        x0, y0, x1, y1 = plan.to_frame(np.reshape(bounding_box(mask), (2, 2))).ravel()
        score = scores[number] if scores else 0.9
        rows.append(
            [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, score, *np.eye(len(masks))[number]]
        )
    return decode_detections(np.array(rows, np.float32), cells, plan, max_iou=1.0)


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0

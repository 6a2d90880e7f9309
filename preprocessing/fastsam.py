"""From FastSAM's outputs to instances: boxes, scores, and a mask for whichever is asked for.

Mask logits are coefficients @ prototypes + offset, bilinear between prototype cells; above 0 is
inside. Only what lies under a box is ever computed. Prototypes stay the bytes that they travel
as: their scale is in the coefficients, what it leaves in the offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocessing import boxes as box_math
from preprocessing.arrays import Floats, Integers, Mask, Plane
from preprocessing.letterbox import Letterbox


@dataclass(frozen=True, eq=False)
class Instances:
    """What the network found in one picture, best score first."""

    boxes: Floats
    """(N, 4) xyxy in image pixels, at least one pixel each after rounding."""
    scores: Floats
    """(N,) 0 to 1."""
    coefficients: Floats
    """(N, C)."""
    offsets: Floats
    """(N,)."""
    prototypes: Floats | Plane
    """(C, h, w) float32 or uint8, over the whole letterboxed frame."""
    plan: Letterbox

    @property
    def nbytes(self) -> int:
        """Memory they hold."""
        arrays = (self.boxes, self.scores, self.coefficients, self.offsets, self.prototypes)
        return sum(array.nbytes for array in arrays)

    def __len__(self) -> int:
        return len(self.scores)

    def pixel_boxes(self) -> Integers:
        """Boxes rounded to whole pixels, (N, 4); masks end there."""
        return np.round(self.boxes).astype(np.intp)


def decode_detections(
    detections: Floats,
    prototypes: Floats | Plane,
    plan: Letterbox,
    *,
    levels: Floats | None = None,
    min_score: float = 0.25,
    max_iou: float = 0.7,
    max_instances: int = 300,
) -> Instances:
    """Filter by score, then drop duplicates (greedy NMS) and boxes that lie in the padding.

    Args:
        detections: (K, 5 + C) float32: cx, cy, w, h in pixels of the frame, score, coefficients.
        prototypes: (C, h, w), float32, or uint8 with `levels`.
        plan: how the picture was put into the frame.
        levels: (C, 2) float32: a prototype is levels[:, 0] times its bytes plus levels[:, 1].
        min_score: kept from here on; the default, like max_iou's, is that of ultralytics.
        max_iou: a box that overlaps a better one by more is a duplicate.
        max_instances: the best so many are kept.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if prototypes.ndim != 3 or min(prototypes.shape[1:]) < 2:
        raise ValueError(f"Prototypes must be (C, h, w), h and w from 2; got {prototypes.shape}.")
    if detections.ndim != 2 or detections.shape[1] != 5 + len(prototypes):
        raise ValueError(f"Rows must have 5 + {len(prototypes)} values; got {detections.shape}.")
    rows = detections[detections[:, 4] >= min_score]
    rows = rows[np.isfinite(rows).all(1)]
    corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
    kept = _suppress(corners, rows[:, 4], max_iou)
    boxes = plan.to_image(corners[kept])
    sides = np.round(boxes[:, 2:]) - np.round(boxes[:, :2])
    visible = (sides >= 1).all(1)
    kept, boxes = kept[visible][:max_instances], boxes[visible][:max_instances]
    coefficients, offsets = rows[kept, 5:], np.zeros(len(kept), np.float32)
    if levels is not None:
        coefficients, offsets = coefficients * levels[:, 0], coefficients @ levels[:, 1]
    return Instances(boxes, rows[kept, 4], coefficients, offsets, prototypes, plan)


def instance_mask(instances: Instances, index: int) -> Mask:
    """Mask (H, W) of one instance over the whole image."""
    patch, (x0, y0, x1, y1) = instance_patch(instances, index)
    width, height = instances.plan.image_wh
    mask = np.zeros((height, width), np.bool_)
    mask[y0:y1, x0:x1] = patch
    return mask


def instance_patch(
    instances: Instances, index: int, *, step: int = 1
) -> tuple[Mask, tuple[int, int, int, int]]:
    """Mask of one instance within its box, every `step`-th pixel, and that box in whole pixels.

    Equal to enlarging the logits of the whole picture bilinearly (pixel centres, edges repeated, as
    cv2.resize does) and cropping; but only the cells under the box are touched.
    """
    x0, y0, x1, y1 = (int(v) for v in instances.pixel_boxes()[index])
    rows, vertical = _interpolation(_cells(instances, np.arange(y0, y1, step), axis=1))
    columns, horizontal = _interpolation(_cells(instances, np.arange(x0, x1, step), axis=0))
    cells = instances.prototypes[:, rows, columns].astype(np.float32, copy=False)
    logits = np.tensordot(instances.coefficients[index], cells, 1) + instances.offsets[index]
    return vertical @ logits @ horizontal.T > 0, (x0, y0, x1, y1)


def logits_at(instances: Instances, points_xy: npt.ArrayLike) -> Floats:
    """Mask logits (N, P) of all instances at the pixels that hold the points (P, 2).

    -inf outside an instance's box, so that > 0 is exactly what `instance_mask` says of the pixel.
    Points must lie within the image.
    """
    pixels = np.floor(np.asarray(points_xy, np.float64).reshape(-1, 2)).astype(np.intp)
    x, x_share = _cells(instances, pixels[:, 0], axis=0)
    y, y_share = _cells(instances, pixels[:, 1], axis=1)
    cells = instances.prototypes
    above = cells[:, y, x] * (1 - x_share) + cells[:, y, x + 1] * x_share
    below = cells[:, y + 1, x] * (1 - x_share) + cells[:, y + 1, x + 1] * x_share
    logits = instances.coefficients @ (above * (1 - y_share) + below * y_share)
    logits += instances.offsets[:, None]
    box = instances.pixel_boxes()[:, None, :]
    inside = ((pixels >= box[..., :2]) & (pixels < box[..., 2:])).all(-1)
    return np.where(inside, logits, np.float32(-np.inf))


def _suppress(boxes: Floats, scores: Floats, max_iou: float) -> Integers:
    order = np.argsort(-scores, kind="stable")
    duplicate = box_math.iou(boxes[order], boxes[order]) > max_iou
    alive = np.ones(len(order), np.bool_)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~duplicate[i, i + 1 :]
    return order[alive]


def _cells(instances: Instances, pixels: Integers, *, axis: int) -> tuple[Integers, Floats]:
    """Cell at or before each pixel's centre along one axis (0 = x), and the next cell's share.

    Cells with their centre in the padding are never read: they would eat into masks at the
    picture's edge, where the edge's own cells are repeated instead.
    """
    plan, count = instances.plan, instances.prototypes.shape[2 - axis]
    start, content, image_side = (
        (plan.left, plan.top)[axis],
        plan.content_wh[axis],
        plan.image_wh[axis],
    )
    per_pixel = count / plan.frame_wh[axis]
    position = ((pixels + 0.5) * content / image_side + start) * per_pixel - 0.5
    first = np.ceil(start * per_pixel - 0.5)
    last = max(first, np.floor((start + content) * per_pixel - 0.5))
    position = np.clip(position, first, min(last, count - 1))
    cell = np.minimum(position.astype(np.intp), count - 2)
    return cell, (position - cell).astype(np.float32)


def _interpolation(cells: tuple[Integers, Floats]) -> tuple[slice, Floats]:
    """The cells in use, and the matrix (pixels, cells in use) that interpolates between them."""
    cell, share = cells
    first, last = int(cell.min()), int(cell.max()) + 1
    matrix = np.zeros((len(cell), last - first + 1), np.float32)
    pixel = np.arange(len(cell))
    matrix[pixel, cell - first] = 1 - share
    matrix[pixel, cell - first + 1] = share
    return slice(first, last + 1), matrix

"""From FastSAM's outputs to instances: boxes, scores, and a mask for whichever is asked for.

Mask logits are coefficients @ prototypes + offset, bilinear between prototype cells; above 0 is
inside. Only what lies under a box is ever computed. Prototypes stay the bytes that they travel
as: their scale is in the coefficients, what it leaves in the offsets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocessing import boxes as box_math
from preprocessing.arrays import Floats, Integers, Mask, Plane
from preprocessing.letterbox import Letterbox

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instances:
    """What the network found in one picture, best score first."""

    boxes: Floats
    """(N, 4) xyxy in image pixels, at least one whole pixel each."""
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
        """Boxes in whole pixels, (N, 4); masks end there.

        Pixel p is in a box from p >= x0 to p < x1, as in ultralytics' `crop_mask`.
        """
        return np.ceil(self.boxes).astype(np.intp)


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
    sides = np.ceil(boxes[:, 2:]) - np.ceil(boxes[:, :2])
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

    Equal to enlarging the logits of the whole picture as `_taps` says and cropping; but only the
    cells under the box are touched.
    """
    x0, y0, x1, y1 = (int(v) for v in instances.pixel_boxes()[index])
    rows, vertical = _interpolation(_taps(instances, np.arange(y0, y1, step), axis=1))
    columns, horizontal = _interpolation(_taps(instances, np.arange(x0, x1, step), axis=0))
    cells = instances.prototypes[:, rows, columns].astype(np.float32, copy=False)
    logits = np.tensordot(instances.coefficients[index], cells, 1) + instances.offsets[index]
    return vertical @ logits @ horizontal.T > 0, (x0, y0, x1, y1)


def logits_at(instances: Instances, points_xy: npt.ArrayLike) -> Floats:
    """Mask logits (N, P) of all instances at the pixels that hold the points (P, 2).

    -inf outside an instance's box, so that > 0 is exactly what `instance_mask` says of the pixel.
    Points must lie within the image.
    """
    pixels = np.floor(np.asarray(points_xy, np.float64).reshape(-1, 2)).astype(np.intp)
    columns, across = _taps(instances, pixels[:, 0], axis=0)
    rows, down = _taps(instances, pixels[:, 1], axis=1)
    cells = instances.prototypes[:, rows[:, :, None], columns[:, None, :]]
    values = np.einsum("cpij,pi,pj->cp", cells, down, across, optimize=True)
    logits = np.asarray(instances.coefficients @ values, np.float32)
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


def _taps(instances: Instances, pixels: Integers, *, axis: int) -> tuple[Integers, Floats]:
    """Cells that each pixel's centre is interpolated from along one axis, and their shares.

    (P, 2) where the padding is whole cells, else (P, 4).

    In two bilinear steps, as ultralytics' `process_mask_native`: first to a grid on which the
    padding is whole samples, then from the content's samples to pixels; edges are repeated. Unlike
    there, cells with their centre in the padding are never read: they would eat into masks at the
    picture's edge.
    """
    plan, count = instances.plan, instances.prototypes.shape[2 - axis]
    cell = plan.frame_wh[axis] / count
    start, content = (plan.left, plan.top)[axis] / cell, plan.content_wh[axis] / cell
    first = np.ceil(start - 0.5)
    last = min(max(first, np.floor(start + content - 0.5)), count - 1)
    finer = _samples_per_cell(plan, cell)
    position = (pixels + 0.5) * (content * finer / plan.image_wh[axis]) - 0.5
    if finer == 1:
        cells, share = _between(position + start, first, last)
        return _pairs(cells, count), _shares(share)
    end = max(0.0, content * finer - 1)
    sample, share = _between(position, 0, end)
    both = np.stack([sample, np.minimum(sample + 1, end)], 1)
    cells, part = _between((both + 0.5) / finer + start - 0.5, first, last)
    shares = _shares(part) * _shares(share)[..., None]
    return _pairs(cells, count).reshape(-1, 4), shares.reshape(-1, 4)


def _pairs(cells: Array, count: int) -> Integers:
    """Each cell and the next one, of `count`."""
    before = cells.astype(np.intp)
    return np.stack([before, np.minimum(before + 1, count - 1)], -1)


def _shares(part: Array) -> Floats:
    """What the cell and the next one count."""
    return np.asarray(np.stack([1 - part, part], -1), np.float32)


def _between(position: Array, low: float, high: float) -> tuple[Array, Array]:
    """The whole number at or before each position within the bounds, and what is left of it."""
    inside = np.clip(position, low, high)
    before = np.floor(inside)
    return before, inside - before


def _samples_per_cell(plan: Letterbox, cell: float) -> int:
    """1, 2 or 4: the smallest grid on which the padding of both axes is whole samples."""
    pixels = round(cell)
    padding = 0
    for frame, content in zip(plan.frame_wh, plan.content_wh, strict=True):
        padding |= (frame - content) | ((frame - content) // 2)
    return pixels // math.gcd(pixels, padding)


def _interpolation(taps: tuple[Integers, Floats]) -> tuple[slice, Floats]:
    """The cells in use, and the matrix (pixels, cells in use) that interpolates between them."""
    cells, shares = taps
    first, last = int(cells.min()), int(cells.max())
    matrix = np.zeros((len(cells), last - first + 1), np.float32)
    pixel = np.arange(len(cells))
    for tap in range(cells.shape[1]):
        matrix[pixel, cells[:, tap] - first] += shares[:, tap]
    return slice(first, last + 1), matrix

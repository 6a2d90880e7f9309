"""From FastSAM's outputs to instances: boxes, scores, and a mask for whichever is asked for.

Mask logits are coefficients @ prototypes + offset, bilinear between prototype cells; above 0 is
inside. Only what lies under a box is ever computed. Prototypes stay the bytes that they travel
as, one or two each: their scale is in the coefficients, what it leaves in the offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocessing import boxes as box_math
from preprocessing.arrays import Fine, Floats, Integers, Mask, Plane
from preprocessing.letterbox import Letterbox
from preprocessing.prototype_grid import PixelAxis, pixel_axis

_FINE_STEPS = 255


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
    prototypes: Floats | Plane | Fine
    """(C, h, w) float32, uint8 or uint16, over the whole letterboxed frame."""
    plan: Letterbox

    @property
    def nbytes(self) -> int:
        """Memory they hold."""
        arrays = (self.boxes, self.scores, self.coefficients, self.offsets, self.prototypes)
        return sum(array.nbytes for array in arrays)

    def __len__(self) -> int:
        return len(self.scores)

    def axes(self) -> tuple[PixelAxis, PixelAxis]:
        """Across and down: where the picture's pixels lie between the prototypes' cells."""
        height, width = self.prototypes.shape[1:]
        return pixel_axis(self.plan, width, 0), pixel_axis(self.plan, height, 1)

    def pixel_boxes(self) -> Integers:
        """Boxes in whole pixels, (N, 4); masks end there.

        Pixel p is in a box from p >= x0 to p < x1, as in ultralytics' `crop_mask`.
        """
        return np.ceil(self.boxes).astype(np.intp)


def decode_detections(
    detections: Floats,
    prototypes: Floats | Plane | Fine,
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
        prototypes: (C, h, w), float32, or uint8 or uint16 with `levels`.
        plan: how the picture was put into the frame.
        levels: (C, 2) float32: a prototype is levels[:, 0] times its integers plus levels[:, 1].
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


def refined(coarse: Plane, fine: Plane, levels: Floats) -> tuple[Fine, Floats]:
    """Prototypes (C, h, w) uint16 of their two bytes, and their levels.

    The second byte adds (fine - 127.5) / 255 to the first.
    """
    both = np.multiply(coarse, _FINE_STEPS, dtype=np.uint16)
    both += fine
    step, low = levels[:, 0], levels[:, 1]
    return both, np.stack([step / _FINE_STEPS, low - step / 2], 1).astype(np.float32)


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

    Equal to enlarging the logits of the whole picture and cropping; but only the cells under the
    box are touched.
    """
    x0, y0, x1, y1 = (int(v) for v in np.ceil(instances.boxes[index]))
    across, down = range(x0, x1, step), range(y0, y1, step)
    columns, rows = instances.axes()
    under, beside = rows.under(down), columns.under(across)
    cells = instances.prototypes[:, under, beside].astype(np.float32)
    logits = instances.coefficients[index] @ cells.reshape(len(cells), -1)
    logits += instances.offsets[index]
    wide = columns.enlarge(logits.reshape(cells.shape[1:]).T, beside.start, across)
    return rows.enlarge(wide.T, under.start, down) > 0, (x0, y0, x1, y1)


def logits_at(instances: Instances, points_xy: npt.ArrayLike) -> Floats:
    """Mask logits (N, P) of all instances at the pixels that hold the points (P, 2).

    -inf outside an instance's box, so that > 0 is exactly what `instance_mask` says of the pixel.
    Points must lie within the image.
    """
    pixels = np.floor(np.asarray(points_xy, np.float64).reshape(-1, 2)).astype(np.intp)
    columns, rows = instances.axes()
    x, y = pixels.T
    shares = rows.shares[y][:, :, None] * columns.shares[x][:, None, :]
    cells = instances.prototypes[:, rows.cells[y][:, :, None], columns.cells[x][:, None, :]]
    logits = instances.coefficients @ (cells * shares).sum((2, 3))
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

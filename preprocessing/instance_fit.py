"""How well each instance fits a box, a shape, a stroke, or what people usually mean; 0 to 1."""

from __future__ import annotations

import numpy as np

from preprocessing import boxes as box_math
from preprocessing.arrays import Floats, Mask
from preprocessing.fastsam import Instances, instance_patch, logits_at
from preprocessing.masks import bounding_box

Box = tuple[float, float, float, float]
_MIN_BOX_IOU = 0.1  # an instance whose box overlaps the prompt less was not meant
_MAX_CANDIDATES = 16  # masks to compute for one box or shape
_SAMPLES_PER_SIDE = 256
_STROKE_SAMPLES = 1024
_MIN_STROKE_SHARE = 0.1  # of the stroke; an instance that holds less was not meant
_MAX_SALIENT = 64


def box_fit(instances: Instances, box: Box) -> Floats:
    """IoU (N,) of each mask with the box; 0 where their boxes hardly overlap."""
    fit = np.zeros(len(instances), np.float32)
    for index in _candidates(instances, box):
        fit[index] = _box_iou(instances, int(index), box)
    return fit


def shape_fit(instances: Instances, shape: Mask) -> Floats:
    """IoU (N,) of each mask with a rough mask (H, W); 0 where their boxes hardly overlap."""
    fit = np.zeros(len(instances), np.float32)
    around = bounding_box(shape)
    if around is None:
        return fit
    for index in _candidates(instances, (*map(float, around),)):  # type: ignore[arg-type]
        fit[index] = _shape_iou(instances, int(index), shape)
    return fit


def stroke_fit(instances: Instances, stroke: Mask) -> Floats:
    """Share (N,) of the stroke's pixels (H, W) in each mask, weighed by the network's certainty.

    A pixel in the mask counts sigmoid(logit), one outside 0, so that the whole stroke decides and
    not its middle. Long strokes are sampled evenly.
    """
    y, x = np.nonzero(stroke)
    step = 1 + len(x) // _STROKE_SAMPLES
    logits = logits_at(instances, np.stack([x[::step], y[::step]], 1))
    inside = logits > 0
    certainty = np.where(inside, 1 / (1 + np.exp(-np.maximum(logits, 0))), 0)
    enough = inside.mean(1) >= _MIN_STROKE_SHARE
    return np.asarray(certainty.mean(1) * enough, np.float32)


def salience(instances: Instances) -> Floats:
    """How much each instance (N,) looks like the picture's subject: large and near the middle.

    sqrt(4 a (1 - a)) times 1 - d, a the mask's share of the picture (nothing and everything are
    no subject), d the distance of the mask's middle from the picture's, 1 at a corner.
    """
    width, height = instances.plan.image_wh
    found = np.zeros(len(instances), np.float32)
    sizes = np.minimum(box_math.area(instances.boxes) / (width * height), 0.5)
    for index in np.argsort(-sizes, kind="stable")[:_MAX_SALIENT]:
        patch, (x0, y0, _, _), step = _sampled(instances, int(index))
        y, x = np.nonzero(patch)
        if not len(x):
            continue
        share = min(1.0, len(x) * step**2 / (width * height))
        across = (x0 + (x.mean() + 0.5) * step) / width - 0.5
        down = (y0 + (y.mean() + 0.5) * step) / height - 0.5
        away = np.hypot(across, down) / np.hypot(0.5, 0.5)
        found[index] = np.sqrt(4 * share * (1 - share)) * max(0.0, 1 - away)
    return found


def _candidates(instances: Instances, box: Box) -> list[int]:
    """Instances whose boxes overlap most with this one."""
    overlap = box_math.iou(instances.boxes, np.asarray([box], np.float32))[:, 0]
    best = np.argsort(-overlap, kind="stable")[:_MAX_CANDIDATES]
    return [int(index) for index in best if overlap[index] >= _MIN_BOX_IOU]


def _sampled(instances: Instances, index: int) -> tuple[Mask, tuple[int, int, int, int], int]:
    """A grid of at most about 256 x 256 of the mask's pixels, its box, and the grid's step."""
    left, top, right, bottom = instances.pixel_boxes()[index]
    step = 1 + int(max(right - left, bottom - top)) // _SAMPLES_PER_SIDE
    patch, box = instance_patch(instances, index, step=step)
    return patch, box, step


def _box_iou(instances: Instances, index: int, box: Box) -> float:
    patch, (left, top, right, bottom), step = _sampled(instances, index)
    x0, y0, x1, y1 = (int(v) for v in np.round(box))
    rows, columns = np.arange(top, bottom, step), np.arange(left, right, step)
    within = np.outer((rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1))
    return _iou(patch, within, step, (x1 - x0) * (y1 - y0))


def _shape_iou(instances: Instances, index: int, shape: Mask) -> float:
    patch, (left, top, right, bottom), step = _sampled(instances, index)
    within = shape[top:bottom:step, left:right:step]
    return _iou(patch, within, step, np.count_nonzero(shape))


def _iou(patch: Mask, within: Mask, step: int, other_area: int) -> float:
    both = np.count_nonzero(patch & within) * step**2
    union = other_area + np.count_nonzero(patch) * step**2 - both
    return min(1.0, both / max(1, union))

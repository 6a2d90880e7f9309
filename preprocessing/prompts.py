"""Clicks and boxes: are they valid, and which instance do they mean.

FastSAM has no prompt encoder: it segments everything, and a prompt chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preprocessing import boxes as box_math
from preprocessing.arrays import Floats, Mask
from preprocessing.errors import PromptRejectedError
from preprocessing.fastsam import Instances, instance_patch, logits_at

POSITIVE, NEGATIVE = 1, 0
_MIN_BOX_IOU = 0.1  # an instance whose box overlaps the prompt less was not meant
_MAX_BOX_CANDIDATES = 16  # masks to compute for one box prompt
_SAMPLES_PER_SIDE = 256


@dataclass(frozen=True)
class Prompt:
    """Points with labels (1 = in the mask, 0 = not), a box, or both; in image pixels."""

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None

    def check(self, image_wh: tuple[int, int]) -> None:
        """Refuse what does not fit the image; nothing is clipped silently.

        Raises:
            PromptRejectedError: prompt_empty, labels_mismatch, point_outside, box_empty or
                box_outside.

        >>> Prompt(points=((64, 0),), labels=(1,)).check((64, 48))
        Traceback (most recent call last):
        preprocessing.errors.PromptRejectedError: Point 0 must lie in 0 <= x < 64, 0 <= y < 48; ...
        """
        self._check_labels()
        self._check_points(image_wh)
        if self.box is not None:
            _check_box(self.box, image_wh)

    def _check_labels(self) -> None:
        if not self.points and self.box is None:
            raise PromptRejectedError("prompt_empty", "At least 1 point or box is needed; got 0.")
        if len(self.points) != len(self.labels):
            raise PromptRejectedError(
                "labels_mismatch",
                f"Every point needs one label; got {len(self.points)} points "
                f"and {len(self.labels)} labels.",
            )
        for label in self.labels:
            if label not in (POSITIVE, NEGATIVE):
                raise PromptRejectedError(
                    "labels_mismatch", f"A label must be 0 or 1; got {label}."
                )
        if self.box is None and POSITIVE not in self.labels:
            raise PromptRejectedError(
                "prompt_empty",
                f"Without a box at least 1 point must have label 1; got 0 of {len(self.points)}.",
            )

    def _check_points(self, image_wh: tuple[int, int]) -> None:
        width, height = image_wh
        for number, (x, y) in enumerate(self.points):
            if not (0 <= x < width and 0 <= y < height):
                raise PromptRejectedError(
                    "point_outside",
                    f"Point {number} must lie in 0 <= x < {width}, 0 <= y < {height}; "
                    f"it is ({x:g}, {y:g}).",
                )


@dataclass(frozen=True)
class Choice:
    """One instance that satisfies a prompt."""

    index: int
    score: float
    """0 to 1."""


def rank(instances: Instances, prompt: Prompt) -> list[Choice]:
    """List the instances that satisfy a checked prompt, best first; empty if there is none.

    * Points: an instance must contain every positive point and no negative one. Where none contains
      all, those with the most count, their fit lowered to that share. Fit is the network's
      certainty, sigmoid(logit), at the least certain point; score is fit times network score.
      So of nested instances the one the network is surest of wins, not the smallest.
    * Box: fit is the IoU of the mask with the box (FastSAM's rule); score is fit times
      (1 + network score) / 2, because a box says more than the network's opinion.
    * Both: both must hold; the fits multiply.

    Ties go to the smaller box, then to the lower index.
    """
    if not len(instances):
        return []
    fit = np.ones(len(instances), np.float32)
    trust = instances.scores
    if prompt.box is not None:
        fit, trust = _box_fit(instances, prompt.box), (1 + instances.scores) / 2
    if prompt.points:
        fit = fit * _point_fit(instances, prompt, fit > 0)
    scores = fit * trust
    order = np.lexsort((box_math.area(instances.boxes), -scores))
    return [Choice(int(i), float(scores[i])) for i in order if scores[i] > 0]


def _check_box(box: tuple[float, float, float, float], image_wh: tuple[int, int]) -> None:
    x0, y0, x1, y1 = box
    width, height = image_wh
    actual = f"it is ({x0:g}, {y0:g}, {x1:g}, {y1:g})."
    if x1 <= x0 or y1 <= y0:
        raise PromptRejectedError("box_empty", f"A box needs x0 < x1 and y0 < y1; {actual}")
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise PromptRejectedError(
            "box_outside", f"The box must lie in 0 <= x <= {width}, 0 <= y <= {height}; {actual}"
        )


def _point_fit(instances: Instances, prompt: Prompt, among: Mask) -> Floats:
    """Fit (N,) 0 to 1 of the instances in `among` to the points; 0 = does not satisfy."""
    logits = logits_at(instances, prompt.points)
    positive = np.asarray(prompt.labels) == POSITIVE
    inside = logits > 0
    among = among & ~inside[:, ~positive].any(1)
    if not positive.any():
        return among.astype(np.float32)
    hits = np.where(among, inside[:, positive].sum(1), 0)
    least = np.where(inside, logits, np.inf)[:, positive].min(1)
    certainty = 1 / (1 + np.exp(-least))
    best = (hits == hits.max()) & (hits > 0)
    return np.asarray(best * certainty * hits / positive.sum(), np.float32)


def _box_fit(instances: Instances, box: tuple[float, float, float, float]) -> Floats:
    """Fit (N,) 0 to 1 of the instances to the box; 0 = does not satisfy."""
    overlap = box_math.iou(instances.boxes, np.asarray([box], np.float32))[:, 0]
    fit = np.zeros(len(instances), np.float32)
    for index in np.argsort(-overlap, kind="stable")[:_MAX_BOX_CANDIDATES]:
        if overlap[index] >= _MIN_BOX_IOU:
            fit[index] = _mask_box_iou(instances, int(index), box)
    return fit


def _mask_box_iou(
    instances: Instances, index: int, box: tuple[float, float, float, float]
) -> float:
    """IoU of mask and box, from a grid of at most about 256 x 256 of the mask's pixels."""
    left, top, right, bottom = instances.pixel_boxes()[index]
    step = 1 + int(max(right - left, bottom - top)) // _SAMPLES_PER_SIDE
    patch, _ = instance_patch(instances, index, step=step)
    x0, y0, x1, y1 = (int(v) for v in np.round(box))
    rows = np.arange(top, bottom, step)
    columns = np.arange(left, right, step)
    within = np.outer((rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1))
    both = np.count_nonzero(patch & within) * step**2
    union = (x1 - x0) * (y1 - y0) + np.count_nonzero(patch) * step**2 - both
    return min(1.0, both / max(1, union))

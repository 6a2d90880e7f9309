"""Prompts: are they valid, and which instance do they mean.

FastSAM has no prompt encoder: it segments everything, and a prompt chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from preprocessing import boxes as box_math
from preprocessing.arrays import Floats, Mask
from preprocessing.errors import PromptRejectedError
from preprocessing.fastsam import Instances, logits_at
from preprocessing.instance_fit import box_fit, salience, shape_fit, stroke_fit

POSITIVE, NEGATIVE = 1, 0


@dataclass(frozen=True)
class Prompt:
    """One object; what is given must all hold. In image pixels."""

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    """1 = the point is in the mask, 0 = it is not."""
    box: tuple[float, float, float, float] | None = None
    scribble: Mask | None = field(default=None, compare=False)
    """Pixels (H, W) that a brush touched, on the object."""
    mask_hint: Mask | None = field(default=None, compare=False)
    """A rough mask (H, W) of the object."""
    auto: bool = False
    """The picture's subject: large and near the middle."""
    text: str = ""
    """What the object is; needs its similarity to each instance from elsewhere."""

    @property
    def has_area(self) -> bool:
        """Whether it says where or what the object is without a positive point."""
        return (
            self.box is not None
            or self.scribble is not None
            or self.mask_hint is not None
            or self.auto
            or bool(self.text)
        )

    def check(self, image_wh: tuple[int, int]) -> None:
        """Refuse what does not fit the image; nothing is clipped silently.

        Raises:
            PromptRejectedError: prompt_empty, labels_mismatch, point_outside, box_empty,
                box_outside, scribble_empty, mask_hint_empty or mask_size.

        >>> Prompt(points=((64, 0),), labels=(1,)).check((64, 48))
        Traceback (most recent call last):
        preprocessing.errors.PromptRejectedError: Point 0 must lie in 0 <= x < 64, 0 <= y < 48; ...
        """
        self._check_labels()
        self._check_points(image_wh)
        if self.box is not None:
            _check_box(self.box, image_wh)
        _check_guide(self.scribble, image_wh, "scribble")
        _check_guide(self.mask_hint, image_wh, "mask_hint")

    def _check_labels(self) -> None:
        if not self.points and not self.has_area:
            raise PromptRejectedError(
                "prompt_empty",
                "At least 1 of points, box, scribble, mask_hint, auto and text is needed; got 0.",
            )
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
        if not self.has_area and POSITIVE not in self.labels:
            raise PromptRejectedError(
                "prompt_empty",
                f"Points alone need at least 1 with label 1; got 0 of {len(self.points)}.",
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


def rank(instances: Instances, prompt: Prompt, *, similarity: Floats | None = None) -> list[Choice]:
    """List the instances that satisfy a checked prompt, best first; empty if there is none.

    * Points: an instance must contain every positive point and no negative one. Where none contains
      all, those with the most count, their fit lowered to that share. Fit is the network's
      certainty, sigmoid(logit), at the least certain point; score is fit times network score.
      So of nested instances the one the network is surest of wins, not the smallest.
    * Box, mask hint: fit is the IoU with the mask (FastSAM's rule); score is fit times
      (1 + network score) / 2, because they say more than the network's opinion.
    * Scribble: fit is the share of the stroke in the mask, weighed as points are.
    * Auto: fit is `salience`. Text: fit is `similarity` (N,), 0 to 1.
    * Several: all must hold; the fits multiply.

    Ties go to the smaller box, then to the lower index.
    """
    if not len(instances):
        return []
    fits, trust = _area_fits(instances, prompt), instances.scores
    if prompt.box is not None or prompt.mask_hint is not None:
        trust = (1 + trust) / 2
    if prompt.text and similarity is not None:
        fits.append(similarity)
    fit = np.ones(len(instances), np.float32)
    for one in fits:
        fit = fit * one
    if prompt.points:
        fit = fit * _point_fit(instances, prompt, fit > 0)
    scores = fit * trust
    order = np.lexsort((box_math.area(instances.boxes), -scores))
    return [Choice(int(i), float(scores[i])) for i in order if scores[i] > 0]


def _area_fits(instances: Instances, prompt: Prompt) -> list[Floats]:
    fits = []
    if prompt.box is not None:
        fits.append(box_fit(instances, prompt.box))
    if prompt.mask_hint is not None:
        fits.append(shape_fit(instances, prompt.mask_hint))
    if prompt.scribble is not None:
        fits.append(stroke_fit(instances, prompt.scribble))
    if prompt.auto:
        fits.append(salience(instances))
    return fits


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


def _check_guide(guide: Mask | None, image_wh: tuple[int, int], name: str) -> None:
    if guide is None:
        return
    height, width = guide.shape
    if (width, height) != image_wh:
        raise PromptRejectedError(
            "mask_size",
            f"The {name} must be as large as the image, {image_wh[0]} x {image_wh[1]}; "
            f"it is {width} x {height}.",
        )
    if not guide.any():
        raise PromptRejectedError(f"{name}_empty", f"The {name} must mark at least 1 pixel.")


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

"""What the pipeline models answer to those who ask Triton without the gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from export_scripts.demo_scenes import draw_scene
from gateway.errors import InvalidRequestError
from gateway.inference import EDIT_MODEL, PictureRequest
from tests.acceptance.direct_jobs import DirectJob, Picture, run_jobs, small_request
from tests.acceptance.plain_diffusers import paint_request, pixel_difference
from tests.acceptance.served import Served

SCENE = draw_scene(5, 64).image
MASK = np.full((64, 64), 255, np.uint8)
GENERATE = small_request()
EDIT = replace(GENERATE, model=EDIT_MODEL, images=(SCENE,))


def paint(gateway: Served, request: PictureRequest) -> Picture:
    (picture,) = run_jobs(gateway.triton["grpc"], [DirectJob(request=request)])
    assert picture is not None
    return picture


@pytest.mark.parametrize(
    ("order", "changes", "says"),
    [
        (GENERATE, {"width": 2048, "height": 2064}, "at most 4194304 pixels, got 2048x2064"),
        (GENERATE, {"width": 72}, "multiples of 16, got 72x64"),
        (GENERATE, {"num_inference_steps": 201}, "0 to 200, got 201"),
        (GENERATE, {"images": (SCENE,)}, "IMAGE_1 with a MASK alone"),
        (GENERATE, {"images": (SCENE,), "mask": MASK[:48]}, "as IMAGE_1, 64x64; got 64x48"),
        (GENERATE, {"images": (SCENE, SCENE), "mask": MASK}, "no other, got 2"),
        (EDIT, {"images": ()}, "an edit needs IMAGE_1"),
        (EDIT, {"mask": MASK}, "paints no masks"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_limit(
    gateway: Served, order: PictureRequest, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        paint(gateway, replace(order, **changes))


@pytest.mark.parametrize("size_wh", [(16, 16), (16, 1008), (528, 304)])
def test_sizes_in_steps_of_16_equal_plain_diffusers(
    gateway: Served, size_wh: tuple[int, int]
) -> None:
    request = replace(GENERATE, width=size_wh[0], height=size_wh[1])
    assert pixel_difference(paint(gateway, request), paint_request(request)) <= 1


@pytest.mark.parametrize(("steps", "strength"), [(5, 0.8), (5, 0.6), (3, 1 / 3), (10, 0.7)])
def test_strength_starts_at_the_step_that_diffusers_starts_at(
    gateway: Served, steps: int, strength: float
) -> None:
    """Their product is a whole number, and rounding it otherwise is a step more or less."""
    request = replace(
        GENERATE, images=(SCENE,), mask=MASK, strength=strength, num_inference_steps=steps
    )
    assert pixel_difference(paint(gateway, request), paint_request(request)) <= 1

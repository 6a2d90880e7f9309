"""Whatever jobs meet in the stages' batches, each picture equals plain diffusers.

Requests go to the pipeline models as the gateway sends them, at times of their own, so that
batches form as they do between strangers. The networks compute in float32, where only the order
of additions may differ: 1 grey level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from export_scripts.demo_scenes import draw_scene
from gateway.inference import EDIT_MODEL, GENERATION_MODEL, PictureRequest
from tests.acceptance.direct_jobs import DirectJob, run_jobs, small_request
from tests.acceptance.plain_diffusers import paint_request, pixel_difference
from tests.acceptance.served import Served

Picture = npt.NDArray[np.uint8]
PROMPTS = (
    "a cat",
    "x",
    "two boats under a bridge, seen from the water",
    "a street market at night, neon signs reflected in puddles, people with umbrellas, a dog "
    "under a table, steam from a food stall, seen from above",
)
SIZES_WH = ((64, 64), (64, 64), (96, 64), (128, 128), (48, 160))
"""The first is likelier, so that jobs share passes."""
ADAPTERS = ({}, {}, {"removal": 1.0}, {"removal": 0.5, "lightning": 1.5}, {"white-balance": -1.0})
CONDITIONS_WH = ((64, 64), (120, 80), (33, 200), (256, 192))


def picture(number: int, size_wh: tuple[int, int]) -> Picture:
    width, height = size_wh
    return np.ascontiguousarray(draw_scene(number, max(size_wh)).image[:height, :width])


def hole(size_wh: tuple[int, int]) -> Picture:
    width, height = size_wh
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : -height // 4, width // 8 : width // 2] = 255
    return mask


@st.composite
def requests(draw: st.DrawFn) -> PictureRequest:
    """Any job of the product: words to picture, edit, inpainting; alone or with adapters."""
    task = draw(st.sampled_from(["generate", "edit", "inpaint"]))
    size_wh = draw(st.sampled_from(SIZES_WH))
    parts: dict[str, Any] = {}
    if task == "edit":
        count = draw(st.integers(1, 4))
        parts["images"] = tuple(picture(n, CONDITIONS_WH[n]) for n in range(count))
    if task == "inpaint":
        parts |= {"images": (picture(9, size_wh),), "mask": hole(size_wh)}
        parts["strength"] = draw(st.sampled_from([0.3, 1 / 3, 0.6, 0.8, 1.0]))
    return PictureRequest(
        model=EDIT_MODEL if task == "edit" else GENERATION_MODEL,
        prompt=draw(st.sampled_from(PROMPTS)),
        negative_prompt=draw(st.sampled_from(["", "blurry, dark"])),
        width=size_wh[0],
        height=size_wh[1],
        num_inference_steps=draw(st.integers(2, 5)),
        true_cfg_scale=draw(st.sampled_from([1.0, 1.0, 3.5])),
        seed=draw(st.integers(0, 2**33)),
        adapters=draw(st.sampled_from(ADAPTERS)),
        preview_every=draw(st.integers(0, 2)),
        exact=draw(st.sampled_from([False, False, True])),
        **parts,
    )


jobs = st.builds(
    DirectJob,
    request=requests(),
    starts_after_s=st.sampled_from([0.0, 0.0, 0.01, 0.03, 0.08]),
    leaves_after_step=st.sampled_from([None, None, None, None, 0, 1, 2]),
)
"""Some clients go away in the middle."""


class Expected:
    """Pictures of plain diffusers, each painted once."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._pictures: dict[str, Picture] = {}

    def of(self, request: PictureRequest) -> Picture:
        key = hashlib.sha256(repr(request).encode()).hexdigest()
        if key not in self._pictures:
            self._pictures[key] = paint_request(request, self._repository)
        return self._pictures[key]


@pytest.fixture(scope="module")
def expected(adapted: Path) -> Expected:
    return Expected(adapted)


@pytest.mark.timeout(550)
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    # Jobs that meet depend on time: what fails is shown as it failed, not made smaller.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(together=st.lists(jobs, min_size=2, max_size=5))
def test_every_picture_equals_plain_diffusers(
    adapted_gateway: Served, expected: Expected, together: Sequence[DirectJob]
) -> None:
    served = run_jobs(adapted_gateway.triton["grpc"], together)
    for job, painted in zip(together, served, strict=True):
        if painted is not None:
            assert pixel_difference(painted, expected.of(job.request)) <= 1, job


def test_what_could_be_mixed_up_shows_in_the_pictures(expected: Expected) -> None:
    """Else the test above could not tell a picture with its neighbour's parameters."""
    plain = expected.of(small_request(num_inference_steps=5))
    others: list[dict[str, Any]] = [{"prompt": PROMPTS[3]}, {"true_cfg_scale": 3.5}]
    others += [{"adapters": adapters} for adapters in ADAPTERS if adapters]
    for other in others:
        changed = expected.of(small_request(num_inference_steps=5, **other))
        assert pixel_difference(changed, plain) > 1, other

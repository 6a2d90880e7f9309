"""What each field of a submission does, row by row of the table in docs/front-end.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import InferenceError
from gateway.front_end.fields import SubmitFields
from gateway.front_end.outlined_mask import EDGE_PX
from tests.gateway.conftest import Gateway
from tests.gateway.front_end.conftest import HEIGHT, WIDTH, b64, finished, pixels, submission
from tests.gateway.openai_images.conftest import png
from tests.odd_pictures import photo

DOCS = Path(__file__).resolve().parents[3] / "docs" / "front-end.md"
DISC_RADIUS = max(WIDTH, HEIGHT) / 4
"""Of the object in the middle of every picture that the test's segmenter finds."""
REFERENCE = {"prompt": "", "reference_image": b64(photo())}


async def warnings_of(gateway: Gateway, **fields: Any) -> list[str]:
    answer = await gateway.client.post("/api/generate/async", json=submission(**fields))
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json().get("warnings", [])
    job = (await gateway.client.get(f"/v1/jobs/{answer.json()['task_id']}?wait=20")).json()
    assert set(found) <= set(job["warnings"])
    return found


async def prompt_of(gateway: Gateway, **fields: Any) -> str:
    await finished(gateway, **fields)
    return gateway.backend.painted[-1].prompt


def block(radius: float, *, middle: tuple[float, float] = (WIDTH / 2, HEIGHT / 2)) -> str:
    """A drawn mask: a square around a point."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    x, y = middle
    mask[int(y - radius) : int(y + radius), int(x - radius) : int(x + radius)] = 255
    return b64(png(mask))


def test_every_field_has_a_row() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert SubmitFields.model_fields.keys() <= named


async def test_a_plain_submission_has_no_warning(gateway: Gateway) -> None:
    assert not await warnings_of(gateway)
    sent_by_default = {"guidance_scale": 4.0, "enable_mae_refinement": True}
    assert not await warnings_of(gateway, enable_flowmatch_scheduler=True, **sent_by_default)


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"angle": "top-down"}, "a hat | 俯视角度"),
        ({"angle": " Close-Up "}, "a hat | 特写镜头"),
        ({"angle": "from behind a tree"}, "a hat | from behind a tree"),
        ({"background_preset": "marble-surface"}, "a hat | marble surface background"),
        ({"background_preset": "white-background"}, "a hat | white background"),
        ({"background_preset": "on a beach at noon"}, "a hat | on a beach at noon"),
        (
            {"angle": "eye-level", "background_preset": "wood-texture"},
            "a hat | 平视角度 | wood texture background",
        ),
        ({"angle": "top-down", **REFERENCE}, "insert the object | 俯视角度"),
        ({"angle": "top-down", "task_type": "removal", "prompt": ""}, "remove object | 俯视角度"),
        ({"angle": "", "background_preset": "  "}, "a hat"),
    ],
)
async def test_angle_and_background_are_words_of_the_prompt(
    gateway: Gateway, fields: dict[str, Any], prompt: str
) -> None:
    assert await prompt_of(gateway, **fields) == prompt


@pytest.mark.parametrize("field", ["angle", "background_preset"])
async def test_white_balance_has_no_view(gateway: Gateway, field: str) -> None:
    fields = {"task_type": "white-balance", "prompt": "", field: "top-down"}
    assert await prompt_of(gateway, **fields) == "white balance"
    (warning,) = await warnings_of(gateway, **fields)
    assert warning.startswith(f"{field} is for insertion and removal")


async def test_no_words_at_all_are_still_refused(gateway: Gateway) -> None:
    answer = await gateway.client.post(
        "/api/generate/async", json=submission(prompt="", angle="top-down")
    )
    assert (answer.status_code, "needs a prompt" in answer.json()["detail"]) == (400, True)


async def test_a_drawn_mask_becomes_the_objects_outline(gateway: Gateway) -> None:
    mask = block(DISC_RADIUS * 1.2)
    wish = {"refine_mask_with_birefnet": True, "task_type": "removal", "enable_debug": True}
    (warning,) = await warnings_of(gateway, conditional_images=[mask], **wish)
    assert "FastSAM drew" in warning
    task = await finished(gateway, conditional_images=[mask], **wish)
    info = (await gateway.client.get(f"/api/generate/result/{task}")).json()["debug_info"]
    shown = pixels(info["conditional_images"][1])[..., 0] >= 128
    side = np.sqrt(shown.size / (WIDTH * HEIGHT))
    radius = np.sqrt(shown.sum() / np.pi) / side
    assert radius == pytest.approx(DISC_RADIUS + EDGE_PX, rel=0.1)


async def test_a_mask_over_nothing_stays_as_it_was_drawn(gateway: Gateway) -> None:
    corner = block(15, middle=(20, 20))
    wish = {"refine_mask_with_birefnet": True, "task_type": "removal"}
    (warning,) = await warnings_of(gateway, conditional_images=[corner], **wish)
    assert "used as it was drawn" in warning


async def test_a_segmenter_that_fails_is_no_reason_to_refuse(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceError("Model fastsam failed.")
    answer = await gateway.client.post(
        "/api/generate/async",
        json=submission(refine_mask_with_birefnet=True, task_type="removal"),
    )
    assert "used as it was drawn" in answer.json()["warnings"][0]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"refine_mask_with_birefnet": True}, "refine_mask_with_birefnet is for removal"),
        ({"task_type": "removal", "enable_mae_refinement": True}, "enable_mae_refinement has no"),
        ({"guidance_scale": 7.5}, "guidance_scale has no effect"),
    ],
)
async def test_what_is_not_done_is_said(
    gateway: Gateway, fields: dict[str, Any], word: str
) -> None:
    (warning,) = await warnings_of(gateway, **fields)
    assert warning.startswith(word)


@pytest.mark.parametrize(
    "fields",
    [
        {"task_type": "removal"},
        {"task_type": "removal", "enable_mae_refinement": False},
        {"enable_flowmatch_scheduler": True},
        {"enable_flowmatch_scheduler": False},
    ],
)
async def test_what_changes_nothing_is_no_warning(gateway: Gateway, fields: dict[str, Any]) -> None:
    assert not await warnings_of(gateway, **fields)


async def test_true_guidance_below_one_counts_as_one(gateway: Gateway) -> None:
    await finished(gateway, true_cfg_scale=0.5)
    assert gateway.backend.painted[-1].true_cfg_scale == 1.0


async def test_a_box_is_not_guessed_over_beyond_its_border(gateway: Gateway) -> None:
    jobs = []
    for tool in ("brush", "box"):
        task = await finished(gateway, task_type="removal", mask_tool_type=tool)
        jobs.append((await gateway.client.get(f"/v1/jobs/{task}")).json()["parameters"])
    assert [job["prefill_grow"] for job in jobs] == [35, 0]


async def test_an_original_is_painted_at_a_size_that_fits_it(gateway: Gateway) -> None:
    sizes = {}
    for quality in ("resized", "original"):
        await finished(gateway, width=512, height=256, input_quality=quality)
        request = gateway.backend.painted[-1]
        sizes[quality] = (request.width, request.height)
    assert sizes["resized"] == (512, 256)
    assert sizes["original"] != (512, 256)

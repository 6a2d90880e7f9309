"""The front end's tasks: submit, status, result, cancel, as it calls them."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gateway.errors import InferenceError
from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve, serve_on_a_port
from tests.gateway.front_end.conftest import (
    HEIGHT,
    ORIGIN,
    STATE,
    WIDTH,
    b64,
    brush,
    finished,
    frames,
    pixels,
    submission,
    submit,
)
from tests.odd_pictures import photo
from tests.preprocessing.pictures import ASTRONAUT


async def test_a_submission_is_queued(gateway: Gateway) -> None:
    response = await gateway.client.post("/api/generate/async", json=submission())
    body = response.json()
    assert response.status_code == 200
    assert body.keys() == {"task_id", "status", "message"}
    assert body["status"] == "queued"


@pytest.mark.parametrize("prefix", [True, False])
async def test_pictures_come_with_or_without_a_prefix(gateway: Gateway, prefix: bool) -> None:
    image, mask = b64(photo(), prefix=prefix), b64(brush(), prefix=prefix)
    await finished(gateway, input_image=image, conditional_images=[mask])


async def test_the_legacy_mask_counts_when_there_is_no_other(gateway: Gateway) -> None:
    task = await finished(gateway, conditional_images=[], mask_image=b64(brush()), seed=9)
    result = (await gateway.client.get(f"/api/generate/result/{task}")).json()
    np.testing.assert_array_equal(pixels(result["image"])[:20], ASTRONAUT[:20])


@pytest.mark.parametrize(
    "extra",
    [
        {"angle": "left", "background_preset": "beach", "refine_mask_with_birefnet": True},
        {"enable_flowmatch_scheduler": True, "enable_mae_refinement": False},
        {"a_field_of_tomorrow": {"x": 1}, "negative_prompt": None, "seed": None},
        {"width": 512, "height": 400, "guidance_scale": 0.5, "true_cfg_scale": 0.5},
    ],
)
async def test_every_documented_and_every_unknown_field_is_taken(
    gateway: Gateway, extra: dict[str, Any]
) -> None:
    await finished(gateway, **extra)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_image", "blob:http://localhost:3000/5f1c"),
        ("input_image", "not base64 at all!"),
        ("input_image", ""),
        ("input_image", b64(b"no picture")),
        ("conditional_images", ["blob:http://localhost:3000/77"]),
        ("mask_image", "data:image/png;base64,%%%"),
        ("width", 100),
        ("num_inference_steps", 101),
        ("true_cfg_scale", 0.1),
        ("task_type", "dance"),
    ],
)
async def test_what_is_wrong_is_said_at_submit_in_one_sentence(
    gateway: Gateway, field: str, value: object
) -> None:
    response = await gateway.client.post(
        "/api/generate/async", json=submission(**{field: value}), headers=ORIGIN
    )
    assert response.status_code == 400
    detail = response.json()["detail"]
    assert isinstance(detail, str)
    assert field in detail or "format" in detail or "picture" in detail
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert not gateway.backend.painted


async def test_a_body_of_20_megabytes_is_taken(gateway: Gateway) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2400, 2400, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    text = b64(buffer.getvalue())
    assert len(text) > 20 * 2**20
    await submit(gateway.client, input_image=text, task_type="white-balance")


async def test_a_larger_body_than_the_limit_is_413_with_a_sentence(tmp_path: Path) -> None:
    async with serve(tmp_path, max_body_bytes=1000) as gateway:
        response = await gateway.client.post(
            "/api/generate/async", json=submission(), headers=ORIGIN
        )
    assert response.status_code == 413
    assert "limit of 1000 bytes" in response.json()["detail"]
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_the_status_has_the_documented_members(gateway: Gateway) -> None:
    task = await finished(gateway)
    status = (await gateway.client.get(f"/api/generate/status/{task}")).json()
    assert status.keys() == STATE
    assert (status["status"], status["progress"], status["current_step"]) == ("done", 1.0, 4)


async def test_the_result_has_the_documented_members(gateway: Gateway) -> None:
    task = await finished(gateway, seed=3)
    result = (await gateway.client.get(f"/api/generate/result/{task}")).json()
    assert result.keys() == {
        "task_id",
        "status",
        "image",
        "debug_info",
        "generation_time",
        "model_used",
        "parameters_used",
    }
    assert (result["task_id"], result["status"], result["debug_info"]) == (task, "done", None)
    assert result["generation_time"] >= 0
    assert result["model_used"] == "qwen_image_edit"
    assert result["parameters_used"]["seed"] == 3
    assert not result["image"].startswith("data:")
    assert pixels(result["image"]).shape == ASTRONAUT.shape


async def test_debug_info_comes_only_when_asked_for(gateway: Gateway) -> None:
    task = await finished(gateway, enable_debug=True)
    debug = (await gateway.client.get(f"/api/generate/result/{task}")).json()["debug_info"]
    assert debug.keys() == {
        "conditional_images",
        "conditional_labels",
        "input_image_size",
        "output_image_size",
        "lora_adapter",
        "positioned_mask_R",
    }
    assert len(debug["conditional_images"]) == len(debug["conditional_labels"]) >= 2
    for picture in debug["conditional_images"]:
        assert pixels(picture).size
    assert debug["input_image_size"] == debug["output_image_size"] == f"{WIDTH}x{HEIGHT}"


async def test_the_result_image_is_bytes_of_the_size_of_the_input(gateway: Gateway) -> None:
    task = await finished(gateway, width=512, height=512)
    response = await gateway.client.get(f"/api/generate/result-image/{task}")
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("what", ["result", "result-image", "status"])
async def test_an_unknown_task_is_404(gateway: Gateway, what: str) -> None:
    response = await gateway.client.get(f"/api/generate/{what}/job_0", headers=ORIGIN)
    assert response.status_code == 404
    assert isinstance(response.json()["detail"], str)
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]


@pytest.mark.parametrize("what", ["result", "result-image"])
async def test_an_unfinished_task_is_400_a_failed_one_500(tmp_path: Path, what: str) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.2)) as gateway:
        task = await submit(gateway.client)
        early = await gateway.client.get(f"/api/generate/{what}/{task}")
        assert early.status_code == 400
        assert "not finished" in early.json()["detail"]
        gateway.backend.failure = InferenceError("Model qwen_image_edit failed.")
        await gateway.client.get(f"/api/generate/stream/{task}")
        failed = await gateway.client.get(f"/api/generate/{what}/{task}")
    assert (failed.status_code, failed.json()) == (
        500,
        {"detail": "Model qwen_image_edit failed."},
    )


async def test_cancel_stops_a_task_once(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.2)) as gateway:
        task = await submit(gateway.client)
        url = f"/api/generate/async/cancel/{task}"
        first, second = [(await gateway.client.post(url)).json() for _ in range(2)]
        assert first.keys() == second.keys() == {"success", "message", "task_id"}
        assert (first["success"], second["success"]) == (True, False)
        text = (await gateway.client.get(f"/api/generate/stream/{task}")).text
    assert [frame["status"] for frame in frames(text)] == ["cancelled"]


async def test_cancel_of_an_unknown_task_is_404(gateway: Gateway) -> None:
    response = await gateway.client.post("/api/generate/async/cancel/job_0")
    assert response.status_code == 404


async def test_two_tabs_never_mix(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.01)) as gateway:

        async def tab(seed: int) -> None:
            task = await finished(gateway, seed=seed)
            result = (await gateway.client.get(f"/api/generate/result/{task}")).json()
            assert (pixels(result["image"])[60, 60:70] == seed).all()
            stream = (await gateway.client.get(f"/api/generate/stream/{task}")).text
            assert {frame["task_id"] for frame in frames(stream)} == {task}

        await asyncio.gather(*(tab(seed) for seed in range(1, 13)))


TASKS = [
    ("insertion", {"prompt": "a hat"}, "insert", 2),
    ("insertion", {"prompt": "", "reference_image": b64(photo())}, "insert", 3),
    (
        "insertion",
        {"prompt": "", "reference_image": b64(photo()), "reference_mask_R": b64(brush())},
        "insert",
        3,
    ),
    ("removal", {"prompt": ""}, "remove", 3),
    ("removal", {"prompt": "", "mask_tool_type": "box"}, "remove", 3),
    ("removal", {"prompt": "", "reference_image": b64(photo())}, "remove", 3),
    ("white-balance", {"prompt": "", "conditional_images": []}, "white_balance", 2),
    ("white-balance", {"prompt": ""}, "white_balance", 2),
]


@pytest.mark.parametrize(("task_type", "fields", "task", "conditions"), TASKS)
async def test_each_task_shows_the_model_its_conditions(
    gateway: Gateway, task_type: str, fields: dict[str, Any], task: str, conditions: int
) -> None:
    done = await finished(gateway, task_type=task_type, enable_debug=True, **fields)
    result = (await gateway.client.get(f"/api/generate/result/{done}")).json()
    assert result["parameters_used"]["task"] == task
    shown = result["debug_info"]["conditional_images"]
    seen = gateway.backend.painted[-1].images
    assert len(shown) == len(seen) == conditions
    for one, other in zip(shown, seen, strict=True):
        np.testing.assert_array_equal(pixels(one), other)
    placed = result["debug_info"]["positioned_mask_R"]
    assert (placed is not None) == ("reference_mask_R" in fields)


async def test_a_task_that_needs_a_mask_says_so(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/api/generate/async", json=submission(conditional_images=[])
    )
    assert (response.status_code, response.json()["detail"]) == (400, "Task insert needs mask.")


async def test_the_stream_closes_behind_its_last_frame(tmp_path: Path) -> None:
    """Through a socket: the client reads to the end of the body."""
    async with (
        serve(tmp_path, FakeBackend(step_s=0.05)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        task = await submit(client)
        url = f"/api/generate/stream/{task}"
        async with client.stream("GET", url, headers=ORIGIN) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]
            text, result = "", None
            loop = asyncio.get_running_loop()
            last_frame_at = loop.time()
            async for piece in response.aiter_text():
                text += piece
                last_frame_at = loop.time()
                if '"done"' in piece and result is None:
                    result = await client.get(f"/api/generate/result-image/{task}")
            closed_after = loop.time() - last_frame_at
    assert closed_after < 1
    assert result is not None
    assert result.status_code == 200
    states = [frame["status"] for frame in frames(text)]
    assert states[-1] == "done"
    assert states.count("done") == 1

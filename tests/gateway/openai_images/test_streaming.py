"""`stream=True` of the stock SDK: true partial pictures, then the whole one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from gateway.errors import InferenceError
from gateway.inference_fake import FakeBackend
from gateway.routes import openai as routes
from tests.gateway.openai_images.conftest import Sdk, file, hole, image_format, pixels, sdk_for
from tests.odd_pictures import photo
from tests.preprocessing.pictures import ASTRONAUT


async def collected(stream: Any) -> list[Any]:
    return [event async for event in stream]


@pytest.mark.parametrize("partial", [0, 1, 2, 3])
async def test_partial_pictures_come_in_order_then_the_whole(sdk: Sdk, partial: int) -> None:
    stream = await sdk.client.images.generate(
        prompt="a cat", stream=True, partial_images=partial, extra_body={"seed": 9}
    )
    events = await collected(stream)
    assert [event.type for event in events] == [
        *["image_generation.partial_image"] * partial,
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in events[:-1]] == list(range(partial))
    for event in events:
        assert (event.size, event.quality, event.background) == ("64x64", "auto", "opaque")
        assert event.output_format == "png"
        assert event.created_at > 1_700_000_000
        assert pixels(event.b64_json).shape == (64, 64, 3)
    assert events[-1].usage.total_tokens == 16
    assert (pixels(events[-1].b64_json) == 9).all()


async def test_partial_pictures_of_an_edit_show_the_kept_part(sdk: Sdk) -> None:
    stream = await sdk.client.images.edit(
        image=file(photo()),
        mask=file(hole(20, 30, 80, 120)),
        prompt="a hat",
        stream=True,
        partial_images=2,
    )
    events = await collected(stream)
    assert [event.type for event in events] == [
        "image_edit.partial_image",
        "image_edit.partial_image",
        "image_edit.completed",
    ]
    for event in events[:-1]:
        shown = pixels(event.b64_json)
        assert shown.shape == ASTRONAUT.shape
        assert (shown[:20] == ASTRONAUT[:20]).all()
        assert (shown[20:80, 30:120] < 8).all()
    assert not np.array_equal(pixels(events[-1].b64_json), ASTRONAUT)


async def test_partial_pictures_have_the_format_asked_for(sdk: Sdk) -> None:
    stream = await sdk.client.images.generate(
        prompt="a cat", stream=True, partial_images=1, output_format="webp"
    )
    formats = {image_format(event.b64_json) for event in await collected(stream)}
    assert formats == {"WEBP"}


async def test_each_of_several_pictures_is_completed(sdk: Sdk) -> None:
    stream = await sdk.client.images.generate(
        prompt="a cat", n=2, stream=True, extra_body={"seed": 5}
    )
    events = await collected(stream)
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert [pixels(event.b64_json)[0, 0, 0] for event in events] == [5, 6]


async def test_a_failure_in_the_stream_is_an_error_of_the_sdk(sdk: Sdk) -> None:
    sdk.gateway.backend.failure = InferenceError("Model qwen_image failed.")
    stream = await sdk.client.images.generate(prompt="a cat", stream=True)
    with pytest.raises(openai.APIError, match="Model qwen_image failed") as caught:
        await collected(stream)
    assert caught.value.code == "backend_error"


async def test_what_is_refused_before_the_stream_has_a_status(sdk: Sdk) -> None:
    error = await sdk.refused("generate", prompt="a cat", stream=True, size="17x17")
    assert error.status_code == 400


async def test_only_the_body_decides_about_streaming(sdk: Sdk) -> None:
    response = await sdk.http.post(
        "/v1/images/generations",
        json={"prompt": "a cat"},
        headers={"Accept": "text/event-stream"},
    )
    assert response.headers["content-type"] == "application/json"


async def test_frames_are_named_and_heartbeats_are_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.02)
    async with sdk_for(tmp_path, FakeBackend(step_s=0.1)) as sdk:
        body = {"prompt": "a cat", "stream": True, "partial_images": 1}
        text = (await sdk.http.post("/v1/images/generations", json=body)).text
    blocks = text.strip().split("\n\n")
    assert ": still here" in blocks
    frames = [block.split("\n") for block in blocks if not block.startswith(":")]
    for event, data in frames:
        assert event == "event: " + json.loads(data.removeprefix("data: "))["type"]
    assert len(frames) == 2

"""`/api/smart-mask` as the front end calls it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import numpy as np
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.front_end.conftest import HEIGHT, ORIGIN, WIDTH, b64, pixels
from tests.gateway.openai_images.conftest import png
from tests.odd_pictures import photo

MIDDLE = [[WIDTH / 2, HEIGHT / 2]]


async def ask(gateway: Gateway, **body: Any) -> httpx.Response:
    body = {"image": b64(photo()), **body}
    return await gateway.client.post("/api/smart-mask", json=body, headers=ORIGIN)


async def found(gateway: Gateway, **body: Any) -> Any:
    response = await ask(gateway, **body)
    assert response.status_code == 200, response.text
    return pixels(response.json()["mask_base64"])


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": MIDDLE},
        {"bbox": [60, 40, 140, 120]},
        {"bbox": [60.5, 40.25, 140.75, 120.0]},
        {"bbox": [140, 120, 60, 40]},
        {"bbox": [-0.4, -0.2, WIDTH + 0.6, HEIGHT + 0.3]},
    ],
)
async def test_a_prompt_gives_a_mask_of_the_pictures_size(
    gateway: Gateway, prompt: dict[str, Any]
) -> None:
    response = await ask(gateway, **prompt)
    body = response.json()
    assert response.status_code == 200, body
    assert body.keys() >= {"success", "mask_base64", "image_id", "request_id", "error"}
    assert (body["success"], body["error"]) == (True, None)
    mask = pixels(body["mask_base64"])
    assert mask.shape == (HEIGHT, WIDTH)
    assert set(np.unique(mask)) == {0, 255}


async def test_the_pictures_id_serves_for_the_next_click(gateway: Gateway) -> None:
    first = (await ask(gateway, points=MIDDLE)).json()
    second = await ask(gateway, image=None, image_id=first["image_id"], points=MIDDLE)
    assert second.json()["mask_base64"] == first["mask_base64"]
    assert gateway.backend.segmentations == 1


async def test_an_unknown_picture_is_404_in_the_clients_words(gateway: Gateway) -> None:
    response = await ask(gateway, image=None, image_id="gone", points=MIDDLE)
    assert response.status_code == 404
    assert response.json()["detail"] == "Image ID not found or expired: gone"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"points": [[2, 2]]}, "did not generate"),
        ({}, "bbox"),
        ({"image": None, "points": MIDDLE}, "image_id"),
        ({"image": "blob:http://localhost:3000/1", "points": MIDDLE}, "blob:"),
        ({"points": [[WIDTH + 50, 3]]}, "must lie in"),
        ({"points": MIDDLE, "border_adjustment": 11}, "border_adjustment"),
    ],
)
async def test_what_is_wrong_is_400_with_a_sentence(
    gateway: Gateway, body: dict[str, Any], words: str
) -> None:
    response = await ask(gateway, **body)
    assert response.status_code == 400
    assert words in response.json()["detail"]
    assert response.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_the_border_moves_both_ways(gateway: Gateway) -> None:
    areas = [
        (await found(gateway, points=MIDDLE, border_adjustment=px) > 0).sum() for px in (-10, 0, 10)
    ]
    assert areas[0] < areas[1] < areas[2]


async def test_blur_softens_the_edge(gateway: Gateway) -> None:
    assert len(np.unique(await found(gateway, points=MIDDLE, use_blur=True))) > 2


def stroke() -> str:
    """A brush stroke across the middle."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[HEIGHT // 2 - 3 : HEIGHT // 2 + 3, WIDTH // 2 - 20 : WIDTH // 2 + 20] = 255
    return b64(png(mask))


@pytest.mark.parametrize("prompt", [{"mask": stroke()}, {"auto_detect": True}])
async def test_a_stroke_or_nothing_at_all_finds_the_object(
    gateway: Gateway, prompt: dict[str, Any]
) -> None:
    mask = await found(gateway, **prompt)
    assert mask[HEIGHT // 2, WIDTH // 2] == 255


async def test_a_prompt_counts_more_than_auto_detect(gateway: Gateway) -> None:
    response = await ask(gateway, points=[[2, 2]], auto_detect=True)
    assert response.status_code == 400


async def test_another_model_answers_with_a_warning(gateway: Gateway) -> None:
    body = (await ask(gateway, points=MIDDLE, model_type="birefnet")).json()
    assert body["success"]
    assert "birefnet" in body["warnings"][0]


async def test_cancel_of_an_ended_request_is_a_success(gateway: Gateway) -> None:
    request_id = (await ask(gateway, points=MIDDLE)).json()["request_id"]
    response = await gateway.client.post(f"/api/smart-mask/cancel/{request_id}")
    assert (response.status_code, response.json()["success"]) == (200, True)


async def test_cancel_ends_a_request_that_runs(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()
    segment = gateway.backend.segment

    def held(square: Any) -> Any:
        started.set()
        go_on.wait(10)
        return segment(square)

    monkeypatch.setattr(gateway.backend, "segment", held)
    asked = asyncio.create_task(ask(gateway, points=MIDDLE, request_id="mine"))
    await asyncio.to_thread(started.wait, 10)
    canceled = await gateway.client.post("/api/smart-mask/cancel/mine")
    response = await asked
    go_on.set()
    assert canceled.json()["success"]
    assert response.status_code == 400
    assert "canceled" in response.json()["detail"]

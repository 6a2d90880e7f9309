"""`/v1/masks` on a model server that finds one disc in the middle of every picture."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.errors import InferenceTimeoutError, ModelUnavailableError
from gateway.storage.image_store import ImageStore
from preprocessing.codec import decode_mask
from tests.gateway.conftest import Gateway
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo, sideways

MIDDLE = {"points": [[100, 80]]}
CORNER = {"points": [[2, 2]]}
AROUND = {"box": [50, 30, 150, 130]}


async def find(gateway: Gateway, *prompts: Any, **more: Any) -> httpx.Response:
    image = await gateway.upload(photo())
    body = {"image": image, "prompts": list(prompts), **more}
    return await gateway.client.post("/v1/masks", json=body)


async def one_mask(gateway: Gateway, *prompts: Any, **more: Any) -> dict[str, Any]:
    response = await find(gateway, *prompts, **more)
    assert response.status_code == 200, response.text
    (mask,) = response.json()["masks"]
    return mask


def pixels(mask: dict[str, Any]) -> np.ndarray:
    return decode_mask(base64.b64decode(mask["png"]))


@pytest.mark.parametrize("prompt", [MIDDLE, AROUND, {**MIDDLE, **AROUND, "labels": [1]}])
async def test_a_click_a_box_or_both_find_the_disc(gateway: Gateway, prompt: Any) -> None:
    mask = await one_mask(gateway, prompt)
    found = pixels(mask)
    assert found.shape == (160, 200)
    assert set(np.unique(found)) == {0, 255}
    assert found[80, 100] == 255
    assert found[2, 2] == 0
    assert mask["prompt_index"] == 0
    assert 0 < mask["score"] <= 1


async def test_area_and_box_are_those_of_the_mask(gateway: Gateway) -> None:
    mask = await one_mask(gateway, MIDDLE)
    rows, columns = np.nonzero(pixels(mask))
    assert mask["area"] == len(rows)
    assert mask["bbox"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert mask["polarity"] == "white"


async def test_the_mask_id_is_a_file(gateway: Gateway) -> None:
    mask = await one_mask(gateway, MIDDLE)
    content = await gateway.client.get(f"/v1/files/{mask['mask_id']}/content")
    assert content.content == base64.b64decode(mask["png"])
    assert content.headers["content-type"] == "image/png"


async def test_everything_finds_the_disc_for_no_prompt(gateway: Gateway) -> None:
    mask = await one_mask(gateway, everything=True)
    assert mask["prompt_index"] is None


async def test_each_prompt_is_one_object(gateway: Gateway) -> None:
    body = (await find(gateway, MIDDLE, AROUND)).json()
    assert [mask["prompt_index"] for mask in body["masks"]] == [0, 1]
    body = (await find(gateway, MIDDLE, AROUND, max_masks=1)).json()
    assert [mask["prompt_index"] for mask in body["masks"]] == [0]


async def test_a_polygon_comes_instead_of_a_png(gateway: Gateway) -> None:
    mask = await one_mask(gateway, MIDDLE, output="polygon")
    assert mask["png"] is None
    (ring,) = mask["polygon"]
    xs, ys = zip(*ring, strict=True)
    x0, y0, x1, y1 = mask["bbox"]
    assert (min(xs), min(ys), max(xs) + 1, max(ys) + 1) == (x0, y0, x1, y1)


async def test_a_second_call_costs_no_inference(gateway: Gateway) -> None:
    first, second = (await find(gateway, MIDDLE)).json(), (await find(gateway, AROUND)).json()
    assert (first["cached"], second["cached"]) == (False, True)
    assert gateway.backend.segmentations == 1
    assert first["image_id"] == second["image_id"]


async def test_server_timing_tells_the_stages(gateway: Gateway) -> None:
    response = await find(gateway, MIDDLE)
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    names = {"read", "features", "masks", "encode", "total"}
    assert stages.keys() == names == response.json()["timings"].keys()
    assert float(stages["total"]) >= float(stages["features"])
    assert "features;dur=" in response.headers["server-timing"]
    assert 'desc="network"' in response.headers["server-timing"]
    assert 'desc="cached"' in (await find(gateway, MIDDLE)).headers["server-timing"]


async def test_ten_clicks_at_once_on_a_new_picture_cost_one_inference(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(find(gateway, MIDDLE) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert gateway.backend.segmentations == 1


async def test_a_click_on_nothing_leaves_those_beside_it_their_masks(gateway: Gateway) -> None:
    nothing, *others = await asyncio.gather(
        find(gateway, CORNER), *(find(gateway, MIDDLE) for _ in range(3))
    )
    assert nothing.status_code == 400
    assert {answer.status_code for answer in others} == {200}
    assert gateway.backend.segmentations == 1
    assert (await find(gateway, MIDDLE)).json()["cached"]


async def test_another_version_of_the_network_sees_the_picture_anew(gateway: Gateway) -> None:
    await find(gateway, MIDDLE)
    gateway.backend.segmentation_version = "2"
    assert not (await find(gateway, MIDDLE)).json()["cached"]
    assert (await find(gateway, MIDDLE)).json()["cached"]
    assert gateway.backend.segmentations == 2


async def test_an_image_may_come_as_a_data_url(gateway: Gateway) -> None:
    url = "data:image/png;base64," + base64.b64encode(photo()).decode()
    response = await gateway.client.post("/v1/masks", json={"image": url, "prompts": [MIDDLE]})
    assert response.json()["image_id"] == await gateway.upload(photo())


async def test_an_image_may_come_as_a_part_of_a_form(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/masks", files={"image": photo()}, data={"prompts": json.dumps([MIDDLE, AROUND])}
    )
    assert response.status_code == 200, response.text
    assert len(response.json()["masks"]) == 2


async def test_a_form_without_prompts_may_ask_for_everything(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/masks", files={"image": photo()}, data={"everything": "true", "output": "polygon"}
    )
    assert response.json()["masks"][0]["polygon"]


async def test_a_content_type_may_be_in_capitals(gateway: Gateway) -> None:
    image = await gateway.upload(photo())
    response = await gateway.client.post(
        "/v1/masks",
        content=json.dumps({"image": image, "everything": True}),
        headers={"Content-Type": "Application/JSON; charset=UTF-8"},
    )
    assert response.status_code == 200, response.text


async def test_a_rotated_picture_is_clicked_as_it_is_seen(gateway: Gateway) -> None:
    image = await gateway.upload(sideways())
    body = {"image": image, "prompts": [{"points": [[80, 100]]}]}
    answer = (await gateway.client.post("/v1/masks", json=body)).json()
    assert (answer["width"], answer["height"]) == (160, 200)
    assert pixels(answer["masks"][0]).shape == (200, 160)


async def test_a_click_on_nothing_finds_no_mask(gateway: Gateway) -> None:
    response = await find(gateway, MIDDLE, CORNER)
    assert response.status_code == 400
    problem = assert_problem(response)
    assert problem["code"] == "mask_not_found"
    assert problem["errors"][0]["pointer"] == "/prompts/1"


async def test_an_unknown_file_is_not_found(gateway: Gateway) -> None:
    body = {"image": "file_" + "0" * 40, "prompts": [MIDDLE]}
    response = await gateway.client.post("/v1/masks", json=body)
    assert response.status_code == 404
    assert assert_problem(response)["code"] == "not_found"


@pytest.mark.parametrize(
    ("prompt", "pointer"),
    [
        ({"points": [[1, 1]], "labels": [3]}, "/prompts/0/labels/0"),
        ({"points": [[1, 1]], "labels": [1, 1]}, "/prompts/0"),
        ({"points": [[200, 1]]}, "/prompts/0"),
        ({"points": [[1]]}, "/prompts/0/points/0/1"),
        ({"box": [9, 9, 9, 20]}, "/prompts/0"),
        ({"box": [1, 2, 3]}, "/prompts/0/box/3"),
        ({"boxes": []}, "/prompts/0/boxes"),
    ],
)
async def test_a_wrong_prompt_is_pointed_at(gateway: Gateway, prompt: Any, pointer: str) -> None:
    response = await find(gateway, prompt)
    assert response.status_code == 422
    problem = assert_problem(response)
    assert problem["errors"][0]["pointer"] == pointer
    assert problem["error"]["param"] == pointer.strip("/")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ModelUnavailableError("Model fastsam is not loaded."), 503),
        (InferenceTimeoutError("Model fastsam did not answer in time."), 504),
    ],
)
async def test_a_failing_model_is_told_and_nothing_is_kept_of_it(
    gateway: Gateway, failure: Any, status: int
) -> None:
    gateway.backend.failure = failure
    response = await find(gateway, MIDDLE)
    assert response.status_code == status
    assert assert_problem(response)["detail"] == failure.message
    assert ("retry-after" in response.headers) == (status == 503)
    gateway.backend.failure = None
    assert (await find(gateway, MIDDLE)).status_code == 200


async def test_a_click_on_a_picture_that_another_process_deleted_is_404(
    gateway: Gateway, tmp_path: Path
) -> None:
    image = await gateway.upload(photo())
    body = {"image": image, "prompts": [MIDDLE]}
    first, second = [await gateway.client.post("/v1/masks", json=body) for _ in range(2)]
    assert first.json()["masks"] == second.json()["masks"]
    await ImageStore.in_folder(tmp_path / "images").delete(image)
    gone = await gateway.client.post("/v1/masks", json=body)
    assert (gone.status_code, assert_problem(gone)["code"]) == (404, "not_found")

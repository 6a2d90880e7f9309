"""Prompts, operations and outputs of `/v1/masks`; the model server finds one disc in the middle."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocessing.codec import encode_mask_png
from preprocessing.masks import bounding_box, from_polygons, grow, shrink
from preprocessing.rle import decode_rle
from tests.gateway.conftest import Gateway, serve
from tests.gateway.problems import assert_problem
from tests.gateway.routes.test_masks_http import MIDDLE, find, one_mask, pixels
from tests.odd_pictures import photo


def data_url(mask: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_mask_png(mask)).decode()


def band(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((160, 200), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    "prompt",
    [
        {"scribble": [[90, 70], [110, 90]]},
        {"scribble": [[[90, 70], [110, 90]], [[100, 60], [100, 100]]], "scribble_width": 3},
        {"scribble": data_url(band(slice(70, 90), slice(80, 120)))},
        {"mask_hint": data_url(band(slice(45, 115), slice(65, 135)))},
        {"auto": True},
        {"auto": True, "scribble": [[100, 80]]},
    ],
)
async def test_other_prompts_find_the_disc(gateway: Gateway, prompt: Any) -> None:
    clicked = await one_mask(gateway, MIDDLE)
    assert (await one_mask(gateway, prompt))["mask_id"] == clicked["mask_id"]


async def test_a_scribble_beside_the_disc_finds_nothing(gateway: Gateway) -> None:
    response = await find(gateway, {"scribble": [[5, 5], [30, 5]]})
    assert response.status_code == 400
    assert assert_problem(response)["code"] == "mask_not_found"


async def test_a_hint_of_another_size_is_refused(gateway: Gateway) -> None:
    response = await find(gateway, {"mask_hint": data_url(np.ones((80, 100), bool))})
    assert response.status_code == 400
    problem = assert_problem(response)
    assert problem["code"] == "mask_size"
    assert "200 x 160" in problem["detail"]


async def test_operations_work_on_every_mask(gateway: Gateway) -> None:
    plain = pixels(await one_mask(gateway, MIDDLE)) > 0
    grown = pixels(await one_mask(gateway, MIDDLE, ops=[{"grow": 5}, {"invert": True}])) > 0
    np.testing.assert_array_equal(grown, ~grow(plain, 5))
    moved = pixels(await one_mask(gateway, MIDDLE, ops=[{"border_adjustment": -4}])) > 0
    np.testing.assert_array_equal(moved, shrink(plain, 4))


@pytest.mark.parametrize("soft", [{"feather": 6}, {"blur": True}])
async def test_a_soft_edge_has_levels_and_the_same_outline(gateway: Gateway, soft: Any) -> None:
    plain = await one_mask(gateway, MIDDLE)
    mask = await one_mask(gateway, MIDDLE, ops=[soft])
    levels = pixels(mask)
    assert len(np.unique(levels)) > 8
    assert mask["area"] == pytest.approx(plain["area"], rel=0.02)


@pytest.mark.parametrize("output", ["rle", "polygon"])
async def test_a_soft_edge_needs_levels(gateway: Gateway, output: str) -> None:
    response = await find(gateway, MIDDLE, ops=[{"feather": 6}], output=output)
    assert response.status_code == 400
    problem = assert_problem(response)
    assert problem["code"] == "unsupported_value"
    assert "feather and blur" in problem["detail"]


async def test_all_outputs_are_one_mask(gateway: Gateway) -> None:
    shown = {
        output: await one_mask(gateway, MIDDLE, output=output)
        for output in ("png", "png_alpha", "rle", "polygon")
    }
    assert len({mask["mask_id"] for mask in shown.values()}) == 1
    plain = pixels(shown["png"]) > 0
    rle = shown["rle"]["rle"]
    np.testing.assert_array_equal(decode_rle(rle["counts"], tuple(rle["size"])), plain)
    rings = [[tuple(point) for point in ring] for ring in shown["polygon"]["polygon"]]
    np.testing.assert_array_equal(from_polygons(rings, plain.shape), plain)
    picture = Image.open(io.BytesIO(base64.b64decode(shown["png_alpha"]["png"])))
    assert picture.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(picture)[..., 3] == 0, plain)
    assert shown["png_alpha"]["polarity"] == "transparent"
    assert {shown[name]["polarity"] for name in ("png", "rle", "polygon")} == {"white"}


async def test_a_form_takes_operations(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/masks",
        files={"image": photo()},
        data={"prompts": '[{"auto": true}]', "ops": '[{"grow": 3}]', "output": "rle"},
    )
    assert response.status_code == 200, response.text
    assert response.json()["masks"][0]["rle"]["size"] == [160, 200]


async def test_compose_obeys_the_operation(gateway: Gateway) -> None:
    left = band(slice(10, 60), slice(10, 80))
    right = band(slice(40, 90), slice(50, 120))
    for operation, expected in (
        ("union", left | right),
        ("intersect", left & right),
        ("subtract", left & ~right),
    ):
        body = {"masks": [data_url(left), data_url(right)], "operation": operation}
        response = await gateway.client.post("/v1/masks/compose", json=body)
        assert response.status_code == 200, response.text
        answer = response.json()
        np.testing.assert_array_equal(pixels(answer) > 0, expected)
        assert (answer["width"], answer["height"]) == (200, 160)
        assert tuple(answer["bbox"]) == bounding_box(expected)


async def test_compose_takes_stored_masks_run_lengths_and_operations(gateway: Gateway) -> None:
    found = await one_mask(gateway, MIDDLE, output="rle")
    body = {
        "masks": [found["mask_id"], found["rle"]],
        "operation": "intersect",
        "ops": [{"grow": 2}, {"largest": True}],
        "output": "rle",
    }
    answer = (await gateway.client.post("/v1/masks/compose", json=body)).json()
    plain = decode_rle(found["rle"]["counts"], (160, 200))
    np.testing.assert_array_equal(decode_rle(answer["rle"]["counts"], (160, 200)), grow(plain, 2))
    again = await gateway.client.get(f"/v1/files/{answer['mask_id']}")
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("masks", "status", "code", "says"),
    [
        (
            [{"size": [2, 2], "counts": "04"}, {"size": [2, 3], "counts": "06"}],
            400,
            "mask_size",
            "2 x 2",
        ),
        ([{"size": [2, 2], "counts": "05"}], 400, "mask_unreadable", "add up to 4|2 x 2"),
        ([{"size": [100000, 100000], "counts": "0"}], 413, "image_too_large", "50000000"),
        ([{"size": [0, 5], "counts": "0"}], 422, "validation_failed", "1 x 1"),
        (["file_" + "0" * 40], 404, "not_found", "no file"),
        ([], 422, "validation_failed", "at least 1"),
    ],
)
async def test_compose_says_what_is_wrong(
    gateway: Gateway, masks: Any, status: int, code: str, says: str
) -> None:
    response = await gateway.client.post("/v1/masks/compose", json={"masks": masks})
    problem = assert_problem(response)
    assert (response.status_code, problem["code"]) == (status, code)
    assert any(part in response.text for part in says.split("|"))


async def test_a_text_without_models_names_the_command(gateway: Gateway) -> None:
    response = await find(gateway, {"text": "the red cup"})
    assert response.status_code == 400
    problem = assert_problem(response)
    assert problem["code"] == "text_prompts_absent"
    assert "retouch-export clip --source" in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/prompts/0"
    assert gateway.backend.segmentations == 0


async def test_a_text_finds_the_disc_and_looks_at_it_once(tmp_path: Path) -> None:
    async with serve(tmp_path) as gateway:
        gateway.backend.has_text_prompts = True
        async with serve(tmp_path, gateway.backend) as served:
            first = await one_mask(served, {"text": "the red cup"})
            second = await one_mask(served, {"text": "a cat", "points": [[100, 80]]})
    assert first["mask_id"] == second["mask_id"]
    assert gateway.backend.texts == ["the red cup", "a cat"]
    assert gateway.backend.embedded == 1

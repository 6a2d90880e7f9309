"""Tools that need no job: cut out, white balance, shadow preview."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from preprocessing.codec import decode_image, encode_jpeg, encode_mask_png, encode_png
from preprocessing.colour_lut import apply_lut
from preprocessing.cutout import cut_out, cut_out_mask
from preprocessing.native_picture import decode_native
from preprocessing.shadow import expanded_mask, with_shadow
from preprocessing.white_balance import Light, gains_for
from tests.gateway.conftest import Gateway
from tests.gateway.problems import assert_problem
from tests.preprocessing.pictures import ASTRONAUT, encode, swapped_profile

MASK = np.zeros(ASTRONAUT.shape[:2], np.bool_)
MASK[30:120, 50:140] = True
LEVELS = np.where(MASK, np.uint8(255), np.uint8(0))


async def pixels(gateway: Gateway, view: dict[str, str]) -> np.ndarray:
    return decode_image((await gateway.client.get(view["url"])).content).pixels


async def test_extract(gateway: Gateway) -> None:
    body = {
        "image": await gateway.upload(encode_png(ASTRONAUT)),
        "mask": await gateway.upload(encode_mask_png(MASK)),
    }
    response = await gateway.client.post("/v1/images/extract", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    np.testing.assert_array_equal(
        await pixels(gateway, answer["image"]), cut_out(ASTRONAUT, LEVELS)
    )
    shape = (await pixels(gateway, answer["reference_mask"]))[..., 0] > 0
    np.testing.assert_array_equal(shape, cut_out_mask(MASK))
    assert answer["mask"]["bbox"] == [50, 30, 140, 120]
    assert answer["mask"]["polarity"] == "white"
    assert (answer["image"]["width"], answer["image"]["height"]) == (512, 512)


async def test_extract_by_click_as_a_form_with_the_picture_as_answer(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/images/extract",
        files={"image": encode_png(ASTRONAUT)},
        data={"mask": '{"points": [[100, 80]]}'},
        headers={"Accept": "image/png"},
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert decode_image(response.content).pixels.shape == (512, 512, 3)
    assert response.headers["X-Mask-Id"].startswith("file_")


async def test_shadow_preview(gateway: Gateway) -> None:
    body = {
        "image": await gateway.upload(encode_png(ASTRONAUT)),
        "mask": await gateway.upload(encode_mask_png(MASK)),
    }
    answer = (await gateway.client.post("/v1/images/shadow-preview", json=body)).json()
    np.testing.assert_array_equal(
        await pixels(gateway, answer["image"]), with_shadow(ASTRONAUT, MASK)
    )
    np.testing.assert_array_equal(
        (await pixels(gateway, answer["expanded_mask"]))[..., 0], expanded_mask(MASK)
    )


async def test_white_balance_estimates_the_light(gateway: Gateway) -> None:
    lamp = gains_for(Light(4000, 10))
    colour = 1 / np.array([lamp.red, lamp.green, lamp.blue])
    photo = data.immunohistochemistry()
    cast = 255 * (((photo / 255) ** 2.2 * colour / colour.max()) ** (1 / 2.2))
    body = {"image": await gateway.upload(encode_png(np.rint(cast).astype(np.uint8)))}
    answer = (await gateway.client.post("/v1/images/white-balance", json=body)).json()
    assert answer["method"] == "auto"
    assert answer["light"]["temperature_k"] == pytest.approx(4000, rel=0.05)
    assert answer["light"]["tint"] == pytest.approx(10, abs=5)
    assert answer["image"]["format"] == "png"
    assert answer["warnings"] == []


async def test_white_balance_keeps_depth_profile_and_the_files_format(gateway: Gateway) -> None:
    deep = ASTRONAUT.astype(np.uint16) * 257
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    for body_image, form in (
        (png, "png"),
        (encode(ASTRONAUT, "JPEG", quality=95, icc_profile=swapped_profile()), "jpeg"),
        (encode(ASTRONAUT, "TIFF", icc_profile=swapped_profile()), "png"),
    ):
        body = {"image": await gateway.upload(body_image), "temperature_k": 4500, "tint": -4}
        answer = (await gateway.client.post("/v1/images/white-balance", json=body)).json()
        assert answer["method"] == "light"
        assert answer["light"] == {"temperature_k": 4500, "tint": -4}
        content = (await gateway.client.get(answer["image"]["url"])).content
        before, after = decode_native(body_image), decode_native(content)
        assert after.header.format == form
        assert after.pixels.dtype == before.pixels.dtype
        assert after.profile == before.profile
        expected = apply_lut(gains_for(Light(4500, -4)).lut(), before.pixels)
        slack = 0 if form == "png" else 3
        assert np.abs(after.pixels.astype(int) - expected).mean() <= slack


async def test_white_balance_as_picture_with_its_cube(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/images/white-balance",
        files={"image": encode_jpeg(ASTRONAUT)},
        data={"tint": "12", "output_format": "png"},
        headers={"Accept": "image/*"},
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    cube = await gateway.client.get(response.headers["X-Cube-Url"])
    assert "LUT_3D_SIZE 33" in cube.text


@pytest.mark.parametrize(
    ("path", "fields", "status", "code"),
    [
        ("extract", {"mask": {"points": [[900, 3]]}}, 422, "point_outside"),
        ("extract", {"mask": {"points": [[3, 3]]}}, 400, "mask_not_found"),
        ("extract", {}, 422, "validation_failed"),
        ("shadow-preview", {"mask": "file_0"}, 404, "not_found"),
        ("white-balance", {"temperature_k": 1000}, 422, "validation_failed"),
        ("white-balance", {"tint": 500}, 422, "validation_failed"),
        ("white-balance", {"output_format": "gif"}, 422, "validation_failed"),
        ("white-balance", {"mask": "file_0"}, 422, "validation_failed"),
    ],
)
async def test_bad_requests(
    gateway: Gateway, path: str, fields: dict[str, object], status: int, code: str
) -> None:
    body = {"image": await gateway.upload(encode_png(ASTRONAUT)), **fields}
    response = await gateway.client.post(f"/v1/images/{path}", json=body)
    assert response.status_code == status, response.text
    assert assert_problem(response)["code"] == code


async def test_a_cube_is_no_picture(gateway: Gateway) -> None:
    body = {"image": await gateway.upload(encode_png(ASTRONAUT))}
    answer = (await gateway.client.post("/v1/images/white-balance", json=body)).json()
    cube_id = answer["cube_url"].split("/")[3]
    response = await gateway.client.post("/v1/images/white-balance", json={"image": cube_id})
    assert response.status_code == 415

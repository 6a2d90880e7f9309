"""The masks of edit jobs: from a prompt or a file, and what stays outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from preprocessing.codec import decode_image, encode_mask_png, encode_png
from tests.gateway.conftest import Gateway
from tests.gateway.edits import (
    LEVELS,
    MASK,
    PHOTO,
    finish,
    masked,
    result,
)
from tests.gateway.problems import assert_problem
from tests.preprocessing.pictures import encode, exif, stored_sideways, swapped_profile


async def test_an_inline_prompt_may_grow_and_feather(gateway: Gateway) -> None:
    base = await finish(gateway, task="remove", mask={"points": [[32, 32]]})
    job = await finish(gateway, task="remove", mask={"points": [[32, 32]], "grow": 8, "feather": 4})
    assert job["mask"]["coverage"] > base["mask"]["coverage"]
    x0, y0, x1, y1 = base["mask"]["bbox"]
    assert job["mask"]["bbox"] == [x0 - 8, y0 - 8, x1 + 8, y1 + 8]
    assert job["preservation"]["feather_px"] == 4
    png = await gateway.client.get(f"/v1/files/{job['mask']['file_id']}/content")
    used = decode_image(png.content).pixels[..., 0] > 127
    assert used.mean() == pytest.approx(job["mask"]["coverage"], abs=1e-6)
    np.testing.assert_array_equal((await result(gateway, job))[~used], PHOTO[~used])


async def test_several_prompts_are_one_mask(gateway: Gateway) -> None:
    prompts = [{"points": [[32, 32]]}, {"box": [10, 10, 60, 60]}]
    job = await finish(gateway, task="remove", mask={"prompts": prompts})
    assert 0 < job["mask"]["coverage"] < 1


async def test_transparent_parts_may_mean_edit(gateway: Gateway) -> None:
    hole = np.dstack([PHOTO, ~LEVELS])
    mask = await gateway.upload(encode(hole, "PNG"))
    job = await finish(gateway, task="remove", mask=mask, mask_semantics="transparent")
    assert job["mask"]["polarity"] == "transparent"
    assert job["mask"]["bbox"] == [16, 20, 40, 44]
    assert job["mask"]["file_id"] != mask
    np.testing.assert_array_equal((await result(gateway, job))[~MASK], PHOTO[~MASK])


async def test_a_mask_of_half_the_size_is_resized_and_said_so(gateway: Gateway) -> None:
    mask = await gateway.upload(encode_mask_png(MASK[::2, ::2]))
    job = await finish(gateway, task="remove", mask=mask)
    assert "The mask was resized from 32 x 32 to 64 x 64." in job["warnings"]
    assert job["mask"]["coverage"] == pytest.approx(MASK.mean(), abs=0.02)


async def test_soft_levels_blend(gateway: Gateway) -> None:
    levels = np.zeros((64, 64), np.uint8)
    levels[20:40, 20:40] = 128
    mask = await gateway.upload(encode_png(levels))
    job = await finish(gateway, task="edit", prompt="x", mask=mask, preserve="soft", feather=0)
    mixed = PHOTO + (7.0 - PHOTO) * 128 / 255
    edited = await result(gateway, job)
    assert np.abs(edited - mixed)[20:40, 20:40].max() <= 1
    np.testing.assert_array_equal(edited[:20], PHOTO[:20])
    assert job["preservation"]["outside_equal"]


async def test_the_results_alpha_is_the_inputs_on_request(gateway: Gateway) -> None:
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:10] = 77
    image = await gateway.upload(encode_png(PHOTO, alpha=alpha))
    job = await masked(gateway, task="remove", image=image, keep_alpha=True)
    np.testing.assert_array_equal(decode_image(await gateway.result(job)).alpha, alpha)
    job = await masked(gateway, task="remove", image=image)
    assert decode_image(await gateway.result(job)).alpha is None


def in_mode(mode: str) -> bytes:
    picture = Image.fromarray(PHOTO)
    if mode == "16-bit":
        return encode(PHOTO[..., 0].astype(np.uint16) * 257, "PNG")
    if mode == "turned JPEG":
        return encode(stored_sideways(PHOTO, 6), "JPEG", exif=exif(6), quality=95)
    if mode == "own profile":
        return encode(picture, "PNG", icc_profile=swapped_profile())
    if mode in ("AVIF", "WEBP"):
        return encode(picture, mode)
    return encode(picture.convert(mode), "TIFF" if mode == "CMYK" else "PNG")


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "16-bit", "turned JPEG", "own profile", "AVIF"],
)
async def test_outside_the_mask_every_mode_decodes_to_the_inputs_bits(
    gateway: Gateway, mode: str
) -> None:
    data = in_mode(mode)
    job = await masked(gateway, task="remove", image=await gateway.upload(data))
    original = decode_image(data).pixels
    np.testing.assert_array_equal((await result(gateway, job))[~MASK], original[~MASK])
    assert job["preservation"]["outside_equal"]


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"task": "remove"}, "invalid_request", "Task remove needs mask"),
        ({"task": "insert", "mask": "m"}, "invalid_request", "Task insert needs a prompt"),
        ({"task": "remove", "mask": "m", "reference": ["i"]}, "unsupported_value", "no reference"),
        ({"task": "remove", "mask": "m", "strength": 0.5}, "unsupported_value", "no strength"),
        (
            {"task": "insert", "prompt": "x", "mask": "m", "reference": ["i", "i"]},
            "unsupported_value",
            "at most 1 reference; there are 2",
        ),
        (
            {"task": "insert", "prompt": "x", "mask": "m", "reference_mask": "m"},
            "invalid_request",
            "A reference_mask needs a reference",
        ),
        ({"task": "white_balance", "mask": "m"}, "unsupported_value", "takes no mask"),
        ({"task": "white_balance", "n": 2}, "unsupported_value", "takes no n"),
        ({"task": "white_balance", "preserve": "exact"}, "unsupported_value", "takes no preserve"),
        ({"task": "white_balance", "feather": 0}, "unsupported_value", "takes no feather"),
        ({"task": "edit", "prompt": "x", "preserve": "exact"}, "unsupported_value", "no preserve"),
        ({"task": "edit", "prompt": "x", "feather": 8}, "unsupported_value", "Without a mask"),
        (
            {"task": "edit", "prompt": "x", "prefill_grow": 3},
            "unsupported_value",
            "no prefill_grow",
        ),
        (
            {"task": "remove", "mask": {"points": [[32, 32]], "feather": 2}, "feather": 3},
            "invalid_request",
            "not with both",
        ),
        (
            {"task": "remove", "mask": {"points": [[1, 1]], "prompts": [{"points": [[1, 1]]}]}},
            "invalid_request",
            "not both",
        ),
        (
            {"task": "remove", "mask": "m", "mask_semantics": "transparent"},
            "mask_no_alpha",
            "must have an alpha channel",
        ),
        ({"task": "insert", "prompt": "x", "mask": "empty"}, "mask_empty", "at least 1 pixel"),
        (
            {"task": "insert", "mask": "m", "reference": ["i"], "reference_mask": "empty"},
            "mask_empty",
            "at least 1 pixel",
        ),
    ],
)
async def test_what_cannot_be_honoured_is_refused(
    gateway: Gateway, fields: dict[str, Any], code: str, says: str
) -> None:
    files = {
        "i": await gateway.upload(encode_png(PHOTO)),
        "m": await gateway.upload(encode_mask_png(MASK)),
        "empty": await gateway.upload(encode_mask_png(MASK & False)),
    }
    body = {"image": files["i"], **fields}
    for name in ("mask", "reference_mask"):
        if isinstance(body.get(name), str):
            body[name] = files[body[name]]
    body |= {"reference": [files[name] for name in body.get("reference", [])]}
    response = await gateway.client.post("/v1/jobs", json=body)
    assert response.status_code == 400, response.text
    problem = assert_problem(response)
    assert problem["code"] == code
    assert says in problem["detail"]


async def test_without_a_mask_everything_may_be_the_models(gateway: Gateway) -> None:
    job = await finish(gateway, task="edit", prompt="x", preserve="none")
    assert job["preservation"] is None
    assert job["parameters"]["preserve"] == "none"


async def test_a_mask_that_is_levels_alone_is_used_as_it_came(gateway: Gateway) -> None:
    sent = await gateway.upload(encode_mask_png(MASK))
    job = await finish(gateway, task="edit", prompt="x", mask=sent)
    assert job["mask"]["file_id"] == sent
    other = await finish(gateway, task="edit", prompt="x", mask=sent, mask_semantics="black")
    assert other["mask"]["file_id"] != sent
    assert other["mask"]["coverage"] == pytest.approx(1 - MASK.mean(), abs=1e-6)

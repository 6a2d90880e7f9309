"""Insert, remove, white balance and inpaint by job: what the model is shown, what comes back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from gateway.inference_fake import FakeBackend
from preprocessing import conditions
from preprocessing.codec import decode_image, encode_mask_png, encode_png
from preprocessing.cutout import cut_out, cut_out_mask
from preprocessing.prefill import grown, telea
from tests.gateway.conftest import Gateway, serve
from tests.gateway.edits import (
    LEVELS,
    MASK,
    PHOTO,
    ROCKET,
    assert_shown,
    finish,
    masked,
    result,
    shown,
)
from tests.gateway.problems import assert_problem
from tests.preprocessing.pictures import encode, exif, stored_sideways, swapped_profile


async def test_removal_shows_the_hole_the_mask_and_a_first_guess(gateway: Gateway) -> None:
    job = await masked(gateway, task="remove", prefill_grow=4)
    assert_shown(gateway, conditions.removal(PHOTO, LEVELS, telea(PHOTO, MASK, grow_px=4)))
    assert (shown(gateway).model, shown(gateway).prompt) == ("qwen_image_edit", "remove object")
    np.testing.assert_array_equal((await result(gateway, job))[~MASK], PHOTO[~MASK])
    assert job["preservation"]["outside_equal"]
    assert job["parameters"]["prefill_grow"] == 4


async def test_hand_drawn_masks_are_widened_by_default(gateway: Gateway) -> None:
    job = await masked(gateway, task="remove", prompt="remove the face")
    assert job["parameters"]["prefill_grow"] == 35
    assert shown(gateway).prompt == "remove the face"


async def test_a_lama_model_of_the_repository_makes_the_first_guess(tmp_path: Any) -> None:
    async with serve(tmp_path, FakeBackend(fills=True)) as gateway:
        await masked(gateway, task="remove", prefill_grow=4)
        guess = shown(gateway).images[2]
        hole = grown(MASK, 4)
        assert (guess[hole] == 99).all()
        np.testing.assert_array_equal(guess[~hole], PHOTO[~hole])


async def test_insertion_by_prompt(gateway: Gateway) -> None:
    await masked(gateway, task="insert", prompt="a hat")
    assert_shown(gateway, conditions.insertion(PHOTO, LEVELS))


async def test_insertion_with_a_reference(gateway: Gateway) -> None:
    reference = await gateway.upload(encode_png(ROCKET))
    await masked(gateway, task="insert", reference=[reference])
    assert_shown(gateway, conditions.insertion(PHOTO, LEVELS, reference=ROCKET))
    assert shown(gateway).prompt == "insert the object"


@pytest.mark.parametrize("of", ["reference", "origin"])
async def test_insertion_with_a_reference_and_its_mask(gateway: Gateway, of: str) -> None:
    shape = np.zeros((400, 400), np.bool_)
    shape[50:350, 150:250] = True
    square = cut_out(ROCKET, np.where(shape, np.uint8(255), np.uint8(0)))
    own = cut_out_mask(shape)
    job = await masked(
        gateway,
        task="insert",
        reference=[await gateway.upload(encode_png(square))],
        reference_mask=await gateway.upload(encode_mask_png(shape if of == "origin" else own)),
    )
    wanted = conditions.insertion(PHOTO, LEVELS, reference=square, reference_mask=own)
    assert_shown(gateway, wanted)
    np.testing.assert_array_equal((await result(gateway, job))[~MASK], PHOTO[~MASK])


async def test_inpainting_with_further_pictures_is_for_the_edit_model(gateway: Gateway) -> None:
    other = await gateway.upload(encode_png(ROCKET))
    await masked(gateway, task="inpaint", prompt="a rocket", reference=[other])
    assert_shown(gateway, conditions.inpaint(PHOTO, LEVELS, [ROCKET]))
    assert (shown(gateway).model, shown(gateway).mask) == ("qwen_image_edit", None)


@pytest.mark.parametrize(
    ("task", "adapter"),
    [("insert", "insertion"), ("remove", "removal"), ("white_balance", "white_balance")],
)
async def test_the_tasks_adapter_is_used_where_the_model_has_it(
    tmp_path: Any, task: str, adapter: str
) -> None:
    async with serve(tmp_path, FakeBackend(adapters=(adapter, "lightning"))) as gateway:
        fields = {} if task == "white_balance" else {"mask": {"points": [[32, 32]]}}
        await finish(gateway, task=task, prompt="x", adapters={"lightning": 0.5}, **fields)
        assert shown(gateway).adapters == {adapter: 1.0, "lightning": 0.5}
        await finish(gateway, task=task, prompt="x", adapters={adapter: 0}, **fields)
        assert shown(gateway).adapters == {adapter: 0}
        await finish(gateway, task="edit", prompt="x")
        assert shown(gateway).adapters == {}


async def test_without_the_adapter_the_base_model_does_it(gateway: Gateway) -> None:
    await masked(gateway, task="remove")
    assert shown(gateway).adapters == {}


async def test_of_a_large_photograph_the_masks_surroundings_are_painted(gateway: Gateway) -> None:
    large = cv2.resize(data.coffee(), (600, 400))
    mask = np.zeros((400, 600), np.bool_)
    mask[100:130, 500:540] = True
    fields = {
        "task": "remove",
        "image": await gateway.upload(encode_png(large)),
        "mask": await gateway.upload(encode_mask_png(mask)),
    }
    job = await finish(gateway, **fields)
    x0, y0, x1, y1 = job["parameters"]["crop"]
    assert x0 < 500 < 540 < x1 <= 600
    assert y0 < 100 < 130 < y1 <= 400
    assert (x1 - x0) * (y1 - y0) < 600 * 400 / 4
    part = cv2.resize(
        large[y0:y1, x0:x1],
        (shown(gateway).width, shown(gateway).height),
        interpolation=cv2.INTER_AREA,
    )
    hidden = shown(gateway).images[0]
    kept = hidden.any(axis=2)
    np.testing.assert_array_equal(hidden[: part.shape[0] // 4], part[: part.shape[0] // 4])
    assert not kept.all()
    edited = await result(gateway, job)
    np.testing.assert_array_equal(edited[~mask], large[~mask])
    assert (edited[112:118, 515:525] == 7).all()
    whole = await finish(gateway, crop="off", **fields)
    assert whole["parameters"]["crop"] is None


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

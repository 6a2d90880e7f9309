"""Insert, remove, white balance and inpaint by job: what the model is shown, what comes back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from gateway.inference_fake import FakeBackend
from preprocessing import conditions
from preprocessing.codec import encode_mask_png, encode_png
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

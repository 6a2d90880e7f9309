"""Edits and inpaintings: what is outside the mask stays, and the job says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from preprocessing.codec import decode_image, encode_mask_png
from tests.gateway.conftest import Gateway
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo
from tests.preprocessing.pictures import ASTRONAUT

MASK = np.zeros((160, 200), np.bool_)
MASK[40:120, 60:140] = True


async def finish(gateway: Gateway, task: str, **fields: Any) -> dict[str, Any]:
    image = await gateway.upload(photo())
    job = await gateway.finish(task=task, prompt="tulips", image=image, seed=7, **fields)
    assert job["status"] == "succeeded", job["error"]
    return job


async def pixels(gateway: Gateway, job: dict[str, Any]) -> np.ndarray:
    return decode_image(await gateway.result(job)).pixels


@pytest.mark.parametrize("task", ["edit", "inpaint"])
async def test_outside_the_mask_every_bit_is_the_inputs(gateway: Gateway, task: str) -> None:
    job = await finish(gateway, task, mask=await gateway.upload(encode_mask_png(MASK)))
    result = await pixels(gateway, job)
    assert (result[~MASK] == ASTRONAUT[~MASK]).all()
    assert (result[60:100, 80:120] == 7).all()
    preservation = job["preservation"]
    assert preservation.pop("ring_delta_e") > 20  # one grey all over is nothing like the picture
    assert "does not show the original" in job["warnings"][0]
    assert preservation == {
        "outside_equal": True,
        "outside_max_abs": 0,
        "feather_px": 8,
        "mask_coverage": 0.2,
        "mask_box": [60, 40, 140, 120],
        "shift": [0.0, 0.0],
        "scale": 1.0,
    }


async def test_without_a_feather_the_edge_is_hard(gateway: Gateway) -> None:
    mask = await gateway.upload(encode_mask_png(MASK))
    result = await pixels(gateway, await finish(gateway, "edit", mask=mask, feather=0))
    assert (result[MASK] == 7).all()


async def test_preserve_none_leaves_the_whole_picture_to_the_model(gateway: Gateway) -> None:
    mask = await gateway.upload(encode_mask_png(MASK))
    job = await finish(gateway, "edit", mask=mask, preserve="none")
    assert (await pixels(gateway, job) == 7).all()
    assert job["preservation"] is None


async def test_an_edit_without_a_mask_has_the_inputs_size(gateway: Gateway) -> None:
    job = await finish(gateway, "edit")
    assert (await pixels(gateway, job)).shape == ASTRONAUT.shape
    assert (job["preservation"], job["mask"]) == (None, None)


async def test_the_job_says_how_it_understood_the_mask(gateway: Gateway) -> None:
    mask = await gateway.upload(encode_mask_png(MASK))
    job = await finish(gateway, "inpaint", mask=mask)
    assert job["mask"] == {
        "file_id": mask,
        "polarity": "white",
        "coverage": 0.2,
        "bbox": [60, 40, 140, 120],
    }


async def test_a_job_outlives_its_mask(gateway: Gateway) -> None:
    mask = await gateway.upload(encode_mask_png(MASK))
    job = await finish(gateway, "inpaint", mask=mask)
    assert (await gateway.client.delete(f"/v1/files/{mask}")).status_code == 204
    for url in (job["urls"]["self"], "/v1/jobs"):
        assert (await gateway.client.get(url)).status_code == 200
    seen = (await gateway.client.get(job["urls"]["self"])).json()["mask"]
    assert seen == {"file_id": mask, "polarity": "white", "coverage": None, "bbox": None}


async def test_a_click_may_stand_for_the_mask(gateway: Gateway) -> None:
    job = await finish(gateway, "inpaint", mask={"points": [[100, 80]]})
    result = await pixels(gateway, job)
    assert (result[80, 100] == 7).all()
    assert (result[0] == ASTRONAUT[0]).all()
    assert job["preservation"]["outside_equal"]
    assert 0 < job["mask"]["coverage"] < 1


async def test_a_smart_mask_may_be_the_mask(gateway: Gateway) -> None:
    image = await gateway.upload(photo())
    body = {"image": image, "prompts": [{"points": [[100, 80]]}]}
    (mask,) = (await gateway.client.post("/v1/masks", json=body)).json()["masks"]
    job = await finish(gateway, "inpaint", mask=mask["mask_id"])
    assert job["mask"]["bbox"] == mask["bbox"]
    assert job["mask"]["coverage"] == round(mask["area"] / MASK.size, 6)


async def test_a_click_on_nothing_is_no_job(gateway: Gateway) -> None:
    body = {
        "task": "inpaint",
        "prompt": "tulips",
        "image": await gateway.upload(photo()),
        "mask": {"points": [[2, 2]]},
    }
    response = await gateway.client.post("/v1/jobs", json=body)
    assert response.status_code == 400
    assert assert_problem(response)["code"] == "mask_not_found"
    assert (await gateway.client.get("/v1/jobs")).json()["data"] == []

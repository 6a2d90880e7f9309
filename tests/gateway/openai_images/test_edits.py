"""`client.images.edit` of the stock SDK, and every other way to send an edit."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.gateway.openai_images.conftest import Sdk, file, hole, pixels, png
from tests.odd_pictures import jpeg, photo
from tests.preprocessing.pictures import ASTRONAUT

HEIGHT, WIDTH = ASTRONAUT.shape[:2]
BOX = (slice(20, 80), slice(30, 120))


async def test_one_image_comes_back_at_its_size(sdk: Sdk) -> None:
    answer = await sdk.client.images.edit(image=file(photo()), prompt="make it blue")
    assert answer.size == f"{WIDTH}x{HEIGHT}"
    assert pixels((answer.data or [])[0].b64_json).shape == ASTRONAUT.shape


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_list_of_images_is_all_seen(sdk: Sdk, count: int) -> None:
    images = [file(photo()), file(jpeg(), "b.jpg"), file(png(255 - ASTRONAUT))][:count]
    await sdk.client.images.edit(image=images, prompt="put them together")
    assert len(sdk.gateway.backend.painted[-1].images) == count


async def test_transparent_is_what_gets_edited_and_the_rest_is_kept(sdk: Sdk) -> None:
    answer = await sdk.client.images.edit(
        image=file(photo()),
        mask=file(hole(20, 30, 80, 120)),
        prompt="a hat",
        extra_body={"feather": 0, "seed": 200},
    )
    result = pixels((answer.data or [])[0].b64_json)
    expected = ASTRONAUT.copy()
    expected[BOX] = 200
    np.testing.assert_array_equal(result, expected)
    assert answer.preservation["outside_equal"] is True  # type: ignore[attr-defined]
    assert answer.mask["polarity"] == "transparent"  # type: ignore[attr-defined]


async def test_mask_image_is_white_where_to_edit(sdk: Sdk) -> None:
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[BOX] = 255
    fields = {"prompt": "a hat", "feather": "0", "seed": "200"}
    result = await post_form(sdk, fields, image=photo(), mask_image=png(white))
    assert (result[BOX] == 200).all()
    assert (result[:20] == ASTRONAUT[:20]).all()


@pytest.mark.parametrize(
    ("semantics", "edited"), [("white", True), ("black", False), ("transparent", False)]
)
async def test_mask_semantics_overrides(sdk: Sdk, semantics: str, edited: bool) -> None:
    grey_alpha = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    grey_alpha[..., 3] = 255
    grey_alpha[:20, :, 3] = 0
    grey_alpha[BOX] = 255
    fields = {"prompt": "x", "feather": "0", "seed": "200", "mask_semantics": semantics}
    result = await post_form(sdk, fields, image=photo(), mask=png(grey_alpha))
    assert bool((result[BOX] == 200).all()) == edited


async def test_a_mask_without_alpha_is_refused_with_the_way_out(sdk: Sdk) -> None:
    mask = file(png(np.zeros((HEIGHT, WIDTH), np.uint8)))
    error = await sdk.refused("edit", image=file(photo()), mask=mask, prompt="x")
    assert (error.status_code, error.code, error.param) == (400, "mask_no_alpha", "mask")
    assert "mask_image" in str(error)


async def test_a_mask_of_another_size_is_refused(sdk: Sdk) -> None:
    mask = file(png(np.zeros((50, 20, 4), np.uint8)))
    error = await sdk.refused("edit", image=file(photo()), mask=mask, prompt="x")
    assert (error.status_code, error.code, error.param) == (400, "mask_size", "mask")


async def test_a_mask_of_another_size_and_the_same_shape_is_resized(sdk: Sdk) -> None:
    small = np.zeros((HEIGHT // 2, WIDTH // 2, 4), np.uint8)
    small[: HEIGHT // 4, :, 3] = 255
    answer = await sdk.client.images.edit(image=file(photo()), mask=file(png(small)), prompt="x")
    assert any("resized" in text for text in answer.warnings)  # type: ignore[attr-defined]


@pytest.mark.parametrize("task", ["inpaint", "insert", "remove"])
async def test_the_tasks_of_jobs_are_tasks_here(sdk: Sdk, task: str) -> None:
    answer = await sdk.client.images.edit(
        image=file(photo()),
        mask=file(hole(20, 30, 80, 120)),
        prompt="a hat",
        extra_body={"task": task},
    )
    assert answer.task == task  # type: ignore[attr-defined]
    assert answer.preservation["outside_equal"] is True  # type: ignore[attr-defined]


async def test_a_prompt_can_stand_for_the_mask(sdk: Sdk) -> None:
    prompt = json.dumps({"points": [[WIDTH // 2, HEIGHT // 2]]})
    answer = await sdk.client.images.edit(
        image=file(photo()), prompt="a ball", extra_body={"mask_prompt": prompt, "grow": 4}
    )
    assert answer.mask is not None  # type: ignore[attr-defined]
    assert sdk.gateway.backend.segmentations >= 1


async def post_form(sdk: Sdk, fields: dict[str, str], **parts: bytes) -> Any:
    response = await sdk.http.post("/v1/images/edits", data=fields, files=parts)
    assert response.status_code == 200, response.text
    return pixels(response.json()["data"][0]["b64_json"])


SPELLINGS = [
    ["image"],
    ["image", "image"],
    ["image[]"],
    ["image[]", "image[]"],
    ["image[0]", "image[1]"],
    ["images"],
    ["images[]", "images[]"],
    ["image", "reference_image"],
]


@pytest.mark.parametrize("names", SPELLINGS)
async def test_every_spelling_of_image_parts(sdk: Sdk, names: list[str]) -> None:
    sent = [photo(), png(255 - ASTRONAUT)]
    files = list(zip(names, sent, strict=False))
    response = await sdk.http.post("/v1/images/edits", data={"prompt": "x"}, files=files)
    assert response.status_code == 200, response.text
    seen = sdk.gateway.backend.painted[-1].images
    assert [int(image[0, 0, 0]) for image in seen] == [
        int(ASTRONAUT[0, 0, 0]),
        255 - int(ASTRONAUT[0, 0, 0]),
    ][: len(names)]


async def test_numbered_parts_count_by_their_numbers(sdk: Sdk) -> None:
    files = [("image[1]", png(255 - ASTRONAUT)), ("image[0]", photo())]
    await sdk.http.post("/v1/images/edits", data={"prompt": "x"}, files=files)
    assert (sdk.gateway.backend.painted[-1].images[0] == ASTRONAUT).all()


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


async def test_every_spelling_in_json(sdk: Sdk) -> None:
    uploaded = await sdk.gateway.upload(photo())
    url = data_url(photo())
    for images in (
        {"images": [{"image_url": url}]},
        {"images": [{"image_url": {"url": url}}]},
        {"images": [{"file_id": uploaded}]},
        {"images": [uploaded]},
        {"image": url},
        {"image": uploaded},
        {"image": [url, uploaded]},
        {"images": [{"file_id": uploaded}], "mask": {"image_url": data_url(hole(9, 9, 50, 50))}},
    ):
        response = await edit_json(sdk, prompt="x", **images)
        assert response.status_code == 200, (images.keys(), response.text)


async def edit_json(sdk: Sdk, **body: Any) -> httpx.Response:
    return await sdk.http.post("/v1/images/edits", json=body)


@pytest.mark.parametrize(
    ("body", "code", "parameter"),
    [
        ({"prompt": "x"}, "invalid_request", "image"),
        ({"prompt": "x", "image": "https://example.org/a.png"}, "unsupported_value", "image"),
        ({"prompt": "x", "image": "blob:http://x"}, "not_found", None),
        ({"prompt": "x", "image": 7}, "invalid_request", "image"),
        ({"prompt": "x", "image": ["file_" + "0" * 40] * 17}, "not_found", None),
        ({"prompt": "x", "image": "data:image/png;base64,AAAA"}, "unsupported_format", "image"),
    ],
)
async def test_bad_pictures_are_refused(
    sdk: Sdk, body: dict[str, Any], code: str, parameter: str | None
) -> None:
    error = (await edit_json(sdk, **body)).json()["error"]
    assert (error["code"], error["param"]) == (code, parameter)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "generate"),
        ("task", "dance"),
        ("input_fidelity", "low"),
        ("preserve", "most"),
        ("size", "512x512"),
        ("grow", -1),
        ("mask_prompt", "{points"),
        ("markup", "x"),
    ],
)
async def test_edit_fields_are_refused_by_name(sdk: Sdk, field: str, value: object) -> None:
    uploaded = await sdk.gateway.upload(photo())
    body = {"prompt": "x", "image": uploaded, "mask": data_url(hole(9, 9, 50, 50)), field: value}
    response = await edit_json(sdk, **body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "unsupported_value")
    assert error["param"] == field


async def test_more_pictures_than_the_model_sees_are_refused(sdk: Sdk) -> None:
    error = await sdk.refused("edit", image=[file(photo())] * 5, prompt="x")
    assert (error.status_code, error.code, error.param) == (400, "unsupported_value", "image")


async def test_a_size_without_a_mask_is_the_size_of_the_result(sdk: Sdk) -> None:
    answer = await sdk.client.images.edit(image=file(photo()), prompt="x", size="256x256")
    assert answer.size == "256x256"
    assert pixels((answer.data or [])[0].b64_json).shape == (256, 256, 3)


async def test_lost_structure_is_refused_with_the_way_out(sdk: Sdk) -> None:
    error = await sdk.refused(
        "edit", image=file(photo()), prompt="x", extra_body={"loras": [{"name": "a"}]}
    )
    assert error.status_code == 400
    assert "JSON text" in str(error)


async def test_another_kind_of_body_is_refused(sdk: Sdk) -> None:
    for content, status in ((b"[1]", 400), (b"{", 400)):
        response = await sdk.http.post("/v1/images/edits", content=content)
        assert response.status_code == status
    response = await sdk.http.post(
        "/v1/images/edits", content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert response.status_code == 415

"""`/api/image-utils/extract-object` as the front end calls it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.front_end.conftest import HEIGHT, ORIGIN, WIDTH, b64, brush, pixels
from tests.gateway.openai_images.conftest import png
from tests.odd_pictures import photo

URL = "/api/image-utils/extract-object"


@pytest.mark.parametrize("prefix", [True, False])
async def test_an_object_comes_back_on_a_white_square(gateway: Gateway, prefix: bool) -> None:
    body = {"image": b64(photo(), prefix=prefix), "mask": b64(brush(), prefix=prefix)}
    response = await gateway.client.post(URL, json=body, headers=ORIGIN)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer.keys() == {"success", "extracted_image", "error"}
    assert (answer["success"], answer["error"]) == (True, None)
    square = pixels(answer["extracted_image"])
    assert square.shape == (512, 512, 3)
    assert (square[0, 0] == 255).all()


async def test_an_empty_mask_is_400(gateway: Gateway) -> None:
    empty = png(np.zeros((HEIGHT, WIDTH), np.uint8))
    response = await gateway.client.post(
        URL, json={"image": b64(photo()), "mask": b64(empty)}, headers=ORIGIN
    )
    assert response.status_code == 400
    assert isinstance(response.json()["detail"], str)


@pytest.mark.parametrize("field", ["image", "mask"])
async def test_a_blob_address_is_400(gateway: Gateway, field: str) -> None:
    body = {"image": b64(photo()), "mask": b64(brush()), field: "blob:http://localhost:3000/1"}
    response = await gateway.client.post(URL, json=body, headers=ORIGIN)
    assert response.status_code == 400
    assert "blob:" in response.json()["detail"]

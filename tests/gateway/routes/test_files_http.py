"""`/v1/files`: upload once, use by id."""

from __future__ import annotations

import hashlib

from gateway.errors import ModelUnavailableError
from tests.gateway.conftest import Gateway, until
from tests.gateway.problems import assert_problem
from tests.odd_pictures import jpeg, photo, sideways


async def test_an_upload_tells_what_it_is(gateway: Gateway) -> None:
    data = photo()
    response = await gateway.client.post("/v1/files", files={"file": data})
    assert response.status_code == 201
    digest = hashlib.sha256(data).hexdigest()
    assert response.json() == {
        "id": f"file_{digest[:40]}",
        "sha256": digest,
        "width": 200,
        "height": 160,
        "format": "png",
        "bytes": len(data),
        "warnings": [],
    }


async def test_the_same_bytes_get_the_same_id(gateway: Gateway) -> None:
    assert await gateway.upload(photo()) == await gateway.upload(photo())
    assert await gateway.upload(photo()) != await gateway.upload(jpeg())


async def test_the_content_is_what_was_uploaded(gateway: Gateway) -> None:
    data = jpeg()
    file_id = await gateway.upload(data)
    response = await gateway.client.get(f"/v1/files/{file_id}/content")
    assert response.content == data
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in response.headers["cache-control"]


async def test_a_rotated_photo_has_the_size_that_is_seen(gateway: Gateway) -> None:
    file_id = await gateway.upload(sideways())
    info = (await gateway.client.get(f"/v1/files/{file_id}")).json()
    assert (info["width"], info["height"]) == (160, 200)


async def test_a_deleted_file_is_gone(gateway: Gateway) -> None:
    url = f"/v1/files/{await gateway.upload(photo())}"
    assert (await gateway.client.delete(url)).status_code == 204
    for response in (
        await gateway.client.get(url),
        await gateway.client.get(f"{url}/content"),
        await gateway.client.delete(url),
    ):
        assert response.status_code == 404
        assert_problem(response)


async def test_prefetch_lets_the_network_see_it(gateway: Gateway) -> None:
    response = await gateway.client.post(
        "/v1/files", files={"file": photo()}, data={"prefetch": "true"}
    )
    await until(lambda: _seen(gateway, 1))
    body = {"image": response.json()["id"], "everything": True}
    assert (await gateway.client.post("/v1/masks", json=body)).json()["cached"]
    assert gateway.backend.segmentations == 1


async def test_a_click_during_a_prefetch_shares_its_inference(gateway: Gateway) -> None:
    uploaded = await gateway.client.post(
        "/v1/files", files={"file": photo()}, data={"prefetch": "true"}
    )
    body = {"image": uploaded.json()["id"], "everything": True}
    assert (await gateway.client.post("/v1/masks", json=body)).status_code == 200
    assert gateway.backend.segmentations == 1


async def test_a_failed_prefetch_fails_no_upload(gateway: Gateway) -> None:
    gateway.backend.failure = ModelUnavailableError("Model fastsam is not loaded.")
    response = await gateway.client.post(
        "/v1/files", files={"file": photo()}, data={"prefetch": "true"}
    )
    assert response.status_code == 201
    gateway.backend.failure = None
    body = {"image": response.json()["id"], "everything": True}
    assert (await gateway.client.post("/v1/masks", json=body)).status_code == 200


async def _seen(gateway: Gateway, times: int) -> bool:
    return gateway.backend.segmentations == times

"""What differs between image stores: conditional writes, signed addresses, settings."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
from obstore.store import S3Store
from pydantic import ValidationError

from gateway.errors import NotFoundError
from gateway.keys.owner import current_owner
from gateway.settings import Settings
from gateway.storage.image_store import ImageStore
from gateway.storage.object_store import ObjectStore
from retouch_client import AsyncRetouch
from tests.gateway.conftest import serve, serve_on_a_port
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo

pytestmark = pytest.mark.timeout(120)


async def test_a_store_without_conditional_writes_still_keeps_the_first(
    s3_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    store = ObjectStore(S3Store(bucket, prefix=prefix, config={"conditional_put": "disabled"}))
    with caplog.at_level(logging.WARNING):
        assert await store.create("a", b"first", media_type="image/png")
        assert not await store.create("a", b"second", media_type="image/png")
    assert await store.read("a") == b"first"
    told = [entry for entry in caplog.records if "no conditional writes" in entry.message]
    assert len(told) == 1


async def test_pictures_in_s3_come_through_the_gateway(tmp_path: Path, s3_url: str) -> None:
    async with serve(tmp_path, store_url=s3_url) as gateway:
        file_id = await gateway.upload(photo())
        answer = await gateway.client.get(f"/v1/files/{file_id}/content")
        assert (answer.status_code, answer.content) == (200, photo())
        job = await gateway.finish(task="generate", prompt="a cat", num_inference_steps=1)
        assert (await gateway.result(job)).startswith(b"\x89PNG")
    assert not (tmp_path / "images").exists()


async def test_a_presigned_download_comes_from_the_store(tmp_path: Path, s3_url: str) -> None:
    async with serve(tmp_path, store_url=s3_url, store_presign_s=60) as gateway:
        url = f"/v1/files/{await gateway.upload(photo())}/content"
        answer = await gateway.client.get(url)
        assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
        async with httpx.AsyncClient() as client:
            address = answer.headers["location"]
            download = await client.get(address)
            assert (download.status_code, download.content) == (200, photo())
            assert download.headers["content-type"] == "image/png"
            assert (await client.get(address.split("?")[0])).status_code == 403
        unknown = await gateway.client.get(f"/v1/files/file_{'0' * 40}/content")
        assert unknown.status_code == 404
        assert_problem(unknown)


async def test_the_client_follows_to_the_store_without_its_key(tmp_path: Path, s3_url: str) -> None:
    async with (
        serve(tmp_path, store_url=s3_url, store_presign_s=60) as gateway,
        serve_on_a_port(gateway) as plain,
        AsyncRetouch(str(plain.base_url), api_key="rt_0123") as client,
    ):
        file_id = await client.upload(photo())
        # With an Authorization of its own the store would refuse the signed address.
        assert await client.picture(f"/v1/files/{file_id}/content") == photo()


async def test_an_image_store_that_is_away_is_a_503(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    async with serve(tmp_path, store_url=s3_url) as gateway:
        upload = await gateway.client.post("/v1/files", files={"file": photo()})
        info = await gateway.client.get(f"/v1/files/file_{'0' * 40}")
        for answer in (upload, info):
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert_problem(answer)


async def test_no_address_is_signed_for_another_key(s3_url: str) -> None:
    store = ImageStore.at(s3_url, presign_s=60)
    token = current_owner.set("one")
    try:
        image = await store.put(b"hers", width=1, height=1, format="png")
        assert await store.download_url(image.id)
        current_owner.set("two")
        with pytest.raises(NotFoundError):
            await store.download_url(image.id)
    finally:
        current_owner.reset(token)


async def test_a_folder_signs_nothing(tmp_path: Path) -> None:
    async with serve(tmp_path, store_presign_s=60) as gateway:
        answer = await gateway.client.get(f"/v1/files/{await gateway.upload(photo())}/content")
        assert (answer.status_code, answer.content) == (200, photo())


@pytest.mark.parametrize(
    "wrong",
    [
        {"store_url": "http://bucket"},
        {"store_url": "s3://"},
        {"store_url": "/a/folder"},
        {"file_ttl_s": 60},
        {"store_presign_s": 700_000},
    ],
)
def test_a_store_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Settings.model_validate(wrong)

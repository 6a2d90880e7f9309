"""Pictures by content: in a folder, in memory and in an S3-compatible store."""

from __future__ import annotations

import hashlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from obstore.store import MemoryStore

from gateway.errors import NotFoundError
from gateway.keys.owner import current_owner
from gateway.storage import image_store, stored_image
from gateway.storage.image_store import ImageStore, StoredImage
from gateway.storage.object_store import ObjectStore
from preprocessing.codec import encode_png

DATA = b"the bytes of a picture"
MALFORMED = ["", "file_", "file_xyz", "../../etc/passwd", "file_" + "A" * 40, "file_" + "0" * 41]


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    if request.param == "memory":
        return ImageStore(ObjectStore(MemoryStore()))
    if request.param == "s3":
        return ImageStore.at(request.getfixturevalue("s3_url"))
    return ImageStore.in_folder(tmp_path / "images")


async def put(store: ImageStore, data: bytes = DATA, *, format: str = "png") -> StoredImage:
    return await store.put(data, width=3, height=2, format=format)


async def test_what_is_put_comes_back(store: ImageStore) -> None:
    image = await put(store)
    assert await store.content(image.id) == DATA
    assert await store.info(image.id) == image
    assert (image.width, image.height, image.bytes) == (3, 2, len(DATA))
    assert image.sha256 == hashlib.sha256(DATA).hexdigest()
    assert image.media_type == "image/png"


async def test_a_file_of_the_folder_is_read_as_the_bytes_that_it_is(tmp_path: Path) -> None:
    """Any other buffer would be copied in one go, while every thread waits."""
    store = ImageStore.in_folder(tmp_path)
    assert type(await store.view((await put(store)).id)) is bytes


async def test_the_same_bytes_have_the_same_id_and_the_first_stays(store: ImageStore) -> None:
    first = await put(store, format="png")
    second = await put(store, format="webp")
    assert first.id == second.id
    assert (await store.info(first.id)).format == "png"


async def test_other_bytes_have_another_id(store: ImageStore) -> None:
    assert (await put(store)).id != (await put(store, b"other")).id


@pytest.mark.parametrize("image_id", ["file_" + "0" * 40, *MALFORMED])
@pytest.mark.parametrize("ask", [ImageStore.info, ImageStore.content, ImageStore.delete])
async def test_an_unknown_or_malformed_id_is_not_found(
    store: ImageStore, ask: Callable[..., object], image_id: str
) -> None:
    with pytest.raises(NotFoundError, match="There is no file"):
        await ask(store, image_id)


async def test_an_id_never_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    store = ImageStore.in_folder(tmp_path / "images")
    with pytest.raises(NotFoundError):
        await store.info("file_../../../../secret")


async def test_a_deleted_picture_is_gone_and_can_be_put_again(store: ImageStore) -> None:
    image = await put(store)
    await store.delete(image.id)
    for ask in (store.info, store.content, store.delete):
        with pytest.raises(NotFoundError):
            await ask(image.id)
    assert await put(store) == image
    assert await store.content(image.id) == DATA


async def test_a_second_store_on_the_folder_knows_the_pictures(tmp_path: Path) -> None:
    image = await put(ImageStore.in_folder(tmp_path))
    assert await ImageStore.in_folder(tmp_path).info(image.id) == image


async def test_what_was_put_a_moment_ago_is_not_written_again_unless_it_is_gone(
    tmp_path: Path,
) -> None:
    store, other = ImageStore.in_folder(tmp_path), ImageStore.in_folder(tmp_path)
    image = await put(store)
    assert await put(store) == image
    assert files(tmp_path, "touched/*") == []
    for path in files(tmp_path, f"files/**/{image.sha256[:40]}*"):
        os.utime(path, (time.time() - 100,) * 2)
    await put(store)
    assert len(files(tmp_path, "touched/*")) == 1
    await other.delete(image.id)
    assert await put(store) == image
    assert await other.content(image.id) == DATA


async def test_a_recalled_picture_is_one_that_the_asker_put_or_saw_and_is_looked_for(
    tmp_path: Path,
) -> None:
    store, other = ImageStore.in_folder(tmp_path), ImageStore.in_folder(tmp_path)
    image = await put(other)
    assert other.recall(image.id) == image
    assert store.recall(image.id) is None
    await store.info(image.id)
    assert store.recall(image.id) == image
    store.require_here(image.id)
    token = current_owner.set("somebody")
    assert store.recall(image.id) is None
    with pytest.raises(NotFoundError):
        store.require_here(image.id)
    current_owner.reset(token)
    await other.delete(image.id)
    with pytest.raises(NotFoundError, match="There is no file"):
        store.require_here(image.id)


async def test_a_glance_is_a_look_of_a_moment_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = ImageStore.in_folder(tmp_path), ImageStore.in_folder(tmp_path)
    image = await put(other)
    assert await store.glance(image.id) == image
    token = current_owner.set("somebody")
    with pytest.raises(NotFoundError):
        await store.glance(image.id)
    current_owner.reset(token)
    await other.delete(image.id)
    with pytest.raises(NotFoundError):
        await other.glance(image.id)
    assert await store.glance(image.id) == image, "another process cannot tell it at once"
    monkeypatch.setattr(image_store, "GLANCE_S", 0.0)
    with pytest.raises(NotFoundError):
        await store.glance(image.id)


async def test_nothing_is_recalled_where_it_cannot_be_looked_for() -> None:
    store = ImageStore(ObjectStore(MemoryStore()))
    image = await put(store)
    assert await store.info(image.id) == image
    assert store.recall(image.id) is None


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Writing a longer file fails in this process, as on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def records(folder: Path) -> list[Path]:
    return list(folder.rglob("*.json"))


async def test_there_is_no_record_before_the_content(tmp_path: Path) -> None:
    store, data = ImageStore.in_folder(tmp_path), bytes(10_000)
    with files_up_to(5_000), pytest.raises(OSError, match="too large"):
        await put(store, data)
    assert records(tmp_path) == []
    image = await put(store, data)
    assert await store.content(image.id) == data


def png(size_wh: tuple[int, int]) -> bytes:
    return encode_png(np.zeros(size_wh[::-1], np.uint8))


async def test_a_png_needs_no_record(tmp_path: Path) -> None:
    store, other = ImageStore.in_folder(tmp_path), ImageStore.in_folder(tmp_path)
    image = await store.put(png((30, 20)), width=30, height=20, format="png")
    assert len(list((tmp_path / "files").rglob("*.*"))) == 0
    assert await other.info(image.id) == image
    await other.delete(image.id)
    for ask in (other.info, other.content, store.info):
        with pytest.raises(NotFoundError):
            await ask(image.id)
    assert await store.put(png((30, 20)), width=30, height=20, format="png") == image


@pytest.mark.parametrize(
    "what",
    [
        {"width": 20, "height": 30},
        {"format": "webp"},
        {"warnings": ("Only the first frame of the animation is used.",)},
    ],
    ids=["turned upright", "another format", "warned of"],
)
async def test_a_record_is_kept_where_the_bytes_say_something_else(
    store: ImageStore, what: dict[str, Any]
) -> None:
    said = {"width": 30, "height": 20, "format": "png", **what}
    image = await store.put(png((30, 20)), **said)
    assert vars(await store.info(image.id)).items() >= said.items()


async def test_a_large_png_is_not_read_for_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png((30, 20))
    monkeypatch.setattr(stored_image, "PNG_BYTES", len(data) - 1)
    store = ImageStore.in_folder(tmp_path)
    image = await store.put(data, width=30, height=20, format="png")
    (record,) = (tmp_path / "files").rglob("*.json")
    assert await store.info(image.id) == image
    record.unlink()
    with pytest.raises(NotFoundError):
        await store.info(image.id)

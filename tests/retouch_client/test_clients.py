"""Both clients against a real gateway: every call does in one what it does in the other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import InferenceError
from retouch_client import (
    ApiError,
    AsyncRetouch,
    Event,
    JobFailedError,
    Mask,
    Retouch,
    UnreachableError,
)
from tests.gateway.conftest import Gateway
from tests.odd_pictures import photo
from tests.preprocessing.pictures import ASTRONAUT

Served = tuple[Gateway, str]
MIDDLE = [(ASTRONAUT.shape[1] / 2, ASTRONAUT.shape[0] / 2)]
PNG = b"\x89PNG"


class AsIfSync:
    """The blocking client in a thread, so that one test serves both."""

    def __init__(self, client: Retouch) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name in ("events", "progress"):
            return lambda *a, **k: _items(lambda: list(method(*a, **k)))
        return lambda *a, **k: asyncio.to_thread(method, *a, **k)


async def _items(work: Callable[[], list[Any]]) -> AsyncIterator[Any]:
    for item in await asyncio.to_thread(work):
        yield item


@pytest.fixture(params=["sync", "async"])
async def client(served: Served, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "async":
        async with AsyncRetouch(served[1]) as made:
            yield made
    else:
        with Retouch(served[1]) as blocking:
            yield AsIfSync(blocking)


def test_both_have_the_same_calls() -> None:
    def calls(cls: type) -> dict[str, str]:
        public = (name for name in vars(cls) if not name.startswith("_"))
        return {
            name: str(list(inspect.signature(getattr(cls, name)).parameters)) for name in public
        }

    assert calls(Retouch) == calls(AsyncRetouch)


async def test_a_mask_serves_as_the_mask_of_an_edit(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(photo())
    (mask,) = await client.masks(path, points=MIDDLE)
    assert isinstance(mask, Mask)
    assert mask.png.startswith(PNG)
    assert mask.bbox is not None
    edited = await client.edit(path, "make it blue", mask=mask, seed=7, feather=0)
    assert edited.startswith(PNG)


async def test_pictures_go_by_path_bytes_or_id(client: Any, served: Served) -> None:
    file_id = await client.upload(photo())
    assert file_id.startswith("file_")
    job = await client.submit("edit", image=file_id, prompt="x", reference=[photo(), file_id])
    assert (await client.wait(job)).status == "succeeded"
    assert len(served[0].backend.painted[-1].images) == 3


async def test_everything_and_a_box(client: Any) -> None:
    assert len(await client.masks(photo(), everything=True)) == 1
    assert len(await client.masks(photo(), box=(60, 40, 140, 120))) == 1


async def test_any_other_route(client: Any) -> None:
    cut = await client.post("/v1/images/extract", {"mask": {"points": MIDDLE}}, {"image": photo()})
    assert (await client.picture(cut["image"]["url"])).startswith(PNG)


async def test_a_picture_from_words(client: Any, served: Served) -> None:
    assert (await client.generate("a cat", seed=3, num_inference_steps=2)).startswith(PNG)
    assert served[0].backend.painted[-1].seed == 3


async def test_events_tell_everything_in_order(client: Any) -> None:
    job = await client.submit("generate", prompt="a cat")
    events = [event async for event in client.events(job)]
    assert all(isinstance(event, Event) for event in events)
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert (events[0].name, events[-1].name) == ("queued", "succeeded")
    later = [event async for event in client.events(job, after=3)]
    assert later == events[3:]


async def test_progress_rises(client: Any) -> None:
    job = await client.submit("generate", prompt="a cat")
    assert [step async for step in client.progress(job)] == [(i, 4) for i in range(1, 5)]


async def test_cancel(client: Any) -> None:
    job = await client.submit("generate", prompt="a cat", num_inference_steps=100)
    assert (await client.cancel(job)).status == "canceled"
    with pytest.raises(JobFailedError) as caught:
        await client.result(job)
    assert caught.value.code == "canceled"


async def test_a_failed_job_says_why(client: Any, served: Served) -> None:
    served[0].backend.failure = InferenceError("Model qwen_image failed.")
    with pytest.raises(JobFailedError, match="Model qwen_image failed") as caught:
        await client.generate("a cat")
    assert caught.value.code == "backend_error"


async def test_a_refusal_has_its_code_status_and_request_id(client: Any) -> None:
    with pytest.raises(ApiError, match="no job") as caught:
        await client.job("job_0")
    assert (caught.value.status, caught.value.code) == (404, "not_found")
    assert caught.value.request_id


async def test_nobody_there(served: Served) -> None:
    async with AsyncRetouch("http://127.0.0.1:1") as client:
        with pytest.raises(UnreachableError):
            await client.job("x")


class Breaking(httpx.AsyncBaseTransport):
    """Lets a stream break after each 2500 bytes, as bad networks do."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self.streams = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith("/events"):
            self.streams += 1
            response.stream = BrokenStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class BrokenStream(httpx.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = 2500
        async for chunk in self._inner:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise httpx.ReadError("broken")

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_a_stream_that_breaks_is_taken_up_without_gap_or_repeat(served: Served) -> None:
    transport = Breaking()
    async with AsyncRetouch(served[1], transport=transport) as client:
        job = await client.submit("generate", prompt="a cat", num_inference_steps=12)
        events = [event async for event in client.events(job)]
    assert transport.streams > 1
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[-1].name == "succeeded"


async def test_a_key_is_sent(keyed: Any) -> None:
    transport = httpx.ASGITransport(app=keyed.gateway.app)
    async with AsyncRetouch("http://x", api_key=keyed.texts["ann"], transport=transport) as client:
        assert (await client.generate("a cat")).startswith(PNG)
    async with AsyncRetouch("http://x", transport=transport) as client:
        with pytest.raises(ApiError) as caught:
            await client.generate("a cat")
    assert caught.value.code == "invalid_api_key"

"""The client for asyncio; the same calls as `Retouch`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from retouch_client.errors import UnreachableError
from retouch_client.values import Event, Job, Mask
from retouch_client.wire import (
    WAIT_S,
    Call,
    EventReader,
    Picture,
    accepted,
    cancel_call,
    connection,
    job_call,
    job_state_call,
    mask_call,
    masks_of,
    post_call,
    require_success,
    upload_call,
)


class AsyncRetouch:
    """A gateway; close it, or use it as a context. Every method may raise RetouchClientError."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**connection(url, api_key), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def upload(self, picture: Picture) -> str:
        """Upload once, use by the id that comes back."""
        return str((await self._json(await asyncio.to_thread(upload_call, picture)))["id"])

    async def masks(
        self,
        image: Picture,
        *,
        points: Sequence[tuple[float, float]] = (),
        labels: Sequence[int] = (),
        box: tuple[float, float, float, float] | None = None,
        everything: bool = False,
    ) -> list[Mask]:
        """The object at the points and in the box, or all objects; best first."""
        call = await asyncio.to_thread(mask_call, image, points, labels, box, everything=everything)
        return masks_of(await self._json(call))

    async def generate(self, prompt: str, **fields: Any) -> bytes:
        """Paint a picture and wait for it; fields as in `submit`."""
        return await self.result(await self.submit("generate", prompt=prompt, **fields))

    async def edit(self, image: Picture, prompt: str, **fields: Any) -> bytes:
        """Edit a picture and wait for it; fields as in `submit`, `task` included."""
        task = fields.pop("task", "edit")
        return await self.result(await self.submit(task, image=image, prompt=prompt, **fields))

    async def submit(
        self,
        task: str,
        *,
        image: Picture | None = None,
        mask: Picture | Mask | None = None,
        reference: Sequence[Picture] = (),
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """Queue a job; `fields` are those of `POST /v1/jobs`."""
        pictures = {"image": image, "mask": mask, "reference": reference}
        call = await asyncio.to_thread(job_call, task, pictures, fields, idempotency_key)
        return Job.of(await self._json(call))

    async def job(self, job_id: str, *, wait_s: float = 0) -> Job:
        """The job as it is, or when it ends or the time is up."""
        return Job.of(await self._json(job_state_call(job_id, wait_s)))

    async def wait(self, job: Job) -> Job:
        """The job when it has ended."""
        while not job.has_ended:
            job = await self.job(job.id, wait_s=WAIT_S)
        return job

    async def result(self, job: Job) -> bytes:
        """The first picture of a job, when it has ended; JobFailedError when it has none."""
        return await self.picture(require_success(await self.wait(job)).output[0].url)

    async def post(
        self, path: str, fields: Mapping[str, Any], pictures: Mapping[str, Picture | Mask | None]
    ) -> dict[str, Any]:
        """Any other route that takes a form, such as `/v1/images/extract`."""
        return await self._json(await asyncio.to_thread(post_call, path, fields, pictures))

    async def picture(self, url: str) -> bytes:
        """The bytes behind an address that the gateway named."""
        return (await self._send(Call("GET", url))).content

    async def cancel(self, job: Job) -> Job:
        """Cancel; an ended job is left as it is."""
        return Job.of(await self._json(cancel_call(job)))

    async def events(self, job: Job, *, after: int = 0) -> AsyncIterator[Event]:
        """What happens to a job, to its end; a connection that breaks is taken up again."""
        reader = EventReader(job, after)
        while not reader.has_ended:
            try:
                async for event in self._stream(reader):
                    yield event
            except httpx.TransportError as error:
                await asyncio.sleep(reader.pause_s(error))

    async def progress(self, job: Job) -> AsyncIterator[tuple[int, int]]:
        """Steps done and steps in all, as they are done."""
        async for event in self.events(job):
            if event.name == "progress":
                yield event.data["step"], event.data["total_steps"]

    async def _stream(self, reader: EventReader) -> AsyncIterator[Event]:
        call = reader.call
        async with self._http.stream(call.method, call.path, **call.options) as stream:
            if stream.is_error:
                await stream.aread()
            async for line in accepted(stream).aiter_lines():
                event = reader.read(line)
                if event is not None:
                    yield event

    async def _json(self, call: Call) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._send(call)).json()
        return answer

    async def _send(self, call: Call) -> httpx.Response:
        try:
            return accepted(await self._http.request(call.method, call.path, **call.options))
        except httpx.TransportError as error:
            raise UnreachableError(f"No gateway answers: {error}.") from error

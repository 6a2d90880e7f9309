"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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


class Retouch:
    """A gateway; close it, or use it as a context. Every method may raise RetouchClientError."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**connection(url, api_key), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, picture: Picture) -> str:
        """Upload once, use by the id that comes back."""
        return str(self._json(upload_call(picture))["id"])

    def masks(
        self,
        image: Picture,
        *,
        points: Sequence[tuple[float, float]] = (),
        labels: Sequence[int] = (),
        box: tuple[float, float, float, float] | None = None,
        everything: bool = False,
    ) -> list[Mask]:
        """The object at the points and in the box, or all objects; best first."""
        return masks_of(self._json(mask_call(image, points, labels, box, everything=everything)))

    def generate(self, prompt: str, **fields: Any) -> bytes:
        """Paint a picture and wait for it; fields as in `submit`."""
        return self.result(self.submit("generate", prompt=prompt, **fields))

    def edit(self, image: Picture, prompt: str, **fields: Any) -> bytes:
        """Edit a picture and wait for it; fields as in `submit`, `task` included."""
        task = fields.pop("task", "edit")
        return self.result(self.submit(task, image=image, prompt=prompt, **fields))

    def submit(
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
        return Job.of(self._json(job_call(task, pictures, fields, idempotency_key)))

    def job(self, job_id: str, *, wait_s: float = 0) -> Job:
        """The job as it is, or when it ends or the time is up."""
        return Job.of(self._json(job_state_call(job_id, wait_s)))

    def wait(self, job: Job) -> Job:
        """The job when it has ended."""
        while not job.has_ended:
            job = self.job(job.id, wait_s=WAIT_S)
        return job

    def result(self, job: Job) -> bytes:
        """The first picture of a job, when it has ended; JobFailedError when it has none."""
        return self.picture(require_success(self.wait(job)).output[0].url)

    def post(
        self, path: str, fields: Mapping[str, Any], pictures: Mapping[str, Picture | Mask | None]
    ) -> dict[str, Any]:
        """Any other route that takes a form, such as `/v1/images/extract`."""
        return self._json(post_call(path, fields, pictures))

    def picture(self, url: str) -> bytes:
        """The bytes behind an address that the gateway named."""
        return self._send(Call("GET", url)).content

    def cancel(self, job: Job) -> Job:
        """Cancel; an ended job is left as it is."""
        return Job.of(self._json(cancel_call(job)))

    def events(self, job: Job, *, after: int = 0) -> Iterator[Event]:
        """What happens to a job, to its end; a connection that breaks is taken up again."""
        reader = EventReader(job, after)
        while not reader.has_ended:
            try:
                yield from self._stream(reader)
            except httpx.TransportError as error:
                time.sleep(reader.pause_s(error))

    def progress(self, job: Job) -> Iterator[tuple[int, int]]:
        """Steps done and steps in all, as they are done."""
        for event in self.events(job):
            if event.name == "progress":
                yield event.data["step"], event.data["total_steps"]

    def _stream(self, reader: EventReader) -> Iterator[Event]:
        call = reader.call
        with self._http.stream(call.method, call.path, **call.options) as stream:
            if stream.is_error:
                stream.read()
            for line in accepted(stream).iter_lines():
                event = reader.read(line)
                if event is not None:
                    yield event

    def _json(self, call: Call) -> dict[str, Any]:
        answer: dict[str, Any] = self._send(call).json()
        return answer

    def _send(self, call: Call) -> httpx.Response:
        try:
            return accepted(self._http.request(call.method, call.path, **call.options))
        except httpx.TransportError as error:
            raise UnreachableError(f"No gateway answers: {error}.") from error

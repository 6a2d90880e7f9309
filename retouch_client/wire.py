"""Requests and streams without any I/O: what both clients share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from retouch_client.errors import ApiError, JobFailedError, UnreachableError
from retouch_client.values import Event, Job, Mask

Picture = str | Path | bytes
"""A path, the bytes of a file, or a file id of the gateway."""

TIMEOUT = httpx.Timeout(60.0, read=150.0)
WAIT_S = 60
"""Longest wait asked for in one request; proxies cut longer ones."""
MAX_RECONNECTS = 5


@dataclass(frozen=True)
class Call:
    """One request of the API."""

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)


def connection(url: str, api_key: str | None) -> dict[str, Any]:
    """How the gateway is reached: options of an httpx client."""
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {api_key}"} if api_key else {},
        "timeout": TIMEOUT,
        "follow_redirects": True,  # to the image store; the key is not sent there
    }


def upload_call(picture: Picture) -> Call:
    """`POST /v1/files`."""
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    return Call("POST", "/v1/files", {"files": {"file": ("picture", data)}})


def mask_call(
    image: Picture,
    points: Sequence[tuple[float, float]],
    labels: Sequence[int],
    box: tuple[float, float, float, float] | None,
    *,
    everything: bool,
) -> Call:
    """`POST /v1/masks`."""
    prompt: dict[str, Any] = {"points": [list(point) for point in points], "labels": list(labels)}
    if box is not None:
        prompt["box"] = list(box)
    fields: dict[str, Any] = {"everything": everything}
    if points or box:
        fields["prompts"] = [prompt]
    return Call("POST", "/v1/masks", _form(fields, {"image": image}))


def job_call(
    task: str,
    pictures: Mapping[str, Picture | Sequence[Picture] | Mask | None],
    fields: Mapping[str, Any],
    idempotency_key: str | None,
) -> Call:
    """`POST /v1/jobs`."""
    sent = {name: value for name, value in fields.items() if value is not None}
    options = _form({"task": task, **sent}, pictures)
    if idempotency_key is not None:
        options["headers"] = {"Idempotency-Key": idempotency_key}
    return Call("POST", "/v1/jobs", options)


def job_state_call(job_id: str, wait_s: float) -> Call:
    """`GET /v1/jobs/{id}`."""
    return Call("GET", f"/v1/jobs/{job_id}", {"params": {"wait": wait_s}})


def cancel_call(job: Job) -> Call:
    """`POST /v1/jobs/{id}/cancel`."""
    return Call("POST", f"/v1/jobs/{job.id}/cancel")


def post_call(
    path: str, fields: Mapping[str, Any], pictures: Mapping[str, Picture | Mask | None]
) -> Call:
    """Any route that takes a form."""
    return Call("POST", path, _form(fields, pictures))


def accepted(response: httpx.Response) -> httpx.Response:
    """The answer, its body read, when it is none of an error.

    Raises:
        ApiError: the gateway refused.
    """
    if response.is_error:
        raise ApiError.of(response)
    return response


def masks_of(answer: Mapping[str, Any]) -> list[Mask]:
    """The masks of an answer."""
    return [Mask.of(entry) for entry in answer["masks"]]


def require_success(job: Job) -> Job:
    """The job, when it has pictures.

    Raises:
        JobFailedError: it ended without.
    """
    if job.status == "succeeded":
        return job
    error = job.error or {"message": f"The job is {job.status}.", "code": job.status}
    raise JobFailedError(error["message"], job_id=job.id, code=error["code"])


class EventReader:
    """Puts the lines of a job's stream together; knows behind which event to go on, and when."""

    def __init__(self, job: Job, after: int) -> None:
        self.has_ended = False
        self._job_id = job.id
        self._last_id = self._known_at_failure = after
        self._failures = 0
        self._fields: dict[str, str] = {}

    @property
    def call(self) -> Call:
        """`GET /v1/jobs/{id}/events`, behind the last event."""
        headers = {"Last-Event-ID": str(self._last_id)}
        return Call("GET", f"/v1/jobs/{self._job_id}/events", {"headers": headers})

    def read(self, line: str) -> Event | None:
        """One line; the event that it completes."""
        if line.startswith(":"):
            return None
        if line:
            name, _, value = line.partition(": ")
            self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        event = Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        self._last_id, self.has_ended = event.id, event.is_last
        return event

    def pause_s(self, error: httpx.TransportError) -> float:
        """How long to wait before the stream is taken up again: its connection broke.

        Raises:
            UnreachableError: it did so too often in a row, with no event in between.
        """
        self._fields = {}
        is_first = self._last_id > self._known_at_failure
        self._failures = 1 if is_first else self._failures + 1
        self._known_at_failure = self._last_id
        if self._failures > MAX_RECONNECTS:
            raise UnreachableError(f"The gateway went away: {error}.") from error
        return float(0.2 * 2**self._failures)


def _form(
    fields: Mapping[str, Any],
    pictures: Mapping[str, Picture | Sequence[Picture] | Mask | None],
) -> dict[str, Any]:
    """Options of a multipart request; pictures that the gateway has already go by their id."""
    data: dict[str, Any] = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
    }
    files: list[tuple[str, tuple[str, bytes]]] = []
    for name, value in pictures.items():
        several = value if isinstance(value, list | tuple) else [value]
        ids: list[str] = []
        for picture in several:
            part = _part(picture)
            if isinstance(part, bytes):
                files.append((name, (name, part)))
            elif part is not None:
                ids.append(part)
        if ids:
            data[name] = ids if len(ids) > 1 else ids[0]
    # With no file part httpx would send another content type, which means the same.
    return {"data": data, "files": files} if files else {"data": data}


def _part(picture: Picture | Mask | Any) -> bytes | str | None:
    if isinstance(picture, Mask):
        return picture.id
    if isinstance(picture, str) and picture.startswith("file_"):
        return picture
    if isinstance(picture, str | Path):
        return Path(picture).read_bytes()
    return picture if isinstance(picture, bytes) else None

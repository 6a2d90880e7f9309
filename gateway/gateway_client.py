"""A client of a running gateway, for the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.errors import RetouchError

_TIMEOUT = httpx.Timeout(60.0, read=300.0)


class GatewayClient:
    """Sends pictures, follows jobs, fetches results; blocks."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._http.close()

    def post(
        self, path: str, fields: Mapping[str, Any], pictures: Mapping[str, Path]
    ) -> dict[str, Any]:
        """Send a form; fields that are not text travel as JSON.

        Raises:
            RetouchError: the gateway refused it, or does not answer.
        """
        data = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in fields.items()
        }
        files = {name: (path.name, path.read_bytes()) for name, path in pictures.items()}
        answer: dict[str, Any] = self._ask("POST", path, data=data, files=files).json()
        return answer

    def content(self, url: str) -> bytes:
        """The bytes behind an address that the gateway named; raises as `post`."""
        return self._ask("GET", url).content

    def get(self, url: str) -> dict[str, Any]:
        """The JSON behind an address that the gateway named; raises as `post`."""
        answer: dict[str, Any] = self._ask("GET", url).json()
        return answer

    def events(self, job: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and data of every event of a job, until it has ended; raises as `post`."""
        try:
            with self._http.stream("GET", job["urls"]["events"]) as stream:
                name = ""
                for line in stream.iter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield name, json.loads(line.removeprefix("data: "))
        except httpx.TransportError as error:
            raise self._unreachable() from error

    def cancel(self, job: Mapping[str, Any]) -> None:
        """Cancel a job; a gateway that is gone is no error then."""
        with suppress(RetouchError):
            self._ask("POST", job["urls"]["cancel"])

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable() from error
        if response.is_error:
            raise _refusal(response)
        return response

    def _unreachable(self) -> RetouchError:
        return RetouchError(f"No gateway answers at {self._url}; `retouch serve` starts one.")


def _refusal(response: httpx.Response) -> RetouchError:
    try:
        problem = response.json()
        return RetouchError(str(problem["detail"]), code=str(problem["code"]))
    except (ValueError, KeyError, TypeError):
        return RetouchError(f"The gateway answered {response.status_code}.")

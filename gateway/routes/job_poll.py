"""The shortest way to a job for those who ask again and again: `GET /v1/jobs/{id}`, nothing more.

The route is found, checked and documented by FastAPI as all others are. Finding it and its
dependencies takes several times as long as the answer, and pages ask for it once a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import RetouchError
from gateway.http import problem
from gateway.http.dependencies import Services
from gateway.http.gathered_polls import POLLED
from gateway.wire.job_answers import JobAnswer

_PATH = re.compile(POLLED)


async def job_now(job_id: str, services: Services) -> JobAnswer:
    """The job as it is.

    Raises:
        NotFoundError: no such job, or another key's.
        StoreUnavailableError: the job database does not answer.
    """
    return await services.answers.of(await services.jobs.glance(job_id))


@dataclass(frozen=True)
class _Route:
    """What metrics and logs call the route."""

    path: str = "/v1/jobs/{job_id}"


class JobPollMiddleware:
    """Answers polls itself, behind keys and limits; pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass it on."""
        found = _PATH.fullmatch(scope["path"]) if _asks_for_all(scope) else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _Route()
        try:
            answer = await job_now(found[1], scope["app"].state.services)
        except RetouchError as error:
            response = await problem.retouch_error(Request(scope, receive), error)
            await response(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


def _asks_for_all(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]

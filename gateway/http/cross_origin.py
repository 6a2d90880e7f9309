"""Lets pages of other origins in, at no cost to those who are no page."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from gateway.http.answer_head import head_of

_VARY = (b"vary", b"Origin")


class CrossOriginMiddleware(CORSMiddleware):
    """CORS as Starlette does it; a request without an origin goes around it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not _has_origin(scope):
            head_of(scope).added.append(_VARY)  # a cache must not give the answer to a page
            await self.app(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _has_origin(scope: Scope) -> bool:
    for name, _ in scope["headers"]:  # noqa: SIM110  (a generator costs more)
        if name == b"origin":
            return True
    return False

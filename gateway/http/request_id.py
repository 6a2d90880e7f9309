"""Gives every request an id, and faults of ours an answer that carries it."""

from __future__ import annotations

import logging
import random

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http import problem
from gateway.http.answer_head import head_of
from gateway.observability.context import current_request_id

logger = logging.getLogger(__name__)
_MAX_LENGTH = 64


class RequestIdMiddleware:
    """Takes `X-Request-Id` or makes one; plain ASGI, since the decorator costs a task each."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _sent_id(scope) or f"{random.getrandbits(128):032x}"
        scope.setdefault("state", {})["request_id"] = request_id
        current_request_id.set(request_id)
        head = head_of(scope)
        head.added.append((b"x-request-id", request_id.encode("latin-1")))
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            logger.exception("request %s failed", request_id, extra={"event": "request_failed"})
            if head.status is not None:
                raise
            response = await problem.unexpected_error(Request(scope, receive), error)
            await response(scope, receive, send)


def _sent_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return str(value[:_MAX_LENGTH], "latin-1")
    return ""

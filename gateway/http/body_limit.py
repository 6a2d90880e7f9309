"""Refuses bodies over the limit while they arrive, announced or not."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OF_A_BODY = frozenset((b"content-length", b"transfer-encoding"))


def has_body(scope: Scope) -> bool:
    """Whether a request says that a body comes with it."""
    for name, _ in scope["headers"]:  # noqa: SIM110  (twice a request: a generator costs more)
        if name in _OF_A_BODY:
            return True
    return False


class BodyLimitMiddleware:
    """Counts the bytes of a request's body and ends it with 413 at the limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but a body that is too long."""
        if scope["type"] != "http" or not has_body(scope):
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, f"the body is over the limit of {self._max_bytes} bytes")
            return message

        await self._app(scope, counted, send)

"""What the head of every answer says, written once for all who have something to add to it.

A middleware that wraps `send` for a header of its own costs every request: one does it here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]
ARRIVED = "retouch.arrived"
"""In a scope: when a request came, by `time.perf_counter`, that was not served at once."""
_KEY = "retouch.head"
_CLOSED = b"default-src 'none'; frame-ancestors 'none'; sandbox"
"""An answer of the API is never a page, whatever bytes somebody uploaded."""
_UNLESS_SAID = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", _CLOSED),
)
"""Keeps browsers from guessing, framing and caching; pages bring a policy of their own."""
_TIMING = b"server-timing"


@dataclass(slots=True)
class AnswerHead:
    """The head of one answer, while its request is served."""

    began: float
    """By `time.perf_counter`."""
    status: int | None = None
    """None until the answer has started."""
    added: list[Header] = field(default_factory=list)
    """What the middleware inside adds to what the answer says itself."""

    def complete(self, said: list[Header]) -> list[Header]:
        """With all that is added, and what the answer does not say itself."""
        names = {name for name, _ in said}
        left_out = [header for header in _UNLESS_SAID if header[0] not in names]
        if _TIMING not in names:
            took = b"request;dur=%.1f" % (1000 * (time.perf_counter() - self.began))
            left_out.append((_TIMING, took))
        return [*said, *self.added, *left_out]


def head_of(scope: Scope) -> AnswerHead:
    """The head of the answer to this request."""
    head: AnswerHead = scope[_KEY]
    return head


class AnswerHeadMiddleware:
    """Goes around all others that know of heads; pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = scope[_KEY] = AnswerHead(scope.get(ARRIVED) or time.perf_counter())

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                head.status = message["status"]
                message["headers"] = head.complete(message["headers"])
            await send(message)

        await self._app(scope, receive, completed)
